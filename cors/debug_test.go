package cors_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/choices"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// browsers are what may read an answer to a preflight: one that goes by the standard, and
// what others make of the lists.
var browsers = map[string]func(browser.Request, browser.Response) bool{
	"standard": passesPreflight,
	// Chromium compared methods so for years.
	"methods without regard to case": func(r browser.Request, a browser.Response) bool {
		r.Method = strings.ToUpper(r.Method)
		return passesPreflight(r, withHeader(a, "access-control-allow-methods", strings.ToUpper))
	},
	// Chromium only warns of it.
	`"*" covers Authorization`: func(r browser.Request, a browser.Response) bool {
		return passesPreflight(r, withHeader(a, "access-control-allow-headers", func(value string) string {
			if slices.Contains(strings.Split(value, ", "), "*") && !r.CredentialsInclude {
				value += ", authorization"
			}
			return value
		}))
	},
}

func passesPreflight(r browser.Request, a browser.Response) bool {
	return browser.PreflightCheck(r, a.Status, a.Headers) == nil
}

func withHeader(a browser.Response, name string, edit func(string) string) browser.Response {
	a.Headers = slices.Clone(a.Headers)
	for i, h := range a.Headers {
		if h[0] == name {
			a.Headers[i][1] = edit(h[1])
		}
	}
	return a
}

// checkDebug checks that no browser does with debug what it would not do without, and
// that a rejection for a method or a header is one of the lists. It returns whether the
// answers differ.
func checkDebug(t *testing.T, plain, debug *cors.Policy, r *cors.Request) bool {
	t.Helper()
	before, after := plain.Decide(r), debug.Decide(r)
	if before.Reason != after.Reason || before.Answered() != after.Answered() || before.Why() != after.Why() ||
		before.Edits() != after.Edits() && !after.Answered() {
		t.Errorf("%+v: decided otherwise: %v, %v", *r, before.Why(), after.Why())
	}
	if !after.Answered() {
		return false
	}
	without, with := inForce(before, browser.Response{}), inForce(after, browser.Response{})
	differ := !cmp.Equal(without, with)
	console := after.Reason == cors.MethodNotAllowed || after.Reason == cors.HeaderNotAllowed ||
		after.Reason == cors.AuthorizationNotAllowed
	if differ != console {
		t.Errorf("%+v: %v: %v and with debug %v", *r, after.Reason, without, with)
	}
	for name, passes := range browsers {
		for i := range 4 {
			req := browser.Request{Origin: r.Origin, Method: r.RequestMethod, PrivateNetwork: r.PrivateNetwork,
				CredentialsInclude: i&1 != 0, UseCORSPreflight: i&2 != 0}
			for element := range strings.SplitSeq(strings.Join(r.RequestHeaders, ","), ",") {
				if element = strings.Trim(element, " \t"); element != "" {
					req.UnsafeNames = append(req.UnsafeNames, element)
				}
			}
			if passes(req, with) && !passes(req, without) {
				t.Errorf("%s, %+v: passes with debug: %v", name, req, with)
			}
			if !console || name != "standard" || req.CredentialsInclude && after.Origin() == "*" {
				continue
			}
			switch blocked := browser.PreflightCheck(req, with.Status, with.Headers); {
			case blocked == nil:
				t.Errorf("%+v passes: %v", req, with)
			case blocked.Reason == browser.AllowCredentialsNotTrue && req.CredentialsInclude:
			case blocked.Reason == browser.PrivateNetworkNotAllowed && r.PrivateNetwork:
			case blocked.Reason == browser.MethodNotAllowed != (after.Reason == cors.MethodNotAllowed),
				blocked.Header != "Access-Control-Allow-Methods" && blocked.Header != "Access-Control-Allow-Headers":
				t.Errorf("%+v: %v, and the console says %v of %v", req, after.Why(), blocked, with)
			}
		}
	}
	return differ
}

