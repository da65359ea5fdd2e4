package browser

import (
	"cmp"
	"fmt"
	"strings"
)

// A ChromiumError is how Chromium reports a [Blocked]: the name that the network
// panel of its developer tools has for it, and the message on the console.
//
// Chromium follows the standard in most, and blocks nearly the same. These are the
// differences that matter to who compares the two; e2e/browser has tests of all but
// the last:
//
//   - The * of Access-Control-Allow-Headers covers Authorization as long as the
//     credentials mode is not "include". By the standard it never does. Chromium
//     reports nothing then ([AuthorizationNotListed]).
//   - With the use-CORS-preflight flag, a method that is not safelisted must be
//     listed in Access-Control-Allow-Methods even if there is no such header.
//   - A script's User-Agent is dropped as if it were a forbidden request-header.
//   - The headers of client hints (DPR, Save-Data, Device-Memory, Width,
//     Viewport-Width and others) count as safelisted.
//   - Lines of the same name are joined before they are judged: two Accept lines
//     of 100 bytes each need a preflight.
//   - Which of several headers that are not allowed is named is a matter of its
//     hash table. [Blocked] names the first in the standard's order.
type ChromiumError struct {
	// Name is the CorsError of the protocol of the developer tools, such as
	// PreflightMissingAllowOriginHeader. It is empty where Chromium has none.
	//
	// See https://chromedevtools.github.io/devtools-protocol/tot/Network/#type-CorsError.
	Name string `json:"cors_error,omitempty"`
	// Parameter is what goes with it: the value, the method, or the header.
	Parameter string `json:"-"`
	// Message is what Chromium writes to its console. It is empty where it writes
	// nothing, or nothing that is about CORS.
	Message string `json:"message,omitempty"`
}

// chromiumErrors has Chromium's name of each reason, for actual responses and for
// preflights, and its words, with %s for the parameter.
var chromiumErrors = map[BlockReason]struct{ name, preflightName, words string }{
	MissingAllowOrigin: {"MissingAllowOriginHeader", "PreflightMissingAllowOriginHeader",
		"No 'Access-Control-Allow-Origin' header is present on the requested resource."},
	WildcardWithCredentials: {"WildcardOriginNotAllowed", "PreflightWildcardOriginNotAllowed",
		"The value of the 'Access-Control-Allow-Origin' header in the response must not be the wildcard '*' " +
			"when the request's credentials mode is 'include'."},
	MultipleAllowOrigins: {"MultipleAllowOriginValues", "PreflightMultipleAllowOriginValues",
		"The 'Access-Control-Allow-Origin' header contains multiple values '%s', but only one is allowed."},
	InvalidAllowOrigin: {"InvalidAllowOriginValue", "PreflightInvalidAllowOriginValue",
		"The 'Access-Control-Allow-Origin' header contains the invalid value '%s'."},
	AllowOriginMismatch: {"AllowOriginMismatch", "PreflightAllowOriginMismatch",
		"The 'Access-Control-Allow-Origin' header has a value '%s' that is not equal to the supplied origin."},
	AllowCredentialsNotTrue: {"InvalidAllowCredentials", "PreflightInvalidAllowCredentials",
		"The value of the 'Access-Control-Allow-Credentials' header in the response is '%s' which must be 'true' " +
			"when the request's credentials mode is 'include'."},
	PreflightStatus: {"", "PreflightInvalidStatus",
		"It does not have HTTP ok status."},
	PreflightRedirect: {"", "PreflightDisallowedRedirect",
		"Redirect is not allowed for a preflight request."},
	InvalidAllowMethods: {"", "InvalidAllowMethodsPreflightResponse",
		"Cannot parse Access-Control-Allow-Methods response header field in preflight response."},
	InvalidAllowHeaders: {"", "InvalidAllowHeadersPreflightResponse",
		"Cannot parse Access-Control-Allow-Headers response header field in preflight response."},
	MethodNotAllowed: {"", "MethodDisallowedByPreflightResponse",
		"Method %s is not allowed by Access-Control-Allow-Methods in preflight response."},
	HeaderNotAllowed: {"", "HeaderDisallowedByPreflightResponse",
		"Request header field %s is not allowed by Access-Control-Allow-Headers in preflight response."},
	// Chromium leaves the location out.
	RedirectWithCredentials: {"RedirectContainsCredentials", "",
		"Redirect location '%s' contains a username and password, which is disallowed for cross-origin requests."},
	// The list is that of this version.
	SchemeNotHTTP: {"CorsDisabledScheme", "",
		"Cross origin requests are only supported for protocol schemes: chrome, " +
			"chrome-experimental-site-token-provider, chrome-extension, chrome-untrusted, " +
			"data, http, https, isolated-app."},
}

