package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A worker is the worker thread of an Envoy, on a core of its own.
type worker struct {
	task string // its folder in /proc
	all  unix.CPUSet
}

// pinWorker puts Envoy's only worker on the last core, and everything else of Envoy
// and the calling thread on the others, until release.
func (s *server) pinWorker() (*worker, error) {
	workers, rest, err := s.threads()
	if err != nil {
		return nil, err
	}
	if len(workers) != 1 {
		return nil, fmt.Errorf("%d threads called wrk:worker_ in Envoy instead of one", len(workers))
	}
	w := &worker{task: fmt.Sprintf("/proc/%d/task/%d", s.PID(), workers[0])}
	if err := unix.SchedGetaffinity(0, &w.all); err != nil {
		return nil, err
	}
	if w.all.Count() < 2 {
		return nil, errors.New("it takes two cores: one for Envoy's worker, one for the load")
	}
	last := 0
	for core := range 64 * len(w.all) {
		if w.all.IsSet(core) {
			last = core
		}
	}
	var own unix.CPUSet
	own.Set(last)
	others := w.all
	others.Clear(last)
	if err := unix.SchedSetaffinity(workers[0], &own); err != nil {
		return nil, err
	}
	const this = 0
	for _, id := range append(rest, this) {
		if err := unix.SchedSetaffinity(id, &others); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// threads returns the ids of Envoy's workers, and of its other threads.
func (s *server) threads() (workers, rest []int, err error) {
	names, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/comm", s.PID()))
	if err != nil {
		return nil, nil, err
	}
	for _, file := range names {
		name, err := os.ReadFile(file)
		if err != nil {
			return nil, nil, err
		}
		id, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return nil, nil, err
		}
		if strings.HasPrefix(string(name), "wrk:worker_") {
			workers = append(workers, id)
		} else {
			rest = append(rest, id)
		}
	}
	return workers, rest, nil
}

// release lets the calling thread run on every core again.
func (w *worker) release() { _ = unix.SchedSetaffinity(0, &w.all) }

// times returns how long the worker has run on its core, and how long it has waited
// for the core, once it has nothing to do. The kernel counts a thread's time when
// the thread sleeps.
func (w *worker) times() (ran, waited time.Duration, err error) {
	for range 1000 {
		time.Sleep(300 * time.Microsecond)
		stat, err := os.ReadFile(w.task + "/stat")
		if err != nil {
			return 0, 0, err
		}
		// PID (name) STATE …
		if _, state, _ := strings.Cut(string(stat), ") "); !strings.HasPrefix(state, "S") {
			continue
		}
		text, err := os.ReadFile(w.task + "/schedstat")
		if err != nil {
			return 0, 0, err
		}
		_, err = fmt.Sscan(string(text), &ran, &waited)
		return ran, waited, err
	}
	return 0, 0, errors.New("the worker doesn't come to rest")
}
