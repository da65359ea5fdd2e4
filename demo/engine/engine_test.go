package engine_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config/schema"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/demo/engine"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
)

// TestCall: a call is answered with JSON, whatever is asked.
func TestCall(t *testing.T) {
	for _, test := range []struct{ name, function, arguments, want string }{
		{"a check", "check", `["{\"allow_origins\": [\"*\"]}"]`, `{"ok":true,"findings":[]}`},
		{"requests", "requests", `["curl"]`,
			`{"requests":[],"warnings":[],"error":"the command has no URL; copy the whole command"}`},
		{"no such function", "decide", `[]`, `{"error":"the engine has no function decide"}`},
		{"no arguments", "check", ``, `{"error":"the arguments of check: unexpected end of JSON input"}`},
		{"too few", "check", `[]`, `{"error":"0 arguments, and not 1"}`},
		{"too many", "schema", `[1]`, `{"error":"1 arguments, and not 0"}`},
		{"of another type", "check", `[1]`,
			`{"error":"argument 1: json: cannot unmarshal number into Go value of type string"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := strings.TrimSpace(engine.Call(test.function, test.arguments)); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
	var got, want any
	if err := json.Unmarshal([]byte(engine.Call("schema", "[]")), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(schema.JSON(), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := engine.Call("walk", `["{\"mode\": \"off\"}", [{"origin": "https://a.test", "method": "GET", "url": "https://b.test/?a&b"}], {}]`); !strings.Contains(got,
		`"url":"https://b.test/?a&b"`) || strings.Contains(got, `"error"`) {
		t.Error(got)
	}
}

// TestPanic: what the engine fails by is said, and the page goes on.
func TestPanic(t *testing.T) {
	if got := engine.CallFailing(); got != `{"error":"the engine has failed: broken"}`+"\n" {
		t.Error(got)
	}
}

// TestCheck: findings stand where the text has what they are about.
func TestCheck(t *testing.T) {
	type found struct{ severity, kind, path, at, replacement string }
	for _, test := range []struct {
		name, text string
		ok         bool
		want       []found
	}{
		{"right", `{"allow_origins": ["https://a.test"]}`, true, nil},
		{"a warning", `{"allow_origins": ["*", "https://a.test"]}`, true,
			[]found{{"warning", "superfluous", "allow_origins[1]", `"https://a.test"`, ""}}},
		{"an entry", `{"allow_origins": ["https://ok.test", "HTTPS://A.test/"]}`, false,
			[]found{{"error", "never_sent", "allow_origins[1]", `"HTTPS://A.test/"`, `"https://a.test"`}}},
		{"after characters of two units", `{"name": "𝄞ä", "allow_origins": ["https://𝄞.test"], "max_age": "1 day"}`, false, []found{
			{"error", "invalid_value", "name", `"𝄞ä"`, ""},
			{"error", "never_sent", "allow_origins[0]", `"https://𝄞.test"`, ""},
			{"error", "invalid_value", "max_age", `"1 day"`, `86400`},
		}},
		{"several entries for one", `{"allow_origins": ["*"], "allow_methods": ["PUT, PATCH"]}`, false,
			[]found{{"error", "invalid_name", "allow_methods[0]", `"PUT, PATCH"`, `"PUT", "PATCH"`}}},
		{"the name of a field", `{"allow_orgins": []}`, false,
			[]found{{"error", "missing", "allow_origins", `{"allow_orgins": []}`, ""},
				{"error", "unknown_field", "allow_orgins", `"allow_orgins"`, `"allow_origins"`}}},
		{"a choice", `{"allow_origins": ["https://a.test"], "allow_credentials": "maybe", "unmatched_preflights": "?"}`, false, []found{
			{"error", "wrong_type", "allow_credentials", `"maybe"`, ""},
			{"error", "invalid_value", "unmatched_preflights", `"?"`, ""},
		}},
		{"what isn't JSON", "{\"allow_origins\": [\n  https://a.test]}", false,
			[]found{{"error", "syntax", "configuration", `https://a.test`, `"https://a.test"`}}},
		{"a word of thousands of characters", strings.Repeat("𝄞x", 3_000), false,
			[]found{{"error", "syntax", "configuration", strings.Repeat("𝄞x", 200), ""}}},
		{"a name without quotes", `{allow_origins: ["*"]}`, false,
			[]found{{"error", "syntax", "configuration", `allow_origins`, ""}}},
		{"the end", `{"allow_origins": [`, false, []found{{"error", "syntax", "configuration", ``, ""}}},
		{"nothing", ``, false, []found{{"error", "missing", "configuration", ``, ""}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			checked := engine.Check(test.text)
			units := utf16.Encode([]rune(test.text))
			var got []found
			for _, f := range checked.Findings {
				g := found{f.Severity, f.Kind, f.Path, string(utf16.Decode(units[f.From:f.To])), ""}
				if f.Replacement != nil {
					g.replacement = *f.Replacement
				}
				got = append(got, g)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(found{})); diff != "" || checked.OK != test.ok {
				t.Errorf("ok %v (-want +got)\n%s", checked.OK, diff)
			}
		})
	}
}

// TestReplacement: what is to be written instead of what is wrong mends it.
func TestReplacement(t *testing.T) {
	mended := 0
	for _, text := range []string{
		`{"allow_origins": ["https://A.test", "localhost:3000", "https://a.test/x", "*.a.test"], "allow_credentials": "true"}`,
		`{"allow_origins": "https://a.test", "allow_methods": "GET,PUT", "max_age": "10 minutes", "mode": "Shadow"}`,
		`{"policies": [{"name": "a b", "allow_origins": [{"prefix": "https://a.test"}], "match": {"paths": ["/v1/*"]}}]}`,
		`{"alow_origins": ["https://a.test"], "allow_header": ["X A"]}`,
	} {
		for i, f := range engine.Check(text).Findings {
			if f.Replacement == nil {
				continue
			}
			mended++
			after := engine.Check(text[:f.From] + *f.Replacement + text[f.To:])
			for _, g := range after.Findings {
				if g.Path == f.Path && g.Message == f.Message {
					t.Errorf("%s\n%d %s is still there with %s", text, i, f.Message, *f.Replacement)
				}
			}
		}
	}
	if mended < 10 {
		t.Errorf("only %d could be mended", mended)
	}
}

// TestReplacementInLarge: in a text of megabytes not each replacement is tried, which takes as
// long as reading it all.
func TestReplacementInLarge(t *testing.T) {
	const found = 20
	list := strings.TrimSuffix(strings.Repeat(`"https://A.test", `, found), ", ")
	for _, test := range []struct {
		name, space string
		want        int
	}{
		{"small", "", found}, {"large", strings.Repeat(" ", 3<<20), 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			replaced := 0
			for _, f := range engine.Check(`{"allow_origins": [` + list + `]}` + test.space).Findings {
				if f.Replacement != nil {
					replaced++
				}
			}
			if replaced != test.want {
				t.Errorf("%d replacements, want %d", replaced, test.want)
			}
		})
	}
}

