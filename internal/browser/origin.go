package browser

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// SerializeOrigin returns the serialized origin of a URL, as it stands in an
// Origin header: scheme, host and a port that is not the scheme's own, or null
// for a URL such as data:,x, whose origin is opaque.
//
// By the standard every origin of a scheme that it doesn't know is opaque. But
// where pages have such a URL at all, in an app or an extension, the browser
// treats the scheme as one of tuple origins and sends scheme and host: so they
// are serialized here.
//
// An error is a [problem.Problem].
//
// See https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin.
func SerializeOrigin(rawURL string) (string, error) {
	if inner, ok := strings.CutPrefix(rawURL, "blob:"); ok {
		return SerializeOrigin(inner)
	}
	u, ok := parseURL(rawURL)
	switch {
	case !ok:
		return "", problem.New(problem.InvalidValue, "", strconv.Quote(rawURL)+" is not a URL",
			"write scheme, host and path, such as https://api.example.com/v1")
	case !u.tuple:
		return "null", nil
	case !ascii(u.host):
		return "", problem.New(problem.NeverSent, "", "the host of "+strconv.Quote(rawURL)+" is not ASCII",
			"write it as a browser sends it, with xn--")
	case u.port == "":
		return u.scheme + "://" + u.host, nil
	}
	return u.scheme + "://" + u.host + ":" + u.port, nil
}

// SerializedOrigin reports whether s is what an Origin header has of one origin: null,
// or scheme, host and port as a browser writes them. A browser that gives files
// an origin, as it does on request, sends file://.
func SerializedOrigin(s string) bool {
	if s == "null" || s == "file://" {
		return true
	}
	serialized, err := SerializeOrigin(s)
	return err == nil && serialized == s
}

// SameOrigin reports whether a URL is of that origin, a serialized one. Nothing
// is of the origin null.
//
// See https://html.spec.whatwg.org/multipage/browsers.html#same-origin.
func SameOrigin(origin, rawURL string) bool {
	serialized, err := SerializeOrigin(rawURL)
	return err == nil && serialized != "null" && serialized == origin
}

// httpScheme reports whether a URL's scheme is an HTTP(S) scheme.
func httpScheme(rawURL string) bool {
	u, ok := parseURL(rawURL)
	return ok && (u.scheme == "http" || u.scheme == "https")
}

// A tupleURL is what of a URL makes its origin.
type tupleURL struct {
	scheme, host, port string
	tuple              bool   // The origin is a tuple of these, and not opaque.
	rest               string // What follows the port.
}

// defaultPorts are the ports of the special schemes but file.
//
// See https://url.spec.whatwg.org/#special-scheme.
var defaultPorts = map[string]string{"ftp": "21", "http": "80", "https": "443", "ws": "80", "wss": "443"}

var validScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*$`)

// withoutTabs removes what the parser ignores wherever it stands.
var withoutTabs = strings.NewReplacer("\t", "", "\n", "", "\r", "")

// parseURL is as much of the URL standard's parser as origins need. It is strict
// where that one is; of the mapping of host names to ASCII it does the case.
//
// See https://url.spec.whatwg.org/#concept-basic-url-parser.
func parseURL(s string) (u tupleURL, ok bool) {
	s = withoutTabs.Replace(strings.TrimFunc(s, func(r rune) bool { return r <= ' ' }))
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || !validScheme.MatchString(scheme) || !utf8.ValidString(s) {
		return u, false
	}
	u.scheme = asciiLower(scheme)
	defaultPort, special := defaultPorts[u.scheme]
	ends := `/\?#`
	switch {
	case special:
		rest = strings.TrimLeft(rest, `/\`)
	case strings.HasPrefix(rest, "//") && !slices.Contains(opaqueSchemes, u.scheme):
		rest, ends = rest[2:], `/?#`
	default:
		return u, true
	}
	u.tuple = true
	if end := strings.IndexAny(rest, ends); end >= 0 {
		rest, u.rest = rest[:end], rest[end:]
	}
	authority := rest
	rest = rest[strings.LastIndexByte(rest, '@')+1:] // Without user name and password.
	host, port := rest, ""
	if colon := strings.LastIndexByte(rest, ':'); colon > strings.LastIndexByte(rest, ']') {
		host, port = rest[:colon], rest[colon+1:]
	}
	if u.port, ok = parsePort(port, defaultPort); !ok {
		return u, false
	}
	if special || strings.HasPrefix(host, "[") {
		u.host, ok = parseHost(host)
		return u, ok
	}
	u.host, ok = parseOpaqueHost(host)
	return u, ok && (host != "" || authority == "")
}

