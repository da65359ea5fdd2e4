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
	// HotRestart lets another Envoy take over. Args then has the base id, whose shared memory
	// outlives Envoy.
	HotRestart bool
	// Stdout and Stderr receive Envoy's output, instead of files in Dir.
	Stdout, Stderr io.Writer
	// OwnGroup keeps the terminal's Ctrl-C from Envoy. Who sets it calls Stop then.
	OwnGroup bool
}

// An Envoy is a process that was started.
type Envoy struct {
	*Process
	began time.Time
	dir   string
	admin string // host:port of the admin interface, once WaitReady has returned
}

// Start starts an Envoy, and doesn't wait for it; see [Envoy.WaitReady].
func Start(o Options) (*Envoy, error) {
	e := &Envoy{dir: o.Dir}
	if err := os.Remove(e.path("admin")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	args := []string{"--config-path", o.Config, "--admin-address-path", e.path("admin")}
	if !o.HotRestart {
		// Its shared memory needs an id per Envoy, and outlives it.
		args = append(args, "--disable-hot-restart")
	}
	cmd := exec.Command(o.Binary, append(args, o.Args...)...)
	cmd.Stdout, cmd.Stderr = o.Stdout, o.Stderr
	for name, stream := range map[string]*io.Writer{accessLog: &cmd.Stdout, log: &cmd.Stderr} {
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
	var err error
	if e.Process, err = Fork(cmd, o.OwnGroup); err != nil {
		return nil, err
	}
	return e, nil
}

// WaitReady waits until Envoy serves. It fails if Envoy exits instead, or ctx ends.
func (e *Envoy) WaitReady(ctx context.Context) error {
	for !e.isReady(ctx) {
		select {
		case <-e.Exited():
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
