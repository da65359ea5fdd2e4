package probe

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// A Comparison is what two servers answer to the same questions.
type Comparison struct {
	URL, URL2 string
	// Connect and Connect2 are where to connect to, if that isn't the URL's host.
	Connect, Connect2 string
	Rows              []*Row
}

// A Row is one question to both servers.
type Row struct {
	// Name is the question in a few words; it is for machines too, and stays.
	Name    string
	Request browser.Request // of the first server, without secrets
	// A and B are what came of it.
	A, B *Side
	// Differences are the headers and the status in which the answers differ.
	Differences []Difference
}

// A Side is what came of a question to one of the servers.
type Side struct {
	Verdict Verdict
	Reason  browser.BlockReason // "" if it isn't blocked
	// Because is why it is blocked, why there is no answer, or "".
	Because string

	preflight, actual *Answer
	failure           *Failure
}

// A Difference is something that two answers say differently.
type Difference struct {
	// Answer is the answer, as in [Change], and Header the header, or "status".
	Answer string `json:"answer"`
	Header string `json:"header"`
	A      string `json:"a"`
	B      string `json:"b"`
}

// Differs reports whether a browser's verdict on the two isn't the same. Where nobody asks, as
// without an Origin, it is.
func (r *Row) Differs() bool { return r.A.Verdict != r.B.Verdict }

// Differs reports whether a browser lets a page have what one of the servers answers, and not
// what the other does.
func (c *Comparison) Differs() bool { return slices.ContainsFunc(c.Rows, (*Row).Differs) }

// Failure is why there is no answer of one of the servers, "A" or "B"; nil if both answered.
func (c *Comparison) Failure() (server string, f *Failure) {
	for _, row := range c.Rows {
		switch {
		case row.A.failure != nil:
			return "A", row.A.failure
		case row.B.failure != nil:
			return "B", row.B.failure
		}
	}
	return "", nil
}

// The names of the questions.
const (
	asGiven          = "as given"
	simple           = "simple"
	preflighted      = "with a preflight"
	withCredentials  = "with credentials"
	withoutThem      = "without credentials"
	anotherOrigin    = "another origin"
	nullOrigin       = "origin null"
	withoutAnyOrigin = "no origin"
)

// A named is a question with its name.
type named struct {
	name string
	Question
	noOrigin bool
}

// questions are those to compare servers with, made of one: as it is, without what needs a
// preflight, with it, with and without credentials, from other origins, and from none.
func questions(q Question) []named {
	list := []named{{name: asGiven, Question: q}}
	vary := func(name string, edit func(*Question)) {
		other := q
		other.Send = false // Once is enough.
		other.Headers = slices.Clone(q.Headers)
		edit(&other)
		list = append(list, named{name: name, Question: other})
	}
	if q.Preflight() != nil {
		vary(simple, func(o *Question) {
			o.Method, o.UnsafeNames, o.Cookie = "GET", nil, ""
			o.Headers = slices.DeleteFunc(o.Headers, func(h [2]string) bool {
				return !browser.SafelistedRequestHeader(h[0], h[1])
			})
		})
	} else {
		vary(preflighted, func(o *Question) { o.Method = "PUT" })
	}
	if q.CredentialsInclude {
		vary(withoutThem, func(o *Question) { o.CredentialsInclude = false })
	} else {
		vary(withCredentials, func(o *Question) { o.CredentialsInclude = true })
	}
	vary(anotherOrigin, func(o *Question) { o.Origin = madeUp })
	if q.Origin != "null" {
		vary(nullOrigin, func(o *Question) { o.Origin = "null" })
	}
	list = append(list, named{name: withoutAnyOrigin, noOrigin: true, Question: Question{Request: browser.Request{
		Method: "GET", Headers: without(q.Headers, overrides...), Origin: q.Origin, URL: q.URL}}})
	return list
}

