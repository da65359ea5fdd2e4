package envoytest

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
)

// Envoy compiles the module before it serves, which takes seconds of CPU.
const startTimeout = 90 * time.Second

// adminOverride is merged over every bootstrap, so that each Envoy has an admin
// interface on a port of its own, whatever the bootstrap says.
var adminOverride = JSON(envoy.Object{"admin": envoy.Object{"address": envoy.Address("127.0.0.1:0")}})

// Options are the settings of an Envoy that are not in its bootstrap.
type Options struct {
	// Concurrency is the number of worker threads; 1 if zero.
	Concurrency int
	// Args are further arguments.
	Args []string
	// HotRestart lets another Envoy take over, see [envoy.Options].
	HotRestart bool
}

// An Envoy is a running Envoy. It is stopped when the test ends, and if the
// test failed the end of Envoy's log goes to the test's log.
type Envoy struct{ *envoy.Envoy }

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
	root, err := Root()
	if err != nil {
		tb.Fatal(err)
	}
	binary, err := envoy.Find(root)
	if err != nil {
		tb.Fatal(err)
	}
	dir := tb.TempDir()
	config := filepath.Join(dir, "bootstrap.yaml")
	if err := os.WriteFile(config, []byte(bootstrap), 0o600); err != nil {
		tb.Fatal(err)
	}
	args := append([]string{
		"--config-yaml", adminOverride, "--concurrency", strconv.Itoa(max(opts.Concurrency, 1)),
		"-l", "warning", "--component-log-level", "wasm:info", // the filter's own log
		// Tests read the access log: flush it soon.
		"--file-flush-interval-msec", "20",
	}, opts.Args...)
	process, err := envoy.Start(envoy.Options{
		Binary: binary, Config: config, Dir: dir, Args: args, HotRestart: opts.HotRestart,
	})
	if err != nil {
		tb.Fatal(err)
	}
	e := &Envoy{process}
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
	ctx, cancel := context.WithTimeout(tb.Context(), startTimeout)
	defer cancel()
	if err := e.Envoy.WaitReady(ctx); err != nil {
		tb.Fatal(err)
	}
}

// WaitExit waits until Envoy has exited by itself and returns its exit code:
// for configurations that it must refuse.
func (e *Envoy) WaitExit(tb testing.TB) int {
	tb.Helper()
	Eventually(tb, startTimeout, "Envoy exits", e.HasExited)
	return e.State().ExitCode()
}

// Stats returns the counters and gauges.
func (e *Envoy) Stats(tb testing.TB) map[string]uint64 {
	tb.Helper()
	stats, err := e.Envoy.Stats(tb.Context(), "")
	if err != nil {
		tb.Fatal(err)
	}
	return stats
}

// Addr returns the host:port of the listener called name.
func (e *Envoy) Addr(tb testing.TB, name string) string {
	tb.Helper()
	addrs, err := e.Addrs(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	if addrs[name] == "" {
		tb.Fatalf("no listener %q in %q", name, addrs)
	}
	return addrs[name]
}

// Details returns the response_code_details of the request with that x-test-id
// once it is in the access log of a [Listener].
func (e *Envoy) Details(tb testing.TB, id string) (details string) {
	tb.Helper()
	Eventually(tb, 10*time.Second, "request "+id+" is in the access log", func() bool {
		_, rest, found := strings.Cut("\n"+e.AccessLog(), "\n"+id+" ")
		details, _, _ = strings.Cut(rest, "\n")
		return found && strings.Contains(rest, "\n") // The line may be half written.
	})
	return details
}
