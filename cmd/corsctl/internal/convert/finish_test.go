package convert

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/corsctl/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
)

// finished is what becomes of rules that are found in a file of as many lines, one in
// each; those of a rule without origins are https://app.example.
func finished(t *testing.T, rules ...*rule) *Result {
	t.Helper()
	file, failed := document.Parse("file.yaml", strings.Repeat("- x\n", len(rules)))
	if failed != nil {
		t.Fatal(failed)
	}
	c := &conversion{file: file}
	for i, r := range rules {
		r.from = file.Documents[0].Elements[i]
		if r.AllowOrigins == nil {
			r.AllowOrigins = []cors.OriginEntry{{Text: "https://app.example"}}
		}
		c.found(r.from, "a rule")
		c.add(r)
	}
	result := c.finish()
	checkResult(t, result)
	return result
}

// policies are the policies of a configuration, one a line, by name and match.
func policies(result *Result) string {
	var lines []string
	for line := range strings.Lines(result.Configuration) {
		line = strings.TrimSuffix(strings.TrimSpace(line), ",")
		switch {
		case strings.HasPrefix(line, `"name"`):
			lines = append(lines, line)
		case strings.HasPrefix(line, `"match"`):
			lines[len(lines)-1] += " " + line
		}
	}
	return strings.Join(lines, "\n")
}

func hosts(hosts ...string) cors.Match { return cors.Match{Hosts: hosts} }

func below(paths ...string) (matches []cors.PathMatch) {
	for _, path := range paths {
		matches = append(matches, cors.PathMatch{Path: path, Prefix: true})
	}
	return matches
}

// TestSeparate is about policies that match the same.
func TestSeparate(t *testing.T) {
	other := cors.Config{MaxAge: new(int)}
	for _, test := range []struct {
		name     string
		rules    []*rule
		want     string
		findings int
	}{
		{"alike, and so no conflict", []*rule{{}, {}}, "", 0},
		{"all of it", []*rule{{Match: hosts("a.b", "b.b")}, {Match: hosts("A.b"), Config: other}}, `"name": "policy" "match": {"hosts": ["a.b", "b.b"]}`, 1},
		{"some hosts", []*rule{{Match: hosts("a.b")}, {Match: hosts("a.b", "c.b"), Config: other}},
			`"name": "policy" "match": {"hosts": ["a.b"]}` + "\n" + `"name": "policy-2" "match": {"hosts": ["c.b"]}`, 1},
		{"a path of one host", []*rule{
			{Match: cors.Match{Hosts: []string{"a.b"}, Paths: below("/x/")}},
			{Match: cors.Match{Hosts: []string{"a.b", "c.b"}, Paths: below("/x", "/y"), Routes: []string{"r"}}, Config: other},
		}, `"name": "policy" "match": {"hosts": ["a.b"], "paths": [{"prefix": "/x/"}]}` + "\n" +
			`"name": "policy-2" "match": {"hosts": ["a.b"], "paths": [{"prefix": "/y"}], "routes": ["r"]}` + "\n" +
			`"name": "policy-3" "match": {"hosts": ["c.b"], "paths": [{"prefix": "/x"}, {"prefix": "/y"}]}`, 1},
		{"a route", []*rule{{Match: cors.Match{Routes: []string{"r"}}}, {Match: cors.Match{Routes: []string{"r", "s"}}, Config: other}},
			`"name": "policy" "match": {"routes": ["r"]}` + "\n" + `"name": "policy-2" "match": {"routes": ["s"]}`, 1},
		{"all but the route", []*rule{{}, {Match: cors.Match{Paths: below("/x")}}, {Match: cors.Match{Paths: below("/x"), Routes: []string{"r"}}, Config: other}},
			`"name": "policy"` + "\n" + `"name": "policy-2" "match": {"paths": [{"prefix": "/x"}]}` + "\n" + `"name": "policy-3" "match": {"routes": ["r"]}`, 1},
		{"a host that is none", []*rule{{Match: hosts("a b", "a.b")}, {Match: hosts("*.*")}}, `"name": "policy" "match": {"hosts": ["a.b"]}`, 2},
		{"a host that is none, and a route", []*rule{{Match: cors.Match{Hosts: []string{"a b"}, Routes: []string{"r"}}}}, `"name": "policy" "match": {"routes": ["r"]}`, 1},
		{"a path that is none", []*rule{{Match: hosts("a.b")}, {Match: cors.Match{Paths: below("x")}}}, `"name": "policy" "match": {"hosts": ["a.b"]}`, 1},
		{"a dot at the end", []*rule{{Match: hosts("a.b", "a.b.")}, {Match: hosts("A.b.", "c.b.:1"), Config: other}, {Match: hosts("c.b:1")}},
			`"name": "policy" "match": {"hosts": ["a.b"]}` + "\n" + `"name": "policy-2" "match": {"hosts": ["c.b.:1"]}`, 2},
		{"a port that browsers leave out, beside none", []*rule{{Match: hosts("a.b", "a.b:443")}}, `"name": "policy" "match": {"hosts": ["a.b"]}`, 0},
		{"a port that browsers leave out", []*rule{{Match: hosts("a.b:443")}}, `"name": "policy" "match": {"hosts": ["a.b:443"]}`, 1},
		{"every host", []*rule{{Match: hosts("*", "a.b")}, {Match: hosts("a.b")}}, `"name": "policy"` + "\n" + `"name": "policy-2" "match": {"hosts": ["a.b"]}`, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			result := finished(t, test.rules...)
			if diff := cmp.Diff(test.want, policies(result)); diff != "" {
				t.Errorf("policies (-want +got):\n%s", diff)
			}
			if len(result.Findings) != test.findings {
				t.Errorf("want %d findings, got\n%s", test.findings, lines(result))
			}
		})
	}
}

