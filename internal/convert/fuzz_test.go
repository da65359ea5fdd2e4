package convert

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
)

// FuzzConvert: whatever the file, a conversion ends, and what comes of it is a
// configuration that the filter takes.
func FuzzConvert(f *testing.F) {
	formats := Formats()
	for i, format := range formats {
		paths, err := filepath.Glob(filepath.Join("testdata", format, "*"))
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			if !strings.Contains(path, ".golden.") {
				f.Add(uint8(i), string(text))
			}
		}
	}
	f.Fuzz(func(t *testing.T, format uint8, text string) {
		file, failed := document.Parse("file", text)
		if failed != nil {
			return
		}
		if recognized, _, err := Recognize(file); (recognized == "") != (err != nil) {
			t.Fatalf("it is recognized as %q, %v", recognized, err)
		}
		result, err := Convert(formats[int(format)%len(formats)], file)
		if err != nil {
			t.Fatal(err)
		}
		checkResult(t, result)
	})
}
