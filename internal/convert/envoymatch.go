package convert

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// An envoyTable is a route configuration.
//
// Envoy takes the first route that matches, by whatever it matches; the filter takes
// the most specific host and path, or a route's name. So rules are made of the routes'
// hosts and paths, and then both are asked for samples of all that can tell them
// apart: each host, and for each path what is there, below it, and beside it. Where
// they disagree, the route's name makes up for it, or a warning.
type envoyTable struct {
	reader *envoyReader
	from   *document.Node
	hosts  []*virtualHost
	rules  []*tableRule

	// What index makes of the rules.
	byMatch *match.Table[*tableRule] // nil if the filter would refuse it
	own     map[*virtualHost][]*tableRule
	wide    []*tableRule            // those for more hosts than are named
	byHost  map[string][]*tableRule // those for a host
}

// A virtualHost is one of Envoy's.
type virtualHost struct {
	from    *document.Node
	name    string
	domains []domain
	routes  []*envoyRoute
	// policy is what applies where no route says anything.
	policy *draft

	byPath map[string][]*envoyRoute // what candidates has found
}

// A domain of a virtual host.
type domain struct {
	at   *document.Node
	text string
	// pattern is the domain as in match.hosts, "" for every host.
	pattern string
	// known tells that match.hosts can say what the domain is.
	known bool
	// sample is a host of the domain, and hardly of another.
	sample string
}

// An envoyRoute is a route of a virtual host.
type envoyRoute struct {
	from, match *document.Node
	name        string
	path        envoyPath
	// conditions are what it matches by beside the path, in words.
	conditions []string
	// noPreflight tells that no preflight meets the conditions.
	noPreflight bool
	policy      *draft
	rank        int // see byRank
}

// A tableRule is a rule that the table becomes.
type tableRule struct {
	match  match.Match
	policy *draft // nil exempts
	host   *virtualHost
	name   string
	// withoutCredentials says that they had to be dropped.
	withoutCredentials bool
}

// hasPolicy reports whether anything in the table has a policy.
func (t *envoyTable) hasPolicy() bool {
	return slices.ContainsFunc(t.hosts, func(v *virtualHost) bool {
		return v.policy != nil || slices.ContainsFunc(v.routes, func(r *envoyRoute) bool { return r.policy != nil })
	})
}

// newDomain reads a domain, given in lower case.
func newDomain(at *document.Node, text string, byHeader bool) domain {
	d := domain{at: at, text: text, pattern: text, known: !byHeader, sample: text}
	beforePort, anyPort := strings.CutSuffix(text, ":*")
	switch {
	case text == "*":
		d.pattern, d.sample = "", sampleHost("")
		return d
	case anyPort:
		d.pattern, d.sample = beforePort, beforePort // the filter's hosts are for any port
	case strings.HasPrefix(text, "*"):
		d.sample = "any-host" + text[1:]
	case strings.HasSuffix(text, "*"):
		d.sample = text[:len(text)-1] + "any-host"
	}
	d.known = d.known && match.Check(match.Match{Hosts: []string{d.pattern}}).Errors == 0
	return d
}

// patterns are the hosts of a match for the virtual host; ok is false if the filter
// can't match by any of its domains.
func (v *virtualHost) patterns() (hosts []string, ok bool) {
	for _, d := range v.domains {
		switch {
		case !d.known:
		case d.pattern == "":
			return nil, true
		case !slices.Contains(hosts, d.pattern):
			hosts = append(hosts, d.pattern)
		}
	}
	return hosts, hosts != nil
}

// candidates are the routes that a path may take: those that have more conditions,
// and then the first that has none.
func (v *virtualHost) candidates(path string) []*envoyRoute {
	routes, known := v.byPath[path]
	if known {
		return routes
	}
	for _, r := range v.routes {
		if r.path.matches(path) {
			if routes = append(routes, r); len(r.conditions) == 0 {
				break
			}
		}
	}
	if v.byPath == nil {
		v.byPath = map[string][]*envoyRoute{}
	}
	v.byPath[path] = routes
	return routes
}

