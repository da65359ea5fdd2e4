package browser

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A BlockReason is why a browser does not let a script have a response. The
// values are for machines, and stay.
type BlockReason string

// The reasons. The first ten can be those of a preflight's response, too.
const (
	// About Access-Control-Allow-Origin. The standard knows only that it is there
	// and that it equals the origin; these say what is wrong with it.
	MissingAllowOrigin      BlockReason = "missing-allow-origin"
	WildcardWithCredentials BlockReason = "wildcard-with-credentials" // * and the credentials mode "include".
	MultipleAllowOrigins    BlockReason = "multiple-allow-origins"    // Several lines, a list, or with a space.
	InvalidAllowOrigin      BlockReason = "invalid-allow-origin"      // Not even a URL.
	AllowOriginMismatch     BlockReason = "allow-origin-mismatch"
	// AllowCredentialsNotTrue is about Access-Control-Allow-Credentials.
	AllowCredentialsNotTrue BlockReason = "allow-credentials-not-true"

	// Only about a preflight's response.
	PreflightRedirect        BlockReason = "preflight-redirect"
	PreflightStatus          BlockReason = "preflight-status" // Not 200 to 299.
	InvalidAllowMethods      BlockReason = "invalid-allow-methods"
	InvalidAllowHeaders      BlockReason = "invalid-allow-headers"
	MethodNotAllowed         BlockReason = "method-not-allowed"
	HeaderNotAllowed         BlockReason = "header-not-allowed"
	AuthorizationNotListed   BlockReason = "authorization-not-listed" // * does not cover it.
	PrivateNetworkNotAllowed BlockReason = "private-network-not-allowed"

	// RedirectWithCredentials is a redirect to a URL with user name or password.
	RedirectWithCredentials BlockReason = "redirect-with-credentials"

	// Before anything is sent.
	ForbiddenByMode     BlockReason = "forbidden-by-mode" // Mode "same-origin", and another origin.
	ForbiddenMethodName BlockReason = "forbidden-method"  // CONNECT, TRACE and TRACK.
	SchemeNotHTTP       BlockReason = "scheme-not-http"
)

// BlockReasons returns all reasons, sorted, for what must know each.
func BlockReasons() []BlockReason { return slices.Sorted(maps.Keys(steps)) }

// Blocked is why a browser withholds a response, or does not make a request. It is an
// error, but what may return one returns no [error]: nil is a verdict, too.
type Blocked struct {
	Reason BlockReason
	// Preflight tells that it is the preflight's response that fails, so that the
	// request itself is not made.
	Preflight bool
	// Status is the status of the response, 0 if none was judged.
	Status int
	// Header is the response header that is at fault, "" if none is, and Value
	// its value, several lines joined by ", ". Missing tells that there is none.
	Header, Value string
	Missing       bool
	// Lines is how many lines the header has, where its value is not the origin.
	Lines int
	// Name is what the header should have allowed: the origin, the method, or the
	// first name of a header.
	Name string
	// Names are all header names that Access-Control-Allow-Headers should have
	// allowed and did not, lower-case.
	Names []string
}

// Error is the reason in the standard's words, after the step that fails.
func (b *Blocked) Error() string { return b.Step() + ": " + b.words() }

// Step is the step of the Fetch standard that fails.
func (b *Blocked) Step() string {
	step := steps[b.Reason].name
	if check, ok := strings.CutPrefix(step, "CORS check"); ok && b.Preflight {
		return "CORS check of the preflight" + check
	}
	return step
}

// Section is where the standard has that step.
func (b *Blocked) Section() string { return steps[b.Reason].section }

const (
	corsCheckSection      = "https://fetch.spec.whatwg.org/#concept-cors-check"
	preflightFetchSection = "https://fetch.spec.whatwg.org/#cors-preflight-fetch"
	mainFetchSection      = "https://fetch.spec.whatwg.org/#concept-main-fetch"
)

