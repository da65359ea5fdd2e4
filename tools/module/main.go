// Command module builds the Wasm module, the one way for the Makefile and for tests:
//
//	go run ./tools/module -o build/cors.wasm [-version V -revision R] [-tags TAGS]
//
// It runs in the repository's root folder. Go's own source is compiled without the [cuts], gjson
// without its [modifiers], and what the linker wrote loses a table that nobody reads then; see
// [withoutFuncTable].
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	b := build{folder: "module"}
	flag.StringVar(&b.output, "o", "build/cors.wasm", "the `file` to write")
	flag.StringVar(&b.tags, "tags", "", "build `tags`")
	flag.StringVar(&b.version, "version", "dev", "the `version` for the log")
	flag.StringVar(&b.revision, "revision", "unknown", "the `revision` for the log")
	flag.Parse()
	remove, err := outOfCache(b.folder)
	if err == nil {
		err = b.run()
		remove()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tools/module:", err)
		os.Exit(1)
	}
}

// outOfCache has Go's commands run by a link to their folder if that lies in the cache of modules,
// whose files no overlay may replace: Go is there where it has fetched the version that is asked for,
// since another one is installed. It returns what removes the link.
func outOfCache(folder string) (func(), error) {
	said, err := goSays("-C", folder, "env", "GOROOT", "GOMODCACHE")
	if err != nil {
		return nil, err
	}
	goroot, cache, _ := strings.Cut(said, "\n")
	if !strings.HasPrefix(goroot, filepath.Clean(cache)+string(filepath.Separator)) {
		return func() {}, nil
	}
	dir, err := os.MkdirTemp("", "go")
	if err != nil {
		return nil, err
	}
	link := filepath.Join(dir, "go")
	path := filepath.Join(link, "bin") + string(os.PathListSeparator) + os.Getenv("PATH")
	return func() { os.RemoveAll(dir) }, errors.Join(os.Symlink(goroot, link),
		os.Setenv("GOROOT", link), os.Setenv("GOTOOLCHAIN", "local"), os.Setenv("PATH", path))
}

// A build is what the flags say.
type build struct {
	// folder has the module's source, and the go.mod that chooses the toolchain is there or above.
	folder                          string
	output, tags, version, revision string
}

func (b build) run() error {
	scratch, err := os.MkdirTemp("", "module")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	modfile, replace, err := writeModfile(b.folder, scratch)
	if err != nil {
		return err
	}
	overlay, err := writeOverlay(b.folder, scratch, cuts, replace)
	if err != nil {
		return err
	}
	linked := filepath.Join(scratch, "linked.wasm")
	if err := b.link(overlay, modfile, linked); err != nil {
		return err
	}
	module, err := os.ReadFile(linked)
	if err != nil {
		return err
	}
	if err := checkNeeded(module, append(cuts, modifiers)); err != nil {
		return err
	}
	if module, err = withoutFuncTable(module); err != nil {
		return err
	}
	return os.WriteFile(b.output, module, 0o644)
}

// link has Go build the module.
func (b build) link(overlay, modfile, output string) error {
	// No path of this machine and nothing of the work tree's state: whoever builds
	// the same source gets the same bytes. The ID of the build would depend on the copies' paths.
	cmd := exec.Command("go", "-C", b.folder, "build", "-buildmode=c-shared", "-overlay", overlay, "-modfile", modfile,
		"-trimpath", "-buildvcs=false", "-tags", b.tags, "-o", output,
		"-ldflags", fmt.Sprintf("-s -w -buildid= -X main.version=%s -X main.revision=%s", b.version, b.revision), ".")
	cmd.Env = environment()
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// environment is that of Go's commands.
func environment() []string {
	// Without what GOFLAGS has for the machine's other builds: -race and -mod=vendor fail,
	// -gcflags changes the bytes. It can't be empty, for then go env's file counts. The collector
	// is the one that Go had up to 1.25: the new one is for heaps that aren't in the cache of the
	// processor, and 36 kB larger.
	return append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly",
		"GOWASM=", "GOEXPERIMENT=nogreenteagc")
}
