package wazero_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/wasmhost"
)

// These are the tests of hosts that are not as Envoy is, or run modules otherwise.

// interpreted is the module for an interpreter.
var interpreted = sync.OnceValues(func() (*wasmhost.Module, error) {
	path, err := envoytest.Module()
	if err != nil {
		return nil, err
	}
	return wasmhost.Interpret(path)
})

// newQuirkyVM returns a VM of a module in a host with quirks.
func newQuirkyVM(t *testing.T, load func() (*wasmhost.Module, error), quirks wasmhost.Quirks) *wasmhost.VM {
	t.Helper()
	module, err := load()
	if err != nil {
		t.Fatal(err)
	}
	vm, err := module.NewQuirkyVM(quirks)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if vm.Err() != nil {
			t.Errorf("the module died: %v", vm.Err())
		}
		vm.Close()
	})
	return vm
}

// runWhole has a VM do all that a proxy's does in its life: the tables, look-ups with streams
// that wait, a policy source with good and bad documents, refused configurations, and updates.
func runWhole(t *testing.T, vm *wasmhost.VM) {
	t.Helper()
	t.Run("tables", func(t *testing.T) { runTables(t, vm) })
	t.Run("look-ups", func(t *testing.T) { runLookups(t, vm) })
	t.Run("policy source", func(t *testing.T) { runSource(t, vm) })
	t.Run("updates", func(t *testing.T) { runUpdates(t, vm) })
}

// runTables runs the tables that the engine, the filter and Envoy are tested with, a root for those
// that share a configuration.
func runTables(t *testing.T, vm *wasmhost.VM) {
	t.Helper()
	var root *wasmhost.Root
	for i, c := range cases.All {
		if i == 0 || c.Config != cases.All[i-1].Config {
			remove(t, root)
			root = newRoot(t, vm, c.Config)
		}
		t.Run(c.Name, func(t *testing.T) { checkCase(t, vm, root, c) })
	}
	remove(t, root)
}

// runLookups has an origin looked up and remembered, one that is refused, and more preflights
// wait than go on without ticks.
func runLookups(t *testing.T, vm *wasmhost.VM) {
	t.Helper()
	lookup := &lookupTest{t, vm, newRoot(t, vm, lookingUp(`, "ttl": "1m", "stale": "0s"`))}
	lookup.ask("https://shop.example", 204)
	lookup.knows("https://shop.example", true)
	lookup.ask("https://evil.example", 404)
	lookup.knows("https://evil.example", false)
	lookup.pass(2 * time.Minute)
	lookup.ask("https://shop.example", 404)
	lookup.knows("https://shop.example", false)
	var waiting []*wasmhost.Stream
	for range 70 {
		waiting = append(waiting, lookup.begin(preflightFrom("https://many.example")))
	}
	lookup.answer(204)
	for vm.Waiting() > 0 {
		if lookup.root.TickPeriod() == 0 {
			t.Fatalf("%d streams wait, and there are no ticks", vm.Waiting())
		}
		lookup.try(lookup.root.Tick())
	}
	for _, s := range waiting {
		if result := lookup.finish(s); result.Status != 204 || allowedOrigin(result) != "https://many.example" {
			t.Fatalf("a preflight that has waited: %+v", result)
		}
	}
	remove(t, lookup.root)
}

// runSource has documents come and go.
func runSource(t *testing.T, vm *wasmhost.VM) {
	t.Helper()
	root := newRoot(t, vm, polled)
	deniesAll(t, vm, root, "no policies have arrived from the policy source, so that no origin is allowed")
	for _, step := range []struct{ document, serves string }{
		{policyA, "https://a.example"},
		{policyB, "https://b.example"},
		{`{"allow_origins": ["https://a.example/"]}`, "https://b.example"},
		{"", "https://b.example"},
		{policyA, "https://a.example"},
	} {
		fetches := 0
		err := vm.Run(3*time.Second, []*wasmhost.Root{root}, func(wasmhost.HTTPCall, time.Time) *wasmhost.HTTPAnswer {
			fetches++
			return &wasmhost.HTTPAnswer{Status: 200, Body: step.document}
		})
		if err != nil || fetches == 0 {
			t.Fatalf("%d fetches, error %v", fetches, err)
		}
		serves(t, vm, root, step.serves)
	}
	remove(t, root)
}

// runUpdates replaces policies while streams live.
func runUpdates(t *testing.T, vm *wasmhost.VM) {
	t.Helper()
	old := newRoot(t, vm, policyA)
	for range 3 {
		stream := old.Begin(actualA)
		if err := stream.Request(); err != nil {
			t.Fatal(err)
		}
		refused, err := vm.NewRoot(`{"allow_origins": 1}`)
		if !errors.Is(err, wasmhost.ErrRefused) {
			t.Fatal("a bad configuration is taken: ", err)
		}
		remove(t, refused)
		replacement := newRoot(t, vm, policyB)
		serves(t, vm, replacement, "https://b.example")
		remove(t, old)
		if err := errors.Join(stream.Response(cases.Upstream{}), stream.End()); err != nil {
			t.Fatal(err)
		}
		if got := allowedOrigin(stream.Result()); got != "https://a.example" {
			t.Errorf("a stream of the policy before gets allow-origin %q", got)
		}
		remove(t, replacement)
		old = newRoot(t, vm, policyA)
	}
	remove(t, old)
}

