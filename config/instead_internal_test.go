package config

import (
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
)

// TestOthersMatchers: what to write instead of what other tools have in place of origins and of paths:
// Envoy's and Istio's matchers of strings, and those of Gateway API.
func TestOthersMatchers(t *testing.T) {

	for doc, want := range map[string]string{
		`{"allow_origins": {"exact": "https://a.example"}}`:                        `write ["https://a.example"]`,
		`{"allow_origins": {"origin": "https://a.example"}}`:                       `write ["https://a.example"]`,
		`{"allow_origins": {"url": "https://a.example"}}`:                          `write ["https://a.example"]`,
		`{"allow_origins": {"": "https://a.example"}}`:                             `write ["https://a.example"]`,
		`{"allow_origins": {"value": "https://a.example"}}`:                        `write ["https://a.example"]`,
		`{"allow_origins": {"type": "Exact", "value": "https://a.example"}}`:       `write ["https://a.example"]`,
		`{"allow_origins": {"type": "Prefix", "value": "https://a.example"}}`:      `write ["https://a.example:*"]`,
		`{"allow_origins": {"prefix": "https://a.example"}}`:                       `write ["https://a.example:*"]`,
		`{"allow_origins": {"suffix": ".a.example"}}`:                              `write ["https://*.a.example"]`,
		`{"allow_origins": {"contains": "a.example"}}`:                             `write [{"regex": ".*a\\.example.*"}]`,
		`{"allow_origins": {"regex": "https://a\\.example"}}`:                      `write [{"regex": "https://a\\.example"}]`,
		`{"allow_origins": {"safe_regex": {"regex": "https://a\\.example"}}}`:      `write [{"regex": "https://a\\.example"}]`,
		`{"allow_origins": {"safe_regex": "https://a.example"}}`:                   "write a list, […]",
		`{"allow_origins": {"type": "RegularExpression", "value": "https://a.*"}}`: `write [{"regex": "https://a.*"}]`,
		`{"allow_origins": {"exact": "", "prefix": "https://a.example"}}`:          `write ["https://a.example:*"]`,
		`{"allow_origins": {"exact": {"regex": "https://a\\.example"}}}`:           "write a list, […]",
		`{"allow_origins": {"regex": "("}}`:                                        "write a list, […]",
		`{"allow_origins": {"exact": 1}}`:                                          "write a list, […]",
		`{"allow_origins": {"other": "https://a.example"}}`:                        "write a list, […]",
		`{"allow_origins": {"exact": "https://a.example", "prefix": "https://b"}}`: `write ["https://a.example"]`,
		`{"match": {"paths": {"type": "PathPrefix", "value": "/v1"}}}`:             `write [{"prefix": "/v1"}]`,
		`{"match": {"paths": {"type": "Exact", "value": "/v1"}}}`:                  `write [{"exact": "/v1"}]`,
		`{"match": {"paths": {"type": "Exact"}}}`:                                  "write a list, […]",
		`{"match": {"paths": {"type": "Exact", "value": "v1"}}}`:                   "write a list, […]",
		`{"match": {"routes": "r"}}`:                                               `write ["r"]`,
		`{"match": {"routes": ""}}`:                                                "write a list, […]",
		`{"match": {"hosts": {"type": "Exact", "value": "/v1"}}}`:                  "write a list, […]",
		`{"allow_origins": "*://*", "allow_credentials": true}`:                    "write a list, […]",
		`{"match": {"hosts": {"exact": "a.example"}}}`:                             "write a list, […]",
	} {
		_, problems := Parse(doc)
		found := false
		for _, p := range problems {
			found = found || p.Instead == want
		}
		if !found {
			t.Errorf("%s: %v, want %q", doc, problems, want)
		}
	}
}

// TestMatchersLimit: five objects are read as another tool would, and no further one.
func TestMatchersLimit(t *testing.T) {
	const one = `{"exact": "https://a.example"}`
	_, problems := Parse(`{"allow_origins": [` + strings.Repeat(one+", ", maxMatchers) + one + `]}`)
	read := 0
	for _, p := range problems {
		if p.Instead == `write "https://a.example"` {
			read++
		}
	}
	if maxMatchers != 5 || read != 5 {
		t.Errorf("%d of them: %v", read, problems)
	}
}

