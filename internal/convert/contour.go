package convert

import (
	"net/url"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
)

// fromContour reads the corsPolicy of HTTPProxies. It is one of a virtual host: whatever
// its routes match, and whoever they are delegated to, it is the same for all.
func fromContour(c *conversion, documents []*document.Node) {
	t := newRouting(c, "Contour", "give both the same corsPolicy", bySpecificity)
	first := map[string]*resource{}
	var routes []*spreadRoute
	for _, r := range resources(documents) {
		if !r.is("HTTPProxy", "projectcontour.io") {
			continue
		}
		host := r.Get("spec", "virtualhost")
		fqdn := host.Get("fqdn")
		if fqdn.String() == "" {
			if policy := host.Get("cors_policy"); given(policy) {
				c.found(policy, "of the HTTPProxy "+quote(r.name))
				c.warn(policy, "belongs to a virtual host without an fqdn, so the API server refuses it",
					"left out; write the fqdn beside it")
			}
			continue
		}
		policy := c.contourPolicy(r, host)
		if other := first[strings.ToLower(fqdn.Text)]; other != nil {
			c.warn(fqdn, "is the fqdn of the HTTPProxy in line "+line(other.Node)+
				" too, and Contour serves neither of two with the same", "left out for the other")
			continue
		}
		first[strings.ToLower(fqdn.Text)] = r
		pattern := globPattern(fqdn, fqdn.Text, true)
		routes = append(routes, &spreadRoute{of: r, hosts: []hostPattern{pattern}, order: pattern.order(),
			envoyRoute: envoyRoute{from: host, path: envoyPath{kind: everyPath}, policy: policy}})
	}
	t.spread(routes)
	t.addDrafts()
}

// contourPolicy reads the policy of a virtual host; it is nil if there is none.
func (c *conversion) contourPolicy(of *resource, host *document.Node) *draft {
	n := host.Get("cors_policy")
	if !c.object(n) {
		return nil
	}
	c.unknown(n, "Contour's CORSPolicy", "allow_credentials", "allow_origin", "allow_methods", "allow_headers",
		"expose_headers", "max_age", "allow_private_network")
	c.found(n, "of the HTTPProxy "+quote(of.name))
	d := newDraft(n, of.name, "")
	c.commonFields(d, func(field string) *document.Node { return n.Get(field) })
	if len(d.AllowMethods) == 0 {
		c.warn(n, "has no allowMethods, so Contour refuses it", "carried over without; GET, HEAD and POST are always allowed")
	}
	d.AllowPrivateNetwork = c.boolean(n.Get("allow_private_network"), false)
	d.ForwardUnmatchedPreflights = true // as Envoy's filter does, which Contour doesn't tell otherwise
	c.setDuration(d, n.Get("max_age"))
	for _, origin := range c.texts(n.Get("allow_origin")) {
		c.matchOrigin(d, origin, contourOrigin(origin.Text))
	}
	return d
}

// contourOrigin is what Contour takes an origin for: what isn't scheme://host[:port] is a
// regex of the whole origin.
func contourOrigin(text string) originMatcher {
	u, err := url.Parse(text)
	plain := strings.TrimSuffix(text, "/") // with one it would be a regex that matches none
	if text == "*" || err == nil && u.Scheme != "" && u.Host != "" && u.Scheme+"://"+u.Host == plain {
		return originMatcher{kind: exactMatcher, text: text, ignoreCase: true}
	}
	return originMatcher{kind: regexMatcher, text: text}
}