var steps = map[BlockReason]struct{ name, section string }{
	MissingAllowOrigin:      {"CORS check, step 2", corsCheckSection},
	WildcardWithCredentials: {"CORS check, step 4", corsCheckSection},
	MultipleAllowOrigins:    {"CORS check, step 4", corsCheckSection},
	InvalidAllowOrigin:      {"CORS check, step 4", corsCheckSection},
	AllowOriginMismatch:     {"CORS check, step 4", corsCheckSection},
	AllowCredentialsNotTrue: {"CORS check, step 8", corsCheckSection},
	PreflightRedirect:       {"CORS-preflight fetch, step 7", preflightFetchSection},
	PreflightStatus:         {"CORS-preflight fetch, step 7", preflightFetchSection},
	InvalidAllowMethods:     {"CORS-preflight fetch, step 7.3", preflightFetchSection},
	InvalidAllowHeaders:     {"CORS-preflight fetch, step 7.3", preflightFetchSection},
	MethodNotAllowed:        {"CORS-preflight fetch, step 7.5", preflightFetchSection},
	AuthorizationNotListed:  {"CORS-preflight fetch, step 7.6", preflightFetchSection},
	HeaderNotAllowed:        {"CORS-preflight fetch, step 7.7", preflightFetchSection},
	PrivateNetworkNotAllowed: {"Private Network Access, CORS preflight",
		"https://wicg.github.io/private-network-access/#cors-preflight"},
	RedirectWithCredentials: {"HTTP-redirect fetch", "https://fetch.spec.whatwg.org/#http-redirect-fetch"},
	ForbiddenByMode:         {"main fetch", mainFetchSection},
	SchemeNotHTTP:           {"main fetch", mainFetchSection},
	ForbiddenMethodName:     {"new Request", "https://fetch.spec.whatwg.org/#dom-request"},
}

// words says what is wrong.
func (b *Blocked) words() string {
	switch b.Reason {
	case MissingAllowOrigin:
		return "no Access-Control-Allow-Origin"
	case WildcardWithCredentials:
		return `Access-Control-Allow-Origin is "*", which counts for no origin when the credentials mode is "include"`
	case MultipleAllowOrigins, InvalidAllowOrigin, AllowOriginMismatch:
		return fmt.Sprintf("Access-Control-Allow-Origin is %q, the origin %q", b.Value, b.Name)
	case PreflightRedirect:
		return fmt.Sprintf("%d to %q is a redirect, not an ok status", b.Status, b.Value)
	case PreflightStatus:
		return strconv.Itoa(b.Status) + " is not an ok status"
	case InvalidAllowMethods, InvalidAllowHeaders:
		return fmt.Sprintf("%s is not a list of tokens: %q", b.Header, b.Value)
	case MethodNotAllowed:
		return "method " + strconv.Quote(b.Name) + b.notIn()
	case HeaderNotAllowed:
		if len(b.Names) > 1 {
			return fmt.Sprintf("headers %q are%s", b.Names, strings.TrimPrefix(b.notIn(), " is"))
		}
		return "header " + strconv.Quote(b.Name) + b.notIn()
	case AuthorizationNotListed:
		return fmt.Sprintf("authorization must be listed by name, and * does not cover it: %s is %q", b.Header, b.Value)
	case AllowCredentialsNotTrue, PrivateNetworkNotAllowed:
		if b.Missing {
			return "no " + b.Header
		}
		return fmt.Sprintf("%s is %q, not \"true\"", b.Header, b.Value)
	case RedirectWithCredentials:
		return fmt.Sprintf("the redirect's location %q has a user name or password", b.Value)
	case ForbiddenByMode:
		return "the mode is \"same-origin\", and the URL is of another origin"
	case SchemeNotHTTP:
		return "the URL's scheme is not http or https"
	case ForbiddenMethodName:
		return "method " + strconv.Quote(b.Name) + " is forbidden to scripts"
	}
	return string(b.Reason)
}

// notIn says where something is not listed.
func (b *Blocked) notIn() string {
	if b.Missing {
		return " is not allowed, for there is no " + b.Header
	}
	return fmt.Sprintf(" is not in %s %q", b.Header, b.Value)
}
