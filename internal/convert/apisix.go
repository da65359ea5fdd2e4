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

// apisixGroup is the group of the resources of APISIX's ingress controller.
const apisixGroup = "apisix.apache.org"

// apisixAnnotations is the prefix of its annotations.
const apisixAnnotations = "k8s.apisix.apache.org/"

const apisixRemedy = "add policies for paths that the filter can tell apart, or give all of them the same plugin"

// fromAPISIX reads the cors plugin of APISIX: in apisix.yaml, in what the Admin API takes
// and answers, and in the resources of its ingress controller.
func fromAPISIX(c *conversion, documents []*document.Node) {
	a := &apisix{
		conversion: c,
		t:          newRouting(c, "APISIX", apisixRemedy, byRank),
		byID:       map[string]*apisixObject{},
		used:       map[*apisixObject]bool{},
		filtered:   map[*draft]bool{},
	}
	for _, r := range resources(documents) {
		switch {
		case r.is("ApisixRoute", apisixGroup):
			a.apisixRoute(r)
		case r.is("ApisixPluginConfig", apisixGroup), r.is("PluginConfig", apisixGroup):
			a.add(&apisixObject{kind: "plugin_configs", id: r.namespace + "/" + r.name, name: r.name, Node: r.Get("spec")})
		case r.is("ApisixGlobalRule", apisixGroup):
			a.add(&apisixObject{kind: "global_rules", name: r.name, Node: r.Get("spec")})
		case r.is("Ingress", ingressGroups...):
			a.ingress(r)
		case r.kind == "" && r.Kind == document.Object && !isKong(r.Node):
			a.document(r.Node)
		}
	}
	a.t.unnamed = nil // policies are called as their objects
	a.addRoutes()
}

// apisix collects the objects of a file, as they refer to each other whatever their order.
type apisix struct {
	*conversion
	t *routing

	list []*apisixObject
	byID map[string]*apisixObject // by kind and id
	// used are the objects that a route refers to.
	used map[*apisixObject]bool
	// filtered are the policies for a part of the requests.
	filtered map[*draft]bool
}

// An apisixObject is a route, or one of the objects that have plugins beside it.
type apisixObject struct {
	*document.Node
	// kind is the plural that APISIX has for it, such as "plugin_configs".
	kind, id, name string
	// match has the fields that a route matches by, if they stand in an object of their own.
	match *document.Node
	// service is the one that a route stands in.
	service *apisixObject
	// own are the plugins, if they are the object itself.
	own *document.Node
}

// plugins are the object's plugins: an object by their names, or a list in Kubernetes.
func (o *apisixObject) plugins() *document.Node { return cmp.Or(o.own, o.Get("plugins")) }

// apisixKinds are the kinds of objects with plugins, in words.
var apisixKinds = map[string]string{
	"routes": "route", "services": "service", "plugin_configs": "plugin config", "global_rules": "global rule",
	"consumers": "consumer", "consumer_groups": "consumer group", "plugin_metadata": "plugin metadata",
}

func (a *apisix) add(o *apisixObject) {
	if o.Node == nil {
		return
	}
	a.list = append(a.list, o)
	if o.id != "" {
		a.byID[o.kind+" "+o.id] = o
	}
}

// document reads apisix.yaml, or a body of the Admin API.
func (a *apisix) document(n *document.Node) {
	for _, kind := range slices.Sorted(maps.Keys(apisixKinds)) {
		for _, one := range n.Get(kind).List() {
			if one.Kind == document.Object {
				a.add(newAPISIXObject(kind, one, one.Get("id").Scalar()))
				a.nested(a.list[len(a.list)-1])
			}
		}
	}
	// ADC has one global rule, and no ids.
	if rule := n.Get("global_rules"); rule != nil && rule.Kind == document.Object {
		a.add(&apisixObject{kind: "global_rules", name: "global", Node: rule, own: rule})
	}
	a.add(&apisixObject{kind: "plugin_metadata", id: "cors", Node: n.Get("plugin_metadata", "cors")})
	switch key, value := n.Get("key").String(), n.Get("value"); {
	case n.Get("node") != nil:
		a.document(n.Get("node")) // as the Admin API of APISIX 2 has it
	case value != nil && strings.Contains(key, "/"):
		parts := strings.Split(key, "/")
		a.add(newAPISIXObject(parts[len(parts)-2], value, parts[len(parts)-1]))
	case n.Has("list", "nodes"):
		for _, one := range slices.Concat(n.Get("list").List(), n.Get("nodes").List()) {
			a.document(one)
		}
	case n.Get("plugins", "cors") != nil, n.Has("uri", "uris") && n.Has("upstream", "upstream_id", "service_id", "plugins"):
		a.add(newAPISIXObject("routes", n, n.Get("id").Scalar()))
	}
}

