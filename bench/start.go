package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"time"
)

// A startFigure is what it takes to have a variant: time at the start, and memory.
type startFigure struct {
	Variant     string `json:"variant"`
	Workers     int    `json:"workers"`
	ModuleBytes int64  `json:"module_bytes,omitempty"`
	// ReadyMillis is from the start of the process until Envoy says that it is ready,
	// AnswerMillis until a request is answered; medians.
	ReadyMillis  float64 `json:"ready_millis"`
	AnswerMillis float64 `json:"answer_millis"`
	// RSSBytes is Envoy's resident memory after some traffic, the median.
	RSSBytes float64 `json:"rss_bytes"`
}

// A start is what is started to be measured, and what each time took.
type start struct {
	variant
	workers int
	query   query

	ready, answered, rss []float64
}

// measureStart starts an Envoy without the filter, with it, and with each of the
// further modules, with one worker and with two.
func measureStart(o *options, f *files, r *results) error {
	var all []*start
	for _, workers := range []int{1, 2} {
		for _, v := range variants(f) {
			if v.copies == 1 && (v.name == none || v.module != "") {
				all = append(all, &start{variant: v, workers: workers, query: askItems(actual, origin)})
			}
		}
	}
	if err := startInTurn(o, f, "start", all); err != nil {
		return err
	}
	return r.reportStart(o, all)
}

// reportStart makes the table.
func (r *results) reportStart(o *options, all []*start) error {
	c := chapter{
		title: "Start and memory",
		text: fmt.Sprintf(`Medians of %d starts, with all cores: from the start of the process until Envoy says that it
is ready, and until it has answered a request. Memory is what Envoy has resident after
some thousand requests.`, o.starts),
		rows: [][]string{{"variant", "module", "workers", "ready", "first answer", "resident", "added"}},
	}
	base := 0.0
	for _, s := range all {
		x := startFigure{
			Variant: s.name, Workers: s.workers,
			ReadyMillis: quantile(s.ready, 0.5), AnswerMillis: quantile(s.answered, 0.5),
			RSSBytes: quantile(s.rss, 0.5),
		}
		size, added := "–", "–"
		if s.module == "" {
			base = x.RSSBytes
		} else {
			info, err := os.Stat(s.module)
			if err != nil {
				return err
			}
			x.ModuleBytes = info.Size()
			size, added = amount(float64(x.ModuleBytes)), amount(x.RSSBytes-base)
		}
		r.Start = append(r.Start, x)
		c.rows = append(c.rows, []string{
			x.Variant, size, strconv.Itoa(s.workers), fmt.Sprintf("%.0f ms", x.ReadyMillis),
			fmt.Sprintf("%.0f ms", x.AnswerMillis), amount(x.RSSBytes), added,
		})
	}
	r.add(c)
	return nil
}

// startInTurn starts each of them several times, in random order.
func startInTurn(o *options, f *files, label string, all []*start) error {
	for n := range o.starts {
		say("%s: start %d of %d", label, n+1, o.starts)
		for _, i := range rand.Perm(len(all)) {
			if err := all[i].once(o, f); err != nil {
				return fmt.Errorf("%s: %w", all[i].name, err)
			}
		}
	}
	return nil
}

// once starts an Envoy, waits for an answer, and sends it some requests.
func (s *start) once(o *options, f *files) error {
	e, err := startEnvoy(f, s.workers, s.variant)
	if err != nil {
		return err
	}
	defer e.stop()
	t, err := e.dial(s.variant, o.connections)
	if err != nil {
		return err
	}
	x, err := t.learn(s.query)
	if err != nil {
		return err
	}
	answered := e.Age()
	if err := x.burst(3 * o.burst); err != nil {
		return err
	}
	memory, err := e.rss()
	s.ready, s.answered = append(s.ready, millis(e.ready)), append(s.answered, millis(answered))
	s.rss = append(s.rss, float64(memory))
	return err
}

func millis(d time.Duration) float64 { return round(d.Seconds() * 1000) }
