package manifests_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

var (
	// link finds where a link of Markdown goes.
	link = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	// code is what stands in backquotes; linkText is what is seen of a link.
	code     = regexp.MustCompile("`[^`\n]+`")
	linkText = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	heading  = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	block    = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	// place is what names a file or folder of the repository in backquotes.
	place = regexp.MustCompile("`((?:\\.ci|\\.github|bench|deploy|docs|e2e|internal|tools)/[\\w./*-]+)`")
	// mentioned is what names a file in a comment of a manifest.
	mentioned = regexp.MustCompile(`[\w./-]+\.(?:yaml|md)\b`)
	unspoken  = regexp.MustCompile(`[^\pL\pN_ -]`)
)

// anchors are the names that GitHub gives the headings of a page.
func anchors(page string) (list []string) {
	count := map[string]int{}
	for _, h := range heading.FindAllStringSubmatch(block.ReplaceAllString(page, ""), -1) {
		name := unspoken.ReplaceAllString(strings.ToLower(linkText.ReplaceAllString(h[1], "$1")), "")
		name = strings.ReplaceAll(name, " ", "-")
		if n := count[name]; n > 0 {
			list = append(list, fmt.Sprintf("%s-%d", name, n))
		} else {
			list = append(list, name)
		}
		count[name]++
	}
	return list
}

// checkLinks returns the links of a page, and the paths in backquotes, that lead nowhere. The
// RATIONALE speaks of paths that were not taken.
func checkLinks(root fs.FS, name, page string) (list []error) {
	page = block.ReplaceAllString(page, "")
	for _, found := range place.FindAllStringSubmatch(page, -1) {
		matches, err := fs.Glob(root, strings.TrimSuffix(found[1], "/"))
		if (err != nil || matches == nil) && name != "RATIONALE.md" {
			list = append(list, fmt.Errorf("%s: there is no %s", name, found[1]))
		}
	}
	for _, found := range link.FindAllStringSubmatch(code.ReplaceAllString(page, "x"), -1) {
		to, anchor, hasAnchor := strings.Cut(found[1], "#")
		if strings.Contains(to, "://") {
			continue
		}
		target := name
		if to != "" {
			target = path.Join(path.Dir(name), to)
		}
		if _, err := fs.Stat(root, target); err != nil {
			list = append(list, fmt.Errorf("%s: the link %s: %w", name, found[1], err))
			continue
		}
		if !hasAnchor {
			continue
		}
		text, err := fs.ReadFile(root, target)
		if err == nil && !slices.Contains(anchors(string(text)), anchor) {
			err = errors.New("there is no such heading")
		}
		if err != nil {
			list = append(list, fmt.Errorf("%s: the link %s: %w", name, found[1], err))
		}
	}
	return list
}

// checkComments returns the files that the comments of a manifest name, and that are neither
// beside it nor, by a path from the root, in the repository.
func checkComments(root fs.FS, name, text string) (list []error) {
	for line := range strings.Lines(text) {
		_, comment, _ := strings.Cut(line, "#")
		for _, file := range mentioned.FindAllString(comment, -1) {
			_, there := fs.Stat(root, file)
			_, beside := fs.Stat(root, path.Join(path.Dir(name), path.Base(file)))
			if there != nil && beside != nil {
				list = append(list, fmt.Errorf("%s: there is no %s", name, file))
			}
		}
	}
	return list
}

// TestLinks: what the pages and the comments of manifests refer to is there.
func TestLinks(t *testing.T) {
	top, err := envoytest.Root()
	if err != nil {
		t.Fatal(err)
	}
	root := os.DirFS(top)
	pages, links := 0, 0
	for _, pattern := range []string{"*.md", "docs/*.md", "bench/results/*.md", "deploy/*/*.yaml"} {
		files, err := fs.Glob(root, pattern)
		if err != nil || files == nil {
			t.Errorf("%s: no such file, or %v", pattern, err)
		}
		for _, name := range files {
			text, err := fs.ReadFile(root, name)
			if err != nil {
				t.Fatal(err)
			}
			pages++
			links += len(link.FindAll(text, -1))
			check := checkLinks
			if filepath.Ext(name) == ".yaml" {
				check = checkComments
			}
			for _, err := range check(root, name, string(text)) {
				t.Error(err)
			}
		}
	}
	t.Logf("%d pages and manifests, %d links", pages, links)
}

// TestDeadLinks: it would be noticed if something wasn't there.
func TestDeadLinks(t *testing.T) {
	top, err := envoytest.Root()
	if err != nil {
		t.Fatal(err)
	}
	root := os.DirFS(top)
	for _, page := range []string{
		"[a](istios.md)", "[a](istio.md#instal)", "[a](#instal)", "[`a`](../deploy/istios)", "`deploy/istios`",
		"`e2e/*/none_test.go`", "[a](../docs#install)",
	} {
		if got := checkLinks(root, "docs/istio.md", page+"\n"); len(got) != 1 {
			t.Errorf("%s: %v", page, got)
		}
	}
	if got := checkComments(root, "deploy/istio/gateway.yaml", "a: b # see gatewy.yaml\n"); len(got) != 1 {
		t.Errorf("%v", got)
	}
	page := "# A `b` [c](d) (e), f_g!\n```\n# no\n```\n## Two\n## Two\n"
	if got, want := anchors(page), []string{"a-b-c-e-f_g", "two", "two-1"}; !slices.Equal(got, want) {
		t.Errorf("anchors %q, want %q", got, want)
	}
}