// fill makes the rules.
func (t *envoyTable) fill() {
	for _, v := range t.hosts {
		t.byPath(v)
	}
	t.index()
	for _, amend := range []func(){t.exempt, t.repairPoints, t.byName} {
		amend()
		t.index()
	}
}

// A placement is a path, and the policy for it.
type placement struct {
	path   match.Path // the zero one is every path
	policy *draft
	route  *envoyRoute // nil if it is the virtual host's
}

// byPath makes the rules of a virtual host by its routes' paths.
func (t *envoyTable) byPath(v *virtualHost) {
	hosts, ok := v.patterns()
	if !ok {
		return
	}
	byPolicy := map[string]*tableRule{}
	var rules []*tableRule
	for _, p := range necessary(t.placements(v)) {
		r := byPolicy[p.policy.key()]
		if r == nil {
			r = &tableRule{match: match.Match{Hosts: hosts}, policy: p.policy, host: v, name: p.name(v)}
			byPolicy[p.policy.key()] = r
			rules = append(rules, r)
		}
		r.match.Paths = append(r.match.Paths, p.path)
	}
	for _, r := range rules {
		every := slices.Index(r.match.Paths, match.Path{})
		switch {
		case every < 0:
		case len(r.match.Paths) == 1:
			r.match.Paths = nil
		default: // beside others that have it from elsewhere, it is a prefix
			r.match.Paths[every] = match.Path{Path: "/", Prefix: true}
		}
	}
	t.rules = append(t.rules, rules...)
}

// name is what a rule is called that begins with the placement.
func (p placement) name(v *virtualHost) string {
	switch {
	case p.path.Path == "":
		return v.name
	case p.route != nil && p.route.name != "":
		return p.route.name
	}
	return v.name + "-" + strings.Trim(p.path.Path, "/")
}

// placements are the paths of the routes that can be reached, each once.
func (t *envoyTable) placements(v *virtualHost) (list []placement) {
	taken := map[match.Path]bool{}
	add := func(p placement) {
		if key := p.path.Canonical(); !taken[key] {
			taken[key] = true
			list = append(list, p)
		}
	}
	var earlier []*envoyRoute
	for _, r := range v.routes {
		if len(r.conditions) > 0 {
			continue
		}
		if i := slices.IndexFunc(earlier, func(before *envoyRoute) bool { return before.path.covers(r.path) }); i >= 0 {
			if r.policy.key() != earlier[i].policy.key() {
				t.reader.unreachable(r, earlier[i])
			}
			continue
		}
		earlier = append(earlier, r)
		if path, ok := r.path.match(); ok {
			add(placement{path, r.policy, r})
		}
	}
	if v.policy != nil {
		add(placement{policy: v.policy})
	}
	return list
}

// unreachable says so of a route that comes after one for all of its requests.
func (e *envoyReader) unreachable(r, earlier *envoyRoute) {
	e.warn(r.from, "no request gets here, because the route in line "+line(earlier.from)+
		" comes first and matches them all",
		"left out; put it first if it is meant to apply")
}

// necessary are the placements without those that the next wider one makes up for.
func necessary(list []placement) []placement {
	// From the widest to the narrowest.
	slices.SortStableFunc(list, func(a, b placement) int { return width(a.path) - width(b.path) })
	var kept []placement
	for _, p := range list {
		var policy *draft
		for _, wider := range kept {
			if pathCovers(wider.path, p.path) {
				policy = wider.policy // the last is the narrowest
			}
		}
		if policy.key() != p.policy.key() {
			kept = append(kept, p)
		}
	}
	return kept
}

// width sorts paths: every path, prefixes from the shortest, exact ones.
func width(path match.Path) int {
	n := len(strings.TrimSuffix(path.Path, "/"))
	if !path.Prefix && path.Path != "" {
		n += 1 << 20
	}
	return n
}

