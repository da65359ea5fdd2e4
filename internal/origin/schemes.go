package origin

import (
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// everyHost is a regex for the hosts that the origins of a scheme have.
func everyHost(scheme string) string {
	switch scheme {
	case "chrome-extension":
		return "[a-p]{32}"
	case "moz-extension":
		return "[0-9a-f-]+"
	case "safari-web-extension":
		return "[0-9A-Fa-f-]+"
	}
	return ".*"
}

// neverOrigins are schemes whose pages, if there are any, have no origin of their own in any
// browser.
var neverOrigins = []string{"about", "blob", "data", "filesystem", "javascript", "mailto"}

func neverOrigin(scheme string) bool { return slices.Contains(neverOrigins, scheme) }

// An oddity is what no browser sends of the origins that a pattern stands for. A browser
// may be built otherwise, so that it is worth no more than a warning.
type oddity uint8

const (
	noOddity     oddity = iota
	socketScheme        // of ws, wss and ftp there are no pages
	nullScheme          // pages of the scheme have the origin null
	fileHost
	chromeID
	extensionUUID
	firefoxCase
)

// oddity finds what no browser sends.
func (p pattern) oddity() oddity {
	o := p.origin
	bare := o.port == NoPort && !p.subdomains
	switch {
	case p.kind != tuplePattern || o.scheme == "https" || o.scheme == "http":
	case special(o.scheme):
		return socketScheme
	case neverOrigin(o.scheme):
		return nullScheme
	case o.scheme == "file" && (!bare || o.host != ""):
		return fileHost
	case o.scheme == "chrome-extension" && (!bare || len(o.host) != 32 ||
		strings.Trim(o.host, "abcdefghijklmnop") != ""):
		return chromeID
	case o.scheme == "moz-extension" || o.scheme == "safari-web-extension":
		lower := strings.ToLower(o.host)
		switch {
		case !bare || !isUUID(lower):
			return extensionUUID
		case o.scheme == "moz-extension" && o.host != lower:
			return firefoxCase
		}
	}
	return noOddity
}

// words say what is odd about the pattern that is written as text, and what to write
// instead.
func (odd oddity) words(p pattern, text string) (what, instead string) {
	scheme := p.origin.scheme
	switch odd {
	case socketScheme:
		what = " is no page's origin, because pages don't have the scheme " + scheme
		if scheme != "ftp" {
			what += ": a socket is opened by a page of http or https"
		}
		page := "https"
		if scheme == "ws" && loopback(p.origin.host) {
			page = "http"
		}
		_, rest, _ := strings.Cut(text, "://")
		return what, newMender(true).mend(page+"://"+rest, "leave it out")
	case nullScheme:
		return " is no page's origin: pages of the scheme " + scheme + ` have the origin "null"`,
			`write "null", or leave it out`
	case fileHost:
		return ` is no page's origin: those of files have no host, where they aren't "null"`, `write "file://"`
	case chromeID:
		return " is no extension's origin: its host is the extension's ID, 32 letters from a to p",
			"copy the ID from chrome://extensions"
	case extensionUUID:
		return " is no extension's origin: its host is a UUID, which the browser makes",
			"copy it from an address of the extension's pages"
	case firefoxCase:
		return " has upper-case letters, which Firefox never sends in an extension's UUID",
			"write " + problem.InQuotes(strings.ToLower(text))
	}
	return "", ""
}

// isUUID reports whether s has the form of a UUID in lower case (RFC 9562, section 4).
func isUUID(s string) bool {
	if len(s) != len("00000000-0000-0000-0000-000000000000") {
		return false
	}
	for i := 0; i < len(s); i++ {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (s[i] == '-') || !dash && !isDigit(s[i]) && (s[i] < 'a' || s[i] > 'f') {
			return false
		}
	}
	return true
}
