package convert

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// A fakeRouter is a router of Traefik, as a model of how it routes.
type fakeRouter struct {
	host, path, not string // parts of its rule; "" if it has none
	header          bool   // it requires the header X-A
	origin          string // of its policy with credentials; "" if it has none
}

// rule is the router's rule.
func (r fakeRouter) rule() string {
	var terms []string
	for _, term := range []string{r.host, r.path} {
		if term != "" {
			terms = append(terms, term)
		}
	}
	if r.not != "" {
		terms = append(terms, "!"+r.not)
	}
	if r.header {
		terms = append(terms, "Header(`X-A`, `1`)")
	}
	return strings.Join(append(terms, "PathPrefix(`/`)")[:max(len(terms), 1)], " && ")
}

// matches reports whether a request is the router's.
func (r fakeRouter) matches(host, path string, header bool) bool {
	return term(r.host, host, path) && term(r.path, host, path) && (r.not == "" || !term(r.not, host, path)) &&
		(!r.header || header)
}

// term reports whether a matcher matches; "" does.
func term(text, host, path string) bool {
	name, arg, _ := strings.Cut(strings.TrimSuffix(text, "`)"), "(`")
	switch name {
	case "Host":
		domain, wildcard := strings.CutPrefix(arg, "*")
		label, found := strings.CutSuffix(host, domain)
		return host == arg || wildcard && found && label != "" && !strings.Contains(label, ".")
	case "HostRegexp":
		return compiled(arg).MatchString(host)
	case "Path":
		return path == arg
	case "PathPrefix":
		return strings.HasPrefix(path, arg)
	case "PathRegexp":
		return compiled(arg).MatchString(path)
	}
	return true
}

// compiled compiles the few regexes of the test once.
var compiled = func() func(string) *regexp.Regexp {
	known := map[string]*regexp.Regexp{}
	return func(expr string) *regexp.Regexp {
		if known[expr] == nil {
			known[expr] = regexp.MustCompile(expr)
		}
		return known[expr]
	}
}()

// TestSpreadIsNoLooser: whatever routers there are, no request gets the credentials of a
// policy that it doesn't have in Traefik; and what the filter can match by gets its policy.
func TestSpreadIsNoLooser(t *testing.T) {
	hosts := []string{"", "Host(`a.example.com`)", "Host(`b.example.com`)", "Host(`*.example.com`)",
		"Host(`x.a.example.com`)", "HostRegexp(`^[a-z0-9-]+\\.example\\.com$`)", "HostRegexp(`.+\\.example\\.com`)",
		"HostRegexp(`^(a|c)\\.example\\.com$`)"}
	paths := []string{"", "PathPrefix(`/a`)", "PathPrefix(`/a/`)", "PathPrefix(`/a/b`)", "Path(`/a`)", "Path(`/a/b`)",
		"PathRegexp(`^/a/[0-9]+$`)", "PathRegexp(`/b`)"}
	requests := []string{"a.example.com", "b.example.com", "c.example.com", "x.a.example.com", "x.c.example.com",
		"example.com", "other.test"}
	requestPaths := []string{"/", "/a", "/a/", "/a/b", "/a/b/c", "/a/7", "/ab", "/b", "/c/b"}
	origins := []string{"", "https://one.example", "https://two.example"}
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(list []string) string { return list[random.IntN(len(list))] }
	right, all := 0, 0
	for range 500 {
		var routers []fakeRouter
		var b strings.Builder
		b.WriteString("http:\n  middlewares:\n")
		for i, origin := range origins[1:] {
			fmt.Fprintf(&b, "    m%d: {headers: {accessControlAllowCredentials: true, "+
				"accessControlAllowOriginList: [%q]}}\n", i+1, origin)
		}
		b.WriteString("  routers:\n")
		for i := range 1 + random.IntN(5) {
			policy := random.IntN(len(origins))
			r := fakeRouter{host: pick(hosts), path: pick(paths), origin: origins[policy]}
			if random.IntN(6) == 0 {
				r.not = pick(paths[1:])
			}
			r.header = random.IntN(6) == 0
			routers = append(routers, r)
			fmt.Fprintf(&b, "    r%d: {rule: %q, priority: %d, middlewares: [%s]}\n", i, r.rule(), 100-i,
				[]string{"", "m1", "m2"}[policy])
		}
		result := convertText(t, "traefik", "file.yaml", b.String())
		checkResult(t, result)
		c, _ := config.Parse(result.Configuration)
		for _, host := range requests {
			for _, path := range requestPaths {
				got := map[string]string{} // which the header doesn't matter to
				for _, from := range origins[1:] {
					got[from] = "untouched"
					if c != nil {
						got[from] = outcome(c, expected{Request: browser.Request{Origin: from, Method: "GET",
							URL: "https://" + host + path, CredentialsInclude: true}})
					}
				}
				for _, header := range []bool{false, true} {
					origin := ""
					served := false
					for _, r := range routers {
						if r.matches(host, path, header) {
							origin, served = r.origin, true
							break
						}
					}
					for _, from := range origins[1:] {
						if served && got[from] == "allowed" && from != origin {
							t.Fatalf("%s%s, header %t, of %s is allowed, and there %q is\n%s\n%s\n%s", host, path, header,
								from, origin, b.String(), result.Configuration, lines(result))
						}
						if served && origin == from {
							all++
							if got[from] == "allowed" {
								right++
							}
						}
					}
				}
			}
		}
	}
	if right*10 < all*5 {
		t.Errorf("of %d requests with a policy, %d have it", all, right)
	}
	t.Logf("of %d requests with a policy, %d have it", all, right)
}

// TestManyExceptions: rules with many exceptions are read within a moment, and none of
// them is taken for one without.
func TestManyExceptions(t *testing.T) {
	var b strings.Builder
	b.WriteString("http:\n  middlewares: {m: {headers: {accessControlAllowCredentials: true, " +
		"accessControlAllowOriginList: [\"https://one.example\"]}}}\n  routers:\n")
	for i := range 300 {
		fmt.Fprintf(&b, "    r%d: {rule: \"Host(`a.example`) && !PathPrefix(`/p%d/`)\", priority: %d, middlewares: [m]}\n",
			i, i, 1000-i)
	}
	b.WriteString("    rest: {rule: \"Host(`a.example`)\", priority: 1}\n")
	result := convertText(t, "traefik", "file.yaml", b.String())
	checkResult(t, result)
	if strings.Contains(result.Configuration, "allow_credentials") {
		t.Errorf("%s%s", result.Configuration, lines(result))
	}
}

// TestManyPrefixes: what a prefix that ends within a segment loses is said once for all
// routes, with its lines, and not hundreds of times.
func TestManyPrefixes(t *testing.T) {
	var b strings.Builder
	b.WriteString("http:\n  middlewares: {m: {headers: {accessControlAllowOriginList: [\"https://one.example\"]}}}\n" +
		"  routers:\n")
	for i := range 200 {
		fmt.Fprintf(&b, "    r%d: {rule: \"Host(`a.example`) && PathPrefix(`/p%d`)\", middlewares: [m]}\n", i, i)
	}
	result := convertText(t, "traefik", "file.yaml", b.String())
	checkResult(t, result)
	if got := lines(result); len(result.Findings) != 1 ||
		!strings.Contains(got, "likewise 199 other routes, in lines 5, 6, 7 and 196 more") {
		t.Error(got)
	}
}
