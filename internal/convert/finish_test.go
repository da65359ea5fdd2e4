package convert

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// finished is what becomes of drafts that are found in a file of as many lines, one in
// each; those of a draft without origins are https://app.example.
func finished(t *testing.T, rules ...*draft) *Result {
	t.Helper()
	file, failed := document.Parse("file.yaml", strings.Repeat("- x\n", len(rules)))
	if failed != nil {
		t.Fatal(failed)
	}
	c := &conversion{file: file}
	for i, d := range rules {
		d.from = file.Documents[0].Elements[i]
		if d.AllowOrigins == nil {
			d.AllowOrigins = []cors.OriginEntry{{Text: "https://app.example"}}
		}
		c.found(d.from, "a rule")
		c.add(d)
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

func hosts(hosts ...string) match.Match { return match.Match{Hosts: hosts} }

func below(paths ...string) (matches []match.Path) {
	for _, path := range paths {
		matches = append(matches, match.Path{Path: path, Prefix: true})
	}
	return matches
}

// TestSeparate is about policies that match the same.
func TestSeparate(t *testing.T) {
	other := cors.Config{MaxAge: new(int)}
	for _, test := range []struct {
		name     string
		rules    []*draft
		want     string
		findings int
	}{
		{"alike, and so no conflict", []*draft{{}, {}}, "", 0},
		{"all of it", []*draft{{Match: hosts("a.b", "b.b")}, {Match: hosts("A.b"), Config: other}},
			`"name": "policy" "match": {"hosts": ["a.b", "b.b"]}`, 1},
		{"some hosts", []*draft{{Match: hosts("a.b")}, {Match: hosts("a.b", "c.b"), Config: other}},
			`"name": "policy" "match": {"hosts": ["a.b"]}` + "\n" + `"name": "policy-2" "match": {"hosts": ["c.b"]}`,
			1},
		{"a path of one host", []*draft{
			{Match: match.Match{Hosts: []string{"a.b"}, Paths: below("/x/")}},
			{Match: match.Match{Hosts: []string{"a.b", "c.b"}, Paths: below("/x", "/y"), Routes: []string{"r"}},
				Config: other},
		}, `"name": "policy" "match": {"hosts": ["a.b"], "paths": [{"prefix": "/x/"}]}` + "\n" +
			`"name": "policy-2" "match": {"hosts": ["a.b"], "paths": [{"prefix": "/y"}], "routes": ["r"]}` + "\n" +
			`"name": "policy-3" "match": {"hosts": ["c.b"], "paths": [{"prefix": "/x"}, {"prefix": "/y"}]}`, 1},
		{"a route", []*draft{{Match: match.Match{Routes: []string{"r"}}},
			{Match: match.Match{Routes: []string{"r", "s"}}, Config: other}},
			`"name": "policy" "match": {"routes": ["r"]}` + "\n" + `"name": "policy-2" "match": {"routes": ["s"]}`, 1},
		{"all but the route", []*draft{{}, {Match: match.Match{Paths: below("/x")}},
			{Match: match.Match{Paths: below("/x"), Routes: []string{"r"}}, Config: other}},
			`"name": "policy"` + "\n" + `"name": "policy-2" "match": {"paths": [{"prefix": "/x"}]}` + "\n" +
				`"name": "policy-3" "match": {"routes": ["r"]}`, 1},
		{"a host that is none", []*draft{{Match: hosts("a b", "a.b")}, {Match: hosts("*.*")}},
			`"name": "policy" "match": {"hosts": ["a.b"]}`, 2},
		{"a host that is none, and a route",
			[]*draft{{Match: match.Match{Hosts: []string{"a b"}, Routes: []string{"r"}}}},
			`"name": "policy" "match": {"routes": ["r"]}`, 1},
		{"a path that is none", []*draft{{Match: hosts("a.b")}, {Match: match.Match{Paths: below("x")}}},
			`"name": "policy" "match": {"hosts": ["a.b"]}`, 1},
		{"a dot at the end", []*draft{{Match: hosts("a.b", "a.b.")}, {Match: hosts("A.b.", "c.b.:1"), Config: other},
			{Match: hosts("c.b:1")}},
			`"name": "policy" "match": {"hosts": ["a.b"]}` + "\n" + `"name": "policy-2" "match": {"hosts": ["c.b.:1"]}`,
			2},
		{"a port that browsers leave out, beside none", []*draft{{Match: hosts("a.b", "a.b:443")}},
			`"name": "policy" "match": {"hosts": ["a.b"]}`, 0},
		{"a port that browsers leave out", []*draft{{Match: hosts("a.b:443")}},
			`"name": "policy" "match": {"hosts": ["a.b:443"]}`, 1},
		{"every host", []*draft{{Match: hosts("*", "a.b")}, {Match: hosts("a.b")}},
			`"name": "policy"` + "\n" + `"name": "policy-2" "match": {"hosts": ["a.b"]}`, 0},
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
		policy *draft
		others []*draft
		want   int
	}{
		{"alone", &draft{}, nil, 0},
		{"beside another host", &draft{Match: hosts("a.b")}, []*draft{{Match: hosts("b.b")}}, 1},
		{"below", &draft{Match: hosts("a.b")}, []*draft{{Match: hosts("*.b")}}, 2},
		{"above", &draft{Match: hosts("*.b")}, []*draft{{Match: hosts("a.b")}}, 1},
		{"below a path", &draft{Match: match.Match{Paths: below("/a/b")}},
			[]*draft{{Match: match.Match{Paths: below("/a")}}}, 2},
		{"beside a path", &draft{Match: match.Match{Paths: below("/ab")}},
			[]*draft{{Match: match.Match{Paths: below("/a")}}}, 1},
		{"a route, which may be anywhere", &draft{Match: match.Match{Routes: []string{"r"}}},
			[]*draft{{Match: hosts("a.b")}}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.policy.Config = nothing
			result := finished(t, append([]*draft{test.policy}, test.others...)...)
			if result.Policies != test.want {
				t.Errorf("want %d policies, got\n%s%s", test.want, result.Configuration, lines(result))
			}
			if strings.Contains(result.Configuration, nobody) != (result.Policies > len(test.others)) {
				t.Errorf("who is allowed?\n%s", result.Configuration)
			}
		})
	}
}

// TestWithoutCredentials: a policy whose origins are refused for its credentials alone
// loses these, and not all.
func TestWithoutCredentials(t *testing.T) {
	for _, test := range []struct {
		name        string
		origins     []string
		want        string // of allow_origins
		credentials bool
	}{
		{"https", []string{"https://a.example"}, `["https://a.example"]`, true},
		{"plain http", []string{"http://a.example"}, `["http://a.example"]`, false},
		{"plain http, of several", []string{"http://a.example", "http://b.example:8080"},
			`["http://a.example", "http://b.example:8080"]`, false},
		{"plain http to be mended", []string{"HTTP://a.example/", "http://b.example:80"},
			`["http://a.example", "http://b.example"]`, false},
		{"plain http beside https", []string{"http://a.example", "https://a.example"}, `["https://a.example"]`, true},
		{"plain http beside https to be mended", []string{"http://a.example", "https://A.example"},
			`["https://a.example"]`, true},
		{"plain http beside what is nothing", []string{"nothing", "http://a.example"}, `["http://a.example"]`, false},
		{"plain http of loopback", []string{"http://localhost:8080"}, `["http://localhost:8080"]`, true},
		{"null", []string{"null"}, `["null"]`, false},
		{"a public suffix", []string{"https://*.co.uk"}, `["https://*.co.uk"]`, false},
		{"everybody", []string{"*"}, `["*"]`, false},
		{"nothing", []string{"nothing"}, "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := cors.Config{AllowCredentials: true}
			for _, origin := range test.origins {
				config.AllowOrigins = append(config.AllowOrigins, cors.OriginEntry{Text: origin})
			}
			result := finished(t, &draft{Config: config})
			if test.want == "" != (result.Configuration == "") ||
				!strings.Contains(result.Configuration, `"allow_origins": `+test.want) && test.want != "" ||
				strings.Contains(result.Configuration, `"allow_credentials": true`) != test.credentials {
				t.Errorf("want %s, credentials %t, got\n%s%s", test.want, test.credentials, result.Configuration,
					lines(result))
			}
			if !test.credentials && test.want != "" &&
				!strings.Contains(lines(result), "so the policy is carried over without allow_credentials") {
				t.Errorf("the credentials are lost in silence:\n%s", lines(result))
			}
		})
	}
}

