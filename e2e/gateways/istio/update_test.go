package istio

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"istio.io/istio/pkg/monitoring/monitortest"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// exposes is the prefix of the header by which a policy of a version exposes itself.
const exposes = "x-version-"

// versioned returns a manifest of which answers tell the version: those of preflights by
// the seconds that they may be kept.
func versioned(t *testing.T, manifest string, version int) string {
	t.Helper()
	return replaced(t, manifest, "    max_age: 10m\n",
		fmt.Sprintf("    max_age: %d\n    expose_headers: [%s%d]\n", version, exposes, version))
}

// A load sends requests, and judges each answer.
type load struct {
	stop    chan struct{}
	running sync.WaitGroup
	began   time.Time

	mu       sync.Mutex
	versions []int // of each client's last answer
	requests int
	failures []string
}

// startLoad begins to send requests from clients: a part send preflights, and the first of all
// sends each request over a connection of its own.
func startLoad(t *testing.T, addr string, clients int) *load {
	t.Helper()
	l := &load{stop: make(chan struct{}), began: time.Now(), versions: make([]int, clients)}
	for client := range clients {
		l.running.Go(func() {
			if err := l.run(addr, client); err != nil {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.failures = append(l.failures, err.Error())
			}
		})
	}
	return l
}

// run sends a client's requests, until one fails.
func (l *load) run(addr string, client int) error {
	send, read := request("GET", "/api", asPage...), versionOf
	if client%3 == 2 {
		send, read = request("OPTIONS", "/api", preflight(page, "PUT")...), versionOfPreflight
	}
	for {
		conn, err := envoytest.Dial(addr)
		if err != nil {
			return err
		}
		err = l.send(conn, send, read, client)
		conn.Close()
		if err != nil || client != 0 {
			return err
		}
		select {
		case <-l.stop:
			return nil
		default:
		}
	}
}

// send sends requests over one connection: of the first client's one, of the others' as long
// as the load goes on. One worker serves it, so that no version comes after a later one.
func (l *load) send(
	conn *envoytest.Conn, send cases.Request, read func(*envoytest.Response) (int, error), client int,
) error {
	for last := 0; ; {
		response, err := conn.Do(send)
		if err != nil {
			return err
		}
		version, err := read(response)
		if err == nil && version < last {
			err = fmt.Errorf("version %d after %d", version, last)
		}
		if err != nil {
			return err
		}
		last = version
		l.mu.Lock()
		l.requests++
		l.versions[client] = version
		l.mu.Unlock()
		select {
		case <-l.stop:
			return nil
		case <-time.After(3 * time.Millisecond):
		}
		if client == 0 {
			return nil
		}
	}
}

// versionOf reads the version of the policy off an answer that a page may read.
func versionOf(response *envoytest.Response) (int, error) {
	origin, exposed := response.Values("access-control-allow-origin"), response.Values("access-control-expose-headers")
	if response.Status != http.StatusOK || !slices.Equal(origin, []string{page}) || len(exposed) != 1 {
		return 0, fmt.Errorf("status %d, headers %q", response.Status, response.Headers)
	}
	return strconv.Atoi(strings.TrimPrefix(exposed[0], exposes))
}

// versionOfPreflight reads the version of the policy off an answer that allows a preflight.
func versionOfPreflight(response *envoytest.Response) (int, error) {
	origin, age := response.Values("access-control-allow-origin"), response.Values("access-control-max-age")
	if response.Status != http.StatusNoContent || !slices.Equal(origin, []string{page}) || len(age) != 1 {
		return 0, fmt.Errorf("status %d, headers %q", response.Status, response.Headers)
	}
	return strconv.Atoi(age[0])
}

// await waits until every client has answers of a version.
func (l *load) await(t *testing.T, version int) {
	t.Helper()
	envoytest.Eventually(t, patience, fmt.Sprintf("version %d for each client", version), func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.failures) > 0 || !slices.ContainsFunc(l.versions, func(v int) bool { return v != version })
	})
}

// end ends the load, and fails the test if a request was lost or answered otherwise.
func (l *load) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.running.Wait()
	rate := float64(l.requests) / time.Since(l.began).Seconds()
	t.Logf("%d requests, %.0f a second, %d failed", l.requests, rate, len(l.failures))
	if len(l.failures) > 0 || rate < 200 {
		t.Errorf("%.0f requests a second, failures %q", rate, l.failures)
	}
}

