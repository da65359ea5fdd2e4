package envoy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// faulty is a plugin of the module with faults in it.
func faulty(t *testing.T) envoytest.Plugin {
	t.Helper()
	return envoytest.Plugin{Module: faultyModule(t)}
}

// faultyModule is the path of the module with faults in it, which is built once.
func faultyModule(t *testing.T) string {
	t.Helper()
	path, err := buildFaulty()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var buildFaulty = sync.OnceValues(func() (path string, err error) {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return "", err
	}
	faultyDir, path = dir, filepath.Join(dir, "faults.wasm")
	return path, envoytest.BuildModule(path, "faults")
})

// faultyDir is where it is, "" if it isn't built.
var faultyDir string

func TestMain(m *testing.M) {
	code := m.Run()
	if faultyDir != "" {
		os.RemoveAll(faultyDir)
	}
	os.Exit(code)
}

// permissive is an upstream that every page may read, if the filter doesn't see to it.
var permissive = cases.Upstream{Headers: [][2]string{{"access-control-allow-origin", "https://evil.test"},
	{"access-control-allow-credentials", "true"}}}

// A delivery is a way of an Envoy to get another configuration of the filter.
type delivery struct {
	name      string
	bootstrap func(file string) envoytest.Bootstrap
	// resource returns what file has in it.
	resource func(plugin envoytest.Plugin) map[string]any
}

var deliveries = []delivery{{
	name: "ECDS",
	bootstrap: func(file string) envoytest.Bootstrap {
		return envoytest.Bootstrap{Listeners: []envoytest.Listener{{Name: "main", Filters: []any{map[string]any{
			"name": "cors",
			"config_discovery": map[string]any{
				"config_source": map[string]any{"path_config_source": map[string]any{"path": file},
					"resource_api_version": "V3"},
				"type_urls": []any{"type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"},
			},
		}}}}}
	},
	resource: func(plugin envoytest.Plugin) map[string]any {
		return map[string]any{"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", "name": "cors",
			"typed_config": plugin.TypedConfig()}
	},
}, {
	name: "LDS",
	bootstrap: func(file string) envoytest.Bootstrap {
		source := map[string]any{"path_config_source": map[string]any{"path": file}, "resource_api_version": "V3"}
		return envoytest.Bootstrap{
			Extra: map[string]any{"dynamic_resources": map[string]any{"lds_config": source}},
		}
	},
	resource: func(plugin envoytest.Plugin) map[string]any {
		l := envoytest.Listener{Name: "main", Filters: []any{plugin.Filter()}}.Config()
		l["@type"] = "type.googleapis.com/envoy.config.listener.v3.Listener"
		return l
	},
}}

// A faultyEnvoy runs the faulty filter, whose configuration comes by a delivery.
type faultyEnvoy struct {
	*envoytest.Envoy
	by       delivery
	plugin   envoytest.Plugin
	file     string // of the delivery
	upstream *envoytest.Upstream
	addr     string
}

// startFaulty starts an Envoy on a first configuration.
func startFaulty(t *testing.T, by delivery, plugin envoytest.Plugin, config string) *faultyEnvoy {
	t.Helper()
	e := &faultyEnvoy{
		by: by, plugin: plugin, file: filepath.Join(t.TempDir(), "resource.json"), upstream: envoytest.NewUpstream(t),
	}
	bootstrap := by.bootstrap(e.file)
	bootstrap.Upstream = e.upstream.Addr()
	if bootstrap.Extra == nil {
		bootstrap.Extra = map[string]any{}
	}
	bootstrap.Extra["node"] = map[string]any{"id": "test", "cluster": "test"}
	e.move(t, config)
	e.Envoy = envoytest.Start(t, bootstrap.String(), envoytest.Options{Concurrency: 2})
	e.addr = e.Addr(t, "main")
	return e
}

