// Package browser is the browser's side of CORS: which requests need a preflight,
// what that preflight asks, and the checks that the Fetch standard makes on the
// answers, over plain data. It is the tests' oracle: what counts is not which
// headers a server sent, but whether a browser that follows the standard lets the
// script have the response. It is also the model by which corsctl explains a
// browser's verdict to people, so that what it says is what the tests check.
//
// The code runs in the standard's order of steps and uses its words. Header
// lists are name and value pairs, one per line of the message, as received.
//
// The verdict is the standard's. What Chromium writes to its console goes with
// it; where Chromium does otherwise than the standard is said at [ChromiumError].
//
// It shares no code and no list with the engine, not even those of forbidden names: an
// oracle that did would repeat the engine's mistakes, and not find them.
//
// See https://fetch.spec.whatwg.org/.
package browser

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
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
func SafelistedRequestHeader(name, value string) bool { return unsafeBecause(name, value) == "" }

// unsafeBecause is the rule because of which a header is not a CORS-safelisted
// request-header, in words that follow the value; "" if it is one.
func unsafeBecause(name, value string) string {
	name = asciiLower(name)
	switch name {
	case "accept", "accept-language", "content-language", "content-type", "range":
	default:
		return "is not a CORS-safelisted request-header name, whatever its value"
	}
	if len(value) > 128 {
		return "has a value of " + strconv.Itoa(len(value)) + " bytes, and only 128 are safelisted"
	}
	switch name {
	case "accept":
		return contains(value, unsafeByte, isUnsafeByte)
	case "accept-language", "content-language":
		return contains(value, notLanguage, "and only letters, digits, space and *,-.;= are safelisted")
	case "range":
		if !startedRange(value) {
			return "is not a single range with a start, such as bytes=0-99"
		}
		return ""
	}
	const types = "application/x-www-form-urlencoded, multipart/form-data, text/plain"
	switch essence := essence(value); {
	case strings.ContainsFunc(value, unsafeByte):
		return contains(value, unsafeByte, isUnsafeByte)
	case essence == "":
		return "is not a MIME type, and so none of the three safelisted ones (" + types + ")"
	case !slices.Contains(strings.Split(types, ", "), essence):
		return "is not one of the three safelisted types (" + types + ")"
	}
	return ""
}

const isUnsafeByte = "which is a CORS-unsafe request-header byte"

// contains names the first character of value that isn't safelisted, if any, and says why.
func contains(value string, notSafelisted func(rune) bool, because string) string {
	i := strings.IndexFunc(value, notSafelisted)
	if i < 0 {
		return ""
	}
	r, _ := utf8.DecodeRuneInString(value[i:])
	return "contains " + strconv.QuoteRune(r) + ", " + because
}

// An unsafeHeader is a line of a CORS-unsafe request-header.
type unsafeHeader struct {
	name string // in lower case
	// because is the rule that it violates, with name and value.
	because string
}

// unsafeHeaders are the lines of CORS-unsafe request-headers in a request's header list.
//
// See https://fetch.spec.whatwg.org/#cors-unsafe-request-header-names.
func unsafeHeaders(headers [][2]string) (list []unsafeHeader) {
	var potentiallyUnsafe [][2]string
	add := func(h [2]string, rule string) {
		name := asciiLower(h[0])
		words := name
		if h[1] != "" {
			words += ": " + h[1]
		}
		list = append(list, unsafeHeader{name, words + " " + rule})
	}
	safelistValueSize := 0
	for _, h := range headers {
		if rule := unsafeBecause(h[0], h[1]); rule != "" {
			add(h, rule)
		} else {
			potentiallyUnsafe = append(potentiallyUnsafe, h)
			safelistValueSize += len(h[1])
		}
	}
	if safelistValueSize > 1024 {
		for _, h := range potentiallyUnsafe {
			add(h, "is safelisted by itself, but the values of all safelisted headers are "+
				strconv.Itoa(safelistValueSize)+" bytes, more than 1024")
		}
	}
	return list
}