// TestUpdates: a WasmPlugin is edited under load without a lost request, and each edit is in
// effect. A bad one is refused, the refusal is counted, and the policy of before serves.
func TestUpdates(t *testing.T) {
	metrics := monitortest.New(t)
	s := serve(t, versioned(t, deployed(t, "gateway.yaml"), 1))
	l := startLoad(t, s.addr, 8)
	version := 1
	l.await(t, version)
	vms := s.Stats(t)[createdVMs]
	const edits, every = 24, 4 // and every fourth time a bad one first
	for edit := range edits {
		if edit%every == 0 {
			before := len(s.refused())
			s.apply(t, replaced(t, versioned(t, deployed(t, "gateway.yaml"), version+100), page, page+"/"))
			envoytest.Eventually(t, patience, "the proxy refuses the policy", func() bool {
				return len(s.refused()) > before
			})
		}
		version++
		s.apply(t, versioned(t, deployed(t, "gateway.yaml"), version))
		l.await(t, version)
		time.Sleep(200 * time.Millisecond) // and it goes on to serve
	}
	l.end(t)
	const refusal = "Unable to create Wasm plugin istio-ingress.cors"
	if refused := s.refused(); len(refused) != edits/every || !strings.HasPrefix(refused[0], refusal) {
		t.Errorf("the proxy refused %q", refused)
	}
	metrics.Assert("pilot_total_xds_rejects", map[string]string{"type": "ecds"}, monitortest.Exactly(edits/every))
	// Istio's agent keeps the version of the WasmPlugin from Envoy, so that the VMs stay. One
	// is made for each edit, to try it.
	if got, want := s.Stats(t)[createdVMs]-vms, uint64(edits+edits/every); got != want {
		t.Errorf("%d VMs were made by %d edits", got, want)
	}
}

// createdVMs is Envoy's counter of the VMs that it has made.
const createdVMs = "wasm.envoy.wasm.runtime.v8.created"

// TestCounters: the filter's counters go on when the WasmPlugin is edited, also where each
// edit makes new VMs. It does for a file, since Istio then leaves the WasmPlugin's version in
// the VM's environment, which from 1.39 on Envoy tells VMs by.
func TestCounters(t *testing.T) {
	module, err := envoytest.Module()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		url string
		new bool // whether an edit makes another VM than the one that tries it
	}{
		{"oci://ghcr.io/proxy-wasm-cors/proxy-wasm-cors:v0.0.0", false},
		{"file://" + module, true},
	} {
		scheme, _, _ := strings.Cut(test.url, ":")
		t.Run(scheme, func(t *testing.T) {
			// The source is away, so that a counter grows without requests.
			manifest := replaced(t, deployed(t, "policy-source.yaml"), "interval: 10s", "interval: 100ms")
			manifest = replaced(t, manifest, "oci://ghcr.io/proxy-wasm-cors/proxy-wasm-cors:v0.0.0", test.url)
			manifest = replaced(t, manifest, "  resolution: DNS\n",
				"  resolution: STATIC\n  endpoints: [{address: 127.0.0.1, ports: {http: 1}}]\n")
			s := serve(t, manifest)
			c := &counted{served: s}
			vms := s.Stats(t)[createdVMs]
			const edits = 4
			for edit := range edits {
				s.apply(t, replaced(t, manifest, "max_age: 10m", fmt.Sprintf("max_age: %dm", edit+1)))
				c.await(t, fmt.Sprintf("access-control-max-age: %d", (edit+1)*60))
			}
			if made := s.Stats(t)[createdVMs] - vms; made > edits != test.new {
				t.Errorf("%d VMs were made by %d edits", made, edits)
			}
		})
	}
}

// A counted is a gateway whose counters may only grow.
type counted struct {
	*served
	preflights, failed uint64
}

// await sends preflights until they have a line in the answer, and the source has been asked
// five times more. Each preflight is counted, whatever has become of the VM that counted.
func (c *counted) await(t *testing.T, line string) {
	t.Helper()
	least := c.failed + 5
	envoytest.Eventually(t, patience, "the edit is in effect, and the counter grows", func() bool {
		_, lines, _ := c.ask(t, "OPTIONS", "/api", preflight(page, "PUT")...)
		c.preflights++
		now := c.Stats(t)
		counted := now["wasmcustom.cors_policy=.=default;.;cors_outcome=.=preflight_allowed;.;cors_requests_total"]
		failed := now["wasmcustom.cors.policy_source.failed"]
		if counted != c.preflights || failed < c.failed {
			t.Fatalf("of %d preflights %d are counted; the fetches that failed went from %d to %d",
				c.preflights, counted, c.failed, failed)
		}
		c.failed = failed
		return failed > least && slices.Contains(lines, line)
	})
}

// TestPolicySource: the filter fetches its policies from a cluster of Istio's, under the
// name that Istio gives it.
func TestPolicySource(t *testing.T) {
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "policies.internal" || r.URL.Path != "/cors.json" {
			http.NotFound(w, r)
			return
		}
		_, _ = fmt.Fprint(w, `{"policies": [{"name": "fetched", "allow_origins": ["https://tenant.example"]}]}`)
	}))
	defer source.Close()
	manifest := replaced(t, deployed(t, "policy-source.yaml"), "  resolution: DNS\n",
		"  resolution: STATIC\n  endpoints: [{address: 127.0.0.1, ports: {http: "+
			port(source.Listener.Addr().String())+"}}]\n")
	s := serve(t, manifest)
	envoytest.Eventually(t, patience, "the fetched policy", func() bool {
		_, lines, _ := s.ask(t, "GET", "/api", "origin: https://tenant.example")
		return slices.Equal(lines, []string{"access-control-allow-origin: https://tenant.example", "vary: Origin"})
	})
	envoytest.Eventually(t, patience, "the policy of the configuration ends in each worker", func() bool {
		return !slices.ContainsFunc(make([]struct{}, 20), func(struct{}) bool {
			_, lines, _ := s.ask(t, "GET", "/api", asPage...)
			return !slices.Equal(lines, varies)
		})
	})
}

