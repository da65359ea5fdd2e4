package probe

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/capture"
)

// A Change is something that one of the server's answers should say instead.
type Change struct {
	// Answer is which one: "preflight", "actual" or "page" for what is up to the page.
	Answer string `json:"answer"`
	// Header is the header, "" if it isn't about one, and Write its value.
	Header string `json:"header,omitempty"`
	Write  string `json:"write,omitempty"`
	// Status is the status, 0 if it isn't about that.
	Status int `json:"status,omitempty"`
	// Why says what is wrong, and how it usually comes to be.
	Why string `json:"why"`
}

// The answers that changes and advice are about.
const (
	inPreflight = "preflight"
	inActual    = "actual"
	inPage      = "page"
)

// changes are what lets the page have the answer. Each is made, and the browser asked again,
// until it has nothing to say any more: so they are all that is needed.
func changes(r *Report) (list []Change) {
	b, hop := r.Blocked, r.Last()
	if list := aboutURL(b.Reason, hop != nil); list != nil {
		return list
	}
	if hop.request.Origin == "null" && r.question.Origin != "null" && b.cors.Header == "Access-Control-Allow-Origin" {
		return []Change{{Answer: inPage, Why: "ask for " + hop.Request.URL + " itself: by the redirect from one foreign origin " +
			"to another the page's origin became null, which a server shouldn't allow, because every site can have it"}}
	}
	m := &mending{req: hop.request}
	if b.Preflight {
		m.in, m.answer = inPreflight, copied(hop.Preflight.Answer)
		m.mend(func() *browser.Blocked { return browser.PreflightCheck(m.req, m.answer.Status, m.answer.Headers) })
		return m.list
	}
	m.in, m.answer = inActual, copied(hop.Actual.Answer)
	m.mend(func() *browser.Blocked {
		return browser.CORSCheck(m.req.Origin, m.req.CredentialsInclude, m.answer.Headers)
	})
	return m.list
}

func copied(a *Answer) browser.Response {
	return browser.Response{Status: a.Status, Headers: slices.Clone(a.Headers)}
}

// aboutURL is what to change where the URL or the method is at fault, which a redirect may have
// led to; nil if it is an answer's CORS headers.
func aboutURL(reason browser.BlockReason, redirected bool) []Change {
	change := func(in, why string) []Change { return []Change{{Answer: in, Why: why}} }
	switch reason {
	case MixedContent:
		if redirected {
			return change(inActual, "redirect to a URL of https; the server there has to speak TLS")
		}
		return change(inPage, "ask for the URL with https://; the server has to speak TLS")
	case BadPort:
		return change(inPage, "let the server listen on another port")
	case TooManyRedirects:
		return change(inActual, "redirect to where the answer is, and not in circles")
	case InvalidRedirect:
		return change(inActual, "write a URL into Location")
	case browser.RedirectWithCredentials:
		return change(inActual, "leave user name and password out of Location; no page may be sent to such a URL")
	case browser.ForbiddenMethodName:
		return change(inPage, "use another method; no server can allow this one")
	case browser.SchemeNotHTTP:
		return change(inActual, "redirect to a URL of https")
	}
	return nil
}

// A mending is an answer on the way to one that isn't blocked.
type mending struct {
	req    browser.Request
	in     string
	answer browser.Response
	list   []Change
}

// mend makes changes until check finds nothing.
func (m *mending) mend(check func() *browser.Blocked) {
	for range 10 { // Each reason is mended once, and there are fewer.
		b := check()
		if b == nil {
			return
		}
		m.one(b)
	}
}

// one makes the change for one reason.
func (m *mending) one(b *browser.Blocked) {
	switch b.Reason {
	case browser.PreflightRedirect:
		m.drop("location")
		m.status(redirectedPreflight(m.req.URL, b.Value))
	case browser.PreflightStatus:
		m.status(failedPreflight(m.answer.Status))
	case browser.MissingAllowOrigin:
		m.set(b.Header, m.req.Origin, m.missing()+m.cached())
	case browser.WildcardWithCredentials, browser.MultipleAllowOrigins, browser.InvalidAllowOrigin,
		browser.AllowOriginMismatch:
		m.set(b.Header, m.req.Origin, m.wrongOrigin(b))
	case browser.AllowCredentialsNotTrue:
		m.set(b.Header, "true", m.wrongCredentials(b))
	case browser.InvalidAllowMethods, browser.InvalidAllowHeaders:
		fields := strings.FieldsFunc(b.Value, func(r rune) bool { return strings.ContainsRune(" \t,;|\"'[]()", r) })
		fields = slices.DeleteFunc(fields, func(name string) bool { return !httpguts.ValidHeaderFieldName(name) })
		m.set(b.Header, strings.Join(fields, ", "), "it is a list of names, separated by commas, and nothing else")
	case browser.MethodNotAllowed:
		m.method(b)
	case browser.HeaderNotAllowed, browser.AuthorizationNotListed:
		m.headers(b)
	case browser.PrivateNetworkNotAllowed:
		m.set(b.Header, "true", "the browser asks for access to a private network")
	}
}

