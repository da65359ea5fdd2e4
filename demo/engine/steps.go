package engine

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// A Step is one of those that a browser goes, as the Fetch standard has them, or that the
// filter goes between them.
type Step struct {
	// ID is the step's name for code, of which a walk has each once.
	ID string `json:"id"`
	// Title is what is asked, and Text what comes of it, in whole sentences.
	Title string `json:"title"`
	Text  string `json:"text"`
	// Section is where the standard has it; "" if it isn't the standard's.
	Section string `json:"section"`
	// Result is yes or no where something is asked, pass or fail where something is checked,
	// and otherwise info.
	Result string `json:"result"`
}

const (
	yes  = "yes"
	no   = "no"
	pass = "pass"
	fail = "fail"
	info = "info"
)

// fetch is where the standard is.
const fetch = "https://fetch.spec.whatwg.org/#"

func (w *walker) step(id, title, section, result, format string, args ...any) {
	if section != "" {
		section = fetch + section
	}
	w.out.Steps = append(w.out.Steps, Step{id, title, fmt.Sprintf(format, args...), section, result})
}

// answered is the result of what is asked.
func answered(b bool) string {
	if b {
		return yes
	}
	return no
}

// steps are all steps of the walk.
func (w *walker) steps() {
	r := w.said.Request
	if !w.made() {
		return
	}
	w.scriptSets()
	if r.CORS() {
		w.needsPreflight()
	}
	w.policySteps()
	if w.said.Preflight != nil {
		w.preflightSteps()
	}
	if w.said.Actual != nil {
		w.actualSteps()
	}
	w.readable()
}

// made has the steps up to whether the request is made at all, and reports whether it is.
func (w *walker) made() bool {
	r, b := w.said.Request, w.said.Blocked
	method := "The method is " + r.Method + "."
	if given := w.asked.Method; given != r.Method {
		method = fmt.Sprintf("The browser writes the method %s as %s, as it does with those of HTML forms and a few others.",
			given, r.Method)
	} else if upper := strings.ToUpper(r.Method); upper != r.Method {
		method = fmt.Sprintf("The method is %s, which is another one than %s: methods compare by case.", r.Method, upper)
	}
	if b != nil && b.Reason == browser.ForbiddenMethodName {
		w.step("request", "Can a script make the request?", "forbidden-method", fail,
			"No: the method %s is forbidden to scripts, and fetch() throws an exception.", r.Method)
		return false
	}
	w.step("request", "Can a script make the request?", "dom-request", pass, "Yes. %s", method)
	for i, h := range w.out.Dropped {
		w.step("dropped-"+strconv.Itoa(i+1), "Can a script set "+h[0]+"?", "forbidden-request-header", no,
			"The header %s is a forbidden request-header: the browser leaves it out without a word, or sends its own.", h[0])
	}
	origin, _ := browser.SerializeOrigin(r.URL) // the URL is checked
	if !r.CORS() {
		w.step("cross-origin", "Is it cross-origin?", "main-fetch", no,
			"No: the page and the URL have the same origin, %s, so CORS has no say.", origin)
		return true
	}
	w.step("cross-origin", "Is it cross-origin?", "main-fetch", yes,
		"Yes: the page is of %s and the URL of %s, which differ in %s. So the browser checks the answer.",
		r.Origin, origin, difference(r.Origin, origin))
	return true
}

// difference says in what two origins differ.
func difference(a, b string) string {
	if a == "null" {
		return "everything, as null equals no origin"
	}
	schemeA, restA, _ := strings.Cut(a, "://")
	schemeB, restB, _ := strings.Cut(b, "://")
	hostA, portA := cutPort(restA)
	hostB, portB := cutPort(restB)
	var parts []string
	for _, p := range []struct {
		name string
		same bool
	}{{"scheme", schemeA == schemeB}, {"host", hostA == hostB}, {"port", portA == portB}} {
		if !p.same {
			parts = append(parts, p.name)
		}
	}
	return strings.Join(parts, " and ")
}

func cutPort(authority string) (host, port string) {
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		return authority[:i], authority[i+1:]
	}
	return authority, ""
}

