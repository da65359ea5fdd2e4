package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain: the tests run on a Go that was fetched, too.
func TestMain(m *testing.M) {
	remove, err := outOfCache(".")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	remove()
	os.Exit(code)
}

// TestOutOfCache: Go that lies in the cache of modules is run by a link elsewhere, and its source is
// then elsewhere, too; Go that doesn't is left alone.
func TestOutOfCache(t *testing.T) {
	for _, name := range []string{"PATH", "GOROOT", "GOTOOLCHAIN"} {
		t.Setenv(name, os.Getenv(name)) // as it was, afterwards
	}
	goroot, err := goSays("env", "GOROOT")
	if err != nil {
		t.Fatal(err)
	}
	remove, err := outOfCache(".")
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	if got, err := goSays("env", "GOROOT"); err != nil || got != goroot {
		t.Errorf("GOROOT is %s, error %v; want %s", got, err, goroot)
	}
	t.Setenv("GOMODCACHE", filepath.Dir(goroot))
	removeLink, err := outOfCache(".")
	if err != nil {
		t.Fatal(err)
	}
	linked, err := goSays("env", "GOROOT")
	if err != nil || strings.HasPrefix(linked, filepath.Dir(goroot)) {
		t.Errorf("GOROOT is %s, error %v", linked, err)
	}
	if dir, err := goSays("list", "-f", "{{.Dir}}", "regexp"); err != nil || dir != filepath.Join(linked, "src", "regexp") {
		t.Errorf("the source is in %s, error %v; want it below %s", dir, err, linked)
	}
	removeLink()
	if _, err := os.Lstat(linked); err == nil {
		t.Error("the link is still there")
	}
	if _, err := os.Stat(goroot); err != nil {
		t.Errorf("Go is gone: %v", err)
	}
}

// TestReproducible builds the module twice, with the overlay in folders of its own, and on
// a machine that builds all else with other flags: the bytes are the same, so that
// anybody can check a release. The second path is longer by more than what the linker aligns to:
// the module has no path, but had addresses that a path's length moved. The second build also compiles all
// again, in a cache of its own: with -trimpath Go takes a package from the cache whatever folder it was
// compiled in, and only the linking would be compared.
func TestReproducible(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	var modules [2][]byte
	for i, name := range []string{"a", "another folder" + strings.Repeat(" below", 20)} {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv("TMPDIR", dir)
		if i > 0 {
			t.Setenv("GOFLAGS", "-race -gcflags=all=-N -tags=faults")
			t.Setenv("GOEXPERIMENT", "norandomizedheapbase64")
			t.Setenv("GOCACHE", filepath.Join(dir, "cache"))
		}
		output := filepath.Join(dir, "cors.wasm")
		if err := (build{folder: "module", output: output, version: "v1", revision: "r"}).run(); err != nil {
			t.Fatal(err)
		}
		var err error
		if modules[i], err = os.ReadFile(output); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(modules[i], []byte(dir)) {
			t.Errorf("the module contains %q", dir)
		}
	}
	if !bytes.Equal(modules[0], modules[1]) {
		t.Error("the modules differ")
	}
}
