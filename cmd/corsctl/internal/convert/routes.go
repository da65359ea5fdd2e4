package convert

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/corsctl/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
)

// A routing collects the routes of Kubernetes resources as the tables that a proxy
// makes of them: one for each gateway, with the routes of each host.
type routing struct {
	reader *envoyReader
	// proxy is who routes, as messages call it.
	proxy string
	// remedy is what to do about a route that host and path don't tell from others.
	remedy string
	// bySpecificity tells that the most specific route of a host counts, and not the
	// first.
	bySpecificity bool

	tables map[string]*envoyTable
	hosts  map[string]*virtualHost
}

func newRouting(c *conversion, proxy, remedy string, bySpecificity bool) *routing {
	return &routing{
		reader: &envoyReader{c: c}, proxy: proxy, remedy: remedy, bySpecificity: bySpecificity,
		tables: map[string]*envoyTable{}, hosts: map[string]*virtualHost{},
	}
}

// A routedHost is a host that a resource has routes for.
type routedHost struct {
	at *document.Node
	// names are what requests call it, as in match.hosts; "*" is every host.
	names []string
}

// everyHost is the host of a resource that names none.
func everyHost(at *document.Node) []routedHost { return []routedHost{{at, []string{"*"}}} }

// routedHosts are the hosts of a list of strings, or every host if it has none.
func (c *conversion) routedHosts(list, of *document.Node) []routedHost {
	texts, at := c.texts(list)
	if len(texts) == 0 {
		return everyHost(of)
	}
	var hosts []routedHost
	for i, text := range texts {
		hosts = append(hosts, routedHost{at[i], []string{text}})
	}
	return hosts
}

// host is the virtual host for a resource's host in the table of a gateway.
func (t *routing) host(gateway string, r *resource, host routedHost) *virtualHost {
	table := t.tables[gateway]
	if table == nil {
		table = &envoyTable{reader: t.reader, from: r.Node}
		t.tables[gateway] = table
		t.reader.tables = append(t.reader.tables, table)
	}
	key := gateway + " " + strings.ToLower(host.names[0])
	v := t.hosts[key]
	if v == nil {
		v = &virtualHost{from: r.Node, name: r.name}
		t.hosts[key] = v
		table.hosts = append(table.hosts, v)
	}
	for _, name := range host.names {
		name = strings.ToLower(name)
		if !slices.ContainsFunc(table.hosts, func(v *virtualHost) bool {
			return slices.ContainsFunc(v.domains, func(d domain) bool { return d.text == name })
		}) {
			v.domains = append(v.domains, newDomain(host.at, name, false))
		}
	}
	return v
}

// route adds a route to the hosts of a resource.
func (t *routing) route(gateway string, r *resource, hosts []routedHost, route *envoyRoute) {
	route.match = route.from
	for _, host := range hosts {
		v := t.host(gateway, r, host)
		v.routes = append(v.routes, route)
	}
}

// policyOf is a policy as tables have it.
func policyOf(r *rule) *envoyPolicy {
	if r == nil {
		return nil
	}
	r.detach()
	return &envoyPolicy{rule: r, text: fingerprint(r)}
}

// addRules turns the tables into rules.
func (t *routing) addRules() {
	var tables []*envoyTable
	for _, table := range t.reader.tables {
		for _, v := range table.hosts {
			if t.bySpecificity {
				slices.SortStableFunc(v.routes, bySpecificity)
			}
			t.widen(v)
		}
		if table.hasPolicy() {
			tables = append(tables, table)
		}
	}
	for _, table := range tables {
		t.fill(table)
	}
	compareTables(tables)
	for _, table := range tables {
		table.addRules()
	}
}

// bySpecificity is the order of Gateway API: exact paths come first, then longer
// prefixes, then routes that match by more.
func bySpecificity(a, b *envoyRoute) int {
	rank := func(r *envoyRoute) int {
		n := len(strings.TrimSuffix(r.path.text, "/"))
		switch r.path.kind {
		case exactPath:
			n = 1 << 30
		case regexPath:
			n += 1 << 20
		}
		return n
	}
	if rank(a) != rank(b) {
		return rank(b) - rank(a)
	}
	return len(b.conditions) - len(a.conditions)
}

