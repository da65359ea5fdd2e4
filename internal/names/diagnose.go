package names

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/origin"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// What is wrong with an entry of a list of names that isn't a token, and what to write
// instead.

func diagnoseMethod(name string) (kind problem.Kind, what, instead string) {
	isMethod := func(s string) bool { return strings.ToUpper(s) == s || normalizeMethod(s) != s }
	return diagnoseName(name, " is not a method", `write a method such as "PUT", or "*"`, isMethod, func(s string) bool {
		return !ForbiddenMethod(s)
	})
}

func diagnoseRequestHeader(name string) (kind problem.Kind, what, instead string) {
	return diagnoseName(name, " is not a header name", `write a name such as "Content-Type", or "*"`, isHeader, func(s string) bool {
		s = strings.ToLower(s)
		return !corsResponseHeader(s) && !forbiddenRequestHeader(s)
	})
}

func diagnoseExposedHeader(name string, credentials bool) (kind problem.Kind, what, instead string) {
	otherwise := `write a name such as "X-Request-Id"`
	if !credentials {
		otherwise += `, or "*"`
	}
	return diagnoseName(name, " is not a header name", otherwise, isHeader, func(s string) bool {
		return !forbiddenResponseHeader(strings.ToLower(s)) && s != "*" // which credentials forbid, perhaps those of an heir
	})
}

// isHeader reports whether a word looks like the name of a header.
func isHeader(s string) bool {
	return strings.Contains(s, "-") || strings.EqualFold(s, "Authorization") || s == "*"
}

// diagnoseName says what is wrong with what isn't a name. Each name that it tells people
// to write is allowed. Words between spaces are a list only if each looks like a name.
func diagnoseName(s, not, otherwise string, like, allowed func(name string) bool) (kind problem.Kind, what, instead string) {
	if len(s) > origin.MaxMended {
		return problem.InvalidName, problem.Quote(s) + not, otherwise
	}
	if _, ok := origin.Variable(s); ok {
		return problem.Placeholder, problem.Quote(s) + " has a variable, and nothing here fills it in", "write the names themselves"
	}
	inner := strings.Trim(s, "[]")
	comma := strings.ContainsAny(inner, ",;")
	names := strings.FieldsFunc(inner, func(r rune) bool { return r == ',' || r == ';' || !comma && unicode.IsSpace(r) })
	if header, _, found := strings.Cut(strings.TrimSpace(inner), ":"); found { // with its value, or an empty one
		names = []string{strings.TrimSpace(header)}
	}
	var list []string
	for _, name := range names {
		name = strings.Trim(strings.TrimSpace(name), "\"'`")
		if !comma && len(names) > 1 && !like(name) {
			names, list = nil, nil
			break
		}
		if !Valid(name) || !allowed(name) {
			list = nil
			break
		}
		if quoted := strconv.Quote(name); !slices.Contains(list, quoted) {
			list = append(list, quoted)
		}
	}
	what = problem.Quote(s) + not
	if len(names) > 1 {
		what = problem.Quote(s) + " is a list in one string"
		otherwise = "write each as a string of its own"
	}
	if instead = "write " + strings.Join(list, ", "); list == nil || len(instead) > origin.MaxInstead {
		instead = otherwise
	}
	return problem.InvalidName, what, instead
}