// scriptSets has the steps about what the script sets: the method and each header.
func (w *walker) scriptSets() {
	r := w.said.Request
	if !r.CORS() {
		return
	}
	safelisted := browser.SafelistedMethod(r.Method)
	text := "Yes: " + r.Method + " is one of GET, HEAD and POST, which a page could always send."
	if !safelisted {
		text = "No: " + r.Method + " is not GET, HEAD or POST."
	}
	w.step("method", "Is "+r.Method+" a CORS-safelisted method?", "cors-safelisted-method",
		answered(safelisted), "%s", text)
	headers := w.out.Request.Headers
	for i, h := range headers {
		alone := browser.Request{Origin: r.Origin, URL: r.URL, Method: "GET", Headers: [][2]string{h}}
		text, reasons := "Yes: it may be sent with this value without asking.", alone.PreflightReasons()
		if len(reasons) > 0 {
			text = "No: " + reasons[0] + "."
		}
		w.step("header-"+strconv.Itoa(i+1), "Is "+h[0]+" a CORS-safelisted request-header?",
			"cors-safelisted-request-header", answered(len(reasons) == 0), "%s", text)
	}
	for i, name := range r.UnsafeNames {
		w.step("header-"+strconv.Itoa(len(headers)+i+1), "Is "+name+" a CORS-safelisted request-header?",
			"cors-safelisted-request-header", no, "No: the recorded preflight asks for %s.", name)
	}
}

// needsPreflight has the steps about whether there is a preflight.
func (w *walker) needsPreflight() {
	r := w.said.Request
	reasons := r.PreflightReasons()
	if len(reasons) == 0 {
		w.step("preflight", "Does the browser ask first?", "main-fetch", no,
			"No: method and headers are such as any page may send, so there is no preflight.")
		return
	}
	w.step("preflight", "Does the browser ask first?", "main-fetch", yes,
		"Yes, with a preflight, because %s.", strings.Join(reasons, "; and because "))
	if r.PreflightCached {
		w.step("cache", "Does it remember an answer?", "cors-preflight-cache", yes,
			"Yes: an earlier answer for this origin and URL covers the method and the headers, so it doesn't ask again.")
		return
	}
	w.step("cache", "Does it remember an answer?", "cors-preflight-cache", no,
		"No: nothing that it remembers for this origin and URL covers this request.")
}

// policySteps has which policy applies, and what is looked up.
func (w *walker) policySteps() {
	const title = "Which policy applies?"
	switch w.out.Mode {
	case "bypassed":
		w.step("policy", title, "", info, "The filter is not there: what the upstream answers counts.")
		return
	case "waiting":
		w.step("policy", title, "", info, "None: %s.", cors.NotArrived)
		return
	case "none":
		w.step("policy", title, "", info, "None, so the filter changes nothing: what the upstream answers counts.")
		return
	}
	applied := w.said.Choices[0]
	name := "The configuration is one policy"
	if applied.Path != "" {
		name = "The policy " + applied.Name + " (" + applied.Path + ")"
	}
	text := name + ": " + applied.Why + "."
	switch w.out.Mode {
	case "off":
		text += " It is off: the filter changes nothing, and what the upstream answers counts."
	case "shadow":
		text += " It is in shadow mode: the filter decides and counts, but what the upstream answers counts."
	}
	w.step("policy", title, "", info, "%s", text)
	l := w.said.Lookup
	switch {
	case l == nil:
	case l.NotAsked != "":
		w.step("lookup", "Is the origin looked up?", "", no, "No: %s.", l.NotAsked)
	default:
		w.step("lookup", "Is the origin looked up?", "", yes,
			"Yes: allow_origins lacks it, and the cluster %s is asked for %s. The answer is taken to be: %s.",
			l.Cluster, l.Path, l.Result)
	}
}

// preflightSteps has the preflight, and the checks of its answer.
func (w *walker) preflightSteps() {
	const section = "cors-preflight-fetch"
	r, a := w.said.Request, w.out.Preflight.Answer
	w.step("preflight-request", "What does the preflight ask?", section, info,
		"It sends OPTIONS %s, with %s.", r.URL, lines(r.Preflight()))
	w.answerStep("preflight-answer", "What is answered to the preflight?", *a)
	blocked := w.said.Blocked
	if blocked != nil && !blocked.Preflight {
		blocked = nil
	}
	w.checks("preflight-", blocked, preflightChecks(r, a))
	if blocked == nil {
		text := fmt.Sprintf("The browser remembers the answer for %d seconds.", w.out.Preflight.MaxAge)
		if seconds := browser.MaxAge(a.Headers); seconds > browser.ChromiumMaxAge {
			text = fmt.Sprintf("The answer may be remembered for %d seconds; Chromium does for %d.",
				seconds, browser.ChromiumMaxAge)
		} else if seconds == 0 {
			text = "The browser doesn't remember the answer: it asks each time."
		}
		w.step("preflight-max-age", "For how long does the browser remember that?", section, info, "%s", text)
	}
}

