// Package forbidden lists the names that browsers keep to themselves, as the Fetch
// standard has them, for the engine and for the schema. They are in lower case.
//
// Package fetch has lists of its own, on purpose: it is the tests' idea of a browser, and
// finds mistakes in these only because it doesn't use them.
package forbidden

// Methods are those that no page can use, in any case
// (https://fetch.spec.whatwg.org/#forbidden-method).
var Methods = []string{"connect", "trace", "track"}

// RequestHeaders are those that no page can set, so that no preflight asks for them
// (https://fetch.spec.whatwg.org/#forbidden-request-header).
var RequestHeaders = []string{
	"accept-charset", "accept-encoding", "access-control-request-headers", "access-control-request-method",
	"access-control-request-private-network", "connection", "content-length", "cookie", "cookie2", "date", "dnt",
	"expect", "host", "keep-alive", "origin", "referer", "set-cookie", "te", "trailer", "transfer-encoding",
	"upgrade", "via",
}

// RequestHeaderPrefixes are what the others of them begin with.
var RequestHeaderPrefixes = []string{"proxy-", "sec-"}

// ResponseHeaders are those that no page can read
// (https://fetch.spec.whatwg.org/#forbidden-response-header-name).
var ResponseHeaders = []string{"set-cookie", "set-cookie2"}
