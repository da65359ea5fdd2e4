package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/probe"
)

// probed prints what came of a question to a live server, in the order of explain.
func (p *printer) probed(r *probe.Report, notes []string) {
	p.section("Request")
	p.asked(r.Request)
	for _, note := range notes {
		p.line("%s", p.in(faint, note))
	}
	for i, hop := range r.Hops {
		if i > 0 {
			p.section("Redirect")
			p.line("%s %s", hop.Request.Method, hop.Request.URL)
			p.line("by a page of %s, and the browser sends Origin: %s", r.Request.Origin, hop.Request.Origin)
		}
		p.hop(r, hop)
	}
	if len(r.Others) > 0 {
		p.section("Others")
		for _, s := range r.Others {
			p.stranger(s)
		}
	}
	p.section("Verdict")
	p.judgement(r)
	if len(r.Changes) > 0 {
		p.section("Change")
		for _, c := range r.Changes {
			p.change(c)
		}
	}
	if len(r.Advice) > 0 {
		p.section("Advice")
		for _, a := range r.Advice {
			p.advice(a)
		}
	}
}

// hop prints the two requests that a browser makes at one URL.
func (p *printer) hop(r *probe.Report, hop *probe.Hop) {
	p.section("Preflight")
	switch {
	case hop.Preflight != nil:
		for _, reason := range hop.Request.PreflightReasons() {
			p.line("because %s", reason)
		}
		p.gap()
		p.exchange(hop.Preflight)
	case !hop.Request.CORS():
		p.line("none: the page and the URL have the same origin, so CORS has no say")
	default:
		p.line("none: the method and the headers are such as any page may send")
	}
	p.section("Actual")
	switch {
	case hop.Actual != nil:
		p.exchange(hop.Actual)
	case hop.Preflight != nil && hop.Preflight.Failure != nil, r.Blocked != nil && r.Blocked.Preflight:
		p.line("the browser never makes the request")
	default:
		p.line("%s", p.in(yellow, r.NotSent))
	}
}

// exchange prints a request and its answer.
func (p *printer) exchange(e *probe.Exchange) {
	p.line("%s", p.in(faint, e.Method+" "+e.URL))
	for _, h := range e.Lines {
		p.line("%s", p.in(faint, h[0]+": "+h[1]))
	}
	p.gap()
	if e.Failure != nil {
		p.line("%s", p.in(red, "no answer: "+e.Failure.What))
		return
	}
	a := e.Answer
	by := a.Protocol
	if a.TLS != "" {
		by += " with " + a.TLS
	}
	if a.Address.IsValid() {
		by += ", from " + a.Address.String()
	}
	headers := a.Shown()
	colon := ":"
	if len(headers) == 0 {
		colon = ", and nothing about CORS"
	}
	p.line("the server answers %d (%s)%s", a.Status, by, colon)
	for _, h := range headers {
		p.line("%s: %s", h[0], h[1])
	}
}

func (p *printer) stranger(s *probe.Stranger) {
	var result painted
	switch {
	case s.Failure != nil:
		result = p.in(yellow, "no answer: "+s.Failure.What)
	case s.WithCredentials:
		result = p.in(red, "allowed, with credentials")
	case s.Accepted:
		result = p.in(yellow, "allowed")
	default:
		result = p.in(green, "not allowed")
	}
	p.line("%s from %s (%s): %s", s.Method, s.Origin, s.What, result)
}

func (p *printer) judgement(r *probe.Report) {
	failure := r.Failure()
	switch {
	case failure != nil:
		p.line("%s", p.in(red, "no answer: "+failure.What))
		if failure.Do != "" {
			p.line("%s", failure.Do)
		}
		if failure.Chromium != "" {
			p.line("a browser says that the request failed; Chromium's console says net::%s", failure.Chromium)
		}
	case r.Blocked != nil:
		p.blocked(r.Blocked)
	case r.Verdict == probe.PreflightAllowed:
		p.line("%s", p.in(green, "allowed so far: the browser makes the request"))
		p.line("whether the page gets the answer to that isn't known without sending it")
	case r.Verdict == probe.Unknown:
		p.line("%s", p.in(yellow, "unknown: a browser sends the request without asking first, and here it isn't sent"))
	default:
		p.line("%s", p.in(green, "allowed: the page gets the answer"))
		if names := exposedNames(r); names != "" {
			p.line("it can read the CORS-safelisted response headers, and %s", names)
		}
	}
}

