package match_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// TestBuilderOffers: what a Builder is made of isn't for those who use it, such as whether
// something was wrong.
func TestBuilderOffers(t *testing.T) {
	var offers []string
	b := reflect.TypeFor[*match.Builder[int]]()
	for i := range b.NumMethod() {
		offers = append(offers, b.Method(i).Name)
	}
	for _, field := range reflect.VisibleFields(b.Elem()) {
		if field.IsExported() {
			offers = append(offers, field.Name)
		}
	}
	if want := []string{"Add", "Grow", "Table"}; !slices.Equal(offers, want) {
		t.Errorf("a Builder has %q, want %q", offers, want)
	}
}

func TestProblems(t *testing.T) {
	for _, test := range []struct {
		name    string
		matches []match.Match
		want    []string // rule, path and the beginning of what
	}{
		{"everything twice", []match.Match{{}, {}},
			[]string{`1 match: claims every host and every path, as policies[0] does`}},
		{"host twice", []match.Match{{Hosts: []string{"a.test"}}, {Hosts: []string{"b.test", "A.test"}}},
			[]string{`1 match.hosts[1]: claims the host a.test and every path, as policies[0]`}},
		{"host and path twice", []match.Match{
			{Hosts: []string{"a.test"}, Paths: []match.Path{{Path: "/x"}, {Path: "/x", Prefix: true}}},
			{Hosts: []string{"a.test"}, Paths: []match.Path{{Path: "/y"}, {Path: "/x/", Prefix: true}}},
		}, []string{`1 match.paths[1]: claims the host a.test and the paths below "/x/", as policies[0]`}},
		{"route twice", []match.Match{{Routes: []string{"r"}}, {Routes: []string{"q", "r"}}},
			[]string{`1 match.routes[1]: claims the route "r", as policies[0]`}},
		{"in one policy", []match.Match{{Hosts: []string{"a.test", "a.test"}}},
			[]string{`0 match.hosts[1]: "a.test" is listed twice`}},
		{"no conflict", []match.Match{{}, {Hosts: []string{"a.test"}}, {Hosts: []string{"*.a.test"}},
			{Hosts: []string{"a.test:1"}}, {Paths: []match.Path{{Path: "/"}}}, {Routes: []string{"r"}}}, nil},
		{"bad hosts",
			[]match.Match{{Hosts: []string{"", "*", "https://a.test/", "a.test/x", "*a.test", "a.*.test",
				"a.test:99999", "a..test", "*.127.0.0.1", "[::1]:81", "*.a.test:8443"}}}, []string{
				`0 match.hosts[0]: is empty`, `0 match.hosts[1]: "*" is not a host`,
				`0 match.hosts[2]: "https://a.test/" is a URL`, `0 match.hosts[3]: "a.test/x" has a path`,
				`0 match.hosts[4]: "*a.test" has a wildcard`, `0 match.hosts[5]: "a.*.test" has a wildcard`,
				`0 match.hosts[6]: "a.test:99999" has an invalid port`,
				`0 match.hosts[7]: "a..test" is not a host`,
				`0 match.hosts[8]: "*.127.0.0.1" has a wildcard before an IP address; write "127.0.0.1"`}},
		{"more bad hosts",
			[]match.Match{{Hosts: []string{".", "*.", "a.test..", "*.a.test..:8443", ".:80", "*.127.0.0.1.",
				"[::1]."}}}, []string{
				`0 match.hosts[0]: "." is not a host`, `0 match.hosts[1]: "*." is not a host`,
				`0 match.hosts[2]: "a.test.." is not a host`,
				`0 match.hosts[3]: "*.a.test..:8443" is not a host`, `0 match.hosts[4]: ".:80" is not a host`,
				`0 match.hosts[5]: "*.127.0.0.1." has a wildcard before an IP address`,
				`0 match.hosts[6]: "[::1]." is not a host`}},
		{"a dot at the end", []match.Match{{Hosts: []string{"a.test", "A.test.", "*.a.test.:1", "*.a.test:1"}},
			{Hosts: []string{"a.test.", "*.A.test.:1"}}}, []string{
			`0 match.hosts[1]: "a.test" is listed twice`, `0 match.hosts[3]: "*.a.test:1" is listed twice`,
			`1 match.hosts[0]: claims the host a.test and every path, as policies[0]`,
			`1 match.hosts[1]: claims the host *.a.test:1 and every path, as policies[0]`}},
		{"a port that browsers leave out",
			[]match.Match{{Hosts: []string{"a.test:443", "*.A.test.:80", "[::1]:443", "a.test:8443"}}}, []string{
				`0 match.hosts[0]: "a.test:443" matches hardly any request, because browsers leave out the port of https`,
				`0 match.hosts[1]: "*.a.test:80" matches hardly any request, because browsers leave out the port of http`,
				`0 match.hosts[2]: "[::1]:443" matches hardly any request`}},
		{"IPv6 hosts",
			[]match.Match{{Hosts: []string{"::1", "[0:0::1]:8080", "2001:DB8::1", "[::x]", "http://[::0001]:80/",
				"[::A]"}}}, []string{
				`0 match.hosts[0]: "::1" has an IPv6 address without brackets; write "[::1]"`,
				`0 match.hosts[1]: "[0:0::1]:8080" has an IPv6 address that isn't in its shortest form, in which browsers send it; write "[::1]:8080"`,
				`0 match.hosts[2]: "2001:DB8::1" has an IPv6 address without brackets; write "[2001:db8::1]"`,
				`0 match.hosts[3]: "[::x]" has an invalid IPv6 address`,
				`0 match.hosts[4]: "http://[::0001]:80/" is a URL, and a host has no scheme; write "[::1]"`}},
		// The Kelvin sign is a k in lower case, but no host that DNS knows has one.
		{"hosts outside ASCII", []match.Match{{Hosts: []string{"\u212aelvin.test", "*.b\u00fccher.test"}}}, []string{
			`0 match.hosts[0]: "Kelvin.test" has characters outside ASCII`,
			`0 match.hosts[1]: "*.bücher.test" has characters outside ASCII`}},
		{"bad paths",
			[]match.Match{{Paths: []match.Path{{Path: ""}, {Path: "x"}, {Path: "/x?y"}, {Path: "/x/*"}, {Path: "/ä"},
				{Path: "/a b"}}}}, []string{
				`0 match.paths[0]: the path is empty`, `0 match.paths[1]: the path "x" doesn't begin with a slash`,
				`0 match.paths[2]: the path "/x?y" has a query`,
				`0 match.paths[3]: the path "/x/*" has a wildcard`, `0 match.paths[4]: the path "/ä" has characters`,
				`0 match.paths[5]: the path "/a b" has characters`}},
		{"bad route", []match.Match{{Routes: []string{""}}}, []string{`0 match.routes[0]: is empty`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			table, problems := arrange(test.matches)
			if warned := test.name == "in one policy" ||
				test.name == "a port that browsers leave out"; (table == nil) != (len(test.want) > 0 && !warned) ||
				len(problems) != len(test.want) {
				t.Errorf("%d problems, want %d: %v", len(problems), len(test.want), problems)
			}
			for i := range min(len(problems), len(test.want)) {
				if got := fmt.Sprint(problems[i].Rule, " ", problems[i]); problems[i].Kind == 0 ||
					!strings.HasPrefix(got, test.want[i]) {
					t.Errorf("problem %d: %s, want %s", i, got, test.want[i])
				}
			}
		})
	}
}

