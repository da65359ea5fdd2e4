package names

import (
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/forbidden"
)

// Valid reports whether s is a token (RFC 9110, section 5.6.2), the form of
// methods and header names.
func Valid(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
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

// ForbiddenMethod implements https://fetch.spec.whatwg.org/#forbidden-method.
func ForbiddenMethod(method string) bool {
	return slices.ContainsFunc(forbidden.Methods, func(name string) bool { return strings.EqualFold(method, name) })
}

// forbiddenRequestHeader reports whether scripts can't set the header, so that no
// preflight asks for it (https://fetch.spec.whatwg.org/#forbidden-request-header).
// name is in lower case.
func forbiddenRequestHeader(name string) bool {
	begins := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
	return slices.Contains(forbidden.RequestHeaders, name) ||
		slices.ContainsFunc(forbidden.RequestHeaderPrefixes, begins)
}

// ResponseHeaders are the headers in which a server answers a CORS request, in lower case
// (https://fetch.spec.whatwg.org/#http-responses).
var ResponseHeaders = [...]string{
	"access-control-allow-origin", "access-control-allow-credentials", "access-control-expose-headers",
	"access-control-allow-methods", "access-control-allow-headers", "access-control-max-age",
	"access-control-allow-private-network",
}
