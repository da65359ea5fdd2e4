package origin

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
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

// diagnosePattern says what is wrong with an entry of allow_origins, and what to write
// instead; what is empty if it is right but for what credentials forbid.
func diagnosePattern(s string, m *mender) (kind problem.Kind, what, instead string) {
	p, ok := readPattern(s)
	switch {
	case !ok:
		d := diagnose(s)
		return cmp.Or(d.kind, problem.NotOrigin), d.of(s), d.suggest(m, maxMends)
	case p.tooDeep():
		return problem.TooLarge, problem.Quote(s) + " has more than " + strconv.Itoa(MaxDepth) + " labels", "shorten it"
	case p.overAddress():
		what = problem.Quote(s) + " has a wildcard before an IP address, which has no subdomains"
		return problem.WildcardMisplaced, what, m.mend(s, "write the address alone")
	}
	return 0, "", ""
}

// fits reports whether a pattern is one that a set can have.
func (p pattern) fits() bool { return !p.tooDeep() && !p.overAddress() }

// tooDeep reports whether a wildcard stands before more labels than are looked up.
func (p pattern) tooDeep() bool { return p.subdomains && labels(p.origin.host) > MaxDepth }

// overAddress reports whether a wildcard stands before an IP address.
func (p pattern) overAddress() bool {
	return p.subdomains && (strings.HasPrefix(p.origin.host, "[") || CanonicalIPv4(p.origin.host))
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
	rest, everyPort := strings.CutSuffix(rest, ":*")
	p.origin, ok = originOf(scheme, rest)
	// A wildcard needs something to stand at: an opaque host may be empty, and have
	// dots where no label is.
	if p.subdomains && strings.HasPrefix("."+p.origin.host+".", "..") || everyPort && p.origin.host == "" {
		ok = false
	}
	if everyPort {
		ok = ok && p.origin.port == NoPort
		p.origin.port = anyPort
	}
	return p, ok
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
		return problem.OtherOwners, problem.Quote(text) +
				" with allow_credentials trusts sites of different owners, because " + why,
			"list the origins, or the wildcard of a domain of your own"
	}
	return problem.PlainHTTP, problem.Quote(text) +
			" with allow_credentials trusts whoever is on the network between, because plain http can be forged",
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
	return p.origin.insecure()
}
