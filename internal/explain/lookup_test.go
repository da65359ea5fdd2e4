package explain_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/explain"
)

const lookup = `"origin_lookup": {"cluster": "policies", "authority": "policies.internal", "timeout": "1s"}`

// TestLookup: what is asked, and what comes of each answer.
func TestLookup(t *testing.T) {
	const target = "/v1/lookup?policy=default&host=api.example%3A8443&origin=https%3A%2F%2Fapp.example"
	const says, failed = "origin https://app.example is not in allow_origins, and the look-up says no",
		"origin https://app.example is not in allow_origins, and the look-up failed"
	get := browser.Request{Origin: page, URL: "https://API.example:8443/v1", Method: "GET"}
	put := get
	put.Method = "PUT"
	asked := func(path, result string, given bool, because ...string) *explain.Lookup {
		l := &explain.Lookup{Cluster: "policies", Authority: "policies.internal", Path: path, Timeout: time.Second,
			Result: result, Given: given}
		for i, result := range []string{"allowed", "denied", "failed"} {
			l.Outcomes = append(l.Outcomes,
				explain.Outcome{Result: result, Allowed: because[i] == "", Because: because[i]})
		}
		return l
	}
	for _, test := range []struct {
		name, doc string
		request   browser.Request
		result    cors.LookupResult
		want      *explain.Lookup
		allowed   bool
	}{
		{"not known", `{` + lookup + `}`, get, cors.NotLookedUp, asked(target, "denied", false, "", says, failed), false},
		{"allowed", `{` + lookup + `}`, get, cors.LookupAllows, asked(target, "allowed", true, "", says, failed), true},
		{"denied", `{` + lookup + `}`, get, cors.LookupDenies, asked(target, "denied", true, "", says, failed), false},
		{"failed", `{` + lookup + `}`, get, cors.LookupFailed, asked(target, "failed", true, "", says, failed), false},
		{"allowed, but not the method", `{` + lookup + `}`, put, cors.LookupAllows, asked(target, "allowed", true,
			"method PUT is not in allow_methods (allowed: GET, HEAD, POST)", says, failed), false},
		{"a preflight", `{"allow_methods": ["PUT"], ` + lookup + `}`, put, cors.LookupAllows,
			asked(target, "allowed", true, "", says, failed), true},
		{"a query with a key, and a name",
			`{"policies": [{"name": "a", "origin_lookup": {"cluster": "policies", "authority": "policies.internal", ` +
				`"timeout": "1s", "path": "/ask?key=secret"}}]}`, get, cors.NotLookedUp,
			asked("/ask?key=***&policy=a&host=api.example%3A8443&origin=https%3A%2F%2Fapp.example", "denied", false,
				"", says, failed), false},
		{"the same origin, which a browser names beside POST", `{` + lookup + `}`,
			browser.Request{Origin: "https://api.example", URL: "https://api.example/", Method: "POST"},
			cors.NotLookedUp,
			asked("/v1/lookup?policy=default&host=api.example&origin=https%3A%2F%2Fapi.example", "denied", false,
				"", "", ""), true},
		{"shadow mode", `{"mode": "shadow", ` + lookup + `}`, get, cors.LookupAllows, asked(target, "allowed", true,
			slices.Repeat([]string{"CORS check, step 2: no Access-Control-Allow-Origin"}, 3)...), false},

		{"null", `{` + lookup + `}`, browser.Request{Origin: "null", Method: "GET"}, cors.LookupAllows,
			&explain.Lookup{NotAsked: "null is never looked up, as it is the origin of every sandboxed frame"}, false},
		{"plain http with credentials", `{"allow_credentials": true, ` + lookup + `}`,
			browser.Request{Origin: "http://app.example", Method: "GET"}, cors.LookupAllows, &explain.Lookup{
				NotAsked: "with allow_credentials plain http is not looked up but for loopback, because it can be forged",
			}, false},
		{"malformed", `{` + lookup + `}`, browser.Request{Origin: "app", Method: "GET"}, cors.LookupAllows,
			&explain.Lookup{NotAsked: "it is no origin: the Origin header is not one serialized origin"}, false},
		{"in allow_origins", `{"allow_origins": ["https://app.example"], ` + lookup + `}`, get, cors.LookupDenies,
			&explain.Lookup{NotAsked: "allow_origins has the origin"}, true},
		{"no origin_lookup", `{"allow_origins": ["https://b.example"]}`, get, cors.LookupAllows,
			&explain.Lookup{NotAsked: "no policy with an origin_lookup applies"}, false},
		{"no origin_lookup, and nothing said", `{"allow_origins": ["https://b.example"]}`, get, cors.NotLookedUp, nil,
			false},
		{"off", `{"defaults": {` + lookup + `}, "policies": [{"name": "a", "mode": "off"}]}`, get, cors.NotLookedUp, nil,
			false},
		{"no Origin header", `{` + lookup + `}`,
			browser.Request{Origin: "https://api.example", URL: "https://api.example/", Method: "GET"},
			cors.NotLookedUp, nil, true},
		{"never sent", `{` + lookup + `}`, browser.Request{Origin: page, URL: "ftp://api.example/", Method: "GET"},
			cors.LookupAllows, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			policies := policiesOf(test.doc)
			if policies == nil {
				t.Fatal("the configuration isn't valid")
			}
			e := explain.Explain(policies, test.request, "", test.result)
			if diff := cmp.Diff(test.want, e.Lookup); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if allowed := e.Blocked == nil; allowed != test.allowed {
				t.Errorf("allowed %v, want %v", allowed, test.allowed)
			}
		})
	}
}

