package explain

import (
	"cmp"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// An Answer is the answer to a preflight or to an actual request, as far as CORS is
// concerned.
type Answer struct {
	// Forwarded tells that the request reaches the upstream.
	Forwarded bool `json:"forwarded"`
	// Response has the lines of the upstream's answer as the filter leaves them, or those
	// that the filter answers with. Names are in lower case.
	browser.Response

	bare bool
}

// An Upstream is what answers behind the filter. The zero value answers with 200, and
// without headers that CORS depends on.
type Upstream struct {
	// Actual is its answer to an actual request, and Preflight that to a preflight that
	// reaches it. A status of 0 is 200.
	Actual, Preflight browser.Response
	// Bare tells that there is no Envoy before it.
	Bare bool
}

// answers reports whether the upstream answers otherwise than the zero value does.
func (u Upstream) answers() bool { return len(u.Actual.Headers)+len(u.Preflight.Headers) > 0 }

// allowsOrigin reports whether the answer to an actual request allows an origin, so that a
// policy may have it left alone.
func (u Upstream) allowsOrigin() bool {
	return slices.ContainsFunc(u.Actual.Headers, func(h [2]string) bool {
		return strings.EqualFold(h[0], "Access-Control-Allow-Origin")
	})
}

// answer is the upstream's answer to a request with these lines, before the filter sees it.
func (u Upstream) answer(method string, lines [][2]string) *Answer {
	from := u.Actual
	if r := request(method, lines); r.Preflight() {
		from = u.Preflight
	}
	a := &Answer{Forwarded: true, bare: u.Bare,
		Response: browser.Response{Status: cmp.Or(from.Status, 200), Headers: [][2]string{}}}
	for _, h := range from.Headers {
		a.AddResponseHeader(strings.ToLower(h[0]), strings.Trim(h[1], " \t"))
	}
	return a
}

// An Exchange is what happens to a request: what the filter answers, and what the
// browser makes of it.
type Exchange struct {
	// Policy is the policy that applies, or nil.
	Policy *cors.Policy
	// Preflight is the answer to the preflight, nil if the browser makes none.
	Preflight *Answer
	// PreflightDecision is what the policy makes of the preflight.
	PreflightDecision *cors.Decision
	// Actual is the answer to the actual request, nil if the browser never makes it.
	Actual *Answer
	// ActualDecision is what the policy makes of the actual request.
	ActualDecision *cors.Decision
	// Blocked is why the browser withholds the answer; nil if the page gets it.
	Blocked *browser.Blocked
}

// Decision is the decision that the browser's verdict depends on: the preflight's if
// it fails, or else the actual request's; nil without a policy, and for one in shadow
// mode, whose decision changes nothing and so is no cause of the verdict.
func (e *Exchange) Decision() *cors.Decision {
	if d := e.decision(); d != nil && !d.Untouched() {
		return d
	}
	return nil
}

// decision is as Decision, in shadow mode too.
func (e *Exchange) decision() *cors.Decision {
	if e.Blocked != nil && e.Blocked.Preflight || e.Actual == nil {
		return e.PreflightDecision
	}
	return e.ActualDecision
}

// Key is what the filter looks the request's policy up by.
func Key(rawURL, route string) match.Key {
	key := match.Key{Route: route, Path: "/"}
	if host, path, err := browser.Target(rawURL); err == nil {
		key.Host, key.Path = host, path
	}
	return key
}

// Run is [Upstream.Run] with an upstream that knows nothing of CORS.
func Run(policy *cors.Policy, r browser.Request, lookup cors.LookupResult) *Exchange {
	return Upstream{}.Run(policy, r, lookup)
}

// Run sends a request through a policy, nil for none, as a browser does. Lookup is what a
// look-up of the origin comes to, where there is one.
func (u Upstream) Run(policy *cors.Policy, r browser.Request, lookup cors.LookupResult) *Exchange {
	e := &Exchange{Policy: policy}
	if e.Blocked = browser.Verdict(r, nil, nil); e.Blocked != nil {
		return e // The browser makes no request at all, and so no preflight.
	}
	var preflight, actual *browser.Response
	if lines := r.Preflight(); lines != nil {
		e.Preflight, e.PreflightDecision = u.through(policy, "OPTIONS", lines, lookup)
		preflight = &e.Preflight.Response
	}
	if browser.Verdict(r, preflight, nil) == nil {
		e.Actual, e.ActualDecision = u.through(policy, r.Method, r.Actual(), lookup)
		actual = &e.Actual.Response
	}
	e.Blocked = browser.Verdict(r, preflight, actual)
	return e
}

// through is what comes back through the filter for a request with these lines.
func (u Upstream) through(policy *cors.Policy, method string, lines [][2]string, lookup cors.LookupResult) (
	*Answer, *cors.Decision) {
	upstream := u.answer(method, lines)
	if policy == nil {
		return upstream, nil
	}
	r := request(method, lines)
	d := policy.Decide(r)
	if d.Asks() {
		r.Lookup = lookup
		d = policy.Decide(r)
	}
	if d.Answered() {
		a := &Answer{Response: browser.Response{Status: d.Status()}}
		for _, h := range d.AppendHeaders(nil) {
			a.AddResponseHeader(h.Name, h.Value)
		}
		return a, &d
	}
	if !d.Untouched() {
		observed := &cors.Upstream{}
		for _, h := range upstream.Headers {
			observed.Observe(h[0], h[1])
		}
		d.Edit(observed, upstream)
	}
	return upstream, &d
}

// Seen is a request with these lines as the filter sees it, with a cookie or without.
func Seen(method string, lines [][2]string, cookie bool) *cors.Request {
	r := request(method, lines)
	r.Cookie = cookie
	return r
}

// request is a request as the filter sees it.
func request(method string, lines [][2]string) *cors.Request {
	r := &cors.Request{Method: method}
	for _, line := range lines {
		switch strings.ToLower(line[0]) {
		case "origin":
			r.Origin, r.HasOrigin = line[1], true
		case "access-control-request-method":
			r.RequestMethod = line[1]
		case "access-control-request-headers":
			r.RequestHeaders = append(r.RequestHeaders, line[1])
		case "access-control-request-private-network":
			r.PrivateNetwork = line[1] == "true"
		}
	}
	return r
}

// AddResponseHeader implements [cors.Editor]. Of the lines of a header that CORS depends on
// Envoy makes one.
func (a *Answer) AddResponseHeader(name, value string) {
	joins := !a.bare && (name == "vary" || name == "location" || strings.HasPrefix(name, "access-control-"))
	is := func(h [2]string) bool { return h[0] == name }
	if i := slices.IndexFunc(a.Headers, is); joins && i >= 0 {
		if joined := &a.Headers[i][1]; *joined == "" || value == "" {
			*joined += value
		} else {
			*joined += "," + value
		}
		return
	}
	a.Headers = append(a.Headers, [2]string{name, value})
}

// ReplaceResponseHeader implements [cors.Editor].
func (a *Answer) ReplaceResponseHeader(name, value string) {
	for i, h := range a.Headers {
		if h[0] == name {
			a.Headers[i][1] = value
		}
	}
}

// RemoveResponseHeader implements [cors.Editor].
func (a *Answer) RemoveResponseHeader(name string) {
	a.Headers = slices.DeleteFunc(a.Headers, func(h [2]string) bool { return h[0] == name })
}
