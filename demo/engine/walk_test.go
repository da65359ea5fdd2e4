package engine_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/demo/engine"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
)

const (
	page = "https://app.example"
	api  = "https://api.example/v1"
)

// request is a PUT of the page with a header, which needs a preflight.
func request(changes ...func(*engine.Request)) engine.Request {
	r := engine.Request{Origin: page, Method: "PUT", URL: api, Headers: [][2]string{{"X-A", "1"}}}
	for _, change := range changes {
		change(&r)
	}
	return r
}

func get(r *engine.Request)        { r.Method, r.Headers = "GET", nil }
func include(r *engine.Request)    { r.Credentials = true }
func sameOrigin(r *engine.Request) { r.Origin = "https://api.example" }

func method(m string) func(*engine.Request) { return func(r *engine.Request) { r.Method = m } }

func origin(o string) func(*engine.Request) { return func(r *engine.Request) { r.Origin = o } }

func header(name, value string) func(*engine.Request) {
	return func(r *engine.Request) { r.Headers = append(r.Headers, [2]string{name, value}) }
}

func walk(t *testing.T, text string, r engine.Request, o engine.Options) engine.Walk {
	t.Helper()
	w := engine.WalkAll(text, []engine.Request{r}, o)[0]
	if w.Error != "" {
		t.Fatalf("%s\n%+v\n%s", text, r, w.Error)
	}
	return w
}

// cors is an upstream with CORS headers of its own.
func upstream(headers ...string) engine.Options {
	var o engine.Options
	for pair := range slices.Chunk(headers, 2) {
		o.Upstream.Headers = append(o.Upstream.Headers, [2]string(pair))
	}
	return o
}

func without(o engine.Options) engine.Options {
	o.Filter = new(bool)
	return o
}

const allowed = `{"allow_origins": ["https://app.example"], "allow_methods": ["PUT"], "allow_headers": ["X-A"]}`

