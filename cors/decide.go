package cors

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/names"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/origin"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// MaxRequestHeaders is how many bytes of Access-Control-Request-Headers a
// preflight may have, all lines together. Browsers send a few hundred.
const MaxRequestHeaders = 8192

// maxMethod is far above any method in use.
const maxMethod = 64

// A Request has the facts of a request that CORS depends on, as they were on the wire.
// Its strings may be borrowed, for as long as its [Decision] is in use.
type Request struct {
	// Method of the request; it matters only beside a RequestMethod.
	Method string
	// Origin is the value of the Origin header (https://fetch.spec.whatwg.org/#origin-header),
	// several lines joined by commas.
	Origin string
	// HasOrigin tells an empty Origin header from a missing one.
	HasOrigin bool
	// RequestMethod is the value of Access-Control-Request-Method, or "".
	RequestMethod string
	// RequestHeaders are the lines of Access-Control-Request-Headers. Lines that a
	// proxy has joined by commas mean the same.
	RequestHeaders []string
	// PrivateNetwork tells whether Access-Control-Request-Private-Network is "true".
	PrivateNetwork bool
	// Cookie tells whether there is a Cookie header; only [Decision.Shadow] needs to know.
	Cookie bool
	// Lookup is what a look-up of the origin came to, if [Decision.Asks] has asked for one.
	Lookup LookupResult
}

// Preflight reports whether the request is a CORS-preflight request
// (https://fetch.spec.whatwg.org/#cors-preflight-request), whatever its origin.
func (r *Request) Preflight() bool {
	return r.HasOrigin && r.RequestMethod != "" && r.Method == "OPTIONS"
}

// A Decision is what a policy makes of a request, for as long as the request's strings
// are there. What is needed later is in [Decision.Edits].
type Decision struct {
	_ incomparable
	// Preflight tells whether the request is a preflight.
	Preflight bool
	// Reason says why the decision is as it is.
	Reason Reason

	policy *Policy
	// origin is the value of Access-Control-Allow-Origin, or "".
	origin   string
	borrowed bool // origin is the request's memory
	// methods and headers are the values of the preflight's answer.
	methods, headers string
	privateNetwork   bool
	// debug says that the preflight is rejected, and answered for the browser's console.
	debug bool
	// asks and lookup tell whether the origin is to be looked up, or was, see [Decision.Asks].
	asks   bool
	lookup LookupResult
	// offender is what the reason is about: the origin, the method or the header name.
	offender string
}

// Decide decides a request by the CORS protocol
// (https://fetch.spec.whatwg.org/#http-cors-protocol). It does not allocate, but where the answer has to
// repeat requested headers that came in an unusual form.
func (p *Policy) Decide(r *Request) (d Decision) {
	d.policy = p
	if p.off {
		d.Reason = PolicyOff
		return d
	}
	if !r.HasOrigin {
		return p.withoutOrigin()
	}
	d.Preflight = r.Preflight()
	kept, result := p.lists.Origins.Match(r.Origin)
	reason := originReasons[result]
	if reason == OriginNotAllowed && p.lookup {
		reason = d.lookUp(r)
	}
	if reason == Allowed && d.Preflight {
		reason = d.preflight(r)
		d.explain(r, reason)
	}
	switch d.Reason = reason; {
	case reason == OriginNotAllowed, reason == OriginMalformed:
		d.offender = r.Origin
	case reason == Allowed || d.debug:
		d.origin, d.borrowed = p.allowed(r.Origin, kept)
	}
	return d
}

// originReasons are the reasons that an origin gives.
var originReasons = [...]Reason{origin.Allowed: Allowed, origin.NotAllowed: OriginNotAllowed,
	origin.Malformed: OriginMalformed}

// allowed is the value of Access-Control-Allow-Origin for an origin that is allowed, kept being
// what the policy has of it. It says whether that is borrowed from the request.
func (p *Policy) allowed(origin, kept string) (value string, borrowed bool) {
	switch {
	case p.lists.Origins.Any():
		return "*", false
	case kept != "":
		return kept, false
	}
	return origin, true
}

// repeats reports whether an answer to a preflight repeats the names that it asks for.
func (p *Policy) repeats() bool {
	return p.credentials && (p.lists.Methods.Any || p.lists.RequestHeaders.Any)
}

// AllowsPreflight is [Policy.Decide] for what nearly every preflight comes to: it is allowed, and
// its answer is one of those that can be kept ready. It returns the value of
// Access-Control-Allow-Origin, which may be the request's memory, and which answer it is, as
// [Decision.Variant]; or ok false for all else, on which a [Decision] has more to say.
func (p *Policy) AllowsPreflight(r *Request) (allowed string, variant int, ok bool) {
	if !r.Preflight() || p.off || p.shadow || p.repeats() || p.checkMethod(r.RequestMethod) != Allowed {
		return "", 0, false
	}
	kept, result := p.lists.Origins.Match(r.Origin)
	if result != origin.Allowed {
		return "", 0, false
	}
	if _, _, reason := p.checkHeaders(r.RequestHeaders); reason != Allowed {
		return "", 0, false
	}
	if p.privateNetwork && r.PrivateNetwork {
		variant = 1
	}
	allowed, _ = p.allowed(r.Origin, kept)
	return allowed, variant, true
}

