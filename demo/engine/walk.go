package engine

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/explain"
)

// Options are what is around the policies.
type Options struct {
	// Upstream is what answers behind the filter.
	Upstream Upstream `json:"upstream"`
	// Filter tells that the filter is there, which it is if nothing is said.
	Filter *bool `json:"filter"`
}

// An Upstream is what answers behind the filter. The zero value answers with 200, and without
// CORS headers.
type Upstream struct {
	Status  int         `json:"status"`
	Headers [][2]string `json:"headers"`
	// Preflights is the status of its answers to preflights, if that is another one, and
	// PreflightHeaders are their headers, if they are others.
	Preflights       int         `json:"preflights"`
	PreflightHeaders [][2]string `json:"preflight_headers"`
}

// A Walk is what a browser and the filter make of a request.
type Walk struct {
	// Error is why there is no walk: the request can't be made, or the filter doesn't accept
	// the configuration.
	Error string `json:"error,omitempty"`
	// Request is the request as the browser makes it, and Dropped are the headers that it
	// leaves out because no script can set them.
	Request Request     `json:"request"`
	Dropped [][2]string `json:"dropped"`
	Steps   []Step      `json:"steps"`
	// Policies are the one that applies first, and then the others.
	Policies []Policy `json:"policies"`
	// Mode is that of the policy that applies: enforce, shadow or off; none if no policy
	// applies, waiting if the policy source hasn't served any, and bypassed without the filter.
	Mode      string          `json:"mode"`
	Lookup    *explain.Lookup `json:"lookup"`
	Preflight *PreflightWalk  `json:"preflight"`
	Actual    *ActualWalk     `json:"actual"`
	// Exposed are the names of the answer's headers that the script can read beyond those
	// that are safelisted; ["*"] are all.
	Exposed []string `json:"exposed"`
	Verdict Verdict  `json:"verdict"`
	Changes []Change `json:"changes"`
	// Changed is the configuration with all the changes made; "" if there are none.
	Changed string   `json:"changed"`
	Notes   []string `json:"notes"`
	Shadow  *Shadow  `json:"shadow"`
}

// A Policy is one of the configuration's.
type Policy struct {
	explain.Choice
	// From is where it stands, in UTF-16 code units.
	From int `json:"from"`
}

// A PreflightWalk is a preflight, and what is answered to it.
type PreflightWalk struct {
	// Reasons are why there is one.
	Reasons []string `json:"reasons"`
	// Cached tells that the browser remembers the answer to an earlier one, and so makes none:
	// there is no request and no answer.
	Cached  bool         `json:"cached"`
	Request *RequestHead `json:"request"`
	Answer  *Answer      `json:"answer"`
	// MaxAge is for how many seconds Chromium remembers the answer; 0 if it doesn't.
	MaxAge int `json:"max_age"`
}

// An ActualWalk is the actual request, and what is answered to it.
type ActualWalk struct {
	Request RequestHead `json:"request"`
	Answer  Answer      `json:"answer"`
}

// A RequestHead is what a browser sends, as far as CORS is concerned.
type RequestHead struct {
	Method  string      `json:"method"`
	URL     string      `json:"url"`
	Headers [][2]string `json:"headers"`
}

// An Answer is what comes back.
type Answer struct {
	Status  int         `json:"status"`
	Headers [][2]string `json:"headers"`
	// Forwarded tells that the upstream answers.
	Forwarded bool `json:"forwarded"`
	// Details are Envoy's response_code_details.
	Details string `json:"details"`
	// Reason is what the policy makes of the request, in words; "" without a policy.
	Reason string `json:"reason"`
	// Logged is the reason as the access log has it; "" if the policy allows the request.
	Logged string `json:"logged"`
	// Allowed tells that the policy allows it.
	Allowed bool `json:"allowed"`
	// Outcome is as what the filter counts it; "" if it doesn't.
	Outcome string `json:"outcome"`
}

// A Verdict is whether the script gets the answer.
type Verdict struct {
	Readable bool `json:"readable"`
	// Because is why not, in words: the filter's, where it has some.
	Because string `json:"because"`
	// Reason is why not, for code. Section is where the standard has the step that fails,
	// Step what that is called, and StepID the one of the steps that it is.
	Reason   string   `json:"reason"`
	Section  string   `json:"section"`
	Step     string   `json:"step"`
	StepID   string   `json:"step_id"`
	Chromium Chromium `json:"chromium"`
	Firefox  Firefox  `json:"firefox"`
}

