package convert

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
)

// traefikGroups are the groups of Traefik's resources: that of version 3, and that of 2.
var traefikGroups = []string{"traefik.io", "traefik.containo.us"}

// A traefikReader reads middlewares, and the routers that use them.
type traefikReader struct {
	*conversion
	t           *routing
	middlewares []*traefikMiddleware
	routes      []*spreadRoute
	missing     map[string]bool
}

// A traefikMiddleware is a middleware, whatever it does.
type traefikMiddleware struct {
	*resource
	spec *document.Node
	// inFile tells that it is of a file, and not of Kubernetes.
	inFile bool
	// policy is what it makes of CORS; nil if it doesn't do CORS.
	policy *draft
	used   bool
}

// fromTraefik reads the headers middlewares that do CORS, of files with dynamic
// configuration and of Kubernetes, and the routers that use them.
func fromTraefik(c *conversion, documents []*document.Node) {
	x := &traefikReader{conversion: c, missing: map[string]bool{}, t: newRouting(c, "Traefik",
		"give the routers the same middleware, or hosts and paths that the filter can tell apart", byRank)}
	for _, d := range documents {
		d.Walk(x.label)
	}
	list := resources(documents)
	for _, r := range list {
		switch {
		case r.is("Middleware", traefikGroups...) && r.group != "":
			x.middleware(r, r.Get("spec"), false)
		case r.kind == "":
			for _, m := range members(r.Get("http", "middlewares")) {
				x.middleware(&resource{Node: m.Value, name: m.Name}, m.Value, true)
			}
		}
	}
	for _, r := range list {
		switch {
		case r.is("IngressRoute", traefikGroups...):
			x.ingressRoute(r)
		case r.is("Ingress", ingressGroups...):
			x.ingress(r)
		case r.is("HTTPRoute", gatewayGroup):
			x.httpRoute(r)
		case r.kind == "":
			for _, m := range members(r.Get("http", "routers")) {
				x.fileRouter(m)
			}
		}
	}
	var unused []*draft
	for _, m := range x.middlewares {
		if m.policy != nil && !m.used {
			unused = append(unused, m.policy)
		}
	}
	x.unused(unused, len(x.routes) == 0, "no router in the file uses the middleware ",
		"convert it together with the routers that use it")
	x.t.spread(x.routes)
	x.t.addDrafts()
}

// traefikLabel is the label of a container that is about CORS.
var traefikLabel = regexp.MustCompile(`(?i)^traefik\.http\.middlewares\.[^.]+\.headers\.accesscontrol`)

// label warns of the labels of containers, which are no documents.
func (x *traefikReader) label(n *document.Node) bool {
	labels := n.Elements
	for _, m := range n.Members {
		if traefikLabel.MatchString(m.Name) {
			labels = append(labels, m.Value)
		}
	}
	for _, one := range labels {
		if len(n.Members) > 0 || traefikLabel.MatchString(one.String()) {
			x.found(one, "a label for Traefik")
			x.warn(one, "is a label of a container, which isn't read",
				"left out; write the middleware and its routers into a file, and convert that")
		}
	}
	return true
}

// middleware reads a middleware.
func (x *traefikReader) middleware(r *resource, spec *document.Node, inFile bool) {
	m := &traefikMiddleware{resource: r, spec: spec, inFile: inFile}
	x.middlewares = append(x.middlewares, m)
	headers := spec.Get("headers")
	for _, name := range members(headers.Get("custom_response_headers")) {
		if corsHeader.MatchString(name.Name) {
			x.found(name.Value, "sets a CORS header") // and a warning comes with it
		}
	}
	var first *document.Node
	for _, field := range members(headers) {
		if lower := strings.ToLower(field.Name); strings.HasPrefix(lower, "accesscontrol") && first == nil {
			first = field.Value
		}
	}
	if first == nil {
		return
	}
	x.found(headers, "of the middleware "+quote(r.name))
	m.policy = x.traefikPolicy(r, headers)
}

