package istio

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

const (
	host     = "api.example.com"
	page     = "https://app.example.com" // whom the policies of deploy/istio allow
	patience = time.Minute
)

var (
	ingress = workload{"router", "istio-ingress", map[string]string{"istio": "ingressgateway"}}
	gateway = workload{"router", "istio-ingress", map[string]string{
		"gateway.networking.k8s.io/gateway-name": "gateway",
	}}
	api = workload{"sidecar", "default", map[string]string{"app": "api"}}
)

// testdata returns a file of testdata, filled in.
func testdata(t *testing.T, name string, values any) string {
	t.Helper()
	file, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := template.Must(template.New(name).Parse(string(file))).Execute(&text, values); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// freePort returns a port that nobody has: a listener of Istio's can't have one of the
// kernel's choice.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return port(listener.Addr().String())
}

func port(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

// A served is an API behind a proxy of a mesh.
type served struct {
	*mesh
	*proxy
	backend *envoytest.Upstream
	addr    string
}

// serve puts an API behind the gateway of Istio's own resources, beside these manifests.
func serve(t *testing.T, manifests ...string) *served {
	t.Helper()
	return serveWith(t, "", manifests...)
}

// serveWith does the same with a manifest of Kubernetes.
func serveWith(t *testing.T, kubernetes string, manifests ...string) *served {
	t.Helper()
	s := newServed(t)
	values := s.values(t)
	routes := []string{testdata(t, "api.yaml", values), testdata(t, "gateway.yaml", values)}
	s.mesh = newMesh(t, kubernetes, append(routes, manifests...)...)
	return s.start(t, ingress)
}

func newServed(t *testing.T) *served {
	t.Helper()
	return &served{backend: envoytest.NewUpstream(t), addr: "127.0.0.1:" + freePort(t)}
}

// values fill in files of testdata.
func (s *served) values(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{"Port": port(s.addr), "Upstream": port(s.backend.Addr()), "Egress": freePort(t)}
}

// start starts the proxy, and waits until it listens.
func (s *served) start(t *testing.T, w workload) *served {
	t.Helper()
	s.proxy = s.mesh.start(t, w)
	envoytest.Eventually(t, patience, "the proxy listens on "+s.addr, func() bool {
		conn, err := net.Dial("tcp", s.addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return s
}

// upstreamsOwn is the CORS header that the upstream answers with.
var upstreamsOwn = [][2]string{{"access-control-allow-origin", "https://upstream.example"}}

// ask sends a request. The upstream, if it gets it, answers with a CORS header of its own.
func (s *served) ask(t *testing.T, method, path string, headers ...string) (
	status int, lines []string, forwarded bool,
) {
	t.Helper()
	exchange, err := s.backend.Exchange(envoytest.HTTP1, s.addr, request(method, path, headers...),
		cases.Upstream{Headers: upstreamsOwn})
	if err != nil {
		t.Fatal(err)
	}
	return exchange.Response.Status, envoytest.CORSLines(exchange.Response), len(exchange.Received) > 0
}

// request is a request to the API.
func request(method, path string, headers ...string) cases.Request {
	r := cases.Request{Method: method, Host: host, Path: path}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Headers = append(r.Headers, [2]string{name, value})
	}
	return r
}

// asPage are the headers of a request of the page that is allowed.
var asPage = []string{"origin: " + page}

// The answers that the policies of deploy/istio give.
var (
	allowed     = []string{"access-control-allow-credentials: true", "access-control-allow-origin: " + page, "vary: Origin"}
	varies      = []string{"vary: Origin"}
	preflighted = []string{
		"access-control-allow-credentials: true", "access-control-allow-headers: Content-Type",
		"access-control-allow-methods: PUT, DELETE", "access-control-allow-origin: " + page,
		"access-control-max-age: 600", rejected[0],
	}
	rejected = []string{"vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
)

func preflight(origin, method string) []string {
	return []string{"origin: " + origin, "access-control-request-method: " + method}
}

// kinds are the kinds of requests; a sidecar has no routes of its own.
var kinds = []struct {
	name, method, path string
	headers            []string
	status             int
	lines              []string
	forwarded, routed  bool
}{
	{"no Origin", "GET", "/api", nil, 200, []string{"access-control-allow-origin: https://upstream.example", "vary: Origin"}, true, false},
	{"allowed", "GET", "/api", asPage, 200, allowed, true, false},
	{"denied", "GET", "/api", []string{"origin: https://evil.example"}, 200, varies, true, false},
	{"preflight", "OPTIONS", "/api", preflight(page, "PUT"), 204, preflighted, false, false},
	{"preflight of an origin that is denied", "OPTIONS", "/api", preflight("https://evil.example", "PUT"), 403, rejected, false, false},
	{"preflight of a method that is denied", "OPTIONS", "/api", preflight(page, "PATCH"), 403, rejected, false, false},
	{"without a route", "GET", "/none", asPage, 404, allowed, false, true},
	{"preflight without a route", "OPTIONS", "/none", preflight(page, "PUT"), 204, preflighted, false, true},
	{"no upstream", "GET", "/down", asPage, 503, allowed, false, true},
}

// check sends a request of each kind. If the filter's VM dies, Envoy has to start another.
func (s *served) check(t *testing.T, routed bool) {
	t.Helper()
	dump, err := s.Get(t.Context(), "/config_dump?resource=ecds_filters")
	if err != nil || strings.Count(string(dump), `"failure_policy": "FAIL_RELOAD"`) != 1 {
		t.Errorf("no failure_policy: FAIL_RELOAD, %v, in %s", err, dump)
	}
	for _, kind := range kinds {
		if kind.routed && !routed {
			continue
		}
		status, lines, forwarded := s.ask(t, kind.method, kind.path, kind.headers...)
		if status != kind.status || forwarded != kind.forwarded || !cmp.Equal(lines, kind.lines) {
			t.Errorf("%s: status %d, forwarded %t, %q; want %d, %t, %q", kind.name, status, forwarded, lines,
				kind.status, kind.forwarded, kind.lines)
		}
	}
}

// TestGateways: the same answers by each way to have the filter in a gateway.
func TestGateways(t *testing.T) {
	for _, file := range []string{"traffic-extension.yaml", "before-ext-authz.yaml"} {
		t.Run(file, func(t *testing.T) { serve(t, deployed(t, file)).check(t, true) })
	}
	t.Run("gateway.yaml", func(t *testing.T) {
		s := serve(t, deployed(t, "gateway.yaml"))
		s.check(t, true)
		s.checkRoutes(t, deployed(t, "gateway.yaml"), "api", "public.v1")
	})
	t.Run("gateway-api.yaml", func(t *testing.T) {
		s := newServed(t)
		values := s.values(t)
		s.mesh = newMesh(t, testdata(t, "gateway-api.yaml", values), testdata(t, "api.yaml", values),
			deployed(t, "gateway-api.yaml"))
		s.start(t, gateway).check(t, true)
		s.checkRoutes(t, deployed(t, "gateway-api.yaml"), "istio-ingress.api.0", "public")
	})
}

// checkRoutes applies the manifest with policies for two routes, under the names that Istio
// gives them: that of a VirtualService's route and match, or of an HTTPRoute's rule, or else a
// number. Each route has its policy, and no other request has any.
func (s *served) checkRoutes(t *testing.T, manifest, api, public string) {
	t.Helper()
	before, _, found := strings.Cut(manifest, "pluginConfig:\n")
	if !found {
		t.Fatalf("no pluginConfig in:\n%s", manifest)
	}
	s.apply(t, before+`pluginConfig:
    policies:
    - {name: api, match: {routes: [`+api+`]}, allow_origins: ["`+page+`"]}
    - {name: public, match: {routes: [`+public+`]}, allow_origins: ["*"]}
`)
	for _, row := range []struct {
		path  string
		lines []string
	}{
		{"/api", allowed[1:]},
		{"/public", []string{"access-control-allow-origin: *"}},
		{"/down", nil},
		{"/none", nil},
	} {
		envoytest.Eventually(t, patience, fmt.Sprintf("%s has %q", row.path, row.lines), func() bool {
			_, lines, _ := s.ask(t, "GET", row.path, asPage...)
			return slices.Equal(lines, row.lines)
		})
	}
}

// TestSidecar: the filter is on what comes in, and not on what goes out.
func TestSidecar(t *testing.T) {
	s := newServed(t)
	values := s.values(t)
	s.mesh = newMesh(t, "", testdata(t, "api.yaml", values), testdata(t, "sidecar.yaml", values),
		deployed(t, "sidecars.yaml"))
	s.start(t, api).check(t, false)
	for listener, chain := range s.chains(t) {
		if has := strings.HasPrefix(chain[0], extension); has != (port(s.addr) == listener) {
			t.Errorf("listener %s has the filters %q", listener, chain)
		}
	}
}

// extension is the beginning of the name that Istio gives the filter.
const extension = "extensions.istio.io/trafficextension/"

// chains are the HTTP filters of each of Istio's listeners, by the listener's port.
func (s *served) chains(t *testing.T) map[string][]string {
	t.Helper()
	text, err := s.Get(t.Context(), "/config_dump?resource=dynamic_listeners")
	if err != nil {
		t.Fatal(err)
	}
	var dump struct {
		Configs []struct {
			Name  string `json:"name"`
			State struct {
				Listener struct {
					Chains []struct {
						Filters []struct {
							Config struct {
								Filters []struct {
									Name string `json:"name"`
								} `json:"http_filters"`
							} `json:"typed_config"`
						} `json:"filters"`
					} `json:"filter_chains"`
				} `json:"listener"`
			} `json:"active_state"`
		} `json:"configs"`
	}
	if err := json.Unmarshal(text, &dump); err != nil {
		t.Fatal(err)
	}
	chains := map[string][]string{}
	for _, l := range dump.Configs {
		var chain []string
		for _, c := range l.State.Listener.Chains {
			for _, f := range c.Filters {
				for _, h := range f.Config.Filters {
					chain = append(chain, h.Name)
				}
			}
		}
		if chain != nil {
			chains[l.Name[strings.LastIndexByte(l.Name, '_')+1:]] = chain
		}
	}
	if len(chains) == 0 {
		t.Fatalf("no listener in %s", text)
	}
	return chains
}
