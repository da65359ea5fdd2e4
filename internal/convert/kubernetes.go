package convert

import (
	"maps"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/spelling"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A resource is a Kubernetes object in the file.
type resource struct {
	*document.Node
	group, kind, namespace, name string
}

// resources are the Kubernetes objects of the documents; those of a list one by one.
func resources(documents []*document.Node) (list []*resource) {
	for _, d := range documents {
		kind := d.Get("kind").String()
		if strings.HasSuffix(kind, "List") && d.Has("items") {
			// The kind of a typed list, such as an IngressList, may be missing in its items.
			for _, item := range d.Get("items").List() {
				r := newResource(item)
				if r.kind == "" {
					r.kind = strings.TrimSuffix(kind, "List")
				}
				list = append(list, r)
			}
			continue
		}
		list = append(list, newResource(d))
	}
	return list
}

func newResource(n *document.Node) *resource {
	version := n.Get("apiVersion").String()
	return &resource{
		Node: n, group: version[:max(strings.IndexByte(version, '/'), 0)], kind: n.Get("kind").String(),
		namespace: n.Get("metadata", "namespace").String(), name: n.Get("metadata", "name").String(),
	}
}

// is reports whether the resource is of a kind. One that doesn't say its group is.
func (r *resource) is(kind string, groups ...string) bool {
	return r.kind == kind && (r.group == "" || slices.Contains(groups, r.group))
}

// sameNamespace reports whether a reference from one resource may mean the other.
func (r *resource) sameNamespace(other *resource) bool {
	return r.namespace == other.namespace || r.namespace == "" || other.namespace == ""
}

// given reports whether a value is there, and not null.
func given(n *document.Node) bool { return n != nil && n.Kind != document.Null }

// isSet reports whether a value is given, and no empty list.
func isSet(n *document.Node) bool {
	return given(n) && (n.Kind != document.List || len(n.Elements) > 0)
}

// unknown says which fields of an object are none of those that there are.
func (c *conversion) unknown(n *document.Node, what string, fields ...string) {
	for _, m := range members(n) {
		if !slices.ContainsFunc(fields, func(name string) bool { return spelling.Is(m.Name, name) }) {
			c.warn(m.Value, quote(m.Name)+" is not a field of "+what,
				"left out; the fields are "+strings.Join(fields, ", "))
		}
	}
}

// object reports whether a value is an object, and says so if it is anything else.
func (c *conversion) object(n *document.Node) bool {
	if given(n) && n.Kind != document.Object {
		c.warn(n, "is not an object", "left out")
	}
	return given(n) && n.Kind == document.Object
}

// objects are the objects of a list; what is none is said.
func (c *conversion) objects(n *document.Node) []*document.Node {
	if given(n) && n.Kind != document.List {
		c.warn(n, "is not a list", "left out")
	}
	return c.ofKind(document.Object, n.List(), "is not an object")
}

// texts are the strings of a list. A string alone is a list of one.
func (c *conversion) texts(n *document.Node) []*document.Node {
	elements := n.List()
	if given(n) && n.Kind != document.List {
		elements = []*document.Node{n}
	}
	return c.ofKind(document.String, elements, "is not a string")
}

// ofKind are the elements of a kind; of each other one it says what is wrong.
func (c *conversion) ofKind(kind document.Kind, elements []*document.Node, wrong string) (list []*document.Node) {
	for _, e := range elements {
		if e.Kind == kind {
			list = append(list, e)
		} else {
			c.warn(e, wrong, "left out")
		}
	}
	return list
}

// words are the texts of values.
func words(texts []*document.Node) (list []string) {
	for _, n := range texts {
		list = append(list, n.Text)
	}
	return list
}

// joined are the elements of lists, as a proxy sees them that joins the list by commas:
// an element may be a list in itself.
func (c *conversion) joined(n *document.Node) (texts []*document.Node) {
	for _, list := range c.texts(n) {
		for _, part := range c.split(list) {
			if part.Text == "" {
				c.warn(part, "has an empty name", "left out")
			} else {
				texts = append(texts, part)
			}
		}
	}
	return texts
}

// split splits a string at its commas.
func (c *conversion) split(n *document.Node) (parts []*document.Node) {
	places, offset := n.TextMap(), 0
	for part := range strings.SplitSeq(n.Text, ",") {
		text := strings.TrimSpace(part)
		parts = append(parts, c.as(n, places.Offset(offset+strings.Index(part, text)), text))
		offset += len(part) + 1
	}
	return parts
}

// as is a value with another text, or a part of its own, which stands at an offset in the
// file and is called as the value is.
func (c *conversion) as(n *document.Node, offset int, text string) *document.Node {
	path := c.path(n)
	other := *n
	other.Text, other.Offset = text, offset
	c.paths[&other] = path
	return &other
}

// set sets one of the policy's lists of names.
func (d *draft) set(field string, names []*document.Node) { d.setNames(field, words(names), names) }

// setNames sets one of the policy's lists of names, which come from elsewhere.
func (d *draft) setNames(field string, names []string, at []*document.Node) {
	d.mark(field, at)
	*d.list(field) = names
}

// list is the policy's list of texts that a field is.
func (d *draft) list(field string) *[]string {
	return map[string]*[]string{
		"allow_methods": &d.AllowMethods, "allow_headers": &d.AllowHeaders, "expose_headers": &d.ExposeHeaders,
		"match.hosts": &d.Match.Hosts, "match.routes": &d.Match.Routes,
	}[field]
}

// mark notes where the entries of a list come from.
func (d *draft) mark(field string, at []*document.Node) {
	if d.at == nil {
		d.at = map[string][]*document.Node{}
	}
	d.at[field] = at
}

// commonFields reads the fields of a policy that have the same names and meanings in
// Istio, Gateway API and Envoy Gateway.
func (c *conversion) commonFields(d *draft, get func(field string) *document.Node) {
	d.AllowCredentials = c.boolean(get("allow_credentials"), false)
	for _, field := range []string{"allow_methods", "allow_headers"} {
		d.set(field, c.star(d, field, c.joined(get(field))))
	}
	d.set("expose_headers", c.joined(get("expose_headers")))
}

func isStar(n *document.Node) bool { return n.Text == "*" }

// star reads a "*" in a list as Envoy does: alone it allows whatever is asked for, and
// so Authorization too; beside names it is what browsers make of it.
func (c *conversion) star(d *draft, field string, names []*document.Node) []*document.Node {
	i := slices.IndexFunc(names, isStar)
	switch {
	case i < 0:
	case len(names) == 1 && field == "allow_headers":
		return append(names, c.as(names[0], names[0].Offset, "Authorization"))
	case len(names) > 1 && d.AllowCredentials:
		c.warn(names[i], `"*" in a list means a name "*" when the request has credentials`,
			`left out; list the names, or write "*" alone`)
		return slices.Delete(names, i, i+1)
	}
	return names
}

// starAlone is star where a "*" makes the others superfluous.
func (c *conversion) starAlone(d *draft, field string, names []*document.Node) []*document.Node {
	if i := slices.IndexFunc(names, isStar); i >= 0 {
		names = []*document.Node{names[i]}
	}
	return c.star(d, field, names)
}

// boolean is the value of true or false, or the default.
func (c *conversion) boolean(n *document.Node, otherwise bool) bool {
	switch {
	case !given(n):
		return otherwise
	case n.Kind == document.Bool:
		return n.Text == "true"
	}
	c.warn(n, "is not true or false", "carried over as "+strconv.FormatBool(otherwise))
	return otherwise
}

// setMaxAge sets the age that a number of seconds says.
func (c *conversion) setMaxAge(d *draft, n *document.Node) {
	if !given(n) {
		return
	}
	seconds, err := strconv.Atoi(strings.TrimSpace(n.Text))
	if err != nil {
		c.warn(n, quote(n.Text)+" is not a whole number of seconds", "left out")
		return
	}
	d.age(n, seconds)
}

// setDuration sets the age that a duration such as "24h" says; fractions of a second
// are cut off, as Istio and Envoy Gateway do.
func (c *conversion) setDuration(r *draft, n *document.Node) {
	switch d, err := time.ParseDuration(n.String()); {
	case !given(n):
	case err == nil:
		r.age(n, int(d/time.Second))
	case n.Kind == document.Number:
		c.warn(n, n.Text+` is a number, and a duration is written as "`+n.Text+`s" there`, "carried over as seconds")
		c.setMaxAge(r, n)
	case n.Kind != document.String:
		c.warn(n, "is no text, and so not a duration", `left out; write one such as "24h"`)
	default:
		c.warn(n, quote(n.Text)+" is not a duration", `left out; write one such as "24h"`)
	}
}

func (d *draft) age(at *document.Node, seconds int) {
	d.MaxAge = &seconds
	d.mark("max_age", []*document.Node{at})
}

// tails are how regexes of paths say that what follows doesn't matter, and whether
// they say so at the end of a segment.
var tails = map[string]bool{
	"(/|$)(.*)": true, "(/|$).*": true, "(/.*)?": true, "(?:/.*)?": true, "(/.*|$)": true, "($|/)(.*)": true,
	"($|/).*": true,
	"/?(.*)":  false, "/?.*": false, "(.*)": false, ".*": false,
}

// pathOfRegex is the match of paths that says the same as a regex that a path must
// match as a whole; ok is false if none does. It is loose if the regex also matches
// paths in which the prefix ends within a segment.
func pathOfRegex(expr string) (path match.Path, loose, ok bool) {
	expr = strings.TrimSuffix(strings.TrimPrefix(expr, "^"), "$")
	if strings.HasSuffix(expr, "|") { // of "(/|$" was cut off
		return path, false, false
	}
	// The longest first, as one may end as another does.
	for _, tail := range slices.SortedFunc(maps.Keys(tails), func(a, b string) int { return len(b) - len(a) }) {
		head, found := strings.CutSuffix(expr, tail)
		if !found {
			continue
		}
		text, literal := literalPath(head)
		switch {
		case !literal:
			continue
		case strings.Trim(text, "/") == "":
			return match.Path{}, false, true
		}
		return match.Path{Path: text, Prefix: true}, !tails[tail] && !strings.HasSuffix(text, "/"), true
	}
	text, literal := literalPath(expr)
	return match.Path{Path: text}, false, literal && text != ""
}

// literalPath is the text that a regex stands for, if it stands for one only.
func literalPath(expr string) (text string, ok bool) {
	parsed, err := syntax.Parse(expr, syntax.Perl)
	switch {
	case err != nil:
		return "", false
	case parsed.Op == syntax.OpEmptyMatch:
		return "", true
	case parsed.Op == syntax.OpLiteral && parsed.Flags&syntax.FoldCase == 0:
		return string(parsed.Rune), true
	}
	return "", false
}
