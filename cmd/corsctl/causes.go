package main

import (
	"cmp"
	"fmt"
	"io"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/explain"
)

// byCause reports whether a HAR file is explained by cause. JSON was a list of requests before
// there were causes, and stays one unless it is asked for otherwise.
func (f *explainFlags) byCause() bool {
	if f.by.value == "" {
		return f.output.value != "json"
	}
	return f.by.value == "cause"
}

// printCauses prints why requests of a HAR file are blocked.
func (f *explainFlags) printCauses(w io.Writer, c *explain.Causes) error {
	if f.output.value == "json" {
		return printJSON(w, c)
	}
	p := &printer{w: w, painter: paint(w)}
	fmt.Fprintln(w, p.in(bold, f.summary(c)))
	p.some = true
	if len(c.Reports) == 1 {
		p.explanation(c.Reports[0])
		return nil
	}
	for i, cause := range c.List {
		p.cause(i+1, cause)
	}
	p.allowed(c)
	if len(c.List) > 1 {
		p.together(c)
	}
	return nil
}

// summary says how many requests are blocked, and for how many causes.
func (f *explainFlags) summary(c *explain.Causes) string {
	requests := plural(c.Recorded, "CORS request", "CORS requests")
	s := fmt.Sprintf("%d of %s failed", c.Failed, requests)
	asked, them := c.Failed, " of them"
	if f.all {
		s = fmt.Sprintf("%s, %d of which failed", requests, c.Failed)
		asked, them = c.Recorded, ""
	}
	if left := asked - len(c.Reports); left > 0 {
		s += fmt.Sprintf(", %d left out", left)
	}
	if c.Blocked == 0 {
		return s + "; the configuration blocks none" + them
	}
	return s + fmt.Sprintf("; the configuration blocks %d%s, for %s", c.Blocked, them, plural(len(c.List), "cause", "causes"))
}

// cause prints a cause, and what to change.
func (p *printer) cause(number int, c *explain.Cause) {
	first := c.Reports[0]
	p.section(fmt.Sprintf("Cause %d", number))
	p.line("%s", p.in(red, "blocked: "+c.Because))
	if c.Policy != nil {
		name := cmp.Or(c.Policy.Path, "the configuration")
		if c.Policy.Name != "" {
			name += " " + c.Policy.Name
		}
		p.line("%s applies (%s)", p.in(bold, name), first.Place(c.Policy.Offset))
	}
	p.examples(plural(len(c.Reports), "request", "requests"), c.Reports)
	p.section("Change")
	p.edits(first, c.Changes)
}

// examples prints the first of some requests.
func (p *printer) examples(what string, reports []*explain.Report) {
	const most = 3
	if len(reports) > most {
		what += ", such as"
	}
	p.line("%s:", what)
	for _, e := range reports[:min(len(reports), most)] {
		p.line("  %s: %s %s by a page of %s", e.Subject.From, e.Request.Method, urlOf(e.Request), e.Request.Origin)
	}
}

// allowed prints the requests that failed, and that the configuration allows.
func (p *printer) allowed(c *explain.Causes) {
	var list []*explain.Report
	for _, e := range c.Reports {
		if e.Blocked == nil && e.Subject.Failed {
			list = append(list, e)
		}
	}
	if list == nil {
		return
	}
	p.section("Allowed")
	p.examples(plural(len(list), "request", "requests")+" failed that the configuration allows", list)
	p.line("see that the proxy has this configuration, that the filter is the first in its chain, " +
		"and that requests reach that proxy")
}

// together prints what all changes come to.
func (p *printer) together(c *explain.Causes) {
	first := c.Reports[0]
	p.section("Together")
	p.line("with these changes the page gets the answer to %d of the %d blocked requests:", c.Allowed, c.Blocked)
	p.edits(first, c.Together)
	if c.Left != nil {
		p.examples(plural(len(c.Left), "request is", "requests are")+" blocked even so", c.Left)
	}
	if c.Lost != nil {
		p.examples(plural(len(c.Lost), "request is", "requests are")+" allowed now, and would be blocked", c.Lost)
	}
}
