package browser

import (
	"slices"
	"strings"
)

// A Request is what a script asked for; the preflight that goes before it is made
// of it.
type Request struct {
	// Origin is the serialized origin of the page.
	Origin string
	// URL is the request's URL. Without one, the request is taken for a
	// cross-origin one.
	URL string
	// Method is the normalized method.
	Method string
	// Headers is the request's header list, as far as the script set it.
	Headers [][2]string
	// UnsafeNames are further headers, of which only the names are known, from the
	// Access-Control-Request-Headers of a recorded preflight.
	UnsafeNames []string
	// CredentialsInclude tells whether the credentials mode is "include".
	CredentialsInclude bool
	// UseCORSPreflight is the use-CORS-preflight flag: the preflight is made
	// although method and headers do not ask for one. It is set for an
	// XMLHttpRequest with an upload listener, and for a stream as the body.
	UseCORSPreflight bool
	// PrivateNetwork tells that the browser asks for access to a private network,
	// with Access-Control-Request-Private-Network. Chromium did so for some
	// versions; now it asks the user instead, and no preflight.
	//
	// See https://wicg.github.io/private-network-access/#cors-preflight.
	PrivateNetwork bool
	// ByHand tells that somebody sends the request without a browser, so that no preflight
	// goes before it.
	ByHand bool
	// PreflightCached tells that the browser remembers an answer that covers the request,
	// see [PreflightCache], so that it makes no preflight.
	PreflightCached bool
	// Mode is the request's mode.
	Mode Mode
	// RedirectedFrom is the URL that was redirected to URL, if any, for messages.
	RedirectedFrom string
	// Initiator is Chromium's word for what made the request, which its messages
	// are made with: [InitiatorFetch] if empty.
	Initiator string
}

// A Mode is a request's mode.
//
// See https://fetch.spec.whatwg.org/#concept-request-mode.
type Mode string

// The modes, of which only the first is about CORS.
const (
	ModeCORS       Mode = ""            // Also "cors": what fetch() and XMLHttpRequest do.
	ModeSameOrigin Mode = "same-origin" // Other origins are not asked at all.
	ModeNoCORS     Mode = "no-cors"     // The answer is not checked, and the script can't read it.
)

// Chromium's words for what makes requests. There are others, such as "font",
// "image", "script" and "CSS stylesheet".
const (
	InitiatorFetch = "fetch"
	InitiatorXHR   = "XMLHttpRequest"
)

// A Response is an answer of the server, to the preflight or to the request.
type Response struct {
	Status int `json:"status"`
	// Headers are the header lines, in their order.
	Headers [][2]string `json:"headers"`
}

// CORS reports whether the request is subject to CORS: cross-origin, and in a
// mode in which answers are checked.
func (r Request) CORS() bool {
	return (r.Mode == ModeCORS || r.Mode == "cors") && (r.URL == "" || !SameOrigin(r.Origin, r.URL))
}

// PreflightReasons tells why a browser makes a preflight before this request, each enough
// by itself: none if it makes none, or if no browser makes the request. Each header line
// has at most one reason.
//
// See https://fetch.spec.whatwg.org/#main-fetch.
func (r Request) PreflightReasons() (reasons []string) {
	if !r.CORS() || r.ByHand {
		return nil
	}
	if method := NormalizeMethod(r.Method); !SafelistedMethod(method) {
		reasons = append(reasons, method+" is not GET, HEAD or POST")
	}
	for _, h := range unsafeHeaders(r.settable()) {
		reasons = append(reasons, h.because)
	}
	for _, name := range r.UnsafeNames {
		reasons = append(reasons, asciiLower(name)+" stands in the preflight's Access-Control-Request-Headers")
	}
	if r.UseCORSPreflight {
		reasons = append(reasons, "a listener on the upload, or a stream as the body, always asks for a preflight")
	}
	if r.PrivateNetwork {
		reasons = append(reasons, "the server is in a more private network than the page")
	}
	return reasons
}

