package cors

import "strings"

// A Rule says to which requests a policy applies.
type Rule struct {
	// Name is what messages call the rule, such as "policies[2]".
	Name   string
	Match  Match
	Policy *Policy
	// Incomplete says that Match lacks something that couldn't be read: what is
	// there is checked, but it isn't said to conflict with other rules.
	Incomplete bool
}

// A Match selects requests. The zero value matches every request.
//
// Hosts and Paths must both match. A request also matches by its route's name
// alone; a match that has only Routes matches no other way.
type Match struct {
	// Hosts are compared with the request's authority, without regard to case:
	// "api.example.com", or "*.example.com" for its subdomains at any depth. The
	// authority's port counts only against a host with a port.
	Hosts []string
	// Paths are compared with the request's path up to "?".
	Paths []PathMatch
	// Routes are names of the proxy's routes.
	Routes []string
}

// A PathMatch matches a path, or all paths below it.
type PathMatch struct {
	// Path begins with a slash.
	Path string
	// Prefix matches the path itself and all below it: "/v1" covers "/v1" and
	// "/v1/x", and not "/v12". A slash at the end makes no difference.
	Prefix bool
}

// A Set finds the policy that applies to a request. It is immutable, and a
// look-up costs the same whatever the number of rules.
type Set struct {
	routes map[string]*Policy
	hosts  map[string]*pathTable // exact, in lower case, with or without a port
	// suffixes are the hosts after "*."; depths has bit n set where one has n labels.
	suffixes map[string]*pathTable
	depths   uint64
	ports    bool // a host has a port
	every    *pathTable

	policies []*Policy
	byHost   bool
	byPath   bool
	// uniform makes the same decision as every policy for requests without an origin.
	uniform *Policy
}

// A pathTable finds the policy for a path of a host.
type pathTable struct {
	exact  map[string]*Policy
	prefix *segment
	any    *Policy
}

// A segment of a path leads to the longest prefix in one pass over the path.
type segment struct {
	policy *Policy
	next   map[string]*segment
}

// NewSet arranges rules by what they match. It reports everything that is wrong or
// doubtful at once; the set is nil if any of it is more than a warning. A rule without a policy, one that didn't
// compile, is checked all the same, and makes the set nil.
func NewSet(rules []Rule) (*Set, []Problem) {
	b := &setBuilder{set: &Set{}, rules: rules, claims: map[string]int{}}
	incomplete := false
	for i, rule := range rules {
		b.rule, b.policy = i, rule.Policy
		b.add(rule.Match)
		incomplete = incomplete || rule.Policy == nil || rule.Incomplete
	}
	for _, p := range b.problems {
		incomplete = incomplete || !p.Warning
	}
	if incomplete {
		return nil, b.problems
	}
	b.set.findUniform()
	return b.set, b.problems
}

type setBuilder struct {
	set      *Set
	rules    []Rule
	problems []Problem
	claims   map[string]int // what is claimed, to the rule that claims it

	rule   int
	policy *Policy
}

func (b *setBuilder) fail(field string, index int, what, instead string) {
	b.problems = append(b.problems, Problem{Rule: b.rule, Field: field, Index: index, What: what, Instead: instead})
}

// claim reports whether nobody else claims what key stands for.
func (b *setBuilder) claim(key, words, field string, index int) bool {
	other, taken := b.claims[key]
	switch {
	case b.rules[b.rule].Incomplete:
		return false
	case !taken:
		b.claims[key] = b.rule
		return true
	default:
		b.fail(field, index, "claims "+words+", as "+b.rules[other].Name+" does", "give the two policies different matches, or make them one")
	}
	return false
}

// twice reports whether an entry of a list is there already.
func (b *setBuilder) twice(seen map[string]bool, key, field string, index int) bool {
	if seen[key] {
		b.problems = append(b.problems, Problem{Rule: b.rule, Field: field, Index: index, What: quote(key) + " is listed twice", Instead: "leave one out", Warning: true})
		return true
	}
	seen[key] = true
	return false
}

// withoutDuplicates are the paths that differ in what they match.
func (b *setBuilder) withoutDuplicates(matches []PathMatch) (paths []indexedPath) {
	exact, prefix := map[string]bool{}, map[string]bool{}
	for i, m := range matches {
		seen, key := exact, m.Path
		if m.Prefix {
			seen, key = prefix, strings.TrimSuffix(m.Path, "/")
		}
		if !b.twice(seen, key, "match.paths", i) {
			paths = append(paths, indexedPath{m, i})
		}
	}
	return paths
}

// An indexedPath is a path and its index in the list.
type indexedPath struct {
	PathMatch
	index int
}

