package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// wallClock are what takes from a time what only grows, or asks for the time of day: what is measured by it is wrong
// when the clock is set.
var wallClock = []string{
	"Unix", "UnixMilli", "UnixMicro", "UnixNano", "UTC", "Local", "In", "Truncate", "Format", "AppendFormat", "Date", "Clock",
	"SetToCurrentTime", "ModTime", "NotAfter", "NotBefore", "Equal", "Round", "AddDate",
	"time.Parse", "time.ParseInLocation",
}

// knownUses are those that have to be by the time of day, or aren't of times.
var knownUses = map[string][]string{
	"internal/daemon/daemon.go":         {"SetToCurrentTime", "Round"}, // metrics are; of how long something took
	"internal/logging/logging.go":       {"Format"},                    // the log is
	"internal/database/certificates.go": {"NotAfter"},                  // certificates are
	"internal/server/files.go":          {"NotAfter"},
	"internal/server/metrics.go":        {"Unix"},
}

// TestClock: nothing is measured by a clock that can be set. Each use of the time of day in the code is known. It is a
// guard that costs nothing; where clocks jump is TestClockJumps of e2e/database.
func TestClock(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		timed := slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"time"` })
		found := map[string]bool{}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				names := []string{s.Sel.Name}
				if of, ok := s.X.(*ast.Ident); ok && of.Name == "time" {
					names = append(names, "time."+s.Sel.Name)
				}
				for _, name := range names {
					if slices.Contains(wallClock, name) {
						found[name] = true
					}
				}
			}
			return true
		})
		for name := range found {
			if (timed || name == "SetToCurrentTime") && !slices.Contains(knownUses[filepath.ToSlash(path)], name) {
				t.Errorf("%s uses %s", path, name)
			}
		}
		for _, name := range knownUses[filepath.ToSlash(path)] {
			if !found[name] {
				t.Errorf("%s doesn't use %s", path, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