// move delivers a configuration.
func (e *faultyEnvoy) move(t *testing.T, config string) {
	t.Helper()
	e.plugin.Config = config
	text := envoytest.JSON(map[string]any{"resources": []any{e.by.resource(e.plugin)}})
	if err := os.WriteFile(e.file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(e.file+".new", e.file); err != nil {
		t.Fatal(err)
	}
}

// exchange sends a request. One from elsewhere whose answer a page could read is one
// that went by the filter.
func (e *faultyEnvoy) exchange(t *testing.T, request cases.Request) envoytest.Exchange {
	t.Helper()
	x, err := e.upstream.Exchange(envoytest.HTTP1, e.addr, request, permissive)
	if err != nil {
		t.Fatal(err)
	}
	got := x.Response.Values("access-control-allow-origin")
	if slices.Contains(got, "https://evil.test") {
		t.Fatalf("the upstream's own word stands: %q, status %d", got, x.Response.Status)
	}
	return x
}

// serves tells whether every worker serves the n-th configuration, see appConfig.
func (e *faultyEnvoy) serves(t *testing.T, n int) bool {
	t.Helper()
	origin := fmt.Sprintf("https://app-%d.example", n)
	return everyWorker(func() bool {
		x := e.exchange(t, cases.Request{Headers: [][2]string{{"origin", origin}}})
		return x.Response.Status == 200 &&
			slices.Equal(x.Response.Values("access-control-allow-origin"), []string{origin})
	})
}

// fate is what becomes of a request from elsewhere, and of a preflight from the origin
// that every configuration allows: an answer of a worker that has failed differs from
// any before.
func (e *faultyEnvoy) fate(t *testing.T) string {
	t.Helper()
	preflight := cases.Request{Method: "OPTIONS", Headers: [][2]string{
		{"origin", "https://always.example"}, {"access-control-request-method", "GET"},
	}}
	actual, asked := e.exchange(t, fromElsewhere), e.exchange(t, preflight)
	return fmt.Sprintf("%d %q, preflight %d, forwarded %t", actual.Response.Status,
		cases.Lines(actual.Response.Headers), asked.Response.Status, len(asked.Received) > 0)
}

// everyWorker tells whether something holds over so many connections that they reach
// every worker.
func everyWorker(holds func() bool) bool {
	for range 20 {
		if !holds() {
			return false
		}
	}
	return true
}

// appConfig is the n-th configuration, with a fault in it.
func appConfig(n int, fault string) string {
	return fmt.Sprintf(`{"allow_origins": ["https://always.example", "https://app-%d.example"], `+
		`"expose_headers": [%q]}`, n, fault)
}

// TestNeverWithoutTheFilter: workers fail to take a configuration that Envoy has
// taken in the VM that it throws away. No request goes by the filter for that, and
// the next good configuration serves.
func TestNeverWithoutTheFilter(t *testing.T) {
	module := faulty(t)
	for _, by := range deliveries {
		for _, policy := range []string{"FAIL_CLOSED", "FAIL_RELOAD"} {
			t.Run(by.name+"-"+policy, func(t *testing.T) {
				plugin := module
				plugin.FailurePolicy = policy
				e := startFaulty(t, by, plugin, appConfig(0, "X-None"))
				if !e.serves(t, 0) {
					t.Fatal("the first configuration doesn't serve")
				}
				for i, fault := range []string{"Panic", "Trap", "Stack", "Memory"} {
					e.fail(t, fault, 2*i)
				}
				// A death in a request is healed by the next configuration too.
				fatal := to("/", fromElsewhere, [2]string{"x-fault", "origin trap"})
				x := e.exchange(t, fatal)
				if details := e.Details(t, x.ID); x.Response.Status != 503 || details != failedByDeath {
					t.Errorf("a fatal request got status %d, %s", x.Response.Status, details)
				}
				e.move(t, appConfig(100, "X-None"))
				envoytest.Eventually(t, 20*time.Second, "the next configuration after a death in a request",
					func() bool { return e.serves(t, 100) })
				if strings.Contains(e.Log(), "thread-local") {
					t.Error("Envoy has failed to configure a worker")
				}
			})
		}
	}
}

// failedByDeath is what the access log has in response_code_details of a request whose VM dies, or is dead.
const failedByDeath = "wasm_fail_stream"

// fail has every worker fail with the n-th configuration, the next one serve, and that
// stay when Envoy refuses another.
func (e *faultyEnvoy) fail(t *testing.T, fault string, n int) {
	t.Helper()
	want := `503 [], preflight 503, forwarded false`
	if fault == "Panic" {
		want = `200 ["vary: Origin"], preflight 403, forwarded false`
	}
	rounds := []string{""}
	if e.by.name == "ECDS" {
		// The second time the VM that is thrown away finds it accepted, too, and
		// fails in the same way. Envoy takes that for a success. A listener that
		// still drains would keep the plugin of the first time.
		rounds = append(rounds, "again ")
	}
	for _, again := range rounds {
		e.move(t, appConfig(n, "X-Fault-"+fault))
		envoytest.Eventually(t, 20*time.Second, again+fault+" in every worker: "+want,
			func() bool { return everyWorker(func() bool { return e.fate(t) == want }) })
		e.move(t, appConfig(n+1, "X-None"))
		envoytest.Eventually(t, 20*time.Second, "the next configuration after "+again+fault,
			func() bool { return e.serves(t, n+1) })
	}
	e.move(t, fmt.Sprintf(`{"allow_origins": ["no origin %d"]}`, n))
	refusal := fmt.Sprintf(`1:20 allow_origins[0]: "no origin %d" contains white space`, n)
	envoytest.Eventually(t, 20*time.Second, "the bad configuration to be refused",
		func() bool { return strings.Contains(e.Log(), refusal) })
	if !e.serves(t, n+1) {
		t.Error("after a bad configuration, the one before doesn't serve")
	}
}

// TestDeath: VMs die of requests, one, all at once, and one shortly after the other, with the
// time that Envoy waits by default before it loads one anew.
func TestDeath(t *testing.T) {
	t.Parallel()
	var victims []*victim
	for _, policy := range policies {
		victims = append(victims, &victim{title: policy, policy: policy})
	}
	startVictims(t, victims)
	together(t, victims, func(_ int, v *victim) {
		for _, conns := range [][]*envoytest.Conn{{v.here[0]}, {v.here[0], v.there}} {
			v.refresh(v.policy)
			time.Sleep(reloadDefault)
			v.kill(conns)
			for _, conn := range []*envoytest.Conn{v.here[0], v.there} {
				fates := map[fate]int{}
				for range 100 {
					fates[v.get(conn, ofApp()).fate]++
				}
				want := map[fate]int{served: 100}
				if slices.Contains(conns, conn) {
					want = map[fate]int{next[v.policy]: 100}
				}
				if diff := cmp.Diff(want, fates); diff != "" {
					v.Errorf("after the death of %d VMs (-want +got):\n%s", len(conns), diff)
				}
			}
		}
		if v.policy == "FAIL_RELOAD" {
			v.killAgain()
			return
		}
		// Of VMs that stay dead nothing is counted, which docs/operating.md has to say.
		for name, n := range v.envoy.Stats(v.T) {
			if strings.HasPrefix(name, "wasm."+v.name+".") && n > 0 {
				v.Errorf("%s is %d", name, n)
			}
		}
	})
}

// reloadDefault is how old a VM must be for Envoy to load it anew, if the configuration doesn't say
// so.
const reloadDefault = 1500 * time.Millisecond

// kill has VMs die, each of a request of its own.
func (v *victim) kill(conns []*envoytest.Conn) {
	v.Helper()
	for _, conn := range conns {
		if got := v.get(conn, ofApp([2]string{"x-fault", "proxy_on_request_headers memory"})).fate; got != failed {
			v.Errorf("a fatal request: %s", got)
		}
	}
}

// killAgain has a VM die that was loaded but now, so that its worker serves nothing for a while.
func (v *victim) killAgain() {
	// On a machine with much else to do the second death may come when the next load is already due.
	envoytest.Eventually(v.T, time.Minute, "requests to fail after a second death", func() bool {
		time.Sleep(reloadDefault)
		v.kill(v.here[:1])
		death := time.Now()
		if got := v.get(v.here[0], ofApp()).fate; got != served {
			v.Errorf("after a death: %s", got)
		}
		loaded := time.Now() // at the latest
		v.Logf("after a death the next request has taken %s", loaded.Sub(death))
		v.kill(v.here[:1])
		return v.failing(death, loaded) > 0
	})
}

// failing is how many requests fail until a VM that has died is loaded again. The one that has died was loaded
// between two times.
func (v *victim) failing(earliest, latest time.Time) (failures int) {
	backoffs := "wasm." + v.name + ".vm_reload_backoff"
	before := v.envoy.Stats(v.T)[backoffs]
	envoytest.Eventually(v.T, 20*time.Second, "the VM to be loaded again", func() bool {
		start := time.Now()
		switch got := v.get(v.here[0], ofApp()).fate; got {
		case served:
			// However busy the machine is, none is served too soon, and none has come too late that fails.
			if age := time.Since(earliest); age < reloadDefault*2/3 {
				v.Errorf("a VM is loaded again %s after it was loaded at the most", age)
			}
			return true
		case failed:
			failures++
			if age := start.Sub(latest); age > reloadDefault {
				v.Errorf("a VM isn't loaded again %s after it was loaded at the least", age)
			}
		default:
			v.Errorf("after two deaths: %s", got)
		}
		return false
	})
	v.Logf("two deaths: %d requests have failed until %s after the VM was loaded", failures, time.Since(latest))
	if n := v.envoy.Stats(v.T)[backoffs] - before; int(n) != failures {
		v.Errorf("%d requests have failed, and Envoy has waited for %d", failures, n)
	}
	return failures
}
