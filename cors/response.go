package cors

import (
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/names"
)

// A Header is a header line, its name in lower case.
type Header struct{ Name, Value string }

// The CORS response headers, as indices of [names.ResponseHeaders].
const (
	allowOrigin = iota
	allowCredentials
	exposeHeaders
	allowMethods
	allowHeaders
	maxAge
	allowPrivateNetwork

	responseHeaders = len(names.ResponseHeaders)
)

// responseHeader is the index of a name in [names.ResponseHeaders], or -1.
func responseHeader(name string) int {
	if !strings.HasPrefix(name, "access-control-") {
		return -1
	}
	return slices.Index(names.ResponseHeaders[:], name)
}

// preflightVary is the Vary of every answer to a preflight: all that it depends on
// (https://fetch.spec.whatwg.org/#cors-protocol-and-http-caches).
const preflightVary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"

// AppendHeaders appends the header lines of the answer to a preflight that is
// [Decision.Answered]. If the preflight is allowed, the first line is
// Access-Control-Allow-Origin; see [Decision.Variant] for the others. One that is rejected
// has CORS headers only by [Config.Debug].
func (d *Decision) AppendHeaders(dst []Header) []Header {
	if !d.Allowed() && !d.debug {
		return append(dst, Header{"vary", preflightVary})
	}
	add := func(header int, value string) {
		if value != "" {
			dst = append(dst, Header{names.ResponseHeaders[header], value})
		}
	}
	add(allowOrigin, d.origin)
	if d.policy.credentials {
		add(allowCredentials, "true")
	}
	add(allowMethods, d.methods)
	add(allowHeaders, d.headers)
	if d.debug {
		// A mended policy counts at once, so that there is no max-age.
		dst = append(dst, Header{"x-cors-reason", d.Why()})
	} else {
		add(maxAge, d.policy.maxAge)
	}
	if d.privateNetwork {
		add(allowPrivateNetwork, "true")
	}
	return append(dst, Header{"vary", preflightVary})
}

// Variant tells which of a policy's answers to allowed preflights this is, 0 or 1: those
// of one variant differ in the value of Access-Control-Allow-Origin alone, and so can be
// kept ready. It returns false if the answer repeats more of the request than the origin.
func (d *Decision) Variant() (variant int, ok bool) {
	if !d.Allowed() || d.policy.repeats() {
		return 0, false
	}
	if d.privateNetwork {
		return 1, true
	}
	return 0, true
}

// Origin is the value of Access-Control-Allow-Origin in the answer, or "". It may be the
// request's memory.
func (d *Decision) Origin() string { return d.origin }

// An Upstream is what CORS depends on in the answer of the upstream, or of
// whoever else answers. The zero value is an answer without headers.
type Upstream struct {
	seen  uint8 // bit i is set if header i is there, and lines and first tell of it
	vary  bool  // Vary covers Origin
	lines [responseHeaders]int
	first [responseHeaders]string
}

// Reset makes it an answer without headers again.
func (u *Upstream) Reset() { u.seen, u.vary = 0, false }

// Observe takes note of a header line. The name is in lower case; the value is
// only kept for comparison, until [Edits.Apply].
func (u *Upstream) Observe(name, value string) {
	// Most lines are none of those that count. Their lengths tell, without a call.
	if len(name) == len("vary") || len(name) >= len("access-control-max-age") {
		u.observe(name, value)
	}
}

func (u *Upstream) observe(name, value string) {
	if len(name) == len("vary") {
		u.vary = u.vary || name == "vary" && varyCoversOrigin(value)
		return
	}
	i := responseHeader(name)
	switch {
	case i < 0:
	case u.seen>>i&1 == 0:
		u.seen |= 1 << i
		u.lines[i], u.first[i] = 1, value
	default:
		u.lines[i]++
	}
}

// varyCoversOrigin reports whether a value of Vary has Origin or "*" in its list
// (RFC 9110, section 12.5.5).
func varyCoversOrigin(value string) bool {
	if value == "Origin" {
		return true // as this filter writes it
	}
	for value != "" {
		var element string
		element, value, _ = strings.Cut(value, ",")
		if element = trimOWS(element); element == "*" || strings.EqualFold(element, "origin") {
			return true
		}
	}
	return false
}