// TestLayout: a change leaves alone all else that its author wrote, and is laid out as that is.
func TestLayout(t *testing.T) {
	for _, test := range []struct {
		name, text, want string
		request          engine.Request
	}{
		{"a list on one line", `{"allow_origins": ["https://a.test"]}`,
			`{"allow_origins": ["https://a.test", "https://app.example"]}`, request(get)},
		{"a list on several", "{\n  \"allow_origins\": [\n    \"https://a.test\"\n  ]\n}\n",
			"{\n  \"allow_origins\": [\n    \"https://a.test\",\n    \"https://app.example\"\n  ]\n}\n", request(get)},
		{"a field more, on a line of its own", "{\n\t\"allow_origins\": [\"https://app.example\"]\n}",
			"{\n\t\"allow_origins\": [\"https://app.example\"],\n\t\"allow_methods\": [\"DELETE\"]\n}",
			request(get, method("DELETE"))},
		{"an empty list", `{ "allow_origins": ["https://app.example"], "allow_methods": [ ] }`,
			`{ "allow_origins": ["https://app.example"], "allow_methods": ["DELETE"] }`, request(get, method("DELETE"))},
		{"the other spelling", `{"allowOrigins":["https://app.example"],"allowMethods":["PUT"]}`,
			`{"allowOrigins":["https://app.example"],"allowMethods":["PUT", "DELETE"]}`, request(get, method("DELETE"))},
		{"null", `{"allow_origins": ["https://app.example"], "allow_methods": null}`,
			`{"allow_origins": ["https://app.example"], "allow_methods": ["DELETE"]}`, request(get, method("DELETE"))},
		{"what is inherited", `{"defaults": {"allow_origins": ["https://a.test"]}, "policies": [{"name": "a"}]}`,
			`{"defaults": {"allow_origins": ["https://a.test"]}, "policies": [{"name": "a", "allow_origins": ["https://a.test", "https://app.example"]}]}`,
			request(get)},
		{"a mode", `{"mode": "off"}`, `{"mode": "enforce", "allow_origins": ["https://app.example"]}`, request(get)},
		{"* with credentials", `{"allow_origins": ["*"], "expose_headers": ["*"]}`,
			`{"allow_origins": ["https://app.example"], "expose_headers": [], "allow_credentials": true}`, request(get, include)},
		{"a host", `{"policies": [{"name": "a", "match": {"hosts": ["b.example"]}, "allow_origins": ["https://app.example"]}]}`,
			`{"policies": [{"name": "a", "match": {"hosts": ["b.example", "api.example"]}, "allow_origins": ["https://app.example"]}]}`,
			request(get)},
		{"a policy", `{"policies": [{"name": "a", "match": {"hosts": ["b.example"]}, "allow_origins": ["https://b.example"]}]}`,
			`{"policies": [{"name": "a", "match": {"hosts": ["b.example"]}, "allow_origins": ["https://b.example"]}, ` +
				`{"name": "new", "match": {"hosts": ["api.example"], "paths": [{"prefix": "/v1"}]}, "allow_origins": ["https://app.example"]}]}`,
			request(get)},
		{"a policy that inherits", `{"defaults": {"mode": "shadow", "allow_methods": ["PUT"]}, "policies": [` +
			`{"name": "a", "match": {"hosts": ["b.example"]}, "allow_origins": ["https://b.example"]}]}`,
			`{"defaults": {"mode": "shadow", "allow_methods": ["PUT"]}, "policies": [` +
				`{"name": "a", "match": {"hosts": ["b.example"]}, "allow_origins": ["https://b.example"]}, ` +
				`{"name": "new", "match": {"hosts": ["api.example"], "paths": [{"prefix": "/v1"}]}, "allow_origins": ["https://app.example"], ` +
				`"allow_headers": ["X-A"], "mode": "enforce"}]}`,
			request()},
		{"a policy that is off, and inherits", `{"defaults": {"allow_origins": ["https://app.example"]}, "policies": [{"name": "a", "mode": "off"}]}`,
			`{"defaults": {"allow_origins": ["https://app.example"]}, "policies": [{"name": "a", "mode": "enforce"}]}`,
			request(get)},
		{"a list of policies of one", "{\n  \"match\": {\"hosts\": [\"b.example\"]},\n  \"allow_origins\": [\"https://b.example\"]\n}\n",
			"{\n  \"policies\": [\n    {\n      \"name\": \"first\",\n      \"match\": {\"hosts\": [\"b.example\"]},\n      \"allow_origins\": [\"https://b.example\"]\n    },\n" +
				"    {\"name\": \"new\", \"match\": {\"hosts\": [\"api.example\"], \"paths\": [{\"prefix\": \"/v1\"}]}, \"allow_origins\": [\"https://app.example\"]}\n  ]\n}\n",
			request(get)},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := walk(t, test.text, test.request, engine.Options{})
			if diff := cmp.Diff(test.want, w.Changed); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if after := walk(t, w.Changed, test.request, engine.Options{}); !after.Verdict.Readable {
				t.Errorf("%s\n%+v", w.Changed, after.Verdict)
			}
		})
	}
}

