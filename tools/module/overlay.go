package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A cut is something that the module does without.
type cut struct {
	// unless are what the names of functions begin with: a module that has one of these
	// functions needs what would be missing.
	unless []string
	edits  []edit
}

// checkNeeded looks for functions in the linker's output that need what was cut. Their names are
// there for Go's own use, in a table in which each ends with a zero byte.
func checkNeeded(module []byte, cuts []cut) error {
	for _, c := range cuts {
		for _, name := range c.unless {
			if bytes.Contains(module, []byte("\x00"+name)) {
				return fmt.Errorf("the module has a function %s…, which needs what is cut out of the source "+
					"because nothing did; take that cut out of tools/module", name)
			}
		}
	}
	return nil
}

// An edit replaces a text in a file of Go's own source, or of a package, for this build alone. The text must be
// there as often as is known, which is once if times is 0: a version that has it otherwise
// needs a look before it may build the module, because what an edit was for, or what it relied
// on, may have moved. Where the old text is empty, the file is a new one.
type edit struct {
	file     string // below the folder of the source
	old, new string
	times    int
}

// apply returns the source with the edit.
func (e edit) apply(source string) (string, error) {
	if e.old == "" {
		if source != "" {
			return "", fmt.Errorf("%s is there; read what this version has in it, and mend tools/module", e.file)
		}
		return e.new, nil
	}
	if n, known := strings.Count(source, e.old), max(1, e.times); n != known {
		begin, _, _ := strings.Cut(strings.TrimSpace(e.old), "\n")
		return "", fmt.Errorf("%s has %d times what begins with %q, and is known to have it %d times; "+
			"read what this version does there, and mend tools/module", e.file, n, begin, known)
	}
	return strings.ReplaceAll(source, e.old, e.new), nil
}

// apply makes the edits of all cuts in files below a folder, and returns these by their names.
func apply(folder string, cuts []cut) (map[string]string, error) {
	sources := map[string]string{}
	for _, c := range cuts {
		for _, e := range c.edits {
			if sources[e.file] == "" {
				text, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(e.file)))
				if err != nil && (e.old != "" || !errors.Is(err, fs.ErrNotExist)) {
					return nil, err
				}
				sources[e.file] = string(text)
			}
			var err error
			if sources[e.file], err = e.apply(sources[e.file]); err != nil {
				return nil, err
			}
		}
	}
	return sources, nil
}

// writeOverlay writes the file for go build's flag -overlay into dir, and what it
// refers to: Go's source without what is cut. It replaces further files, if there are any, and
// returns the file's path.
func writeOverlay(folder, dir string, cuts []cut, further map[string]string) (string, error) {
	// Asked for in the module's folder, whose go.mod chooses the toolchain.
	said, err := goSays("-C", folder, "env", "GOVERSION", "GOROOT")
	if err != nil {
		return "", err
	}
	version, goroot, _ := strings.Cut(said, "\n")
	src := filepath.Join(strings.TrimSpace(goroot), "src")
	sources, err := apply(src, cuts)
	if err != nil {
		return "", fmt.Errorf("%s: %w", version, err)
	}
	replace := map[string]string{}
	maps.Copy(replace, further)
	for file, text := range sources {
		replacement := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(replacement, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(src, filepath.FromSlash(file))] = replacement
	}
	table, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, table, 0o600)
}

// goSays returns what a command of Go's prints, without the white space around it.
func goSays(args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Env, cmd.Stderr = environment(), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", cmd, err)
	}
	return strings.TrimSpace(string(out)), nil
}
