package envoy_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// Requests by a page that the examples in deploy allow, and what they get.
var (
	fromApp      = cases.Request{Headers: [][2]string{{"origin", "https://app.example.com"}}}
	appPreflight = cases.Request{Method: "OPTIONS",
		Headers: [][2]string{{"origin", "https://app.example.com"}, {"access-control-request-method", "PUT"}}}
	evilPreflight = cases.Request{Method: "OPTIONS",
		Headers: [][2]string{{"origin", "https://evil.test"}, {"access-control-request-method", "PUT"}}}
	open = cases.Upstream{Headers: [][2]string{{"access-control-allow-origin", "*"}}}
)

const (
	appAllowed    = "access-control-allow-origin: https://app.example.com"
	credentials   = "access-control-allow-credentials: true"
	varyPreflight = "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
)

// TestDeploy starts the examples in deploy that are for an Envoy on its own, each as the
// comment at its top says, in a folder of its own.
func TestDeploy(t *testing.T) {
	t.Parallel()
	skips := []string{"access-control-allow-methods: PUT"}
	lists := []string{"access-control-allow-headers: Content-Type", "access-control-allow-methods: PUT, DELETE"}
	for example, lists := range map[string][]string{
		"envoy": lists, "envoy-ecds": lists, "envoy-origin-route": skips, "envoy-matcher": skips,
	} {
		t.Run(example, func(t *testing.T) {
			t.Parallel()
			upstream := envoytest.NewUpstream(t)
			dir := prepare(t, example)
			envoy := envoytest.Start(t, bootstrap(t, dir, upstream), envoytest.Options{})
			addr := envoy.Addr(t, "api")
			preflight := append([]string{credentials}, lists...)
			for _, test := range []struct {
				name      string
				request   cases.Request
				upstream  cases.Upstream
				status    int
				forwarded bool
				want      []string
			}{
				{"no-origin", cases.Request{}, cases.Upstream{}, 200, true, []string{"vary: Origin"}},
				{"no-origin-vary", cases.Request{}, cases.Upstream{Headers: [][2]string{{"vary", "Accept"}}}, 200, true,
					[]string{"vary: Accept, Origin"}},
				{"allowed", fromApp, open, 200, true, []string{credentials, appAllowed, "vary: Origin"}},
				{"allowed-404", fromApp, cases.Upstream{Status: 404}, 404, true,
					[]string{credentials, appAllowed, "vary: Origin"}},
				{"denied", fromElsewhere, open, 200, true, []string{"vary: Origin"}},
				{"empty-origin", cases.Request{Headers: [][2]string{{"origin", ""}}}, open, 200, true,
					[]string{"vary: Origin"}},
				{"preflight", appPreflight, cases.Upstream{}, 204, false,
					append(preflight, appAllowed, "access-control-max-age: 600", varyPreflight)},
				{"preflight-denied", evilPreflight, open, 403, false, []string{varyPreflight}},
			} {
				t.Run(test.name, func(t *testing.T) {
					x, err := upstream.Exchange(envoytest.HTTP1, addr, test.request, test.upstream)
					if err != nil {
						t.Fatal(err)
					}
					got, forwarded := x.Response, len(x.Received) > 0
					if got.Status != test.status || forwarded != test.forwarded {
						t.Errorf("status %d, forwarded %t; want %d, %t",
							got.Status, forwarded, test.status, test.forwarded)
					}
					if diff := cmp.Diff(test.want, cases.Lines(got.Headers)); diff != "" {
						t.Errorf("headers (-want +got):\n%s", diff)
					}
				})
			}
			switch example {
			case "envoy":
				testLog(t, envoy)
			case "envoy-ecds":
				testMove(t, dir, addr)
			}
		})
	}
}

// testMove edits the filter's configuration as the comment at the top of cors.yaml says.
func testMove(t *testing.T, dir, addr string) {
	t.Helper()
	shell(t, dir, append([]string{"EDITOR='sed -i s/DELETE/PATCH/'"}, commands(t, dir, "cors.yaml")...)...)
	envoytest.Eventually(t, 10*time.Second, "the new policy serves", func() bool {
		got, err := envoytest.HTTP1(addr, appPreflight)
		return err == nil && strings.Join(got.Values("access-control-allow-methods"), "; ") == "PUT, PATCH"
	})
}

// testLog is about the access log of deploy/envoy: it tells why a preflight was rejected.
func testLog(t *testing.T, envoy *envoytest.Envoy) {
	t.Helper()
	if _, err := envoytest.HTTP1(envoy.Addr(t, "api"), to("/log?token=secret", evilPreflight)); err != nil {
		t.Fatal(err)
	}
	logged := regexp.MustCompile(`(?m)^.*"path":"/log".*$`)
	envoytest.Eventually(t, 10*time.Second, "the access log has the request",
		func() bool { return logged.MatchString(envoy.AccessLog()) })
	line := logged.FindString(envoy.AccessLog())
	for _, part := range []string{`"origin":"https://evil.test"`, `"status":403`,
		`"details":"cors:_origin_https://evil.test_is_not_in_allow_origins"`} {
		if !strings.Contains(line, part) {
			t.Errorf("%s lacks %s", line, part)
		}
	}
}