// TestAsDuration: how long people mean, in whole seconds, and no longer than a max_age may be.
func TestAsDuration(t *testing.T) {
	for text, want := range map[string]int{
		"0": 0, "600": 600, "1.5s": 2, "1s": 1, "1ms": 1, "10 min": 600, "2 Minutes": 120, "3h": 10_800, "2 hours": 7200,
		"1d": 86_400, "1 day": 86_400, "24h": 86_400, "86400": 86_400, "86400s": 86_400, "1440m": 86_400,
		"-1": -1, "-1s": -1, "86401": -1, "86401s": -1, "25h": -1, "2d": -1, "1 week": -1, "": -1, "s": -1, "x": -1,
		"99999999999999999999": -1, "144115188075855872d": -1,
	} {
		if got, ok := asDuration(text); ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %d, %t, want %d", text, got, ok, want)
		}
	}
	if cors.MaxMaxAge != 86_400 {
		t.Error("the table is of another bound")
	}
}

// TestBareword: what stands without quotes ends where JSON goes on, and is short and printable.
func TestBareword(t *testing.T) {
	for text, want := range map[string]string{
		"": "", ",": "", "a": "a", "a b": "a", "a,b": "a", "a]": "a", "https://a.example}": "https://a.example",
		"a\x01b": "", "a\x7fb": "", "a\xff": "", "\x1f": "", "ä": "ä",
		strings.Repeat("a", 300): strings.Repeat("a", 300), strings.Repeat("a", 301): "",
	} {
		if got := bareword(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestEscape: unreserved characters stand for themselves, and no others
// (RFC 3986, sections 2.1 and 2.3).
func TestEscape(t *testing.T) {
	for text, want := range map[string]string{
		"azAZ09-._~": "azAZ09-._~", "https://a:1": "https%3A%2F%2Fa%3A1", "`{@[/:": "%60%7B%40%5B%2F%3A", "\x00\xff": "%00%FF",
	} {
		if got := escape(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for path, want := range map[string]string{"/": "/?", "/a?b": "/a?b&", "?": "?&"} {
		l := &OriginLookup{Path: path}
		if got := l.Target("p", "h", "o"); got != want+"policy=p&host=h&origin=o" {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

// TestEscapes: the escapes of four digits that JSON has (RFC 8259, section 7), of which two make one
// character beyond U+FFFF, as in UTF-16.
func TestEscapes(t *testing.T) {
	for text, want := range map[string]bool{
		`\u0aF9`: true, `\u9f09`: true, `\uFa0A`: true, `\ud7ff`: true, `\ue000`: true, `\u0041x`: true,
		`\ud800\udc00`: true, `\ud83d\ude00`: true, `\udbff\udfff`: true, `\ud83d\ude00\u0041`: true,
		`\u00g0`: false, `\u00G0`: false, `\u00/0`: false, `\u00:0`: false, `\u00@0`: false, "\\u00`0": false, `\u004`: false,
		`\ud800`: false, `\udc00`: false, `\udfff`: false, `\udbff`: false, `\ud83d\udbff`: false, `\udc00\udc00`: false, `\ud83d\ue000`: false,
		`\ud83dx`: false, `\udc00\ud800`: false, "\x80": false, "\xc3\xa4": true, "\x7f": true, "\x1f": false,
	} {
		c, problems := Parse(`{"allow_origins": ["*"], "match": {"routes": ["` + text + `"]}}`)
		if (c != nil) != want {
			t.Errorf("%q: accepted %t, want %t: %v", text, c != nil, want, problems)
		}
	}
}

// TestStatusInQuotes: a number in quotes is answered with the number, if it is one of the two.
func TestStatusInQuotes(t *testing.T) {
	for value, want := range map[string]string{
		`"200"`: "write 200", `"204"`: "write 204", `"201"`: "write a number", `"x"`: "write a number", `true`: "write a number",
		`204`: "",
	} {
		_, problems := Parse(`{"allow_origins": ["*"], "preflight_status": ` + value + `}`)
		got := ""
		if len(problems) > 0 {
			got = problems[0].Instead
		}
		if got != want {
			t.Errorf("%s: %v, want %q", value, problems, want)
		}
	}
}
