package convert

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// allowsNobody is a policy to build sets with where only the matches count.
var allowsNobody = func() *cors.Policy {
	p, problems := cors.Compile(cors.Config{AllowOrigins: []cors.OriginEntry{{Text: nobody}}})
	if p == nil {
		panic(problems)
	}
	return p
}()

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
	drop := map[string]map[int]bool{}
	_, problems := cors.NewSet([]cors.Rule{{Match: *m, Policy: allowsNobody}})
	for _, p := range problems {
		if p.Index < 0 {
			continue
		}
		if p.Warning && p.Field == "match.hosts" && !strings.Contains(p.What, " is listed twice") {
			// A port that browsers leave out, as the source has it.
			if name, _, _ := strings.Cut(m.Hosts[p.Index], ":"); !slices.ContainsFunc(m.Hosts, func(host string) bool { return strings.EqualFold(host, name) }) {
				c.warn(r.place(p.Field, p.Index), "", p.What, "carried over as it is; "+p.Instead)
				continue
			}
		}
		if drop[p.Field] == nil {
			drop[p.Field] = map[int]bool{}
		}
		if drop[p.Field][p.Index] {
			continue
		}
		drop[p.Field][p.Index] = true
		if !p.Warning {
			c.warn(r.place(p.Field, p.Index), "", p.What, "left out")
		}
	}
	for field, indexes := range drop {
		r.remove(field, indexes)
	}
	if len(m.Hosts) == 0 && len(before.Hosts) > 0 || len(m.Paths) == 0 && len(before.Paths) > 0 {
		// What is left of a match of hosts and paths are the routes.
		m.Hosts, m.Paths = nil, nil
		return len(m.Routes) > 0
	}
	return len(m.Routes) > 0 || len(before.Routes) == 0 || len(m.Hosts)+len(m.Paths) > 0
}

// remove leaves elements out of one of the rule's lists.
func (r *rule) remove(field string, indexes map[int]bool) {
	switch field {
	case "allow_origins":
		r.AllowOrigins = without(r.AllowOrigins, indexes)
	case "allow_methods":
		r.AllowMethods = without(r.AllowMethods, indexes)
	case "allow_headers":
		r.AllowHeaders = without(r.AllowHeaders, indexes)
	case "expose_headers":
		r.ExposeHeaders = without(r.ExposeHeaders, indexes)
	case "match.hosts":
		r.Match.Hosts = without(r.Match.Hosts, indexes)
	case "match.paths":
		r.Match.Paths = without(r.Match.Paths, indexes)
	case "match.routes":
		r.Match.Routes = without(r.Match.Routes, indexes)
	}
	if at := r.at[field]; at != nil {
		r.at[field] = without(at, indexes)
	}
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
	twice := map[int]bool{}
	for i, method := range r.AllowMethods {
		switch upper := strings.ToUpper(method); upper {
		case method:
		case "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT":
			instead := "carried over as " + quote(upper)
			if twice[i] = slices.Contains(r.AllowMethods, upper); twice[i] {
				instead = "left out, because " + upper + " is there too"
			}
			c.warn(r.place("allow_methods", i), "", quote(method)+" allows no "+upper+", because methods compare by case", instead)
			r.AllowMethods[i] = upper
		}
	}
	r.remove("allow_methods", twice)
}

