package cors

import "strings"

// A Header is a header line, its name in lower case.
type Header struct{ Name, Value string }

// The CORS response headers (https://fetch.spec.whatwg.org/#http-responses), in
// the order in which they are written.
const (
	allowOrigin = iota
	allowCredentials
	exposeHeaders
	allowMethods
	allowHeaders
	maxAge
	allowPrivateNetwork

	responseHeaders
)

var responseHeaderNames = [responseHeaders]string{
	allowOrigin:         "access-control-allow-origin",
	allowCredentials:    "access-control-allow-credentials",
	exposeHeaders:       "access-control-expose-headers",
	allowMethods:        "access-control-allow-methods",
	allowHeaders:        "access-control-allow-headers",
	maxAge:              "access-control-max-age",
	allowPrivateNetwork: "access-control-allow-private-network",
}

// responseHeader is the index of a name in responseHeaderNames, or -1.
func responseHeader(name string) int {
	if !strings.HasPrefix(name, "access-control-") {
		return -1
	}
	for i, known := range responseHeaderNames {
		if name == known {
			return i
		}
	}
	return -1
}

// preflightVary is the Vary of every answer to a preflight: all that it depends on
// (https://fetch.spec.whatwg.org/#cors-protocol-and-http-caches).
const preflightVary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"

// AppendHeaders appends the header lines of the answer to a preflight that is
// [Decision.Answered]. If the preflight is allowed, the first line is
// Access-Control-Allow-Origin, and what follows depends on the policy alone if
// [Decision.Static] says so.
func (d *Decision) AppendHeaders(dst []Header) []Header {
	if !d.Allowed() {
		return append(dst, Header{"vary", preflightVary})
	}
	dst = append(dst, Header{responseHeaderNames[allowOrigin], d.origin})
	return d.policy.appendPreflight(dst, d.methods, d.headers, d.privateNetwork)
}

// AppendPreflight appends what follows Access-Control-Allow-Origin in the answers
// to allowed preflights that are [Decision.Static].
func (p *Policy) AppendPreflight(dst []Header, privateNetwork bool) []Header {
	return p.appendPreflight(dst, p.methods.value, p.headers.value, privateNetwork)
}

func (p *Policy) appendPreflight(dst []Header, methods, headers string, privateNetwork bool) []Header {
	if p.credentials {
		dst = append(dst, Header{responseHeaderNames[allowCredentials], "true"})
	}
	if methods != "" {
		dst = append(dst, Header{responseHeaderNames[allowMethods], methods})
	}
	if headers != "" {
		dst = append(dst, Header{responseHeaderNames[allowHeaders], headers})
	}
	if p.maxAge != "" {
		dst = append(dst, Header{responseHeaderNames[maxAge], p.maxAge})
	}
	if privateNetwork {
		dst = append(dst, Header{responseHeaderNames[allowPrivateNetwork], "true"})
	}
	return append(dst, Header{"vary", preflightVary})
}

// Static reports whether the answer to an allowed preflight depends on nothing of
// the request but its origin and the private-network flag.
func (d *Decision) Static() bool {
	return !d.policy.credentials || !d.policy.methods.any && !d.policy.headers.any
}

// Origin is the value of Access-Control-Allow-Origin in the answer, or "".
func (d *Decision) Origin() string { return d.origin }

// PrivateNetwork reports whether the answer to the preflight allows the private network.
func (d *Decision) PrivateNetwork() bool { return d.privateNetwork }

// AsksPrivateNetwork reports whether a preflight's private-network flag matters to the policy.
func (p *Policy) AsksPrivateNetwork() bool { return p.privateNetwork }

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

// Observed reports whether a name of this length may be one that Observe takes note
// of: most header lines need not be looked at any further.
func Observed(nameLength int) bool {
	return nameLength == len("vary") || nameLength >= len("access-control-max-age")
}

// Observe takes note of a header line. The name is in lower case; the value is
// only kept for comparison, until [Decision.Edit].
func (u *Upstream) Observe(name, value string) {
	if len(name) == len("vary") {
		u.vary = u.vary || name == "vary" && VaryCoversOrigin(value)
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

// VaryCoversOrigin reports whether a value of Vary has Origin or "*" in its list
// (RFC 9110, section 12.5.5).
func VaryCoversOrigin(value string) bool {
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

// Edit makes an answer right for a request that was forwarded. An answer that is
// right already is left alone.
func (d *Decision) Edit(u *Upstream, e Editor) {
	p := d.policy
	if p.shadow || p.keep && u.seen>>allowOrigin&1 != 0 {
		return
	}
	switch {
	case u.seen == 0 && d.origin != "":
		e.AddResponseHeader(responseHeaderNames[allowOrigin], d.origin)
		for _, h := range p.exposed.allowed {
			e.AddResponseHeader(h.Name, h.Value)
		}
	case u.seen == 0:
	case d.Reason != NoOrigin || d.origin != "":
		d.replace(u, e)
	default:
		// A request without an origin gets headers only where every request gets the
		// same, so that a cached answer serves them all. What else the upstream says
		// to it no browser looks at.
	}
	if d.origin != "*" && !u.vary {
		e.AddResponseHeader("vary", "Origin")
	}
}

// replace edits an answer that has CORS headers already.
func (d *Decision) replace(u *Upstream, e Editor) {
	var want [responseHeaders]string
	if d.origin != "" {
		want[allowOrigin] = d.origin
		want[exposeHeaders] = d.policy.exposed.value
		if d.policy.credentials {
			want[allowCredentials] = "true"
		}
	}
	for i, value := range want {
		name, lines := responseHeaderNames[i], 0
		if u.seen>>i&1 != 0 {
			lines = u.lines[i]
		}
		switch {
		case value == "" && lines > 0:
			e.RemoveResponseHeader(name)
		case value == "" || lines == 1 && u.first[i] == value:
		case lines == 0:
			e.AddResponseHeader(name, value)
		case lines == 1:
			e.ReplaceResponseHeader(name, value)
		default:
			e.RemoveResponseHeader(name)
			e.AddResponseHeader(name, value)
		}
	}
}

// OnlyVary reports whether all that an answer to a request without an origin may need is
// that Vary covers Origin, so that its other headers need not be looked at.
func (p *Policy) OnlyVary() bool { return !p.origins.Any() && !p.keep && !p.shadow }

// Untouched reports whether no answer needs an edit.
func (d *Decision) Untouched() bool { return d.policy.shadow }
