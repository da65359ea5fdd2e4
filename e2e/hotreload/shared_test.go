package hotreload_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// waiting are the fields of a policy source that may hold its answers.
const waiting = `"interval": "10s", "timeout": "2s", "wait": "30s"`

// TestOneFetchPerEnvoy: the workers of an Envoy fetch once together, also where a new
// configuration with the same source takes over, and then go on with what they had.
func TestOneFetchPerEnvoy(t *testing.T) {
	f := deployOf(t, 1, `"interval": "1s"`)
	f.push(t, sourced("/cors.json", `"interval": "60s"`)) // of another plugin, in the same VMs
	load := startLoad(t, f.proxies, byXDS, bySource)
	f.source.publish(document(2))
	load.Await(t, bySource, 2)
	before := f.source.requests()
	time.Sleep(6500 * time.Millisecond)
	if n := f.source.requests() - before; n < 5 || n > 8 {
		t.Errorf("%d requests in 6.5 s from an Envoy with %d workers, want one a second", n, workers)
	} else {
		t.Logf("%d requests in 6.5 s", n)
	}
	f.proxies[0].CheckWorkers(t)
	load.Check(t)
}

// TestSameSource: a new configuration with the same source goes on with the source's last
// document, while the source is away, and then asks for the next one; one with another
// source begins with its own policies.
func TestSameSource(t *testing.T) {
	f := deployOf(t, 1, waiting)
	f.push(t, sourced("/other.json", waiting))
	load := startLoad(t, f.proxies, byXDS)
	f.source.publish(document(2))
	load.Await(t, byXDS, 2)
	for i, fields := range []string{`"interval": "9s", "timeout": "2s", "wait": "30s"`, `"interval": "1s"`, waiting} {
		n := i + 3
		// A fetch is under way, and is cancelled.
		envoytest.Eventually(t, fleet.Recovery, "both plugins to wait", func() bool { return f.source.waiting() >= 1 })
		success := f.proxies[0].Stats(t)["extension_config_discovery.http_filter.cors.update_success"]
		f.push(t, sourced("/other.json", fields))
		envoytest.Eventually(t, fleet.Recovery, "the update", func() bool {
			return f.proxies[0].Stats(t)["extension_config_discovery.http_filter.cors.update_success"] > success
		})
		time.Sleep(200 * time.Millisecond)
		load.Remains(t, byXDS, n-1)
		start := time.Now()
		f.source.publish(document(n))
		t.Logf("with %s: in every worker %s after the change", fields,
			load.Await(t, byXDS, n).Sub(start).Round(time.Millisecond))
	}
	load.Check(t)
}

// TestTwoSources: two plugins with sources of their own, in one Envoy, have each its own
// documents.
func TestTwoSources(t *testing.T) {
	f := deployOf(t, 1, waiting)
	bodies := map[string]string{"/cors.json": document(2), "/other.json": document(3)}
	f.source.serve(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(bodies[filepath.Clean(r.URL.Path)]))
	})
	f.push(t, sourced("/other.json", `"interval": "200ms"`))
	load := startLoad(t, f.proxies, byXDS, bySource)
	load.Await(t, bySource, 2)
	load.Await(t, byXDS, 3)
	for range 20 {
		time.Sleep(50 * time.Millisecond)
		load.Remains(t, bySource, 2)
		load.Remains(t, byXDS, 3)
	}
	load.Check(t)
}

// TestWait: where the source holds the requests, a change is in every worker a round trip
// later, and nothing is asked meanwhile.
func TestWait(t *testing.T) {
	f := deployOf(t, 1, waiting)
	load := startLoad(t, f.proxies, bySource)
	f.source.publish(document(2))
	load.Await(t, bySource, 2)
	var took fleet.Durations
	for n := 3; n <= 52; n++ {
		envoytest.Eventually(t, fleet.Recovery, "a request to wait", func() bool { return f.source.waiting() == 1 })
		took.Measure(func() { f.source.publish(document(n)) }, load.Awaiting(t, bySource, n))
	}
	t.Logf("by a source that holds its answers, in every worker after: %s", took)
	if median := took.Quantile(50); median > 250*time.Millisecond {
		t.Errorf("a change takes %s at the median", median)
	}
	before := f.source.requests()
	time.Sleep(3 * time.Second)
	if n := f.source.requests() - before; n > 1 {
		t.Errorf("%d requests in 3 s without a change", n)
	}
	// The server goes, and comes back.
	f.source.stop()
	f.source.publish(document(53))
	time.Sleep(time.Second)
	load.Remains(t, bySource, 52)
	f.source.start(t)
	load.Await(t, bySource, 53)
	for i, after := range f.counts(t) {
		if n := after["updated"]; n < 52 || n > 53 { // The second may have come before the first fetch.
			t.Errorf("%s: %d documents taken, want 53", f.proxies[i].Node, n)
		}
	}
	f.proxies[0].CheckWorkers(t)
	load.Check(t)
}

// TestLongestDocument: a document of 4 MiB is in every worker.
func TestLongestDocument(t *testing.T) {
	f := deployOf(t, 1, waiting)
	load := startLoad(t, f.proxies, bySource)
	text := largeDocument(2, 4_100_000)
	if text += strings.Repeat(" ", 4<<20-len(text)); len(text) != 4<<20 {
		t.Fatalf("the document has %d bytes", len(text))
	}
	start := time.Now()
	f.source.publish(text)
	t.Logf("in every worker after %s", load.Await(t, bySource, 2).Sub(start).Round(time.Millisecond))
	f.proxies[0].CheckWorkers(t)
	load.Check(t)
}
