package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
)

// chainLength is how many copies of a filter make a chain. Differences that are
// lost in the noise with one copy are found with six.
const chainLength = 6

// A probe is one kind of request to one variant.
type probe struct {
	variant, base string
	copies        int
	kind          string
	exchange      *exchange
	samples       []float64 // µs of the worker's CPU per request, one of each round
}

// A cpuFigure is what a kind of request costs the worker.
type cpuFigure struct {
	Variant string `json:"variant"`
	Base    string `json:"base,omitempty"`
	Copies  int    `json:"copies"`
	Kind    string `json:"kind"`
	// Micros of CPU per request, all that Envoy does included.
	Micros spread `json:"micros"`
	// Added is how many µs each copy of the filter adds to the base.
	Added *difference `json:"added,omitempty"`
}

// A setup is a chain of copies of a variant's filter.
type setup struct {
	variant
	copies int
}

func (s *setup) listenerName() string { return fmt.Sprintf("%s × %d", s.name, s.copies) }

// measureCPU measures all variants in one Envoy.
func measureCPU(o *options, f *files, r *results) error {
	all := variants(f)
	var setups []setup
	for _, v := range all {
		setups = append(setups, setup{v, 1})
		if v.chains() {
			setups = append(setups, setup{v, chainLength})
		}
	}
	var listeners []envoy.Listener
	for _, s := range setups {
		listeners = append(listeners, s.named(s.listenerName(), s.copies))
	}
	say("cpu: starting an Envoy with %d listeners", len(listeners))
	e, err := startEnvoy(f, 1, listeners)
	if err != nil {
		return err
	}
	defer e.stop()
	var probes []*probe
	for _, s := range setups {
		t, err := e.dial(s.listenerName(), o.connections)
		if err != nil {
			return err
		}
		of, err := s.probes(t)
		if err != nil {
			return fmt.Errorf("%s: %w", s.listenerName(), err)
		}
		probes = append(probes, of...)
	}
	say("cpu: all variants answer as they should")
	if err := interleave(o, "cpu", e, probes); err != nil {
		return err
	}
	r.CPU = cpuFigures(probes)
	r.reportCPU(all)
	return nil
}

// probes checks the answers to all kinds of requests, and returns what is measured.
func (s *setup) probes(t *target) (probes []*probe, err error) {
	for _, kind := range kinds {
		denied := ask(kind, "api.example", "/items", "https://evil.example")
		denied.allowed = ""
		if _, err := t.learn(s.work, denied); err != nil {
			return nil, fmt.Errorf("%s, not allowed: %w", kind, err)
		}
		x, err := t.learn(s.work, ask(kind, "api.example", "/items", origin))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind, err)
		}
		// A chain's first copy answers a preflight, and the others don't see it.
		if s.copies == 1 || kind != preflight || s.work == nothing {
			probes = append(probes, &probe{variant: s.name, base: s.base, copies: s.copies, kind: kind, exchange: x})
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
				return fmt.Errorf("%s × %d, %s: %w", p.variant, p.copies, p.kind, err)
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
		say("%s: CAUTION: something else runs on this machine; the worker waited for its core for %.0f %% of its time", label, share)
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
		f := cpuFigure{Variant: p.variant, Base: p.base, Copies: p.copies, Kind: p.kind, Micros: spreadOf(p.samples)}
		if i := slices.IndexFunc(probes, func(b *probe) bool { return b.variant == p.base && b.kind == p.kind }); i >= 0 {
			f.Added = differenceOf(p.samples, probes[i].samples, float64(p.copies))
		}
		figures = append(figures, f)
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
func (r *results) reportCPU(all []variant) {
	added := chapter{title: "CPU per request", text: `What a request adds to the CPU time of Envoy's worker, in µs: the difference of the lower
quartiles to the same Envoy without a filter, ± half of its 90 % interval by resampling.
"No filter, again" is the same thing measured twice: the noise. Of six is for each copy in a
chain of six, which costs less than one alone: what all share is paid once, and the
answers already have the headers of the copies behind. The first copy answers a preflight.
Envoy's own filter ignores direct responses: its listener, and the one that it is compared
with, have a route to a cluster and a fault filter that answers, which a preflight spares.

![The table as a chart](chart.svg)`,
		rows: [][]string{{"variant", "no Origin", "actual", "preflight", "no Origin, of six", "actual, of six"}}}
	whole := chapter{title: "CPU per request, as measured",
		text: "All of what a request costs the worker, in µs: lower quartile, median and interquartile\nrange of the rounds.",
		rows: [][]string{{"variant", "no Origin", "actual", "preflight"}}}
	panels := []panel{{title: noOrigin}, {title: actual}, {title: preflight}}
	var bars []string
	for _, v := range all {
		one, six, addedByOne, addedBySix := []string{v.name}, []string{v.name + " × 6"}, []string{v.name}, []string{}
		for i, kind := range kinds {
			alone, chained := find(r.CPU, v.name, 1, kind), find(r.CPU, v.name, chainLength, kind)
			one, six = append(one, alone.String()), append(six, chained.String())
			addedByOne = append(addedByOne, alone.added().String())
			if kind != preflight {
				addedBySix = append(addedBySix, chained.added().String())
			}
			if v.base != "" {
				panels[i].add(alone.added())
			}
		}
		whole.rows = append(whole.rows, one)
		if v.chains() {
			whole.rows = append(whole.rows, six)
		}
		if v.base != "" {
			added.rows, bars = append(added.rows, append(addedByOne, addedBySix...)), append(bars, v.name)
		}
	}
	r.add(added)
	r.add(whole)
	sameScale(panels)
	r.chart("chart.svg", bar("CPU that CORS adds to a request, µs",
		fmt.Sprintf("Envoy %s, one worker, single copies; the lines are 90 %% intervals", r.Machine.Envoy), ours, bars, panels))
}
