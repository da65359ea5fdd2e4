package cors

import (
	"regexp"
	"strings"
)

// origins is the compiled allow_origins: a set of origins in which a look-up
// costs the same for one entry as for a hundred thousand.
type origins struct {
	any  bool
	null bool
	// few has the exact origins if there are no more than fewOrigins, which are found
	// faster one by one than by their hashes; exact has them otherwise, from the
	// serialization to the one kept here.
	few     []string
	exact   map[string]string
	pattern map[patternKey]struct{}
	// depths has bit n set where a wildcard stands before a host of n labels, so
	// that only as many suffixes of a host are looked up as the wildcards need.
	depths  uint64
	anyPort bool // a pattern without wildcard host has any port
	regexps []*regexp.Regexp
}

// A patternKey finds a pattern with a wildcard.
type patternKey struct {
	scheme, host string
	port         int
	subdomains   bool
}

const fewOrigins = 4

// maxDepth bounds the labels after a wildcard, and so the look-ups for an origin.
const maxDepth = 63

// match reports whether the set has an origin, given its serialization. kept is
// the serialization in memory of the set, or "" if the set has none.
func (set *origins) match(s string) (kept string, reason Reason) {
	for _, kept := range set.few {
		if kept == s {
			return kept, Allowed
		}
	}
	if set.exact != nil {
		if kept, ok := set.exact[s]; ok {
			return kept, Allowed
		}
	}
	if s == "null" {
		if set.null || set.any {
			return "null", Allowed
		}
		return "", OriginNotAllowed
	}
	o, ok := parseOrigin(s)
	switch {
	case !ok:
		return "", OriginMalformed
	case set.any || set.matchPattern(o):
		return "", Allowed
	}
	for _, re := range set.regexps {
		if re.MatchString(s) {
			return "", Allowed
		}
	}
	return "", OriginNotAllowed
}

func (set *origins) matchPattern(o origin) bool {
	if set.anyPort && set.has(o, o.host, anyPort, false) {
		return true
	}
	// From the right, so that the hosts with the fewest labels come first, and a
	// hostile host of a hundred labels costs no more than the wildcards are deep.
	depths, i := set.depths, len(o.host)
	for n := 1; depths>>n != 0; n++ {
		i = strings.LastIndexByte(o.host[:i], '.')
		if i < 1 {
			return false
		}
		if depths>>n&1 == 0 {
			continue
		}
		if suffix := o.host[i+1:]; set.has(o, suffix, o.port, true) || set.has(o, suffix, anyPort, true) {
			return true
		}
	}
	return false
}

func (set *origins) has(o origin, host string, port int, subdomains bool) bool {
	_, ok := set.pattern[patternKey{o.scheme, host, port, subdomains}]
	return ok
}

func (set *origins) addPattern(p pattern) {
	if set.pattern == nil {
		set.pattern = map[patternKey]struct{}{}
	}
	set.pattern[patternKey{p.origin.scheme, p.origin.host, p.origin.port, p.subdomains}] = struct{}{}
	if p.subdomains {
		set.depths |= 1 << labels(p.origin.host)
	} else {
		set.anyPort = true
	}
}

// subsumed reports whether the set allows all that p allows by another pattern.
func (set *origins) subsumed(p pattern, s string) bool {
	if p.origin.port != anyPort && set.has(p.origin, p.origin.host, anyPort, p.subdomains) {
		return true
	}
	host := p.origin.host
	for {
		i := strings.IndexByte(host, '.')
		if i < 0 {
			break
		}
		host = host[i+1:]
		if set.has(p.origin, host, p.origin.port, true) || set.has(p.origin, host, anyPort, true) {
			return true
		}
	}
	if p.subdomains || p.origin.port == anyPort {
		return false
	}
	for _, re := range set.regexps {
		if re.MatchString(s) {
			return true
		}
	}
	return false
}