// TestWithoutOrigins: a policy without origins is left out, unless a policy for more
// would take its place.
func TestWithoutOrigins(t *testing.T) {
	nothing := cors.Config{AllowOrigins: []cors.OriginEntry{{Text: "nothing"}}}
	for _, test := range []struct {
		name   string
		policy *rule
		others []*rule
		want   int
	}{
		{"alone", &rule{}, nil, 0},
		{"beside another host", &rule{Match: hosts("a.b")}, []*rule{{Match: hosts("b.b")}}, 1},
		{"below", &rule{Match: hosts("a.b")}, []*rule{{Match: hosts("*.b")}}, 2},
		{"above", &rule{Match: hosts("*.b")}, []*rule{{Match: hosts("a.b")}}, 1},
		{"below a path", &rule{Match: cors.Match{Paths: below("/a/b")}}, []*rule{{Match: cors.Match{Paths: below("/a")}}}, 2},
		{"beside a path", &rule{Match: cors.Match{Paths: below("/ab")}}, []*rule{{Match: cors.Match{Paths: below("/a")}}}, 1},
		{"a route, which may be anywhere", &rule{Match: cors.Match{Routes: []string{"r"}}}, []*rule{{Match: hosts("a.b")}}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.policy.Config = nothing
			result := finished(t, append([]*rule{test.policy}, test.others...)...)
			if result.Policies != test.want {
				t.Errorf("want %d policies, got\n%s%s", test.want, result.Configuration, lines(result))
			}
			if strings.Contains(result.Configuration, nobody) != (result.Policies > len(test.others)) {
				t.Errorf("who is allowed?\n%s", result.Configuration)
			}
		})
	}
}

// TestNames: names are valid, and each is one policy's.
func TestNames(t *testing.T) {
	long := strings.Repeat("x", 100)
	names := []string{"a/b c", "a-b-c", "", "ä", "-", long, long, "*.example.com:443", "a-b-c-2"}
	want := []string{"a-b-c", "a-b-c-2", "policy", "policy-2", "policy-3", long[:64], long[:62] + "-2", "example.com-443", "a-b-c-2-2"}
	var rules []*rule
	for i, name := range names {
		rules = append(rules, &rule{Match: cors.Match{Paths: below("/" + string(rune('a'+i)))}, Config: cors.Config{Name: name}})
	}
	var got []string
	for line := range strings.Lines(policies(finished(t, rules...))) {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, `"name": "`), `"`)
		got = append(got, name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

// TestNothing is about files in which there is no policy.
func TestNothing(t *testing.T) {
	for _, from := range Sources() {
		for _, text := range []string{"a: 1", "a: {}", "- 1\n- [x]\n", "null\n---\n3\n"} {
			result := convertText(t, from, "file.yaml", text)
			if checkResult(t, result); result.Configuration != "" || len(result.Findings) != 1 || !strings.Contains(lines(result), from) {
				t.Errorf("%s of %q: %s%s", from, text, result.Configuration, lines(result))
			}
		}
	}
	file, failed := document.Parse("file.yaml", "{}")
	if failed != nil {
		t.Fatal(failed)
	}
	if _, err := Convert("traefik", file); err == nil || !strings.Contains(err.Error(), "nginx-ingress") {
		t.Error(err)
	}
}
