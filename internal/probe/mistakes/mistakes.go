// Package mistakes has the CORS mistakes that servers make, and a server that makes them, for
// tests of what is said of them.
package mistakes

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// A Mistake is a request of a page, and what a server answers to it.
type Mistake struct {
	Name string
	// Request is the page's, without origin and URL.
	Request browser.Request
	// Preflight and Actual are what the server answers, End what it answers to a request that
	// the actual answer redirected to {here}/end or {elsewhere}/end, End's preflight included.
	Preflight, Actual, End Answer

	// Blocked is why a browser blocks it, "" if it doesn't, and Because that in words.
	Blocked browser.BlockReason
	Because string
	// Changes are what the answers should say, and Advice the kinds of what else there is to know.
	Changes, Advice []string
	// Lenient tells that Chromium and Firefox do otherwise than the standard, and let the page
	// have the answer.
	Lenient bool
}

// An Answer is a status, 200 if it is 0, and lines. In these, {origin} is the Origin of the
// request, {page} the page's origin, {host} what follows http:// there, {here} the URL of
// the mistake and {elsewhere} the same on a server of another origin.
type Answer struct {
	Status int
	Lines  []string
}

func answer(status int, lines ...string) Answer { return Answer{status, lines} }

const (
	acao  = "Access-Control-Allow-Origin: "
	acac  = "Access-Control-Allow-Credentials: "
	acam  = "Access-Control-Allow-Methods: "
	acah  = "Access-Control-Allow-Headers: "
	acma  = "Access-Control-Max-Age: 600"
	aceh  = "Access-Control-Expose-Headers: "
	vary  = "Vary: Origin"
	echo  = acao + "{origin}"
	page  = acao + "{page}"
	creds = acac + "true"
)

func get(headers ...string) browser.Request { return request("GET", headers...) }

func request(method string, headers ...string) browser.Request {
	r := browser.Request{Method: method}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Headers = append(r.Headers, [2]string{name, value})
	}
	return r
}

func include(r browser.Request) browser.Request {
	r.CredentialsInclude = true
	return r
}

const asJSON = "Content-Type: application/json"