// TestDebugCases: over the tables that all levels share, with each row's policy and each
// other row's request.
func TestDebugCases(t *testing.T) {
	differ, asked := 0, map[string]bool{}
	for _, c := range cases.All {
		// A policy that is off has no other fields.
		if asked[c.Config] || strings.Contains(c.Config, `"off"`) || strings.Contains(c.Config, `"debug"`) {
			continue
		}
		asked[c.Config] = true
		plainConfig, debugConfig := parse(t, c.Config), parse(t, withDebug(c.Config))
		for _, other := range cases.All {
			r := other.Request.Complete()
			key := match.Key{Route: r.Route, Host: r.Host, Path: r.Path}
			plain, debug := plainConfig.Policies.Lookup(key), debugConfig.Policies.Lookup(key)
			if plain == nil {
				continue
			}
			request := facts(r)
			for _, d := range []*cors.Request{request, fromAllowed(request, plain)} {
				if checkDebug(t, plain, debug, d) {
					differ++
				}
			}
		}
	}
	if differ < 300 {
		t.Errorf("only %d preflights are answered otherwise", differ)
	}
}

// fromAllowed is the request from one of a few origins that the policy allows.
func fromAllowed(r *cors.Request, policy *cors.Policy) *cors.Request {
	for _, origin := range []string{"https://app.example", "https://a.example", "https://b.example"} {
		other := *r
		other.Origin = origin
		if d := policy.Decide(&cors.Request{Method: "GET", Origin: origin, HasOrigin: r.HasOrigin}); d.Allowed() {
			return &other
		}
	}
	return r
}

func parse(t *testing.T, text string) *config.Document {
	t.Helper()
	c, problems := config.Parse(text)
	if c == nil {
		t.Fatal(problems)
	}
	return c
}

// withDebug sets debug in every policy of a configuration.
func withDebug(text string) string {
	if !strings.Contains(text, `"policies"`) {
		return strings.Replace(text, "{", `{"debug": true, `, 1)
	}
	if strings.Contains(text, `"defaults"`) {
		return strings.Replace(text, `"defaults": {`, `"defaults": {"debug": true, `, 1)
	}
	return strings.Replace(text, "{", `{"defaults": {"debug": true}, `, 1)
}

