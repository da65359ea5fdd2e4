package convert

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// fromHigress reads configurations of the cors plugin, on their own or in WasmPlugins,
// and the CORS annotations of Ingresses.
func fromHigress(c *conversion, documents []*document.Node) {
	ingresses := newRouting(c, "Higress", ingressRemedy, bySpecificity)
	for _, r := range resources(documents) {
		switch {
		case r.is("WasmPlugin", "extensions.higress.io"):
			c.higressPlugin(r)
		case r.is("Ingress", ingressGroups...):
			ingresses.ingress(r, higressAnnotations)
		case r.kind == "" && r.Kind == document.Object && !r.Has("@type", "allow_origin_string_match") &&
			(len(r.Members) == 0 || r.Has(higressFields...) || r.Has("_rules_")):
			c.found(r.Node, "the configuration of Higress' plugin")
			p := &higressPlugin{c: c, name: "cors"}
			p.configuration(r.Node)
			p.add()
		}
	}
	ingresses.addDrafts()
}

// higressFields are the fields of the plugin's configuration.
var higressFields = []string{"allow_origins", "allow_origin_patterns", "allow_methods", "allow_headers",
	"expose_headers", "allow_credentials", "max_age"}

// A higressPlugin is a configuration of the plugin: of its rules the first that matches
// a request counts.
type higressPlugin struct {
	c     *conversion
	name  string
	rules []*higressRule
}

// A higressRule is a rule, for routes or for hosts; one without either is for all.
type higressRule struct {
	from          *document.Node
	policy        *draft
	hosts, routes []*document.Node
	// lost tells that the filter can't match by what the rule does.
	lost bool
}

// higressPlugin reads a WasmPlugin, if its plugin is cors.
func (c *conversion) higressPlugin(r *resource) {
	spec := r.Get("spec")
	called := r.name + " " + spec.Get("url").String() + " " + spec.Get("plugin_name").String()
	known := slices.ContainsFunc(higressConfigurations(spec), func(n *document.Node) bool {
		return n.Has(higressFields...)
	})
	if !known && !strings.Contains(called, "cors") {
		return
	}
	c.found(cmp.Or(spec, r.Node), "of the WasmPlugin "+quote(r.name)+", which is superfluous as a whole")
	p := &higressPlugin{c: c, name: r.name}
	defer p.add()
	if n := spec.Get("plugin_config"); given(n) {
		p.configuration(n)
		return
	}
	for _, n := range c.objects(spec.Get("match_rules")) {
		c.unknown(n, "a rule", "ingress", "domain", "service", "config", "config_disable", "route_type")
		if c.boolean(n.Get("config_disable"), false) {
			continue // as if the rule weren't there
		}
		p.rule(n, n.Get("config"), map[string]*document.Node{
			"route": n.Get("ingress"), "domain": n.Get("domain"), "service": n.Get("service"),
		})
	}
	if n := spec.Get("default_config"); given(n) && !c.boolean(spec.Get("default_config_disable"), false) {
		p.configuration(n)
	}
}

// higressConfigurations are the configurations in a WasmPlugin.
func higressConfigurations(spec *document.Node) []*document.Node {
	list := []*document.Node{spec.Get("plugin_config"), spec.Get("default_config")}
	for _, n := range spec.Get("match_rules").List() {
		list = append(list, n.Get("config"))
	}
	return list
}

// configuration reads a configuration: rules, and what applies to all else.
func (p *higressPlugin) configuration(n *document.Node) {
	if !p.c.object(n) {
		return
	}
	for _, rule := range p.c.objects(n.Get("_rules_")) {
		p.rule(rule, rule, map[string]*document.Node{
			"route": rule.Get("_match_route_"), "domain": rule.Get("_match_domain_"),
			"service": rule.Get("_match_service_"), "route prefix": rule.Get("_match_route_prefix_"),
		})
	}
	if n.Kind == document.Object && (len(n.Members) != 1 || !n.Has("_rules_")) {
		p.rules = append(p.rules, &higressRule{from: n, policy: p.c.higressPolicy(n, n, p.name)})
	}
}