// All are the mistakes. The first ones are none.
var All = []Mistake{
	{Name: "right", Request: get(), Actual: answer(200, acao+"*")},
	{Name: "right with a preflight and credentials", Request: include(request("PUT", asJSON)),
		Preflight: answer(204, page, creds, acam+"PUT", acah+"content-type", acma),
		Actual:    answer(200, page, creds, vary)},

	{Name: "no CORS at all", Request: get(), Blocked: browser.MissingAllowOrigin,
		Because: "CORS check, step 2: no Access-Control-Allow-Origin", Changes: []string{"actual " + page}},
	{Name: "no CORS at all, with a preflight", Request: request("DELETE"), Preflight: answer(405, "Allow: GET, DELETE"),
		Blocked: browser.MissingAllowOrigin,
		Because: "CORS check of the preflight, step 2: no Access-Control-Allow-Origin",
		Changes: []string{"preflight 204", "preflight " + page, "preflight " + acam + "DELETE"}},
	{Name: "star with credentials", Request: include(get()), Actual: answer(200, acao+"*", creds),
		Blocked: browser.WildcardWithCredentials,
		Because: `CORS check, step 4: Access-Control-Allow-Origin is "*", which counts for no origin when the credentials mode is "include"`,
		Changes: []string{"actual " + page}},
	{Name: "two layers", Request: get(), Actual: answer(200, page, page, vary), Blocked: browser.MultipleAllowOrigins,
		Because: `CORS check, step 4: Access-Control-Allow-Origin is "{page}, {page}", the origin "{page}"`,
		Changes: []string{"actual " + page}},
	{Name: "two layers, one with a star", Request: get(), Actual: answer(200, acao+"*", page, vary),
		Blocked: browser.MultipleAllowOrigins,
		Because: `CORS check, step 4: Access-Control-Allow-Origin is "*, {page}", the origin "{page}"`,
		Changes: []string{"actual " + page}},
	{Name: "a list of origins", Request: get(), Actual: answer(200, acao+"https://app.example, {page}"),
		Blocked: browser.MultipleAllowOrigins,
		Because: `CORS check, step 4: Access-Control-Allow-Origin is "https://app.example, {page}", the origin "{page}"`,
		Changes: []string{"actual " + page}, Advice: []string{"no-vary-origin"}},
	{Name: "a slash at the end", Request: get(), Actual: answer(200, acao+"{page}/", vary),
		Blocked: browser.AllowOriginMismatch,
		Because: `CORS check, step 4: Access-Control-Allow-Origin is "{page}/", the origin "{page}"`,
		Changes: []string{"actual " + page}},
	{Name: "quotes", Request: get(), Actual: answer(200, acao+`"{page}"`, vary), Blocked: browser.InvalidAllowOrigin,
		Because: `CORS check, step 4: Access-Control-Allow-Origin is "\"{page}\"", the origin "{page}"`,
		Changes: []string{"actual " + page}},
	{Name: "upper case", Request: get(), Actual: answer(200, acao+"HTTP://{host}", vary),
		Blocked: browser.AllowOriginMismatch,
		Because: `CORS check, step 4: Access-Control-Allow-Origin is "HTTP://{host}", the origin "{page}"`,
		Changes: []string{"actual " + page}},
	{Name: "another scheme", Request: get(), Actual: answer(200, acao+"https://{host}", vary),
		Blocked: browser.AllowOriginMismatch,
		Because: `CORS check, step 4: Access-Control-Allow-Origin is "https://{host}", the origin "{page}"`,
		Changes: []string{"actual " + page}},
	{Name: "a wildcard in a host", Request: get(), Actual: answer(200, acao+"https://*.example.com", vary),
		Blocked: browser.AllowOriginMismatch,
		Because: `CORS check, step 4: Access-Control-Allow-Origin is "https://*.example.com", the origin "{page}"`,
		Changes: []string{"actual " + page}},
	{Name: "a host without a scheme", Request: get(), Actual: answer(200, acao+"app.example.com", vary),
		Blocked: browser.InvalidAllowOrigin,
		Because: `CORS check, step 4: Access-Control-Allow-Origin is "app.example.com", the origin "{page}"`,
		Changes: []string{"actual " + page}},
	{Name: "null for everyone", Request: get(), Actual: answer(200, acao+"null", vary),
		Blocked: browser.AllowOriginMismatch,
		Because: `CORS check, step 4: Access-Control-Allow-Origin is "null", the origin "{page}"`,
		Changes: []string{"actual " + page}},
	{Name: "a variable that is empty", Request: get(), Actual: answer(200, acao, vary),
		Blocked: browser.InvalidAllowOrigin,
		Because: `CORS check, step 4: Access-Control-Allow-Origin is "", the origin "{page}"`,
		Changes: []string{"actual " + page}},
	{Name: "the origin of another app", Request: get(), Actual: answer(200, acao+"https://app.example"),
		Blocked: browser.AllowOriginMismatch,
		Because: `CORS check, step 4: Access-Control-Allow-Origin is "https://app.example", the origin "{page}"`,
		Changes: []string{"actual " + page}, Advice: []string{"no-vary-origin"}},

	{Name: "credentials not allowed", Request: include(get()), Actual: answer(200, page, vary),
		Blocked: browser.AllowCredentialsNotTrue,
		Because: "CORS check, step 8: no Access-Control-Allow-Credentials", Changes: []string{"actual " + creds}},
	{Name: "credentials True", Request: include(get()), Actual: answer(200, page, acac+"True", vary),
		Blocked: browser.AllowCredentialsNotTrue,
		Because: `CORS check, step 8: Access-Control-Allow-Credentials is "True", not "true"`,
		Changes: []string{"actual " + creds}},
	{Name: "credentials from two layers", Request: include(get()), Actual: answer(200, page, creds, creds, vary),
		Blocked: browser.AllowCredentialsNotTrue,
		Because: `CORS check, step 8: Access-Control-Allow-Credentials is "true, true", not "true"`,
		Changes: []string{"actual " + creds}},

	{Name: "preflight wants a login", Request: request("PUT"), Preflight: answer(401, "WWW-Authenticate: Bearer realm=x"),
		Blocked: browser.MissingAllowOrigin,
		Because: "CORS check of the preflight, step 2: no Access-Control-Allow-Origin",
		Changes: []string{"preflight 204", "preflight " + page, "preflight " + acam + "PUT"}},
	{Name: "preflight isn't found", Request: request("PUT"), Preflight: answer(404, acao+"*"),
		Blocked: browser.PreflightStatus, Because: "CORS-preflight fetch, step 7: 404 is not an ok status",
		Changes: []string{"preflight 204", "preflight " + acam + "PUT"}},
	{Name: "preflight isn't taken", Request: get("X-Key: secret"), Preflight: answer(405, acao+"*", acah+"X-Key"),
		Blocked: browser.PreflightStatus, Because: "CORS-preflight fetch, step 7: 405 is not an ok status",
		Changes: []string{"preflight 204"}},
	{Name: "preflight fails", Request: request("PUT"), Preflight: answer(502, acao+"*", acam+"PUT"),
		Blocked: browser.PreflightStatus, Because: "CORS-preflight fetch, step 7: 502 is not an ok status",
		Changes: []string{"preflight 204"}},
	{Name: "preflight is redirected by a slash", Request: request("PUT"), Preflight: answer(308, "Location: {here}/"),
		Blocked: browser.PreflightRedirect,
		Because: `CORS-preflight fetch, step 7: 308 to "{here}/" is a redirect, not an ok status`,
		Changes: []string{"preflight 204", "preflight " + page, "preflight " + acam + "PUT"}},
	{Name: "preflight is redirected to a login", Request: request("PUT"),
		Preflight: answer(302, acao+"*", "Location: {elsewhere}/login?next=secret"), Blocked: browser.PreflightRedirect,
		Because: `CORS-preflight fetch, step 7: 302 to "{elsewhere}/login?next=***" is a redirect, not an ok status`,
		Changes: []string{"preflight 204", "preflight " + acam + "PUT"}},

	{Name: "method isn't listed", Request: request("PATCH"), Preflight: answer(204, acao+"*", acam+"GET, POST, PUT", acma),
		Blocked: browser.MethodNotAllowed,
		Because: `CORS-preflight fetch, step 7.5: method "PATCH" is not in Access-Control-Allow-Methods "GET, POST, PUT"`,
		Changes: []string{"preflight " + acam + "GET, POST, PUT, PATCH"}},
	{Name: "method in lower case", Request: request("PUT"), Preflight: answer(204, acao+"*", acam+"get, put"),
		Blocked: browser.MethodNotAllowed,
		Because: `CORS-preflight fetch, step 7.5: method "PUT" is not in Access-Control-Allow-Methods "get, put"`,
		Changes: []string{"preflight " + acam + "GET, PUT"}},
	{Name: "the page's method in lower case", Request: request("patch"), Preflight: answer(204, acao+"*", acam+"PATCH"),
		Blocked: browser.MethodNotAllowed,
		Because: `CORS-preflight fetch, step 7.5: method "patch" is not in Access-Control-Allow-Methods "PATCH"`,
		Changes: []string{"preflight " + acam + "PATCH, patch"}},
	{Name: "methods are no list", Request: request("PUT"), Preflight: answer(204, acao+"*", acam+"GET PUT"),
		Blocked: browser.InvalidAllowMethods,
		Because: `CORS-preflight fetch, step 7.3: Access-Control-Allow-Methods is not a list of tokens: "GET PUT"`,
		Changes: []string{"preflight " + acam + "GET, PUT"}},
	{Name: "methods are no list, and lack one", Request: request("PATCH"), Preflight: answer(204, acao+"*", acam+"GET;PUT"),
		Blocked: browser.InvalidAllowMethods,
		Because: `CORS-preflight fetch, step 7.3: Access-Control-Allow-Methods is not a list of tokens: "GET;PUT"`,
		Changes: []string{"preflight " + acam + "GET, PUT, PATCH"}},
	{Name: "methods are nothing like it", Request: request("PUT"), Preflight: answer(204, acao+"*", acam+"P☃T"),
		Blocked: browser.InvalidAllowMethods,
		Because: `CORS-preflight fetch, step 7.3: Access-Control-Allow-Methods is not a list of tokens: "P☃T"`,
		Changes: []string{"preflight " + acam + "PUT"}},
	{Name: "methods in JSON", Request: request("PUT"), Preflight: answer(204, acao+"*", acam+`["GET","PUT"]`),
		Blocked: browser.InvalidAllowMethods,
		Because: `CORS-preflight fetch, step 7.3: Access-Control-Allow-Methods is not a list of tokens: "[\"GET\",\"PUT\"]"`,
		Changes: []string{"preflight " + acam + "GET, PUT"}},
	{Name: "star for methods with credentials", Request: include(request("PUT")),
		Preflight: answer(204, page, creds, acam+"*"), Blocked: browser.MethodNotAllowed,
		Because: `CORS-preflight fetch, step 7.5: method "PUT" is not in Access-Control-Allow-Methods "*"`,
		Changes: []string{"preflight " + acam + "PUT"}},
	{Name: "headers aren't listed", Request: request("POST", asJSON, "X-Key: secret"),
		Preflight: answer(204, acao+"*", acah+"Accept"), Blocked: browser.HeaderNotAllowed,
		Because: `CORS-preflight fetch, step 7.7: headers ["content-type" "x-key"] are not in Access-Control-Allow-Headers "Accept"`,
		Changes: []string{"preflight " + acah + "Accept, content-type, x-key"}},
	{Name: "headers are no list", Request: get("X-Key: secret"), Preflight: answer(204, acao+"*", acah+"X-Key; Accept"),
		Blocked: browser.InvalidAllowHeaders,
		Because: `CORS-preflight fetch, step 7.3: Access-Control-Allow-Headers is not a list of tokens: "X-Key; Accept"`,
		Changes: []string{"preflight " + acah + "X-Key, Accept"}},
	{Name: "star for headers with credentials", Request: include(get("X-Key: secret")),
		Preflight: answer(204, page, creds, acah+"*"), Blocked: browser.HeaderNotAllowed,
		Because: `CORS-preflight fetch, step 7.7: header "x-key" is not in Access-Control-Allow-Headers "*"`,
		Changes: []string{"preflight " + acah + "x-key"}},
	{Name: "star for Authorization", Request: get("Authorization: Bearer secret"),
		Preflight: answer(204, acao+"*", acah+"*"), Actual: answer(200, acao+"*"), Lenient: true,
		Blocked: browser.AuthorizationNotListed,
		Because: `CORS-preflight fetch, step 7.6: authorization must be listed by name, and * does not cover it: Access-Control-Allow-Headers is "*"`,
		Changes: []string{"preflight " + acah + "*, authorization"}},

	{Name: "only the preflight has CORS headers", Request: request("PUT"),
		Preflight: answer(204, acao+"*", acam+"PUT", acma), Blocked: browser.MissingAllowOrigin,
		Because: "CORS check, step 2: no Access-Control-Allow-Origin", Changes: []string{"actual " + page}},
	{Name: "an error without CORS headers", Request: get(), Actual: answer(500), Blocked: browser.MissingAllowOrigin,
		Because: "CORS check, step 2: no Access-Control-Allow-Origin", Changes: []string{"actual " + page}},
	{Name: "a redirect without CORS headers", Request: get(), Actual: answer(302, "Location: {here}/end"),
		End: answer(200, acao+"*"), Blocked: browser.MissingAllowOrigin,
		Because: "CORS check, step 2: no Access-Control-Allow-Origin", Changes: []string{"actual " + page}},
	{Name: "a redirect with CORS headers", Request: get(), Actual: answer(307, acao+"*", "Location: {here}/end"),
		End: answer(200, acao+"*"), Advice: []string{"redirected"}},
	{Name: "a redirect to what lacks CORS headers", Request: get(), Actual: answer(301, acao+"*", "Location: {here}/end"),
		Blocked: browser.MissingAllowOrigin,
		Because: "CORS check, step 2: no Access-Control-Allow-Origin", Changes: []string{"actual " + page},
		Advice: []string{"redirected"}},
	{Name: "a redirect to another origin", Request: get(), Actual: answer(302, page, "Location: {elsewhere}/end"),
		End: answer(200, page, vary), Blocked: browser.AllowOriginMismatch,
		Because: `CORS check, step 4: Access-Control-Allow-Origin is "{page}", the origin "null"`,
		Changes: []string{"page"}, Advice: []string{"origin-null"}},
	{Name: "a redirect of a preflighted request", Request: request("PUT", asJSON),
		Preflight: answer(204, acao+"*", acam+"PUT", acah+"content-type", acma),
		Actual:    answer(303, acao+"*", "Location: {elsewhere}/end"),
		End:       answer(200, acao+"null"), Advice: []string{"no-vary-origin", "origin-null"}},
	{Name: "a redirect with a password", Request: get(), Actual: answer(302, acao+"*", "Location: http://u:p@{host}/end"),
		Blocked: browser.RedirectWithCredentials,
		Because: `HTTP-redirect fetch: the redirect's location "http://***@{host}/end" has a user name or password`,
		Changes: []string{"actual"}},
	{Name: "a redirect in circles", Request: get(), Actual: answer(302, acao+"*", "Location: {here}/again"),
		Blocked: "too-many-redirects",
		Because: "HTTP-redirect fetch: a browser follows 20 redirects, and this is one more",
		Changes: []string{"actual"}, Advice: []string{"redirected"}},

	{Name: "any origin with credentials", Request: include(get()), Actual: answer(200, echo, creds, vary),
		Advice: []string{"any-origin-with-credentials"}},
	{Name: "any origin by its name", Request: get(), Actual: answer(200, echo, vary), Advice: []string{"any-origin"}},
	{Name: "no Vary", Request: get(), Actual: answer(200, echo, "Cache-Control: max-age=60"),
		Advice: []string{"any-origin", "no-vary-origin"}},
	{Name: "the same origin for all needs no Vary", Request: get(), Actual: answer(200, page)},
	{Name: "exposes cookies", Request: get(), Actual: answer(200, acao+"*", aceh+"Set-Cookie, X-A"),
		Advice: []string{"exposes-set-cookie"}},
	{Name: "exposes no list", Request: get(), Actual: answer(200, acao+"*", aceh+"X-A X-B"),
		Advice: []string{"expose-headers-list"}},
	{Name: "exposes a star with credentials", Request: include(get()), Actual: answer(200, page, creds, vary, aceh+"*"),
		Advice: []string{"wildcard-is-a-name"}},
	{Name: "max-age with a unit", Request: request("PUT"),
		Preflight: answer(204, acao+"*", acam+"PUT", "Access-Control-Max-Age: 10m"), Actual: answer(200, acao+"*"),
		Advice: []string{"max-age-value"}},
	{Name: "max-age of a month", Request: request("PUT"),
		Preflight: answer(204, acao+"*", acam+"PUT", "Access-Control-Max-Age: 2592000"), Actual: answer(200, acao+"*"),
		Advice: []string{"max-age-long"}},
	{Name: "no max-age", Request: request("PUT"), Preflight: answer(200, acao+"*", acam+"PUT"),
		Actual: answer(200, acao+"*"), Advice: []string{"no-max-age"}},
	{Name: "max-age from two layers", Request: request("PUT"), Preflight: answer(200, acao+"*", acam+"PUT", acma, acma),
		Actual: answer(200, acao+"*"), Advice: []string{"doubled-header"}},
	{Name: "another method in lower case", Request: request("PUT"), Preflight: answer(200, acao+"*", acam+"PUT, patch", acma),
		Actual: answer(200, acao+"*"), Advice: []string{"method-case"}},
	{Name: "star with pointless credentials", Request: get(), Actual: answer(200, acao+"*", creds),
		Advice: []string{"wildcard-with-credentials"}},
	{Name: "credentials false", Request: get(), Actual: answer(200, acao+"*", acac+"false"),
		Advice: []string{"allow-credentials-value"}},
	{Name: "star for headers", Request: get("X-Key: secret"), Preflight: answer(204, acao+"*", acah+"*", acma),
		Actual: answer(200, acao+"*"), Advice: []string{"authorization-not-covered"}},
	{Name: "an error with CORS headers", Request: get(), Actual: answer(404, acao+"*"), Advice: []string{"error-status"}},
}