func (b *setBuilder) add(m Match) {
	s := b.set
	s.policies = append(s.policies, b.policy)
	seen := map[string]bool{}
	for i, route := range m.Routes {
		if route == "" {
			b.fail("match.routes", i, "is empty", "write the name of a route")
		} else if !b.twice(seen, route, "match.routes", i) && b.claim("route "+route, "the route "+quote(route), "match.routes", i) {
			if s.routes == nil {
				s.routes = map[string]*Policy{}
			}
			s.routes[route] = b.policy
		}
	}
	if len(m.Routes) > 0 && len(m.Hosts) == 0 && len(m.Paths) == 0 {
		return
	}
	pathsOK := true
	for i, path := range m.Paths {
		if what, instead := checkPath(path.Path); what != "" {
			b.fail("match.paths", i, what, instead)
			pathsOK = false
		}
	}
	paths := b.withoutDuplicates(m.Paths)
	if len(m.Hosts) == 0 {
		if pathsOK {
			b.addPaths(&s.every, "every host", "match", -1, paths)
		}
		return
	}
	s.byHost = true
	seen = map[string]bool{}
	for i, host := range m.Hosts {
		pattern, what, instead := parseHostPattern(host)
		if what != "" {
			b.fail("match.hosts", i, what, instead)
			continue
		}
		if b.twice(seen, strings.ToLower(host), "match.hosts", i) || !pathsOK {
			continue
		}
		table := &s.hosts
		if pattern.subdomains {
			table = &s.suffixes
			s.depths |= 1 << labels(pattern.host)
		}
		if *table == nil {
			*table = map[string]*pathTable{}
		}
		s.ports = s.ports || pattern.port
		at := (*table)[pattern.host]
		b.addPaths(&at, "the host "+strings.ToLower(host), "match.hosts", i, paths)
		(*table)[pattern.host] = at
	}
}

func (b *setBuilder) addPaths(at **pathTable, host, field string, index int, matches []indexedPath) {
	if *at == nil {
		*at = &pathTable{}
	}
	p := *at
	if len(matches) == 0 {
		if b.claim(host, host+" and every path", field, index) {
			p.any = b.policy
		}
		return
	}
	b.set.byPath = true
	for _, m := range matches {
		path := m.Path
		words, key := host+" and the path "+quote(path), host+" exact "+path
		if m.Prefix {
			path = strings.TrimSuffix(path, "/")
			words, key = host+" and the paths below "+quote(m.Path), host+" prefix "+path
		}
		if !b.claim(key, words, "match.paths", m.index) {
			continue
		}
		if !m.Prefix {
			if p.exact == nil {
				p.exact = map[string]*Policy{}
			}
			p.exact[path] = b.policy
			continue
		}
		if p.prefix == nil {
			p.prefix = &segment{}
		}
		at := p.prefix
		for path != "" {
			var name string
			name, path = cutSegment(path)
			if at.next == nil {
				at.next = map[string]*segment{}
			}
			if at.next[name] == nil {
				at.next[name] = &segment{}
			}
			at = at.next[name]
		}
		at.policy = b.policy
	}
}