// rule reads a rule, which is for routes, or else for domains.
func (p *higressPlugin) rule(from, config *document.Node, match map[string]*document.Node) {
	c := p.c
	r := &higressRule{from: from, routes: c.texts(match["route"])}
	domains := c.texts(match["domain"])
	service, prefix := match["service"], match["route prefix"]
	services, prefixes := c.texts(service), c.texts(prefix)
	switch {
	case len(services) > 0 && (len(r.routes) > 0 || len(domains) == 0):
		c.warn(service, "the filter can't match by a service",
			"the rule is left out; write a policy for its hosts or routes")
		r.lost = true
	case len(r.routes)+len(domains) == 0 && len(prefixes) > 0:
		c.warn(prefix, "the filter can't match by the beginning of a route's name",
			"the rule is left out; write a policy with the names of the routes")
		r.lost = true
	case len(r.routes) > 0 && len(domains) > 0:
		c.warn(match["domain"], "has no effect beside routes", "left out")
		domains = nil
	case len(prefixes) > 0:
		c.warn(prefix, "has no effect beside routes or domains", "left out")
	case len(services) > 0:
		c.warn(service, "has no effect beside domains", "left out")
	case len(r.routes)+len(domains) == 0:
		c.warn(from, "matches nothing, so Higress refuses the configuration", "left out")
		return
	}
	r.policy = c.higressPolicy(config, from, p.name)
	for _, domain := range domains {
		for _, host := range higressHosts(domain.Text) {
			if newDomain(domain, host, false).known {
				r.hosts = append(r.hosts, c.as(domain, domain.Offset, host))
				continue
			}
			c.warn(domain, "the filter can't match hosts by "+quote(host), "left out; list the hosts")
			p.rules = append(p.rules, &higressRule{from: from, policy: r.policy, lost: true})
		}
	}
	r.lost = r.lost || len(domains) > 0 && len(r.hosts) == 0
	p.rules = append(p.rules, r)
}

// higressHosts are the hosts of a domain, in which a star stands for any text.
func higressHosts(domain string) []string {
	if rest, found := strings.CutPrefix(domain, "*"); found && rest != "" && rest[0] != '.' {
		return []string{rest, "*." + rest}
	}
	return []string{domain}
}

// add adds the rules, as far as requests reach them.
func (p *higressPlugin) add() {
	for i, r := range p.rules {
		hosts := slices.DeleteFunc(slices.Clone(r.hosts), func(host *document.Node) bool {
			return r.lost || !p.reached(i, host.Text)
		})
		switch {
		case r.lost, len(r.hosts) > 0 && len(hosts) == 0:
			continue
		case len(r.routes)+len(r.hosts) == 0 && !p.reached(i, ""):
			continue
		}
		one := r.policy.copyFor(match.Match{Hosts: words(hosts), Routes: words(r.routes)}, p.name)
		one.mark("match.hosts", hosts)
		one.mark("match.routes", r.routes)
		p.compare(i, one)
		p.c.add(one)
	}
}

// reached reports whether requests for a host, "" for every host, reach a rule, and says
// so if they get another policy because they don't.
func (p *higressPlugin) reached(i int, host string) bool {
	r, earlier := p.rules[i], p.covering(i, host)
	if earlier != nil && earlier.policy.key() != r.policy.key() {
		requests := "no request"
		if host != "" {
			requests += " for " + host
		}
		p.c.warn(r.from, requests+" gets here, because "+p.c.path(earlier.from)+" in line "+line(earlier.from)+
			" comes first and matches them all",
			"left out; put it first if it is meant to apply")
	}
	return earlier == nil
}

// covering is the first rule before another one that has all requests of a host, "" for
// every host.
func (p *higressPlugin) covering(i int, host string) *higressRule {
	for _, r := range p.rules[:i] {
		if slices.ContainsFunc(r.hosts, func(pattern *document.Node) bool {
			return isStar(pattern) || host != "" && hostCovers(pattern.Text, host)
		}) {
			return r
		}
	}
	return nil
}

// compare says where the order of the rules makes a difference that the filter can't
// make: a route's policy applies before a host's there only if it comes first, and
// rules that are lost leave their requests to those that follow.
func (p *higressPlugin) compare(i int, one *draft) {
	r := p.rules[i]
	said := false
	for _, earlier := range p.rules[:i] {
		before := len(r.routes) > 0 && len(earlier.hosts) > 0
		if earlier.policy.key() == r.policy.key() || !before && !earlier.lost {
			continue
		}
		place := p.c.path(earlier.from) + " in line " + line(earlier.from)
		if before && !said {
			said = true
			p.c.warn(r.from, "comes after the hosts of "+place+
				", which there apply to requests that both match, and here the route's policy does",
				"carried over; check which hosts its routes have")
		}
		if one.AllowCredentials && lenient(r.policy, earlier.policy) {
			one.AllowCredentials = false
			p.c.warn(r.from, "may apply to requests of "+place+
				", for which Higress lets fewer sites act as the visitor",
				"carried over without allow_credentials; see there")
		}
	}
}

// What the plugin does where a field isn't set. Browsers never ask for the other headers
// of its list, DNT and Keep-Alive.
var (
	higressMethods = []string{"GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"}
	higressHeaders = []string{"X-CustomHeader", "User-Agent", "X-Requested-With", "If-Modified-Since", "Cache-Control",
		"Content-Type", "Authorization"}
)

