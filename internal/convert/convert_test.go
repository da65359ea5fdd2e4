package convert

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// convertText converts a text as the file of that name.
func convertText(t *testing.T, from, name, text string) *Result {
	t.Helper()
	result, err := Convert(from, convertedFile(t, name, text))
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func convertedFile(t *testing.T, name, text string) *document.File {
	t.Helper()
	file, failed := document.Parse(name, text)
	if failed != nil {
		t.Fatal(failed)
	}
	return file
}

// lines are the findings, one a line.
func lines(result *Result) string {
	var b strings.Builder
	for _, f := range result.Findings {
		if f.Warning {
			b.WriteString("warning: ")
		}
		b.WriteString(f.Error() + "\n")
	}
	return b.String()
}

// removals are what is to be removed at the source, one a line.
func removals(result *Result) string {
	var b strings.Builder
	for _, r := range result.Remove {
		b.WriteString("remove: " + r.String() + "\n")
	}
	return b.String()
}

// unavoidable are warnings about a configuration that a conversion can't help: they are
// about what the source wants.
var unavoidable = []string{
	`matches "null", and a regex never allows that`,
	" matches hardly any request, because browsers leave out the port of ",
}

// checkResult checks what is true of every conversion.
func checkResult(t *testing.T, result *Result) {
	t.Helper()
	if result.Configuration == "" {
		if result.Policies != 0 || !slices.ContainsFunc(result.Findings,
			func(f *document.Finding) bool { return !f.Warning }) {
			t.Errorf("no configuration, %d policies, and no word about it:\n%s", result.Policies, lines(result))
		}
		return
	}
	if len(result.Remove) == 0 {
		t.Error("nothing is to be removed at the source")
	}
	for _, f := range result.Findings {
		if !f.Warning {
			t.Errorf("there is a configuration, and an error: %v", f)
		}
		if f.Kind == 0 || f.What == "" || f.Instead == "" || f.Field == "" {
			t.Errorf("a finding lacks words: %#v", f)
		}
	}
	if !slices.IsSortedFunc(result.Findings, func(a, b *document.Finding) int { return a.Offset - b.Offset }) {
		t.Error("the findings are not in the file's order")
	}
	read, problems := config.Parse(result.Configuration)
	for _, p := range problems {
		if !p.Warning || p.Kind != problem.RegexNull && p.Kind != problem.NeverSent ||
			!slices.ContainsFunc(unavoidable, func(s string) bool { return strings.Contains(p.What, s) }) {
			t.Errorf("the configuration has a problem: %v", p)
		}
	}
	if read == nil {
		t.Fatalf("the configuration is refused:\n%s", result.Configuration)
	}
	if n := len(read.Policies.All()); n != result.Policies {
		t.Errorf("there are %d policies, and it says %d", n, result.Policies)
	}
}

// testGolden converts the files of testdata/<format>, and compares what comes of them
// with what lies beside them: the configuration, and the findings.
func testGolden(t *testing.T, from string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", from, "*"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, path := range files {
		if strings.Contains(path, ".golden.") {
			continue
		}
		n++
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			result := convertText(t, from, filepath.Base(path), string(text))
			checkResult(t, result)
			base := strings.TrimSuffix(path, filepath.Ext(path))
			golden(t, base+".golden.json", result.Configuration)
			golden(t, base+".golden.txt", lines(result)+removals(result))
		})
	}
	if n < 10 {
		t.Errorf("there are %d inputs, and there should be ten at least", n)
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run the test with -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
