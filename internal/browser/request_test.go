package browser

import (
	"slices"
	"strings"
	"testing"
)

// https://fetch.spec.whatwg.org/#main-fetch
func TestPreflightReasons(t *testing.T) {
	long := strings.Repeat("a", 128)
	const page, api = "https://a.example", "https://api.example/x"
	tests := []struct {
		name string
		req  Request
		want []string
	}{
		{"none", Request{Method: "GET", Headers: lines("Accept: */*")}, nil},
		{"same origin", Request{Origin: page, URL: page + "/x", Method: "PUT"}, nil},
		{"no-cors", Request{Origin: page, URL: api, Method: "PUT", Mode: ModeNoCORS}, nil},
		{"same-origin", Request{Origin: page, URL: api, Method: "PUT", Mode: ModeSameOrigin}, nil},
		{"cors", Request{Origin: page, URL: api, Method: "PUT", Mode: "cors"},
			[]string{"PUT is not GET, HEAD or POST"}},
		{"method", Request{Method: "put"}, []string{"PUT is not GET, HEAD or POST"}},
		{"method that is not normalized", Request{Method: "patch"}, []string{"patch is not GET, HEAD or POST"}},
		{"name", Request{Method: "GET", Headers: lines("X-Foo: 1")}, []string{
			"x-foo: 1 is not a CORS-safelisted request-header name, whatever its value"}},
		{"type", Request{Method: "POST", Headers: lines("Content-Type: application/json")}, []string{
			"content-type: application/json is not one of the three safelisted types (application/x-www-form-urlencoded, multipart/form-data, text/plain)"}},
		{"no type", Request{Method: "POST", Headers: lines("Content-Type: json")}, []string{
			"content-type: json is not a MIME type, and so none of the three safelisted ones (application/x-www-form-urlencoded, multipart/form-data, text/plain)"}},
		{"byte in a type", Request{Method: "POST", Headers: lines(`Content-Type: text/plain;charset="utf-8"`)},
			[]string{
				`content-type: text/plain;charset="utf-8" contains '"', which is a CORS-unsafe request-header byte`}},
		{"byte", Request{Method: "GET", Headers: lines("Accept: a\x01")}, []string{
			"accept: a\x01 contains '\\x01', which is a CORS-unsafe request-header byte"}},
		{"language", Request{Method: "GET", Headers: lines("Accept-Language: en_GB")}, []string{
			"accept-language: en_GB contains '_', and only letters, digits, space and *,-.;= are safelisted"}},
		{"range", Request{Method: "GET", Headers: lines("Range: bytes=-5")}, []string{
			"range: bytes=-5 is not a single range with a start, such as bytes=0-99"}},
		{"length", Request{Method: "GET", Headers: lines("Accept: a" + long)}, []string{
			"accept: a" + long + " has a value of 129 bytes, and only 128 are safelisted"}},
		{"sum",
			Request{Method: "GET", Headers: append(slices.Repeat(lines("Accept: "+long), 8),
				[2]string{"Range", "bytes=0-"})}, append(
				slices.Repeat([]string{"accept: " + long +
					" is safelisted by itself, but the values of all safelisted headers are 1032 bytes, more than 1024"}, 8),
				"range: bytes=0- is safelisted by itself, but the values of all safelisted headers are 1032 bytes, more than 1024")},
		{"forbidden", Request{Method: "GET", Headers: lines("Cookie: a=b", "Sec-Fetch-Mode: cors", "Origin: null")},
			nil},
		{"names only", Request{Method: "GET", UnsafeNames: []string{"Content-Type"}}, []string{
			"content-type stands in the preflight's Access-Control-Request-Headers"}},
		{"flag", Request{Method: "POST", UseCORSPreflight: true}, []string{
			"a listener on the upload, or a stream as the body, always asks for a preflight"}},
		{"private network", Request{Method: "GET", PrivateNetwork: true}, []string{
			"the server is in a more private network than the page"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.req.PreflightReasons(); !slices.Equal(got, tt.want) {
				t.Errorf("got\n\t%q, want\n\t%q", got, tt.want)
			}
			if preflight := tt.req.Preflight(); (preflight != nil) != (tt.want != nil) {
				t.Errorf("the preflight is %q", preflight)
			}
		})
	}
}