// A Server makes all mistakes, the n-th at /n.
type Server struct {
	// Page is the page's origin, Elsewhere the URL of another server like this one, and Here
	// this one's, both without a slash.
	Page, Here, Elsewhere string
	// Seen, if there is one, is told each request, and of which mistake.
	Seen func(n int, r *http.Request)
}

// Expand puts into a text what its names stand for, for the n-th mistake.
func (s *Server) Expand(n int, text string) string {
	_, host, _ := strings.Cut(s.Page, "://")
	path := "/" + strconv.Itoa(n)
	return strings.NewReplacer("{page}", s.Page, "{host}", host, "{here}", s.Here+path,
		"{elsewhere}", s.Elsewhere+path).Replace(text)
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	number, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	n, err := strconv.Atoi(number)
	if err != nil || n >= len(All) {
		w.Header().Set("Content-Type", "text/html")
		return
	}
	if s.Seen != nil {
		s.Seen(n, r)
	}
	m := All[n]
	a := m.Actual
	switch {
	case rest == "end":
		a = m.End
	case r.Method == http.MethodOptions:
		a = m.Preflight
	}
	for _, line := range a.Lines {
		line = strings.ReplaceAll(s.Expand(n, line), "{origin}", r.Header.Get("Origin"))
		name, value, _ := strings.Cut(line, ": ")
		w.Header().Add(name, value)
	}
	w.WriteHeader(max(a.Status, 200))
}
