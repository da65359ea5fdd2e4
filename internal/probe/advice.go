package probe

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// A Severity is how much an [Advice] matters.
type Severity string

// The severities.
const (
	Danger  Severity = "danger"  // Somebody can do harm with it.
	Warning Severity = "warning" // It goes wrong at some time, or with some browser.
	Note    Severity = "note"    // Good to know.
)

// An Advice is what to know beyond the verdict.
type Advice struct {
	// Kind is its name for machines, and stays.
	Kind     string   `json:"kind"`
	Severity Severity `json:"severity"`
	// Answer is the answer that it is about, as in [Change]; "" if it is about none.
	Answer string `json:"answer,omitempty"`
	What   string `json:"what"`
	Do     string `json:"do,omitempty"`
}

// An adviser looks at a report.
type adviser struct {
	*Report
	list []Advice
}

func (a *adviser) add(severity Severity, kind, in, what, do string) {
	a.list = append(a.list, Advice{kind, severity, in, what, do})
}

// advise is all that there is to say beyond the verdict, what matters most first.
func advise(r *Report) []Advice {
	a := &adviser{Report: r}
	a.strangers()
	a.network()
	a.redirected()
	hop := r.Last()
	if hop != nil && hop.request.CORS() {
		for in, e := range map[string]*Exchange{inPreflight: hop.Preflight, inActual: hop.Actual} {
			if e != nil && e.Answer != nil {
				a.doubled(in, e.Answer.Headers)
				a.credentials(in, e.Answer.Headers)
			}
		}
		if e := hop.Preflight; e != nil && e.Answer != nil {
			a.preflight(e.Answer.Headers)
		}
		if e := hop.Actual; e != nil && e.Answer != nil {
			a.exposed(e.Answer.Headers)
			a.vary(e.Answer.Headers)
			a.cookies(hop.request, e.Answer.Headers)
			a.status(hop.request, e.Answer.Status)
		}
	}
	order := []Severity{Danger, Warning, Note}
	slices.SortStableFunc(a.list, func(x, y Advice) int {
		if x.Severity != y.Severity {
			return slices.Index(order, x.Severity) - slices.Index(order, y.Severity)
		}
		return strings.Compare(x.Kind+x.Answer, y.Kind+y.Answer)
	})
	return a.list
}

// strangers is about who else is allowed.
func (a *adviser) strangers() {
	const do = "compare the Origin to a list of those that are allowed, whole and letter by letter"
	everyone := false
	for _, s := range a.Others {
		switch {
		case !s.Accepted, everyone && s.Origin != "null":
		case s.Origin == madeUp && s.WithCredentials:
			everyone = true
			what := "the server allows whatever origin asks, with credentials: every site can act as the visitor"
			if s.Method != "OPTIONS" {
				what += ", and read the answers"
			}
			a.add(Danger, "any-origin-with-credentials", "", what, do)
		case s.Origin == madeUp:
			everyone = true
			a.add(Warning, "any-origin", "", "the server allows whatever origin asks: it answers with the Origin that it gets",
				"if that is meant, write *, which says so and can be cached; otherwise "+do)
		case s.Origin == "null" && everyone:
		case s.WithCredentials:
			a.add(Danger, "other-origin-with-credentials", "", "the server allows "+s.Origin+" with credentials ("+s.What+
				"): whoever has that origin can act as the visitor", do)
		default:
			a.add(Warning, "other-origin", "", "the server allows "+s.Origin+" ("+s.What+")", do)
		}
	}
	if a.question.Origin == "null" && a.Verdict == Allowed && a.question.CredentialsInclude {
		a.add(Danger, "null-with-credentials", "", "the server allows the origin null, with credentials: "+
			"every site can have it, in a sandboxed frame", "don't allow null")
	}
}

// network is about who answered, and over what.
func (a *adviser) network() {
	for _, hop := range a.Hops {
		for _, e := range []*Exchange{hop.Preflight, hop.Actual} {
			if e == nil || e.Answer == nil {
				continue
			}
			if f := e.Answer.Untrusted; f != nil {
				do := strings.TrimSuffix(strings.TrimSuffix(f.Do, insecure), "; ")
				a.add(Warning, string(f.Kind), "", f.What+": a browser gets no answer at all ("+f.Chromium+")", do)
			}
			if isPrivate(e.Answer.Address) && !a.privatePage() && !a.connected {
				a.add(Note, "private-network", "", "the server's address "+e.Answer.Address.String()+" isn't public: "+
					"Chromium asks the visitor before a public page may reach it (Local Network Access)", "")
			}
			return
		}
	}
}

