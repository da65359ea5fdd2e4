package convert

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
)

const emissaryGroup = "getambassador.io"

// An emissaryReader reads Mappings.
type emissaryReader struct {
	*conversion
	t     *routing
	hosts []*document.Node // the specs of Hosts
	// module is the policy of the Module, which is for the Mappings without one; or nil.
	module *draft
}

// fromEmissary reads the cors of Mappings, and that of the Module named ambassador.
func fromEmissary(c *conversion, documents []*document.Node) {
	e := &emissaryReader{conversion: c, t: newRouting(c, "Emissary",
		"give the Mappings the same cors, or hosts and prefixes that the filter can tell apart", byRank)}
	var mappings []*resource
	for _, r := range resources(documents) {
		switch r = withName(r); {
		case r.is("Host", emissaryGroup):
			e.hosts = append(e.hosts, r.spec())
		case r.is("Mapping", emissaryGroup, "ambassador"):
			mappings = append(mappings, r)
		case r.is("Module", emissaryGroup, "ambassador") && r.name == "ambassador":
			config := cmp.Or(r.Get("spec", "config"), r.Get("config"))
			e.module = e.policy(r, config.Get("cors"))
		default:
			e.annotated(r)
		}
	}
	var routes []*spreadRoute
	for _, r := range mappings {
		if spec := r.spec(); !e.boolean(spec.Get("shadow"), false) { // which gets copies of requests
			if route, served := e.mapping(r, spec); served {
				routes = append(routes, route)
			}
		}
	}
	e.t.spread(routes)
	e.t.addDrafts()
	if e.module != nil && len(routes) == 0 {
		c.warn(e.module.from, "is for the Mappings that have no cors of their own, and there is none in the file",
			"carried over for every host and path; convert it with the Mappings")
		c.add(e.module)
	}
}

// annotated warns of a Mapping that stands in an annotation.
func (e *emissaryReader) annotated(r *resource) {
	for _, m := range members(r.Get("metadata", "annotations")) {
		if m.Name == "getambassador.io/config" && strings.Contains(m.Value.String(), "cors:") {
			e.found(m.Value, "an annotation of the "+r.kind+" "+quote(r.name)+" that has cors")
			e.warn(m.Value, "has a Mapping with cors, which isn't read in an annotation",
				"left out; convert the text of the annotation on its own")
		}
	}
}

// withName is a resource, the name of which may stand beside its kind, as in the files and
// annotations that Ambassador read before it had resources of its own.
func withName(r *resource) *resource {
	if r.name == "" {
		r.name = r.Get("name").String()
	}
	return r
}

// spec is what the resource says, which may stand beside its kind too.
func (r *resource) spec() *document.Node { return cmp.Or(r.Get("spec"), r.Node) }

// mapping is the route of a Mapping; served is false if no Host has it.
func (e *emissaryReader) mapping(r *resource, spec *document.Node) (route *spreadRoute, served bool) {
	route = &spreadRoute{of: r, envoyRoute: envoyRoute{from: spec, policy: e.module, path: e.path(spec)}}
	if n := spec.Get("cors"); given(n) {
		route.policy = e.policy(r, n)
	}
	if e.boolean(spec.Get("host_redirect"), false) {
		route.policy = nil // Emissary's redirects have no cors
	}
	hosts, served := e.hostsOf(r, spec)
	route.hosts = hosts
	weight := 0
	if len(hosts) > 0 {
		weight = len(":authority") + len(hosts[0].text)
	}
	for _, condition := range emissaryConditions {
		n := spec.Get(condition.field)
		if !isSet(n) || n.Kind == document.Object && len(n.Members) == 0 {
			continue
		}
		if !slices.Contains(route.conditions, condition.words) {
			route.conditions = append(route.conditions, condition.words)
		}
		for _, m := range members(n) {
			weight += len(m.Name) + len(m.Value.Scalar())
		}
		weight += len(n.Scalar())
	}
	precedence, _ := strconv.Atoi(spec.Get("precedence").Scalar())
	route.order = []int{precedence, len(spec.Get("prefix").String()), weight}
	return route, served
}

// emissaryConditions are the fields of a Mapping beside its prefix and its host.
var emissaryConditions = []struct{ field, words string }{
	{"method", "method"},
	{"headers", "headers"},
	{"regex_headers", "headers"},
	{"query_parameters", "query parameters"},
	{"regex_query_parameters", "query parameters"},
}