// https://fetch.spec.whatwg.org/#cors-preflight-fetch, steps 1 to 5;
// https://fetch.spec.whatwg.org/#append-a-request-origin-header
func TestRequestLines(t *testing.T) {
	const page, api = "https://a.example", "https://api.example/x"
	tests := []struct {
		name              string
		req               Request
		preflight, actual [][2]string
	}{
		{"simple", Request{Origin: page, URL: api, Method: "GET"}, nil, lines("Origin: https://a.example")},
		{"preflight",
			Request{Origin: page, URL: api, Method: "PUT",
				Headers:     lines("X-B: 2", "Accept: */*", "Cookie: c", "x-a: 1"),
				UnsafeNames: []string{"X-A", "Authorization"}},
			lines("Origin: https://a.example", "Access-Control-Request-Method: PUT",
				"Access-Control-Request-Headers: authorization,x-a,x-b"),
			lines("Origin: https://a.example", "X-B: 2", "Accept: */*", "x-a: 1")},
		{"private network", Request{Origin: page, URL: api, Method: "GET", PrivateNetwork: true},
			lines("Origin: https://a.example", "Access-Control-Request-Method: GET",
				"Access-Control-Request-Private-Network: true"),
			lines("Origin: https://a.example")},
		{"same-origin GET", Request{Origin: page, URL: page + "/x", Method: "GET", Headers: lines("X-A: 1")}, nil,
			lines("X-A: 1")},
		{"same-origin POST", Request{Origin: page, URL: page + "/x", Method: "post"}, nil,
			lines("Origin: https://a.example")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.req.Preflight(); !slices.Equal(got, tt.preflight) {
				t.Errorf("preflight\n\t%q, want\n\t%q", got, tt.preflight)
			}
			if got := tt.req.Actual(); !slices.Equal(got, tt.actual) {
				t.Errorf("request\n\t%q, want\n\t%q", got, tt.actual)
			}
		})
	}
	if got := tests[1].req.Dropped(); !slices.Equal(got, lines("Cookie: c")) {
		t.Errorf("dropped %q", got)
	}
}

// https://fetch.spec.whatwg.org/#forbidden-method
func TestForbiddenMethod(t *testing.T) {
	for method, want := range map[string]bool{
		"CONNECT": true, "trace": true, "Track": true, "TRACES": false, "OPTIONS": false, "PUT": false, "": false,
	} {
		if got := ForbiddenMethod(method); got != want {
			t.Errorf("ForbiddenMethod(%q) = %v", method, got)
		}
	}
}

