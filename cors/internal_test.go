package cors

import (
	"strconv"
	"strings"
	"testing"
)

// serialize is the serialization of a tuple origin
// (https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin).
func (o origin) serialize() string {
	s := o.scheme + "://" + o.host
	if o.port != noPort {
		s += ":" + strconv.Itoa(o.port)
	}
	return s
}

func TestParseOrigin(t *testing.T) {
	for _, s := range []string{
		"https://app.example", "http://localhost:8080", "http://a", "https://a.b.c.d.e", "https://xn--bcher-kva.example",
		"https://a-b_c.example", "https://example.com.", "http://a:0", "http://a:65535", "https://a:80", "http://a:443",
		"http://127.0.0.1", "http://255.255.255.255:1", "http://[::1]", "http://[::]", "http://[1::]", "http://[::1:0:0:0:1]",
		"http://[2001:db8::1]:8080", "http://[1:2:3:4:5:6:7:8]", "http://[1:0:3:0:5:0:7:0]", "http://[1:0:0:4::8]", "http://[::ffff:102:304]",
		"chrome-extension://abc", "capacitor://localhost", "moz-extension://0a1b2c3d-0000-0000-0000-000000000000",
		"app+x.y-z://host", "tauri://1234", // only in special schemes is a number an address
		"https://" + strings.Repeat("a.", 126) + "a",
	} {
		if o, ok := parseOrigin(s); !ok || o.serialize() != s {
			t.Errorf("parseOrigin(%q) = %+v, %t", s, o, ok)
		}
	}
	for _, s := range []string{
		"", "null", "*", "app.example", "https://", "https:", "https:/a", "://a", "1http://a", "Https://a", "ht tp://a", "https://A.example",
		"https://a/", "https://a?", "https://a#", "https://a\\", "https://u@a", "https://u:p@a", "https://a:", "https://a:x", "https://a:-1",
		"https://a:080", "https://a:65536", "https://a:99999999999999999999", "https://a:443", "http://a:80", "ws://a:80", "wss://a:443", "ftp://a:21",
		"https://.a", "https://a..b", "https://..", "https://.", "https://a%20b", "https://a b", "https://a,b", "https://a\x00", "https://é.example",
		"http://1", "http://1.2.3", "http://1.2.3.4.5", "http://256.1.1.1", "http://01.1.1.1", "http://0x7f.1", "http://a.0x", "http://a.1", "http://1.2.3.4.",
		"http://[]", "http://[:]", "http://[:::]", "http://[1::2::3]", "http://[::1", "http://::1]", "http://[::1]x", "http://[::1]:", "http://[::01]",
		"http://[0:0:0:0:0:0:0:1]", "http://[1:0:0:0:5:6:7:8:9]", "http://[::A]", "http://[::g]", "http://[::12345]", "http://[::1.2.3.4]",
		"http://[1::3:4:5:6:7:8]", // a single zero isn't compressed
		"http://[1:0:0:4:0:0:0:8]", "http://[1:2:3:4:5:6:7:8:]", "http://[fe80::1%25eth0]",
		"https://" + strings.Repeat("a", 255), strings.Repeat("a", 65) + "://a", "https://" + strings.Repeat("a.", 200_000),
	} {
		if o, ok := parseOrigin(s); ok {
			t.Errorf("parseOrigin(%.80q) = %+v, want none", s, o)
		}
	}
}

func FuzzOrigin(f *testing.F) {
	for _, s := range []string{"https://app.example:8443", "http://[::1]:9090", "http://192.0.2.1", "chrome-extension://abc", "https://a..b", "null"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if o, ok := parseOrigin(s); ok && o.serialize() != s {
			t.Errorf("parseOrigin(%q) = %+v", s, o)
		}
		if p, what, instead := parsePattern(s); what == "" && p.kind == tuplePattern && !strings.Contains(s, "*") && p.origin.serialize() != s {
			t.Errorf("parsePattern(%q) = %+v", s, p)
		} else if quoted, ok := strings.CutPrefix(instead, "write \""); ok && what != "" && strings.HasSuffix(quoted, "\"") && !strings.Contains(quoted, "…") {
			if entry, err := strconv.Unquote(`"` + quoted); err == nil && strings.Contains(entry, "://") {
				if _, wrong, _ := parsePattern(entry); wrong != "" && !strings.Contains(wrong, "labels") && !strings.Contains(wrong, "IP address") {
					t.Errorf("%q: the suggestion %q is wrong itself: %s", s, entry, wrong)
				}
			}
		} else if strings.ContainsAny(what+instead, "\n\r") {
			t.Errorf("parsePattern(%q): %q; %q is more than a line", s, what, instead)
		}
	})
}

