package explain_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/tidwall/gjson"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/explain"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// policiesOf are the policies of a document; none if it isn't valid.
func policiesOf(doc string) []config.Policy {
	_, policies, _ := config.ParsePolicies(doc)
	return policies
}

// TestCases: what explain says the filter answers is what the filter answers, in each
// of the cases that it runs in Envoy, as far as a browser makes such requests.
func TestCases(t *testing.T) {
	compared := 0
	for _, c := range cases.All {
		r, ok := asked(c)
		if !ok {
			continue
		}
		compared++
		t.Run(c.Name, func(t *testing.T) {
			e := explain.Explain(policiesOf(c.Config), r, c.Request.Route, cors.NotLookedUp)
			got := e.Actual
			if c.Request.Method == "OPTIONS" {
				got = e.Preflight
			}
			if got.Forwarded != c.Want.Forwarded || !got.Forwarded && got.Status != c.Want.Status {
				t.Errorf("forwarded %v with %d, want %v with %d", got.Forwarded, got.Status, c.Want.Forwarded,
					c.Want.Status)
			}
			if diff := cmp.Diff(c.Want.Headers, cases.Lines(got.Headers)); diff != "" {
				t.Errorf("headers (-want +got)\n%s", diff)
			}
		})
	}
	if compared < 100 {
		t.Errorf("only %d cases were compared", compared)
	}
}

// asked is what a page asked for, if a browser makes the request of the case of it,
// and the upstream has no CORS headers.
func asked(c cases.Case) (r browser.Request, ok bool) {
	request := c.Request.Complete()
	r = browser.Request{Method: "GET", URL: "https://" + request.Host + request.Path}
	for _, h := range c.Upstream.Headers {
		if strings.HasPrefix(h[0], "access-control-") || strings.EqualFold(h[0], "vary") {
			return r, false
		}
	}
	preflight := [][2]string(nil)
	for _, h := range c.Request.Headers {
		switch h[0] {
		case "origin":
			if r.Origin != "" {
				return r, false
			}
			r.Origin = h[1]
		case "access-control-request-method":
			r.Method = h[1]
		case "access-control-request-headers":
			r.UnsafeNames = append(r.UnsafeNames, strings.Split(h[1], ",")...)
		case "access-control-request-private-network":
			r.PrivateNetwork = true
		}
		preflight = append(preflight, h)
	}
	if origin, err := browser.SerializeOrigin(r.Origin); err != nil && r.Origin != "null" || origin != r.Origin &&
		r.Origin != "null" {
		return r, false
	}
	if c.Request.Method == "OPTIONS" {
		sent := r.Preflight()
		for i := range sent {
			sent[i][0] = strings.ToLower(sent[i][0])
		}
		return r, slices.Equal(sent, preflight) && !browser.ForbiddenMethod(r.Method)
	}
	return r, request.Method == "GET" && len(c.Request.Headers) == 1 && r.CORS()
}

// TestWithoutTheFilter: where the filter isn't there, no policy is proposed.
func TestWithoutTheFilter(t *testing.T) {
	for _, method := range []string{"GET", "PUT"} {
		request := browser.Request{Origin: page, URL: "https://api.example/", Method: method}
		e := (&explain.Proxy{}).Explain(request, "", cors.NotLookedUp)
		want := []explain.Change{{Edit: "no policy can allow it: the filter isn't there"}}
		if diff := cmp.Diff(want, e.Changes); e.Blocked == nil || diff != "" {
			t.Errorf("%s: changes (-want +got)\n%s", method, diff)
		}
	}
}

// edits are what the tests understand of the words of a change.
var edits = regexp.MustCompile(`^(add|write) (.*?)$`)

// apply makes a change in a document, as a person would.
func apply(t *testing.T, doc string, c explain.Change) string {
	t.Helper()
	words := edits.FindStringSubmatch(c.Edit)
	if words == nil {
		t.Fatalf("can't make the change %q", c.Edit)
	}
	steps := strings.FieldsFunc(c.Path, func(r rune) bool { return strings.ContainsRune(".[]", r) })
	value := words[2]
	if words[1] == "write" && strings.HasPrefix(value, "the origins") {
		_, value, _ = strings.Cut(value, "such as ")
		return replace(t, doc, steps, "["+value+"]")
	}
	if words[1] == "add" {
		list := gjson.Get(doc, strings.Join(steps, ".")).Raw
		value = strings.TrimSuffix(list, "]") + ", " + value + "]"
	}
	return replace(t, doc, steps, value)
}

