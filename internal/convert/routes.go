package convert

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A routing collects the routes of Kubernetes resources as the tables that a proxy
// makes of them: one for each gateway, with the routes of each host.
type routing struct {
	reader *envoyReader
	// proxy is who routes, as messages call it.
	proxy string
	// remedy is what to do about a route that host and path don't tell from others.
	remedy string
	// order is the order in which the proxy tries the routes of a host.
	order func(a, b *envoyRoute) int

	tables map[string]*envoyTable
	hosts  map[string]*virtualHost // by gateway and host
	// unnamed has the names of the resources that policies are called by; nil if policies
	// have names of their own.
	unnamed map[string]bool
}

func newRouting(c *conversion, proxy, remedy string, order func(a, b *envoyRoute) int) *routing {
	return &routing{
		reader: &envoyReader{conversion: c}, proxy: proxy, remedy: remedy, order: order,
		tables: map[string]*envoyTable{}, hosts: map[string]*virtualHost{}, unnamed: map[string]bool{},
	}
}

// A routedHost is a host that a resource has routes for.
type routedHost struct {
	at *document.Node
	// names are what requests call it, as in match.hosts; "*" is every host.
	names []string
	// part tells that a wildcard of the resource has the host too: what doesn't reach it
	// reaches others.
	part bool
	// sample is one of the hosts where match.hosts can't say what they are; otherwise "".
	sample string
}

// everyHost is the host of a resource that names none.
func everyHost(at *document.Node) []routedHost { return []routedHost{{at: at, names: []string{"*"}}} }

// routedHosts are the hosts of a list of strings, or every host if it has none.
func (c *conversion) routedHosts(list, of *document.Node) (hosts []routedHost) {
	for _, host := range c.texts(list) {
		hosts = append(hosts, oneHost(host))
	}
	if hosts == nil {
		return everyHost(of)
	}
	return hosts
}

// oneHost is a host that has one name.
func oneHost(n *document.Node) routedHost { return routedHost{at: n, names: []string{n.Text}} }

// host is the virtual host for a resource's host in the table of a gateway.
func (t *routing) host(gateway string, r *resource, host routedHost) *virtualHost {
	table := t.tables[gateway]
	if table == nil {
		table = &envoyTable{reader: t.reader, from: r.Node}
		t.tables[gateway] = table
		t.reader.tables = append(t.reader.tables, table)
	}
	key := func(name string) string { return gateway + " " + strings.ToLower(name) + " " + host.sample }
	v := t.hosts[key(host.names[0])]
	if v == nil {
		v = &virtualHost{from: cmp.Or(r.Get("spec"), r.Node), name: r.name}
		table.hosts = append(table.hosts, v)
	} else if v.name != r.name {
		v.name = strings.TrimPrefix(host.names[0], "*.") // which both have
	}
	for _, name := range host.names {
		if t.hosts[key(name)] == nil {
			t.hosts[key(name)] = v
			d := newDomain(host.at, strings.ToLower(name), host.sample != "")
			d.sample = cmp.Or(host.sample, d.sample)
			v.domains = append(v.domains, d)
		}
	}
	return v
}

// route adds a route to the hosts of a resource.
func (t *routing) route(gateway string, r *resource, hosts []routedHost, route *envoyRoute) {
	route.match = route.from
	t.reader.unreached(route)
	if t.unnamed != nil {
		t.unnamed[r.name] = true
	}
	for _, host := range hosts {
		v := t.host(gateway, r, host)
		if host.part && slices.ContainsFunc(v.routes, func(earlier *envoyRoute) bool {
			return len(earlier.conditions) == 0 && earlier.path.covers(route.path)
		}) {
			continue
		}
		v.routes = append(v.routes, route)
	}
}

// addDrafts turns the tables into drafts.
func (t *routing) addDrafts() {
	var tables []*envoyTable
	for _, table := range t.reader.tables {
		for _, v := range table.hosts {
			slices.SortStableFunc(v.routes, t.order)
			t.widen(v)
		}
		if table.hasPolicy() {
			tables = append(tables, table)
		}
	}
	for _, table := range tables {
		table.fill()
		t.report(table)
	}
	if len(tables) == 1 {
		tables[0].prune()
	} else {
		t.merge(tables)
	}
	for _, table := range tables {
		t.name(table)
		table.unite()
		table.join()
		table.addDrafts()
	}
}

