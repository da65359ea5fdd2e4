package main

import (
	"errors"
	"fmt"
	"os"
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
func (e *envoy) pinWorker() (*worker, error) {
	threads, err := e.threads()
	if err != nil {
		return nil, err
	}
	w := &worker{}
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
	for id, name := range threads {
		cores := &others
		if strings.HasPrefix(name, "wrk:worker_") {
			if w.task != "" {
				return nil, errors.New("more than one worker in Envoy")
			}
			w.task, cores = fmt.Sprintf("/proc/%d/task/%d", e.cmd.Process.Pid, id), &own
		}
		if err := unix.SchedSetaffinity(id, cores); err != nil {
			return nil, err
		}
	}
	if w.task == "" {
		return nil, errors.New("no thread called wrk:worker_0 in Envoy")
	}
	return w, unix.SchedSetaffinity(0, &others)
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
