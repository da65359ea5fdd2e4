package match_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/choices"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A claim is one thing that a match is for, as the README has it, and by nothing that the package has.
type claim struct {
	route, host, path string
	prefix, anyPath   bool
}

// claimsOf are all claims of a match, in a form in which those that are the same are equal.
func claimsOf(m match.Match) (claims []claim) {
	for _, route := range m.Routes {
		claims = append(claims, claim{route: route})
	}
	if len(m.Routes) > 0 && len(m.Hosts)+len(m.Paths) == 0 {
		return claims
	}
	hosts := []string{""}
	if len(m.Hosts) > 0 {
		hosts = m.Hosts
	}
	for _, host := range hosts {
		name, port, _ := strings.Cut(strings.ToLower(host), ":")
		host = strings.TrimSuffix(name, ".")
		if port != "" {
			host += ":" + port
		}
		if len(m.Paths) == 0 {
			claims = append(claims, claim{host: host, anyPath: true})
		}
		for _, p := range m.Paths {
			path := p.Path
			if p.Prefix {
				path = strings.TrimSuffix(path, "/")
			}
			claims = append(claims, claim{host: host, path: path, prefix: p.Prefix})
		}
	}
	return claims
}

// score says how specifically a claim covers a request, by the first of the numbers that differ; nil
// if it doesn't.
func (c claim) score(k match.Key) []int {
	if c.route != "" {
		if c.route == k.Route {
			return []int{9}
		}
		return nil
	}
	score := []int{0}
	name, port, _ := strings.Cut(strings.ToLower(k.Host), ":")
	name = strings.TrimSuffix(name, ".")
	entry, entryPort, _ := strings.Cut(c.host, ":")
	suffix, wildcard := strings.CutPrefix(entry, "*")
	switch {
	case c.host == "":
		score = append(score, 0, 0, 0)
	case entryPort != "" && entryPort != port:
		return nil
	case wildcard && strings.HasSuffix(name, suffix):
		score = append(score, 1, len(suffix), len(entryPort))
	case !wildcard && name == entry:
		score = append(score, 2, 0, len(entryPort))
	default:
		return nil
	}
	path, _, _ := strings.Cut(k.Path, "?")
	switch {
	case c.anyPath:
		return append(score, 0, 0)
	case c.prefix && strings.HasPrefix(path, "/") && (path == c.path || strings.HasPrefix(path, c.path+"/")):
		return append(score, 1, len(c.path))
	case !c.prefix && path == c.path:
		return append(score, 2, 0)
	}
	return nil
}

// chooseHost chooses a host, of labels that come again and again.
func chooseHost(c *choices.Choices) string {
	host := choices.One(c, "a", "b", "A", "ab", "x-1", "a_b")
	for range c.N(3) {
		host += "." + choices.One(c, "a", "b", "B", "ab", "test")
	}
	return choices.One(c, host, host+".", host, "10.0.0.1") + choices.One(c, "", "", ":8443", ":80", ":1")
}

func choosePath(c *choices.Choices) string {
	path := ""
	for range 1 + c.N(3) {
		path += "/" + choices.One(c, "v1", "v12", "a", "", "%2F", "V1")
	}
	return path
}

func chooseMatch(c *choices.Choices) (m match.Match) {
	for range c.N(choices.One(c, 1, 2, 3, 9)) {
		m.Hosts = append(m.Hosts, choices.One(c, "", "", "*.")+chooseHost(c))
	}
	m.Hosts = slices.DeleteFunc(m.Hosts, func(host string) bool { return strings.HasPrefix(host, "*.10.") })
	for range c.N(choices.One(c, 1, 2, 3, 9, 25)) {
		m.Paths = append(m.Paths, match.Path{Path: choosePath(c), Prefix: c.Yes(2)})
	}
	if c.Yes(5) {
		m.Routes = choices.Some(c, 2, "one", "two", "three")
	}
	return m
}

// FuzzLookup: whatever the matches and the request, the table has what a plain search finds; and
// matches that claim the same are refused, and no others.
func FuzzLookup(f *testing.F) {
	choices.Seed(f, 3000, 200)
	f.Fuzz(func(t *testing.T, bytes []byte) {
		c := choices.Of(bytes)
		matches := make([]match.Match, 1+c.N(5))
		owner := map[claim]int{}
		conflict := false
		for i := range matches {
			matches[i] = chooseMatch(c)
			for _, one := range claimsOf(matches[i]) {
				if other, taken := owner[one]; taken && other != i {
					conflict = true
				}
				owner[one] = i
			}
		}
		table, problems := arrange(matches)
		if conflict != (table == nil) || table == nil && slices.ContainsFunc(problems, func(p problem.Problem) bool {
			return !p.Warning && p.Kind != problem.Conflict
		}) {
			t.Fatalf("%+v: a conflict: %t; %v", matches, conflict, problems)
		}
		for range 4 {
			k := match.Key{Route: choices.One(c, "", "", "one", "two", "four"), Host: chooseHost(c),
				Path: choosePath(c) + choices.One(c, "", "?", "?/v1")}
			if c.Yes(8) {
				k.Host, k.Path = c.Text(10), c.Text(10)
			}
			check(t, table, matches, owner, k)
		}
	})
}

// check compares a look-up with a plain search among all claims.
func check(t *testing.T, table *match.Table[*match.Match], matches []match.Match, owner map[claim]int, k match.Key) {
	t.Helper()
	if table == nil {
		return
	}
	var want *match.Match
	var best []int
	for one, i := range owner {
		if score := one.score(k); score != nil && (want == nil || slices.Compare(score, best) > 0) {
			want, best = &matches[i], score
		}
	}
	if got := table.Lookup(k); got != want {
		t.Errorf("%+v of %+v: found %v, want %v by %d", k, matches, got, want, best)
	}
	if got, ok := table.LookupHost(match.Key{Route: k.Route, Host: k.Host}); ok && got != want {
		t.Errorf("%+v of %+v, without its path: found %v, want %v", k, matches, got, want)
	}
}
