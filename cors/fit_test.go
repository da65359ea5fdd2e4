package cors_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
)

// TestFit: for any rules and any request, the look-up in one pass finds the rule that
// fits in the most specific way, and none if no rule fits.
func TestFit(t *testing.T) {
	hosts := []string{"a.test", "A.test:8443", "b.a.test", "*.test", "*.a.test", "*.test:8443", "*.a.test:8443", "[::1]", "[::1]:80", "10.0.0.1"}
	paths := []cors.PathMatch{
		{Path: "/"}, {Path: "/", Prefix: true}, {Path: "/v1"}, {Path: "/v1", Prefix: true}, {Path: "/v1/", Prefix: true},
		{Path: "/v1/a", Prefix: true}, {Path: "/v1/a"}, {Path: "/v1/"}, {Path: "//", Prefix: true},
	}
	routes := []string{"one", "two"}
	random := rand.New(rand.NewPCG(1, 2))
	found := 0
	for range 20000 {
		rules := make([]cors.Rule, 1+random.IntN(6))
		for i := range rules {
			policy, problems := cors.Compile(cors.Config{Name: fmt.Sprint(i), AllowOrigins: []cors.OriginEntry{{Text: "*"}}})
			if policy == nil {
				t.Fatal(problems)
			}
			m := cors.Match{}
			for _, j := range random.Perm(len(hosts))[:random.IntN(3)] {
				m.Hosts = append(m.Hosts, hosts[j])
			}
			for _, j := range random.Perm(len(paths))[:random.IntN(3)] {
				m.Paths = append(m.Paths, paths[j])
			}
			if random.IntN(4) == 0 {
				m.Routes = append(m.Routes, routes[random.IntN(len(routes))])
			}
			rules[i] = cors.Rule{Name: fmt.Sprint(i), Match: m, Policy: policy}
		}
		set, _ := cors.NewSet(rules)
		if set == nil {
			continue // two claim the same
		}
		for range 10 {
			key := cors.Key{
				Route: []string{"", "one", "two", "three"}[random.IntN(4)],
				Host:  []string{"a.test", "a.test:8443", "a.TEST:80", "b.a.test", "x.a.test:8443", "y.test", "test", "nota.test", "[::1]", "[::1]:80", "[::1]:81", "10.0.0.1:8443", "", ":80"}[random.IntN(14)],
				Path:  []string{"/", "/v1", "/v1?q=/v1/a", "/v1/", "/v12", "/v1/a", "/v1/a/b", "/v1/a/?x", "", "*", "//", "//v1"}[random.IntN(12)],
			}
			var want *cors.Policy
			var best cors.Fit
			for _, rule := range rules {
				fit, ok := rule.Match.Fit(key)
				switch {
				case !ok:
				case want == nil || fit.Compare(best) > 0:
					want, best = rule.Policy, fit
				case fit.Compare(best) == 0:
					t.Fatalf("%+v: two rules of %+v fit alike: %+v", key, rules, fit)
				}
			}
			if got := set.Lookup(key); got != want {
				t.Fatalf("%+v of %+v: look-up found %v, want %v by %+v", key, rules, name(got), name(want), best)
			}
			if want != nil {
				found++
			}
		}
	}
	if found < 10000 {
		t.Errorf("only %d requests had a policy: the test says little", found)
	}
}

func name(p *cors.Policy) string {
	if p == nil {
		return "none"
	}
	return p.Name()
}
