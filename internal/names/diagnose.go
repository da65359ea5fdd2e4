package names

import (
	"slices"
	"strings"
	"unicode"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/origin"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// isMethod reports whether a word looks like a method.
func isMethod(s string) bool { return strings.ToUpper(s) == s || normalizeMethod(s) != s }

// isHeader reports whether a word looks like the name of a header.
func isHeader(s string) bool {
	return strings.Contains(s, "-") || strings.EqualFold(s, "Authorization") || s == "*"
}

// allows reports whether a name may be one of the list.
func (b *listBuilder) allows(name string) bool {
	if name == "*" && b.of == ExposedHeaders {
		return false // which credentials forbid, perhaps those of an heir
	}
	why, _ := b.of.refuse(fields[b.of].key(name))
	return Valid(name) && why == ""
}

// diagnose says what is wrong with what isn't a name, and what to write instead. Each name
// that it tells people to write is allowed. Words between spaces are a list only if each
// looks like a name.
func (b *listBuilder) diagnose(s string) (kind problem.Kind, what, instead string) {
	otherwise := "write " + fields[b.of].example
	if b.of != ExposedHeaders || !b.credentials {
		otherwise += `, or "*"`
	}
	what = problem.Quote(s) + fields[b.of].not
	if len(s) > origin.MaxMended {
		return problem.InvalidName, what, otherwise
	}
	if _, ok := origin.Variable(s); ok {
		what = problem.Quote(s) + " has a variable, and nothing here fills it in"
		return problem.Placeholder, what, "write the names themselves"
	}
	inner := strings.Trim(s, "[]")
	comma := strings.ContainsAny(inner, ",;")
	separates := func(r rune) bool { return r == ',' || r == ';' || !comma && unicode.IsSpace(r) }
	names := strings.FieldsFunc(inner, separates)
	if header, _, found := strings.Cut(strings.TrimSpace(inner), ":"); found { // with its value, or an empty one
		names = []string{strings.TrimSpace(header)}
	}
	var list []string
	for _, name := range names {
		name = strings.Trim(strings.TrimSpace(name), "\"'`")
		if !comma && len(names) > 1 && !fields[b.of].like(name) {
			names, list = nil, nil
			break
		}
		if !b.allows(name) {
			list = nil
			break
		}
		if quoted := problem.InQuotes(name); !slices.Contains(list, quoted) {
			list = append(list, quoted)
		}
	}
	if len(names) > 1 {
		what = problem.Quote(s) + " is a list in one string"
		otherwise = "write each as a string of its own"
	}
	if instead = "write " + strings.Join(list, ", "); list == nil || len(instead) > origin.MaxInstead {
		instead = otherwise
	}
	return problem.InvalidName, what, instead
}
