package operate_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// A server is a running Prometheus.
type server struct {
	*envoytest.Output
	url string
}

// prometheus returns the path of Prometheus, or of promtool, which is installed with it.
func prometheus(t *testing.T, name string) string {
	t.Helper()
	root, err := envoytest.Root()
	if err != nil {
		t.Fatal(err)
	}
	path := os.Getenv("PROMETHEUS")
	if path == "" {
		path = filepath.Join(root, "build/tools/prometheus/usr/bin/prometheus")
	}
	path = filepath.Join(filepath.Dir(path), name)
	if _, err := exec.LookPath(path); err != nil {
		t.Fatalf("%v; run: tools/install prometheus", err)
	}
	return path
}

// startPrometheus starts Prometheus with the rules and the configuration of
// deploy/prometheus on an Envoy and a cors-policyd, which has TLS and a token. Everything is done each second.
func startPrometheus(t *testing.T, envoy *envoytest.Envoy, policyd *policyd) *server {
	t.Helper()
	dir := t.TempDir()
	for name, changes := range map[string][]string{
		"prometheus.yaml": {"127.0.0.1:9901", envoy.Admin(), "127.0.0.1:8081", policyd.address, "_interval: 15s", "_interval: 1s",
			"# scheme", "scheme", "# tls_config", "tls_config", "# authorization", "authorization",
			"/etc/prometheus/policies-ca.pem", filepath.Join(policyd.dir, "policies-ca.pem"),
			"/etc/prometheus/cors-policyd-token", filepath.Join(policyd.dir, "cors-policyd-token")},
		"cors.rules.yaml": {"  interval: 2m", "  interval: 1s"},
	} {
		content := string(read(t, "deploy/prometheus/"+name))
		for i := 0; i < len(changes); i += 2 {
			if !strings.Contains(content, changes[i]) {
				t.Fatalf("%s lacks %s", name, changes[i])
			}
		}
		content = strings.NewReplacer(changes...).Replace(content)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &server{Output: envoytest.Run(t, exec.Command(prometheus(t, "prometheus"),
		"--config.file", filepath.Join(dir, "prometheus.yaml"), "--storage.tsdb.path", filepath.Join(dir, "data"),
		"--web.listen-address", "127.0.0.1:0"))}
	address := regexp.MustCompile(`msg="Listening on" address=(\S+)`)
	envoytest.Eventually(t, 60*time.Second, "Prometheus serves", func() bool {
		match := address.FindStringSubmatch(s.String())
		if match == nil {
			return false
		}
		s.url = "http://" + match[1]
		resp, err := http.Get(s.url + "/-/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return s
}

// samples returns how many series an expression has now that are numbers.
func (s *server) samples(t *testing.T, expression string) (n int) {
	t.Helper()
	resp, err := http.PostForm(s.url+"/api/v1/query", url.Values{"query": {expression}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Error string
		Data  struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Error != "" {
		t.Fatalf("%s: %v %s", expression, err, body)
	}
	for _, series := range answer.Data.Result {
		if fmt.Sprint(series.Value[1]) != "NaN" {
			n++
		}
	}
	return n
}

// TestPrometheus: promtool finds nothing wrong in the rules and the configuration, and the
// alerts fire, and don't fire, as the tests beside them say.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	root, err := envoytest.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"check", "config", "prometheus.yaml"}, {"check", "rules", "cors.rules.yaml"},
		{"test", "rules", "cors.rules.test.yaml"},
	} {
		cmd := exec.Command(prometheus(t, "promtool"), args...)
		cmd.Dir = filepath.Join(root, "deploy/prometheus")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %q: %v\n%s", args, err, out)
		}
	}
}
