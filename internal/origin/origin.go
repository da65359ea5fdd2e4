package origin

import (
	"strconv"
	"strings"
)

// An origin is the tuple that a serialized origin stands for
// (https://html.spec.whatwg.org/multipage/browsers.html#concept-origin).
// Its strings are slices of the text that it was parsed from.
type origin struct {
	scheme string
	host   string // a domain, an IP address, IPv6 in brackets, or an opaque host, which may be empty
	port   int    // NoPort if the serialization has none
}

const (
	// NoPort is the port of what has none.
	NoPort  = -1
	anyPort = -2

	// MaxHost is the length of the longest host that DNS can resolve (RFC 1035, section 2.3.4),
	// with the trailing dot that browsers keep. Opaque hosts have the same limit: it
	// bounds the work, and what an answer repeats.
	MaxHost = 254
	// maxScheme is far above any scheme in use, and bounds the work.
	maxScheme = 64
	maxOrigin = maxScheme + len("://") + MaxHost + len(":65535")
)

// parseOrigin parses s as the serialization of a tuple origin, exactly as
// browsers write it (RFC 6454, section 6.2; Fetch, "Origin header"): lower case,
// no default port, no path, IP addresses in their shortest form. Whatever a
// browser can't have sent is not an origin.
//
// Only web pages have hosts of DNS. Apps and extensions have schemes of their own,
// whose hosts are opaque: "app://.", "file://",
// "safari-web-extension://140BB581-1B1C-4A5B-8C3D-0E9F7A6B5C4D".
func parseOrigin(s string) (o origin, ok bool) {
	if len(s) > maxOrigin {
		return origin{}, false
	}
	scheme, rest, found := strings.Cut(s, "://")
	if !found {
		return origin{}, false
	}
	return originOf(scheme, rest)
}

// originOf parses what stands before and after "://" in the serialization of an origin.
func originOf(scheme, rest string) (o origin, ok bool) {
	if !validScheme(scheme) {
		return origin{}, false
	}
	host, port, ok := CutPort(rest)
	if !ok || port != NoPort && (port == defaultPort(scheme) || host == "") || !ValidHost(scheme, host) {
		return origin{}, false
	}
	return origin{scheme, host, port}, true
}

// validScheme reports whether s is a scheme in lower case (RFC 3986, section 3.1).
func validScheme(s string) bool {
	if s == "" || len(s) > maxScheme || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := 1; i < len(s); i++ {
		c := s[i]
		if !isLower(c) && !isDigit(c) && c != '+' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// CutPort splits host[:port]. The port is canonical: no leading zero, at most 65535.
func CutPort(s string) (host string, port int, ok bool) {
	// Only an IPv6 address has colons of its own, and it ends with a bracket.
	i := strings.LastIndexByte(s, ':')
	if i < strings.IndexByte(s, ']') || i < 0 {
		return s, NoPort, true
	}
	port, ok = parseUint(s[i+1:], 65535)
	return s[:i], port, ok
}

// defaultPort is the port that a URL of this scheme leaves out
// (https://url.spec.whatwg.org/#special-scheme), or NoPort. It isn't inlined: the copies
// would add 5 kB to the module.
//
//go:noinline
func defaultPort(scheme string) int {
	switch scheme {
	case "http", "ws":
		return 80
	case "https", "wss":
		return 443
	case "ftp":
		return 21
	}
	return NoPort
}

// special reports whether URLs of a scheme have hosts of DNS
// (https://url.spec.whatwg.org/#special-scheme). It leaves out "file", whose origins
// browsers serialize with no host at all.
func special(scheme string) bool { return defaultPort(scheme) != NoPort }

// ValidHost reports whether s is a host as the URL standard serializes it:
// a domain of letters, digits, "-" and "_" (international names as Punycode),
// a dotted IPv4 address, or a bracketed IPv6 address. A domain may end with a dot:
// browsers send it, and it is another origin. Of a scheme that isn't special, it is an
// opaque host. Without a scheme a number may be a domain.
func ValidHost(scheme, s string) bool {
	if scheme != "" && !special(scheme) && !strings.HasPrefix(s, "[") {
		return validOpaqueHost(s)
	}
	if s == "" || len(s) > MaxHost {
		return false
	}
	if s[0] == '[' {
		return s[len(s)-1] == ']' && canonicalIPv6(s[1:len(s)-1])
	}
	label := 0 // the length of the label so far
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isLower(c) || isDigit(c) || c == '-' || c == '_':
			label++
		case c == '.' && label > 0:
			label = 0
		default:
			return false
		}
	}
	// Only in URLs of special schemes is a host that ends in a number an IPv4 address.
	if special(scheme) && endsInNumber(s) {
		return CanonicalIPv4(s)
	}
	return true
}

