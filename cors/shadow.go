package cors

import (
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/names"
)

// A Verdict compares what a page would get if a policy were in force with what it gets.
type Verdict uint8

const (
	// Same means that no page would notice.
	Same Verdict = iota
	// Looser means that the policy would let the page have what it can't have now.
	Looser
	// Stricter means that the page has what the policy would withhold.
	Stricter

	// Verdicts is how many there are.
	Verdicts
)

// String is the verdict's name in metrics.
func (v Verdict) String() string {
	return [...]string{Same: "same", Looser: "looser", Stricter: "stricter"}[v]
}

// A Shadow is a decision that is not carried out, kept to be compared with the answer
// that the page gets. It has nothing of the request's memory. The zero value is the same as
// every answer.
//
// What is compared is what a page can notice, by the checks that a browser makes of the
// one answer: the CORS check (https://fetch.spec.whatwg.org/#concept-cors-check), for a
// preflight the steps of the CORS-preflight fetch
// (https://fetch.spec.whatwg.org/#cors-preflight-fetch), and for an actual request, which of
// the answer's headers are exposed.
//
// The credentials mode is not on the wire. A browser sends a Cookie to another origin in
// the mode "include" only, so that a request with one is judged in that mode. Every other
// is judged with and without credentials, for a page may use either: it is a difference if
// one of the two differs. Authorization tells nothing, since scripts set it in any mode.
//
// Not compared is what changes nothing for the page:
//   - Access-Control-Max-Age: how often a browser asks is not what it lets the page have.
//   - Vary: caches need it, and no browser checks it.
//   - The status of a preflight's answer from 200 to 299, and lists that allow more than the
//     preflight asks for: another preflight asks for that, and is judged then.
//   - Exposed headers that the answer does not have, or of a redirect that a browser follows
//     itself. The CORS headers and Vary count as headers that it does not have.
//   - What a 304 lacks, since the browser has it in its cache; so a 304 without
//     Access-Control-Allow-Origin is the same, and no other has exposed headers.
//   - Requests that no browser makes: with a malformed Origin, method or list of headers, for
//     a forbidden method, or with more than [MaxRequestHeaders]. So what is kept is small.
//
// Access-Control-Allow-Private-Network counts where the preflight asks for it. Where a page
// forces a preflight, by listening to an upload, a browser takes a missing
// Access-Control-Allow-Methods for consent; as the preflight doesn't show that, it is judged
// as any other.
type Shadow struct {
	_              incomparable
	origin         string
	method         string
	headers        string // the requested ones, as one list
	exposed        string // by the policy
	why            string // the policy doesn't allow more
	ours           access
	preflight      bool
	privateNetwork bool
	cookie         bool
	keep           bool
	compared       bool
}

// access is how much of the answer a page gets.
type access uint8

const (
	noAccess access = iota
	withoutCredentials
	withCredentials
)

// maxOrigin is far above any origin that a browser sends.
const maxOrigin = 512

// Shadow keeps the decision on a request to be compared, whatever the policy's mode is.
func (d *Decision) Shadow(r *Request) Shadow {
	switch d.Reason {
	case NoOrigin, PolicyOff, OriginMalformed, MethodMalformed, MethodForbidden, HeadersMalformed, HeadersTooLong:
		return Shadow{}
	}
	if len(r.Origin) > maxOrigin {
		return Shadow{}
	}
	p := d.policy
	s := Shadow{
		origin: strings.Clone(r.Origin), preflight: d.Preflight, cookie: r.Cookie && !d.Preflight,
		keep: p.keep && (!d.Preflight || d.forwarded()), exposed: p.lists.ExposedHeaders.Value,
		ours: withCredentials, compared: true,
	}
	if d.Preflight {
		s.method, s.privateNetwork = strings.Clone(r.RequestMethod), r.PrivateNetwork
		s.headers = strings.Clone(strings.Join(r.RequestHeaders, ","))
	}
	switch {
	case !d.Allowed():
		s.ours, s.why = noAccess, string(d.AppendLogged(nil))
	case s.privateNetwork && !p.privateNetwork:
		s.ours, s.why = noAccess, "allow_private_network is not set"
	case !p.credentials && s.cookie:
		s.ours, s.why = noAccess, credentialsNotSet
	case !p.credentials:
		s.ours, s.why = withoutCredentials, credentialsNotSet
	}
	return s
}

const credentialsNotSet = "allow_credentials is not set"

// forwarded reports whether a preflight would be forwarded if the policy were in force.
func (d *Decision) forwarded() bool { return !d.Allowed() && d.policy.forward }

// An Answer is what a browser's checks depend on in the answer that a page gets. The zero
// value is an answer without headers.
type Answer struct {
	status   int
	location bool
	cors     []corsLine
	names    []string // of the other headers, in lower case
}