// withoutOrigin is the decision on every request without an Origin header.
func (p *Policy) withoutOrigin() Decision {
	return Decision{policy: p, Reason: NoOrigin, origin: p.forAll()}
}

// forAll is the value of Access-Control-Allow-Origin that all answers have, or "" if there is none.
func (p *Policy) forAll() string {
	if !p.off && p.lists.Origins.Any() { // a policy that is off has no lists
		return "*"
	}
	return ""
}

// preflight checks the requested method and headers in the order of the
// CORS-preflight fetch (https://fetch.spec.whatwg.org/#cors-preflight-fetch, step 7).
func (d *Decision) preflight(r *Request) Reason {
	p := d.policy
	if reason := p.checkMethod(r.RequestMethod); reason != Allowed {
		d.offender = r.RequestMethod
		return reason
	}
	plain, offender, reason := p.checkHeaders(r.RequestHeaders)
	if reason != Allowed {
		d.offender = offender
		return reason
	}
	d.methods, d.headers = p.lists.Methods.Value, p.lists.RequestHeaders.Value
	if p.lists.Methods.Any && p.credentials {
		d.methods = r.RequestMethod
	}
	if p.lists.RequestHeaders.Any && p.credentials {
		d.headers = repeatNames(r.RequestHeaders, plain)
	}
	d.privateNetwork = p.privateNetwork && r.PrivateNetwork
	return Allowed
}

// explain has a rejected preflight answered so that it passes the browser's CORS check, and
// fails where the browser compares the lists, for then its console names what isn't in them.
// What is answered otherwise stays as it is: nobody reads a console where no browser
// asks, and of headers that are too long some list might let all pass.
//
// The lists fail also browsers that compare them as the standard doesn't: some compare
// methods without regard to case, and some have "*" cover Authorization. Without any
// methods, a browser would take a preflight that the page has forced for allowed.
func (d *Decision) explain(r *Request, reason Reason) {
	p := d.policy
	if !p.debug || p.forward || p.shadow {
		return
	}
	const safelisted = "GET, HEAD, POST"
	methods, headers := cmp.Or(p.lists.Methods.Value, safelisted), p.lists.RequestHeaders.Value
	if p.lists.Methods.Any && p.credentials {
		methods = r.RequestMethod
	}
	switch reason {
	case MethodNotAllowed:
		methods = cmp.Or(without(methods, r.RequestMethod), safelisted)
	case AuthorizationNotAllowed:
		headers = without(strings.Join(r.RequestHeaders, ","), "authorization")
	case HeaderNotAllowed:
	default:
		return
	}
	d.debug, d.methods, d.headers = true, methods, headers
	d.privateNetwork = p.privateNetwork && r.PrivateNetwork
}

// without returns the names of a list but one, in upper or lower case, and "*".
func without(list, name string) string {
	var kept []string
	for element := range elements(list) {
		if element != "*" && names.Valid(element) && !strings.EqualFold(element, name) {
			kept = append(kept, element)
		}
	}
	return strings.Join(kept, ", ")
}

// checkHeaders checks the requested headers. plain says that there is one line at the
// most, in the form that browsers send; the offender is the first name that is wrong.
func (p *Policy) checkHeaders(lines []string) (plain bool, offender string, reason Reason) {
	length := 0
	for _, line := range lines {
		length += len(line)
	}
	if length > MaxRequestHeaders {
		return false, "", HeadersTooLong
	}
	plain = len(lines) <= 1
	for _, line := range lines {
		for line != "" {
			if line[0] == ',' { // of what is hostile, mostly
				line, plain = line[1:], false
				continue
			}
			var element string
			element, line, _ = strings.Cut(line, ",")
			name := trimOWS(element)
			plain = plain && name != "" && len(name) == len(element)
			if name == "" {
				continue // RFC 9110, section 5.6.1.2
			}
			if reason := p.checkHeader(name); reason != Allowed {
				return false, name, reason
			}
		}
	}
	return plain, "", Allowed
}

func (p *Policy) checkMethod(method string) Reason {
	switch {
	case safelistedMethod(method):
		return Allowed
	case len(method) > maxMethod || !names.Valid(method):
		return MethodMalformed
	case names.ForbiddenMethod(method):
		return MethodForbidden
	case p.lists.Methods.Any || p.lists.Methods.Has(method):
		return Allowed
	}
	return MethodNotAllowed
}

func (p *Policy) checkHeader(name string) Reason {
	if p.lists.RequestHeaders.Any {
		switch {
		case !names.Valid(name):
			return HeadersMalformed
		case strings.EqualFold(name, "authorization") && !p.lists.RequestHeaders.Has("authorization"):
			return AuthorizationNotAllowed
		}
		return Allowed
	}
	if p.lists.RequestHeaders.HasHeader(name) {
		return Allowed
	}
	if !names.Valid(name) {
		return HeadersMalformed
	}
	return HeaderNotAllowed
}

