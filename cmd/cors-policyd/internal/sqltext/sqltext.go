// Package sqltext finds the named parameters of a query, such as :origin, and writes them
// as a database's driver has them. Values are bound to them, and never become part of the
// text.
package sqltext

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Query is a query that was taken apart at its parameters.
type Query struct {
	// parts are the texts around the parameters: one more than names.
	parts, names []string
}

// token matches what has no parameters in it: strings, names in quotes, comments, PostgreSQL's
// strings between dollars and its casts; or a parameter, whose name is the one group.
var token = regexp.MustCompile(`(?is)\bE'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|` + "`[^`]*`" +
	`|--[^\n]*|/\*.*?\*/|\$(?:[a-z_][a-z0-9_]*)?\$|::|:=|:([a-z_][a-z0-9_]*)`)

// Parse takes a query apart.
func Parse(text string) *Query {
	q := &Query{}
	from, part := 0, 0
	for {
		m := token.FindStringSubmatchIndex(text[from:])
		if m == nil {
			q.parts = append(q.parts, text[part:])
			return q
		}
		start, end := from+m[0], from+m[1]
		if m[2] >= 0 {
			q.parts = append(q.parts, text[part:start])
			q.names = append(q.names, strings.ToLower(text[from+m[2]:from+m[3]]))
			part = end
		} else if word := text[start:end]; word[0] == '$' {
			if length := strings.Index(text[end:], word); length >= 0 {
				end += length + len(word)
			}
		}
		from = end
	}
}

// Names are the parameters' names, each once, in the order of their first use.
func (q *Query) Names() []string {
	var names []string
	for _, name := range q.names {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Numbered is the query with $1, $2 and so on (PostgreSQL and SQLite) for the parameters of
// [Query.Names]. A prefix of "?" writes ?1.
func (q *Query) Numbered(prefix string) (text string, names []string) {
	names = q.Names()
	return q.join(func(name string) string { return prefix + strconv.Itoa(slices.Index(names, name)+1) }), names
}

// Positional is the query with a question mark for each use of a parameter (MySQL), and
// which it is.
func (q *Query) Positional() (text string, names []string) {
	return q.join(func(string) string { return "?" }), q.names
}

func (q *Query) join(parameter func(name string) string) string {
	var b strings.Builder
	for i, part := range q.parts {
		b.WriteString(part)
		if i < len(q.names) {
			b.WriteString(parameter(q.names[i]))
		}
	}
	return b.String()
}