// widen drops the conditions of routes that have all requests for their path anyway:
// what doesn't meet them gets no answer but the proxy's own.
func (t *routing) widen(v *virtualHost) {
	said := map[string]bool{}
	for _, r := range v.routes {
		if len(r.conditions) == 0 || r.name != "" || r.policy == nil || slices.ContainsFunc(v.routes, func(other *envoyRoute) bool {
			return other.policy.key() != r.policy.key() && (other.path.covers(r.path) || other.path.kind == regexPath)
		}) {
			continue
		}
		if !slices.ContainsFunc(v.routes, func(other *envoyRoute) bool { return len(other.conditions) == 0 && other.path.covers(r.path) }) &&
			!said[r.path.words()+r.policy.key()] {
			said[r.path.words()+r.policy.key()] = true
			t.reader.c.warn(r.from, "", "the filter can't match by "+inWords(r.conditions),
				"carried over for all requests for the path, because no other route in the file is for them")
		}
		r.conditions = nil
	}
}

// fill makes the rules of a table.
func (t *routing) fill(table *envoyTable) {
	for _, v := range table.hosts {
		table.byPath(v)
	}
	table.index()
	for _, step := range []func() bool{table.exempt, table.repairPoints, table.byName} {
		if step() {
			table.index()
		}
	}
	table.prune()
	t.report(table)
	table.join()
}

// maxPruned bounds the rules among which superfluous ones are looked for, as each is
// tried.
const maxPruned = 50

// prune leaves out the rules without which the same policies apply.
func (t *envoyTable) prune() {
	if len(t.rules) > maxPruned {
		return
	}
	for i := len(t.rules) - 1; i >= 0; i-- {
		before, rules := len(t.differences()), t.rules
		if len(rules[i].match.Hosts) == 0 {
			continue
		}
		t.rules = slices.Delete(slices.Clone(rules), i, i+1)
		if t.index(); len(t.differences()) != before {
			t.rules = rules
			t.index()
		}
	}
}

// report says where the filter takes another policy than the proxy. Where that would
// let somebody act as the visitor, the policy loses its credentials.
func (t *routing) report(table *envoyTable) {
	c := t.reader.c
	said := map[*document.Node]bool{}
	for _, d := range table.differences() {
		if at := d.route.from; !said[at] {
			said[at] = true
			c.warn(at, "", t.difference(d)+", so "+d.inWords(), t.remedy)
		}
		if d.rule != nil && !d.rule.withoutCredentials && lenient(d.rule.policy, d.route.policy) {
			d.rule.withoutCredentials = true
			c.warn(d.rule.policy.rule.from, "", "would also apply to requests of line "+line(d.route.from)+", for which "+t.proxy+
				" lets fewer sites act as the visitor", "carried over without allow_credentials; "+t.remedy)
		}
	}
}

// difference says why the filter can't match a request as the proxy does.
func (t *routing) difference(d difference) string {
	switch {
	case !d.domain.known:
		return "the filter can't match hosts by " + quote(d.domain.text)
	case len(d.route.conditions) > 0:
		return "the filter can't match by " + inWords(d.route.conditions)
	case d.route.path.inexact():
		return "the filter can't match paths by " + d.route.path.words()
	}
	return d.route.path.words() + " is also for " + quote(d.path) + " there, and here a prefix ends with a segment"
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
func pathCovers(m, other cors.PathMatch) bool {
	switch {
	case m.Path == "":
		return true
	case !m.Prefix:
		return m == other
	}
	rest, below := strings.CutPrefix(other.Path, strings.TrimSuffix(m.Path, "/"))
	return below && (rest == "" || rest[0] == '/') && other.Path != ""
}

// fingerprint is the policy as text, without its name and its match.
func fingerprint(r *rule) string {
	if r == nil {
		return ""
	}
	alike := *r
	alike.Name, alike.Match = "", cors.Match{}
	return object("", alike.fields(false))
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