// index makes a table of the rules, to ask it as the filter would.
func (t *envoyTable) index() {
	t.own, t.byHost, t.wide = map[*virtualHost][]*tableRule{}, map[string][]*tableRule{}, nil
	b := newBuilder[*tableRule]()
	taken := map[match.Claim]bool{}
	// Virtual hosts differ in their domains, but for what the filter takes for one.
	free := func(claim match.Claim) bool {
		claim = claim.Canonical()
		known := taken[claim]
		taken[claim] = true
		return !known
	}
	for _, r := range t.rules {
		t.own[r.host] = append(t.own[r.host], r)
		if len(r.match.Hosts) == 0 {
			t.wide = append(t.wide, r)
		}
		for _, host := range r.match.Hosts {
			if strings.HasPrefix(host, "*") {
				t.wide = append(t.wide, r)
			} else {
				t.byHost[host] = append(t.byHost[host], r)
			}
		}
		if match.Check(r.match).Errors > 0 {
			continue // a path that no request has; left out later
		}
		for _, m := range unclaimed(r.match, free) {
			b.Add(m, r, true)
		}
	}
	t.byMatch = b.Table()
}

// lookup is the rule that the filter takes for a request, or nil.
func (t *envoyTable) lookup(route, host, path string) *tableRule {
	if t.byMatch == nil {
		return nil
	}
	return t.byMatch.Lookup(match.Key{Route: route, Host: host, Path: path})
}

// policyOf is what the rule makes of a request; r may be nil.
func (r *tableRule) policyOf() *draft {
	if r == nil {
		return nil
	}
	return r.policy
}

// A request is one that tells policies apart.
type request struct {
	host   *virtualHost
	domain domain
	path   string
	route  *envoyRoute // the proxy's, with its policy
	rule   *tableRule  // the filter's, or nil
}

// places are the hosts and paths of samples of all requests that a table is for, in all
// places where the routes and rules of some tables can differ.
func (t *envoyTable) places(tables ...*envoyTable) iter.Seq[request] {
	return func(yield func(request) bool) {
		for _, v := range t.hosts {
			for _, d := range v.domains {
				for _, table := range tables {
					for _, path := range table.samples(v, d) {
						if !yield(request{host: v, domain: d, path: path}) {
							return
						}
					}
				}
			}
		}
	}
}

// requests are samples of all requests that a table is for. Those that take no route, but
// get the policy of their host, have a route that matches nothing.
func (t *envoyTable) requests(yield func(request) bool) {
	for r := range t.places(t) {
		routes := r.host.candidates(r.path)
		if policy := r.host.policy; len(routes) == 0 && policy != nil {
			routes = []*envoyRoute{{from: policy.from, policy: policy}}
		}
		for _, r.route = range routes {
			r.rule = t.lookup(r.route.name, r.domain.sample, r.path)
			if !yield(r) {
				return
			}
		}
	}
}

// differs reports whether the filter takes another policy than the proxy.
func (r request) differs() bool { return r.rule.policyOf().key() != r.route.policy.key() }

// differences are the requests on routes for which the filter takes another policy.
func (t *envoyTable) differences() (list []request) {
	for r := range t.requests {
		if r.route.match != nil && r.differs() {
			list = append(list, r)
		}
	}
	return list
}

// unsampled are the routes whose requests can't be told from others by a sample.
func (t *envoyTable) unsampled() (list []request) {
	for _, v := range t.hosts {
		for _, r := range v.routes {
			if len(v.domains) == 0 || !r.path.unsampled() {
				continue
			}
			if one := (request{v, v.domains[0], "", r, t.lookup(r.name, "", "")}); one.differs() {
				list = append(list, one)
			}
		}
	}
	return list
}

