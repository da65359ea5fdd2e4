package convert

import (
	"cmp"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
)

// A spreadRoute is a route of a proxy that compares all of its routes with a request, and
// not only those of the virtual host that is nearest to it, as Envoy does.
type spreadRoute struct {
	envoyRoute
	of *resource
	// gateways are the entries of the proxy that have the route.
	gateways []string
	// hosts are those that the route is for; none are every host.
	hosts []hostPattern
	// order tells which route is tried first: that with the larger first number, or of
	// those that are equal there, with the larger second one, and so on.
	order []int
	// except are paths that the route isn't for, though its path is.
	except []envoyPath

	// reached tells that requests get to it, and earlier is the route that they take if not.
	reached bool
	earlier *envoyRoute
	// original is the route that it is a copy of, for a path.
	original *spreadRoute
}

// A hostPattern is the hosts that a route is for.
type hostPattern struct {
	at *document.Node
	// text is the pattern as in match.hosts, or as it is called in messages.
	text string
	// sample is a host of the pattern where match.hosts can't say what it is; otherwise "".
	sample string
	// oneLabel tells that a star stands for a single label.
	oneLabel bool
	// matches reports whether a host is one of the pattern's.
	matches func(host string) bool
}

// globPattern is a host, which a star may begin or end, or be. A star at the beginning
// stands for one label, or for any number of them.
func globPattern(at *document.Node, text string, oneLabel bool) hostPattern {
	text = strings.ToLower(text)
	p := hostPattern{at: at, text: text, oneLabel: oneLabel && strings.HasPrefix(text, "*.")}
	before, begins := strings.CutSuffix(text, "*")
	p.matches = func(host string) bool {
		switch after, ends := strings.CutPrefix(text, "*"); {
		case text == "*":
			return true
		case ends && strings.HasSuffix(host, after) && len(host) > len(after):
			return !p.oneLabel || !strings.Contains(host[:len(host)-len(after)], ".")
		case begins:
			return strings.HasPrefix(host, before)
		}
		return host == text
	}
	return p
}

// everyHostPattern is the pattern of a route that names no host.
func everyHostPattern(at *document.Node) hostPattern { return globPattern(at, "*", false) }

// host is the pattern as a host of the table.
func (p hostPattern) host() routedHost {
	return routedHost{at: p.at, names: []string{p.text}, sample: p.sample}
}

// sampleHost is a host of the pattern, and hardly of another.
func (p hostPattern) sampleHost() string {
	return cmp.Or(p.sample, newDomain(p.at, p.text, false).sample)
}

// order tells which of two hosts is taken where the nearest is: one without a star, or the
// longer one.
func (p hostPattern) order() []int {
	if strings.HasPrefix(p.text, "*") {
		return []int{0, len(p.text)}
	}
	return []int{1, len(p.text)}
}

// below is the pattern of the hosts that the filter takes for those of the pattern, and
// the proxy doesn't, because a star stands for one label there.
func (p hostPattern) below() hostPattern {
	domain := strings.TrimPrefix(p.text, "*.")
	return hostPattern{at: p.at, text: "*.*." + domain, sample: "any-host.any-host." + domain}
}

// spread adds routes to all hosts that they are for.
func (t *routing) spread(routes []*spreadRoute) {
	slices.SortStableFunc(routes, func(a, b *spreadRoute) int { return slices.Compare(b.order, a.order) })
	var gateways []string
	for _, r := range routes {
		if len(r.hosts) == 0 {
			r.hosts = []hostPattern{everyHostPattern(r.from)}
		}
		for _, gateway := range r.gateways {
			if !slices.Contains(gateways, gateway) {
				gateways = append(gateways, gateway)
			}
		}
	}
	if gateways == nil {
		gateways = []string{""}
	}
	for _, gateway := range gateways {
		var own []*spreadRoute
		for _, r := range routes {
			// What names no entry is for all.
			if len(r.gateways) == 0 || slices.Contains(r.gateways, gateway) {
				own = append(own, r)
			}
		}
		t.spreadOver(gateway, own)
	}
	for _, r := range routes {
		if !r.reached && r.earlier != nil && r.earlier.policy.key() != r.policy.key() {
			t.reader.unreachable(&r.envoyRoute, r.earlier)
		}
	}
}

// spreadOver adds the routes of a gateway.
func (t *routing) spreadOver(gateway string, routes []*spreadRoute) {
	known := map[string]bool{}
	for _, r := range routes {
		for _, host := range r.hosts {
			places := []hostPattern{host}
			if host.oneLabel {
				places = append(places, host.below())
			}
			for _, place := range places {
				if known[place.text] {
					continue
				}
				known[place.text] = true
				t.spreadAt(gateway, place, routes)
			}
		}
	}
}

// spreadAt adds those of the routes to a host that are for it, as far as requests reach them.
func (t *routing) spreadAt(gateway string, place hostPattern, routes []*spreadRoute) {
	sample := place.sampleHost()
	var own []*spreadRoute
	for _, r := range routes {
		if slices.ContainsFunc(r.hosts, func(host hostPattern) bool { return host.matches(sample) }) {
			own = append(own, r)
		}
	}
	var added []*envoyRoute
	for i, r := range withExceptions(own) {
		before := slices.IndexFunc(added, func(earlier *envoyRoute) bool {
			return len(earlier.conditions) == 0 && earlier.path.covers(r.path)
		})
		if before >= 0 {
			r.earlier = added[before]
			continue
		}
		cmp.Or(r.original, r).reached = true
		one := r.envoyRoute
		one.rank = i
		added = append(added, &one)
		t.route(gateway, r.of, []routedHost{place.host()}, &one)
	}
}

// withExceptions are routes in an order in which those for paths that others are not for
// come before these.
func withExceptions(routes []*spreadRoute) (list []*spreadRoute) {
	for i, r := range routes {
		for _, path := range r.except {
			for _, later := range routes[i+1:] {
				one := *later
				one.original = later
				switch {
				case later.path.covers(path):
					one.path = path
					list = append(list, &one)
				case path.covers(later.path):
					list = append(list, &one)
				}
			}
		}
		list = append(list, r)
	}
	return list
}

// unused says which policies nothing in the file uses. One alone, in a file that has
// nothing to use it, is for whatever it is used for.
func (c *conversion) unused(policies []*draft, alone bool, what, instead string) {
	for _, d := range policies {
		if alone && len(policies) == 1 {
			c.warn(d.from, what+quote(d.Name), "carried over for every host and path; "+instead)
			c.add(d)
			return
		}
		c.warn(d.from, what+quote(d.Name), "left out; "+instead)
	}
}
