package envoy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
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
	certify(t, p.dir)
	write(t, filepath.Join(p.dir, "tokens"), "another\n5c1de0f2a7b94c68\n")
	p.http, p.xds = fleet.StartPolicyd(t, p.dir, p.config)
	return p
}

// origins runs "cors-policyd origins".
func (p *policyd) origins(t *testing.T, command, origin string) {
	t.Helper()
	shell(t, p.dir, p.root+"/build/cors-policyd origins "+command+" -c "+p.config+" --policy tenants "+origin)
}

// certify writes a certificate for policies.internal, which is its own authority.
func certify(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"policies.internal"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, filepath.Join(dir, "tls.crt"), certificate)
	write(t, filepath.Join(dir, "policies-ca.pem"), certificate)
	write(t, filepath.Join(dir, "tls.key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
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
// by policy_source, by ECDS and by look-ups, and without the token nothing is served.
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
	start := func(filter any, clusters ...any) *envoytest.Envoy {
		return envoytest.Start(t, envoytest.Bootstrap{
			Upstream: upstream.Addr(), Clusters: clusters,
			Extra:     map[string]any{"node": map[string]any{"id": "test", "cluster": "test"}},
			Listeners: []envoytest.Listener{{Name: "main", Filters: []any{filter}}},
		}.String(), envoytest.Options{})
	}
	fetching := plugin(t, `{"policy_source": {"cluster": "policies", "path": "/v1/policies", "wait": "30s"}}`)
	envoys := map[string]*envoytest.Envoy{
		"policy_source": start(fetching.Filter(), secure(server.http)),
		"origin_lookup": start(plugin(t, substitute(t, shown(t, "{", "origin_lookup"),
			`"https://app.example.com"`, `"https://own.example.com"`)).Filter(), secure(server.http)),
		"ECDS": start(part(t, shown(t, "http_filters:", "DELTA_GRPC"), "http_filters"), control),
	}
	denied := start(fetching.Filter(), secure(server.http, "path: /etc/envoy/token.yaml", "path: "+wrongToken(t)))
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
	envoytest.Eventually(t, 20*time.Second, "another token is refused", func() bool {
		return denied.Stats(t)["wasmcustom.cors.policy_source.failed"] > 0
	})
	if got, err := envoytest.HTTP1(denied.Addr(t, "main"), preflight); err != nil || got.Status != 403 {
		t.Errorf("with another token: %+v %v", got, err)
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
