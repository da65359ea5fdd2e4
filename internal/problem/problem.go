// Package problem has what is said about a configuration that isn't right: one value,
// for people who read it and code that asks what kind it is.
package problem

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Problem is one thing wrong, or doubtful, in what an operator wrote.
type Problem struct {
	// Kind says what is wrong, for code.
	Kind Kind
	// Warning marks what is accepted but probably not meant.
	Warning bool
	// Rule is the index of the rule it is in; 0 for a policy on its own.
	Rule int
	// Field is the field it is about, such as "policies[2].allow_origins"; in a policy on its
	// own only the field's name, such as "match.hosts". "configuration" is a document as a
	// whole, and "" a policy.
	Field string
	// Index is the element of the field's list, or -1 for the field as a whole.
	Index int
	// Offset is where it is, in bytes, as far as that is known.
	Offset int
	// Line and Column are where it is in a document, counted from 1; columns count
	// characters. They are 0 where there is no document.
	Line, Column int
	// What is wrong, in words that follow "<where>: ".
	What string
	// Instead is what to do about it, as an imperative; empty if What says it. What it says
	// to write is what is accepted.
	Instead string
	// MoreErrors and MoreWarnings are how many further problems there are that aren't
	// described: only a problem of the kind [More] has them.
	MoreErrors, MoreWarnings int
}

// New is an error about a field as a whole.
func New(kind Kind, field, what, instead string) Problem {
	return Problem{Kind: kind, Field: field, Index: -1, What: what, Instead: instead}
}

// Path is the problem's place in the configuration, such as "allow_origins[1]".
func (p Problem) Path() string {
	if p.Index < 0 {
		return p.Field
	}
	return p.Field + "[" + strconv.Itoa(p.Index) + "]"
}

// Message is the problem in one line, without its line and column: "path: what; instead".
func (p Problem) Message() string {
	s := p.What
	if p.Instead != "" {
		s += "; " + p.Instead
	}
	if p.Field == "" {
		return s
	}
	return p.Path() + ": " + s
}

// Error is the problem in one line: "line:column path: what; instead".
func (p Problem) Error() string {
	if p.Line == 0 {
		return p.Message()
	}
	return strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column) + " " + p.Message()
}

// Suggestion is what Instead says to write; ok is false if it says to do something else.
func (p Problem) Suggestion() (text string, ok bool) { return strings.CutPrefix(p.Instead, "write ") }

// A Reporter takes the problems of what is compiled, as they are found. It may bound
// how many of them are described: what an operator or a source hands over can have as
// many as it has bytes.
type Reporter interface {
	// Wants reports whether the next problem, a warning or an error, is to be described
	// and handed to Report. If not, the Reporter has counted it.
	Wants(warning bool) bool
	// Report takes a problem that is wanted.
	Report(Problem)
}

// Max is how many errors, and how many warnings, are described. Further ones
// are only counted.
const Max = 100

// A Limit says how many problems were found, and which of them are described.
type Limit struct {
	// Errors and Warnings are how many there are.
	Errors, Warnings int
}

// Wants implements [Reporter]. It isn't inlined: the copies would add 1 kB to the module.
//
//go:noinline
func (l *Limit) Wants(warning bool) bool {
	n := &l.Errors
	if warning {
		n = &l.Warnings
	}
	*n++
	return *n <= Max
}

// A List is the Reporter of those who want a list.
type List struct {
	Limit
	problems []Problem
}

// Report implements [Reporter].
func (l *List) Report(p Problem) { l.problems = append(l.problems, p) }

// All are the problems; the last one says how many others there are.
func (l *List) All() []Problem {
	if more := l.Errors + l.Warnings - len(l.problems); more > 0 {
		return append(l.problems, Others(more, l.Errors == 0))
	}
	return l.problems
}

// Others stands for so many problems that aren't described.
func Others(n int, warning bool) Problem {
	p := New(More, "", "and "+strconv.Itoa(n)+" more problem", "")
	if p.Warning = warning; n > 1 {
		p.What += "s"
	}
	return p
}

// Quote quotes a value for a message: on one line, printable, and not too long.
func Quote(s string) string {
	part, more := Cut(s, 120)
	return strconv.Quote(part) + more
}

// InQuotes is a value in quotes, all of it, as a message says to write it: a string of JSON
// (RFC 8259, section 7) that can be read, so that what isn't printable is escaped.
func InQuotes(s string) string {
	quoted := []byte{'"'}
	for _, r := range s {
		switch {
		case r <= 0xffff && !strconv.IsPrint(r):
			quoted = append(quoted, `\u`+strconv.FormatInt(int64(0x10000+r), 16)[1:]...)
			continue
		case r == '"' || r == '\\':
			quoted = append(quoted, '\\')
		}
		quoted = utf8.AppendRune(quoted, r)
	}
	return string(append(quoted, '"'))
}

// incomparable is a field of structs that nothing compares: the module is then without the
// function that would, which can be a kilobyte.
type incomparable [0]func()
