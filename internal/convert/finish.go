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

// detach gives the rule lists of its own, because several may have been made of one.
func (r *rule) detach() {
	at := map[string][]*document.Node{}
	for field, nodes := range r.at {
		at[field] = slices.Clone(nodes)
	}
	r.at = at
	r.AllowOrigins, r.AllowMethods = slices.Clone(r.AllowOrigins), slices.Clone(r.AllowMethods)
}

// checkMatch leaves out the hosts, paths and routes that the filter can't match by. It
// reports whether something is left to match; a match that loses all its hosts must
// not become one of every host.
func (c *conversion) checkMatch(r *rule) bool {
	m := &r.Match
	if slices.Contains(m.Hosts, "*") {
		m.Hosts = nil
	}
	before := *m
	drop := entries{}
	for _, p := range match.Check(*m).All() {
		port := p.Kind == problem.NeverSent && p.Field == "match.hosts"
		switch at := r.place(p.Field, p.Index); {
		case p.Index < 0:
		case port && !portless(m.Hosts, p.Index): // as the source has it
			c.warnOf(p.Kind, at, p.What, "carried over as it is; "+p.Instead)
		case drop.add(p.Field, p.Index) && !p.Warning:
			c.warnOf(p.Kind, at, p.What, "left out")
		}
	}
	r.remove(drop)
	if len(m.Hosts) == 0 && len(before.Hosts) > 0 || len(m.Paths) == 0 && len(before.Paths) > 0 {
		// What is left of a match of hosts and paths are the routes.
		m.Hosts, m.Paths = nil, nil
		return len(m.Routes) > 0
	}
	return len(m.Routes) > 0 || len(before.Routes) == 0 || len(m.Hosts)+len(m.Paths) > 0
}

// portless reports whether a host with a port, which browsers leave out, is in the list
// without it too.
func portless(hosts []string, index int) bool {
	name, _, _ := strings.Cut(hosts[index], ":")
	return slices.ContainsFunc(hosts, func(host string) bool { return strings.EqualFold(host, name) })
}

// entries are some of the entries of a rule's lists, by field and index.
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

