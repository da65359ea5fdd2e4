package policytest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/explain"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// fields are the fields of what is expected, in the order in which they are checked.
var fields = []field{
	{"verdict", isVerdict, problem.InvalidValue, "is neither allowed nor blocked", "write allowed or blocked",
		checkVerdict},
	{"reason", isReason, problem.InvalidValue, "is not a reason",
		`write one such as "method_not_allowed" or "allow-credentials-not-true", ` +
			`as "corsctl explain -o json" has them in blocked`, checkReason},
	{"policy", isKind(document.String, document.Null), problem.WrongType, "is not a name",
		"write the name of the policy, or null for none", checkPolicy},
	{"preflight", isKind(document.Bool), problem.WrongType, "is not true or false",
		"write whether a browser asks first", checkPreflight},
	{"preflight_status", isKind(document.Number), problem.WrongType, "is not a number",
		"write the status of the preflight's answer, such as 204", checkStatus},
	{"preflight_headers", isKind(document.Object), problem.WrongType, noHeaders, writeHeaders, checkPreflightHeaders},
	{"headers", isKind(document.Object), problem.WrongType, noHeaders, writeHeaders, checkHeaders},
}

// A field is one of what is expected: what it may be, what is said of anything else, and
// what is there instead of what is wanted, "" for just that.
type field struct {
	name          string
	valid         func(want *document.Node) bool
	kind          problem.Kind
	what, instead string
	check         func(e *explain.Explanation, want *document.Node) string
}

const (
	noHeaders    = "is not an object"
	writeHeaders = `write each header as "name: value", and null for one that must not be there`
)

// expectations reads what is expected of a test.
func (l *loader) expectations(of *document.Node, path string, t *test) {
	n := of.Get("expect")
	if n == nil || n.Kind != document.Object || len(n.Members) == 0 {
		l.fail(problem.Missing, cmp.Or(n, of), path, "is missing", "write at least the verdict, allowed or blocked")
		return
	}
	var names []string
	for _, f := range fields {
		names = append(names, f.name)
	}
	l.fields(n, path, names...)
	for _, f := range fields {
		value, path := n.Get(f.name), path+"."+f.name
		switch {
		case value == nil:
		case !t.browser && f.name != "policy" && f.name != "headers":
			l.fail(problem.MisplacedField, value, path, "is what a browser decides, and the request has no origin",
				"write an origin, or expect only policy and headers")
		case !f.valid(value):
			l.fail(f.kind, value, path, f.what, f.instead)
		default:
			for _, m := range value.Members {
				l.header(m, path+"."+m.Name)
			}
			t.expect = append(t.expect, expectation{path, value, f.check})
		}
	}
}

func isVerdict(n *document.Node) bool { return n.Text == "allowed" || n.Text == "blocked" }

func isReason(n *document.Node) bool {
	return n.Kind == document.String && slices.Contains(reasons(), n.Text)
}

func isKind(kinds ...document.Kind) func(*document.Node) bool {
	return func(n *document.Node) bool { return slices.Contains(kinds, n.Kind) }
}

func checkPreflight(e *explain.Explanation, want *document.Node) string {
	return differs("a browser asks first", strconv.FormatBool(e.Preflight != nil), want.Text)
}

func checkStatus(e *explain.Explanation, want *document.Node) string {
	switch {
	case e.Preflight == nil:
		return "there is no preflight"
	case e.Preflight.Forwarded:
		return "the preflight is forwarded to the upstream"
	}
	return differs("the status", strconv.Itoa(e.Preflight.Status), want.Text)
}

func checkPreflightHeaders(e *explain.Explanation, want *document.Node) string {
	if e.Preflight == nil {
		return "there is no preflight"
	}
	return headers(e.Preflight.Headers, want)
}

func checkHeaders(e *explain.Explanation, want *document.Node) string {
	if e.Actual == nil {
		return "the request is never made"
	}
	return headers(e.Actual.Headers, want)
}

// differs says what is there and what is expected, or nothing if it is the same.
func differs(what, got, want string) string {
	if got == want {
		return ""
	}
	return fmt.Sprintf("%s: got %s, want %s", what, got, want)
}

func checkVerdict(e *explain.Explanation, want *document.Node) string {
	switch allowed := want.Text == "allowed"; {
	case allowed == (e.Blocked == nil):
		return ""
	case allowed:
		return "a browser blocks it: " + e.Because()
	}
	return "a browser allows it"
}

// reasons are the filter's and the browser's.
func reasons() (list []string) {
	for r := cors.Reason(0); r.String() != "unknown"; r++ {
		list = append(list, r.String())
	}
	for _, r := range browser.BlockReasons() {
		list = append(list, string(r))
	}
	return list
}

func checkReason(e *explain.Explanation, want *document.Node) string {
	if e.Blocked == nil {
		return "a browser allows it"
	}
	got := []string{string(e.Blocked.Reason)}
	if d := e.Decision(); d != nil && !d.Allowed() {
		got = append(got, d.Reason.String())
	}
	if slices.Contains(got, want.Text) {
		return ""
	}
	return fmt.Sprintf("got %s (%s), want %s", strings.Join(got, ", "), e.Because(), want.Text)
}

func checkPolicy(e *explain.Explanation, want *document.Node) string {
	got := "none"
	switch {
	case e.Policy == nil && want.Kind == document.Null,
		e.Policy != nil && want.Kind == document.String && e.Policy.Name() == want.Text:
		return ""
	case e.Policy != nil && e.Policy.Name() == "":
		got = "one without a name"
	case e.Policy != nil:
		got = e.Policy.Name()
	}
	if want.Kind == document.Null {
		return differs("the policy", got, "none")
	}
	return differs("the policy", got, want.Text)
}

// headers compares the headers that are expected with those that are there: others may
// be there too.
func headers(lines [][2]string, want *document.Node) string {
	var wrong []string
	for _, m := range want.Members {
		var values []string
		for _, line := range lines {
			if strings.EqualFold(line[0], m.Name) {
				values = append(values, line[1])
			}
		}
		got, wanted := "none", "none"
		if values != nil {
			got = strconv.Quote(strings.Join(values, ", "))
		}
		if m.Value.Kind != document.Null {
			wanted = strconv.Quote(scalar(m.Value))
		}
		if difference := differs(m.Name, got, wanted); difference != "" {
			wrong = append(wrong, difference)
		}
	}
	return strings.Join(wrong, "; ")
}
