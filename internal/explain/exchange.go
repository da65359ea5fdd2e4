package explain

import (
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// An Answer is the answer to a preflight or to an actual request, as far as CORS is
// concerned.
type Answer struct {
	// Forwarded tells that the request reaches the upstream. The upstream is taken to
	// answer with 200, and without CORS headers of its own.
	Forwarded bool `json:"forwarded"`
	// Response has the lines that the filter adds or answers with.
	browser.Response
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

// Run sends a request through a policy, nil for none, as a browser does. Lookup is what a
// look-up of the origin comes to, where there is one.
func Run(policy *cors.Policy, r browser.Request, lookup cors.LookupResult) *Exchange {
	e := &Exchange{Policy: policy}
	if e.Blocked = browser.Verdict(r, nil, nil); e.Blocked != nil {
		return e // The browser makes no request at all, and so no preflight.
	}
	var preflight, actual *browser.Response
	if lines := r.Preflight(); lines != nil {
		e.Preflight, e.PreflightDecision = answer(policy, "OPTIONS", lines, lookup)
		preflight = &e.Preflight.Response
	}
	if browser.Verdict(r, preflight, nil) == nil {
		e.Actual, e.ActualDecision = answer(policy, r.Method, r.Actual(), lookup)
		actual = &e.Actual.Response
	}
	e.Blocked = browser.Verdict(r, preflight, actual)
	return e
}

// answer is what comes back through the filter for a request with these lines.
func answer(policy *cors.Policy, method string, lines [][2]string, lookup cors.LookupResult) (
	*Answer, *cors.Decision) {
	upstream := &Answer{Forwarded: true, Response: browser.Response{Status: 200, Headers: [][2]string{}}}
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
		d.Edit(&cors.Upstream{}, upstream)
	}
	return upstream, &d
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

// AddResponseHeader implements [cors.Editor].
func (a *Answer) AddResponseHeader(name, value string) {
	a.Headers = append(a.Headers, [2]string{name, value})
}

// ReplaceResponseHeader implements [cors.Editor]. The upstream has no such header.
func (a *Answer) ReplaceResponseHeader(name, value string) { a.AddResponseHeader(name, value) }

// RemoveResponseHeader implements [cors.Editor]. The upstream has no such header.
func (a *Answer) RemoveResponseHeader(string) {}
