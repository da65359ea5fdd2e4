package wazero_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	diff "github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/demo/engine"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/wasmhost"
)

const lookedUp = `{"cluster": "policies", "authority": "policies.internal"}`

// walkedPolicies are what the tables of cases have not.
var walkedPolicies = []string{
	`{"allow_origins": ["https://app.example"], "allow_methods": ["PUT"], "debug": true}`,
	`{"allow_origins": ["https://app.example"], "allow_methods": ["*"], "allow_headers": ["*"], "allow_credentials": true, "debug": true}`,
	`{"allow_origins": ["*"], "allow_headers": ["*"], "debug": true, "preflight_status": 200}`,
	`{"allow_origins": ["https://app.example"], "unmatched_preflights": "forward"}`,
	`{"allow_origins": ["https://app.example"], "unmatched_preflights": "forward", "upstream_cors_headers": "keep"}`,
	`{"allow_origins": ["https://app.example"], "upstream_cors_headers": "keep", "expose_headers": ["X-A"]}`,
	`{"allow_origins": ["https://app.example"], "mode": "shadow", "unmatched_preflights": "forward"}`,
	`{"mode": "off"}`,
	`{"policies": [{"name": "elsewhere", "match": {"hosts": ["other.example"]}, "allow_origins": ["*"]}]}`,
	`{"policies": [{"name": "all", "allow_origins": ["*"]}, {"name": "v1", "match": {"paths": [{"prefix": "/v1"}]}, "mode": "off"},
		{"name": "host", "match": {"hosts": ["*.example"]}, "allow_origins": ["https://app.example"], "allow_methods": ["*"]}]}`,
	`{"policy_source": {"cluster": "policies", "authority": "policies.internal"}}`,
	`{"allow_methods": ["PUT"], "allow_headers": ["*", "Authorization"], "allow_credentials": true, "origin_lookup": ` + lookedUp + `}`,
	`{"mode": "shadow", "origin_lookup": ` + lookedUp + `}`,
	`{"unmatched_preflights": "forward", "allow_origins": ["https://app.example"], "origin_lookup": ` + lookedUp + `}`,
}

// walkedRequests are sent through each policy.
var walkedRequests = []engine.Request{
	{Origin: "https://app.example", Method: "GET", URL: "https://api.example/"},
	{Origin: "https://app.example", Method: "GET", URL: "https://api.example/v1/x?a=b", Credentials: true,
		Headers: [][2]string{{"Accept", "text/html"}, {"Cookie", "a=b"}}},
	{Origin: "https://app.example", Method: "put", URL: "https://api.example/v1", Headers: [][2]string{{"X-Custom", "1"}}},
	{Origin: "https://app.example", Method: "DELETE", URL: "https://api.example/", Credentials: true,
		Headers: [][2]string{{"Authorization", "Bearer x"}, {"Content-Type", "application/json"}}},
	{Origin: "https://app.example", Method: "patch", URL: "http://localhost:8080/"},
	{Origin: "https://app.example", Method: "POST", URL: "https://api.example/", Forced: true},
	{Origin: "https://app.example", Method: "OPTIONS", URL: "https://api.example/"},
	{Origin: "https://other.example", Method: "GET", URL: "https://api.example/"},
	{Origin: "http://other.example", Method: "PUT", URL: "https://api.example/", Names: []string{"x-custom"}},
	{Origin: "null", Method: "PURGE", URL: "https://api.example/"},
	{Origin: "https://api.example", Method: "GET", URL: "https://api.example/"},
	{Origin: "https://api.example", Method: "POST", URL: "https://api.example/v1"},
	{Origin: "capacitor://localhost", Method: "PUT", URL: "https://other.example/"},
	{Origin: "https://app.example", Method: "TRACE", URL: "https://other.example/"},
}

// walkedUpstreams answer behind the filter.
var walkedUpstreams = []engine.Upstream{
	{Headers: [][2]string{{"x-a", "1"}}},
	{Status: 404, Preflights: 405},
	{Headers: [][2]string{
		{"Access-Control-Allow-Origin", "*"}, {"access-control-allow-credentials", "true"}, {"vary", "Accept, origin"},
		{"access-control-allow-methods", "PUT, *"}, {"access-control-allow-headers", "*"}, {"access-control-max-age", "5"},
		{"access-control-expose-headers", "x-a"},
	}},
	{Status: 302, Preflights: 204, Headers: [][2]string{
		{"access-control-allow-origin", "https://app.example"}, {"access-control-allow-origin", "https://app.example"},
		{"location", "/login"}, {"vary", "accept"}, {"access-control-allow-methods", ""},
		{"access-control-allow-methods", " PUT\t"}, {"access-control-allow-methods", ""},
	}},
}

// TestWalk: what the page says of a request is what the module does with it, and what a browser
// makes of that.
func TestWalk(t *testing.T) {
	vm := newVM(t)
	policies := slices.Clone(walkedPolicies)
	for _, c := range cases.All {
		if !slices.Contains(policies, c.Config) && len(c.Config) < 10_000 {
			policies = append(policies, c.Config)
		}
	}
	walked := 0
	for i, policy := range policies {
		upstreams, results := walkedUpstreams, []string{""}
		if strings.Contains(policy, "origin_lookup") {
			results = []string{"allowed", "denied", "failed"}
		}
		if i >= len(walkedPolicies) { // the tables' policies are many, and alike in this
			upstreams = upstreams[i%len(upstreams):][:1]
		}
		for _, upstream := range upstreams {
			for _, result := range results {
				walked += walkThrough(t, vm, policy, upstream, result)
			}
		}
	}
	if walked < 1000 {
		t.Errorf("only %d answers were compared", walked)
	}
}