// Chromium returns how Chromium reports what [Verdict] returned for the request. It is
// the zero value if Chromium reports nothing of the kind.
//
// See third_party/blink/renderer/platform/loader/cors/cors_error_string.cc in
// Chromium's source; the messages are those of version 156.
func Chromium(req Request, b *Blocked) ChromiumError {
	if b == nil {
		return ChromiumError{}
	}
	initiator := cmp.Or(req.Initiator, InitiatorFetch)
	switch fetching := initiator == InitiatorFetch; {
	case b.Reason == ForbiddenByMode && fetching:
		return ChromiumError{Message: fmt.Sprintf("Fetch API cannot load %s. Request mode is \"same-origin\" "+
			"but the URL's origin is not same as the request origin %s.", req.URL, req.Origin)}
	case b.Reason == SchemeNotHTTP && fetching && req.RedirectedFrom == "":
		scheme, _, _ := strings.Cut(req.URL, ":")
		return ChromiumError{Message: fmt.Sprintf("Fetch API cannot load %s. URL scheme \"%s\" is not supported.",
			req.URL, asciiLower(scheme))}
	}
	texts, ok := chromiumErrors[b.Reason]
	if !ok {
		return ChromiumError{}
	}
	e := ChromiumError{Name: texts.name, Parameter: b.chromiumParameter()}
	e.Message = fmt.Sprintf("Access to %s at '%s' ", initiator, req.URL)
	if req.RedirectedFrom != "" {
		e.Message += fmt.Sprintf("(redirected from '%s') ", req.RedirectedFrom)
	}
	e.Message += fmt.Sprintf("from origin '%s' has been blocked by CORS policy: ", req.Origin)
	if b.Preflight {
		e.Name = texts.preflightName
		if strings.HasPrefix(e.Name, "Preflight") {
			e.Message += "Response to preflight request doesn't pass access control check: "
		}
	}
	// Chromium takes each byte for a character.
	e.Message += strings.Replace(texts.words, "%s", escape(e.Parameter, "", `\u%04X`), 1) + b.chromiumHint(initiator)
	return e
}

// chromiumParameter is what Chromium calls the failed parameter.
func (b *Blocked) chromiumParameter() string {
	switch b.Reason {
	case MultipleAllowOrigins, InvalidAllowOrigin, AllowOriginMismatch, AllowCredentialsNotTrue:
		return b.Value
	case MethodNotAllowed, HeaderNotAllowed:
		return b.Name
	}
	return ""
}

// chromiumHint is what Chromium adds for some initiators.
func (b *Blocked) chromiumHint(initiator string) string {
	switch b.Reason {
	case MultipleAllowOrigins, InvalidAllowOrigin, AllowOriginMismatch:
		if initiator == InitiatorFetch {
			return " Have the server send the header with a valid value."
		}
	case WildcardWithCredentials, AllowCredentialsNotTrue:
		if initiator == InitiatorXHR {
			return " The credentials mode of requests initiated by the XMLHttpRequest " +
				"is controlled by the withCredentials attribute."
		}
	}
	return ""
}
