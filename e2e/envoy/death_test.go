package envoy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// faulty is a plugin of the module with faults in it.
func faulty(t *testing.T) envoytest.Plugin {
	t.Helper()
	path := filepath.Join(t.TempDir(), "faults.wasm")
	if err := envoytest.BuildModule(path, "faults"); err != nil {
		t.Fatal(err)
	}
	return envoytest.Plugin{Module: path}
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
		return envoytest.Bootstrap{Extra: map[string]any{"dynamic_resources": map[string]any{"lds_config": map[string]any{
			"path_config_source": map[string]any{"path": file}, "resource_api_version": "V3",
		}}}}
	},
	resource: func(plugin envoytest.Plugin) map[string]any {
		l := envoytest.Listener{Name: "main", Filters: []any{plugin.Filter()}}.Config()
		l["@type"] = "type.googleapis.com/envoy.config.listener.v3.Listener"
		return l
	},
}}

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
				file := filepath.Join(t.TempDir(), "resource.json")
				move := func(config string) {
					t.Helper()
					plugin.Config = config
					if err := os.WriteFile(file+".new",
						[]byte(envoytest.JSON(map[string]any{"resources": []any{by.resource(plugin)}})),
						0o600); err != nil {
						t.Fatal(err)
					}
					if err := os.Rename(file+".new", file); err != nil {
						t.Fatal(err)
					}
				}
				config := func(n int, fault string) string {
					return fmt.Sprintf(`{"allow_origins": ["https://always.example", "https://app-%d.example"], "expose_headers": [%q]}`, n, fault)
				}
				upstream := envoytest.NewUpstream(t)
				bootstrap := by.bootstrap(file)
				bootstrap.Upstream = upstream.Addr()
				if bootstrap.Extra == nil {
					bootstrap.Extra = map[string]any{}
				}
				bootstrap.Extra["node"] = map[string]any{"id": "test", "cluster": "test"}
				move(config(0, "X-None"))
				envoy := envoytest.Start(t, bootstrap.String(), envoytest.Options{Concurrency: 2})
				addr := envoy.Addr(t, "main")

				// A request from elsewhere whose answer a page could read is one that went by the
				// filter.
				exchange := func(request cases.Request) envoytest.Exchange {
					t.Helper()
					x, err := upstream.Exchange(envoytest.HTTP1, addr, request, permissive)
					if err != nil {
						t.Fatal(err)
					}
					if got := x.Response.Values("access-control-allow-origin"); slices.Contains(got,
						"https://evil.test") {
						t.Fatalf("the upstream's own word stands: %q, status %d", got, x.Response.Status)
					}
					return x
				}
				serves := func(n int) bool {
					t.Helper()
					origin := fmt.Sprintf("https://app-%d.example", n)
					x := exchange(cases.Request{Headers: [][2]string{{"origin", origin}}})
					return x.Response.Status == 200 &&
						slices.Equal(x.Response.Values("access-control-allow-origin"), []string{origin})
				}
				// Every configuration allows this origin, so that an answer to a worker that
				// has failed differs from any before.
				preflight := cases.Request{Method: "OPTIONS",
					Headers: [][2]string{{"origin", "https://always.example"},
						{"access-control-request-method", "GET"}}}
				fate := func() string {
					t.Helper()
					actual, asked := exchange(fromElsewhere), exchange(preflight)
					return fmt.Sprintf("%d %q, preflight %d, forwarded %t", actual.Response.Status,
						cases.Lines(actual.Response.Headers), asked.Response.Status, len(asked.Received) > 0)
				}
				if !serves(0) {
					t.Fatal("the first configuration doesn't serve")
				}
				// So many connections reach every worker.
				always := func(holds func() bool) bool {
					for range 20 {
						if !holds() {
							return false
						}
					}
					return true
				}
				for i, fault := range []string{"Panic", "Trap", "Stack", "Memory"} {
					want := `503 [], preflight 503, forwarded false`
					if fault == "Panic" {
						want = `200 ["vary: Origin"], preflight 403, forwarded false`
					}
					n := 2 * i
					rounds := []string{""}
					if by.name == "ECDS" {
						// The second time the VM that is thrown away finds it accepted, too, and
						// fails in the same way. Envoy takes that for a success. A listener that
						// still drains would keep the plugin of the first time.
						rounds = append(rounds, "again ")
					}
					for _, again := range rounds {
						move(config(n, "X-Fault-"+fault))
						envoytest.Eventually(t, 20*time.Second, again+fault+" in every worker: "+want, func() bool {
							return always(func() bool { return fate() == want })
						})
						move(config(n+1, "X-None"))
						envoytest.Eventually(t, 20*time.Second, "the next configuration after "+again+fault,
							func() bool {
								return always(func() bool { return serves(n + 1) })
							})
					}

					move(fmt.Sprintf(`{"allow_origins": ["no origin %d"]}`, n))
					envoytest.Eventually(t, 20*time.Second, "the bad configuration to be refused", func() bool {
						return strings.Contains(envoy.Log(),
							fmt.Sprintf(`1:20 allow_origins[0]: "no origin %d" contains white space`, n))
					})
					if !always(func() bool { return serves(n + 1) }) {
						t.Error("after a bad configuration, the one before doesn't serve")
					}
				}
				// A death in a request is healed by the next configuration too.
				if x := exchange(to("/", fromElsewhere,
					[2]string{"x-fault", "origin trap"})); x.Response.Status != 503 {
					t.Errorf("a fatal request got status %d", x.Response.Status)
				}
				move(config(100, "X-None"))
				envoytest.Eventually(t, 20*time.Second, "the next configuration after a death in a request",
					func() bool {
						return always(func() bool { return serves(100) })
					})
				if strings.Contains(envoy.Log(), "thread-local") {
					t.Error("Envoy has failed to configure a worker")
				}
			})
		}
	}
}

