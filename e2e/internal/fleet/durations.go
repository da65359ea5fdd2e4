package fleet

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

// Durations are how long the same thing took, again and again.
type Durations []time.Duration

// Measure adds the time from the begin of change to the moment that reached returns.
func (d *Durations) Measure(change func(), reached func() time.Time) {
	start := time.Now()
	change()
	*d = append(*d, reached().Sub(start))
}

// Quantile returns the shortest duration that so many percent are not longer than.
func (d Durations) Quantile(percent float64) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[int(math.Ceil(float64(len(sorted))*percent/100))-1]
}

// Report adds quantiles to a benchmark's results, in milliseconds.
func (d Durations) Report(b *testing.B, name string, percents ...float64) {
	b.Helper()
	for _, percent := range percents {
		b.ReportMetric(float64(d.Quantile(percent).Microseconds())/1000, fmt.Sprintf("ms/%sp%g", name, percent))
	}
}

// String returns the distribution.
func (d Durations) String() string {
	text := fmt.Sprintf("%d updates", len(d))
	for _, percent := range []float64{50, 95, 100} {
		text += fmt.Sprintf(", %g %% within %s", percent, d.Quantile(percent).Round(time.Millisecond))
	}
	return text
}
