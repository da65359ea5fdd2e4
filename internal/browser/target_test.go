package browser

import "testing"

// https://url.spec.whatwg.org/#url-parsing and https://url.spec.whatwg.org/#path-percent-encode-set
func TestTarget(t *testing.T) {
	for _, tt := range []struct{ url, host, path string }{
		{"https://api.example.com", "api.example.com", "/"},
		{"https://API.example.com/V1?Q#f", "api.example.com", "/V1?Q"},
		{"https://api.example.com?q", "api.example.com", "/?q"},
		{"https://api.example.com/v1?", "api.example.com", "/v1?"},
		// https://url.spec.whatwg.org/#path-state: a lone percent sign is no failure.
		{"https://api.example.com/v1/100%", "api.example.com", "/v1/100%"},
		{`https:\\api.example.com\v1\x?\`, "api.example.com", `/v1/x?\`},
		// https://url.spec.whatwg.org/#special-authority-ignore-slashes-state
		{"https:///api.example.com/v1", "api.example.com", "/v1"},
		// https://url.spec.whatwg.org/#port-state
		{"https://api.example.com:443/", "api.example.com", "/"},
		{"http://api.example.com:443/", "api.example.com:443", "/"},
		// https://url.spec.whatwg.org/#double-dot-path-segment
		{"https://api.example.com/x/../v1/orders", "api.example.com", "/v1/orders"},
		{"https://api.example.com/../x/%2E%2e/./v1/.", "api.example.com", "/v1/"},
		{"https://api.example.com/v1/x/..", "api.example.com", "/v1/"},
		{"https://api.example.com//v1//x", "api.example.com", "//v1//x"},
		// https://url.spec.whatwg.org/#query-percent-encode-set
		{`https://a.example/a b"<>^{}'?a b'"<>^{}`, "a.example", "/a%20b%22%3C%3E%5E%7B%7D'?a%20b%27%22%3C%3E^{}"},
		{"https://a.example/\u00fc?\u00fc", "a.example", "/%C3%BC?%C3%BC"},
		{"https://u:p@a.example/", "a.example", "/"},
		// https://url.spec.whatwg.org/#concept-ipv4-parser and #concept-ipv6-serializer
		{"https://127.1/", "127.0.0.1", "/"},
		{"http://[2001:DB8:0::1]:8080/", "[2001:db8::1]:8080", "/"},
		{"", "", ""},
		{"api.example.com/v1", "", ""},
		{"ftp://a.example/", "", ""},
		{"data:,x", "", ""},
		{"https://b\u00fccher.example/", "", ""},
	} {
		host, path, err := Target(tt.url)
		if host != tt.host || path != tt.path || (err != nil) != (tt.path == "") {
			t.Errorf("Target(%q) = %q, %q, %v; want %q, %q", tt.url, host, path, err, tt.host, tt.path)
		}
	}
}

// https://url.spec.whatwg.org/#url-parsing, with a base. What Chromium makes of such a Location
// is tested in e2e/browser.
func TestResolve(t *testing.T) {
	for _, tt := range []struct{ reference, want string }{
		{"/end?a=b", "http://a.example:81/end?a=b"},
		{"end", "http://a.example:81/x/end"},
		{"../end", "http://a.example:81/x/../end"},
		{"?a", "http://a.example:81/x/y?a"},
		{"#f", "http://a.example:81/x/y?q#f"},
		{"", "http://a.example:81/x/y?q"},
		{" \t/e\nnd\r ", "http://a.example:81/end"},
		{"1:2", "http://a.example:81/x/1:2"},
		{":2", "http://a.example:81/x/:2"},
		// https://url.spec.whatwg.org/#relative-slash-state
		{`\end`, `http://a.example:81\end`},
		{"//b.example/end", "http://b.example/end"},
		{`\\u:p@b.example/end`, "http://u:p@b.example/end"},
		{"///b.example/end", "http://b.example/end"},
		// https://url.spec.whatwg.org/#special-relative-or-authority-state
		{"http:end", "http://a.example:81/x/end"},
		{"HTTP:/end", "http://a.example:81/end"},
		{"http:///b.example/end", "http:///b.example/end"},
		{"https:b.example/end", "https:b.example/end"},
		{"https://b.example", "https://b.example"},
		{"mailto:a@b.example", "mailto:a@b.example"},
	} {
		if got, err := Resolve("HTTP://a.example:81/x/y?q#f", tt.reference); err != nil || got != tt.want {
			t.Errorf("Resolve(%q) = %q, %v; want %q", tt.reference, got, err, tt.want)
		}
	}
	if got, err := Resolve("data:,x", "/end"); err == nil {
		t.Errorf("got %q by a base that is none", got)
	}
}

// https://url.spec.whatwg.org/#include-credentials
func TestIncludesCredentials(t *testing.T) {
	for url, want := range map[string]bool{
		"https://a.example/": false, "https://a.example/@": false, "https://@a.example/": false,
		"https://:@a.example/": false, "https://u@a.example/": true, "https://:p@a.example": true,
		`https:\\u:p@a.example\x`: true, "https:u:p@a.example": true, "mailto:a@b.example": false,
		"app://u@a": true, "/u:p@x": false, "": false,
	} {
		if got := IncludesCredentials(url); got != want {
			t.Errorf("%s: %t", url, got)
		}
	}
}
