package convert

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// matchesNothing leaves out the hosts, paths and routes that the filter can't match by. It
// reports whether nothing is left to match; a match that loses all its hosts must not
// become one of every host.
func (c *conversion) matchesNothing(d *draft) bool {
	m := &d.Match
	if slices.Contains(m.Hosts, "*") {
		m.Hosts = nil
	}
	before := *m
	drop := entries{}
	for _, p := range match.Check(*m).All() {
		port := p.Kind == problem.NeverSent && p.Field == "match.hosts"
		switch at := d.place(p.Field, p.Index); {
		case p.Index < 0:
		case port && !portless(m.Hosts, p.Index): // as the source has it
			c.warnOf(p.Kind, at, p.What, "carried over as it is; "+p.Instead)
		case drop.add(p.Field, p.Index) && !p.Warning:
			c.warnOf(p.Kind, at, p.What, "left out")
		}
	}
	d.remove(drop)
	if len(m.Hosts) == 0 && len(before.Hosts) > 0 || len(m.Paths) == 0 && len(before.Paths) > 0 {
		// What is left of a match of hosts and paths are the routes.
		m.Hosts, m.Paths = nil, nil
		return len(m.Routes) == 0
	}
	return len(m.Routes) == 0 && len(before.Routes) > 0 && len(m.Hosts)+len(m.Paths) == 0
}

// portless reports whether a host with a port, which browsers leave out, is in the list
// without it too.
func portless(hosts []string, index int) bool {
	name, _, _ := strings.Cut(hosts[index], ":")
	return slices.ContainsFunc(hosts, func(host string) bool { return strings.EqualFold(host, name) })
}

// entries are some of the entries of a draft's lists, by field and index.
type entries map[string]map[int]bool

// add adds an entry, and reports whether it wasn't there.
func (e entries) add(field string, index int) bool {
	if e[field] == nil {
		e[field] = map[int]bool{}
	}
	known := e[field][index]
	e[field][index] = true
	return !known
}

// remove leaves entries out of the lists.
func (d *draft) remove(drop entries) {
	for field, indexes := range drop {
		d.mark(field, without(d.at[field], indexes))
		if list := d.list(field); list != nil {
			*list = without(*list, indexes)
		}
	}
	d.AllowOrigins = without(d.AllowOrigins, drop["allow_origins"])
	d.Match.Paths = without(d.Match.Paths, drop["match.paths"])
}

// without is a copy of a list without some of its elements.
func without[T any](list []T, indexes map[int]bool) []T {
	var kept []T
	for i, e := range list {
		if !indexes[i] {
			kept = append(kept, e)
		}
	}
	return kept
}

// repair makes the policy one that the filter takes without a word: what it refuses or
// warns about is written as it was meant, or left out.
func (c *conversion) repair(d *draft) {
	c.upperCase(d)
	for c.mend(d) {
	}
}

// upperCase writes methods as browsers send them.
func (c *conversion) upperCase(d *draft) {
	twice := entries{}
	for i, method := range d.AllowMethods {
		switch upper := strings.ToUpper(method); upper {
		case method:
		case "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT":
			instead := "carried over as " + quote(upper)
			if slices.Contains(d.AllowMethods, upper) {
				twice.add("allow_methods", i)
				instead = "left out, because " + upper + " is there too"
			}
			c.warn(d.place("allow_methods", i), quote(method)+" allows no "+upper+", because methods compare by case",
				instead)
			d.AllowMethods[i] = upper
		}
	}
	d.remove(twice)
}

// mend repairs what the engine finds in the policy. It reports whether it has changed
// something, so that more may be found.
func (c *conversion) mend(d *draft) (changed bool) {
	_, problems := cors.Compile(d.Config)
	if c.withoutEverySite(d, problems) || c.withoutCredentials(d) {
		return true
	}
	drop := entries{}
	for _, p := range problems {
		switch {
		case p.Field == "max_age":
			c.mendMaxAge(d, p)
			changed = true
		case p.Kind == problem.RegexTooCostly && c.tooMany(d, p, drop):
		case p.Index < 0 || harmless(d, p):
		case p.Field == "allow_origins" && !p.Warning && c.mendOrigin(d, p):
			changed = true
		case drop.add(p.Field, p.Index):
			c.leaveOut(d, p)
		}
	}
	d.remove(drop)
	return changed || len(drop) > 0
}

// tooMany leaves out the last of a policy's regexes if they are too costly together, and
// reports whether they are: those from the one on that is too much, or else half of them.
func (c *conversion) tooMany(d *draft, p cors.Problem, drop entries) bool {
	if p.Index >= 0 && refusal(d.AllowOrigins[p.Index], d.AllowCredentials) != nil {
		return false // it alone is
	}
	var regexes []int
	for i, entry := range d.AllowOrigins {
		if entry.Regex && i >= p.Index {
			regexes = append(regexes, i)
		}
	}
	if p.Index < 0 {
		regexes = regexes[len(regexes)/2:]
	}
	for _, i := range regexes {
		drop.add("allow_origins", i)
	}
	c.warnOf(p.Kind, d.from, "the regexes of the policy take too long to compile or to match together",
		"the last of them are left out; "+p.Instead)
	return true
}