// actualSteps has the actual request, and the checks of its answer.
func (w *walker) actualSteps() {
	r, actual := w.said.Request, w.out.Actual
	text := "It sends " + r.Method + " " + r.URL
	if headers := actual.Request.Headers; len(headers) > 0 {
		text += ", with " + lines(headers)
	}
	w.step("actual-request", "What does the browser send?", "append-a-request-origin-header", info, "%s.", text)
	w.answerStep("actual-answer", "What is answered to the request?", actual.Answer)
	if !r.CORS() {
		return
	}
	checks := corsChecks(r, "the answer", actual.Answer.Headers)
	checks = append(checks, check{"redirect", "Is it no redirect to a URL with a password?", "http-redirect-fetch", "",
		[]browser.BlockReason{browser.RedirectWithCredentials}})
	w.checks("", w.said.Blocked, checks)
}

// answerStep has who answers what, and why.
func (w *walker) answerStep(id, title string, a Answer) {
	what := strconv.Itoa(a.Status) + ", without CORS headers"
	if about := corsLines(a.Headers); len(about) > 0 {
		what = strconv.Itoa(a.Status) + ", with " + lines(about)
	}
	switch {
	case !a.Forwarded && a.Allowed:
		w.step(id, title, "", yes, "The filter allows it, and answers %s.", what)
		return
	case !a.Forwarded:
		w.step(id, title, "", no, "The filter rejects it, because %s. It answers %s.", a.Reason, what)
		return
	}
	text := "The upstream answers " + what + "."
	switch w.out.Mode {
	case "enforce", "waiting":
		because := "The filter forwards it to the upstream: " + a.Reason
		if a.Allowed {
			because = "The filter allows the origin, and forwards the request to the upstream"
		}
		text = because + ". After the filter the upstream's answer is " + what + "."
	case "shadow":
		text += " In force, the policy would say: " + a.Reason + "."
	}
	w.step(id, title, "", info, "%s", text)
}

// A check is one of those that a browser makes of an answer. It fails by one of its reasons.
type check struct {
	id, title, section string
	passed             string // what is said if it passes
	reasons            []browser.BlockReason
}

// checks has the checks up to the one that fails by the browser's verdict.
func (w *walker) checks(prefix string, blocked *browser.Blocked, list []check) {
	for _, c := range list {
		if blocked != nil && slices.Contains(c.reasons, blocked.Reason) {
			w.step(prefix+c.id, c.title, c.section, fail, "%s", failing(blocked))
			w.out.Steps[len(w.out.Steps)-1].Section = blocked.Section()
			return
		}
		if c.passed != "" {
			w.step(prefix+c.id, c.title, c.section, pass, "%s", c.passed)
		}
	}
}

// failing says in a sentence what an answer fails by.
func failing(b *browser.Blocked) string {
	words := strings.TrimPrefix(b.Error(), b.Step()+": ")
	if strings.HasPrefix(words, "no ") {
		return "There is " + words + "."
	}
	return "No: " + words + "."
}

// corsChecks are the steps of the CORS check of an answer
// (https://fetch.spec.whatwg.org/#concept-cors-check).
func corsChecks(r browser.Request, answer string, headers [][2]string) []check {
	const section = "concept-cors-check"
	allowed, _ := value(headers, "access-control-allow-origin")
	credentials, _ := value(headers, "access-control-allow-credentials")
	equals := "Yes: " + allowed + " is the page's origin."
	if allowed == "*" {
		equals = "Yes: * stands for every origin, as no credentials are sent."
	}
	list := []check{
		{"allow-origin", "Has " + answer + " an Access-Control-Allow-Origin?", section,
			"Yes: Access-Control-Allow-Origin: " + allowed + ".", []browser.BlockReason{browser.MissingAllowOrigin}},
		{"allow-origin-value", "Does " + answer + " name the origin?", section, equals, []browser.BlockReason{
			browser.WildcardWithCredentials, browser.MultipleAllowOrigins, browser.InvalidAllowOrigin,
			browser.AllowOriginMismatch,
		}},
	}
	c := check{"allow-credentials", "Does " + answer + " allow credentials?", section, "",
		[]browser.BlockReason{browser.AllowCredentialsNotTrue}}
	if r.CredentialsInclude {
		c.passed = "Yes: Access-Control-Allow-Credentials: " + credentials + "."
	}
	return append(list, c)
}

