package convert

import (
	"cmp"
	"regexp"
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
	// samples are hosts of the pattern where match.hosts can't say what it is.
	samples []string
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

// regexPattern is the hosts that a regex matches.
func regexPattern(at *document.Node, expr string) hostPattern {
	p := hostPattern{at: at, text: at.Text, samples: []string{"no-host.invalid"},
		matches: func(string) bool { return false }}
	if search, err := regexp.Compile(expr); err == nil {
		p.matches = search.MatchString
		samples := slices.DeleteFunc(hostsOfRegex(expr), func(host string) bool { return !p.matches(host) })
		if len(samples) > 0 {
			p.samples = samples
		}
	}
	return p
}

// places are the hosts of the table that stand for the pattern: itself, or samples of it.
func (p hostPattern) places() (list []routedHost) {
	host := routedHost{at: p.at, names: []string{p.text}}
	if p.samples == nil {
		list = []routedHost{host}
	}
	for _, host.sample = range p.samples {
		list = append(list, host)
	}
	if p.oneLabel {
		// The hosts that the filter takes for those of the pattern, and the proxy doesn't.
		domain := strings.TrimPrefix(p.text, "*.")
		host.names, host.sample = []string{"*.*." + domain}, "any-host.any-host."+domain
		list = append(list, host)
	}
	return list
}

// order tells which of two hosts is taken where the nearest is: one without a star, or the
// longer one.
func (p hostPattern) order() []int {
	if strings.HasPrefix(p.text, "*") {
		return []int{0, len(p.text)}
	}
	return []int{1, len(p.text)}
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
			for _, place := range host.places() {
				if key := place.names[0] + " " + place.sample; !known[key] {
					known[key] = true
					t.spreadAt(gateway, place, routes)
				}
			}
		}
	}
}

// spreadAt adds those of the routes to a host that are for it, as far as requests reach them.
func (t *routing) spreadAt(gateway string, place routedHost, routes []*spreadRoute) {
	sample := cmp.Or(place.sample, newDomain(place.at, place.names[0], false).sample)
	var own []*spreadRoute
	for _, r := range routes {
		if slices.ContainsFunc(r.hosts, func(host hostPattern) bool { return host.matches(sample) }) {
			own = append(own, r)
		}
	}
	depth, exceptions := 0, 0
	for _, r := range own {
		if exceptions += len(r.except); exceptions > maxExceptions {
			depth = maxNested
		}
	}
	var added []*envoyRoute
	for i, r := range withExceptions(own, depth) {
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
		t.route(gateway, r.of, []routedHost{place}, &one)
	}
}

// maxNested bounds how deep exceptions are in each other, and maxExceptions how many there
// are for a host.
const (
	maxNested     = 3
	maxExceptions = 8
)

// withExceptions are routes in an order in which those for paths that others are not for
// come before these.
func withExceptions(routes []*spreadRoute, depth int) (list []*spreadRoute) {
	for i, r := range routes {
		if len(r.except) > 0 && depth == maxNested {
			one := *r
			one.conditions = append(slices.Clone(r.conditions), "what a path isn't")
			list = append(list, &one)
			continue
		}
		for _, path := range r.except {
			var within []*spreadRoute
			for _, later := range routes[i+1:] {
				if both, ok := path.and(later.path); ok {
					one := *later
					one.path, one.original = both, cmp.Or(later.original, later)
					within = append(within, &one)
				}
			}
			list = append(list, withExceptions(within, depth+1)...)
		}
		list = append(list, r)
	}
	return list
}

// and is what two paths have in common; ok is false if that is nothing.
func (p envoyPath) and(other envoyPath) (both envoyPath, ok bool) {
	switch {
	case other.covers(p):
		return p, true
	case p.covers(other):
		return other, true
	case p.kind == regexPath:
		p.within = &other
		return p, true
	case other.kind == regexPath:
		other.within = &p
		return other, true
	}
	return p, false
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