// TestWalk: the steps that a walk has, those that fail with a "!", and what comes of it.
func TestWalk(t *testing.T) {
	const sent = "request cross-origin method header-1 preflight cache policy preflight-request preflight-answer "
	const passes = "preflight-allow-origin preflight-allow-origin-value "
	const readable = "actual-request actual-answer allow-origin allow-origin-value "
	for _, test := range []struct {
		name, text string
		request    engine.Request
		options    engine.Options
		mode       string
		steps      string
		reason     string // of the verdict
		because    string
	}{
		{"allowed", allowed, request(), engine.Options{}, "enforce",
			sent + passes + "preflight-status preflight-lists preflight-method preflight-headers preflight-max-age " +
				readable + "verdict", "", ""},
		{"a simple request", allowed, request(get), engine.Options{}, "enforce",
			"request cross-origin method preflight policy " + readable + "verdict", "", ""},
		{"the same origin", allowed, request(sameOrigin), engine.Options{}, "enforce",
			"request cross-origin policy actual-request actual-answer verdict", "", ""},
		{"a forbidden method", allowed, request(method("TRACE")), engine.Options{}, "enforce", "request!",
			"forbidden-method", `new Request: method "TRACE" is forbidden to scripts`},
		{"a header that is dropped", allowed, request(get, header("Cookie", "a=b")), engine.Options{}, "enforce",
			"request dropped-1 cross-origin method preflight policy " + readable + "verdict", "", ""},
		{"another origin", allowed, request(origin("https://other.example")), engine.Options{}, "enforce",
			sent + "preflight-allow-origin! verdict", "missing-allow-origin",
			"origin https://other.example is not in allow_origins"},
		{"another origin's simple request", allowed, request(get, origin("https://other.example")), engine.Options{}, "enforce",
			"request cross-origin method preflight policy actual-request actual-answer allow-origin! verdict",
			"missing-allow-origin", "origin https://other.example is not in allow_origins"},
		{"another method", allowed, request(method("DELETE")), engine.Options{}, "enforce",
			sent + "preflight-allow-origin! verdict", "missing-allow-origin",
			"method DELETE is not in allow_methods (allowed: PUT)"},
		{"another method, in debug mode", strings.Replace(allowed, "{", `{"debug": true, `, 1), request(method("DELETE")),
			engine.Options{}, "enforce",
			sent + passes + "preflight-status preflight-lists preflight-method! verdict", "method-not-allowed",
			"method DELETE is not in allow_methods (allowed: PUT)"},
		{"another header, in debug mode", strings.Replace(allowed, "{", `{"debug": true, `, 1), request(header("X-B", "")),
			engine.Options{}, "enforce",
			strings.Replace(sent, "header-1", "header-1 header-2", 1) + passes +
				"preflight-status preflight-lists preflight-method preflight-headers! verdict", "header-not-allowed",
			"header x-b is not in allow_headers (allowed: X-A)"},
		{"credentials", allowed, request(get, include), engine.Options{}, "enforce",
			"request cross-origin method preflight policy " + readable + "allow-credentials! verdict",
			"allow-credentials-not-true", "CORS check, step 8: no Access-Control-Allow-Credentials"},
		{"* and credentials", `{"allow_origins": ["*"]}`, request(get, include), engine.Options{}, "enforce",
			"request cross-origin method preflight policy actual-request actual-answer allow-origin allow-origin-value! verdict",
			"wildcard-with-credentials",
			`CORS check, step 4: Access-Control-Allow-Origin is "*", which counts for no origin when the credentials mode is "include"`},
		{"no policy", `{"policies": [{"name": "a", "match": {"hosts": ["b.example"]}, "allow_origins": ["*"]}]}`, request(),
			engine.Options{}, "none", sent + "preflight-allow-origin! verdict", "missing-allow-origin",
			"CORS check of the preflight, step 2: no Access-Control-Allow-Origin"},
		{"off", `{"mode": "off"}`, request(get), upstream("Access-Control-Allow-Origin", "*"), "off",
			"request cross-origin method preflight policy " + readable + "verdict", "", ""},
		{"shadow", `{"mode": "shadow", "allow_origins": ["https://app.example"]}`, request(get), engine.Options{}, "shadow",
			"request cross-origin method preflight policy actual-request actual-answer allow-origin! verdict",
			"missing-allow-origin", "CORS check, step 2: no Access-Control-Allow-Origin"},
		{"shadow, and the upstream allows it", `{"mode": "shadow", "allow_origins": ["https://b.example"]}`, request(get),
			upstream("access-control-allow-origin", page), "shadow",
			"request cross-origin method preflight policy " + readable + "verdict", "", ""},
		{"the upstream's are replaced", allowed, request(get, origin("https://b.example")),
			upstream("access-control-allow-origin", "*"), "enforce",
			"request cross-origin method preflight policy actual-request actual-answer allow-origin! verdict",
			"missing-allow-origin", "origin https://b.example is not in allow_origins"},
		{"the upstream's are kept", strings.Replace(allowed, "{", `{"upstream_cors_headers": "keep", `, 1),
			request(get, origin("https://b.example")), upstream("access-control-allow-origin", "*"), "enforce",
			"request cross-origin method preflight policy " + readable + "verdict", "", ""},
		{"the upstream's are kept, and wrong", strings.Replace(allowed, "{", `{"upstream_cors_headers": "keep", `, 1),
			request(get), upstream("access-control-allow-origin", "https://b.example"), "enforce",
			"request cross-origin method preflight policy actual-request actual-answer allow-origin allow-origin-value! verdict",
			"allow-origin-mismatch",
			`CORS check, step 4: Access-Control-Allow-Origin is "https://b.example", the origin "https://app.example"`},
		{"a preflight is forwarded", strings.Replace(allowed, "{", `{"unmatched_preflights": "forward", `, 1),
			request(method("DELETE")), upstream("access-control-allow-origin", "*", "access-control-allow-methods", "DELETE",
				"access-control-allow-headers", "x-a"), "enforce",
			sent + "preflight-allow-origin! verdict", "missing-allow-origin",
			"method DELETE is not in allow_methods (allowed: PUT)"},
		{"a preflight is redirected", `{"mode": "off"}`, request(), engine.Options{Upstream: engine.Upstream{
			Preflights: 302, PreflightHeaders: [][2]string{{"Location", "/login"}}}}, "off",
			sent + "preflight-redirect! verdict", "preflight-redirect",
			`CORS-preflight fetch, step 7: 302 to "/login" is a redirect, not an ok status`},
		{"a preflight's status", `{"mode": "off"}`, request(), engine.Options{Upstream: engine.Upstream{Status: 405,
			Headers: [][2]string{{"access-control-allow-origin", "*"}}}}, "off",
			sent + passes + "preflight-status! verdict", "preflight-status",
			"CORS-preflight fetch, step 7: 405 is not an ok status"},
		{"a list that is none", `{"mode": "off"}`, request(), upstream("access-control-allow-origin", "*",
			"access-control-allow-methods", "PUT;POST"), "off",
			sent + passes + "preflight-status preflight-lists! verdict", "invalid-allow-methods",
			`CORS-preflight fetch, step 7.3: Access-Control-Allow-Methods is not a list of tokens: "PUT;POST"`},
		{"without the filter", `not even JSON`, request(), without(engine.Options{}), "bypassed",
			sent + "preflight-allow-origin! verdict", "missing-allow-origin",
			"CORS check of the preflight, step 2: no Access-Control-Allow-Origin"},
		{"without the filter, two lines", ``, request(get),
			without(upstream("access-control-allow-origin", "*", "access-control-allow-origin", "*")), "bypassed",
			"request cross-origin method preflight policy actual-request actual-answer allow-origin allow-origin-value! verdict",
			"multiple-allow-origins", `CORS check, step 4: Access-Control-Allow-Origin is "*, *", the origin "https://app.example"`},
		{"no policies yet", `{"policy_source": {"cluster": "p", "authority": "p"}}`, request(), engine.Options{}, "waiting",
			sent + "preflight-allow-origin! verdict", "missing-allow-origin",
			"no policies have arrived from the policy source, so that no origin is allowed"},
		{"a look-up", `{"origin_lookup": {"cluster": "p", "authority": "p"}}`,
			request(get, func(r *engine.Request) { r.Lookup = "allowed" }), engine.Options{}, "enforce",
			"request cross-origin method preflight policy lookup " + readable + "verdict", "", ""},
		{"a look-up that fails", `{"origin_lookup": {"cluster": "p", "authority": "p"}}`,
			request(get, func(r *engine.Request) { r.Lookup = "failed" }), engine.Options{}, "enforce",
			"request cross-origin method preflight policy lookup actual-request actual-answer allow-origin! verdict",
			"missing-allow-origin", "origin https://app.example is not in allow_origins, and the look-up failed"},
		{"an upload with a listener", allowed, request(get, func(r *engine.Request) { r.Forced = true }),
			engine.Options{}, "enforce", strings.Replace(sent, "header-1 ", "", 1) + passes +
				"preflight-status preflight-lists preflight-method preflight-max-age " + readable + "verdict", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := walk(t, test.text, test.request, test.options)
			var steps []string
			for _, s := range w.Steps {
				if s.Result == "fail" {
					s.ID += "!"
				}
				steps = append(steps, s.ID)
			}
			if got := strings.Join(steps, " "); got != test.steps {
				t.Errorf("steps\n%s, want\n%s", got, test.steps)
			}
			if w.Mode != test.mode || w.Verdict.Reason != test.reason || w.Verdict.Because != test.because {
				t.Errorf("mode %s, %s: %q; want %s, %s: %q", w.Mode, w.Verdict.Reason, w.Verdict.Because, test.mode,
					test.reason, test.because)
			}
			wellFormed(t, w)
		})
	}
}

