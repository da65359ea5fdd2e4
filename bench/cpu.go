package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// chainLength is how many copies of a filter make a chain. Differences that are
// lost in the noise with one copy are found with six.
const chainLength = 6

// A probe is one kind of request to one variant.
type probe struct {
	variant
	kind     string
	exchange *exchange
	samples  []float64 // µs of the worker's CPU per request, one of each round
}

type probes []*probe

// measureCPU measures all variants in one Envoy.
func measureCPU(o *options, f *files, r *results) error {
	all := variants(f)
	say("cpu: starting an Envoy with %d listeners", len(all))
	e, err := startEnvoy(f, bootstrap{workers: 1}, all...)
	if err != nil {
		return err
	}
	defer e.stop()
	var measured probes
	for _, v := range all {
		var queries []query
		for _, kind := range kinds {
			allowed, denied := askItems(kind, origin), askItems(kind, "https://evil.example")
			denied.allowed, denied.checked = "", true
			// A chain's first copy answers a preflight, and the others don't see it.
			allowed.checked = v.copies > 1 && kind == preflight && v.work != nothing
			queries = append(queries, denied, allowed)
		}
		if err = measured.add(v, e, o, queries); err != nil {
			return err
		}
	}
	say("cpu: all variants answer as they should")
	if err := measured.interleave(o, "cpu", e); err != nil {
		return err
	}
	r.reportCPU(all, measured)
	return nil
}

// add checks a variant's answers to the queries, and appends those that are measured.
func (all *probes) add(v variant, e *server, o *options, queries []query) error {
	t, err := e.dial(v, o.connections)
	if err != nil {
		return err
	}
	for _, q := range queries {
		x, err := t.learn(q)
		if err != nil {
			return fmt.Errorf("%s × %d: %s, allowed %q: %w", v.name, v.copies, q.kind, q.allowed, err)
		}
		if !q.checked {
			*all = append(*all, &probe{variant: v, kind: q.kind, exchange: x})
		}
	}
	return nil
}

