package cors

import (
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/origin"
)

// A Rule says to which requests a policy applies.
type Rule struct {
	// Name is what messages call the rule, such as "policies[2]".
	Name   string
	Match  Match
	Policy *Policy
	// Incomplete says that Match lacks something that couldn't be read: what is
	// there is checked, but it isn't said to conflict with other rules.
	Incomplete bool
}

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
	Paths []PathMatch
	// Routes are names of the proxy's routes.
	Routes []string
}

// A PathMatch matches a path, or all paths below it.
type PathMatch struct {
	// Path begins with a slash.
	Path string
	// Prefix matches the path itself and all below it: "/v1" covers "/v1" and
	// "/v1/x", and not "/v12". A slash at the end makes no difference.
	Prefix bool
}

// A Set finds the policy that applies to a request. It is immutable, and a
// look-up costs the same whatever the number of rules.
type Set struct {
	policies []*Policy

	routes map[string]number
	hosts  map[string]*hostTable // exact, in lower case, with or without a port
	// suffixes are the hosts after "*."; depths has bit n set where one has n labels.
	suffixes map[string]*hostTable
	depths   uint64
	ports    bool      // a host has a port
	every    hostTable // for every host

	byHost bool
	byPath bool
	// uniform makes the same decision as every policy for requests without an origin.
	uniform *Policy
}

// A number is a policy's index in the set plus one. Zero is no policy.
type number int32

// Policies are the policies of the set, in the order of the rules.
func (s *Set) Policies() []*Policy { return s.policies }

// A Key has what a policy is looked up by. Parts that the set doesn't use
// ([Set.ByRoute], [Set.ByHost], [Set.ByPath]) may be left out.
type Key struct {
	// Route is the name of the proxy's route, or "".
	Route string
	// Host is the request's authority.
	Host string
	// Path is the request's target, query included.
	Path string
}

// ByRoute reports whether a look-up depends on the route's name.
func (s *Set) ByRoute() bool { return len(s.routes) > 0 }

// ByHost reports whether a look-up depends on the host.
func (s *Set) ByHost() bool { return s.byHost }

// ByPath reports whether a look-up depends on the path.
func (s *Set) ByPath() bool { return s.byPath }

// WithoutOrigin is a policy that decides on every request without an origin as the
// one that applies to it would; nil if there is no such policy.
func (s *Set) WithoutOrigin() *Policy { return s.uniform }

func (s *Set) findUniform() {
	if s.every.own.any == 0 {
		return
	}
	for _, p := range s.policies {
		if len(s.policies) > 1 && (p.origins.Any() || p.keep || p.shadow) {
			return
		}
	}
	s.uniform = s.policies[s.every.own.any-1]
}

// Everywhere is the policy that applies to every request; nil if that depends on
// the request.
func (s *Set) Everywhere() *Policy {
	if len(s.policies) == 1 && s.every.own.any != 0 && len(s.routes) == 0 {
		return s.policies[0]
	}
	return nil
}

// Lookup returns the policy that applies to a request, nil if there is none: the
// policy of its route; or else of its host, of the longest wildcard over its host,
// of every host; and for each of these of its path, of the longest prefix, of every
// path.
func (s *Set) Lookup(k Key) *Policy {
	n := s.routes[k.Route]
	path, _, _ := strings.Cut(k.Path, "?")
	if n == 0 && s.byHost {
		n = s.lookupHost(k.Host, path)
	}
	if n == 0 {
		n = s.every.lookup(path)
	}
	if n == 0 {
		return nil
	}
	return s.policies[n-1]
}

// lookupHost returns the policy of the most specific host that has one for the path.
func (s *Set) lookupHost(authority, path string) number {
	var a authorityBuffer
	if !a.set(authority) {
		return 0
	}
	if n := s.lookupIn(s.hosts, &a, 0, path); n != 0 {
		return n
	}
	// From the left, so that the longest wildcard comes first.
	depth := 0
	for _, c := range a.host() {
		if c == '.' {
			depth++
		}
	}
	for i := 1; i < a.end && depth > 0; i++ {
		if a.bytes[i] != '.' {
			continue
		}
		if depth <= origin.MaxDepth && s.depths>>depth&1 != 0 {
			if n := s.lookupIn(s.suffixes, &a, i+1, path); n != 0 {
				return n
			}
		}
		depth--
	}
	return 0
}

// lookupIn looks an authority up, from an offset of its host on: as it is if it has a
// port, and without the port.
func (s *Set) lookupIn(hosts map[string]*hostTable, a *authorityBuffer, from int, path string) number {
	if s.ports && a.end < a.length {
		if n := hosts[string(a.bytes[from:a.length])].lookup(path); n != 0 {
			return n
		}
	}
	return hosts[string(a.bytes[from:a.end])].lookup(path)
}

// An authorityBuffer has an authority in the form in which hosts are compared: in lower
// case, and without a dot at the host's end, which names the same host (RFC 1034,
// section 3.1).
type authorityBuffer struct {
	bytes  [origin.MaxHost + len(":65535")]byte
	end    int // of the host
	length int // of host and port
}

// set takes an authority, and reports whether it can be that of a host.
func (a *authorityBuffer) set(authority string) bool {
	if len(authority) > len(a.bytes) {
		return false
	}
	end := len(authority) // of the host without its port
	for i := end - 1; i >= 0 && ('0' <= authority[i] && authority[i] <= '9' || authority[i] == ':'); i-- {
		if authority[i] == ':' {
			end = i
			break
		}
	}
	host, port := authority[:end], authority[end:]
	a.end = copy(a.bytes[:], strings.TrimSuffix(host, "."))
	for i, c := range a.host() {
		if 'A' <= c && c <= 'Z' {
			a.bytes[i] = c + ('a' - 'A')
		}
	}
	a.length = a.end + copy(a.bytes[a.end:], port)
	return true
}

func (a *authorityBuffer) host() []byte { return a.bytes[:a.end] }
