package cors

import (
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"

	"slices"
	"strconv"
	"strings"
)

// NewSet arranges rules by what they match. It reports everything that is wrong or
// doubtful at once (beyond [MaxProblems] only their number); the set is nil if any of
// it is more than a warning. A rule without a policy, one that didn't compile, is
// checked all the same, and makes the set nil.
func NewSet(rules []Rule) (*Set, []Problem) {
	r := &problem.List{}
	b := NewSetBuilder(r, func(rule int) string { return rules[rule].Name })
	for _, rule := range rules {
		b.Add(rule.Match, rule.Policy, !rule.Incomplete)
	}
	return b.Set(), r.All()
}

// A SetBuilder arranges policies by what they match, one after the other. What it
// takes of memory and time grows with what the matches list, not with the number of
// pairs in the lists (RATIONALE.md, "What a policy set weighs").
type SetBuilder struct {
	reporter Reporter
	name     func(rule int) string
	set      *Set
	failed   bool // something is more than a warning

	// What is said next is about this entry of the last rule.
	field string
	index int

	// For one rule at a time, kept to be used again.
	hosts []claimedHost
	paths []claimedPath

	groups map[string]*pathTable // shared tables, by the hosts that share them
	shared []claimedHost         // the hosts that share tables
}

// A claimedHost is an entry of match.hosts; its table is the host's.
type claimedHost struct {
	text  string // as in the set's maps, with "*." before a wildcard's
	index int
	table *hostTable
}

// A claimedPath is an entry of match.paths.
type claimedPath struct {
	pathKey
	index   int
	written string
}

// Bounds of what hosts may share.
const (
	// fewPairs is up to what length of the shorter of the two lists each host has each
	// path for itself.
	fewPairs = 4
	// maxShared is how many tables a host may share with others.
	maxShared = 16
	// maxComparisons bounds the work of finding conflicts in what hosts share.
	maxComparisons = 1 << 21
)

// NewSetBuilder returns a SetBuilder. The names of the rules, which are numbered in the
// order in which they are added, are for messages.
func NewSetBuilder(r Reporter, name func(rule int) string) *SetBuilder {
	return &SetBuilder{reporter: r, name: name, set: &Set{}}
}

// Grow makes room for n rules to come.
func (b *SetBuilder) Grow(n int) { b.set.policies = slices.Grow(b.set.policies, n) }

// Add adds a rule. It keeps copies of what it needs of the match. A policy that is nil
// didn't compile. A match that isn't complete lacks something that couldn't be read, so
// that it isn't said to conflict with others.
func (b *SetBuilder) Add(m Match, policy *Policy, complete bool) {
	b.set.policies = append(b.set.policies, policy)
	b.failed = b.failed || policy == nil || !complete
	b.addRoutes(m.Routes, complete)
	if len(m.Routes) > 0 && len(m.Hosts) == 0 && len(m.Paths) == 0 {
		return
	}
	complete = b.readPaths(m.Paths) && complete
	b.readHosts(m.Hosts)
	b.set.byHost = b.set.byHost || len(m.Hosts) > 0
	b.set.byPath = b.set.byPath || len(m.Paths) > 0
	switch {
	case !complete:
	case len(m.Hosts) == 0:
		b.claimAll(&b.set.every, claimedHost{text: "", index: -1})
	case min(len(b.hosts), len(b.paths)) <= fewPairs:
		for _, h := range b.hosts {
			b.claimAll(b.table(h.text), h)
		}
	default:
		b.share()
	}
}

// Set returns the set of all rules, or nil if something was wrong.
func (b *SetBuilder) Set() *Set {
	b.compareShared()
	if b.failed {
		return nil
	}
	b.set.findUniform()
	return b.set
}

// last is the number of the rule that is added.
func (b *SetBuilder) last() number { return number(len(b.set.policies)) }

// about makes an entry what is said next is about.
func (b *SetBuilder) about(field string, index int) { b.field, b.index = field, index }

// wrong reports a problem of a rule in words that are put together if they are wanted.
func (b *SetBuilder) wrong(rule number, kind problem.Kind, words func() (what, instead string)) {
	b.failed = true
	if b.reporter.Wants(false) {
		what, instead := words()
		b.reporter.Report(Problem{Kind: kind, Rule: int(rule) - 1, Field: b.field, Index: b.index, What: what, Instead: instead})
	}
}

