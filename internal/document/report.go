package document

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// Finding is something wrong with the value; its place is called by a path.
func (n *Node) Finding(kind problem.Kind, path, what, instead string) *Finding {
	return n.file.Finding(n.Offset, problem.New(kind, path, what, instead))
}

// Warning is something doubtful about the value.
func (n *Node) Warning(kind problem.Kind, path, what, instead string) *Finding {
	f := n.Finding(kind, path, what, instead)
	f.Warning = true
	return f
}

// Sort sorts findings by their files and places.
func Sort(findings []*Finding) {
	slices.SortStableFunc(findings, func(a, b *Finding) int {
		return cmp.Or(strings.Compare(a.File.Name, b.File.Name), cmp.Compare(a.Offset, b.Offset))
	})
}

// Unreadable is the finding that a file can't be read.
func Unreadable(name string, err error) *Finding {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	file, _ := Parse(name, "")
	return file.Finding(0, problem.New(problem.Unreadable, "configuration", "the file can't be read: "+err.Error(), ""))
}

// A FindingJSON is a finding for programs.
type FindingJSON struct {
	File string `json:"file"`
	Position
	Path     string `json:"path"`
	Severity string `json:"severity"`
	What     string `json:"what"`
	Instead  string `json:"instead,omitempty"`
}

// JSON are findings for programs: a list, even if there are none.
func JSON(findings []*Finding) []FindingJSON {
	list := []FindingJSON{}
	for _, f := range findings {
		severity := "error"
		if f.Warning {
			severity = "warning"
		}
		list = append(list, FindingJSON{f.File.Name, Position{f.Line, f.Column}, f.Path(), severity, f.What, f.Instead})
	}
	return list
}
