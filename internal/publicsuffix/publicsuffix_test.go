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

func TestOver(t *testing.T) {
	for domain, want := range map[string]bool{
		"amazonaws.com":      true, // s3.amazonaws.com
		"kobe.jp":            true, // *.kobe.jp
		"windows.net":        true,
		"s3.amazonaws.com":   false, // a public suffix itself
		"co.uk":              false,
		"com":                false,
		"example.com":        false,
		"":                   false,
		"amazonaws.unlisted": false,
		"xamazonaws.com":     false,
		"city.kobe.jp":       false,
	} {
		if got := Over(domain); got != want {
			t.Errorf("Over(%q) = %t, want %t", domain, got, want)
		}
	}
	// Of every rule, each domain above it is a public suffix or over one.
	for line := range strings.SplitSeq(table, "\n") {
		words := strings.Fields(line)
		for _, rule := range words[1:] {
			if strings.HasPrefix(rule, "!") || strings.HasPrefix(rule, "^") {
				continue
			}
			_, domain, more := strings.Cut(rule+"."+words[0], ".")
			for more {
				if !Is(domain) && !Over(domain) {
					t.Errorf("Over(%q) = false, and %q lies below it", domain, rule+"."+words[0])
				}
				_, domain, more = strings.Cut(domain, ".")
			}
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
			domain := strings.NewReplacer("*", "any", "!", "", "^", "").Replace(rule) + "." + words[0]
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