// conflict reports that two rules claim the same.
func (b *SetBuilder) conflict(rule, other number, claim func() string) {
	b.wrong(rule, problem.Conflict, func() (what, instead string) {
		return "claims " + claim() + ", as " + b.name(int(other)-1) + " does", "give the two policies different matches, or make them one"
	})
}

// twice warns that an entry is there already.
func (b *SetBuilder) twice(text string) {
	if b.reporter.Wants(true) {
		b.warn(problem.Duplicate, problem.Quote(text)+" is listed twice", "leave one out")
	}
}

// warn describes a warning that is wanted.
func (b *SetBuilder) warn(kind problem.Kind, what, instead string) {
	b.reporter.Report(Problem{Kind: kind, Rule: int(b.last()) - 1, Field: b.field, Index: b.index, What: what, Instead: instead, Warning: true})
}

func (b *SetBuilder) addRoutes(routes []string, complete bool) {
	seen := newSeen[string](len(routes))
	for i, route := range routes {
		b.about("match.routes", i)
		if route == "" {
			b.wrong(b.last(), problem.Missing, func() (what, instead string) { return "is empty", "write the name of a route" })
			continue
		}
		if seen.before(route) {
			b.twice(route)
			continue
		}
		switch other := b.set.routes[route]; {
		case !complete:
		case other != 0:
			b.conflict(b.last(), other, func() string { return "the route " + problem.Quote(route) })
		default:
			if b.set.routes == nil {
				b.set.routes = map[string]number{}
			}
			b.set.routes[strings.Clone(route)] = b.last()
		}
	}
}

// readPaths reads match.paths into b.paths, without what is listed twice. It reports
// whether all are right.
func (b *SetBuilder) readPaths(matches []PathMatch) (ok bool) {
	seen := newSeen[pathKey](len(matches))
	b.paths = slices.Grow(b.paths[:0], len(matches))
	ok = true
	for i, m := range matches {
		b.about("match.paths", i)
		if what, _ := checkPath(m); what != "" {
			b.wrong(b.last(), problem.InvalidPath, func() (what, instead string) { return diagnosePath(m) })
			ok = false
			continue
		}
		key := pathKey{m.Path, m.Prefix}
		if m.Prefix {
			key.text = trimSlash(m.Path)
		}
		if seen.before(key) {
			b.twice(key.text)
			continue
		}
		if doubtfulPath(m.Path) && b.reporter.Wants(true) {
			b.warn(diagnoseDoubtfulPath(m))
		}
		b.paths = append(b.paths, claimedPath{key, i, m.Path})
	}
	return ok
}

// readHosts reads match.hosts into b.hosts, those that are right, without what is
// listed twice.
func (b *SetBuilder) readHosts(hosts []string) {
	seen := newSeen[string](len(hosts))
	b.hosts = slices.Grow(b.hosts[:0], len(hosts))
	for i, host := range hosts {
		b.about("match.hosts", i)
		pattern, what, _ := parseHostPattern(host)
		if what != "" {
			b.wrong(b.last(), problem.InvalidHost, func() (what, instead string) { return diagnoseHostPattern(host) })
			continue
		}
		key := pattern.key(host)
		if seen.before(key) {
			b.twice(key)
			continue
		}
		if what, instead := pattern.defaultPort(); what != "" && b.reporter.Wants(true) {
			b.warn(problem.NeverSent, what, instead)
		}
		b.set.ports = b.set.ports || pattern.port
		b.hosts = append(b.hosts, claimedHost{text: key, index: i})
	}
}

// A seen has the entries of a list so far; nil if the list has but one.
type seen[K comparable] map[K]struct{}

func newSeen[K comparable](n int) seen[K] {
	if n <= 1 {
		return nil
	}
	return make(seen[K], n)
}

// before reports whether an entry has been there before, and adds it.
func (s seen[K]) before(key K) bool {
	if s == nil {
		return false
	}
	_, ok := s[key]
	s[key] = struct{}{}
	return ok
}

