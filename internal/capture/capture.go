// Package capture takes requests from what people have at hand when a browser
// blocked one: a copied curl command, or a HAR file of the network panel. From
// either it makes out what the page asked for, without what the browser added, so
// that package browser can tell what a browser makes of it.
package capture

import (
	"net/url"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// A Request is a request of a page, and what was recorded of it.
type Request struct {
	// Request is what a browser was asked for, its origin "" if nothing tells it. Its headers
	// are those that the page set, as far as one can tell: without those that only
	// browsers set, and with a value of Authorization that is masked. Of further
	// headers a preflight told the names.
	browser.Request
	// OriginFrom is what told the origin, such as "the Referer header". It is worth
	// saying where it is not the Origin header itself.
	OriginFrom string
	// CredentialsFrom is what told that the credentials mode is "include", such as "the
	// Cookie header". It is empty if nothing did, which is no proof: a page can ask for
	// credentials and have none.
	CredentialsFrom string
	// Source says where in the input the request was, such as "log.entries[12]", which
	// are counted from 0.
	Source string
	// Recorded is the answer that was recorded, and RecordedPreflight the one to
	// the preflight; nil if there is none.
	Recorded, RecordedPreflight *browser.Response
	// Error is the browser's word for a failure, such as net::ERR_FAILED.
	Error string
	// FromPreflight tells that only the preflight is known, so that Method and
	// UnsafeNames are what it asked for.
	FromPreflight bool
	// ByBrowser tells that a browser made the request, for it has headers that only
	// browsers set.
	ByBrowser bool

	// unanswered tells that the record says that there was no answer.
	unanswered bool
}

// Sent returns the request as package browser has it.
func (r Request) Sent() browser.Request {
	req := r.Request
	req.Method = browser.NormalizeMethod(r.Method)
	// There was a preflight, and nothing that the record shows asked for one.
	preflighted := r.FromPreflight || r.RecordedPreflight != nil
	req.UseCORSPreflight = preflighted && len(req.PreflightReasons()) == 0
	return req
}

// Failed reports whether the page did not get the response: the browser recorded
// a failure, or the answers that it recorded do not pass package browser's checks.
// Not every failure is about CORS, and [Request.Error] may tell. A response that
// the page did not want to read to its end is no failure.
func (r Request) Failed() bool {
	if aborted(r.Error) {
		return false
	}
	return r.Error != "" || r.unanswered || r.Verdict() != nil
}

// aborted reports whether a browser's word for a failure is that the page itself
// gave up. Chromium also says so of each response whose body was not read.
func aborted(failure string) bool {
	return strings.Contains(failure, "ERR_ABORTED") || strings.Contains(failure, "NS_BINDING_ABORTED")
}

// Verdict is package browser's verdict on the recorded answers.
func (r Request) Verdict() *browser.Blocked {
	return browser.Verdict(r.Sent(), r.RecordedPreflight, r.Recorded)
}

// Failing returns the requests that failed, in their order.
func Failing(requests []Request) []Request {
	return slices.DeleteFunc(slices.Clone(requests), func(r Request) bool { return !r.Failed() })
}

// setHeaders sorts the header lines of a request, as sent or as copied: it keeps
// those that the page set, and reads the others for what they tell.
func (r *Request) setHeaders(lines [][2]string) {
	header := map[string]string{}
	for _, h := range lines {
		header[strings.ToLower(h[0])] = h[1]
	}
	for _, h := range lines {
		name := strings.ToLower(h[0])
		switch {
		case strings.HasPrefix(name, ":"), browser.ForbiddenRequestHeader(name, h[1]), browserSets[name]:
		case name == "cache-control" && header["pragma"] == "no-cache",
			name == "pragma" && header["cache-control"] == "no-cache",
			name == "cache-control" && h[1] == "max-age=0":
			// A reload, or the developer tools with the cache disabled.
		case name == "authorization":
			r.Headers = append(r.Headers, [2]string{h[0], masked(h[1])})
		default:
			r.Headers = append(r.Headers, h)
		}
	}
	r.setOrigin(header["origin"], "the Origin header")
	if origin, err := SentOrigin(header["referer"]); err == nil && origin != "null" {
		r.setOrigin(origin, "the Referer header")
	}
	r.ByBrowser = r.ByBrowser || header["sec-fetch-mode"] != "" || header["sec-fetch-site"] != ""
	switch {
	case header["cookie"] != "":
		r.setCredentials("the Cookie header")
	case header["sec-fetch-storage-access"] != "":
		// Browsers send it only with credentials.
		r.setCredentials("the Sec-Fetch-Storage-Access header")
	}
	if mode := header["sec-fetch-mode"]; mode != "cors" {
		r.Mode = browser.Mode(mode)
	}
	if r.Initiator == "" {
		r.Initiator = initiators[header["sec-fetch-dest"]]
	}
	r.setPreflight(header["access-control-request-method"], header["access-control-request-headers"])
}

func (r *Request) setOrigin(origin, from string) {
	if r.Origin == "" && origin != "" {
		r.Origin, r.OriginFrom = origin, from
	}
}

func (r *Request) setCredentials(from string) {
	if !r.CredentialsInclude {
		r.CredentialsInclude, r.CredentialsFrom = true, from
	}
}

// setPreflight turns a preflight into the request that it asks for. Other
// requests stay as they are.
func (r *Request) setPreflight(method, names string) {
	if r.Method != "OPTIONS" || method == "" {
		return
	}
	r.Method, r.FromPreflight, r.Headers = method, true, nil
	for name := range strings.SplitSeq(names, ",") {
		if name = strings.ToLower(strings.Trim(name, " \t")); name != "" && !slices.Contains(r.UnsafeNames, name) {
			r.UnsafeNames = append(r.UnsafeNames, name)
		}
	}
}

// SetPreflight turns a preflight into the request that it asks for, by the lines of
// Access-Control-Request-* that a person wrote. The warnings are about what no browser
// sends so.
func (r *Request) SetPreflight(lines [][2]string) (warnings []string) {
	warnings = probes(r.Method, lines)
	header := map[string]string{}
	for _, h := range lines {
		header[strings.ToLower(h[0])] = h[1]
	}
	r.setPreflight(header["access-control-request-method"], header["access-control-request-headers"])
	return warnings
}

// probes are warnings about a request of somebody who probes for a preflight by hand,
// where it isn't one, or another than a browser's.
func probes(method string, lines [][2]string) (warnings []string) {
	origins := 0
	for _, h := range lines {
		name := strings.ToLower(h[0])
		if name == "origin" && h[1] != "" {
			if origins++; origins == 2 {
				warnings = append(warnings, "the request has several Origin headers, "+
					"which are no origin to the filter; the last one is explained")
			}
		}
		switch {
		case !strings.HasPrefix(name, "access-control-request-"):
		case strings.EqualFold(method, "OPTIONS") && method != "OPTIONS":
			return append(warnings, "methods compare by case, and "+method+
				" is not OPTIONS, so that this is no preflight")
		case method != "OPTIONS":
			return append(warnings, "a "+method+" with "+h[0]+
				" is no preflight, which is an OPTIONS request: the filter takes it for any other "+method+
				"; to ask for a preflight, write the method OPTIONS")
		case name == "access-control-request-method" && browser.NormalizeMethod(h[1]) != h[1]:
			warnings = append(warnings, "methods compare by case, and "+h[1]+" is not "+browser.NormalizeMethod(h[1])+
				", which browsers send")
		}
	}
	return warnings
}

// masked hides credentials: what they are makes no difference to CORS.
func masked(value string) string {
	scheme, rest, ok := strings.Cut(value, " ")
	if !ok || rest == "" {
		return "***"
	}
	return scheme + " ***"
}

// browserSets has the headers that browsers set and pages hardly ever, besides
// those that pages can't set. The last ones are client hints.
var browserSets = set("alt-used", "if-modified-since", "if-none-match", "priority", "purpose",
	"upgrade-insecure-requests", "user-agent", "x-client-data",
	"device-memory", "downlink", "dpr", "ect", "rtt", //nolint:misspell // ECT is one.
	"save-data", "viewport-width", "width")

// initiators has Chromium's words for the values of Sec-Fetch-Dest and for the
// resource types of its HAR files.
var initiators = map[string]string{
	"empty": "", "fetch": browser.InitiatorFetch, "xhr": browser.InitiatorXHR,
	"font": "font", "image": "image", "script": "script", "style": "CSS stylesheet", "stylesheet": "CSS stylesheet",
	"audio": "audio", "media": "video", "video": "video", "track": "text track",
	"eventsource": "resource", "ping": "resource", "manifest": "manifest",
}

func set(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, name := range names {
		m[name] = true
	}
	return m
}

// resolve returns a reference as it is seen from a URL, "" if either is none.
func resolve(base, reference string) string {
	if b, err := url.Parse(base); err == nil {
		if u, err := b.Parse(reference); err == nil {
			return u.String()
		}
	}
	return ""
}
