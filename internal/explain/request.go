package explain

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/capture"
)

// asTyped tells what the filter makes of an origin that is written as no browser sends
// it, as people do who probe with curl.
func (e *Explanation) asTyped(typed string) {
	r := e.Request
	if typed == r.Origin || e.Policy == nil || e.Actual == nil && e.Preflight == nil || !r.CORS() {
		return
	}
	r.Origin = typed
	const sent = "sent as it is written, as curl does, "
	answered, d := e.upstream.through(e.Policy, r.Method, r.Actual(), e.result)
	if lines := r.Preflight(); lines != nil {
		answered, d = e.upstream.through(e.Policy, "OPTIONS", lines, e.result)
	}
	switch {
	case d.Untouched(), d.Allowed():
	case !answered.Forwarded:
		e.Typed = fmt.Sprintf("%sthe filter answers the preflight with %d: %s", sent, answered.Status, d.Why())
	case d.Preflight:
		e.Typed = sent + "the preflight is forwarded to the upstream: " + d.Why()
	default:
		words := "the answer has no CORS headers"
		preflight := [][2]string{{"Origin", typed}, {"Access-Control-Request-Method", r.Method}}
		if a, _ := e.upstream.through(e.Policy, "OPTIONS", preflight, e.result); !a.Forwarded {
			words += fmt.Sprintf(", and a preflight is answered with %d", a.Status)
		}
		e.Typed = sent + words + ": " + d.Why()
	}
}

// normalize makes of what a person wrote what a browser would send. It returns the
// origin as it was written.
func (e *Explanation) normalize() (typed string) {
	r := &e.Request
	typed = r.Origin
	r.Method = browser.NormalizeMethod(r.Method)
	if origin, err := capture.SentOrigin(typed); err == nil && origin != typed {
		e.Hints = append(e.Hints, fmt.Sprintf("a browser sends the origin %s as %s", capture.MaskURL(typed), origin))
		r.Origin = origin
	}
	for _, h := range r.Dropped() {
		e.Hints = append(e.Hints,
			fmt.Sprintf("a page can't set the header %s: the browser leaves it out, or sends its own", h[0]))
	}
	return typed
}

// grpcWeb reminds of what the clients of gRPC-Web read from the headers of an answer
// that has no body, such as that of a call that fails.
// See https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md.
func (e *Explanation) grpcWeb(c cors.Config) {
	isMark := func(name string) bool { return strings.EqualFold(name, "x-grpc-web") }
	isGRPC := slices.ContainsFunc(e.Request.UnsafeNames, isMark)
	for _, h := range e.Request.Headers {
		value := strings.ToLower(strings.TrimSpace(h[1]))
		isGRPC = isGRPC || isMark(h[0]) || strings.EqualFold(h[0], "content-type") &&
			strings.HasPrefix(value, "application/grpc-web")
	}
	if !isGRPC {
		return
	}
	exposed := [][2]string{{"access-control-expose-headers", strings.Join(c.ExposeHeaders, ",")}}
	var missing []string
	for _, name := range []string{"grpc-status", "grpc-message", "grpc-status-details-bin"} {
		if !browser.Exposed(exposed, name, e.Request.CredentialsInclude) {
			missing = append(missing, strconv.Quote(name))
		}
	}
	if missing != nil {
		e.Hints = append(e.Hints,
			"the request is gRPC-Web, whose clients read the status of a call without an answer from headers: add "+
				strings.Join(missing, ", ")+" to expose_headers, or the page sees no more than that the call failed")
	}
}