// samples are paths in all places where routes and rules of the domain can differ.
func (t *envoyTable) samples(v *virtualHost, d domain) []string {
	paths := map[string]bool{"/": true, "/any-path": true}
	for _, r := range v.routes {
		for _, path := range r.path.samples() {
			paths[path] = true
		}
	}
	host, _, _ := strings.Cut(d.sample, ":") // the filter's hosts are for any port
	for _, r := range slices.Concat(t.wide, t.byHost[host]) {
		covers := len(r.match.Hosts) == 0 || slices.ContainsFunc(r.match.Hosts, func(pattern string) bool {
			return hostCovers(pattern, host)
		})
		if r.host != v && covers {
			for _, path := range r.match.Paths {
				paths[path.Path], paths[samplePath(path)] = true, true
			}
		}
	}
	for _, path := range v.overlaps(slices.Sorted(maps.Keys(paths))) {
		paths[path] = true
	}
	return slices.Sorted(maps.Keys(paths))
}

// maxOverlaps bounds the pairs of a pattern and a path that are compared for a host.
const maxOverlaps = 10_000

// overlaps are paths below others that a pattern of the virtual host matches, as far as
// its samples tell.
func (v *virtualHost) overlaps(paths []string) (list []string) {
	compared := 0
	for _, r := range v.routes {
		if compared += len(paths); r.path.kind == regexPath && compared < maxOverlaps {
			list = append(list, slices.DeleteFunc(extended(paths, r.path.samples()), func(path string) bool {
				return !r.path.matches(path)
			})...)
		}
	}
	return list
}

// extended are paths with the ends of others, each from a slash on.
func extended(paths, others []string) (list []string) {
	var ends []string
	for _, other := range others {
		for i := range min(len(other), maxSample) {
			if other[i] == '/' && !slices.Contains(ends, other[i:]) {
				ends = append(ends, other[i:])
			}
		}
	}
	for _, path := range paths {
		for _, end := range ends {
			list = append(list, strings.TrimSuffix(path, "/")+end)
		}
	}
	return list
}

// maxSample bounds how much of a sample is looked at.
const maxSample = 200

// exempt keeps the policies of wider hosts from virtual hosts that have none, where the
// filter would take them.
func (t *envoyTable) exempt() {
	done := map[*virtualHost]bool{}
	for _, d := range t.differences() {
		hosts, ok := d.host.patterns()
		if d.route.policy != nil || done[d.host] || !ok || d.rule.host == d.host || t.placed(d.host, match.Path{}) {
			continue
		}
		done[d.host] = true
		t.place(&tableRule{match: match.Match{Hosts: hosts}, host: d.host})
	}
}

// place adds a rule after index has seen the others.
func (t *envoyTable) place(r *tableRule) {
	t.rules = append(t.rules, r)
	t.own[r.host] = append(t.own[r.host], r)
}

// placed reports whether a rule of the virtual host is for just that path.
func (t *envoyTable) placed(v *virtualHost, path match.Path) bool {
	return slices.ContainsFunc(t.own[v], func(r *tableRule) bool {
		if len(r.match.Paths) == 0 {
			return path == match.Path{} && !r.match.OnlyRoutes()
		}
		return slices.ContainsFunc(r.match.Paths, func(p match.Path) bool { return p.Canonical() == path.Canonical() })
	})
}

// repairPoints adds exact paths where a prefix of Envoy's ends in a slash, and so isn't
// for the path without it, as it is here.
func (t *envoyTable) repairPoints() {
	for _, d := range t.differences() {
		point := slices.ContainsFunc(d.host.routes, func(r *envoyRoute) bool {
			return r.path.kind == textPrefix && len(r.path.text) > 1 && r.path.text == d.path+"/"
		})
		exact := match.Path{Path: d.path}
		hosts, ok := d.host.patterns()
		if !point || !ok || len(d.route.conditions) > 0 || t.placed(d.host, exact) {
			continue
		}
		t.place(&tableRule{
			match: match.Match{Hosts: hosts, Paths: []match.Path{exact}}, policy: d.route.policy,
			host: d.host, name: d.host.name + "-" + strings.Trim(d.path, "/"),
		})
	}
}