// harmless reports whether what the engine warns of may stay.
func harmless(d *draft, p cors.Problem) bool {
	// A regex that matches "null" allows other origins too, and what adds nothing beside
	// "*" does when that is gone.
	return p.Kind == problem.RegexNull ||
		p.Warning && p.Field == "expose_headers" && d.AllowCredentials && slices.Contains(d.ExposeHeaders, "*")
}

// withoutEverySite carries a policy over without credentials that has an entry for every
// site.
func (c *conversion) withoutEverySite(d *draft, problems []cors.Problem) bool {
	i := slices.IndexFunc(problems, func(p cors.Problem) bool { return p.Kind == problem.EverySite })
	if i < 0 {
		return false
	}
	c.dropCredentials(d, d.place(problems[i].Field, problems[i].Index), quote(d.AllowOrigins[problems[i].Index].Text)+
		" with credentials would let every site act as the visitor")
	return true
}

// withoutCredentials carries a policy over without credentials of which else no origin
// would be left: pages of its origins can then at least read what anybody may.
func (c *conversion) withoutCredentials(d *draft) bool {
	if !d.AllowCredentials {
		return false
	}
	var first *cors.Problem // of those that are right without credentials
	var at *document.Node
	for i, entry := range d.AllowOrigins {
		entry, _ = mendedOrigin(entry)
		insecure := refusal(entry, true)
		if insecure == nil {
			return false
		}
		if first == nil && refusal(entry, false) == nil {
			first, at = insecure, d.place("allow_origins", i)
		}
	}
	if first != nil {
		c.dropCredentials(d, at, first.What+", and no other origin is left")
	}
	return first != nil
}

// refusal is why an entry is left out of a policy; it is nil if it isn't.
func refusal(entry cors.OriginEntry, credentials bool) *cors.Problem {
	if entry.Text == "null" && credentials {
		return &cors.Problem{Kind: problem.NullOrigin, What: nullForAll}
	}
	_, problems := cors.Compile(cors.Config{AllowOrigins: []cors.OriginEntry{entry}, AllowCredentials: credentials})
	for _, p := range problems {
		if !p.Warning {
			return &p
		}
	}
	return nil
}

const nullForAll = `"null" with credentials would let every site act as the visitor, ` +
	"because every sandboxed frame has this origin"

// dropCredentials carries the policy over without credentials.
func (c *conversion) dropCredentials(d *draft, at *document.Node, what string) {
	d.AllowCredentials = false
	c.warn(at, what+", so the policy is carried over without allow_credentials",
		"list the origins that need credentials, and set allow_credentials again")
}

func (c *conversion) leaveOut(d *draft, p cors.Problem) {
	instead := "left out"
	if p.Instead != "" && !strings.HasPrefix(p.Instead, "leave") { // which would be said twice
		instead += "; " + p.Instead
	}
	what := p.What
	switch {
	case p.Field != "allow_origins":
	case d.AllowOrigins[p.Index].Text == "null" && d.AllowCredentials:
		what = nullForAll
	case p.Kind == problem.Duplicate:
		what = quote(d.AllowOrigins[p.Index].Text) + " is listed twice" // in a list that nobody sees
	}
	c.warnOf(p.Kind, d.place(p.Field, p.Index), what, instead)
}

// mendOrigin writes an origin as browsers send it, if that is what was meant beyond doubt.
func (c *conversion) mendOrigin(d *draft, p cors.Problem) bool {
	mended, ok := mendedOrigin(d.AllowOrigins[p.Index])
	if !ok {
		return false
	}
	c.warnOf(p.Kind, d.place(p.Field, p.Index), p.What, "carried over as "+quote(mended.Text))
	d.AllowOrigins[p.Index] = mended
	return true
}

// mendedOrigin is an entry as browsers send the origin; ok is false if there is nothing
// to mend, or more than that.
func mendedOrigin(entry cors.OriginEntry) (mended cors.OriginEntry, ok bool) {
	text := withoutDefaultPort(strings.TrimSuffix(strings.ToLower(strings.TrimSpace(entry.Text)), "/"))
	if entry.Regex || text == entry.Text || !validOrigin(text) {
		return entry, false
	}
	return cors.OriginEntry{Text: text}, true
}

// validOrigin reports whether an entry that is no regex is right.
func validOrigin(text string) bool { return refusal(cors.OriginEntry{Text: text}, false) == nil }

// mendMaxAge brings the age into the range that is the same in all browsers but Safari,
// which remembers for ten minutes at the most.
func (c *conversion) mendMaxAge(d *draft, p cors.Problem) {
	seconds := min(max(*d.MaxAge, 0), longestAge)
	d.MaxAge = &seconds
	c.warnOf(p.Kind, d.place("max_age", 0), p.What, "carried over as "+strconv.Itoa(seconds))
}

