package config

import (
	"cmp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// A Problem is one thing wrong, or doubtful, in a document.
type Problem = problem.Problem

// Errors returns the problems that are more than warnings.
func Errors(problems []Problem) []Problem {
	list := make([]Problem, 0, len(problems))
	for i := range problems {
		if !problems[i].Warning {
			list = append(list, problems[i])
		}
	}
	return list
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

// field is the path of a field of an object. It isn't inlined: the copies would add 5 kB
// to the module.
//
//go:noinline
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

// split is the path as a field and an index of its list, or -1.
func (p *path) split() (field string, index int) {
	switch {
	case p.index > 0 && p.field3 == "":
		list := *p
		list.index = 0
		return list.String(), p.index - 1
	case p.policy > 0 && p.field1 == "":
		return topFields[fieldPolicies], p.policy - 1
	}
	return cmp.Or(p.String(), "configuration"), -1
}

// problems collects what is wrong with a document, by offset.
type problems struct {
	problem.Limit
	doc   string
	found []Problem
	muted bool // what comes has been said
}

// Wants implements [problem.Reporter]. It isn't inlined: the copies would add 1 kB to the
// module.
//
//go:noinline
func (ps *problems) Wants(warning bool) bool { return !ps.muted && ps.Limit.Wants(warning) }

// total is how many problems there are.
func (ps *problems) total() int { return ps.Errors + ps.Warnings }

// describe adds a problem that is wanted. It isn't inlined: the copies would add 1 kB to
// the module.
//
//go:noinline
func (ps *problems) describe(p Problem, offset int, where path) {
	p.Rule, p.Offset = 0, offset
	p.Field, p.Index = where.split()
	ps.found = append(ps.found, p)
}

// report adds an error that is wanted. It isn't inlined: the copies would add 1 kB to the
// module.
//
//go:noinline
func (ps *problems) report(kind problem.Kind, offset int, where path, what, instead string) {
	ps.describe(Problem{Kind: kind, What: what, Instead: instead}, offset, where)
}

// fail adds an error.
func (ps *problems) fail(kind problem.Kind, offset int, where path, what, instead string) {
	if ps.Wants(false) {
		ps.report(kind, offset, where, what, instead)
	}
}

// sorted returns the problems in the order of the document, without the last warnings if
// there are too many, and at the end how many others there are.
func (ps *problems) sorted() []Problem {
	inOrder(ps.found)
	errors, warnings := min(ps.Errors, problem.Max), 0
	list := ps.found[:0]
	for i := range ps.found {
		if ps.found[i].Warning {
			if warnings++; warnings > problem.Max-errors {
				continue
			}
		}
		list = append(list, ps.found[i])
	}
	ps.locate(list)
	if more := ps.total() - len(list); more > 0 {
		last := list[len(list)-1]
		others := problem.Others(more, ps.Errors == 0)
		others.Field, others.Offset, others.Line, others.Column = "configuration", last.Offset, last.Line, last.Column
		others.MoreErrors, others.MoreWarnings = ps.Errors-errors, ps.Warnings-(len(list)-errors)
		list = append(list, others)
	}
	return list
}

// inOrder brings problems into the order of the document. They are no more than are described,
// and mostly are in order, and a sort of package slices would be 11 kB of the module.
func inOrder(list []Problem) {
	for i := range list {
		for j := i; j > 0 && comparePlaces(&list[j], &list[j-1]) < 0; j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
}

// comparePlaces compares where two problems are, and in one place their words.
func comparePlaces(a, b *Problem) int {
	return cmp.Or(a.Offset-b.Offset, strings.Compare(a.Field, b.Field), strings.Compare(a.What, b.What))
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
