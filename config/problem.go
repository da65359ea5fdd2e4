package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Problem is one thing wrong, or doubtful, in a document.
type Problem struct {
	// Offset is where it is, in bytes from the document's beginning.
	Offset int
	// Line and Column are where it is, counted from 1; columns count characters.
	Line, Column int
	// Path is the field it is about, such as "policies[2].allow_origins[1]";
	// "configuration" for the document as a whole.
	Path string
	// What is wrong.
	What string
	// Instead is what to write instead; it may be empty.
	Instead string
	// Warning marks what is accepted but probably not meant.
	Warning bool
}

// String is the problem in one line: "line:column path: what; instead".
func (p Problem) String() string {
	s := strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column) + " " + p.Path + ": " + p.What
	if p.Instead != "" {
		s += "; " + p.Instead
	}
	return s
}

// Errors returns the problems that are more than warnings.
func Errors(problems []Problem) []Problem {
	return slices.DeleteFunc(slices.Clone(problems), func(p Problem) bool { return p.Warning })
}

// problems collects what is wrong with a document, by offset.
type problems struct {
	doc    string
	found  []Problem
	errors bool
}

func (ps *problems) add(offset int, p Problem) {
	if p.Path == "" {
		p.Path = "configuration"
	}
	ps.errors = ps.errors || !p.Warning
	p.Offset = offset
	ps.found = append(ps.found, p)
}

func (ps *problems) fail(offset int, path, what, instead string) {
	ps.add(offset, Problem{Path: path, What: what, Instead: instead})
}

// sorted returns the problems in the order of the document, each once: what is
// wrong with a default is found again in every policy that inherits it.
func (ps *problems) sorted() []Problem {
	slices.SortStableFunc(ps.found, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), strings.Compare(a.Path, b.Path), strings.Compare(a.What, b.What))
	})
	sorted := slices.Compact(ps.found)
	line, column, at := 1, 1, 0 // of what comes next
	for i := range sorted {
		p := &sorted[i]
		for ; at < p.Offset; at++ {
			switch c := ps.doc[at]; {
			case c == '\n':
				line, column = line+1, 1
			case utf8.RuneStart(c):
				column++
			}
		}
		p.Line, p.Column = line, column
	}
	return sorted
}
