package browser

import (
	"fmt"
	"strings"
)

// firefoxReasons are Firefox's words for each reason, with %s for the parameter.
var firefoxReasons = map[BlockReason]string{
	MissingAllowOrigin:      "CORS header ‘Access-Control-Allow-Origin’ missing",
	WildcardWithCredentials: "Credential is not supported if the CORS header ‘Access-Control-Allow-Origin’ is ‘*’",
	MultipleAllowOrigins:    "CORS header ‘Access-Control-Allow-Origin’ does not match ‘%s’",
	InvalidAllowOrigin:      "CORS header ‘Access-Control-Allow-Origin’ does not match ‘%s’",
	AllowOriginMismatch:     "CORS header ‘Access-Control-Allow-Origin’ does not match ‘%s’",
	AllowCredentialsNotTrue: "expected ‘true’ in CORS header ‘Access-Control-Allow-Credentials’",
	PreflightStatus:         "CORS preflight response did not succeed",
	PreflightRedirect:       "CORS request external redirect not allowed",
	InvalidAllowMethods:     "invalid token ‘%s’ in CORS header ‘Access-Control-Allow-Methods’",
	InvalidAllowHeaders:     "invalid token ‘%s’ in CORS header ‘Access-Control-Allow-Headers’",
	MethodNotAllowed:        "Did not find method in CORS header ‘Access-Control-Allow-Methods’",
	HeaderNotAllowed: "header ‘%s’ is not allowed according to header ‘Access-Control-Allow-Headers’ " +
		"from CORS preflight response",
	RedirectWithCredentials: "CORS request did not succeed",
	SchemeNotHTTP:           "CORS request not http",
}

// Firefox returns what Firefox writes to its console of what [Verdict] returned for the request, ""
// if it writes nothing about CORS. Of a preflight that fails, and of a redirect, a second line says
// "CORS request did not succeed" of the request that was to follow.
//
// Firefox blocks nearly the same as the standard, and as Chromium. docs/browsers.md has where it
// doesn't. It knows no [AuthorizationNotListed], and reports nothing then.
//
// See https://developer.mozilla.org/docs/Web/HTTP/Guides/CORS/Errors; the messages are those of
// version 153.
func Firefox(req Request, b *Blocked) string {
	if b == nil {
		return ""
	}
	reason, ok := firefoxReasons[b.Reason]
	if !ok {
		return ""
	}
	at, status := req.URL, ""
	switch {
	case b.Reason == WildcardWithCredentials:
		at = "‘" + at + "’"
	case b.Reason == MultipleAllowOrigins && b.Lines > 1:
		reason = "Multiple CORS header ‘Access-Control-Allow-Origin’ not allowed"
	case b.Reason == MissingAllowOrigin, b.Reason == PreflightStatus:
		status = fmt.Sprintf(" Status code: %d.", b.Status)
	case b.Reason == RedirectWithCredentials:
		status = " Status code: (null)."
	}
	return fmt.Sprintf("Cross-Origin Request Blocked: The Same Origin Policy disallows reading the remote resource at %s. "+
		"(Reason: %s).%s", at, strings.Replace(reason, "%s", b.firefoxParameter(), 1), status)
}

// firefoxParameter is what Firefox names in its reason.
func (b *Blocked) firefoxParameter() string {
	switch b.Reason {
	case InvalidAllowMethods, InvalidAllowHeaders:
		for element := range strings.SplitSeq(b.Value, ",") {
			if element = strings.Trim(element, " \t"); element != "" && !token(element) {
				return element
			}
		}
	case HeaderNotAllowed:
		return b.Name
	}
	return b.Value
}
