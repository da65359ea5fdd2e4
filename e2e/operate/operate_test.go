package operate_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// policies are what the policy source has.
const policies = `"policies": [
	{"name": "api", "match": {"hosts": ["api.example"]}, "allow_origins": ["https://app.example"],
		"origin_lookup": {"cluster": "policies"}, "allow_methods": ["PUT"], "allow_headers": ["x-custom"]},
	{"name": "old", "match": {"hosts": ["old.example"]}, "allow_origins": ["https://app.example"], "mode": "shadow"}]`

// TestExpressions has a real Prometheus scrape a real Envoy in which everything happens that
// is counted. Every expression of the rules and of the dashboard has a value then, and the
// alerts that are at once for what has happened are there.
func TestExpressions(t *testing.T) {
	t.Parallel()
	answer := atomic.Value{}
	answer.Store("{" + policies + "}")
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/lookup" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte(answer.Load().(string)))
	}))
	t.Cleanup(source.Close)
	upstream := envoytest.NewUpstream(t)
	envoy, move := startEnvoy(t, upstream, source.Listener.Addr().String())
	policyd := startPolicyd(t)
	prometheus := startPrometheus(t, envoy, policyd)
	counted := func(name string) func() bool { return func() bool { return envoy.Stats(t)[name] > 0 } }
	const soon = 30 * time.Second
	envoytest.Eventually(t, soon, "the source is asked", counted("wasmcustom.cors.policy_source.unchanged"))
	envoytest.Eventually(t, soon, "the counters are scraped", func() bool {
		return prometheus.samples(t, "instance:cors_vm_restarts:sum and on() cors_requests_total") > 0
	})

	envoytest.Eventually(t, soon, "cors-policyd is scraped", func() bool {
		return prometheus.samples(t, `cors_policyd_lookups_total{result="limited"}`) > 0
	})
	policyd.lookUp(t)
	policyd.write(t, "tokens", "") // which is of no use

	sendAll(t, envoy.Addr(t, "main"), upstream)
	answer.Store("no document")
	envoytest.Eventually(t, soon, "a document is refused", counted("wasmcustom.cors.policy_source.refused"))
	source.Close()
	envoytest.Eventually(t, soon, "the source is away", counted("wasmcustom.cors.policy_source.failed"))
	move(`{"allow_origins": ["no origin"]}`)
	envoytest.Eventually(t, soon, "a configuration is refused",
		counted("extension_config_discovery.http_filter.cors.update_rejected"))
	fail(t, envoy, upstream)

	for _, alert := range []string{"CORSPolicyRefused", "CORSPolicySourceRefused", "CORSFilterPanics",
		"CORSFilterRestarts", "CORSShadowDiffers", "CORSPolicydCertificateExpires"} {
		envoytest.Eventually(t, soon, alert+" fires", func() bool {
			return prometheus.samples(t, `ALERTS{alertstate="firing", alertname="`+alert+`"}`) > 0
		})
	}
	for _, outcome := range outcomes {
		if prometheus.samples(t, fmt.Sprintf("cors_requests_total{cors_outcome=%q} > 0", outcome)) != 1 {
			t.Errorf("nothing is counted as %s", outcome)
		}
	}
	for _, result := range []string{"denied", "hit"} {
		if prometheus.samples(t, fmt.Sprintf("cors_lookups_total{cors_result=%q} > 0", result)) != 1 {
			t.Errorf("no look-up is counted as %s", result)
		}
	}
	missing := expressions(t)
	for end := time.Now().Add(soon); len(missing) > 0 && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		missing = slices.DeleteFunc(missing, func(e expression) bool {
			// Where no comparison holds, what is compared must be there all the same.
			return e.elsewhere || prometheus.samples(t, e.text) > 0 || prometheus.samples(t, compared(e.text)) > 0
		})
	}
	for _, e := range missing {
		t.Errorf("%s: %s has no value", e.of, e.text)
	}
}

// outcomes are what the requests of sendAll are counted as.
var outcomes = []string{"allowed", "denied_origin", "denied_malformed_origin", "preflight_allowed",
	"preflight_denied_origin", "preflight_denied_malformed_origin", "preflight_denied_method",
	"preflight_denied_header", "preflight_denied_malformed", "shadow_allowed", "shadow_denied_origin",
	"shadow_preflight_allowed", "shadow_same", "shadow_looser", "shadow_stricter"}

// sendAll sends requests of each outcome.
func sendAll(t *testing.T, addr string, upstream *envoytest.Upstream) {
	t.Helper()
	send := func(host, method, origin string, answer cases.Upstream, headers ...[2]string) {
		request := cases.Request{Method: method, Host: host, Headers: append(headers, [2]string{"origin", origin})}
		if _, err := upstream.Exchange(envoytest.HTTP1, addr, request, answer); err != nil {
			t.Fatal(err)
		}
	}
	const app, other = "https://app.example", "https://other.example"
	asks := func(method string) [2]string { return [2]string{"access-control-request-method", method} }
	for _, origin := range []string{app, other, "none"} {
		send("api.example", "GET", origin, cases.Upstream{})
		send("api.example", "OPTIONS", origin, cases.Upstream{}, asks("PUT"))
	}
	send("api.example", "OPTIONS", app, cases.Upstream{}, asks("PATCH"))
	send("api.example", "OPTIONS", app, cases.Upstream{}, asks("PUT"),
		[2]string{"access-control-request-headers", "x-other"})
	send("api.example", "OPTIONS", app, cases.Upstream{}, asks("P UT"))
	open := cases.Upstream{Headers: [][2]string{{"access-control-allow-origin", "*"}}}
	send("old.example", "GET", app, open)
	send("old.example", "GET", app, cases.Upstream{})
	send("old.example", "GET", other, open)
	send("old.example", "OPTIONS", app, open, asks("GET"))
}