// path is the path of a Mapping.
func (e *emissaryReader) path(spec *document.Node) envoyPath {
	prefix := spec.Get("prefix").String()
	regex, exact := e.boolean(spec.Get("prefix_regex"), false), e.boolean(spec.Get("prefix_exact"), false)
	p := envoyPath{kind: textPrefix, text: prefix, anyCase: !e.boolean(spec.Get("case_sensitive"), true)}
	switch {
	case regex:
		return pathRegex(prefix)
	case exact:
		p.kind = exactPath
	case prefix == "" || prefix == "/":
		return envoyPath{kind: everyPath}
	}
	return p
}

// hostsOf are the hosts of a Mapping. One that names none has those of the Hosts that
// select it by its labels; served is false if there is none of these.
func (e *emissaryReader) hostsOf(r *resource, spec *document.Node) (hosts []hostPattern, served bool) {
	hostname, host := spec.Get("hostname"), spec.Get("host")
	if given(host) && hostname.String() != "" {
		e.warn(host, "has no effect beside hostname", "left out")
	}
	switch {
	case hostname.String() != "":
		return []hostPattern{globPattern(hostname, hostname.Text, false)}, true
	case host.String() != "" && e.boolean(spec.Get("host_regex"), false):
		return []hostPattern{regexPattern(host, `\A(?:`+host.Text+`)\z`)}, true
	case host.String() != "":
		return []hostPattern{globPattern(host, host.Text, false)}, true
	case !strings.HasSuffix(r.Get("apiVersion").String(), "/v3alpha1"):
		return nil, true // every host, before v3alpha1
	}
	for _, one := range e.hosts {
		if emissarySelects(one, r) {
			name := one.Get("hostname")
			hosts = append(hosts, globPattern(cmp.Or(name, one), cmp.Or(name.String(), "*"), false))
		}
	}
	switch {
	case hosts != nil:
	case len(e.hosts) > 0:
		e.warn(spec, "has no hostname, and no Host in the file selects it by its labels, so none serves it",
			"left out; add a hostname, or convert it with the Host that selects it")
		return nil, false
	default:
		e.warn(spec, "has no hostname, and there is no Host in the file that selects it by its labels",
			"carried over for every host; add a hostname, or convert it with the Host that selects it")
	}
	return hosts, true
}

// emissarySelects reports whether a Host selects a Mapping by its labels.
func emissarySelects(host *document.Node, mapping *resource) bool {
	labels := cmp.Or(host.Get("mapping_selector"), host.Get("selector")).Get("match_labels")
	for _, m := range members(labels) {
		value := ""
		for _, own := range members(mapping.Get("metadata", "labels")) {
			if own.Name == m.Name {
				value = text(own.Value)
			}
		}
		if value != text(m.Value) {
			return false
		}
	}
	return len(members(labels)) > 0
}

// policy reads a policy; it is nil if that allows nobody.
func (e *emissaryReader) policy(of *resource, n *document.Node) *draft {
	if !e.object(n) {
		return nil
	}
	e.unknown(n, "Emissary's CORS", "origins", "methods", "headers", "credentials", "exposed_headers", "max_age",
		"v2CommaSeparatedOrigins")
	e.found(n, "of the "+of.kind+" "+quote(of.name))
	d := newDraft(n, of.name, "")
	fields := map[string]string{"allow_credentials": "credentials", "allow_methods": "methods",
		"allow_headers": "headers", "expose_headers": "exposed_headers"}
	e.commonFields(d, func(field string) *document.Node { return n.Get(fields[field]) })
	d.ForwardUnmatchedPreflights = true // as Envoy's filter does, which Emissary doesn't tell otherwise
	e.t.reader.maxAge(d, n.Get("max_age"))
	origins := n.Get("origins")
	for _, origin := range e.texts(origins) {
		parts := []*document.Node{origin}
		if origins.Kind == document.String {
			parts = e.split(origin)
		}
		if len(parts) > 1 && strings.Contains(origin.Text, ", ") {
			e.warn(origin, "has spaces behind its commas, which are part of the origins there, so that none matches",
				"carried over without them")
		}
		for _, part := range parts {
			if part.Text == "" {
				e.warn(part, "is empty", "left out")
				continue
			}
			e.matchOrigin(d, part, originMatcher{kind: exactMatcher, text: part.Text})
		}
	}
	if !isSet(origins) {
		e.warn(n, "the policy has no origins, so it allows nobody", "left out; list the origins")
		return nil
	}
	return d
}