type corsLine struct {
	header int // index of [names.ResponseHeaders]
	value  string
}

// maxLines is for how many lines the room is kept.
const maxLines = 1000

// Reset makes it an answer without headers again, and lets go of the strings.
func (a *Answer) Reset() {
	if cap(a.cors)+cap(a.names) > maxLines {
		*a = Answer{}
	}
	clear(a.cors)
	clear(a.names)
	a.status, a.location, a.cors, a.names = 0, false, a.cors[:0], a.names[:0]
}

// Observe takes note of a header line. The name is in lower case, ":status" is the
// status; the strings are only kept for comparison, until [Shadow.Compare].
func (a *Answer) Observe(name, value string) {
	if i := responseHeader(name); i >= 0 {
		a.cors = append(a.cors, corsLine{i, trimOWS(value)})
		return
	}
	switch name {
	case ":status":
		a.status, _ = strconv.Atoi(value)
	case "location":
		a.location = a.location || value != ""
	}
	a.names = append(a.names, name)
}

// notExposed are what no list of exposed headers makes a difference to: what a page can
// read anyway (https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name), what it
// never can (https://fetch.spec.whatwg.org/#forbidden-response-header-name), and what is
// not compared.
var notExposed = []string{
	"cache-control", "content-language", "content-length", "content-type", "expires", "last-modified", "pragma",
	"set-cookie", "set-cookie2", ":status", "vary",
}

// get returns the value of a header's only line. Several are joined for a browser, and
// then no value that a check looks for; they are returned as "".
func (a *Answer) get(header int) (value string, lines int) {
	for _, line := range a.cors {
		if line.header == header {
			value = line.value
			lines++
		}
	}
	if lines > 1 {
		value = ""
	}
	return value, lines
}

// A lack is what an answer lacks to pass a check, in words around a name; the zero value
// is nothing, and every other says something after it.
type lack struct{ before, name, after string }

func (l lack) words() string { return l.before + shortenName(l.name) + l.after }

// shortenName makes a token short enough for a log line.
func shortenName(name string) string {
	if len(name) > maxMethod {
		return name[:maxMethod] + "..."
	}
	return name
}

// Compare compares the answer that the page would get with the one that it gets. For a
// difference it says what the lesser of the two lacks, in words as [Decision.AppendLogged]
// has them: the policy, by its fields, if it is stricter; the answer, by its headers, if the
// policy is looser. The work is linear in what it is given. If the policy is stricter in one thing and
// looser in another, such as two exposed headers, it is stricter, for what would break comes
// first.
func (s *Shadow) Compare(a *Answer) (v Verdict, why string) {
	value, origins := a.get(allowOrigin)
	if !s.compared || s.keep && origins > 0 || !s.preflight && a.status == 304 && origins == 0 {
		return Same, ""
	}
	theirs, lacks := s.theirs(a, value, origins)
	if theirs > s.ours {
		return Stricter, s.why
	}
	if !s.preflight && theirs != noAccess && a.status != 304 && (!a.location || !redirectStatus(a.status)) {
		v, why = s.compareExposed(a, theirs)
	}
	if theirs < s.ours && v != Stricter {
		return Looser, lacks.words()
	}
	return v, why
}

// theirs is how much of the answer the page gets, and what it lacks for more.
func (s *Shadow) theirs(a *Answer, allowed string, origins int) (access, lack) {
	included := s.check(a, allowed, origins, true)
	if included.after == "" {
		return withCredentials, lack{}
	}
	if s.cookie {
		return noAccess, included
	}
	if omitted := s.check(a, allowed, origins, false); omitted.after != "" {
		return noAccess, omitted
	}
	return withoutCredentials, included
}

// check is the CORS check, and for a preflight the rest of step 7 of the CORS-preflight
// fetch.
func (s *Shadow) check(a *Answer, allowed string, origins int, credentials bool) lack {
	switch {
	case origins == 0:
		return lack{after: "access-control-allow-origin is missing"}
	case origins > 1, allowed != s.origin && strings.Contains(allowed, ","): // which proxies join
		return lack{after: "access-control-allow-origin has several values"}
	case allowed == "*" && credentials:
		return lack{after: "access-control-allow-origin is *, which credentials do not pass"}
	case allowed != "*" && allowed != s.origin:
		return lack{after: "access-control-allow-origin is not the origin"}
	}
	if value, _ := a.get(allowCredentials); credentials && value != "true" {
		return lack{after: "access-control-allow-credentials is not true"}
	}
	if !s.preflight {
		return lack{}
	}
	if a.status < 200 || a.status > 299 {
		return lack{after: "status " + strconv.Itoa(a.status) + " is not one of 200 to 299"}
	}
	if value, _ := a.get(allowPrivateNetwork); s.privateNetwork && value != "true" {
		return lack{after: "access-control-allow-private-network is not true"}
	}
	return s.checkLists(a, credentials)
}