// TestBadAtFirst: a proxy that starts with a bad policy serves nothing, until it is mended.
func TestBadAtFirst(t *testing.T) {
	good := deployed(t, "gateway.yaml")
	s := serve(t, replaced(t, good, page, page+"/"))
	if status, lines, forwarded := s.ask(t, "GET", "/api", asPage...); status != 500 || lines != nil || forwarded {
		t.Errorf("status %d, %q, forwarded %t", status, lines, forwarded)
	}
	s.apply(t, good)
	s.await(t, 200, allowed)
}

// await waits until the page's request has this answer.
func (s *served) await(t *testing.T, status int, lines []string) {
	t.Helper()
	envoytest.Eventually(t, patience, fmt.Sprintf("status %d, %q", status, lines), func() bool {
		gotStatus, gotLines, _ := s.ask(t, "GET", "/api", asPage...)
		return gotStatus == status && slices.Equal(gotLines, lines)
	})
}

// TestRemove: no request is lost when the WasmPlugin is deleted, and none when it is applied
// again. A connection that is there stays with the filter, or without it, until Envoy asks to
// close it.
func TestRemove(t *testing.T) {
	manifest := deployed(t, "gateway.yaml")
	s := serve(t, manifest)
	upstreams := []string{"access-control-allow-origin: https://upstream.example"}
	var conn *envoytest.Conn
	last := allowed
	for _, next := range [][]string{allowed, upstreams, allowed} {
		if slices.Equal(next, upstreams) {
			s.delete(t, manifest)
		} else {
			s.apply(t, manifest)
		}
		envoytest.Eventually(t, patience, fmt.Sprintf("%q", next), func() bool {
			var err error
			if conn == nil {
				if conn, err = envoytest.Dial(s.addr); err != nil {
					t.Fatal(err)
				}
			}
			exchange, err := s.backend.Exchange(func(_ string, r cases.Request) (*envoytest.Response, error) {
				return conn.Do(r)
			}, s.addr, request("GET", "/api", asPage...), cases.Upstream{Headers: upstreamsOwn})
			if err != nil || exchange.Response.Status != http.StatusOK {
				t.Fatalf("%v, %+v", err, exchange.Response)
			}
			if slices.Contains(exchange.Response.Values("connection"), "close") {
				conn.Close()
				conn = nil
			}
			lines := envoytest.CORSLines(exchange.Response)
			if !slices.Equal(lines, last) && !slices.Equal(lines, next) {
				t.Fatalf("%q, neither %q nor %q", lines, last, next)
			}
			return slices.Equal(lines, next)
		})
		last = next
	}
	conn.Close()
}

// TestPull: with another digest, Istio's agent denies every request rather than go without
// the filter, at the start and in an update too.
func TestPull(t *testing.T) {
	for _, file := range []string{"gateway.yaml", "before-ext-authz.yaml"} {
		t.Run(file, func(t *testing.T) {
			good := deployed(t, file)
			bad := replaced(t, good, strings.Repeat("0", 64), strings.Repeat("1", 64))
			s := serve(t, bad)
			for _, step := range []struct {
				manifest string
				status   int
				lines    []string
			}{{bad, 403, nil}, {good, 200, allowed}, {bad, 403, nil}, {good, 200, allowed}} {
				s.apply(t, step.manifest)
				s.await(t, step.status, step.lines)
			}
		})
	}
}

// TestPullSecret: the image comes from a registry that wants a password, by a secret of the
// plugin's namespace. Without the secret the agent denies every request.
func TestPullSecret(t *testing.T) {
	registry := pushed(t).secured
	named := replaced(t, deployed(t, "gateway.yaml"), "# imagePullSecret:", "imagePullSecret:")
	named = replaced(t, named, "ghcr.io/proxy-wasm-cors/proxy-wasm-cors:v0.0.0", registry+"/cors:test")
	config := `{"auths": {"` + registry + `": {"username": "reader", "password": "reader"}}}`
	secret := map[string]string{"Config": base64.StdEncoding.EncodeToString([]byte(config))}
	s := serveWith(t, testdata(t, "secret.yaml", secret),
		replaced(t, named, "imagePullSecret: cors-registry", "imagePullSecret: missing"))
	s.await(t, 403, nil)
	s.apply(t, named)
	s.await(t, 200, allowed)
}
