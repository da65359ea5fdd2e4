package cors

import (
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// MaxRequestHeaders is how many bytes of Access-Control-Request-Headers a
// preflight may have, all lines together. Browsers send a few hundred.
const MaxRequestHeaders = 8192

// maxMethod is far above any method in use.
const maxMethod = 64

// A Request has the facts of a request that CORS depends on, as they were on the wire.
// Its strings may be borrowed: see [Decision.Retain].
type Request struct {
	// Method of the request; it matters only beside a RequestMethod.
	Method string
	// Origin is the value of the Origin header, several lines joined by commas.
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
}

// Preflight reports whether the request is a CORS-preflight request
// (https://fetch.spec.whatwg.org/#cors-preflight-request), whatever its origin.
func (r *Request) Preflight() bool {
	return r.HasOrigin && r.RequestMethod != "" && r.Method == "OPTIONS"
}

// A Decision is what a policy makes of a request.
type Decision struct {
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
	// offender is what the reason is about: the origin, the method or the header name.
	offender string
}

// Decide decides a request. It does not allocate, but where the answer has to
// repeat requested headers that came in an unusual form.
func (p *Policy) Decide(r *Request) Decision {
	if !r.HasOrigin {
		return p.WithoutOrigin()
	}
	d := Decision{policy: p, Preflight: r.Preflight()}
	kept, reason := p.origins.match(r.Origin)
	if reason == Allowed && d.Preflight {
		reason = d.preflight(r)
	}
	switch d.Reason = reason; {
	case reason == OriginNotAllowed, reason == OriginMalformed:
		d.offender = r.Origin
	case reason != Allowed:
	case p.origins.any:
		d.origin = "*"
	case kept != "":
		d.origin = kept
	default:
		d.origin, d.borrowed = r.Origin, true
	}
	return d
}

// WithoutOrigin is the decision on every request without an Origin header.
func (p *Policy) WithoutOrigin() Decision {
	d := Decision{policy: p, Reason: NoOrigin}
	if p.origins.any {
		d.origin = "*"
	}
	return d
}

// preflight checks the requested method and headers in the order of the
// CORS-preflight fetch (https://fetch.spec.whatwg.org/#cors-preflight-fetch, step 7).
func (d *Decision) preflight(r *Request) Reason {
	p := d.policy
	if reason := p.checkMethod(r.RequestMethod); reason != Allowed {
		d.offender = r.RequestMethod
		return reason
	}
	length := 0
	for _, line := range r.RequestHeaders {
		length += len(line)
	}
	if length > MaxRequestHeaders {
		return HeadersTooLong
	}
	plain := len(r.RequestHeaders) <= 1
	for _, line := range r.RequestHeaders {
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
				d.offender = name
				return reason
			}
		}
	}
	d.methods, d.headers = p.methods.value, p.headers.value
	if p.methods.any && p.credentials {
		d.methods = r.RequestMethod
	}
	if p.headers.any && p.credentials {
		d.headers = repeatNames(r.RequestHeaders, plain)
	}
	d.privateNetwork = p.privateNetwork && r.PrivateNetwork
	return Allowed
}

func (p *Policy) checkMethod(method string) Reason {
	switch {
	case safelistedMethod(method):
		return Allowed
	case len(method) > maxMethod || !validToken(method):
		return MethodMalformed
	case forbiddenMethod(method):
		return MethodForbidden
	case p.methods.any:
		return Allowed
	}
	if _, ok := p.methods.names[method]; ok {
		return Allowed
	}
	return MethodNotAllowed
}

func (p *Policy) checkHeader(name string) Reason {
	if p.headers.any {
		switch {
		case !validToken(name):
			return HeadersMalformed
		case !p.headers.authorization && strings.EqualFold(name, "authorization"):
			return AuthorizationNotAllowed
		}
		return Allowed
	}
	if len(name) <= p.headers.longest && p.hasHeader(name) {
		return Allowed
	}
	if !validToken(name) {
		return HeadersMalformed
	}
	return HeaderNotAllowed
}

