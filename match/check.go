package match

import (
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/origin"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// A fault is what is wrong with an entry of a match. It is found without words for the
// entry itself, which most of a long list's faults don't need.
type fault struct {
	// what follows the entry in a message, or stands alone if the entry is empty.
	what string
	// instead is what to write if the entry can't be mended.
	instead string
}

// right is no fault.
var right fault

// ofHost says in words what is wrong with an entry of match.hosts, and what to write instead.
func (f fault) ofHost(host string) (kind problem.Kind, what, instead string) {
	what = f.what
	if host != "" {
		what = problem.Quote(host) + what
	}
	return problem.InvalidHost, what, mendHost(host, f.instead)
}

// ofPath says in words what is wrong with an entry of match.paths, and what to write instead.
func (f fault) ofPath(p Path) (kind problem.Kind, what, instead string) {
	what = f.what
	if p.Path != "" {
		what = "the path " + problem.Quote(p.Path) + what
	}
	return problem.InvalidPath, what, mendPath(p, f.instead)
}

// check finds what is wrong with a path.
func (p Path) check() fault {
	path := p.Path
	switch {
	case path == "":
		return fault{"the path is empty", `write a path such as "/v1", or leave out match.paths for every path`}
	case path[0] != '/':
		return fault{" doesn't begin with a slash", "write the path from the slash after the host on"}
	case strings.ContainsAny(path, "?#"):
		return fault{" has a query or a fragment, and paths are compared without", "write the path alone"}
	case strings.Contains(path, "*"):
		return fault{" has a wildcard, and paths have none", "write a prefix, which covers all below it"}
	case p.Prefix && strings.Count(strings.TrimSuffix(path, "/"), "/") > maxSegments:
		what := " has more than " + strconv.Itoa(maxSegments) + " segments, and a prefix may have no more"
		return fault{what, "shorten it"}
	case strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return fault{" has characters that no request has", "write them percent-encoded"}
	}
	return right
}

// doubtfulPath reports whether a path is right, and probably not what was meant.
func doubtfulPath(path string) bool {
	return strings.Contains(path, "{") || strings.Contains(path, "/.") && dotSegment(path) >= 0
}

// dotSegment is where the first "/." or "/.." of a path is, or -1.
func dotSegment(path string) int {
	for i := range len(path) {
		if rest := path[i:]; strings.HasPrefix(rest, "/.") {
			if segment, _, _ := strings.Cut(rest[1:], "/"); segment == "." || segment == ".." {
				return i
			}
		}
	}
	return -1
}

// A hostPattern is an entry of match.hosts.
type hostPattern struct {
	text       string // as it is compared: in lower case, without a dot at the host's end
	host       string // the text after "*.", with the port if there is one
	port       int    // or origin.NoPort
	subdomains bool
}

func (p hostPattern) hasPort() bool { return p.port != origin.NoPort }

// schemeOfPort is the scheme whose port the pattern has, although browsers leave it out;
// "" if it has another, or none.
func (p hostPattern) schemeOfPort() string {
	switch p.port {
	case 80:
		return "http"
	case 443:
		return "https"
	}
	return ""
}

// matchesHardly says what is doubtful about a pattern with the port of a scheme.
func (p hostPattern) matchesHardly(scheme string) (kind problem.Kind, what, instead string) {
	portless := p.text[:strings.LastIndexByte(p.text, ':')]
	return problem.NeverSent, problem.Quote(p.text) +
			" matches hardly any request, because browsers leave out the port of " + scheme,
		"write " + problem.Quote(portless) + ", which is for requests with a port and without"
}

// parseHost parses an entry of match.hosts, and finds what is wrong with it.
func parseHost(s string) (hostPattern, fault) {
	var p hostPattern
	p.text = strings.ToLower(s)
	p.host, p.subdomains = strings.CutPrefix(p.text, "*.")
	wildcard := p.text[:len(p.text)-len(p.host)]
	host, port, ok := origin.CutPort(p.host)
	p.port = port
	valid := origin.ValidHost("", host)
	if name, dot := strings.CutSuffix(host, "."); dot { // "api.example." is the same host
		p.host = name + p.host[len(host):]
		p.text, host = wildcard+p.host, name
	}
	ipv6 := origin.IPv6Problem(s)
	switch {
	case s == "":
		return p, fault{"is empty", `write a host such as "api.example.com"`}
	case !origin.IsASCII(s): // before lower case makes another letter of one
		return p, fault{
			" has characters outside ASCII, which browsers send as Punycode", `write the host's "xn--" form`,
		}
	case s == "*":
		return p, fault{" is not a host", "leave out match.hosts for every host"}
	case strings.Contains(s, "://"):
		return p, fault{" is a URL, and a host has no scheme", "write the host alone"}
	case strings.Contains(s, "/"):
		return p, fault{" has a path", "write the path in match.paths"}
	case ipv6 != "":
		return p, fault{ipv6, `write it as browsers do, such as "[::1]"`}
	case strings.Contains(host, "*"):
		return p, fault{" has a wildcard where none can stand", `write "*." before a domain, as in "*.example.com"`}
	case !ok:
		return p, fault{" has an invalid port", "write a number from 0 to 65535, or no port for every port"}
	case !valid:
		return p, fault{" is not a host", `write a host such as "api.example.com"`}
	case p.subdomains && labels(host) > origin.MaxDepth:
		return p, fault{" has too many labels", "shorten it"}
	case p.subdomains && (host[0] == '[' || origin.CanonicalIPv4(host)):
		return p, fault{" has a wildcard before an IP address", "write the address alone"}
	}
	return p, right
}

// labels is the number of labels of a host without a dot at its end.
func labels(host string) int { return strings.Count(host, ".") + 1 }
