package cases

import "strings"

// allowedOrigins and deniedOrigins make a case of each origin: a GET that the
// policy allows, or one that it doesn't.
func allowedOrigins(origins ...string) (cases []Case) {
	for _, o := range origins {
		cases = append(cases, Case{Name: name(o), Request: get(o), Want: forwarded("access-control-allow-origin: "+o, varyOrigin)})
	}
	return cases
}

func deniedOrigins(origins ...string) (cases []Case) {
	for _, o := range origins {
		c := Case{Name: "not-" + name(o), Request: get(o), Want: forwarded(varyOrigin)}
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
	s := strings.NewReplacer("://", "-", ":", "-port-", "/", "-slash", "*", "star", "?", "-query", "#", "-hash", "@", "-at-",
		"[", "v6", "]", "", ",", "-comma-", " ", "-space-", "\t", "-tab-", "%", "-percent-", "\\", "-backslash-").Replace(origin)
	if s == "" {
		return "empty"
	}
	return s
}

func join(lists ...[]Case) (all []Case) {
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

// origins are the forms that an Origin header may have (RFC 6454, section 7;
// Fetch, "Origin header").
var origins = []table{
	{"origin", `{"allow_origins": ["https://app.example", "https://app.example:8443", "http://[::1]:9090", "http://192.0.2.1",
		"https://xn--bcher-kva.example", "chrome-extension://abcdefghijklmnop", "capacitor://localhost"]}`, join(
		allowedOrigins("https://app.example", "https://app.example:8443", "http://[::1]:9090", "http://192.0.2.1",
			"https://xn--bcher-kva.example", "chrome-extension://abcdefghijklmnop", "capacitor://localhost"),
		deniedOrigins(
			// Another origin.
			"http://app.example", "https://app.example:8444", "https://app.example:844", "https://app.example:84430",
			"https://app.example.", "https://sub.app.example", "https://app.example.evil.test", "https://evilapp.example",
			"https://app.exampl", "http://[::2]:9090", "http://192.0.2.10", "http://192.0.2.11", "null",
			// No origin at all.
			"", "*", "https://", "https:app.example", "//app.example", "app.example", "https://app.example/", "https://app.example/path",
			"https://app.example?", "https://app.example#", "https://user@app.example", "https://app.example:443", "https://app.example:",
			"https://app.example:08443", "https://app.example:65536", "https://App.example", "HTTPS://app.example", "https://app_.example%",
			"https://app.example https://app.example", "https://app.example,https://app.example", "http://[0:0:0:0:0:0:0:1]:9090",
			"http://::1:9090", "http://[::1", "http://192.0.2.01", "http://192.0.2.1.", "http://0xc0.0.2.1", "http://3221225985",
			"https://"+strings.Repeat("a.", 4000)+"example", "Null", "NULL", "file://", "https://.app.example", "https://app..example"),
		[]Case{
			{Name: "two-lines", Request: get("https://app.example", [2]string{"origin", "https://app.example:8443"}), Want: forwarded(varyOrigin)},
			{Name: "two-lines-alike", Request: get("https://app.example", [2]string{"origin", "https://app.example"}), Want: forwarded(varyOrigin)},
		},
	)},
	{"null", `{"allow_origins": ["null"]}`, join(allowedOrigins("null"), deniedOrigins("https://app.example", "", "nul", "nulll"))},
}

// patterns are the entries of allow_origins that stand for more than one origin.
var patterns = []table{
	{"subdomains", `{"allow_origins": ["https://*.example.com", "https://*.a.deep.example.org"]}`, join(
		allowedOrigins("https://foo.example.com", "https://a.b.c.example.com", "https://a_b-1.example.com", "https://x.a.deep.example.org"),
		deniedOrigins("https://example.com", "https://.example.com", "http://foo.example.com", "https://foo.example.com:8443",
			"https://fooexample.com", "https://foo.example.com.evil.test", "https://foo.example.com.", "https://*.example.com",
			"https://a.deep.example.org", "https://x.deep.example.org", "https://example.com@evil.test",
			"https://"+strings.Repeat("a.", 130)+"example.com"))},
	{"any-port", `{"allow_origins": ["http://localhost:*", "http://[::1]:*"]}`, join(
		allowedOrigins("http://localhost", "http://localhost:3000", "http://localhost:65535", "http://localhost:0", "http://[::1]:1"),
		deniedOrigins("https://localhost:3000", "http://localhost:80", "http://localhost:65536", "http://localhost:", "http://localhost:3000:1",
			"http://localhost.evil.test:3000", "http://sub.localhost:3000", "http://localhost:03000"))},
	{"subdomains-any-port", `{"allow_origins": ["https://*.example.com:*"]}`, join(
		allowedOrigins("https://a.example.com", "https://a.b.example.com:8443"),
		deniedOrigins("https://example.com", "https://example.com:8443", "http://a.example.com:8443"))},
	{"subdomains-one-port", `{"allow_origins": ["https://*.example.com:8443"]}`, join(
		allowedOrigins("https://a.example.com:8443"), deniedOrigins("https://a.example.com", "https://a.example.com:8444"))},
	// A regex matches the whole origin, anchors or not.
	{"regex", `{"allow_origins": [{"regex": "https://(app|admin)-[0-9]+\\.example\\.com"}, {"regex": "http://a\\.example|http://b\\.example"}]}`, join(
		allowedOrigins("https://app-1.example.com", "https://admin-42.example.com", "http://a.example", "http://b.example"),
		deniedOrigins("https://app-1.example.com.evil.test", "https://app-x.example.com", "https://xapp-1.example.com", "https://app-1xexample.com",
			"http://a.example.evil.test", "http://evil.test/http://b.example", "null"))},
	{"regex-everything", `{"allow_origins": [{"regex": ".*"}]}`, join(
		allowedOrigins("https://app.example"), deniedOrigins("null", "", "anything", "https://app.example/"))},
}
