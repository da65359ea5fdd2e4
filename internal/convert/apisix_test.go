package convert

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

func TestAPISIX(t *testing.T) {
	testGolden(t, "apisix")
	testRoundTrip(t, "apisix")
}

// TestAPISIXRegexes: what people mean by a regex without anchors is carried over, and not
// what it matches beside that.
func TestAPISIXRegexes(t *testing.T) {
	for expr, want := range map[string]string{
		`https?://example.com`:                   `["https://example.com:*"]`,
		`https://example\\.com|http://localhost`: `["https://example.com:*", "http://localhost:*"]`,
		`https://[a-z]+\\.example\\.com`:         `[{"regex": "https://[a-z]+\\.example\\.com"}]`,
		`https://example.com:8080`:               `["https://example.com:8080"]`,
		`.*\\.example\\.com$`:                    `["https://*.example.com"]`,
	} {
		result := convertText(t, "apisix", "apisix.yaml", `routes: [{uri: /*, plugins: {cors: {allow_origins: "**", `+
			`allow_methods: "**", allow_headers: "**", allow_credential: true, allow_origins_by_regex: ["`+expr+`"]}}}]`)
		checkResult(t, result)
		for _, part := range []string{want, `"allow_credentials": true`} {
			if !strings.Contains(result.Configuration, part) {
				t.Errorf("%s: %s isn't in %s%s", expr, part, result.Configuration, lines(result))
			}
		}
	}
}

// An apisixTestRoute is a route, whose policy allows one origin, or that has none.
type apisixTestRoute struct{ host, uri, origin string }

func (r apisixTestRoute) matches(host, path string) bool {
	prefix, isPrefix := strings.CutSuffix(r.uri, "*")
	return (r.host == "" || r.host == host || r.host == "*.example" && strings.HasSuffix(host, ".example")) &&
		(path == prefix || isPrefix && strings.HasPrefix(path, prefix))
}

// rank is greater for a route that the router tries before others.
func (r apisixTestRoute) rank() []int {
	host, uri := 2, 1
	switch {
	case r.host == "":
		host = 0
	case strings.HasPrefix(r.host, "*"):
		host = 1
	}
	if strings.HasSuffix(r.uri, "*") {
		uri = 0
	}
	return []int{host, uri, len(r.uri)}
}

func (r apisixTestRoute) String() string {
	text := fmt.Sprintf("- {uri: %q", r.uri)
	if r.host != "" {
		text += fmt.Sprintf(", host: %q", r.host)
	}
	if r.origin != "" {
		text += fmt.Sprintf(`, plugins: {cors: {allow_origins: %q, allow_methods: PUT, allow_headers: x-a, `+
			"allow_credential: true}}", r.origin)
	}
	return text + "}\n"
}

// apisixOutcome is what becomes of a page's request by the first of the routes, in their order.
func apisixOutcome(routes []apisixTestRoute, host, path, origin string) string {
	i := slices.IndexFunc(routes, func(r apisixTestRoute) bool { return r.matches(host, path) })
	switch {
	case i < 0:
		return "" // 404 there
	case routes[i].origin == "":
		return "untouched"
	case routes[i].origin == origin:
		return "allowed"
	}
	return "blocked"
}

// TestAPISIXRoutes: whatever the routes, a request gets the policy that APISIX' router would
// find for it.
func TestAPISIXRoutes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	one := func(of ...string) string { return of[random.IntN(len(of))] }
	for range 300 {
		var routes []apisixTestRoute
		text := "routes:\n"
		for range 1 + random.IntN(5) {
			r := apisixTestRoute{one("", "a.example", "*.example"), one("/*", "/x", "/x/*", "/x/y", "/x/y/*"),
				one("", "https://one.test", "https://two.test")}
			same := func(o apisixTestRoute) bool { return o.host == r.host && o.uri == r.uri }
			if slices.ContainsFunc(routes, same) {
				continue // which of the two comes first isn't known
			}
			routes = append(routes, r)
			text += r.String()
		}
		result := convertText(t, "apisix", "apisix.yaml", text)
		c, _ := config.Parse(result.Configuration)
		if c == nil {
			continue // no route has the plugin
		}
		slices.SortFunc(routes, func(a, b apisixTestRoute) int { return slices.Compare(b.rank(), a.rank()) })
		for _, host := range []string{"a.example", "b.example", "c.test"} {
			for _, path := range []string{"/", "/x", "/x/", "/x/y", "/x/y/", "/x/y/z", "/x/z", "/xy"} {
				for _, origin := range []string{"https://one.test", "https://two.test"} {
					r := browser.Request{Origin: origin, Method: "PUT", URL: "https://" + host + path}
					r.CredentialsInclude = true
					got, want := outcome(c, expected{Request: r}), apisixOutcome(routes, host, path, origin)
					if want != "" && got != want {
						t.Fatalf("%s of %s is %s, want %s:\n%s%s", r.URL, origin, got, want, text,
							result.Configuration+lines(result))
					}
				}
			}
		}
	}
}