// validOpaqueHost reports whether s is an opaque host
// (https://url.spec.whatwg.org/#concept-opaque-host-parser), which may be empty and is
// kept as it is written. It leaves out what the standard allows and nobody has, but
// which would mean something in a header's list or to a reader of a log: commas,
// semicolons, asterisks, quotes, backquotes and braces.
func validOpaqueHost(s string) bool {
	if len(s) > MaxHost {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isLower(c|0x20) && !isDigit(c) && strings.IndexByte("-._~!$&()+=%", c) < 0 {
			return false
		}
	}
	return true
}

// endsInNumber implements https://url.spec.whatwg.org/#ends-in-a-number-checker:
// such a host is an IPv4 address, or no host at all.
func endsInNumber(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	if rest, hex := strings.CutPrefix(last, "0x"); hex {
		return strings.Trim(rest, "0123456789abcdef") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}

// CanonicalIPv4 reports whether s is four decimal numbers without leading zeros.
func CanonicalIPv4(s string) bool {
	for i := range 4 {
		part, rest, more := strings.Cut(s, ".")
		if _, ok := parseUint(part, 255); !ok || more != (i < 3) {
			return false
		}
		s = rest
	}
	return true
}

// canonicalIPv6 reports whether s is an IPv6 address as the URL standard writes it
// (https://url.spec.whatwg.org/#concept-ipv6-serializer).
func canonicalIPv6(s string) bool {
	pieces, ok := parseIPv6(s)
	if !ok {
		return false
	}
	var buf [maxIPv6]byte
	return string(appendIPv6(buf[:0], pieces)) == s
}

const maxIPv6 = len("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")

// parseIPv6 parses the colon-separated form of an IPv6 address, in any case and
// compressed or not. The form with a trailing IPv4 address is left out: no
// serialization has it.
func parseIPv6(s string) (pieces [8]uint16, ok bool) {
	gap := -1 // the index of the piece where "::" stands
	n := 0
	if strings.HasPrefix(s, "::") {
		gap, s = 0, s[2:]
	}
	for s != "" {
		if n == 8 {
			return pieces, false
		}
		i := 0
		for ; i < len(s) && s[i] != ':'; i++ {
			digit, ok := hexDigit(s[i])
			if !ok || i == 4 {
				return pieces, false
			}
			pieces[n] = pieces[n]<<4 | uint16(digit)
		}
		if i == 0 {
			return pieces, false
		}
		n++
		if i == len(s) {
			break
		}
		s = s[i+1:]
		switch {
		case s == "":
			return pieces, false
		case s[0] == ':' && gap >= 0:
			return pieces, false
		case s[0] == ':':
			gap, s = n, s[1:]
		}
	}
	if gap < 0 {
		return pieces, n == 8
	}
	if n == 8 {
		return pieces, false
	}
	copy(pieces[gap+8-n:], pieces[gap:n])
	clear(pieces[gap : gap+8-n])
	return pieces, true
}

// appendIPv6 appends the serialization of an IPv6 address to b: the first longest
// run of two or more zero pieces is compressed.
func appendIPv6(b []byte, pieces [8]uint16) []byte {
	start, end := -1, -1
	for i := 0; i < 8; i++ {
		j := i
		for j < 8 && pieces[j] == 0 {
			j++
		}
		if j-i > max(1, end-start) {
			start, end = i, j
		}
		i = j
	}
	for i := 0; i < 8; i++ {
		if i == start {
			b = append(b, "::"...)
			i = end
			if i == 8 {
				break
			}
		} else if i > 0 {
			b = append(b, ':')
		}
		b = strconv.AppendUint(b, uint64(pieces[i]), 16)
	}
	return b
}

// loopback reports whether a host is on the visitor's own machine, so that plain
// HTTP is as safe as HTTPS (https://w3c.github.io/webappsec-secure-contexts/#is-origin-trustworthy).
// "localhost." is, too.
func loopback(host string) bool {
	host = strings.TrimSuffix(host, ".")
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "[::1]" ||
		strings.HasPrefix(host, "127.") && CanonicalIPv4(host)
}

// Insecure reports whether anyone on the network can pose as a page of a serialized origin: it
// is plain http, and not of the visitor's own machine.
func Insecure(s string) bool {
	o, ok := parseOrigin(s)
	return ok && o.insecure()
}

func (o *origin) insecure() bool { return o.scheme == "http" && !loopback(o.host) }

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func hexDigit(c byte) (digit byte, ok bool) {
	switch {
	case isDigit(c):
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// parseUint parses a decimal number without leading zeros, at most limit.
func parseUint(s string, limit int) (n int, ok bool) {
	if s == "" || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return 0, false
		}
		if n = n*10 + int(s[i]-'0'); n > limit {
			return 0, false
		}
	}
	return n, true
}

// IsASCII reports whether s has no character outside ASCII.
func IsASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// labels is the number of labels of a host. A trailing dot counts as a label's end.
func labels(host string) int { return strings.Count(host, ".") + 1 }