// Chromium is what Chromium does and says, which isn't always by the standard.
type Chromium struct {
	// Readable tells whether the script gets the answer.
	Readable bool `json:"readable"`
	// Differs is in what else Chromium may do otherwise than the standard, in a sentence; or "".
	Differs string `json:"differs,omitempty"`
	browser.ChromiumError
}

// Firefox is what Firefox does and says, which isn't always by the standard.
type Firefox struct {
	// Readable tells whether the script gets the answer.
	Readable bool `json:"readable"`
	// Differs is in what else Firefox may do otherwise than the standard, in a sentence; or "".
	Differs string `json:"differs,omitempty"`
	// Message is what it writes to its console about CORS; "" if nothing.
	Message string `json:"message,omitempty"`
}

// A Change is one of the edits that together allow the request.
type Change struct {
	Path     string   `json:"path"`
	Edit     string   `json:"edit"`
	Or       string   `json:"or"`
	Warnings []string `json:"warnings"`
	// Text is the configuration with this change made; "" if it can't be made.
	Text string `json:"text"`
	// From is where the field stands, or the policy if it lacks it, in UTF-16 code units.
	From int `json:"from"`
}

// WalkAll makes requests one after the other, as one browser that was just started does, and
// so remembers preflights from one to the next.
func WalkAll(text string, requests []Request, options Options) []Walk {
	bypassed := options.Filter != nil && !*options.Filter
	proxy := &explain.Proxy{Upstream: options.Upstream.explain(bypassed), Cache: &browser.PreflightCache{}}
	walks := make([]Walk, len(requests))
	for i, r := range requests {
		w := &walker{text: text, proxy: proxy, bypassed: bypassed}
		w.walk(r)
		walks[i] = w.out
	}
	return walks
}

// explain is the upstream as package explain has it, without Envoy or with it.
func (u Upstream) explain(bare bool) explain.Upstream {
	preflight := browser.Response{Status: cmp.Or(u.Preflights, u.Status), Headers: u.Headers}
	if u.PreflightHeaders != nil {
		preflight.Headers = u.PreflightHeaders
	}
	actual := browser.Response{Status: u.Status, Headers: u.Headers}
	return explain.Upstream{Actual: actual, Preflight: preflight, Bare: bare}
}

// A walker walks one request.
type walker struct {
	text     string
	asked    Request // as it was given
	proxy    *explain.Proxy
	bypassed bool
	at       units

	said *explain.Explanation
	out  Walk
}

func (w *walker) walk(r Request) {
	w.asked = r
	w.out = Walk{Request: r, Dropped: [][2]string{}, Steps: []Step{}, Policies: []Policy{}, Exposed: []string{},
		Changes: []Change{}, Notes: []string{}}
	if err := errors.Join(w.configure(), r.check()); err != nil {
		w.out.Error = err.Error()
		return
	}
	w.at = units{text: w.text}
	lookup, _ := explain.ParseLookupResult(r.Lookup) // which is checked
	w.said = w.proxy.Explain(r.browser(), r.Route, lookup)
	w.out.Dropped = append(w.out.Dropped, w.said.Request.Dropped()...)
	w.out.Request = w.sent(r)
	w.out.Lookup = w.said.Lookup
	w.out.Mode = w.mode()
	for _, c := range w.said.Choices {
		w.out.Policies = append(w.out.Policies, Policy{c, w.at.of(c.Offset)})
	}
	w.out.Preflight, w.out.Actual = w.preflight(), w.actual()
	w.out.Exposed = w.exposed()
	w.out.Notes = append(w.out.Notes, w.said.Hints...)
	w.steps()
	w.verdict()
	w.changes()
	w.out.Shadow = w.shadow()
}

// configure reads the configuration.
func (w *walker) configure() error {
	w.proxy.Policies, w.proxy.Waiting = nil, false
	if w.bypassed {
		return nil
	}
	document, policies, problems := config.ParsePolicies(w.text)
	if document == nil {
		return errors.New("the filter doesn't accept the configuration: " + config.Errors(problems)[0].Error())
	}
	w.proxy.Policies = policies
	w.proxy.Waiting = document.PolicySource != nil && len(policies) == 0
	return nil
}

