package document

import (
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// TestPlacesAreLinear: to find the places of twice as many findings takes twice as many
// steps, also where all of them are in one line.
func TestPlacesAreLinear(t *testing.T) {
	const entry = `"https://ä.example/", `
	for _, name := range []string{"a.json", "a.yaml"} {
		steps := func(n int) int {
			file, failed := Parse(name, `{"allow_origins": [`+strings.TrimSuffix(strings.Repeat(entry, n), ", ")+
				"]}\n \n")
			if failed != nil {
				t.Fatal(failed)
			}
			for _, e := range file.Documents[0].Get("allow_origins").Elements {
				f := file.Finding(e.Offset, problem.Problem{})
				line, at := f.Text()
				if f.Line != 1 || at != e.Offset || !strings.HasPrefix(line[at:], entry[:1]) ||
					strings.HasSuffix(line, "\n") {
					t.Fatalf("%s: line %d, at %d of %.20q", name, f.Line, at, line)
				}
			}
			return file.steps
		}
		once, twice := steps(5_000), steps(10_000)
		if once == 0 || twice > 2*once+once/10 {
			t.Errorf("%s: %d steps for 5,000 findings, and %d for 10,000", name, once, twice)
		}
	}
}

// TestLine: the line of a finding, and of one behind the end of the text.
func TestLine(t *testing.T) {
	for _, test := range []struct {
		text string
		at   int
		line string
		want int
	}{
		{"a\nbc\nd", 3, "bc", 1},
		{"a\r\nbc\r\nd", 3, "bc", 0},
		{"a\nbc", 4, "bc", 2},
		{"a\nbc \n\n", 7, "bc ", 2},
		{"", 0, "", 0},
		{" \n", 2, " ", 0},
	} {
		file := &File{Text: test.text}
		file.index()
		line, at := file.Finding(test.at, problem.Problem{}).Text()
		if line != test.line || at != test.want {
			t.Errorf("%q at %d: got %q at %d, want %q at %d", test.text, test.at, line, at, test.line, test.want)
		}
	}
}
