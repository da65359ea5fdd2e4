package cases

import (
	"slices"
	"strconv"
	"strings"
)

// allowedOrigins and deniedOrigins make a case of each origin: a GET that the
// policy allows, or one that it doesn't.
func allowedOrigins(origins ...string) (cases []Case) {
	for _, o := range origins {
		cases = append(cases, Case{Name: name(o), Request: get(o),
			Want: forwarded("access-control-allow-origin: "+o, varyOrigin)})
	}
	return cases
}

// withCredentials are the cases of allowed origins in a policy with credentials.
func withCredentials(cases []Case) []Case {
	for i := range cases {
		cases[i].Want.Headers = append(cases[i].Want.Headers, "access-control-allow-credentials: true")
		slices.Sort(cases[i].Want.Headers)
	}
	return cases
}

// everyOrigin makes a case of each Origin, which a policy for every origin allows,
// whatever the header says.
func everyOrigin(origins ...string) (cases []Case) {
	for _, o := range origins {
		cases = append(cases, Case{Name: name(o), Request: get(o), Want: forwarded(anyOrigin)})
	}
	return cases
}

// manyRegexes are entries of allow_origins, each of the subdomains of a domain.
func manyRegexes(n int) string {
	entries := make([]string, n)
	for i := range entries {
		entries[i] = `{"regex": "https://[a-z0-9-]+\\.tenant` + strconv.Itoa(i) + `\\.example\\.com"}`
	}
	return strings.Join(entries, ", ")
}

func deniedOrigins(origins ...string) (cases []Case) {
	for _, o := range origins {
		c := Case{Name: "not-" + name(o), Request: get(o), Want: unreadable}
		if strings.TrimSpace(o) == "" {
			c.BeyondEmulator = "an empty header is missing there"
		}
		cases = append(cases, c)
	}
	return cases
}

// name makes a file name of an origin.
func name(origin string) string {
	if len(origin) > 60 {
		origin = origin[:60]
	}
	s := strings.NewReplacer("://", "-", ":", "-port-", "/", "-slash", "*", "star", "?", "-query", "#", "-hash", "@",
		"-at-", "[", "v6", "]", "", ",", "-comma-", " ", "-space-", "\t", "-tab-", "%", "-percent-", "\\",
		"-backslash-", "'", "-quote-", "\"", "-quotes-", ";", "-semicolon-", "{", "-brace-", "}",
		"-brace-").Replace(origin)
	if s == "" {
		return "empty"
	}
	return s
}

// plain are origins of the web, opaque those of apps and extensions.
var plain = []string{
	"https://app.example", "https://app.example:8443", "http://[::1]:9090", "http://192.0.2.1",
	"https://xn--bcher-kva.example",
}

var opaque = []string{
	"app://.", "app://-", "file://", "capacitor://localhost", "ionic://localhost", "tauri://localhost",
	"wails://wails.localhost:34115", "vscode-webview://0T2k_3", "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
	"moz-extension://0a1b2c3d-0000-4000-8000-000000000000",
	"safari-web-extension://140BB581-1B1C-4A5B-8C3D-0E9F7A6B5C4D",
}