// set writes a header once, instead of all its lines.
func (m *mending) set(header, to, why string) {
	m.drop(strings.ToLower(header))
	m.answer.Headers = append(m.answer.Headers, [2]string{strings.ToLower(header), to})
	isIt := func(c Change) bool { return c.Header == header }
	if i := slices.IndexFunc(m.list, isIt); i >= 0 {
		m.list[i].Write = to
		m.list[i].Why += ", and " + why
		return
	}
	m.list = append(m.list, Change{Answer: m.in, Header: header, Write: to, Why: why})
}

func (m *mending) drop(name string) { m.answer.Headers = without(m.answer.Headers, name) }

func (m *mending) status(why string) {
	m.answer.Status = 204
	m.list = slices.Insert(m.list, 0, Change{Answer: m.in, Status: 204, Why: why}) // It is why headers are missing.
}

// redirectedPreflight says what to do about a preflight's redirect.
func redirectedPreflight(from, location string) string {
	why := "a preflight isn't redirected: answer it at this URL"
	target, _, err := resolve(from, location)
	if err != nil {
		return why
	}
	to, err := url.Parse(target)
	if err != nil {
		return why
	}
	at := capture.MaskURL(target)
	u, _ := url.Parse(from)
	switch {
	case u.Scheme == "http" && to.Scheme == "https" && u.Hostname() == to.Hostname():
		return why + ", or let the page ask for " + at + " from the beginning"
	case u.Host == to.Host && strings.TrimSuffix(u.Path, "/") == strings.TrimSuffix(to.Path, "/"):
		return why + ", or let the page ask for " + at + ": the two differ by a slash"
	case strings.Contains(strings.ToLower(to.Path), "login") || strings.Contains(strings.ToLower(to.Path), "auth"):
		return why + ", before anything asks for a login: a preflight never has cookies"
	}
	return why + ", or let the page ask for " + at
}

// failedPreflight says what to do about a preflight's status.
func failedPreflight(status int) string {
	switch {
	case status == 401 || status == 403 || status == 407:
		return fmt.Sprintf("the preflight is answered with %d: answer it before anything authenticates or authorizes, "+
			"for a browser sends no cookies and no Authorization with it", status)
	case status == 404:
		return "there is nothing at this URL for OPTIONS: see the path, and that routes take OPTIONS too"
	case status == 405 || status == 501:
		return "the server doesn't take OPTIONS at this URL: let it, or what stands in front of it, answer preflights"
	case status == 429:
		return "preflights are rate-limited: answer them before the limit"
	case status >= 500:
		return fmt.Sprintf("the server fails with %d: see its log; preflights need nothing of what is behind it", status)
	}
	return "only 200 to 299 lets the request be made"
}

// tooInActual is what is often forgotten once preflights are answered.
const tooInActual = "; the answer to the request itself needs it too"

// missing says how an answer may come to have no Access-Control-Allow-Origin.
func (m *mending) missing() string {
	switch status := m.answer.Status; {
	case m.in == inPreflight && status >= 200 && status <= 299:
		return "the server answers OPTIONS, but not as a preflight, or doesn't allow this origin" + tooInActual
	case m.in == inPreflight:
		return "the preflight isn't answered as one, or this origin isn't allowed" + tooInActual
	case isRedirect(status):
		return "a redirect needs it too, or the browser doesn't follow"
	case status >= 400:
		return fmt.Sprintf("errors need it too, or the page can't see this %d: "+
			"they are often made by another layer than the one that adds it", status)
	}
	return "the server doesn't know of CORS here, or doesn't allow this origin"
}

// cached says that a cache gave the answer, whose mistake it may be; "" if nothing tells.
func (m *mending) cached() string {
	age := value(m.answer.Headers, "age")
	if age == "" || strings.Trim(age, "0123456789") != "" {
		return ""
	}
	return "; it comes from a cache (age: " + short(age) + "), which may have kept what another origin was answered, " +
		"or a request without one: see that every answer has Vary: Origin, and empty the cache"
}

