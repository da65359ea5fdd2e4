package browser

import "strings"

// Verdict runs one exchange as a browser does: it checks whether the request may
// be made at all, then the preflight's response, if the request needs one, then
// the CORS check of the actual response. nil means that the script can read the
// response, with the headers that are [Exposed]; in the mode "no-cors" it means
// that nothing is blocked, and nothing can be read.
//
// A response that is nil is not known, and not checked. A redirect is judged as
// the response that it is; for where it leads to, call Verdict again, with the
// origin null if it goes from one foreign origin to another.
//
// See https://fetch.spec.whatwg.org/#concept-main-fetch.
func Verdict(req Request, preflight, actual *Response) *Blocked {
	req.Method = NormalizeMethod(req.Method)
	if blocked := notMade(req); blocked != nil {
		return blocked
	}
	if !req.CORS() {
		return nil
	}
	if preflight != nil && len(req.PreflightReasons()) > 0 {
		if blocked := PreflightCheck(req, preflight.Status, preflight.Headers); blocked != nil {
			return blocked
		}
	}
	if actual == nil {
		return nil
	}
	if blocked := CORSCheck(req.Origin, req.CredentialsInclude, actual.Headers); blocked != nil {
		blocked.Status = actual.Status
		return blocked
	}
	location, _ := get(actual.Headers, "location")
	if redirectStatus(actual.Status) && IncludesCredentials(locationURL(req.URL, location)) {
		return &Blocked{Reason: RedirectWithCredentials, Header: "Location", Value: location, Status: actual.Status}
	}
	return nil
}

// notMade tells why a browser does not make the request at all.
func notMade(req Request) *Blocked {
	switch {
	case ForbiddenMethod(req.Method):
		return &Blocked{Reason: ForbiddenMethodName, Name: req.Method}
	case req.URL == "" || SameOrigin(req.Origin, req.URL):
		return nil
	case req.Mode == ModeSameOrigin:
		return &Blocked{Reason: ForbiddenByMode}
	case req.CORS() && !httpScheme(req.URL):
		return &Blocked{Reason: SchemeNotHTTP}
	}
	return nil
}

// locationURL is the URL that a response redirects to.
//
// See https://fetch.spec.whatwg.org/#concept-response-location-url.
func locationURL(url, location string) string {
	if resolved, err := Resolve(url, location); err == nil {
		return resolved
	}
	return location // There is no URL to resolve it with.
}

// IncludesCredentials reports whether a URL has a user name or a password.
//
// See https://url.spec.whatwg.org/#include-credentials.
func IncludesCredentials(url string) bool {
	scheme, rest, ok := strings.Cut(url, ":")
	if _, special := defaultPorts[asciiLower(scheme)]; special {
		rest = strings.TrimLeft(rest, `/\`)
	} else {
		rest, ok = strings.CutPrefix(rest, "//")
	}
	if end := strings.IndexAny(rest, `/\?#`); end >= 0 {
		rest = rest[:end]
	}
	at := strings.LastIndexByte(rest, '@')
	return ok && at > 0 && rest[:at] != ":"
}