// traceOf is a trace of what a VM does in a test, which is told the same each time.
func traceOf(t *testing.T, load func() (*wasmhost.Module, error), run func(*testing.T, *wasmhost.VM)) string {
	t.Helper()
	var trace strings.Builder
	next := byte(0)
	vm := newQuirkyVM(t, load, wasmhost.Quirks{
		Time:  time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		Trace: &trace,
		Random: func(b []byte) {
			for i := range b {
				next = next*5 + 1
				b[i] = next
			}
		},
	})
	run(t, vm)
	if err := vm.TraceMemory(); err != nil {
		t.Fatal(err)
	}
	return trace.String()
}

// TestEngines: what a module does in its life is the same in every engine, call by call, and so is
// its memory in the end. The interpreter of wazero runs all that its compiler runs; engines in
// other languages replay a trace of that, and see where traces differ.
func TestEngines(t *testing.T) {
	whole := traceOf(t, compiled, runWhole)
	t.Run("wazero's interpreter", func(t *testing.T) {
		want, got := strings.Split(whole, "\n"), strings.Split(traceOf(t, interpreted, runWhole), "\n")
		for i := range max(len(want), len(got)) {
			if i == len(want) || i == len(got) || want[i] != got[i] {
				t.Fatalf("event %d of %d and %d differs", i+1, len(want), len(got))
			}
		}
	})
	short := traceOf(t, compiled, func(t *testing.T, vm *wasmhost.VM) {
		t.Helper()
		serves(t, vm, newRoot(t, vm, policyA), "https://a.example")
	})
	dir := t.TempDir()
	write := func(name, trace string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(trace), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	traces := []string{write("whole", whole)}
	want := []string{fmt.Sprintf("^%s: %d calls$", traces[0], strings.Count(whole, "\ncall "))}
	for name, change := range map[string][2]string{
		"another argument": {"\ncall env.proxy_get_header_map_pairs 2 ", "\ncall env.proxy_get_header_map_pairs 0 "},
		"another header":   {base64.StdEncoding.EncodeToString([]byte("X-Seen")), base64.StdEncoding.EncodeToString([]byte("X-Size"))},
		"another result":   {"\nleave 1\n", "\nleave 0\n"},
		"another answer":   {base64.StdEncoding.EncodeToString([]byte("https://a.example")), base64.StdEncoding.EncodeToString([]byte("https://c.example"))},
		"another memory":   {"\nmemory ", "\nmemory 1"},
	} {
		differs := strings.Replace(short, change[0], change[1], 1)
		if differs == short {
			t.Fatalf("the trace has no %q:\n%s", change[0], short)
		}
		path := write(name, differs)
		traces = append(traces, path)
		want = append(want, "^"+path+`: event \d+ `)
	}
	for _, r := range replayers {
		t.Run(r.name, func(t *testing.T) {
			out, err := r.replay(traces...)
			lines := strings.Split(strings.TrimSpace(out), "\n")
			if err != nil || len(lines) != len(want) {
				t.Fatalf("%v\n%s", err, out)
			}
			for i, line := range lines {
				if !regexp.MustCompile(want[i]).MatchString(line) {
					t.Errorf("%.2000s\nwant %s", line, want[i])
				}
			}
		})
	}
}

// A replayer is an engine that replays traces.
type replayer struct {
	name    string
	command []string
}

var replayers = []replayer{
	{"V8", []string{"node", "replay/replay.mjs"}},
	{"V8's baseline compiler", []string{"node", "--liftoff-only", "replay/replay.mjs"}},
	{"V8's optimizing compiler", []string{"node", "--no-liftoff", "replay/replay.mjs"}},
	{"V8, whose collector moves all", []string{"node", "--stress-compaction", "replay/replay.mjs"}},
	{"Wasmtime", []string{"python3", "replay/replay.py"}},
}

// replay returns what the engine says of traces of the module.
func (r replayer) replay(traces ...string) (string, error) {
	module, err := envoytest.Module()
	if err != nil {
		return "", err
	}
	tools := filepath.Join(filepath.Dir(module), "tools")
	name := r.command[0]
	if installed := filepath.Join(tools, "node", "bin", name); isFile(installed) {
		name = installed
	}
	cmd := exec.Command(name, slices.Concat(r.command[1:], []string{module}, traces)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(tools, "wasmtime"), "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func isFile(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// permissive is an upstream that lets every page have its answers.
var permissive = cases.Upstream{Headers: [][2]string{
	{"Access-Control-Allow-Origin", "https://evil.example"}, {"Access-Control-Allow-Credentials", "true"},
}}
