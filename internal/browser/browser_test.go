package browser

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// lines makes a header list of "name: value" strings.
func lines(ll ...string) (headers [][2]string) {
	for _, l := range ll {
		name, value, _ := strings.Cut(l, ": ")
		headers = append(headers, [2]string{name, value})
	}
	return headers
}

// https://fetch.spec.whatwg.org/#concept-method-normalize
func TestNormalizeMethod(t *testing.T) {
	for method, want := range map[string]string{
		"delete": "DELETE", "Get": "GET", "head": "HEAD", "opTIons": "OPTIONS", "post": "POST", "puT": "PUT",
		"PUT":       "PUT",
		"patch":     "patch", // The standard's own example of what is not normalized.
		"eGg":       "eGg",
		"po\u017ft": "po\u017ft", // U+017F upper-cases to S, but not byte-upper-cases.
		"":          "",
	} {
		if got := NormalizeMethod(method); got != want {
			t.Errorf("NormalizeMethod(%q) = %q, want %q", method, got, want)
		}
	}
}

// https://fetch.spec.whatwg.org/#cors-safelisted-method
func TestSafelistedMethod(t *testing.T) {
	for method, want := range map[string]bool{
		"GET": true, "HEAD": true, "POST": true,
		"get": false, "PUT": false, "OPTIONS": false, "": false,
	} {
		if got := SafelistedMethod(method); got != want {
			t.Errorf("SafelistedMethod(%q) = %v", method, got)
		}
	}
}

// https://fetch.spec.whatwg.org/#cors-safelisted-request-header
func TestSafelistedRequestHeader(t *testing.T) {
	tests := []struct {
		name, value string
		want        bool
	}{
		{"accept", "", true},
		{"Accept", "text/html,\t*/*;q=0.1", true},
		{"accept", `"`, false},
		{"accept", "a\x7f", false},
		{"accept", "a\x01", false},
		{"accept", "caf\u00e9", true}, // Bytes above 0x7F are not CORS-unsafe.
		{"accept", strings.Repeat("a", 128), true},
		{"accept", strings.Repeat("a", 129), false}, // Step 1.
		{"accept-language", "en-GB, *;q=0.5", true},
		{"accept-language", "en_GB", false},
		{"Content-Language", "de", true},
		{"content-language", "caf\u00e9", false},
		{"content-type", "text/plain", true},
		{"content-type", "Text/Plain;charset=utf-8", true},
		{"content-type", " multipart/form-data ; boundary=x", true},
		{"content-type", "application/x-www-form-urlencoded", true},
		{"content-type", "application/json", false},
		{"content-type", "text/plain, application/json", false},
		{"content-type", `text/plain;charset="utf-8"`, false}, // A quote is a CORS-unsafe byte.
		{"content-type", "text", false},
		{"content-type", "", false},
		{"range", "bytes=0-", true},
		{"range", "bytes=0-99", true},
		{"range", "bytes=9-10", true},
		{"range", "bytes=0-0", true},
		{"range", "bytes=10-9", false},
		{"range", "bytes=-99", false}, // The standard's note: not safelisted.
		{"range", "bytes=-", false},
		{"range", "bytes=0", false},
		{"range", "bytes=0-1,3-4", false},
		{"range", "bytes= 0-1", false},
		{"range", "lines=0-1", false},
		{"authorization", "x", false},
		{"x-custom", "x", false},
		{"dpr", "1", false},
	}
	for _, tt := range tests {
		if got := SafelistedRequestHeader(tt.name, tt.value); got != tt.want {
			t.Errorf("SafelistedRequestHeader(%q, %q) = %v, want %v", tt.name, tt.value, got, tt.want)
		}
	}
}

// https://fetch.spec.whatwg.org/#cors-unsafe-request-header-names
func TestUnsafeRequestHeaderNames(t *testing.T) {
	long := strings.Repeat("a", 128)
	var eight, nine [][2]string
	for range 8 {
		eight = append(eight, [2]string{"Accept", long})
	}
	nine = append(slices.Clone(eight), [2]string{"Content-Language", "a"})
	tests := []struct {
		headers [][2]string
		want    []string
	}{
		{nil, nil},
		{lines("accept: */*", "content-type: text/plain"), nil},
		{lines("X-B: 1", "content-type: application/json", "x-a: 2", "x-b: 3"), []string{"content-type", "x-a", "x-b"}},
		{eight, nil}, // 1024 bytes of safelisted values are the limit,
		{nine, []string{"accept", "content-language"}}, // and with more none is safe.
	}
	for _, tt := range tests {
		if got := UnsafeRequestHeaderNames(tt.headers); !slices.Equal(got, tt.want) {
			t.Errorf("UnsafeRequestHeaderNames(%.80q) = %q, want %q", tt.headers, got, tt.want)
		}
	}
}

