package database_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// patient is a policy source that is held for long, and hasty one that is given up soon.
const (
	patient = `"interval": "10s", "timeout": "2s", "wait": "30s"`
	hasty   = `"interval": "1s", "timeout": "1s", "wait": "2s"`
)

// TestRows: what changes in a database, origins that come and go among it, is in every worker of
// both Envoys, by both ways, and no request fails. Where the database is a server, it is killed, and
// comes back.
func TestRows(t *testing.T) {
	for _, s := range stores {
		t.Run(s.name, func(t *testing.T) {
			d := deploy(t, s.make(t), patient, byWait, byXDS)
			load := d.load(t)
			var took fleet.Durations
			for range 20 {
				start := time.Now()
				d.await(t, load, d.change(t))
				took = append(took, time.Since(start))
			}
			t.Logf("by both ways in every worker after: %s", took)
			if d.store.server != nil {
				d.store.server.Kill()
				time.Sleep(300 * time.Millisecond)
				for _, listener := range d.listeners {
					load.Remains(t, listener, d.version)
				}
				d.store.again(t)
				start := time.Now()
				d.await(t, load, d.change(t))
				t.Logf("in every worker %s after the database's return", time.Since(start).Round(time.Millisecond))
			}
			load.Check(t)
		})
	}
}

// BenchmarkRows measures how long a change takes from its commit to the last worker of both
// Envoys, which serve a steady load meanwhile.
func BenchmarkRows(b *testing.B) {
	for _, s := range stores {
		for _, listener := range []string{byWait, byXDS} {
			b.Run(s.name+"/"+listener, func(b *testing.B) {
				d := deploy(b, s.make(b), patient, listener)
				load := d.load(b)
				var took fleet.Durations
				for b.Loop() {
					d.ready(b)
					time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond) // whenever, between two polls
					var n int
					took.Measure(func() { n = d.change(b) }, func() time.Time { return load.Await(b, listener, n) })
					d.settle(listener, n)
				}
				load.Check(b)
				took.Report(b, "", 50, 95, 100)
			})
		}
	}
}

// ready waits until each Envoy waits for the next change, as it does but for a moment.
func (d *deployment) ready(tb testing.TB) {
	tb.Helper()
	metric := map[string]string{byWait: "cors_policyd_waiting_clients", byXDS: "cors_policyd_xds_streams"}[d.listeners[0]]
	envoytest.Eventually(tb, fleet.Recovery, "each Envoy to wait",
		func() bool { return d.policyd.metric(tb, metric) >= envoys })
}