// remove leaves entries out of the rule's lists.
func (r *rule) remove(drop entries) {
	for field, indexes := range drop {
		r.at[field] = without(r.at[field], indexes)
	}
	r.AllowOrigins = without(r.AllowOrigins, drop["allow_origins"])
	r.AllowMethods = without(r.AllowMethods, drop["allow_methods"])
	r.AllowHeaders = without(r.AllowHeaders, drop["allow_headers"])
	r.ExposeHeaders = without(r.ExposeHeaders, drop["expose_headers"])
	r.Match.Hosts = without(r.Match.Hosts, drop["match.hosts"])
	r.Match.Paths = without(r.Match.Paths, drop["match.paths"])
	r.Match.Routes = without(r.Match.Routes, drop["match.routes"])
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
func (c *conversion) repair(r *rule) {
	c.upperCase(r)
	for c.mend(r) {
	}
}

// upperCase writes methods as browsers send them.
func (c *conversion) upperCase(r *rule) {
	twice := entries{}
	for i, method := range r.AllowMethods {
		switch upper := strings.ToUpper(method); upper {
		case method:
		case "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT":
			instead := "carried over as " + quote(upper)
			if slices.Contains(r.AllowMethods, upper) {
				twice.add("allow_methods", i)
				instead = "left out, because " + upper + " is there too"
			}
			c.warn(r.place("allow_methods", i), "", quote(method)+" allows no "+upper+", because methods compare by case", instead)
			r.AllowMethods[i] = upper
		}
	}
	r.remove(twice)
}

// mend repairs what the engine finds in the policy. It reports whether it has changed
// something, so that more may be found.
func (c *conversion) mend(r *rule) (changed bool) {
	_, problems := cors.Compile(r.Config)
	if c.withoutEverySite(r, problems) || c.withoutCredentials(r) {
		return true
	}
	drop := entries{}
	for _, p := range problems {
		switch {
		case p.Field == "max_age":
			c.mendMaxAge(r, p)
			changed = true
		case p.Index < 0 || harmless(r, p):
		case p.Field == "allow_origins" && !p.Warning && c.mendOrigin(r, p):
			changed = true
		case drop.add(p.Field, p.Index):
			c.leaveOut(r, p)
		}
	}
	r.remove(drop)
	return changed || len(drop) > 0
}

// harmless reports whether what the engine warns of may stay.
func harmless(r *rule, p cors.Problem) bool {
	// A regex that matches "null" allows other origins too, and what adds nothing beside
	// "*" does when that is gone.
	return p.Kind == problem.RegexNull ||
		p.Warning && p.Field == "expose_headers" && r.AllowCredentials && slices.Contains(r.ExposeHeaders, "*")
}

// withoutEverySite carries a policy over without credentials that has an entry for every
// site.
func (c *conversion) withoutEverySite(r *rule, problems []cors.Problem) bool {
	i := slices.IndexFunc(problems, func(p cors.Problem) bool { return p.Kind == problem.EverySite })
	if i < 0 {
		return false
	}
	c.dropCredentials(r, r.place(problems[i].Field, problems[i].Index), quote(r.AllowOrigins[problems[i].Index].Text)+
		" with credentials would let every site act as the visitor")
	return true
}

// withoutCredentials carries a policy over without credentials of which else no origin
// would be left: pages of its origins can then at least read what anybody may.
func (c *conversion) withoutCredentials(r *rule) bool {
	if !r.AllowCredentials {
		return false
	}
	what, at := "", (*document.Node)(nil)
	for i, entry := range r.AllowOrigins {
		entry, _ = mendedOrigin(entry)
		insecure := problemOf(entry, true)
		switch {
		case insecure == "":
			return false
		case what == "" && problemOf(entry, false) == "":
			what, at = insecure, r.place("allow_origins", i)
		}
	}
	if what == "" {
		return false
	}
	c.dropCredentials(r, at, what+", and no other origin is left")
	return true
}

// problemOf says why an entry is left out of a policy; it is "" if it isn't.
func problemOf(entry cors.OriginEntry, credentials bool) string {
	if entry.Text == "null" && credentials {
		return `"null" with credentials would let every site act as the visitor, because every sandboxed frame has this origin`
	}
	_, problems := cors.Compile(cors.Config{AllowOrigins: []cors.OriginEntry{entry}, AllowCredentials: credentials})
	for _, p := range problems {
		if !p.Warning {
			return p.What
		}
	}
	return ""
}

// dropCredentials carries the policy over without credentials.
func (c *conversion) dropCredentials(r *rule, at *document.Node, what string) {
	r.AllowCredentials = false
	c.warn(at, "", what+", so the policy is carried over without allow_credentials", "list the origins that need credentials, and set allow_credentials again")
}

func (c *conversion) leaveOut(r *rule, p cors.Problem) {
	instead := "left out"
	if p.Instead != "" && !strings.HasPrefix(p.Instead, "leave") { // which would be said twice
		instead += "; " + p.Instead
	}
	what := p.What
	if p.Kind == problem.Duplicate && p.Field == "allow_origins" {
		what = problem.Quote(r.AllowOrigins[p.Index].Text) + " is listed twice" // in a list that nobody sees
	}
	if p.Field == "allow_origins" && r.AllowOrigins[p.Index].Text == "null" && r.AllowCredentials {
		what = problemOf(r.AllowOrigins[p.Index], true)
	}
	c.warnOf(p.Kind, r.place(p.Field, p.Index), what, instead)
}

// mendOrigin writes an origin as browsers send it, if that is what was meant beyond doubt.
func (c *conversion) mendOrigin(r *rule, p cors.Problem) bool {
	mended, ok := mendedOrigin(r.AllowOrigins[p.Index])
	if !ok {
		return false
	}
	c.warnOf(p.Kind, r.place(p.Field, p.Index), p.What, "carried over as "+quote(mended.Text))
	r.AllowOrigins[p.Index] = mended
	return true
}

// mendedOrigin is an entry as browsers send the origin; ok is false if there is nothing
// to mend, or more than that.
func mendedOrigin(entry cors.OriginEntry) (mended cors.OriginEntry, ok bool) {
	text := strings.TrimSuffix(strings.ToLower(strings.TrimSpace(entry.Text)), "/")
	for scheme, port := range map[string]string{"http://": ":80", "https://": ":443"} {
		if strings.HasPrefix(text, scheme) {
			text = strings.TrimSuffix(text, port)
		}
	}
	if entry.Regex || text == entry.Text || !validOrigin(text) {
		return entry, false
	}
	return cors.OriginEntry{Text: text}, true
}

// validOrigin reports whether an entry that is no regex is right.
func validOrigin(text string) bool { return problemOf(cors.OriginEntry{Text: text}, false) == "" }

// mendMaxAge brings the age into the range that is the same in all browsers but Safari,
// which remembers for ten minutes at the most.
func (c *conversion) mendMaxAge(r *rule, p cors.Problem) {
	seconds := min(max(*r.MaxAge, 0), longestAge)
	r.MaxAge = &seconds
	c.warnOf(p.Kind, r.place("max_age", 0), p.What, "carried over as "+strconv.Itoa(seconds))
}

// longestAge is what an age becomes that is longer than Chromium remembers, and what a
// default becomes that is.
const longestAge = cors.ChromiumMaxAge

// separate makes the matches differ: what two policies match, the first keeps.
func (c *conversion) separate() {
	taken := map[match.Claim]*rule{}
	var kept []*rule
	for _, r := range c.rules {
		free := func(claim match.Claim) bool { return c.claim(r, taken, claim) }
		for _, m := range unclaimed(r.Match, free) {
			one := *r
			one.Match = m
			kept = append(kept, &one)
		}
	}
	c.rules = kept
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
func (c *conversion) claim(r *rule, taken map[match.Claim]*rule, claim match.Claim) bool {
	first, claimed := taken[claim.Canonical()]
	if !claimed {
		taken[claim.Canonical()] = r
		return true
	}
	if first != r && first.from != r.from && fingerprint(first) != fingerprint(r) {
		words := strings.TrimSuffix(claim.String(), " and every path")
		c.warn(r.from, "", "there is a policy for "+words+" already, in line "+strconv.Itoa(first.from.Position().Line)+", which applies",
			"left out for it; where the two are for different gateways or listeners, convert each on its own")
	}
	return false
}

// keepOrigins leaves out the policies that have no origin left. One whose requests
// would then get a policy for more stays, and allows nobody.
func (c *conversion) keepOrigins() {
	b := newBuilder[*rule]()
	for _, r := range c.rules {
		if len(r.AllowOrigins) > 0 {
			b.Add(r.Match, r, true)
		}
	}
	table := b.Table()
	c.keep(func(c *conversion, r *rule) bool {
		if len(r.AllowOrigins) > 0 {
			return true
		}
		if table == nil || !covered(table, r.Match) {
			c.warn(r.from, "", "the policy has no origin that can be carried over", "left out; list origins to have it")
			return false
		}
		c.warn(r.from, "", "the policy has no origin that can be carried over, and without it a policy for more would apply",
			"carried over with "+quote(nobody)+", which no page has; list origins in its place")
		r.AllowOrigins, r.AllowCredentials = []cors.OriginEntry{{Text: nobody}}, false
		return true
	})
}

// newBuilder builds a table of matches that have been checked.
func newBuilder[T any]() *match.Builder[T] {
	return match.NewBuilder[T](&match.Problems{}, func(int) string { return "" })
}

// covered reports whether a request that a match is for may get a policy of the table.
func covered(table *match.Table[*rule], m match.Match) bool {
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
