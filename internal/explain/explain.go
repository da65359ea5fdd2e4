// Package explain says what the filter and a browser make of a request, and why.
//
// It asks the engine that the filter runs for the answers, and the model of the
// browser, package browser, for the verdict on them; it decides nothing itself.
package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/capture"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A Choice is a policy, and whether it applies to a request.
type Choice struct {
	// Path is the policy's place, such as "policies[2]"; "" if the configuration is one policy.
	Path string `json:"path"`
	Name string `json:"name,omitempty"`
	// Offset is where in the configuration it stands.
	Offset int `json:"-"`
	// Applies tells whether it is the one that applies; Matches, whether it would if
	// there were no other.
	Applies bool `json:"applies"`
	Matches bool `json:"matches"`
	// Why says by what it matches, and why it is less specific than the one that applies.
	Why string `json:"why"`
}

// An Explanation is what the filter and a browser make of a request, and why.
type Explanation struct {
	*Exchange
	// Lookup is the look-up of the origin; nil if there is nothing to say of one.
	Lookup *Lookup
	// Request is the request, normalized as a browser does.
	Request browser.Request
	// Choices are the policies: the one that applies, those that match as well, and
	// the rest in the configuration's order.
	Choices []Choice
	// Changes are the smallest change of the policy that would allow the request;
	// none if it is allowed.
	Changes []Change
	// Typed is what the filter makes of the request with the origin as it was written, if
	// no browser sends it so; or "".
	Typed string
	// Hints are what the policy's author should know besides.
	Hints []string

	result   cors.LookupResult // of the look-up
	upstream Upstream
}

// A Proxy is the filter and what is behind it, and the browser before it.
type Proxy struct {
	// Policies are those of the filter.
	Policies []config.Policy
	// Waiting tells that the filter has no policies, and waits for those of its policy source.
	Waiting  bool
	Upstream Upstream
	// Cache is what the browser remembers of preflights; nil for a browser that has just
	// been started.
	Cache *browser.PreflightCache
}

// Explain is [Proxy.Explain] with an upstream that knows nothing of CORS.
func Explain(policies []config.Policy, r browser.Request, route string, lookup cors.LookupResult) *Explanation {
	return (&Proxy{Policies: policies}).Explain(r, route, lookup)
}

// Explain explains a request to the proxy. Lookup is what a look-up of the origin comes to,
// where there is one; if it isn't known, it is taken to say no.
func (p *Proxy) Explain(r browser.Request, route string, lookup cors.LookupResult) *Explanation {
	e := &Explanation{Request: r, result: cmp.Or(lookup, cors.LookupDenies), upstream: p.Upstream}
	typed := e.normalize()
	key := Key(r.URL, route)
	choices, written, policy := choose(p.Policies, key)
	if p.Waiting {
		policy = cors.Closed(cors.NotArrived)
	}
	if p.Cache != nil && len(e.Request.PreflightReasons()) > 0 {
		e.Request.PreflightCached = p.Cache.Covers(e.Request)
	}
	e.Choices, e.Exchange = choices, p.Upstream.Run(policy, e.Request, e.result)
	if p.Cache != nil && e.Preflight != nil && (e.Blocked == nil || !e.Blocked.Preflight) {
		p.Cache.Store(e.Request, e.Preflight.Headers)
	}
	e.lookUp(written, key, lookup)
	switch {
	case e.Blocked == nil:
	case p.Upstream.Bare:
		e.Changes = []Change{{Edit: "put the filter before the upstream, or have the upstream answer otherwise"}}
	case p.Waiting:
		e.Changes = []Change{{Edit: "see that the policy source answers with a document that is valid, " +
			"or write policies beside it, which serve until then"}}
	case len(p.Policies) == 0:
		e.Changes = []Change{{Edit: "no policy can allow it: the filter isn't there"}}
	default:
		e.change(p.Policies, written, key)
	}
	if r.ByHand {
		e.Changes = append(e.Changes, Change{Edit: noPreflight})
	}
	e.asTyped(typed)
	e.hint(written)
	return e
}

// noPreflight is why an OPTIONS request of somebody who probes isn't what was meant.
const noPreflight = "OPTIONS without Access-Control-Request-Method is no preflight, but a request like any other, " +
	"which the filter forwards; to ask as a browser does, give the page's method instead of OPTIONS, such as PUT, " +
	"or with it the header Access-Control-Request-Method: PUT"

// WithoutOrigin explains a request that has no Origin header, because no page makes it
// or because it is not for another origin: no browser decides on its answer.
func WithoutOrigin(policies []config.Policy, r browser.Request, route string) *Explanation {
	choices, _, policy := choose(policies, Key(r.URL, route))
	actual, decision := Upstream{}.through(policy, r.Method, r.Headers, cors.NotLookedUp)
	return &Explanation{
		Exchange: &Exchange{Policy: policy, Actual: actual, ActualDecision: decision}, Request: r, Choices: choices,
	}
}

// Because is why the browser blocks the request: the filter's reason where it has one,
// because that is the cause of what the browser misses.
func (e *Explanation) Because() string {
	if d := e.Decision(); d != nil && !d.Allowed() {
		return d.Why()
	}
	return e.Blocked.Error()
}

