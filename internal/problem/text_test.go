package problem_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// TestCutCharacters: no character is cut, of however many bytes, and nothing that fits.
func TestCutCharacters(t *testing.T) {
	for _, character := range []string{"a", "ä", "€", "😀"} {
		s := strings.Repeat(character, 10)
		for limit := range len(s) + 2 {
			part, more := problem.Cut(s, limit)
			missing := part != s && len(part) <= limit-len(character)
			if !utf8.ValidString(part) || !strings.HasPrefix(s, part) || len(part) > limit || missing {
				t.Errorf("%s cut at %d is %q", s, limit, part)
			}
			if (part == s) != (more == "") {
				t.Errorf("%s cut at %d is %q and %q", s, limit, part, more)
			}
		}
	}
	// What is no text at all is cut, too.
	if part, more := problem.Cut(strings.Repeat("\x80", 300), 100); len(part) > 100 || len(part) < 96 || more != "…" {
		t.Errorf("%d bytes, %q", len(part), more)
	}
}

func TestPrintable(t *testing.T) {
	if got, want := problem.Printable("a\x1b[1m\n\xffä\u202e", '\uFFFD'), "a\uFFFD[1m\uFFFD\uFFFDä\uFFFD"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
	if got, want := problem.Printable("a\r\nä", ' '), "a  ä"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}

// TestInQuotes: what a message says to write is JSON, whatever is in it.
func TestInQuotes(t *testing.T) {
	for value, want := range map[string]string{
		"":             `""`,
		`a"\b`:         `"a\"\\b"`,
		"ä😀":           `"ä😀"`,
		"\a\n\v\x7f":   `"\u0007\u000a\u000b\u007f"`,
		"\u202e":       `"\u202e"`,
		"\U000e0001":   "\"\U000e0001\"", // more than one escape, and none that JSON asks for
		"no text \xff": "\"no text \ufffd\"",
	} {
		got := problem.InQuotes(value)
		var read string
		if err := json.Unmarshal([]byte(got), &read); err != nil || read != strings.ToValidUTF8(value, "\ufffd") {
			t.Errorf("%q is %s, which reads %q: %v", value, got, read, err)
		}
		if got != want {
			t.Errorf("%q is %s, want %s", value, got, want)
		}
	}
}
