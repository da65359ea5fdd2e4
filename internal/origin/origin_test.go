package origin

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/idna"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// serialize is the serialization of a tuple origin
// (https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin).
func (o origin) serialize() string {
	s := o.scheme + "://" + o.host
	if o.port != NoPort {
		s += ":" + strconv.Itoa(o.port)
	}
	return s
}

func TestParseOrigin(t *testing.T) {
	for _, s := range []string{
		"https://app.example", "http://localhost:8080", "http://a", "https://a.b.c.d.e",
		"https://xn--bcher-kva.example",
		"https://a-b_c.example", "https://example.com.", "http://a:0", "http://a:65535", "https://a:80", "http://a:443",
		"http://127.0.0.1", "http://255.255.255.255:1", "http://[::1]", "http://[::]", "http://[1::]",
		"http://[::1:0:0:0:1]",
		"http://[2001:db8::1]:8080", "http://[1:2:3:4:5:6:7:8]", "http://[1:0:3:0:5:0:7:0]", "http://[1:0:0:4::8]",
		"http://[::ffff:102:304]",
		"chrome-extension://abc", "capacitor://localhost", "moz-extension://0a1b2c3d-0000-0000-0000-000000000000",
		"app+x.y-z://host", "tauri://1234", // only in special schemes is a number an address
		"file://", "app://", "app://.", "app://-", "app://..", "app://A_b~c", "app://[::1]:80", "app://local:80",
		"app://100%25", "ionic://localhost:0",
		"safari-web-extension://140BB581-1B1C-4A5B-8C3D-0E9F7A6B5C4D", "app://" + strings.Repeat("A", 254),
		"https://" + strings.Repeat("a.", 126) + "a",
	} {
		if o, ok := parseOrigin(s); !ok || o.serialize() != s {
			t.Errorf("parseOrigin(%q) = %+v, %t", s, o, ok)
		}
	}
	for _, s := range []string{
		"", "null", "*", "app.example", "https://", "https:", "https:/a", "://a", "1http://a", "Https://a", "ht tp://a",
		"https://A.example",
		"https://a/", "https://a?", "https://a#", "https://a\\", "https://u@a", "https://u:p@a", "https://a:",
		"https://a:x", "https://a:-1",
		"https://a:080", "https://a:65536", "https://a:99999999999999999999", "https://a:443", "http://a:80",
		"ws://a:80", "wss://a:443", "ftp://a:21",
		"https://.a", "https://a..b", "https://..", "https://.", "https://a%20b", "https://a b", "https://a,b",
		"https://a\x00", "https://é.example",
		"http://1", "http://1.2.3", "http://1.2.3.4.5", "http://256.1.1.1", "http://01.1.1.1", "http://0x7f.1",
		"http://a.0x", "http://a.1", "http://1.2.3.4.",
		"http://[]", "http://[:]", "http://[:::]", "http://[1::2::3]", "http://[::1", "http://::1]", "http://[::1]x",
		"http://[::1]:", "http://[::01]",
		"http://[0:0:0:0:0:0:0:1]", "http://[1:0:0:0:5:6:7:8:9]", "http://[::A]", "http://[::g]", "http://[::12345]",
		"http://[::1.2.3.4]",
		"http://[1::3:4:5:6:7:8]", // a single zero isn't compressed
		"http://[1:0:0:4:0:0:0:8]", "http://[1:2:3:4:5:6:7:8:]", "http://[fe80::1%25eth0]",
		"App://.", "app:", "app:.", "app:/.", "app:///", "app://./", "app://:80", "app://a:", "app://a:080",
		"app://a b", "app://a\tb", "app://a,b", "app://a;b", "app://*",
		"app://a\"b", "app://a'b", "app://a`b", "app://{a}", "app://a<b", "app://a@b", "app://a?b", "app://a#b",
		"app://a\\b", "app://a^b", "app://a|b", "app://[::A]", "app://[x]",
		"app://é", "app://a\x00", "app://a\x7f", "app://a\r\nb", "app://" + strings.Repeat("a", 255),
		"https://" + strings.Repeat("a", 255), strings.Repeat("a", 65) + "://a",
		"https://" + strings.Repeat("a.", 200_000),
	} {
		if o, ok := parseOrigin(s); ok {
			t.Errorf("parseOrigin(%.80q) = %+v, want none", s, o)
		}
	}
}