// bySpecificity is the order of Gateway API: exact paths come first, then longer
// prefixes, then routes that match by more.
func bySpecificity(a, b *envoyRoute) int {
	return cmp.Or(b.path.specificity()-a.path.specificity(), len(b.conditions)-len(a.conditions))
}

// specificity is more for a path that comes before another one.
func (p envoyPath) specificity() int {
	n := len(strings.TrimSuffix(p.text, "/"))
	switch p.kind {
	case exactPath:
		n = 1 << 30
	case regexPath:
		n += 1 << 20
	}
	return n
}

// widen drops the conditions of routes that have all requests for their path anyway:
// what doesn't meet them gets no answer but the proxy's own.
func (t *routing) widen(v *virtualHost) {
	said := map[string]bool{}
	for i, r := range v.routes {
		if len(r.conditions) == 0 || r.name != "" || r.policy == nil {
			continue
		}
		covered := false
		contested := slices.ContainsFunc(v.routes, func(other *envoyRoute) bool {
			covers := other.path.covers(r.path)
			covered = covered || covers && len(other.conditions) == 0
			return other.policy.key() != r.policy.key() &&
				(covers || other.path.mayMatch(r.path) || r.path.mayMatch(other.path))
		}) || slices.ContainsFunc(v.routes[i+1:], func(later *envoyRoute) bool {
			return later.policy.key() != r.policy.key() && r.path.covers(later.path) // and would never be reached
		})
		if contested {
			continue
		}
		if key := r.path.words() + r.policy.key(); !covered && !said[key] {
			said[key] = true
			t.reader.warn(r.from, "the filter can't match by "+inWords(r.conditions),
				"carried over for all requests for the path, because no other route in the file is for them")
		}
		r.conditions = nil
	}
}

// maxPruned bounds the rules among which superfluous ones are looked for, as each is
// tried.
const maxPruned = 50

// prune leaves out the rules without which the same policies apply.
func (t *envoyTable) prune() {
	if len(t.rules) > maxPruned {
		return
	}
	requests := slices.Collect(t.requests)
	for i := len(t.rules) - 1; i >= 0; i-- {
		rules := t.rules
		if len(rules[i].match.Hosts) == 0 {
			continue
		}
		t.rules = slices.Delete(slices.Clone(rules), i, i+1)
		t.index()
		if slices.ContainsFunc(requests, func(r request) bool {
			return t.lookup(r.route.name, r.domain.sample, r.path).effect() != r.rule.effect()
		}) {
			t.rules = rules
		}
	}
	t.index()
}

// effect tells rules apart by what they do; r may be nil.
func (r *tableRule) effect() string {
	return fmt.Sprint(r.policyOf().key(), r != nil && r.withoutCredentials)
}

// merge looks for what becomes of the requests of one table where the filter has the
// rules of all.
func (t *routing) merge(tables []*envoyTable) {
	all := &envoyTable{reader: t.reader}
	for _, table := range tables {
		all.rules = append(all.rules, table.rules...)
	}
	all.index()
	for _, table := range tables {
		said := map[*document.Node]bool{}
		alone := *table
		alone.wide, alone.byHost = all.wide, all.byHost // for samples of their paths
		for before := range alone.requests {
			after := before
			after.rule = all.lookup(before.route.name, before.domain.sample, before.path)
			if at := after.route.from; after.rule != nil && after.differs() && !before.differs() {
				if !said[at] {
					said[at] = true
					from := after.rule.host.from
					if policy := after.rule.policy; policy != nil {
						from = policy.from
					}
					t.reader.warn(at, "is of another gateway than what is in line "+line(from)+", and together "+
						after.inWords(),
						"convert the resources of each gateway on their own, and give each its own configuration")
				}
				t.dropCredentials(after, "convert the resources of each gateway on their own")
			}
		}
	}
}

// dropCredentials drops a rule's credentials where it would let somebody act as the
// visitor who may not with the proxy.
func (t *routing) dropCredentials(r request, instead string) {
	if r.rule.restrict(r.route.policy) {
		t.reader.warn(r.rule.policy.from, "would also apply to requests of line "+line(r.route.from)+", for which "+
			t.proxy+" lets fewer sites act as the visitor",
			"carried over without allow_credentials; "+instead)
	}
}

// name names the rules by their policies, and by their paths if a resource has several.
func (t *routing) name(table *envoyTable) {
	for _, r := range table.rules {
		if r.policy == nil {
			continue
		}
		r.name = r.policy.Name
		if t.unnamed[r.name] && len(r.match.Paths) > 0 {
			r.name = strings.TrimSuffix(r.name+"-"+strings.Trim(r.match.Paths[0].Path, "/"), "-")
		}
	}
}