// traefikFields are the fields of a headers middleware that are about CORS.
var traefikFields = []string{"access_control_allow_credentials", "access_control_allow_headers",
	"access_control_allow_methods", "access_control_allow_origin_list", "access_control_allow_origin_list_regex",
	"access_control_expose_headers", "access_control_max_age"}

// traefikPolicy reads the fields of a middleware.
func (x *traefikReader) traefikPolicy(r *resource, headers *document.Node) *draft {
	fields := map[string]*document.Node{}
	for _, m := range headers.Members {
		lower := strings.ToLower(m.Name) // in which Traefik compares them
		i := slices.IndexFunc(traefikFields, func(field string) bool {
			return strings.ReplaceAll(field, "_", "") == lower
		})
		switch {
		case i >= 0:
			fields[traefikFields[i]] = m.Value
		case strings.HasPrefix(lower, "accesscontrol"):
			x.warn(m.Value, quote(m.Name)+" is not a field of Traefik's headers middleware",
				"left out; write accessControlAllowOriginList for a list of origins")
		}
	}
	d := newDraft(headers, r.name, "")
	d.AllowCredentials = x.boolean(fields["access_control_allow_credentials"], false)
	for _, field := range []string{"allow_methods", "allow_headers"} {
		d.set(field, x.starAmong(d, field, x.joined(fields["access_control_"+field])))
	}
	exposed := x.joined(fields["access_control_expose_headers"])
	if i := slices.IndexFunc(exposed, isStar); i >= 0 && d.AllowCredentials {
		x.warn(exposed[i], `"*" with credentials makes Traefik leave out the header`, "left out; list the names")
		exposed = nil
	}
	d.set("expose_headers", exposed)
	x.setMaxAge(d, fields["access_control_max_age"])
	for _, origin := range x.texts(fields["access_control_allow_origin_list"]) {
		x.matchOrigin(d, origin, originMatcher{kind: exactMatcher, text: origin.Text})
	}
	for _, expr := range x.texts(fields["access_control_allow_origin_list_regex"]) {
		x.searchOrigin(d, expr, expr.Text)
	}
	return d
}

// starAmong reads a list with a "*" in it: with credentials Traefik repeats what is asked
// for, and without them it is what browsers make of it.
func (c *conversion) starAmong(d *draft, field string, names []*document.Node) []*document.Node {
	i := slices.IndexFunc(names, isStar)
	switch {
	case i < 0:
		return names
	case d.AllowCredentials:
		return c.starAlone(d, field, names)
	}
	list := []*document.Node{names[i]}
	for _, name := range names {
		if field == "allow_headers" && strings.EqualFold(name.Text, "Authorization") {
			list = append(list, name)
		}
	}
	return list
}

// find is the middleware that is called so by a resource of a namespace, or by a file.
func (x *traefikReader) find(name, namespace string, ofFile bool) *traefikMiddleware {
	name, provider, elsewhere := strings.Cut(name, "@")
	for _, m := range x.middlewares {
		switch {
		case elsewhere && m.inFile != (provider == "file"), !elsewhere && m.inFile != ofFile:
		case m.inFile || !elsewhere:
			if m.name == name && (m.inFile || m.namespace == namespace || m.namespace == "" || namespace == "") {
				return m
			}
		case name == cmp.Or(m.namespace, "default")+"-"+m.name:
			return m
		}
	}
	return nil
}

// A traefikRouter is a router, as whichever provider has it.
type traefikRouter struct {
	*resource
	from        *document.Node
	middlewares []*traefikMiddleware
	order       []int
	gateways    []string
	tls         bool
}

// use adds a middleware to a router by its name.
func (x *traefikReader) use(r *traefikRouter, at *document.Node, name, namespace string, ofFile bool) {
	m := x.find(name, namespace, ofFile)
	if m == nil {
		if !x.missing[name] {
			x.missing[name] = true
			x.warn(at, "the middleware "+quote(name)+" isn't in the file",
				"taken for one that doesn't do CORS; convert it together with the router if it does")
		}
		return
	}
	x.add(r, m, 0)
}

// maxChain bounds how deep chains of middlewares are nested.
const maxChain = 20

