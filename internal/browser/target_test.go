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
