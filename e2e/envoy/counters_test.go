package envoy_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// tag is an entry of stats_tags.
func tag(name, regex string) any { return map[string]any{"tag_name": name, "regex": regex} }

// ownTags make labels of the counters' policies and outcomes, as docs/envoy.md has them.
var ownTags = []any{
	tag("cors_policy", `(cors_policy=\.=(.*?);\.;)`), tag("cors_outcome", `(cors_outcome=\.=(.*?);\.;)`),
}

// TestDocumentedTags: users are shown the tags that are tested here.
func TestDocumentedTags(t *testing.T) {
	root, err := envoytest.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"docs/envoy.md", "deploy/envoy/envoy.yaml"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, tag := range ownTags {
			tag := tag.(map[string]any)
			line := fmt.Sprintf("- {tag_name: %s, regex: '%s'}", tag["tag_name"], tag["regex"])
			if !strings.Contains(string(text), line) {
				t.Errorf("%s lacks %s", name, line)
			}
		}
	}
}

// istioConfig are Istio's statistics, with extraStatTags: [cors_policy, cors_outcome], as
// its envoy_bootstrap.json writes them.
var istioConfig = map[string]any{"use_all_default_tags": false, "stats_tags": slices.Concat([]any{
	tag("cluster_name", `^cluster(\.(.+);)`),
	tag("http_conn_manager_prefix",
		`^http\.(((?:[_.[:digit:]\w]*|[_\[\]aAbBcCdDeEfF[:digit:]\w\:]*));\.)`),
	tag("thread_name", `^server(\.(.+))\.watchdog`),
	tag("tcp_prefix", `^tcp\.((.*?)\.)\w+?$`),
	tag("response_code", `_rq(_(\d{3}))$`),
	tag("response_code_class", `_rq(_(\dxx))$`),
	tag("http_conn_manager_listener_prefix",
		`^listener(?=\.).*?\.http\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)`),
	tag("listener_address", `^listener\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)`),
	tag("mongo_prefix", `^mongo\.(.+?)\.(collection|cmd|cx_|op_|delays_|decoding_)(.*?)$`),
}, ownTags, []any{
	tag("cache", `(cache\.(.+?)\.)`),
	tag("component", `(component\.(.+?)\.)`),
	tag("tag", `(tag\.(.+?);\.)`),
	tag("wasm_filter", `(wasm_filter\.(.+?)\.)`),
	tag("authz_enforce_result", `rbac(\.(allowed|denied))`),
	tag("authz_dry_run_action", `(\.istio_dry_run_(allow|deny)_)`),
	tag("authz_dry_run_result", `(\.shadow_(allowed|denied))`),
})}

// counted is the name of a counter of decisions in /stats.
func counted(policy, outcome string) string {
	return "wasmcustom.cors_policy=.=" + policy + ";.;cors_outcome=.=" + outcome + ";.;cors_requests_total"
}

// decisions are the counters of decisions that aren't zero.
func decisions(t *testing.T, envoy *envoytest.Envoy) map[string]uint64 {
	t.Helper()
	stats := envoy.Stats(t)
	maps.DeleteFunc(stats, func(name string, n uint64) bool {
		return n == 0 || !strings.HasSuffix(name, ";.;cors_requests_total")
	})
	return stats
}

// namedPolicies has a policy for each name, of the host NAME.test.
func namedPolicies(names ...string) string {
	list := make([]string, len(names))
	for i, name := range names {
		mode := "enforce"
		if strings.HasPrefix(name, "shadow") {
			mode = "shadow"
		}
		list[i] = fmt.Sprintf(`{"name": %q, "match": {"hosts": ["%[1]s.test"]}, "mode": %q, "allow_origins": ["https://app.example"], "allow_methods": ["PUT"]}`,
			name, mode)
	}
	return `{"policies": [` + strings.Join(list, ",") + `]}`
}

// at is a request to a host.
func at(host string, r cases.Request) cases.Request {
	r.Host = host
	return r
}

// awkward are names that are hard to tell from the parts of a counter's name.
var awkward = []string{"rbac", "component.x", "a.b", "a-b", "shadow"}