// TestUnreached: a route that no request gets to is a warning, and the file is one of the
// format.
func TestUnreached(t *testing.T) {
	for format, text := range map[string]string{
		"envoy": `{virtual_hosts: [{name: v, domains: [a.example], routes: [{match: PATH, typed_per_filter_config: {envoy.filters.http.cors: {` + corsType +
			`, allow_origin_string_match: [{exact: "https://app.example"}]}}}]}]}`,
		"istio":         `{kind: VirtualService, metadata: {name: v}, spec: {hosts: [a.example], http: [{match: [{uri: PATH}], corsPolicy: {allowOrigins: [{exact: "https://app.example"}]}}]}}`,
		"gateway-api":   `{kind: HTTPRoute, metadata: {name: r}, spec: {rules: [{matches: [{path: {value: v1}}], filters: [{type: CORS, cors: {allowOrigins: ["https://app.example"]}}]}]}}`,
		"envoy-gateway": "{kind: SecurityPolicy, metadata: {name: p}, spec: {targetRefs: [{kind: HTTPRoute, name: r}], cors: {allowOrigins: [\"https://app.example\"]}}}\n---\n{kind: HTTPRoute, metadata: {name: r}, spec: {rules: [{matches: [{path: {value: v1}}]}]}}",
		"nginx-ingress": `{kind: Ingress, metadata: {name: i, annotations: {nginx.ingress.kubernetes.io/enable-cors: "true"}}, spec: {rules: [{http: {paths: [{path: v1, pathType: Prefix}]}}]}}`,
		"higress":       `{kind: Ingress, metadata: {name: i, annotations: {higress.io/enable-cors: "true"}}, spec: {rules: [{http: {paths: [{path: v1, pathType: Exact}]}}]}}`,
	} {
		result := convertText(t, format, "file.yaml", strings.ReplaceAll(text, "PATH", "{prefix: v1}"))
		checkResult(t, result)
		if all := lines(result); result.Configuration != "" ||
			!strings.Contains(all, `"v1" doesn't begin with a slash`) || !strings.Contains(all, "no policy is left") {
			t.Errorf("%s: %s%s", format, result.Configuration, all)
		}
	}
	result := convertText(t, "envoy", "file.yaml",
		`{virtual_hosts: [{name: v, domains: [a.example], routes: [{match: {connect_matcher: {}}, typed_per_filter_config: {envoy.filters.http.cors: {`+corsType+
			`, allow_origin_string_match: [{exact: "https://app.example"}]}}}]}]}`)
	if all := lines(result); !strings.Contains(all, "no request that a browser makes gets to this route") {
		t.Error(all)
	}
}

