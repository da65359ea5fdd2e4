package policytest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/policytest"
)

const good = `
configuration:
  policies:
    - {name: shop, match: {hosts: [api.example]}, allow_origins: ["https://shop.example"], allow_methods: [PUT]}
tests:
  - name: allowed
    request: {origin: "https://shop.example", url: "https://api.example/", method: PUT, headers: {X-A: 1}}
    expect: {verdict: blocked, reason: header_not_allowed, policy: shop, preflight: true, preflight_status: 403, preflight_headers: {vary: null}}
  - name: no origin
    request: {url: "https://api.example/"}
    expect: {headers: {vary: Origin}}
`

func run(text string) policytest.Report {
	return policytest.Run("test.yaml", text, func(string) (string, error) { return "", errors.New("no such file") })
}

// TestPrefixes: whatever is left of a file of tests, there is a result, and what can't be
// run has failed.
func TestPrefixes(t *testing.T) {
	for n := range len(good) {
		report := run(good[:n])
		if len(report.Results) == 0 {
			t.Fatalf("%s: no result", good[:n])
		}
		for _, r := range report.Results {
			for _, f := range r.Failures {
				if f.What == "" || f.Line < 1 || f.Kind == 0 {
					t.Fatalf("%s: a failure without words or place: %+v", good[:n], f)
				}
			}
		}
	}
}

// TestEveryExpectationCanFail: each field of what is expected is really looked at.
func TestEveryExpectationCanFail(t *testing.T) {
	if report := run(strings.Replace(good, "preflight_headers: {vary: null}",
		"preflight_headers: {access-control-allow-origin: null}", 1)); report.Failed() != 0 {
		t.Fatal(report.Results[0].Failures)
	}
	for _, change := range []struct{ old, new, want string }{
		{"verdict: blocked", "verdict: allowed",
			"expect.verdict: a browser blocks it: header x-a is not in allow_headers"},
		{"method: PUT, headers: {X-A: 1}", "method: PUT", "expect.verdict: a browser allows it"},
		{"reason: header_not_allowed", "reason: origin_not_allowed",
			"expect.reason: got missing-allow-origin, header_not_allowed"},
		{"policy: shop", "policy: null", "expect.policy: the policy: got shop, want none"},
		{"preflight: true", "preflight: false", "expect.preflight: a browser asks first: got true, want false"},
		{"preflight_status: 403", "preflight_status: 204", "expect.preflight_status: the status: got 403, want 204"},
		{"{vary: null}", "{vary: Origin}",
			`expect.preflight_headers: vary: got "Origin, Access-Control-Request-Method, Access-Control-Request-Headers", want "Origin"`},
		{"{vary: null}", "{x-a: 1}", `expect.preflight_headers: x-a: got none, want "1"`},
		{"headers: {vary: Origin}", "headers: {vary: null}", `expect.headers: vary: got "Origin", want none`},
		{"preflight_headers: {vary: null}", "headers: {vary: null}", "expect.headers: the request is never made"},
	} {
		report := run(strings.Replace(good, change.old, change.new, 1))
		found := false
		for _, r := range report.Results {
			for _, f := range r.Failures {
				found = found || strings.Contains(f.Error(), change.want)
			}
		}
		if !found {
			t.Errorf("%s: no failure with %q in %v", change.new, change.want, report.Results[0].Failures)
		}
	}
}

// TestLookup: what a look-up of an origin comes to is for the test to say.
func TestLookup(t *testing.T) {
	for _, test := range []struct{ request, expect, want string }{
		{`origin: "https://a.example", lookup: allowed`, "verdict: allowed", ""},
		{`origin: "https://a.example", lookup: denied`, "verdict: blocked, reason: origin_not_allowed", ""},
		{`origin: "https://a.example", lookup: failed`, "verdict: blocked, reason: origin_not_allowed", ""},
		{`origin: "https://a.example"`, "verdict: blocked", ""},
		{`origin: "https://a.example", method: PUT, lookup: allowed`, "preflight_status: 204", ""},
		{`origin: "https://a.example", method: PUT`, "preflight_status: 403", ""},
		{`origin: null, lookup: allowed`, "verdict: blocked", ""},
		{`origin: "http://a.example", lookup: allowed`, "verdict: blocked", ""},
		{`origin: "https://own.example", lookup: denied`, "verdict: allowed", ""},

		{`origin: "https://a.example"`, "verdict: allowed", "tests[0].expect.verdict: a browser blocks it: " +
			"origin https://a.example is not in allow_origins, and the look-up says no"},
		{`origin: "https://a.example", lookup: failed`, "verdict: allowed", "tests[0].expect.verdict: " +
			"a browser blocks it: origin https://a.example is not in allow_origins, and the look-up failed"},
		{`origin: "https://a.example", lookup: allowed`, "verdict: blocked",
			"tests[0].expect.verdict: a browser allows it"},
		{`origin: "https://a.example", lookup: yes`, "verdict: allowed",
			"tests[0].request.lookup: is no result of a look-up; write one of allowed, denied, failed"},
		{`origin: "https://a.example", lookup: ""`, "verdict: allowed", "tests[0].request.lookup: is no result"},
		{`origin: "https://a.example", lookup: null`, "verdict: allowed", "tests[0].request.lookup: is no result"},
		{`lookup: allowed`, "headers: {vary: Origin}", "tests[0].request.lookup: " +
			"is what a look-up says of an origin, and the request has none; write an origin, or leave it out"},
	} {
		report := run(`
configuration:
  {origin_lookup: {cluster: policies}, allow_origins: ["https://own.example"], allow_methods: [PUT],
    allow_credentials: true}
tests:
  - {name: a, request: {` + test.request + `}, expect: {` + test.expect + `}}
`)
		var got []string
		for _, f := range report.Results[0].Failures {
			got = append(got, f.Error())
		}
		if all := strings.Join(got, "\n"); (all == "") != (test.want == "") || !strings.Contains(all, test.want) {
			t.Errorf("{%s}, {%s}: got %q, want %q", test.request, test.expect, all, test.want)
		}
	}
}