// TestPatternProblems: what is wrong with an entry of allow_origins, and what to
// write instead, which must be right itself where it is a whole entry.
func TestPatternProblems(t *testing.T) {
	for _, test := range []struct{ entry, what, instead string }{
		{"", "is empty", `write an origin, such as "https://app.example"`},
		{" https://a.example", "has white space around it", `write "https://a.example"`},
		{"https://a.example https://b.example", "contains white space", "write each origin as a string of its own, without spaces"},
		{"https://a.example,https://b.example", "is a list in one string", "write each origin as a string of its own"},
		{"NULL", "is not an origin", `write "null"`},
		{"app.example", "has no scheme", `write "https://app.example"`},
		{"//app.example/x", "has no scheme", `write "https://app.example"`},
		{"*://app.example", "has a wildcard in its scheme", "write one entry for each scheme"},
		{"https://App.example", "has upper-case letters", `write "https://app.example"`},
		{"HTTPS://app.example/x", "has upper-case letters", `write "https://app.example"`},
		{"ht!tp://app.example", "has an invalid scheme", `write a scheme such as "https"`},
		{"file://", "is not an origin", `or write "null"`},
		{"https://", "has no host", `write "https://app.example"`},
		{"https://app.example/", "has a path (a trailing slash)", `write "https://app.example"`},
		{"https://app.example/x", "has a path,", `write "https://app.example"`},
		{"https://app.example?x", "has a query", `write "https://app.example"`},
		{"https://app.example#x", "has a fragment", `write "https://app.example"`},
		{"https://user@app.example", "has user information", `write "https://app.example"`},
		{"https://app-*.example", "has a wildcard where none can stand", `{"regex": "…"}`},
		{"https://*", "has a wildcard where none can stand", `"scheme://*.host"`},
		{"https://a.*.example", "has a wildcard where none can stand", ""},
		{"https://*.*.example", "has a wildcard where none can stand", ""},
		{"https://app.example:80*", "has a wildcard where none can stand", ""},
		{"https://app.example:443", "has the default port of its scheme", `write "https://app.example"`},
		{"http://app.example:80", "has the default port of its scheme", `write "http://app.example"`},
		{"https://app.example:0443", "has an invalid port", "write a number from 0 to 65535"},
		{"https://app.example:70000", "has an invalid port", ""},
		{"http://::1", "has an IPv6 address without brackets", `write "http://[::1]"`},
		{"http://[0:0:0:0:0:0:0:1]:8080", "isn't in its shortest form", `write "http://[::1]:8080"`},
		{"http://[::0001]:*", "isn't in its shortest form", `write "http://[::1]:*"`},
		{"http://[::1]:80", "has a port that is out of range, or the scheme's default", `write "http://[::1]"`},
		{"http://[::x]", "has an invalid IPv6 address", ""},
		{"http://*.[::1]", "has a wildcard before an IP address", "write the address alone"},
		{"http://*.127.0.0.1", "has a wildcard before an IP address", "write the address alone"},
		{"http://192.0.2.300", "has an invalid IPv4 address", ""},
		{"http://192.0.2", "has an invalid IPv4 address", ""},
		{"https://bücher.example", "has characters outside ASCII", `write the host's "xn--" form`},
		{"https://a_b$.example", "has an invalid host", ""},
		{"https://*." + strings.Repeat("a.", 70) + "example", "has more than 63 labels", ""},
		{"https://" + strings.Repeat("a", 300), "longer than the 254 characters", "shorten it"},
		{"https://app.example:443/", "has a path", `write "https://app.example"`},
		{"https://App.example:443", "has upper-case letters", `write "https://app.example"`},
		{"App.example:443", "has no scheme", `write "https://app.example"`},
		{"https://user@app.example:443/", "has a path", `write "https://app.example"`},
		{"https:/app.example", "has one slash", `write "https://app.example"`},
		{"http:app.example", "has no scheme", `write "https://app.example"`},
		{"http://[::1]:99999", "has a port that is out of range", `write "http://[::1]"`},
		{"http://[::1]:", "has a port that is out of range", `write "http://[::1]"`},
		{"https://:443", "has the default port", `write "https://app.example"`},
		{"https://app.example/ ", "has white space", `write "https://app.example"`},
		{"https://a;https://b", "is a list", "write each origin"},
		{"http://2001:DB8::1", "has upper-case letters", `write "http://[2001:db8::1]"`},
		{"bücher.example", "has no scheme", `"xn--"`},
		{"file:///", "is not an origin", `or write "null"`},
		{"https://app.example:443:*", "has the default port", ""},
	} {
		_, what, instead := parsePattern(test.entry)
		if what == "" || !strings.Contains(what, test.what) || !strings.Contains(instead, test.instead) {
			t.Errorf("%q: %s; %s", test.entry, what, instead)
		}
		if quoted, ok := strings.CutPrefix(instead, "write "); ok {
			if entry, err := strconv.Unquote(quoted); err == nil {
				if _, what, _ := parsePattern(entry); what != "" {
					t.Errorf("%q: the suggestion %q is wrong itself: %s", test.entry, entry, what)
				}
			}
		}
	}
}