// add adds a middleware to a router, or those of a chain.
func (x *traefikReader) add(r *traefikRouter, m *traefikMiddleware, depth int) {
	m.used = true
	r.middlewares = append(r.middlewares, m)
	if depth >= maxChain || len(r.middlewares) > maxPruned {
		return
	}
	for _, one := range m.spec.Get("chain", "middlewares").List() {
		name, namespace := one.String(), m.namespace
		if one.Kind == document.Object {
			name, namespace = one.Get("name").String(), cmp.Or(one.Get("namespace").String(), namespace)
		}
		if next := x.find(name, namespace, m.inFile); next != nil {
			x.add(r, next, depth+1)
		}
	}
}

// policy is the policy of a router: the first of its middlewares answers preflights.
func (x *traefikReader) policy(r *traefikRouter) (policy *draft) {
	for _, m := range r.middlewares {
		switch {
		case m.policy == nil:
		case policy == nil:
			policy = m.policy
		case policy.key() != m.policy.key():
			x.warn(m.policy.from, "comes after the middleware of line "+line(policy.from)+
				", which answers the preflights of "+quote(r.name), "left out there")
		}
	}
	return policy
}

// redirects reports whether all that a router does is to send visitors from http to https.
func (r *traefikRouter) redirects() bool {
	return !r.tls && !slices.ContainsFunc(r.gateways, func(name string) bool {
		return strings.Contains(name, "secure") || strings.Contains(name, "https")
	}) && slices.ContainsFunc(r.middlewares, func(m *traefikMiddleware) bool {
		return m.spec.Get("redirect_scheme", "scheme").String() == "https"
	})
}

// router adds the routes of a router that has a rule.
func (x *traefikReader) router(r *traefikRouter, rule *document.Node) {
	policy := x.policy(r)
	if policy == nil && r.redirects() {
		return
	}
	alternatives, ok, tooLong := readRule(rule.String())
	switch {
	case tooLong:
		// Whatever it matches may be its.
		x.warn(rule, "has too many alternatives", "left out; split it into several routers")
		x.routes = append(x.routes, &spreadRoute{of: r.resource, gateways: r.gateways, order: r.order,
			envoyRoute: envoyRoute{from: r.from, conditions: []string{"a rule this long"}}})
	case !ok:
		x.warn(cmp.Or(rule, r.from), "is no rule, so Traefik doesn't use the router", "left out")
	}
	for _, terms := range alternatives {
		for _, one := range routesOf(rule, terms) {
			one.of, one.policy, one.from = r.resource, policy, r.from
			one.gateways, one.order = r.gateways, r.order
			x.routes = append(x.routes, &one)
		}
	}
}

// priority is a router's, which is the length of its rule if it says none.
func priority(n *document.Node, length int) []int {
	if number, err := strconv.Atoi(n.Scalar()); err == nil && number != 0 {
		return []int{number}
	}
	return []int{length}
}

// fileRouter reads a router of a file.
func (x *traefikReader) fileRouter(m document.Member) {
	n, rule := m.Value, m.Value.Get("rule")
	r := &traefikRouter{resource: &resource{Node: n, name: m.Name}, from: n,
		order: priority(n.Get("priority"), len(rule.String())), gateways: words(x.texts(n.Get("entry_points"))),
		tls: given(n.Get("tls"))}
	for _, name := range x.texts(n.Get("middlewares")) {
		x.use(r, name, name.Text, "", true)
	}
	x.router(r, rule)
}

// ingressRoute reads the routers of an IngressRoute.
func (x *traefikReader) ingressRoute(of *resource) {
	for _, n := range x.objects(of.Get("spec", "routes")) {
		rule := n.Get("match")
		r := &traefikRouter{resource: of, from: n, order: priority(n.Get("priority"), len(rule.String())),
			gateways: words(x.texts(of.Get("spec", "entry_points"))), tls: given(of.Get("spec", "tls"))}
		for _, one := range x.objects(n.Get("middlewares")) {
			name, namespace := one.Get("name").String(), cmp.Or(one.Get("namespace").String(), of.namespace)
			x.use(r, one, name, namespace, false)
		}
		x.router(r, rule)
	}
}