// cutSegment cuts "/a/b" into "a" and "/b".
func cutSegment(path string) (name, rest string) {
	path = path[1:]
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

func checkPath(path string) (what, instead string) {
	switch {
	case path == "":
		return "the path is empty", `write a path such as "/v1", or leave out match.paths for every path`
	case path[0] != '/':
		return "the path " + quote(path) + " doesn't begin with a slash", "write " + quote("/"+before(path, "?#*"))
	case strings.ContainsAny(path, "?#"):
		return "the path " + quote(path) + " has a query or a fragment, and paths are compared without",
			"write " + quote(before(path, "?#"))
	case strings.Contains(path, "*"):
		return "the path " + quote(path) + " has a wildcard, and paths have none", `write {"prefix": ` + quote("/"+strings.Trim(before(path, "*"), "/")) + `}`
	}
	for i := 0; i < len(path); i++ {
		if path[i] <= ' ' || path[i] >= 0x7f {
			return "the path " + quote(path) + " has characters that no request has", "write them percent-encoded"
		}
	}
	return "", ""
}

type hostPattern struct {
	host       string // in lower case, with the port if it has one
	subdomains bool
	port       bool
}

func parseHostPattern(s string) (p hostPattern, what, instead string) {
	p.host, p.subdomains = strings.CutPrefix(strings.ToLower(s), "*.")
	host, port, ok := cutPort(p.host)
	p.port = port != noPort
	switch {
	case s == "":
		return p, "is empty", `write a host such as "api.example.com"`
	case !isASCII(s): // before lower case makes another letter of one
		return p, quote(s) + " has characters outside ASCII, which browsers send as Punycode", `write the host's "xn--" form`
	case s == "*":
		return p, `"*" is not a host`, "leave out match.hosts for every host"
	case strings.Contains(s, "://"):
		_, rest, _ := strings.Cut(s, "://")
		rest, _, _ = strings.Cut(rest, "/")
		return p, quote(s) + " is a URL, and a host has no scheme", "write " + quote(rest)
	case strings.Contains(s, "/"):
		return p, quote(s) + " has a path", "write the path in match.paths"
	case strings.Contains(host, "*"):
		return p, quote(s) + " has a wildcard where none can stand", `write "*." before a domain, as in "*.example.com"`
	case !ok:
		return p, quote(s) + " has an invalid port", "write a number from 0 to 65535, or no port for every port"
	case !validHost("", host):
		return p, quote(s) + " is not a host", `write a host such as "api.example.com"`
	case p.subdomains && labels(host) > maxDepth:
		return p, quote(s) + " has too many labels", "shorten it"
	case p.subdomains && (host[0] == '[' || canonicalIPv4(host)):
		return p, quote(s) + " has a wildcard before an IP address", "write the address alone"
	}
	return p, "", ""
}

// labels is the number of labels of a host. A trailing dot counts as a label's end,
// as it does in the look-ups.
func labels(host string) int { return strings.Count(host, ".") + 1 }

// Policies are the policies of the set, in the order of the rules.
func (s *Set) Policies() []*Policy { return s.policies }

// A Key has what a policy is looked up by. Parts that the set doesn't use
// ([Set.ByRoute], [Set.ByHost], [Set.ByPath]) may be left out.
type Key struct {
	// Route is the name of the proxy's route, or "".
	Route string
	// Host is the request's authority.
	Host string
	// Path is the request's target, query included.
	Path string
}

// ByRoute reports whether a look-up depends on the route's name.
func (s *Set) ByRoute() bool { return len(s.routes) > 0 }

// ByHost reports whether a look-up depends on the host.
func (s *Set) ByHost() bool { return s.byHost }

// ByPath reports whether a look-up depends on the path.
func (s *Set) ByPath() bool { return s.byPath }

// WithoutOrigin is a policy that decides on every request without an origin as the
// one that applies to it would; nil if there is no such policy.
func (s *Set) WithoutOrigin() *Policy { return s.uniform }

func (s *Set) findUniform() {
	every := s.every
	if every == nil || every.any == nil {
		return
	}
	for _, p := range s.policies {
		if len(s.policies) > 1 && (p.origins.any || p.keep || p.shadow) {
			return
		}
	}
	s.uniform = every.any
}

// Everywhere is the policy that applies to every request; nil if that depends on
// the request.
func (s *Set) Everywhere() *Policy {
	if len(s.policies) == 1 && s.every != nil && len(s.routes) == 0 {
		return s.every.any
	}
	return nil
}

// Lookup returns the policy that applies to a request, nil if there is none: the
// policy of its route; or else of its host, of the longest wildcard over its host,
// of every host; and for each of these of its path, of the longest prefix, of every
// path.
func (s *Set) Lookup(k Key) *Policy {
	if p, ok := s.routes[k.Route]; ok {
		return p
	}
	path, _, _ := strings.Cut(k.Path, "?")
	if s.byHost {
		if p := s.lookupHost(k.Host, path); p != nil {
			return p
		}
	}
	return s.every.lookup(path)
}

func (s *Set) lookupHost(authority, path string) *Policy {
	var buf [maxHost + len(":65535")]byte
	if len(authority) > len(buf) {
		return nil
	}
	n := copy(buf[:], authority)
	for i, c := range buf[:n] {
		if 'A' <= c && c <= 'Z' {
			buf[i] = c + ('a' - 'A')
		}
	}
	end := n // of the host without its port
	for i := n - 1; i >= 0 && (isDigit(buf[i]) || buf[i] == ':'); i-- {
		if buf[i] == ':' {
			end = i
			break
		}
	}
	if s.ports && end < n {
		if p := s.hosts[string(buf[:n])].lookup(path); p != nil {
			return p
		}
	}
	if p := s.hosts[string(buf[:end])].lookup(path); p != nil {
		return p
	}
	// From the left, so that the longest wildcard comes first.
	depth := 0
	for i := 0; i < end; i++ {
		if buf[i] == '.' {
			depth++
		}
	}
	for i := 1; i < end && depth > 0; i++ {
		if buf[i] != '.' {
			continue
		}
		if depth <= maxDepth && s.depths>>depth&1 != 0 {
			if s.ports && end < n {
				if p := s.suffixes[string(buf[i+1:n])].lookup(path); p != nil {
					return p
				}
			}
			if p := s.suffixes[string(buf[i+1:end])].lookup(path); p != nil {
				return p
			}
		}
		depth--
	}
	return nil
}

func (t *pathTable) lookup(path string) *Policy {
	if t == nil {
		return nil
	}
	if p, ok := t.exact[path]; ok {
		return p
	}
	best := t.any
	if at := t.prefix; at != nil && strings.HasPrefix(path, "/") {
		for {
			if at.policy != nil {
				best = at.policy
			}
			if path == "" || at.next == nil {
				break
			}
			var name string
			name, path = cutSegment(path)
			next, ok := at.next[name]
			if !ok {
				break
			}
			at = next
		}
	}
	return best
}
