// Package docs keeps what pages of docs/ say of tests true: tests compare it with what they have, and write it
// when they are run with -update.
package docs

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

var update = flag.Bool("update", false, "write what pages of docs/ say of the tests")

// A Section is a part of a page that tests write, between two lines.
type Section struct {
	// Page is the page's name in docs/, and Name the section's in the page.
	Page, Name string
	// Command writes it; the page says so.
	Command string
}

// Check fails the test if the section isn't as wanted, or writes it so.
func (s Section) Check(t *testing.T, want string) {
	t.Helper()
	s.CheckBut(t, want, func(text string) string { return text })
}

// CheckBut is Check for a text that need not be the same as the wanted one, but only what a function leaves of
// both.
func (s Section) CheckBut(t *testing.T, want string, essence func(text string) string) {
	t.Helper()
	root, err := envoytest.Root()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "docs", s.Page)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin := "<!-- begin: " + s.Name + " (" + s.Command + ") -->\n"
	const end = "<!-- end -->\n"
	before, rest, begun := strings.Cut(string(text), begin)
	got, after, ended := strings.Cut(rest, end)
	switch {
	case !begun || !ended:
		t.Fatalf("docs/%s has no %s with %s after it", s.Page, begin, end)
	case *update:
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		if diff := cmp.Diff(essence(want), essence(got)); diff != "" {
			t.Errorf("docs/%s lacks (-), and has (+):\n%s", s.Page, diff)
		}
	}
}

// Updating reports whether sections are to be written.
func Updating() bool { return *update }
