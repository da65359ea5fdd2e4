package probe

import (
	"context"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// A Prober asks servers.
type Prober struct {
	// Timeout bounds a question with all its requests. Connecting and the TLS handshake have
	// half of it each.
	Timeout time.Duration
	// Insecure accepts every certificate, as no browser does. What is wrong with it is advice then.
	Insecure bool
	// UserAgent is the User-Agent of the requests, unless the page sets one.
	UserAgent string
	// OtherOrigins also asks from origins that nobody should allow, see [Prober.Probe].
	OtherOrigins bool
	// Connect is the host and port to connect to instead of those of the question's URL; "" for
	// these. It is how to ask a server that DNS doesn't lead to yet.
	Connect string
	// Progress, if there is one, is told what a request waits for that takes long.
	Progress func(words string)
	// Roots are the authorities that are trusted; nil are the system's.
	Roots *x509.CertPool
}

// A Question is a request of a page.
type Question struct {
	// The request. Its URL, method and headers are such as package capture accepts.
	browser.Request
	// Cookie is what the browser would send as the Cookie of the URL's host. It sends none
	// unless CredentialsInclude is set, and never with a preflight.
	Cookie string
	// Send sends the actual request although it isn't safe.
	Send bool
}

// A Verdict is what comes of a question. The values are for machines, and stay.
type Verdict string

// The verdicts.
const (
	// Allowed means that the page gets the answer.
	Allowed Verdict = "allowed"
	// PreflightAllowed means that the browser would make the actual request, which wasn't sent here.
	PreflightAllowed Verdict = "preflight-allowed"
	// BlockedByBrowser means that the page gets a network error instead of the answer.
	BlockedByBrowser Verdict = "blocked"
	// Answered means that nobody judges the answer, because no page asked. Only comparisons have it.
	Answered Verdict = "answered"
	// Unknown means that there is no answer, or that nothing was asked.
	Unknown Verdict = "unknown"
)

// An Exchange is a request that was sent, and what came of it: an Answer or a Failure.
type Exchange struct {
	Method string
	// URL and Lines are the request's, without secrets. The lines are those that CORS is about
	// and that the page sets; a browser adds others.
	URL     string
	Origin  string
	Lines   [][2]string
	Answer  *Answer
	Failure *Failure
}

// response is the answer as package browser judges it.
func (e *Exchange) response() *browser.Response {
	if e == nil || e.Answer == nil {
		return nil
	}
	return &e.Answer.Response
}

// A Hop is what a browser does at one URL. A redirect leads to the next.
type Hop struct {
	// Request is the request as it is made to this URL, without secrets. Its origin is null
	// once it has gone from one foreign origin to another.
	Request browser.Request
	// Preflight is nil if the browser makes none.
	Preflight *Exchange
	// Actual is nil if the browser never makes it, or it wasn't sent.
	Actual *Exchange

	request browser.Request // as it is sent
}

// A Report is what came of a question.
type Report struct {
	// Request is the question's, without secrets.
	Request browser.Request
	Verdict Verdict
	Hops    []*Hop
	// Blocked is why a browser blocks it, nil if it doesn't.
	Blocked *Blocked
	// NotSent is why the actual request wasn't sent, though a browser would; or "".
	NotSent string
	// Others are the questions from other origins.
	Others []*Stranger
	// Changes are what the server's answers should say instead, so that the page gets the answer.
	Changes []Change
	// Advice is what doesn't change the verdict.
	Advice []Advice

	question  Question
	connected bool // to another address than the URL's
}

// Last is where the question ended, nil if nothing was sent.
func (r *Report) Last() *Hop {
	if len(r.Hops) == 0 {
		return nil
	}
	return r.Hops[len(r.Hops)-1]
}

// Failure is why there is no answer, nil if there is one.
func (r *Report) Failure() *Failure {
	for _, hop := range r.Hops {
		for _, e := range []*Exchange{hop.Preflight, hop.Actual} {
			if e != nil && e.Failure != nil {
				return e.Failure
			}
		}
	}
	return nil
}

// Probe asks as a browser would: the preflight, if the browser makes one, then the actual
// request if it is safe or the question says to send it, and the same at each URL that it is
// redirected to.
//
// Where the server allows the origin by name, one more question tells whether it allows
// whatever origin asks; with OtherOrigins more of them try what servers mistake for the
// origin. They ask for the preflight, or else for what was safe to ask for already.
func (p *Prober) Probe(ctx context.Context, q Question) *Report {
	c := newClient(p, q.URL)
	defer c.close()
	r := p.walk(ctx, c, q)
	if r.Blocked != nil {
		r.Changes = changes(r)
	}
	p.askOthers(ctx, c, r)
	r.Advice = advise(r)
	return r
}

// walk asks a question, and judges the answers.
func (p *Prober) walk(ctx context.Context, c *client, q Question) *Report {
	limited, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	w := &walk{client: c, report: &Report{
		Request: shown(q.Request), Verdict: Unknown, question: q, connected: p.Connect != "",
	}}
	w.run(limited)
	if w.report.Blocked != nil {
		w.report.Verdict = BlockedByBrowser
	}
	return w.report
}

// A walk is a question on its way.
type walk struct {
	client   *client
	report   *Report
	urls     []string
	tainting bool // The response tainting is "cors".
}

func (w *walk) run(ctx context.Context) {
	q := w.report.question
	req := q.Request
	req.Method = browser.NormalizeMethod(req.Method)
	page := req.Origin
	for redirects := 0; ; redirects++ {
		if w.report.Blocked = notMade(page, req); w.report.Blocked != nil {
			return
		}
		hop := &Hop{Request: shown(req), request: req}
		w.report.Hops, w.urls = append(w.report.Hops, hop), append(w.urls, req.URL)
		if !w.ask(ctx, hop) {
			return
		}
		next, blocked := w.redirect(hop, redirects)
		if blocked != nil {
			w.report.Blocked = blocked
			return
		}
		if next == nil {
			w.report.Verdict = Allowed
			return
		}
		req = *next
	}
}

// ask makes the requests of one URL, and reports whether the actual one was answered and
// isn't blocked.
func (w *walk) ask(ctx context.Context, hop *Hop) bool {
	req, r := hop.request, w.report
	from := sender{r.question.Origin, w.urls}
	if lines := req.Preflight(); lines != nil {
		hop.Preflight = w.client.exchange(ctx, "OPTIONS", from, req, lines)
		if hop.Preflight.Failure != nil {
			return false
		}
		r.Blocked = judged(from.page, hop.Request, browser.Verdict(req, hop.Preflight.response(), nil))
		if r.Blocked != nil {
			return false
		}
	}
	if r.NotSent = notSent(r.question, req); r.NotSent != "" {
		if hop.Preflight != nil {
			r.Verdict = PreflightAllowed
		}
		return false
	}
	lines := req.Actual()
	if cookie := r.question.cookieFor(req.URL); cookie != "" {
		lines = append(lines, [2]string{"Cookie", cookie})
	}
	hop.Actual = w.client.exchange(ctx, req.Method, from, req, lines)
	if hop.Actual.Failure != nil {
		return false
	}
	r.Blocked = judged(from.page, hop.Request, browser.Verdict(req, hop.Preflight.response(), hop.Actual.response()))
	return r.Blocked == nil
}

// cookieFor is the Cookie of a request to a URL, which a redirect may have led to: a host's are
// those of all its ports, and may be for https alone.
func (q Question) cookieFor(rawURL string) string {
	if !q.CredentialsInclude || hostOf(rawURL) != hostOf(q.URL) || isHTTPS(q.URL) && !isHTTPS(rawURL) {
		return ""
	}
	return q.Cookie
}

// exchange makes one of a request's two requests.
func (c *client) exchange(
	ctx context.Context, method string, from sender, req browser.Request, lines [][2]string,
) *Exchange {
	e := &Exchange{Method: method, Origin: req.Origin}
	e.URL, e.Lines = shownURL(req.URL), shownRequest(lines)
	e.Answer, e.Failure = c.ask(ctx, method, from, lines)
	return e
}

// safe are the methods that change nothing.
//
// See https://www.iana.org/assignments/http-methods.
var safe = []string{"GET", "HEAD", "OPTIONS", "PROPFIND", "QUERY", "REPORT", "SEARCH"}

// overrides are headers by which some servers take another method than the request's.
var overrides = []string{"x-http-method", "x-http-method-override", "x-method-override"}

// notSent is why a request that a browser would make isn't sent.
func notSent(q Question, req browser.Request) string {
	if q.Send {
		return ""
	}
	if !slices.Contains(safe, req.Method) {
		return req.Method + " may change something, and isn't sent; --send sends it"
	}
	for _, h := range req.Headers {
		if slices.Contains(overrides, strings.ToLower(h[0])) {
			return "with " + h[0] + " the request may change something, and isn't sent; --send sends it"
		}
	}
	return ""
}