// https://fetch.spec.whatwg.org/#forbidden-request-header
func TestForbiddenRequestHeader(t *testing.T) {
	tests := []struct {
		name, value string
		want        bool
	}{
		{"Host", "", true},
		{"cookie", "", true},
		{"SET-COOKIE", "", true},
		{"Access-Control-Request-Method", "", true},
		{"Access-Control-Request-Private-Network", "", false}, // Not in the standard.
		{"Proxy-", "", true},
		{"proxy-authorization", "", true},
		{"Sec-CH-UA", "", true},
		{"sec", "", false},
		{"User-Agent", "", false}, // Not any more.
		{"X-HTTP-Method-Override", "trace", true},
		{"X-HTTP-Method-Override", "PUT", false},
		{"x-http-method", "PUT ,\tTRACK", true},
		{"X-Method-Override", `"TRACE"`, false}, // The quotes stay.
		{"X-Method-Override", `"a, TRACE`, false},
		{"X-Method-Override", `"a\", TRACE, ", CONNECT`, true},
		{"X-Method-Override", `\`, false},
		{"Authorization", "", false},
	}
	for _, tt := range tests {
		if got := ForbiddenRequestHeader(tt.name, tt.value); got != tt.want {
			t.Errorf("ForbiddenRequestHeader(%q, %q) = %v", tt.name, tt.value, got)
		}
	}
}

// https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin
// and https://url.spec.whatwg.org/#host-parsing
func TestSerializeOrigin(t *testing.T) {
	for url, want := range map[string]string{
		"https://a.example":                     "https://a.example",
		"https://a.example:443/x?y#z":           "https://a.example",
		"HTTP://A.Example:0080":                 "http://a.example",
		"http://a.example:443/":                 "http://a.example:443",
		"https://u:p@ss@a.example:8443":         "https://a.example:8443",
		"wss://a.example:443/socket":            "wss://a.example",
		`https:\\a.example\x@b`:                 "https://a.example",
		"https:a.example":                       "https://a.example",
		" https://a.ex\nample/ ":                "https://a.example",
		"https://a.example.":                    "https://a.example.",
		"https://a%2eexample":                   "https://a.example",
		"https://a_b.example":                   "https://a_b.example",
		"http://[2001:DB8:0::1]:80":             "http://[2001:db8::1]",
		"http://[::ffff:127.0.0.1]":             "http://[::ffff:7f00:1]",
		"http://127.1":                          "http://127.0.0.1",
		"http://0x7f.0.0.01:8080":               "http://127.0.0.1:8080",
		"http://2130706433":                     "http://127.0.0.1",
		"http://127.0.0.1.":                     "http://127.0.0.1",
		"http://1.example":                      "http://1.example",
		"file:///etc/passwd":                    "null",
		"data:text/html,x":                      "null",
		"about:blank":                           "null",
		"blob:https://a.example/550e8400":       "https://a.example",
		"blob:null/550e8400":                    "",
		"chrome-extension://abcdef/page.html":   "chrome-extension://abcdef",
		"Capacitor://localhost/index.html":      "capacitor://localhost",
		"app://./x":                             "app://.",
		"app://-/x?y#z":                         "app://-",
		"app:///x":                              "app://",
		"app://":                                "app://",
		"app://Local:8080/":                     "app://Local:8080",
		"app://local:443":                       "app://local:443",
		"app://u:p@local":                       "app://local",
		"app://[::0001]:1/":                     "app://[::1]:1",
		"app://b\u00fccher":                     "app://b%C3%BCcher",
		"safari-web-extension://140BB581-1B/x":  "safari-web-extension://140BB581-1B",
		"app:x":                                 "null",
		"data://x":                              "null",
		"app://:80":                             "",
		"app://u@":                              "",
		"app://a b":                             "",
		"app://a\\b":                            "",
		"app://a^b":                             "",
		"a.example":                             "",
		"/x":                                    "",
		"https://":                              "",
		"https://a b":                           "",
		"https://a.example:65536":               "",
		"https://a.example:x":                   "",
		"https://[::1":                          "",
		"https://[::1%25eth0]":                  "",
		"https://[1.2.3.4]":                     "",
		"http://1.2.3.4.5":                      "",
		"http://256.0.0.1":                      "",
		"http://1.2.3.09":                       "",
		"http://4294967296":                     "",
		"https://b\u00fccher.example":           "", // It is for the caller to write it as xn--bcher-kva.
		"https://a%zz.example":                  "",
		"https://a.example\xff":                 "",
		"1https://a.example":                    "",
		"":                                      "",
		"https://xn--bcher-kva.example/b%C3%BC": "https://xn--bcher-kva.example",
	} {
		if got, err := SerializeOrigin(url); got != want || (err != nil) != (want == "") {
			t.Errorf("SerializeOrigin(%q) = %q, %v; want %q", url, got, err, want)
		}
	}
}

func TestSerializedOrigin(t *testing.T) {
	for s, want := range map[string]bool{
		"null": true, "file://": true, "https://a.example": true, "https://a.example:8443": true, "app://.": true,
		"app://": true, "capacitor://Localhost": true,
		"": false, "*": false, "file:///": false, "file://host": false, "https://a.example/": false,
		"https://A.example": false, "https://a.example:443": false,
		"App://.": false, "app://./": false, "app://a,b": true, "data:,x": false, "about:blank": false,
		"https://a.example, https://b.example": false,
	} {
		if got := SerializedOrigin(s); got != want {
			t.Errorf("SerializedOrigin(%q) = %v", s, got)
		}
	}
}

func TestSameOrigin(t *testing.T) {
	tests := []struct {
		origin, url string
		want        bool
	}{
		{"https://a.example", "https://A.example:443/x", true},
		{"https://a.example", "http://a.example/", false},
		{"https://a.example", "https://a.example:8443/", false},
		{"https://a.example", "https://b.a.example/", false},
		{"null", "file:///x", false},
		{"", "x", false},
	}
	for _, tt := range tests {
		if got := SameOrigin(tt.origin, tt.url); got != tt.want {
			t.Errorf("SameOrigin(%q, %q) = %v", tt.origin, tt.url, got)
		}
	}
}
