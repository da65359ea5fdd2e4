package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReproducible builds the module twice, with the overlay in folders of its own, and on
// a machine that builds all else with other flags: the bytes are the same, so that
// anybody can check a release. The second path is longer by more than what the linker aligns to:
// the module has no path, but had addresses that a path's length moved.
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