// An Editor changes the headers of an answer. Names are in lower case.
type Editor interface {
	// AddResponseHeader adds a line.
	AddResponseHeader(name, value string)
	// ReplaceResponseHeader replaces the value of the only line.
	ReplaceResponseHeader(name, value string)
	// RemoveResponseHeader removes all lines.
	RemoveResponseHeader(name string)
}

// Edits are what the answer to a forwarded request needs, so that it passes the browser's
// CORS check (https://fetch.spec.whatwg.org/#cors-check) if the policy allows its origin,
// fails it otherwise, and is cached for nobody else
// (https://fetch.spec.whatwg.org/#cors-protocol-and-http-caches). They have nothing of the
// request's memory, and can be kept until the answer comes. Two that are equal do the
// same; the zero value leaves an answer alone.
type Edits struct {
	origin      string // the value of Access-Control-Allow-Origin, "" for no CORS headers
	exposed     string
	credentials bool
	keep        bool // an answer that allows an origin itself is left alone
	replace     bool // what other CORS headers an answer has goes
	vary        bool // Vary is to cover Origin
}

// Edits returns what the answer needs if the request is forwarded.
func (d *Decision) Edits() Edits {
	e := d.policy.edits(d.Reason, d.origin)
	if d.borrowed {
		e.origin = strings.Clone(e.origin)
	}
	return e
}

// WithoutOrigin returns what the answer to a request without an Origin needs.
func (p *Policy) WithoutOrigin() Edits { return p.edits(NoOrigin, p.forAll()) }

// edits are those of a decision that has such a value of Access-Control-Allow-Origin.
func (p *Policy) edits(reason Reason, origin string) (e Edits) {
	if p.shadow || p.off {
		return e
	}
	e.origin, e.keep = origin, p.keep
	// A request without an origin gets headers only where every request gets the
	// same, so that a cached answer serves them all. What else the upstream says
	// to it no browser looks at.
	e.replace = reason != NoOrigin || origin != ""
	e.vary = origin != "*"
	if origin != "" {
		e.exposed, e.credentials = p.lists.ExposedHeaders.Value, p.credentials
	}
	return e
}

// Edit is [Edits.Apply] for an answer that comes while the request is still there.
func (d *Decision) Edit(u *Upstream, to Editor) {
	e := d.policy.edits(d.Reason, d.origin)
	e.Apply(u, to)
}

// None reports whether no answer needs an edit.
func (e *Edits) None() bool { return !e.replace && !e.vary }

// OnlyVary reports whether all that an answer may need is that Vary covers Origin, so
// that its other headers need not be observed.
func (e *Edits) OnlyVary() bool { return e.vary && !e.replace && !e.keep }

// Apply makes an answer right. One that is right already is left alone.
func (e *Edits) Apply(u *Upstream, to Editor) {
	if e.keep && u.seen>>allowOrigin&1 != 0 {
		return
	}
	if e.replace {
		u.replace(allowOrigin, e.origin, to)
		credentials := ""
		if e.credentials {
			credentials = "true"
		}
		u.replace(allowCredentials, credentials, to)
		u.replace(exposeHeaders, e.exposed, to)
		for i := exposeHeaders + 1; u.seen>>i != 0; i++ { // of what only preflights get, and mostly nothing
			u.replace(i, "", to)
		}
	}
	if e.vary && !u.vary {
		to.AddResponseHeader("vary", "Origin")
	}
}

// replace makes a header have one line with the value, or none if it is "".
func (u *Upstream) replace(header int, value string, to Editor) {
	if value == "" && u.seen>>header&1 == 0 {
		return
	}
	name, lines := names.ResponseHeaders[header], 0
	if u.seen>>header&1 != 0 {
		lines = u.lines[header]
	}
	switch {
	case value == "" && lines > 0:
		to.RemoveResponseHeader(name)
	case value == "" || lines == 1 && u.first[header] == value:
	case lines == 0:
		to.AddResponseHeader(name, value)
	case lines == 1:
		to.ReplaceResponseHeader(name, value)
	default:
		to.RemoveResponseHeader(name)
		to.AddResponseHeader(name, value)
	}
}
