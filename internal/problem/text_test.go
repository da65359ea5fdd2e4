package problem_test

import (
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
