package cors

import (
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/publicsuffix"
)

// A pattern is an entry of allow_origins: an origin, or a set of origins.
type pattern struct {
	kind patternKind
	// origin is the text's origin, without the wildcards: for https://*.a.example:*
	// the host is a.example and the port anyPort.
	origin     origin
	subdomains bool // the host's subdomains at any depth, and not the host itself
}

type patternKind uint8

const (
	tuplePattern patternKind = iota
	anyPattern               // *
	nullPattern              // null
)

// parsePattern parses an entry of allow_origins. If it is wrong, what says why
// and instead what to write; what is empty if it is right.
func parsePattern(s string) (p pattern, what, instead string) {
	p, ok := readPattern(s)
	switch {
	case !ok:
		what, instead = diagnoseOrigin(s)
	case p.tooDeep():
		what, instead = quote(s)+" has more than "+strconv.Itoa(maxDepth)+" labels", "shorten it"
	case p.overAddress():
		what, instead = quote(s)+" has a wildcard before an IP address, which has no subdomains", "write the address alone"
	}
	return p, what, instead
}

// fits reports whether a pattern is one that a set can have.
func (p pattern) fits() bool { return !p.tooDeep() && !p.overAddress() }

// tooDeep reports whether a wildcard stands before more labels than are looked up.
func (p pattern) tooDeep() bool { return p.subdomains && labels(p.origin.host) > maxDepth }

// overAddress reports whether a wildcard stands before an IP address.
func (p pattern) overAddress() bool {
	return p.subdomains && (p.origin.host[0] == '[' || canonicalIPv4(p.origin.host))
}

func readPattern(s string) (p pattern, ok bool) {
	switch s {
	case "*":
		return pattern{kind: anyPattern}, true
	case "null":
		return pattern{kind: nullPattern}, true
	}
	scheme, rest, found := strings.Cut(s, "://")
	if !found {
		return p, false
	}
	rest, p.subdomains = strings.CutPrefix(rest, "*.")
	rest, port := cutAnyPort(rest)
	p.origin, ok = originOf(scheme, rest)
	if port == anyPort {
		ok = ok && p.origin.port == noPort
		p.origin.port = anyPort
	}
	return p, ok
}

func cutAnyPort(s string) (rest string, port int) {
	if rest, found := strings.CutSuffix(s, ":*"); found {
		return rest, anyPort
	}
	return s, noPort
}

// diagnoseOrigin says what is wrong with an entry of allow_origins that isn't right,
// and what to write instead; an origin that it names is right.
func diagnoseOrigin(s string) (what, instead string) {
	what, mended, instead := diagnose(s)
	for range 5 {
		if mended == "" {
			break
		}
		if _, ok := readPattern(mended); ok {
			return what, "write " + quote(mended)
		}
		_, mended, instead = diagnose(mended)
	}
	if mended != "" || instead == "" {
		instead = `write an origin, such as "https://app.example"`
	}
	return what, instead
}

// diagnose says what is wrong with an entry of allow_origins that isn't right, and
// either the entry mended, which may have something else wrong with it, or what to
// do instead.
func diagnose(s string) (what, mended, instead string) {
	switch {
	case s == "":
		return "is empty", "", `write an origin, such as "https://app.example"`
	case strings.TrimSpace(s) != s:
		return quote(s) + " has white space around it", strings.TrimSpace(s), ""
	case strings.Contains(s, ","):
		return quote(s) + " is a list in one string", "", "write each origin as a string of its own"
	case strings.ContainsAny(s, ";|"):
		return quote(s) + " is a list in one string", "", "write each origin as a string of its own"
	case strings.ContainsAny(s, " \t\r\n"):
		return quote(s) + " contains white space", "", "write each origin as a string of its own, without spaces"
	}
	scheme, rest, found := strings.Cut(s, "://")
	switch {
	case !found && strings.EqualFold(s, "null"):
		return quote(s) + ` is not an origin`, "", `write "null"`
	case !found && strings.Contains(s, ":/"):
		return quote(s) + " has one slash where two should stand", strings.Replace(s, ":/", "://", 1), ""
	case !found && strings.HasPrefix(s, "//"):
		return quote(s) + " has no scheme", withoutPath("https:" + s), ""
	case !found:
		return quote(s) + " has no scheme", withoutPath("https://" + strings.TrimPrefix(strings.TrimPrefix(s, "http:"), "https:")), ""
	case strings.Contains(scheme, "*"):
		return quote(s) + " has a wildcard in its scheme", "", "write one entry for each scheme"
	case validScheme(strings.ToLower(scheme)) && strings.ToLower(s) != s:
		return quote(s) + " has upper-case letters, which browsers never send in an origin",
			strings.ToLower(withoutPath(s)), ""
	case !validScheme(scheme):
		return quote(s) + " has an invalid scheme", "", `write a scheme such as "https"`
	case scheme == "file":
		return quote(s) + ` is not an origin: pages opened from a file have the origin "null"`,
			"", `serve the pages over HTTP, or write "null"`
	case rest == "":
		return quote(s) + " has no host", s + "app.example", ""
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		return quote(s) + " has " + map[byte]string{'/': "a path", '?': "a query", '#': "a fragment"}[rest[i]] +
				slashOnly(rest[i:]) + ", and an origin is only scheme, host and port",
			withoutPath(s), ""
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		return quote(s) + " has user information, which an origin never has", scheme + "://" + rest[i+1:], ""
	}
	if inner := strings.TrimSuffix(strings.TrimPrefix(rest, "*."), ":*"); strings.Contains(inner, "*") {
		return quote(s) + " has a wildcard where none can stand",
			"", `write "scheme://*.host" for all subdomains, "scheme://host:*" for all ports, or {"regex": "…"}`
	}
	return diagnoseHost(s, scheme, rest)
}

