package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// quantile interpolates the q-quantile of samples, which needn't be sorted.
func quantile(samples []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(samples))
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

// A difference is between the lower quartiles of two sets of samples.
type difference struct {
	value float64
	// error is half of the interval that the value is in with 90 % probability,
	// by resampling.
	error float64
}

func (d *difference) String() string {
	if d == nil {
		return "–"
	}
	return fmt.Sprintf("%.2f ± %.2f", d.value, d.error)
}

func differenceOf(samples, base []float64, divisor float64) *difference {
	between := func(a, b []float64) float64 { return (quantile(a, 0.25) - quantile(b, 0.25)) / divisor }
	random := rand.New(rand.NewPCG(1, 2))
	resample := func(from []float64) []float64 {
		to := make([]float64, len(from))
		for i := range to {
			to[i] = from[random.IntN(len(from))]
		}
		return to
	}
	var values []float64
	for range 400 {
		values = append(values, between(resample(samples), resample(base)))
	}
	return &difference{between(samples, base), (quantile(values, 0.95) - quantile(values, 0.05)) / 2}
}