// FuzzOrigin: what the parser takes is what package browser, which was written apart,
// takes for a serialized origin, but for hosts that the parser doesn't know.
func FuzzOrigin(f *testing.F) {
	for _, s := range []string{"https://app.example:8443", "http://[::1]:9090", "http://192.0.2.1",
		"chrome-extension://abc", "https://a..b", "null",
		"app://.", "file://", "App://A", "app://:1", "app://[::1]:80",
		"safari-web-extension://140BB581-1B1C-4A5B-8C3D-0E9F7A6B5C4D", "app://a b", "app://a,b", "https://a b", "https://a,b",
		"https://a.example:443", "https://a.example/x", "HTTPS://A.example", "https://u@a", "https://*.a.example:*", "http://1.2",
		"http://[::0]", "a.example", "https://bücher.example", "https://a-*.example", ".*", "https://a.example, https://b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o, ok := parseOrigin(s)
		if ok && o.serialize() != s {
			t.Errorf("parseOrigin(%q) = %+v", s, o)
		}
		switch want := browser.SerializedOrigin(s); {
		case ok && !want && o.scheme != "file" &&
			!slices.Contains([]string{"about", "blob", "data", "filesystem", "javascript", "mailto"}, o.scheme):
			t.Errorf("parseOrigin(%q) = %+v, and it is no serialized origin", s, o)
		case !ok && want && s != "null" && known(s):
			t.Errorf("parseOrigin(%q) is none, and it is a serialized origin", s)
		}
		if p, ok := readPattern(s); ok && p.kind == tuplePattern && !strings.Contains(s, "*") &&
			p.origin.serialize() != s {
			t.Errorf("readPattern(%q) = %+v", s, p)
		}
		for _, credentials := range []bool{false, true} {
			_, what, instead := diagnosePattern(s, newMender(credentials))
			if strings.ContainsAny(what+instead, "\n\r") || len(what+instead) > 2000 {
				t.Errorf("diagnosePattern(%q): %q; %q is more than a line", s, what, instead)
			}
			quoted, ok := strings.CutPrefix(instead, "write ")
			if !ok {
				continue
			}
			if entry, err := strconv.Unquote(quoted); err == nil {
				p, _ := readPattern(entry)
				if _, wrong, _ := diagnosePattern(entry, newMender(credentials)); wrong != "" || credentials &&
					p.trustsStrangers() {
					t.Errorf("%q: the suggestion %q is wrong itself: %s", s, entry, wrong)
				}
			}
		}
	})
}

// known reports whether a serialized origin has no host that the URL standard allows and
// the parser doesn't: with other characters, empty labels, or too long.
func known(s string) bool {
	scheme, rest, _ := strings.Cut(s, "://")
	host, _, _ := CutPort(rest)
	switch {
	case len(scheme) > maxScheme || len(host) > MaxHost:
		return false
	case special(scheme):
		letters := strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
		return host[0] == '[' || letters && host[0] != '.' && !strings.Contains(host, "..")
	}
	return !strings.ContainsAny(host, ",;*'\"`{}")
}

