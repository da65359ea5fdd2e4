package envoy_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// A policyd is a running cors-policyd, on a file of SQLite in its folder.
type policyd struct {
	root, dir, config string
	http, xds         string // the envoys
}

// startPolicyd runs cors-policyd with a configuration, whose database is a table of its own.
func startPolicyd(t *testing.T, config string) *policyd {
	t.Helper()
	root, err := envoytest.Root()
	if err != nil {
		t.Fatal(err)
	}
	p := &policyd{root: root, dir: t.TempDir(), config: "policyd.yaml"}
	write(t, filepath.Join(p.dir, p.config), strings.ReplaceAll(config, "/etc/cors-policyd", p.dir))
	fleet.Certify(t, p.dir, "policies.internal")
	write(t, filepath.Join(p.dir, "tokens"), "another\n5c1de0f2a7b94c68\n")
	p.http, p.xds = fleet.StartPolicyd(t, p.dir, p.config)
	return p
}

// origins runs "cors-policyd origins".
func (p *policyd) origins(t *testing.T, command, origin string) {
	t.Helper()
	shell(t, p.dir, p.root+"/build/cors-policyd origins "+command+" -c "+p.config+" --policy tenants "+origin)
}

// shown is the block of docs/database.md that begins with a text, and has another in it.
func shown(t *testing.T, begin, part string) string {
	t.Helper()
	root, err := envoytest.Root()
	if err != nil {
		t.Fatal(err)
	}
	page := read(t, root, "docs/database.md")
	for _, block := range regexp.MustCompile("(?ms)^```(?:yaml|json)\\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		if strings.HasPrefix(block[1], begin) && strings.Contains(block[1], part) {
			return block[1]
		}
	}
	t.Fatalf("docs/database.md has no block that begins with %q", begin)
	return ""
}

// part is the first element of a list in a part of Envoy's configuration.
func part(t *testing.T, text, list string) any {
	t.Helper()
	var fields map[string][]any
	if err := yaml.Unmarshal([]byte(text), &fields); err != nil {
		t.Fatal(err)
	}
	return fields[list][0]
}

