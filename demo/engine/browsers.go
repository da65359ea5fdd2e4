package engine

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// clientHints are the headers that Chromium takes for safelisted, beside the standard's.
var clientHints = []string{
	"device-memory", "downlink", "dpr", "ect", "rtt", //nolint:misspell // ECT is one.
	"save-data", "viewport-width", "width",
}

// browsers is what Chromium and Firefox do and say. Where that isn't what the standard has is said in
// docs/browsers.md.
func (w *walker) browsers() (Chromium, Firefox) {
	r, b := w.said.Request, w.blocked()
	r.URL = cmp.Or(r.URL, "…")
	return Chromium{Readable: b == nil, Differs: chromiumDiffers(r), ChromiumError: browser.Chromium(r, b)},
		Firefox{Readable: b == nil, Differs: firefoxDiffers(r), Message: browser.Firefox(r, b)}
}

// blocked is why both browsers withhold the answer, nil if they don't.
func (w *walker) blocked() *browser.Blocked {
	r, b := w.said.Request, w.said.Blocked
	switch {
	case b != nil && b.Reason == browser.AuthorizationNotListed:
		return nil // to them "*" covers it
	case b == nil && w.said.Preflight != nil:
		// That the page forces a preflight makes no method allowed that isn't listed.
		r.UseCORSPreflight = false
		return browser.PreflightCheck(r, w.said.Preflight.Status, w.said.Preflight.Headers)
	}
	return b
}

// chromiumDiffers says in what Chromium may do otherwise with the headers of a request.
func chromiumDiffers(r browser.Request) string {
	var sentences, seen []string
	for _, h := range r.Headers {
		name := strings.ToLower(h[0])
		switch {
		case name == "user-agent":
			sentences = append(sentences, "Chromium leaves out a User-Agent that a script sets.")
		case slices.Contains(clientHints, name):
			sentences = append(sentences, "Chromium takes "+h[0]+" for safelisted, as it is a client hint.")
		case slices.Contains(seen, name):
			sentences = append(sentences, "Chromium makes one line of those of "+h[0]+" before it judges them.")
		}
		seen = append(seen, name)
	}
	return strings.Join(slices.Compact(sentences), " ")
}

// firefoxDiffers says in what Firefox may do otherwise with the headers of a request.
func firefoxDiffers(r browser.Request) string {
	var sentences []string
	length := 0
	for _, h := range r.Headers {
		name := strings.ToLower(h[0])
		beyondASCII := func(r rune) bool { return r > unicode.MaxASCII }
		if (name == "accept" || name == "content-type") && strings.ContainsFunc(h[1], beyondASCII) {
			sentences = append(sentences, "Firefox asks by a preflight for what isn't ASCII in "+h[0]+".")
		}
		if browser.SafelistedRequestHeader(h[0], h[1]) {
			length += len(h[1])
		}
	}
	if length > 1024 {
		sentences = append(sentences, "Firefox doesn't mind how long the safelisted headers are together.")
	}
	return strings.Join(slices.Compact(sentences), " ")
}
