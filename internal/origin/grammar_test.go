package origin

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The grammar of what an Origin header has of one origin (RFC 6454, section 7.1: scheme "://" host
// [ ":" port ]), as the URL standard's serializers write its parts. It is written as regular
// expressions, and by the standard library's addresses, and so has nothing of the parser.
var (
	grammar      = regexp.MustCompile(`\A([a-z][a-z0-9+.-]{0,63})://(.*?)(?::(0|[1-9][0-9]{0,4}))?\z`)
	domain       = regexp.MustCompile(`\A[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?\z`)
	opaque       = regexp.MustCompile(`\A[A-Za-z0-9._~!$&()+=%-]*\z`)
	number       = regexp.MustCompile(`(\A|\.)([0-9]+|0x[0-9a-f]*)\.?\z`)
	defaultPorts = map[string]string{"http": "80", "ws": "80", "https": "443", "wss": "443", "ftp": "21"}
)

// derives reports whether a text is of the grammar.
func derives(s string) bool {
	m := grammar.FindStringSubmatch(s)
	if m == nil {
		return false
	}
	scheme, host, port := m[1], m[2], m[3]
	defaultPort, special := defaultPorts[scheme]
	if n, _ := strconv.Atoi(port); n > 65535 || port != "" && (port == defaultPort || host == "") || len(host) > 254 {
		return false
	}
	switch inner, bracket := strings.CutPrefix(host, "["); {
	case bracket:
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return err == nil && addr.Is6() && addr.Zone() == "" && host == "["+written(addr)+"]"
	case !special:
		return opaque.MatchString(host)
	case number.MatchString(host):
		addr, err := netip.ParseAddr(host)
		return err == nil && addr.Is4() && addr.String() == host
	}
	return domain.MatchString(host)
}

// written is an IPv6 address in the URL standard's form, which has no IPv4 address in it.
func written(addr netip.Addr) string {
	if b := addr.As16(); addr.Is4In6() {
		return fmt.Sprintf("::ffff:%x:%x", int(b[12])<<8|int(b[13]), int(b[14])<<8|int(b[15]))
	}
	return addr.String()
}

// FuzzGrammar: the parser takes what is of the grammar, and nothing else; and reads of it what
// the grammar does.
func FuzzGrammar(f *testing.F) {
	for _, scheme := range []string{"http", "wss", "ftp", "safari-web-extension", "H", "a+b-c.d", "1a", ""} {
		f.Add(scheme, "app.example", ":8080")
	}
	for _, port := range []string{"", ":", ":80", ":443", ":080", ":65535", ":65536", ":x", ":0"} {
		f.Add("http", "app.example", port)
		f.Add("https", "", port)
		f.Add("app", "", port)
	}
	for _, host := range []string{
		"app.example.", ".", "a..b", "-", "a_b", "A", "1.2.3.4", "1.2.3", "0x7f.1", "a.0x", "0x.", "256.1.1.1",
		"01.1.1.1", "1.2.3.4.", "[::1]", "[::]", "[1::8]", "[1:0:0:4:0:0:0:8]", "[::ffff:1.2.3.4]", "[::ffff:102:304]",
		"[fe80::1%eth0]", "[1:2:3:4:5:6:7:8]", "[1:0:3:4:5:6:7:8]", "[1::3:4:5:6:7:8]", "[::0:1]", "[", "[]", "140BB581-1B1C",
		"a%20b", "a/", "a?", "a@b", "a,b", "a b", "é", "https://a.example:8443", strings.Repeat("a", 255),
	} {
		f.Add("https", host, "")
		f.Add("app", host, ":1")
	}
	for c := range rune(0x80) {
		f.Add("https", "a"+string(c)+"b", "")
		f.Add("app", "a"+string(c)+"b", "")
		f.Add("a"+string(c), "b", "")
	}
	f.Fuzz(func(t *testing.T, scheme, host, port string) {
		for _, s := range []string{scheme + "://" + host + port, scheme + ":" + host + port, host} {
			o, ok := parseOrigin(s)
			if want := derives(s); ok != want {
				t.Fatalf("%q is an origin: %t, by the grammar: %t", s, ok, want)
			}
			if !ok {
				continue
			}
			m := grammar.FindStringSubmatch(s)
			port, noPort := strconv.Itoa(o.port), o.port == NoPort
			if noPort {
				port = ""
			}
			if o.scheme != m[1] || o.host != m[2] || port != m[3] {
				t.Errorf("%q is read as %+v, by the grammar as %q", s, o, m[1:])
			}
		}
	})
}
