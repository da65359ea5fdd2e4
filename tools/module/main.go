// Command module builds the Wasm module, the one way for the Makefile and for tests:
//
//	go run ./tools/module -o build/cors.wasm [-version V -revision R] [-tags TAGS]
//
// It runs in the repository's root folder. The Go runtime is compiled with one
// function replaced; see [withoutPolling].
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	var b build
	flag.StringVar(&b.output, "o", "build/cors.wasm", "the `file` to write")
	flag.StringVar(&b.tags, "tags", "", "build `tags`")
	flag.StringVar(&b.version, "version", "dev", "the `version` for the log")
	flag.StringVar(&b.revision, "revision", "unknown", "the `revision` for the log")
	flag.Parse()
	if err := b.run(); err != nil {
		fmt.Fprintln(os.Stderr, "tools/module:", err)
		os.Exit(1)
	}
}

// folder is where the module's source is, below the root.
const folder = "module"

// A build is what the flags say.
type build struct {
	output, tags, version, revision string
}

func (b build) run() error {
	output, err := filepath.Abs(b.output)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "module")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	overlay, err := writeOverlay(scratch)
	if err != nil {
		return err
	}
	// No path of this machine and nothing of the work tree's state: whoever builds
	// the same source gets the same bytes.
	cmd := exec.Command("go", "-C", folder, "build", "-buildmode=c-shared", "-overlay", overlay,
		"-trimpath", "-buildvcs=false", "-tags", b.tags, "-o", output,
		"-ldflags", fmt.Sprintf("-s -w -X main.version=%s -X main.revision=%s", b.version, b.revision), ".")
	// Neither what GOFLAGS has for the machine's other builds: -race and -mod=vendor fail,
	// -gcflags changes the bytes. It can't be empty, for then go env's file counts.
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly",
		"GOWASM=", "GOEXPERIMENT=")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// writeOverlay writes the file for go build's flag -overlay into dir, and what it
// refers to. It returns the file's path.
func writeOverlay(dir string) (string, error) {
	// Asked for in the module's folder, whose go.mod chooses the toolchain.
	goroot, err := exec.Command("go", "-C", folder, "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOROOT: %w", err)
	}
	original := filepath.Join(strings.TrimSpace(string(goroot)), "src", "runtime", "os_wasip1.go")
	source, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	replaced, err := withoutPolling(string(source))
	if err != nil {
		return "", fmt.Errorf("%s: %w", original, err)
	}
	replacement := filepath.Join(dir, "os_wasip1.go")
	table, err := json.Marshal(map[string]any{"Replace": map[string]string{original: replacement}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	for path, text := range map[string][]byte{replacement: []byte(replaced), overlay: table} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return "", err
		}
	}
	return overlay, nil
}

// The runtime sleeps and waits for files by poll_oneoff, which Envoys before mid-2026
// answer with ENOSYS, and the runtime then ends the VM. A filter has nothing to wait
// for: no timer of its own, no file, no second thread. Only the runtime's scavenger,
// which the collector wakes, goes to sleep between two rounds; that its sleep ends at
// once has it do them at once.
const (
	imported = `//go:wasmimport wasi_snapshot_preview1 poll_oneoff
//go:noescape
func poll_oneoff(in *subscription, out *event, nsubscriptions size, nevents *size) errno
`
	defined = `//go:nosplit
func poll_oneoff(in *subscription, out *event, nsubscriptions size, nevents *size) errno {
	*nevents = 0
	return 0
}
`
)

// withoutPolling returns the runtime's source with a poll_oneoff that reports at once
// that nothing has happened, in place of the host's. A Go release that declares it
// differently needs a look: an import that stays would end VMs only under load.
func withoutPolling(source string) (string, error) {
	if n := strings.Count(source, imported); n != 1 || strings.Count(source, "func poll_oneoff(") != 1 {
		return "", fmt.Errorf("declares poll_oneoff %d times in the known form, and should once; "+
			"read what this version of Go does, and mend tools/module", n)
	}
	return strings.Replace(source, imported, defined, 1), nil
}