// exposedNames are the response headers that the server lets the page read.
func exposedNames(r *probe.Report) string {
	hop := r.Last()
	if hop == nil || hop.Actual == nil || !hop.Request.CORS() {
		return ""
	}
	var names []string
	for _, h := range hop.Actual.Answer.Headers {
		if browser.Exposed(hop.Actual.Answer.Headers, h[0], r.Request.CredentialsInclude) &&
			!browser.Exposed(nil, h[0], false) && !strings.HasPrefix(h[0], "access-control-") {
			names = append(names, h[0])
		}
	}
	return strings.Join(names, ", ")
}

func (p *printer) blocked(b *probe.Blocked) {
	p.line("%s", p.in(red, "blocked: "+b.Because))
	p.line("%s", p.in(faint, b.Section))
	if b.Chromium.Message != "" {
		p.gap()
		p.line("Chromium's console says:")
		p.line("  %s", b.Chromium.Message)
		if b.Chromium.Name != "" {
			p.line("and its network panel %s", b.Chromium.Name)
		}
	}
}

// answerNames are the answers that changes and advice are about, in words.
var answerNames = map[string]string{
	"preflight": "the preflight's answer", "actual": "the answer", "page": "the page",
}

func (p *printer) change(c probe.Change) {
	switch in := p.in(bold, answerNames[c.Answer]); {
	case c.Header != "":
		p.line("%s: %s", in, p.in(green, c.Header+": "+c.Write))
		p.line("  %s", c.Why)
	case c.Status != 0:
		p.line("%s: %s", in, p.in(green, fmt.Sprint("status ", c.Status)))
		p.line("  %s", c.Why)
	default:
		p.line("%s: %s", in, p.in(green, c.Why))
	}
}

func (p *printer) advice(a probe.Advice) {
	words := a.What
	if a.Do != "" {
		words += "; " + a.Do
	}
	colour := map[probe.Severity]string{probe.Danger: red, probe.Warning: yellow, probe.Note: faint}[a.Severity]
	p.line("%s %s", p.in(colour, string(a.Severity)+":"), words)
}

// columns are those of the table of a comparison.
const columns = "%-20s %-16s %-16s "

// compared prints what two servers answer to the same questions, as a table.
func (p *printer) compared(c *probe.Comparison, notes []string) {
	p.section("Servers")
	p.line("A  %s%s", c.URL, connectedTo(c.Connect))
	p.line("B  %s%s", c.URL2, connectedTo(c.Connect2))
	for _, note := range notes {
		p.line("%s", p.in(faint, note))
	}
	p.section("Questions")
	p.line("%s", p.in(bold, strings.TrimRight(fmt.Sprintf(columns, "question", "A", "B"), " ")))
	for _, row := range c.Rows {
		same, colour := "same", green
		if row.Differs() {
			same, colour = "differs", red
		}
		p.line("%s%s", fmt.Sprintf(columns, row.Name, inShort(row.A), inShort(row.B)), p.in(colour, same))
		p.reasons(row)
		if row.Differs() {
			continue // which has said enough
		}
		for _, d := range row.Differences {
			p.line("  %s", p.in(faint, fmt.Sprintf("%s, %s: %s | %s", answerNames[d.Answer], d.Header,
				orNone(d.A), orNone(d.B))))
		}
	}
	p.section("Verdict")
	server, failure := c.Failure()
	switch {
	case failure != nil:
		p.line("%s", p.in(red, fmt.Sprintf("no answer from %s: %s", server, failure.Error())))
	case c.Differs():
		p.line("%s", p.in(red, "they differ in what a page gets"))
	case slices.ContainsFunc(c.Rows, func(row *probe.Row) bool { return row.Differences != nil }):
		p.line("%s", p.in(yellow, "a browser lets a page have as much from both; in what the answers differ stands above"))
	default:
		p.line("%s", p.in(green, "a page gets the same from both, as far as it was asked"))
	}
}

func connectedTo(address string) string {
	if address == "" {
		return ""
	}
	return ", at " + address
}

// reasons prints why the sides of a row come to what they do.
func (p *printer) reasons(row *probe.Row) {
	if row.A.Because == row.B.Because && row.A.Because != "" {
		p.line("  %s", p.in(faint, "both: "+row.A.Because))
		return
	}
	for i, s := range []*probe.Side{row.A, row.B} {
		if s.Because != "" {
			p.line("  %s", p.in(yellow, "AB"[i:i+1]+": "+s.Because))
		}
	}
}

// inShort is a verdict for a column of a table.
func inShort(s *probe.Side) string {
	switch s.Verdict {
	case probe.PreflightAllowed:
		return "allowed so far"
	case probe.Unknown:
		return "not known"
	}
	return string(s.Verdict)
}

func orNone(s string) string {
	if s == "" {
		return "–"
	}
	return s
}
