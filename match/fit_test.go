package match_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/choices"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// TestFit: for any rules and any request, the look-up in one pass finds the rule that
// fits in the most specific way, and none if no rule fits.
func TestFit(t *testing.T) {
	hosts := []string{"a.test", "A.test:8443", "b.a.test", "*.test", "*.a.test", "*.test:8443", "*.a.test:8443",
		"[::1]", "[::1]:80", "10.0.0.1", "c.a.test.", "*.c.test.", "C.test.:8443", "*.c.test.:8443"}
	paths := []match.Path{
		{Path: "/"}, {Path: "/", Prefix: true}, {Path: "/v1"}, {Path: "/v1", Prefix: true},
		{Path: "/v1/", Prefix: true},
		{Path: "/v1/a", Prefix: true}, {Path: "/v1/a"}, {Path: "/v1/"}, {Path: "//", Prefix: true},
	}
	hostsAsked := []string{
		"a.test", "a.test:8443", "a.TEST:80", "b.a.test", "x.a.test:8443", "y.test", "test", "nota.test", "[::1]",
		"[::1]:80", "[::1]:81", "10.0.0.1:8443", "", ":80",
		".a.test", ".x.a.test:8443", "a.test.", "A.test.:8443", "b.a.test..", "c.a.test", "c.A.test.:1", "x.c.test",
		"x.c.test.:8443", "c.test:8443", "c.test.:8443", "c.test.", ".", ".:8443", "..",
	}
	routes := []string{"one", "two"}
	random := rand.New(rand.NewPCG(1, 2))
	found := 0
	for range choices.Rounds(20000) {
		matches := make([]match.Match, 1+random.IntN(6))
		for i := range matches {
			m := &matches[i]
			for _, j := range random.Perm(len(hosts))[:random.IntN(3)] {
				m.Hosts = append(m.Hosts, hosts[j])
			}
			for _, j := range random.Perm(len(paths))[:random.IntN(3)] {
				m.Paths = append(m.Paths, paths[j])
			}
			if random.IntN(4) == 0 {
				m.Routes = append(m.Routes, routes[random.IntN(len(routes))])
			}
		}
		table, _ := arrange(matches)
		if table == nil {
			continue // two claim the same
		}
		for range 10 {
			key := match.Key{
				Route: []string{"", "one", "two", "three"}[random.IntN(4)],
				Host:  hostsAsked[random.IntN(len(hostsAsked))],
				Path: []string{"/", "/v1", "/v1?q=/v1/a", "/v1/", "/v12", "/v1/a", "/v1/a/b", "/v1/a/?x", "", "*",
					"//", "//v1"}[random.IntN(12)],
			}
			var want *match.Match
			var best match.Claim
			for i := range matches {
				fit, ok := matches[i].Fit(key)
				switch {
				case !ok:
				case want == nil || fit.Compare(best) > 0:
					want, best = &matches[i], fit
				case fit.Compare(best) == 0:
					t.Fatalf("%+v: two of %+v fit alike: %+v", key, matches, fit)
				}
			}
			if got, ok := table.LookupHost(match.Key{Route: key.Route, Host: key.Host}); ok && got != want {
				t.Errorf("%+v without its path: %v, want %v", key, got, want)
			}
			if got := table.Lookup(key); got != want {
				t.Fatalf("%+v of %+v: look-up found %v, want %v by %+v", key, matches, got, want, best)
			}
			if want != nil {
				found++
			}
		}
	}
	if found < choices.Rounds(10000) {
		t.Errorf("only %d requests had a policy: the test says little", found)
	}
}

