package origin

import (
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// A Set is a compiled allow_origins: a set of origins in which a look-up costs the
// same for one entry as for a hundred thousand. It is immutable, and policies may
// share it.
type Set struct {
	any  bool
	null bool
	// few has the origins without wildcards if there are no more than fewOrigins, which
	// are found faster one by one than by their hashes; the table has them otherwise,
	// and the patterns.
	few   []string
	table *originTable
	// depths has bit n set where a wildcard stands before a host of n labels, so
	// that only as many suffixes of a host are looked up as the wildcards need.
	depths  uint64
	anyPort bool // a pattern without wildcard host has any port
	regexps []*automaton
	size    int
}

// An Entry is an entry of allow_origins.
type Entry struct {
	// Text is an origin or a pattern, or the regex if Regex is set.
	Text string
	// Regex makes Text a regular expression (RE2) that the whole origin must match.
	Regex bool
	// Offset is where the entry stands; problems of the entry have it too.
	Offset int
}

const fewOrigins = 4

// originsSize is about how many bytes Origins take beside their entries.
const originsSize = 320

// MaxDepth bounds the labels after a wildcard, and so the look-ups for an origin.
const MaxDepth = 63

// Size is about how many bytes of memory the origins take.
func (set *Set) Size() int { return set.size }

// Any reports whether the set has every origin.
func (set *Set) Any() bool { return set.any }

// A Result says whether a set has an origin.
type Result uint8

const (
	// Allowed means that the set has the origin.
	Allowed Result = iota
	// NotAllowed means that it doesn't.
	NotAllowed
	// Malformed means that what was looked for is not a serialized origin.
	Malformed
)

// Match looks an origin up, given its serialization. kept is the serialization in
// memory of the set, or "" if the set has none.
func (set *Set) Match(s string) (kept string, result Result) {
	if set.any {
		return "", Allowed // whatever it says: the answer has nothing of it
	}
	for _, kept := range set.few {
		if kept == s {
			return kept, Allowed
		}
	}
	if kept := set.table.get(s); kept != "" && strings.IndexByte(s, '*') < 0 {
		return kept, Allowed
	}
	if s == "null" {
		if set.null {
			return "null", Allowed
		}
		return "", NotAllowed
	}
	o, ok := parseOrigin(s)
	switch {
	case !ok:
		return "", Malformed
	case set.matchPattern(o):
		return "", Allowed
	}
	for _, re := range set.regexps {
		if re.MatchString(s) {
			return "", Allowed
		}
	}
	return "", NotAllowed
}

func (set *Set) matchPattern(o origin) bool {
	if set.anyPort && set.has(o.scheme, o.host, anyPort, false) {
		return true
	}
	// From the right, so that the hosts with the fewest labels come first, and a
	// hostile host of a hundred labels costs no more than the wildcards are deep.
	depths, i := set.depths, len(o.host)
	for n := 1; depths>>n != 0; n++ {
		i = strings.LastIndexByte(o.host[:i], '.')
		if i < 1 {
			return false
		}
		if depths>>n&1 == 0 {
			continue
		}
		if suffix := o.host[i+1:]; set.has(o.scheme, suffix, o.port, true) || set.has(o.scheme, suffix, anyPort, true) {
			return true
		}
	}
	return false
}

// has reports whether the set has a pattern, as it is written in allow_origins.
func (set *Set) has(scheme, host string, port int, subdomains bool) bool {
	var buf [maxTableText]byte
	b := append(append(buf[:0], scheme...), "://"...)
	if subdomains {
		b = append(b, "*."...)
	}
	b = append(b, host...)
	switch port {
	case NoPort:
	case anyPort:
		b = append(b, ":*"...)
	default:
		b = strconv.AppendInt(append(b, ':'), int64(port), 10)
	}
	return set.table.has(b)
}

// subsumed reports whether the set allows all that p allows by another pattern.
func (set *Set) subsumed(p pattern) bool {
	o := p.origin
	every := p.subdomains || set.anyPort // may have a pattern of any port
	if o.port != anyPort && every && set.has(o.scheme, o.host, anyPort, p.subdomains) {
		return true
	}
	host := o.host
	for n := strings.Count(host, "."); n > 0; n-- {
		_, host, _ = strings.Cut(host, ".")
		if n > MaxDepth || set.depths>>n&1 == 0 {
			continue
		}
		if set.has(o.scheme, host, o.port, true) || set.has(o.scheme, host, anyPort, true) {
			return true
		}
	}
	return false
}

// An originBuilder compiles allow_origins.
type originBuilder struct {
	problem.Builder
	credentials bool // the policy allows them
	set         *Set
	regexes     map[string]struct{} // their texts
	// regexBudget bounds the work for them.
	regexBudget *RegexBudget
	steps       int  // of the budget before
	again       bool // what has nothing to do with credentials has been said
	// twice has a bit for each entry that stands in the list before, once there is one.
	twice []uint64
	// tries is how many origins are still tried on regexes, for a warning only.
	tries int
	// shared says that some of the policies may allow credentials.
	shared bool
	mender *mender // of the entries that are wrong
}

// maxTries bounds the work of telling that a regex covers an origin of the same list:
// each try takes microseconds.
const maxTries = 2000

// Compile compiles the entries of allow_origins, which it reads more than once
// and keeps nothing of. It returns nil if any of them is wrong. Whether the policy
// allows credentials decides what is wrong; the set is the same. The budget is for the
// regexes of all policies.
func Compile(entries iter.Seq2[int, Entry], credentials bool, budget *RegexBudget, r problem.Reporter) *Set {
	return newOriginBuilder(credentials, budget, r).compile(entries)
}

// newOriginBuilder isn't inlined: the copies would add 1 kB to the module.
//
//go:noinline
func newOriginBuilder(credentials bool, budget *RegexBudget, r problem.Reporter) *originBuilder {
	return &originBuilder{
		Builder: problem.NewBuilder(r, "allow_origins"), credentials: credentials,
		set: &Set{}, regexBudget: budget, steps: budget.steps, tries: maxTries,
	}
}

func (b *originBuilder) compile(entries iter.Seq2[int, Entry]) *Set {
	n := b.allocate(entries)
	if n == 0 {
		b.Fail(problem.Missing, "is required, and has no entry",
			`write the origins of the pages that may read answers, such as ["https://app.example"]`)
		return nil
	}
	for i, entry := range entries {
		b.At(i, entry.Offset)
		if !b.entry(entry) {
			if b.twice == nil {
				b.twice = make([]uint64, n/64+1)
			}
			b.twice[i/64] |= 1 << (i % 64)
		}
	}
	b.combine()
	if b.set.any || b.set.depths != 0 || b.set.anyPort || len(b.set.regexps) > 0 || b.twice != nil {
		b.superfluous(entries)
	}
	if b.Failed {
		return nil
	}
	b.set.size += originsSize + b.set.table.size()
	return b.set
}

// CompileShared compiles entries that policies share which may or may not allow
// credentials. What is wrong only with credentials isn't reported, as [Check] does
// that; but what is said to write instead of an entry is right with them, too.
func CompileShared(entries iter.Seq2[int, Entry], budget *RegexBudget, r problem.Reporter) *Set {
	b := newOriginBuilder(false, budget, r)
	b.shared = true
	return b.compile(entries)
}

// Check reports what [Compile] has to say of the entries only because the
// policy allows credentials. It reports whether they are right.
func Check(entries iter.Seq2[int, Entry], budget *RegexBudget, r problem.Reporter) bool {
	b := newOriginBuilder(true, budget, r)
	b.again = true
	for i, entry := range entries {
		b.At(i, entry.Offset)
		if entry.Regex {
			b.regex(entry.Text)
		} else if p, ok := readPattern(entry.Text); ok {
			b.trusted(p, entry.Text)
		}
	}
	return !b.Failed
}

// allocate makes room for the entries, and returns one more than the last index.
func (b *originBuilder) allocate(entries iter.Seq2[int, Entry]) (n int) {
	exact, patterns, exactBytes, patternBytes := 0, 0, 0, 0
	for i, entry := range entries {
		n = i + 1
		switch {
		case entry.Regex || len(entry.Text) > maxTableText:
		case strings.IndexByte(entry.Text, '*') >= 0:
			patterns, patternBytes = patterns+1, patternBytes+len(entry.Text)
		default:
			exact, exactBytes = exact+1, exactBytes+len(entry.Text)
		}
	}
	if exact <= fewOrigins {
		b.set.few = make([]string, 0, exact)
	} else {
		patterns, patternBytes = patterns+exact, patternBytes+exactBytes
	}
	if patterns > 0 {
		b.set.table = newOriginTable(patterns, patternBytes)
	}
	return n
}

// entry compiles an entry. It reports whether the entry is there for the first time.
func (b *originBuilder) entry(entry Entry) (first bool) {
	if entry.Regex {
		return b.addRegex(entry.Text)
	}
	p, ok := readPattern(entry.Text)
	if ok && !p.fits() || !ok {
		if b.Wants(false) {
			if b.mender == nil {
				b.mender = newMender(b.credentials || b.shared)
			}
			b.Report(diagnosePattern(entry.Text, b.mender))
		}
		return true
	}
	if !b.trusted(p, entry.Text) {
		return true
	}
	set := b.set
	switch p.kind {
	case anyPattern:
		first, set.any = !set.any, true
	case nullPattern:
		first, set.null = !set.null, true
	default:
		first = b.add(p, entry.Text)
		if odd := p.oddity(); first && odd != noOddity && b.Wants(true) {
			what, instead := odd.words(p, entry.Text)
			b.Report(problem.NeverSent, problem.Quote(entry.Text)+what, instead)
		}
	}
	return first
}

// add adds an origin or a pattern to the set, unless it is there.
func (b *originBuilder) add(p pattern, text string) bool {
	set := b.set
	switch {
	case p.subdomains:
		set.depths |= 1 << labels(p.origin.host)
	case p.origin.port == anyPort:
		set.anyPort = true
	case set.few != nil:
		if slices.Contains(set.few, text) {
			return false
		}
		set.few = append(set.few, strings.Clone(text))
		set.size += 32 + len(text)
		return true
	}
	return set.table.add(text)
}

func (b *originBuilder) addRegex(expr string) (first bool) {
	if b.regexBudget.spent() {
		b.overBudget()
		return true
	}
	if _, twice := b.regexes[expr]; twice {
		return false
	}
	if b.regexes == nil {
		b.regexes = map[string]struct{}{}
	}
	b.regexes[expr] = struct{}{}
	if a := b.regex(expr); a != nil {
		b.set.regexps = append(b.set.regexps, a)
		b.set.size += a.size()
	}
	return true
}

// combine makes of the regexes as few automata as it can.
func (b *originBuilder) combine() {
	set := b.set
	if len(set.regexps) == 0 || b.Failed {
		return
	}
	set.regexps = combine(set.regexps, b.regexBudget)
	set.size += 3 * (b.steps - b.regexBudget.steps)
	b.Whole()
	switch {
	case b.regexBudget.spent():
		b.overBudget()
	case len(set.regexps) > maxAutomata:
		b.Fail(problem.RegexTooCostly, "has regexes that would take too long to match",
			`write patterns such as "https://*.example.com", or regexes with fewer counted repetitions`)
	}
}

// trusted reports whether a pattern is right for the policy's credentials.
func (b *originBuilder) trusted(p pattern, text string) bool {
	switch {
	case !b.credentials:
		return true
	case p.kind == nullPattern:
		b.Warn(problem.NullOrigin,
			`"null" is the origin of every sandboxed frame, so with allow_credentials any site can read answers`,
			"serve the pages from an origin of their own")
	case p.trustsStrangers():
		if b.Wants(false) {
			b.Report(p.whyNot(text))
		}
		return false
	}
	return true
}

// superfluous warns about the entries that add nothing.
func (b *originBuilder) superfluous(entries iter.Seq2[int, Entry]) {
	var again []repeat
	for i, entry := range entries {
		b.At(i, entry.Offset)
		if b.twice != nil && b.twice[i/64]>>(i%64)&1 != 0 {
			if b.Wants(true) {
				again = append(again, repeat{entry, i})
			}
		} else if what, instead := b.covered(entry); what != "" && b.Wants(true) {
			b.Report(problem.Superfluous, problem.Quote(entry.Text)+what, instead)
		}
	}
	b.repeated(entries, again)
}

// covered says in what way other entries make one superfluous; what is empty if they
// don't, or if it is wrong.
func (b *originBuilder) covered(entry Entry) (what, instead string) {
	p, ok := readPattern(entry.Text)
	ok = !entry.Regex && ok && p.fits() && (!b.credentials || !p.trustsStrangers())
	switch {
	case b.set.any && (ok && p.kind != anyPattern || entry.Regex):
		return ` adds nothing beside "*"`, `leave it out, or leave out "*"`
	case ok && p.kind == tuplePattern && (b.set.subsumed(p) || b.matched(p, entry.Text)):
		return " is covered by another entry", "leave it out"
	}
	return "", ""
}

// matched reports whether a regex of the set allows an origin.
func (b *originBuilder) matched(p pattern, text string) bool {
	if p.subdomains || p.origin.port == anyPort {
		return false
	}
	for _, re := range b.set.regexps {
		if b.tries--; b.tries < 0 {
			return false
		}
		if re.MatchString(text) {
			return true
		}
	}
	return false
}

// A repeat is an entry that stands in the list before.
type repeat struct {
	Entry
	index int
}

// repeated warns about entries that stand in the list before, and says where.
func (b *originBuilder) repeated(entries iter.Seq2[int, Entry], list []repeat) {
	if len(list) == 0 {
		return
	}
	first := make(map[Entry]int, len(list)) // by the entry without its offset
	for _, r := range list {
		first[Entry{Text: r.Text, Regex: r.Regex}] = -1
	}
	for i, entry := range entries {
		entry.Offset = 0
		if at, listed := first[entry]; listed && at < 0 {
			first[entry] = i
		}
	}
	for _, r := range list {
		b.At(r.index, r.Offset)
		where := b.Field + "[" + strconv.Itoa(first[Entry{Text: r.Text, Regex: r.Regex}]) + "]"
		b.Report(problem.Duplicate, problem.Quote(r.Text)+" is already "+where, "leave one out")
	}
}
