package config

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// checkEncoding says what is wrong with a document that isn't UTF-8 from its first
// characters on, as editors of Windows write it, and what to do about it; what is empty
// if nothing is. RFC 8259, section 8.1, has JSON in UTF-8 without a byte order mark.
func checkEncoding(doc string) (what, instead string) {
	const saveAsUTF8 = "save the file as UTF-8, without a byte order mark"
	switch {
	case strings.HasPrefix(doc, "\xef\xbb\xbf"):
		return "begins with a byte order mark", saveAsUTF8
	case strings.HasPrefix(doc, "\xff\xfe") || strings.HasPrefix(doc, "\xfe\xff"):
		return "is encoded in UTF-16", saveAsUTF8
	case len(doc) >= 2 && (doc[0] == 0) != (doc[1] == 0) && len(doc)%2 == 0:
		return "is encoded in UTF-16", saveAsUTF8
	case strings.HasPrefix(doc, "\x1f\x8b"):
		return "is compressed by gzip", "unpack it"
	}
	return "", ""
}

// nullWords are those that other formats have for null.
var nullWords = []string{"None", "nil", "NULL", "Null", "undefined"}

// asValue returns a word that stands without quotes as JSON.
func asValue(word string) string {
	if value := wordOfBool(word); value != "" {
		return value
	}
	if slices.Contains(nullWords, word) {
		return "null"
	}
	return problem.InQuotes(word)
}

// bareword is the word at the beginning of s that stands without quotes where a value
// should, such as https://app.example or *; "" if none does, or one that is too long.
func bareword(s string) string {
	const most = 300
	end := strings.IndexAny(s, ",]}[{\"'\\\n\r\t ")
	if end < 0 {
		end = len(s)
	}
	word := s[:end]
	if word == "" || len(word) > most || !utf8.ValidString(word) ||
		strings.ContainsFunc(word, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return ""
	}
	return word
}
