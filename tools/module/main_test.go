package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWithoutPolling: only a runtime that is known is changed.
func TestWithoutPolling(t *testing.T) {
	const around = "package runtime\n\n%\n// usleep sleeps.\nfunc usleep(usec uint32) {}\n"
	for _, test := range []struct{ name, declaration, want string }{
		{"as it is", imported, defined},
		{"none", "", ""},
		{"twice", imported + imported, ""},
		{"another result", strings.Replace(imported, " errno", " int32", 1), ""},
		{"another one beside it", imported + "func poll_oneoff(in *subscription) errno\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := withoutPolling(strings.Replace(around, "%", test.declaration, 1))
			if (err == nil) != (test.want != "") {
				t.Fatalf("error %v", err)
			}
			if want := strings.Replace(around, "%", test.want, 1); err == nil && got != want {
				t.Errorf("got %s\nwant %s", got, want)
			}
		})
	}
}

// TestReproducible builds the module twice, with the overlay in folders of its own, and on
// a machine that builds all else with other flags: the bytes are the same, so that
// anybody can check a release.
func TestReproducible(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	var modules [2][]byte
	for i, name := range []string{"a", "another folder"} {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv("TMPDIR", dir)
		if i > 0 {
			t.Setenv("GOFLAGS", "-race -gcflags=all=-N -tags=faults")
			t.Setenv("GOEXPERIMENT", "nogreenteagc")
		}
		output := filepath.Join(dir, "cors.wasm")
		if err := (build{output: output, version: "v1", revision: "r"}).run(); err != nil {
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