// TestPatternProblems: what is wrong with an entry of allow_origins, and what to
// write instead, which must be right itself where it is a whole entry.
func TestPatternProblems(t *testing.T) {
	for _, test := range []struct{ entry, what, instead string }{
		{"", "is empty", `write an origin, such as "https://app.example"`},
		{" https://a.example", "has white space around it", `write "https://a.example"`},
		{"https://a.example https://b.example", "is a list in one string",
			`write "https://a.example", "https://b.example"`},
		{"https://a.example,https://b.example", "is a list in one string",
			`write "https://a.example", "https://b.example"`},
		{"NULL", "is not an origin", `write "null"`},
		{"app.example", "has no scheme", `write "https://app.example"`},
		{"//app.example/x", "has no scheme", `write "https://app.example"`},
		{"*://app.example", "has a wildcard in its scheme", `write "https://app.example", "http://app.example"`},
		{"https://App.example", "has upper-case letters", `write "https://app.example"`},
		{"HTTPS://app.example/x", "has upper-case letters", `write "https://app.example"`},
		{"ht!tp://app.example", "has an invalid scheme", `write a scheme such as "https"`},
		{"https://", "has no host", `write "https://app.example"`},
		{"https://app.example/", "has a path (a trailing slash)", `write "https://app.example"`},
		{"https://app.example/x", "has a path,", `write "https://app.example"`},
		{"https://app.example?x", "has a query", `write "https://app.example"`},
		{"https://app.example#x", "has a fragment", `write "https://app.example"`},
		{"https://user@app.example", "has user information", `write "https://app.example"`},
		{"https://app-*.example", "has a wildcard where none can stand",
			`write {"regex": "https://app-[a-z0-9-]+\\.example"}`},
		{"https://*", "would be every origin of the scheme https", `write {"regex": "https://.*"}`},
		{"https://a.*.example", "has a wildcard where none can stand", ""},
		{"https://*.*.example", "has a wildcard where none can stand", ""},
		{"https://app.example:80*", "has a wildcard where none can stand", ""},
		{"https://app.example:443", "has the default port of its scheme", `write "https://app.example"`},
		{"http://app.example:80", "has the default port of its scheme", `write "http://app.example"`},
		{"https://app.example:0443", "has an invalid port", `write "https://app.example"`},
		{"https://app.example:70000", "has an invalid port", ""},
		{"http://::1", "has an IPv6 address without brackets", `write "http://[::1]"`},
		{"http://[0:0:0:0:0:0:0:1]:8080", "isn't in its shortest form", `write "http://[::1]:8080"`},
		{"http://[::0001]:*", "isn't in its shortest form", `write "http://[::1]:*"`},
		{"http://[::1]:80", "has a port that is out of range, or the scheme's default", `write "http://[::1]"`},
		{"http://[::x]", "has an invalid IPv6 address", ""},
		{"http://*.[::1]", "has a wildcard before an IP address", `write "http://[::1]"`},
		{"http://*.127.0.0.1", "has a wildcard before an IP address", `write "http://127.0.0.1"`},
		{"http://192.0.2.300", "has an invalid IPv4 address", ""},
		{"http://192.0.2", "has an invalid IPv4 address", ""},
		{"https://bücher.example", "has characters outside ASCII", `write "https://xn--bcher-kva.example"`},
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
		{"https://a;https://b", "is a list", `write "https://a", "https://b"`},
		{"http://2001:DB8::1", "has upper-case letters", `write "http://[2001:db8::1]"`},
		{"bücher.example", "has no scheme", `write "https://xn--bcher-kva.example"`},
		{"file:///", "has a path (a trailing slash)", `write "file://"`},
		{"https://app.example:443:*", "has the default port", `write "https://app.example:*"`},
		// Placeholders, lists and forms of other tools.
		{"localhost:3000", "has no scheme", `write "http://localhost:3000"`},
		{"127.0.0.1:8080/", "has no scheme", `write "http://127.0.0.1:8080"`},
		{"*.app.example", "has no scheme", `write "https://*.app.example"`},
		{"$http_origin", "is a variable of nginx", `write "*"`},
		{"${ORIGIN}", "has a variable", "write the origins themselves"},
		{"https://{{ .Values.host }}", "has a variable", "write the origins themselves"},
		{"https://$HOST", "has a variable", "write the origins themselves"},
		{"[*]", "is a list in one string", `write "*"`},
		{"'https://app.example'", "has quotes within", `write "https://app.example"`},
		{"https://app.example\u200b", "has a character that can't be seen", `write "https://app.example"`},
		{"https://\ufffd.example", "has U+FFFD", "save the file as UTF-8"},
		{"a.example, b.example", "is a list", `write "https://a.example", "https://b.example"`},
		{"https://a.example, https://b.example/", "is a list", `write "https://a.example", "https://b.example"`},
		{"https://*example.com", "has a wildcard", `write "https://*.example.com"`},
		{"https://.example.com", "begins with a dot", `write "https://*.example.com"`},
		{"*://*", "has a wildcard in its scheme", `write "*"`},
		{"https://*:8443", "would be every origin of the scheme https", `write {"regex": "https://.*:8443"}`},
		{"http://*:*", "would be every origin of the scheme http", `write {"regex": "http://.*"}`},
		{"https://*/*", "has a path", `write {"regex": "https://.*"}`},
		{"http://localhost:30*", "has a wildcard", `write {"regex": "http://localhost:30[0-9]*"}`},
		// Regexes, written as strings.
		{`https://.*\.example\.com`, "is a regex", `write {"regex": "https://.*\\.example\\.com"}`},
		{`https://.*.example.com`, "is a regex", `write "https://*.example.com"`},
		{`^https://app\.example\.com$`, "is a regex", `write "https://app.example.com"`},
		{`/^https:\/\/[a-z]+\.example\.com$/`, "is a regex", `write {"regex": "https://[a-z]+\\.example\\.com"}`},
		{`~^https?://(.*\.)?example\.com$`, "is a regex", `write {"regex": "https?://(.*\\.)?example\\.com"}`},
		{".*", "is a regex", `write {"regex": ".*"}`},
		{"https://(", "is a regex", `{"regex": "…"}`},
		// Clients that aren't http.
		{"moz-extension://*", "would be every origin of the scheme moz-extension",
			`write {"regex": "moz-extension://[0-9a-f-]+"}`},
		{"chrome-extension://*", "would be every origin", `write {"regex": "chrome-extension://[a-p]{32}"}`},
		{"app://*", "would be every origin", `write {"regex": "app://.*"}`},
		{"app://*.", "would be every origin", `write {"regex": "app://.*"}`},
		{"app://*:*", "would be every origin", `write {"regex": "app://.*"}`},
		{"app://:*", "", ""},
		{"App://Local", "has upper-case letters", `write "app://Local"`},
		{"APP://.", "has upper-case letters", `write "app://."`},
		{"app://Local/index.html", "has a path", `write "app://Local"`},
		{"app://a,b", "is a list", ""},
		{"app://a b", "contains white space", ""},
		{"app://:80", "has no host", ""},
		{"app://a'b", "has an invalid host", ""},
		{"app://" + strings.Repeat("a", 300), "longer than the 254 characters", "shorten it"},
		{"capacitor:", "is a scheme alone", `write "capacitor://"`},
		// Words of other tools, and what stands in documentation.
		{"self", "is not an origin", "leave it out: pages of the API's own origin need no CORS"},
		{"'self'", "is not an origin", "leave it out: pages of the API's own origin need no CORS"},
		{"any", "is not an origin", `write "*"`},
		{"<your origin>", "is a placeholder", "write the origins themselves"},
		{"<https://a.example>", "has brackets around it", `write "https://a.example"`},
		{"blob:https://app.example/1", "is a blob's URL", `write "https://app.example"`},
		{"blob:null", "is no page's origin", `write "null"`},
		{`re:https://.*\.example\.com`, "is a regex", `write {"regex": "https://.*\\.example\\.com"}`},
		{"https://**.example.com", "has a wildcard where none can stand", `write "https://*.example.com"`},
		{"https://**.example.com:*", "has a wildcard where none can stand", `write "https://*.example.com:*"`},
		{"https:", "is a scheme alone", `write "https://app.example"`},
	} {
		_, what, instead := diagnosePattern(test.entry, newMender(false))
		if what == "" || !strings.Contains(what, test.what) || !strings.Contains(instead, test.instead) {
			t.Errorf("%q: %s; %s", test.entry, what, instead)
		}
		if quoted, ok := strings.CutPrefix(instead, "write "); ok {
			if entry, err := strconv.Unquote(quoted); err == nil {
				if _, what, _ := diagnosePattern(entry, newMender(false)); what != "" {
					t.Errorf("%q: the suggestion %q is wrong itself: %s", test.entry, entry, what)
				}
			}
		}
	}
}

