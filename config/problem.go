package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
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
	// MoreErrors and MoreWarnings are how many further problems there are, which aren't
	// described: only the last problem tells.
	MoreErrors, MoreWarnings int
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

// A path is a place in a document, put into words only for a problem. The zero value
// is the document itself.
type path struct {
	base   string // such as "defaults"
	policy int    // the index in policies plus one, or zero
	field1 string
	field2 string // such as "paths" in match
	index  int    // of an element of the field plus one, or zero
	field3 string // of the element
}

// policyPath is the path of a policy by its index in policies, or of a document that is
// one policy.
func policyPath(index int) path { return path{policy: index + 1} }

// field is the path of a field of an object.
func (p path) field(name string) path {
	switch {
	case p.index > 0:
		p.field3 = name
	case p.field1 != "":
		p.field2 = name
	default:
		p.field1 = name
	}
	return p
}

// element is the path of an element of a list.
func (p path) element(index int) path {
	p.index = index + 1
	return p
}

// last is the name of the last field.
func (p path) last() string { return cmp.Or(p.field3, p.field2, p.field1, p.base) }

// String is the path as in "policies[2].allow_origins[1]".
func (p path) String() string {
	s := p.base
	if p.policy > 0 {
		s = "policies[" + strconv.Itoa(p.policy-1) + "]"
	}
	for _, field := range [...]string{p.field1, p.field2} {
		if field != "" {
			s += "." + field
		}
	}
	if p.index > 0 {
		s += "[" + strconv.Itoa(p.index-1) + "]"
	}
	if p.field3 != "" {
		s += "." + p.field3
	}
	return strings.TrimPrefix(s, ".")
}

// problems collects what is wrong with a document, by offset.
type problems struct {
	cors.Limit
	doc   string
	found []Problem
	muted bool // what comes has been said
}

// Wants implements [cors.Reporter].
func (ps *problems) Wants(warning bool) bool { return !ps.muted && ps.Limit.Wants(warning) }

// report adds a problem that is wanted.
func (ps *problems) report(offset int, where path, what, instead string, warning bool) {
	p := Problem{Offset: offset, Path: where.String(), What: what, Instead: instead, Warning: warning}
	if p.Path == "" {
		p.Path = "configuration"
	}
	ps.found = append(ps.found, p)
}

// fail adds an error.
func (ps *problems) fail(offset int, where path, what, instead string) {
	if ps.Wants(false) {
		ps.report(offset, where, what, instead, false)
	}
}

// sorted returns the problems in the order of the document, errors before warnings if
// there are too many, and at the end how many others there are.
func (ps *problems) sorted() []Problem {
	byOffset := func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), strings.Compare(a.Path, b.Path), strings.Compare(a.What, b.What))
	}
	list := ps.found
	if len(list) > cors.MaxProblems {
		slices.SortStableFunc(list, func(a, b Problem) int {
			if a.Warning != b.Warning {
				if a.Warning {
					return 1
				}
				return -1
			}
			return byOffset(a, b)
		})
		list = list[:cors.MaxProblems]
	}
	slices.SortStableFunc(list, byOffset)
	ps.locate(list)
	if more := ps.Errors + ps.Warnings - len(list); more > 0 {
		last := list[len(list)-1]
		errors := len(Errors(list))
		list = append(list, Problem{
			Offset: last.Offset, Line: last.Line, Column: last.Column, Path: "configuration", What: problem.More(more), Warning: ps.Errors == 0,
			MoreErrors: ps.Errors - errors, MoreWarnings: ps.Warnings - (len(list) - errors),
		})
	}
	return list
}

// locate finds the lines and columns of problems that are in the document's order.
func (ps *problems) locate(list []Problem) {
	line, column, at := 1, 1, 0 // of what comes next
	for i := range list {
		p := &list[i]
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
}
