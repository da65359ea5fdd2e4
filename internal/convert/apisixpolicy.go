package convert

import (
	"cmp"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
)

// apisixFields are the fields of the plugin's configuration.
var apisixFields = []string{"allow_origins", "allow_methods", "allow_headers", "expose_headers", "max_age",
	"allow_credential", "allow_origins_by_regex", "allow_origins_by_metadata", "timing_allow_origins",
	"timing_allow_origins_by_regex", "_meta", "disable"}

// Methods that "**" stands for; browsers refuse the two others of the plugin's list.
var apisixMethods = []string{"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"}

// apisixAge is the default of max_age.
const apisixAge = 5

// policy reads a configuration of the plugin; n is nil if it has the defaults.
func (a *apisix) policy(o *apisixObject, from, n *document.Node) *draft {
	a.unknown(n, "the cors plugin", apisixFields...)
	d := newDraft(from, cmp.Or(o.name, "cors"), "")
	d.AllowCredentials = a.boolean(n.Get("allow_credential"), false)
	a.refuseStars(d, n)
	a.allowed(d, n.Get("allow_methods"), n.Get("allow_headers"))
	if n := n.Get("expose_headers"); given(n) {
		d.set("expose_headers", a.star(d, "expose_headers", a.commaList(n)))
	}
	for _, timing := range []string{"timing_allow_origins", "timing_allow_origins_by_regex"} {
		if at := n.Get(timing); given(at) {
			a.warn(at, "is for the header Timing-Allow-Origin, which isn't of CORS",
				"left out; let the upstream send the header, or Envoy's response_headers_to_add")
		}
	}
	d.age(from, apisixAge)
	if age := n.Get("max_age"); text(age) == "-1" {
		d.age(age, 0) // which is how browsers take it
	} else {
		a.setMaxAge(d, age)
	}
	a.origins(d, n)
	return d
}

// allowed sets the methods and headers that a configuration allows: by default all.
func (a *apisix) allowed(d *draft, methods, headers *document.Node) {
	switch {
	case !given(methods):
		d.setNames("allow_methods", []string{"*"}, nil)
	case text(methods) == "**":
		d.setNames("allow_methods", apisixMethods, nil)
	default:
		d.set("allow_methods", a.star(d, "allow_methods", a.commaList(methods)))
	}
	if !given(headers) || text(headers) == "**" { // which repeats what is asked for
		d.setNames("allow_headers", []string{"*", "Authorization"}, nil)
	} else {
		d.set("allow_headers", a.star(d, "allow_headers", a.commaList(headers)))
	}
}

// commaList are the parts of a text with commas.
func (a *apisix) commaList(n *document.Node) []*document.Node {
	if n.Kind == document.List {
		a.warn(n, "is a list, and the plugin takes a text with commas", "carried over as the list that it is")
	}
	return a.joined(n)
}

// refuseStars takes the credentials from a configuration that the plugin refuses: with
// credentials none of the lists may be "*", which is also the default of most.
func (a *apisix) refuseStars(d *draft, n *document.Node) {
	if !d.AllowCredentials {
		return
	}
	var stars []string
	for _, field := range []string{"allow_origins", "allow_methods", "allow_headers", "expose_headers"} {
		if at := n.Get(field); text(at) == "*" || !given(at) && field != "expose_headers" {
			stars = append(stars, field)
		}
	}
	if stars != nil {
		d.AllowCredentials = false
		a.warn(n.Get("allow_credential"), `the plugin refuses true beside "*", which is the value of `+inWords(stars)+
			", if only by default",
			`carried over without allow_credentials; list the values, or write "**", and convert again`)
	}
}

// origins reads what a configuration allows. Since regexes there is no list beside them;
// beside names of the metadata, "*" is no list either, as it is the default.
func (a *apisix) origins(d *draft, n *document.Node) {
	list, regexes, keys := n.Get("allow_origins"), n.Get("allow_origins_by_regex"), n.Get("allow_origins_by_metadata")
	every := !given(list) || text(list) == "*"
	if isSet(keys) {
		a.metadata(d, keys)
	}
	switch {
	case isSet(keys) && every:
		if isSet(regexes) {
			a.warn(regexes, `has no effect beside allow_origins_by_metadata while allow_origins is "*", which is the default`,
				"left out")
		}
	case isSet(regexes):
		if given(list) {
			a.warn(list, "has no effect beside allow_origins_by_regex", "left out")
		}
		for _, regex := range a.texts(regexes) {
			if regex.Text == "" {
				a.warn(regex, "is empty, so the plugin refuses it", "left out")
				continue
			}
			a.searchOrigin(d, regex, regex.Text)
		}
	case every:
		d.addOrigin(cors.OriginEntry{Text: "*"}, cmp.Or(list, d.from))
	default:
		a.originList(d, list)
	}
}

// originList reads allow_origins, of the plugin or of its metadata.
func (a *apisix) originList(d *draft, n *document.Node) {
	list := a.commaList(n)
	if len(list) > 1 && strings.Contains(n.Text, " ") {
		a.warn(n, "has spaces, so the plugin refuses it", "carried over without them")
	}
	for _, origin := range list {
		switch {
		case len(list) == 1 && (origin.Text == "*" || origin.Text == "**"):
			d.addOrigin(cors.OriginEntry{Text: "*"}, origin)
		case strings.Trim(origin.Text, "*") == "":
			a.warn(origin, quote(origin.Text)+" in a list is compared as it stands, so no origin matches it",
				"left out; write it alone to allow every origin")
		default:
			a.matchOrigin(d, origin, originMatcher{kind: exactMatcher, text: origin.Text})
		}
	}
}

// metadata reads origins by their names in the plugin's metadata.
func (a *apisix) metadata(d *draft, keys *document.Node) {
	known := a.byID["plugin_metadata cors"].node().Get("allow_origins")
	for _, key := range a.texts(keys) {
		var found *document.Node
		for _, m := range members(known) {
			if m.Name == key.Text {
				found = m.Value
			}
		}
		if found == nil {
			a.warn(key, "the plugin's metadata with "+quote(key.Text)+" isn't in the file",
				"left out; give both in one file, or list the origins")
			continue
		}
		a.originList(d, found)
	}
}
