package probe

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/capture"
)

// maxRedirects is how many redirects a browser follows.
const maxRedirects = 20

// redirect is the request that a browser makes next, nil if the answer is the last one. It
// takes an answer that isn't blocked.
//
// See https://fetch.spec.whatwg.org/#http-redirect-fetch.
func (w *walk) redirect(hop *Hop, redirects int) (*browser.Request, *Blocked) {
	req, answer := hop.request, hop.Actual.Answer
	w.tainting = w.tainting || req.CORS()
	location := value(answer.Headers, "location")
	if !isRedirect(answer.Status) || location == "" {
		return nil, nil
	}
	target, err := resolve(req.URL, location)
	const step = "HTTP-redirect fetch"
	blocked := func(reason browser.BlockReason, words, message string) *Blocked {
		return &Blocked{Reason: reason, Because: step + ": " + words, Step: step, Section: redirectFetchSection,
			Chromium: browser.ChromiumError{Message: message}}
	}
	switch {
	case err != nil:
		return nil, blocked(InvalidRedirect, "the redirect's location "+quoted(capture.MaskURL(location))+" is no URL", "")
	case redirects == maxRedirects:
		return nil, blocked(TooManyRedirects, "a browser follows 20 redirects, and this is one more",
			"Failed to load resource: net::ERR_TOO_MANY_REDIRECTS")
	}
	if target.User != nil && (w.tainting || !browser.SameOrigin(req.Origin, target.String())) {
		// Package browser finds it too, but not behind a redirect that began at the page's own origin.
		return nil, judged(w.report.question.Origin, hop.Request, &browser.Blocked{
			Reason: browser.RedirectWithCredentials, Header: "Location", Value: location, Status: answer.Status})
	}
	next := req
	next.URL, next.RedirectedFrom = target.String(), w.report.question.URL
	if changesMethod(answer.Status, req.Method) {
		next.Method = http.MethodGet
		next.Headers = without(next.Headers, "content-encoding", "content-language", "content-location", "content-type")
	}
	if !browser.SameOrigin(originOf(req.URL), next.URL) {
		next.Headers = without(next.Headers, "authorization")
		next.UnsafeNames = slices.DeleteFunc(slices.Clone(next.UnsafeNames),
			func(name string) bool { return strings.EqualFold(name, "authorization") })
		if !browser.SameOrigin(req.Origin, req.URL) {
			next.Origin = "null" // The redirect taint isn't "same-origin".
		}
	}
	return &next, nil
}

func isRedirect(status int) bool {
	switch status {
	case 301, 302, 303, 307, 308:
		return true
	}
	return false
}

// changesMethod reports whether a redirect makes a GET of a request.
func changesMethod(status int, method string) bool {
	switch status {
	case 301, 302:
		return method == http.MethodPost
	case 303:
		return method != http.MethodGet && method != http.MethodHead
	}
	return false
}

// resolve is a location as a URL.
//
// See https://fetch.spec.whatwg.org/#concept-response-location-url.
func resolve(base, location string) (*url.URL, error) {
	from, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	to, err := from.Parse(location)
	if err == nil {
		to.Fragment, to.RawFragment = "", ""
	}
	return to, err
}

// without are the lines whose names, in lower case, aren't among some.
func without(lines [][2]string, names ...string) [][2]string {
	return slices.DeleteFunc(slices.Clone(lines), func(h [2]string) bool {
		return slices.Contains(names, strings.ToLower(h[0]))
	})
}