// choose finds the policy that applies, and says so of each.
func choose(policies []config.Policy, key match.Key) (choices []Choice, applies *config.Policy, policy *cors.Policy) {
	type matching struct {
		Choice
		written *config.Policy
		fit     match.Claim
	}
	var matches []matching
	var others []Choice
	for i := range policies {
		r := &policies[i]
		c := Choice{Path: r.Path, Name: r.Config.Name, Offset: r.Offset}
		if fit, ok := r.Match.Fit(key); ok {
			matches = append(matches, matching{c, r, fit})
			continue
		}
		c.Why = noMatch(r.Match, key)
		others = append(others, c)
	}
	if len(matches) == 0 {
		return others, nil, nil
	}
	slices.SortStableFunc(matches, func(a, b matching) int { return b.fit.Compare(a.fit) })
	best := matches[0]
	for i, m := range matches {
		m.Applies, m.Matches, m.Why = i == 0, true, "it matches "+inWords(m.fit)
		if i > 0 {
			m.Why += ", and " + lessSpecific(best.fit, m.fit)
		}
		choices = append(choices, m.Choice)
	}
	policy, _ = cors.Compile(best.written.Config) // it is valid
	return append(choices, others...), best.written, policy
}

// inWords says what of a match covers a request.
func inWords(f match.Claim) string {
	if f.Route != "" {
		return "the route " + f.Route
	}
	host, path := "every host", "every path"
	if f.Host != "" {
		host = "the host " + f.Host
	}
	switch {
	case f.Path.Path == "":
	case f.Path.Prefix:
		path = "the prefix " + f.Path.Path
	default:
		path = "the exact path " + f.Path.Path
	}
	return host + " and " + path
}

// lessSpecific says why the second of two fits is the less specific one.
func lessSpecific(best, f match.Claim) string {
	switch {
	case best.Route != "":
		return "a match by route comes before all others"
	case best.Host != f.Host && f.Host == "":
		return "a host is more specific than every host"
	case best.Host != f.Host && len(best.Host) > 0 && best.Host[0] != '*' && f.Host[0] == '*':
		return "an exact host is more specific than a wildcard"
	case best.Host != f.Host:
		return best.Host + " is more specific"
	case f.Path.Path == "":
		return "a path is more specific than every path"
	case !best.Path.Prefix:
		return "an exact path is more specific than a prefix"
	}
	return "the longer prefix is more specific"
}

// noMatch says what of a match doesn't cover a request.
func noMatch(m match.Match, key match.Key) string {
	only := m.OnlyRoutes()
	switch _, byHost := (match.Match{Hosts: m.Hosts}).Fit(key); {
	case only && key.Route == "":
		return "it is for routes, and no route is given"
	case only:
		return "it isn't for the route " + key.Route
	case !byHost && key.Host == "":
		return "it is for hosts, and no URL is given"
	case !byHost:
		return "it isn't for the host " + key.Host
	}
	return "it isn't for the path " + capture.MaskPath(pathOf(key))
}

// hint adds what isn't in the verdict, and matters.
func (e *Explanation) hint(written *config.Policy) {
	r := e.Request
	upstreamCounts := "what the upstream answers counts"
	if !e.upstream.answers() {
		upstreamCounts += ", and is taken to have no CORS headers"
	}
	add := func(format string, args ...any) { e.Hints = append(e.Hints, fmt.Sprintf(format, args...)) }
	if !r.CORS() {
		switch {
		case e.Blocked != nil: // It isn't sent, and the verdict says why.
		case r.Mode == browser.ModeNoCORS:
			add("the request's mode is no-cors: nothing is blocked, and the page can't read the answer")
		case r.Mode == "navigate":
			add("a navigation: CORS has no say")
		case r.URL != "" && browser.SameOrigin(r.Origin, r.URL):
			add("the page and the URL have the same origin, so CORS has no say")
		default:
			add("the request's mode is %s, so CORS has no say", r.Mode)
		}
		return
	}
	if e.Actual == nil && e.Preflight == nil {
		return // The browser never sends it, whatever the policy says.
	}
	switch {
	case written == nil && e.Policy != nil:
		return // it waits for policies, and says so
	case e.upstream.Bare:
		return // there is no filter
	case written == nil:
		add("no policy applies, so that the filter does nothing: %s", upstreamCounts)
		return
	}
	c := written.Config
	e.grpcWeb(c)
	switch {
	case c.Off:
		add("the policy is off, and the filter does nothing: %s", upstreamCounts)
	case c.Shadow:
		add("the policy is in shadow mode, and changes nothing: %s", upstreamCounts)
	case e.Preflight != nil && e.Preflight.Forwarded && !e.upstream.answers():
		add("the preflight is forwarded to the upstream, whose answer is taken to be a 200 without CORS headers")
	}
	if c.KeepUpstreamHeaders {
		add("an answer in which the upstream sends an Access-Control-Allow-Origin of its own is left alone")
	}
	if e.Blocked == nil && e.Preflight != nil {
		add("%s", remembered(e.Preflight.Headers))
	}
	if upper := strings.ToUpper(r.Method); upper != r.Method && e.Preflight != nil {
		add("methods compare by case: if the page means %s, it must write it so", upper)
	}
}

// remembered says how long a browser remembers a preflight.
func remembered(headers [][2]string) string {
	seconds := browser.MaxAge(headers)
	s := "the browser remembers the preflight's answer for " + strconv.Itoa(seconds) + " seconds"
	switch {
	case seconds > cors.ChromiumMaxAge:
		return s + ", Chromium for " + strconv.Itoa(cors.ChromiumMaxAge)
	case !slices.ContainsFunc(headers, func(h [2]string) bool { return h[0] == "access-control-max-age" }):
		return s + ", as there is no max_age"
	}
	return s
}
