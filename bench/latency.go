package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"
)

// latencyConnections are more than are ever in use at the fixed rate, so that no
// request waits for a connection unless Envoy stalls.
const latencyConnections = 64

// A latencyFigure is how long requests take at a fixed rate.
type latencyFigure struct {
	Variant string `json:"variant"`
	// Micros from when a request was due to when its answer was there: percentiles
	// of a second, each the median of all seconds.
	P50  float64 `json:"p50_micros"`
	P99  float64 `json:"p99_micros"`
	P999 float64 `json:"p99.9_micros"`
}

var percentiles = [3]float64{0.5, 0.99, 0.999}

// measureLatency sends actual requests at a fixed rate, in slices of a second of
// each variant in random order.
func measureLatency(o *options, f *files, r *results) error {
	var listeners []listener
	var works []work
	for _, v := range variants(f) {
		if v.name == none || v.name == again || v.module != "" {
			l := v.listener(1)
			l.name = v.name
			listeners, works = append(listeners, l), append(works, v.work)
		}
	}
	e, err := startEnvoy(f, 1, listeners)
	if err != nil {
		return err
	}
	defer e.stop()
	exchanges := make([]*exchange, len(listeners))
	seconds := make([][3][]float64, len(listeners)) // by percentile
	for i, l := range listeners {
		t, err := dial(e.addrs[l.name], latencyConnections)
		if err != nil {
			return err
		}
		defer t.close()
		if exchanges[i], err = t.learn(works[i], ask(actual, "api.example", "/items", origin)); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	w, err := e.pinWorker()
	if err != nil {
		return err
	}
	defer w.release()
	say("latency: %d × %d s at %d requests per second", len(listeners), o.seconds, o.rate)
	for second := range o.seconds + 1 {
		for _, i := range rand.Perm(len(listeners)) {
			micros, err := exchanges[i].steady(o.rate)
			if err != nil {
				return fmt.Errorf("%s: %w", listeners[i].name, err)
			}
			if second > 0 { // The first one warms up.
				for n, q := range percentiles {
					seconds[i][n] = append(seconds[i][n], quantile(micros, q))
				}
			}
		}
	}
	c := chapter{title: "Latency", text: fmt.Sprintf(`What an actual request takes in µs, from when it is due to when its answer is there, at
%d requests per second, whatever the answers take (an open loop): percentiles of a second, the medians of %d.`, o.rate, o.seconds),
		rows: [][]string{{"variant", "p50", "p99", "p99.9"}}}
	for i, l := range listeners {
		x := latencyFigure{l.name, quantile(seconds[i][0], 0.5), quantile(seconds[i][1], 0.5), quantile(seconds[i][2], 0.5)}
		r.Latency = append(r.Latency, x)
		c.rows = append(c.rows, []string{x.Variant, fmt.Sprintf("%.0f", x.P50), fmt.Sprintf("%.0f", x.P99), fmt.Sprintf("%.0f", x.P999)})
	}
	r.add(c)
	return nil
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
		now := time.Since(began)
		if due := time.Duration(sent) * interval; sent < rate && now >= due && len(idle) > 0 {
			if _, err := unix.Write(idle[0], e.request); err != nil {
				return nil, err
			}
			busy, idle, sent = append(busy, waiting{idle[0], due}), idle[1:], sent+1
		}
		for i := 0; i < len(busy); i++ {
			n, _, err := unix.Recvfrom(busy[i].fd, buf, unix.MSG_DONTWAIT)
			if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
				continue
			}
			if err == nil {
				err = e.check(buf[:n])
			}
			if err != nil || n < e.size {
				return nil, fmt.Errorf("an answer of %d bytes instead of %d: %w", n, e.size, err)
			}
			micros = append(micros, float64((time.Since(began)-busy[i].due).Nanoseconds())/1000)
			idle = append(idle, busy[i].fd)
			busy = append(busy[:i], busy[i+1:]...)
			i--
		}
		if time.Since(began) > answerTimeout {
			return nil, fmt.Errorf("%d of %d answers after %s", len(micros), rate, answerTimeout)
		}
	}
	return micros, nil
}