// TestRequests: requests come from curl commands and HAR files, and can be walked.
func TestRequests(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []engine.Request
		warnings   int
		error      string
	}{
		{"curl", `curl 'https://api.example/v1' -X PUT -H 'Origin: https://app.example' -H 'X-A: 1' -H 'Cookie: a=b' --compressed`,
			[]engine.Request{{Origin: page, Method: "PUT", URL: "https://api.example/v1", Headers: [][2]string{{"X-A", "1"}},
				Source: "curl", Credentials: true, Notes: []string{`the credentials mode is taken to be "include", because of the Cookie header`}}}, 0, ""},
		{"a preflight", `curl -X OPTIONS https://api.example/ -H 'Origin: https://app.example' -H 'Access-Control-Request-Method: PUT'` +
			` -H 'Access-Control-Request-Headers: x-a'`,
			[]engine.Request{{Origin: page, Method: "PUT", URL: "https://api.example/", Headers: [][2]string{}, Names: []string{"x-a"},
				Source: "curl", Notes: []string{"only the preflight is known, and the request that it asks for is taken from it"}}}, 0, ""},
		{"HAR", `{"log": {"entries": [{"request": {"method": "GET", "url": "https://api.example/", "headers": [
			{"name": "Origin", "value": "https://app.example"}, {"name": "Sec-Fetch-Mode", "value": "cors"}]},
			"response": {"status": 200, "headers": []}}]}}`,
			[]engine.Request{{Origin: page, Method: "GET", URL: "https://api.example/", Headers: [][2]string{},
				Source: "log.entries[0]", Failed: true}}, 0, ""},
		{"another JSON", `{"a": 1}`, []engine.Request{}, 0, "no HAR file"},
		{"nothing", ``, []engine.Request{}, 0, "no curl command"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := engine.ParseRequests(test.text)
			if diff := cmp.Diff(test.want, got.Requests); diff != "" || len(got.Warnings) != test.warnings ||
				(got.Error == "") != (test.error == "") {
				t.Errorf("%q %q (-want +got)\n%s", got.Warnings, got.Error, diff)
			}
			for _, r := range got.Requests {
				walk(t, allowed, r, engine.Options{})
			}
		})
	}
}

