// Package fetch is the browser's side of CORS: the checks that the Fetch
// standard makes on a response, over plain data. Tests use it as the oracle:
// what counts is not which headers a server sent, but whether a browser that
// follows the standard lets the script have the response.
//
// The code runs in the standard's order of steps and uses its words. Header
// lists are name and value pairs, one per line of the message, as received.
//
// See https://fetch.spec.whatwg.org/.
package fetch

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// NormalizeMethod upper-cases the six methods that the standard lists, and
// leaves all others alone: "patch" is not "PATCH".
//
// See https://fetch.spec.whatwg.org/#concept-method-normalize.
func NormalizeMethod(method string) string {
	switch upper := asciiUpper(method); upper {
	case "DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT":
		return upper
	}
	return method
}

// SafelistedMethod reports whether method is a CORS-safelisted method.
//
// See https://fetch.spec.whatwg.org/#cors-safelisted-method.
func SafelistedMethod(method string) bool {
	return method == "GET" || method == "HEAD" || method == "POST"
}

// SafelistedRequestHeader reports whether a header is a CORS-safelisted
// request-header, which depends on its value too.
//
// See https://fetch.spec.whatwg.org/#cors-safelisted-request-header.
func SafelistedRequestHeader(name, value string) bool {
	if len(value) > 128 {
		return false
	}
	switch asciiLower(name) {
	case "accept":
		return !strings.ContainsFunc(value, unsafeByte)
	case "accept-language", "content-language":
		return !strings.ContainsFunc(value, func(r rune) bool {
			return !alphanumeric(r) && !strings.ContainsRune(" *,-.;=", r)
		})
	case "content-type":
		if strings.ContainsFunc(value, unsafeByte) {
			return false
		}
		switch essence(value) {
		case "application/x-www-form-urlencoded", "multipart/form-data", "text/plain":
			return true
		}
		return false
	case "range":
		return startedRange(value)
	}
	return false
}

// UnsafeRequestHeaderNames returns the CORS-unsafe request-header names of a
// request's header list: lower-case, sorted, each once. They are what a browser
// puts into Access-Control-Request-Headers.
//
// See https://fetch.spec.whatwg.org/#cors-unsafe-request-header-names.
func UnsafeRequestHeaderNames(headers [][2]string) []string {
	var unsafeNames, potentiallyUnsafeNames []string
	safelistValueSize := 0
	for _, h := range headers {
		if !SafelistedRequestHeader(h[0], h[1]) {
			unsafeNames = append(unsafeNames, asciiLower(h[0]))
		} else {
			potentiallyUnsafeNames = append(potentiallyUnsafeNames, asciiLower(h[0]))
			safelistValueSize += len(h[1])
		}
	}
	if safelistValueSize > 1024 {
		unsafeNames = append(unsafeNames, potentiallyUnsafeNames...)
	}
	slices.Sort(unsafeNames)
	return slices.Compact(unsafeNames)
}

// CORSCheck is the standard's CORS check of a response with these header lines
// to a request from origin, a serialized origin. It tells why the check fails.
//
// See https://fetch.spec.whatwg.org/#concept-cors-check.
func CORSCheck(origin string, credentialsInclude bool, headers [][2]string) error {
	allowOrigin, ok := get(headers, "access-control-allow-origin")
	if !ok {
		return errors.New("CORS check: no Access-Control-Allow-Origin")
	}
	if !credentialsInclude && allowOrigin == "*" {
		return nil
	}
	if allowOrigin != origin {
		return fmt.Errorf("CORS check: Access-Control-Allow-Origin is %q, the origin %q", allowOrigin, origin)
	}
	if !credentialsInclude {
		return nil
	}
	if credentials, _ := get(headers, "access-control-allow-credentials"); credentials != "true" {
		return fmt.Errorf("CORS check: Access-Control-Allow-Credentials is %q, not \"true\"", credentials)
	}
	return nil
}

// A Request is the request for whose sake a preflight is made: what a script
// asked for, not the preflight itself.
type Request struct {
	// Origin is the serialized origin.
	Origin string
	// Method is the normalized method.
	Method string
	// Headers is the request's header list.
	Headers [][2]string
	// CredentialsInclude tells whether the credentials mode is "include".
	CredentialsInclude bool
	// UseCORSPreflight is the use-CORS-preflight flag: the preflight is made
	// although method and headers do not ask for one.
	UseCORSPreflight bool
}

// PreflightCheck is what CORS-preflight fetch does with the preflight's
// response, step 7: nil means that the request may follow, an error is the
// standard's network error.
//
// See https://fetch.spec.whatwg.org/#cors-preflight-fetch.
func PreflightCheck(req Request, status int, headers [][2]string) error {
	// The standard runs the check on the request, not on the preflight: the
	// preflight goes without credentials, and yet must allow them.
	if err := CORSCheck(req.Origin, req.CredentialsInclude, headers); err != nil {
		return err
	}
	if status < 200 || status > 299 {
		return fmt.Errorf("preflight: %d is not an ok status", status)
	}
	methods, hasMethods, err := tokens(headers, "access-control-allow-methods")
	if err != nil {
		return err
	}
	headerNames, _, err := tokens(headers, "access-control-allow-headers")
	if err != nil {
		return err
	}
	if !hasMethods && req.UseCORSPreflight {
		methods = []string{req.Method}
	}
	if !slices.Contains(methods, req.Method) && !SafelistedMethod(req.Method) &&
		(req.CredentialsInclude || !slices.Contains(methods, "*")) {
		return fmt.Errorf("preflight: method %q is not in Access-Control-Allow-Methods %q", req.Method, methods)
	}
	listed := func(name string) bool {
		return slices.ContainsFunc(headerNames, func(n string) bool { return asciiLower(n) == asciiLower(name) })
	}
	for _, h := range req.Headers {
		// Authorization is the only CORS non-wildcard request-header name.
		if asciiLower(h[0]) == "authorization" && !listed(h[0]) {
			return fmt.Errorf("preflight: Authorization must be listed by name in Access-Control-Allow-Headers %q", headerNames)
		}
	}
	for _, name := range UnsafeRequestHeaderNames(req.Headers) {
		if !listed(name) && (req.CredentialsInclude || !slices.Contains(headerNames, "*")) {
			return fmt.Errorf("preflight: header %q is not in Access-Control-Allow-Headers %q", name, headerNames)
		}
	}
	return nil
}