// wellFormed: a walk is what the page relies on.
func wellFormed(t *testing.T, w engine.Walk) {
	t.Helper()
	ids, failed := map[string]bool{}, ""
	for _, s := range w.Steps {
		if ids[s.ID] {
			t.Errorf("two steps are called %s", s.ID)
		}
		ids[s.ID] = true
		if !strings.HasSuffix(s.Title, "?") || !strings.HasSuffix(s.Text, ".") ||
			strings.ToUpper(s.Text[:1]) != s.Text[:1] || strings.Contains(s.Text, "..") ||
			strings.Contains(s.Text, "%!") {
			t.Errorf("%s: %q, %q", s.ID, s.Title, s.Text)
		}
		if s.Section != "" && !strings.HasPrefix(s.Section, "https://") {
			t.Errorf("%s: %q", s.ID, s.Section)
		}
		if s.Result == "fail" {
			if failed != "" {
				t.Errorf("%s and %s fail", failed, s.ID)
			}
			failed = s.ID
		}
	}
	if w.Verdict.Readable == (failed != "") || w.Verdict.StepID != failed {
		t.Errorf("the verdict is %+v, and the step that fails %q", w.Verdict, failed)
	}
	if w.Verdict.Readable && (w.Changed != "" || len(w.Changes) > 0) {
		t.Errorf("it is allowed, and yet there are changes: %+v", w.Changes)
	}
	if w.Actual == nil && w.Verdict.Readable || (w.Preflight != nil) != ids["cache"] {
		t.Errorf("%+v", w)
	}
}

