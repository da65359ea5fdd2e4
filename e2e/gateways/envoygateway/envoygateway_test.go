package envoygateway

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// The manifests allow one origin, and not the other.
const (
	origin = "https://app.example.com"
	others = "https://other.example"
)

// request is one from a page of the origin, or from none.
func request(method, path, origin string, headers ...[2]string) cases.Request {
	if origin != "" {
		headers = append([][2]string{{"Origin", origin}}, headers...)
	}
	return cases.Request{Method: method, Host: "api.example.com", Path: path, Headers: headers}
}

// preflight is a preflight of the origin that the manifests allow.
func preflight(path, method string) cases.Request {
	return request("OPTIONS", path, origin, [2]string{"Access-Control-Request-Method", method})
}

// The headers of each answer, by the policy of cors.yaml.
var (
	allowed = []string{
		"access-control-allow-credentials: true", "access-control-allow-origin: " + origin, "vary: Origin",
	}
	preflightAllowed = []string{
		"access-control-allow-credentials: true", "access-control-allow-headers: Content-Type, Authorization",
		"access-control-allow-methods: PUT, DELETE", "access-control-allow-origin: " + origin,
		"access-control-max-age: 600",
		"vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
	}
	preflightDenied = []string{"vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
)

// expect sends a request and fails the test if the answer is another one.
func (g *gateway) expect(t *testing.T, req cases.Request, answer cases.Upstream, status int, lines []string) {
	t.Helper()
	got, err := g.upstream.Exchange(envoytest.HTTP1, entrance, req, answer)
	if err != nil {
		t.Fatal(err)
	}
	if got.Response.Status != status {
		t.Errorf("%s %s: status %d, want %d", req.Method, req.Path, got.Response.Status, status)
	}
	if diff := cmp.Diff(lines, cases.Lines(got.Response.Headers)); diff != "" {
		t.Errorf("%s %s: headers (-want +got):\n%s", req.Method, req.Path, diff)
	}
}

// becomes waits until a request is answered with a status and these headers.
func (g *gateway) becomes(t *testing.T, req cases.Request, status int, lines []string) {
	t.Helper()
	what := fmt.Sprintf("%s %s is answered with %d and %q", req.Method, req.Path, status, lines)
	envoytest.Eventually(t, updateTimeout, what, func() bool {
		got, err := envoytest.HTTP1(entrance, req)
		return err == nil && got.Status == status && slices.Equal(cases.Lines(got.Headers), lines)
	})
}

// says waits until a text is in the output that comes after the first n bytes.
func (g *gateway) says(t *testing.T, n int, text string) {
	t.Helper()
	envoytest.Eventually(t, updateTimeout, "the output has "+text, func() bool {
		return strings.Contains(strings.Join(strings.Fields(g.output.String()[n:]), " "), text)
	})
}

// TestEnvoyGateway applies the manifests one after the other to one Envoy Gateway, and each
// subtest goes on where the one before has ended.
func TestEnvoyGateway(t *testing.T) {
	g := start(t, "cors.yaml", "route.yaml")
	t.Run("answers", g.testAnswers)
	t.Run("the filter is first", g.testFirst)
	t.Run("what is beside the filter", g.testObserved)
	t.Run("not-found.yaml", g.testNotFound)
	t.Run("patch.yaml", g.testPatch)
	t.Run("policy-source.yaml", g.testPolicySource)
	t.Run("an update under load", g.testUpdate)
	t.Run("a bad policy", g.testBadPolicy)
	t.Run("another module", g.testNewModule)
	t.Run("no image", g.testNoImage)
}

// testAnswers: preflights are answered before whatever would refuse them, and refusals of
// actual requests have the headers.
func (g *gateway) testAnswers(t *testing.T) {
	key, user := [2]string{"x-api-key", "key-of-the-client"}, [2]string{"Authorization", "Basic dXNlcjpzZWNyZXQ="}
	for _, tt := range []struct {
		path   string
		status int // of a request that isn't authorized, or is else refused
		method string
		answer cases.Upstream
		bare   bool // the answer has no headers
	}{
		{path: "/plain", status: 200},
		{path: "/api-key", status: 401},
		{path: "/basic", status: 401},
		{path: "/jwt", status: 401},
		{path: "/ext-auth", status: 403},
		{path: "/oidc", status: 302},
		{path: "/csrf", status: 403, method: "POST"},
		{path: "/denied", status: 403},
		{path: "/fault", status: 418},
		{path: "/overridden", status: 410, answer: cases.Upstream{Status: 404}, bare: true},
		{path: "/cookie", status: 200},
	} {
		t.Run(strings.TrimPrefix(tt.path, "/"), func(t *testing.T) {
			g.expect(t, preflight(tt.path, "PUT"), tt.answer, http.StatusNoContent, preflightAllowed)
			lines := allowed
			if tt.bare { // Envoy's custom_response leaves out all other filters, wherever it is.
				lines = nil
			}
			g.expect(t, request(tt.method, tt.path, origin), tt.answer, tt.status, lines)
			g.expect(t, preflight(tt.path, "PATCH"), tt.answer, http.StatusForbidden, preflightDenied)
		})
	}
	g.expect(t, request("GET", "/api-key", origin, key), cases.Upstream{}, 200, allowed)
	g.expect(t, request("GET", "/basic", origin, user), cases.Upstream{}, 200, allowed)
	g.expect(t, request("GET", "/plain", others), cases.Upstream{}, 200, []string{"vary: Origin"})
	g.expect(t, request("GET", "/plain", ""), cases.Upstream{}, 200, []string{"vary: Origin"})
	g.expect(t, request("GET", "/api-key", others), cases.Upstream{}, 401, []string{"vary: Origin"})
	// The upstream's own word is replaced.
	g.expect(t, request("GET", "/plain", others), cases.Upstream{Headers: [][2]string{
		{"Access-Control-Allow-Origin", "*"}}}, 200, []string{"vary: Origin"})
	// The limit of one request is per worker.
	for range 20 {
		if response, err := envoytest.HTTP1(entrance, request("GET", "/limited", "")); err != nil {
			t.Fatal(err)
		} else if response.Status == http.StatusTooManyRequests {
			break
		}
	}
	g.expect(t, preflight("/limited", "PUT"), cases.Upstream{}, http.StatusNoContent, preflightAllowed)
	g.expect(t, request("GET", "/limited", origin), cases.Upstream{}, http.StatusTooManyRequests, allowed)
	// The HTTPRoute with a policy of its own.
	g.expect(t, request("GET", "/public", others), cases.Upstream{}, 200, []string{"access-control-allow-origin: *"})
	g.expect(t, preflight("/public", "PUT"), cases.Upstream{}, http.StatusForbidden, preflightDenied)
}

// testFirst: the filters are first in the chain, on each of the Gateway's listeners.
func (g *gateway) testFirst(t *testing.T) {
	for _, listener := range []string{"default/eg/http", "default/eg/other"} {
		chain := g.chain(t, listener)
		for i, f := range chain {
			if isWasm := strings.HasPrefix(f.Name, "envoy.filters.http.wasm/"); isWasm != (i < 2) {
				t.Errorf("%s: filter %d is %s", listener, i, f.Name)
			}
		}
		for _, name := range []string{"custom_response", "fault", "csrf", "ext_authz", "api_key_auth", "basic_auth",
			"oauth2", "jwt_authn", "stateful_session", "rbac", "local_ratelimit"} {
			if !slices.ContainsFunc(chain, func(f httpFilter) bool {
				return strings.HasPrefix(f.Name, "envoy.filters.http."+name)
			}) {
				t.Errorf("%s has no %s", listener, name)
			}
		}
	}
	response, err := envoytest.HTTP1("127.0.0.1:8082", preflight("/api-key", "PUT"))
	if err != nil || response.Status != http.StatusNoContent {
		t.Errorf("the other listener: %+v, error %v", response, err)
	}
}

// testNotFound: a 404 without a route has no headers, until there is a route for it.
func (g *gateway) testNotFound(t *testing.T) {
	g.expect(t, request("GET", "/nowhere", origin), cases.Upstream{}, http.StatusNotFound, nil)
	g.expect(t, preflight("/nowhere", "PUT"), cases.Upstream{}, http.StatusNotFound, nil)
	g.apply(t, "not-found.yaml")
	g.becomes(t, request("GET", "/nowhere", origin), http.StatusNotFound, allowed)
	g.expect(t, preflight("/nowhere", "PUT"), cases.Upstream{}, http.StatusNoContent, preflightAllowed)
	g.expect(t, request("GET", "/plain", origin), cases.Upstream{}, http.StatusOK, allowed)
	elsewhere := request("GET", "/", origin)
	elsewhere.Host = "elsewhere.example.com"
	g.expect(t, elsewhere, cases.Upstream{}, http.StatusNotFound, nil)
	g.remove(t, "not-found.yaml")
	g.becomes(t, request("GET", "/nowhere", origin), http.StatusNotFound, nil)
}

// testPatch: with the patch both filters are FAIL_RELOAD, and the Gateway's sees requests
// without a route, whatever their host.
func (g *gateway) testPatch(t *testing.T) {
	for _, f := range g.chain(t, "default/eg/http")[:2] {
		if f.Typed.Config.FailurePolicy != "" || !f.Disabled {
			t.Errorf("without the patch: %+v", f)
		}
	}
	g.remove(t, "route.yaml")
	g.apply(t, "patch.yaml")
	g.becomes(t, request("GET", "/nowhere", origin), http.StatusNotFound, allowed)
	g.expect(t, preflight("/nowhere", "PUT"), cases.Upstream{}, http.StatusNoContent, preflightAllowed)
	elsewhere := request("GET", "/", origin)
	elsewhere.Host = "elsewhere.example.com"
	g.expect(t, elsewhere, cases.Upstream{}, http.StatusNotFound, allowed)
	g.expect(t, preflight("/basic", "PUT"), cases.Upstream{}, http.StatusNoContent, preflightAllowed)
	if f := g.chain(t, "default/eg/http")[0]; f.Typed.Config.FailurePolicy != "FAIL_RELOAD" || f.Disabled {
		t.Errorf("with the patch: %+v", f)
	}
	// Without its second half it is for HTTPRoutes with policies of their own too.
	before, after, _ := strings.Cut(g.manifest(t, "patch.yaml"), "  # Envoy Gateway disables")
	if after == "" {
		t.Fatal("patch.yaml has no second half")
	}
	g.write(t, "resources/patch.yaml", before)
	g.apply(t, "route.yaml")
	g.becomes(t, request("GET", "/public", others), http.StatusOK, []string{"access-control-allow-origin: *"})
	g.becomes(t, request("GET", "/nowhere", origin), http.StatusNotFound, nil)
	for _, f := range g.chain(t, "default/eg/http")[:2] {
		if f.Typed.Config.FailurePolicy != "FAIL_RELOAD" || !f.Disabled {
			t.Errorf("with half of the patch: %+v", f)
		}
	}
	g.remove(t, "route.yaml")
	g.apply(t, "patch.yaml")
	g.becomes(t, request("GET", "/nowhere", origin), http.StatusNotFound, allowed)
}

// testPolicySource: the filter fetches its policies from the cluster of the patch.
func (g *gateway) testPolicySource(t *testing.T) {
	asked := serveDocument(t, `{"policies": [{"name": "fetched", "allow_origins": ["`+others+`"]}]}`)
	_, proxy, _ := strings.Cut(g.manifest(t, "cors.yaml"), "\n---\n")
	g.write(t, "resources/cors.yaml", proxy)
	g.apply(t, "policy-source.yaml")
	g.becomes(t, request("GET", "/plain", others), http.StatusOK, []string{
		"access-control-allow-origin: " + others, "vary: Origin",
	})
	if host := <-asked; host != "policies" {
		t.Errorf("the document was asked for with the host %q", host)
	}
	g.remove(t, "policy-source.yaml")
	g.apply(t, "cors.yaml")
	g.becomes(t, request("GET", "/plain", origin), http.StatusOK, allowed)
}

// testUpdate: an edited policy is in effect at once on new connections, and no request of a
// kept-alive one is lost.
func (g *gateway) testUpdate(t *testing.T) {
	load := startLoad(t)
	for i, methods := range []string{"[PUT, DELETE, PATCH]", "[PUT, DELETE]", "[PUT, DELETE, PATCH]"} {
		before := load.count()
		g.apply(t, "cors.yaml", "allow_methods: [PUT, DELETE]", "allow_methods: "+methods)
		status, lines := http.StatusNoContent, slices.Clone(preflightAllowed)
		lines[2] = "access-control-allow-methods: PUT, DELETE, PATCH"
		if i == 1 {
			status, lines = http.StatusForbidden, preflightDenied
		}
		g.becomes(t, preflight("/plain", "PATCH"), status, lines)
		start := time.Now()
		load.turnover(t, before)
		t.Logf("kept-alive connections were replaced %s after the first new one", time.Since(start))
	}
	load.check(t)
}

// testBadPolicy: Envoy refuses a bad policy and goes on with the old one; the status doesn't
// say so.
func (g *gateway) testBadPolicy(t *testing.T) {
	load := startLoad(t)
	written := len(g.output.String())
	g.apply(t, "cors.yaml", `["https://app.example.com"]`, `["https://App.example.com/"]`)
	g.says(t, written, `allow_origins[0]: "https://App.example.com/" has upper-case letters`)
	g.says(t, written, "Unable to create Wasm plugin cors")
	envoytest.Eventually(t, updateTimeout, "Envoy counts a refusal", func() bool {
		return !strings.Contains(g.get(t, "/stats?filter=lds.update_rejected"), "update_rejected: 0")
	})
	if strings.Contains(g.output.String()[written:], `status: "False"`) {
		t.Error("a status tells of the refusal")
	}
	lines := slices.Clone(preflightAllowed)
	lines[2] = "access-control-allow-methods: PUT, DELETE, PATCH"
	g.expect(t, preflight("/plain", "PATCH"), cases.Upstream{}, http.StatusNoContent, lines)
	g.apply(t, "cors.yaml")
	g.becomes(t, preflight("/plain", "PUT"), http.StatusNoContent, preflightAllowed)
	load.check(t)
}

// testNewModule: another image takes over as another policy does.
func (g *gateway) testNewModule(t *testing.T) {
	const listener = "default/eg/http"
	load := startLoad(t)
	url, digest := g.pushAnother(t)
	old := g.chain(t, listener)[0].module()
	for _, replacements := range [][]string{{g.url, url, g.digest, digest}, nil} {
		before := load.count()
		g.apply(t, "cors.yaml", replacements...)
		load.turnover(t, before)
		if now := g.chain(t, listener)[0].module(); (now == old) != (replacements == nil) {
			t.Errorf("with %q Envoy has the module %s", replacements, now)
		}
	}
	load.check(t)
}

// testNoImage: where Envoy Gateway can't get the image, or its digest is another, it says so
// in the status, and answers every request of the Gateway with 500 until that is mended.
func (g *gateway) testNoImage(t *testing.T) {
	for _, tt := range []struct{ name, old, new, says string }{
		{"another digest", g.digest, strings.Repeat("0", 64), "does not match"},
		{"no registry", g.url, "127.0.0.1:1/cors:test", "connection refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			written := len(g.output.String())
			g.apply(t, "cors.yaml", tt.old, tt.new)
			g.says(t, written, tt.says)
			g.says(t, written, `reason: Invalid status: "False" type: Accepted`)
			g.becomes(t, request("GET", "/plain", origin), http.StatusInternalServerError, nil)
			g.apply(t, "cors.yaml")
			g.becomes(t, request("GET", "/plain", origin), http.StatusOK, allowed)
		})
	}
}

// remove takes a file away from Envoy Gateway.
func (g *gateway) remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(g.home, "resources", name)); err != nil {
		t.Fatal(err)
	}
}
