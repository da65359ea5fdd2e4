package browser_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// An exchange is one request of a page, what a server answers, and what becomes of
// it. In the answers ORIGIN stands for the page's origin, and SERVER for the server's.
type exchange struct {
	name      string
	req       browser.Request
	by        string // a script that makes the request of URL, instead of fetch() or XMLHttpRequest
	scheme    string // instead of http
	preflight answer
	actual    answer
	want      browser.BlockReason

	// Where one does not follow the standard, this is what it does.
	chromium, firefox *deviation
}

type answer struct {
	status  int
	headers string // lines, separated by |
}

// A deviation is an example of a departure.
type deviation struct {
	of        *departure
	blocks    string // the CorsError, of Firefox any text, "" if it lets the script have the response
	preflight string // the Access-Control-Request-Headers if they are others, "none" if there is no preflight
}

var (
	get  = browser.Request{Method: "GET"}
	put  = browser.Request{Method: "PUT"}
	star = answer{200, "Access-Control-Allow-Origin: *"}
)

func with(req browser.Request, headers ...string) browser.Request {
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Headers = append(slices.Clone(req.Headers), [2]string{name, value})
	}
	return req
}

func include(req browser.Request) browser.Request {
	req.CredentialsInclude = true
	return req
}

func madeBy(initiator string, req browser.Request) browser.Request {
	req.Initiator = initiator
	return req
}

func inMode(m browser.Mode, req browser.Request) browser.Request {
	req.Mode = m
	return req
}

func forced(req browser.Request) browser.Request {
	req.UseCORSPreflight = true
	return req
}

// accepts are lines of 128 bytes, and more.
func accepts(n int, more ...string) (lines []string) {
	for range n {
		lines = append(lines, "Accept: "+strings.Repeat("a", 128))
	}
	return append(lines, more...)
}

// anyone is an answer that has Access-Control-Allow-Origin: * and these lines.
func anyone(headers string) answer {
	return answer{200, "Access-Control-Allow-Origin: *|" + headers}
}

// ours is an answer that has the origin, credentials and these lines.
func ours(headers string) answer {
	return answer{200, "Access-Control-Allow-Origin: ORIGIN|Access-Control-Allow-Credentials: true|" + headers}
}

// allow is an answer whose Access-Control-Allow-Origin has that value.
func allow(origin string) answer {
	return answer{200, "Access-Control-Allow-Origin: " + origin}
}