// TestDeath: the filter dies in a request. With FAIL_CLOSED that worker answers 503
// from then on, with FAIL_RELOAD that request alone is lost.
func TestDeath(t *testing.T) {
	module := faulty(t)
	module.Config = site
	for _, test := range []struct {
		policy string
		failed int // of the fatal request, and a hundred more
	}{{"FAIL_CLOSED", 101}, {"FAIL_RELOAD", 1}} {
		t.Run(test.policy, func(t *testing.T) {
			plugin := module
			plugin.FailurePolicy = test.policy
			upstream := envoytest.NewUpstream(t)
			envoy := envoytest.Start(t, envoytest.Bootstrap{Upstream: upstream.Addr(),
				Listeners: []envoytest.Listener{{Name: "main", Filters: []any{plugin.Filter()}}}}.String(),
				envoytest.Options{})
			send := func(request cases.Request, want []string) int {
				t.Helper()
				x, err := upstream.Exchange(envoytest.HTTP1, envoy.Addr(t, "main"), request, permissive)
				if err != nil {
					t.Fatal(err)
				}
				if x.Response.Status == 503 {
					want = nil
				}
				if diff := cmp.Diff(want, cases.Lines(x.Response.Headers)); diff != "" {
					t.Errorf("status %d; headers (-want +got):\n%s", x.Response.Status, diff)
				}
				return x.Response.Status
			}
			for _, at := range []string{"origin", "vary"} { // in a request's callback, and in an answer's
				// Envoy reloads no VM that is younger than this.
				time.Sleep(2 * time.Second)
				fatal := fromSite
				if at == "vary" {
					fatal = cases.Request{}
				}
				statuses := map[int]int{}
				statuses[send(to("/", fatal, [2]string{"x-fault", at + " trap"}), nil)]++
				for i := range 100 {
					if i%2 == 0 {
						statuses[send(fromSite, siteAnswer)]++
					} else {
						statuses[send(fromElsewhere, []string{"vary: Origin"})]++
					}
				}
				if want := map[int]int{503: test.failed, 200: 101 - test.failed}; statuses[503] != want[503] ||
					statuses[200] != want[200] {
					t.Errorf("died at %s: statuses %v, want %v", at, statuses, want)
				}
				if test.policy == "FAIL_CLOSED" {
					break // it stays dead
				}
			}
			stats := envoy.Stats(t)
			if reloads := stats["wasm.cors.vm_reload_success"]; test.policy == "FAIL_RELOAD" && reloads != 2 ||
				test.policy == "FAIL_CLOSED" && reloads != 0 {
				t.Errorf("%d reloads", reloads)
			}
		})
	}
}
