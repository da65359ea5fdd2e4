package cors

import (
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"

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

// parsePattern parses an entry of allow_origins of a policy that allows credentials, or
// doesn't. If it is wrong, what says why and instead what to write; what is empty if it
// is right but for what credentials forbid.
func parsePattern(s string, m *mender) (p pattern, kind problem.Kind, what, instead string) {
	p, ok := readPattern(s)
	switch {
	case !ok:
		kind, what, instead = m.diagnoseOrigin(s)
	case p.tooDeep():
		kind, what, instead = problem.TooLarge, problem.Quote(s)+" has more than "+strconv.Itoa(maxDepth)+" labels", "shorten it"
	case p.overAddress():
		kind, what = problem.WildcardMisplaced, problem.Quote(s)+" has a wildcard before an IP address, which has no subdomains"
		instead = m.mend(s, "write the address alone")
	}
	return p, kind, what, instead
}

// fits reports whether a pattern is one that a set can have.
func (p pattern) fits() bool { return !p.tooDeep() && !p.overAddress() }

// tooDeep reports whether a wildcard stands before more labels than are looked up.
func (p pattern) tooDeep() bool { return p.subdomains && labels(p.origin.host) > maxDepth }

// overAddress reports whether a wildcard stands before an IP address.
func (p pattern) overAddress() bool {
	return p.subdomains && (strings.HasPrefix(p.origin.host, "[") || canonicalIPv4(p.origin.host))
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
	// A wildcard needs something to stand at: an opaque host may be empty, and have
	// dots where no label is.
	if p.subdomains && strings.HasPrefix("."+p.origin.host+".", "..") || port == anyPort && p.origin.host == "" {
		ok = false
	}
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

// trustsStrangers reports whether a policy that allows credentials may not have the pattern.
func (p pattern) trustsStrangers() bool {
	return p.kind == anyPattern || p.kind == tuplePattern && (p.overPublicSuffix() || p.insecure())
}

// whyNot says why a policy that allows credentials may not have the pattern, and what
// to write instead.
func (p pattern) whyNot(text string) (kind problem.Kind, what, instead string) {
	switch {
	case p.kind == anyPattern:
		return problem.EverySite, `"*" with allow_credentials would let every site act as the visitor`,
			"list the origins, or leave out allow_credentials"
	case p.overPublicSuffix():
		why := p.origin.host + " is a public suffix"
		if !publicsuffix.Is(strings.TrimSuffix(p.origin.host, ".")) {
			why = "public suffixes lie below " + p.origin.host
		}
		return problem.OtherOwners, problem.Quote(text) + " with allow_credentials trusts sites of different owners, because " + why,
			"list the origins, or the wildcard of a domain of your own"
	}
	return problem.PlainHTTP, problem.Quote(text) + " with allow_credentials trusts whoever is on the network between, because plain http can be forged",
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
