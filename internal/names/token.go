package names

import "strings"

// Valid reports whether s is a token (RFC 9110, section 5.6.2), the form of
// methods and header names.
func Valid(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isTokenChar(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenChar(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
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
	return strings.EqualFold(method, "CONNECT") || strings.EqualFold(method, "TRACE") || strings.EqualFold(method, "TRACK")
}

// forbiddenRequestHeader reports whether scripts can't set the header, so that no
// preflight asks for it (https://fetch.spec.whatwg.org/#forbidden-request-header).
// name is in lower case.
func forbiddenRequestHeader(name string) bool {
	switch name {
	case "accept-charset", "accept-encoding", "access-control-request-headers", "access-control-request-method",
		"access-control-request-private-network", "connection", "content-length", "cookie", "cookie2", "date", "dnt",
		"expect", "host", "keep-alive", "origin", "referer", "set-cookie", "te", "trailer", "transfer-encoding",
		"upgrade", "via":
		return true
	}
	return strings.HasPrefix(name, "proxy-") || strings.HasPrefix(name, "sec-")
}

// forbiddenResponseHeader implements https://fetch.spec.whatwg.org/#forbidden-response-header-name.
func forbiddenResponseHeader(name string) bool {
	return name == "set-cookie" || name == "set-cookie2"
}

// corsResponseHeader reports whether name, in lower case, is one of the headers
// in which a server answers a CORS request (https://fetch.spec.whatwg.org/#http-responses).
func corsResponseHeader(name string) bool {
	switch name {
	case "access-control-allow-credentials", "access-control-allow-headers", "access-control-allow-methods",
		"access-control-allow-origin", "access-control-allow-private-network", "access-control-expose-headers",
		"access-control-max-age":
		return true
	}
	return false
}
