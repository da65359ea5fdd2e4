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
// and this process on the others, until release.
func (s *server) pinWorker() (*worker, error) {
	threads, err := threadsOf(s.PID())
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
	workers := 0
	for id, name := range threads {
		cores := &others
		if strings.HasPrefix(name, "wrk:worker_") {
			w.task = fmt.Sprintf("/proc/%d/task/%d", s.PID(), id)
			cores = &own
			workers++
		}
		if err := unix.SchedSetaffinity(id, cores); err != nil {
			return nil, err
		}
	}
	if workers != 1 {
		return nil, fmt.Errorf("%d threads called wrk:worker_ in Envoy instead of one", workers)
	}
	return w, moveTo(&others)
}

// threadsOf returns the names of a process's threads, by their ids.
func threadsOf(pid int) (map[int]string, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/comm", pid))
	if err != nil {
		return nil, err
	}
	threads := map[int]string{}
	for _, file := range files {
		name, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		id, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return nil, err
		}
		threads[id] = string(name)
	}
	return threads, nil
}

// moveTo puts all threads of this process on some cores: the one that sends requests, and
// those of the backend. Those that the runtime starts later are where their starter is.
func moveTo(cores *unix.CPUSet) error {
	threads, err := threadsOf(os.Getpid())
	if err != nil {
		return err
	}
	for id := range threads {
		if err := unix.SchedSetaffinity(id, cores); err != nil {
			return err
		}
	}
	return nil
}

// release lets this process run on every core again.
func (w *worker) release() { _ = moveTo(&w.all) }

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