var exchanges = []exchange{
	{name: "star", req: get, actual: star},
	{name: "the origin", req: get, actual: allow("ORIGIN")},
	{name: "white space", req: get, actual: allow(" \tORIGIN\t ")},
	{name: "an error with CORS headers is an answer", req: get, actual: answer{500, "Access-Control-Allow-Origin: *"}},
	{name: "same origin", req: browser.Request{Method: "PUT", URL: "page"}, actual: answer{status: 200}},
	{name: "no-cors", req: inMode(browser.ModeNoCORS, get), actual: answer{status: 200}},

	{name: "missing", req: get, actual: answer{status: 200}, want: browser.MissingAllowOrigin},
	{name: "missing in an error", req: get, actual: answer{status: 404}, want: browser.MissingAllowOrigin},
	{name: "missing in a redirect", req: get, actual: answer{302, "Location: /elsewhere"},
		want: browser.MissingAllowOrigin},
	{name: "empty", req: get, actual: allow(""), want: browser.InvalidAllowOrigin},
	{name: "a host", req: get, actual: allow("a.example"), want: browser.InvalidAllowOrigin},
	{name: "a wildcard host", req: get, actual: allow("*.example"), want: browser.InvalidAllowOrigin},
	{name: "a wildcard port", req: get, actual: allow("https://a.example:*"), want: browser.InvalidAllowOrigin},
	{name: "an expression", req: get, actual: allow("^https?://.*$"), want: browser.InvalidAllowOrigin},
	{name: "quoted", req: get, actual: allow(`"ORIGIN"`), want: browser.InvalidAllowOrigin},
	{name: "no host", req: get, actual: allow("http://"), want: browser.InvalidAllowOrigin},
	{name: "an address of five", req: get, actual: allow("http://1.2.3.4.5"), want: browser.InvalidAllowOrigin},
	{name: "an address over 255", req: get, actual: allow("http://999.1.1.1"), want: browser.InvalidAllowOrigin},
	{name: "a character that no host has", req: get, actual: allow("http://a<b"), want: browser.InvalidAllowOrigin},
	{name: "a port over 65535", req: get, actual: allow("http://a:99999"), want: browser.InvalidAllowOrigin},
	{name: "an open bracket", req: get, actual: allow("http://[::1"), want: browser.InvalidAllowOrigin},
	{name: "Latin-1", req: get, actual: allow("https://b\xfccher.example"), want: browser.InvalidAllowOrigin},
	{name: "another", req: get, actual: allow("https://a.example"), want: browser.AllowOriginMismatch},
	{name: "a scheme in upper case", req: get, actual: allow("HTTP://PAGE"), want: browser.AllowOriginMismatch},
	{name: "a slash", req: get, actual: allow("ORIGIN/"), want: browser.AllowOriginMismatch},
	{name: "upper case", req: get, actual: allow("HTTP://LOCALHOST"), want: browser.AllowOriginMismatch},
	{name: "null", req: get, actual: allow("null"), want: browser.AllowOriginMismatch},
	{name: "a wildcard in a URL", req: get, actual: allow("https://*.example"), want: browser.AllowOriginMismatch},
	{name: "a host with a port looks like a URL", req: get, actual: allow("localhost:3000"),
		want: browser.AllowOriginMismatch},
	{name: "one slash too few", req: get, actual: allow("http:a"), want: browser.AllowOriginMismatch},
	{name: "an unknown scheme", req: get, actual: allow("foo://"), want: browser.AllowOriginMismatch},
	{name: "UTF-8", req: get, actual: allow("https://bücher.example"), want: browser.AllowOriginMismatch},
	{name: "a tab", req: get, actual: allow("https://a.example\thttps://b.example"), want: browser.AllowOriginMismatch},
	{name: "a control character", req: get, actual: allow("\x0bORIGIN"), want: browser.AllowOriginMismatch},
	{name: "a list", req: get, actual: allow("https://a.example,https://b.example"),
		want: browser.MultipleAllowOrigins},
	{name: "a list by spaces", req: get, actual: allow("https://a.example https://b.example"),
		want: browser.MultipleAllowOrigins},
	{name: "twice", req: get, actual: anyone("Access-Control-Allow-Origin: *"), want: browser.MultipleAllowOrigins},
	{name: "star and the origin", req: get, actual: allow("*, ORIGIN"), want: browser.MultipleAllowOrigins},

	{name: "credentials", req: include(get), actual: ours("")},
	{name: "credentials, star", req: include(get), actual: anyone("Access-Control-Allow-Credentials: true"),
		want: browser.WildcardWithCredentials},
	{name: "credentials, not allowed", req: include(get), actual: allow("ORIGIN"),
		want: browser.AllowCredentialsNotTrue},
	{name: "credentials, True", req: include(get),
		actual: answer{200, "Access-Control-Allow-Origin: ORIGIN|Access-Control-Allow-Credentials: True"},
		want:   browser.AllowCredentialsNotTrue},
	{name: "credentials, twice", req: include(get), actual: ours("Access-Control-Allow-Credentials: true"),
		want: browser.AllowCredentialsNotTrue},
	{name: "XMLHttpRequest", req: madeBy(browser.InitiatorXHR, get), actual: answer{status: 200},
		want: browser.MissingAllowOrigin},
	{name: "XMLHttpRequest, another", req: madeBy(browser.InitiatorXHR, get), actual: allow("https://a.example"),
		want: browser.AllowOriginMismatch},
	{name: "XMLHttpRequest, star", req: madeBy(browser.InitiatorXHR, include(get)), actual: star,
		want: browser.WildcardWithCredentials},
	{name: "XMLHttpRequest, not allowed", req: madeBy(browser.InitiatorXHR, include(get)), actual: allow("ORIGIN"),
		want: browser.AllowCredentialsNotTrue},
	{name: "a script", req: madeBy("script", get), by: element("script", "src", "anonymous"),
		actual: allow("https://a.example"), want: browser.AllowOriginMismatch},
	{name: "a stylesheet", req: madeBy("CSS stylesheet", get), by: element("link", "href", "anonymous"),
		actual: allow("a"), want: browser.InvalidAllowOrigin},
	{name: "an image", req: madeBy("image", include(get)), by: element("img", "src", "use-credentials"), actual: star,
		want: browser.WildcardWithCredentials},
	{name: "a font", req: madeBy("font", get), by: "new FontFace('x', `url(${URL})`).load()",
		actual: answer{status: 200}, want: browser.MissingAllowOrigin},

	{name: "preflight", req: put, preflight: anyone("Access-Control-Allow-Methods: DELETE, PUT"), actual: star},
	{name: "preflight, two lines of methods", req: put, actual: star,
		preflight: anyone("Access-Control-Allow-Methods: DELETE|Access-Control-Allow-Methods: PUT")},
	{name: "preflight, header in upper case", req: with(get, "X-A: 1"), actual: star,
		preflight: anyone("Access-Control-Allow-Headers: X-A")},
	{name: "preflight, Authorization beside star", req: with(get, "Authorization: x"), actual: star,
		preflight: anyone("Access-Control-Allow-Headers: *, Authorization")},
	{name: "preflight, star", req: with(put, "X-A: 1"),
		preflight: anyone("Access-Control-Allow-Methods: *|Access-Control-Allow-Headers: *"), actual: star},
	{name: "preflight, credentials", req: include(with(put, "X-A: 1", "Content-Type: application/json")),
		actual:    ours(""),
		preflight: ours("Access-Control-Allow-Methods: PUT|Access-Control-Allow-Headers: content-type, x-a")},
	{name: "preflight, empty elements", req: with(get, "X-A: 1"),
		preflight: anyone("Access-Control-Allow-Headers: ,x-a\t, ,"), actual: star},
	{name: "preflight, missing", req: put, preflight: answer{status: 204}, want: browser.MissingAllowOrigin},
	{name: "preflight, missing before the status", req: put, preflight: answer{status: 404},
		want: browser.MissingAllowOrigin},
	{name: "preflight, another", req: put, preflight: allow("https://a.example"), want: browser.AllowOriginMismatch},
	{name: "preflight, invalid", req: put, preflight: allow("a"), want: browser.InvalidAllowOrigin},
	{name: "preflight, several", req: put, preflight: allow("*, *"), want: browser.MultipleAllowOrigins},
	{name: "preflight, star with credentials", req: include(put), preflight: star,
		want: browser.WildcardWithCredentials},
	{name: "preflight, credentials not allowed", req: include(put), preflight: allow("ORIGIN"),
		want: browser.AllowCredentialsNotTrue},
	{name: "preflight, XMLHttpRequest", req: madeBy(browser.InitiatorXHR, include(put)), preflight: star,
		want: browser.WildcardWithCredentials},
	{name: "preflight, 404", req: put, preflight: answer{404,
		"Access-Control-Allow-Origin: *|Access-Control-Allow-Methods: PUT"}, want: browser.PreflightStatus},
	{name: "preflight, 304", req: put, preflight: answer{304, "Access-Control-Allow-Origin: *"},
		want: browser.PreflightStatus},
	{name: "preflight, 206", req: put, preflight: answer{206,
		"Access-Control-Allow-Origin: *|Access-Control-Allow-Methods: PUT"}, actual: star},
	{name: "preflight, 299", req: put, preflight: answer{299,
		"Access-Control-Allow-Origin: *|Access-Control-Allow-Methods: PUT"}, actual: star},
	{name: "preflight, 401", req: put, preflight: answer{401,
		"Access-Control-Allow-Origin: *|Access-Control-Allow-Methods: PUT"}, want: browser.PreflightStatus},
	{name: "preflight, 500", req: put, preflight: answer{500,
		"Access-Control-Allow-Origin: *|Access-Control-Allow-Methods: PUT"}, want: browser.PreflightStatus},
	{name: "preflight, 300 is no redirect", req: put,
		preflight: answer{300, "Access-Control-Allow-Origin: *|Location: /elsewhere"}, want: browser.PreflightStatus},
	{name: "preflight, 301 to nowhere", req: put, preflight: answer{301,
		"Access-Control-Allow-Origin: *|Access-Control-Allow-Methods: PUT"}, want: browser.PreflightStatus},
	{name: "preflight, redirect", req: put, preflight: answer{308,
		"Access-Control-Allow-Origin: *|Location: /elsewhere"}, want: browser.PreflightRedirect},
	{name: "preflight, redirect without CORS headers", req: put,
		preflight: answer{301, "Location: https://127.0.0.1:1/"}, want: browser.PreflightRedirect,
		firefox: &deviation{of: redirectNotNamed, blocks: "‘Access-Control-Allow-Origin’ missing"}},
	{name: "preflight, methods no list", req: put, preflight: anyone("Access-Control-Allow-Methods: PUT DELETE"),
		want: browser.InvalidAllowMethods},
	{name: "preflight, methods quoted", req: with(get, "X-A: 1"),
		preflight: anyone(`Access-Control-Allow-Methods: "PUT"|Access-Control-Allow-Headers: x-a`),
		want:      browser.InvalidAllowMethods},
	{name: "preflight, headers no list", req: put,
		preflight: anyone("Access-Control-Allow-Methods: PUT|Access-Control-Allow-Headers: x-a, x b"),
		want:      browser.InvalidAllowHeaders},
	{name: "preflight, method", req: put, preflight: star, want: browser.MethodNotAllowed},
	{name: "preflight, method in lower case", req: put, preflight: anyone("Access-Control-Allow-Methods: put"),
		want: browser.MethodNotAllowed},
	{name: "preflight, method star with credentials", req: include(put),
		preflight: ours("Access-Control-Allow-Methods: *"), want: browser.MethodNotAllowed},
	{name: "preflight, patch is not PATCH", req: browser.Request{Method: "patch"},
		preflight: anyone("Access-Control-Allow-Methods: PATCH"), want: browser.MethodNotAllowed},
	{name: "preflight, patch is patch", req: browser.Request{Method: "patch"},
		preflight: anyone("Access-Control-Allow-Methods: patch"), actual: star},
	{name: "preflight, method before header", req: with(put, "X-A: 1"), preflight: star,
		want: browser.MethodNotAllowed},
	{name: "preflight, header", req: with(get, "Content-Type: application/json"), preflight: star,
		want: browser.HeaderNotAllowed},
	{name: "preflight, one of two headers", req: with(get, "X-A: 1", "X-B: 2"),
		preflight: anyone("Access-Control-Allow-Headers: x-a"), want: browser.HeaderNotAllowed},
	{name: "preflight, header star with credentials", req: include(with(get, "X-A: 1")),
		preflight: ours("Access-Control-Allow-Headers: *"), want: browser.HeaderNotAllowed},
	{name: "preflight, authorization not allowed", req: with(get, "Authorization: x"), preflight: star,
		want: browser.HeaderNotAllowed},
	{name: "preflight, the answer itself", req: put, preflight: anyone("Access-Control-Allow-Methods: PUT"),
		actual: answer{status: 200}, want: browser.MissingAllowOrigin},
	{name: "preflight by a stream", req: forced(browser.Request{Method: "POST"}), preflight: answer{status: 200},
		want:   browser.MissingAllowOrigin,
		by:     "fetch(URL, {method: 'POST', duplex: 'half', body: new ReadableStream({start(c) { c.close(); }})})",
		actual: answer{status: 200}, firefox: &deviation{of: noStreams, blocks: "missing", preflight: "none"}},
	{name: "preflight by a listener", req: madeBy(browser.InitiatorXHR, forced(browser.Request{Method: "POST"})),
		preflight: star, actual: star},

	// The rules by which headers need a preflight; that there is one is compared.
	{name: "safelisted", req: with(get, "Accept: */*", "Accept-Language: de", "Content-Language: en",
		"Content-Type: text/plain ;a=b", "Range: bytes=0-5"), actual: star},
	{name: "not ASCII, not safelisted", req: with(get, "X-A: \u00e9", "Content-Language: \u00e9"), actual: star,
		preflight: anyone("Access-Control-Allow-Headers: x-a, content-language")},
	{name: "a boundary", req: with(browser.Request{Method: "POST"}, "Content-Type: multipart/form-data; boundary="+
		strings.Repeat("a", 98)), actual: star},
	{name: "a long boundary", req: with(browser.Request{Method: "POST"}, "Content-Type: multipart/form-data; boundary="+
		strings.Repeat("a", 99)), preflight: star, want: browser.HeaderNotAllowed},
	{name: "a quoted boundary", preflight: star, want: browser.HeaderNotAllowed,
		req: with(browser.Request{Method: "POST"}, `Content-Type: multipart/form-data; boundary="a"`)},
	{name: "a form as the body", req: browser.Request{Method: "POST"}, actual: star,
		by: "fetch(URL, {method: 'POST', body: (() => { const d = new FormData(); d.set('a', new Blob(['b']), 'c'); return d; })()})"},
	{name: "a query as the body", req: browser.Request{Method: "POST"}, actual: star,
		by: "fetch(URL, {method: 'POST', body: new URLSearchParams('a=b')})"},
	{name: "a text as the body", req: browser.Request{Method: "POST"}, actual: star,
		by: "fetch(URL, {method: 'POST', body: 'a'})"},
	{name: "bytes as the body", req: browser.Request{Method: "POST"}, actual: star,
		by: "fetch(URL, {method: 'POST', body: new Uint8Array(1)})"},
	{name: "a blob of JSON as the body", actual: star,
		preflight: star, req: with(browser.Request{Method: "POST"}, "Content-Type: application/json"),
		by:   "fetch(URL, {method: 'POST', body: new Blob(['{}'], {type: 'application/json'})})",
		want: browser.HeaderNotAllowed},
	{name: "unsafe byte", req: with(get, `Accept: a"`), preflight: star, want: browser.HeaderNotAllowed},
	{name: "128 bytes", req: with(get, "Accept: "+strings.Repeat("a", 128)), actual: star},
	{name: "129 bytes", req: with(get, "Accept: "+strings.Repeat("a", 129)), preflight: star,
		want: browser.HeaderNotAllowed},
	{name: "underscore", req: with(get, "Accept-Language: en_GB"), preflight: star, want: browser.HeaderNotAllowed},
	{name: "empty content type", req: with(get, "Content-Type: "), preflight: star, want: browser.HeaderNotAllowed},
	{name: "two content types", req: with(get, "Content-Type: text/plain, application/json"), preflight: star,
		want: browser.HeaderNotAllowed},
	{name: "suffix range", req: with(get, "Range: bytes=-5"), preflight: star, want: browser.HeaderNotAllowed},
	{name: "range backwards", req: with(get, "Range: bytes=9-5"), preflight: star, want: browser.HeaderNotAllowed},
	{name: "forbidden headers are dropped", actual: star, req: with(get,
		"Accept-Charset: a", "Accept-Encoding: a", "Access-Control-Request-Headers: a",
		"Access-Control-Request-Method: a", "Connection: a",
		"Content-Length: 1", "Cookie: a", "Cookie2: a", "Date: a", "DNT: 1", "Expect: a", "Host: a", "Keep-Alive: a",
		"Origin: a", "Referer: a",
		"Set-Cookie: a", "TE: a", "Trailer: a", "Transfer-Encoding: a", "Upgrade: a", "Via: a", "Proxy-: a", "Sec-A: a",
		"X-HTTP-Method: connect", "X-HTTP-Method-Override: GET,TRACE", "X-Method-Override: TRACK")},
	{name: "not forbidden", preflight: star, req: with(get, `X-Method-Override: PUT, "TRACE"`),
		want: browser.HeaderNotAllowed},
	{name: "not forbidden either", preflight: star, req: with(get, "Access-Control-Request-Private-Network: true"),
		want: browser.HeaderNotAllowed},

	{name: "redirect with a password", req: get, actual: answer{302,
		"Access-Control-Allow-Origin: *|Location: http://u:p@SERVER/elsewhere"}, want: browser.RedirectWithCredentials},
	{name: "mode same-origin", req: inMode(browser.ModeSameOrigin, get), want: browser.ForbiddenByMode},
	{name: "forbidden method", req: browser.Request{Method: "trace"}, want: browser.ForbiddenMethodName},
	{name: "another scheme", req: get, scheme: "foo", want: browser.SchemeNotHTTP},
	{name: "another scheme, XMLHttpRequest", req: madeBy(browser.InitiatorXHR, get), scheme: "foo",
		want: browser.SchemeNotHTTP},

	// A row that fails because a browser has come to follow the standard loses its last
	// field, and its line in docs/browsers.md and at [browser.ChromiumError].
	{name: "star covers Authorization", req: with(get, "Authorization: x"),
		preflight: anyone("Access-Control-Allow-Headers: *"), actual: star, want: browser.AuthorizationNotListed,
		chromium: &deviation{of: starCoversAuthorization},
		firefox:  &deviation{of: starCoversAuthorization}},
	{name: "a listener asks for Access-Control-Allow-Methods", req: madeBy(browser.InitiatorXHR, forced(put)),
		preflight: star, actual: star,
		chromium: &deviation{of: listenerNeedsMethods, blocks: "MethodDisallowedByPreflightResponse"},
		firefox:  &deviation{of: listenerNeedsMethods, blocks: "Did not find method"}},
	{name: "User-Agent is forbidden", req: with(get, "User-Agent: a"), preflight: star, actual: star,
		want:     browser.HeaderNotAllowed,
		chromium: &deviation{of: userAgentForbidden, preflight: "none"}},
	{name: "client hints are safelisted", actual: star, preflight: star, want: browser.HeaderNotAllowed,
		req:      with(get, "DPR: 1", "Save-Data: on", "Device-Memory: 8", "Width: 1", "Viewport-Width: 1"),
		chromium: &deviation{of: clientHintsSafelisted, preflight: "none"}},
	{name: "lines are joined", req: with(get, "Accept: "+strings.Repeat("a", 100),
		"Accept: "+strings.Repeat("a", 100)), preflight: star, actual: star,
		chromium: &deviation{of: linesJoined, blocks: "HeaderDisallowedByPreflightResponse", preflight: "accept"}},
	{name: "1024 bytes", actual: star, preflight: star, req: with(get, accepts(8)...),
		chromium: &deviation{of: linesJoined, blocks: "HeaderDisallowedByPreflightResponse", preflight: "accept"}},
	{name: "1025 bytes", actual: star, preflight: star, req: with(get, accepts(8, "Content-Language: a")...),
		want:     browser.HeaderNotAllowed,
		chromium: &deviation{of: linesJoined, blocks: "HeaderDisallowedByPreflightResponse", preflight: "accept"},
		firefox:  &deviation{of: noSum, preflight: "none"}},
	{name: "not ASCII in Accept", req: with(get, "Accept: \u00e9"), preflight: star, actual: star,
		firefox: &deviation{of: notASCIIUnsafe, blocks: "header ‘accept’", preflight: "accept"}},
	{name: "not ASCII in Content-Type", req: with(get, "Content-Type: text/plain;a=\u00e9"), preflight: star, actual: star,
		firefox: &deviation{of: notASCIIUnsafe, blocks: "header ‘content-type’", preflight: "content-type"}},
}