// UnsafeRequestHeaderNames returns the CORS-unsafe request-header names of a
// request's header list: lower-case, sorted, each once. They are what a browser
// puts into Access-Control-Request-Headers.
func UnsafeRequestHeaderNames(headers [][2]string) (names []string) {
	for _, h := range unsafeHeaders(headers) {
		names = append(names, h.name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// CORSCheck is the standard's CORS check of a response with these header lines
// to a request from origin, a serialized origin. It tells why the check fails; nil
// means that it doesn't.
//
// See https://fetch.spec.whatwg.org/#concept-cors-check.
func CORSCheck(origin string, credentialsInclude bool, headers [][2]string) *Blocked {
	allowOrigin, ok := get(headers, "access-control-allow-origin")
	if !ok {
		return &Blocked{Reason: MissingAllowOrigin, Header: "Access-Control-Allow-Origin", Missing: true, Name: origin}
	}
	if !credentialsInclude && allowOrigin == "*" {
		return nil
	}
	if allowOrigin != origin {
		return &Blocked{Reason: notTheOrigin(allowOrigin), Header: "Access-Control-Allow-Origin", Value: allowOrigin,
			Lines: len(values(headers, "access-control-allow-origin")), Name: origin}
	}
	if !credentialsInclude {
		return nil
	}
	if credentials, ok := get(headers, "access-control-allow-credentials"); credentials != "true" {
		return &Blocked{Reason: AllowCredentialsNotTrue, Header: "Access-Control-Allow-Credentials", Value: credentials,
			Missing: !ok, Name: origin}
	}
	return nil
}

// notTheOrigin tells what is wrong with an Access-Control-Allow-Origin that does
// not equal the origin. To the standard all is one; to people it is not.
func notTheOrigin(allowOrigin string) BlockReason {
	switch _, isURL := parseURL(allowOrigin); {
	case allowOrigin == "*":
		return WildcardWithCredentials
	case strings.ContainsAny(allowOrigin, " ,"):
		return MultipleAllowOrigins
	case allowOrigin != "null" && !isURL:
		return InvalidAllowOrigin
	}
	return AllowOriginMismatch
}

// PreflightCheck is what CORS-preflight fetch does with the preflight's
// response, step 7: nil means that the request may follow, and a [Blocked] is the
// standard's network error.
//
// See https://fetch.spec.whatwg.org/#cors-preflight-fetch.
func PreflightCheck(req Request, status int, headers [][2]string) *Blocked {
	blocked := preflightCheck(req, status, headers)
	if blocked != nil {
		blocked.Preflight, blocked.Status = true, status
	}
	return blocked
}

func preflightCheck(req Request, status int, headers [][2]string) *Blocked {
	// A preflight does not follow redirects, so that the standard fails by the
	// status after the CORS check. That it is a redirect is what people need to
	// know, whether it has CORS headers or not, and Chromium says so first, too.
	if location, ok := get(headers, "location"); ok && location != "" && redirectStatus(status) {
		return &Blocked{Reason: PreflightRedirect, Header: "Location", Value: location}
	}
	// The standard runs the check on the request, not on the preflight: the
	// preflight goes without credentials, and yet must allow them.
	if blocked := CORSCheck(req.Origin, req.CredentialsInclude, headers); blocked != nil {
		return blocked
	}
	if status < 200 || status > 299 {
		return &Blocked{Reason: PreflightStatus}
	}
	if req.PrivateNetwork {
		allow, ok := get(headers, "access-control-allow-private-network")
		if allow != "true" {
			return &Blocked{Reason: PrivateNetworkNotAllowed, Header: "Access-Control-Allow-Private-Network",
				Value: allow, Missing: !ok}
		}
	}
	allowMethods, hasMethods := get(headers, "access-control-allow-methods")
	methods, ok := tokens(headers, "access-control-allow-methods")
	if !ok {
		return &Blocked{Reason: InvalidAllowMethods, Header: "Access-Control-Allow-Methods", Value: allowMethods}
	}
	headerNames, ok := tokens(headers, "access-control-allow-headers")
	if !ok {
		value, _ := get(headers, "access-control-allow-headers")
		return &Blocked{Reason: InvalidAllowHeaders, Header: "Access-Control-Allow-Headers", Value: value}
	}
	if methods == nil && req.UseCORSPreflight {
		methods = []string{req.Method}
	}
	if !slices.Contains(methods, req.Method) && !SafelistedMethod(req.Method) &&
		(req.CredentialsInclude || !slices.Contains(methods, "*")) {
		return &Blocked{
			Reason: MethodNotAllowed, Header: "Access-Control-Allow-Methods", Value: allowMethods, Missing: !hasMethods,
			Name: req.Method,
		}
	}
	return req.headersCheck(headerNames, headers)
}

// headersCheck is the part of CORS-preflight fetch about the request's headers,
// steps 7.6 and 7.7.
func (r Request) headersCheck(headerNames []string, headers [][2]string) *Blocked {
	listed := func(name string) bool {
		return slices.ContainsFunc(headerNames, func(n string) bool { return asciiLower(n) == name })
	}
	star := !r.CredentialsInclude && slices.Contains(headerNames, "*")
	var not []string
	for _, name := range r.unsafeNames() {
		switch {
		case listed(name):
		case name == "authorization": // The only CORS non-wildcard request-header name.
			not = slices.Insert(not, 0, name) // It comes first, by step 7.6.
		case !star:
			not = append(not, name)
		}
	}
	if not == nil {
		return nil
	}
	reason := HeaderNotAllowed
	if star && not[0] == "authorization" {
		reason = AuthorizationNotListed
	}
	value, ok := get(headers, "access-control-allow-headers")
	return &Blocked{
		Reason: reason, Header: "Access-Control-Allow-Headers", Value: value, Missing: !ok, Name: not[0], Names: not,
	}
}

// redirectStatus reports whether status is a redirect status.
//
// See https://fetch.spec.whatwg.org/#redirect-status.
func redirectStatus(status int) bool {
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308
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
	exposed, _ := tokens(headers, "access-control-expose-headers")
	return !credentialsInclude && slices.Contains(exposed, "*") ||
		slices.ContainsFunc(exposed, func(n string) bool { return asciiLower(n) == name })
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
// ABNF is #method or #field-name, that is a list of tokens: nil without such a
// header, and not ok if it is something else. Empty elements are no error (RFC
// 9110, section 5.6.1.2).
func tokens(headers [][2]string, name string) (list []string, ok bool) {
	value, ok := get(headers, name)
	if !ok {
		return nil, true
	}
	list = []string{}
	for element := range strings.SplitSeq(value, ",") {
		element = strings.Trim(element, " \t")
		switch {
		case element == "":
		case !token(element):
			return nil, false
		default:
			list = append(list, element)
		}
	}
	return list, true
}

// unsafeByte reports whether r is a CORS-unsafe request-header byte.
func unsafeByte(r rune) bool {
	return r < 0x20 && r != '\t' || r == 0x7f || strings.ContainsRune(`"():<>?@[\]{}`, r)
}

// notLanguage reports whether r is none of the characters that a safelisted
// Accept-Language or Content-Language consists of.
func notLanguage(r rune) bool { return !alphanumeric(r) && !strings.ContainsRune(" *,-.;=", r) }

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
	return strings.HasSuffix(value, "-") || len(first) < len(last) || len(first) == len(last) && first <= last
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