// withoutPath is the part of a URL before its path, query and fragment.
func withoutPath(s string) string {
	scheme, rest, _ := strings.Cut(s, "://")
	return scheme + "://" + before(rest, "/?#")
}

// before is the part of s before the first of the characters.
func before(s, characters string) string {
	if i := strings.IndexAny(s, characters); i >= 0 {
		return s[:i]
	}
	return s
}

func slashOnly(path string) string {
	if path == "/" {
		return " (a trailing slash)"
	}
	return ""
}

// diagnoseHost says what is wrong with host[:port].
func diagnoseHost(s, scheme, rest string) (what, mended, instead string) {
	bare := strings.TrimSuffix(rest, ":*")
	if strings.Count(bare, ":") > 1 {
		address := strings.Trim(bare, "[]")
		tail := ""
		if i := strings.LastIndex(bare, "]:"); i >= 0 {
			address, tail = strings.Trim(bare[:i], "[]"), bare[i+1:]
		}
		pieces, ok := parseIPv6(address)
		if !ok {
			return quote(s) + " has an invalid IPv6 address", "", `write it as browsers do, such as "http://[::1]:8080"`
		}
		short := string(appendIPv6(nil, pieces))
		if tail += rest[len(bare):]; strings.TrimPrefix(tail, ":") == strconv.Itoa(defaultPort(scheme)) {
			tail = ""
		}
		problem := " has an IPv6 address without brackets"
		switch {
		case bare[0] == '[' && address == short:
			tail = ""
			problem = " has a port that is out of range, or the scheme's default, which browsers leave out"
		case bare[0] == '[':
			problem = " has an IPv6 address that isn't in its shortest form, in which browsers send it"
		}
		return quote(s) + problem, scheme + "://[" + short + "]" + tail, ""
	}
	host, port, hasPort := strings.Cut(bare, ":")
	if hasPort {
		n, ok := parseUint(port, 65535)
		switch {
		case !ok:
			return quote(s) + " has an invalid port", "", `write a number from 0 to 65535, or "*"`
		case n == defaultPort(scheme):
			return quote(s) + " has the default port of its scheme, which browsers leave out",
				scheme + "://" + host, ""
		}
	}
	switch {
	case host == "":
		return quote(s) + " has no host", scheme + "://app.example", ""
	case len(host) > maxHost:
		return "the host is longer than the " + strconv.Itoa(maxHost) + " characters that DNS allows", "", "shorten it"
	case endsInNumber(host):
		return quote(s) + " has an invalid IPv4 address", "", `write four numbers from 0 to 255, such as "http://192.0.2.1"`
	case !isASCII(host):
		return quote(s) + " has characters outside ASCII, which browsers send as Punycode", "", `write the host's "xn--" form`
	}
	return quote(s) + " has an invalid host", "", "write letters, digits, hyphens and dots"
}

// trustsStrangers reports whether a policy that allows credentials may not have the pattern.
func (p pattern) trustsStrangers() bool {
	return p.kind == anyPattern || p.kind == tuplePattern && (p.overPublicSuffix() || p.insecure())
}

// whyNot says why a policy that allows credentials may not have the pattern, and what
// to write instead.
func (p pattern) whyNot(text string) (what, instead string) {
	switch {
	case p.kind == anyPattern:
		return `"*" with allow_credentials would let every site act as the visitor`,
			"list the origins, or leave out allow_credentials"
	case p.overPublicSuffix():
		why := p.origin.host + " is a public suffix"
		if !publicsuffix.Is(strings.TrimSuffix(p.origin.host, ".")) {
			why = "public suffixes lie below " + p.origin.host
		}
		return quote(text) + " with allow_credentials trusts sites of different owners, because " + why,
			"list the origins, or the wildcard of a domain of your own"
	}
	return quote(text) + " with allow_credentials trusts whoever is on the network between, because plain http can be forged",
		"have the pages served over https, or leave out allow_credentials"
}

// owned reports whether all names below a domain have one owner. Of co.uk, github.io and
// amazonaws.com, below which s3.amazonaws.com lies, anyone can have some.
func owned(domain string) bool {
	domain = strings.TrimSuffix(domain, ".")
	switch domain {
	case "test", "example", "invalid", "internal":
		return true // nobody can register such a name (RFC 2606, RFC 6761, ICANN's .internal)
	}
	return loopback(domain) || !publicsuffix.Is(domain) && !publicsuffix.Over(domain)
}

// overPublicSuffix reports whether a wildcard spans sites of different owners,
// such as https://*.co.uk or https://*.github.io.
func (p pattern) overPublicSuffix() bool {
	return p.subdomains && !owned(p.origin.host)
}

// insecure reports whether the pattern allows an origin that anyone on the
// network can speak for.
func (p pattern) insecure() bool {
	return p.origin.scheme == "http" && !loopback(p.origin.host)
}