// TestChanged: with the changes made that a walk proposes, the filter takes the configuration,
// and the page gets the answer; and each by itself can be made.
func TestChanged(t *testing.T) {
	policies := []string{
		`{"policies": [{"name": "all", "allow_origins": ["*"]},
  {"name": "v1", "match": {"paths": [{"prefix": "/v1"}]}, "allowMethods": [], "allow_origins": [
    "https://b.example",
    "https://c.example"
  ]}]}`,
		`{"defaults": {"allow_origins": ["https://b.example"], "allow_methods": ["PATCH"]}, "policies": [{"name": "a"}]}`,
		`{"policies": [{"name": "a", "match": {"hosts": ["other.example"]}, "allow_origins": ["https://app.example"]}]}`,
		"{\n  \"allow_origins\": [\"https://b.example\"],\n  \"match\": {\"hosts\": [\"b.example\"]}\n}\n",
		`{"match": {"paths": [{"exact": "/x"}]}, "allow_origins": ["https://app.example"], "name": "one"}`,
		`{"defaults": {"mode": "shadow", "unmatched_preflights": "forward", "upstream_cors_headers": "keep", "allow_headers": ["X-B"]},
  "policies": [{"name": "a", "match": {"hosts": ["b.example"]}, "allow_origins": ["https://b.example"]}]}`,
		`{"defaults": {"mode": "off", "allow_origins": ["*"], "allow_methods": ["*"], "expose_headers": ["*"]}, "policies": [
  {"name": "a"}, {"name": "b", "match": {"hosts": ["b.example"]}}]}`,
		`{"defaults": {"mode": "off", "expose_headers": ["*"]}, "policies": [{"name": "b", "match": {"hosts": ["b.example"]}}]}`,
		`{"mode": "off"}`, `{"mode":"shadow","allow_origins":["https://b.example"]}`,
		`{"allow_origins": ["https://b.example"], "allow_headers": null, "expose_headers": ["*"]}`,
		`{"allow_origins": ["https://b.example"], "upstream_cors_headers": "keep"}`,
	}
	for _, c := range cases.All {
		if !slices.Contains(policies, c.Config) && len(c.Config) < 5_000 {
			policies = append(policies, c.Config)
		}
	}
	changed := 0
	for _, text := range policies {
		for _, r := range []engine.Request{
			request(), request(get), request(include), request(get, include),
			request(method("DELETE"), header("Authorization", "x")),
			request(origin("null"), method("patch")), request(origin("https://b.example"), header("Content-Type", "text/json")),
			request(origin("capacitor://localhost")), request(method("TRACE")),
		} {
			for _, o := range []engine.Options{{}, upstream("access-control-allow-origin", "*", "access-control-allow-origin", "x")} {
				w := walk(t, text, r, o)
				wellFormed(t, w)
				for _, c := range w.Changes {
					// One of several need not be taken without the others.
					if c.Text == text || c.Text != "" && len(w.Changes) == 1 && !engine.Check(c.Text).OK {
						t.Errorf("%s\n%s: %s\n%s\n%+v", text, c.Path, c.Edit, c.Text, engine.Check(c.Text))
					}
				}
				if w.Changed == "" {
					continue
				}
				changed++
				after := engine.WalkAll(w.Changed, []engine.Request{r}, o)[0]
				if after.Error != "" || !after.Verdict.Readable {
					t.Errorf("%s\n%+v %+v\n%+v\nwith the changes made\n%s\n%s %+v", text, r, o, w.Changes, w.Changed, after.Error,
						after.Verdict)
				}
			}
		}
	}
	if changed < 500 {
		t.Errorf("only %d were changed", changed)
	}
}