// TestLookupWithoutURL: without a URL a word stands for the host.
func TestLookupWithoutURL(t *testing.T) {
	e := explain.Explain(policiesOf(`{`+lookup+`}`), browser.Request{Origin: page, Method: "GET"}, "", cors.NotLookedUp)
	if !strings.Contains(e.Lookup.Path, "&host=HOST&") || !slices.ContainsFunc(e.Hints, func(hint string) bool {
		return strings.Contains(hint, "HOST stands for it")
	}) {
		t.Errorf("asked for %s; %q", e.Lookup.Path, e.Hints)
	}
}

// TestChangeOfLookup: what is proposed depends on what the look-up came to.
func TestChangeOfLookup(t *testing.T) {
	policies := policiesOf(`{` + lookup + `}`)
	r := browser.Request{Origin: page, URL: "https://api.example/", Method: "PUT", CredentialsInclude: true}
	for result, want := range map[cors.LookupResult][]explain.Change{
		cors.LookupAllows: {},
		cors.LookupDenies: {{Path: "allow_origins", Edit: `write ["https://app.example"]`,
			Or: "register https://app.example where the cluster policies looks it up"}},
		cors.LookupFailed: {{Path: "allow_origins", Edit: `write ["https://app.example"]`,
			Or: "see why the look-up fails, if https://app.example is registered there"}},
	} {
		e := explain.Explain(policies, r, "", result)
		want = append(want, explain.Change{Path: "allow_methods", Edit: `write ["PUT"]`},
			explain.Change{Path: "allow_credentials", Edit: "write true"})
		if diff := cmp.Diff(want, e.Changes, inWords); diff != "" {
			t.Errorf("%d (-want +got)\n%s", result, diff)
		}
	}
	// With credentials, plain http is looked up no more.
	r.Origin = "http://app.example"
	e := explain.Explain(policies, r, "", cors.LookupAllows)
	if len(e.Changes) != 1 || !strings.HasPrefix(e.Changes[0].Edit, "no change of the policy helps") {
		t.Errorf("got %+v", e.Changes)
	}
}

// TestParseLookupResult: the words are those that are offered.
func TestParseLookupResult(t *testing.T) {
	for _, word := range explain.LookupResults() {
		if result, ok := explain.ParseLookupResult(word); !ok || result == cors.NotLookedUp {
			t.Errorf("%s isn't known", word)
		}
	}
	if result, ok := explain.ParseLookupResult(""); !ok || result != cors.NotLookedUp {
		t.Error("no word isn't no result")
	}
	if _, ok := explain.ParseLookupResult("overloaded"); ok {
		t.Error("a word is known that isn't offered")
	}
}
