package cors

import (
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/origin"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"

	"strconv"
	"strings"
)

// checkPath says what is wrong with a path, and what to write instead; what is empty if
// it is right.
func checkPath(m PathMatch) (what, instead string) {
	path := m.Path
	switch {
	case path == "":
		return "the path is empty", `write a path such as "/v1", or leave out match.paths for every path`
	case path[0] != '/':
		return "the path " + problem.Quote(path) + " doesn't begin with a slash", "write the path from the slash after the host on"
	case strings.ContainsAny(path, "?#"):
		return "the path " + problem.Quote(path) + " has a query or a fragment, and paths are compared without",
			"write the path alone"
	case strings.Contains(path, "*"):
		return "the path " + problem.Quote(path) + " has a wildcard, and paths have none", "write a prefix, which covers all below it"
	}
	if m.Prefix && strings.Count(trimSlash(path), "/") > maxSegments {
		return "the path " + problem.Quote(path) + " has more than " + strconv.Itoa(maxSegments) + " segments, and a prefix may have no more", "shorten it"
	}
	for i := 0; i < len(path); i++ {
		if path[i] <= ' ' || path[i] >= 0x7f {
			return "the path " + problem.Quote(path) + " has characters that no request has", "write them percent-encoded"
		}
	}
	return "", ""
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

type hostPattern struct {
	host       string // in lower case, without a dot at its end, with the port if it has one
	subdomains bool
	port       bool
}

// key is the pattern as it is compared with others, such as "*.example.com"; written is
// the entry.
func (p hostPattern) key(written string) string {
	switch {
	case !p.subdomains:
		return p.host
	case strings.HasSuffix(written, p.host):
		return written[len(written)-len(p.host)-len("*."):]
	}
	return "*." + p.host
}

// String is the pattern as it is best written.
func (p hostPattern) String() string {
	if p.subdomains {
		return "*." + p.host
	}
	return p.host
}

// defaultPort says what to write instead of a port that browsers leave out; what is
// empty if the pattern has none.
func (p hostPattern) defaultPort() (what, instead string) {
	host, port, _ := origin.CutPort(p.host)
	var scheme string
	switch port {
	case 80:
		scheme = "http"
	case 443:
		scheme = "https"
	default:
		return "", ""
	}
	what = problem.Quote(p.String()) + " matches hardly any request, because browsers leave out the port of " + scheme
	p.host = host
	return what, "write " + problem.Quote(p.String()) + ", which is for requests with a port and without"
}

// parseHostPattern parses an entry of match.hosts. If it is wrong, what says why and
// instead what to write; what is empty if it is right.
func parseHostPattern(s string) (p hostPattern, what, instead string) {
	p.host, p.subdomains = strings.CutPrefix(strings.ToLower(s), "*.")
	host, port, ok := origin.CutPort(p.host)
	p.port = port != origin.NoPort
	valid := origin.ValidHost("", host)
	name := strings.TrimSuffix(host, ".") // "api.example." is the same host
	if len(name) < len(host) {
		host, p.host = name, name+p.host[len(host):]
	}
	switch {
	case s == "":
		return p, "is empty", `write a host such as "api.example.com"`
	case !origin.IsASCII(s): // before lower case makes another letter of one
		return p, problem.Quote(s) + " has characters outside ASCII, which browsers send as Punycode", `write the host's "xn--" form`
	case s == "*":
		return p, `"*" is not a host`, "leave out match.hosts for every host"
	case strings.Contains(s, "://"):
		return p, problem.Quote(s) + " is a URL, and a host has no scheme", "write the host alone"
	case strings.Contains(s, "/"):
		return p, problem.Quote(s) + " has a path", "write the path in match.paths"
	case origin.IPv6Problem(s) != "":
		return p, problem.Quote(s) + origin.IPv6Problem(s), `write it as browsers do, such as "[::1]"`
	case strings.Contains(host, "*"):
		return p, problem.Quote(s) + " has a wildcard where none can stand", `write "*." before a domain, as in "*.example.com"`
	case !ok:
		return p, problem.Quote(s) + " has an invalid port", "write a number from 0 to 65535, or no port for every port"
	case !valid:
		return p, problem.Quote(s) + " is not a host", `write a host such as "api.example.com"`
	case p.subdomains && labels(host) > origin.MaxDepth:
		return p, problem.Quote(s) + " has too many labels", "shorten it"
	case p.subdomains && (host[0] == '[' || origin.CanonicalIPv4(host)):
		return p, problem.Quote(s) + " has a wildcard before an IP address", "write the address alone"
	}
	return p, "", ""
}

// labels is the number of labels of a host. A trailing dot counts as a label's end,
// as it does in the look-ups of origins; hosts of matches have none.
func labels(host string) int { return strings.Count(host, ".") + 1 }

// trimSlash is a prefix as prefixes are compared: a slash at its end makes no difference.
func trimSlash(path string) string { return strings.TrimSuffix(path, "/") }