// redirected are exchanges with the answer to a request that was redirected; its
// path tells the handler to redirect first.
var redirected = []exchange{
	{name: "redirected", req: browser.Request{Method: "GET", RedirectedFrom: "/redirect"}, actual: answer{status: 200},
		want: browser.MissingAllowOrigin},
	{name: "redirected, preflight", req: browser.Request{Method: "PUT", RedirectedFrom: "/redirect"},
		preflight: answer{status: 200}, want: browser.MissingAllowOrigin},
	{name: "redirected to another scheme", req: browser.Request{Method: "GET", RedirectedFrom: "/redirect"},
		scheme: "foo", want: browser.SchemeNotHTTP},
}

// opaque are exchanges of a page whose origin is null.
var opaque = []exchange{
	{name: "opaque, star", req: get, actual: star},
	{name: "opaque, null", req: get, actual: allow("null")},
	{name: "opaque, null with credentials", req: include(get),
		actual: answer{200, "Access-Control-Allow-Origin: null|Access-Control-Allow-Credentials: true"}},
	{name: "opaque, credentials and star", req: include(get), actual: anyone("Access-Control-Allow-Credentials: true"),
		want: browser.WildcardWithCredentials},
	{name: "opaque, NULL", req: get, actual: allow("NULL"), want: browser.InvalidAllowOrigin},
	{name: "opaque, missing", req: get, actual: answer{status: 200}, want: browser.MissingAllowOrigin},
	{name: "opaque, another", req: get, actual: allow("https://a.example"), want: browser.AllowOriginMismatch},
	{name: "opaque, the page's own server", req: browser.Request{Method: "PUT", URL: "page"},
		preflight: answer{status: 200}, want: browser.MissingAllowOrigin},
}

