package convert

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
)

// fromIstio reads the corsPolicy of the routes of VirtualServices.
func fromIstio(c *conversion, documents []*document.Node) {
	t := newRouting(c, "Istio",
		"give the route a name of its own (http.name) and convert again, so that the policy can match by it", byRank)
	for _, r := range resources(documents) {
		if r.is("VirtualService", "networking.istio.io") {
			t.virtualService(r)
		}
	}
	t.addDrafts()
}

func (t *routing) virtualService(r *resource) {
	c := t.reader.conversion
	routes := c.objects(r.Get("spec", "http"))
	if len(r.Get("spec", "hosts").List()) == 0 {
		c.delegated(r, routes)
		return
	}
	gateways := words(c.texts(r.Get("spec", "gateways")))
	if len(gateways) == 0 {
		gateways = []string{"mesh"}
	}
	hosts := c.istioHosts(r)
	for _, http := range routes {
		for _, match := range http.Get("match").List() {
			hosts = withAuthority(hosts, match)
		}
	}
	rank := 0
	for _, http := range routes {
		for _, one := range c.istioRoutes(r, http, hosts) {
			if one.everything {
				rank = 1
			}
			one.rank = rank
			for _, gateway := range gateways {
				t.route(gateway, r, one.hosts, one.envoyRoute)
			}
		}
	}
}

// byRank is Istio's order: the routes that match everything, and those after them, come
// behind those of other VirtualServices with the same host.
func byRank(a, b *envoyRoute) int { return a.rank - b.rank }

// delegated warns of the policies of a VirtualService without hosts.
func (c *conversion) delegated(r *resource, routes []*document.Node) {
	for _, http := range routes {
		if policy := http.Get("cors_policy"); given(policy) {
			c.found(policy, "of the VirtualService "+quote(r.name))
			c.warn(policy, "belongs to a VirtualService without hosts, to which another one delegates",
				"left out; convert it with the hosts of the other one")
		}
	}
}

// An istioRoute is a match of a VirtualService's route.
type istioRoute struct {
	*envoyRoute
	hosts []routedHost
	// everything tells that it matches every request for the hosts.
	everything bool
}

// istioRoutes are the matches of a route that can be read.
func (c *conversion) istioRoutes(r *resource, http *document.Node, hosts []routedHost) (list []istioRoute) {
	policy := c.istioPolicy(r, http)
	if delegate := http.Get("delegate"); given(delegate) {
		c.warn(delegate, "the VirtualService that this one delegates to may have a policy of its own",
			"it isn't carried over; convert it with the hosts of this one")
	}
	for _, match := range orEverything(http.Get("match").List()) {
		one := &envoyRoute{from: http, name: http.Get("name").String(), policy: policy,
			path: envoyPath{kind: everyPath}}
		if one.istioMatch(c, match) {
			every := one.path.kind == everyPath && len(one.conditions) == 0 && !given(match.Get("authority"))
			list = append(list, istioRoute{one, hostsOf(match, hosts), every})
		}
	}
	return list
}

// withAuthority adds the host that a match names to those of its VirtualService, if it
// is one of them by a wildcard: the routes for it are others than for the rest.
func withAuthority(hosts []routedHost, match *document.Node) []routedHost {
	kind, text := stringMatch(match.Get("authority"))
	if kind != exactMatcher || len(hostsOf(match, hosts)) > 0 {
		return hosts
	}
	name, _, _ := strings.Cut(text.Text, ":")
	if slices.ContainsFunc(hosts, func(host routedHost) bool {
		return slices.ContainsFunc(host.names, func(pattern string) bool { return hostCovers(pattern, name) })
	}) {
		return append(hosts, routedHost{at: text, names: []string{text.Text}, part: true})
	}
	return hosts
}

// hostsOf are the hosts that a match is for.
func hostsOf(match *document.Node, hosts []routedHost) (list []routedHost) {
	kind, text := stringMatch(match.Get("authority"))
	if kind != exactMatcher {
		return hosts
	}
	for _, host := range hosts {
		if slices.ContainsFunc(host.names, func(name string) bool { return strings.EqualFold(name, text.Text) }) {
			list = append(list, host)
		}
	}
	return list
}

// istioConditions are the fields of a match beside the URI and the authority.
var istioConditions = []struct{ field, words string }{
	{"headers", "headers"},
	{"without_headers", "headers"},
	{"method", "method"},
	{"query_params", "query parameters"},
	{"scheme", "scheme"},
	{"port", "port"},
	{"gateways", "gateway"},
	{"source_labels", "source"},
	{"source_namespace", "source"},
}

