package probe

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/capture"
)

var notASCII = regexp.MustCompile(`[^\x00-\x7f]+`)

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
	if b := severalLocations(answer.Headers); b != nil {
		return nil, b
	}
	target, credentials, err := resolve(req.URL, location)
	switch {
	case err != nil:
		return nil, redirectBlocked(InvalidRedirect, "the redirect's location "+quoted(capture.MaskURL(location))+" is no URL",
			"INVALID_REDIRECT")
	case redirects == maxRedirects:
		return nil, redirectBlocked(TooManyRedirects, "a browser follows 20 redirects, and this is one more",
			"TOO_MANY_REDIRECTS")
	case credentials && (w.tainting || !browser.SameOrigin(req.Origin, target)):
		// Package browser finds it too, but not behind a redirect that began at the page's own origin.
		return nil, judged(w.report.question.Origin, hop.Request, &browser.Blocked{
			Reason: browser.RedirectWithCredentials, Header: "Location", Value: location, Status: answer.Status})
	}
	next := req
	next.URL, next.RedirectedFrom = target, w.report.question.URL
	if !isHTTP(target) {
		return nil, w.schemeBlocked(next)
	}
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

// redirectBlocked is a redirect that isn't followed, with Chromium's word for it, "" if it has none.
func redirectBlocked(reason browser.BlockReason, words, chromium string) *Blocked {
	const step = "HTTP-redirect fetch"
	b := &Blocked{Reason: reason, Because: step + ": " + words, Step: step, Section: redirectFetchSection}
	if chromium != "" {
		b.Chromium.Message = "Failed to load resource: net::ERR_" + chromium
	}
	return b
}

// schemeBlocked is a redirect to a URL of another scheme than http and https. Chromium finds data
// before it comes to CORS.
func (w *walk) schemeBlocked(to browser.Request) *Blocked {
	b := redirectBlocked(browser.SchemeNotHTTP, "the URL's scheme is not http or https", "UNSAFE_REDIRECT")
	if !strings.HasPrefix(to.URL, "data:") {
		reason := &browser.Blocked{Reason: browser.SchemeNotHTTP}
		b.Chromium = judged(w.report.question.Origin, shown(to), reason).Chromium
	}
	return b
}

// severalLocations is what is wrong with a redirect to more than one URL; nil if it has one.
//
// See https://fetch.spec.whatwg.org/#extract-header-list-values, step 2.
func severalLocations(headers [][2]string) *Blocked {
	switch locations := values(headers, "location"); {
	case len(locations) == 1:
		return nil
	case len(slices.Compact(locations)) == 1:
		return redirectBlocked(InvalidRedirect, "Location is there several times; Chromium follows as long as all are the same", "")
	}
	return redirectBlocked(InvalidRedirect, "Location is there several times", "RESPONSE_HEADERS_MULTIPLE_LOCATION")
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

// resolve is a location as a URL, in its normal form if it is one of http or https; and
// whether it had a user name or a password, which the normal form lacks.
//
// See https://fetch.spec.whatwg.org/#concept-response-location-url.
func resolve(base, location string) (target string, credentials bool, err error) {
	if !utf8.ValidString(location) {
		location = notASCII.ReplaceAllStringFunc(location, url.PathEscape)
	}
	if target, err = browser.Resolve(base, location); err != nil {
		return "", false, err
	}
	if ascii, ok := capture.WithPunycode(target); ok {
		target = ascii
	}
	credentials = browser.IncludesCredentials(target)
	if !isHTTP(target) {
		return target, credentials, nil
	}
	scheme, _, _ := strings.Cut(target, ":")
	host, path, err := browser.Target(target)
	return strings.ToLower(scheme) + "://" + host + path, credentials, err
}

func isHTTP(rawURL string) bool {
	scheme, _, _ := strings.Cut(rawURL, ":")
	return isHTTPS(rawURL) || strings.EqualFold(scheme, "http")
}

// without are the lines whose names, in lower case, aren't among some.
func without(lines [][2]string, names ...string) [][2]string {
	return slices.DeleteFunc(slices.Clone(lines), func(h [2]string) bool {
		return slices.Contains(names, strings.ToLower(h[0]))
	})
}