// opaqueSchemes are those of URLs whose pages, if there are any, have no origin
// of their own in any browser.
var opaqueSchemes = []string{"about", "blob", "data", "file", "filesystem", "javascript", "mailto"}

// parseOpaqueHost is the opaque-host parser. It keeps the case.
//
// See https://url.spec.whatwg.org/#concept-opaque-host-parser.
func parseOpaqueHost(host string) (string, bool) {
	if strings.ContainsAny(host, "\x00\t\n\r #/:<>?@[\\]^|") {
		return "", false
	}
	return percentEncode(host, ""), true
}

// parsePort returns the port without leading zeros, and "" for the default port.
func parsePort(port, defaultPort string) (string, bool) {
	if port == "" {
		return "", true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", false
	}
	if port = strconv.FormatUint(n, 10); port == defaultPort {
		port = ""
	}
	return port, true
}

// parseHost is the host parser, for the host of a special URL.
//
// See https://url.spec.whatwg.org/#concept-host-parser.
func parseHost(host string) (string, bool) {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		if !ok || err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", false
		}
		return "[" + serializeIPv6(addr) + "]", true
	}
	host, err := url.PathUnescape(host)
	forbidden := func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`#/:<>?@[\]^|%`, r) }
	if err != nil || host == "" || !utf8.ValidString(host) || strings.ContainsFunc(host, forbidden) {
		return "", false
	}
	host = asciiLower(host)
	if addr, numeric, ok := parseIPv4(host); numeric {
		return addr, ok
	}
	return host, true
}

// serializeIPv6 differs from [netip.Addr.String] in that the standard knows no
// dots at the end.
func serializeIPv6(addr netip.Addr) string {
	if !addr.Is4In6() {
		return addr.String()
	}
	b := addr.As16()
	return fmt.Sprintf("::ffff:%x:%x", int(b[12])<<8|int(b[13]), int(b[14])<<8|int(b[15]))
}

// parseIPv4 is the IPv4 parser, for a host that ends in a number: 127.1 and
// 0x7f000001 are 127.0.0.1.
//
// See https://url.spec.whatwg.org/#concept-ipv4-parser.
func parseIPv4(host string) (addr string, numeric, ok bool) {
	parts := strings.Split(strings.TrimSuffix(host, "."), ".")
	last := parts[len(parts)-1]
	if _, isNumber := ipv4Number(last); !isNumber && (last == "" || strings.Trim(last, "0123456789") != "") {
		return "", false, false
	}
	if len(parts) > 4 {
		return "", true, false
	}
	var ip uint64
	for i, part := range parts {
		n, isNumber := ipv4Number(part)
		if !isNumber || i < len(parts)-1 && n > 255 || n >= 1<<(8*(5-len(parts))) && i == len(parts)-1 {
			return "", true, false
		}
		if i < len(parts)-1 {
			n <<= 8 * (3 - i)
		}
		ip += n
	}
	return netip.AddrFrom4([4]byte{byte(ip >> 24), byte(ip >> 16), byte(ip >> 8), byte(ip)}).String(), true, true
}

// ipv4Number parses a decimal, octal (0...) or hexadecimal (0x...) number.
func ipv4Number(s string) (uint64, bool) {
	base := 10
	switch {
	case strings.HasPrefix(s, "0x"):
		s, base = s[2:], 16
		if s == "" {
			return 0, true
		}
	case len(s) > 1 && s[0] == '0':
		s, base = s[1:], 8
	}
	n, err := strconv.ParseUint(s, base, 32)
	return n, err == nil
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}