// TestAsterisk: a request for "*" as a whole has no path that a prefix covers.
func TestAsterisk(t *testing.T) {
	matches := []match.Match{{Paths: []match.Path{{Path: "/", Prefix: true}}}, {}}
	table, problems := arrange(matches)
	if table == nil {
		t.Fatal(problems)
	}
	names := map[*match.Match]string{&matches[0]: "root", &matches[1]: "every"}
	for path, want := range map[string]string{"/": "root", "/x": "root", "//": "root", "/?x": "root", "*": "every",
		"": "every", "x": "every"} {
		if got := names[table.Lookup(match.Key{Path: path})]; got != want {
			t.Errorf("path %q: policy %s, want %s", path, got, want)
		}
	}
}

// TestEverything: a table of one value for all requests.
func TestEverything(t *testing.T) {
	table := match.Everything(&match.Match{})
	got := table.Lookup(match.Key{Host: "api.example", Path: "/"})
	if got == nil || got != table.Everywhere() || len(table.All()) != 1 || table.ByHost() || table.ByPath() ||
		table.ByRoute() {
		t.Errorf("looked up %v, everywhere %v", got, table.Everywhere())
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	table, problems := arrange([]match.Match{
		{Hosts: []string{"*.example.com"}, Paths: []match.Path{{Path: "/v1", Prefix: true}}},
		{Hosts: []string{"api.example.com:8443"}, Routes: []string{"route"}},
	})
	if table == nil {
		t.Fatal(problems)
	}
	for _, k := range []match.Key{{Host: "A.Example.com:1", Path: "/v1/x?y"}, {Host: "api.example.com:8443", Path: "/"},
		{Route: "route"}, {Host: strings.Repeat("a.", 100), Path: "/v2"}} {
		if allocs := testing.AllocsPerRun(100, func() { table.Lookup(k) }); allocs != 0 {
			t.Errorf("%+v: %v allocations", k, allocs)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	matches := []match.Match{{}}
	for i := range 1000 {
		host := fmt.Sprintf("h%d.example", i)
		matches = append(matches, match.Match{Hosts: []string{host, "*." + host},
			Paths: []match.Path{{Path: "/"}, {Path: "/v1", Prefix: true}}})
	}
	table, problems := arrange(matches)
	if table == nil {
		b.Fatal(problems)
	}
	for name, k := range map[string]match.Key{
		"host":       {Host: "h7.example", Path: "/v1/orders?page=2"},
		"wildcard":   {Host: "a.b.h7.example:443", Path: "/v1/orders?page=2"},
		"every-host": {Host: "www.elsewhere.example", Path: "/v2"},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				table.Lookup(k)
			}
		})
	}
}