// istioMatch reads an HTTPMatchRequest of a VirtualService, but for its hosts. It
// reports whether it can be read.
func (r *envoyRoute) istioMatch(c *conversion, match *document.Node) bool {
	if match == nil {
		return true
	}
	r.from = match
	c.unknown(match, "an HTTPMatchRequest", "name", "uri", "scheme", "method", "authority", "headers", "port",
		"source_labels", "gateways", "query_params",
		"ignore_uri_case", "without_headers", "source_namespace", "stat_prefix")
	for _, field := range []string{"uri", "authority"} {
		n := match.Get(field)
		if _, text := stringMatch(n); given(n) && text == nil {
			c.warn(n, "has neither exact nor prefix nor regex, so Istio refuses it", "the match is left out")
			return false
		}
	}
	if name := match.Get("name").String(); name != "" {
		r.name += "." + name // as Istio calls Envoy's route
	}
	for _, condition := range istioConditions {
		if given(match.Get(condition.field)) && !slices.Contains(r.conditions, condition.words) {
			r.conditions = append(r.conditions, condition.words)
		}
	}
	kind, method := stringMatch(match.Get("method"))
	r.noPreflight = kind == exactMatcher && method.Text != "OPTIONS" ||
		slices.ContainsFunc(members(match.Get("headers")),
			func(m document.Member) bool { return notInPreflights(m.Name) })
	if kind, text := stringMatch(match.Get("uri")); text != nil {
		r.path = istioPath(kind, text.Text)
		r.path.anyCase = isTrue(match.Get("ignore_uri_case")) && kind != regexMatcher
	}
	if kind, text := stringMatch(match.Get("authority")); text != nil && kind != exactMatcher {
		r.conditions = append(r.conditions, "authority")
	}
	return true
}

// istioPath is the path of a match of the URI.
func istioPath(kind matcherKind, text string) envoyPath {
	switch {
	case kind == regexMatcher:
		return pathRegex(text)
	case kind == exactMatcher:
		return envoyPath{kind: exactPath, text: text}
	case text == "" || text == "/":
		return envoyPath{kind: everyPath}
	}
	return envoyPath{kind: textPrefix, text: text}
}

// stringMatch is what a StringMatch compares with, and how; nil if it has nothing.
func stringMatch(n *document.Node) (kind matcherKind, text *document.Node) {
	for _, kind := range []matcherKind{exactMatcher, prefixMatcher, regexMatcher} {
		if text := n.Get(string(kind)); text != nil && text.Kind == document.String {
			return kind, text
		}
	}
	return "", nil
}

// istioPolicy reads the policy of a route; it is nil if there is none.
func (c *conversion) istioPolicy(of *resource, http *document.Node) *draft {
	n := http.Get("cors_policy")
	if !c.object(n) {
		return nil
	}
	c.unknown(n, "Istio's CorsPolicy", "allow_origins", "allow_origin", "allow_methods", "allow_headers",
		"expose_headers", "max_age", "allow_credentials", "unmatched_preflights")
	c.found(n, "of the VirtualService "+quote(of.name))
	d := newDraft(n, of.name, http.Get("name").String())
	c.commonFields(d, func(field string) *document.Node { return n.Get(field) })
	c.setDuration(d, n.Get("max_age"))
	// What Istio calls unspecified, and what nothing is said of, it forwards.
	unmatched := n.Get("unmatched_preflights")
	d.ForwardUnmatchedPreflights = !strings.EqualFold(unmatched.String(), "IGNORE")
	if given(unmatched) && d.ForwardUnmatchedPreflights &&
		!slices.Contains([]string{"FORWARD", "UNSPECIFIED"}, strings.ToUpper(unmatched.String())) {
		c.warn(unmatched, "is none of FORWARD, IGNORE and UNSPECIFIED", "carried over as FORWARD, which is the default")
	}
	origins, deprecated := c.objects(n.Get("allow_origins")), n.Get("allow_origin")
	for _, origin := range origins {
		c.unknown(origin, "a StringMatch", "exact", "prefix", "regex")
		if kind, text := stringMatch(origin); text != nil && text.Text == "" {
			c.warn(text, "is empty, so Istio refuses it",
				`left out; list the origins, or write {exact: "*"} for every one`)
		} else if text != nil {
			c.matchOrigin(d, text, originMatcher{kind: kind, text: text.Text})
		} else {
			c.warn(origin, "has neither exact nor prefix nor regex", "left out")
		}
	}
	if len(origins) > 0 && given(deprecated) {
		c.warn(deprecated, "has no effect beside allowOrigins", "left out")
		return d
	}
	for _, origin := range c.texts(deprecated) {
		c.matchOrigin(d, origin, originMatcher{kind: exactMatcher, text: origin.Text})
	}
	return d
}

// istioHosts are the hosts of a VirtualService.
func (c *conversion) istioHosts(r *resource) (hosts []routedHost) {
	for _, n := range c.texts(r.Get("spec", "hosts")) {
		host := n.Text
		if !strings.Contains(host, ".") && host != "*" {
			what, instead := quote(host)+" is the short name of a service",
				"carried over as the names by which it is called in the namespace "+quote(r.namespace)
			if r.namespace == "" {
				what += ", and its namespace isn't in the file"
				instead = "carried over as it is; add the other names by which it is called, such as " +
					quote(host+".NAMESPACE"+clusterDomain)
			}
			c.warn(n, what, instead)
		}
		hosts = append(hosts, routedHost{at: n, names: serviceNames(host, r.namespace)})
	}
	return hosts
}

const clusterDomain = ".svc.cluster.local"

// serviceNames are the names by which a service is called: with Istio, in Host they all
// mean the same. Of another host it is that host.
func serviceNames(host, namespace string) []string {
	service, known := strings.CutSuffix(host, clusterDomain)
	switch _, err := netip.ParseAddr(host); {
	case err == nil || host == "*":
		return []string{host}
	case known && strings.Count(service, ".") == 1 && !strings.HasPrefix(service, "*"):
		return []string{host, service + ".svc", service}
	case strings.Contains(host, ".") || namespace == "":
		return []string{host}
	}
	service = host + "." + namespace
	return []string{host, service, service + ".svc", service + clusterDomain}
}