// Compare asks two servers the same: q, and what is made of it. The second has another URL,
// or is asked by another prober. Each question has a prober's timeout.
func Compare(ctx context.Context, p, p2 *Prober, q Question, url2 string) *Comparison {
	c := &Comparison{URL: shownURL(q.URL), URL2: shownURL(url2), Connect: p.Connect, Connect2: p2.Connect}
	for _, asked := range questions(q) {
		other := asked
		other.URL = url2
		second := make(chan *Side)
		go func() { second <- p2.side(ctx, other) }()
		row := &Row{Name: asked.name, Request: shown(asked.Request), A: p.side(ctx, asked), B: <-second}
		row.Differences = slices.Concat(differences(inPreflight, row.A.preflight, row.B.preflight),
			differences(inActual, row.A.actual, row.B.actual))
		c.Rows = append(c.Rows, row)
		if row.A.failure != nil || row.B.failure != nil {
			break // The others would take as long.
		}
	}
	return c
}

// side asks one of the servers.
func (p *Prober) side(ctx context.Context, q named) *Side {
	if q.noOrigin {
		return p.withoutOrigin(ctx, q)
	}
	c := newClient(p, q.URL)
	defer c.close()
	r := p.walk(ctx, c, q.Question)
	s := &Side{Verdict: r.Verdict, failure: r.Failure()}
	if hop := r.Last(); hop != nil {
		s.preflight, s.actual = answerOf(hop.Preflight), answerOf(hop.Actual)
	}
	switch {
	case r.Blocked != nil:
		s.Reason, s.Because = r.Blocked.Reason, r.Blocked.Because
	case s.failure != nil:
		s.Because = s.failure.What
	case s.Verdict == Unknown:
		s.Because = r.NotSent
	}
	return s
}

// withoutOrigin asks as what is no page does, whose answers caches keep for pages too.
func (p *Prober) withoutOrigin(ctx context.Context, q named) *Side {
	c := newClient(p, q.URL)
	defer c.close()
	limited, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	s := &Side{Verdict: Unknown}
	if s.actual, s.failure = c.ask(limited, q.Method, sender{urls: []string{q.URL}}, q.Headers); s.failure != nil {
		s.Because = s.failure.What
		return s
	}
	s.Verdict = Answered
	return s
}

func answerOf(e *Exchange) *Answer {
	if e == nil {
		return nil
	}
	return e.Answer
}

// differences are those between two answers, as far as CORS is concerned.
func differences(in string, a, b *Answer) (list []Difference) {
	if a == nil || b == nil {
		return nil
	}
	if in == inPreflight || a.Status/100 != b.Status/100 {
		list = appendDifference(list, in, "status", strconv.Itoa(a.Status), strconv.Itoa(b.Status))
	}
	names := []string{"vary"}
	for _, h := range slices.Concat(a.Headers, b.Headers) {
		if strings.HasPrefix(h[0], "access-control-") {
			names = append(names, h[0])
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if in == inPreflight && name == "vary" {
			continue // Caches don't keep answers to OPTIONS (RFC 9110, section 9.3.7).
		}
		list = appendDifference(list, in, name, compared(a.Headers, name), compared(b.Headers, name))
	}
	return list
}

func appendDifference(list []Difference, in, header, a, b string) []Difference {
	if a == b {
		return list
	}
	return append(list, Difference{in, header, short(a), short(b)})
}

// compared is a header's value, in which what doesn't matter is the same: the order of a
// list, and the case of names.
func compared(headers [][2]string, name string) string {
	elements := list(headers, name)
	switch name {
	case "access-control-allow-headers", "access-control-expose-headers", "vary":
		for i, e := range elements {
			elements[i] = strings.ToLower(e)
		}
	case "access-control-allow-methods":
	default:
		return value(headers, name)
	}
	if name == "vary" { // Others than Origin are not for CORS.
		elements = slices.DeleteFunc(elements, func(e string) bool { return e != "origin" && e != "*" })
	}
	slices.Sort(elements)
	return strings.Join(elements, ", ")
}
