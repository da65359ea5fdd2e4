package convert

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
)

const gatewayGroup = "gateway.networking.k8s.io"

// gatewayRemedy is what to do where a match of Gateway API has no counterpart.
const gatewayRemedy = "add a policy that matches by the name that the Gateway gives the route in Envoy"

// fromGatewayAPI reads the CORS filters of HTTPRoutes.
func fromGatewayAPI(c *conversion, documents []*document.Node) {
	t := newRouting(c, "the Gateway", gatewayRemedy, bySpecificity)
	var routes []*resource
	for _, r := range resources(documents) {
		if r.is("HTTPRoute", gatewayGroup) {
			routes = append(routes, r)
		}
	}
	sections := sectionsOf(routes)
	for _, r := range routes {
		policies := map[*document.Node]*draft{}
		for _, rule := range c.objects(r.Get("spec", "rules")) {
			policies[rule] = c.filterPolicy(r, rule)
		}
		for _, p := range parentsOf(r, sections) {
			t.httpRoute(r, p, func(rule *document.Node) *draft { return policies[rule] }, unnamed)
		}
	}
	t.addDrafts()
}

// A parent is what a route is attached to: a Gateway, or one of its listeners.
type parent struct {
	namespace, name, section string
}

// key is the table of the parent's routes.
func (p parent) key() string { return p.namespace + "/" + p.name + " " + p.section }

// gateway is the parent without its section.
func (p parent) gateway() parent { return parent{namespace: p.namespace, name: p.name} }

// refsOf are the parents that a route names.
func refsOf(r *resource) (list []parent) {
	for _, ref := range r.Get("spec", "parent_refs").List() {
		namespace := cmp.Or(ref.Get("namespace").String(), r.namespace)
		list = append(list, parent{namespace, ref.Get("name").String(), ref.Get("section_name").String()})
	}
	if list == nil {
		list = []parent{{}}
	}
	return list
}

// sections are the listeners of Gateways that are told apart.
type sections map[parent][]string

// learn notes a listener.
func (s sections) learn(p parent) {
	if of := p.gateway(); !slices.Contains(s[of], p.section) {
		s[of] = append(s[of], p.section)
	}
}

// sectionsOf are the listeners that routes are attached to one by one.
func sectionsOf(routes []*resource) sections {
	s := sections{}
	for _, r := range routes {
		for _, p := range refsOf(r) {
			if p.section != "" {
				s.learn(p)
			}
		}
	}
	return s
}

// parentsOf are the parents of a route: for a whole Gateway, all of its listeners that
// are known.
func parentsOf(r *resource, sections sections) (list []parent) {
	for _, p := range refsOf(r) {
		list = append(list, p.listeners(sections)...)
	}
	return list
}

// listeners are the listeners of a parent that are known, or it alone.
func (p parent) listeners(sections sections) (list []parent) {
	known := sections[p.gateway()]
	if p.section != "" || len(known) == 0 {
		return []parent{p}
	}
	for _, section := range known {
		list = append(list, parent{p.namespace, p.name, section})
	}
	return list
}

// httpRoute adds the rules of an HTTPRoute or a GRPCRoute to one of its parents. policy
// tells the policy of a rule, and name what the proxy calls one of its matches for a host,
// or "".
func (t *routing) httpRoute(
	r *resource, p parent, policy func(rule *document.Node) *draft, name func(rule, match int, host string) string,
) {
	hosts := t.reader.routedHosts(r.Get("spec", "hostnames"), r.Get("spec"))
	for i, rule := range r.Get("spec", "rules").List() {
		applies := policy(rule)
		for j, match := range orEverything(rule.Get("matches").List()) {
			one := envoyRoute{from: rule, policy: applies, path: envoyPath{kind: everyPath}}
			if !one.gatewayMatch(t.reader.conversion, r.kind, match) {
				continue
			}
			for _, host := range hosts {
				route := one
				route.name = name(i, j, host.names[0])
				t.route(p.key(), r, []routedHost{host}, &route)
			}
		}
	}
}

// orEverything are the matches of a route; one that has none matches everything, for
// which nil stands.
func orEverything(matches []*document.Node) []*document.Node {
	if len(matches) == 0 {
		return []*document.Node{nil}
	}
	return matches
}

// unnamed is for routes of which it can't be known what the proxy calls them.
func unnamed(int, int, string) string { return "" }

// gatewayConditions are the fields of a match beside the path.
var gatewayConditions = []struct{ field, words string }{
	{"headers", "headers"}, {"query_params", "query parameters"}, {"method", "method"},
}

// gatewayMatch reads a match of an HTTPRoute or a GRPCRoute. It reports whether it can be
// read.
func (r *envoyRoute) gatewayMatch(c *conversion, kind string, match *document.Node) bool {
	if match == nil {
		return true
	}
	r.from = match
	c.unknown(match, "a match of an "+kind, "path", "headers", "query_params", "method")
	c.objects(match.Get("headers"))
	c.objects(match.Get("query_params"))
	if method := match.Get("method"); given(method) && (method.Kind == document.Object) != (kind == "GRPCRoute") {
		c.warn(method, "is no method", "left out")
	}
	if path := match.Get("path"); given(path) && !isPathMatch(path) {
		c.warn(path, "is no match of paths", "left out")
		return false
	}
	for _, condition := range gatewayConditions {
		if n := match.Get(condition.field); isSet(n) && n.Kind != document.Object {
			r.conditions = append(r.conditions, condition.words)
		}
	}
	method := match.Get("method").String()
	r.noPreflight = method != "" && method != "OPTIONS" ||
		slices.ContainsFunc(match.Get("headers").List(),
			func(header *document.Node) bool { return notInPreflights(header.Get("name").String()) })
	if kind == "GRPCRoute" {
		r.path = grpcPath(match.Get("method"))
	} else {
		r.path = gatewayPath(match.Get("path"))
	}
	return true
}

