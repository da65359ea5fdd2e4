// Package match finds what applies to a request: of values that are each for some
// routes, hosts and paths, the one that is for it in the most specific way.
//
// It is pure, and knows nothing of what the values are. A [Match] says what a value is
// for, and a [Builder] arranges matches and their values in a [Table]. It refuses
// matches that are wrong, and two that claim the same. [Match.Fit] says in plain steps
// what a look-up in the table finds in one pass.
package match

import (
	"iter"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// A Match selects requests. The zero value matches every request.
//
// Hosts and Paths must both match. A request also matches by its route's name
// alone; a match that has only Routes matches no other way.
type Match struct {
	// Hosts are compared with the request's authority, without regard to case and to one
	// dot at the end: "api.example.com", or "*.example.com" for its subdomains at any
	// depth. The authority's port counts only against a host with a port.
	Hosts []string
	// Paths are compared with the request's path up to "?".
	Paths []Path
	// Routes are names of the proxy's routes.
	Routes []string
}

// A Path matches a path, or all paths below it.
type Path struct {
	// Path begins with a slash.
	Path string
	// Prefix matches the path itself and all below it: "/v1" covers "/v1" and
	// "/v1/x", and not "/v12". A slash at the end makes no difference.
	Prefix bool
}

// A Key has what a request is matched by. Parts that a table doesn't use
// ([Table.ByRoute], [Table.ByHost], [Table.ByPath]) may be left out.
type Key struct {
	// Route is the name of the proxy's route, or "".
	Route string
	// Host is the request's authority.
	Host string
	// Path is the request's target, query included.
	Path string
}

// A Claim is one thing that a match is for: a route, or a path of a host. No two matches
// of a table may claim the same.
type Claim struct {
	// Route is the route's name, or "".
	Route string
	// Host is the entry of Hosts as it is written; "" is every host.
	Host string
	// Path is the entry of Paths as it is written; the zero one is every path.
	Path Path
}

// Problems is a list of what is wrong or doubtful with matches, for a [Builder] to report
// to.
type Problems = problem.List

// OnlyRoutes reports whether the match is for routes, and for nothing else.
func (m Match) OnlyRoutes() bool {
	return len(m.Routes) > 0 && len(m.Hosts) == 0 && len(m.Paths) == 0
}

// Claims are all that the match claims: its routes, and each path of each host. Their
// number is the product of the two lists, of which a [Builder] makes less.
func (m Match) Claims() iter.Seq[Claim] {
	return func(yield func(Claim) bool) {
		for _, route := range m.Routes {
			if route != "" && !yield(Claim{Route: route}) {
				return
			}
		}
		if m.OnlyRoutes() {
			return
		}
		for _, host := range orEvery(m.Hosts) {
			for _, path := range orEvery(m.Paths) {
				if !yield(Claim{Host: host, Path: path}) {
					return
				}
			}
		}
	}
}

// orEvery is a list, or one of the zero value, which stands for every host or path.
func orEvery[E any](list []E) []E {
	if len(list) == 0 {
		return make([]E, 1)
	}
	return list
}

// Canonical is the claim in the form in which claims are compared: the host in lower
// case and without a dot at its end, a prefix without a slash at its end.
func (c Claim) Canonical() Claim {
	host, _ := parseHost(c.Host)
	return Claim{c.Route, host.text, c.Path.Canonical()}
}

// Canonical is the path in the form in which paths are compared.
func (p Path) Canonical() Path {
	if p.Prefix {
		p.Path = strings.TrimSuffix(p.Path, "/")
	}
	return p
}

// String says in words what is claimed.
func (c Claim) String() string {
	if c.Route != "" {
		return "the route " + problem.Quote(c.Route)
	}
	host := "every host"
	if c.Host != "" {
		host = "the host " + c.Host
	}
	switch {
	case c.Path == Path{}:
		return host + " and every path"
	case c.Path.Prefix:
		return host + " and the paths below " + problem.Quote(c.Path.Path)
	}
	return host + " and the path " + problem.Quote(c.Path.Path)
}
