package istio

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// TestOrder: the filter comes before what Istio authenticates and authorizes by, and before
// the CORS policies of VirtualServices, so that what they refuse can be read, and what they
// would answer a preflight doesn't matter.
func TestOrder(t *testing.T) {
	s := serve(t, deployed(t, "gateway.yaml"), testdata(t, "authorization.yaml", nil))
	chain := s.chains(t)[port(s.addr)]
	want := []string{
		"envoy.filters.http.jwt_authn", "envoy.filters.http.rbac", "envoy.filters.http.grpc_stats",
		"envoy.filters.http.fault", "envoy.filters.http.cors", "envoy.filters.http.router",
	}
	if !strings.HasPrefix(chain[0], extension) || !slices.Equal(chain[1:], want) {
		t.Errorf("the filters are %q", chain)
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
		`"cors_policy":"default","cors_reason":"method PATCH is not in allow_methods (allowed: PUT, DELETE)"`,
		`"cors_policy":"default","cors_reason":"origin https://evil.example is not in allow_origins"`, `"origin":"` + page + `"`, `"method":"OPTIONS"`, `"host":"api.example.com"`,
		`"details":"cors:_method_PATCH_is_not_in_allow_methods_(allowed:_PUT,_DELETE)"`, `"details":"via_upstream"`,
	} {
		if !strings.Contains(s.AccessLog(), part) {
			t.Errorf("%s is not in the access log:\n%s", part, s.AccessLog())
		}
	}
	metrics, err := s.Get(t.Context(), "/stats/prometheus")
	if err != nil {
		t.Fatal(err)
	}
	for outcome, count := range map[string]int{
		"allowed": 3, "denied_origin": 1, "preflight_allowed": 2, "preflight_denied_origin": 1,
		"preflight_denied_method": 1, "preflight_denied_header": 0,
	} {
		line := fmt.Sprintf("\ncors_requests_total{cors_policy=\"default\",cors_outcome=%q} %d\n", outcome, count)
		if !strings.Contains(string(metrics), line) {
			t.Errorf("%s is not in the metrics:\n%s", line, metrics)
		}
	}
}