// isPathMatch reports whether a value is an HTTPPathMatch.
func isPathMatch(n *document.Node) bool {
	value := n.Get("value")
	return n.Kind == document.Object && n.Has("type", "value") && (!given(value) || value.Kind == document.String)
}

// gatewayPath is an HTTPPathMatch; without one it is every path.
func gatewayPath(n *document.Node) envoyPath {
	value := n.Get("value").String()
	switch kind := n.Get("type").String(); {
	case kind == "Exact":
		return envoyPath{kind: exactPath, text: value}
	case kind == "RegularExpression":
		return pathRegex(value)
	case kind != "" && kind != "PathPrefix":
		return envoyPath{kind: regexPath, text: value} // of a kind that isn't known here
	case value == "" || value == "/":
		return envoyPath{kind: everyPath}
	}
	return envoyPath{kind: segmentPrefix, text: value}
}

// grpcPath is a GRPCMethodMatch: the path of a call is /SERVICE/METHOD.
func grpcPath(n *document.Node) envoyPath {
	service, method := n.Get("service").String(), n.Get("method").String()
	switch {
	case n.Get("type").String() == "RegularExpression" || service == "" && method != "":
		return pathRegex("/" + cmp.Or(service, "[^/]+") + "/" + cmp.Or(method, "[^/]+"))
	case service == "":
		return envoyPath{kind: everyPath}
	case method == "":
		return envoyPath{kind: segmentPrefix, text: "/" + service}
	}
	return envoyPath{kind: exactPath, text: "/" + service + "/" + method}
}

// filterPolicy is the policy of a rule by its filter; it is nil if there is none.
func (c *conversion) filterPolicy(of *resource, rule *document.Node) *draft {
	for _, backend := range rule.Get("backend_refs").List() {
		if filter := c.routeFilter(of, backend); filter != nil {
			c.warn(filter, "is the filter of one of the backends, and the filter here doesn't know which one answers",
				"left out; move it to the filters of the rule if it is for all of them")
		}
	}
	n := c.routeFilter(of, rule)
	if n == nil {
		return nil
	}
	d := newDraft(n, of.name, rule.Get("name").String())
	c.unknown(n, "an HTTPCORSFilter", "allow_origins", "allow_methods", "allow_headers", "expose_headers", "max_age",
		"allow_credentials")
	c.commonFields(d, func(field string) *document.Node { return n.Get(field) })
	for _, origin := range c.texts(n.Get("allow_origins")) {
		d.addOrigin(wildcardOrigin(withoutDefaultPort(origin.Text), `([^:]+|\[[0-9a-f:]+\])`), origin)
	}
	if maxAge := n.Get("max_age"); given(maxAge) {
		c.setMaxAge(d, maxAge)
	} else {
		d.age(n, defaultGatewayAge)
	}
	return d
}

// defaultGatewayAge is what the API server sets for maxAge.
const defaultGatewayAge = 5

// routeFilter is the CORS filter among a rule's or a backend's filters, or nil.
func (c *conversion) routeFilter(route *resource, of *document.Node) (cors *document.Node) {
	for _, filter := range c.objects(of.Get("filters")) {
		n, isCORS := filter.Get("cors"), filter.Get("type").String() == "CORS"
		switch {
		case isCORS && !given(n):
			c.warn(filter, "is a filter of the type CORS without cors", "left out")
		case !isCORS && given(n):
			c.warn(n, "stands in a filter that isn't of the type CORS, so the API server refuses it",
				`left out; write "type: CORS" beside it`)
		case isCORS && cors != nil:
			c.warn(filter, "is a second filter of the type CORS, so the API server refuses the route", "left out")
		case isCORS && c.object(n):
			c.found(filter, "of the HTTPRoute "+quote(route.name))
			cors = n
		}
	}
	return cors
}

// wildcardOrigin is an origin of Gateway API or of Envoy Gateway. They are written as
// here, but for scheme://*, which is any host; hosts is a regex of what it stands for.
func wildcardOrigin(text, hosts string) cors.OriginEntry {
	scheme, port, found := strings.Cut(text, "://*")
	if found && (port == "" || port[0] == ':' && port != ":*") {
		return cors.OriginEntry{Text: regexp.QuoteMeta(scheme) + "://" + hosts + port, Regex: true}
	}
	return cors.OriginEntry{Text: text}
}

// withoutDefaultPort is an origin without its scheme's port, which Gateway API takes for
// the same one.
func withoutDefaultPort(origin string) string {
	for scheme, port := range map[string]string{"http://": ":80", "https://": ":443"} {
		if strings.HasPrefix(origin, scheme) {
			return strings.TrimSuffix(origin, port)
		}
	}
	return origin
}
