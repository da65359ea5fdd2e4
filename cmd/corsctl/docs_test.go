package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// commandPaths are the commands with a page of their own: all but help.
func commandPaths(c *cobra.Command) (list []string) {
	list = append(list, c.CommandPath())
	for _, below := range c.Commands() {
		if below.Name() != "help" {
			list = append(list, commandPaths(below)...)
		}
	}
	return list
}

// dated finds a month with its year, and cobra's words beside a date.
var dated = regexp.MustCompile(`\b[A-Z][a-z]{2}[ -][0-9]{4}\b|Auto generated`)

// TestManual: each command has a page that is called as it is, says its flags, and is the same
// whenever it is written.
func TestManual(t *testing.T) {
	root := newRoot()
	strict(root)
	for format, called := range map[string]struct{ separator, suffix, heading string }{
		"man": {"-", ".1", ".TH \"%\" \"1\" \"\" "}, "markdown": {"_", ".md", "## "},
	} {
		t.Run(format, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "a", "folder")
			var first map[string]string
			for range 2 {
				var stdout, stderr strings.Builder
				if code := run([]string{"docs", format, dir}, strings.NewReader(""), &stdout, &stderr); code != 0 ||
					stdout.String()+stderr.String() != "" {
					t.Fatalf("exit code %d: %s%s", code, stdout.String(), stderr.String())
				}
				pages := readFolder(t, dir)
				if first != nil {
					if diff := cmp.Diff(first, pages); diff != "" {
						t.Errorf("another time it is (-first +second):\n%s", diff)
					}
				}
				first = pages
			}
			var want []string
			for _, path := range commandPaths(root) {
				want = append(want, strings.ReplaceAll(path, " ", called.separator)+called.suffix)
			}
			var got []string
			for name, page := range first {
				got = append(got, name)
				title := strings.TrimSuffix(name, called.suffix)
				heading := strings.ReplaceAll(called.heading, "%", strings.ToUpper(title))
				if !strings.Contains(page, heading) || dated.MatchString(page) {
					t.Errorf("%s has no heading %q, or a date:\n%s", name, heading, page)
				}
			}
			slices.Sort(want)
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("pages (-commands +written):\n%s", diff)
			}
			if page := first["corsctl"+called.separator+"validate"+called.suffix]; !strings.Contains(page, "strict") {
				t.Errorf("the page of validate lacks a flag:\n%s", page)
			}
		})
	}
}

// readFolder are the texts of the files in a folder.
func readFolder(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		texts[entry.Name()] = string(content)
	}
	return texts
}
