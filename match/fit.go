package match

import (
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/origin"
)

// Fit returns the most specific of the match's claims that cover a request. It says in
// plain steps, for people and tests, what [Table.Lookup] finds in one pass.
func (m Match) Fit(k Key) (best Claim, ok bool) {
	for c := range m.Claims() {
		if c.covers(k) && (!ok || c.Compare(best) > 0) {
			best, ok = c, true
		}
	}
	return best, ok
}

func (c Claim) covers(k Key) bool {
	if c.Route != "" {
		return c.Route == k.Route
	}
	path, _, _ := strings.Cut(k.Path, "?")
	return coversHost(c.Host, k.Host) && c.Path.covers(path)
}

// coversHost reports whether an entry of Hosts, "" for every host, covers an authority.
func coversHost(entry, authority string) bool {
	if entry == "" {
		return true
	}
	pattern, wrong := parseHost(entry)
	host, _, _ := origin.CutPort(strings.ToLower(authority))
	name := strings.TrimSuffix(host, ".")
	if pattern.hasPort() {
		name += strings.ToLower(authority)[len(host):]
	}
	if pattern.subdomains {
		return wrong == right && strings.HasSuffix(name, "."+pattern.host)
	}
	return wrong == right && name == pattern.host
}

func (p Path) covers(path string) bool {
	switch {
	case p == Path{}:
		return true
	case !p.Prefix:
		return path == p.Path
	}
	below, ok := strings.CutPrefix(path, p.Canonical().Path)
	return ok && strings.HasPrefix(path, "/") && (below == "" || below[0] == '/')
}

// Compare tells which of two claims that cover one request is the more specific: it is
// positive if c is, negative if other is. A route beats all; then an exact host, the
// longer wildcard, every host; then an exact path, the longer prefix, every path.
func (c Claim) Compare(other Claim) int {
	a, b := c.rank(), other.rank()
	return slices.Compare(a[:], b[:])
}

func (c Claim) rank() [6]int {
	pattern, _ := parseHost(c.Host)
	host, _, _ := origin.CutPort(pattern.host)
	number := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	given := c.Path != Path{}
	return [...]int{
		number(c.Route != ""),
		number(c.Host != "" && !pattern.subdomains),
		len(host), number(pattern.hasPort()), // "*.a.example:8443" before "*.a.example"
		number(given && !c.Path.Prefix), len(strings.TrimSuffix(c.Path.Path, "/")) + number(given),
	}
}
