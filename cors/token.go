package cors

import (
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/forbidden"
)

// validToken reports whether s is a token (RFC 9110, section 5.6.2), the form of
// methods and header names.
func validToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isTokenChar(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenChar(c byte) bool {
	return isLower(c) || 'A' <= c && c <= 'Z' || isDigit(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// normalizeMethod implements https://fetch.spec.whatwg.org/#concept-method-normalize:
// six methods are upper-cased, and only they.
func normalizeMethod(method string) string {
	switch upper := strings.ToUpper(method); upper {
	case "DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT":
		return upper
	}
	return method
}

// safelistedMethod reports whether no policy can forbid the method
// (https://fetch.spec.whatwg.org/#cors-safelisted-method).
func safelistedMethod(method string) bool {
	return method == "GET" || method == "HEAD" || method == "POST"
}

// forbiddenMethod implements https://fetch.spec.whatwg.org/#forbidden-method.
func forbiddenMethod(method string) bool {
	return slices.ContainsFunc(forbidden.Methods, func(name string) bool { return strings.EqualFold(method, name) })
}

// forbiddenRequestHeader reports whether scripts can't set the header, so that no
// preflight asks for it (https://fetch.spec.whatwg.org/#forbidden-request-header).
// name is in lower case.
func forbiddenRequestHeader(name string) bool {
	begins := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
	return slices.Contains(forbidden.RequestHeaders, name) || slices.ContainsFunc(forbidden.RequestHeaderPrefixes, begins)
}

// forbiddenResponseHeader implements https://fetch.spec.whatwg.org/#forbidden-response-header-name.
func forbiddenResponseHeader(name string) bool {
	return slices.Contains(forbidden.ResponseHeaders, name)
}

// corsResponseHeader reports whether name, in lower case, is one of the headers
// in which a server answers a CORS request.
func corsResponseHeader(name string) bool { return responseHeader(name) >= 0 }

// trimOWS trims optional white space (RFC 9110, section 5.6.3).
func trimOWS(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// isASCII reports whether s has no character outside ASCII.
func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
