package manifests_test

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

var (
	// testLink finds a link to a test, which goes to its file.
	testLink = regexp.MustCompile(`\[((?:Test|Fuzz)\w+)\]\(([^)\s]+)\)`)
	// testName finds a test in backquotes, and testFunc one in a source.
	testName = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)`")
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z]\w*)\(`)
	// threat finds the row of a threat.
	threat = regexp.MustCompile(`(?m)^\| ([A-Z]+[0-9]+) \|.*$`)
)

// checkTestLinks returns the links to tests that aren't in the file that they lead to.
func checkTestLinks(root fs.FS, name, page string) (list []error) {
	for _, found := range testLink.FindAllStringSubmatch(page, -1) {
		file := path.Join(path.Dir(name), found[2])
		source, err := fs.ReadFile(root, file)
		if err == nil && !strings.Contains(string(source), "\nfunc "+found[1]+"(") {
			err = fmt.Errorf("%s has no such test", file)
		}
		if err != nil {
			list = append(list, fmt.Errorf("%s: %s: %w", name, found[1], err))
		}
	}
	return list
}

// testsOf returns the names of all tests of the repository.
func testsOf(root fs.FS) (names map[string]bool, err error) {
	names = map[string]bool{}
	err = fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (name == "build" || name == ".git"):
			return fs.SkipDir
		case !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		source, err := fs.ReadFile(root, name)
		for _, found := range testFunc.FindAllSubmatch(source, -1) {
			names[string(found[1])] = true
		}
		return err
	})
	return names, err
}

// ofOthers are tests of other projects that the pages name.
var ofOthers = map[string]bool{"TestValidateCORSPolicy": true, "TestCorsResponses": true}

// checkTestNames returns the tests that a page names in backquotes and that there are not.
func checkTestNames(tests map[string]bool, name, page string) (list []error) {
	for _, found := range testName.FindAllStringSubmatch(page, -1) {
		if !tests[found[1]] && !ofOthers[found[1]] {
			list = append(list, fmt.Errorf("%s: there is no %s", name, found[1]))
		}
	}
	return list
}

// TestNamesOfTests: each test that a page names is there.
func TestNamesOfTests(t *testing.T) {
	top, err := envoytest.Root()
	if err != nil {
		t.Fatal(err)
	}
	root := os.DirFS(top)
	tests, err := testsOf(root)
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		files, err := fs.Glob(root, pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			page, err := fs.ReadFile(root, name)
			if err != nil {
				t.Fatal(err)
			}
			named += len(testName.FindAll(page, -1))
			for _, err := range checkTestNames(tests, name, string(page)) {
				t.Error(err)
			}
		}
	}
	t.Logf("%d tests, which are named %d times", len(tests), named)
	if len(tests) < 500 || named < 50 {
		t.Error("they aren't found")
	}
}

// checkThreats returns the threats of a page that no test covers, or that have the number of another.
func checkThreats(name, page string) (list []error) {
	numbers := map[string]bool{}
	for _, row := range threat.FindAllStringSubmatch(page, -1) {
		if !testLink.MatchString(row[0]) {
			list = append(list, fmt.Errorf("%s: %s has no test", name, row[1]))
		}
		if numbers[row[1]] {
			list = append(list, fmt.Errorf("%s: there are two %s", name, row[1]))
		}
		numbers[row[1]] = true
	}
	return list
}

// TestThreats: each threat of the threat model has a test, and each test that it names is there.
func TestThreats(t *testing.T) {
	top, err := envoytest.Root()
	if err != nil {
		t.Fatal(err)
	}
	root := os.DirFS(top)
	const name = "docs/threat-model.md"
	page, err := fs.ReadFile(root, name)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range append(checkTestLinks(root, name, string(page)), checkThreats(name, string(page))...) {
		t.Error(err)
	}
	threats, tests := len(threat.FindAll(page, -1)), len(testLink.FindAll(page, -1))
	t.Logf("%d threats, %d links to tests", threats, tests)
	if threats < 60 {
		t.Error("the rows of threats aren't found")
	}
}

// TestThreatsWithoutTests: it would be noticed if a threat had no test, or a test weren't there.
func TestThreatsWithoutTests(t *testing.T) {
	top, err := envoytest.Root()
	if err != nil {
		t.Fatal(err)
	}
	root := os.DirFS(top)
	const here = "../e2e/manifests/threats_test.go"
	for page, want := range map[string]int{
		"| A1 | x | y | [TestThreats](" + here + ") |\n":     0,
		"| A1 | x | y | [TestThreat](" + here + ") |\n":      1, // a part of a name
		"| A1 | x | y | [TestThreats](none_test.go) |\n":     1,
		"| A1 | x | y | TestThreats |\n":                     1,
		"| A1 | [TestThreats](" + here + ") |\n| A1 | x |\n": 2,
	} {
		got := append(checkTestLinks(root, "docs/x.md", page), checkThreats("docs/x.md", page)...)
		if len(got) != want {
			t.Errorf("%s: %v", page, got)
		}
	}
	tests := map[string]bool{"TestThreats": true}
	if got := checkTestNames(tests, "docs/x.md", "`TestThreats`, (`TestThreat`: `FuzzThreats`) `Test` `Testing`"); len(got) != 2 {
		t.Errorf("%v", got)
	}
}
