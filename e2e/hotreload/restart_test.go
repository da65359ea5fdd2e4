package hotreload_test

import (
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// TestRestarts: all parts are killed and started again, one after the other, under
// load. What still runs serves what it had, and takes what changes; what comes back
// catches up by itself.
func TestRestarts(t *testing.T) {
	f := deploy(t)
	load := startLoad(t, f.proxies, byXDS, bySource)
	n := 1
	f.source.publish(document(n))

	t.Log("the policy source")
	before := f.counts(t)
	f.source.stop()
	envoytest.Eventually(t, fleet.Recovery, "every Envoy to miss the source",
		func() bool { return f.counted(t, before, "failed", 2) })
	n++
	f.push(t, document(n))
	load.Await(t, byXDS, n)
	load.Remains(t, bySource, n-1)
	f.source.publish(document(n))
	start := time.Now()
	f.source.start(t)
	t.Logf("in every worker %s after its return", load.Await(t, bySource, n).Sub(start).Round(time.Millisecond))

	t.Log("the control plane")
	f.xds.stop()
	for _, p := range f.proxies {
		envoytest.Eventually(t, fleet.Recovery, p.Node+" to miss the control plane", func() bool {
			return p.Stats(t)["extension_config_discovery.http_filter.cors.control_plane.connected_state"] == 0
		})
	}
	n++
	f.source.publish(document(n))
	load.Await(t, bySource, n)
	load.Remains(t, byXDS, n-1)
	start = time.Now()
	f.xds.start(t)
	f.push(t, document(n))
	t.Logf("in every worker %s after its return", load.Await(t, byXDS, n).Sub(start).Round(time.Millisecond))

	for i, p := range f.proxies {
		t.Log(p.Node)
		p.Kill(t)
		n++
		f.source.publish(document(n))
		f.push(t, document(n))
		other := f.proxies[1-i]
		load.Await(t, byXDS, n, other)
		load.Await(t, bySource, n, other)
		start = time.Now()
		p.Launch(t)
		p.Ready(t)
		last := load.Await(t, byXDS, n)
		if source := load.Await(t, bySource, n); source.After(last) {
			last = source
		}
		t.Logf("serves all policies %s after its start", last.Sub(start).Round(time.Millisecond))
		p.CheckWorkers(t)
	}
	load.Check(t)
}