// byName adds rules by the names of the routes for which host and path aren't enough.
func (t *envoyTable) byName() {
	done := map[string]bool{}
	for _, d := range append(t.differences(), t.unsampled()...) {
		r := d.route
		if done[r.name] || !t.unique(r) {
			continue
		}
		done[r.name] = true
		if r.noPreflight && r.policy != nil {
			t.reader.warn(r.match, "no preflight meets the route's conditions, so preflights take another route "+
				"and its policy, in Envoy as here",
				"match by host and path to have one policy for both")
		}
		own := t.own[d.host]
		i := slices.IndexFunc(own, func(rule *tableRule) bool {
			// A match of everything would become one of the route alone.
			return rule.policy.key() == r.policy.key() && len(rule.match.Hosts)+len(rule.match.Paths) > 0
		})
		if i >= 0 {
			own[i].match.Routes = append(own[i].match.Routes, r.name)
			continue
		}
		t.place(&tableRule{match: match.Match{Routes: []string{r.name}}, policy: r.policy, host: d.host, name: r.name})
	}
}

// unique reports whether a route's name stands for its policy in all of the file.
func (t *envoyTable) unique(r *envoyRoute) bool {
	if r.name == "" {
		return false
	}
	for _, table := range t.reader.tables {
		for _, v := range table.hosts {
			for _, other := range v.routes {
				if other.name == r.name && other.policy.key() != r.policy.key() {
					return false
				}
			}
		}
	}
	return true
}

// report says where the filter still takes another policy than Envoy. Where that would
// let somebody act as the visitor, the policy loses its credentials.
func (t *envoyTable) report() {
	said := map[*document.Node]bool{}
	for _, r := range append(t.differences(), t.unsampled()...) {
		at := r.route.match
		if !r.domain.known {
			at = r.domain.at
		}
		if !said[at] {
			said[at] = true
			name := "a name"
			if r.route.name != "" {
				name = "a name of its own"
			}
			what := cmp.Or(r.unmatched(), r.route.path.words()+" matches "+quote(r.path)+
				", and here a prefix ends with a segment")
			t.reader.warn(at, what+", so "+r.inWords(),
				"give the route "+name+" and convert again, so that the policy can match by it")
		}
		if r.rule.restrict(r.route.policy) {
			t.reader.warn(r.rule.policy.from, "would also apply to requests of line "+line(at)+
				", for which Envoy lets fewer sites act as the visitor",
				"carried over without allow_credentials; give that route a name and convert again")
		}
	}
}

// restrict takes the credentials from a rule that would let somebody act as the visitor who
// may not by the proxy's policy. It reports whether it has.
func (r *tableRule) restrict(policy *draft) bool {
	if r == nil || r.withoutCredentials || !lenient(r.policy, policy) {
		return false
	}
	r.withoutCredentials = true
	return true
}

// unmatched says by what of the request the filter can't match; "" if that isn't why it
// takes another policy.
func (r request) unmatched() string {
	switch {
	case !r.domain.known:
		return "the filter can't match hosts by " + quote(r.domain.text)
	case len(r.route.conditions) > 0:
		return "the filter can't match by " + inWords(r.route.conditions)
	case r.route.path.inexact():
		return "the filter can't match paths by " + r.route.path.words()
	}
	return ""
}

// inWords says which policy applies in place of which.
func (r request) inWords() string {
	words := "no policy applies to its requests"
	if policy := r.rule.policyOf(); policy != nil {
		words = "the policy of line " + line(policy.from) + " applies"
	} else if r.rule != nil && r.route.policy != nil {
		words = "no policy applies"
	}
	if r.route.policy != nil {
		words += " in place of that of line " + line(r.route.policy.from)
	}
	return words
}

