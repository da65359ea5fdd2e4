package cors

import (
	"cmp"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/origin"
)

// A Fit is how a [Match] covers a request: by its route's name, or by a host and a path.
type Fit struct {
	// Route is the route's name, or "".
	Route string
	// Host is the entry of Hosts that covers the host, as it is written; "" if every
	// host is covered.
	Host string
	// Path is the entry of Paths that covers the path; its Path is "" if every path is
	// covered.
	Path PathMatch
}

// Fit returns the most specific way in which the match covers a request. It says in
// plain steps, for people and tests, what [Set.Lookup] finds in one pass.
func (m Match) Fit(k Key) (best Fit, ok bool) {
	for _, route := range m.Routes {
		if route == k.Route && route != "" {
			return Fit{Route: route}, true
		}
	}
	if len(m.Routes) > 0 && len(m.Hosts) == 0 && len(m.Paths) == 0 {
		return Fit{}, false
	}
	hosts, paths := m.Hosts, m.Paths
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	if len(paths) == 0 {
		paths = []PathMatch{{}}
	}
	path, _, _ := strings.Cut(k.Path, "?")
	for _, host := range hosts {
		for _, p := range paths {
			f := Fit{Host: host, Path: p}
			if f.covers(k.Host, path) && (!ok || f.Compare(best) > 0) {
				best, ok = f, true
			}
		}
	}
	return best, ok
}

func (f Fit) covers(authority, path string) bool {
	if f.Host != "" {
		authority = strings.ToLower(authority)
		pattern, what, _ := parseHostPattern(f.Host)
		host, _, _ := origin.CutPort(authority)
		port := authority[len(host):]
		authority = strings.TrimSuffix(host, ".")
		switch {
		case what != "":
			return false
		case pattern.port:
			authority += port
		}
		if pattern.subdomains && !strings.HasSuffix(authority, "."+pattern.host) ||
			!pattern.subdomains && authority != pattern.host {
			return false
		}
	}
	below, isBelow := strings.CutPrefix(path, strings.TrimSuffix(f.Path.Path, "/"))
	switch {
	case f.Path.Path == "":
		return true
	case f.Path.Prefix:
		return strings.HasPrefix(path, "/") && isBelow && (below == "" || below[0] == '/')
	}
	return path == f.Path.Path
}

// Compare tells which of two fits of one request is the more specific: it is positive
// if f is, negative if g is. A route beats all; then an exact host, the longer
// wildcard, every host; then an exact path, the longer prefix, every path.
func (f Fit) Compare(g Fit) int {
	a, b := f.rank(), g.rank()
	for i := range a {
		if c := cmp.Compare(a[i], b[i]); c != 0 {
			return c
		}
	}
	return 0
}

func (f Fit) rank() [6]int {
	pattern, _, _ := parseHostPattern(f.Host)
	host, _, _ := origin.CutPort(pattern.host)
	path := strings.TrimSuffix(f.Path.Path, "/")
	exact := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return [6]int{
		exact(f.Route != ""),
		exact(f.Host != "" && !pattern.subdomains),
		len(host), exact(pattern.port), // "*.a.example:8443" before "*.a.example"
		exact(f.Path.Path != "" && !f.Path.Prefix), len(path) + exact(f.Path.Path != ""),
	}
}