// unite makes one rule of those that differ in their paths alone, or in their routes.
func (t *envoyTable) unite() {
	first := map[string]*tableRule{}
	t.rules = slices.DeleteFunc(t.rules, func(r *tableRule) bool {
		routes := r.match.OnlyRoutes()
		key := fmt.Sprint(r.policy.key(), routes, r.match.Hosts, r.withoutCredentials)
		one := first[key]
		if one == nil {
			first[key] = r
			return false
		}
		if !routes {
			one.match.Paths = append(slices.Clone(one.paths()), r.paths()...)
		}
		one.match.Routes = append(slices.Clone(one.match.Routes), r.match.Routes...)
		return true
	})
}

// paths are the rule's paths, where every path is a prefix.
func (r *tableRule) paths() []match.Path {
	if len(r.match.Paths) == 0 {
		return []match.Path{{Path: "/", Prefix: true}}
	}
	return r.match.Paths
}

// report says where the filter takes another policy than the proxy.
func (t *routing) report(table *envoyTable) {
	said := map[*document.Node]bool{}
	var wider []*document.Finding // of prefixes that end within a segment
	for r := range table.requests {
		if !r.differs() {
			continue
		}
		if at := r.route.from; !said[at] {
			said[at] = true
			unmatched := r.unmatched()
			what := cmp.Or(unmatched, r.route.path.words()+" is also for "+quote(r.path)+
				" there, and here a prefix ends with a segment")
			t.reader.warn(at, what+", so "+r.inWords(), t.remedy)
			if unmatched == "" && r.rule == nil {
				last := len(t.reader.findings) - 1
				wider = append(wider, t.reader.findings[last])
				t.reader.findings = t.reader.findings[:last]
			}
		}
		t.dropCredentials(r, t.remedy)
	}
	t.reader.findings = append(t.reader.findings, alike(wider)...)
	for _, v := range table.hosts {
		for _, r := range v.routes {
			if !said[r.from] && r.path.unsampled() {
				said[r.from] = true
				t.reader.warn(r.from, "no path is known that "+r.path.words()+
					" matches, so it isn't known which policy applies to its requests", t.remedy)
			}
		}
	}
}

// maxAlike is how many findings of the same cause are each worth their lines.
const maxAlike = 3

// alike are findings of the same cause, of which many are one that has their lines.
func alike(list []*document.Finding) []*document.Finding {
	if len(list) <= maxAlike {
		return list
	}
	slices.SortStableFunc(list, func(a, b *document.Finding) int { return a.Offset - b.Offset })
	first, rest := list[0], len(list)-1
	var at []string
	for _, f := range list[1:min(len(list), 1+maxAlike)] {
		at = append(at, fmt.Sprint(f.Line))
	}
	if more := rest - len(at); more > 0 {
		at = append(at, fmt.Sprint(more, " more"))
	}
	first.What += "; likewise " + fmt.Sprint(rest) + " other routes, in lines " + inWords(at)
	return []*document.Finding{first}
}

// notInPreflights reports whether a header is one that preflights don't have: they
// have those that browsers add, and no cookies.
func notInPreflights(name string) bool {
	name = strings.ToLower(name)
	for _, prefix := range []string{":", "access-control-", "sec-", "x-forwarded-", "x-envoy-", "accept"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return !slices.Contains([]string{"origin", "host", "user-agent", "referer", "connection"}, name)
}

// hostCovers reports whether a pattern of match.hosts, "" for every host, matches all
// that another one does.
func hostCovers(pattern, other string) bool {
	suffix, wildcard := strings.CutPrefix(pattern, "*")
	return pattern == "" || strings.EqualFold(pattern, other) ||
		wildcard && len(other) > len(suffix) && strings.EqualFold(other[len(other)-len(suffix):], suffix)
}

// pathCovers reports whether a match of paths, the zero one for every path, matches
// all that another one does.
func pathCovers(m, other match.Path) bool {
	switch {
	case m.Path == "":
		return true
	case !m.Prefix:
		return m == other
	}
	rest, below := strings.CutPrefix(other.Path, strings.TrimSuffix(m.Path, "/"))
	return below && (rest == "" || rest[0] == '/') && other.Path != ""
}

// line is the line of a value, for a message about another one.
func line(n *document.Node) string { return fmt.Sprint(n.Position().Line) }

// inWords joins words as in a sentence.
func inWords(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