// join puts the rules in the order of the virtual hosts, and makes one of those that
// differ in their hosts alone.
func (t *envoyTable) join() {
	order := map[*virtualHost]int{}
	for i, v := range t.hosts {
		order[v] = i
	}
	slices.SortStableFunc(t.rules, func(a, b *tableRule) int { return order[a.host] - order[b.host] })
	first := map[string]*tableRule{}
	t.rules = slices.DeleteFunc(t.rules, func(r *tableRule) bool {
		if len(r.match.Hosts) == 0 {
			return false
		}
		key := fmt.Sprint(r.policy.key(), r.match.Paths, r.withoutCredentials)
		one := first[key]
		if one == nil {
			first[key] = r
			return false
		}
		one.match.Hosts = append(slices.Clone(one.match.Hosts), r.match.Hosts...)
		one.match.Routes = append(one.match.Routes, r.match.Routes...)
		return true
	})
}

// compareTables looks for route configurations that have other policies for the same
// requests: the result is one configuration for all of them.
func compareTables(tables []*envoyTable) {
	for _, t := range tables {
		for _, other := range tables {
			if t == other {
				continue
			}
			said := false
			for r := range t.others(other) {
				if !said {
					said = true
					t.reader.warn(t.from, "the route configuration in line "+line(other.from)+
						" has other policies for the same hosts, and the result joins both",
						"convert each on its own, and give the filter of each listener its own configuration")
				}
				if r.rule.restrict(r.route.policy) {
					t.reader.warn(r.rule.policy.from, "allows more sites to act as the visitor than "+
						"the route configuration in line "+line(t.from)+" does",
						"carried over without allow_credentials; convert each route configuration on its own")
				}
			}
		}
	}
}

// others are requests of this table with the rules that another table has for them, where
// their policies differ.
func (t *envoyTable) others(other *envoyTable) iter.Seq[request] {
	return func(yield func(request) bool) {
		for r := range t.places(t, other) {
			routes := r.host.candidates(r.path)
			r.rule = other.lookup("", r.domain.sample, r.path)
			if len(routes) == 0 || r.rule == nil {
				continue
			}
			r.route = routes[len(routes)-1]
			if r.differs() && !yield(r) {
				return
			}
		}
	}
}

// addDrafts adds the table's rules to the conversion.
func (t *envoyTable) addDrafts() {
	for _, r := range t.rules {
		if r.policy == nil {
			t.reader.exempt(r.match, r.host.from, r.host.name)
			continue
		}
		one := r.policy.copyFor(r.match, r.name)
		one.AllowCredentials = one.AllowCredentials && !r.withoutCredentials
		t.reader.add(one)
	}
}

// An envoyPath is how a route matches paths.
type envoyPath struct {
	kind pathKind
	text string
	// anyCase makes letters match whatever their case.
	anyCase bool
	// regex is for the kind regexPath: of the whole path. It is nil if it can't be had.
	regex *regexp.Regexp
	// within is what else a path must match, for the kind regexPath; or nil.
	within *envoyPath
}

type pathKind uint8

const (
	everyPath pathKind = iota
	exactPath
	textPrefix    // of whatever length
	segmentPrefix // that ends with a segment
	regexPath
	noPath // no request that a browser makes
)

// readPath reads the path of a route's match.
func readPath(n *document.Node) envoyPath {
	p := envoyPath{kind: noPath}
	if sensitive := n.Get("case_sensitive"); given(sensitive) {
		p.anyCase = !isTrue(sensitive)
	}
	if regex := n.Get("safe_regex", "regex"); given(regex) {
		return pathRegex(regex.String())
	}
	if template := n.Get("path_match_policy", "typed_config", "path_template"); given(template) {
		return pathTemplate(template.String())
	}
	for _, field := range []struct {
		name string
		kind pathKind
	}{{"prefix", textPrefix}, {"path", exactPath}, {"path_separated_prefix", segmentPrefix}} {
		if text := n.Get(field.name); given(text) {
			p.kind, p.text = field.kind, text.String()
		}
	}
	if p.kind == textPrefix && (p.text == "" || p.text == "/") {
		p.kind = everyPath
	}
	return p
}