// nested adds the routes that stand in a service, as APISIX' command ADC has them.
func (a *apisix) nested(service *apisixObject) {
	for _, one := range service.Get("routes").List() {
		if one.Kind == document.Object && service.kind == "services" {
			route := newAPISIXObject("routes", one, one.Get("id").Scalar())
			route.service = service
			a.add(route)
		}
	}
}

func newAPISIXObject(kind string, n *document.Node, id string) *apisixObject {
	name := cmp.Or(n.Get("name").String(), n.Get("username").String(), id)
	return &apisixObject{Node: n, kind: kind, id: id, name: name}
}

// apisixRoute reads the routes of an ApisixRoute.
func (a *apisix) apisixRoute(r *resource) {
	for _, http := range a.objects(r.Get("spec", "http")) {
		name := strings.TrimSuffix(r.name+"-"+http.Get("name").String(), "-")
		a.add(&apisixObject{
			Node: http, kind: "routes", name: name, match: http.Get("match"),
			id: cmp.Or(http.Get("plugin_config_namespace").String(), r.namespace),
		})
	}
}

// plugin is the configuration of an object's cors plugin, nil if it has none. Of several in
// a list the last counts.
func (o *apisixObject) plugin() (plugin *document.Node) {
	if o == nil {
		return nil
	}
	plugins := o.plugins()
	for _, one := range plugins.List() {
		if one.Get("name").String() == "cors" && !isFalse(one.Get("enable")) {
			plugin = one
		}
	}
	return cmp.Or(plugin, plugins.Get("cors"))
}

// isFalse reports whether a value is false.
func isFalse(n *document.Node) bool { return n != nil && n.Kind == document.Bool && n.Text == "false" }

// addRoutes adds the routes, and the policies for them.
func (a *apisix) addRoutes() {
	policies := map[*apisixObject]*draft{}
	for _, o := range a.list {
		if plugin := o.plugin(); plugin != nil {
			policies[o] = a.pluginPolicy(o, plugin)
		}
	}
	var routes []*apisixRoute
	global := a.global(policies)
	for _, o := range a.list {
		if o.kind == "routes" {
			routes = append(routes, a.routes(o, policies, global)...)
		}
	}
	for _, o := range a.list {
		routes = append(routes, a.unused(o, policies, routes != nil)...)
	}
	if global != nil {
		route := &envoyRoute{from: global.from, policy: global, path: envoyPath{kind: everyPath}}
		routes = append(routes, &apisixRoute{envoyRoute: route, of: global.Name, global: true})
	}
	a.order(routes)
	a.t.addDrafts()
}

// pluginPolicy is the policy of an object that has the plugin; nil if the plugin is disabled.
func (a *apisix) pluginPolicy(o *apisixObject, plugin *document.Node) *draft {
	words := strings.TrimSuffix(apisixKinds[o.kind]+" "+quote(o.name), ` ""`)
	conf := plugin
	if plugin.Has("name", "config") && o.plugins().Kind == document.List {
		a.unknown(plugin, "a plugin", "name", "enable", "config", "secret_ref")
		if secret := plugin.Get("secret_ref"); given(secret) {
			a.warn(secret, "the rest of the plugin's configuration is in a Secret, which isn't in the file", "left out")
		}
		conf = plugin.Get("config")
	}
	if given(conf) && conf.Kind != document.Object {
		a.warn(conf, "is no object, so APISIX refuses it", "left out")
		return nil
	}
	meta := conf.Get("_meta")
	if a.object(meta) {
		a.unknown(meta, "_meta", "disable", "error_response", "priority", "filter")
	}
	if a.boolean(meta.Get("disable"), false) || a.boolean(conf.Get("disable"), false) {
		return nil
	}
	a.found(plugin, "the cors plugin of the "+words)
	if o.kind == "consumers" || o.kind == "consumer_groups" {
		a.warn(plugin, "is for the requests of a consumer, and the filter doesn't know who that is",
			"left out; write a policy for the hosts and paths of these requests")
		return nil
	}
	d := a.policy(o, plugin, conf)
	a.filtered[d] = isSet(meta.Get("filter"))
	return d
}

// global is the policy of the global rules. Of several, the last one that ran would have
// its headers in the answer, and their order isn't known.
func (a *apisix) global(policies map[*apisixObject]*draft) (global *draft) {
	for _, o := range a.list {
		policy := policies[o]
		switch {
		case o.kind != "global_rules" || policy == nil:
		case global == nil:
			global = policy
		case global.key() != policy.key():
			a.warn(policy.from, "is a second global rule with the plugin, and both run for each request",
				"left out; the one in line "+line(global.from)+" is carried over")
		}
	}
	return global
}

// An apisixRoute is a route for one host, or for every host.
type apisixRoute struct {
	*envoyRoute
	of       string // who has it
	host     *document.Node
	priority int
	// global tells that it stands for a global rule, where no route is.
	global bool
}