// https://fetch.spec.whatwg.org/#concept-cors-check
func TestCORSCheck(t *testing.T) {
	const origin = "https://a.example"
	tests := []struct {
		name    string
		include bool
		headers [][2]string
		ok      bool
	}{
		{"step 2: no header", false, nil, false},
		{"step 2: an empty header is a header, and no origin", false, lines("access-control-allow-origin: "), false},
		{"step 3: star", false, lines("Access-Control-Allow-Origin: *"), true},
		{"step 3: star with credentials", true, lines("access-control-allow-origin: *",
			"access-control-allow-credentials: true"), false},
		{"step 4: the origin", false, lines("access-control-allow-origin: https://a.example"), true},
		{"step 4: another origin", false, lines("access-control-allow-origin: https://b.example"), false},
		{"step 4: a slash", false, lines("access-control-allow-origin: https://a.example/"), false},
		{"step 4: another case", false, lines("access-control-allow-origin: https://A.example"), false},
		{"step 4: doubled", false, lines("access-control-allow-origin: https://a.example",
			"access-control-allow-origin: https://a.example"), false},
		{"step 4: doubled star", false, lines("access-control-allow-origin: *", "access-control-allow-origin: *"),
			false},
		{"step 4: a list", false, lines("access-control-allow-origin: https://a.example, https://b.example"), false},
		{"step 4: white space around a value is not part of it", false,
			lines("access-control-allow-origin: \t https://a.example "), true},
		{"step 7: credentials", true, lines("access-control-allow-origin: https://a.example",
			"access-control-allow-credentials: true"), true},
		{"step 8: none", true, lines("access-control-allow-origin: https://a.example"), false},
		{"step 8: True", true, lines("access-control-allow-origin: https://a.example",
			"access-control-allow-credentials: True"), false},
		{"step 8: doubled", true, lines("access-control-allow-origin: https://a.example",
			"access-control-allow-credentials: true", "access-control-allow-credentials: true"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := CORSCheck(origin, tt.include, tt.headers); (err == nil) != tt.ok {
				t.Errorf("got %v, want success %v", err, tt.ok)
			}
		})
	}
	if err := CORSCheck("null", false, lines("access-control-allow-origin: null")); err != nil {
		t.Errorf("an opaque origin is serialized to null: %v", err)
	}
}