// TestAttachment: a policy that comes to nothing where it stands is a warning, or the
// reason why there is no configuration.
func TestAttachment(t *testing.T) {
	const (
		envoyPolicy = `typed_per_filter_config: {envoy.filters.http.cors: {` + corsType +
			`, allow_origin_string_match: [{exact: "https://app.example"}]}}`
		gateway = `cors: {allowOrigins: ["https://app.example"]}`
		istio   = `corsPolicy: {allowOrigins: [{exact: "https://app.example"}]}`
		route   = "\n---\n{kind: HTTPRoute, metadata: {name: r}, spec: {rules: [{name: a}]}}"
	)
	for _, test := range []struct{ name, format, text, want string }{
		{"no targets", "envoy-gateway", `{kind: SecurityPolicy, metadata: {name: p}, spec: {` + gateway + `}}`,
			"is attached to nothing"},
		{"a rule that isn't there", "envoy-gateway",
			`{kind: SecurityPolicy, metadata: {name: p}, spec: {targetRefs: [{kind: HTTPRoute, name: r, sectionName: b}], ` + gateway + `}}` + route, "is attached to nothing"},
		{"a second policy", "envoy-gateway",
			`{kind: SecurityPolicy, metadata: {name: p}, spec: {targetRefs: [{kind: HTTPRoute, name: r}], ` + gateway +
				`}}` + "\n---\n" +
				`{kind: SecurityPolicy, metadata: {name: q}, spec: {targetRefs: [{kind: HTTPRoute, name: r}], cors: {allowOrigins: ["https://b.example"]}}}` + route, "what has another policy already"},
		{"a second filter", "gateway-api",
			`{kind: HTTPRoute, metadata: {name: r}, spec: {rules: [{filters: [{type: CORS, ` + gateway +
				`}, {type: CORS, ` + gateway + `}]}]}}`, "is a second filter of the type CORS"},
		{"filters that are no list", "gateway-api",
			`{kind: HTTPRoute, metadata: {name: r}, spec: {rules: [{filters: {type: CORS, ` + gateway + `}}]}}`,
			"is not a list"},
		{"rules that are no list", "gateway-api",
			`{kind: HTTPRoute, metadata: {name: r}, spec: {rules: {filters: [{type: CORS, ` + gateway + `}]}}}`,
			"is not a list"},
		{"another type", "gateway-api", `{kind: HTTPRoute, metadata: {name: r}, spec: {rules: [{filters: [{` + gateway +
			`}]}]}}`, "isn't of the type CORS"},
		{"a filter without cors", "gateway-api",
			`{kind: HTTPRoute, metadata: {name: r}, spec: {rules: [{filters: [{type: CORS}]}]}}`,
			"is a filter of the type CORS without cors"},
		{"http that is no list", "istio",
			`{kind: VirtualService, metadata: {name: v}, spec: {hosts: [a.example], http: {` + istio + `}}}`,
			"is not a list"},
		{"no domains", "envoy", `{virtual_hosts: [{name: v, ` + envoyPolicy + `}]}`, "has no domains"},
		{"a domain that is none", "envoy", `{virtual_hosts: [{name: v, domains: [7, a.example], ` + envoyPolicy + `}]}`,
			"is no domain"},
		{"a domain twice", "envoy", `{virtual_hosts: [{name: v, domains: [a.example], ` + envoyPolicy +
			`}, {name: w, domains: [A.example], ` + envoyPolicy + `}]}`, "is the domain of a virtual host already"},
		{"origins of Envoy before version 3", "envoy",
			`{virtual_hosts: [{name: v, domains: ["*"], cors: {allow_origin: ["https://app.example"]}}]}`,
			`"allow_origin" is not a field of Envoy's CorsPolicy`},
		{"no origins", "envoy", `{virtual_hosts: [{name: v, domains: ["*"], cors: {}}]}`, "in force"},
		{"enabled by a word that isn't true", "nginx-ingress",
			`{kind: Ingress, metadata: {name: i, annotations: {nginx.ingress.kubernetes.io/enable-cors: "yes"}}, spec: {rules: [{host: a.example}]}}`, "means false there"},
	} {
		result := convertText(t, test.format, "file.yaml", test.text)
		checkResult(t, result)
		if all := lines(result); !strings.Contains(all, test.want) {
			t.Errorf("%s: %q is missing in\n%s", test.name, test.want, all)
		}
	}
}

