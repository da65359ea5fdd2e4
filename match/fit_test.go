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
	hosts := []string{"a.test", "A.test:8443", "b.a.test", "*.test", "*.a.test", "*.test:8443", "*.a.test:8443", "[::1]", "[::1]:80", "10.0.0.1", "c.a.test.", "*.c.test.", "C.test.:8443", "*.c.test.:8443"}
	paths := []cors.PathMatch{
		{Path: "/"}, {Path: "/", Prefix: true}, {Path: "/v1"}, {Path: "/v1", Prefix: true}, {Path: "/v1/", Prefix: true},
		{Path: "/v1/a", Prefix: true}, {Path: "/v1/a"}, {Path: "/v1/"}, {Path: "//", Prefix: true},
	}
	hostsAsked := []string{
		"a.test", "a.test:8443", "a.TEST:80", "b.a.test", "x.a.test:8443", "y.test", "test", "nota.test", "[::1]", "[::1]:80", "[::1]:81", "10.0.0.1:8443", "", ":80",
		"a.test.", "A.test.:8443", "b.a.test..", "c.a.test", "c.A.test.:1", "x.c.test", "x.c.test.:8443", "c.test:8443", "c.test.:8443", "c.test.", ".", ".:8443", "..",
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
				Host:  hostsAsked[random.IntN(len(hostsAsked))],
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

// TestShared: rules of many hosts and many paths, whose tables the hosts share, find
// what plain steps find; and two of them conflict if they have a host and a path in
// common, however they are stored.
func TestShared(t *testing.T) {
	var hosts, requests []string
	for i := range 8 {
		hosts = append(hosts, fmt.Sprintf("h%d.test", i), fmt.Sprintf("*.h%d.test", i))
		requests = append(requests, fmt.Sprintf("h%d.test", i), fmt.Sprintf("x.h%d.test", i))
	}
	var paths []cors.PathMatch
	for i := range 6 {
		path := fmt.Sprintf("/p%d", i)
		paths = append(paths, cors.PathMatch{Path: path}, cors.PathMatch{Path: path, Prefix: true}, cors.PathMatch{Path: path + "/a/b", Prefix: true}, cors.PathMatch{Path: path + "/a"})
	}
	policy, _ := cors.Compile(cors.Config{AllowOrigins: []cors.OriginEntry{{Text: "*"}}})
	random := rand.New(rand.NewPCG(3, 4))
	conflicts, found := 0, 0
	for range 8000 {
		rules := make([]cors.Rule, 1+random.IntN(4))
		policies := map[*cors.Policy]int{}
		claimed := map[string]bool{}
		conflict := false
		for i := range rules {
			p := *policy
			policies[&p] = i
			m := cors.Match{}
			for _, j := range random.Perm(len(hosts))[:1+random.IntN(9)] {
				m.Hosts = append(m.Hosts, hosts[j])
			}
			for _, j := range random.Perm(len(paths))[:random.IntN(13)] {
				m.Paths = append(m.Paths, paths[j])
			}
			rules[i] = cors.Rule{Name: fmt.Sprint(i), Match: m, Policy: &p}
			for _, host := range m.Hosts {
				for _, path := range append(m.Paths, cors.PathMatch{})[:max(1, len(m.Paths))] {
					key := fmt.Sprint(host, path)
					conflict = conflict || claimed[key]
					claimed[key] = true
				}
			}
		}
		set, problems := cors.NewSet(rules)
		if (set == nil) != conflict {
			t.Fatalf("%+v: conflict %t, problems %v", rules, conflict, problems)
		}
		if set == nil {
			conflicts++
			continue
		}
		for range 20 {
			key := cors.Key{Host: requests[random.IntN(len(requests))], Path: fmt.Sprintf("/p%d", random.IntN(6)) + []string{"", "/", "/a", "/a/b", "/a/b/c", "/b"}[random.IntN(6)]}
			want, best := -1, cors.Fit{}
			for i, rule := range rules {
				if fit, ok := rule.Match.Fit(key); ok && (want < 0 || fit.Compare(best) > 0) {
					want, best = i, fit
				}
			}
			got := -1
			if p := set.Lookup(key); p != nil {
				got, found = policies[p], found+1
			}
			if got != want {
				t.Fatalf("%+v of %+v: look-up found %d, want %d", key, rules, got, want)
			}
		}
	}
	if conflicts < 500 || found < 10000 {
		t.Errorf("only %d conflicts, and %d requests that had a policy: the test says little", conflicts, found)
	}
}

// TestSharedBound: a host that is in many different lists of hosts, each with many
// paths, would cost each request a look-up in each of them.
func TestSharedBound(t *testing.T) {
	policy, _ := cors.Compile(cors.Config{AllowOrigins: []cors.OriginEntry{{Text: "*"}}})
	var rules []cors.Rule
	for i := range 17 {
		m := cors.Match{Hosts: []string{"common.test"}}
		for j := range 5 {
			m.Hosts = append(m.Hosts, fmt.Sprintf("h%d.p%d.test", j, i))
			m.Paths = append(m.Paths, cors.PathMatch{Path: fmt.Sprintf("/%d/%d", i, j)})
		}
		rules = append(rules, cors.Rule{Match: m, Policy: policy})
	}
	if set, problems := cors.NewSet(rules[:16]); set == nil {
		t.Error(problems)
	}
	set, problems := cors.NewSet(rules)
	if want := "match.hosts[0]: common.test is in more than 16 different lists of hosts that have many paths; give these policies the same match.hosts, or each its own hosts"; set != nil || len(problems) != 1 || problems[0].Error() != want {
		t.Error(set, problems)
	}
}