// Preflight returns the header lines of the preflight that a browser makes before
// this request, as far as CORS is concerned, in the standard's order: nil if it
// makes none, or need make none. The preflight's method is OPTIONS, its URL the request's.
//
// See https://fetch.spec.whatwg.org/#cors-preflight-fetch.
func (r Request) Preflight() (headers [][2]string) {
	if r.PreflightCached || len(r.PreflightReasons()) == 0 {
		return nil
	}
	headers = [][2]string{{"Origin", r.Origin}, {"Access-Control-Request-Method", NormalizeMethod(r.Method)}}
	if names := r.unsafeNames(); names != nil {
		headers = append(headers, [2]string{"Access-Control-Request-Headers", strings.Join(names, ",")})
	}
	if r.PrivateNetwork {
		headers = append(headers, [2]string{"Access-Control-Request-Private-Network", "true"})
	}
	return headers
}

// Actual returns the header lines of the request itself: those that the script
// may set, and the Origin where a browser sends one. It does so with every
// request that is subject to CORS, and with others unless they are GET or HEAD.
//
// See https://fetch.spec.whatwg.org/#append-a-request-origin-header.
func (r Request) Actual() (headers [][2]string) {
	method := NormalizeMethod(r.Method)
	if r.CORS() || method != "GET" && method != "HEAD" {
		headers = append(headers, [2]string{"Origin", r.Origin})
	}
	return append(headers, r.settable()...)
}

// Dropped returns the header lines that a script can't set: the browser drops
// them silently, and makes its own where it needs them.
func (r Request) Dropped() [][2]string {
	settable := func(h [2]string) bool { return !ForbiddenRequestHeader(h[0], h[1]) }
	return slices.DeleteFunc(slices.Clone(r.Headers), settable)
}

// settable returns the header lines that are not dropped.
func (r Request) settable() [][2]string {
	forbidden := func(h [2]string) bool { return ForbiddenRequestHeader(h[0], h[1]) }
	return slices.DeleteFunc(slices.Clone(r.Headers), forbidden)
}

// unsafeNames returns the names of the headers that a preflight must allow,
// lower-case, sorted, each once.
func (r Request) unsafeNames() []string {
	names := UnsafeRequestHeaderNames(r.settable())
	for _, name := range r.UnsafeNames {
		names = append(names, asciiLower(name))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// ForbiddenMethod reports whether method is a forbidden method: fetch() and
// XMLHttpRequest throw an exception.
//
// See https://fetch.spec.whatwg.org/#forbidden-method.
func ForbiddenMethod(method string) bool {
	switch asciiUpper(method) {
	case "CONNECT", "TRACE", "TRACK":
		return true
	}
	return false
}

// ForbiddenRequestHeader reports whether a header is a forbidden request-header,
// which a script can't set.
//
// See https://fetch.spec.whatwg.org/#forbidden-request-header.
func ForbiddenRequestHeader(name, value string) bool {
	name = asciiLower(name)
	switch name {
	case "accept-charset", "accept-encoding", "access-control-request-headers", "access-control-request-method",
		"connection", "content-length", "cookie", "cookie2", "date", "dnt", "expect", "host", "keep-alive", "origin",
		"referer", "set-cookie", "te", "trailer", "transfer-encoding", "upgrade", "via":
		return true
	case "x-http-method", "x-http-method-override", "x-method-override":
		return slices.ContainsFunc(getDecodeSplit(value), ForbiddenMethod)
	}
	return strings.HasPrefix(name, "proxy-") || strings.HasPrefix(name, "sec-")
}

// getDecodeSplit splits a value at the commas that are not in a quoted string,
// whose quotes stay.
//
// See https://fetch.spec.whatwg.org/#concept-header-list-get-decode-split.
func getDecodeSplit(value string) (list []string) {
	quoted, start := false, 0
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			list = append(list, strings.Trim(value[start:i], "\t "))
			start = i + 1
		}
	}
	return append(list, strings.Trim(value[start:], "\t "))
}