// table returns a host's table, made where it is missing.
func (b *SetBuilder) table(host string) *hostTable {
	s := b.set
	tables := &s.hosts
	name, wildcard := strings.CutPrefix(host, "*.")
	if wildcard {
		tables = &s.suffixes
		s.depths |= 1 << labels(name)
	}
	if t := (*tables)[name]; t != nil {
		return t
	}
	if *tables == nil {
		*tables = map[string]*hostTable{}
	}
	t := &hostTable{}
	(*tables)[strings.Clone(name)] = t
	return t
}

// claimAll claims the paths of the rule, or every path, for one host or for every host.
func (b *SetBuilder) claimAll(t *hostTable, h claimedHost) {
	if len(b.paths) > 0 {
		for _, p := range b.paths {
			b.claim(&t.own, h.text, p)
		}
		return
	}
	if t.own.any != 0 {
		b.about("match.hosts", h.index)
		if h.index < 0 {
			b.about("match", -1)
		}
		b.conflict(b.last(), t.own.any, func() string { return hostInWords(h.text) + " and every path" })
		return
	}
	t.own.any = b.last()
}

// claim claims a path in a table.
func (b *SetBuilder) claim(t *pathTable, host string, p claimedPath) {
	if other := t.get(p.pathKey); other != 0 {
		b.about("match.paths", p.index)
		b.conflict(b.last(), other, func() string { return hostInWords(host) + p.inWords(p.written) })
		return
	}
	t.add(path{pathKey{strings.Clone(p.text), p.prefix}, b.last()})
}

func hostInWords(host string) string {
	if host == "" {
		return "every host"
	}
	return "the host " + host
}

func (k pathKey) inWords(written string) string {
	if k.prefix {
		return " and the paths below " + problem.Quote(written)
	}
	return " and the path " + problem.Quote(written)
}

// share claims the rule's paths for its hosts in a table that they share.
func (b *SetBuilder) share() {
	names := make([]string, len(b.hosts))
	for i, h := range b.hosts {
		names[i] = h.text
	}
	slices.Sort(names)
	key := strings.Join(names, ",")
	t := b.groups[key]
	if t == nil {
		t = &pathTable{}
		if b.groups == nil {
			b.groups = map[string]*pathTable{}
		}
		b.groups[key] = t
		for _, h := range b.hosts {
			h.table = b.table(h.text)
			h.text = strings.Clone(h.text)
			h.table.shared = append(h.table.shared, t)
			b.shared = append(b.shared, h)
			if len(h.table.shared) > maxShared {
				b.about("match.hosts", h.index)
				b.wrong(b.last(), problem.TooLarge, func() (what, instead string) {
					return h.text + " is in more than " + strconv.Itoa(maxShared) + " different lists of hosts that have many paths",
						"give these policies the same match.hosts, or each its own hosts"
				})
				return
			}
		}
	}
	for _, p := range b.paths {
		b.claim(t, b.hosts[0].text, p)
	}
}

// compareShared finds the conflicts of what hosts share with what else they have.
func (b *SetBuilder) compareShared() {
	type pair struct{ a, b *pathTable }
	compared := map[pair]bool{}
	left := maxComparisons
	b.about("match", -1)
	done := make(map[*hostTable]struct{}, len(b.shared))
	for _, h := range b.shared {
		if _, before := done[h.table]; before {
			continue // a host is there once for each list that it is in
		}
		done[h.table] = struct{}{}
		tables := append([]*pathTable{&h.table.own}, h.table.shared...)
		for i, a := range tables {
			for _, c := range tables[i+1:] {
				if key := (pair{a, c}); !compared[key] {
					compared[key] = true
					left = b.compare(a, c, h.text, left)
				}
			}
		}
		if left < 0 {
			b.wrong(b.last(), problem.TooLarge, func() (what, instead string) {
				return "shares too many hosts and paths with other policies to be compared with them", "give policies that have many paths the same match.hosts, or each its own"
			})
			return
		}
	}
}

// compare finds what two tables of a host have in common, and returns how much work is
// left to do.
func (b *SetBuilder) compare(a, c *pathTable, host string, left int) int {
	if a.len() > c.len() {
		a, c = c, a
	}
	for p := range a.all {
		if left--; left < 0 {
			break
		}
		if other := c.get(p.pathKey); other != 0 {
			b.conflict(max(p.policy, other), min(p.policy, other), func() string { return hostInWords(host) + p.inWords(p.text) })
		}
	}
	return left
}