// https://fetch.spec.whatwg.org/#cors-preflight-fetch, step 7
func TestPreflightCheck(t *testing.T) {
	const origin, credentials = "access-control-allow-origin: https://a.example",
		"access-control-allow-credentials: true"
	tests := []struct {
		name    string
		req     Request
		status  int
		headers [][2]string
		ok      bool
	}{
		{"CORS check", Request{Method: "GET"}, 204, nil, false},
		{"CORS check with the request's credentials mode", Request{Method: "GET", CredentialsInclude: true}, 204,
			lines(origin), false},
		{"ok status 200", Request{Method: "GET"}, 200, lines(origin), true},
		{"ok status 299", Request{Method: "GET"}, 299, lines(origin), true},
		{"status 301", Request{Method: "GET"}, 301, lines(origin), false},
		{"status 403", Request{Method: "GET"}, 403, lines(origin), false},

		{"7.3: methods not a list of tokens", Request{Method: "GET"}, 204,
			lines(origin, "access-control-allow-methods: PUT DELETE"), false},
		{"7.3: headers not a list of tokens", Request{Method: "GET"}, 204,
			lines(origin, "access-control-allow-headers: x-a, bad name"), false},
		{"7.3: empty elements", Request{Method: "PUT"}, 204, lines(origin, "access-control-allow-methods: ,\t, PUT,"),
			true},
		{"7.4: no methods, flag set", Request{Method: "PUT", UseCORSPreflight: true}, 204, lines(origin), true},
		{"7.4: methods, flag set", Request{Method: "PUT", UseCORSPreflight: true}, 204,
			lines(origin, "access-control-allow-methods: DELETE"), false},

		{"7.5: safelisted", Request{Method: "POST"}, 204, lines(origin, "access-control-allow-methods: PUT"), true},
		{"7.5: no methods", Request{Method: "PUT"}, 204, lines(origin), false},
		{"7.5: listed", Request{Method: "PUT"}, 204, lines(origin, "access-control-allow-methods: DELETE,PUT"), true},
		{"7.5: on the second line", Request{Method: "PUT"}, 204,
			lines(origin, "access-control-allow-methods: DELETE", "access-control-allow-methods: PUT"), true},
		{"7.5: case counts", Request{Method: "patch"}, 204, lines(origin, "access-control-allow-methods: PATCH"),
			false},
		{"7.5: star", Request{Method: "PUT"}, 204, lines(origin, "access-control-allow-methods: *"), true},
		{"7.5: star with credentials", Request{Method: "PUT", CredentialsInclude: true}, 204,
			lines(origin, credentials, "access-control-allow-methods: *"), false},
		{"7.5: listed with credentials", Request{Method: "PUT", CredentialsInclude: true}, 204,
			lines(origin, credentials, "access-control-allow-methods: PUT"), true},

		{"7.6: star does not cover Authorization", Request{Method: "GET", Headers: lines("Authorization: x")}, 204,
			lines(origin, "access-control-allow-headers: *"), false},
		{"7.6: star and Authorization", Request{Method: "GET", Headers: lines("Authorization: x", "X-A: 1")}, 204,
			lines(origin, "access-control-allow-headers: *, authorization"), true},

		{"7.7: safelisted", Request{Method: "GET", Headers: lines("Accept: */*", "Content-Type: text/plain")}, 204,
			lines(origin), true},
		{"7.7: not listed", Request{Method: "GET", Headers: lines("Content-Type: application/json")}, 204,
			lines(origin), false},
		{"7.7: listed, in another case", Request{Method: "GET", Headers: lines("x-a: 1", "X-B: 2")}, 204,
			lines(origin, "access-control-allow-headers: X-A", "access-control-allow-headers: x-b"), true},
		{"7.7: one of two", Request{Method: "GET", Headers: lines("x-a: 1", "X-B: 2")}, 204,
			lines(origin, "access-control-allow-headers: x-a"), false},
		{"7.7: star", Request{Method: "GET", Headers: lines("x-a: 1")}, 204,
			lines(origin, "access-control-allow-headers: *"), true},
		{"7.7: star with credentials", Request{Method: "GET", Headers: lines("x-a: 1"), CredentialsInclude: true}, 204,
			lines(origin, credentials, "access-control-allow-headers: *"), false},
		{"7.7: star with credentials is a name", Request{Method: "GET", Headers: lines("*: 1"),
			CredentialsInclude: true}, 204, lines(origin, credentials, "access-control-allow-headers: *"), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.req.Origin = "https://a.example"
			if err := PreflightCheck(tt.req, tt.status, tt.headers); (err == nil) != tt.ok {
				t.Errorf("got %v, want success %v", err, tt.ok)
			}
		})
	}
}

// https://fetch.spec.whatwg.org/#cors-preflight-fetch, steps 7.8 and 7.9;
// https://fetch.spec.whatwg.org/#extract-header-list-values, step 2
func TestMaxAge(t *testing.T) {
	tests := []struct {
		headers [][2]string
		want    int
	}{
		{nil, 5},
		{lines("access-control-max-age: 600"), 600},
		{lines("Access-Control-Max-Age: 0"), 0},
		{lines("access-control-max-age: "), 5},
		{lines("access-control-max-age: -1"), 5},
		{lines("access-control-max-age: +1"), 5},
		{lines("access-control-max-age: 1.5"), 5},
		{lines("access-control-max-age: 600", "access-control-max-age: 600"), 5},
		{lines("access-control-max-age: 99999999999999999999"), math.MaxInt},
	}
	for _, tt := range tests {
		if got := MaxAge(tt.headers); got != tt.want {
			t.Errorf("MaxAge(%q) = %d, want %d", tt.headers, got, tt.want)
		}
	}
}

// https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name
func TestExposed(t *testing.T) {
	tests := []struct {
		headers [][2]string
		name    string
		include bool
		want    bool
	}{
		{nil, "Content-Length", true, true},
		{nil, "x-a", false, false},
		{lines("access-control-expose-headers: X-A"), "x-a", true, true},
		{lines("access-control-expose-headers: x-b", "access-control-expose-headers: x-a"), "X-A", false, true},
		{lines("access-control-expose-headers: *"), "x-a", false, true},
		{lines("access-control-expose-headers: *"), "x-a", true, false},
		{lines("access-control-expose-headers: *"), "authorization", false, true}, // The exception is for requests.
		{lines("access-control-expose-headers: x-a, bad name"), "x-a", false, false},
		{lines("access-control-expose-headers: Set-Cookie, *"), "set-cookie", false, false},
	}
	for _, tt := range tests {
		if got := Exposed(tt.headers, tt.name, tt.include); got != tt.want {
			t.Errorf("Exposed(%q, %q, %v) = %v", tt.headers, tt.name, tt.include, got)
		}
	}
}