// mend repairs what the engine finds in the policy. It reports whether it has changed
// something, so that more may be found.
func (c *conversion) mend(r *rule) (changed bool) {
	_, problems := cors.Compile(r.Config)
	for _, p := range problems {
		if r.AllowCredentials && p.Field == "allow_origins" && !p.Warning && allowsEverySite(p.Index, r) {
			c.dropCredentials(r, r.place(p.Field, p.Index), quote(r.AllowOrigins[p.Index].Text)+
				" with credentials would let every site act as the visitor")
			return true
		}
	}
	if c.withoutCredentials(r) {
		return true
	}
	drop := map[string]map[int]bool{}
	for _, p := range problems {
		switch {
		case p.Field == "max_age":
			c.mendMaxAge(r, p)
			changed = true
		case p.Index < 0:
		case p.Field == "allow_origins" && !p.Warning && c.mendOrigin(r, p):
			changed = true
		case p.Field == "allow_origins" && r.AllowOrigins[p.Index].Regex && p.Warning && strings.Contains(p.What, `matches "null"`):
			// The regex allows other origins too.
		case p.Field == "expose_headers" && p.Warning && r.AllowCredentials && slices.Contains(r.ExposeHeaders, "*"):
			// What adds nothing beside "*" does when that is gone.
		default:
			if drop[p.Field] == nil {
				drop[p.Field] = map[int]bool{}
			}
			if !drop[p.Field][p.Index] {
				drop[p.Field][p.Index] = true
				c.leaveOut(r, p)
			}
		}
	}
	for field, indexes := range drop {
		r.remove(field, indexes)
	}
	return changed || len(drop) > 0
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

// allowsEverySite reports whether the entry that the engine refuses is the wildcard, or
// a regex that is as good as one.
func allowsEverySite(index int, r *rule) bool {
	if index < 0 {
		return false
	}
	entry := r.AllowOrigins[index]
	if !entry.Regex {
		return entry.Text == "*"
	}
	return everySite(entry.Text)
}

// dropCredentials carries the policy over without credentials.
func (c *conversion) dropCredentials(r *rule, at *document.Node, what string) {
	r.AllowCredentials = false
	c.warn(at, "", what+", so the policy is carried over without allow_credentials", "list the origins that need credentials, and set allow_credentials again")
}

func (c *conversion) leaveOut(r *rule, p cors.Problem) {
	instead := "left out"
	if p.Instead != "" && !strings.HasPrefix(p.Instead, "leave") {
		instead += "; " + p.Instead
	}
	what := p.What
	if i := strings.Index(what, " is already "); p.Warning && i > 0 {
		what = what[:i] + " is listed twice" // where it is in a list that nobody sees
	}
	if p.Field == "allow_origins" && r.AllowOrigins[p.Index].Text == "null" && r.AllowCredentials {
		what = problemOf(r.AllowOrigins[p.Index], true)
	}
	c.warn(r.place(p.Field, p.Index), "", what, instead)
}

// mendOrigin writes an origin as browsers send it, if that is what was meant beyond doubt.
func (c *conversion) mendOrigin(r *rule, p cors.Problem) bool {
	mended, ok := mendedOrigin(r.AllowOrigins[p.Index])
	if !ok {
		return false
	}
	c.warn(r.place(p.Field, p.Index), "", p.What, "carried over as "+quote(mended.Text))
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
	c.warn(r.place("max_age", 0), "", p.What, "carried over as "+strconv.Itoa(seconds))
}

// longestAge is what an age becomes that is longer than Chromium remembers, and what a
// default becomes that is.
const longestAge = cors.ChromiumMaxAge

// separate makes the matches differ: what two policies match, the first keeps.
func (c *conversion) separate() {
	taken := map[string]*rule{}
	var kept []*rule
	for _, r := range c.rules {
		kept = append(kept, c.unclaimed(r, taken)...)
	}
	c.rules = kept
}

// unclaimed is what is left of a policy without what others match: itself, nothing, or
// several policies where it is for less of one host than of another.
func (c *conversion) unclaimed(r *rule, taken map[string]*rule) []*rule {
	m := r.Match
	routesOnly := len(m.Routes) > 0 && len(m.Hosts)+len(m.Paths) == 0
	rest := *r
	rest.Match = cors.Match{}
	for _, route := range m.Routes {
		if c.claim(r, taken, "route "+route, "the route "+quote(route)) {
			rest.Match.Routes = append(rest.Match.Routes, route)
		}
	}
	if routesOnly {
		if len(rest.Match.Routes) == 0 {
			return nil
		}
		return []*rule{&rest}
	}
	type part struct {
		hosts []string
		paths []cors.PathMatch
	}
	var parts []*part
	byPaths := map[string]*part{}
	for _, host := range orEvery(m.Hosts) {
		var paths []cors.PathMatch
		free := false
		for _, path := range orEveryPath(m.Paths) {
			if c.claim(r, taken, claimKey(host, path), claimWords(host, path)) {
				free = true
				if path.Path != "" {
					paths = append(paths, path)
				}
			}
		}
		if !free {
			continue
		}
		key := fmt.Sprint(paths)
		if byPaths[key] == nil {
			byPaths[key] = &part{paths: paths}
			parts = append(parts, byPaths[key])
		}
		if host != "" {
			byPaths[key].hosts = append(byPaths[key].hosts, host)
		}
	}
	var rules []*rule
	for _, p := range parts {
		one := rest
		one.Match.Hosts, one.Match.Paths = p.hosts, p.paths
		rules = append(rules, &one)
		rest.Match.Routes = nil
	}
	if len(rules) == 0 && len(rest.Match.Routes) > 0 {
		rules = []*rule{&rest}
	}
	return rules
}

// orEvery are the hosts, or "" for every host.
func orEvery(hosts []string) []string {
	if len(hosts) == 0 {
		return []string{""}
	}
	return hosts
}

// orEveryPath are the paths, or the zero one for every path.
func orEveryPath(paths []cors.PathMatch) []cors.PathMatch {
	if len(paths) == 0 {
		return []cors.PathMatch{{}}
	}
	return paths
}

func claimKey(host string, path cors.PathMatch) string {
	text := path.Path
	switch {
	case path.Prefix:
		text = "prefix " + strings.TrimSuffix(text, "/")
	case text != "":
		text = "exact " + text
	}
	return sameHost(host) + " " + text
}

// sameHost is a host as the filter compares it: in lower case, without a dot at its end.
func sameHost(host string) string {
	host = strings.ToLower(host)
	name, port := host, ""
	if i := strings.LastIndexByte(host, ':'); i > strings.IndexByte(host, ']') {
		name, port = host[:i], host[i:]
	}
	return strings.TrimSuffix(name, ".") + port
}

func claimWords(host string, path cors.PathMatch) string {
	words := "every host"
	if host != "" {
		words = "the host " + host
	}
	switch {
	case path.Prefix:
		words += " and the paths below " + quote(path.Path)
	case path.Path != "":
		words += " and the path " + quote(path.Path)
	}
	return words
}

// claim reports whether nobody else matches what the key stands for.
func (c *conversion) claim(r *rule, taken map[string]*rule, key, words string) bool {
	first, claimed := taken[key]
	if !claimed {
		taken[key] = r
		return true
	}
	if first != r && first.from != r.from && fingerprint(first) != fingerprint(r) {
		c.warn(r.from, "", "there is a policy for "+words+" already, in line "+strconv.Itoa(first.from.Position().Line)+", which applies",
			"left out for it; where the two are for different gateways or listeners, convert each on its own")
	}
	return false
}

// keepOrigins leaves out the policies that have no origin left. One whose requests
// would then get a policy for more stays, and allows nobody.
func (c *conversion) keepOrigins() {
	var rules []cors.Rule
	for _, r := range c.rules {
		if len(r.AllowOrigins) > 0 {
			rules = append(rules, cors.Rule{Match: r.Match, Policy: allowsNobody})
		}
	}
	set, _ := cors.NewSet(rules)
	c.keep(func(c *conversion, r *rule) bool {
		if len(r.AllowOrigins) > 0 {
			return true
		}
		if set == nil || !covered(set, r.Match) {
			c.warn(r.from, "", "the policy has no origin that can be carried over", "left out; list origins to have it")
			return false
		}
		c.warn(r.from, "", "the policy has no origin that can be carried over, and without it a policy for more would apply",
			"carried over with "+quote(nobody)+", which no page has; list origins in its place")
		r.AllowOrigins, r.AllowCredentials = []cors.OriginEntry{{Text: nobody}}, false
		return true
	})
}

// covered reports whether a request that a match is for may get a policy of the set.
func covered(set *cors.Set, m cors.Match) bool {
	if len(m.Routes) > 0 {
		return len(set.Policies()) > 0 // a route may be anywhere
	}
	for _, host := range orEvery(m.Hosts) {
		for _, path := range orEveryPath(m.Paths) {
			if set.Lookup(cors.Key{Host: sampleHost(host), Path: samplePath(path)}) != nil {
				return true
			}
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
func samplePath(path cors.PathMatch) string {
	if path.Path == "" || path.Prefix {
		return strings.TrimSuffix(path.Path, "/") + "/any-path"
	}
	return path.Path
}

func quote(s string) string { return problem.Quote(s) }
