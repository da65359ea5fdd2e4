package match_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/origin"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// TestAuthorities: which requests a host is for, as it may be written in an authority
// (RFC 3986, section 3.2): letters compare without case, the port is what follows the last colon.
func TestAuthorities(t *testing.T) {
	longest := strings.Repeat("a.", origin.MaxHost/2-3) + "atest"
	for _, test := range []struct {
		host, authority string
		want            bool
	}{
		{"zz.test", "ZZ.TEST", true},
		{"aa.test", "AA.TEST", true},
		{"a.test", "a.test:9090", true},
		{"a.test:9090", "a.test:9090", true},
		{"a.test:9090", "a.test:9091", false},
		{"a.test:9090", "a.test", false},
		{"a.test", "a.test:", true},
		{"a.test", "a.test:80:90", false},
		{"a.test", ":80", false},
		{"*.a.test", ".a.test", true}, // which no browser sends
		{"*.a.test", "a.test", false},
		{longest + ":65535", longest + ".:65535", true},
		{longest, longest + ".:655350", false},
	} {
		table, problems := arrange([]match.Match{{Hosts: []string{test.host, "other.test:1"}}})
		if table == nil {
			t.Errorf("%q: %v", test.host, problems)
		} else if got := table.Lookup(match.Key{Host: test.authority, Path: "/"}) != nil; got != test.want {
			t.Errorf("%q is for %q: %t, want %t", test.host, test.authority, got, test.want)
		}
	}
}

// TestDeepPaths: prefixes of as many segments as they may have, and of empty ones, are found in any
// path; few of them and many, which are stored otherwise.
func TestDeepPaths(t *testing.T) {
	deep := func(segments int) string { return strings.Repeat("/s", segments) }
	prefixes := []string{deep(63), deep(62), deep(1), "/a//b", "/a/"}
	for _, more := range []int{0, 20} {
		var m []match.Match
		for _, prefix := range prefixes {
			m = append(m, match.Match{Paths: []match.Path{{Path: prefix, Prefix: true}}})
		}
		for i := range more {
			m = append(m, match.Match{Paths: []match.Path{{Path: fmt.Sprintf("/p%d", i)}}})
		}
		table, problems := arrange(m)
		if table == nil {
			t.Fatal(problems)
		}
		for path, want := range map[string]string{
			deep(1): deep(1), deep(61): deep(1), deep(62): deep(62), deep(63): deep(63), deep(64): deep(63),
			deep(200): deep(63), deep(62) + "/": deep(62), "/a//b": "/a//b", "/a//b/c": "/a//b", "/a/b": "/a/", "/a//c": "/a/",
			"/": "", "//s": "", "/sx": "", "/b": "",
		} {
			got := ""
			if found := table.Lookup(match.Key{Host: "a.test", Path: path}); found != nil {
				got = found.Paths[0].Path
			}
			if got != want {
				t.Errorf("with %d more, %q is below %q, want %q", more, path, got, want)
			}
		}
	}
}

