package wazero_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// read returns a file of the repository.
func read(t *testing.T, path string) string {
	t.Helper()
	root, err := envoytest.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestHostsDocument: docs/hosts.md has a row for each function that the module imports or exports,
// and for no other.
func TestHostsDocument(t *testing.T) {
	module, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	want := module.Exports()
	for _, name := range module.Imports() {
		_, name, _ = strings.Cut(name, ".")
		want = append(want, name)
	}
	var got []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(read(t, "docs/hosts.md"), -1) {
		got = append(got, row[1])
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the module has (-) and docs/hosts.md has (+):\n%s", diff)
	}
}

// TestHostsFigures: docs/hosts.md has the size of the module's memory at first.
func TestHostsFigures(t *testing.T) {
	path, err := envoytest.Module()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer func() { _ = runtime.Close(ctx) }() // It is a test's.
	module, err := runtime.CompileModule(ctx, binary)
	if err != nil {
		t.Fatal(err)
	}
	const page = 64 << 10
	pages := module.ExportedMemories()["memory"].Min()
	if want := fmt.Sprintf("of %d pages (%.2f MB) at first", pages, float64(pages*page)/1e6); !strings.Contains(read(t, "docs/hosts.md"), want) {
		t.Errorf("docs/hosts.md doesn't say %q", want)
	}
}

// TestFeatures: of what came to WebAssembly after 1.0 the module needs what docs/hosts.md says, and
// nothing else.
func TestFeatures(t *testing.T) {
	path, err := envoytest.Module()
	if err != nil {
		t.Fatal(err)
	}
	module, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	compiles := func(features api.CoreFeatures) bool {
		ctx := context.Background()
		runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(features))
		_, err := runtime.CompileModule(ctx, module)
		return err == nil && runtime.Close(ctx) == nil
	}
	needed := map[string]api.CoreFeatures{
		"bulk memory":         api.CoreFeatureBulkMemoryOperations,
		"sign extension":      api.CoreFeatureSignExtensionOps,
		"nontrapping to ints": api.CoreFeatureNonTrappingFloatToIntConversion,
	}
	all := api.CoreFeatures(0)
	for _, feature := range needed {
		all |= feature
	}
	if !compiles(all) {
		t.Error("the module needs more")
	}
	for name, feature := range needed {
		if compiles(all &^ feature) {
			t.Errorf("the module doesn't need %s", name)
		}
	}
}

// TestEnvoysTested: the versions of Envoy that the Makefile says are tested are those that README.md
// and docs/hosts.md tell, and CI's schedule runs.
func TestEnvoysTested(t *testing.T) {
	made := regexp.MustCompile(`(?m)^ENVOYS_TESTED +:= (.*)$`).FindStringSubmatch(read(t, "Makefile"))
	if made == nil {
		t.Fatal("the Makefile has no ENVOYS_TESTED")
	}
	versions := strings.Fields(made[1])
	newest := versions[len(versions)-1]
	find := func(path, pattern string) []string {
		list := regexp.MustCompile(pattern).FindAllString(read(t, path), -1)
		for i := range list {
			list[i] = regexp.MustCompile(`1\.\d+\.\d+`).FindString(list[i])
		}
		slices.Sort(list)
		return list
	}
	if diff := cmp.Diff(versions, find("README.md", `(?m)^\| 1\.\d+ \| 1\.\d+\.\d+`)); diff != "" {
		t.Errorf("README.md: %s", diff)
	}
	if row := "| Envoy " + strings.Join(versions, ", ") + " |"; !strings.Contains(read(t, "docs/hosts.md"), row) {
		t.Errorf("docs/hosts.md doesn't begin a row with %q", row)
	}
	scheduled := find(".github/workflows/reliability.yml", `(?m)^ +- "1\.\d+\.\d+"$`)
	if diff := cmp.Diff(versions[:len(versions)-1], scheduled); diff != "" {
		t.Errorf("reliability.yml (but %s, which every change is tested on): %s", newest, diff)
	}
}