// TestPolicydSecure: with TLS and a token, as docs/database.md has them, a new row is in force
// by policy_source, by ECDS and by look-ups. Without the token nothing is served, and of a server that
// answers in place of cors-policyd nothing is taken.
func TestPolicydSecure(t *testing.T) {
	t.Parallel()
	server := startPolicyd(t, substitute(t, shown(t, "listen: 0.0.0.0:8081", "token_file"),
		"0.0.0.0:8081", "127.0.0.1:0",
		`{listen: "0.0.0.0:8082"}`, `{listen: "127.0.0.1:0", module: `+plugin(t, "").Module+"}",
		"$CORS_DATABASE", "sqlite:origins.db",
		"{query: SELECT origin FROM tenant_origins WHERE verified}", "{table: true}")+
		"lookups: {tenants: SELECT 1 FROM cors_origins WHERE origin = :origin}\nlookup_ttl: 0s\n")
	write(t, filepath.Join(server.dir, "token.yaml"), shown(t, "# token.yaml", ""))
	secure := func(address string, changes ...string) any {
		_, port, _ := strings.Cut(address, ":")
		changes = append(changes, "/etc/envoy", server.dir,
			"address: policies.internal, port_value: 8081", "address: 127.0.0.1, port_value: "+port)
		return part(t, substitute(t, shown(t, "clusters:", "credential_injector"), changes...), "clusters")
	}
	// The text of the page: what is another for ECDS, and the name.
	control := secure(server.xds, "http_protocol_options", "http2_protocol_options", "- name: policies", "- name: xds")
	upstream := envoytest.NewUpstream(t)
	start := func(clusters []any, listeners ...envoytest.Listener) *envoytest.Envoy {
		return envoytest.Start(t, envoytest.Bootstrap{
			Upstream: upstream.Addr(), Clusters: clusters, Listeners: listeners,
			Extra: map[string]any{"node": map[string]any{"id": "test", "cluster": "test"}},
		}.String(), envoytest.Options{})
	}
	fetching := func(name, cluster string) envoytest.Listener {
		return envoytest.Listener{Name: name, Filters: []any{plugin(t,
			fmt.Sprintf(`{"policy_source": {"cluster": %q, "path": "/v1/policies", "wait": "30s"}}`, cluster)).Filter()}}
	}
	filtering := func(filter any) envoytest.Listener {
		return envoytest.Listener{Name: "main", Filters: []any{filter}}
	}
	envoys := map[string]*envoytest.Envoy{
		"policy_source": start([]any{secure(server.http)}, fetching("main", "policies")),
		"origin_lookup": start([]any{secure(server.http)}, filtering(plugin(t, substitute(t, shown(t, "{", "origin_lookup"),
			`"https://app.example.com"`, `"https://own.example.com"`)).Filter())),
		"ECDS": start([]any{control}, filtering(part(t, shown(t, "http_filters:", "DELTA_GRPC"), "http_filters"))),
	}
	// Who has no token, and who answers without being who he should be, and what Envoy counts of it.
	named, unknown := startImpostor(t, "other.internal"), startImpostor(t, "policies.internal")
	untrusted := []struct {
		name, server, counted string
		changes               []string
	}{
		{"wrong-token", server.http, "upstream_rq_401", []string{"path: /etc/envoy/token.yaml", "path: " + wrongToken(t)}},
		{"another-name", named.address, "ssl.fail_verify_san", []string{"/etc/envoy/policies-ca.pem", named.authority}},
		{"another-authority", unknown.address, "ssl.fail_verify_error", nil},
	}
	var clusters []any
	var sources []envoytest.Listener
	for _, test := range untrusted {
		clusters = append(clusters, secure(test.server, append(test.changes, "- name: policies", "- name: "+test.name,
			"cluster_name: policies", "cluster_name: "+test.name)...))
		sources = append(sources, fetching(test.name, test.name))
	}
	denied := start(clusters, sources...)
	preflight := cases.Request{Method: "OPTIONS", Host: "api.example.com",
		Headers: [][2]string{{"origin", "https://app.example.com"}, {"access-control-request-method", "GET"}}}
	serves := func(way string, status int) {
		t.Helper()
		envoytest.Eventually(t, 20*time.Second, fmt.Sprintf("%s makes it %d", way, status), func() bool {
			got, err := envoytest.HTTP1(envoys[way].Addr(t, "main"), preflight)
			return err == nil && got.Status == status
		})
	}
	for way := range envoys {
		serves(way, 403)
	}
	server.origins(t, "add", "https://app.example.com")
	for way := range envoys {
		serves(way, 204)
	}
	for _, test := range untrusted {
		envoytest.Eventually(t, 20*time.Second, test.name+" is refused", func() bool {
			return denied.Stats(t)["cluster."+test.name+"."+test.counted] > 0
		})
		if got, err := envoytest.HTTP1(denied.Addr(t, test.name), preflight); err != nil || got.Status != 403 {
			t.Errorf("%s: %+v %v", test.name, got, err)
		}
	}
	const counted = "wasmcustom.cors.policy_source."
	if stats := denied.Stats(t); stats[counted+"failed"] == 0 || stats[counted+"updated"]+stats[counted+"refused"] > 0 {
		t.Errorf("%d fetches have failed, %d documents were taken and %d refused", stats[counted+"failed"],
			stats[counted+"updated"], stats[counted+"refused"])
	}
	server.origins(t, "remove", "https://app.example.com")
	for way := range envoys {
		serves(way, 403)
	}
}

// wrongToken writes a secret that cors-policyd doesn't know.
func wrongToken(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token.yaml")
	write(t, file, substitute(t, shown(t, "# token.yaml", ""), "5c1de0f2a7b94c68", "5c1de0f2a7b94c69"))
	return file
}

// An impostor is a server that has policies of its own.
type impostor struct {
	address   string
	authority string // the file with the certificate of who has issued its own
}

// startImpostor starts one whose certificate is for a name. It allows https://app.example.com whatever it is asked.
func startImpostor(t *testing.T, name string) impostor {
	t.Helper()
	dir := t.TempDir()
	fleet.Certify(t, dir, name)
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"policies": [{"name": "tenants", "allow_origins": ["https://app.example.com"]}]}`)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // Envoy ends its connections.
	server.StartTLS()
	t.Cleanup(server.Close)
	return impostor{server.Listener.Addr().String(), filepath.Join(dir, "policies-ca.pem")}
}
