package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
)

// A setting is a way in which Envoy is run.
type setting struct {
	label     string
	bootstrap bootstrap
	rest      time.Duration // until its memory is read
}

// The settings that modules are started in. The last one gives memory back that isn't used, as
// deploy/envoy does.
var (
	oneWorker  = setting{label: "1", bootstrap: bootstrap{workers: 1}}
	twoWorkers = setting{label: "2", bootstrap: bootstrap{workers: 2}}
	givingBack = setting{label: "1, giving back", rest: 2500 * time.Millisecond, bootstrap: bootstrap{
		workers: 1,
		more: object{"memory_allocator_manager": object{
			"bytes_to_release": 1 << 30, "memory_release_interval": "1s",
		}},
	}}
)

// A start is what is started to be measured, and what each time took.
type start struct {
	variant
	setting
	query query

	ready, answered []float64 // ms from the start of the process until Envoy said so, or answered
	rss             []float64 // bytes of Envoy's resident memory after some traffic
}

type starts []*start

// emptyGo is the variant of a module in Go that does nothing.
const emptyGo = "Go, empty"

// measureStart starts an Envoy without the filter, with it, with the least that a module in
// Go is, and with each of the further modules, in each setting.
func measureStart(o *options, f *files, r *results) error {
	all := starts{}
	for _, s := range []setting{oneWorker, twoWorkers, givingBack} {
		for _, v := range started(f) {
			all = append(all, &start{variant: v, setting: s, query: askItems(actual, origin)})
		}
	}
	if err := all.inTurn(o, f, "start"); err != nil {
		return err
	}
	return r.reportStart(all)
}

// started are the variants whose start is measured.
func started(f *files) (measured []variant) {
	for _, v := range variants(f) {
		if v.copies == 1 && (v.name == none || v.module != "") {
			measured = append(measured, v)
		}
	}
	return append(measured, variant{
		name: emptyGo, base: none, copies: 1, module: f.emptyGo, listener: envoy.Listener{
			Name: emptyGo, Filters: copies(1, wasm(f.emptyGo, "")), Routes: []any{direct(nil)},
		},
	})
}

// reportStart makes the table, and notes the goals.
func (r *results) reportStart(all starts) error {
	c := chapter{
		title: "Start and memory",
		text: fmt.Sprintf(`Medians of %d starts, with all cores: from the start of the process until Envoy says that it
is ready, and until it has answered a request. Memory is what Envoy has resident after
some thousand requests. "Giving back" has memory_allocator_manager in the bootstrap, as
deploy/envoy has it: what compiling the module has taken goes back within a second. "Go, empty"
is the price of the language: the runtime, and callbacks that do nothing.`, r.options.starts),
		rows: [][]string{{"variant", "module", "workers", "ready", "first answer", "resident", "added"}},
	}
	for _, s := range all {
		size, added := "–", "–"
		if s.module != "" {
			bytes, err := fileSize(s.module)
			if err != nil {
				return err
			}
			size, added = amount(bytes), memory(all.added(s.name, s.setting))
		}
		c.rows = append(c.rows, []string{
			s.name, size, s.label, fmt.Sprintf("%.0f ms", quantile(s.ready, 0.5)),
			fmt.Sprintf("%.0f ms", quantile(s.answered, 0.5)), memory(quantile(s.rss, 0.5)), added,
		})
	}
	r.add(c)
	first := all.find(ours, oneWorker)
	bytes, err := fileSize(first.module)
	r.goal("size of the module", moduleInMB, "MB", &estimate{value: bytes / 1e6})
	r.goal("ready with one worker", startInMs, "ms", &estimate{value: quantile(first.ready, 0.5)})
	r.goal("memory added with one worker", memoryInMiB, "MiB", &estimate{value: all.added(ours, oneWorker) / mebibyte})
	r.goal("the same, giving back", lessInMiB, "MiB", &estimate{value: all.added(ours, givingBack) / mebibyte})
	return err
}

// find returns the start of that variant in that setting.
func (all starts) find(variant string, in setting) *start {
	i := slices.IndexFunc(all, func(s *start) bool { return s.name == variant && s.label == in.label })
	return all[i]
}

// added is how many bytes more an Envoy has resident with that variant than without a filter.
func (all starts) added(variant string, in setting) float64 {
	return quantile(all.find(variant, in).rss, 0.5) - quantile(all.find(none, in).rss, 0.5)
}

// inTurn starts each of them several times, in random order.
func (all starts) inTurn(o *options, f *files, label string) error {
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
	e, err := startEnvoy(f, s.bootstrap, s.variant)
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
	time.Sleep(s.rest)
	memory, err := e.rss()
	s.ready, s.answered = append(s.ready, millis(e.ready)), append(s.answered, millis(answered))
	s.rss = append(s.rss, float64(memory))
	return err
}

func millis(d time.Duration) float64 { return d.Seconds() * 1000 }

// fileSize is how many bytes a file has.
func fileSize(path string) (float64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return float64(info.Size()), nil
}