// walkThrough sends the requests through a policy, and compares. It returns how many answers it
// has compared.
func walkThrough(t *testing.T, vm *wasmhost.VM, policy string, upstream engine.Upstream, lookup string) (compared int) {
	t.Helper()
	root := newRoot(t, vm, policy)
	for _, request := range walkedRequests {
		request.Lookup = lookup
		walk := engine.WalkAll(policy, []engine.Request{request}, engine.Options{Upstream: upstream})[0]
		if walk.Error != "" {
			t.Fatalf("%s\n%s", policy, walk.Error)
		}
		sent := browser.Request{Origin: request.Origin, URL: request.URL,
			Method:  browser.NormalizeMethod(request.Method),
			Headers: request.Headers, UnsafeNames: request.Names,
			CredentialsInclude: request.Credentials,
			UseCORSPreflight:   request.Forced}
		var preflight, actual *browser.Response
		says := func(format string, args ...any) {
			text, _ := json.MarshalIndent(walk, "", " ")
			t.Errorf("%s\n%+v %+v\n%s\n%s", policy, request, upstream, fmt.Sprintf(format, args...), text)
		}
		if p := walk.Preflight; p != nil {
			before := vm.Metrics()
			result := through(t, root, *p.Request, lookup, cases.Upstream{
				Status: cmp.Or(upstream.Preflights, upstream.Status), Headers: upstream.Headers})
			var shadow *engine.Shadowed
			if walk.Shadow != nil {
				shadow = walk.Shadow.Preflight
			}
			if d := diff.Diff(countedSince(before, vm.Metrics()), expected(p.Answer.Outcome, shadow)); d != "" {
				says("counted of the preflight (-module +page)\n%s", d)
			}
			preflight = &browser.Response{Status: result.Status, Headers: result.Headers}
			if d := different(result, *p.Answer); d != "" {
				says("the preflight (-module +page)\n%s", d)
			}
			compared++
		}
		if a := walk.Actual; a != nil {
			unknown := func(h [2]string) bool { return h[1] == "…" }
			a.Request.Headers = slices.DeleteFunc(slices.Clone(a.Request.Headers), unknown)
			if request.Credentials {
				a.Request.Headers = append(a.Request.Headers, [2]string{"cookie", "a=b"})
			}
			before := vm.Metrics()
			result := through(t, root, a.Request, lookup, cases.Upstream{
				Status: upstream.Status, Headers: upstream.Headers})
			var shadow *engine.Shadowed
			if walk.Shadow != nil {
				shadow = walk.Shadow.Actual
			}
			if d := diff.Diff(countedSince(before, vm.Metrics()), expected(a.Answer.Outcome, shadow)); d != "" {
				says("counted of the actual request (-module +page)\n%s", d)
			}
			actual = &browser.Response{Status: result.Status, Headers: result.Headers}
			if d := different(result, a.Answer); d != "" {
				says("the actual request (-module +page)\n%s", d)
			}
			compared++
		}
		reason := ""
		if blocked := browser.Verdict(sent, preflight, actual); blocked != nil {
			reason = string(blocked.Reason)
		}
		if walk.Verdict.Reason != reason || walk.Verdict.Readable != (reason == "") {
			says("the verdict is %q, want %q", walk.Verdict.Reason, reason)
		}
	}
	if err := root.Delete(); err != nil {
		t.Fatal(err)
	}
	return compared
}

// through sends a request to the module, and has looked up what it asks for.
func through(t *testing.T, root *wasmhost.Root, r engine.RequestHead, lookup string,
	up cases.Upstream) wasmhost.Result {
	t.Helper()
	host, path, err := browser.Target(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	request := cases.Request{Method: r.Method, Host: host, Path: path}
	for _, h := range r.Headers {
		request.Headers = append(request.Headers, [2]string{strings.ToLower(h[0]), h[1]})
	}
	lowered := cases.Upstream{Status: up.Status}
	for _, h := range up.Headers {
		lowered.Headers = append(lowered.Headers, [2]string{strings.ToLower(h[0]), h[1]})
	}
	try := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s := root.Begin(request)
	try(s.Request())
	for _, call := range root.HTTPCalls() {
		if strings.Contains(fmt.Sprint(call.Headers), "origin=") {
			status := map[string]int{"allowed": 204, "denied": 404, "failed": 500}[lookup]
			try(root.AnswerHTTPCall(call.Token, status, nil, ""))
		}
	}
	if s.Result().Forwarded {
		try(s.Response(lowered))
	}
	try(s.End())
	return s.Result()
}

// countedSince is what has been counted of requests between two readings of the counters, by outcome.
func countedSince(before, after map[string]uint64) (list []string) {
	for name, n := range after {
		if _, outcome, ok := strings.Cut(name, "cors_outcome=.="); ok && n > before[name] {
			outcome, _, _ = strings.Cut(outcome, ";")
			list = append(list, outcome)
		}
	}
	slices.Sort(list)
	return list
}

// expected are the outcomes by the page.
func expected(outcome string, shadow *engine.Shadowed) (list []string) {
	if outcome == "" {
		return nil
	}
	list = append(list, outcome)
	if shadow != nil {
		list = append(list, "shadow_"+shadow.Compared)
	}
	slices.Sort(list)
	return list
}

// different compares an answer of the module with that of the page.
func different(result wasmhost.Result, answer engine.Answer) string {
	type seen struct {
		Forwarded bool
		Status    int
		Details   string
		Headers   []string
	}
	lines := func(headers [][2]string) (list []string) {
		for _, h := range headers {
			list = append(list, h[0]+": "+h[1])
		}
		slices.Sort(list)
		return list
	}
	return diff.Diff(seen{result.Forwarded, result.Status, result.Details, lines(result.Headers)},
		seen{answer.Forwarded, answer.Status, answer.Details, lines(answer.Headers)})
}
