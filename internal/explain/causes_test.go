package explain_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/explain"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/manifest"
)

// reports are explanations of requests, each "METHOD URL ORIGIN", with "+name" for a header
// that needs a preflight and "cookies" for credentials.
func reports(t *testing.T, configuration string, requests ...string) (list []*explain.Report) {
	t.Helper()
	plugins, findings := manifest.Find("cors.json", configuration, nil)
	if len(plugins) != 1 || findings != nil {
		t.Fatalf("%v", findings)
	}
	for _, text := range requests {
		words := strings.Fields(text)
		s := &explain.Subject{Request: browser.Request{Method: words[0], URL: words[1], Origin: words[2]}}
		for _, word := range words[3:] {
			if name, isHeader := strings.CutPrefix(word, "+"); isHeader {
				s.UnsafeNames = append(s.UnsafeNames, name)
			} else {
				s.CredentialsInclude = true
			}
		}
		list = append(list, explain.ByFile(plugins[0], s, "", cors.NotLookedUp))
	}
	return list
}

// TestFindCauses: what is blocked for the same cause is told once, and all changes are tried
// together.
func TestFindCauses(t *testing.T) {
	const api = `{"policies": [{"name": "api", "match": {"hosts": ["api.example"], "paths": [{"prefix": "/v1"}]},
		"allow_origins": ["https://a.example"]}]}`
	for _, test := range []struct {
		name, configuration string
		requests            []string
		// want has a line for each cause and each of its changes, and then for what all come to.
		want []string
	}{
		{"nothing", `{"allow_origins": ["*"]}`, []string{"GET https://api.example/ https://a.example"}, nil},
		{"the same method, whatever the path", api, []string{
			"PUT https://api.example/v1/a https://a.example", "PUT https://api.example/v1/b https://a.example",
		}, []string{
			"2 policies[0]: method PUT is not in allow_methods (allowed: GET, HEAD, POST)", `- policies[0].allow_methods: write ["PUT"]`,
			`together 2: policies[0].allow_methods: write ["PUT"]`,
		}},
		{"the one with the most requests first", api, []string{
			"PUT https://api.example/v1/a https://a.example",
			"GET https://api.example/v1/a https://b.example", "GET https://api.example/v1/a https://b.example",
		}, []string{
			"2 policies[0]: origin https://b.example is not in allow_origins",
			`- policies[0].allow_origins: add "https://b.example"`,
			"1 policies[0]: method PUT is not in allow_methods (allowed: GET, HEAD, POST)", `- policies[0].allow_methods: write ["PUT"]`,
			`together 3: policies[0].allow_methods: write ["PUT"]`,
			`together 3: policies[0].allow_origins: add "https://b.example"`,
		}},
		{"what several need of a field is one edit", api, []string{
			"PUT https://api.example/v1/a https://a.example +x-a", "PUT https://api.example/v1/a https://a.example +x-b",
		}, []string{
			"1 policies[0]: method PUT is not in allow_methods (allowed: GET, HEAD, POST)", `- policies[0].allow_methods: write ["PUT"]`,
			`- policies[0].allow_headers: write ["X-A"]`,
			"1 policies[0]: method PUT is not in allow_methods (allowed: GET, HEAD, POST)", `- policies[0].allow_methods: write ["PUT"]`,
			`- policies[0].allow_headers: write ["X-B"]`,
			`together 2: policies[0].allow_methods: write ["PUT"]`,
			`together 2: policies[0].allow_headers: write ["X-A", "X-B"]`,
		}},
		{"one new policy for a host, with what its paths have in common", api, []string{
			"GET https://img.example/u/1 https://a.example", "PUT https://img.example/u/2/x https://b.example +x-a",
			"GET https://img.example/u/3 https://a.example cookies",
		}, []string{
			"3 no policy applies to requests for img.example",
			`- policies: add {"name": "new", "match": {"hosts": ["img.example"], "paths": [{"prefix": "/u"}]}, ` +
				`"allow_origins": ["https://a.example", "https://b.example"], "allow_methods": ["PUT"], ` +
				`"allow_headers": ["X-A"], "allow_credentials": true}`,
			`together 3: policies: add {"name": "new", "match": {"hosts": ["img.example"], "paths": [{"prefix": "/u"}]}, ` +
				`"allow_origins": ["https://a.example", "https://b.example"], "allow_methods": ["PUT"], ` +
				`"allow_headers": ["X-A"], "allow_credentials": true}`,
		}},
		{"a policy for each host, and nothing in common", api, []string{
			"PUT https://x.example/a https://a.example", "PUT https://x.example/b https://a.example",
			"PUT https://y.example/c https://a.example",
		}, []string{
			"2 no policy applies to requests for x.example",
			`- policies: add {"name": "new", "match": {"hosts": ["x.example"]}, "allow_origins": ["https://a.example"], ` +
				`"allow_methods": ["PUT"]}`,
			"1 no policy applies to requests for y.example",
			`- policies: add {"name": "new", "match": {"hosts": ["y.example"], "paths": [{"prefix": "/c"}]}, ` +
				`"allow_origins": ["https://a.example"], "allow_methods": ["PUT"]}`,
			`together 3: policies: add {"name": "new", "match": {"hosts": ["x.example"]}, ` +
				`"allow_origins": ["https://a.example"], "allow_methods": ["PUT"]}`,
			`together 3: policies: add {"name": "new-2", "match": {"hosts": ["y.example"], "paths": [{"prefix": "/c"}]}, ` +
				`"allow_origins": ["https://a.example"], "allow_methods": ["PUT"]}`,
		}},
		{"a host that a policy may get", api, []string{
			"GET https://x.example/v1 https://a.example", "GET https://y.example/v1 https://a.example",
		}, []string{
			"1 no policy applies to requests for x.example", `- policies[0].match.hosts: add "x.example"`,
			"1 no policy applies to requests for y.example", `- policies[0].match.hosts: add "y.example"`,
			`together 2: policies[0].match.hosts: add "x.example", "y.example"`,
		}},
		{"a request that nothing helps", api, []string{
			"TRACE https://api.example/v1 https://a.example", "PUT https://api.example/v1 https://a.example",
		}, []string{
			`1 policies[0]: new Request: method "TRACE" is forbidden to scripts`,
			"- : no policy can allow it: the browser doesn't make the request",
			"1 policies[0]: method PUT is not in allow_methods (allowed: GET, HEAD, POST)", `- policies[0].allow_methods: write ["PUT"]`,
			`together 1: policies[0].allow_methods: write ["PUT"]`, "left TRACE https://api.example/v1",
		}},
		{"no new policy for who can't have one", api, []string{
			"GET https://x.example/v1 http://a.example cookies", "PUT https://x.example/v1 https://a.example",
		}, []string{
			"1 no policy applies to requests for x.example",
			`- : no change of the policy helps, because the filter refuses it: "http://a.example" with allow_credentials ` +
				"trusts whoever is on the network between, because plain http can be forged; have the pages served over https, " +
				"or leave out allow_credentials",
			"1 no policy applies to requests for x.example",
			`- policies: add {"name": "new", "match": {"hosts": ["x.example"], "paths": [{"prefix": "/v1"}]}, ` +
				`"allow_origins": ["https://a.example"], "allow_methods": ["PUT"]}`,
			`together 1: policies: add {"name": "new", "match": {"hosts": ["x.example"], "paths": [{"prefix": "/v1"}]}, ` +
				`"allow_origins": ["https://a.example"], "allow_methods": ["PUT"]}`,
			"left GET https://x.example/v1",
		}},
		{"what others lose", `{"allow_origins": ["*"]}`, []string{
			"GET https://api.example/ https://a.example cookies", "GET https://api.example/ https://b.example cookies",
			"GET https://api.example/ https://c.example",
		}, []string{
			`1 : CORS check, step 4: Access-Control-Allow-Origin is "*", which counts for no origin when the credentials mode is "include"`,
			`- allow_origins: write the origins that may send credentials instead of "*", such as "https://a.example"`,
			"- allow_credentials: write true",
			`1 : CORS check, step 4: Access-Control-Allow-Origin is "*", which counts for no origin when the credentials mode is "include"`,
			`- allow_origins: write the origins that may send credentials instead of "*", such as "https://b.example"`,
			"- allow_credentials: write true",
			`together 2: allow_origins: write the origins that may send credentials instead of "*", such as "https://a.example", "https://b.example"`,
			"together 2: allow_credentials: write true", "lost GET https://api.example/",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := explain.FindCauses(reports(t, test.configuration, test.requests...))
			var got []string
			for _, cause := range c.List {
				why := fmt.Sprintf("%d ", len(cause.Reports))
				if cause.Policy != nil {
					why += cause.Policy.Path + ": "
				}
				got = append(got, why+cause.Because)
				for _, change := range cause.Changes {
					got = append(got, "- "+change.Path+": "+change.Edit)
				}
			}
			for _, change := range c.Together {
				got = append(got, fmt.Sprintf("together %d: %s: %s", c.Allowed, change.Path, change.Edit))
			}
			for _, e := range c.Left {
				got = append(got, "left "+e.Request.Method+" "+e.Request.URL)
			}
			for _, e := range c.Lost {
				got = append(got, "lost "+e.Request.Method+" "+e.Request.URL)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
