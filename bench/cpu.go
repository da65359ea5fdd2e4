package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// chainLength is how many copies of a filter make a chain. Differences that are
// lost in the noise with one copy are found with six.
const chainLength = 6

// A cpuFigure is what a kind of request costs the worker.
type cpuFigure struct {
	Variant string
	Base    string
	Copies  int
	Kind    string
	// Micros of CPU per request, all that Envoy does included.
	Micros spread
	// Added is how many µs each copy of the filter adds to the base.
	Added *difference
}

// A probe is one kind of request to one variant.
type probe struct {
	cpuFigure // its numbers are filled in at the end
	exchange  *exchange
	samples   []float64 // µs of the worker's CPU per request, one of each round
}

// measureCPU measures all variants in one Envoy.
func measureCPU(o *options, f *files, r *results) error {
	all := variants(f)
	say("cpu: starting an Envoy with %d listeners", len(all))
	e, err := startEnvoy(f, 1, all...)
	if err != nil {
		return err
	}
	defer e.stop()
	var probes []*probe
	for _, v := range all {
		var queries []query
		for _, kind := range kinds {
			allowed, denied := askItems(kind, origin), askItems(kind, "https://evil.example")
			denied.allowed, denied.checked = "", true
			// A chain's first copy answers a preflight, and the others don't see it.
			allowed.checked = v.copies > 1 && kind == preflight && v.work != nothing
			queries = append(queries, denied, allowed)
		}
		if probes, err = v.probe(e, o, queries, probes); err != nil {
			return err
		}
	}
	say("cpu: all variants answer as they should")
	if err := interleave(o, "cpu", e, probes); err != nil {
		return err
	}
	r.reportCPU(all, cpuFigures(probes))
	return nil
}

// probe checks the answers to the queries, and appends those that are measured.
func (v variant) probe(e *server, o *options, queries []query, probes []*probe) ([]*probe, error) {
	t, err := e.dial(v, o.connections)
	if err != nil {
		return nil, err
	}
	for _, q := range queries {
		x, err := t.learn(q)
		if err != nil {
			return nil, fmt.Errorf("%s × %d: %s, allowed %q: %w", v.name, v.copies, q.kind, q.allowed, err)
		}
		if !q.checked {
			figure := cpuFigure{Variant: v.name, Base: v.base, Copies: v.copies, Kind: q.kind}
			probes = append(probes, &probe{cpuFigure: figure, exchange: x})
		}
	}
	return probes, nil
}

// interleave measures all probes in each round, in random order.
func interleave(o *options, label string, e *server, probes []*probe) error {
	w, err := e.pinWorker()
	if err != nil {
		return err
	}
	defer w.release()
	began := time.Now()
	var ran, waited time.Duration
	for round := range o.rounds + 1 {
		for _, i := range rand.Perm(len(probes)) {
			p := probes[i]
			r, q, err := w.burst(p.exchange, o.burst)
			if err != nil {
				return fmt.Errorf("%s × %d, %s: %w", p.Variant, p.Copies, p.Kind, err)
			}
			if round > 0 { // The first one warms up.
				ran, waited = ran+r, waited+q
				p.samples = append(p.samples, float64(r.Nanoseconds())/1000/float64(o.burst))
			}
		}
		if round%5 == 0 || round == o.rounds {
			say("%s: round %d of %d, after %s", label, round, o.rounds, time.Since(began).Round(time.Second))
		}
	}
	if share := 100 * waited.Seconds() / ran.Seconds(); share > 2 {
		say("%s: CAUTION: something else runs on this machine; "+
			"the worker waited for its core for %.0f %% of its time", label, share)
	}
	return nil
}

// burst sends a burst, and returns how long the worker ran for it, and how long it
// waited for its core.
func (w *worker) burst(x *exchange, n int) (ran, waited time.Duration, err error) {
	ran0, waited0, err0 := w.times()
	err = x.burst(n)
	ran1, waited1, err1 := w.times()
	return ran1 - ran0, waited1 - waited0, errors.Join(err0, err, err1)
}

func cpuFigures(probes []*probe) (figures []cpuFigure) {
	for _, p := range probes {
		p.Micros = spreadOf(p.samples)
		isBase := func(b *probe) bool { return b.Variant == p.Base && b.Kind == p.Kind }
		if i := slices.IndexFunc(probes, isBase); i >= 0 {
			p.Added = differenceOf(p.samples, probes[i].samples, float64(p.Copies))
		}
		figures = append(figures, p.cpuFigure)
	}
	return figures
}

// find returns the figure of that variant, or nil.
func find(figures []cpuFigure, variant string, copies int, kind string) *cpuFigure {
	for i, f := range figures {
		if f.Variant == variant && f.Copies == copies && f.Kind == kind {
			return &figures[i]
		}
	}
	return nil
}

// added is what a copy adds, or nil if there is no such figure.
func (f *cpuFigure) added() *difference {
	if f == nil {
		return nil
	}
	return f.Added
}

// String is all that was measured.
func (f *cpuFigure) String() string {
	if f == nil {
		return "–"
	}
	return fmt.Sprintf("%.1f, %.1f, %.1f", f.Micros.LowerQuartile, f.Micros.Median, f.Micros.IQR)
}

// reportCPU makes the tables and the chart.
func (r *results) reportCPU(all []variant, figures []cpuFigure) {
	added := chapter{
		title: "CPU per request",
		text: `What a request adds to the CPU time of Envoy's worker, in µs: the difference of the lower
quartiles to the same Envoy without a filter, ± half of its 90 % interval by resampling.
"No filter, again" is the same thing measured twice: the noise. Of six is for each copy in a
chain of six, which costs less than one alone: what all share is paid once, and the
answers already have the headers of the copies behind. The first copy answers a preflight.
Envoy's own filter ignores direct responses: its listener, and the one that it is compared
with, have a route to a cluster and a fault filter that answers, which a preflight spares.

![The table as a chart](chart.svg)`,
		rows: [][]string{{"variant", "no Origin", "actual", "preflight", "no Origin, of six", "actual, of six"}},
	}
	whole := chapter{title: "CPU per request, as measured",
		text: `All of what a request costs the worker, in µs: lower quartile, median and interquartile
range of the rounds.`,
		rows: [][]string{{"variant", "no Origin", "actual", "preflight"}}}
	panels := []panel{{title: noOrigin}, {title: actual}, {title: preflight}}
	var bars []string
	for _, v := range all {
		label := v.name
		if v.copies > 1 {
			label += " × 6"
		}
		row := []string{label}
		for _, kind := range kinds {
			row = append(row, find(figures, v.name, v.copies, kind).String())
		}
		whole.rows = append(whole.rows, row)
		if v.base == "" || v.copies > 1 {
			continue
		}
		row = []string{v.name}
		for i, kind := range kinds {
			d := find(figures, v.name, 1, kind).added()
			row = append(row, d.String())
			panels[i].add(d)
		}
		for _, kind := range []string{noOrigin, actual} {
			row = append(row, find(figures, v.name, chainLength, kind).added().String())
		}
		added.rows, bars = append(added.rows, row), append(bars, v.name)
	}
	r.add(added)
	r.add(whole)
	sameScale(panels)
	note := fmt.Sprintf("Envoy %s, one worker, single copies; the lines are 90 %% intervals", r.machine.Envoy)
	r.chart("chart.svg", bar("CPU that CORS adds to a request, µs", note, ours, bars, panels))
}
