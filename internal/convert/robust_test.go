package convert

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
)

// value is a value at the end of a line.
var value = regexp.MustCompile(`(?m)(?:^\s*(?:- )*[\w./-]+:|^\s*-) (\S.*)$`)

// others are what a value is replaced by.
var others = []string{"7", "null", `"*"`, "[]", `[[{}], "*", null]`}

// TestAnything converts what isn't quite right: each input as every format, cut off at
// its lines, and with each value replaced by another one. Of each field of a format some
// value is replaced by all others.
func TestAnything(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(filepath.Join("testdata", "*", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]int{} // how often there was a field of a format
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		from := filepath.Base(filepath.Dir(path))
		list := variants(string(text), func(field string) int {
			fields[from+" "+field]++
			return fields[from+" "+field]
		})
		t.Run(from+"/"+filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			convertAnything(t, string(text), Formats()...)
			for i, variant := range list {
				file := convertAnything(t, variant, from)
				if i%10 == 0 && file != nil { // as it reads the text in every format
					recognizeAnything(t, file)
				}
			}
		})
	}
}

// variants are texts that differ from one in a value, or in where they end. What counts
// tells how often there was a field.
func variants(text string, count func(field string) int) (list []string) {
	field := ""
	for i, at := range value.FindAllStringSubmatchIndex(text, -1) {
		if name := strings.TrimLeft(text[at[0]:at[2]], " -\n"); name != "" { // otherwise an element of a list
			field = name
		}
		if i%3 == 0 {
			list = append(list, text[:at[1]])
		}
		n := count(field)
		for j, other := range others {
			if n == 1 || j == (n+i)%len(others) {
				list = append(list, text[:at[2]]+other+text[at[3]:])
			}
		}
	}
	return list
}

// convertAnything converts a text as some formats; the file is nil if it can't be read.
func convertAnything(t *testing.T, text string, formats ...string) *document.File {
	t.Helper()
	file, failed := document.Parse("anything.yaml", text)
	if failed != nil {
		return nil
	}
	for _, from := range formats {
		result, err := Convert(from, file)
		if err != nil {
			t.Fatal(err)
		}
		if checkResult(t, result); t.Failed() {
			t.Fatalf("from %s:\n%s", from, text)
		}
	}
	return file
}

func recognizeAnything(t *testing.T, file *document.File) {
	t.Helper()
	if recognized, _, err := Recognize(file); (recognized == "") != (err != nil) {
		t.Fatalf("it is recognized as %q, %v:\n%s", recognized, err, file.Text)
	}
}
