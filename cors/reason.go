package cors

// A Reason says why a request got its answer.
type Reason uint8

const (
	// Allowed means that the policy allows the origin and, for a preflight, the requested
	// method and every requested header.
	Allowed Reason = iota
	// NoOrigin means that the request has no Origin header, so it is no CORS request.
	NoOrigin
	// OriginMalformed means that Origin is empty, repeated, or not a serialized origin.
	OriginMalformed
	// OriginNotAllowed means that the origin is not in allow_origins.
	OriginNotAllowed
	// MethodMalformed means that Access-Control-Request-Method is not a method.
	MethodMalformed
	// MethodForbidden means that the requested method is one that browsers never send
	// (https://fetch.spec.whatwg.org/#forbidden-method).
	MethodForbidden
	// MethodNotAllowed means that the requested method is not in allow_methods.
	MethodNotAllowed
	// HeadersMalformed means that Access-Control-Request-Headers has an element that is no header name.
	HeadersMalformed
	// HeadersTooLong means that Access-Control-Request-Headers is longer than MaxRequestHeaders.
	HeadersTooLong
	// HeaderNotAllowed means that a requested header is not in allow_headers.
	HeaderNotAllowed
	// AuthorizationNotAllowed means that the request asks for Authorization, which "*" doesn't cover
	// (https://fetch.spec.whatwg.org/#cors-non-wildcard-request-header-name).
	AuthorizationNotAllowed
	// PolicyOff means that the policy is off, and decides nothing.
	PolicyOff

	reasons
)

// String is the reason's name in lower-case words joined by underscores, for
// metrics and machine-readable output.
func (r Reason) String() string {
	if r >= reasons {
		return "unknown"
	}
	return reasonNames[r]
}

var reasonNames = [reasons]string{
	Allowed:                 "allowed",
	NoOrigin:                "no_origin",
	OriginMalformed:         "origin_malformed",
	OriginNotAllowed:        "origin_not_allowed",
	MethodMalformed:         "method_malformed",
	MethodForbidden:         "method_forbidden",
	MethodNotAllowed:        "method_not_allowed",
	HeadersMalformed:        "headers_malformed",
	HeadersTooLong:          "headers_too_long",
	HeaderNotAllowed:        "header_not_allowed",
	AuthorizationNotAllowed: "authorization_not_allowed",
	PolicyOff:               "policy_off",
}