// higressPolicy reads the policy in a configuration. One that isn't there has the
// defaults.
func (c *conversion) higressPolicy(n, from *document.Node, name string) *draft {
	c.unknown(n, "the plugin's configuration", slices.Concat(higressFields,
		[]string{"_rules_", "_match_route_", "_match_domain_", "_match_service_", "_match_route_prefix_"})...)
	d := newDraft(from, name, "")
	d.AllowCredentials = c.boolean(n.Get("allow_credentials"), false)
	for _, field := range []string{"allow_methods", "allow_headers", "expose_headers"} {
		d.set(field, c.starAlone(d, field, c.texts(n.Get(field))))
	}
	for i, method := range d.AllowMethods {
		d.AllowMethods[i] = strings.ToUpper(method) // as the plugin does
	}
	if len(d.AllowMethods) == 0 {
		d.setNames("allow_methods", higressMethods, nil)
	}
	if len(d.AllowHeaders) == 0 {
		d.setNames("allow_headers", higressHeaders, nil)
	}
	c.higressOrigins(d, n)
	c.setMaxAge(d, n.Get("max_age"))
	if d.MaxAge != nil && *d.MaxAge < 0 {
		c.warn(n.Get("max_age"), strconv.Itoa(*d.MaxAge)+" seconds are out of range", "carried over as the default")
	}
	if d.MaxAge == nil || *d.MaxAge <= 0 {
		d.age(from, longestAge) // the default is a day
	}
	return d
}

// higressOrigins reads what a configuration allows.
func (c *conversion) higressOrigins(d *draft, n *document.Node) {
	origins, patterns := c.texts(n.Get("allow_origins")), c.texts(n.Get("allow_origin_patterns"))
	if i := slices.IndexFunc(origins, isStar); i >= 0 || len(origins)+len(patterns) == 0 && !d.AllowCredentials {
		at := d.from
		if i >= 0 {
			at = origins[i]
		}
		d.addOrigin(cors.OriginEntry{Text: "*"}, at)
		if d.AllowCredentials {
			d.AllowCredentials = false
			c.warn(n.Get("allow_credentials"), `has no effect beside "*" in allow_origins`,
				"left out; list the origins that need credentials")
		}
		return
	}
	// They are compared without regard to case.
	compared := func(n *document.Node) string {
		return strings.TrimSuffix(strings.ToLower(strings.TrimSpace(n.Text)), "/")
	}
	for _, origin := range origins {
		c.matchOrigin(d, origin, originMatcher{kind: exactMatcher, text: compared(origin)})
	}
	for _, pattern := range patterns {
		c.higressPattern(d, pattern, compared(pattern))
	}
}

var higressPorts = regexp.MustCompile(`^(.*):\[(\*|[0-9]+(?:,[0-9]+)*)\]$`)

// higressPattern adds what a pattern allows: a star stands for any text, and ports for
// any of them.
func (c *conversion) higressPattern(d *draft, at *document.Node, pattern string) {
	if pattern == "*" {
		d.addOrigin(cors.OriginEntry{Text: "*"}, at)
		return
	}
	origin, ports := pattern, []string{""}
	if found := higressPorts.FindStringSubmatch(pattern); found != nil {
		origin, ports = found[1], strings.Split(":"+strings.ReplaceAll(found[2], ",", ",:"), ",")
	}
	scheme, host, found := strings.Cut(origin, "://")
	schemes := []string{scheme}
	if !found || scheme == "*" {
		schemes, host = bothSchemes, strings.TrimPrefix(origin, "*://")
	}
	if strings.HasSuffix(host, "*") && host != "*" {
		c.warn(at, quote(pattern)+" allows hosts of any owner that begin with "+quote(strings.TrimSuffix(host, "*")),
			"left out; list the origins")
		return
	}
	before := len(d.AllowOrigins)
	for _, scheme := range schemes {
		for _, port := range ports {
			c.higressOrigin(d, at, scheme, host, port)
		}
	}
	if host != "*" && len(d.AllowOrigins) > before && !strings.Contains(schemes[0], "*") {
		c.warn(at, quote(pattern)+" matches "+quote(schemes[0]+"://"+strings.ReplaceAll(host, "*", "a")+
			".evil.example")+
			" too in releases of the plugin before alibaba/higress#1743 was fixed", "carried over for what it says")
	}
}

// higressOrigin adds one of the origins of a pattern.
func (c *conversion) higressOrigin(d *draft, at *document.Node, scheme, host, port string) {
	if text := scheme + "://" + host + port; !strings.Contains(strings.TrimPrefix(host, "*."), "*") {
		d.addOrigin(cors.OriginEntry{Text: text}, at)
		return
	}
	expr := scheme + "://" + strings.ReplaceAll(regexp.QuoteMeta(host), `\*`, ".*") +
		strings.ReplaceAll(port, ":*", "(:[0-9]+)?")
	c.matchOrigin(d, at, originMatcher{kind: regexMatcher, text: expr})
}