// unreached says so of a route with a policy that no request of a browser gets to.
func (e *envoyReader) unreached(r *envoyRoute) {
	p := r.path
	switch {
	case r.policy == nil:
	case p.kind == noPath:
		e.warn(r.from, "no request that a browser makes gets to this route", "its policy is left out")
	case p.kind != everyPath && p.kind != regexPath && !strings.HasPrefix(p.text, "/"):
		e.warn(r.from, "no request gets to this route, because "+p.words()+" doesn't begin with a slash",
			"left out; write "+quote("/"+p.text)+" there if that is meant, and convert again")
	}
}

// pathRegex is the path of a regex: of what is no more than a prefix, that prefix.
func pathRegex(expr string) envoyPath {
	path, loose, ok := pathOfRegex(expr)
	switch {
	case ok && path.Path == "":
		return envoyPath{kind: everyPath}
	case ok && !path.Prefix:
		return envoyPath{kind: exactPath, text: path.Path}
	case ok && (loose || strings.HasSuffix(path.Path, "/")):
		return envoyPath{kind: textPrefix, text: path.Path}
	case ok:
		return envoyPath{kind: segmentPrefix, text: path.Path}
	}
	p := envoyPath{kind: regexPath, text: expr}
	p.regex, _ = regexp.Compile(`\A(?:` + expr + `)\z`)
	return p
}

var templatePart = regexp.MustCompile(`\{[^{}=]*=?([^{}]*)\}|\*\*|\*|[^{*]+`)

// pathTemplate is the path of a URI template such as "/users/{id}/**".
func pathTemplate(template string) envoyPath {
	expr := templatePart.ReplaceAllStringFunc(template, func(part string) string {
		switch {
		case strings.HasSuffix(part, "**") || strings.HasSuffix(part, "**}"):
			return ".*"
		case part[0] == '{' || part[0] == '*':
			return "[^/]+"
		}
		return regexp.QuoteMeta(part)
	})
	p := envoyPath{kind: regexPath, text: template}
	p.regex, _ = regexp.Compile(`\A(?:` + expr + `)\z`)
	return p
}

// matches reports whether a path is one of those.
func (p envoyPath) matches(path string) bool {
	text := p.text
	if p.anyCase && p.kind != regexPath {
		text, path = strings.ToLower(text), strings.ToLower(path)
	}
	rest, begins := strings.CutPrefix(path, text)
	switch p.kind {
	case everyPath:
		return true
	case exactPath:
		return path == text
	case textPrefix:
		return begins
	case segmentPrefix:
		return begins && (rest == "" || rest[0] == '/')
	case regexPath:
		return p.regex != nil && p.regex.MatchString(path) && (p.within == nil || p.within.matches(path))
	}
	return false
}

// match is the path as in a match of the filter, as near as one comes; ok is false if
// there is none that is nearly it.
func (p envoyPath) match() (path match.Path, ok bool) {
	switch p.kind {
	case everyPath:
		return path, true
	case exactPath:
		path = match.Path{Path: p.text}
	case textPrefix, segmentPrefix:
		path = match.Path{Path: p.text, Prefix: true}
	default:
		return path, false
	}
	return path, len(match.Check(match.Match{Paths: []match.Path{path}}).All()) == 0
}

// inexact reports whether the filter has nothing like it.
func (p envoyPath) inexact() bool {
	_, ok := p.match()
	return !ok || p.anyCase
}

// covers reports whether it surely matches all that another one does.
func (p envoyPath) covers(other envoyPath) bool {
	switch {
	case p.kind == everyPath:
		return true
	case other.kind == everyPath || other.kind == regexPath || other.kind == noPath || other.anyCase && !p.anyCase:
		return p.kind == other.kind && p.text == other.text && p.anyCase == other.anyCase && p.within == nil
	case p.kind == segmentPrefix && other.kind == textPrefix && strings.EqualFold(p.text, other.text):
		return false // which goes on within the segment
	case other.kind != exactPath && (p.kind == exactPath || p.kind == regexPath):
		return false
	}
	return p.matches(other.text)
}

