package main

import (
	"bytes"
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// TestApply: only source that is known is changed.
func TestApply(t *testing.T) {
	e := edit{file: "runtime/some.go", old: "func f() {\n\treturn 1\n", new: "func f() {\n\treturn 2\n"}
	const around = "package runtime\n\n%}\n\nfunc g() {}\n"
	for _, test := range []struct{ name, text, want, err string }{
		{"as it is", e.old, e.new, ""},
		{"none", "", "", `runtime/some.go has 0 times what begins with "func f() {"`},
		{"twice", e.old + e.old, "", `runtime/some.go has 2 times what begins with "func f() {"`},
		{"another one", strings.Replace(e.old, "1", "3", 1), "", `has 0 times`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := e.apply(strings.Replace(around, "%", test.text, 1))
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got error %v, want %s", err, test.err)
				}
				return
			}
			if want := strings.Replace(around, "%", test.want, 1); err != nil || got != want {
				t.Errorf("got %s, error %v\nwant %s", got, err, want)
			}
		})
	}
}

// TestApplyFiles: the edits of a file are made one after the other, a new file isn't there yet,
// and one that is edited is.
func TestApplyFiles(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "a.go"), []byte("one one two"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		edits []edit
		want  map[string]string
		err   string
	}{
		{"two of a file", []edit{{file: "a.go", old: "one", new: "two", times: 2}, {file: "a.go", old: "two", new: "2", times: 3}},
			map[string]string{"a.go": "2 2 2"}, ""},
		{"not so often", []edit{{file: "a.go", old: "one", new: "two"}}, nil, "is known to have it 1 times"},
		{"a new file", []edit{{file: "b.go", new: "package b"}}, map[string]string{"b.go": "package b"}, ""},
		{"a new file that is there", []edit{{file: "a.go", new: "package a"}}, nil, "a.go is there"},
		{"a file that isn't there", []edit{{file: "b.go", old: "one", new: "two"}}, nil, "no such file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := apply(folder, []cut{{edits: test.edits}})
			if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) || test.err == "" && err != nil {
				t.Errorf("error %v, want %s", err, test.err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// all are the cuts of Go and of gjson.
var all = slices.Concat(cuts, []cut{modifiers, formatting})

// TestEdits: each edit changes something, and fails the build where its text isn't there.
func TestEdits(t *testing.T) {
	for _, c := range all {
		for _, e := range c.edits {
			if e.old == e.new {
				t.Errorf("%s: an edit changes nothing: %s", e.file, e.old)
			}
			if _, err := e.apply("package p\n"); err == nil || !strings.Contains(err.Error(), e.file) {
				t.Errorf("%s: without its text the error is %v", e.file, err)
			}
		}
	}
}

// TestCheckNeeded: who needs what is cut hears of it, wherever the name is in the module.
func TestCheckNeeded(t *testing.T) {
	for _, c := range all {
		for _, name := range c.unless {
			module := []byte("\x00main.main\x00" + name + "F\x00main.f\x00")
			if err := checkNeeded(module, all); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: error %v", name, err)
			}
		}
	}
	if err := checkNeeded([]byte("\x00main.main\x00my/time.newTimer\x00"), all); err != nil {
		t.Error(err)
	}
}

// TestProbe runs a program that is built with all edits: its stack grows, its memory is
// collected, a panic is caught, and its functions have their names and lines.
func TestProbe(t *testing.T) {
	module := buildProbe(t)
	if err := checkNeeded(module, []cut{{unless: []string{"main.deeper"}}}); err == nil {
		t.Error("a function isn't found that the module has")
	}
	stderr, err := call(t, module, "probe")
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	source, err := os.ReadFile(filepath.Join("testdata", "probe", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	// line is the number of the line that ends in a comment, in digits.
	line := func(comment string) string {
		before, _, _ := strings.Cut(string(source), "// "+comment+"\n")
		return strconv.Itoa(1 + strings.Count(before, "\n"))
	}
	want := "sum 2003000\n" +
		"panic runtime error: index out of range [2000] with length 2000\n" +
		"stack main.callers:" + line("callers") + " main.stack:" + line("stack") + " main.probe:" + line("probe")
	got, _, _ := strings.Cut(stderr, " probe:") // what calls main.probe for the host
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the probe says (-want +got):\n%s", diff)
	}
	t.Run("dies", func(t *testing.T) { testDies(t, module) })
}

// testDies: the runtime ends the VM where it always did, rather than go on in a broken memory.
func testDies(t *testing.T, module []byte) {
	t.Helper()
	for _, test := range []struct {
		name, function, says string
		environment          [][2]string
	}{
		{"pointer to no object", "badPointer", "fatal error: found bad pointer in Go heap\n", nil},
		{"pointer to a free object", "freeObject", "fatal error: found pointer to free object\n", nil},
		{"a second thread", "probe", "fatal error: newm: a Wasm module has one thread\n", [][2]string{{"GOMAXPROCS", "2"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			stderr, err := call(t, module, test.function, test.environment...)
			if err == nil || !strings.HasPrefix(stderr, test.says) {
				t.Errorf("got error %v\n%s\nwant %s", err, stderr, test.says)
			}
		})
	}
}

// buildProbe builds the program in testdata/probe with all edits.
func buildProbe(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "probe.wasm")
	if err := (build{folder: filepath.Join("testdata", "probe"), output: path}).run(); err != nil {
		t.Fatal(err)
	}
	module, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return module
}

// call calls a function of a module in a VM of its own, which has the environment, and returns
// what is written to the standard error.
func call(t *testing.T, module []byte, function string, environment ...[2]string) (stderr string, err error) {
	t.Helper()
	ctx := context.Background()
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer func() { _ = runtime.Close(ctx) }()
	wasi_snapshot_preview1.MustInstantiate(ctx, runtime)
	var written bytes.Buffer
	config := wazero.NewModuleConfig().WithStderr(&written).WithStartFunctions("_initialize")
	for _, variable := range environment {
		config = config.WithEnv(variable[0], variable[1])
	}
	vm, err := runtime.InstantiateWithConfig(ctx, module, config)
	if err == nil {
		_, err = vm.ExportedFunction(function).Call(ctx)
	}
	return written.String(), err
}

// TestWriteModfile: gjson is edited, and comes from the proxy first on a machine that has built nothing yet.
func TestWriteModfile(t *testing.T) {
	cache, err := goSays("env", "GOMODCACHE")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOPROXY", "file://"+filepath.ToSlash(filepath.Join(cache, "cache", "download")))
	t.Setenv("GOMODCACHE", t.TempDir())
	t.Cleanup(func() {
		if _, err := goSays("clean", "-modcache"); err != nil { // whose files are read-only
			t.Error(err)
		}
	})
	dir := t.TempDir()
	modfile, replace, err := writeModfile(filepath.Join("testdata", "probe"), dir)
	if err != nil {
		t.Fatal(err)
	}
	gomod, err := os.ReadFile(modfile)
	if want := "\nreplace " + gjson + " => ./gjson\n"; err != nil || !bytes.HasSuffix(gomod, []byte(want)) {
		t.Errorf("go.mod doesn't end with %s, error %v:\n%s", want, err, gomod)
	}
	edited := filepath.Join(dir, "gjson.go")
	if !slices.Contains(slices.Collect(maps.Values(replace)), edited) {
		t.Errorf("%s isn't in the overlay: %v", edited, replace)
	}
	source, err := os.ReadFile(edited)
	if err != nil || !bytes.Contains(source, []byte(modifiers.edits[0].new)) {
		t.Errorf("gjson.go isn't edited, error %v", err)
	}
}

// TestClasses: without Unicode's tables regexes are taken and refused as with them, and match the
// same of ASCII.
func TestClasses(t *testing.T) {
	dir := t.TempDir()
	overlay, err := writeOverlay(".", dir, []cut{classes}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var said [2][]string
	for i, flags := range [][]string{{}, {"-overlay", overlay}} {
		program := filepath.Join(dir, strconv.Itoa(i))
		build := exec.Command("go", slices.Concat([]string{"build", "-o", program}, flags, []string{"./testdata/classes"})...)
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		out, err := exec.Command(program).Output()
		if err != nil {
			t.Fatal(err)
		}
		said[i] = strings.Split(string(out), "\n")
	}
	if len(said[0]) < 100_000 || len(said[1]) != len(said[0]) {
		t.Fatalf("%d lines with the tables, %d without", len(said[0]), len(said[1]))
	}
	wrong := 0
	for i, want := range said[0] {
		if got := said[1][i]; got != want && wrong < 20 {
			wrong++
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
