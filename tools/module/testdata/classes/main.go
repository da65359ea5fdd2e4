// Command classes prints what regexes with Unicode's classes, and with letters of both cases,
// match of ASCII, or why they are refused.
package main

import (
	"fmt"
	"maps"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
)

func main() {
	names := []string{"", "^", "Any", "any", "ASCII", "Assigned", "LC", "lc", "nope", "Latin;Greek", ";", "Old Italic", "é"}
	names = slices.AppendSeq(names, maps.Keys(unicode.Categories))
	names = slices.AppendSeq(names, maps.Keys(unicode.Scripts))
	names = slices.AppendSeq(names, maps.Keys(unicode.CategoryAliases))
	for _, name := range slices.Sorted(slices.Values(names)) {
		for _, class := range []string{`\p{%}`, `\P{%}`, `\p{^%}`, `[^\p{%}]`, `[a\P{%}]`, `x\p{%}+[[:^alpha:]]`} {
			for _, written := range []string{name, strings.ToUpper(name), strings.ReplaceAll(strings.ToLower(name), "_", "-")} {
				try(strings.Replace(class, "%", written, 1))
			}
		}
	}
	letters := []string{"ſ", "\u212a", "K", "é", "É", "ß", "ẞ", "Α", "α", "ǅ", `\x{1e943}`, `\pL`, `\pN`, `\pq`}
	for c := ' '; c <= '~'; c++ {
		letters = append(letters, `\x{`+fmt.Sprintf("%x", c)+"}")
	}
	for _, a := range letters {
		try(a)
		for _, b := range letters {
			for _, around := range []string{"[ab]", "[^ab]", "[a-b]", "a|b", "ab|ac", "[aa]b"} {
				try(strings.NewReplacer("a", a, "b", b).Replace(around))
			}
		}
	}
}

// try prints what a regex matches, and the same one where case is ignored.
func try(expr string) {
	for _, expr := range []string{expr, "(?i)" + expr} {
		fmt.Printf("%q: %s\n", expr, matches(expr))
	}
}

// matches is what the instructions of a regex match of ASCII, each set once.
func matches(expr string) string {
	parsed, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return err.Error()
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return err.Error()
	}
	var sets []string
	for _, instruction := range program.Inst {
		switch instruction.Op {
		case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			var set []byte
			for c := range byte(0x80) {
				if instruction.MatchRune(rune(c)) {
					set = append(set, c)
				}
			}
			if len(set) > 0 {
				sets = append(sets, fmt.Sprintf("%q", set))
			}
		}
	}
	slices.Sort(sets)
	return strings.Join(slices.Compact(sets), " ")
}