// origins are the forms that an Origin header may have (RFC 6454, section 7;
// Fetch, "Origin header").
var origins = []table{
	{"origin", `{"allow_origins": ["` + strings.Join(plain, `", "`) + `"]}`, slices.Concat(
		allowedOrigins(plain...),
		deniedOrigins(
			// Another origin.
			"http://app.example", "https://app.example:8444", "https://app.example:844",
			"https://app.example:84430", "https://app.example.", "https://sub.app.example",
			"https://app.example.evil.test", "https://evilapp.example", "https://app.exampl", "http://[::2]:9090",
			"http://192.0.2.10", "http://192.0.2.11", "null",
			// No origin at all.
			"", "*", "https://", "https:app.example", "//app.example", "app.example", "https://app.example/",
			"https://app.example/path", "https://app.example?", "https://app.example#", "https://user@app.example",
			"https://app.example:443", "https://app.example:", "https://app.example:08443",
			"https://app.example:65536", "https://App.example", "HTTPS://app.example", "https://app_.example%",
			"https://app.example https://app.example", "https://app.example,https://app.example",
			"http://[0:0:0:0:0:0:0:1]:9090", "http://::1:9090", "http://[::1", "http://192.0.2.01",
			"http://192.0.2.1.", "http://0xc0.0.2.1", "http://3221225985",
			"https://"+strings.Repeat("a.", 4000)+"example", "Null", "NULL", "file://", "https://.app.example",
			"https://app..example"),
		[]Case{
			row("two-lines", get(app, "origin", "https://app.example:8443"), unreadable),
			row("two-lines-alike", get(app, "origin", "https://app.example"), unreadable),
		},
	)},
	{"null", `{"allow_origins": ["null"]}`, slices.Concat(allowedOrigins("null"),
		deniedOrigins("https://app.example", "", "nul", "nulll", "file://"))},
	// Apps and extensions have schemes of their own, whose hosts are opaque: they keep
	// their case, may have dots where no label is, and may be empty.
	{"opaque", `{"allow_credentials": true, "allow_origins": ["` + strings.Join(opaque, `", "`) + `"]}`, slices.Concat(
		withCredentials(allowedOrigins(opaque...)),
		deniedOrigins(
			// Another origin.
			"app://", "app://..", "app://_", "file://host", "capacitor://Localhost", "capacitor://localhost:80",
			"ionic://localhost.", "http://localhost", "wails://wails.localhost", "vscode-webview://0t2k_3",
			"chrome-extension://abcdefghijklmnopabcdefghijklmnoo",
			"safari-web-extension://140bb581-1b1c-4a5b-8c3d-0e9f7a6b5c4d", "null",
			// No origin at all.
			"App://.", "FILE://", "file:", "file:/", "file:///", "app:.", "app://./", "app://:80", "app://.:",
			"app://.:080", "app://. ,app://.", "app://a b", "app://a,b", "app://a;b", "app://*", "app://'a'",
			"app://\"a\"", "app://{a}", "app://a?", "app://a#", "app://a@b", "app://"+strings.Repeat("a", 255)),
		[]Case{
			row("preflight", preflight("file://", "GET", ""),
				answered("access-control-allow-origin: file://", credentials)),
			row("preflight-another", preflight("app://..", "GET", ""),
				rejected("origin app://.. is not in allow_origins")),
			row("preflight-malformed", preflight("app://a,b", "GET", ""), malformedOrigin),
		},
	)},
	// With "*" every Origin is allowed, whatever it says: the answer has nothing of it.
	{"any-origin", `{"allow_origins": ["*"]}`, slices.Concat(
		everyOrigin("https://app.example", "null", "file://", "app://.", "app://",
			"safari-web-extension://140BB581-1B1C-4A5B-8C3D-0E9F7A6B5C4D", "", "anything", "https://app.example/",
			"HTTPS://App.Example:443", "https://a.example, https://b.example", "app://a b", "file:///sdcard/index.html",
			"https://"+strings.Repeat("a.", 4000)+"example"),
		[]Case{
			{Name: "upstream", Request: get("file://"), Upstream: upstreamCORS, Want: forwarded(anyOrigin)},
			row("two-lines", get(app, "origin", "app://."), forwarded(anyOrigin)),
			row("preflight", preflight("app://.", "GET", ""), answered(anyOrigin)),
			row("preflight-malformed", preflight("https://app.example/", "GET", ""), answered(anyOrigin)),
			{Name: "preflight-empty", Request: preflight("", "GET", ""), Want: answered(anyOrigin),
				BeyondEmulator: "an empty header is missing there"},
			row("preflight-method", preflight("app://.", "PUT", ""),
				rejected("method PUT is not in allow_methods (allowed: GET, HEAD, POST)")),
		},
	)},
}