// longestAge is what an age becomes that is longer than Chromium remembers, and what a
// default becomes that is.
const longestAge = cors.ChromiumMaxAge

// separate makes the matches differ: what two policies match, the first keeps.
func (c *conversion) separate() {
	taken := map[match.Claim]*draft{}
	var kept []*draft
	for _, d := range c.drafts {
		free := func(claim match.Claim) bool { return c.claim(d, taken, claim) }
		for _, m := range unclaimed(d.Match, free) {
			one := *d
			one.Match = m
			kept = append(kept, &one)
		}
	}
	c.drafts = kept
}

// unclaimed is what is left of a match of the claims that are free: itself, nothing, or
// several matches where it is for less of one host than of another.
func unclaimed(m match.Match, free func(match.Claim) bool) []match.Match {
	var routes []string
	var left []match.Match // one for each host
	for claim := range m.Claims() {
		switch last := len(left) - 1; {
		case !free(claim):
		case claim.Route != "":
			routes = append(routes, claim.Route)
		case last >= 0 && left[last].Hosts[0] == claim.Host:
			left[last].Paths = append(left[last].Paths, claim.Path)
		default:
			left = append(left, match.Match{Hosts: []string{claim.Host}, Paths: []match.Path{claim.Path}})
		}
	}
	parts := joined(left)
	switch {
	case parts == nil && routes == nil:
		return nil
	case parts == nil:
		parts = []match.Match{{}}
	case len(m.Hosts) == 0: // of every host there is but one part
		parts[0].Hosts = nil
	}
	if len(m.Paths) == 0 {
		parts[0].Paths = nil
	}
	parts[0].Routes = routes
	return parts
}

// joined makes one match of those that differ in their hosts alone.
func joined(matches []match.Match) (list []match.Match) {
	byPaths := map[string]int{}
	for _, m := range matches {
		key := fmt.Sprint(m.Paths)
		if i, known := byPaths[key]; known {
			list[i].Hosts = append(list[i].Hosts, m.Hosts...)
			continue
		}
		byPaths[key] = len(list)
		list = append(list, m)
	}
	return list
}

// claim reports whether nobody else claims the same.
func (c *conversion) claim(d *draft, taken map[match.Claim]*draft, claim match.Claim) bool {
	first, claimed := taken[claim.Canonical()]
	if !claimed {
		taken[claim.Canonical()] = d
		return true
	}
	if first != d && first.from != d.from && first.key() != d.key() {
		words := strings.TrimSuffix(claim.String(), " and every path")
		c.warn(d.from, "there is a policy for "+words+" already, in line "+strconv.Itoa(first.from.Position().Line)+
			", which applies",
			"left out for it; where the two are for different gateways or listeners, convert each on its own")
	}
	return false
}

// leaveOutEmpty leaves out the policies that have no origin left. One whose requests
// would then get a policy for more stays, and allows nobody.
func (c *conversion) leaveOutEmpty() {
	b := newBuilder[*draft]()
	for _, d := range c.drafts {
		if !d.empty() {
			b.Add(d.Match, d, true)
		}
	}
	table := b.Table()
	c.drafts = slices.DeleteFunc(c.drafts, func(d *draft) bool {
		if !d.empty() {
			return false
		}
		if table == nil || !covered(table, d.Match) {
			c.warn(d.from, "the policy has no origin that can be carried over", "left out; list origins to have it")
			return true
		}
		c.warn(d.from, "the policy has no origin that can be carried over, "+
			"and without it a policy for more would apply",
			"carried over with "+quote(nobody)+", which no page has; list origins in its place")
		d.AllowOrigins, d.AllowCredentials = []cors.OriginEntry{{Text: nobody}}, false
		return false
	})
}

// empty reports whether a policy lacks the origin that it needs; one that is off needs none.
func (d *draft) empty() bool { return len(d.AllowOrigins) == 0 && !d.Off }

// newBuilder builds a table of matches that have been checked.
func newBuilder[T any]() *match.Builder[T] {
	return match.NewBuilder[T](&match.Problems{}, func(int) string { return "" })
}

// covered reports whether a request that a match is for may get a policy of the table.
func covered(table *match.Table[*draft], m match.Match) bool {
	if len(m.Routes) > 0 {
		return len(table.All()) > 0 // a route may be anywhere
	}
	for claim := range m.Claims() {
		if table.Lookup(match.Key{Host: sampleHost(claim.Host), Path: samplePath(claim.Path)}) != nil {
			return true
		}
	}
	return false
}

// sampleHost is a host that a pattern of match.hosts matches, and hardly another.
func sampleHost(pattern string) string {
	if pattern == "" {
		return "any-host.invalid"
	}
	if domain, wildcard := strings.CutPrefix(pattern, "*."); wildcard {
		return "any-host." + domain
	}
	return pattern
}

// samplePath is a path that a match matches, and hardly another.
func samplePath(path match.Path) string {
	if path.Path == "" || path.Prefix {
		return strings.TrimSuffix(path.Path, "/") + "/any-path"
	}
	return path.Path
}

func quote(s string) string { return problem.Quote(s) }
