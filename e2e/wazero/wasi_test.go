package wazero_test

import (
	"strings"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/wasmhost"
)

// missing is WASI's error of a function that there is not, ENOSYS.
const missing = 52

// TestMinimalWASI: each function of WASI that the module imports may be missing, and all of them
// together, but for a clock. What was remembered for a time needs one, so that without it no VM
// starts.
func TestMinimalWASI(t *testing.T) {
	module, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	const clock = "wasi_snapshot_preview1.clock_time_get"
	all := map[string]uint32{}
	for _, name := range module.Imports() {
		if !strings.HasPrefix(name, "wasi_") {
			continue
		}
		fails := map[string]uint32{name: missing}
		if name == clock {
			t.Run(name, func(t *testing.T) {
				if vm, err := module.NewQuirkyVM(wasmhost.Quirks{Fails: fails}); err == nil {
					vm.Close()
					t.Error("a VM starts without a clock")
				}
			})
			continue
		}
		all[name] = missing
		t.Run(name, func(t *testing.T) {
			vm := newQuirkyVM(t, compiled, wasmhost.Quirks{Fails: fails})
			runLookups(t, vm)
			runSource(t, vm)
			runUpdates(t, vm)
		})
	}
	t.Run("all", func(t *testing.T) { runWhole(t, newQuirkyVM(t, compiled, wasmhost.Quirks{Fails: all})) })
}

// TestClocks: whatever the clocks say, the module starts, decides, and takes what comes. A policy
// source is polled by a clock that goes on; where the real one stands still, what serves goes on.
func TestClocks(t *testing.T) {
	const now = 1_700_000_000_000_000_000
	reads := uint64(0)
	for _, test := range []struct {
		name  string
		clock func(clock uint32, now uint64) uint64
		polls bool
	}{
		{"both are zero", func(uint32, uint64) uint64 { return 0 }, false},
		{"the monotonic one is zero", func(clock uint32, now uint64) uint64 { return now * uint64(1-clock) }, true},
		{"the real one is zero", func(clock uint32, now uint64) uint64 { return now * uint64(clock) }, false},
		{"both stand still", func(uint32, uint64) uint64 { return now }, false},
		{"both begin at zero", func(uint32, uint64) uint64 {
			reads++
			return (reads - 1) * uint64(100*time.Millisecond)
		}, true},
		{"both run back", func(uint32, uint64) uint64 { reads++; return now - reads*uint64(time.Minute) }, true},
		{"both jump", func(_ uint32, now uint64) uint64 {
			reads++
			return now + reads*7919%24*uint64(time.Hour)
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			reads = 0
			vm := newQuirkyVM(t, compiled, wasmhost.Quirks{Clock: test.clock})
			t.Run("tables", func(t *testing.T) { runTables(t, vm) })
			t.Run("updates", func(t *testing.T) { runUpdates(t, vm) })
			t.Run("look-ups", func(t *testing.T) { askOnce(t, vm) })
			if test.polls {
				t.Run("policy source", func(t *testing.T) { runSource(t, vm) })
				return
			}
			root := newRoot(t, vm, polled)
			fetched(t, root, policyA)
			for range 10 {
				if err := root.Tick(); err != nil {
					t.Fatal(err)
				}
			}
			serves(t, vm, root, "https://a.example")
			remove(t, root)
		})
	}
}

// askOnce has preflights and actual requests wait for a look-up, of which no time is remembered.
func askOnce(t *testing.T, vm *wasmhost.VM) {
	t.Helper()
	lookup := &lookupTest{t, vm, newRoot(t, vm, lookingUp(""))}
	for _, answer := range []struct {
		status  int
		allowed string
	}{{204, "https://shop.example"}, {404, ""}} {
		var waiting []*wasmhost.Stream
		for range 70 {
			waiting = append(waiting, lookup.begin(preflightFrom("https://shop.example")))
		}
		lookup.answer(answer.status, [2]string{"cache-control", "no-store"})
		for range 10 {
			lookup.try(lookup.root.Tick())
		}
		for _, s := range waiting {
			if got := allowedOrigin(lookup.finish(s)); got != answer.allowed {
				t.Fatalf("after %d a preflight that has waited has allow-origin %q", answer.status, got)
			}
		}
	}
	remove(t, lookup.root)
}

// TestRandom: where what is random is the same in all VMs, they serve as else, and each has a new
// document of a policy source within a second.
func TestRandom(t *testing.T) {
	module, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	quirks := wasmhost.Quirks{Random: func(b []byte) { clear(b) }}
	t.Run("whole", func(t *testing.T) { runWhole(t, newQuirkyVM(t, compiled, quirks)) })
	f := &fleet{t: t, module: module}
	f.vms = append(f.vms, newQuirkyVM(t, compiled, quirks))
	for range 3 {
		f.vms = append(f.vms, sibling(t, module, f.vms[0]))
	}
	f.roots = f.configure(polled)
	for _, origin := range []string{"https://one.example", "https://two.example"} {
		f.answer = publish(origin)
		between(t, "fetches of three VMs in ten seconds", len(f.run(10*time.Second)), 9, 3*12)
		f.serve(origin)
	}
}

// TestSilentDeath: a VM that can't say why it dies, or not end by WASI, dies all the same, and at
// once.
func TestSilentDeath(t *testing.T) {
	for name, fails := range map[string]map[string]uint32{
		"nothing can be written": {"wasi_snapshot_preview1.fd_write": missing},
		"proc_exit returns":      {"wasi_snapshot_preview1.proc_exit": missing},
		"both": {"wasi_snapshot_preview1.fd_write": missing,
			"wasi_snapshot_preview1.proc_exit": missing},
	} {
		for _, way := range []string{"trap", "memory"} {
			t.Run(name+", "+way, func(t *testing.T) {
				module, _ := newFaultyVM(t)
				vm, err := module.NewQuirkyVM(wasmhost.Quirks{Fails: fails})
				if err != nil {
					t.Fatal(err)
				}
				defer vm.Close()
				root := newRoot(t, vm, policyA)
				request := actualA
				request.Headers = append(request.Headers[:1:1], [2]string{"X-Fault", "origin " + way})
				if result, err := vm.Exchange(root, request, permissive); err == nil {
					t.Errorf("the VM lives, and answers %+v", result)
				}
			})
		}
	}
}