// routes are those that a route object stands for: one for each host and path.
func (a *apisix) routes(o *apisixObject, policies map[*apisixObject]*draft, global *draft) (list []*apisixRoute) {
	match := cmp.Or(o.match, o.Node)
	switch status := o.Get("status"); {
	case status == nil, status.Scalar() == "1":
	case status.Scalar() == "0":
		if policies[o] != nil {
			a.warn(status, "the route is disabled", "left out")
		}
		return nil
	default:
		a.warn(status, "is neither 0 nor 1, so APISIX refuses it", "carried over as 1")
	}
	policy, service := a.effective(o, policies)
	switch {
	case policy == nil:
		policy = global
	case global != nil && global.key() != policy.key():
		a.warn(policy.from, "runs beside the plugin of the global rule in line "+line(global.from)+
			", which answers the preflights there", "carried over, and answers them here")
	}
	hosts := a.values(match, "host", "hosts")
	if hosts == nil {
		hosts = a.values(service.node(), "host", "hosts")
	}
	if hosts == nil {
		hosts = []*document.Node{nil}
	}
	paths := a.values(match, "uri", "uris", "paths")
	if paths == nil {
		paths = []*document.Node{nil}
		if policy != nil && policy != global {
			a.warn(policy.from, "it isn't said which paths this is for", "carried over for every path")
		}
	}
	priority, _ := strconv.Atoi(o.Get("priority").Scalar())
	for _, host := range hosts {
		for _, path := range paths {
			route := &envoyRoute{from: cmp.Or(path, o.Node), policy: policy, path: apisixPath(path)}
			a.conditions(route, match)
			list = append(list, &apisixRoute{envoyRoute: route, of: o.name, host: host, priority: priority})
		}
	}
	return list
}

// node is the object's node; o may be nil.
func (o *apisixObject) node() *document.Node {
	if o == nil {
		return nil
	}
	return o.Node
}

// effective is the policy that applies to a route: of the plugins of the same name there,
// in the plugin config and in the service, the first counts, also where it is disabled.
func (a *apisix) effective(o *apisixObject, policies map[*apisixObject]*draft) (policy *draft, service *apisixObject) {
	config := a.refer(o, "plugin_configs", a.id(o.Get("plugin_config_id")))
	if name := o.Get("plugin_config_name").String(); name != "" {
		config = a.refer(o, "plugin_configs", o.id+"/"+name)
	}
	service = a.refer(o, "services", a.id(o.Get("service_id")))
	if o.service != nil {
		service = o.service
		a.used[service] = true
	}
	for _, one := range []*apisixObject{o, config, service} {
		if one.plugin() != nil {
			return policies[one], service
		}
	}
	return nil, service
}

// id is a reference as text.
func (a *apisix) id(n *document.Node) string {
	if given(n) && n.Kind != document.String && n.Kind != document.Number {
		a.warn(n, "is no id, so APISIX refuses it", "left out")
	}
	return text(n)
}

// refer is the object that another one refers to, nil if it refers to none.
func (a *apisix) refer(from *apisixObject, kind, id string) *apisixObject {
	if id == "" || strings.HasSuffix(id, "/") {
		return nil
	}
	o := a.byID[kind+" "+id]
	if _, name, found := strings.Cut(id, "/"); found && o == nil {
		o = a.byID[kind+" /"+name] // without a namespace
	}
	a.used[o] = true
	if o == nil {
		a.warn(from.Node, "the "+apisixKinds[kind]+" "+quote(strings.TrimPrefix(id, "/"))+" isn't in the file",
			"carried over without the plugins that it may have; give both in one file")
	}
	return o
}

// unused are the routes of a service or a plugin config that none of the file refers to.
func (a *apisix) unused(o *apisixObject, policies map[*apisixObject]*draft, routes bool) []*apisixRoute {
	policy := policies[o]
	switch {
	case policy == nil || a.used[o] || o.kind != "services" && o.kind != "plugin_configs":
		return nil
	case routes:
		a.warn(policy.from, "no route in the file has this "+apisixKinds[o.kind], "left out")
		return nil
	}
	a.warn(policy.from, "the routes of this "+apisixKinds[o.kind]+" aren't in the file",
		"carried over for every path; give both in one file")
	one := &apisixObject{Node: o.Node, kind: "routes", name: o.name, match: o.Node}
	return a.routes(one, map[*apisixObject]*draft{one: policy}, policy)
}

// values are the texts of fields of which one is set.
func (a *apisix) values(n *document.Node, fields ...string) (list []*document.Node) {
	for _, field := range fields {
		list = append(list, a.texts(n.Get(field))...)
	}
	return list
}