// TestBounds: what is as large as it may be is right, and what is larger is refused.
func TestBounds(t *testing.T) {
	labels := func(n int) string { return strings.Repeat("a.", n-1) + "a" }
	for _, test := range []struct {
		name string
		match.Match
		want string // how the problem begins
	}{
		{"as many segments", match.Match{Paths: []match.Path{{Path: strings.Repeat("/s", 63) + "/", Prefix: true}}}, ""},
		{"too many segments", match.Match{Paths: []match.Path{{Path: strings.Repeat("/s", 64), Prefix: true}}},
			`the path "/s/s`},
		{"any number of segments", match.Match{Paths: []match.Path{{Path: strings.Repeat("/s", 64)}}}, ""},
		{"as many labels", match.Match{Hosts: []string{"*." + labels(origin.MaxDepth)}}, ""},
		{"too many labels", match.Match{Hosts: []string{"*." + labels(origin.MaxDepth+1)}}, `"*.a.a`},
		{"the last character", match.Match{Paths: []match.Path{{Path: "/~"}}}, ""},
		{"what is after it", match.Match{Paths: []match.Path{{Path: "/\x7f"}}}, "the path"},
		{"the first character", match.Match{Paths: []match.Path{{Path: "/!"}}}, ""},
		{"what is before it", match.Match{Paths: []match.Path{{Path: "/ "}}}, "the path"},
		{"a file with a dot", match.Match{Paths: []match.Path{{Path: "/.well-known"}}}, ""},
		{"a dot first", match.Match{Paths: []match.Path{{Path: "/./a"}}}, `the path "/./a" has a dot`},
		{"two dots last", match.Match{Paths: []match.Path{{Path: "/a/.."}}}, `the path "/a/.." has a dot`},
		{"a placeholder", match.Match{Paths: []match.Path{{Path: "/a/{id}"}}}, `the path "/a/{id}" has a placeholder`},
	} {
		_, problems := arrange([]match.Match{test.Match})
		got := ""
		if len(problems) > 0 {
			got = problems[0].What
		}
		if (got == "") != (test.want == "") || !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// TestDependsOn: what of a request a table depends on.
func TestDependsOn(t *testing.T) {
	for _, test := range []struct {
		name           string
		matches        []match.Match
		byHost, byPath bool
		complete       bool
		everywhere     bool
	}{
		{"everything", []match.Match{{}}, false, false, true, true},
		{"a host", []match.Match{{Hosts: []string{"a.test"}}}, true, false, false, false},
		{"a path", []match.Match{{Paths: []match.Path{{Path: "/a"}}}}, false, true, false, false},
		{"a path before a host", []match.Match{{Paths: []match.Path{{Path: "/a"}}}, {Hosts: []string{"a.test"}}}, true,
			true, false, false},
		{"everything else", []match.Match{{Hosts: []string{"a.test"}}, {}}, true, false, true, false},
	} {
		table, _ := arrange(test.matches)
		if table.ByHost() != test.byHost || table.ByPath() != test.byPath || table.Complete() != test.complete ||
			(table.Everywhere() != nil) != test.everywhere {
			t.Errorf("%s: by host %t, by path %t, complete %t, everywhere %v", test.name, table.ByHost(), table.ByPath(), table.Complete(),
				table.Everywhere())
		}
	}
}

// TestIncomplete: what a rule claims that is wrong in itself, or whose paths are, conflicts with
// nothing, for it may be meant otherwise.
func TestIncomplete(t *testing.T) {
	a := []string{"a.test"}
	for _, test := range []struct {
		name     string
		first    match.Match
		complete bool
		want     int // problems
	}{
		{"complete", match.Match{Hosts: a}, true, 1},
		{"incomplete", match.Match{Hosts: a}, false, 0},
		{"a wrong path", match.Match{Hosts: a, Paths: []match.Path{{Path: "x"}, {Path: "/y"}}}, true, 1},
	} {
		var r match.Problems
		b := match.NewBuilder[int](&r, func(int) string { return "another" })
		b.Add(test.first, 1, test.complete)
		b.Add(match.Match{Hosts: a, Paths: test.first.Paths[min(1, len(test.first.Paths)):]}, 2, true)
		if problems := r.All(); len(problems) != test.want {
			t.Errorf("%s: %v", test.name, problems)
		}
	}
}

// TestWhereConflictsAre: each problem says the rule, the field and the entry that it is in, also one
// that comes after a conflict.
func TestWhereConflictsAre(t *testing.T) {
	v1 := []match.Path{{Path: "/v1"}}
	for _, test := range []struct {
		name    string
		matches []match.Match
		want    []string
	}{
		{"after a conflict", []match.Match{{Routes: []string{"a"}}, {Routes: []string{"a", "b", "b"}}},
			[]string{"1 match.routes[0]", "1 match.routes[2]"}},
		{"the first path", []match.Match{{Hosts: []string{"a.test"}, Paths: v1}, {Hosts: []string{"a.test"}, Paths: v1}},
			[]string{"1 match.paths[0]"}},
		{"the first host", []match.Match{{Hosts: []string{"a.test"}}, {Hosts: []string{"a.test"}}},
			[]string{"1 match.hosts[0]"}},
	} {
		_, problems := arrange(test.matches)
		var got []string
		for _, p := range problems {
			got = append(got, fmt.Sprintf("%d %s[%d]", p.Rule, p.Field, p.Index))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// sharing is a match of so many hosts and paths that its hosts share a table.
func sharing(paths int, hosts ...string) (m match.Match) {
	m.Hosts = hosts
	for i := range paths {
		m.Paths = append(m.Paths, match.Path{Path: fmt.Sprintf("/%s/%d", hosts[0], i)})
	}
	return m
}

// TestSharedLater: a conflict is found also for a host that comes after one that is in several lists.
func TestSharedLater(t *testing.T) {
	matches := []match.Match{
		sharing(6, "a0.test", "a1.test", "a2.test", "a3.test", "a4.test"),
		sharing(6, "b0.test", "a0.test", "b2.test", "b3.test", "b4.test"),
		{Hosts: []string{"b4.test"}, Paths: []match.Path{{Path: "/b0.test/0"}}},
	}
	table, problems := arrange(matches)
	if table != nil || len(problems) != 1 || problems[0].Kind != problem.Conflict {
		t.Errorf("a table: %t; %v", table != nil, problems)
	}
}

// TestComparisonsBound: matches whose hosts share more tables than can be compared with each other in
// reasonable time are refused. Here each two of them share a host.
func TestComparisonsBound(t *testing.T) {
	for paths, want := range map[int]bool{20: true, 500: false} {
		matches := make([]match.Match, 100)
		for i := range matches {
			for j := range matches {
				if i != j {
					matches[i].Hosts = append(matches[i].Hosts, fmt.Sprintf("h%d-%d.test", min(i, j), max(i, j)))
				}
			}
			for j := range paths {
				matches[i].Paths = append(matches[i].Paths, match.Path{Path: fmt.Sprintf("/%d/%d", i, j)})
			}
		}
		table, problems := arrange(matches)
		if (table != nil) != want || want != (len(problems) == 0) {
			t.Errorf("with %d paths each: a table %t, %v", paths, table != nil, problems)
		}
		if !want && problems[0].Kind != problem.TooLarge {
			t.Errorf("with %d paths each: %v", paths, problems)
		}
	}
}
