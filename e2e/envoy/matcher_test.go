package envoy_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// What is put into deploy/envoy-matcher, so that not all answers come from the upstream.
const (
	laterFilters = `
          - name: rbac
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC
              rules:
                action: DENY
                policies:
                  deny:
                    permissions: [{url_path: {path: {prefix: /denied}}}]
                    principals: [{any: true}]
          - name: local_ratelimit
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
              stat_prefix: limit
`
	moreRoutes = `
              - {match: {prefix: /redirect}, redirect: {path_redirect: /elsewhere}}
              - {match: {prefix: /direct}, direct_response: {status: 418, body: {inline_string: short and stout}}}
              - {match: {prefix: /nowhere}, route: {cluster_header: x-cluster}}
              - {match: {prefix: /denied}, route: {cluster: api}}
              - match: {prefix: /limited}
                route: {cluster: api}
                typed_per_filter_config:
                  local_ratelimit:
                    "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
                    stat_prefix: limit
                    token_bucket: {max_tokens: 1, fill_interval: 3600s}
                    filter_enabled: {default_value: {numerator: 100}}
                    filter_enforced: {default_value: {numerator: 100}}
              - match: {prefix: /off}
                route: {cluster: api}
                typed_per_filter_config:
                  cors: {"@type": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true}
`
)

// A matchedCase is a request to deploy/envoy-matcher.
type matchedCase struct {
	name     string
	request  cases.Request
	upstream cases.Upstream
}

// matchedCases are requests without an Origin, and those that could be taken for some.
func matchedCases() []matchedCase {
	vary := func(values ...string) (answer cases.Upstream) {
		for _, value := range values {
			answer.Headers = append(answer.Headers, [2]string{"vary", value})
		}
		return answer
	}
	origin := func(values ...string) (r cases.Request) {
		for _, value := range values {
			r.Headers = append(r.Headers, [2]string{"origin", value})
		}
		return r
	}
	preflight := func(r cases.Request) cases.Request {
		r.Method = "OPTIONS"
		return to("", r, [2]string{"access-control-request-method", "PUT"})
	}
	none := cases.Request{}
	list := []matchedCase{
		{"vary-none", none, cases.Upstream{}},
		{"vary-empty", none, vary("")},
		{"vary-other", none, vary("Accept-Encoding")},
		{"vary-other-lines", none, vary("Accept", "Accept-Encoding")},
		{"vary-similar", none, vary("X-Origin, Original, Origin-X, **")},
		{"vary-origin", none, vary("Origin")},
		{"vary-origin-lower-case", none, vary("origin")},
		{"vary-origin-first", none, vary("Origin,Accept")},
		{"vary-origin-middle", none, vary("Accept \t, ORIGIN ,Accept-Encoding")},
		{"vary-origin-last-line", none, vary("Accept", "Origin")},
		{"vary-origin-beyond-utf-8", none, vary("\xff, Origin")},
		{"vary-origin-beyond-utf-8-behind", none, vary("Origin, x\xffy\xc3")},
		{"vary-star", none, vary("*")},
		{"vary-star-in-list", none, vary("Accept, *")},
		{"upstream-cors", none, open},
		{"head", cases.Request{Method: "HEAD"}, cases.Upstream{}},
		{"options", cases.Request{Method: "OPTIONS"}, cases.Upstream{}},
		{"options-with-method", preflight(none), cases.Upstream{}},
		{"not-modified", none, cases.Upstream{Status: 304}},
		{"error", none, cases.Upstream{Status: 500}},
		{"origin-allowed", fromApp, open},
		{"origin-denied", fromElsewhere, open},
		{"origin-null", origin("null"), open},
		{"origin-empty", origin(""), open},
		{"origin-empty-twice", origin("", ""), open},
		{"origin-beyond-utf-8", origin("\xff"), open},
		{"preflight", appPreflight, open},
		{"preflight-denied", evilPreflight, open},
		{"preflight-empty", preflight(origin("")), open},
		{"preflight-beyond-utf-8", preflight(origin("\xff")), open},
		{"preflight-beyond-utf-8-within", preflight(origin("https://x\xffy\xc3.example")), open},
		{"limit", to("/limited", none), cases.Upstream{}}, // takes the only token
	}
	for _, path := range []string{
		"/redirect", "/direct", "/nowhere", "/denied", "/limited", "/unknown", "/known//escaped%2fslash", "/off",
	} {
		list = append(list, matchedCase{"none" + path, to(path, none), cases.Upstream{}},
			matchedCase{"app" + path, to(path, fromApp), cases.Upstream{}},
			matchedCase{"preflight" + path, to(path, appPreflight), cases.Upstream{}})
	}
	return list
}

// TestDeployMatcher: the answers of deploy/envoy-matcher are those of the filter without
// anything around it, for requests with an Origin and without.
func TestDeployMatcher(t *testing.T) {
	upstream := envoytest.NewUpstream(t)
	const router, route = "          - name: envoy.filters.http.router\n", "              - match: {prefix: /}\n"
	text := substitute(t, bootstrap(t, prepare(t, "envoy-matcher"), upstream),
		router, laterFilters[1:]+router, route, moreRoutes[1:]+"              - match: {prefix: /known}\n")
	matched := envoytest.Start(t, text, envoytest.Options{}).Addr(t, "api")
	plain := envoytest.Start(t, unwrapped(t, text), envoytest.Options{}).Addr(t, "api")
	for _, test := range matchedCases() {
		t.Run(test.name, func(t *testing.T) {
			if test.request.Path == "" {
				test.request.Path = "/known"
			}
			want, err := upstream.Exchange(envoytest.HTTP1, plain, test.request, test.upstream)
			if err != nil {
				t.Fatal(err)
			}
			got, err := upstream.Exchange(envoytest.HTTP1, matched, test.request, test.upstream)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(seen(want), seen(got)); diff != "" {
				t.Errorf("the answer (-plain +matched):\n%s", diff)
			}
		})
	}
}

// seen is what CORS depends on in the fate of a request.
func seen(x envoytest.Exchange) []string {
	return append(cases.Lines(x.Response.Headers),
		fmt.Sprintf("status %d, forwarded %d times", x.Response.Status, len(x.Received)))
}

// unwrapped is an Envoy configuration in which the filter cors is the Wasm filter itself
// instead of what decides whether it runs.
func unwrapped(t *testing.T, text string) string {
	t.Helper()
	var config any
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		t.Fatal(err)
	}
	filter := find(config, func(m map[string]any) bool { return m["name"] == "cors" && m["typed_config"] != nil })
	wasm := find(filter, func(m map[string]any) bool {
		url, _ := m["@type"].(string)
		return strings.HasSuffix(url, ".wasm.v3.Wasm")
	})
	if filter == nil || wasm == nil || cmp.Equal(filter["typed_config"], any(wasm)) {
		t.Fatal("the example isn't written as this test expects it")
	}
	filter["typed_config"] = wasm
	unwrapped, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return string(unwrapped)
}

// find is the first object in a tree for which is returns true, or nil.
func find(tree any, is func(map[string]any) bool) (found map[string]any) {
	switch node := tree.(type) {
	case map[string]any:
		if is(node) {
			return node
		}
		for _, value := range node {
			if found = find(value, is); found != nil {
				return found
			}
		}
	case []any:
		for _, value := range node {
			if found = find(value, is); found != nil {
				return found
			}
		}
	}
	return nil
}
