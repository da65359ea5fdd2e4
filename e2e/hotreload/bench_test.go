package hotreload_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// BenchmarkXDS measures how long a policy takes from the control plane to the last of
// all workers, under load.
func BenchmarkXDS(b *testing.B) {
	benchmark(b, startFleet(b), byXDS, func(f *fleet, document string) { f.push(b, document) })
}

// BenchmarkPolicySource measures how long a policy takes from the policy source to the
// last of all workers, under load. Compare it with sourceInterval.
func BenchmarkPolicySource(b *testing.B) {
	benchmark(b, startFleet(b), bySource, (*fleet).publish)
}

// BenchmarkPolicySourceWait measures the same where the source holds the requests until the
// document changes: it does so when each Envoy waits, as they do but for a moment.
func BenchmarkPolicySourceWait(b *testing.B) {
	f := startFleetOf(b, 2, waiting)
	f.ready = func() {
		envoytest.Eventually(b, recovery, "each Envoy to wait",
			func() bool { return f.source.waiting() == len(f.proxies) })
	}
	benchmark(b, f, bySource, (*fleet).publish)
}

func (f *fleet) publish(document string) { f.source.publish(document) }

func benchmark(b *testing.B, f *fleet, listener string, update func(f *fleet, document string)) {
	b.Helper()
	load := startLoad(b, f.proxies, listener)
	for _, p := range f.proxies {
		p.checkWorkers(b)
	}
	var took durations
	n := 1
	for b.Loop() {
		n++
		if f.ready != nil {
			f.ready()
		}
		took.measure(func() { update(f, document(n)) }, load.awaiting(b, listener, n))
	}
	load.check(b)
	for _, percent := range []float64{50, 95, 100} {
		b.ReportMetric(float64(took.quantile(percent).Microseconds())/1000, fmt.Sprintf("ms/p%g", percent))
	}
}

// durations are how long the same thing took, again and again.
type durations []time.Duration

// measure adds the time from the begin of change to the moment that reached returns.
func (d *durations) measure(change func(), reached func() time.Time) {
	start := time.Now()
	change()
	*d = append(*d, reached().Sub(start))
}

// quantile returns the shortest duration that so many percent are not longer than.
func (d durations) quantile(percent float64) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[int(math.Ceil(float64(len(sorted))*percent/100))-1]
}

// String returns the distribution.
func (d durations) String() string {
	text := fmt.Sprintf("%d updates", len(d))
	for _, percent := range []float64{50, 95, 100} {
		text += fmt.Sprintf(", %g %% within %s", percent, d.quantile(percent).Round(time.Millisecond))
	}
	return text
}