// mayMatch reports whether a pattern may match a path that another one matches, as far as
// the text before its first special character tells.
func (p envoyPath) mayMatch(other envoyPath) bool {
	if p.kind != regexPath {
		return false
	}
	text := strings.TrimPrefix(p.text, "^")
	special := strings.IndexAny(text, `\.+*?()|[]{}^$:`)
	if special < 0 || strings.Contains(text, "|") || p.anyCase || other.anyCase || other.kind == regexPath {
		return true
	}
	if strings.IndexByte("*?{", text[special]) >= 0 {
		special-- // the character before may be missing
	}
	begin := text[:max(special, 0)]
	return strings.HasPrefix(other.text, begin) || other.kind != exactPath && strings.HasPrefix(begin, other.text)
}

// samples are paths in all places where the filter may see the path otherwise.
func (p envoyPath) samples() (paths []string) {
	switch p.kind {
	case exactPath:
		paths = []string{p.text, p.text + "/any-path"}
	case textPrefix, segmentPrefix:
		text := strings.TrimSuffix(p.text, "/")
		paths = []string{text, text + "/", text + "/any-path", text + "-and-more"}
	case regexPath:
		if p.regex == nil {
			return nil
		}
		parsed, err := syntax.Parse(p.regex.String(), syntax.Perl)
		if err != nil {
			return nil // it has been compiled
		}
		paths = []string{sampleOf(parsed, false), sampleOf(parsed, true)}
		if p.within != nil {
			paths = append(paths, extended(p.within.samples(), paths)...)
		}
	}
	if p.anyCase {
		for _, path := range slices.Clone(paths) {
			paths = append(paths, strings.ToUpper(path))
		}
	}
	return slices.DeleteFunc(paths, func(path string) bool { return !strings.HasPrefix(path, "/") })
}

// memberOf is a character of a class, of those that paths have if there is one.
func memberOf(class []rune) string {
	for i := 0; i+1 < len(class); i += 2 {
		for _, r := range "a1A_-/." {
			if class[i] <= r && r <= class[i+1] {
				return string(r)
			}
		}
	}
	for i := 0; i+1 < len(class); i += 2 {
		for r := max(class[i], '!'); r <= min(class[i+1], '~'); r++ {
			if r != '?' && r != '#' {
				return string(r)
			}
		}
	}
	return ""
}

// unsampled reports whether no path is known that it matches.
func (p envoyPath) unsampled() bool {
	return p.kind == regexPath && !slices.ContainsFunc(p.samples(), p.matches)
}

// sampleOf is a text that a regex matches, as a rule: the shortest, or a longer one.
func sampleOf(re *syntax.Regexp, longer bool) string {
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCharClass:
		return memberOf(re.Rune)
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "x"
	case syntax.OpStar, syntax.OpQuest:
		if longer {
			return sampleOf(re.Sub[0], longer)
		}
	case syntax.OpPlus, syntax.OpCapture:
		return sampleOf(re.Sub[0], longer)
	case syntax.OpRepeat:
		return strings.Repeat(sampleOf(re.Sub[0], longer), re.Min)
	case syntax.OpConcat:
		var b strings.Builder
		for _, sub := range re.Sub {
			b.WriteString(sampleOf(sub, longer))
		}
		return b.String()
	case syntax.OpAlternate:
		if longer {
			return sampleOf(re.Sub[len(re.Sub)-1], longer)
		}
		return sampleOf(re.Sub[0], longer)
	}
	return ""
}

// words say what the route matches.
func (p envoyPath) words() string {
	kinds := map[pathKind]string{exactPath: "the path ", regexPath: "the pattern "}
	words := cmp.Or(kinds[p.kind], "the prefix ") + quote(p.text)
	if p.anyCase {
		words += " whatever the case of its letters"
	}
	return words
}
