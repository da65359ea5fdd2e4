package hotreload_test

import (
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// BenchmarkXDS measures how long a policy takes from the control plane to the last of
// all workers, under load.
func BenchmarkXDS(b *testing.B) {
	benchmark(b, deploy(b), byXDS, func(f *deployment, document string) { f.push(b, document) })
}

// BenchmarkPolicySource measures how long a policy takes from the policy source to the
// last of all workers, under load. Compare it with sourceInterval.
func BenchmarkPolicySource(b *testing.B) {
	benchmark(b, deploy(b), bySource, (*deployment).publish)
}

// BenchmarkPolicySourceWait measures the same where the source holds the requests until the
// document changes: it does so when each Envoy waits, as they do but for a moment.
func BenchmarkPolicySourceWait(b *testing.B) {
	f := deployOf(b, 2, waiting)
	f.ready = func() {
		envoytest.Eventually(b, fleet.Recovery, "each Envoy to wait",
			func() bool { return f.source.waiting() == len(f.proxies) })
	}
	benchmark(b, f, bySource, (*deployment).publish)
}

func (f *deployment) publish(document string) { f.source.publish(document) }

func benchmark(b *testing.B, f *deployment, listener string, update func(f *deployment, document string)) {
	b.Helper()
	load := startLoad(b, f.proxies, listener)
	for _, p := range f.proxies {
		p.CheckWorkers(b)
	}
	var took fleet.Durations
	n := 1
	for b.Loop() {
		n++
		if f.ready != nil {
			f.ready()
		}
		took.Measure(func() { update(f, document(n)) }, load.Awaiting(b, listener, n))
	}
	load.Check(b)
	took.Report(b, "", 50, 95, 100)
}