// hasHeader looks a name up without regard to case. Browsers send lower case.
func (p *Policy) hasHeader(name string) bool {
	if _, ok := p.headers.names[name]; ok {
		return true
	}
	var buf [64]byte
	lower := append(buf[:0], name...)
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + ('a' - 'A')
		}
	}
	_, ok := p.headers.names[string(lower)]
	return ok
}

// repeatNames returns the names of the lines as one list. plain says that there
// is one line at the most, and in the form that browsers send: it is the list.
func repeatNames(lines []string, plain bool) string {
	if plain {
		if len(lines) == 0 {
			return ""
		}
		return lines[0]
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

// Retain makes the decision safe to keep when the request's memory is used for
// something else. What [Decision.Explain] and [Decision.AppendHeaders] need of the
// request is dropped: call them before.
func (d *Decision) Retain() {
	if d.borrowed {
		d.origin, d.borrowed = strings.Clone(d.origin), false
	}
	d.methods, d.headers, d.offender = "", "", ""
}

// Answered reports whether the request is answered here, and not forwarded.
func (d *Decision) Answered() bool {
	return d.Preflight && !d.policy.shadow && (d.Allowed() || !d.policy.forward)
}

// Status is the status of the answer to a preflight that is [Decision.Answered].
func (d *Decision) Status() int {
	if d.Allowed() {
		return int(d.policy.status)
	}
	return 403
}

// Explain says why the decision is as it is, in words for an operator: one line
// of printable text, at most a few hundred bytes, whatever the request had in it.
func (d *Decision) Explain() string {
	switch d.Reason {
	case Allowed:
		return "allowed"
	case NoOrigin:
		return "no Origin header, so no CORS request"
	case OriginMalformed:
		return malformedInWords(d.offender)
	case OriginNotAllowed:
		if d.policy.closed != "" {
			return d.policy.closed
		}
		return "origin " + d.offender + " is not in allow_origins" // its form is checked
	case MethodMalformed:
		return "the requested method is not a method"
	case MethodForbidden:
		return "method " + d.offender + " is never allowed"
	case MethodNotAllowed:
		return "method " + d.offender + " is not in allow_methods (" + d.policy.methodsInWords(d.offender) + ")"
	case HeadersMalformed:
		return "the requested headers are not a list of header names"
	case HeadersTooLong:
		return "the requested headers are longer than " + strconv.Itoa(MaxRequestHeaders) + " bytes"
	case HeaderNotAllowed:
		return "header " + shorten(d.offender) + " is not in allow_headers (allowed: " + inWords(d.policy.headers.value, "none") + ")"
	case AuthorizationNotAllowed:
		return `header Authorization is not in allow_headers ("*" does not cover it)`
	}
	return d.Reason.String()
}

// malformedInWords says what is wrong with an Origin header, where it is what people
// write by hand and browsers don't. It repeats only what is an origin but for that, and
// so is short and printable.
func malformedInWords(s string) string {
	const unknown = "the Origin header is not one serialized origin"
	if s == "" {
		return "the Origin header is empty"
	}
	mended, slash := strings.CutSuffix(s, "/")
	if len(mended) > maxOrigin {
		return unknown
	}
	_, ok := parseOrigin(mended) // whose host may have upper-case letters, if it is opaque
	upper := !ok
	if upper {
		lower := strings.ToLower(mended)
		// What isn't ASCII and becomes so has another length then.
		if _, ok = parseOrigin(lower); !ok || len(lower) != len(mended) {
			return unknown
		}
	}
	switch {
	case upper && slash:
		return "the Origin header " + s + " has upper-case letters and a slash at its end, as browsers never send it"
	case upper:
		return "the Origin header " + s + " has upper-case letters, as browsers never send it"
	case slash:
		return "the Origin header " + s + " has a slash at its end, as browsers never send it"
	}
	return unknown
}

func (p *Policy) methodsInWords(asked string) string {
	allowed := "allowed: " + inWords(p.methods.value, "GET, HEAD, POST")
	if _, ok := p.methods.names[strings.ToUpper(asked)]; ok {
		return "methods compare by case; " + allowed
	}
	return allowed
}

func inWords(list, none string) string {
	if list == "" {
		return none
	}
	return shorten(list)
}

func shorten(s string) string {
	if part, more := problem.Cut(s, 200); more != "" {
		return part + "..."
	}
	return s
}
