package hotreload_test

import (
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// TestRestarts: all parts are killed and started again, one after the other, under
// load. What still runs serves what it had, and takes what changes; what comes back
// catches up by itself.
func TestRestarts(t *testing.T) {
	f := startFleet(t)
	load := startLoad(t, f.proxies, byXDS, bySource)
	n := 1
	f.source.publish(document(n))

	t.Log("the policy source")
	before := f.counts(t)
	f.source.stop()
	envoytest.Eventually(t, recovery, "every Envoy to miss the source",
		func() bool { return f.counted(t, before, "failed", 2) })
	n++
	f.push(t, document(n))
	load.await(t, byXDS, n)
	load.remains(t, bySource, n-1)
	f.source.publish(document(n))
	start := time.Now()
	f.source.start(t)
	t.Logf("in every worker %s after its return", load.await(t, bySource, n).Sub(start).Round(time.Millisecond))

	t.Log("the control plane")
	f.xds.stop()
	for _, p := range f.proxies {
		envoytest.Eventually(t, recovery, p.node+" to miss the control plane", func() bool {
			return p.Stats(t)["extension_config_discovery.http_filter.cors.control_plane.connected_state"] == 0
		})
	}
	n++
	f.source.publish(document(n))
	load.await(t, bySource, n)
	load.remains(t, byXDS, n-1)
	start = time.Now()
	f.xds.start(t)
	f.push(t, document(n))
	t.Logf("in every worker %s after its return", load.await(t, byXDS, n).Sub(start).Round(time.Millisecond))

	for i, p := range f.proxies {
		t.Log(p.node)
		p.kill(t)
		n++
		f.source.publish(document(n))
		f.push(t, document(n))
		other := f.proxies[1-i]
		load.await(t, byXDS, n, other)
		load.await(t, bySource, n, other)
		start = time.Now()
		p.launch(t)
		p.ready(t)
		last := load.await(t, byXDS, n)
		if source := load.await(t, bySource, n); source.After(last) {
			last = source
		}
		t.Logf("serves all policies %s after its start", last.Sub(start).Round(time.Millisecond))
		p.checkWorkers(t)
	}
	load.check(t)
}