// patterns are the entries of allow_origins that stand for more than one origin.
var patterns = []table{
	{"subdomains", `{"allow_origins": ["https://*.example.com", "https://*.a.deep.example.org"]}`, slices.Concat(
		allowedOrigins("https://foo.example.com", "https://a.b.c.example.com", "https://a_b-1.example.com",
			"https://x.a.deep.example.org"),
		deniedOrigins("https://example.com", "https://.example.com", "http://foo.example.com",
			"https://foo.example.com:8443", "https://fooexample.com", "https://foo.example.com.evil.test",
			"https://foo.example.com.", "https://*.example.com", "https://a.deep.example.org",
			"https://x.deep.example.org", "https://example.com@evil.test",
			"https://"+strings.Repeat("a.", 130)+"example.com"))},
	{"any-port", `{"allow_origins": ["http://localhost:*", "http://[::1]:*"]}`, slices.Concat(
		allowedOrigins("http://localhost", "http://localhost:3000", "http://localhost:65535", "http://localhost:0",
			"http://[::1]:1"),
		deniedOrigins("https://localhost:3000", "http://localhost:80", "http://localhost:65536", "http://localhost:",
			"http://localhost:3000:1", "http://localhost.evil.test:3000", "http://sub.localhost:3000",
			"http://localhost:03000"))},
	{"subdomains-any-port", `{"allow_origins": ["https://*.example.com:*"]}`, slices.Concat(
		allowedOrigins("https://a.example.com", "https://a.b.example.com:8443"),
		deniedOrigins("https://example.com", "https://example.com:8443", "http://a.example.com:8443"))},
	{"subdomains-one-port", `{"allow_origins": ["https://*.example.com:8443"]}`, slices.Concat(
		allowedOrigins("https://a.example.com:8443"),
		deniedOrigins("https://a.example.com", "https://a.example.com:8444"))},
	// A regex matches the whole origin, anchors or not.
	{"regex",
		`{"allow_origins": [{"regex": "https://(app|admin)-[0-9]+\\.example\\.com"},
			{"regex": "http://a\\.example|http://b\\.example"}]}`, slices.Concat(
			allowedOrigins("https://app-1.example.com", "https://admin-42.example.com", "http://a.example",
				"http://b.example"),
			deniedOrigins("https://app-1.example.com.evil.test", "https://app-x.example.com",
				"https://xapp-1.example.com", "https://app-1xexample.com", "http://a.example.evil.test",
				"http://evil.test/http://b.example", "null"))},
	// With credentials each of these stays within domains of one owner.
	{"regex-credentials",
		`{"allow_origins": [{"regex": "https://([a-z0-9-]+\\.)*example\\.com(:[0-9]+)?"},
			{"regex": "^https://.*\\.my-team\\.github\\.io$"},
			{"regex": "(?i)HTTPS://(App|Admin)\\.example\\.(de|co\\.uk)"},
			{"regex": "http://(localhost|\\[::1\\]):30[0-9]{2}"}, {"regex": "capacitor://.*"}],
			"allow_credentials": true}`, slices.Concat(
			withCredentials(allowedOrigins("https://example.com", "https://a.b.example.com:8443",
				"https://x.my-team.github.io", "https://app.example.de", "https://admin.example.co.uk",
				"http://localhost:3000", "http://[::1]:3099", "capacitor://localhost")),
			deniedOrigins("https://evilexample.com", "https://example.com.evil.test", "https://a..example.com",
				"https://my-team.github.io", "https://evilmy-team.github.io", "https://app.example.com.uk",
				"https://app.example.dex", "http://example.com", "http://localhost", "http://localhost:30000",
				"https://example.com:", "null", "https://"+strings.Repeat("a.", 150)+"example.com"))},
	// As many as one automaton takes.
	{"regex-many", `{"allow_origins": [` + manyRegexes(60) + `]}`, slices.Concat(
		allowedOrigins("https://a.tenant0.example.com", "https://b-1.tenant59.example.com"),
		deniedOrigins("https://a.tenant60.example.com", "https://tenant1.example.com", "https://a.tenant1.example.comm",
			"https://"+strings.Repeat("a", 200)+".tenant1.example.org"))},
	{"regex-everything", `{"allow_origins": [{"regex": ".*"}]}`, slices.Concat(
		allowedOrigins("https://app.example", "file://", "app://.", "app://Local:8080"),
		deniedOrigins("null", "", "anything", "https://app.example/", "app://a b", "app:///"))},
	// A regex sees opaque hosts as they are, in their case.
	{"opaque-regex",
		`{"allow_origins": [{"regex": "safari-web-extension://[0-9A-F-]+"}, {"regex": "moz-extension://[0-9a-f-]+"},
			{"regex": "app://.*"}]}`, slices.Concat(
			allowedOrigins("safari-web-extension://140BB581-1B1C-4A5B-8C3D-0E9F7A6B5C4D",
				"moz-extension://0a1b2c3d-0000-4000-8000-000000000000", "app://", "app://.", "app://Any:1"),
			deniedOrigins("safari-web-extension://140bb581-1b1c-4a5b-8c3d-0e9f7a6b5c4d",
				"moz-extension://0A1B2C3D-0000-4000-8000-000000000000", "moz-extension://", "xapp://.", "App://.",
				"app://./", "app://a, b"))},
	{"opaque-wildcards", `{"allow_origins": ["wails://*.localhost:*", "app://Local:*"]}`, slices.Concat(
		allowedOrigins("wails://wails.localhost", "wails://Wails.localhost:34115", "app://Local", "app://Local:1"),
		deniedOrigins("wails://localhost", "wails://.localhost", "wails://wails.Localhost", "app://local",
			"app://Local:", "app://x.Local"))},
}