// TestDeployLabels: the stats_tags of deploy/envoy make labels of what the filter's
// counters have in their names. Envoy gives a plugin counters by its name, so that a
// plugin can have any.
func TestDeployLabels(t *testing.T) {
	t.Parallel()
	text := substitute(t, bootstrap(t, prepare(t, "envoy"), envoytest.NewUpstream(t)),
		"                name: cors\n", "                name: cors_policy=.=a.b-c;.;cors_outcome=.=denied_origin;.;"+
			"cors_result=.=hit;.;cors_requests_total\n")
	metrics, err := envoytest.Start(t, text, envoytest.Options{}).Get(t.Context(), "/stats/prometheus")
	const want = `envoy_wasm_cors_requests_total_vm_reload_success{` +
		`cors_policy="a.b-c",cors_outcome="denied_origin",cors_result="hit"} 0`
	if err != nil || !strings.Contains(string(metrics), want) {
		t.Errorf("%v, no %s in\n%s", err, want, metrics)
	}
}

// TestDeploySource: deploy/envoy with the policy source that its comments offer.
func TestDeploySource(t *testing.T) {
	t.Parallel()
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"allow_origins": ["https://elsewhere.example.com"]}`)
	}))
	t.Cleanup(source.Close)
	_, port, err := net.SplitHostPort(source.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	text := bootstrap(t, prepare(t, "envoy"), envoytest.NewUpstream(t))
	field := regexp.MustCompile(`(?m)^ +#   ("policy_source": .*,)$`).FindStringSubmatch(text)
	before, cluster, found := strings.Cut(text, "  #- name: policies\n")
	if field == nil || !found {
		t.Fatal("deploy/envoy/envoy.yaml isn't written as this test expects it")
	}
	text = before + "  - name: policies\n" + regexp.MustCompile(`(?m)^  #`).ReplaceAllString(cluster, "  ")
	text = substitute(t, text, `"policies": [{`, field[1]+` "policies": [{`,
		"address: policies.internal, port_value: 80", "address: 127.0.0.1, port_value: "+port)
	addr := envoytest.Start(t, text, envoytest.Options{}).Addr(t, "api")
	envoytest.Eventually(t, 10*time.Second, "the document serves", func() bool {
		got, err := envoytest.HTTP1(addr, appPreflight)
		return err == nil && got.Status == 403
	})
}

// prepare returns a folder with an example of deploy and the module, after what the
// comment at the example's top says.
func prepare(t *testing.T, example string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	root, err := envoytest.Root()
	if err == nil {
		err = os.CopyFS(dir, os.DirFS(filepath.Join(root, "deploy", example)))
	}
	if err == nil {
		err = os.Symlink(plugin(t, "").Module, filepath.Join(dir, "cors.wasm"))
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := commands(t, dir, "envoy.yaml")
	if last := lines[len(lines)-1]; last != "envoy -c envoy.yaml" {
		t.Fatalf("the last command is %s", last)
	}
	shell(t, dir, lines[:len(lines)-1]...)
	return dir
}

// commands are those of the comment at the top of a file.
func commands(t *testing.T, dir, name string) (lines []string) {
	t.Helper()
	text := read(t, dir, name)
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			break
		}
		if command, found := strings.CutPrefix(line, "#   "); found {
			lines = append(lines, strings.TrimSpace(command))
		}
	}
	if lines == nil {
		t.Fatalf("no command at the top of %s", name)
	}
	return lines
}

func shell(t *testing.T, dir string, lines ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", strings.Join(lines, "\n"))
	cmd.Dir = dir
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
}

// bootstrap is the example that was prepared in a folder, with a port of the test's own and
// an upstream.
func bootstrap(t *testing.T, dir string, upstream *envoytest.Upstream) string {
	t.Helper()
	_, port, err := net.SplitHostPort(upstream.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return substitute(t, read(t, dir, "envoy.yaml"),
		"port_value: 10001", "port_value: 0", "port_value: 10003", "port_value: "+port)
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// substitute replaces texts (old, new, old, new, ...), each of which must be there.
func substitute(t *testing.T, text string, replacements ...string) string {
	t.Helper()
	for i := 0; i < len(replacements); i += 2 {
		if !strings.Contains(text, replacements[i]) {
			t.Fatalf("the example lacks %q", replacements[i])
		}
	}
	return strings.NewReplacer(replacements...).Replace(text)
}