// element makes a script that loads URL as an element does.
func element(name, attribute, crossOrigin string) string {
	return fmt.Sprintf(`new Promise((resolve, reject) => {
		const node = Object.assign(document.createElement(%q),
			{crossOrigin: %q, rel: 'stylesheet', onload: resolve, onerror: reject});
		node[%q] = URL;
		document.body.append(node);
	})`, name, crossOrigin, attribute)
}

// script makes the script that makes the exchange's request.
func (x exchange) script(url string) string {
	js := x.by
	headers, _ := json.Marshal(x.req.Headers)
	credentials := map[bool]string{true: "include", false: "omit"}[x.req.CredentialsInclude]
	switch {
	case js != "":
	case x.req.Initiator == browser.InitiatorXHR:
		js = fmt.Sprintf(`new Promise((resolve, reject) => {
			const xhr = Object.assign(new XMLHttpRequest(), {onload: resolve, onerror: reject});
			xhr.open(%q, URL);
			xhr.withCredentials = %t;
			for (const [name, value] of %s ?? []) xhr.setRequestHeader(name, value);
			if (%t) xhr.upload.onprogress = () => {};
			xhr.send('body');
		})`, x.req.Method, x.req.CredentialsInclude, headers, x.req.UseCORSPreflight)
	default:
		js = fmt.Sprintf(`fetch(URL, {method: %q, mode: %q, credentials: %q, headers: %s ?? []})`,
			x.req.Method, map[bool]string{true: "cors", false: string(x.req.Mode)}[x.req.Mode == browser.ModeCORS],
			credentials, headers)
	}
	return fmt.Sprintf(`(async () => { const URL = %q; try { await %s; return ''; } catch (e) { return String(e.type ?? e); } })()`, url, js)
}

