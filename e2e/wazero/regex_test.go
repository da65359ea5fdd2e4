package wazero_test

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/wasmhost"
)

// TestUnicodeClasses: the module has of Unicode's classes only ASCII, and says of every regex
// with one what the reader says that has all.
func TestUnicodeClasses(t *testing.T) {
	names := slices.Sorted(maps.Keys(unicode.Categories))
	names = slices.AppendSeq(names, maps.Keys(unicode.CategoryAliases))
	names = slices.AppendSeq(names, maps.Keys(unicode.Scripts))
	names = append(names, "Any", "ASCII", "Assigned", "greek", "Klingon", "")
	vm := newVM(t)
	for _, name := range names {
		for _, expr := range []string{
			`https://\p{` + name + `}+\.example\.com`, `https://\P{` + name + `}\.example\.com`,
			`(?i)https://[^\p{` + name + `}]\x{17f}\x{212a}\.example\.com`,
		} {
			doc := `{"allow_origins": [{"regex": ` + strconv.Quote(expr) + `}]}`
			_, problems := config.Parse(doc)
			before := len(vm.Logs())
			root, err := vm.NewRoot(doc)
			if err != nil && !errors.Is(err, wasmhost.ErrRefused) {
				t.Fatal(err)
			}
			said := strings.Join(vm.Logs()[before:], "\n")
			refused := false
			for _, p := range problems {
				refused = refused || !p.Warning
				if !strings.Contains(said, p.What) || !strings.Contains(said, p.Instead) {
					t.Errorf("%s: the module doesn't say %q: %s", expr, p.What+"; "+p.Instead, said)
				}
			}
			if (err != nil) != refused || len(problems) == 0 && strings.Contains(said, "allow_origins") {
				t.Errorf("%s: error %v, want %v; said %s", expr, err, problems, said)
			}
			if err := root.Delete(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
