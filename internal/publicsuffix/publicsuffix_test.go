package publicsuffix

import (
	"strings"
	"testing"

	list "golang.org/x/net/publicsuffix"
)

func TestIs(t *testing.T) {
	for domain, want := range map[string]bool{
		"com":               true,
		"co.uk":             true,
		"github.io":         true,
		"unlisted":          true, // the implicit rule "*"
		"example.com":       false,
		"example.unlisted":  false,
		"anything.ck":       true,  // *.ck
		"www.ck":            false, // !www.ck
		"a.www.ck":          false,
		"kobe.jp":           false, // only what is below it
		"any.kobe.jp":       true,  // *.kobe.jp
		"city.kobe.jp":      false, // !city.kobe.jp
		"deep.any.kobe.jp":  false,
		"":                  true,
		"a.b.c.d.e.f.g.com": false,
	} {
		if got := Is(domain); got != want {
			t.Errorf("Is(%q) = %t, want %t", domain, got, want)
		}
	}
}

// TestAgreesWithList compares every rule, and domains around it, with the package
// that the table comes from; it fails when go.mod has moved on and the table hasn't.
func TestAgreesWithList(t *testing.T) {
	n := 0
	for line := range strings.SplitSeq(table, "\n") {
		words := strings.Fields(line)
		for _, rule := range words[1:] {
			domain := strings.NewReplacer("*", "any", "!", "").Replace(rule) + "." + words[0]
			_, parent, _ := strings.Cut(domain, ".")
			for _, d := range []string{domain, parent, "x." + domain, "x" + domain} {
				suffix, _ := list.PublicSuffix(d)
				if got, want := Is(d), suffix == d; got != want {
					t.Errorf("Is(%q) = %t, want %t", d, got, want)
				}
				n++
			}
		}
	}
	if n < 30_000 {
		t.Errorf("compared only %d domains: is the table whole?", n)
	}
}