// observed is what came of an exchange.
type observed struct {
	failed    bool // the script did not get the response
	preflight [][2]string
	actual    [][2]string
	cors      []network.CorsErrorStatus
	messages  []string // on the console
}

// TestMessages lets browsers judge exchanges, and compares what they do and say with
// what package browser says that they do: whether the script has the response, what
// the preflight asks, the words on the console, and how Chromium's network panel calls
// the error.
func TestMessages(t *testing.T) {
	all := slices.Concat(exchanges, redirected, opaque)
	for _, v := range visitors(t) {
		t.Run(v.called(), func(t *testing.T) {
			m := newMessages(t, v.called(), all)
			switch v := v.(type) {
			case *chromium:
				m.listen(v)
			case *firefoxTab:
				m.listenToFirefox(v)
			}
			m.make(v)
			m.wait()
			for i, x := range all {
				t.Run(x.name, func(t *testing.T) { m.check(t, i) })
			}
		})
	}
	verified := map[browser.BlockReason]bool{
		browser.PrivateNetworkNotAllowed: true, // No browser makes such preflights any more.
	}
	for _, x := range all {
		verified[x.want] = true
	}
	for _, reason := range browser.BlockReasons() {
		if !verified[reason] {
			t.Errorf("no exchange is blocked by %s", reason)
		}
	}
}