func isPrivate(addr netip.Addr) bool {
	return addr.IsValid() && (addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast())
}

// privatePage reports whether the page itself is in a private network, or may be.
func (a *adviser) privatePage() bool {
	origin := a.question.Origin
	addr, err := netip.ParseAddr(hostOf(origin))
	return trustworthy(origin) || err == nil && isPrivate(addr) || !strings.HasPrefix(origin, "http")
}

// redirected is about the way to the answer.
func (a *adviser) redirected() {
	if len(a.Hops) < 2 {
		return
	}
	first, last := a.Hops[0].request, a.Last().request
	do := "let the page ask for " + a.Last().Request.URL
	if last.Origin == "null" && first.Origin != "null" {
		a.add(Note, "origin-null", inActual, "the request was redirected from one foreign origin to another, "+
			"and so the browser sends Origin: null", do)
		return
	}
	a.add(Note, "redirected", inActual, "the request was redirected, and every answer on the way needs its CORS headers", do)
}

// doubled is about headers that two layers add. Where it changes the verdict, that says so.
func (a *adviser) doubled(in string, headers [][2]string) {
	for _, name := range []string{"access-control-allow-origin", "access-control-allow-credentials",
		"access-control-max-age"} {
		if n := len(values(headers, name)); n > 1 && !a.blockedBy(in, name) {
			a.add(Warning, "doubled-header", in, fmt.Sprintf("%s is there %d times", name, n),
				"let only one of application and proxies add it")
		}
	}
}

// blockedBy reports whether a header of an answer is why the request is blocked.
func (a *adviser) blockedBy(in, name string) bool {
	return a.Blocked != nil && a.Blocked.cors != nil && a.Blocked.Preflight == (in == inPreflight) &&
		strings.EqualFold(a.Blocked.cors.Header, name)
}

// credentials is about Access-Control-Allow-Credentials.
func (a *adviser) credentials(in string, headers [][2]string) {
	const name = "access-control-allow-credentials"
	v := value(headers, name)
	switch {
	case v == "" || a.blockedBy(in, name):
	case v != "true":
		a.add(Warning, "allow-credentials-value", in, name+" is "+quoted(v)+", and only true counts",
			"write true, or leave the header out")
	case value(headers, "access-control-allow-origin") == "*" && !a.question.CredentialsInclude:
		a.add(Warning, "wildcard-with-credentials", in,
			"access-control-allow-origin: * with access-control-allow-credentials: true works only without credentials",
			"leave allow-credentials out, or compare the Origin to a list and answer with it")
	}
}

// preflight is about what only counts in the answer to a preflight.
func (a *adviser) preflight(headers [][2]string) {
	credentials := value(headers, "access-control-allow-credentials") == "true"
	for _, name := range []string{"access-control-allow-methods", "access-control-allow-headers"} {
		if credentials && slices.Contains(list(headers, name), "*") && !a.blockedBy(inPreflight, name) {
			a.add(Warning, "wildcard-is-a-name", inPreflight, name+": * counts for nothing in requests with credentials, "+
				"which this server allows", "list the names")
		}
	}
	for _, method := range list(headers, "access-control-allow-methods") {
		upper := strings.ToUpper(method)
		if method != upper && method != "*" && !a.blockedBy(inPreflight, "access-control-allow-methods") {
			a.add(Warning, "method-case", inPreflight, "methods are compared letter by letter, and "+
				strconv.Quote(short(method))+" isn't "+upper, "write "+upper)
			break
		}
	}
	if !a.blockedBy(inPreflight, "access-control-allow-headers") && a.Verdict != BlockedByBrowser &&
		slices.Contains(list(headers, "access-control-allow-headers"), "*") && !credentials &&
		!slices.ContainsFunc(list(headers, "access-control-allow-headers"),
			func(name string) bool { return strings.EqualFold(name, "authorization") }) {
		a.add(Note, "authorization-not-covered", inPreflight, "access-control-allow-headers: * doesn't cover Authorization",
			"if pages send it, list it beside the *")
	}
	if a.Verdict != BlockedByBrowser {
		a.maxAge(headers)
	}
}

