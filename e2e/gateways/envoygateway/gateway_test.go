// Package envoygateway tests deploy/envoy-gateway with the real Envoy Gateway.
package envoygateway

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// entrance is where the Envoy of the Gateway listens.
const entrance = "127.0.0.1:8080"

const (
	// startTimeout is for Envoy Gateway, Envoy, and the module's compilation.
	startTimeout = 2 * time.Minute
	// updateTimeout is for a change to pass through all of them.
	updateTimeout = time.Minute
)

// configuration is Envoy Gateway's own.
const configuration = `apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyGateway
gateway: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
provider:
  type: Custom
  custom:
    resource: {type: File, file: {paths: [%[1]s/resources]}}
    infrastructure:
      type: Host
      host: {configHome: %[1]s, dataHome: %[1]s/data, stateHome: %[1]s/state, runtimeDir: %[1]s/run}
logging: {level: {default: info}}
extensionApis: {enableBackend: true, enableEnvoyPatchPolicy: true}
`

// A gateway is a running Envoy Gateway, with its Envoy, on the resources of a folder.
type gateway struct {
	home     string
	upstream *envoytest.Upstream
	// url and digest are the image's.
	url, digest string
	// output is what Envoy Gateway and Envoy have written: logs, the status of each
	// resource, and the access log.
	output *envoytest.Output
	// admin is the address of Envoy's admin interface.
	admin string
}

// start starts Envoy Gateway on testdata/app.yaml and files of deploy/envoy-gateway, and
// waits until its Envoy serves.
func start(t *testing.T, manifests ...string) *gateway {
	t.Helper()
	g := &gateway{home: os.Getenv(homeVariable), upstream: envoytest.NewUpstream(t), output: &envoytest.Output{}}
	g.push(t)
	if out, err := command(os.Getenv(binaryVariable), "certgen", "--local", "--config-home", g.home).
		CombinedOutput(); err != nil {
		t.Fatalf("certgen: %v\n%s", err, out)
	}
	g.installEnvoy(t)
	g.write(t, "envoy-gateway.yaml", fmt.Sprintf(configuration, g.home))
	g.write(t, "resources/secrets.yaml", g.secrets(t))
	g.write(t, "resources/app.yaml", g.app(t))
	for _, name := range manifests {
		g.apply(t, name)
	}
	cmd := command(os.Getenv(binaryVariable), "server", "--config-path", filepath.Join(g.home, "envoy-gateway.yaml"))
	cmd.Stdout, cmd.Stderr = g.output, g.output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.stop(t, cmd) })
	envoytest.Eventually(t, startTimeout, "Envoy serves", g.serves)
	return g
}

// stop ends Envoy Gateway, which ends Envoy.
func (g *gateway) stop(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait()
	if !t.Failed() {
		return
	}
	lines := strings.SplitAfter(g.output.String(), "\n")
	t.Logf("the end of Envoy Gateway's and Envoy's output:\n%s", strings.Join(lines[max(0, len(lines)-80):], ""))
}

// push pushes the image to a registry, from which Envoy Gateway pulls it.
func (g *gateway) push(t *testing.T) {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	g.url = strings.TrimPrefix(server.URL, "http://") + "/cors:test"
	printed, err := command("make", "-C", "../../..", "push", "IMAGE="+g.url).CombinedOutput()
	digest := regexp.MustCompile(`code\.image\.sha256 +([0-9a-f]{64})`).FindSubmatch(printed)
	if err != nil || digest == nil {
		t.Fatalf("make push: %v\n%s", err, printed)
	}
	g.digest = string(digest[1])
}

// pushAnother pushes an image with another module, which has a section more that says
// nothing, and returns its name and digest.
func (g *gateway) pushAnother(t *testing.T) (url, digest string) {
	t.Helper()
	module, err := os.ReadFile("../../../build/cors.wasm")
	if err != nil {
		t.Fatal(err)
	}
	g.write(t, "another.wasm", string(module)+"\x00\x08\x07another")
	layout, tool := filepath.Join(g.home, "another"), "../../../build/imagetool"
	if out, err := command(tool, "write", filepath.Join(g.home, "another.wasm"), layout).CombinedOutput(); err != nil {
		t.Fatalf("imagetool write: %v\n%s", err, out)
	}
	url = g.url + "-another"
	out, err := command(tool, "push", layout, url).CombinedOutput()
	pushed := regexp.MustCompile(`@sha256:([0-9a-f]{64}) was pushed`).FindSubmatch(out)
	if err != nil || pushed == nil {
		t.Fatalf("imagetool push: %v\n%s", err, out)
	}
	return url, string(pushed[1])
}

// installEnvoy puts Envoy where Envoy Gateway looks for the version that it is told.
func (g *gateway) installEnvoy(t *testing.T) {
	t.Helper()
	printed, err := command(os.Getenv("ENVOY"), "--version").Output()
	version := regexp.MustCompile(`/([0-9]+\.[0-9]+\.[0-9]+)/`).FindSubmatch(printed)
	if err != nil || version == nil {
		t.Fatalf("ENVOY=%s prints no version: %v %s", os.Getenv("ENVOY"), err, printed)
	}
	g.write(t, "envoy-version", string(version[1]))
	folder := filepath.Join(g.home, "data/envoy-versions", string(version[1]), "bin")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(os.Getenv("ENVOY"), filepath.Join(folder, "envoy")); err != nil {
		t.Fatal(err)
	}
}

