package istio

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	istiomesh "istio.io/istio/pkg/config/mesh"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// TestOrder: the filter comes before what Istio authenticates and authorizes by, and before
// the CORS policies of VirtualServices, so that what they refuse can be read, and what they
// would answer a preflight doesn't matter. Other plugins come after it, in any phase.
func TestOrder(t *testing.T) {
	manifest := deployed(t, "gateway.yaml")
	plugin := func(name, place string) string {
		return replaced(t, replaced(t, replaced(t, manifest, "phase: AUTHN\n  priority: 1000\n", place),
			"name: cors\n", "name: "+name+"\n"), page, "https://other.example")
	}
	s := serve(t, plugin("a", "phase: AUTHN\n  priority: 999\n"), plugin("b", "phase: AUTHZ\n  priority: 2000\n"),
		plugin("c", "phase: STATS\n  priority: 2000\n"), plugin("d", "priority: 2000\n"), manifest,
		testdata(t, "authorization.yaml", nil))
	chain := s.chains(t)[port(s.addr)]
	for i, name := range chain {
		name = strings.TrimPrefix(strings.TrimPrefix(name, extension+"istio-ingress."), "envoy.filters.http.")
		chain[i] = strings.TrimSuffix(name, "~istio-translated-wasmplugin")
	}
	want := []string{"cors", "a", "jwt_authn", "b", "rbac", "c", "d", "grpc_stats", "fault", "cors", "router"}
	if !slices.Equal(chain, want) {
		t.Errorf("the filters are %q, want %q", chain, want)
	}
	for _, test := range []struct {
		name, method string
		headers      []string
		status       int
		lines        []string
	}{
		{"preflight", "OPTIONS", preflight(page, "PUT"), 204, preflighted},
		{"by no JWT", "GET", asPage, 403, allowed},
		{"by a bad JWT", "GET", append([]string{"authorization: Bearer bad"}, asPage...), 401, allowed},
	} {
		status, lines, forwarded := s.ask(t, test.method, "/api", test.headers...)
		if status != test.status || !slices.Equal(lines, test.lines) || forwarded {
			t.Errorf("%s: status %d, %q, forwarded %t", test.name, status, lines, forwarded)
		}
	}
	for _, origin := range []string{"https://native.example", page} {
		status, lines, _ := s.ask(t, "OPTIONS", "/native", preflight(origin, "PATCH")...)
		if status != 403 || !slices.Equal(lines, rejected) {
			t.Errorf("a preflight that a VirtualService would allow: status %d, %q", status, lines)
		}
	}
}

// TestExtAuthz: Istio puts an external authorizer before every WasmPlugin, and an
// EnvoyFilter puts the filter before that.
func TestExtAuthz(t *testing.T) {
	authorizer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer authorizer.Close()
	custom := testdata(t, "ext-authz.yaml", map[string]string{"Port": port(authorizer.Listener.Addr().String())})
	for _, test := range []struct {
		file                string
		preflight           int
		preflighted, answer []string
	}{
		{"gateway.yaml", 401, nil, nil},
		{"before-ext-authz.yaml", 204, preflighted, allowed},
	} {
		t.Run(test.file, func(t *testing.T) {
			s := serve(t, custom, deployed(t, test.file))
			if status, lines, _ := s.ask(t, "OPTIONS", "/api", preflight(page, "PUT")...); status != test.preflight ||
				!slices.Equal(lines, test.preflighted) {
				t.Errorf("a preflight: status %d, %q", status, lines)
			}
			if status, lines, forwarded := s.ask(t, "GET", "/api", asPage...); status != 401 ||
				!slices.Equal(lines, test.answer) || forwarded {
				t.Errorf("an actual request: status %d, %q, forwarded %t", status, lines, forwarded)
			}
		})
	}
}

// TestEnvoyFilter: an edit of the EnvoyFilter's policy takes effect on connections that are
// there, since it replaces no listener.
func TestEnvoyFilter(t *testing.T) {
	manifest := deployed(t, "before-ext-authz.yaml")
	s := serve(t, manifest)
	conn, err := envoytest.Dial(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, seconds := range []string{"600", "60"} {
		s.apply(t, replaced(t, manifest, `"10m"`, seconds))
		envoytest.Eventually(t, patience, seconds+" s", func() bool {
			response, err := conn.Do(request("OPTIONS", "/api", preflight(page, "PUT")...))
			if err != nil {
				t.Fatal(err)
			}
			return slices.Equal(response.Values("access-control-max-age"), []string{seconds})
		})
	}
}

// TestWatch: the access log has the requests with an Origin, and why they were rejected; Envoy
// makes labels of the names of the filter's counters.
func TestWatch(t *testing.T) {
	s := serve(t, deployed(t, "gateway.yaml"), deployed(t, "access-log.yaml"))
	s.check(t, true)
	var lines []string
	envoytest.Eventually(t, patience, "the access log", func() bool {
		lines = strings.Split(strings.TrimSpace(s.AccessLog()), "\n")
		return len(lines) == len(kinds)-1 // One kind has no Origin.
	})
	for _, part := range []string{
		`"cors_policy":"default","cors_reason":"method PATCH is not in allow_methods (allowed: PUT, DELETE)",` +
			`"details":"cors:_method_PATCH_is_not_in_allow_methods_(allowed:_PUT,_DELETE)","host":"api.example.com",` +
			`"method":"OPTIONS","origin":"` + page + `","path":"/api","status":403,"time":"`,
		`"cors_policy":"default","cors_reason":"origin https://evil.example is not in allow_origins"`,
		`"details":"via_upstream"`,
	} {
		if !strings.Contains(s.AccessLog(), part) {
			t.Errorf("%s is not in the access log:\n%s", part, s.AccessLog())
		}
	}
	if strings.Contains(s.AccessLog(), `"origin":null`) {
		t.Errorf("a request without Origin is in the access log:\n%s", s.AccessLog())
	}
	dump, err := s.Get(t.Context(), "/config_dump")
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"cors_policy", "cors_outcome", "cors_result"} {
		if !strings.Contains(string(dump), `"regex": "(`+tag+`=\\.=(.*?);\\.;)"`) {
			t.Errorf("Envoy's bootstrap has no tag %s", tag)
		}
	}
	// The page shows the counters after the very requests that this test has sent.
	shown := regexp.MustCompile(`(?m)^cors_requests_total\{.*\n`)
	metrics, err := s.Get(t.Context(), "/stats/prometheus?filter=cors_requests_total")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(shown.FindAllString(repository(t, "docs/istio.md"), -1),
		shown.FindAllString(string(metrics), -1)); diff != "" {
		t.Errorf("(-docs/istio.md +Envoy)\n%s", diff)
	}
}

// TestAnnotation: what mesh-config.yaml says of a single workload is the same for it.
func TestAnnotation(t *testing.T) {
	found := regexp.MustCompile(`proxy\.istio\.io/config: '(.+)'`).FindStringSubmatch(deployed(t, "mesh-config.yaml"))
	if found == nil {
		t.Fatal("mesh-config.yaml has no annotation")
	}
	config, err := istiomesh.ApplyProxyConfig(found[1], istiomesh.DefaultMeshConfig())
	if err != nil {
		t.Fatal(err)
	}
	got, want := config.DefaultConfig.ExtraStatTags, meshConfig(t).DefaultConfig.ExtraStatTags
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("the annotation has the tags %q, the mesh %q", got, want)
	}
}