// arrange makes a table in which matches are their own values.
func arrange(matches []match.Match) (*match.Table[*match.Match], []problem.Problem) {
	var r match.Problems
	b := match.NewBuilder[*match.Match](&r, func(rule int) string { return fmt.Sprintf("policies[%d]", rule) })
	for i := range matches {
		b.Add(matches[i], &matches[i], true)
	}
	return b.Table(), r.All()
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
	var paths []match.Path
	for i := range 6 {
		path := fmt.Sprintf("/p%d", i)
		paths = append(paths, match.Path{Path: path}, match.Path{Path: path, Prefix: true},
			match.Path{Path: path + "/a/b", Prefix: true}, match.Path{Path: path + "/a"})
	}
	random := rand.New(rand.NewPCG(3, 4))
	conflicts, found := 0, 0
	for range choices.Rounds(8000) {
		matches := make([]match.Match, 1+random.IntN(4))
		claimed := map[string]bool{}
		conflict := false
		for i := range matches {
			m := &matches[i]
			for _, j := range random.Perm(len(hosts))[:1+random.IntN(9)] {
				m.Hosts = append(m.Hosts, hosts[j])
			}
			for _, j := range random.Perm(len(paths))[:random.IntN(13)] {
				m.Paths = append(m.Paths, paths[j])
			}
			for _, host := range m.Hosts {
				for _, path := range append(m.Paths, match.Path{})[:max(1, len(m.Paths))] {
					key := fmt.Sprint(host, path)
					conflict = conflict || claimed[key]
					claimed[key] = true
				}
			}
		}
		table, problems := arrange(matches)
		if (table == nil) != conflict {
			t.Fatalf("%+v: conflict %t, problems %v", matches, conflict, problems)
		}
		if table == nil {
			conflicts++
			continue
		}
		for range 20 {
			key := match.Key{Host: requests[random.IntN(len(requests))],
				Path: fmt.Sprintf("/p%d", random.IntN(6)) +
					[]string{"", "/", "/a", "/a/b", "/a/b/c", "/b"}[random.IntN(6)]}
			var want *match.Match
			var best match.Claim
			for i := range matches {
				if fit, ok := matches[i].Fit(key); ok && (want == nil || fit.Compare(best) > 0) {
					want, best = &matches[i], fit
				}
			}
			got := table.Lookup(key)
			if early, ok := table.LookupHost(match.Key{Route: key.Route, Host: key.Host}); ok && early != got {
				t.Errorf("%+v without its path: %v, want %v", key, early, got)
			}
			if got != nil {
				found++
			}
			if got != want {
				t.Fatalf("%+v of %+v: look-up found %v, want %v", key, matches, got, want)
			}
		}
	}
	if conflicts < choices.Rounds(500) || found < choices.Rounds(10000) {
		t.Errorf("only %d conflicts, and %d requests that had a policy: the test says little", conflicts, found)
	}
}

// TestSharedBound: a host that is in many different lists of hosts, each with many
// paths, would cost each request a look-up in each of them.
func TestSharedBound(t *testing.T) {
	var matches []match.Match
	for i := range 17 {
		m := match.Match{Hosts: []string{"common.test"}}
		for j := range 5 {
			m.Hosts = append(m.Hosts, fmt.Sprintf("h%d.p%d.test", j, i))
			m.Paths = append(m.Paths, match.Path{Path: fmt.Sprintf("/%d/%d", i, j)})
		}
		matches = append(matches, m)
	}
	if table, problems := arrange(matches[:16]); table == nil {
		t.Error(problems)
	}
	table, problems := arrange(matches)
	if want := "match.hosts[0]: common.test is in more than 16 different lists of hosts that have many paths; give these policies the same match.hosts, or each its own hosts"; table != nil || len(problems) != 1 || problems[0].Error() != want {
		t.Error(table, problems)
	}
}

// TestConflictsInOrder: of more conflicts than are described, the same ones are each time, those
// whose paths come first.
func TestConflictsInOrder(t *testing.T) {
	var hosts [2][]string
	var paths []match.Path
	for i := range 5 {
		hosts[0] = append(hosts[0], fmt.Sprintf("a%d.test", i))
		hosts[1] = append(hosts[1], fmt.Sprintf("b%d.test", i))
	}
	for i := range 500 {
		path := fmt.Sprintf("/p%03d", 7*i%500)
		paths = append(paths, match.Path{Path: path, Prefix: true}, match.Path{Path: path})
	}
	both := []match.Match{
		{Hosts: append(hosts[0], "common.test"), Paths: paths}, {Hosts: append(hosts[1], "common.test"), Paths: paths},
	}
	var want []string
	for i := range problem.Max / 2 {
		for _, kind := range []string{"path", "paths below"} {
			want = append(want, fmt.Sprintf("match: claims the host common.test and the %s \"/p%03d\", as policies[0] does; "+
				"give the two policies different matches, or make them one", kind, i))
		}
	}
	for range 3 {
		table, problems := arrange(both)
		var got []string
		for _, p := range problems[:min(len(problems), problem.Max)] {
			got = append(got, p.Error())
		}
		if diff := cmp.Diff(want, got); table != nil || diff != "" {
			t.Fatalf("table %v, problems (-want +got):\n%s", table, diff)
		}
		if last := problems[len(problems)-1].Error(); last != "and 900 more problems" {
			t.Errorf("the last one is %q", last)
		}
	}
}