// wrongOrigin says what is wrong with an Access-Control-Allow-Origin, and how it may come to be.
func (m *mending) wrongOrigin(b *browser.Blocked) string {
	lines := values(m.answer.Headers, "access-control-allow-origin")
	switch v := b.Value; {
	case b.Reason == browser.WildcardWithCredentials:
		return "* doesn't count with credentials: compare the Origin to a list, and answer with it (and Vary: Origin)"
	case len(lines) > 1:
		return fmt.Sprintf("it is there %d times: two layers add it, such as the application and a proxy in front of it; "+
			"let one of them do so", len(lines))
	case b.Reason == browser.MultipleAllowOrigins:
		return "only one origin may stand there: compare the Origin to the list, and answer with it (and Vary: Origin)"
	default:
		return notEqual(v, m.req.Origin) + m.cached()
	}
}

// notEqual says how a value differs from the origin.
func notEqual(v, origin string) string {
	trimmed := strings.Trim(v, `"'`)
	_, host, _ := strings.Cut(origin, "://")
	switch {
	case v == "":
		return "it is there, but empty: see the variable that it is made from"
	case trimmed != v && trimmed == origin:
		return "it has quotes around it, and they count"
	case strings.TrimRight(v, "/") == origin:
		return "an origin has no slash at its end"
	case strings.EqualFold(v, origin):
		return "it is compared letter by letter, and browsers write origins in lower case"
	case originOf(v) == origin:
		return "a browser writes it without the scheme's own port, and without a path"
	case v == host:
		return "an origin begins with its scheme"
	case strings.Contains(v, "*"):
		return "a wildcard only counts alone: compare the Origin to the pattern, and answer with it (and Vary: Origin)"
	case strings.EqualFold(v, "null"):
		return "null is the origin of sandboxed pages and files alone"
	case strings.HasPrefix(v, "http://") && "https://"+strings.TrimPrefix(v, "http://") == origin,
		strings.HasPrefix(v, "https://") && "http://"+strings.TrimPrefix(v, "https://") == origin:
		return "http and https are different origins"
	case origin == "null":
		return "the page's origin is null; only null, which every site can have, or * lets it pass"
	}
	return "the server allows one origin, and not this one: compare the Origin to a list, and answer with it " +
		"(and Vary: Origin)"
}

// wrongCredentials says what is wrong with an Access-Control-Allow-Credentials.
func (m *mending) wrongCredentials(b *browser.Blocked) string {
	switch lines := values(m.answer.Headers, "access-control-allow-credentials"); {
	case b.Missing:
		return `the page's credentials mode is "include", which has to be allowed; or let the page leave that out`
	case len(lines) > 1:
		return fmt.Sprintf("it is there %d times: two layers add it; let one of them do so", len(lines))
	case strings.EqualFold(strings.Trim(b.Value, `"' `), "true"):
		return "it is compared letter by letter: true, in lower case and without quotes"
	}
	return "only true counts; or let the page leave its credentials out"
}

func (m *mending) method(b *browser.Blocked) {
	listed := list(m.answer.Headers, "access-control-allow-methods")
	why := "the page's method has to be in the list"
	if slices.Contains(listed, "*") {
		why = "* doesn't count with credentials: list the methods"
	}
	otherCase := func(method string) bool { return strings.EqualFold(method, b.Name) }
	if i := slices.IndexFunc(listed, otherCase); i >= 0 {
		why = "methods are compared letter by letter: " + listed[i] + " isn't " + b.Name
		if upper := strings.ToUpper(b.Name); b.Name != upper {
			why += "; or let the page write " + upper
		} else {
			listed = slices.DeleteFunc(listed, otherCase)
		}
	}
	for i, method := range listed {
		listed[i] = browser.NormalizeMethod(method)
	}
	m.set(b.Header, strings.Join(append(m.withoutStar(listed), b.Name), ", "), why)
}

// headers allows all headers that a preflight's answer lacks.
func (m *mending) headers(b *browser.Blocked) {
	listed := list(m.answer.Headers, "access-control-allow-headers")
	why := "the headers that the page sets have to be in the list"
	if slices.Contains(listed, "*") {
		why = "* doesn't count with credentials: list the headers"
		if b.Reason == browser.AuthorizationNotListed {
			why = "* doesn't cover Authorization: list it too; Chromium doesn't insist on it yet"
		}
	}
	m.set(b.Header, strings.Join(append(m.withoutStar(listed), b.Names...), ", "), why)
}

// withoutStar is a list without a *, which stands for nothing in requests with credentials.
func (m *mending) withoutStar(listed []string) []string {
	if !m.req.CredentialsInclude {
		return listed
	}
	return slices.DeleteFunc(listed, func(name string) bool { return name == "*" })
}
