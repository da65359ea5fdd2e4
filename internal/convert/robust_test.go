package convert

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
)

// value is a value at the end of a line.
var value = regexp.MustCompile(`(?m)(?:^\s*(?:- )*[\w./-]+:|^\s*-) (\S.*)$`)

// TestAnything converts what isn't quite right: each input as every format, cut off at
// its lines, and with each value replaced by others.
func TestAnything(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(filepath.Join("testdata", "*", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		from := filepath.Base(filepath.Dir(path))
		t.Run(from+"/"+filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, other := range Formats() {
				convertAnything(t, other, string(text))
			}
			for i, variant := range variants(string(text)) {
				convertAnything(t, from, variant)
				if i%10 == 0 { // as it reads the text in every format
					recognizeAnything(t, variant)
				}
			}
		})
	}
}

// variants are texts that differ from one in a value, or in where they end.
func variants(text string) (list []string) {
	for i, at := range value.FindAllStringSubmatchIndex(text, -1) {
		if i%3 == 0 {
			list = append(list, text[:at[1]])
		}
		for _, other := range []string{"7", "null", `"*"`, "[]", `[[{}], "*", null]`} {
			list = append(list, text[:at[2]]+other+text[at[3]:])
		}
	}
	return list
}

func convertAnything(t *testing.T, from, text string) {
	t.Helper()
	file, failed := document.Parse("anything.yaml", text)
	if failed != nil {
		return
	}
	result, err := Convert(from, file)
	if err != nil {
		t.Fatal(err)
	}
	if checkResult(t, result); t.Failed() {
		t.Fatalf("from %s:\n%s", from, text)
	}
}

func recognizeAnything(t *testing.T, text string) {
	t.Helper()
	file, failed := document.Parse("anything.yaml", text)
	if failed != nil {
		return
	}
	if recognized, _, err := Recognize(file); (recognized == "") != (err != nil) {
		t.Fatalf("it is recognized as %q, %v:\n%s", recognized, err, text)
	}
}
