package main

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

const root = "../../"

// TestListed: each mutant that the page argues for is one of a line that is there.
func TestListed(t *testing.T) {
	text := string(must(os.ReadFile(root + "docs/mutation.md")))
	found := listed.FindAllStringSubmatch(text, -1)
	if n := strings.Count(text, "\n- "); n != len(found) || n == 0 {
		t.Errorf("of %d lines %d are those of a mutant, and why it lives", n, len(found))
	}
	seen := map[string]bool{}
	for _, match := range found {
		entry, file := match[0], match[1]
		if key, _, _ := strings.Cut(entry, "``: "); seen[key] {
			t.Errorf("it is listed twice: %s", entry)
		} else {
			seen[key] = true
		}
		line, ok := unchanged(match[2])
		if !ok {
			t.Errorf("that is no mutant: %s", entry)
		}
		code, err := os.ReadFile(root + file)
		if err != nil {
			t.Error(err)
			continue
		}
		is := func(other string) bool { return strings.TrimSpace(other) == line }
		if !slices.ContainsFunc(strings.Split(string(code), "\n"), is) {
			t.Errorf("%s has no such line: %s", file, line)
		}
	}
}

// unchanged is the line without the mutation; ok is false if it has none.
func unchanged(mutant string) (line string, ok bool) {
	for before, list := range instead {
		for _, after := range list {
			if line, rest, ok := strings.Cut(mutant, "«"+before.String()+"|"+after.String()+"»"); ok {
				return line + before.String() + rest, true
			}
		}
	}
	return "", false
}

// TestReport: what lives and isn't argued for is wrong, as is what doesn't and is, and a low score.
func TestReport(t *testing.T) {
	const before = "| other | 1 | 1 | 0 | 0 | 100.0 % |\n| this | 0 | 0 | 0 | 0 | 0 % |\n\n" +
		"- a.go: `` x «<|<=» y ``: it may\n- a.go: `` x «+|-» 1 ``: it may\n- a.go: `` no «+|-» reason ``\n- b.go: `` of «+|-» others ``: it may\n"
	page := filepath.Join(t.TempDir(), "page.md")
	mutants := func(of map[outcome]int, texts ...string) (list []*mutant) {
		for outcome, n := range of {
			for range n {
				list = append(list, &mutant{result: result{file: "a.go", text: "some"}, outcome: outcome})
			}
		}
		for _, text := range texts {
			list = append(list, &mutant{result: result{file: "a.go", text: text}, outcome: lived})
		}
		return list
	}
	const both = "x «<|<=» y\nx «+|-» 1"
	for _, test := range []struct {
		name  string
		list  []*mutant
		row   string
		wrong []string
	}{
		{"all is argued for", mutants(map[outcome]int{killed: 17, timedOut: 1}, strings.Split(both, "\n")...),
			"| this | 20 | 17 | 1 | 2 | 90.0 % |", nil},
		{"one lives that isn't listed", mutants(map[outcome]int{killed: 97}, "x «<|<=» y", "x «+|-» 1", "new «+|-» 1"),
			"| this | 100 | 97 | 0 | 3 | 97.0 % |", []string{"lives: - a.go: `` new «+|-» 1 ``"}},
		{"one lives without a reason", mutants(map[outcome]int{killed: 97}, "x «<|<=» y", "x «+|-» 1", "no «+|-» reason"),
			"| this | 100 | 97 | 0 | 3 | 97.0 % |", []string{"lives: - a.go: `` no «+|-» reason ``"}},
		{"one is found that is listed", mutants(map[outcome]int{killed: 99}, "x «<|<=» y"),
			"| this | 100 | 99 | 0 | 1 | 99.0 % |", []string{"is found, or isn't there any more: a.go: `` x «+|-» 1 ``"}},
		{"one is not covered", mutants(map[outcome]int{killed: 97, notCovered: 1}, strings.Split(both, "\n")...),
			"| this | 100 | 97 | 0 | 3 | 97.0 % |", []string{"lives: - a.go: `` some ``"}},
		{"too many live", mutants(map[outcome]int{killed: 8}, strings.Split(both, "\n")...),
			"| this | 10 | 8 | 0 | 2 | 80.0 % |", []string{"the score is 80.00 %, and 90 % is the least"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			check(os.WriteFile(page, []byte(before), 0o600))
			if wrong := report(page, "this", test.list); !slices.Equal(wrong, test.wrong) {
				t.Errorf("wrong is %q, want %q", wrong, test.wrong)
			}
			want := strings.Replace(before, "| this | 0 | 0 | 0 | 0 | 0 % |", test.row, 1)
			if got := string(must(os.ReadFile(page))); got != want {
				t.Errorf("the page is\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// TestResults: what is written of mutants is read again.
func TestResults(t *testing.T) {
	name := filepath.Join(t.TempDir(), "results.tsv")
	if len(readResults(name)) != 0 {
		t.Error("there are results before any test")
	}
	m := &mutant{result: result{file: "a.go", text: "x «<|<=» \"a\tb\"", nth: 2}, outcome: killed}
	writeResults(name, []*mutant{m})
	if got := readResults(name); len(got) != 1 || got[m.result] != killed {
		t.Errorf("read is %v", got)
	}
}

// TestRewrite: a package is Go with all of its mutants in it, and they are those of its operators that
// still compile.
func TestRewrite(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module example\n\ngo 1.26\n", "a.go": `package example

const one = 2 - 1

type number int

func f(list []int, s string, n number) (sum int, text string) {
	for i := range list {
		if i > 1 && list[i] != one {
			continue
		}
		sum += list[i] * -one
	}
	n++
	n *= 3 - 1 + 1
	return sum, s + "x"
}
`} {
		check(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	loaded := must(packages.Load(&packages.Config{Dir: dir, Mode: packages.LoadSyntax}, "."))
	code := string(must(os.ReadFile(filepath.Join(dir, "a.go"))))
	r := &rewriter{overlay: map[string][]byte{}, seen: map[result]int{}}
	r.rewrite(loaded[0])
	var got []string
	for i, m := range r.mutants {
		if got = append(got, m.text); m.id != i+1 || m.nth != 1 || filepath.Base(m.file) != "a.go" {
			t.Errorf("%+v", m.result)
		}
		if line, ok := unchanged(m.text); !ok || !strings.Contains(code, line) {
			t.Errorf("%s isn't in the file", m.text)
		}
	}
	slices.Sort(got)
	want := []string{
		"if i > 1 && list[i] «!=|==» one {", "if i > 1 «&&|||» list[i] != one {", "if i «>|<=» 1 && list[i] != one {",
		"if i «>|>=» 1 && list[i] != one {", "n *= 3 - 1 «+|-» 1", "n «*=|/=» 3 - 1 + 1", "n «*=|=» 3 - 1 + 1", "n«++|--»",
		"sum += list[i] * «-|+»one", "sum += list[i] «*|/» -one", "sum «+=|-=» list[i] * -one",
		"sum «+=|=» list[i] * -one", "«continue|break»",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the mutants are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for name, text := range r.overlay {
		if _, err := parser.ParseFile(token.NewFileSet(), name, text, 0); err != nil {
			t.Error(err)
		}
	}
	if len(r.overlay) != 2 {
		t.Errorf("%d files are rewritten", len(r.overlay))
	}
}