// ingress reads the paths of an Ingress, of which annotations name the middlewares.
func (x *traefikReader) ingress(of *resource) {
	annotation := func(name string) *document.Node {
		for _, m := range members(of.Get("metadata", "annotations")) {
			if m.Name == "traefik.ingress.kubernetes.io/router."+name {
				return m.Value
			}
		}
		return nil
	}
	names := annotation("middlewares")
	r := &traefikRouter{resource: of, tls: given(of.Get("spec", "tls"))}
	for _, name := range x.parts(names) {
		x.use(r, name, name.Text, of.namespace, false)
	}
	for _, name := range x.parts(annotation("entrypoints")) {
		r.gateways = append(r.gateways, name.Text)
	}
	policy := x.policy(r)
	if policy == nil && r.redirects() || len(x.middlewares) == 0 {
		return
	}
	for _, rule := range orEverything(of.Get("spec", "rules").List()) {
		host := rule.Get("host")
		for _, path := range orEverything(rule.Get("http", "paths").List()) {
			from := cmp.Or(path, rule, of.Get("spec"), of.Node)
			one := &spreadRoute{of: of, gateways: r.gateways,
				envoyRoute: envoyRoute{from: from, policy: policy, path: ingressPath(path, false)}}
			if one.path.kind == segmentPrefix {
				one.path.kind = textPrefix // unless strictPrefixMatching is set
			}
			length := len(`PathPrefix("")`) + len(one.path.text)
			if text(host) != "" {
				one.hosts = []hostPattern{globPattern(host, text(host), true)}
				length += len(`Host("") && `) + len(text(host))
			}
			one.order = priority(annotation("priority"), length)
			x.routes = append(x.routes, one)
		}
	}
}

// parts are the parts of a text that has commas, none if there is none.
func (c *conversion) parts(n *document.Node) (parts []*document.Node) {
	if n.String() == "" {
		return nil
	}
	return slices.DeleteFunc(c.split(n), func(part *document.Node) bool { return part.Text == "" })
}

// httpRoute reads an HTTPRoute, whose filters may be middlewares.
func (x *traefikReader) httpRoute(of *resource) {
	if len(x.middlewares) == 0 {
		return
	}
	for _, rule := range x.objects(of.Get("spec", "rules")) {
		r := &traefikRouter{resource: of, from: rule}
		for _, ref := range extensionsOf(rule) {
			if slices.Contains(traefikGroups, ref.Get("group").String()) && ref.Get("kind").String() == "Middleware" {
				x.use(r, ref, ref.Get("name").String(), of.namespace, false)
			}
		}
		policy := x.policy(r)
		for _, one := range x.ruleRoutes(of, rule) {
			one.policy = policy
			x.routes = append(x.routes, one)
		}
	}
}

// extensionsOf are what the filters of an HTTPRoute's rule refer to.
func extensionsOf(rule *document.Node) (list []*document.Node) {
	for _, filter := range rule.Get("filters").List() {
		if ref := filter.Get("extension_ref"); given(ref) {
			list = append(list, ref)
		}
	}
	return list
}

// ruleRoutes are the routes of a rule of an HTTPRoute, without a policy.
func (c *conversion) ruleRoutes(of *resource, rule *document.Node) (routes []*spreadRoute) {
	var hosts []hostPattern
	for _, host := range c.texts(of.Get("spec", "hostnames")) {
		hosts = append(hosts, globPattern(host, host.Text, false))
	}
	if hosts == nil {
		hosts = []hostPattern{everyHostPattern(of.Node)}
	}
	for _, match := range orEverything(rule.Get("matches").List()) {
		one := envoyRoute{from: rule, path: envoyPath{kind: everyPath}}
		if !one.gatewayMatch(c, of.kind, match) {
			continue
		}
		for _, host := range hosts {
			routes = append(routes, &spreadRoute{of: of, hosts: []hostPattern{host}, envoyRoute: one,
				order: append(host.order(), one.path.specificity(), len(one.conditions))})
		}
	}
	return routes
}
