package problem

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Cut returns what of a value a message has room for: all, or the characters in its first
// limit bytes, and the ellipsis to write after them.
func Cut(s string, limit int) (part, more string) {
	if len(s) <= limit {
		return s, ""
	}
	end := limit
	for end > 0 && end > limit-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end-- // a character isn't cut
	}
	return s[:end], "…"
}

// Printable is a text with another character in place of those that might control a
// terminal, or begin a line.
func Printable(s string, other rune) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return other
	}, s)
}