// TestChromium: what Chromium does otherwise than the standard has it.
func TestChromium(t *testing.T) {
	for _, test := range []struct {
		name     string
		request  engine.Request
		headers  []string // of the upstream, which answers alone
		readable bool     // by the standard
		chromium bool
		differs  string
	}{
		{"as the standard", request(get), []string{"access-control-allow-origin", "*"}, true, true, ""},
		{"Authorization, of *", request(get, header("Authorization", "x")),
			[]string{"access-control-allow-origin", "*", "access-control-allow-headers", "*"}, false, true, ""},
		{"a method that is not listed, forced", request(method("PUT"), func(r *engine.Request) {
			r.Forced, r.Headers = true, nil
		}), []string{"access-control-allow-origin", "*"}, true, false, ""},
		{"User-Agent", request(get, header("User-Agent", "x")), nil, false, false,
			"Chromium leaves out a User-Agent that a script sets."},
		{"a client hint", request(get, header("DPR", "2")), nil, false, false,
			"Chromium takes DPR for safelisted, as it is a client hint."},
		{"two lines", request(get, header("Accept", "a"), header("accept", "b")), nil, false, false,
			"Chromium makes one line of those of accept before it judges them."},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := walk(t, "", test.request, without(upstream(test.headers...))).Verdict
			c, f := v.Chromium, v.Firefox
			if f.Readable != test.chromium || f.Differs != "" || (f.Message == "") != f.Readable {
				t.Errorf("of Firefox: %+v", f)
			}
			if v.Readable != test.readable || c.Readable != test.chromium || c.Differs != test.differs {
				t.Errorf("%+v", v)
			}
			if c.Readable && c.Message != "" {
				t.Errorf("Chromium says %q", c.Message)
			}
		})
	}
}

// TestFirefox: what Firefox does otherwise than the standard and Chromium have it.
func TestFirefox(t *testing.T) {
	long := strings.Repeat("a", 128)
	lines := []func(*engine.Request){get}
	for range 9 {
		lines = append(lines, header("Accept", long))
	}
	for _, test := range []struct {
		name    string
		request engine.Request
		differs string
	}{
		{"not ASCII", request(get, header("Accept", "\u00e9")), "Firefox asks by a preflight for what isn't ASCII in Accept."},
		{"a control character, which is unsafe to all", request(get, header("Accept", "\u007f")), ""},
		{"not ASCII where it is unsafe", request(get, header("X-A", "\u00e9")), ""},
		{"1152 bytes", request(lines...), "Firefox doesn't mind how long the safelisted headers are together."},
	} {
		t.Run(test.name, func(t *testing.T) {
			if f := walk(t, "", test.request, without(upstream())).Verdict.Firefox; f.Differs != test.differs {
				t.Errorf("%+v", f)
			}
		})
	}
}

// TestCache: a browser remembers preflights from one request to the next.
func TestCache(t *testing.T) {
	remembered := func(maxAge string) string { return strings.Replace(allowed, "{", `{"max_age": `+maxAge+`, `, 1) }
	for _, test := range []struct {
		name, text string
		requests   []engine.Request
		cached     []bool
	}{
		{"the same twice", remembered("600"), []engine.Request{request(), request()}, []bool{false, true}},
		{"without max_age, five seconds", allowed, []engine.Request{request(), request()}, []bool{false, true}},
		{"max_age 0", remembered("0"), []engine.Request{request(), request()}, []bool{false, false}},
		{"what isn't allowed", allowed, []engine.Request{request(method("DELETE")), request(method("DELETE"))},
			[]bool{false, false}},
		{"another URL", allowed, []engine.Request{request(), request(func(r *engine.Request) { r.URL += "?x" })},
			[]bool{false, false}},
		{"another fragment", allowed, []engine.Request{request(), request(func(r *engine.Request) { r.URL += "#x" })},
			[]bool{false, true}},
		{"another origin", `{"allow_origins": ["*"], "allow_methods": ["*"], "allow_headers": ["*"]}`,
			[]engine.Request{request(), request(origin("https://b.example")), request()}, []bool{false, false, true}},
		{"with credentials, what was answered without", strings.Replace(allowed, "{", `{"allow_credentials": true, `, 1),
			[]engine.Request{request(), request(include), request(include), request()},
			[]bool{false, false, true, true}},
		{"a header that the answer lists", strings.Replace(allowed, `"X-A"`, `"X-A", "X-B"`, 1),
			[]engine.Request{request(), request(header("X-B", "1"))}, []bool{false, true}},
		{"a header that it doesn't, so that the answer is forgotten", allowed,
			[]engine.Request{request(), request(header("X-B", "1")), request()}, []bool{false, false, false}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []bool
			for _, w := range engine.WalkAll(test.text, test.requests, engine.Options{}) {
				wellFormed(t, w)
				got = append(got, w.Preflight.Cached)
				if w.Preflight.Cached != (w.Preflight.Answer == nil) || w.Preflight.Cached && w.Actual == nil {
					t.Errorf("%+v", w.Preflight)
				}
			}
			if diff := cmp.Diff(test.cached, got); diff != "" {
				t.Errorf("cached (-want +got)\n%s", diff)
			}
		})
	}
}