// make has pages make all requests.
func (m *messages) make(v visitor) {
	for _, page := range []struct {
		path       string
		start, end int
	}{
		{"/", 0, len(m.exchanges) - len(opaque)},
		{"/opaque", len(m.exchanges) - len(opaque), len(m.exchanges)},
	} {
		v.visit(m.page.URL + page.path)
		var scripts []string
		for i := page.start; i < page.end; i++ {
			scripts = append(scripts, m.exchanges[i].script(m.requests[i].URL))
			if from := m.requests[i].RedirectedFrom; from != "" {
				scripts[len(scripts)-1] = m.exchanges[i].script(from)
			}
		}
		var results []string
		v.decode("Promise.all(["+strings.Join(scripts, ",\n")+"])", &results)
		for i, result := range results {
			m.observed(page.start + i).failed = result != ""
		}
	}
}

// messages has the servers, and what was observed of each exchange.
type messages struct {
	browser   string
	exchanges []exchange
	requests  []browser.Request // with URL and origin
	page, api *httptest.Server

	mu   sync.Mutex
	seen []observed
	urls map[network.RequestID]string
}

func newMessages(t *testing.T, browser string, exchanges []exchange) *messages {
	t.Helper()
	m := &messages{
		browser: browser, exchanges: exchanges, seen: make([]observed, len(exchanges)),
		urls: map[network.RequestID]string{},
	}
	m.page = httptest.NewServer(m)
	t.Cleanup(m.page.Close)
	m.api = httptest.NewServer(m)
	t.Cleanup(m.api.Close)
	for i, x := range exchanges {
		req := x.req
		server := m.api.URL
		if req.URL == "page" {
			server = m.page.URL
		}
		if x.scheme != "" {
			server = x.scheme + strings.TrimPrefix(server, "http")
		}
		req.URL = fmt.Sprintf("%s/case/%d", server, i)
		if req.RedirectedFrom != "" {
			req.RedirectedFrom = fmt.Sprintf("%s%s/case/%d", m.api.URL, req.RedirectedFrom, i)
		}
		req.Origin = m.page.URL
		if i >= len(exchanges)-len(opaque) {
			req.Origin = "null"
		}
		m.requests = append(m.requests, req)
	}
	return m
}

