// Package differential_test asks this filter and others the same: jub0bs/cors and rs/cors, two
// libraries for servers in Go, and Envoy's own filter. What differs is in docs/differences.md, with who
// is right by the Fetch standard, and nothing else may.
package differential_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/choices"
)

// A policy is what each of them can be told in its own words.
type policy struct {
	origins        []string
	methods        []string
	headers        []string
	exposed        []string
	credentials    bool
	maxAge         int // -1 for none
	privateNetwork bool
}

// newPolicy chooses a policy.
func newPolicy(c *choices.Choices) policy {
	p := policy{
		origins: choices.Some(c, 3, "https://app.example.com", "https://*.example.com", "https://app.example.com:8443",
			"http://localhost:8080", "http://app.example.com", "https://*.co.uk", "null", "capacitor://localhost"),
		methods: choices.Some(c, 3, "PUT", "PATCH", "DELETE", "patch", "put", "OPTIONS"),
		headers: choices.Some(c, 3, "X-Custom", "Content-Type", "Authorization", "X-Other"),
		exposed: choices.Some(c, 2, "X-Request-Id", "ETag"),
		maxAge:  choices.One(c, -1, 0, 600, 86400), credentials: c.Yes(2), privateNetwork: c.Yes(4),
	}
	if len(p.origins) == 0 {
		p.origins = []string{"https://app.example.com"}
	}
	star := []string{"*"}
	if c.Yes(5) {
		p.origins = star
	}
	if c.Yes(4) {
		p.methods = star
	}
	if c.Yes(4) {
		p.headers = choices.One(c, star, []string{"*", "Authorization"})
	}
	if c.Yes(5) {
		p.exposed = star
	}
	return p
}

func (p policy) any() bool { return slices.Contains(p.origins, "*") }

// A request is one of a page, with the preflight that goes before it, or one that no browser makes.
type request struct {
	browser.Request
	// raw are the header lines of a request that no browser makes.
	raw [][2]string
	// upstreamCORS has the upstream answer with CORS headers of its own.
	upstreamCORS bool
}

var (
	askingOrigins = []string{"https://app.example.com", "https://a.example.com", "https://a.b.example.com",
		"https://example.com", "https://app.example.com:8443", "https://a.example.com:8443", "http://localhost:8080",
		"http://app.example.com", "https://bank.co.uk", "null", "capacitor://localhost", "https://evil.test",
		"https://evilexample.com", "https://app.example.com.evil.test"}
	// What browsers send of no page.
	strangeOrigins = []string{"", "https://App.example.com", "https://app.example.com/", "https://app.example.com:443",
		"https://.example.com", "https://a..example.com", "https://a/x.example.com", "https://evil.test, https://app.example.com",
		"https://u@a.example.com", "https://a b.example.com", "https://*.example.com", "HTTPS://app.example.com"}
)

// newRequest chooses a request.
func newRequest(c *choices.Choices) request {
	r := request{Request: browser.Request{
		Origin: choices.One(c, askingOrigins...),
		Method: choices.One(c, "GET", "POST", "PUT", "PATCH", "patch", "DELETE", "OPTIONS", "QUERY", "HEAD"),

		CredentialsInclude: c.Yes(2), PrivateNetwork: c.Yes(6), UseCORSPreflight: c.Yes(6),
	}, upstreamCORS: c.Yes(5)}
	for _, name := range choices.Some(c, 3, "X-Custom", "Content-Type", "Authorization", "X-Other", "Accept") {
		r.Headers = append(r.Headers, [2]string{name, choices.One(c, "text/plain", "application/json")})
	}
	if !c.Yes(4) {
		return r
	}
	r.raw = [][2]string{}
	if !c.Yes(6) {
		r.Origin = choices.One(c, append(strangeOrigins, askingOrigins...)...)
		r.raw = append(r.raw, [2]string{"Origin", r.Origin})
	}
	if c.Yes(2) {
		r.Method = "OPTIONS"
		if !c.Yes(5) {
			method := choices.One(c, "PUT", "GET", "put", "TRACE", "A B", "PATCH")
			r.raw = append(r.raw, [2]string{"Access-Control-Request-Method", method})
		}
		for _, names := range choices.Some(c, 2, "x-custom", "X-Custom", "x-custom, x-other", "x-other,,x-custom", ",x-custom",
			"x custom", "content-type,x-custom", "authorization", "x-custom ,\tx-other", "x-nobody") {
			r.raw = append(r.raw, [2]string{"Access-Control-Request-Headers", names})
		}
	}
	return r
}

func (r request) String() string {
	if r.raw != nil {
		return fmt.Sprintf("%s %q, upstream with CORS %t", r.Method, r.raw, r.upstreamCORS)
	}
	return fmt.Sprintf("%s from %s with %q, credentials %t, forced %t, private %t, upstream with CORS %t", r.Method, r.Origin,
		r.Headers, r.CredentialsInclude, r.UseCORSPreflight, r.PrivateNetwork, r.upstreamCORS)
}

