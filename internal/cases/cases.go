// Package cases holds the tables of requests and answers that every level of
// the tests runs: the pure engine, the filter in the SDK's emulator, the
// compiled module in wazero, and the compiled module in Envoy.
package cases

import (
	"cmp"
	"slices"
	"strings"
)

// A Case is one exchange: a plugin configuration, a request, what the upstream
// answers if the request reaches it, and what must be seen on either side.
type Case struct {
	// Name is unique among all cases, and a file name: lower-case words and dashes.
	Name string
	// Config is the plugin configuration, JSON.
	Config string
	// Request is what the client sends.
	Request Request
	// Upstream is what the upstream answers if the request reaches it.
	Upstream Upstream
	// Want is what must be seen.
	Want Want
	// BeyondEmulator says why the SDK's emulator can't show the case; empty if it can.
	BeyondEmulator string
	// BeyondEngine says why the engine alone can't show the case; empty if it can.
	BeyondEngine string
}

// A Request is what the client sends.
type Request struct {
	// Method is GET if empty.
	Method string
	// Host is the Host header or :authority; "api.example" if empty.
	Host string
	// Path is the request target; "/" if empty.
	Path string
	// Route is the name of the Envoy route that the request matches; none if empty.
	Route string
	// Headers are header lines, sent in this order, values exactly as written.
	Headers [][2]string
}

// Complete returns the request with its method, host and path filled in.
func (r Request) Complete() Request {
	r.Method, r.Host, r.Path = cmp.Or(r.Method, "GET"), cmp.Or(r.Host, "api.example"), cmp.Or(r.Path, "/")
	return r
}

// An Upstream is the upstream's answer.
type Upstream struct {
	// Status is 200 if zero.
	Status int
	// Headers are header lines, sent in this order.
	Headers [][2]string
}

// A Want is what must be seen of an exchange.
type Want struct {
	// Forwarded tells whether the request must reach the upstream.
	Forwarded bool
	// Status is the answer's status; the upstream's if zero.
	Status int
	// Headers are the answer's CORS response headers and Vary, in the form of Lines.
	Headers []string
	// Reason is the text that response_code_details carries when the filter
	// answers itself, without the filter's prefix; empty if not checked.
	Reason string
}

// Lines returns the lines of an answer that are CORS response headers, each as
// "name: value" with the name in lower case, sorted; then all that Vary lists, as
// one line, because proxies may join its lines.
func Lines(headers [][2]string) []string {
	var lines, vary []string
	for _, h := range headers {
		switch name := strings.ToLower(h[0]); {
		case name == "vary":
			for element := range strings.SplitSeq(h[1], ",") {
				vary = append(vary, strings.TrimSpace(element))
			}
		case strings.HasPrefix(name, "access-control-"):
			lines = append(lines, name+": "+h[1])
		}
	}
	slices.Sort(lines)
	if vary != nil {
		lines = append(lines, "vary: "+strings.Join(vary, ", "))
	}
	return lines
}

// All are the cases of all tables.
var All = flatten(answers, upstreams, preflights, origins, patterns, matches, modes)

// A table is a list of cases that share a configuration.
type table struct {
	name   string
	config string
	cases  []Case
}

func flatten(lists ...[]table) (all []Case) {
	for _, list := range lists {
		for _, t := range list {
			for _, c := range t.cases {
				c.Name = t.name + "-" + c.Name
				c.Config = t.config
				slices.Sort(c.Want.Headers) // "vary" comes after "access-control-…"
				all = append(all, c)
			}
		}
	}
	return all
}

// lines are header lines: each a name, and its value after it.
func lines(words ...string) (lines [][2]string) {
	for pair := range slices.Chunk(words, 2) {
		lines = append(lines, [2]string(pair))
	}
	return lines
}

// upstream is an answer with these headers, see lines.
func upstream(headers ...string) Upstream { return Upstream{Headers: lines(headers...)} }

// get is a GET from an origin, with further headers, see lines.
func get(origin string, headers ...string) Request {
	return Request{Headers: append(lines("origin", origin), lines(headers...)...)}
}

// preflight is a preflight from an origin, for a method and, if not empty, headers.
func preflight(origin, method, names string, headers ...string) Request {
	r := get(origin, "access-control-request-method", method)
	if names != "" {
		headers = append([]string{requestHeaders, names}, headers...)
	}
	return Request{Method: "OPTIONS", Headers: append(r.Headers, lines(headers...)...)}
}

// method is a request of that method.
func method(method string, r Request) Request {
	r.Method = method
	return r
}

// to is a request to a host.
func to(host string, r Request) Request {
	r.Host = host
	return r
}

// row is a case in which nothing is special but the request.
func row(name string, request Request, want Want) Case {
	return Case{Name: name, Request: request, Want: want}
}

// forwarded is the want of a request that reaches the upstream.
func forwarded(headers ...string) Want { return Want{Forwarded: true, Headers: headers} }

// answered is the want of a preflight that the filter allows.
func answered(headers ...string) Want {
	return Want{Status: 204, Headers: append(headers, preflightVary), Reason: "preflight allowed"}
}

// fullAnswer is the want of the preflights of a policy with every field set.
func fullAnswer(more ...string) Want {
	return Want{Status: 200, Headers: append([]string{
		siteOrigin, credentials, preflightVary, "access-control-max-age: 0",
		"access-control-allow-methods: PUT", "access-control-allow-headers: X-Custom",
	}, more...)}
}

// rejected is the want of a preflight that the filter rejects.
func rejected(reason string) Want {
	return Want{Status: 403, Headers: []string{preflightVary}, Reason: reason}
}

// What many cases want.
var (
	siteReadable     = forwarded(siteOrigin, siteExposed, varyOrigin)
	siteAnswer       = answered(siteOrigin, siteMethods, siteHeaders, siteMaxAge)
	anyReadable      = forwarded(anyOrigin, "access-control-expose-headers: *")
	unreadable       = forwarded(varyOrigin)
	upstreamKept     = forwarded(Lines(upstreamCORS.Headers)...)
	upstreamVaried   = forwarded(append(Lines(upstreamCORS.Headers), varyOrigin)...)
	malformedOrigin  = rejected("the Origin header is not one serialized origin")
	malformedMethod  = rejected("the requested method is not a method")
	malformedHeaders = rejected("the requested headers are not a list of header names")
)

const (
	app  = "https://app.example"
	evil = "https://evil.test"

	requestHeaders = "access-control-request-headers"
	privateNetwork = "access-control-request-private-network"

	preflightVary = "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"

	// One policy for one site, and what its answers have.
	site = `{
	  "allow_origins": ["https://app.example"],
	  "allow_methods": ["PUT", "DELETE", "PATCH"],
	  "allow_headers": ["Content-Type", "X-Custom"],
	  "expose_headers": ["X-Request-Id"],
	  "max_age": 600
	}`
	siteOrigin  = "access-control-allow-origin: https://app.example"
	siteExposed = "access-control-expose-headers: X-Request-Id"
	siteMethods = "access-control-allow-methods: PUT, DELETE, PATCH"
	siteHeaders = "access-control-allow-headers: Content-Type, X-Custom"
	siteMaxAge  = "access-control-max-age: 600"

	varyOrigin  = "vary: Origin"
	credentials = "access-control-allow-credentials: true"
	anyOrigin   = "access-control-allow-origin: *"
)
