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

// An estimate is a figure that is computed of the lower quartiles of some sets of samples.
type estimate struct {
	value float64
	// error is half of the interval that the value is in with 90 % probability,
	// by resampling.
	error float64
}

func (e *estimate) String() string {
	if e == nil {
		return "–"
	}
	return fmt.Sprintf("%.2f ± %.2f", e.value, e.error)
}

// estimateOf computes a figure of the lower quartiles of sets, and of those of as many sets
// drawn from them.
func estimateOf(figure func(quartiles []float64) float64, sets ...[]float64) *estimate {
	quartiles := make([]float64, len(sets))
	for i, set := range sets {
		quartiles[i] = quantile(set, 0.25)
	}
	e := &estimate{value: figure(quartiles)}
	random := rand.New(rand.NewPCG(1, 2))
	var values []float64
	for range 400 {
		for i, set := range sets {
			quartiles[i] = quantile(resample(random, set), 0.25)
		}
		values = append(values, figure(quartiles))
	}
	e.error = (quantile(values, 0.95) - quantile(values, 0.05)) / 2
	return e
}

// resample draws as many samples as there are.
func resample(random *rand.Rand, from []float64) []float64 {
	to := make([]float64, len(from))
	for i := range to {
		to[i] = from[random.IntN(len(from))]
	}
	return to
}

// differenceOf is how much more samples have than those of the base, shared by so many.
func differenceOf(samples, base []float64, shared float64) *estimate {
	return estimateOf(func(q []float64) float64 { return (q[0] - q[1]) / shared }, samples, base)
}

// ratioOf is how much more samples have than those of the base, over what the others have more.
func ratioOf(samples, others, base []float64) *estimate {
	return estimateOf(func(q []float64) float64 { return (q[0] - q[2]) / (q[1] - q[2]) }, samples, others, base)
}
