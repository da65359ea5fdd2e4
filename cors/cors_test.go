package cors_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/names"
)

func origins(list ...string) (entries []cors.OriginEntry) {
	for _, s := range list {
		entries = append(entries, cors.OriginEntry{Text: s})
	}
	return entries
}

func compile(tb testing.TB, c cors.Config) *cors.Policy {
	tb.Helper()
	policy, problems := cors.Compile(c)
	if policy == nil {
		tb.Fatal(problems)
	}
	return policy
}

// TestProblems: what Compile refuses, and what it warns about.
func TestProblems(t *testing.T) {
	seconds := func(n int) *int { return &n }
	for _, test := range []struct {
		name   string
		config cors.Config
		want   []string // "error" or "warning", and how the problem begins
	}{
		{"nothing", cors.Config{}, []string{`error allow_origins: is required`}},
		{"any with credentials", cors.Config{AllowOrigins: origins("*"), AllowCredentials: true},
			[]string{`error allow_origins[0]: "*" with allow_credentials`}},
		{"regex for everything", cors.Config{AllowOrigins: []cors.OriginEntry{{Text: ".*", Regex: true}}}, nil},
		{"regex for everything with credentials",
			cors.Config{AllowOrigins: []cors.OriginEntry{{Text: ".*", Regex: true}}, AllowCredentials: true},
			[]string{`error allow_origins[0]: the regex ".*" matches every site`}},
		{"regex for plain http with credentials",
			cors.Config{AllowOrigins: []cors.OriginEntry{{Text: `https?://app\.example`, Regex: true}},
				AllowCredentials: true},
			[]string{`error allow_origins[0]: the regex "https?://app\\.example" matches plain-http origins`}},
		{"bad regex",
			cors.Config{AllowOrigins: []cors.OriginEntry{{Text: "(", Regex: true}, {Text: "a)|(b", Regex: true},
				{Text: "", Regex: true}}}, []string{
				`error allow_origins[0]: the regex "(" is invalid: a parenthesis isn't closed`,
				`error allow_origins[1]: the regex "a)|(b" is invalid: unexpected )`,
				`error allow_origins[2]: the regex is empty`}},
		{"regexes of another syntax", cors.Config{AllowOrigins: []cors.OriginEntry{
			{Text: `https://(?!www).*\.a\.example`, Regex: true}, {Text: `https://.*(?<!x)\.example`, Regex: true},
			{Text: `https://a\.example\`, Regex: true}, {Text: `https://[a`, Regex: true}}}, []string{
			`error allow_origins[0]: the regex "https://(?!www).*\\.a\\.example" is invalid: RE2 doesn't look around, as with (?!`,
			`error allow_origins[1]: the regex "https://.*(?<!x)\\.example" is invalid: RE2 doesn't look around, as with (?<!`,
			`error allow_origins[2]: the regex "https://a\\.example\\" is invalid: it ends with a backslash`,
			`error allow_origins[3]: the regex "https://[a" is invalid: a bracket isn't closed`}},
		{"plain http with credentials",
			cors.Config{AllowOrigins: origins("http://app.example", "http://*.app.example",
				"http://localhost.evil.test:*"), AllowCredentials: true}, []string{
				`error allow_origins[0]: "http://app.example" with allow_credentials trusts whoever is on the network`,
				`error allow_origins[1]: "http://*.app.example" with allow_credentials`,
				`error allow_origins[2]: "http://localhost.evil.test:*" with allow_credentials`}},
		{"loopback with credentials",
			cors.Config{AllowOrigins: origins("http://localhost", "http://localhost:3000", "http://app.localhost:*",
				"http://*.localhost", "http://localhost.:3000", "http://app.localhost.",
				"http://127.0.0.1:8080", "http://127.1.2.3", "http://[::1]:8080"), AllowCredentials: true}, nil},
		{"plain http", cors.Config{AllowOrigins: origins("http://app.example")}, nil},
		{"public suffixes with credentials",
			cors.Config{AllowOrigins: origins("https://*.com", "https://*.co.uk", "https://*.github.io:*",
				"https://*.kobe.jp", "https://*.com."), AllowCredentials: true}, []string{
				`error allow_origins[0]: "https://*.com" with allow_credentials trusts sites of different owners, because com is a public suffix`,
				`error allow_origins[1]: "https://*.co.uk" with`,
				`error allow_origins[2]: "https://*.github.io:*" with`,
				`error allow_origins[3]: "https://*.kobe.jp" with`, `error allow_origins[4]: "https://*.com." with`}},
		{"above public suffixes with credentials",
			cors.Config{AllowOrigins: origins("https://*.amazonaws.com", "https://*.windows.net:*",
				"https://*.azurecontainer.io."), AllowCredentials: true}, []string{
				`error allow_origins[0]: "https://*.amazonaws.com" with allow_credentials trusts sites of different owners, because public suffixes lie below amazonaws.com`,
				`error allow_origins[1]: "https://*.windows.net:*" with`,
				`error allow_origins[2]: "https://*.azurecontainer.io." with`}},
		{"beside public suffixes with credentials",
			cors.Config{AllowOrigins: origins("https://*.bucket.s3.amazonaws.com", "https://*.city.kobe.jp",
				"https://*.www.ck", "https://*.internal", "https://*.test"), AllowCredentials: true}, nil},
		{"public suffix", cors.Config{AllowOrigins: origins("https://*.com")}, nil},
		{"any with malformed neighbours", cors.Config{AllowOrigins: origins("*", "app://", "file://")},
			[]string{`warning allow_origins[1]: "app://" adds nothing beside "*"`,
				`warning allow_origins[2]: "file://" adds`}},
		{"apps and extensions",
			cors.Config{AllowOrigins: origins("app://.", "app://-", "file://", "capacitor://localhost",
				"ionic://localhost", "tauri://localhost", "wails://wails.localhost:34115",
				"ms-appx-web://Contoso.App_8wekyb3d8bbwe",
				"vscode-webview://0t2k3jvl7p", "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
				"moz-extension://0a1b2c3d-0000-4000-8000-000000000000",
				"safari-web-extension://140BB581-1B1C-4A5B-8C3D-0E9F7A6B5C4D"), AllowCredentials: true}, nil},
		{"what browsers never send",
			cors.Config{AllowOrigins: origins("file://host", "chrome-extension://ABCDEFGHIJKLMNOPABCDEFGHIJKLMNOP",
				"chrome-extension://abcdefghijklmnopabcdefghijklmnop:1", "chrome-extension://abc",
				"moz-extension://0A1B2C3D-0000-4000-8000-000000000000", "moz-extension://abc",
				"safari-web-extension://com.example.app", "data://x", "about://blank")}, []string{
				`warning allow_origins[0]: "file://host" is no page's origin: those of files have no host, where they aren't "null"; write "file://"`,
				`warning allow_origins[1]: "chrome-extension://ABCDEFGHIJKLMNOPABCDEFGHIJKLMNOP" is no extension's origin`, `warning allow_origins[2]: "chrome-extension://abcdefghijklmnopabcdefghijklmnop:1" is`,
				`warning allow_origins[3]: "chrome-extension://abc" is`,
				`warning allow_origins[4]: "moz-extension://0A1B2C3D-0000-4000-8000-000000000000" has upper-case letters, which Firefox never sends in an extension's UUID; write "moz-extension://0a1b2c3d-0000-4000-8000-000000000000"`,
				`warning allow_origins[5]: "moz-extension://abc" is no extension's origin`,
				`warning allow_origins[6]: "safari-web-extension://com.example.app" is no`,
				`warning allow_origins[7]: "data://x" is no page's origin`,
				`warning allow_origins[8]: "about://blank" is no`}},
		{"schemes of sockets and files",
			cors.Config{AllowOrigins: origins("ws://app.example", "wss://app.example:8443", "ftp://app.example",
				"ws://localhost:*")}, []string{
				`warning allow_origins[0]: "ws://app.example" is no page's origin, because pages don't have the scheme ws: a socket is opened by a page of http or https; write "https://app.example"`,
				`warning allow_origins[1]: "wss://app.example:8443" is no page's origin, because pages don't have the scheme wss: a socket is opened by a page of http or https; write "https://app.example:8443"`,
				`warning allow_origins[2]: "ftp://app.example" is no page's origin, because pages don't have the scheme ftp; write "https://app.example"`,
				`warning allow_origins[3]: "ws://localhost:*" is no page's origin, because pages don't have the scheme ws: a socket is opened by a page of http or https; write "http://localhost:*"`}},
		{"schemes of sockets with credentials", cors.Config{AllowOrigins: origins("ws://app.example"),
			AllowCredentials: true}, []string{
			`warning allow_origins[0]: "ws://app.example" is no page's origin, because pages don't have the scheme ws: a socket is opened by a page of http or https; write "https://app.example"`}},
		{"every host of a scheme with credentials",
			cors.Config{AllowOrigins: origins("https://*", "app://*.", "http://a.example/", "https://*.com/"),
				AllowCredentials: true}, []string{
				`error allow_origins[0]: "https://*" would be every origin of the scheme https; list the origins, or leave out allow_credentials`,
				`error allow_origins[1]: "app://*." would be every origin of the scheme app`,
				`error allow_origins[2]: "http://a.example/" has a path (a trailing slash), and an origin is only scheme, host and port; write "https://a.example"`,
				`error allow_origins[3]: "https://*.com/" has a path (a trailing slash), and an origin is only scheme, host and port; write an origin, such as "https://app.example"`}},
		{"max age below", cors.Config{AllowOrigins: origins("*"), MaxAge: seconds(-1)},
			[]string{`error max_age: -1 seconds are out of range; write 0 if`}},
		{"null with credentials", cors.Config{AllowOrigins: origins("null"), AllowCredentials: true},
			[]string{`warning allow_origins[0]: "null" is the origin of every sandboxed frame`}},
		{"beside any", cors.Config{AllowOrigins: origins("https://app.example", "*", "null")}, []string{
			`warning allow_origins[0]: "https://app.example" adds nothing beside "*"`,
			`warning allow_origins[2]: "null" adds nothing`}},
		{"duplicates", cors.Config{AllowOrigins: origins("https://app.example", "https://app.example"),
			AllowMethods: []string{"put", "PUT"}, AllowHeaders: []string{"X-A", "x-a"},
			ExposeHeaders: []string{"a", "A"}}, []string{
			`warning allow_origins[1]: "https://app.example" is already allow_origins[0]`,
			`warning allow_methods[1]: "PUT" is listed twice`,
			`warning allow_headers[1]: "x-a" is listed twice`, `warning expose_headers[1]: "A" is listed twice`}},
		{"subsumed",
			cors.Config{AllowOrigins: append(origins("https://a.example.com", "https://*.example.com",
				"https://*.b.example.com", "https://example.com", "http://localhost:*", "http://localhost:1",
				"https://*.example.com:8443"),
				cors.OriginEntry{Text: `https://r[0-9]\.test`, Regex: true},
				cors.OriginEntry{Text: "https://r1.test"})}, []string{
				`warning allow_origins[0]: "https://a.example.com" is covered by another entry`,
				`warning allow_origins[2]: "https://*.b.example.com" is covered`,
				`warning allow_origins[5]: "http://localhost:1" is covered`,
				`warning allow_origins[8]: "https://r1.test" is covered`}},
		{"methods", cors.Config{AllowOrigins: origins("*"),
			AllowMethods: []string{"patch", "CONNECT", "trace", "TRACK", "", "A B", "*"}}, []string{
			`warning allow_methods[0]: "patch" is not PATCH`,
			`warning allow_methods[0]: "patch" adds nothing beside "*"`,
			`error allow_methods[1]: CONNECT is a method that browsers never send`, `error allow_methods[2]: trace is`,
			`error allow_methods[3]: TRACK is`,
			`error allow_methods[4]: "" is not a method`,
			`error allow_methods[5]: "A B" is a list in one string; write "A", "B"`}},
		{"headers", cors.Config{AllowOrigins: origins("*"),
			AllowHeaders: []string{"Cookie", "Sec-Fetch-Mode", "proxy-x", "Origin", "Access-Control-Allow-Origin",
				"a:b", "X-Fine"}}, []string{
			`error allow_headers[0]: "Cookie" is a header that pages can't set`,
			`error allow_headers[1]: "Sec-Fetch-Mode" is`, `error allow_headers[2]: "proxy-x" is`,
			`error allow_headers[3]: "Origin" is`,
			`error allow_headers[4]: "Access-Control-Allow-Origin" is a response header`,
			`error allow_headers[5]: "a:b" is not a header name`}},
		{"headers beside any", cors.Config{AllowOrigins: origins("*"),
			AllowHeaders: []string{"*", "authorization", "X-A"}},
			[]string{`warning allow_headers[2]: "X-A" adds nothing beside "*"`}},
		{"exposed", cors.Config{AllowOrigins: origins("https://app.example"), AllowCredentials: true,
			ExposeHeaders: []string{"*", "Set-Cookie", "set-cookie2", ""}}, []string{
			`error expose_headers[1]: "Set-Cookie" can't be exposed`,
			`error expose_headers[2]: "set-cookie2" can't be exposed`,
			`error expose_headers[3]: "" is not a header name`,
			`error expose_headers[0]: "*" means a header named "*"`}},
		{"max age above", cors.Config{AllowOrigins: origins("*"), MaxAge: seconds(86401)},
			[]string{`error max_age: 86401 seconds are out of range`}},
		{"max age above Chromium's", cors.Config{AllowOrigins: origins("*"), MaxAge: seconds(7201)},
			[]string{`warning max_age: 7201 seconds are more than Chromium remembers`}},
		{"max age at Chromium's", cors.Config{AllowOrigins: origins("*"), MaxAge: seconds(7200)}, nil},
		{"preflight status", cors.Config{AllowOrigins: origins("*"), PreflightStatus: 201},
			[]string{`error preflight_status: 201 is out of range`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			policy, problems := cors.Compile(test.config)
			refused := false
			for i, p := range problems {
				got := "error " + p.Error()
				if p.Warning {
					got = "warning " + p.Error()
				}
				if refused = refused || !p.Warning; p.Kind == 0 {
					t.Errorf("%s has no kind", got)
				}
				if i >= len(test.want) || !strings.HasPrefix(got, test.want[i]) {
					t.Errorf("problem %d: %s", i, got)
				}
			}
			if len(problems) < len(test.want) {
				t.Errorf("%d problems, want %d", len(problems), len(test.want))
			}
			if refused != (policy == nil) {
				t.Errorf("policy %v for problems %v", policy, problems)
			}
		})
	}
}

// TestMethodsCompareByCase: a request that isn't OPTIONS to the letter is no preflight.
func TestMethodsCompareByCase(t *testing.T) {
	for method, want := range map[string]bool{"OPTIONS": true, "options": false, "Options": false, "GET": false,
		"": false} {
		r := cors.Request{Method: method, Origin: "https://app.example", HasOrigin: true, RequestMethod: "PUT"}
		if r.Preflight() != want {
			t.Errorf("method %q: preflight %t, want %t", method, r.Preflight(), want)
		}
	}
}

// TestEditsKept: the edits survive the request's memory.
func TestEditsKept(t *testing.T) {
	policy := compile(t, cors.Config{AllowOrigins: origins("https://*.example.com")})
	memory := []byte("https://a.example.com")
	d := policy.Decide(&cors.Request{Origin: unsafe.String(&memory[0], len(memory)), HasOrigin: true})
	edits := d.Edits()
	clear(memory)
	var got editor
	if edits.Apply(&cors.Upstream{}, &got); got[0][1] != "https://a.example.com" {
		t.Error(got)
	}
}

// big is a policy in which nothing is found at the first try.
func big(tb testing.TB, n int) *cors.Policy {
	tb.Helper()
	c := cors.Config{AllowMethods: []string{"PUT", "DELETE", "PATCH"},
		AllowHeaders: []string{"content-type", "x-custom"}, ExposeHeaders: []string{"x-id"}, AllowCredentials: true}
	for i := range n {
		c.AllowOrigins = append(c.AllowOrigins, origins(fmt.Sprintf("https://app-%d.example", i),
			fmt.Sprintf("https://*.tenant-%d.example.com", i))...)
	}
	return compile(tb, c)
}

var requests = map[string]cors.Request{
	"no-origin":   {},
	"exact":       {Origin: "https://app-0.example", HasOrigin: true},
	"wildcard":    {Origin: "https://a.b.tenant-0.example.com", HasOrigin: true},
	"denied":      {Origin: "https://www.evil.test", HasOrigin: true},
	"malformed":   {Origin: "https://www.evil.test/" + strings.Repeat("a", 50_000), HasOrigin: true},
	"many-labels": {Origin: "https://" + strings.Repeat("a.", 120) + "com", HasOrigin: true},
	"preflight": {Method: "OPTIONS", Origin: "https://app-0.example", HasOrigin: true, RequestMethod: "PUT",
		RequestHeaders: []string{"content-type,x-custom"}},
	"upper-case": {Method: "OPTIONS", Origin: "https://app-0.example", HasOrigin: true, RequestMethod: "PUT",
		RequestHeaders: []string{"Content-Type, X-Custom"}},
	"repeated": {Method: "OPTIONS", Origin: "https://app-0.example", HasOrigin: true, RequestMethod: "PUT",
		RequestHeaders: []string{"content-type,x-custom"}}, // as a browser sends it
	"not-method": {Method: "OPTIONS", Origin: "https://app-0.example", HasOrigin: true, RequestMethod: "PURGE"},
	"not-header": {Method: "OPTIONS", Origin: "https://app-0.example", HasOrigin: true, RequestMethod: "PUT",
		RequestHeaders: []string{"x-other"}},
	"many-headers": {Method: "OPTIONS", Origin: "https://app-0.example", HasOrigin: true, RequestMethod: "PUT",
		RequestHeaders: []string{strings.Repeat("content-type,", 600)}},
	"many-commas": {Method: "OPTIONS", Origin: "https://app-0.example", HasOrigin: true, RequestMethod: "PUT",
		RequestHeaders: []string{strings.Repeat(",", 50_000)}},
}

// TestReady: which answers to preflights can be kept ready, as they repeat nothing of the request but
// its origin. With credentials "*" is a method and a header of that name, so that what is asked for is
// repeated (https://fetch.spec.whatwg.org/#http-access-control-allow-methods).
func TestReady(t *testing.T) {
	star := []string{"*"}
	for _, test := range []struct {
		name   string
		config cors.Config
		want   bool
	}{
		{"lists", cors.Config{AllowMethods: []string{"PUT"}, AllowHeaders: []string{"X-A"}}, true},
		{"lists with credentials", cors.Config{AllowMethods: []string{"PUT"}, AllowHeaders: []string{"X-A"},
			AllowCredentials: true}, true},
		{"any", cors.Config{AllowMethods: star, AllowHeaders: star}, true},
		{"any method with credentials", cors.Config{AllowMethods: star, AllowHeaders: []string{"X-A"},
			AllowCredentials: true}, false},
		{"any header with credentials", cors.Config{AllowMethods: []string{"PUT"}, AllowHeaders: star,
			AllowCredentials: true}, false},
	} {
		test.config.AllowOrigins = origins("https://a.test")
		policy := compile(t, test.config)
		r := cors.Request{Method: "OPTIONS", Origin: "https://a.test", HasOrigin: true, RequestMethod: "PUT",
			RequestHeaders: []string{"x-a"}}
		d := policy.Decide(&r)
		checkShortCuts(t, policy, &r, &d)
		if _, _, ok := policy.AllowsPreflight(&r); ok != test.want {
			t.Errorf("%s: ready %t, want %t", test.name, ok, test.want)
		}
	}
}

// TestRequestHeadersBound: the lines of Access-Control-Request-Headers are as long as the bound
// together, and no longer.
func TestRequestHeadersBound(t *testing.T) {
	policy := compile(t, cors.Config{AllowOrigins: origins("https://a.test"), AllowHeaders: []string{"*"}})
	half := strings.Repeat("a", cors.MaxRequestHeaders/2)
	for _, test := range []struct {
		name  string
		lines []string
		want  cors.Reason
	}{
		{"one line", []string{half + half}, cors.Allowed},
		{"two lines", []string{half, half}, cors.Allowed},
		{"a longer line", []string{half + half + "a"}, cors.HeadersTooLong},
		{"a longer first line", []string{half + "a", half}, cors.HeadersTooLong},
		{"a longer last line", []string{half, half + "a"}, cors.HeadersTooLong},
	} {
		d := policy.Decide(&cors.Request{Method: "OPTIONS", Origin: "https://a.test", HasOrigin: true,
			RequestMethod: "GET", RequestHeaders: test.lines})
		if d.Reason != test.want {
			t.Errorf("%s: %v, want %v", test.name, d.Reason, test.want)
		}
	}
}

// TestAssemble: a policy that is in force has all four lists, for nothing of it fails open.
func TestAssemble(t *testing.T) {
	whole := cors.Lists{Origins: cors.NoOrigins(), Methods: &names.List{}, RequestHeaders: &names.List{},
		ExposedHeaders: &names.List{}}
	for name, leaveOut := range map[string]func(*cors.Lists){
		"":               func(*cors.Lists) {},
		"allow_origins":  func(l *cors.Lists) { l.Origins = nil },
		"allow_methods":  func(l *cors.Lists) { l.Methods = nil },
		"allow_headers":  func(l *cors.Lists) { l.RequestHeaders = nil },
		"expose_headers": func(l *cors.Lists) { l.ExposedHeaders = nil },
	} {
		lists := whole
		leaveOut(&lists)
		if policy := cors.Assemble(cors.Config{}, lists); (policy != nil) != (name == "") {
			t.Errorf("without %q there is a policy: %t", name, policy != nil)
		}
		if cors.Assemble(cors.Config{Off: true}, lists) == nil {
			t.Errorf("without %q there is no policy that is off", name)
		}
	}
}

// TestUpstreamAgain: what an answer had is forgotten when the next one is observed.
func TestUpstreamAgain(t *testing.T) {
	policy := compile(t, cors.Config{AllowOrigins: origins("https://a.test")})
	d := policy.Decide(&cors.Request{Origin: "https://a.test", HasOrigin: true})
	var u cors.Upstream
	u.Observe("access-control-allow-origin", "https://a.test")
	u.Observe("vary", "Origin")
	u.Reset()
	var got editor
	d.Edit(&u, &got)
	want := editor{{"access-control-allow-origin", "https://a.test"}, {"vary", "Origin"}}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// nobody is an editor of nothing.
type nobody struct{}

func (nobody) AddResponseHeader(string, string)     {}
func (nobody) ReplaceResponseHeader(string, string) {}
func (nobody) RemoveResponseHeader(string)          {}

func TestDecisionDoesNotAllocate(t *testing.T) {
	policy := big(t, 100)
	repeats := compile(t, cors.Config{AllowOrigins: origins("https://app-0.example"), AllowMethods: []string{"*"},
		AllowHeaders: []string{"*"}, AllowCredentials: true})
	for name, r := range requests {
		policy := policy
		if name == "repeated" {
			policy = repeats
		}
		allocs := testing.AllocsPerRun(100, func() {
			d := policy.Decide(&r)
			var headers [8]cors.Header
			var upstream cors.Upstream
			upstream.Observe("access-control-allow-origin", "*")
			upstream.Observe("vary", "accept-encoding")
			if d.Answered() {
				_ = d.AppendHeaders(headers[:0])
			} else {
				d.Edit(&upstream, nobody{})
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}

// FuzzDecide: whatever a request says, no answer allows an origin that isn't
// allowed, and no line of it breaks into two.
func FuzzDecide(f *testing.F) {
	policies := []*cors.Policy{
		big(f, 3),
		compile(f,
			cors.Config{AllowOrigins: append(origins("null", "http://localhost:*"),
				cors.OriginEntry{Text: `https://[a-z]+\.test`, Regex: true}), AllowMethods: []string{"*"},
				AllowHeaders: []string{"*", "authorization"}, AllowCredentials: true}),
		compile(f, cors.Config{AllowOrigins: origins("*"), AllowMethods: []string{"*"}, AllowHeaders: []string{"*"}}),
		compile(f,
			cors.Config{AllowOrigins: append(origins("app://.", "file://", "wails://*.localhost:*"),
				cors.OriginEntry{Text: `.*`, Regex: true})}),
	}
	for _, o := range []string{"app://.", "file://", "wails://a.localhost:1", "app://a,b", "file://host", "data://x",
		"safari-web-extension://140BB581-1B1C-4A5B-8C3D-0E9F7A6B5C4D"} {
		f.Add("OPTIONS", o, "GET", "", "", true)
	}
	for _, r := range requests {
		f.Add(r.Method, r.Origin, r.RequestMethod, strings.Join(r.RequestHeaders, ","), "", r.HasOrigin)
	}
	f.Fuzz(func(t *testing.T, method, origin, requestMethod, line1, line2 string, hasOrigin bool) {
		for _, p := range policies {
			r := &cors.Request{Method: method, Origin: origin, HasOrigin: hasOrigin,
				RequestMethod: requestMethod, RequestHeaders: []string{line1, line2}}
			d := p.Decide(r)
			checkShortCuts(t, p, r, &d)
			if why := d.Why(); len(why) > 1000 || strings.ContainsAny(why, "\r\n\x00") {
				t.Errorf("the explanation is %q", why)
			}
			if logged := string(d.AppendLogged(nil)); len(logged) > cors.MaxLogged || logged == "" ||
				strings.ContainsFunc(logged, func(c rune) bool { return c < ' ' || c > '~' || c == '"' }) {
				t.Errorf("the log has %q", logged)
			}
			var headers []cors.Header
			if d.Answered() {
				headers = d.AppendHeaders(nil)
			}
			for _, h := range edit(d, nil) {
				headers = append(headers, cors.Header{Name: h[0], Value: h[1]})
			}
			for _, h := range headers {
				if h.Value == "" || strings.ContainsAny(h.Value, "\r\n\x00") {
					t.Errorf("header %q: %q", h.Name, h.Value)
				}
				if h.Name == "access-control-allow-origin" &&
					(!d.Allowed() && hasOrigin || h.Value != "*" && h.Value != origin) {
					t.Errorf("origin %q got %q", origin, h.Value)
				}
				// Of these schemes no page has an origin; what claims to is as harmless as any.
				scheme, _, _ := strings.Cut(h.Value, "://")
				unknown := slices.Contains([]string{"about", "blob", "data", "file", "filesystem", "javascript",
					"mailto"}, scheme)
				if h.Name == "access-control-allow-origin" && h.Value != "*" &&
					(!unknown && !browser.SerializedOrigin(h.Value) || strings.ContainsAny(h.Value, ",;*'\"`{}<> ")) {
					t.Errorf("the answer repeats %q", h.Value)
				}
			}
		}
	})
}

// TestMalformedOriginInWords: an operator reads what is wrong with the Origin header that
// somebody typed, and never what a stranger wants the log to have.
func TestMalformedOriginInWords(t *testing.T) {
	policy := compile(t, cors.Config{AllowOrigins: origins("https://app.example")})
	const unknown = "the Origin header is not one serialized origin"
	long := "https://" + strings.Repeat("a.", 126) + "example/"
	for origin, want := range map[string]string{
		"":                               "the Origin header is empty",
		"https://app.example/":           "the Origin header https://app.example/ has a slash at its end, as browsers never send it",
		"https://App.example":            "the Origin header https://App.example has upper-case letters, as browsers never send it",
		"HTTPS://app.example/":           "the Origin header HTTPS://app.example/ has upper-case letters and a slash at its end, as browsers never send it",
		"app://Opaque/":                  "the Origin header app://Opaque/ has a slash at its end, as browsers never send it",
		"App://Opaque":                   "the Origin header App://Opaque has upper-case letters, as browsers never send it",
		"https://app.example//":          unknown,
		"https://app.example/path":       unknown,
		"https://app.example\n/":         unknown,
		"https://\u212Aapp.example":      unknown, // the Kelvin sign, a k in lower case
		"https://app.example, x/":        unknown,
		strings.Repeat("A", 1<<20) + "/": unknown,
		long:                             unknown,
	} {
		d := policy.Decide(&cors.Request{Method: "OPTIONS", RequestMethod: "GET", Origin: origin, HasOrigin: true})
		if got := d.Why(); got != want {
			t.Errorf("%.40q: %s, want %s", origin, got, want)
		}
	}
}

// TestAppendLogged: the log has the words of Why, cut and without double quotes. They take
// no memory where there is room, and little where upper case is tried.
func TestAppendLogged(t *testing.T) {
	list := make([]string, 100)
	for i := range list {
		list[i] = fmt.Sprintf("X-Header-%d", i)
	}
	policy := compile(t, cors.Config{AllowOrigins: origins("https://app.example"), AllowMethods: []string{"PATCH"},
		AllowHeaders: list})
	anyHeader := compile(t, cors.Config{AllowOrigins: origins("https://app.example"), AllowHeaders: []string{"*"}})
	const app = "https://app.example"
	buffer := make([]byte, 0, 1024)
	for _, test := range []struct {
		policy *cors.Policy
		cors.Request
		want   string
		allocs float64
	}{
		{policy, cors.Request{Origin: "https://b.example"}, "origin https://b.example is not in allow_origins", 0},
		{policy, cors.Request{Origin: "https://b.example\" x=\"\n"}, "the Origin header is not one serialized origin", 0},
		{policy, cors.Request{Origin: app, RequestMethod: "patch"},
			"method patch is not in allow_methods (methods compare by case; allowed: PATCH)", 1},
		{policy, cors.Request{Origin: app, RequestMethod: "TRACE"}, "method TRACE is never allowed", 0},
		{policy, cors.Request{Origin: app, RequestMethod: "\x01"}, "the requested method is not a method", 0},
		{anyHeader, cors.Request{Origin: app, RequestMethod: "GET", RequestHeaders: []string{"authorization"}},
			"header Authorization is not in allow_headers ('*' does not cover it)", 0},
	} {
		test.HasOrigin, test.Method = true, "OPTIONS"
		d := test.policy.Decide(&test.Request)
		if got := string(d.AppendLogged([]byte("before "))); got != "before "+test.want {
			t.Errorf("%+v: %q, want %q", test.Request, got, test.want)
		}
		if n := testing.AllocsPerRun(100, func() { d.AppendLogged(buffer) }); n > test.allocs {
			t.Errorf("%+v: %v allocations, want %v", test.Request, n, test.allocs)
		}
	}
	const around = len("origin https:// is not in allow_origins")
	for length, cut := range map[int]bool{cors.MaxLogged: false, cors.MaxLogged + 1: true} {
		host := strings.Repeat(strings.Repeat("a", 9)+".", 30)[:length-around-1] + "a"
		d := policy.Decide(&cors.Request{Origin: "https://" + host, HasOrigin: true})
		got := string(d.AppendLogged(nil))
		if len(got) != cors.MaxLogged || strings.HasSuffix(got, "...") != cut {
			t.Errorf("of %d bytes the log has %q", length, got)
		}
	}
	d := policy.Decide(&cors.Request{Origin: app, HasOrigin: true, Method: "OPTIONS", RequestMethod: "PATCH",
		RequestHeaders: []string{"x-" + strings.Repeat("a", 8000)}})
	got := string(d.AppendLogged(nil))
	if len(got) != cors.MaxLogged || !strings.HasPrefix(got, "header x-aaa") || !strings.HasSuffix(got, "...") {
		t.Errorf("of a long header the log has %q", got)
	}
}

func BenchmarkDecide(b *testing.B) {
	policies := map[string]*cors.Policy{"1": big(b, 1), "100000": big(b, 50_000)}
	names := []string{}
	for name := range requests {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, size := range []string{"1", "100000"} {
		for _, name := range names {
			b.Run(name+"/origins="+size, func(b *testing.B) {
				b.ReportAllocs()
				r := requests[name]
				for b.Loop() {
					d := policies[size].Decide(&r)
					if d.Policy() == nil {
						b.Fatal("no policy")
					}
				}
			})
		}
	}
}
