// Package envoytest runs real Envoys for tests: a process on a bootstrap, an
// upstream that answers as told and remembers what reached it, and clients
// that send header lines exactly as given and lose none of the answer's.
//
//	up := envoytest.NewUpstream(t)
//	envoy := envoytest.Start(t, envoytest.Bootstrap{
//		Upstream: up.Addr(),
//		Listeners: []envoytest.Listener{{
//			Name:    "main",
//			Filters: []any{envoytest.Plugin{Module: module, Config: config}.Filter()},
//		}},
//	}.String(), envoytest.Options{})
//	got, err := up.Exchange(envoytest.HTTP1, envoy.Addr(t, "main"), request, answer)
//
// All ports are chosen by the kernel when they are bound, so that any number of
// tests and Envoys can run at the same time.
package envoytest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// rootModule tells the root's go.mod from those of nested modules.
const rootModule = "\nmodule github.com/proxy-wasm-cors/proxy-wasm-cors\n"

// Root returns the repository's root folder, looking upwards from the working
// directory, which for a test is its package's folder.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.Contains("\n"+string(mod), rootModule) {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("the working directory is outside of the repository")
		}
		dir = parent
	}
}

// Module returns the path of the compiled filter.
func Module() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, "build/cors.wasm")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf(`%w; run "make build"`, err)
	}
	return path, nil
}

// BuildModule builds the filter with build tags, as "make build" does without any, as a
// file at path.
func BuildModule(path, tags string) error {
	root, err := Root()
	if err != nil {
		return err
	}
	build := exec.Command("go", "run", "./tools/module", "-tags", tags, "-o", path)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the module with %s: %w\n%s", tags, err, out)
	}
	return nil
}

// Eventually polls cond until it holds, and fails the test if it does not
// within timeout.
func Eventually(tb testing.TB, timeout time.Duration, what string, cond func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(timeout); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("waited %s in vain: %s", timeout, what)
		}
	}
}
