package convert

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
)

const kongGroup = "configuration.konghq.com"

// A kongReader reads cors plugins, and the routes that they are for.
type kongReader struct {
	*conversion
	t *routing
	// plugins are those that say themselves what they are for, by names of routes and
	// services or by none.
	plugins []*kongPlugin
	routes  []*kongRoute
	// resources are the plugins that other resources may name, by namespace and name;
	// those of the cluster have no namespace.
	resources map[string]*kongPlugin
	missing   map[string]bool
}

// A kongPlugin is a cors plugin, or one that does something else.
type kongPlugin struct {
	policy *draft // nil of another plugin, and of one that is disabled
	// service and route are what it is for, by a name or an ID; "" for every one.
	service, route string
	used           bool
}

// A kongRoute is a path of a route, with what plugins may call the route by.
type kongRoute struct {
	spreadRoute
	names, services []string
	own             []*kongPlugin // those that stand in it, or that it names
	ofService       []*kongPlugin // likewise of its service
}

// fromKong reads cors plugins of declarative files, and KongPlugins with the Ingresses,
// HTTPRoutes and Services that name them.
func fromKong(c *conversion, documents []*document.Node) {
	k := &kongReader{conversion: c, resources: map[string]*kongPlugin{}, missing: map[string]bool{},
		t: newRouting(c, "Kong",
			"give the routes the same plugin, or hosts and paths that the filter can tell apart", byRank)}
	list := resources(documents)
	for _, r := range list {
		switch {
		case r.is("KongPlugin", kongGroup), r.is("KongClusterPlugin", kongGroup):
			k.kongPlugin(r)
		case isKong(r.Node):
			k.declarative(r.Node)
		}
	}
	services := map[string][]*kongPlugin{}
	for _, r := range list {
		if r.kind == "Service" && len(k.resources) > 0 {
			services[r.namespace+"/"+r.name] = k.named(r)
		}
	}
	for _, r := range list {
		switch {
		case len(k.resources) == 0:
		case r.is("Ingress", ingressGroups...):
			k.ingress(r, services)
		case r.is("HTTPRoute", gatewayGroup):
			k.httpRoute(r, services)
		}
	}
	k.finishRoutes()
}

// isKong reports whether a document is a declarative configuration of Kong.
func isKong(n *document.Node) bool {
	if n.Has("_format_version") {
		return true
	}
	if n.Has("kind") || n.Has("global_rules", "upstream") {
		return false
	}
	for _, list := range []string{"plugins", "services", "routes"} {
		for _, one := range n.Get(list).List() {
			if list == "plugins" && one.Get("name").String() == "cors" && one.Has("config", "service", "route") ||
				slices.ContainsFunc(one.Get("plugins").List(), isKongCors) ||
				slices.ContainsFunc(one.Get("routes").List(), func(route *document.Node) bool {
					return slices.ContainsFunc(route.Get("plugins").List(), isKongCors)
				}) {
				return true
			}
		}
	}
	return false
}

// isKongCors reports whether a plugin of a declarative configuration is cors.
func isKongCors(n *document.Node) bool { return n.Get("name").String() == "cors" }

// declarative reads a declarative configuration.
func (k *kongReader) declarative(n *document.Node) {
	for _, service := range k.objects(n.Get("services")) {
		names := namesOf(service)
		own := k.pluginsOf(n, service)
		for _, route := range k.objects(service.Get("routes")) {
			k.route(n, route, names, own)
		}
	}
	for _, route := range k.objects(n.Get("routes")) {
		k.route(n, route, reference(route.Get("service")), nil)
	}
	for _, one := range k.objects(n.Get("plugins")) {
		if p := k.plugin(n, nil, one); p != nil {
			k.plugins = append(k.plugins, p)
		}
	}
	for _, kind := range []string{"consumers", "consumer_groups"} {
		for _, consumer := range n.Get(kind).List() {
			for _, one := range consumer.Get("plugins").List() {
				if isKongCors(one) {
					k.ofConsumer(one)
				}
			}
		}
	}
}

// ofConsumer says that a plugin is of a consumer, or a group of them.
func (k *kongReader) ofConsumer(n *document.Node) {
	k.found(n, "a cors plugin of Kong")
	k.warn(n, "is for a consumer, which the plugin can't be for", "left out")
}