// interleave measures all of them in each round, in random order.
func (all probes) interleave(o *options, label string, e *server) error {
	w, err := e.pinWorker()
	if err != nil {
		return err
	}
	defer w.release()
	began := time.Now()
	var ran, waited time.Duration
	for round := range o.rounds + 1 {
		for _, i := range rand.Perm(len(all)) {
			p := all[i]
			r, q, err := w.burst(p.exchange, o.burst)
			if err != nil {
				return fmt.Errorf("%s × %d, %s: %w", p.name, p.copies, p.kind, err)
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

// find returns the probe of that variant, or nil.
func (all probes) find(variant string, copies int, kind string) *probe {
	for _, p := range all {
		if p.name == variant && p.copies == copies && p.kind == kind {
			return p
		}
	}
	return nil
}

// added is how many µs each copy of the filter adds to its base, or nil if that wasn't
// measured.
func (all probes) added(variant string, copies int, kind string) *estimate {
	p := all.find(variant, copies, kind)
	if p == nil {
		return nil
	}
	base := all.find(p.base, 1, kind)
	if base == nil {
		return nil
	}
	return differenceOf(p.samples, base.samples, float64(copies))
}

// ratio is what one variant adds to the base of both over what another one adds, or nil if
// one of them wasn't measured.
func (all probes) ratio(variant, other, kind string) *estimate {
	p, q := all.find(variant, 1, kind), all.find(other, 1, kind)
	if p == nil || q == nil || p.base != q.base || p.base == "" {
		return nil
	}
	return ratioOf(p.samples, q.samples, all.find(p.base, 1, kind).samples)
}

// String is the lower quartile, the median and the interquartile range.
func (p *probe) String() string {
	if p == nil {
		return "–"
	}
	low, median, high := quantile(p.samples, 0.25), quantile(p.samples, 0.5), quantile(p.samples, 0.75)
	return fmt.Sprintf("%.1f, %.1f, %.1f", low, median, high-low)
}

// reportCPU makes the tables and the chart.
func (r *results) reportCPU(variants []variant, all probes) {
	r.reportAdded(variants, all)
	r.reportRatios(all)
	whole := chapter{title: "CPU per request, as measured",
		text: `All of what a request costs the worker, in µs: lower quartile, median and interquartile
range of the rounds.`,
		rows: [][]string{{"variant", "no Origin", "actual", "preflight"}}}
	for _, v := range variants {
		label := v.name
		if v.copies > 1 {
			label += " × 6"
		}
		row := []string{label}
		for _, kind := range kinds {
			row = append(row, all.find(v.name, v.copies, kind).String())
		}
		whole.rows = append(whole.rows, row)
	}
	r.add(whole)
}

// reportAdded makes the table and the chart of what each variant adds.
func (r *results) reportAdded(variants []variant, all probes) {
	c := chapter{
		title: "CPU per request",
		text: `What a request adds to the CPU time of Envoy's worker, in µs: the difference of the lower
quartiles to the same Envoy without a filter, ± half of its 90 % interval by resampling.
"No filter, again" is the same thing measured twice: the noise. "WAT, equal" is written by hand
and makes the same host calls as the filter: the floor of what does the same. Of six is for each
copy in a chain of six, which costs less than one alone: what all share is paid once, and the
answers already have the headers of the copies behind. The first copy answers a preflight.
Envoy's own filter ignores direct responses: its listener, and the one that it is compared
with, have a route to a cluster and a fault filter that answers, which a preflight spares.

![The table as a chart](chart.svg)`,
		rows: [][]string{{"variant", "no Origin", "actual", "preflight", "no Origin, of six", "actual, of six"}},
	}
	panels := []panel{{title: noOrigin}, {title: actual}, {title: preflight}}
	var bars []string
	for _, v := range variants {
		if v.base == "" || v.copies > 1 {
			continue
		}
		row := []string{v.name}
		for i, kind := range kinds {
			d := all.added(v.name, 1, kind)
			row = append(row, d.String())
			panels[i].add(d)
			ratio := all.ratio(v.name, floor, kind)
			if v.name == again {
				ratio = nil // of noise
			}
			panels[i].notes = append(panels[i].notes, times(ratio))
		}
		for _, kind := range []string{noOrigin, actual} {
			row = append(row, all.added(v.name, chainLength, kind).String())
		}
		c.rows, bars = append(c.rows, row), append(bars, v.name)
	}
	r.add(c)
	sameScale(panels)
	note := fmt.Sprintf("Envoy %s, one worker, single copies; the lines are 90 %% intervals; "+
		"× is the ratio to %q, the same host calls by hand", r.envoy, floor)
	r.files["chart.svg"] = bar("CPU that CORS adds to a request, µs", note, ours, bars, panels)
}

// times is a ratio as the chart has it.
func times(ratio *estimate) string {
	if ratio == nil {
		return ""
	}
	return fmt.Sprintf("%.2f×", ratio.value)
}

// reportRatios makes the table of ratios, and notes the goals among them.
func (r *results) reportRatios(all probes) {
	c := chapter{
		title: "CPU in ratios",
		text: `What one variant adds over what another one adds, ± half of the 90 % interval by resampling. Unlike
the figures above they can be compared between machines. "Rust" is a filter that does the same,
built with the proxy-wasm crate.`,
		rows: [][]string{append([]string{"ratio"}, kinds...)},
	}
	for _, pair := range [][2]string{{ours, rust}, {ours, floor}, {rust, floor}} {
		row := []string{pair[0] + " / " + pair[1]}
		for _, kind := range kinds {
			row = append(row, all.ratio(pair[0], pair[1], kind).String())
		}
		c.rows = append(c.rows, row)
	}
	r.add(c)
	for _, g := range []struct {
		of    string
		limit map[string]float64
	}{{rust, ofRust}, {floor, ofFloor}} {
		for _, kind := range kinds {
			r.goal("CPU, "+ours+" / "+g.of+", "+kind, g.limit[kind], "", all.ratio(ours, g.of, kind))
		}
	}
}
