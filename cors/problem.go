package cors

import "strconv"

// A Problem is one thing wrong, or doubtful, in what an operator wrote.
type Problem struct {
	// Rule is the index of the rule it is in; 0 for a policy on its own.
	Rule int
	// Field is the configuration's name of the field, such as "allow_origins" or
	// "match.hosts"; empty for the policy as a whole.
	Field string
	// Index is the element of the field's list, or -1 for the field as a whole.
	Index int
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

// quote quotes a value for a message: on one line, printable, and not too long.
func quote(s string) string {
	const limit = 120
	if len(s) > limit {
		return strconv.Quote(s[:limit]) + "…"
	}
	return strconv.Quote(s)
}
