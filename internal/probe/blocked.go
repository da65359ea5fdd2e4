package probe

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/capture"
)

// A Blocked is why a browser gives a page a network error instead of an answer.
type Blocked struct {
	// Reason is one of [browser.BlockReasons], or one of the reasons below.
	Reason browser.BlockReason `json:"reason"`
	// Because is the reason in words, after the step that fails.
	Because string `json:"because"`
	// Step is the step of the standard that fails, and Section where the standard has it.
	Step    string `json:"step"`
	Section string `json:"section"`
	// Preflight tells that it is the preflight's answer that is at fault.
	Preflight bool `json:"preflight"`
	// Chromium is how Chromium reports it.
	Chromium browser.ChromiumError `json:"chromium"`

	cors *browser.Blocked // nil if it isn't about the answer's CORS headers
}

// The reasons that package browser doesn't know, because they are about connections and
// redirects.
const (
	// MixedContent is a page of https that asks plain http.
	MixedContent browser.BlockReason = "mixed-content"
	// TooManyRedirects is the twenty-first redirect.
	TooManyRedirects browser.BlockReason = "too-many-redirects"
	// BadPort is a URL with a port of another protocol, such as 6000 and 10080.
	BadPort browser.BlockReason = "bad-port"
	// InvalidRedirect is a redirect to what is no URL.
	InvalidRedirect browser.BlockReason = "invalid-redirect"
)

const redirectFetchSection = "https://fetch.spec.whatwg.org/#http-redirect-fetch"

// judged is what a browser says to a page of that origin of what package browser found about
// a request, which is one without secrets; nil is nothing. A redirect may have made the
// request's own origin null, but the page's is the one that the console names.
func judged(page string, masked browser.Request, b *browser.Blocked) *Blocked {
	if b == nil {
		return nil
	}
	said := *b
	if said.Header == "Location" {
		said.Value = capture.MaskURL(said.Value)
	}
	said.Value = short(said.Value)
	masked.Origin = page
	return &Blocked{
		Reason: b.Reason, Because: said.Error(), Step: said.Step(), Section: said.Section(), Preflight: b.Preflight,
		Chromium: browser.Chromium(masked, &said), cors: b,
	}
}

// notMade is why a browser doesn't make a request at all, for a page of that origin; nil if it
// does.
func notMade(page string, req browser.Request) *Blocked {
	if isHTTPS(page) && !isHTTPS(req.URL) && !trustworthy(req.URL) {
		at := shownURL(req.URL)
		if _, _, err := browser.Target(req.URL); err == nil {
			return &Blocked{
				Reason: MixedContent, Step: "main fetch, mixed content", Section: "https://w3c.github.io/webappsec-mixed-content/#should-block-fetch",
				Because: "main fetch, mixed content: a page of https may not ask plain http, whatever the answer",
				Chromium: browser.ChromiumError{Message: fmt.Sprintf("Mixed Content: The page at '%s/' was loaded over HTTPS, "+
					"but requested an insecure resource '%s'. This request has been blocked; the content must be served over HTTPS.", page, at)},
			}
		}
	}
	if blocked := judged(page, shown(req), browser.Verdict(req, nil, nil)); blocked != nil {
		return blocked
	}
	if port := portOf(req.URL); badPorts[port] {
		return badPort(port)
	}
	return nil
}

// badPort is what a browser says of a bad port. Chromium lacks two of the standard's list.
func badPort(port string) *Blocked {
	const step = "main fetch, port blocking"
	b := &Blocked{Reason: BadPort, Step: step, Section: "https://fetch.spec.whatwg.org/#port-blocking",
		Because: step + ": browsers don't ask port " + port + ", which is another protocol's"}
	if port == "4190" || port == "6679" {
		b.Because += "; Chromium does so as yet"
	} else {
		b.Chromium.Message = "Failed to load resource: net::ERR_UNSAFE_PORT"
	}
	return b
}

// badPorts are the ports that no browser asks, so that no page speaks to what isn't HTTP.
//
// See https://fetch.spec.whatwg.org/#port-blocking.
var badPorts = func() map[string]bool {
	set := map[string]bool{}
	for port := range strings.FieldsSeq(`0 1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103
		104 109 110 111 113 115 117 119 123 135 137 139 143 161 179 389 427 465 512 513 514 515 526 530 531 532 540 548
		554 556 563 587 601 636 989 990 993 995 1719 1720 1723 2049 3659 4045 4190 5060 5061 6000 6566 6665 6666 6667
		6668 6669 6679 6697 10080`) {
		set[port] = true
	}
	return set
}()

// portOf is the port that a URL has, "" if it is the scheme's own.
func portOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Port()
}

// trustworthy reports whether a URL is potentially trustworthy though it isn't of https,
// because it leads to the own machine.
//
// See https://w3c.github.io/webappsec-secure-contexts/#is-url-trustworthy.
func trustworthy(rawURL string) bool {
	host := hostOf(rawURL)
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// hostOf is the host of a URL, without the brackets of an address.
func hostOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(u.Hostname(), ".")
}

// originOf is the serialized origin of a URL, null if that has none.
func originOf(rawURL string) string {
	if origin, err := browser.SerializeOrigin(rawURL); err == nil {
		return origin
	}
	return "null"
}
