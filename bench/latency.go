package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
)

// latencyConnections are more than are ever in use at half of saturation, so that no
// request waits for a connection unless Envoy stalls.
const latencyConnections = 64

// saturationRounds are how often saturation is measured.
const saturationRounds = 5

var percentiles = [3]float64{0.5, 0.99, 0.999}

// changing is the filter with a policy source that has a new document each second.
const changing = "ours, policies change"

// changedSize is how large those documents are.
const changedSize = 200_000

// A stream is a listener's requests at a fixed rate.
type stream struct {
	*exchange
	name      string
	saturated []float64                   // requests per second
	seconds   [len(percentiles)][]float64 // by percentile
}

// measureLatency sends actual requests at a fixed rate, in slices of a second of
// each variant in random order.
func measureLatency(o *options, f *files, r *results) error {
	b, err := startBackend()
	if err != nil {
		return err
	}
	defer b.stop()
	b.publish(document(0, changedSize))
	measured := latencyVariants(f)
	e, err := startEnvoy(f, bootstrap{workers: 1, clusters: []any{b.cluster()}}, measured...)
	if err != nil {
		return err
	}
	defer e.stop()
	var streams []*stream
	for _, v := range measured {
		t, err := e.dial(v, latencyConnections)
		if err != nil {
			return err
		}
		x, err := t.learn(askItems(actual, origin))
		if err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
		streams = append(streams, &stream{exchange: x, name: v.name})
	}
	w, err := e.pinWorker()
	if err != nil {
		return err
	}
	defer w.release()
	rate, err := halfOfSaturation(o, streams)
	if err != nil {
		return err
	}
	say("latency: %d × %d s at %d requests per second", len(streams), o.seconds, rate)
	version := 0
	for second := range o.seconds + 1 {
		for _, i := range rand.Perm(len(streams)) {
			s := streams[i]
			if s.name == changing {
				version++
				next := document(version, changedSize)
				time.AfterFunc(300*time.Millisecond, func() { b.publish(next) })
			}
			// The first second warms up.
			if err := s.second(rate, second > 0); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	r.reportLatency(streams, rate)
	return nil
}

// latencyVariants are those whose latency is measured.
func latencyVariants(f *files) (measured []variant) {
	others := []string{none, again, nativeBase, native}
	for _, v := range variants(f) {
		if v.copies == 1 && (v.module != "" || slices.Contains(others, v.name)) {
			measured = append(measured, v)
		}
	}
	return append(measured, variant{name: changing, base: none, copies: 1, work: varies, listener: envoy.Listener{
		Name: changing, Filters: copies(1, wasm(f.cors, sourced())), Routes: []any{direct(nil)},
	}})
}

// halfOfSaturation measures how many requests each stream takes when the next one always waits,
// and returns half of what the slowest one takes, so that all have the same to do.
func halfOfSaturation(o *options, streams []*stream) (rate int, err error) {
	n := 5 * o.burst
	for round := range saturationRounds + 1 {
		for _, i := range rand.Perm(len(streams)) {
			s := streams[i]
			began := time.Now()
			if err := s.burst(n); err != nil {
				return 0, fmt.Errorf("%s: %w", s.name, err)
			}
			if round > 0 { // The first one warms up.
				s.saturated = append(s.saturated, float64(n)/time.Since(began).Seconds())
			}
		}
	}
	slowest := quantile(streams[0].saturated, 0.5)
	for _, s := range streams {
		slowest = min(slowest, quantile(s.saturated, 0.5))
	}
	return int(slowest / 2), nil
}

// second sends the requests of a second, and keeps the percentiles if asked to.
func (s *stream) second(rate int, keep bool) error {
	micros, err := s.steady(rate)
	if err != nil || !keep {
		return err
	}
	for n, q := range percentiles {
		s.seconds[n] = append(s.seconds[n], quantile(micros, q))
	}
	return nil
}

// reportLatency makes the table.
func (r *results) reportLatency(streams []*stream, rate int) {
	c := chapter{
		title: "Latency under load",
		text: fmt.Sprintf(`What an actual request takes in µs, from when it is due to when its answer is there, at
%d requests per second, whatever the answers take (an open loop): percentiles of a second, the medians of %d.
That is half of what the slowest takes at saturation: the most requests per second over %d connections with
one in flight on each. Where policies change, a policy source has a new document of 200 kB in each of these
seconds.`, rate, r.options.seconds, latencyConnections),
		rows: [][]string{{"variant", "saturation", "p50", "p99", "p99.9"}},
	}
	for _, s := range streams {
		row := []string{s.name, fmt.Sprintf("%.0f", quantile(s.saturated, 0.5))}
		for _, micros := range s.seconds {
			row = append(row, fmt.Sprintf("%.0f", quantile(micros, 0.5)))
		}
		c.rows = append(c.rows, row)
	}
	r.add(c)
}

// steady sends as many requests as the rate in a second, each when it is due, and
// returns what each has taken. It never sleeps, for a sleep ends late.
func (e *exchange) steady(rate int) (micros []float64, err error) {
	type waiting struct {
		fd  int
		due time.Duration
	}
	idle := append([]int(nil), e.fds...)
	var busy []waiting
	buf := make([]byte, 4096)
	interval := time.Second / time.Duration(rate)
	began := time.Now()
	for sent := 0; len(micros) < rate; {
		if due := time.Duration(sent) * interval; sent < rate && time.Since(began) >= due && len(idle) > 0 {
			if _, err := unix.Write(idle[0], e.request); err != nil {
				return nil, err
			}
			busy, idle, sent = append(busy, waiting{idle[0], due}), idle[1:], sent+1
		}
		still := busy[:0]
		for _, b := range busy {
			there, err := e.poll(b.fd, buf)
			if err != nil {
				return nil, err
			}
			if !there {
				still = append(still, b)
				continue
			}
			micros = append(micros, float64((time.Since(began)-b.due).Nanoseconds())/1000)
			idle = append(idle, b.fd)
		}
		busy = still
		if time.Since(began) > answerTimeout {
			return nil, fmt.Errorf("%d of %d answers after %s", len(micros), rate, answerTimeout)
		}
	}
	return micros, nil
}

// poll reports whether the answer on a connection is there, and doesn't wait.
func (e *exchange) poll(fd int, buf []byte) (there bool, err error) {
	n, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return false, nil
	}
	if err == nil {
		err = e.check(buf[:n])
	}
	if err != nil || n < e.size {
		return false, fmt.Errorf("an answer of %d bytes instead of %d: %w", n, e.size, err)
	}
	return true, nil
}