// TestNoWalk: what is no request, or isn't taken by the filter, has no walk, and says why.
func TestNoWalk(t *testing.T) {
	for _, test := range []struct {
		name, text string
		request    engine.Request
		want       string
	}{
		{"no configuration", `{}`, request(), "the filter doesn't accept the configuration: 1:1 allow_origins: is required"},
		{"no origin", allowed, request(origin("app")), `the origin "app"`},
		{"no method", allowed, request(method("A B")), `"A B" is no method`},
		{"no URL", allowed, request(func(r *engine.Request) { r.URL = "ftp://x" }), `the URL "ftp://x" is not of the scheme`},
		{"no header", allowed, request(header("X A", "")), `"X A" is no header name`},
		{"no value of a header", allowed, request(header("X-A", "…")), "the value of X-A has a character that no page can send"},
		{"no outcome", allowed, request(func(r *engine.Request) { r.Lookup = "maybe" }), "a look-up comes to allowed, denied, failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := engine.WalkAll(test.text, []engine.Request{test.request}, engine.Options{})[0]
			if !strings.Contains(w.Error, test.want) || w.Verdict.Readable || len(w.Steps) > 0 {
				t.Errorf("%q, %+v", w.Error, w.Verdict)
			}
		})
	}
}

// TestShadow: what a policy in shadow mode would have done.
func TestShadow(t *testing.T) {
	const text = `{"mode": "shadow", "allow_origins": ["https://app.example"], "allow_methods": ["PUT"]}`
	for _, test := range []struct {
		name    string
		request engine.Request
		options engine.Options
		want    engine.Shadow
	}{
		{"it would allow more", request(get), engine.Options{}, engine.Shadow{Actual: &engine.Shadowed{
			Allowed: true, Reason: "allowed", Outcome: "shadow_allowed", Compared: "looser", Why: "access-control-allow-origin is missing"}}},
		{"it would allow less", request(get, origin("https://b.example")), upstream("access-control-allow-origin", "*"),
			engine.Shadow{Actual: &engine.Shadowed{Reason: "origin https://b.example is not in allow_origins",
				Outcome: "shadow_denied_origin", Compared: "stricter", Why: "origin https://b.example is not in allow_origins"}}},
		{"a preflight", request(), engine.Options{}, engine.Shadow{Preflight: &engine.Shadowed{
			Reason:  "header x-a is not in allow_headers (allowed: none)",
			Outcome: "shadow_preflight_denied_header", Compared: "same"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(&test.want, walk(t, text, test.request, test.options).Shadow); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	if w := walk(t, allowed, request(), engine.Options{}); w.Shadow != nil {
		t.Errorf("in force: %+v", w.Shadow)
	}
}

// FuzzCall: no call fails.
func FuzzCall(f *testing.F) {
	f.Add(allowed, page, "PUT", api, "X-A")
	for _, c := range cases.All[:50] {
		f.Add(c.Config, "null", "GET", "http://localhost:1/", "Range")
	}
	f.Fuzz(func(t *testing.T, text, origin, method, url, name string) {
		request := []engine.Request{{Origin: origin, Method: method, URL: url, Headers: [][2]string{{name, text}},
			Names: []string{name}}}
		for function, arguments := range map[string][]any{
			"check": {text}, "requests": {text}, "walk": {text, append(request, request...), engine.Options{}},
		} {
			encoded, err := json.Marshal(arguments)
			if err != nil {
				t.Fatal(err)
			}
			got := engine.Call(function, string(encoded))
			if strings.Contains(got, "the engine has failed") || !json.Valid([]byte(got)) {
				t.Error(got)
			}
		}
	})
}
