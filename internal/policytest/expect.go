package policytest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/explain"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/fetch"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// expectFields are the fields of what is expected, in the order in which they are checked.
var expectFields = []string{"verdict", "reason", "policy", "preflight", "preflight_status", "preflight_headers", "headers"}

// expectations reads what is expected of a test.
func (l *loader) expectations(test *document.Node, path string, t *Test) {
	n := test.Get("expect")
	if n == nil || n.Kind != document.Object || len(n.Members) == 0 {
		l.fail(problem.Missing, or(n, test), path, "is missing", "write at least the verdict, allowed or blocked")
		return
	}
	l.fields(n, path, expectFields...)
	for _, name := range expectFields {
		value := n.Get(name)
		if value == nil {
			continue
		}
		if !t.browser && name != "policy" && name != "headers" {
			l.fail(problem.MisplacedField, value, path+"."+name, "is what a browser decides, and the request has no origin", "write an origin, or expect only policy and headers")
			continue
		}
		if check := l.expectation(name, value, path+"."+name); check != nil {
			t.expect = append(t.expect, expectation{path + "." + name, value, check})
		}
	}
}

// expectation reads a field of what is expected.
func (l *loader) expectation(name string, value *document.Node, path string) func(*explain.Explanation) string {
	fail := func(kind problem.Kind, what, instead string) func(*explain.Explanation) string {
		l.fail(kind, value, path, what, instead)
		return nil
	}
	switch name {
	case "verdict":
		if value.Text != "allowed" && value.Text != "blocked" {
			return fail(problem.InvalidValue, "is neither allowed nor blocked", "write allowed or blocked")
		}
		return func(e *explain.Explanation) string { return verdict(e, value.Text == "allowed") }
	case "reason":
		if value.Kind != document.String || !slices.Contains(reasons(), value.Text) {
			return fail(problem.InvalidValue, "is not a reason", `write one such as "method_not_allowed" or "allow-credentials-not-true", as "corsctl explain -o json" has them in blocked`)
		}
		return func(e *explain.Explanation) string { return reason(e, value.Text) }
	case "policy":
		if value.Kind != document.String && value.Kind != document.Null {
			return fail(problem.WrongType, "is not a name", "write the name of the policy, or null for none")
		}
		return func(e *explain.Explanation) string { return policy(e, value) }
	case "preflight":
		if value.Kind != document.Bool {
			return fail(problem.WrongType, "is not true or false", "write whether a browser asks first")
		}
		return func(e *explain.Explanation) string {
			return differs("a browser asks first", strconv.FormatBool(e.Preflight != nil), value.Text)
		}
	case "preflight_status":
		if value.Kind != document.Number {
			return fail(problem.WrongType, "is not a number", "write the status of the preflight's answer, such as 204")
		}
		return func(e *explain.Explanation) string {
			switch {
			case e.Preflight == nil:
				return "there is no preflight"
			case e.Preflight.Forwarded:
				return "the preflight is forwarded to the upstream"
			}
			return differs("the status", strconv.Itoa(e.Preflight.Status), value.Text)
		}
	}
	if value.Kind != document.Object {
		return fail(problem.WrongType, "is not an object",
			`write each header as "name: value", and null for one that must not be there`)
	}
	for _, m := range value.Members {
		l.header(m, path+"."+m.Name)
	}
	return func(e *explain.Explanation) string {
		answer, what := e.Actual, "the request is never made"
		if name == "preflight_headers" {
			answer, what = e.Preflight, "there is no preflight"
		}
		if answer == nil {
			return what
		}
		return headers(answer.Headers, value)
	}
}

// differs says what is there and what is expected, or nothing if it is the same.
func differs(what, got, want string) string {
	if got == want {
		return ""
	}
	return fmt.Sprintf("%s: got %s, want %s", what, got, want)
}

func verdict(e *explain.Explanation, allowed bool) string {
	switch {
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
	for _, r := range fetch.BlockReasons() {
		list = append(list, string(r))
	}
	return list
}

func reason(e *explain.Explanation, want string) string {
	if e.Blocked == nil {
		return "a browser allows it"
	}
	got := []string{string(e.Blocked.Reason)}
	if d := e.Decision(); d != nil && !d.Allowed() {
		got = append(got, d.Reason.String())
	}
	if slices.Contains(got, want) {
		return ""
	}
	return fmt.Sprintf("got %s (%s), want %s", strings.Join(got, ", "), e.Because(), want)
}

func policy(e *explain.Explanation, want *document.Node) string {
	got := "none"
	switch {
	case e.Policy == nil && want.Kind == document.Null || e.Policy != nil && want.Kind == document.String && e.Policy.Name() == want.Text:
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
		got := strings.Join(values, ", ")
		switch absent := m.Value.Kind == document.Null; {
		case absent && values != nil:
			wrong = append(wrong, fmt.Sprintf("%s: got %q, want none", m.Name, got))
		case !absent && values == nil:
			wrong = append(wrong, fmt.Sprintf("%s: got none, want %q", m.Name, scalar(m.Value)))
		case !absent && got != scalar(m.Value):
			wrong = append(wrong, fmt.Sprintf("%s: got %q, want %q", m.Name, got, scalar(m.Value)))
		}
	}
	return strings.Join(wrong, "; ")
}