// preflightChecks are the steps of CORS-preflight fetch from 7 on
// (https://fetch.spec.whatwg.org/#cors-preflight-fetch).
func preflightChecks(r browser.Request, a *Answer) []check {
	const section = "cors-preflight-fetch"
	methods, hasMethods := value(a.Headers, "access-control-allow-methods")
	names, hasNames := value(a.Headers, "access-control-allow-headers")
	list := []check{{"redirect", "Does the preflight's answer come without a redirect?", section, "",
		[]browser.BlockReason{browser.PreflightRedirect}}}
	list = append(list, corsChecks(r, "the preflight's answer", a.Headers)...)
	list = append(list, check{"status", "Is its status ok?", section, fmt.Sprintf("Yes: %d is from 200 to 299.", a.Status),
		[]browser.BlockReason{browser.PreflightStatus}})
	if r.PrivateNetwork {
		list = append(list, check{"private-network", "Is the private network allowed?", section, "Yes.",
			[]browser.BlockReason{browser.PrivateNetworkNotAllowed}})
	}
	parsed := check{id: "lists", title: "Are its lists well-formed?", section: section,
		reasons: []browser.BlockReason{browser.InvalidAllowMethods, browser.InvalidAllowHeaders}}
	if hasMethods || hasNames {
		parsed.passed = "Yes: each of Access-Control-Allow-Methods and Access-Control-Allow-Headers that is there " +
			"is a list of tokens."
	}
	method := check{"method", "Is " + r.Method + " allowed?", section,
		"Yes: " + r.Method + " is in Access-Control-Allow-Methods: " + methods + ".",
		[]browser.BlockReason{browser.MethodNotAllowed}}
	if browser.SafelistedMethod(r.Method) {
		method.passed = "Yes: " + r.Method + " is allowed without being listed."
	} else if !hasMethods {
		method.passed = "Yes: without Access-Control-Allow-Methods the method that asked for the preflight is allowed."
	}
	list = append(list, parsed, method)
	if asked, ok := value(r.Preflight(), "access-control-request-headers"); ok {
		list = append(list, check{"headers", "Are the headers allowed?", section,
			"Yes: what the preflight asks for, " + asked + ", is in Access-Control-Allow-Headers: " + names + ".",
			[]browser.BlockReason{browser.AuthorizationNotListed, browser.HeaderNotAllowed}})
	}
	return list
}

// readable has what the script gets.
func (w *walker) readable() {
	r := w.said.Request
	const title = "What does the script get?"
	switch {
	case w.said.Blocked != nil && w.said.Actual == nil:
		w.step("verdict", title, "concept-network-error", info,
			"A network error, without a word of why. The request itself was never sent.")
	case w.said.Blocked != nil:
		w.step("verdict", title, "concept-network-error", info,
			"A network error, without a word of why, although the request was sent and answered.")
	case !r.CORS():
		w.step("verdict", title, "", info, "The answer, with all its headers.")
	case len(w.out.Exposed) == 0:
		w.step("verdict", title, "concept-filtered-response-cors", info,
			"The answer, with the CORS-safelisted response headers: Cache-Control, Content-Language, Content-Length, "+
				"Content-Type, Expires, Last-Modified and Pragma.")
	case slices.Contains(w.out.Exposed, "*"):
		w.step("verdict", title, "concept-filtered-response-cors", info,
			"The answer, with all its headers but Set-Cookie.")
	default:
		w.step("verdict", title, "concept-filtered-response-cors", info,
			"The answer, with the CORS-safelisted response headers and %s.", strings.Join(w.out.Exposed, ", "))
	}
}

// lines are header lines in a sentence.
func lines(headers [][2]string) string {
	list := make([]string, len(headers))
	for i, h := range headers {
		list[i] = h[0] + ": " + h[1]
	}
	return strings.Join(list, "; ")
}

// corsLines are the lines that are about CORS.
func corsLines(headers [][2]string) [][2]string {
	return slices.Collect(filter(headers, func(h [2]string) bool {
		return strings.HasPrefix(h[0], "access-control-") || h[0] == "x-cors-reason"
	}))
}

// value is a header's value, with several lines as a browser joins them.
func value(headers [][2]string, name string) (joined string, ok bool) {
	var list []string
	for _, h := range headers {
		if strings.EqualFold(h[0], name) {
			list = append(list, strings.TrimSpace(h[1]))
		}
	}
	return strings.Join(list, ", "), list != nil
}

// filter are the lines that are kept.
func filter(headers [][2]string, keep func([2]string) bool) iter.Seq[[2]string] {
	return func(yield func([2]string) bool) {
		for _, h := range headers {
			if keep(h) && !yield(h) {
				return
			}
		}
	}
}