// apisixConditions are the fields of a route that the filter can't match by.
var apisixConditions = []struct{ field, words string }{
	{"methods", "method"}, {"vars", "variables"}, {"exprs", "expressions"}, {"remote_addr", "address"},
	{"remote_addrs", "addresses"}, {"filter_func", "a function"},
}

// conditions reads what a route matches by beside host and path.
func (a *apisix) conditions(route *envoyRoute, match *document.Node) {
	for _, condition := range apisixConditions {
		if isSet(match.Get(condition.field)) {
			route.conditions = append(route.conditions, condition.words)
		}
	}
	methods := words(a.texts(match.Get("methods")))
	route.noPreflight = len(methods) > 0 && !slices.Contains(methods, "OPTIONS")
	if a.filtered[route.policy] {
		route.conditions = append(route.conditions, "the plugin's filter")
	}
}

var apisixParameter = regexp.MustCompile(`/:[^/]+`)

// apisixPath is a path of a route: a star at its end stands for any text, and the router
// with parameters knows :name and *name.
func apisixPath(n *document.Node) envoyPath {
	path := text(n)
	prefix, star := strings.CutSuffix(path, "*")
	switch {
	case n == nil, star && (prefix == "" || prefix == "/"):
		return envoyPath{kind: everyPath}
	case !strings.Contains(prefix, "*") && !strings.Contains(path, "/:"):
		return envoyPath{kind: map[bool]pathKind{true: textPrefix, false: exactPath}[star], text: prefix}
	}
	template := apisixParameter.ReplaceAllString(path, "/{p}")
	if head, _, found := strings.Cut(template, "*"); found {
		template = head + "**" // the rest is its name
	}
	p := pathTemplate(template)
	p.text = path
	return p
}

// order adds the routes to the hosts: those of a host first, then those of wildcards that
// have it, then those without a host; exact paths before prefixes, longer ones before
// shorter; of the same path those of a higher priority.
func (a *apisix) order(routes []*apisixRoute) {
	hosts := map[string]*document.Node{"*": nil}
	names := []string{"*"}
	for _, r := range routes {
		if name := strings.ToLower(text(r.host)); r.host != nil && hosts[name] == nil {
			hosts[name] = r.host
			names = append(names, name)
		}
	}
	for _, name := range names {
		var list []*apisixRoute
		for _, r := range routes {
			if r.host == nil || name != "*" && hostCovers(strings.ToLower(text(r.host)), name) {
				list = append(list, r)
			}
		}
		slices.SortStableFunc(list, (*apisixRoute).compare)
		for rank, r := range list {
			one := *r.envoyRoute
			one.rank = rank
			of := &resource{Node: cmp.Or(r.host, one.from), name: r.of}
			own := name == "*" || r.host != nil && strings.EqualFold(text(r.host), name)
			a.t.route("", of, []routedHost{{at: of.Node, names: []string{name}, part: !own}}, &one)
		}
	}
}

// compare is the order in which APISIX tries the routes of a host.
func (r *apisixRoute) compare(other *apisixRoute) int {
	host := func(r *apisixRoute) int {
		switch name := text(r.host); {
		case r.global:
			return -2
		case r.host == nil:
			return -1
		case strings.HasPrefix(name, "*"):
			return len(name)
		}
		return 1 << 20
	}
	path := func(r *apisixRoute) int {
		return map[pathKind]int{exactPath: 1 << 20, regexPath: 1 << 10}[r.path.kind] + len(r.path.text)
	}
	return cmp.Or(host(other)-host(r), path(other)-path(r), other.priority-r.priority)
}

// ingress reads the annotations of an Ingress.
func (a *apisix) ingress(r *resource) {
	annotation := func(name string) (value *document.Node) {
		for _, m := range members(r.Get("metadata", "annotations")) {
			if m.Name == apisixAnnotations+name {
				value = m.Value
			}
		}
		return value
	}
	enable := annotation("enable-cors")
	if enabled, _ := strconv.ParseBool(text(enable)); !enabled {
		return
	}
	a.found(enable, "an annotation of the Ingress "+quote(r.name))
	for _, name := range []string{"cors-allow-origin", "cors-allow-methods", "cors-allow-headers"} {
		if n := annotation(name); n != nil {
			a.found(n, "an annotation of the Ingress "+quote(r.name))
		}
	}
	set := func(name string) *document.Node {
		if n := annotation(name); text(n) != "" {
			return n
		}
		return nil
	}
	d := newDraft(enable, r.name, "")
	a.allowed(d, set("cors-allow-methods"), set("cors-allow-headers"))
	d.age(enable, apisixAge)
	if n := set("cors-allow-origin"); n != nil {
		a.originList(d, n)
	} else {
		d.addOrigin(cors.OriginEntry{Text: "*"}, enable)
	}
	a.t.ingressRoutes(r, d)
}
