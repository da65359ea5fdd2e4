// Package fetch is the browser's side of CORS: which requests need a preflight,
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
package fetch

import (
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
	return unsafeBecause(name, value) == ""
}

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
		return unsafeByteIn(value)
	case "accept-language", "content-language":
		if i := strings.IndexFunc(value, notLanguage); i >= 0 {
			return "contains " + quoteRune(value[i:]) + ", and only letters, digits, space and *,-.;= are safelisted"
		}
	case "content-type":
		if because := unsafeByteIn(value); because != "" {
			return because
		}
		switch essence(value) {
		case "application/x-www-form-urlencoded", "multipart/form-data", "text/plain":
			return ""
		case "":
			return "is not a MIME type, and so none of the three safelisted ones (" + safelistedTypes + ")"
		}
		return "is not one of the three safelisted types (" + safelistedTypes + ")"
	case "range":
		if !startedRange(value) {
			return "is not a single range with a start, such as bytes=0-99"
		}
	}
	return ""
}

const safelistedTypes = "application/x-www-form-urlencoded, multipart/form-data, text/plain"

// unsafeByteIn names the first CORS-unsafe request-header byte of value, if any.
func unsafeByteIn(value string) string {
	i := strings.IndexFunc(value, unsafeByte)
	if i < 0 {
		return ""
	}
	return "contains " + quoteRune(value[i:]) + ", which is a CORS-unsafe request-header byte"
}

// quoteRune quotes the character that s starts with.
func quoteRune(s string) string {
	for _, r := range s {
		return strconv.QuoteRune(r)
	}
	return ""
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
// to a request from origin, a serialized origin. It tells why the check fails,
// as a *[Blocked].
//
// See https://fetch.spec.whatwg.org/#concept-cors-check.
func CORSCheck(origin string, credentialsInclude bool, headers [][2]string) error {
	if blocked := corsCheck(origin, credentialsInclude, headers); blocked != nil {
		return blocked
	}
	return nil
}

func corsCheck(origin string, credentialsInclude bool, headers [][2]string) *Blocked {
	allowOrigin, ok := get(headers, "access-control-allow-origin")
	if !ok {
		return &Blocked{Reason: MissingAllowOrigin, Header: "Access-Control-Allow-Origin", Missing: true, Name: origin}
	}
	if !credentialsInclude && allowOrigin == "*" {
		return nil
	}
	if allowOrigin != origin {
		return &Blocked{Reason: notTheOrigin(allowOrigin), Header: "Access-Control-Allow-Origin", Value: allowOrigin, Name: origin}
	}
	if !credentialsInclude {
		return nil
	}
	if credentials, ok := get(headers, "access-control-allow-credentials"); credentials != "true" {
		return &Blocked{Reason: AllowCredentialsNotTrue, Header: "Access-Control-Allow-Credentials", Value: credentials, Missing: !ok, Name: origin}
	}
	return nil
}

// notTheOrigin tells what is wrong with an Access-Control-Allow-Origin that does
// not equal the origin. To the standard all is one; to people it is not.
func notTheOrigin(allowOrigin string) BlockReason {
	switch {
	case allowOrigin == "*":
		return WildcardWithCredentials
	case strings.ContainsAny(allowOrigin, " ,"):
		return MultipleAllowOrigins
	case allowOrigin != "null" && !validURL(allowOrigin):
		return InvalidAllowOrigin
	}
	return AllowOriginMismatch
}

// PreflightCheck is what CORS-preflight fetch does with the preflight's
// response, step 7: nil means that the request may follow, a *[Blocked] is the
// standard's network error.
//
// See https://fetch.spec.whatwg.org/#cors-preflight-fetch.
func PreflightCheck(req Request, status int, headers [][2]string) error {
	if blocked := preflightCheck(req, status, headers); blocked != nil {
		blocked.Preflight, blocked.Status = true, status
		return blocked
	}
	return nil
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
	if blocked := corsCheck(req.Origin, req.CredentialsInclude, headers); blocked != nil {
		return blocked
	}
	if status < 200 || status > 299 {
		return &Blocked{Reason: PreflightStatus}
	}
	if req.PrivateNetwork {
		allow, ok := get(headers, "access-control-allow-private-network")
		if allow != "true" {
			return &Blocked{Reason: PrivateNetworkNotAllowed, Header: "Access-Control-Allow-Private-Network", Value: allow, Missing: !ok}
		}
	}
	methods, headerNames, blocked := allowLists(headers)
	if blocked != nil {
		return blocked
	}
	if methods == nil && req.UseCORSPreflight {
		methods = []string{req.Method}
	}
	if !slices.Contains(methods, req.Method) && !SafelistedMethod(req.Method) &&
		(req.CredentialsInclude || !slices.Contains(methods, "*")) {
		value, ok := get(headers, "access-control-allow-methods")
		return &Blocked{Reason: MethodNotAllowed, Header: "Access-Control-Allow-Methods", Value: value, Missing: !ok, Name: req.Method}
	}
	return req.headersCheck(headerNames, headers)
}

// allowLists are the methods, nil without the header, and the header names of a
// preflight's response. It fails where either is not a list of tokens.
func allowLists(headers [][2]string) (methods, headerNames []string, _ *Blocked) {
	methods, ok := tokens(headers, "access-control-allow-methods")
	if !ok {
		value, _ := get(headers, "access-control-allow-methods")
		return nil, nil, &Blocked{Reason: InvalidAllowMethods, Header: "Access-Control-Allow-Methods", Value: value}
	}
	headerNames, ok = tokens(headers, "access-control-allow-headers")
	if !ok {
		value, _ := get(headers, "access-control-allow-headers")
		return nil, nil, &Blocked{Reason: InvalidAllowHeaders, Header: "Access-Control-Allow-Headers", Value: value}
	}
	return methods, headerNames, nil
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
	blocked := &Blocked{Reason: HeaderNotAllowed, Header: "Access-Control-Allow-Headers", Name: not[0], Names: not}
	if star && not[0] == "authorization" {
		blocked.Reason = AuthorizationNotListed
	}
	value, ok := get(headers, "access-control-allow-headers")
	blocked.Value, blocked.Missing = value, !ok
	return blocked
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
	exposed, ok := tokens(headers, "access-control-expose-headers")
	if !ok {
		return false
	}
	if !credentialsInclude && slices.Contains(exposed, "*") {
		return true
	}
	return slices.ContainsFunc(exposed, func(n string) bool { return asciiLower(n) == name })
}

// ExposedHeaders splits the names of a response's header lines into those that a
// script sees and those that it does not, lower-case, sorted, each once.
func ExposedHeaders(headers [][2]string, credentialsInclude bool) (visible, hidden []string) {
	for _, h := range headers {
		name := asciiLower(h[0])
		if Exposed(headers, name, credentialsInclude) {
			visible = append(visible, name)
		} else {
			hidden = append(hidden, name)
		}
	}
	slices.Sort(visible)
	slices.Sort(hidden)
	return slices.Compact(visible), slices.Compact(hidden)
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
	for _, value := range values(headers, name) {
		if list == nil {
			list = []string{}
		}
		for element := range strings.SplitSeq(value, ",") {
			element = strings.Trim(element, " \t")
			if element == "" {
				continue
			}
			if !token(element) {
				return nil, false
			}
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
func notLanguage(r rune) bool {
	return !alphanumeric(r) && !strings.ContainsRune(" *,-.;=", r)
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
