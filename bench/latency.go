package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// latencyConnections are more than are ever in use at the fixed rate, so that no
// request waits for a connection unless Envoy stalls.
const latencyConnections = 64

var percentiles = [3]float64{0.5, 0.99, 0.999}

// A stream is a listener's requests at a fixed rate.
type stream struct {
	*exchange
	name    string
	seconds [len(percentiles)][]float64 // by percentile
}

// measureLatency sends actual requests at a fixed rate, in slices of a second of
// each variant in random order.
func measureLatency(o *options, f *files, r *results) error {
	measured := slices.DeleteFunc(variants(f), func(v variant) bool {
		return v.copies > 1 || v.name != none && v.name != again && v.module == ""
	})
	e, err := startEnvoy(f, bootstrap{workers: 1}, measured...)
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
	say("latency: %d × %d s at %d requests per second", len(streams), o.seconds, o.rate)
	for second := range o.seconds + 1 {
		for _, i := range rand.Perm(len(streams)) {
			// The first second warms up.
			if err := streams[i].second(o.rate, second > 0); err != nil {
				return fmt.Errorf("%s: %w", streams[i].name, err)
			}
		}
	}
	r.reportLatency(streams)
	return nil
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
func (r *results) reportLatency(streams []*stream) {
	c := chapter{
		title: "Latency",
		text: fmt.Sprintf(`What an actual request takes in µs, from when it is due to when its answer is there, at
%d requests per second, whatever the answers take (an open loop): percentiles of a second, the medians of %d.`,
			r.options.rate, r.options.seconds),
		rows: [][]string{{"variant", "p50", "p99", "p99.9"}},
	}
	for _, s := range streams {
		row := []string{s.name}
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