// TestSetHeaders: CORS headers that are set beside the policies are not forgotten.
func TestSetHeaders(t *testing.T) {
	for format, text := range map[string]string{
		"envoy": `{response_headers_to_add: [{header: {key: Access-Control-Allow-Origin, value: "*"}}], virtual_hosts: [{name: v, domains: ["*"], typed_per_filter_config: {envoy.filters.http.cors: {` + corsType +
			`, allow_origin_string_match: [{exact: "https://app.example"}]}}}]}`,
		"istio":       `{kind: VirtualService, metadata: {name: v}, spec: {hosts: [a.example], http: [{headers: {response: {set: {access-control-max-age: "5"}}}, corsPolicy: {allowOrigins: [{exact: "https://app.example"}]}}]}}`,
		"gateway-api": `{kind: HTTPRoute, metadata: {name: r}, spec: {rules: [{filters: [{type: CORS, cors: {allowOrigins: ["https://app.example"]}}, {type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: access-control-expose-headers, value: x}]}}]}]}}`,
	} {
		result := convertText(t, format, "file.yaml", text)
		checkResult(t, result)
		if all := lines(result) + removals(result); strings.Count(all, "sets a CORS header") != 2 {
			t.Errorf("%s: %s", format, all)
		}
	}
}

// TestNames: names are valid, and each is one policy's.
func TestNames(t *testing.T) {
	long := strings.Repeat("x", 100)
	names := []string{"a/b c", "a-b-c", "", "ä", "-", long, long, "*.example.com:443", "a-b-c-2"}
	want := []string{"a-b-c", "a-b-c-2", "policy", "policy-2", "policy-3", long[:64], long[:62] + "-2",
		"example.com-443", "a-b-c-2-2"}
	var rules []*draft
	for i, name := range names {
		rules = append(rules, &draft{Match: match.Match{Paths: below("/" + string(rune('a'+i)))},
			Config: cors.Config{Name: name}})
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
	for _, from := range Formats() {
		for _, text := range []string{"a: 1", "a: {}", "- 1\n- [x]\n", "null\n---\n3\n"} {
			result := convertText(t, from, "file.yaml", text)
			if checkResult(t, result); result.Configuration != "" || len(result.Findings) != 1 ||
				!strings.Contains(lines(result), from) {
				t.Errorf("%s of %q: %s%s", from, text, result.Configuration, lines(result))
			}
		}
	}
	file, failed := document.Parse("file.yaml", "{}")
	if failed != nil {
		t.Fatal(failed)
	}
	if _, err := Convert("haproxy", file); err == nil || !strings.Contains(err.Error(), "nginx-ingress") {
		t.Error(err)
	}
}

// TestManyRegexes: of more regexes than the filter takes the last are left out, with one
// warning, and the other origins stay.
func TestManyRegexes(t *testing.T) {
	var b strings.Builder
	for i := range 800 {
		fmt.Fprintf(&b, `"https://a%d.*b.*c.*\\.example\\.com", `, i)
	}
	result := convertText(t, "kong", "kong.yaml", `{_format_version: "3.0", plugins: [{name: cors, config: {`+
		`credentials: true, headers: [x-a], origins: [`+b.String()+`"https://last.test"]}}]}`)
	checkResult(t, result)
	if got := lines(result); len(result.Findings) != 1 || !strings.Contains(got, "the last of them are left out") {
		t.Error(got)
	}
	for _, part := range []string{`"https://last.test"`, "https://a0"} {
		if !strings.Contains(result.Configuration, part) {
			t.Errorf("%s is left out", part)
		}
	}
}