// lines makes the header lines of an answer.
func (m *messages) lines(a answer) (lines [][2]string) {
	headers := strings.NewReplacer("ORIGIN", m.page.URL,
		"PAGE", strings.TrimPrefix(m.page.URL, "http://"), "SERVER", strings.TrimPrefix(m.api.URL, "http://")).Replace(a.headers)
	for line := range strings.SplitSeq(headers, "|") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			lines = append(lines, [2]string{name, value})
		}
	}
	return lines
}

var casePath = regexp.MustCompile(`/case/(\d+)`)

// caseOf is the exchange that a URL or a message is about, -1 if it is none.
func (m *messages) caseOf(text string) int {
	if found := casePath.FindStringSubmatch(text); found != nil {
		i, _ := strconv.Atoi(found[1])
		return i
	}
	return -1
}

// ServeHTTP answers as the exchange that the path names says.
func (m *messages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i := m.caseOf(r.URL.Path)
	switch {
	case i < 0:
		if r.URL.Path == "/opaque" {
			w.Header().Set("Content-Security-Policy", "sandbox allow-scripts")
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><title>Messages</title><body>")
		return
	case strings.HasPrefix(r.URL.Path, "/redirect/"):
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Methods", "*")
		if r.Method != http.MethodOptions {
			w.Header().Set("Location", m.requests[i].URL)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}
		return
	}
	a, headers := m.exchanges[i].actual, [][2]string{}
	names := []string{"Origin"}
	if r.Method == http.MethodOptions {
		a = m.exchanges[i].preflight
		names = []string{"Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers",
			"Access-Control-Request-Private-Network"}
	}
	for _, name := range names {
		for _, value := range r.Header.Values(name) {
			headers = append(headers, [2]string{name, value})
		}
	}
	m.mu.Lock()
	if r.Method == http.MethodOptions {
		m.seen[i].preflight = headers
	} else {
		m.seen[i].actual = headers
	}
	m.mu.Unlock()
	for _, h := range m.lines(a) {
		w.Header().Add(h[0], h[1])
	}
	w.WriteHeader(max(a.status, 200))
}

// listen collects what the browser reports.
func (m *messages) listen(b *chromium) {
	b.t.Helper()
	err := chromedp.Listen(b.ctx, func(ev any) {
		m.mu.Lock()
		defer m.mu.Unlock()
		switch ev := ev.(type) {
		case *network.EventRequestWillBeSent:
			if m.urls[ev.RequestID] == "" { // Otherwise it is a redirect.
				m.urls[ev.RequestID] = ev.Request.URL
			}
		case *network.EventLoadingFailed:
			if i := m.caseOf(m.urls[ev.RequestID]); i >= 0 && ev.CorsErrorStatus != nil {
				m.seen[i].cors = append(m.seen[i].cors, *ev.CorsErrorStatus)
			}
		case *log.EventEntryAdded:
			if i := m.caseOf(ev.Entry.Text); i >= 0 {
				m.seen[i].messages = append(m.seen[i].messages, ev.Entry.Text)
			}
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := chromedp.Call(b.ctx, network.Enable, network.EnableParams{}); err != nil {
		b.t.Fatal(err)
	}
}

// listenToFirefox collects what the console says.
func (m *messages) listenToFirefox(f *firefoxTab) {
	f.Helper()
	if err := f.Console(func(text string) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if i := m.caseOf(text); i >= 0 {
			m.seen[i].messages = append(m.seen[i].messages, text)
		}
	}); err != nil {
		f.Fatal(err)
	}
}

func (m *messages) observed(i int) *observed { return &m.seen[i] }

// verdict is what package browser says of an exchange.
func (m *messages) verdict(i int) *browser.Blocked {
	x := m.exchanges[i]
	return browser.Verdict(m.requests[i],
		&browser.Response{Status: max(x.preflight.status, 200), Headers: m.lines(x.preflight)},
		&browser.Response{Status: max(x.actual.status, 200), Headers: m.lines(x.actual)})
}

// message is what package browser says that the browser says.
func (m *messages) message(i int) string {
	blocked := m.verdict(i)
	if m.browser == firefoxName {
		return browser.Firefox(m.requests[i], blocked)
	}
	return browser.Chromium(m.requests[i], blocked).Message
}

// deviation is in what the browser does otherwise than the standard, nil if in nothing.
func (m *messages) deviation(i int) *deviation {
	if m.browser == firefoxName {
		return m.exchanges[i].firefox
	}
	return m.exchanges[i].chromium
}

// wait waits for the reports, which come by another way than the results.
func (m *messages) wait() {
	complete := func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		for i := range m.exchanges {
			d := m.deviation(i)
			if d == nil && m.message(i) != "" && m.seen[i].messages == nil ||
				d != nil && d.blocks != "" && m.seen[i].messages == nil {
				return false
			}
		}
		return true
	}
	for deadline := time.Now().Add(30 * time.Second); !complete() && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
}

// check compares the browser with package browser.
func (m *messages) check(t *testing.T, i int) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	x, seen, req := m.exchanges[i], m.seen[i], m.requests[i]
	blocked := m.verdict(i)
	var reason browser.BlockReason
	if blocked != nil {
		reason = blocked.Reason
	}
	if reason != x.want {
		t.Errorf("the verdict is %q (%v), want %q", reason, blocked, x.want)
	}
	preflight, fails := req.Preflight(), blocked != nil
	if d := m.deviation(i); d != nil {
		preflight, fails = d.preflightOf(req), d.blocks != ""
	}
	if seen.failed != fails {
		t.Errorf("the script gets the response: %t, want %t (%v)", !seen.failed, !fails, blocked)
	}
	if x.scheme == "" && x.want != browser.ForbiddenByMode && x.want != browser.ForbiddenMethodName &&
		!slices.Equal(seen.preflight, preflight) {
		t.Errorf("the preflight has\n\t%q, want\n\t%q", seen.preflight, preflight)
	}
	if want := req.Actual(); seen.actual != nil && len(want) > 0 && want[0][0] == "Origin" &&
		req.Mode != browser.ModeNoCORS && !slices.Equal(seen.actual, want[:1]) {
		t.Errorf("the request has %q, want %q", seen.actual, want[:1])
	}
	if m.browser == firefoxName {
		m.checkFirefox(t, i)
		return
	}
	want, whole := browser.Chromium(req, blocked), true
	if d := m.deviation(i); d != nil {
		want, whole = browser.ChromiumError{Name: d.blocks}, false
	}
	m.checkReport(t, seen, want, whole)
}

// preflightOf are the lines of the preflight that a browser makes otherwise.
func (d *deviation) preflightOf(req browser.Request) [][2]string {
	switch d.preflight {
	case "none":
		return nil
	case "":
		return req.Preflight()
	}
	return [][2]string{{"Origin", req.Origin}, {"Access-Control-Request-Method", req.Method},
		{"Access-Control-Request-Headers", d.preflight}}
}

// checkFirefox compares what Firefox says: first why, and then only that the request did not succeed.
func (m *messages) checkFirefox(t *testing.T, i int) {
	t.Helper()
	var said []string
	for _, text := range m.seen[i].messages {
		if strings.HasPrefix(text, "Cross-Origin Request Blocked: ") &&
			(said == nil || !strings.Contains(text, "did not succeed")) {
			said = append(said, text)
		}
	}
	if d := m.deviation(i); d != nil {
		if got := strings.Join(said, "\n"); !strings.Contains(got, d.blocks) || d.blocks == "" && got != "" {
			t.Errorf("on the console is\n\t%q, want %q", got, d.blocks)
		}
		return
	}
	var want []string
	if message := m.message(i); message != "" {
		want = []string{strings.ToValidUTF8(message, "\ufffd")}
	}
	if !slices.Equal(said, want) {
		t.Errorf("on the console is\n\t%q, want\n\t%q", said, want)
	}
}

// checkReport compares the reports: the whole, or only the name of the error.
func (m *messages) checkReport(t *testing.T, seen observed, want browser.ChromiumError, whole bool) {
	t.Helper()
	names, parameters := []string(nil), []string(nil)
	for _, status := range seen.cors {
		names, parameters = append(names, status.CorsError.String()), append(parameters, status.FailedParameter)
	}
	var messages []string
	for _, text := range seen.messages {
		if strings.Contains(text, " CORS ") || strings.Contains(text, "cannot load") {
			messages = append(messages, withoutSchemes(text))
		}
	}
	only := func(s string) []string {
		if s == "" {
			return nil
		}
		return []string{s}
	}
	if !slices.Equal(names, only(want.Name)) {
		t.Errorf("Chromium calls it %q, want %q", names, want.Name)
	}
	if !whole {
		return
	}
	// The protocol has no bytes that are not UTF-8.
	if strings.ToValidUTF8(want.Parameter, "") == want.Parameter && want.Name != "" &&
		!slices.Equal(parameters, []string{want.Parameter}) {
		t.Errorf("Chromium's parameter is %q, want %q", parameters, want.Parameter)
	}
	if !slices.Equal(messages, only(withoutSchemes(want.Message))) {
		t.Errorf("on the console is\n\t%q, want\n\t%q", messages, want.Message)
	}
}

// withoutSchemes cuts off a list of schemes, which depends on the build.
func withoutSchemes(message string) string {
	message, _, _ = strings.Cut(message, "protocol schemes: ")
	return message
}