// header is what of the header's lines the request has.
func (r request) header(name string) (values []string) {
	for _, h := range r.raw {
		if h[0] == name {
			values = append(values, h[1])
		}
	}
	return values
}

// An answer is a response, and whether the upstream has seen the request.
type answer struct {
	browser.Response
	forwarded bool
}

// values are those of a header's lines.
func (a *answer) values(name string) (values []string) {
	for _, h := range a.Headers {
		if strings.EqualFold(h[0], name) {
			values = append(values, h[1])
		}
	}
	return values
}

func (a *answer) varies(name string) bool {
	for _, value := range a.values("Vary") {
		for element := range strings.SplitSeq(value, ",") {
			if element = strings.TrimSpace(element); element == "*" || strings.EqualFold(element, name) {
				return true
			}
		}
	}
	return false
}

// A server answers a request that has these header lines.
type server func(method string, lines [][2]string, upstreamCORS bool) *answer

// behind makes a server of what goes in front of a handler in Go.
func behind(wrap func(http.Handler) http.Handler) server {
	return func(method string, lines [][2]string, upstreamCORS bool) *answer {
		a := &answer{}
		h := wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			a.forwarded = true
			for _, line := range upstreamLines(upstreamCORS) {
				w.Header().Add(line[0], line[1])
			}
		}))
		r := httptest.NewRequest(http.MethodGet, "http://api.example/", nil)
		r.Method = method
		for _, line := range lines {
			r.Header.Add(line[0], line[1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		a.Status = w.Code
		for name, values := range w.Header() {
			for _, value := range values {
				a.Headers = append(a.Headers, [2]string{name, value})
			}
		}
		return a
	}
}

// upstreamLines are the header lines of the upstream's answers.
func upstreamLines(cors bool) [][2]string {
	lines := [][2]string{{"Vary", "Accept"}, {"Etag", `"1"`}, {"X-Request-Id", "1"}}
	if cors {
		lines = append(lines, [2]string{"Access-Control-Allow-Origin", "https://evil.test"},
			[2]string{"Access-Control-Allow-Credentials", "true"})
	}
	return lines
}

// An outcome is what a browser makes of the answers to a request, in words.
type outcome map[string]string

// outcomeOf sends a request and judges what comes back.
func outcomeOf(send server, r request) outcome {
	o := outcome{}
	say := func(aspect string, value any) { o[aspect] = fmt.Sprint(value) }
	if r.raw == nil {
		if asks := r.Preflight(); asks != nil {
			a := send("OPTIONS", asks, r.upstreamCORS)
			allowed := browser.PreflightCheck(r.Request, a.Status, a.Headers) == nil
			say("preflight allowed", allowed)
			say("preflight forwarded", a.forwarded)
			if allowed {
				say("max age", browser.MaxAge(a.Headers))
			}
			if !a.forwarded {
				say("preflight varies", []bool{a.varies("Origin"), a.varies("Access-Control-Request-Method"),
					a.varies("Access-Control-Request-Headers")})
			}
		}
		a := send(browser.NormalizeMethod(r.Method), r.Actual(), r.upstreamCORS)
		judgeActual(a, r.Request, say)
		return o
	}
	a := send(r.Method, r.raw, r.upstreamCORS)
	if len(r.header("Origin")) == 0 {
		say("without an Origin: Allow-Origin", a.values("Access-Control-Allow-Origin"))
		say("without an Origin: varies", a.varies("Origin"))
		say("without an Origin: forwarded", a.forwarded)
		return o
	}
	if asked := r.header("Access-Control-Request-Method"); r.Method == "OPTIONS" && len(asked) == 1 {
		for _, credentials := range []bool{false, true} {
			asks := browser.Request{Origin: r.Origin, Method: asked[0], CredentialsInclude: credentials}
			for _, line := range r.header("Access-Control-Request-Headers") {
				for name := range strings.SplitSeq(line, ",") {
					if name = strings.Trim(name, " \t"); name != "" {
						asks.UnsafeNames = append(asks.UnsafeNames, name)
					}
				}
			}
			say(fmt.Sprintf("strange preflight allowed, credentials %t", credentials),
				browser.PreflightCheck(asks, a.Status, a.Headers) == nil)
		}
		say("strange preflight forwarded", a.forwarded)
		return o
	}
	judgeActual(a, r.Request, say)
	return o
}

// judgeActual says what becomes of the answer to a request itself.
func judgeActual(a *answer, r browser.Request, say func(aspect string, value any)) {
	readable := browser.CORSCheck(r.Origin, r.CredentialsInclude, a.Headers) == nil
	say("readable", readable)
	say("forwarded", a.forwarded)
	say("varies", a.varies("Origin"))
	if readable {
		var exposed []string
		for _, name := range []string{"X-Request-Id", "ETag", "X-Other"} {
			if browser.Exposed(a.Headers, name, r.CredentialsInclude) {
				exposed = append(exposed, name)
			}
		}
		say("exposed", exposed)
	}
}