// checkLists is about the lists of a preflight's answer. One that is no list of tokens
// fails whatever is asked for, and so both are looked at before either is used.
func (s *Shadow) checkLists(a *Answer, credentials bool) lack {
	listed, star := safelistedMethod(s.method), false
	ok := a.each(allowMethods, func(method string) {
		listed, star = listed || method == s.method, star || method == "*"
	})
	if !ok {
		return lack{after: "access-control-allow-methods is not a list of methods"}
	}
	wanted, anyHeader := map[string]struct{}{}, false
	for name := range elements(s.headers) {
		wanted[headerKey(name)] = struct{}{}
	}
	ok = a.each(allowHeaders, func(name string) {
		anyHeader = anyHeader || name == "*"
		delete(wanted, strings.ToLower(name))
	})
	switch {
	case !ok:
		return lack{after: "access-control-allow-headers is not a list of header names"}
	case !listed && (credentials || !star):
		return lack{"method ", s.method, " is not in access-control-allow-methods"}
	}
	for name := range elements(s.headers) {
		key := headerKey(name)
		if _, missing := wanted[key]; missing && (credentials || !anyHeader || key == "authorization") {
			if !names.Valid(name) {
				return lack{after: "a requested header is not a header name"}
			}
			return lack{"header ", name, " is not in access-control-allow-headers"}
		}
	}
	return lack{}
}

// headerKey is what a name is compared by: what is no name is like nothing else.
func headerKey(name string) string {
	if names.Valid(name) {
		return strings.ToLower(name)
	}
	return name
}

// compareExposed compares what a page can read of the headers of an answer that it gets
// either way, in the modes that have this access.
func (s *Shadow) compareExposed(a *Answer, has access) (Verdict, string) {
	value, lines := a.get(exposeHeaders)
	if lines <= 1 && value == s.exposed {
		return Same, ""
	}
	exposed, star := s.exposedBy(a)
	looser := ""
	for _, name := range a.names {
		if slices.Contains(notExposed, name) {
			continue
		}
		included := exposed[name]
		omitted := included | star
		if s.cookie {
			omitted = included
		}
		if has < withCredentials {
			included = omitted
		}
		switch {
		case included == byAnswer, omitted == byAnswer:
			return Stricter, "header " + printableName(name) + " is not in expose_headers"
		case looser == "" && (included == byPolicy || omitted == byPolicy):
			looser = name
		}
	}
	if looser != "" {
		return Looser, "header " + printableName(looser) + " is not in access-control-expose-headers"
	}
	return Same, ""
}

// Who exposes a header, as bits.
const (
	byPolicy = 1
	byAnswer = 2
)

// exposedBy says of each of the answer's headers who exposes it by name, and who has a "*",
// which exposes all of them without credentials.
func (s *Shadow) exposedBy(a *Answer) (exposed map[string]uint8, star uint8) {
	exposed = make(map[string]uint8, len(a.names))
	for _, name := range a.names {
		exposed[name] = 0
	}
	by := uint8(byPolicy)
	note := func(name string) {
		if name == "*" {
			star |= by
		}
		key := strings.ToLower(name)
		if bits, present := exposed[key]; present {
			exposed[key] = bits | by
		}
	}
	eachToken(s.exposed, note)
	if by = byAnswer; a.each(exposeHeaders, func(string) {}) { // what is no list exposes nothing
		a.each(exposeHeaders, note)
	}
	return exposed, star
}

// printableName is the name of one of the answer's headers, as it may stand in a log line.
func printableName(name string) string {
	if !names.Valid(name) {
		return "of no valid name"
	}
	return shortenName(name)
}

// redirectStatus implements https://fetch.spec.whatwg.org/#redirect-status.
func redirectStatus(status int) bool {
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308
}

// each calls f with the tokens that all lines of a header list. It returns false at the
// first that is none
// (https://fetch.spec.whatwg.org/#extract-header-list-values).
func (a *Answer) each(header int, f func(token string)) bool {
	for _, line := range a.cors {
		if line.header == header && !eachToken(line.value, f) {
			return false
		}
	}
	return true
}

func eachToken(list string, f func(token string)) bool {
	for element := range elements(list) {
		if !names.Valid(element) {
			return false
		}
		f(element)
	}
	return true
}

// elements are the elements of a list that are not empty.
func elements(list string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for list := list; list != ""; {
			var element string
			element, list, _ = strings.Cut(list, ",")
			if element = trimOWS(element); element != "" && !yield(element) {
				return
			}
		}
	}
}
