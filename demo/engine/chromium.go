package engine

import (
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// clientHints are the headers that Chromium takes for safelisted, beside the standard's.
var clientHints = []string{
	"device-memory", "downlink", "dpr", "ect", "rtt", //nolint:misspell // ECT is one.
	"save-data", "viewport-width", "width",
}

// chromium is what Chromium does and says. Where that isn't what the standard has is said at
// [browser.ChromiumError].
func (w *walker) chromium() Chromium {
	r, b := w.said.Request, w.said.Blocked
	c := Chromium{Readable: b == nil, Differs: differs(r)}
	switch {
	case b != nil && b.Reason == browser.AuthorizationNotListed:
		c.Readable = true // to Chromium "*" covers it
	case b != nil:
		c.ChromiumError = w.said.Chromium()
	case w.said.Preflight != nil:
		// That the page forces a preflight makes no method allowed that isn't listed.
		r.UseCORSPreflight = false
		if blocked := browser.PreflightCheck(r, w.said.Preflight.Status, w.said.Preflight.Headers); blocked != nil {
			c.Readable, c.ChromiumError = false, browser.Chromium(r, blocked)
		}
	}
	return c
}

// differs says in what Chromium may do otherwise with the headers of a request.
func differs(r browser.Request) string {
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
