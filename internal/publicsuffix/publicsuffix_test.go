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
	for _, domain := range domains() {
		_, above, more := strings.Cut(domain, ".")
		for more {
			if !Is(above) && !Over(above) {
				t.Errorf("Over(%q) = false, and %q lies below it", above, domain)
			}
			_, above, more = strings.Cut(above, ".")
		}
	}
}

// domains are those that have a line, and those of the rules, with a label in place of each
// wildcard.
func domains() (list []string) {
	for line := range strings.SplitSeq(table, "\n") {
		words := strings.Split(line, " ")
		list = append(list, words[0])
		for _, labels := range words[1:] {
			domain := strings.TrimSuffix(strings.TrimPrefix(labels, "!")+"."+words[0], ".")
			list = append(list, strings.Replace(domain, "*", "any", 1))
		}
	}
	return list
}

// TestAgreesWithList compares every rule, and domains around it, with the package
// that the table comes from; it fails when go.mod has moved on and the table hasn't.
func TestAgreesWithList(t *testing.T) {
	n := 0
	for _, domain := range domains() {
		_, parent, _ := strings.Cut(domain, ".")
		for _, d := range []string{domain, parent, "x." + domain, "x" + domain} {
			suffix, _ := list.PublicSuffix(d)
			if got, want := Is(d), suffix == d; got != want {
				t.Errorf("Is(%q) = %t, want %t", d, got, want)
			}
			n++
		}
	}
	if n < 30_000 {
		t.Errorf("compared only %d domains: is the table whole?", n)
	}
}