// TestDebugProperty: on random policies and preflights.
func TestDebugProperty(t *testing.T) {
	rnd := rand.New(rand.NewPCG(14, 4))
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	some := func(of ...string) (list []string) {
		for range rnd.IntN(3) {
			list = append(list, pick(of...))
		}
		return list
	}
	maybe := func(n int) bool { return rnd.IntN(n) == 0 }
	differ := 0
	for range choices.Rounds(50_000) {
		maxAge := 600
		c := cors.Config{
			AllowOrigins: []cors.OriginEntry{{Text: pick("https://a.test", "*")}},
			AllowMethods: some("PUT", "PATCH", "patch", "Purge", "*"), MaxAge: &maxAge,
			AllowHeaders:     some("X-A", "Content-Type", "Authorization", "*"),
			AllowCredentials: maybe(2), AllowPrivateNetwork: maybe(2), ForwardUnmatchedPreflights: maybe(8),
			Shadow: maybe(8),
		}
		plain, _ := cors.Compile(c)
		c.Debug = true
		debug, _ := cors.Compile(c)
		if plain == nil {
			continue
		}
		r := &cors.Request{
			Method: "OPTIONS", HasOrigin: true, Origin: pick("https://a.test", "https://a.test", "https://b.test", "x"),
			RequestMethod:  pick("GET", "PUT", "PATCH", "patch", "PURGE", "TRACE", "*", "A B"),
			PrivateNetwork: maybe(4),
		}
		for range rnd.IntN(3) {
			names := some("x-a", "X-B", "authorization", "AUTHORIZATION", "content-type", "a b", "*")
			r.RequestHeaders = append(r.RequestHeaders, strings.Join(names, pick(",", " , ")))
		}
		if maybe(20) {
			r.RequestHeaders = []string{"x-a," + strings.Repeat("x-c,", 2500)}
		}
		if checkDebug(t, plain, debug, r) {
			differ++
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	if differ < choices.Rounds(5000) {
		t.Errorf("only %d preflights are answered otherwise", differ)
	}
}

// TestDebug: what the answers have.
func TestDebug(t *testing.T) {
	for _, c := range []struct {
		name, policy, method, headers string
		status                        int
		want                          []cors.Header
	}{
		{"method", `"allow_methods": ["PUT", "DELETE"], "allow_headers": ["X-A"], "max_age": 600`, "PURGE", "x-a", 204,
			[]cors.Header{{"access-control-allow-origin", "https://a.test"}, {"access-control-allow-methods", "PUT, DELETE"},
				{"access-control-allow-headers", "X-A"},
				{"x-cors-reason", "method PURGE is not in allow_methods (allowed: PUT, DELETE)"}, allVary}},
		{"header", `"allow_headers": ["X-A"], "allow_credentials": true, "preflight_status": 200`, "GET", "x-a,x-b", 200,
			[]cors.Header{{"access-control-allow-origin", "https://a.test"}, {"access-control-allow-credentials", "true"},
				{"access-control-allow-methods", "GET, HEAD, POST"}, {"access-control-allow-headers", "X-A"},
				{"x-cors-reason", "header x-b is not in allow_headers (allowed: X-A)"}, allVary}},
		{"case", `"allow_methods": ["PUT", "PATCH"]`, "patch", "", 204,
			[]cors.Header{{"access-control-allow-origin", "https://a.test"}, {"access-control-allow-methods", "PUT"},
				{"x-cors-reason", "method patch is not in allow_methods (methods compare by case; allowed: PUT, PATCH)"},
				allVary}},
		{"authorization", `"allow_headers": ["*"]`, "GET", "authorization, x-a", 204,
			[]cors.Header{{"access-control-allow-origin", "https://a.test"},
				{"access-control-allow-methods", "GET, HEAD, POST"}, {"access-control-allow-headers", "x-a"},
				{"x-cors-reason", `header Authorization is not in allow_headers ("*" does not cover it)`}, allVary}},
		{"forbidden", `"allow_methods": ["*"]`, "TRACE", "", 403, []cors.Header{allVary}},
		{"malformed", `"allow_methods": ["PUT"]`, "A B", "", 403, []cors.Header{allVary}},
		{"too long", `"allow_headers": ["*"]`, "GET", strings.Repeat("x-a,", 3000), 403, []cors.Header{allVary}},
	} {
		policy := policyOf(t, `{"allow_origins": ["https://a.test"], "debug": true, `+c.policy+`}`)
		r := cors.Request{Method: "OPTIONS", Origin: "https://a.test", HasOrigin: true, RequestMethod: c.method}
		if c.headers != "" {
			r.RequestHeaders = []string{c.headers}
		}
		d := policy.Decide(&r)
		if diff := cmp.Diff(c.want, d.AppendHeaders(nil)); diff != "" || d.Status() != c.status {
			t.Errorf("%s: %d, headers (-want +got):\n%s", c.name, d.Status(), diff)
		}
		r.Origin = "https://b.test"
		if d := policy.Decide(&r); d.Status() != 403 || len(d.AppendHeaders(nil)) != 1 {
			t.Errorf("%s: %d with %v for an origin that is not allowed", c.name, d.Status(), d.AppendHeaders(nil))
		}
	}
}

// TestDebugPrivateNetwork: also what is rejected with an explanation lets a page into a private network
// only where the policy and the page say so.
func TestDebugPrivateNetwork(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		for _, asked := range []bool{false, true} {
			policy := policyOf(t, fmt.Sprintf(`{"allow_origins": ["https://a.test"], "debug": true,
				"allow_private_network": %t}`, allowed))
			d := policy.Decide(&cors.Request{Method: "OPTIONS", Origin: "https://a.test", HasOrigin: true,
				RequestMethod: "PURGE", PrivateNetwork: asked})
			headers := d.AppendHeaders(nil)
			lets := slices.Contains(headers, cors.Header{Name: "access-control-allow-private-network", Value: "true"})
			if lets != (allowed && asked) {
				t.Errorf("allowed %t, asked for %t: %v", allowed, asked, headers)
			}
		}
	}
}

var allVary = cors.Header{Name: "vary", Value: "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