// MaxAge is for how many seconds the answer to a preflight may be cached,
// before a browser applies its own limit: 5 unless Access-Control-Max-Age is
// there once, and well-formed.
//
// See https://fetch.spec.whatwg.org/#cors-preflight-fetch, steps 7.8 and 7.9.
func MaxAge(headers [][2]string) int {
	v := values(headers, "access-control-max-age")
	if len(v) != 1 || v[0] == "" || strings.Trim(v[0], "0123456789") != "" {
		return 5
	}
	seconds, err := strconv.Atoi(v[0])
	if err != nil {
		return math.MaxInt // Digits only, so too many of them.
	}
	return seconds
}

// Exposed reports whether a script sees the header called name of a response
// with these header lines, supposing that the response has it.
//
// See https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name, and
// main fetch for how the CORS-exposed header-name list is made.
func Exposed(headers [][2]string, name string, credentialsInclude bool) bool {
	name = asciiLower(name)
	switch name {
	case "cache-control", "content-language", "content-length", "content-type", "expires", "last-modified", "pragma":
		return true
	case "set-cookie", "set-cookie2": // Forbidden response-header names.
		return false
	}
	exposed, _, err := tokens(headers, "access-control-expose-headers")
	if err != nil {
		return false
	}
	if !credentialsInclude && slices.Contains(exposed, "*") {
		return true
	}
	return slices.ContainsFunc(exposed, func(n string) bool { return asciiLower(n) == name })
}

// values returns the values of all lines called name, which is lower-case.
func values(headers [][2]string, name string) (v []string) {
	for _, h := range headers {
		if asciiLower(h[0]) == name {
			v = append(v, strings.Trim(h[1], "\t\n\r ")) // A header value is stored normalized.
		}
	}
	return v
}

// get is the standard's "get a header from a header list": the values of all
// its lines, joined, which is why a doubled header equals nothing expected.
func get(headers [][2]string, name string) (value string, ok bool) {
	v := values(headers, name)
	return strings.Join(v, ", "), v != nil
}

// tokens is the standard's "extract header list values" for a header whose
// ABNF is #method or #field-name, that is a list of tokens. Empty elements are
// no error (RFC 9110, section 5.6.1.2).
func tokens(headers [][2]string, name string) (list []string, ok bool, err error) {
	for _, value := range values(headers, name) {
		ok = true
		for element := range strings.SplitSeq(value, ",") {
			element = strings.Trim(element, " \t")
			if element == "" {
				continue
			}
			if !token(element) {
				return nil, true, fmt.Errorf("%s: %q is not a token", name, element)
			}
			list = append(list, element)
		}
	}
	return list, ok, nil
}

// unsafeByte reports whether r is a CORS-unsafe request-header byte.
func unsafeByte(r rune) bool {
	return r < 0x20 && r != '\t' || r == 0x7f || strings.ContainsRune(`"():<>?@[\]{}`, r)
}

// essence is the essence of a MIME type, "" if value is none.
//
// See https://mimesniff.spec.whatwg.org/#parsing-a-mime-type.
func essence(value string) string {
	typ, rest, ok := strings.Cut(strings.Trim(value, "\t\n\r "), "/")
	subtype, _, _ := strings.Cut(rest, ";")
	subtype = strings.TrimRight(subtype, "\t\n\r ")
	if !ok || !token(typ) || !token(subtype) {
		return ""
	}
	return asciiLower(typ + "/" + subtype)
}

// startedRange reports whether value is a single range with a start, such as
// "bytes=0-" or "bytes=0-99"; not "bytes=-99", which browsers never sent.
//
// See https://fetch.spec.whatwg.org/#simple-range-header-value.
func startedRange(value string) bool {
	spec, isBytes := strings.CutPrefix(value, "bytes=")
	first, last, isRange := strings.Cut(spec, "-")
	if !isBytes || !isRange || first == "" || strings.Trim(first+last, "0123456789") != "" {
		return false
	}
	first, last = strings.TrimLeft(first, "0"), strings.TrimLeft(last, "0")
	openEnded := strings.HasSuffix(value, "-")
	return openEnded || len(first) < len(last) || len(first) == len(last) && first <= last
}

// token reports whether s is a token of RFC 9110, section 5.6.2.
func token(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !alphanumeric(r) && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

func alphanumeric(r rune) bool {
	return '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
}

// The standard's cases are ASCII's: the strings package would fold the Kelvin
// sign to a k.
func asciiLower(s string) string { return mapRange(s, 'A', 'Z', 'a'-'A') }

func asciiUpper(s string) string { return mapRange(s, 'a', 'z', -('a' - 'A')) }

func mapRange(s string, from, to byte, shift int) string {
	b := []byte(s)
	for i, c := range b {
		if from <= c && c <= to {
			b[i] = byte(int(c) + shift)
		}
	}
	return string(b)
}