// TestToASCII: the form that browsers send a host in is right, or isn't given.
func TestToASCII(t *testing.T) {
	for host, want := range map[string]string{
		"bücher.example": "xn--bcher-kva.example", "BÜCHER.Example": "xn--bcher-kva.example",
		"例え.テスト":    "xn--r8jz45g.xn--zckzah",
		"straße.de": "xn--strae-oqa.de", "пример.испытание": "xn--e1afmkfd.xn--80akhbyknj4f",
		"παράδειγμα.δοκιμή": "xn--hxajbheg2az3al.xn--jxalpdlp",
		"한국.example":        "xn--3e0b707e.example", "a.example": "a.example", "ü": "xn--tda",
		"*.ü.example":        "*.xn--tda.example",
		"cafe\u0301.example": "", "ａ.example": "", "ﬁ.example": "", "ǆ.example": "", "a\xff.example": "",
		"☃.example": "", "a\u200dü.example": "",
	} {
		if got, ok := toASCII(host); got != want || ok != (want != "") {
			t.Errorf("toASCII(%q) = %q, %t; want %q", host, got, ok, want)
		}
	}
	// Every letter that is encoded is one that golang.org/x/net/idna encodes alike.
	profile := idna.New(idna.MapForLookup(), idna.Transitional(false))
	letters := 0
	for r := rune(0x80); r <= unicode.MaxRune; r++ {
		got, ok := toASCII("x" + string(r) + string(r) + "y")
		if !ok {
			continue
		}
		letters++
		if want, err := profile.ToASCII("x" + string(r) + string(r) + "y"); err != nil || got != want {
			t.Errorf("toASCII(%q) = %q, want %q, %v", r, got, want, err)
		}
	}
	if letters < 30_000 {
		t.Errorf("only %d letters are encoded", letters)
	}
}

// FuzzToASCII compares whole labels.
func FuzzToASCII(f *testing.F) {
	for _, s := range []string{"bücher", "例え", "παράδειγμα", "Ünïcödé-ß", "aаa"} {
		f.Add(s)
	}
	profile := idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false))
	f.Fuzz(func(t *testing.T, s string) {
		if got, ok := toASCII(s); ok && !IsASCII(s) {
			if want, err := profile.ToASCII(s); err == nil && got != want {
				t.Errorf("toASCII(%q) = %q, want %q", s, got, want)
			}
		}
	})
}

// TestRegexesTried: of thousands of entries that may be meant to be regexes few are tried,
// because that takes much memory; all are refused.
func TestRegexesTried(t *testing.T) {
	m := newMender(true)
	tried := 0
	for range 50 {
		_, what, instead := diagnosePattern(`https://[a-z]+\.example\.com`, m)
		if what == "" {
			t.Fatal("it is taken for an origin")
		}
		if strings.HasSuffix(instead, `"}`) {
			tried++
		}
	}
	if tried != 5 {
		t.Errorf("%d were tried", tried)
	}
}