// replace sets the field that the steps lead to.
func replace(t *testing.T, doc string, steps []string, value string) string {
	t.Helper()
	if old := gjson.Get(doc, strings.Join(steps, ".")); old.Exists() {
		return doc[:old.Index] + value + doc[old.Index+len(old.Raw):]
	}
	object := gjson.Parse(doc)
	if len(steps) > 1 {
		object = gjson.Get(doc, strings.Join(steps[:len(steps)-1], "."))
	}
	return doc[:object.Index+1] + fmt.Sprintf("%q: %s, ", steps[len(steps)-1], value) + doc[object.Index+1:]
}

const page = "https://app.example"

// inWords compares changes by their words. What they are for code, the playground's tests
// try out.
var inWords = cmpopts.IgnoreFields(explain.Change{}, "Rewrite")

// TestChange: the change that explain proposes is what is missing and no more, and
// with it the request is allowed.
func TestChange(t *testing.T) {
	get := browser.Request{Origin: page, URL: "https://api.example/v1", Method: "GET"}
	with := func(change func(*browser.Request)) browser.Request {
		r := get
		change(&r)
		return r
	}
	for _, test := range []struct {
		name, doc string
		request   browser.Request
		// want are the changes; one without a path, if nothing helps.
		want []explain.Change
	}{
		{"origin", `{"allow_origins": ["https://other.example"]}`, get,
			[]explain.Change{{Path: "allow_origins", Offset: 18, Edit: `add "https://app.example"`}}},
		{"null", `{"allow_origins": ["https://other.example"]}`, with(func(r *browser.Request) { r.Origin = "null" }),
			[]explain.Change{{Path: "allow_origins", Offset: 18, Edit: `add "null"`}}},
		{"an app's origin", `{"allow_origins": ["https://other.example"], "allow_credentials": true}`,
			with(func(r *browser.Request) { r.Origin = "capacitor://localhost" }),
			[]explain.Change{{Path: "allow_origins", Offset: 18, Edit: `add "capacitor://localhost"`}}},
		{"an app's origin, and credentials", `{"allow_origins": ["https://other.example"]}`,
			with(func(r *browser.Request) { r.Origin, r.CredentialsInclude = "app://-", true }),
			[]explain.Change{{Path: "allow_origins", Offset: 18, Edit: `add "app://-"`},
				{Path: "allow_credentials", Edit: "write true"}}},
		{"null with credentials, of which validate warns",
			`{"allow_origins": ["https://other.example"], "allow_credentials": true}`,
			with(func(r *browser.Request) { r.Origin = "null" }),
			[]explain.Change{{Path: "allow_origins", Offset: 18, Edit: `add "null"`, Warnings: []string{
				`"null" is the origin of every sandboxed frame, so with allow_credentials any site can read answers; serve the pages from an origin of their own`,
			}}}},
		{"credentials, of which validate warns beside null", `{"allow_origins": ["null"]}`,
			with(func(r *browser.Request) { r.Origin, r.CredentialsInclude = "null", true }),
			[]explain.Change{{Path: "allow_credentials", Edit: "write true", Warnings: []string{
				`"null" is the origin of every sandboxed frame, so with allow_credentials any site can read answers; serve the pages from an origin of their own`,
			}}}},
		{"method", `{"allow_origins": ["https://app.example"]}`, with(func(r *browser.Request) { r.Method = "PUT" }),
			[]explain.Change{{Path: "allow_methods", Edit: `write ["PUT"]`}}},
		{"method in lower case", `{"allow_origins": ["https://app.example"], "allow_methods": ["PATCH"]}`,
			with(func(r *browser.Request) { r.Method = "patch" }),
			[]explain.Change{{Path: "allow_methods", Offset: 60, Edit: `add "patch"`, Warnings: []string{
				`"patch" is not PATCH: methods compare by case, and browsers send what the page wrote; write "PATCH" if the pages do`,
			}}}},
		{"several headers", `{"allow_origins": ["*"], "allow_headers": ["X-A"]}`, with(func(r *browser.Request) {
			r.Headers = [][2]string{{"x-a", "1"}, {"X-C", "1"}, {"content-type", "application/json"}}
		}), []explain.Change{{Path: "allow_headers", Offset: 42, Edit: `add "Content-Type", "X-C"`}}},
		{"several headers, none listed", `{"allow_origins": ["*"]}`, with(func(r *browser.Request) {
			r.Headers = [][2]string{{"x-b", "1"}, {"x-a", "1"}}
		}), []explain.Change{{Path: "allow_headers", Edit: `write ["X-A", "X-B"]`}}},
		{"authorization", `{"allow_origins": ["*"], "allow_headers": ["*"]}`, with(func(r *browser.Request) {
			r.Headers = [][2]string{{"authorization", "Bearer x"}}
		}), []explain.Change{{Path: "allow_headers", Offset: 42, Edit: `add "Authorization"`}}},
		{"credentials", `{"allow_origins": ["https://app.example"]}`,
			with(func(r *browser.Request) { r.CredentialsInclude = true }),
			[]explain.Change{{Path: "allow_credentials", Edit: "write true"}}},
		{"credentials with a wildcard", `{"allow_origins": ["*"], "expose_headers": ["X-A"]}`,
			with(func(r *browser.Request) { r.CredentialsInclude = true }),
			[]explain.Change{
				{Path: "allow_origins", Offset: 18,
					Edit: `write the origins that may send credentials instead of "*", such as "https://app.example"`},
				{Path: "allow_credentials", Edit: "write true"},
			}},
		{"everything", `{"allow_origins": ["https://other.example"], "allow_methods": ["PUT"]}`,
			with(func(r *browser.Request) {
				r.Method, r.CredentialsInclude = "DELETE", true
				r.Headers = [][2]string{{"x-a", "1"}}
			}), []explain.Change{
				{Path: "allow_origins", Offset: 18, Edit: `add "https://app.example"`},
				{Path: "allow_methods", Offset: 62, Edit: `add "DELETE"`},
				{Path: "allow_headers", Edit: `write ["X-A"]`},
				{Path: "allow_credentials", Edit: "write true"},
			}},
		{"private network", `{"allow_origins": ["*"]}`, with(func(r *browser.Request) { r.PrivateNetwork = true }),
			[]explain.Change{{Path: "allow_private_network", Edit: "write true"}}},
		{"shadow", `{"allow_origins": ["*"], "mode": "shadow"}`, get,
			[]explain.Change{{Path: "mode", Offset: 33, Edit: `write "enforce"`}}},
		{"a preflight that is forwarded", `{"allow_origins": ["*"], "unmatched_preflights": "forward"}`,
			with(func(r *browser.Request) { r.Method = "PUT" }),
			[]explain.Change{{Path: "allow_methods", Edit: `write ["PUT"]`}}},
		{"an inherited field",
			`{"defaults": {"allow_origins": ["*"], "allow_methods": ["PUT"]}, "policies": [{"name": "a"}]}`,
			with(func(r *browser.Request) { r.Method = "DELETE" }),
			[]explain.Change{{Path: "policies[0].allow_methods", Offset: 78, Edit: `write ["PUT", "DELETE"]`}}},
		{"an inherited wildcard with credentials",
			`{"defaults": {"allow_origins": ["https://b.example", {"regex": "https://r\\.example"}, "*"]}, "policies": [{"name": "a"}]}`, with(func(r *browser.Request) { r.CredentialsInclude = true }),
			[]explain.Change{
				{Path: "policies[0].allow_origins", Offset: 107,
					Edit: `write ["https://b.example", {"regex": "https://r\\.example"}, "https://app.example"]`},
				{Path: "policies[0].allow_credentials", Offset: 107, Edit: "write true"},
			}},
		{"a null", `{"allow_origins": ["*"], "allow_methods": null}`,
			with(func(r *browser.Request) { r.Method = "PUT" }),
			[]explain.Change{{Path: "allow_methods", Offset: 42, Edit: `write ["PUT"]`}}},
		{"two wildcards with credentials", `{"allow_origins": ["*", "*"]}`,
			with(func(r *browser.Request) { r.CredentialsInclude = true }),
			[]explain.Change{
				{Path: "allow_origins", Offset: 18,
					Edit: `write the origins that may send credentials instead of "*", such as "https://app.example"`},
				{Path: "allow_credentials", Edit: "write true"},
			}},
		{"an entry that credentials forbid", `{"allow_origins": ["https://app.example", "http://b.example"]}`,
			with(func(r *browser.Request) { r.CredentialsInclude = true }),
			[]explain.Change{{Edit: `no change helps without removing allow_origins[1]: "http://b.example" with allow_credentials trusts whoever is on the network between, because plain http can be forged`}}},
		{"a field of one policy",
			`{"policies": [{"name": "b", "match": {"hosts": ["b.example"]}, "allow_origins": ["*"]}, {"name": "a", "allow_origins": ["*"]}]}`, with(func(r *browser.Request) { r.Method = "DELETE" }),
			[]explain.Change{{Path: "policies[1].allow_methods", Offset: 88, Edit: `write ["DELETE"]`}}},
		{"another host", `{"policies": [{"name": "a", "match": {"hosts": ["b.example"]}, "allow_origins": ["*"]}]}`,
			get,
			[]explain.Change{{Path: "policies[0].match.hosts", Offset: 47, Edit: `add "api.example"`}}},
		{"no policy that would do",
			`{"policies": [{"name": "a", "match": {"hosts": ["b.example"]}, "allow_origins": ["https://b.example"]}]}`,
			get,
			[]explain.Change{{Path: "policies",
				Edit: `add {"name": "new", "match": {"hosts": ["api.example"], "paths": [{"prefix": "/v1"}]}, "allow_origins": ["https://app.example"]}`}}},
		{"no policy, and all is missing",
			`{"policies": [{"name": "a", "match": {"hosts": ["b.example"]}, "allow_origins": ["https://b.example"]}]}`,
			with(func(r *browser.Request) {
				r.Method, r.CredentialsInclude, r.PrivateNetwork, r.URL = "PUT", true, true, "https://api.example/"
				r.Headers = [][2]string{{"authorization", "x"}}
			}),
			[]explain.Change{{Path: "policies",
				Edit: `add {"name": "new", "match": {"hosts": ["api.example"]}, "allow_origins": ["https://app.example"], "allow_methods": ["PUT"], "allow_headers": ["Authorization"], "allow_credentials": true, "allow_private_network": true}`}}},
		{"no policy, and one that isn't a list",
			`{"match": {"hosts": ["b.example"]}, "allow_origins": ["https://b.example"]}`, get,
			[]explain.Change{{Path: "policies",
				Edit: `write the policy as the first of a list of policies, and add {"name": "new", "match": {"hosts": ["api.example"], "paths": [{"prefix": "/v1"}]}, "allow_origins": ["https://app.example"]}`}}},
		{"an origin that a look-up lacks", `{"origin_lookup": {"cluster": "policies"}, "allow_origins": ["https://b.example"]}`,
			with(func(r *browser.Request) { r.Method = "PUT" }),
			[]explain.Change{{Path: "allow_origins", Offset: 60, Edit: `add "https://app.example"`,
				Or: "register https://app.example where the cluster policies looks it up"},
				{Path: "allow_methods", Edit: `write ["PUT"]`}}},
		{"nothing but a look-up, inherited", `{"defaults": {"origin_lookup": {"cluster": "policies"}}, "policies": [{"name": "a"}]}`, get,
			[]explain.Change{{Path: "policies[0].allow_origins", Offset: 70, Edit: `write ["https://app.example"]`,
				Or: "register https://app.example where the cluster policies looks it up"}}},
		{"what isn't looked up", `{"origin_lookup": {"cluster": "policies"}}`,
			with(func(r *browser.Request) { r.Origin = "null" }),
			[]explain.Change{{Path: "allow_origins", Edit: `write ["null"]`}}},
		{"a look-up in shadow mode", `{"origin_lookup": {"cluster": "policies"}, "mode": "shadow"}`, get,
			[]explain.Change{{Path: "mode", Offset: 51, Edit: `write "enforce"`},
				{Path: "allow_origins", Edit: `write ["https://app.example"]`,
					Or: "register https://app.example where the cluster policies looks it up"}}},
		{"off", `{"mode": "off"}`, get, []explain.Change{{Path: "mode", Offset: 9, Edit: `write "enforce"`},
			{Path: "allow_origins", Edit: `write ["https://app.example"]`}}},
		{"off, and look-ups by default",
			`{"defaults": {"origin_lookup": {"cluster": "policies"}}, "policies": [{"name": "a", "mode": "off"}]}`, get,
			[]explain.Change{{Path: "policies[0].mode", Offset: 92, Edit: `write "enforce"`},
				{Path: "policies[0].allow_origins", Offset: 70, Edit: `write ["https://app.example"]`,
					Or: "register https://app.example where the cluster policies looks it up"}}},
		{"off, and allowed by what it inherits",
			`{"defaults": {"allow_origins": ["https://app.example"]}, "policies": [{"name": "a", "mode": "off"}]}`, get,
			[]explain.Change{{Path: "policies[0].mode", Offset: 92, Edit: `write "enforce"`}}},
		{"no policy, and defaults that keep one from helping",
			`{"defaults": {"mode": "shadow", "max_age": 5}, "policies": [{"name": "a", "match": {"hosts": ["b.example"]}, "allow_origins": ["https://b.example"]}]}`,
			get,
			[]explain.Change{{Path: "policies",
				Edit: `add {"name": "new", "match": {"hosts": ["api.example"], "paths": [{"prefix": "/v1"}]}, "allow_origins": ["https://app.example"], "mode": "enforce"}`}}},
		{"no policy, and look-ups by default",
			`{"defaults": {"origin_lookup": {"cluster": "policies"}}, "policies": [{"name": "a", "match": {"hosts": ["b.example"]}}]}`,
			get,
			[]explain.Change{{Path: "policies",
				Edit: `add {"name": "new", "match": {"hosts": ["api.example"], "paths": [{"prefix": "/v1"}]}, "allow_origins": ["https://app.example"]}`}}},
		{"what the filter refuses", `{"allow_origins": ["https://app.example"], "allow_credentials": true}`,
			with(func(r *browser.Request) { r.Origin = "http://app.example" }),
			[]explain.Change{{Edit: `no change of the policy helps, because the filter refuses it: "http://app.example" with allow_credentials trusts whoever is on the network between, because plain http can be forged; have the pages served over https, or leave out allow_credentials`}}},
		{"a forbidden method", `{"allow_origins": ["*"]}`, with(func(r *browser.Request) { r.Method = "TRACE" }),
			[]explain.Change{{Edit: "no policy can allow it: the browser doesn't make the request"}}},
		{"no origin", `{"allow_origins": ["https://app.example"]}`, with(func(r *browser.Request) { r.Origin = "app" }),
			[]explain.Change{{Edit: "no policy can allow it: the Origin header is not one serialized origin"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			policies := policiesOf(test.doc)
			if policies == nil {
				_, problems := config.Parse(test.doc)
				t.Fatal(problems)
			}
			e := explain.Explain(policies, test.request, "", cors.NotLookedUp)
			if e.Blocked == nil {
				t.Fatal("it is allowed")
			}
			if diff := cmp.Diff(test.want, e.Changes, inWords); diff != "" {
				t.Fatalf("(-want +got)\n%s", diff)
			}
			if c := e.Changes[0]; c.Path == "" || strings.HasPrefix(c.Edit, "write the policy as") {
				return
			}
			// Without any one of the changes, the request is blocked still.
			for without := -1; without < len(e.Changes); without++ {
				doc := test.doc
				for i, c := range e.Changes {
					if i != without {
						doc = apply(t, doc, c)
					}
				}
				policies := policiesOf(doc)
				isAllowed := policies != nil &&
					explain.Explain(policies, test.request, "", cors.NotLookedUp).Blocked == nil
				if isAllowed != (without < 0) {
					t.Errorf("%s: allowed %v without change %d", doc, isAllowed, without)
				}
			}
		})
	}
}

// TestChoices: of each policy, whether it applies and why.
func TestChoices(t *testing.T) {
	const doc = `{"defaults": {"allow_origins": ["*"]}, "policies": [
		{"name": "all"},
		{"name": "v1", "match": {"paths": [{"prefix": "/v1"}]}},
		{"name": "v1x", "match": {"paths": [{"prefix": "/v1/x"}]}},
		{"name": "exact", "match": {"paths": [{"exact": "/v1/x/y"}]}},
		{"name": "wide", "match": {"hosts": ["*.example"]}},
		{"name": "wider", "match": {"hosts": ["*.api.example"]}},
		{"name": "host", "match": {"hosts": ["a.api.example"]}},
		{"name": "route", "match": {"routes": ["r"]}}
	]}`
	for _, test := range []struct {
		url, route string
		want       []string
	}{
		{"https://x.test/", "", []string{
			"all: it matches every host and every path",
			"not v1: it isn't for the path /", "not v1x: it isn't for the path /", "not exact: it isn't for the path /",
			"not wide: it isn't for the host x.test", "not wider: it isn't for the host x.test",
			"not host: it isn't for the host x.test",
			"not route: it is for routes, and no route is given",
		}},
		{"https://a.api.example/v1/x/y?q", "r", []string{
			"route: it matches the route r",
			"but host: it matches the host a.api.example and every path, and a match by route comes before all others",
			"but wider: it matches the host *.api.example and every path, and a match by route comes before all others",
			"but wide: it matches the host *.example and every path, and a match by route comes before all others",
			"but exact: it matches every host and the exact path /v1/x/y, and a match by route comes before all others",
			"but v1x: it matches every host and the prefix /v1/x, and a match by route comes before all others",
			"but v1: it matches every host and the prefix /v1, and a match by route comes before all others",
			"but all: it matches every host and every path, and a match by route comes before all others",
		}},
		{"https://a.api.example/v1/x/y?q", "s", []string{
			"host: it matches the host a.api.example and every path",
			"but wider: it matches the host *.api.example and every path, and an exact host is more specific than a wildcard",
			"but wide: it matches the host *.example and every path, and an exact host is more specific than a wildcard",
			"but exact: it matches every host and the exact path /v1/x/y, and a host is more specific than every host",
			"but v1x: it matches every host and the prefix /v1/x, and a host is more specific than every host",
			"but v1: it matches every host and the prefix /v1, and a host is more specific than every host",
			"but all: it matches every host and every path, and a host is more specific than every host",
			"not route: it isn't for the route s",
		}},
		{"https://x.test/v1/x/y", "", []string{
			"exact: it matches every host and the exact path /v1/x/y",
			"but v1x: it matches every host and the prefix /v1/x, and an exact path is more specific than a prefix",
			"but v1: it matches every host and the prefix /v1, and an exact path is more specific than a prefix",
			"but all: it matches every host and every path, and a path is more specific than every path",
			"not wide: it isn't for the host x.test", "not wider: it isn't for the host x.test",
			"not host: it isn't for the host x.test",
			"not route: it is for routes, and no route is given",
		}},
		{"", "", []string{
			"all: it matches every host and every path",
			"not v1: it isn't for the path /", "not v1x: it isn't for the path /", "not exact: it isn't for the path /",
			"not wide: it is for hosts, and no URL is given", "not wider: it is for hosts, and no URL is given",
			"not host: it is for hosts, and no URL is given",
			"not route: it is for routes, and no route is given",
		}},
	} {
		t.Run(test.url+" "+test.route, func(t *testing.T) {
			e := explain.Explain(policiesOf(doc), browser.Request{Origin: page, URL: test.url, Method: "GET"},
				test.route, cors.NotLookedUp)
			var got []string
			for _, c := range e.Choices {
				switch s := c.Name + ": " + c.Why; {
				case c.Applies:
					got = append(got, s)
				case c.Matches:
					got = append(got, "but "+s)
				default:
					got = append(got, "not "+s)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestNeverSent: of what the browser never sends, there are no answers, and no hints.
func TestNeverSent(t *testing.T) {
	for name, r := range map[string]browser.Request{
		"forbidden method": {Origin: page, URL: "https://api.example/", Method: "trace"},
		"same-origin mode": {Origin: page, URL: "https://api.example/", Method: "PUT", Mode: browser.ModeSameOrigin},
		"scheme":           {Origin: page, URL: "ftp://api.example/", Method: "PUT"},
	} {
		e := explain.Explain(policiesOf(`{"allow_origins": ["*"]}`), r, "", cors.NotLookedUp)
		if e.Blocked == nil || e.Preflight != nil || e.PreflightDecision != nil || e.Actual != nil ||
			e.Decision() != nil || e.Hints != nil {
			t.Errorf("%s: blocked %v, preflight %v, actual %v, hints %q", name, e.Blocked, e.Preflight, e.Actual,
				e.Hints)
		}
	}
}

// TestShadow: the reason is the browser's, as the filter changes nothing.
func TestShadow(t *testing.T) {
	r := browser.Request{Origin: page, URL: "https://api.example/", Method: "PUT"}
	e := explain.Explain(policiesOf(`{"allow_origins": ["https://b.example"], "mode": "shadow"}`), r, "", cors.NotLookedUp)
	if e.Decision() != nil || e.Because() != e.Blocked.Error() {
		t.Errorf("because %s", e.Because())
	}
}

// TestHints: what is said of requests in which CORS has no say, and of the origin.
func TestHints(t *testing.T) {
	for _, test := range []struct {
		origin string
		mode   browser.Mode
		want   string
	}{
		{page, browser.ModeNoCORS,
			"the request's mode is no-cors: nothing is blocked, and the page can't read the answer"},
		{page, "navigate", "a navigation: CORS has no say"},
		{"https://api.example", browser.ModeCORS, "the page and the URL have the same origin, so CORS has no say"},
		{"https://api.example:443", browser.ModeCORS,
			"a browser sends the origin https://api.example:443 as https://api.example"},
		{"file:///x", browser.ModeCORS, "a browser sends the origin file:///x as null"},
		{"null", browser.ModeCORS, ""},
		{"capacitor://localhost", browser.ModeCORS, ""},
		{"ionic://localhost", browser.ModeCORS, ""},
		{"tauri://localhost", browser.ModeCORS, ""},
		{"app://-", browser.ModeCORS, ""},
		{"chrome-extension://aBc", browser.ModeCORS, ""},
		{"Capacitor://localhost/index.html?t=s", browser.ModeCORS,
			"a browser sends the origin Capacitor://localhost/index.html?t=*** as capacitor://localhost"},
	} {
		e := explain.Explain(policiesOf(`{"allow_origins": ["*"]}`),
			browser.Request{Origin: test.origin, URL: "https://api.example/", Method: "GET", Mode: test.mode}, "", cors.NotLookedUp)
		if test.want == "" && e.Hints != nil || test.want != "" && !slices.Contains(e.Hints, test.want) {
			t.Errorf("%s, mode %q: got %q, want %q", test.origin, test.mode, e.Hints, test.want)
		}
		want := test.mode == browser.ModeCORS && !strings.HasPrefix(test.origin, "https://api.example")
		if isSubject := e.Request.CORS(); isSubject != want {
			t.Errorf("%s, mode %q: subject to CORS: %v", test.origin, test.mode, isSubject)
		}
	}
}

// TestKey: a URL is looked up as browsers send it.
func TestKey(t *testing.T) {
	want := match.Key{Route: "r", Host: "api.example", Path: "/v1/100%?q"}
	if got := explain.Key(`https:///API.example:443\x/../v1/100%?q#f`, "r"); got != want {
		t.Errorf("got %+v", got)
	}
	if got := explain.Key("x", ""); got != (match.Key{Path: "/"}) {
		t.Errorf("got %+v of no URL", got)
	}
}

// TestAsTyped: what the filter makes of an origin that is written as no browser sends it.
func TestAsTyped(t *testing.T) {
	const slash = "the Origin header https://app.example/ has a slash at its end, as browsers never send it"
	for _, test := range []struct {
		name, doc, origin, method, want string
	}{
		{"a slash, and a preflight", `{"allow_origins": ["https://app.example"], "allow_methods": ["PUT"]}`,
			"https://app.example/", "PUT",
			"sent as it is written, as curl does, the filter answers the preflight with 403: " + slash},
		{"a slash, and none", `{"allow_origins": ["https://app.example"]}`, "https://app.example/", "GET",
			"sent as it is written, as curl does, the answer has no CORS headers, and a preflight is answered with 403: " + slash},
		{"a slash, forwarded", `{"allow_origins": ["https://app.example"], "unmatched_preflights": "forward"}`,
			"https://app.example/", "PUT",
			"sent as it is written, as curl does, the preflight is forwarded to the upstream: " + slash},
		{"a slash, none, forwarded", `{"allow_origins": ["https://app.example"], "unmatched_preflights": "forward"}`,
			"https://app.example/", "GET",
			"sent as it is written, as curl does, the answer has no CORS headers: " + slash},
		{"upper case", `{"allow_origins": ["https://app.example"], "allow_methods": ["PUT"]}`, "https://App.Example",
			"PUT",
			"sent as it is written, as curl does, the filter answers the preflight with 403: the Origin header https://App.Example has upper-case letters, as browsers never send it"},
		{"shadow", `{"allow_origins": ["https://app.example"], "mode": "shadow"}`, "https://app.example/", "PUT", ""},
		{"as browsers do", `{"allow_origins": ["https://app.example"], "allow_methods": ["PUT"]}`,
			"https://app.example", "PUT", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := explain.Explain(policiesOf(test.doc),
				browser.Request{Origin: test.origin, URL: "https://api.example/", Method: test.method}, "",
				cors.NotLookedUp)
			if e.Typed != test.want {
				t.Errorf("got %q, want %q", e.Typed, test.want)
			}
			if e.Request.Origin != "https://app.example" {
				t.Errorf("the origin is taken for %s", e.Request.Origin)
			}
		})
	}
}

// TestByHand: OPTIONS without Access-Control-Request-Method is no preflight, and no
// method to add.
func TestByHand(t *testing.T) {
	for doc, changes := range map[string][]string{
		`{"allow_origins": ["https://app.example"]}`: {""},
		`{"allow_origins": ["https://b.example"]}`:   {"allow_origins", ""},
	} {
		e := explain.Explain(policiesOf(doc), browser.Request{Origin: page, URL: "https://api.example/",
			Method: "OPTIONS", ByHand: true}, "", cors.NotLookedUp)
		var paths []string
		for _, c := range e.Changes {
			paths = append(paths, c.Path)
			if strings.Contains(c.Edit, `"OPTIONS"`) {
				t.Errorf("%s: %s", doc, c.Edit)
			}
		}
		if !slices.Equal(paths, changes) || e.Preflight != nil || e.Actual == nil || !e.Actual.Forwarded ||
			!strings.Contains(e.Changes[len(changes)-1].Edit, "no preflight") {
			t.Errorf("%s: changes %v, preflight %v, actual %v", doc, e.Changes, e.Preflight, e.Actual)
		}
	}
}

// TestGRPCWeb: a call that fails has its status in headers, which the page must see.
func TestGRPCWeb(t *testing.T) {
	grpc := [][2]string{{"Content-Type", "application/grpc-web+proto"}}
	for _, test := range []struct {
		name, doc string
		headers   [][2]string
		names     []string
		want      string
	}{
		{"none", `{"allow_origins": ["*"]}`, grpc, nil,
			`add "grpc-status", "grpc-message", "grpc-status-details-bin" to expose_headers`},
		{"some", `{"allow_origins": ["*"], "expose_headers": ["Grpc-Status", "grpc-message"]}`,
			[][2]string{{"content-type", "application/grpc-web-text"}}, nil,
			`add "grpc-status-details-bin" to expose_headers`},
		{"by the preflight alone", `{"allow_origins": ["*"], "expose_headers": ["grpc-status"]}`, nil,
			[]string{"content-type", "x-grpc-web"}, `add "grpc-message", "grpc-status-details-bin" to expose_headers`},
		{"every", `{"allow_origins": ["*"], "expose_headers": ["*"]}`, grpc, nil, ""},
		{"no gRPC-Web", `{"allow_origins": ["*"]}`, [][2]string{{"Content-Type", "application/grpc"}}, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := explain.Explain(policiesOf(test.doc),
				browser.Request{Origin: page, URL: "https://api.example/", Method: "POST", Headers: test.headers,
					UnsafeNames: test.names}, "", cors.NotLookedUp)
			hints := strings.Join(e.Hints, "\n")
			if test.want == "" && strings.Contains(hints, "gRPC") || !strings.Contains(hints, test.want) {
				t.Errorf("got %q, want %q", hints, test.want)
			}
		})
	}
}
