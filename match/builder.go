package match

import (
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// A Builder arranges values by what they match, one after the other. What it takes of
// memory and time grows with what the matches list, not with the number of pairs in the
// lists (RATIONALE.md, "What a policy set weighs").
type Builder[T any] struct {
	values []T
	rules  builder
}

// NewBuilder returns a Builder. The names of the rules, which are numbered in the order
// in which they are added, are for messages.
func NewBuilder[T any](r problem.Reporter, name func(rule int) string) *Builder[T] {
	return &Builder[T]{rules: builder{Builder: problem.Builder{To: r}, name: name}}
}

// Check returns what is wrong or doubtful with a match on its own.
func Check(m Match) *Problems {
	r := &Problems{}
	b := builder{Builder: problem.Builder{To: r}}
	b.add(m, true)
	return r
}

// Grow makes room for n rules to come.
func (b *Builder[T]) Grow(n int) { b.values = slices.Grow(b.values, n) }

// Add adds a rule: a value, and what it is for. It keeps copies of what it needs of the
// match. A match that isn't complete lacks something that couldn't be read: what is
// there is checked, but it isn't said to conflict with others, and there will be no table.
func (b *Builder[T]) Add(m Match, value T, complete bool) {
	b.values = append(b.values, value)
	b.rules.add(m, complete)
}

// Table returns the table of all rules, or nil if something was wrong.
func (b *Builder[T]) Table() *Table[T] {
	b.rules.compareShared()
	if b.rules.Failed {
		return nil
	}
	return &Table[T]{b.values, b.rules.index}
}

// A builder is a Builder but for the values.
type builder struct {
	problem.Builder
	name  func(rule int) string
	index index
	last  number // of the rule that is added

	// For one rule at a time, kept to be used again.
	hosts []hostEntry
	paths []pathEntry

	groups map[string]*pathTable // shared tables, by the hosts that share them
	shared []sharing
}

// A hostEntry is an entry of match.hosts, or every host.
type hostEntry struct {
	text  string // as hosts are compared, with "*." before a wildcard's; "" for every host
	entry int    // -1 for every host
}

// A pathEntry is an entry of match.paths, or every path.
type pathEntry struct {
	path    Path // as paths are compared
	written string
	entry   int // -1 for every path
}

// A sharing is a host that shares tables with others.
type sharing struct {
	host  string
	table *hostTable
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

func (b *builder) add(m Match, complete bool) {
	b.last++
	b.Rule = int32(b.last) - 1
	b.Failed = b.Failed || !complete
	b.addRoutes(m.Routes, complete)
	if m.OnlyRoutes() {
		return
	}
	complete = b.readPaths(m.Paths) && complete
	b.readHosts(m.Hosts)
	b.index.byHost = b.index.byHost || len(m.Hosts) > 0
	b.index.byPath = b.index.byPath || len(m.Paths) > 0
	switch {
	case !complete:
	case min(len(b.hosts), len(b.paths)) > fewPairs:
		b.share()
	default:
		for _, h := range b.hosts {
			b.claim(&b.table(h.text).own, h)
		}
	}
}

// about makes an entry what is said next is about. It isn't inlined: the copies would add
// 1 kB to the module.
//
//go:noinline
func (b *builder) about(field string, entry int) {
	b.Field = field
	b.At(entry, 0)
}

// conflict reports that a rule claims what another one does.
func (b *builder) conflict(rule, other number, claim Claim) {
	if b.Wants(false) {
		b.Rule = int32(rule) - 1
		b.Report(problem.Conflict, "claims "+claim.String()+", as "+b.name(int(other)-1)+" does",
			"give the two policies different matches, or make them one")
		b.Rule = int32(b.last) - 1
	}
}

// twice warns that an entry is there already.
func (b *builder) twice(text string) {
	if b.Wants(true) {
		b.Report(problem.Duplicate, problem.Quote(text)+" is listed twice", "leave one out")
	}
}

func (b *builder) addRoutes(routes []string, complete bool) {
	seen := map[string]bool{}
	for i, route := range routes {
		b.about("match.routes", i)
		other := b.index.routes[route]
		switch {
		case route == "":
			b.Fail(problem.Missing, "is empty", "write the name of a route")
		case seen[route]:
			b.twice(route)
		case !complete:
		case other != 0:
			b.conflict(b.last, other, Claim{Route: route})
		default:
			if b.index.routes == nil {
				b.index.routes = map[string]number{}
			}
			b.index.routes[strings.Clone(route)] = b.last
		}
		seen[route] = true
	}
}

// readPaths reads match.paths into b.paths, without what is listed twice. It reports
// whether all are right.
func (b *builder) readPaths(paths []Path) (ok bool) {
	seen := map[Path]bool{}
	if b.paths = b.paths[:0]; cap(b.paths) < len(paths) {
		b.paths = make([]pathEntry, 0, len(paths))
	}
	ok = true
	for i, p := range paths {
		b.about("match.paths", i)
		key := p.Canonical()
		if f := p.check(); f != right {
			if b.Wants(false) {
				b.Report(f.ofPath(p))
			}
			ok = false
			continue
		}
		if seen[key] {
			b.twice(key.Path)
			continue
		}
		seen[key] = true
		if doubtfulPath(p.Path) && b.Wants(true) {
			b.Report(diagnoseDoubtfulPath(p))
		}
		b.paths = append(b.paths, pathEntry{key, p.Path, i})
	}
	if len(paths) == 0 {
		b.paths = append(b.paths, pathEntry{entry: -1})
	}
	return ok
}

// readHosts reads match.hosts into b.hosts, those that are right, without what is
// listed twice.
func (b *builder) readHosts(hosts []string) {
	seen := map[string]bool{}
	if b.hosts = b.hosts[:0]; cap(b.hosts) < len(hosts) {
		b.hosts = make([]hostEntry, 0, len(hosts))
	}
	for i, host := range hosts {
		b.about("match.hosts", i)
		pattern, f := parseHost(host)
		if f != right {
			if b.Wants(false) {
				b.Report(f.ofHost(host))
			}
			continue
		}
		if seen[pattern.text] {
			b.twice(pattern.text)
			continue
		}
		seen[pattern.text] = true
		if scheme := pattern.schemeOfPort(); scheme != "" && b.Wants(true) {
			b.Report(pattern.matchesHardly(scheme))
		}
		b.index.ports = b.index.ports || pattern.hasPort()
		b.hosts = append(b.hosts, hostEntry{pattern.text, i})
	}
	if len(hosts) == 0 {
		b.hosts = append(b.hosts, hostEntry{"", -1})
	}
}

// table returns a host's table, made where it is missing.
func (b *builder) table(host string) *hostTable {
	if host == "" {
		return &b.index.every
	}
	tables := &b.index.hosts
	name, wildcard := strings.CutPrefix(host, "*.")
	if wildcard {
		tables = &b.index.suffixes
		b.index.depths |= 1 << labels(name)
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

// claim claims the paths of the rule in a table of a host's.
func (b *builder) claim(t *pathTable, h hostEntry) {
	for _, p := range b.paths {
		other := t.get(p.path)
		if other == 0 {
			p.path.Path = strings.Clone(p.path.Path)
			t.add(claimedPath{p.path, b.last})
			continue
		}
		switch {
		case p.entry >= 0:
			b.about("match.paths", p.entry)
		case h.entry >= 0:
			b.about("match.hosts", h.entry)
		default:
			b.about("match", -1)
		}
		b.conflict(b.last, other, Claim{Host: h.text, Path: Path{p.written, p.path.Prefix}})
	}
}

// share claims the rule's paths for its hosts in a table that they share.
func (b *builder) share() {
	names := make(byName, len(b.hosts))
	for i, h := range b.hosts {
		names[i] = h.text
	}
	sort.Sort(&names)
	key := strings.Join(names, ",")
	t := b.groups[key]
	if t == nil {
		t = &pathTable{}
		if b.groups == nil {
			b.groups = map[string]*pathTable{}
		}
		b.groups[key] = t
		if !b.shareAmong(t) {
			return
		}
	}
	b.claim(t, b.hosts[0])
}

// byName sorts names by package sort, which the parser of regexes needs too: that of
// package slices would be 24 kB of the module.
type byName []string

func (n *byName) Len() int           { return len(*n) }
func (n *byName) Less(i, j int) bool { return (*n)[i] < (*n)[j] }
func (n *byName) Swap(i, j int)      { (*n)[i], (*n)[j] = (*n)[j], (*n)[i] }

// shareAmong makes a table one of those that the rule's hosts share. It reports whether
// each of them may have one more.
func (b *builder) shareAmong(t *pathTable) bool {
	for _, h := range b.hosts {
		table := b.table(h.text)
		table.shared = append(table.shared, t)
		b.shared = append(b.shared, sharing{strings.Clone(h.text), table})
		if len(table.shared) > maxShared {
			b.about("match.hosts", h.entry)
			what := h.text + " is in more than " + strconv.Itoa(maxShared) +
				" different lists of hosts that have many paths"
			b.Fail(problem.TooLarge, what, "give these policies the same match.hosts, or each its own hosts")
			return false
		}
	}
	return true
}

// compareShared finds the conflicts of what hosts share with what else they have.
func (b *builder) compareShared() {
	type pair struct{ a, b *pathTable }
	compared := map[pair]bool{}
	left := maxComparisons
	b.about("match", -1)
	done := make(map[*hostTable]struct{}, len(b.shared))
	for _, s := range b.shared {
		if _, before := done[s.table]; before {
			continue // a host is there once for each list that it is in
		}
		done[s.table] = struct{}{}
		tables := append([]*pathTable{&s.table.own}, s.table.shared...)
		for i, first := range tables {
			for _, second := range tables[i+1:] {
				if p := (pair{first, second}); !compared[p] {
					compared[p] = true
					left = b.compare(first, second, s.host, left)
				}
			}
		}
		if left < 0 {
			b.Fail(problem.TooLarge, "shares too many hosts and paths with other policies to be compared with them",
				"give policies that have many paths the same match.hosts, or each its own")
			return
		}
	}
}

// compare finds what two tables of a host have in common, and returns how much work is
// left to do: it does none of what would be too much. A table has its paths in any order, so
// the first conflicts are described in that of their paths: the same matches are refused in the
// same words each time.
func (b *builder) compare(one, other *pathTable, host string, left int) int {
	if one.len() > other.len() {
		one, other = other, one
	}
	if left -= one.len(); left < 0 {
		return left
	}
	var first []common
	more := 0
	for path, n := range one.all {
		if m := other.get(path); m != 0 {
			first = insert(first, common{path, max(n, m), min(n, m)})
			more++
		}
	}
	for _, c := range first {
		b.conflict(c.rule, c.other, Claim{Host: host, Path: c.path})
		more--
	}
	for ; more > 0; more-- {
		b.Wants(false) // which counts it
	}
	return left
}

// A common path is one that two rules claim for a host.
type common struct {
	path        Path
	rule, other number
}

// before reports whether the path comes before another one: by its text, and exact before a
// prefix.
func (c *common) before(other *common) bool {
	if c.path.Path != other.path.Path {
		return c.path.Path < other.path.Path
	}
	return !c.path.Prefix && other.path.Prefix
}

// insert keeps a list sorted, and no longer than what is described of it.
func insert(list []common, c common) []common {
	at := len(list)
	for at > 0 && c.before(&list[at-1]) {
		at--
	}
	if len(list) < problem.Max {
		list = append(list, c)
	}
	if at < len(list) {
		copy(list[at+1:], list[at:])
		list[at] = c
	}
	return list
}
