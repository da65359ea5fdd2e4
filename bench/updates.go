package main

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
)

// documentSize is how large the documents of the updates are.
const documentSize = 2_000_000

// updateTimeout bounds the wait for a document to be in force.
const updateTimeout = 30 * time.Second

// measureUpdates has Envoy serve while its policies are replaced again and again, and reads its
// memory in between.
func measureUpdates(o *options, f *files, r *results) error {
	b, err := startBackend()
	if err != nil {
		return err
	}
	defer b.stop()
	b.publish(document(0, documentSize))
	v := variant{name: ours, copies: 1, work: varies, listener: envoy.Listener{
		Name: ours, Filters: copies(1, wasm(f.cors, sourced())), Routes: []any{direct(nil)},
	}}
	e, err := startEnvoy(f, bootstrap{workers: 1, clusters: []any{b.cluster()}}, v)
	if err != nil {
		return err
	}
	defer e.stop()
	t, err := e.dial(v, o.connections)
	if err != nil {
		return err
	}
	c := chapter{
		title: "Updates",
		text: `An Envoy with one worker, whose policy source replaces a document of 2 MB by one with other
origins again and again while it serves: what it has resident, how much of that is the memory of
the filter's VMs (the worker's, and Envoy's own), and the longest that a request has taken since
the row before.`,
		rows: [][]string{{"updates", "resident", "VMs", "longest answer"}},
	}
	counts := []int{0, 1, 10, 100}
	if o.quick {
		counts = counts[:3]
	}
	var longest time.Duration
	for version := range slices.Max(counts) + 1 {
		if version > 0 {
			b.publish(document(version, documentSize))
		}
		took, err := t.untilInForce(version)
		if err != nil {
			return err
		}
		longest = max(longest, took)
		if !slices.Contains(counts, version) {
			continue
		}
		say("updates: %d of %d", version, slices.Max(counts))
		rss, err := e.rss()
		if err != nil {
			return err
		}
		vms, err := e.vmMemory()
		if err != nil {
			return err
		}
		c.rows = append(c.rows, []string{
			strconv.Itoa(version), memory(float64(rss)), memory(float64(vms)), fmt.Sprintf("%.0f ms", millis(longest)),
		})
		longest = 0
	}
	r.add(c)
	return nil
}

// untilInForce sends requests until a version of the document answers them, and returns how long
// the longest one took.
func (t *target) untilInForce(version int) (longest time.Duration, err error) {
	began := time.Now()
	for {
		sent := time.Now()
		_, err := t.learn(askItems(actual, versionOrigin(version)))
		longest = max(longest, time.Since(sent))
		if err == nil {
			return longest, nil
		}
		if time.Since(began) > updateTimeout {
			return 0, fmt.Errorf("document %d isn't in force after %s: %w", version, updateTimeout, err)
		}
	}
}