// fail has the filter panic, and its VM die and start anew.
func fail(t *testing.T, envoy *envoytest.Envoy, upstream *envoytest.Upstream) {
	t.Helper()
	send := func(fault string) {
		request := cases.Request{Headers: [][2]string{{"origin", "https://app.example"}, {"x-fault", fault}}}
		if _, err := upstream.Exchange(envoytest.HTTP1, envoy.Addr(t, "main"), request, cases.Upstream{}); err != nil {
			t.Fatal(err)
		}
	}
	send("origin")
	if n := envoy.Stats(t)["wasmcustom.cors.panics"]; n != 1 {
		t.Fatalf("%d panics", n)
	}
	send("origin trap")
	envoytest.Eventually(t, 30*time.Second, "another VM serves", func() bool {
		send("none")
		return envoy.Stats(t)["wasm.cors.vm_reload_success"] > 0
	})
}

// startEnvoy starts an Envoy with the filter, one whose requests can make it fail, and with
// the stats_tags of deploy/envoy. The filter's configuration comes by ECDS: move changes it.
func startEnvoy(t *testing.T, upstream *envoytest.Upstream, source string) (
	envoy *envoytest.Envoy, move func(config string),
) {
	t.Helper()
	dir := t.TempDir()
	module, file := filepath.Join(dir, "faults.wasm"), filepath.Join(dir, "cors.json")
	if err := envoytest.BuildModule(module, "faults"); err != nil {
		t.Fatal(err)
	}
	move = func(config string) {
		t.Helper()
		resource := map[string]any{"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
			"name": "cors", "typed_config": envoytest.Plugin{Module: module, Config: config}.TypedConfig()}
		err := os.WriteFile(file+".new", []byte(envoytest.JSON(map[string]any{"resources": []any{resource}})), 0o600)
		if err == nil {
			err = os.Rename(file+".new", file)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	move("{" + policies + `, "policy_source": {"cluster": "policies", "interval": "200ms"}}`)
	var example map[string]any
	if err := yaml.Unmarshal(read(t, "deploy/envoy/envoy.yaml"), &example); err != nil {
		t.Fatal(err)
	}
	return envoytest.Start(t, envoytest.Bootstrap{
		Upstream: upstream.Addr(),
		Clusters: []any{envoytest.Cluster("policies", source)},
		Extra: map[string]any{
			"node":         map[string]any{"id": "test", "cluster": "test"},
			"stats_config": example["stats_config"],
		},
		Listeners: []envoytest.Listener{{Name: "main", Filters: []any{map[string]any{
			"name": "cors",
			"config_discovery": map[string]any{
				"config_source": map[string]any{
					"resource_api_version": "V3", "path_config_source": map[string]any{"path": file},
				},
				"type_urls": []any{"type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"},
			},
		}}}},
	}.String(), envoytest.Options{}), move
}

// A policyd is a running cors-policyd.
type policyd struct {
	dir, address string
	client       *http.Client // that it serves
}

// token is that of its clients.
const token = "5c1de0f2a7b94c68"

// startPolicyd starts a cors-policyd of which everything is counted, on a file of SQLite. It allows one
// look-up in a second.
func startPolicyd(t *testing.T) *policyd {
	t.Helper()
	p := &policyd{dir: t.TempDir()}
	fleet.Certify(t, p.dir, "policies.internal")
	p.write(t, "tokens", token+"\n")
	p.write(t, "cors-policyd-token", token)
	p.write(t, "policyd.yaml", `listen: 127.0.0.1:0
xds: {listen: 127.0.0.1:0}
tls: {cert_file: tls.crt, key_file: tls.key}
token_file: tokens
database: sqlite:origins.db
state: state.json
limits: {lookups: 1}
policies: [{name: tenants, allow_origins: [{table: true}]}]
lookups: {tenants: SELECT 1 FROM cors_origins WHERE origin = :origin}
`)
	authority, err := os.ReadFile(filepath.Join(p.dir, "policies-ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(authority)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, ServerName: "policies.internal"}}
	t.Cleanup(transport.CloseIdleConnections)
	p.client = &http.Client{Transport: transport}
	p.address, _ = fleet.StartPolicyd(t, p.dir, "policyd.yaml")
	p.lookUp(t)
	return p
}

// write writes a file of its folder.
func (p *policyd) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// get returns what it answers.
func (p *policyd) get(t *testing.T, path string) string {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, "https://"+p.address+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	resp, err := p.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// lookUp has cors-policyd look up origins, more than it may in a second.
func (p *policyd) lookUp(t *testing.T) {
	t.Helper()
	for range 5 {
		p.get(t, "/v1/lookup?policy=tenants&origin=https://app.example")
	}
}

// read reads a file of the repository.
func read(t *testing.T, name string) []byte {
	t.Helper()
	root, err := envoytest.Root()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}
