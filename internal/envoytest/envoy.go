package envoytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Envoy compiles the module before it serves, which takes seconds of CPU.
const startTimeout = 90 * time.Second

// adminOverride is merged over every bootstrap, so that each Envoy has an admin
// interface on a port of its own, whatever the bootstrap says.
const adminOverride = `{"admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}}`

// Options are the settings of an Envoy that are not in its bootstrap.
type Options struct {
	// Concurrency is the number of worker threads; 1 if zero.
	Concurrency int
	// LogLevel is Envoy's log level; "warning" if empty.
	LogLevel string
	// ComponentLogLevel is as Envoy's flag; "wasm:info" if empty, for the filter's own log.
	ComponentLogLevel string
	// Args are further arguments.
	Args []string
}

// An Envoy is a running Envoy. It is stopped when the test ends, and if the
// test failed the end of Envoy's log goes to the test's log.
type Envoy struct {
	cmd    *exec.Cmd
	dir    string
	exited chan struct{} // closed once the process is gone
	admin  string        // base URL, set by WaitReady
}

// Start starts an Envoy on a bootstrap, YAML or JSON, and waits until it serves.
func Start(tb testing.TB, bootstrap string, opts Options) *Envoy {
	tb.Helper()
	e := Launch(tb, bootstrap, opts)
	e.WaitReady(tb)
	return e
}

// Launch starts an Envoy and does not wait for it; see [Envoy.WaitReady] and
// [Envoy.WaitExit].
func Launch(tb testing.TB, bootstrap string, opts Options) *Envoy {
	tb.Helper()
	binary, err := Binary()
	if err != nil {
		tb.Fatal(err)
	}
	e := &Envoy{dir: tb.TempDir(), exited: make(chan struct{})}
	if err := os.WriteFile(e.path("bootstrap.yaml"), []byte(bootstrap), 0o600); err != nil {
		tb.Fatal(err)
	}
	e.cmd = exec.Command(binary, append([]string{
		"-c", e.path("bootstrap.yaml"), "--config-yaml", adminOverride, "--admin-address-path", e.path("admin"),
		// No hot restart: its shared memory needs an id per Envoy, and outlives it.
		"--disable-hot-restart", "--concurrency", strconv.Itoa(max(opts.Concurrency, 1)),
		"-l", or(opts.LogLevel, "warning"), "--component-log-level", or(opts.ComponentLogLevel, "wasm:info"),
		// Tests read the access log: flush it soon.
		"--file-flush-interval-msec", "20",
	}, opts.Args...)...)
	// Files, not pipes: a test that dies leaves no Envoy blocked on a full pipe.
	for name, stream := range map[string]*io.Writer{"access.log": &e.cmd.Stdout, "envoy.log": &e.cmd.Stderr} {
		file, err := os.Create(e.path(name))
		if err != nil {
			tb.Fatal(err)
		}
		defer file.Close()
		*stream = file
	}
	if err := e.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		_ = e.cmd.Wait() // WaitExit reads the exit code.
		close(e.exited)
	}()
	tb.Cleanup(func() {
		e.Stop()
		if tb.Failed() {
			lines := strings.SplitAfter(e.Log(), "\n")
			tb.Logf("the end of Envoy's log:\n%s", strings.Join(lines[max(0, len(lines)-60):], ""))
		}
	})
	return e
}

// WaitReady waits until Envoy serves, and fails the test if it exits instead.
func (e *Envoy) WaitReady(tb testing.TB) {
	tb.Helper()
	Eventually(tb, startTimeout, "Envoy is ready", func() bool {
		if e.hasExited() {
			tb.Fatalf("Envoy exited with code %d instead of serving", e.cmd.ProcessState.ExitCode())
		}
		address, err := os.ReadFile(e.path("admin"))
		if _, port, splitErr := net.SplitHostPort(string(address)); err != nil || splitErr != nil || port == "" {
			return false
		}
		e.admin = "http://" + string(address)
		_, err = e.AdminGet("/ready")
		return err == nil
	})
}

// WaitExit waits until Envoy has exited by itself and returns its exit code:
// for configurations that it must refuse.
func (e *Envoy) WaitExit(tb testing.TB) int {
	tb.Helper()
	Eventually(tb, startTimeout, "Envoy exits", e.hasExited)
	return e.cmd.ProcessState.ExitCode()
}

// Stop stops Envoy, and waits until it is gone.
func (e *Envoy) Stop() {
	_ = e.cmd.Process.Signal(syscall.SIGTERM) // It may be gone already.
	select {
	case <-e.exited:
	case <-time.After(10 * time.Second):
		_ = e.cmd.Process.Kill()
		<-e.exited
	}
}

// PID returns the process id.
func (e *Envoy) PID() int { return e.cmd.Process.Pid }

// Admin returns the base URL of the admin interface.
func (e *Envoy) Admin() string { return e.admin }

// AdminGet returns what the admin interface answers to a GET of path; an
// answer other than 200 is an error.
func (e *Envoy) AdminGet(path string) (string, error) {
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get(e.admin + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("admin %s: %s: %s", path, resp.Status, body)
	}
	return string(body), err
}

// Stats returns the counters and gauges.
func (e *Envoy) Stats(tb testing.TB) map[string]uint64 {
	tb.Helper()
	text, err := e.AdminGet("/stats")
	if err != nil {
		tb.Fatal(err)
	}
	stats := map[string]uint64{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		// Histograms and texts are no numbers.
		if n, err := strconv.ParseUint(value, 10, 64); err == nil {
			stats[name] = n
		}
	}
	return stats
}

// Addr returns the host:port of the listener called name.
func (e *Envoy) Addr(tb testing.TB, name string) string {
	tb.Helper()
	text, err := e.AdminGet("/listeners?format=json")
	if err != nil {
		tb.Fatal(err)
	}
	var listeners struct {
		ListenerStatuses []struct {
			Name         string
			LocalAddress struct {
				SocketAddress struct {
					Address   string
					PortValue int `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal([]byte(text), &listeners); err != nil {
		tb.Fatal(err)
	}
	for _, l := range listeners.ListenerStatuses {
		if l.Name == name {
			return net.JoinHostPort(l.LocalAddress.SocketAddress.Address, strconv.Itoa(l.LocalAddress.SocketAddress.PortValue))
		}
	}
	tb.Fatalf("no listener %q in %s", name, text)
	return ""
}

// Log returns Envoy's log so far, the filter's log lines included.
func (e *Envoy) Log() string { return e.read("envoy.log") }

// Details returns the response_code_details of the request with that x-test-id
// once it is in the access log of a [Listener].
func (e *Envoy) Details(tb testing.TB, id string) (details string) {
	tb.Helper()
	Eventually(tb, 10*time.Second, "request "+id+" is in the access log", func() bool {
		_, rest, found := strings.Cut("\n"+e.read("access.log"), "\n"+id+" ")
		details, _, _ = strings.Cut(rest, "\n")
		return found && strings.Contains(rest, "\n") // The line may be half written.
	})
	return details
}

func (e *Envoy) hasExited() bool {
	select {
	case <-e.exited:
		return true
	default:
		return false
	}
}

func (e *Envoy) path(name string) string { return filepath.Join(e.dir, name) }

func (e *Envoy) read(name string) string {
	text, err := os.ReadFile(e.path(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		panic(err)
	}
	return string(text)
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