// repeatNames returns the names of the lines as one list; if they are plain, that is
// the line itself.
func repeatNames(lines []string, plain bool) string {
	if plain {
		return strings.Join(lines, "") // of which there is one at the most
	}
	var b strings.Builder
	for _, line := range lines {
		for element := range strings.SplitSeq(line, ",") {
			if name := trimOWS(element); name != "" {
				if b.Len() > 0 {
					b.WriteByte(',')
				}
				b.WriteString(name)
			}
		}
	}
	return b.String()
}

// Allowed reports whether the policy allows what the request asks for. It is
// false for a request without an origin, which asks for nothing.
func (d *Decision) Allowed() bool { return d.Reason == Allowed }

// Policy is the policy that decided.
func (d *Decision) Policy() *Policy { return d.policy }

// Untouched reports whether the policy changes nothing, whatever it decides.
func (d *Decision) Untouched() bool { return d.policy.shadow || d.policy.off }

// Answered reports whether the request is answered here, and not forwarded.
func (d *Decision) Answered() bool {
	return d.Preflight && !d.policy.shadow && (d.Allowed() || !d.policy.forward)
}

// Status is the status of the answer to a preflight that is [Decision.Answered].
func (d *Decision) Status() int {
	if d.Allowed() || d.debug {
		return int(d.policy.status)
	}
	return 403
}

// Why says why the decision is as it is, in words for an operator: one line
// of printable text, at most a few hundred bytes, whatever the request had in it.
func (d *Decision) Why() string { return string(d.appendWhy(nil)) }

// appendWhy appends the words of Why.
func (d *Decision) appendWhy(b []byte) []byte {
	p, what := d.policy, d.offender
	switch d.Reason {
	case Allowed:
		return join(b, "allowed")
	case NoOrigin:
		return join(b, "no Origin header, so no CORS request")
	case PolicyOff:
		return join(b, "the policy is off")
	case OriginMalformed:
		return join(b, origin.MalformedInWords(what))
	case OriginNotAllowed:
		if p.closed != "" {
			return join(b, p.closed)
		}
		return join(b, "origin ", what, " is not in allow_origins", d.lookedUp()) // its form is checked
	case MethodMalformed:
		return join(b, "the requested method is not a method")
	case MethodForbidden:
		return join(b, "method ", what, " is never allowed")
	case MethodNotAllowed:
		note := ""
		if p.lists.Methods.Has(strings.ToUpper(what)) {
			note = "methods compare by case; "
		}
		allowed, more := shorten(cmp.Or(p.lists.Methods.Value, "GET, HEAD, POST"))
		return join(b, "method ", what, " is not in allow_methods (", note, "allowed: ", allowed, more, ")")
	case HeadersMalformed:
		return join(b, "the requested headers are not a list of header names")
	case HeadersTooLong:
		return join(b, "the requested headers are longer than ", strconv.Itoa(MaxRequestHeaders), " bytes")
	case HeaderNotAllowed:
		name, cut := shorten(what)
		allowed, more := shorten(cmp.Or(p.lists.RequestHeaders.Value, "none"))
		return join(b, "header ", name, cut, " is not in allow_headers (allowed: ", allowed, more, ")")
	case AuthorizationNotAllowed:
		return join(b, `header Authorization is not in allow_headers ("*" does not cover it)`)
	}
	return join(b, d.Reason.String())
}

// join appends parts. Inlined, it would make the module 7 kB larger.
//
//go:noinline
func join(b []byte, parts ...string) []byte {
	for _, part := range parts {
		b = append(b, part...)
	}
	return b
}

// shorten returns the beginning of what is long, and then dots to go after it.
func shorten(s string) (part, dots string) {
	part, more := problem.Cut(s, 200)
	if more != "" {
		dots = "..."
	}
	return part, dots
}

// MaxLogged is how many bytes [Decision.AppendLogged] appends at the most.
const MaxLogged = 256

// AppendLogged appends the words of [Decision.Why] as they may stand in a log, also between
// double quotes: at most [MaxLogged] bytes, all of them printable ASCII, and no double
// quote. Where there is room it allocates a few hundred bytes at the most, and mostly none.
func (d *Decision) AppendLogged(b []byte) []byte {
	start := len(b)
	b = d.appendWhy(b)
	if len(b) > start+MaxLogged {
		const more = "..."
		b = append(b[:start+MaxLogged-len(more)], more...)
	}
	for i, c := range b[start:] {
		switch {
		case c < ' ' || c > '~':
			b[start+i] = '?'
		case c == '"':
			b[start+i] = '\''
		}
	}
	return b
}

// safelistedMethod reports whether no policy can forbid the method
// (https://fetch.spec.whatwg.org/#cors-safelisted-method).
func safelistedMethod(method string) bool {
	return method == "GET" || method == "HEAD" || method == "POST"
}

// trimOWS trims optional white space (RFC 9110, section 5.6.3).
func trimOWS(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
