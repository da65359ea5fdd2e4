package convert

import (
	"cmp"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// nativeFilter is the usual name of Envoy's own filter.
const nativeFilter = "envoy.filters.http.cors"

// fromEnvoy reads Envoy's configuration: route configurations wherever they stand,
// virtual hosts and policies that stand alone, and Istio's patches of them.
func fromEnvoy(c *conversion, documents []*document.Node) {
	e := &envoyReader{
		conversion: c, names: map[string]bool{nativeFilter: true}, policies: map[string]*draft{},
		managers: map[*document.Node]*document.Node{},
	}
	for _, d := range documents {
		d.Walk(e.findNames)
	}
	for _, d := range documents {
		d.Walk(e.visit)
	}
	if len(e.bare) > 0 {
		// They come from a virtual host discovery service, for one route configuration.
		e.table(e.bare[0], e.bare, level{})
	}
	tables := slices.DeleteFunc(e.tables, func(t *envoyTable) bool { return !t.hasPolicy() })
	for _, t := range tables {
		t.fill()
		t.report()
		t.join()
	}
	compareTables(tables)
	for _, t := range tables {
		t.addDrafts()
	}
}

// An envoyReader collects what an Envoy configuration says of CORS.
type envoyReader struct {
	*conversion
	// names are the names of the filters that are CORS filters.
	names    map[string]bool
	policies map[string]*draft
	tables   []*envoyTable
	bare     []*document.Node // virtual hosts
	// managers has the HTTP connection manager of a route configuration that is in one.
	managers map[*document.Node]*document.Node
}

// typeOf is the name of the message that a value is.
func typeOf(n *document.Node) string {
	url := n.Get("@type").String()
	return url[strings.LastIndexByte(url, '/')+1:]
}

// unwrapStruct is the value of a TypedStruct, and its type; or the value itself.
func unwrapStruct(n *document.Node) (value *document.Node, message string) {
	message = typeOf(n)
	if strings.HasSuffix(message, ".TypedStruct") {
		url := n.Get("type_url").String()
		return n.Get("value"), url[strings.LastIndexByte(url, '/')+1:]
	}
	return n, message
}

func isCorsPolicy(message string) bool {
	return slices.Contains([]string{"envoy.extensions.filters.http.cors.v3.CorsPolicy",
		"envoy.config.route.v3.CorsPolicy", "envoy.api.v2.route.CorsPolicy"}, message)
}

func isCorsFilter(n *document.Node) bool {
	_, message := unwrapStruct(n.Get("typed_config"))
	return message == "envoy.extensions.filters.http.cors.v3.Cors" ||
		message == "envoy.config.filter.http.cors.v2.Cors" ||
		message == "" && n.Get("name").String() == nativeFilter
}

// findNames notes what CORS filters are called, and which connection manager a route
// configuration belongs to.
func (e *envoyReader) findNames(n *document.Node) bool {
	for _, m := range members(n.Get("typed_per_filter_config")) {
		config := m.Value
		if strings.HasSuffix(typeOf(config), ".FilterConfig") {
			config = config.Get("config")
		}
		if _, message := unwrapStruct(config); isCorsPolicy(message) {
			e.names[m.Name] = true
		}
	}
	for _, f := range n.Get("http_filters").List() {
		if isCorsFilter(f) {
			e.found(f, "Envoy's own filter")
			e.names[f.Get("name").String()] = true
		}
	}
	if routes := n.Get("route_config"); routes != nil && n.Has("http_filters") {
		e.managers[routes] = n
	}
	return true
}

// visit looks for what has policies, and reports whether to look further inside.
func (e *envoyReader) visit(n *document.Node) bool {
	_, message := unwrapStruct(n)
	switch {
	case n.Kind == document.List:
		return true
	case n.Kind != document.Object:
		return false
	case n.Get("kind").String() == "EnvoyFilter":
		e.envoyFilter(n)
	case n.Get("virtual_hosts").List() != nil:
		e.table(n, n.Get("virtual_hosts").List(), e.level(n, nil))
		e.checkFilters(n)
	case n.Get("domains").List() != nil && n.Has("routes", "matcher", "typed_per_filter_config", "cors"):
		e.bare = append(e.bare, n)
	case isCorsPolicy(message), n.Has("allow_origin_string_match"):
		e.policyAlone(n)
	default:
		return true
	}
	return false
}

// policyAlone reads a policy that isn't in a route configuration. It is for all.
func (e *envoyReader) policyAlone(n *document.Node) {
	value, _ := unwrapStruct(n)
	e.found(n, "a policy of Envoy's own filter")
	if p := e.leafPolicy(level{typed: value, given: true}); p != nil {
		e.add(p.copyFor(match.Match{}, ""))
	}
}

// checkFilters says so if Envoy doesn't look at the policies of a route configuration.
func (e *envoyReader) checkFilters(routes *document.Node) {
	manager := e.managers[routes]
	t := e.tables[len(e.tables)-1]
	if manager == nil || !t.hasPolicy() {
		return
	}
	filters := manager.Get("http_filters")
	for _, f := range filters.List() {
		if isCorsFilter(f) || f.Has("config_discovery") {
			return
		}
	}
	e.warn(filters, "the filter chain has no "+nativeFilter+", so Envoy ignores its CORS policies",
		"check that they are meant: with this filter they apply")
}

// table reads a route configuration's virtual hosts.
func (e *envoyReader) table(from *document.Node, hosts []*document.Node, outer level) {
	t := &envoyTable{reader: e, from: from}
	byHeader := from.Get("vhost_header") != nil
	taken := map[string]bool{}
	for _, n := range hosts {
		v := &virtualHost{from: n, name: n.Get("name").String()}
		own := e.level(n, n.Get("cors"))
		v.policy = e.policy(own, outer)
		if v.domains = e.domains(n, byHeader, taken); v.domains == nil {
			e.warn(n, "has no domains, so Envoy refuses it", "left out with its policies")
			continue
		}
		for _, route := range n.Get("routes").List() {
			v.routes = append(v.routes, e.route(route, own, outer))
		}
		n.Get("matcher").Walk(func(n *document.Node) bool {
			if typeOf(n) == "envoy.config.route.v3.Route" {
				r := e.route(n, own, outer)
				r.conditions = append(r.conditions, "a matcher tree")
				v.routes = append(v.routes, r)
			}
			return true
		})
		t.hosts = append(t.hosts, v)
	}
	e.tables = append(e.tables, t)
}

// domains reads the domains of a virtual host, but those that are taken.
func (e *envoyReader) domains(host *document.Node, byHeader bool, taken map[string]bool) (list []domain) {
	for _, d := range host.Get("domains").List() {
		switch text := strings.ToLower(d.String()); {
		case taken[text]:
			e.warn(d, "is the domain of a virtual host already, so Envoy refuses it", "left out")
		case text == "":
			e.warn(d, "is no domain, so Envoy refuses it", "left out")
		default:
			taken[text] = true
			list = append(list, newDomain(d, text, byHeader))
		}
	}
	return list
}

// route reads a route.
func (e *envoyReader) route(n *document.Node, host, outer level) *envoyRoute {
	own := e.level(n, n.Get("route", "cors"))
	r := &envoyRoute{from: n, name: n.Get("name").String(), policy: e.leafPolicy(own, host, outer)}
	r.readMatch(n.Get("match"))
	if r.path.kind != noPath || own.typed != nil || own.legacy != nil { // that of the virtual host is for others too
		e.unreached(r)
	}
	for _, cluster := range n.Get("route", "weighted_clusters", "clusters").List() {
		chosen := e.level(cluster, nil)
		if !chosen.given {
			continue
		}
		one := e.policy(chosen, own, host, outer)
		if one.key() == r.policy.key() {
			continue
		}
		e.warn(cluster, "has a policy of its own, and the filter decides before Envoy chooses a cluster",
			"carried over without it; give the cluster a route of its own")
		if lenient(r.policy, one) {
			r.policy = r.policy.copyFor(match.Match{}, "")
			r.policy.AllowCredentials = false
		}
	}
	return r
}

// envoyFilter reads Istio's patches of route configurations, as far as they say
// themselves what they are for.
func (e *envoyReader) envoyFilter(n *document.Node) {
	var hosts []*document.Node
	for _, patch := range n.Get("spec", "config_patches").List() {
		value := patch.Get("patch", "value")
		if value == nil || patch.Get("patch", "operation").String() == "REMOVE" {
			continue
		}
		own, vhost := e.level(value, value.Get("cors")), patch.Get("match", "route_configuration", "vhost")
		switch kind := patch.Get("apply_to").String(); {
		case kind == "VIRTUAL_HOST" && value.Get("domains").List() != nil:
			hosts = append(hosts, value)
		case kind == "VIRTUAL_HOST":
			e.patch(own, hostMatch(vhost), n)
		case kind == "ROUTE_CONFIGURATION" && value.Get("virtual_hosts").List() != nil:
			e.table(value, value.Get("virtual_hosts").List(), own)
		case kind == "ROUTE_CONFIGURATION":
			e.patch(own, match.Match{}, n)
		case kind == "HTTP_ROUTE":
			e.patch(e.level(value, value.Get("route", "cors")), routeMatch(value, vhost), n)
		case kind == "HTTP_FILTER" && isCorsFilter(value):
			e.found(patch, "Envoy's own filter")
		}
	}
	if hosts != nil {
		e.table(hosts[0], hosts, level{})
	}
}

// hostMatch is a match of the virtual host that a patch is for. Istio calls it by its
// domain and port.
func hostMatch(vhost *document.Node) match.Match {
	host, _, _ := strings.Cut(vhost.Get("name").String(), ":")
	if host == "" || host == "*" {
		return match.Match{}
	}
	return match.Match{Hosts: []string{host}}
}

// routeMatch is a match of the route that a patch is for, by its name if it has one.
func routeMatch(route, vhost *document.Node) match.Match {
	if name := cmp.Or(vhost.Get("route", "name").String(), route.Get("name").String()); name != "" {
		return match.Match{Routes: []string{name}}
	}
	return hostMatch(vhost)
}

// patch adds a policy to what is elsewhere.
func (e *envoyReader) patch(own level, m match.Match, filter *document.Node) {
	name := filter.Get("metadata", "name").String()
	switch p := e.leafPolicy(own); {
	case p != nil:
		e.add(p.copyFor(m, name))
	case own.off() && len(m.Hosts)+len(m.Routes) > 0:
		e.exempt(m, filter, name)
	}
}

// conditionsOf are the things beside the path that a route matches by, in words.
var conditionsOf = []struct{ field, words string }{
	{"headers", "headers"},
	{"query_parameters", "query parameters"},
	{"cookies", "cookies"},
	{"runtime_fraction", "a fraction of the requests"},
	{"grpc", "being gRPC"},
	{"tls_context", "the client's certificate"},
	{"dynamic_metadata", "metadata"},
	{"filter_state", "filter state"},
}

// readMatch reads what a route matches.
func (r *envoyRoute) readMatch(match *document.Node) {
	r.match = match
	r.path = readPath(match)
	for _, condition := range conditionsOf {
		if n := match.Get(condition.field); isSet(n) {
			r.conditions = append(r.conditions, condition.words)
		}
	}
	r.noPreflight = match.Has("grpc") || slices.ContainsFunc(match.Get("headers").List(), excludesPreflights)
}

// excludesPreflights reports whether no preflight meets a condition on a header: it has
// the method OPTIONS, and no headers but those that browsers add.
func excludesPreflights(header *document.Node) bool {
	name := strings.ToLower(header.Get("name").String())
	if isTrue(header.Get("invert_match")) || header.Has("treat_missing_header_as_empty") {
		return false
	}
	if present := header.Get("present_match"); present != nil && !isTrue(present) {
		return false
	}
	switch {
	case name == ":method":
		method := cmp.Or(header.Get("exact_match"), header.Get("string_match", "exact"))
		return method != nil && method.String() != "OPTIONS"
	case strings.HasPrefix(name, "accept"):
		return !slices.Contains([]string{"accept", "accept-language", "accept-encoding"}, name)
	}
	return notInPreflights(name)
}
