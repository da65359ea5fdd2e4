package hotreload_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// TestFiles: the example in deploy/envoy-ecds, where the filter's configuration is a
// file. A rename switches it, and no request fails. A bad file changes nothing.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	p, move := example(t, dir, newUpstream(t))
	move(document(1))
	p.Launch(t)
	p.Ready(t)
	load := startLoad(t, []*fleet.Proxy{p}, "api")
	stat := func(name string) uint64 { return p.Stats(t)["extension_config_discovery.http_filter.cors."+name] }
	var took fleet.Durations
	for n := 2; n <= 20; n++ {
		took.Measure(func() { move(document(n)) }, load.Awaiting(t, "api", n))
		if n%5 != 0 {
			continue
		}
		rejected, failed := stat("update_rejected"), stat("update_failure")
		move(`{"allow_origins": ["no origin ` + version(n) + `"]}`)
		envoytest.Eventually(t, fleet.Recovery, "the bad policy to be refused",
			func() bool { return stat("update_rejected") == rejected+1 })
		if line := `1:20 allow_origins[0]: "no origin ` + version(n) +
			`" contains white space`; !strings.Contains(p.Log(), line) {
			t.Errorf("the log lacks %q", line)
		}
		replace(t, filepath.Join(dir, "cors.yaml"), "no: [YAML")
		envoytest.Eventually(t, fleet.Recovery, "the broken file to be refused",
			func() bool { return stat("update_failure") == failed+1 })
		load.Remains(t, "api", n)
	}
	t.Logf("by files, in every worker after: %s", took)
	load.Check(t)
}

// TestListeners: where the filter's configuration is part of the listener's, as with
// Envoy Gateway, a new listener takes over. Envoy asks the connections of the old one
// to close, each within the drain time, and until then they keep their policy.
func TestListeners(t *testing.T) {
	module, err := envoytest.Module()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "lds.json")
	move := func(policy string) {
		t.Helper()
		l := fleet.Listener("lds", envoytest.Plugin{Module: module, Config: policy}.Filter())
		l["@type"] = "type.googleapis.com/envoy.config.listener.v3.Listener"
		replace(t, file, envoytest.JSON(map[string]any{"resources": []any{l}}))
	}
	move(document(1))
	p := &fleet.Proxy{Node: "lds", Workers: workers, Listeners: []string{"lds"}, Args: []string{"--drain-time-s", "2"},
		Bootstrap: envoytest.Bootstrap{Extra: map[string]any{
			"node": map[string]any{"id": "lds", "cluster": "lds"},
			"dynamic_resources": map[string]any{"lds_config": map[string]any{
				"resource_api_version": "V3", "path_config_source": map[string]any{"path": file},
			}},
		}, Clusters: []any{fleet.Cluster("upstream", newUpstream(t))}}.String()}
	p.Launch(t)
	p.Ready(t)
	load := startLoad(t, []*fleet.Proxy{p}, "lds")
	var took fleet.Durations
	for n := 2; n <= 4; n++ {
		took.Measure(func() { move(document(n)) }, load.Awaiting(t, "lds", n))
	}
	t.Logf("by listeners that drain for 2 s, in every connection after: %s", took)
	move(`{"allow_origins": ["no origin"]}`)
	envoytest.Eventually(t, fleet.Recovery, "the bad policy to be refused", func() bool {
		return p.Stats(t)["listener_manager.lds.update_rejected"] == 1
	})
	if line := "Error adding/updating listener(s) lds: Unable to create Wasm plugin cors"; !strings.Contains(p.Log(),
		line) {
		t.Errorf("the log lacks %q", line)
	}
	load.Remains(t, "lds", 4)
	load.Check(t)
}

// example returns an Envoy on a copy of the example in dir, and what moves a policy
// into its file as the example says.
func example(tb testing.TB, dir, upstream string) (p *fleet.Proxy, move func(policy string)) {
	tb.Helper()
	module, err := envoytest.Module()
	if err != nil {
		tb.Fatal(err)
	}
	root, err := envoytest.Root()
	if err != nil {
		tb.Fatal(err)
	}
	text := map[string]string{}
	for _, name := range []string{"envoy.yaml", "cors.yaml"} {
		content, err := os.ReadFile(filepath.Join(root, "deploy/envoy-ecds", name))
		if err != nil {
			tb.Fatal(err)
		}
		text[name] = string(content)
	}
	_, port, _ := strings.Cut(upstream, ":")
	bootstrap := substitute(tb, text["envoy.yaml"],
		"/etc/envoy", dir, "port_value: 10001", "port_value: 0", "port_value: 10003", "port_value: "+port,
		"    filter_chains:",
		"    stat_prefix: api\n    connection_balance_config: {exact_balance: {}}\n    filter_chains:")
	resource := substitute(tb, text["cors.yaml"], "/etc/envoy/cors.wasm", module)
	head, _, found := strings.Cut(resource, "value: |\n")
	if !found {
		tb.Fatal("cors.yaml has no value")
	}
	indent := regexp.MustCompile("(?m)^")
	return &fleet.Proxy{Node: "example", Workers: workers, Bootstrap: bootstrap, Listeners: []string{"api"}}, func(policy string) {
		tb.Helper()
		replace(tb, filepath.Join(dir, "cors.yaml"),
			head+"value: |\n"+indent.ReplaceAllString(policy, "          ")+"\n")
	}
}

// replace moves a new file to where one is.
func replace(tb testing.TB, file, content string) {
	tb.Helper()
	err := os.WriteFile(file+".new", []byte(content), 0o600)
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// substitute replaces texts (old, new, old, new, ...), each of which must be there.
func substitute(tb testing.TB, text string, replacements ...string) string {
	tb.Helper()
	for i := 0; i < len(replacements); i += 2 {
		if !strings.Contains(text, replacements[i]) {
			tb.Fatalf("the example lacks %q", replacements[i])
		}
	}
	return strings.NewReplacer(replacements...).Replace(text)
}