// sent is the request as the browser makes it.
func (w *walker) sent(r Request) Request {
	sent := w.said.Request
	r.Origin, r.Method = sent.Origin, sent.Method
	settable := func(h [2]string) bool { return !browser.ForbiddenRequestHeader(h[0], h[1]) }
	r.Headers = append([][2]string{}, slices.Collect(filter(sent.Headers, settable))...)
	return r
}

func (w *walker) mode() string {
	switch p := w.said.Policy; {
	case w.bypassed:
		return "bypassed"
	case w.proxy.Waiting:
		return "waiting"
	case p == nil:
		return "none"
	case p.Off():
		return "off"
	case p.Shadow():
		return "shadow"
	}
	return "enforce"
}

func (w *walker) preflight() *PreflightWalk {
	r := w.said.Request
	p := &PreflightWalk{Reasons: r.PreflightReasons(), Cached: r.PreflightCached}
	if w.said.Preflight == nil && !p.Cached {
		return nil
	}
	if a := w.said.Preflight; a != nil {
		p.Request = &RequestHead{"OPTIONS", r.URL, r.Preflight()}
		answer := answerOf(a, w.said.PreflightDecision)
		p.Answer = &answer
		if w.said.Blocked == nil || !w.said.Blocked.Preflight {
			p.MaxAge = browser.CachedFor(a.Headers)
		}
	}
	return p
}

func (w *walker) actual() *ActualWalk {
	if w.said.Actual == nil {
		return nil
	}
	r := w.said.Request
	headers := append([][2]string{}, r.Actual()...)
	for _, name := range r.UnsafeNames {
		headers = append(headers, [2]string{name, "…"})
	}
	return &ActualWalk{RequestHead{r.Method, r.URL, headers}, answerOf(w.said.Actual, w.said.ActualDecision)}
}

// answerOf is an answer, and what the policy has decided, if there is one.
func answerOf(a *explain.Answer, d *cors.Decision) Answer {
	answer := Answer{Status: a.Status, Headers: append([][2]string{}, a.Headers...), Forwarded: a.Forwarded,
		Details: "via_upstream"}
	if d == nil {
		return answer
	}
	answer.Reason, answer.Allowed, answer.Outcome = d.Why(), d.Allowed(), counted(d)
	if !d.Allowed() {
		answer.Logged = string(d.AppendLogged(nil))
	}
	switch {
	case a.Forwarded:
	case d.Allowed():
		answer.Details = "cors:_preflight_allowed"
	default:
		answer.Details = strings.ReplaceAll("cors: "+d.Why(), " ", "_")
	}
	return answer
}

// counted is as what the filter counts a decision; "" if it doesn't.
func counted(d *cors.Decision) string {
	outcome := d.Outcome().String()
	if outcome != "" && d.Policy().Shadow() {
		return "shadow_" + outcome
	}
	return outcome
}

// exposed are the names of headers that the script can read beside the safelisted ones.
func (w *walker) exposed() []string {
	r := w.said.Request
	names := []string{}
	if w.said.Blocked != nil || w.said.Actual == nil || !r.CORS() {
		return names
	}
	headers := w.said.Actual.Headers
	for _, h := range headers {
		if h[0] != "access-control-expose-headers" {
			continue
		}
		for name := range strings.SplitSeq(h[1], ",") {
			name = strings.TrimSpace(name)
			if browser.Exposed(headers, name, r.CredentialsInclude) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

func (w *walker) verdict() {
	v, b := &w.out.Verdict, w.said.Blocked
	v.Readable = b == nil
	v.Chromium, v.Firefox = w.browsers()
	if v.Readable {
		return
	}
	v.Because, v.Reason, v.Section, v.Step = w.said.Because(), string(b.Reason), b.Section(), b.Step()
	for _, s := range w.out.Steps {
		if s.Result == fail {
			v.StepID = s.ID
		}
	}
}

func (w *walker) changes() {
	var all []*explain.Rewrite
	for _, c := range w.said.Changes {
		change := Change{Path: c.Path, Edit: c.Edit, Or: c.Or, Warnings: append([]string{}, c.Warnings...),
			From: w.at.of(c.Offset)}
		if c.Rewrite != nil {
			change.Text = rewritten(w.text, c.Rewrite)
			all = append(all, c.Rewrite)
		}
		w.out.Changes = append(w.out.Changes, change)
	}
	if all != nil {
		w.out.Changed = rewritten(w.text, all...)
	}
}
