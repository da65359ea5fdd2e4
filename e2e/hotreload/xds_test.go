package hotreload_test

import (
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

const (
	// updates is how many policies each test of a way of delivery sends.
	updates = 100
	// updateSize is the size of each in bytes. TestSoak has the largest.
	updateSize = 50_000
)

// TestXDS: a control plane pushes a hundred policies, and each reaches every worker
// while no request fails. A bad one is refused, and changes nothing.
func TestXDS(t *testing.T) {
	f := deploy(t)
	load := startLoad(t, f.proxies, byXDS)
	before := f.vms(t)
	var took fleet.Durations
	for n := 2; n <= 1+updates; n++ {
		took.Measure(func() { f.push(t, largeDocument(n, updateSize)) }, load.Awaiting(t, byXDS, n))
	}
	t.Logf("by xDS, in every worker after: %s", took)
	// The workers keep their VMs. Envoy tries each configuration in one more, on its
	// main thread, and throws that away.
	for i, after := range f.vms(t) {
		f.proxies[i].CheckWorkers(t)
		if want := (vms{before[i].active, before[i].created + updates}); after != want {
			t.Errorf("%s: VMs: %+v after %d updates, want %+v", f.proxies[i].Node, after, updates, want)
		}
	}

	good := f.xds.version()
	f.push(t, `{"allow_origins": ["`+app+`", "`+app+`/"]}`)
	refused := map[string]bool{}
	envoytest.Eventually(t, fleet.Recovery, "both Envoys to refuse the bad policy", func() bool {
		for _, n := range f.xds.refusals() {
			refused[n.node] = true
			// This is all that Envoy says. What the filter says is in Envoy's log.
			if n.detail != "Unable to create Wasm plugin cors" || n.version != good {
				t.Errorf("%s refuses with %q, and goes on with version %s; want version %s", n.node, n.detail,
					n.version, good)
			}
		}
		return len(refused) == len(f.proxies)
	})
	for _, p := range f.proxies {
		for _, line := range []string{
			`1:43 allow_origins[1]: "https://app.example/" has a path (a trailing slash), and an origin is only scheme, host and port; write "https://app.example"`,
			"the configuration is refused: 1 error, listed above",
			"rejected: Unable to create Wasm plugin cors",
		} {
			if n := strings.Count(p.Log(), line+"\n"); n != 1 {
				t.Errorf("%s: the log has %d lines %q, want 1", p.Node, n, line)
			}
		}
		if n := p.Stats(t)["extension_config_discovery.http_filter.cors.update_rejected"]; n != 1 {
			t.Errorf("%s: update_rejected is %d, want 1", p.Node, n)
		}
	}
	load.Remains(t, byXDS, 1+updates)

	f.push(t, document(2+updates)) // the next good one serves again
	load.Await(t, byXDS, 2+updates)
	load.Check(t)
}

// vms are the VMs of an Envoy: those that it has, and all that it has ever had.
type vms struct{ active, created uint64 }

// vms returns the VMs of each Envoy.
func (f *deployment) vms(tb testing.TB) (list []vms) {
	tb.Helper()
	for _, p := range f.proxies {
		stats := p.Stats(tb)
		list = append(list, vms{stats["wasm.envoy.wasm.runtime.v8.active"],
			stats["wasm.envoy.wasm.runtime.v8.created"]})
	}
	return list
}