// namesOf are what an entity may be called by.
func namesOf(n *document.Node) (names []string) {
	for _, field := range []string{"name", "id"} {
		if name := n.Get(field).Scalar(); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// reference are what an entity is called by that another one refers to.
func reference(n *document.Node) []string {
	if n != nil && n.Kind == document.Object {
		return namesOf(n)
	}
	if name := n.Scalar(); name != "" {
		return []string{name}
	}
	return nil
}

func first(names []string) string { return cmp.Or(append(names, "")[0], "") }

// pluginsOf are the cors plugins that stand in a service or a route.
func (k *kongReader) pluginsOf(file, n *document.Node) (list []*kongPlugin) {
	for _, one := range k.objects(n.Get("plugins")) {
		if p := k.plugin(file, n, one); p != nil {
			list = append(list, p)
		}
	}
	return list
}

// plugin reads a plugin of a declarative configuration, which may stand in what it is of;
// it is nil if it isn't cors.
func (k *kongReader) plugin(file, of, n *document.Node) *kongPlugin {
	if !isKongCors(n) {
		return nil
	}
	if given(n.Get("consumer")) || given(n.Get("consumer_group")) {
		k.ofConsumer(n)
		return nil
	}
	k.found(n, "a cors plugin of Kong")
	for _, field := range []string{"service", "route"} {
		if ref := n.Get(field); given(ref) && len(reference(ref)) == 0 {
			k.warn(ref, "refers to nothing by a name or an ID", "the plugin is left out")
			return nil
		}
	}
	if !k.boolean(n.Get("enabled"), true) {
		return nil // as if it weren't there
	}
	var shared *document.Node
	for _, m := range members(file.Get("_plugin_configs")) {
		if m.Name == n.Get("_config").String() {
			shared = m.Value
		}
	}
	p := &kongPlugin{service: first(reference(n.Get("service"))), route: first(reference(n.Get("route")))}
	name := cmp.Or(n.Get("instance_name").String(), of.Get("name").String(), p.route, p.service, "cors")
	p.policy = k.kongPolicy(n, name, n.Get("config"), shared)
	return p
}

// route reads a route of a declarative configuration.
func (k *kongReader) route(file, n *document.Node, services []string, ofService []*kongPlugin) {
	of := &resource{Node: n, name: cmp.Or(n.Get("name").String(), first(services))}
	own := k.pluginsOf(file, n)
	version, _ := strconv.ParseFloat(file.Get("_format_version").Scalar(), 64)
	paths := k.texts(n.Get("paths"))
	for _, path := range orEverything(paths) {
		r := &kongRoute{names: namesOf(n), services: services, own: own, ofService: ofService}
		r.of, r.from = of, n
		r.path = kongPath(path.String(), version != 0 && version < 3)
		for _, host := range k.texts(n.Get("hosts")) {
			r.hosts = append(r.hosts, globPattern(host, host.Text, false))
		}
		for _, condition := range kongConditions {
			if value := n.Get(condition.field); isSet(value) {
				r.conditions = append(r.conditions, condition.words)
			}
		}
		r.rankBy(n.Get("regex_priority"), len(members(n.Get("headers"))), path != nil)
		if given(n.Get("expression")) {
			r.hosts, r.path = nil, envoyPath{kind: everyPath}
			r.conditions = []string{"the expression"}
			r.order = []int{1 << 30}
		}
		k.routes = append(k.routes, r)
	}
}

// kongConditions are the fields of a route beside its hosts and paths.
var kongConditions = []struct{ field, words string }{
	{"methods", "method"}, {"headers", "headers"}, {"snis", "the name in TLS"},
	{"sources", "the client's address"}, {"destinations", "the address"},
}

// rankBy tells where the route stands among others, as Kong has it: those that match by
// more come first, then those without a star in a host, by more headers, by a regex, and
// with a longer path.
func (r *kongRoute) rankBy(regexPriority *document.Node, headers int, path bool) {
	fields := len(r.conditions)
	if len(r.hosts) > 0 {
		fields++
	}
	if path {
		fields++
	}
	plain, regex, priority := 0, 0, 0
	star := func(host hostPattern) bool { return strings.Contains(host.text, "*") }
	if len(r.hosts) > 0 && !slices.ContainsFunc(r.hosts, star) {
		plain = 1
	}
	length := len(r.path.text)
	if r.path.kind == regexPath || r.path.kind == exactPath {
		priority, _ = strconv.Atoi(regexPriority.Scalar())
		regex, length = 1, 0
	}
	r.order = []int{fields, plain, headers, regex, priority, length}
}

// plainPath is a path that releases before 3.0 don't take for a regex.
var plainPath = regexp.MustCompile(`^[a-zA-Z0-9._~/%-]*$`)

// kongPath is the path of a route: a regex if a tilde says so, or in releases before 3.0
// its characters; otherwise a prefix as text.
func kongPath(path string, old bool) envoyPath {
	expr, regex := strings.CutPrefix(path, "~")
	switch {
	case regex || old && !plainPath.MatchString(path):
		return ingressRegex(expr)
	case path == "" || path == "/":
		return envoyPath{kind: everyPath}
	}
	return envoyPath{kind: textPrefix, text: path}
}

// kongPlugin reads a KongPlugin or a KongClusterPlugin.
func (k *kongReader) kongPlugin(r *resource) {
	p := &kongPlugin{}
	key := r.namespace + "/" + r.name
	if r.kind == "KongClusterPlugin" {
		key = "/" + r.name
	}
	k.resources[key] = p
	if r.Get("plugin").String() != "cors" {
		return
	}
	k.found(r.Node, "the "+r.kind+" "+quote(r.name))
	if k.boolean(r.Get("disabled"), false) {
		return
	}
	for _, field := range []string{"config_from", "config_patches"} {
		if n := r.Get(field); isSet(n) {
			k.warn(n, "takes the configuration from a Secret, which isn't read",
				"left out; write it into config to have it converted")
		}
	}
	if given(r.Get("config_from")) {
		return
	}
	p.policy = k.kongPolicy(r.Node, r.name, r.Get("config"), nil)
	for _, m := range members(r.Get("metadata", "labels")) {
		if m.Name == "global" && text(m.Value) == "true" && r.kind == "KongClusterPlugin" {
			k.plugins = append(k.plugins, p)
		}
	}
}

// named are the plugins that a resource names in its annotation.
func (k *kongReader) named(r *resource) (list []*kongPlugin) {
	for _, m := range members(r.Get("metadata", "annotations")) {
		if m.Name != "konghq.com/plugins" {
			continue
		}
		for _, part := range k.parts(m.Value) {
			if p := k.find(part, part.Text, r.namespace); p != nil {
				list = append(list, p)
			}
		}
	}
	return list
}

// find is the plugin that a resource of a namespace calls so.
func (k *kongReader) find(at *document.Node, name, namespace string) *kongPlugin {
	if other, after, found := strings.Cut(name, ":"); found {
		namespace, name = other, after
	}
	for _, key := range []string{namespace + "/" + name, "/" + name} {
		if p := k.resources[key]; p != nil {
			return p
		}
	}
	for _, key := range slices.Sorted(maps.Keys(k.resources)) {
		if namespace == "" && strings.HasSuffix(key, "/"+name) {
			return k.resources[key]
		}
	}
	if !k.missing[name] {
		k.missing[name] = true
		k.warn(at, "the plugin "+quote(name)+" isn't in the file",
			"taken for one that doesn't do CORS; convert it together with what names it if it does")
	}
	return nil
}

// kongAnnotation is the value of an annotation of Kong's.
func kongAnnotation(r *resource, name string) *document.Node {
	for _, m := range members(r.Get("metadata", "annotations")) {
		if m.Name == "konghq.com/"+name {
			return m.Value
		}
	}
	return nil
}

// ingress reads the paths of an Ingress.
func (k *kongReader) ingress(of *resource, services map[string][]*kongPlugin) {
	own := k.named(of)
	for _, rule := range orEverything(of.Get("spec", "rules").List()) {
		for _, path := range orEverything(rule.Get("http", "paths").List()) {
			r := &kongRoute{own: own}
			r.of, r.from = of, cmp.Or(path, rule, of.Get("spec"), of.Node)
			backend := cmp.Or(path.Get("backend", "service", "name"), path.Get("backend", "service_name"))
			r.ofService = services[of.namespace+"/"+backend.String()]
			r.path = ingressPath(path, false)
			if expr, regex := strings.CutPrefix(text(path.Get("path")), "/~"); regex {
				r.path = ingressRegex(expr)
			}
			if host := rule.Get("host"); text(host) != "" {
				r.hosts = []hostPattern{globPattern(host, text(host), false)}
				for _, alias := range k.parts(kongAnnotation(of, "host-aliases")) {
					r.hosts = append(r.hosts, globPattern(alias, alias.Text, false))
				}
			}
			if len(k.parts(kongAnnotation(of, "methods"))) > 0 {
				r.conditions = append(r.conditions, "method")
			}
			r.rankBy(kongAnnotation(of, "regex-priority"), 0, true)
			k.routes = append(k.routes, r)
		}
	}
}

// httpRoute reads the rules of an HTTPRoute.
func (k *kongReader) httpRoute(of *resource, services map[string][]*kongPlugin) {
	named := k.named(of)
	for _, rule := range k.objects(of.Get("spec", "rules")) {
		var own, ofService []*kongPlugin
		for _, ref := range extensionsOf(rule) {
			if kind := ref.Get("kind").String(); kind == "KongPlugin" || kind == "KongClusterPlugin" {
				if p := k.find(ref, ref.Get("name").String(), of.namespace); p != nil {
					own = append(own, p)
				}
			}
		}
		for _, backend := range rule.Get("backend_refs").List() {
			ofService = append(ofService, services[of.namespace+"/"+backend.Get("name").String()]...)
		}
		for _, one := range k.ruleRoutes(of, rule) {
			r := &kongRoute{spreadRoute: *one, own: slices.Concat(own, named), ofService: ofService}
			r.rankBy(nil, 0, true)
			k.routes = append(k.routes, r)
		}
	}
}

// finishRoutes gives each route its policy, and turns them into drafts.
func (k *kongReader) finishRoutes() {
	var routes []*spreadRoute
	for _, r := range k.routes {
		r.policy = k.policyOf(r)
		routes = append(routes, &r.spreadRoute)
	}
	if global := k.policyOf(&kongRoute{}); global != nil {
		routes = append(routes, &spreadRoute{of: &resource{Node: global.from, name: global.Name}, order: []int{-1},
			envoyRoute: envoyRoute{from: global.from, policy: global, path: envoyPath{kind: everyPath}}})
	}
	var unused []*draft
	for _, p := range slices.Concat(k.plugins, slices.Collect(maps.Values(k.resources))) {
		if p.policy != nil && !p.used && !slices.Contains(unused, p.policy) {
			unused = append(unused, p.policy)
		}
	}
	slices.SortFunc(unused, func(a, b *draft) int { return a.from.Offset - b.from.Offset })
	k.unused(unused, len(routes) == 0, "no route in the file has the plugin ",
		"convert it together with the routes that have it")
	k.t.spread(routes)
	k.t.addDrafts()
}

// policyOf is the policy of a route: of its plugins the most specific one counts.
func (k *kongReader) policyOf(r *kongRoute) *draft {
	var both, ofRoute, ofService, global []*kongPlugin
	for _, p := range k.plugins {
		route, service := slices.Contains(r.names, p.route), slices.Contains(r.services, p.service)
		switch {
		case route && service:
			both = append(both, p)
		case route && p.service == "":
			ofRoute = append(ofRoute, p)
		case service && p.route == "":
			ofService = append(ofService, p)
		case p.route == "" && p.service == "":
			global = append(global, p)
		}
	}
	for _, p := range slices.Concat(both, r.own, ofRoute, r.ofService, ofService, global) {
		if p.policy != nil {
			p.used = true
			return p.policy
		}
	}
	return nil
}

// kongFields are the fields of the plugin's configuration.
var kongFields = []string{"origins", "headers", "exposed_headers", "methods", "max_age", "credentials",
	"private_network", "preflight_continue", "allow_origin_absent"}

// kongMethods is the default of methods, but for TRACE and CONNECT, which no browser sends.
var kongMethods = []string{"GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS"}

// kongPolicy reads the configuration of a plugin, which another one may complete.
func (k *kongReader) kongPolicy(from *document.Node, name string, own, shared *document.Node) *draft {
	for _, n := range []*document.Node{own, shared} {
		k.object(n)
		k.unknown(n, "the cors plugin's configuration", kongFields...)
	}
	get := func(field string) *document.Node {
		if n := own.Get(field); given(n) {
			return n
		}
		return shared.Get(field)
	}
	d := newDraft(from, name, "")
	d.AllowCredentials = k.boolean(get("credentials"), false)
	d.AllowPrivateNetwork = k.boolean(get("private_network"), false)
	k.boolean(get("allow_origin_absent"), true) // which makes no difference to a browser
	k.kongMethods(d, get("methods"))
	k.kongHeaders(d, get("headers"))
	d.set("expose_headers", k.joined(get("exposed_headers")))
	k.kongMaxAge(d, get("max_age"))
	if n := get("preflight_continue"); k.boolean(n, false) {
		d.ForwardUnmatchedPreflights = true
		if !given(get("methods")) {
			d.setNames("allow_methods", nil, nil)
		}
		if !isSet(get("headers")) {
			d.setNames("allow_headers", nil, nil)
		}
		k.warn(n, "leaves preflights to the upstream, and the filter answers those that the policy allows",
			"carried over for the methods and headers that the plugin lists; list what the upstream allows")
	}
	k.kongOrigins(d, k.texts(get("origins")))
	return d
}

// kongMethods reads methods.
func (k *kongReader) kongMethods(d *draft, n *document.Node) {
	if !given(n) {
		d.setNames("allow_methods", kongMethods, nil)
		return
	}
	all := append(slices.Clone(kongMethods), "TRACE", "CONNECT")
	names := k.joined(n)
	complete := len(names) == len(all)
	d.set("allow_methods", slices.DeleteFunc(names, func(name *document.Node) bool {
		if !slices.Contains(all, name.Text) {
			k.warn(name, quote(name.Text)+" is none of Kong's methods, so it refuses the plugin", "left out")
			return true
		}
		return complete && !slices.Contains(kongMethods, name.Text) // as in the default
	}))
}

// kongHeaders reads headers. Where there are none, Kong repeats what is asked for.
func (k *kongReader) kongHeaders(d *draft, n *document.Node) {
	names := k.joined(n)
	i := slices.IndexFunc(names, isStar)
	switch {
	case !isSet(n):
		d.setNames("allow_headers", []string{"*", "Authorization"}, nil)
		return
	case i >= 0 && d.AllowCredentials:
		k.warn(names[i], `"*" means a name "*" when the request has credentials`,
			"left out; list the names, or leave headers out to allow every one")
		names = slices.DeleteFunc(names, isStar)
	case i >= 0:
		names = k.starAmong(d, "allow_headers", names)
	}
	d.set("allow_headers", names)
}

// kongMaxAge reads a number of seconds, which may have a fraction.
func (k *kongReader) kongMaxAge(d *draft, n *document.Node) {
	if !given(n) {
		return
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(n.Scalar()), 64)
	switch {
	case err != nil || n.Kind != document.Number:
		k.warn(n, "is not a number of seconds", "left out")
	case seconds != float64(int32(seconds)) && seconds < 1<<31:
		k.warn(n, n.Text+" is no whole number of seconds, so browsers ignore it", "left out")
	default:
		d.age(n, int(min(seconds, 1<<30)))
	}
}

// kongOrigins reads origins. None of them, and a "*" among them, are every origin.
func (k *kongReader) kongOrigins(d *draft, origins []*document.Node) {
	i := slices.IndexFunc(origins, isStar)
	if len(origins) == 0 || i >= 0 {
		at := d.from
		if i >= 0 {
			at = origins[i]
		}
		d.addOrigin(cors.OriginEntry{Text: "*"}, at)
		return
	}
	for _, origin := range origins {
		if plainOrigin.MatchString(origin.Text) {
			k.matchOrigin(d, origin, originMatcher{kind: exactMatcher, text: origin.Text})
		} else {
			k.kongRegex(d, origin)
		}
	}
}

// plainOrigin is an origin that Kong takes for no regex.
var plainOrigin = regexp.MustCompile(`^[A-Za-z0-9.:/-]+$`)

// kongRegex reads a regex: of the host alone if it has no colon. Kong looks for it at the
// beginning, and adds a "$" to its end, which is for the last alternative only.
func (k *kongReader) kongRegex(d *draft, at *document.Node) {
	expr := strings.TrimPrefix(at.Text, "^")
	if _, err := regexp.Compile(expr); err != nil {
		k.matchOrigin(d, at, originMatcher{kind: regexMatcher, text: at.Text})
		return
	}
	parts := unbound(expr)
	for i, part := range parts {
		if i < len(parts)-1 && !strings.HasSuffix(part, "$") {
			k.warn(at, "the alternative "+quote(part)+` has no "$" at its end, so it matches whatever begins with it`,
				"carried over as if it had one")
		}
		there := part
		part = strings.TrimSuffix(strings.TrimPrefix(part, "^"), "$")
		switch {
		case strings.Contains(at.Text, ":"):
		case part == ".*", part == ".+":
			part = "https?://.*"
		default:
			if len(split(part)) > 1 { // which has flags
				part = "(?:" + part + ")"
			}
			part = "https?://" + part + "(:[0-9]+)?"
		}
		k.matchAs(d, at, part, there)
	}
}