func TestInsecureRegex(t *testing.T) {
	for expr, want := range map[string]bool{
		`https://app\.example`:                               false,
		`https://.*\.example\.com`:                           false,
		`http://localhost`:                                   false,
		`http://localhost:[0-9]+`:                            false,
		`http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?`:  false,
		`(?i)http://localhost(:[0-9]+)?`:                     false,
		`\Qhttp://localhost`:                                 false,
		`http://(a|b)\.localhost`:                            false,
		`^http://localhost$`:                                 false,
		`(http://localhost|https://app\.example)(:\d+)?`:     false,
		`chrome-extension://.*`:                              false,
		`http://app\.example`:                                true,
		`https?://app\.example`:                              true,
		`http://localhost.*`:                                 true,
		`http://localhost\.evil`:                             true,
		`http://127\..*`:                                     true,
		`.*\.example\.com`:                                   true,
		`[a-z]+://app\.example`:                              true,
		`http://[a-z]+\.localhost`:                           true, // can't be told apart from *.example
		`(?i)HTTP://app\.example`:                            true,
		`http://(localhost|app\.example)`:                    true,
		`http://` + strings.Repeat(`(a|b)`, 20) + `.example`: true,
	} {
		re, err := compileRegex(expr)
		if err != nil {
			t.Fatal(err)
		}
		if got := insecureRegex(re); got != want {
			t.Errorf("insecureRegex(%q) = %t, want %t", expr, got, want)
		}
	}
}

func TestMatchesEverything(t *testing.T) {
	for expr, want := range map[string]bool{
		`.*`: true, `https://.*`: true, `https?://.+`: true, `https://[^/]+`: true, `https://[a-z.]+`: true, `https://[a-z-]+\.com`: true,
		`https://\w+\.\w+`: true, `https://.*:8443`: true, `https://.*:3000`: true, `https://.*:[0-9]+`: true, `http://.*`: true, `https://.*\.net`: true,
		`https://.*\.example\.com`: false, `https://app-[0-9]+\.example`: false, `https://(.*\.)?example\.org`: false, `chrome-extension://[a-p]{32}`: false,
	} {
		re, err := compileRegex(expr)
		if err != nil {
			t.Fatal(err)
		}
		if got := matchesEverything(re); got != want {
			t.Errorf("matchesEverything(%q) = %t, want %t", expr, got, want)
		}
	}
}

func TestReasonsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for r := Reason(0); r < reasons; r++ {
		if name := r.String(); name == "" || seen[name] {
			t.Errorf("reason %d has the name %q", r, name)
		}
		seen[r.String()] = true
	}
}