func (a *adviser) maxAge(headers [][2]string) {
	const name = "access-control-max-age"
	v := values(headers, name)
	switch {
	case len(v) == 0:
		a.add(Note, "no-max-age", inPreflight, "without access-control-max-age a browser asks again after 5 seconds",
			"write access-control-max-age: 7200, which is the most that Chromium keeps")
	case len(v) == 1 && (v[0] == "" || strings.Trim(v[0], "0123456789") != ""):
		a.add(Warning, "max-age-value", inPreflight, name+" is "+quoted(v[0])+", and only a number of seconds counts: "+
			"a browser asks again after 5 seconds", "write a number such as 7200")
	case len(v) == 1 && browser.MaxAge(headers) > 86400:
		a.add(Note, "max-age-long", inPreflight, name+" is "+quoted(v[0])+", but Chromium keeps the answer for 2 hours "+
			"and Firefox for 24", "")
	}
}

// exposed is about Access-Control-Expose-Headers.
func (a *adviser) exposed(headers [][2]string) {
	const name = "access-control-expose-headers"
	for _, exposed := range list(headers, name) {
		lower := strings.ToLower(exposed)
		switch {
		case lower == "set-cookie" || lower == "set-cookie2":
			a.add(Warning, "exposes-set-cookie", inActual, "no page can read "+exposed+", whatever "+name+" says", "leave it out")
		case exposed == "*" && a.question.CredentialsInclude:
			a.add(Warning, "wildcard-is-a-name", inActual, name+": * counts for nothing in requests with credentials",
				"list the names")
		case !httpguts.ValidHeaderFieldName(exposed):
			a.add(Warning, "expose-headers-list", inActual, name+" is no list of names, because of "+quoted(exposed)+
				": so it exposes nothing", "separate the names by commas")
			return
		}
	}
}

// vary is about caches, which must not hand one origin's answer to another.
func (a *adviser) vary(headers [][2]string) {
	allowed := value(headers, "access-control-allow-origin")
	has := func(name, element string) bool {
		return slices.ContainsFunc(list(headers, name), func(e string) bool { return strings.EqualFold(e, element) })
	}
	if allowed == "" || allowed == "*" || has("vary", "Origin") || has("vary", "*") || has("cache-control", "no-store") {
		return
	}
	for _, s := range a.Others {
		if s.Answer != nil && s.Method != "OPTIONS" && value(s.Answer.Headers, "access-control-allow-origin") == allowed {
			return // It is the same whoever asks.
		}
	}
	what := "Vary doesn't name Origin: if the answer depends on it, a cache may hand it to another one's page"
	severity := Note
	if value(headers, "cache-control") != "" || value(headers, "expires") != "" || value(headers, "age") != "" ||
		value(headers, "etag") != "" || value(headers, "last-modified") != "" {
		severity = Warning
		what += ", and this answer may be cached"
	}
	a.add(severity, "no-vary-origin", inActual, what, "add Vary: Origin, also to the answers for other origins and for none")
}

// cookies is about cookies that don't come back.
func (a *adviser) cookies(req browser.Request, headers [][2]string) {
	cookies := values(headers, "set-cookie")
	if len(cookies) == 0 || sameSite(req.Origin, req.URL) {
		return
	}
	if !req.CredentialsInclude {
		a.add(Note, "cookie-ignored", inActual, "the browser ignores the cookie that the answer sets, "+
			"because the page sends no credentials", "")
		return
	}
	for _, cookie := range cookies {
		lower := strings.ToLower(strings.ReplaceAll(cookie, " ", ""))
		if !strings.Contains(lower, ";samesite=none") || !strings.Contains(lower, ";secure") {
			a.add(Warning, "cookie-same-site", inActual, "the cookie of "+maskedCookie(cookie)+
				" isn't sent with requests from another site", "set it with SameSite=None; Secure")
			return
		}
	}
}

// status is about an answer that is an error, which the page gets all the same.
func (a *adviser) status(req browser.Request, status int) {
	if a.Verdict != Allowed || status < 400 {
		return
	}
	do := ""
	if (status == 401 || status == 403) && !slices.ContainsFunc(req.Headers,
		func(h [2]string) bool { return strings.EqualFold(h[0], "authorization") }) && a.question.Cookie == "" {
		do = "to ask as somebody, add -H 'Authorization: …' or, with --credentials, -H 'Cookie: …'"
	}
	a.add(Note, "error-status", inActual, fmt.Sprintf("the page gets the answer, and that is %d", status), do)
}