// secrets are those that "envoy-gateway certgen" makes in a cluster.
func (g *gateway) secrets(t *testing.T) string {
	t.Helper()
	var list strings.Builder
	for name, keys := range map[string][]string{
		"envoy": {"ca.crt", "tls.crt", "tls.key"}, "envoy-oidc-hmac": {"hmac-secret"},
	} {
		fmt.Fprintf(&list, "---\napiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: envoy-gateway-system}\n"+
			"data:\n", name)
		for _, key := range keys {
			value, err := os.ReadFile(filepath.Join(g.home, "certs", name, key))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&list, "  %s: %s\n", key, base64.StdEncoding.EncodeToString(value))
		}
	}
	return list.String()
}

// app is testdata/app.yaml with its ports.
func (g *gateway) app(t *testing.T) string {
	t.Helper()
	authorizer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(authorizer.Close)
	text, err := os.ReadFile("testdata/app.yaml")
	if err != nil {
		t.Fatal(err)
	}
	port := func(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }
	return strings.NewReplacer("port: UPSTREAM", "port: "+port(g.upstream.Addr()),
		"port: AUTHORIZER", "port: "+port(authorizer.Listener.Addr().String())).Replace(string(text))
}

// manifest is a file of deploy/envoy-gateway, with the image's name and digest.
func (g *gateway) manifest(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../../deploy/envoy-gateway", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("ghcr.io/proxy-wasm-cors/proxy-wasm-cors:v0.0.0", g.url,
		strings.Repeat("0", 64), g.digest).Replace(string(text))
}

// apply gives Envoy Gateway a file of deploy/envoy-gateway, with further replacements.
func (g *gateway) apply(t *testing.T, name string, replacements ...string) {
	t.Helper()
	text := g.manifest(t, name)
	for i := 0; i < len(replacements); i += 2 {
		if !strings.Contains(text, replacements[i]) {
			t.Fatalf("%s has no %q", name, replacements[i])
		}
		text = strings.ReplaceAll(text, replacements[i], replacements[i+1])
	}
	g.write(t, filepath.Join("resources", name), text)
}

// write writes a file in the home at once, so that what is half written is never read.
func (g *gateway) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(g.home, name)
	hidden := filepath.Join(filepath.Dir(path), ".new")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hidden, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(hidden, path); err != nil {
		t.Fatal(err)
	}
}

// serves reports whether Envoy serves with the filter, once its admin interface is known.
func (g *gateway) serves() bool {
	files, _ := filepath.Glob(filepath.Join(g.home, "run/*/admin-address.txt"))
	if len(files) == 0 {
		return false
	}
	addr, err := os.ReadFile(files[0])
	if err != nil {
		return false
	}
	if g.admin = strings.TrimSpace(string(addr)); g.admin == "" {
		return false
	}
	response, err := envoytest.HTTP1(entrance, preflight("/plain", "PUT"))
	return err == nil && response.Status == http.StatusNoContent
}

// get returns what Envoy's admin interface answers.
func (g *gateway) get(t *testing.T, path string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+g.admin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// An httpFilter is a filter in Envoy's HTTP chain, as far as the tests look at it.
type httpFilter struct {
	Name     string `json:"name"`
	Disabled bool   `json:"disabled"`
	Typed    struct {
		Config struct {
			Name          string `json:"name"`
			FailurePolicy string `json:"failure_policy"`
			VM            struct {
				Code struct {
					Remote struct {
						SHA256 string `json:"sha256"`
					} `json:"remote"`
				} `json:"code"`
			} `json:"vm_config"`
		} `json:"config"`
	} `json:"typed_config"`
}

// module is the hash of a Wasm filter's module.
func (f httpFilter) module() string { return f.Typed.Config.VM.Code.Remote.SHA256 }

// chain returns the HTTP filters of one of the Gateway's listeners, in their order.
func (g *gateway) chain(t *testing.T, listener string) []httpFilter {
	t.Helper()
	var dump struct {
		Configs []struct {
			Name   string `json:"name"`
			Active struct {
				Listener struct {
					Default struct {
						Filters []struct {
							Typed struct {
								Chain []httpFilter `json:"http_filters"`
							} `json:"typed_config"`
						} `json:"filters"`
					} `json:"default_filter_chain"`
				} `json:"listener"`
			} `json:"active_state"`
		} `json:"configs"`
	}
	text := g.get(t, "/config_dump?resource=dynamic_listeners")
	if err := json.Unmarshal([]byte(text), &dump); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, config := range dump.Configs {
		for _, filter := range config.Active.Listener.Default.Filters {
			if config.Name == listener && len(filter.Typed.Chain) > 0 {
				return filter.Typed.Chain
			}
		}
	}
	t.Fatalf("no chain of HTTP filters in %s", text)
	return nil
}
