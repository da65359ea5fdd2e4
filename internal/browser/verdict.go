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
	if redirectStatus(actual.Status) && urlWithCredentials(location) {
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

// urlWithCredentials reports whether a URL includes credentials: a user name or
// a password.
//
// See https://url.spec.whatwg.org/#include-credentials.
func urlWithCredentials(url string) bool {
	_, rest, ok := strings.Cut(url, "://")
	if end := strings.IndexAny(rest, `/\?#`); end >= 0 {
		rest = rest[:end]
	}
	at := strings.LastIndexByte(rest, '@')
	return ok && at > 0 && rest[:at] != ":"
}
