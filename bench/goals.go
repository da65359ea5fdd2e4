package main

import "fmt"

// A goal is a limit that the project has set itself, and what was measured.
type goal struct {
	name     string
	limit    float64
	unit     string
	measured *estimate // nil if there was nothing to measure it with
}

// The limits of what the filter costs, each in the unit of its name.
var (
	ofRust        = map[string]float64{noOrigin: 0.85, actual: 0.82, preflight: 0.92}
	ofFloor       = map[string]float64{noOrigin: 1.2, actual: 1.2, preflight: 1.2}
	hostsInMicros = map[string]float64{noOrigin: 1.1, actual: 1.35, preflight: 0.8}
)

const (
	moduleInMB  = 3.4
	startInMs   = 1400
	memoryInMiB = 92
	lessInMiB   = 77 // where Envoy gives memory back
)

// verdict says whether the goal is met.
func (g *goal) verdict() string {
	switch {
	case g.measured == nil:
		return "not measured"
	case g.measured.value > g.limit:
		return "missed"
	}
	return "met"
}

// figure is what was measured, with what is uncertain about it if that is known.
func (g *goal) figure() string {
	switch {
	case g.measured == nil || g.measured.error > 0:
		return g.measured.String()
	case g.measured.value < 100:
		return fmt.Sprintf("%.2f", g.measured.value)
	}
	return fmt.Sprintf("%.0f", g.measured.value)
}

// goal notes what was measured of a goal.
func (r *results) goal(name string, limit float64, unit string, measured *estimate) {
	r.goals = append(r.goals, goal{name, limit, unit, measured})
}

// reportGoals makes the table.
func (r *results) reportGoals() chapter {
	c := chapter{
		title: "Goals",
		text: `What the project has set itself, and what this run has measured, as the tables below have it:
the ratios and differences with half of their 90 % intervals.`,
		rows: [][]string{{"goal", "at most", "measured", ""}},
	}
	for _, g := range r.goals {
		limit := fmt.Sprint(g.limit)
		if g.unit != "" {
			limit += " " + g.unit
		}
		c.rows = append(c.rows, []string{g.name, limit, g.figure(), g.verdict()})
	}
	return c
}
