package main

import (
	"math"
	"testing"
)

// spread are samples whose lower quartile is known, and that vary by so much.
func spread(quartile, by float64) []float64 {
	return []float64{quartile - by, quartile, quartile + by, quartile + 2*by, quartile + 3*by}
}

func TestEstimates(t *testing.T) {
	for _, test := range []struct {
		name string
		got  *estimate
		want float64
		sure bool // nothing varies
	}{
		{"difference", differenceOf(spread(23, 0), spread(20, 0), 1), 3, true},
		{"difference, shared by six", differenceOf(spread(23, 0), spread(20, 0), 6), 0.5, true},
		{"difference, negative", differenceOf(spread(20, 0), spread(23, 0), 1), -3, true},
		{"difference of what varies", differenceOf(spread(23, 1), spread(20, 1), 1), 3, false},
		{"ratio", ratioOf(spread(23, 0), spread(24, 0), spread(20, 0)), 0.75, true},
		{"ratio to itself", ratioOf(spread(23, 0), spread(23, 0), spread(20, 0)), 1, true},
		{"ratio of what varies", ratioOf(spread(23, 0.1), spread(24, 0.1), spread(20, 0.1)), 0.75, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if math.Abs(test.got.value-test.want) > 1e-9 || (test.got.error == 0) != test.sure {
				t.Errorf("%s, want %.2f", test.got, test.want)
			}
		})
	}
}

func TestQuantile(t *testing.T) {
	samples := []float64{4, 1, 3, 2, 5}
	for q, want := range map[float64]float64{0: 1, 0.25: 2, 0.5: 3, 0.6: 3.4, 1: 5} {
		if got := quantile(samples, q); math.Abs(got-want) > 1e-9 {
			t.Errorf("the %v-quantile is %v, want %v", q, got, want)
		}
	}
}

func TestGoals(t *testing.T) {
	for _, test := range []struct {
		name            string
		goal            goal
		figure, verdict string
	}{
		{"below", goal{limit: 0.85, measured: &estimate{0.8, 0.03}}, "0.80 ± 0.03", "met"},
		{"at the limit", goal{limit: 0.85, measured: &estimate{0.85, 0.03}}, "0.85 ± 0.03", "met"},
		{"above", goal{limit: 0.85, measured: &estimate{0.86, 0.03}}, "0.86 ± 0.03", "missed"},
		{"one figure", goal{limit: 92, measured: &estimate{value: 91.987}}, "91.99", "met"},
		{"a large one", goal{limit: 1400, measured: &estimate{value: 1523.7}}, "1524", "missed"},
		{"without a peer", goal{limit: 0.85}, "–", "not measured"},
	} {
		t.Run(test.name, func(t *testing.T) {
			figure, verdict := test.goal.figure(), test.goal.verdict()
			if figure != test.figure || verdict != test.verdict {
				t.Errorf("%q is %q, want %q, %q", figure, verdict, test.figure, test.verdict)
			}
		})
	}
}
