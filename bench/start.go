package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"time"
)

// A start is what is started to be measured, and what each time took.
type start struct {
	variant
	workers int
	query   query

	ready, answered []float64 // ms from the start of the process until Envoy said so, or answered
	rss             []float64 // bytes of Envoy's resident memory after some traffic
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
	return r.reportStart(all)
}

// reportStart makes the table.
func (r *results) reportStart(all []*start) error {
	c := chapter{
		title: "Start and memory",
		text: fmt.Sprintf(`Medians of %d starts, with all cores: from the start of the process until Envoy says that it
is ready, and until it has answered a request. Memory is what Envoy has resident after
some thousand requests.`, r.options.starts),
		rows: [][]string{{"variant", "module", "workers", "ready", "first answer", "resident", "added"}},
	}
	base := 0.0
	for _, s := range all {
		rss := quantile(s.rss, 0.5)
		size, added := "–", "–"
		if s.module == "" {
			base = rss
		} else {
			info, err := os.Stat(s.module)
			if err != nil {
				return err
			}
			size, added = amount(float64(info.Size())), amount(rss-base)
		}
		c.rows = append(c.rows, []string{
			s.name, size, strconv.Itoa(s.workers), fmt.Sprintf("%.0f ms", quantile(s.ready, 0.5)),
			fmt.Sprintf("%.0f ms", quantile(s.answered, 0.5)), amount(rss), added,
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

func millis(d time.Duration) float64 { return d.Seconds() * 1000 }