// TestCounters: each decision is counted for its policy, whatever that is called, and has
// its labels by the documented tags and by Istio's.
func TestCounters(t *testing.T) {
	for name, config := range map[string]map[string]any{"own": {"stats_tags": ownTags}, "istio": istioConfig} {
		t.Run(name, func(t *testing.T) {
			upstream := envoytest.NewUpstream(t)
			many := make([]string, 1001)
			for i := range many {
				many[i] = fmt.Sprintf("p%d", i)
			}
			envoy := envoytest.Start(t, envoytest.Bootstrap{
				Upstream: upstream.Addr(),
				Listeners: []envoytest.Listener{
					{Name: "awkward", Filters: []any{plugin(t, namedPolicies(awkward...)).Filter()}},
					{Name: "many", Filters: []any{plugin(t, namedPolicies(many...)).Filter()}},
					{Name: "nameless", Filters: []any{plugin(t, site).Filter()}},
				},
				Extra: map[string]any{"stats_config": config},
			}.String(), envoytest.Options{Concurrency: 2})
			start := envoy.Stats(t)
			for _, name := range []string{counted("rbac", "allowed"), counted("shadow", "shadow_allowed"),
				"wasmcustom.cors.panics"} {
				if n, there := start[name]; !there || n != 0 {
					t.Errorf("at the start, %s is %d, there %t", name, n, there)
				}
			}
			if n, there := start[counted("p1", "allowed")]; there {
				t.Errorf("more than a thousand policies are counted on their own: %d", n)
			}
			want := map[string]uint64{}
			send := func(listener, policy, prefix string, times int) {
				t.Helper()
				for outcome, request := range map[string]cases.Request{
					"allowed": fromSite, "denied_origin": fromElsewhere, "preflight_allowed": sitePreflight, "": {},
				} {
					for range times {
						if _, err := envoytest.HTTP1(envoy.Addr(t, listener), at(policy+".test", request)); err != nil {
							t.Fatal(err)
						}
					}
					if outcome != "" {
						name := map[string]string{"many": "*", "nameless": "default"}[listener]
						if name == "" {
							name = policy
						}
						want[counted(name, prefix+outcome)] += uint64(times)
						if prefix != "" { // the upstream has no CORS headers
							verdict := map[string]string{"allowed": "looser", "denied_origin": "same",
								"preflight_allowed": "looser"}[outcome]
							want[counted(name, prefix+verdict)] += uint64(times)
						}
					}
				}
			}
			for i, policy := range awkward {
				prefix := ""
				if policy == "shadow" {
					prefix = "shadow_"
				}
				send("awkward", policy, prefix, i+1)
			}
			send("many", "p1", "", 1)
			send("many", "p1000", "", 1)
			send("nameless", "any", "", 1)
			if diff := cmp.Diff(want, decisions(t, envoy)); diff != "" {
				t.Errorf("/stats (-want +got):\n%s", diff)
			}
			labels(t, envoy, want)
		})
	}
}

// labels checks that /stats/prometheus has the counters with their labels.
func labels(t *testing.T, envoy *envoytest.Envoy, counters map[string]uint64) {
	t.Helper()
	body, err := envoy.Get(t.Context(), "/stats/prometheus")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.SplitSeq(string(body), "\n") {
		if strings.HasPrefix(line, "cors_requests_total{") {
			lines = append(lines, line)
		}
	}
	for name, n := range counters {
		parts := strings.Split(strings.TrimPrefix(name, "wasmcustom."), ";.;")
		policy, outcome := strings.TrimPrefix(parts[0], "cors_policy=.="), strings.TrimPrefix(parts[1], "cors_outcome=.=")
		if !slices.ContainsFunc(lines, func(line string) bool {
			return strings.Contains(line, fmt.Sprintf(`cors_policy=%q`, policy)) &&
				strings.Contains(line, fmt.Sprintf(`cors_outcome=%q`, outcome)) &&
				strings.HasSuffix(line, fmt.Sprintf("} %d", n))
		}) {
			t.Errorf("no series for %s with %d in:\n%s", name, n, strings.Join(lines, "\n"))
		}
	}
}

