// Package problem has what is said about a configuration that isn't right: one value,
// for people who read it and code that asks what kind it is.
package problem

import (
	"strconv"
)

// A Problem is one thing wrong, or doubtful, in what an operator wrote.
type Problem struct {
	// Rule is the index of the rule it is in; 0 for a policy on its own.
	Rule int
	// Field is the configuration's name of the field, such as "allow_origins" or
	// "match.hosts"; empty for the policy as a whole.
	Field string
	// Index is the element of the field's list, or -1 for the field as a whole.
	Index int
	// Offset is where the element stands, if who compiles it has said so.
	Offset int
	// What is wrong, in words that follow "<where>: ".
	What string
	// Instead is what to write instead, as an imperative; empty if What says it.
	Instead string
	// Warning marks what is accepted but probably not meant.
	Warning bool
}

// Path is the problem's place in the configuration, such as "allow_origins[1]".
func (p Problem) Path() string {
	if p.Index < 0 {
		return p.Field
	}
	return p.Field + "[" + strconv.Itoa(p.Index) + "]"
}

// Error is the problem in one line, without the rule.
func (p Problem) Error() string {
	s := p.What
	if p.Instead != "" {
		s += "; " + p.Instead
	}
	if p.Field == "" {
		return s
	}
	return p.Path() + ": " + s
}

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

// Wants implements [Reporter].
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
		return append(l.problems, Problem{Index: -1, What: More(more), Warning: l.Errors == 0})
	}
	return l.problems
}

// More says in words that so many problems are not described.
func More(n int) string {
	if n == 1 {
		return "and 1 more problem"
	}
	return "and " + strconv.Itoa(n) + " more problems"
}

// Quote quotes a value for a message: on one line, printable, and not too long.
func Quote(s string) string {
	part, more := Cut(s, 120)
	return strconv.Quote(part) + more
}
