// Package envoy runs real Envoys, for the tests, the benchmark and the demo: the process
// from its start to its end, its admin interface, and the parts of its configuration
// that all of them write. An Envoy never outlives who has started it.
package envoy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Built is where make installs Envoy, seen from the root of the repository.
const Built = "build/tools/envoy/bin/envoy"

// Find returns the binary that $ENVOY, the build below root or PATH offers.
func Find(root string) (string, error) {
	if path := os.Getenv("ENVOY"); path != "" {
		if _, err := exec.LookPath(path); err != nil {
			return "", fmt.Errorf("$ENVOY: %w", err)
		}
		return path, nil
	}
	for _, path := range []string{filepath.Join(root, Built), "envoy"} {
		if found, err := exec.LookPath(path); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("no Envoy in $ENVOY, %s or PATH; \"make run\" installs it", Built)
}

// Options are what an Envoy is started with.
type Options struct {
	// Binary is the path of Envoy, see [Find].
	Binary string
	// Config is the path of the bootstrap, YAML or JSON.
	Config string
	// Dir is a folder for the files of one Envoy at a time: its log, its access log
	// and the address of its admin interface. They stay.
	Dir string
	// Args are further arguments.
	Args []string
	// Stdout and Stderr receive Envoy's output, instead of files in Dir.
	Stdout, Stderr io.Writer
	// OwnGroup keeps the terminal's Ctrl-C from Envoy. Who sets it calls Stop then.
	OwnGroup bool
}

// An Envoy is a process that was started.
type Envoy struct {
	began  time.Time
	cmd    *exec.Cmd
	dir    string
	exited chan struct{} // closed once the process is gone
	admin  string        // host:port of the admin interface, once WaitReady has returned
}

// Start starts an Envoy, and doesn't wait for it; see [Envoy.WaitReady].
func Start(o Options) (*Envoy, error) {
	e := &Envoy{dir: o.Dir, exited: make(chan struct{})}
	if err := os.Remove(e.path("admin")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	e.cmd = exec.Command(o.Binary, append([]string{
		"--config-path", o.Config, "--admin-address-path", e.path("admin"),
		// Its shared memory needs an id per Envoy, and outlives it.
		"--disable-hot-restart",
	}, o.Args...)...)
	e.cmd.Stdout, e.cmd.Stderr = o.Stdout, o.Stderr
	for name, stream := range map[string]*io.Writer{accessLog: &e.cmd.Stdout, log: &e.cmd.Stderr} {
		if *stream != nil {
			continue
		}
		// Files, not pipes: nobody has to read them for Envoy to go on.
		file, err := os.Create(e.path(name))
		if err != nil {
			return nil, err
		}
		defer file.Close()
		*stream = file
	}
	e.began = time.Now()
	if err := Fork(e.cmd, o.OwnGroup); err != nil {
		return nil, err
	}
	go func() {
		_ = e.cmd.Wait() // The process's state says it all.
		close(e.exited)
	}()
	return e, nil
}

// forks starts processes, from one thread that lives as long as this process does. The
// kernel ends a child with the thread that has forked it, and Go ends threads at will.
var forks = sync.OnceValue(func() chan<- func() {
	forks := make(chan func())
	go func() {
		runtime.LockOSThread()
		for start := range forks {
			start()
		}
	}()
	return forks
})

// Fork starts what runs beside an Envoy, and like it doesn't outlive this process. In a group of
// its own the terminal's Ctrl-C doesn't reach it.
func Fork(cmd *exec.Cmd, ownGroup bool) error {
	cmd.SysProcAttr = attributes(ownGroup)
	started := make(chan error)
	forks() <- func() { started <- cmd.Start() }
	return <-started
}

// WaitReady waits until Envoy serves. It fails if Envoy exits instead, or ctx ends.
func (e *Envoy) WaitReady(ctx context.Context) error {
	for !e.isReady(ctx) {
		select {
		case <-e.exited:
			return fmt.Errorf("envoy doesn't serve, but has ended with %s", e.State())
		case <-ctx.Done():
			return fmt.Errorf("envoy doesn't serve after %s: %w", e.Age().Round(time.Second), ctx.Err())
		case <-time.After(2 * time.Millisecond):
		}
	}
	return nil
}

// Age returns how long it is since Envoy was started.
func (e *Envoy) Age() time.Duration { return time.Since(e.began) }

// PID returns the process id.
func (e *Envoy) PID() int { return e.cmd.Process.Pid }

// Exited returns a channel that is closed once Envoy is gone.
func (e *Envoy) Exited() <-chan struct{} { return e.exited }

// HasExited reports whether Envoy is gone.
func (e *Envoy) HasExited() bool {
	select {
	case <-e.exited:
		return true
	default:
		return false
	}
}

// State returns how Envoy has ended, once it is gone.
func (e *Envoy) State() *os.ProcessState { return e.cmd.ProcessState }

// Stop ends Envoy, gently at first, and returns when it is gone.
func (e *Envoy) Stop() {
	_ = e.cmd.Process.Signal(syscall.SIGTERM) // It may be gone already.
	select {
	case <-e.exited:
	case <-time.After(5 * time.Second):
		_ = e.cmd.Process.Kill()
		<-e.exited
	}
}

// Names of files in Options.Dir.
const (
	log       = "envoy.log"
	accessLog = "access.log"
)

// Log returns Envoy's log so far, the filter's log lines included.
func (e *Envoy) Log() string { return e.read(log) }

// AccessLog returns what Envoy has written to its standard output so far.
func (e *Envoy) AccessLog() string { return e.read(accessLog) }

func (e *Envoy) path(name string) string { return filepath.Join(e.dir, name) }

// read returns a file's text, or "" if there is no such file.
func (e *Envoy) read(name string) string {
	text, _ := os.ReadFile(e.path(name))
	return string(text)
}