// TestCountersOfAPolicySource: a document's policies are counted once it serves, and those
// that it replaces no longer.
func TestCountersOfAPolicySource(t *testing.T) {
	upstream := envoytest.NewUpstream(t)
	var document atomic.Value
	document.Store(namedPolicies("one"))
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, document.Load())
	}))
	defer source.Close()
	envoy := envoytest.Start(t, envoytest.Bootstrap{
		Upstream: upstream.Addr(),
		Listeners: []envoytest.Listener{{Name: "main", Filters: []any{
			plugin(t, `{"policy_source": {"cluster": "policies", "interval": "1s"}}`).Filter()}}},
		Clusters: []any{envoytest.Cluster("policies", strings.TrimPrefix(source.URL, "http://"))},
	}.String(), envoytest.Options{})
	for name, zero := range map[string]bool{"wasmcustom.cors.policy_source.refused": true,
		counted("default", "denied_origin"): true} {
		if n, there := envoy.Stats(t)[name]; there != zero || n != 0 {
			t.Errorf("at the start, %s is %d, there %t", name, n, there)
		}
	}
	want := map[string]uint64{}
	for _, name := range []string{"one", "two", "one"} {
		document.Store(namedPolicies(name))
		envoytest.Eventually(t, 20*time.Second, "the document serves", func() bool {
			response, err := envoytest.HTTP1(envoy.Addr(t, "main"), at(name+".test", sitePreflight))
			if err != nil {
				t.Fatal(err)
			}
			return response.Status == 204
		})
		got := decisions(t, envoy)
		want[counted(name, "preflight_allowed")]++
		delete(got, counted("default", "preflight_denied_origin")) // until the first document came
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("/stats (-want +got):\n%s", diff)
		}
	}
}

// minor is the number of Envoy's version between the dots.
func minor(t *testing.T, envoy *envoytest.Envoy) (n int) {
	t.Helper()
	info, err := envoy.Get(t.Context(), "/server_info")
	if err != nil {
		t.Fatal(err)
	}
	_, version, _ := strings.Cut(string(info), "/1.")
	if _, err := fmt.Sscanf(version, "%d.", &n); err != nil {
		t.Fatalf("%v: %s", err, info)
	}
	return n
}

// TestCountersOutliveVMs: from Envoy 1.39 on, another environment variable makes new VMs,
// as each edit does in Istio. What was counted goes on.
func TestCountersOutliveVMs(t *testing.T) {
	upstream := envoytest.NewUpstream(t)
	by, file := deliveries[0], filepath.Join(t.TempDir(), "resource.json")
	move := func(n int) {
		t.Helper()
		resource := by.resource(plugin(t, appConfig(n, "X-None")))
		vm := resource["typed_config"].(map[string]any)["config"].(map[string]any)["vm_config"].(map[string]any)
		vm["environment_variables"] = map[string]any{
			"key_values": map[string]any{"VERSION": fmt.Sprint(n)},
		}
		text := envoytest.JSON(map[string]any{"resources": []any{resource}})
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	move(0)
	bootstrap := by.bootstrap(file)
	bootstrap.Upstream = upstream.Addr()
	bootstrap.Extra = map[string]any{"node": map[string]any{"id": "test", "cluster": "test"}}
	envoy := envoytest.Start(t, bootstrap.String(), envoytest.Options{Concurrency: 2})
	const alive = "wasm.envoy.wasm.runtime.v8.active"
	vms := envoy.Stats(t)[alive]
	created := func() uint64 { return envoy.Stats(t)["wasm.envoy.wasm.runtime.v8.created"] }
	var allowed, denied uint64
	for n := range 4 {
		before := created()
		move(n)
		envoytest.Eventually(t, 30*time.Second, "the configuration serves in every worker", func() bool {
			return everyWorker(func() bool {
				x, err := upstream.Exchange(envoytest.HTTP1, envoy.Addr(t, "main"), cases.Request{Headers: [][2]string{
					{"origin", fmt.Sprintf("https://app-%d.example", n)}}}, cases.Upstream{})
				if err != nil {
					t.Fatal(err)
				}
				if len(x.Response.Values("access-control-allow-origin")) == 1 {
					allowed++
					return true
				}
				denied++
				return false
			})
		})
		if n > 0 {
			envoytest.Eventually(t, 30*time.Second, "the old VMs are gone", func() bool {
				return envoy.Stats(t)[alive] == vms
			})
		}
		if n > 0 && created() == before && minor(t, envoy) >= 39 {
			t.Error("the edit made no new VMs")
		}
		want := map[string]uint64{counted("default", "allowed"): allowed}
		if denied > 0 {
			want[counted("default", "denied_origin")] = denied
		}
		if diff := cmp.Diff(want, decisions(t, envoy)); diff != "" {
			t.Errorf("after edit %d (-want +got):\n%s", n, diff)
		}
	}
}
