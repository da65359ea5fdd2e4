// Command mutation tests the tests: it runs them on mutants of the code, each of which has another
// operator in one place, and says which mutants no test finds. docs/mutation.md has the score, and says
// of each mutant that lives why none can find it; the command fails if that is no longer so.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/tools/cover"
	"golang.org/x/tools/go/packages"
)

// An outcome is what became of a mutant.
type outcome string

const (
	killed     outcome = "killed"
	timedOut   outcome = "timed out"
	lived      outcome = "lived"
	notCovered outcome = "not covered"
)

var (
	dir     = flag.String("C", ".", "the module's `folder`")
	tests   = flag.String("tests", "", "`packages` whose tests run on what the package's own let live, separated by commas")
	skip    = flag.String("skip", "", "the tests that match this `regexp` don't run")
	again   = flag.Bool("again", false, "test only what lived the last time, or wasn't there")
	workers = flag.Int("workers", runtime.NumCPU(), "how many tests run at a time")
	results = flag.String("results", "", "the `file` that has what became of each mutant")
	page    = flag.String("page", "", "the `page` that has the scores, and argues for what lives")
	name    = flag.String("name", "", "the `row` of the page")
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("mutation: ")
	flag.Parse()
	mutants := run(flag.Args())
	writeResults(*results, mutants)
	if wrong := report(*page, *name, mutants); wrong != nil {
		log.Fatalf("%s: what lives is to be found by a test, or argued for in %s.\n%s", *name, *page,
			strings.Join(wrong, "\n"))
	}
}

// run tests the mutants of packages.
func run(patterns []string) []*mutant {
	loaded := must(packages.Load(&packages.Config{Dir: *dir, Mode: packages.LoadSyntax}, patterns...))
	if packages.PrintErrors(loaded) > 0 {
		os.Exit(1)
	}
	r := &rewriter{overlay: map[string][]byte{}, seen: map[result]int{}}
	var paths []string
	for _, pkg := range loaded {
		r.rewrite(pkg)
		paths = append(paths, pkg.PkgPath)
	}
	tmp := must(os.MkdirTemp("", "mutation"))
	defer os.RemoveAll(tmp)
	t := &tester{tmp: tmp, binaries: map[string]binary{}}
	if *tests != "" {
		t.also = strings.Split(*tests, ",")
	}
	t.writeOverlay(r.overlay)
	t.cover(paths)
	for _, path := range append(paths, t.also...) {
		t.build(path)
	}
	before := map[result]outcome{}
	if *again {
		before = readResults(*results)
	}
	var running sync.WaitGroup
	next := make(chan *mutant)
	for range *workers {
		running.Go(func() {
			for m := range next {
				t.test(m)
				fmt.Printf("%s: %s:%d: %s\n", m.outcome, m.file, m.at.Line, m.text)
			}
		})
	}
	for _, m := range r.mutants {
		if m.outcome = before[m.result]; m.outcome != killed && m.outcome != timedOut {
			next <- m
		}
	}
	close(next)
	running.Wait()
	return r.mutants
}

// A tester runs the tests on mutants.
type tester struct {
	tmp      string
	also     []string
	binaries map[string]binary               // by the path of the package
	blocks   map[string][]cover.ProfileBlock // of code, and whether tests run it, by file
}

// A binary is a package's tests, with all mutants.
type binary struct {
	file, dir string
	seconds   int // of the processor, after which tests end
}

func (t *tester) writeOverlay(files map[string][]byte) {
	replace := map[string]string{}
	for _, name := range sortedKeys(files) {
		to := fmt.Sprintf("%s/%d.go", t.tmp, len(replace))
		check(os.WriteFile(to, files[name], 0o666))
		replace[name] = to
	}
	check(os.WriteFile(t.tmp+"/overlay.json", must(json.Marshal(map[string]any{"Replace": replace})), 0o666))
}

func (t *tester) goRun(args ...string) {
	c := exec.Command("go", args...)
	c.Dir = *dir
	if out, err := c.CombinedOutput(); err != nil {
		log.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// cover finds out what code the tests run.
func (t *tester) cover(of []string) {
	args := []string{"test", "-short", "-vet=off", "-skip", *skip, "-coverprofile", t.tmp + "/cover", "-coverpkg", strings.Join(of, ",")}
	t.goRun(slices.Concat(args, of, t.also)...)
	t.blocks = map[string][]cover.ProfileBlock{}
	for _, p := range must(cover.ParseProfiles(t.tmp + "/cover")) {
		t.blocks[p.FileName] = p.Blocks
	}
}

// build builds the tests of a package, and runs them on the code as it is.
func (t *tester) build(path string) {
	name := fmt.Sprintf("%s/%d.test", t.tmp, len(t.binaries))
	t.goRun("test", "-c", "-vet=off", "-overlay", t.tmp+"/overlay.json", "-o", name, path)
	if _, err := os.Stat(name); err != nil {
		return // it has no tests
	}
	c := exec.Command("go", "list", "-f", "{{.Dir}}", path)
	c.Dir = *dir
	b := binary{file: name, dir: strings.TrimSpace(string(must(c.Output()))), seconds: 600}
	outcome, out, seconds := b.run(0)
	if outcome != lived {
		log.Fatalf("%s: tests fail on the code as it is:\n%s", path, out)
	}
	b.seconds = 5 + 5*seconds
	t.binaries[path] = b
}

// run runs tests on a mutant, and returns what they print, and the seconds that they take of the processor.
// On those there is a limit, since they are as many on a machine that does more than this; and there is one
// on memory, since a mutant may want all of it.
func (b binary) run(id int) (outcome, string, int) {
	limits := fmt.Sprintf(`ulimit -v 8388608 && ulimit -t %d && exec "$0" "$@"`, b.seconds)
	c := exec.Command("sh", "-c", limits, b.file, "-test.short", "-test.failfast", "-test.skip", *skip,
		"-test.timeout", "10m")
	c.Dir = b.dir
	c.Env = append(os.Environ(), fmt.Sprint("MUTANT=", id))
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		log.Fatal(err)
	}
	seconds := int((c.ProcessState.UserTime() + c.ProcessState.SystemTime()) / time.Second)
	switch {
	case err == nil:
		return lived, "", seconds
	case bytes.Contains(out, []byte("SIGXCPU")), bytes.Contains(out, []byte("panic: test timed out")):
		return timedOut, string(out), seconds
	}
	return killed, string(out), seconds
}

// test finds a mutant's outcome.
func (t *tester) test(m *mutant) {
	if !m.covered(t.blocks[m.pkg.PkgPath+"/"+filepath.Base(m.path)]) {
		m.outcome = notCovered
		return
	}
	m.outcome = lived
	for _, path := range append([]string{m.pkg.PkgPath}, t.also...) {
		if b, ok := t.binaries[path]; ok && m.outcome == lived {
			m.outcome, _, _ = b.run(m.id)
		}
	}
}

// covered reports whether tests run the mutant's place. Conditions of cases and what is outside of
// functions is in no block; whether it is run nothing tells.
func (m *mutant) covered(blocks []cover.ProfileBlock) bool {
	in, covered := false, false
	for _, b := range blocks {
		at := func(line, column int) int {
			return cmp.Or(cmp.Compare(line, m.at.Line), cmp.Compare(column, m.at.Column))
		}
		if at(b.StartLine, b.StartCol) <= 0 && at(b.EndLine, b.EndCol) > 0 {
			in, covered = true, covered || b.Count > 0
		}
	}
	return covered || !in
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func must[T any](v T, err error) T {
	check(err)
	return v
}
