package cors

import "strings"

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

// neverOrigin reports whether pages of a scheme, if there are any, have no origin of
// their own in any browser.
func neverOrigin(scheme string) bool {
	switch scheme {
	case "about", "blob", "data", "filesystem", "javascript", "mailto":
		return true
	}
	return false
}

// neverSent says what no browser sends of the origins that a pattern stands for, and
// what to write instead; what is empty if there is nothing to say. A browser may be
// built otherwise, so that it is worth no more than a warning.
func (p pattern) neverSent(text string) (what, instead string) {
	if p.kind != tuplePattern || p.origin.scheme == "http" || p.origin.scheme == "https" {
		return "", ""
	}
	o := p.origin
	bare := o.port == noPort && !p.subdomains
	if neverOrigin(o.scheme) {
		return quote(text) + " is no page's origin: pages of the scheme " + o.scheme + ` have the origin "null"`, `write "null", or leave it out`
	}
	switch o.scheme {
	case "ws", "wss", "ftp":
		what = quote(text) + " is no page's origin, because pages don't have the scheme " + o.scheme
		if o.scheme != "ftp" {
			what += ": a socket is opened by a page of http or https"
		}
		scheme := "https"
		if o.scheme == "ws" && loopback(o.host) {
			scheme = "http"
		}
		_, rest, _ := strings.Cut(text, "://")
		return what, mend(scheme+"://"+rest, true, "leave it out")
	case "file":
		if !bare || o.host != "" {
			return quote(text) + " is no page's origin: those of files have no host, where they aren't \"null\"", `write "file://"`
		}
	case "chrome-extension":
		if !bare || len(o.host) != 32 || strings.Trim(o.host, "abcdefghijklmnop") != "" {
			return quote(text) + " is no extension's origin: its host is the extension's ID, 32 letters from a to p", "copy the ID from chrome://extensions"
		}
	case "moz-extension", "safari-web-extension":
		lower := strings.ToLower(o.host)
		switch {
		case !bare || !isUUID(lower):
			return quote(text) + " is no extension's origin: its host is a UUID, which the browser makes", "copy it from an address of the extension's pages"
		case o.scheme == "moz-extension" && o.host != lower:
			return quote(text) + " has upper-case letters, which Firefox never sends in an extension's UUID", "write " + quote(o.scheme+"://"+lower)
		}
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
