package wazero_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/choices"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/wasmhost"
)

// What is held is what a module says that it keeps. Only the one with faults in it says so: the host
// knows what it has told the module, and not what that has forgotten.
type held struct {
	streams int
	waiting int // of the streams, for look-ups
	asked   int // look-ups that are under way
	fetches int // requests that are, those look-ups among them
	plugins int
}

// holds asks the module with faults in it what it holds.
func holds(t *testing.T, vm *wasmhost.VM) (h held) {
	t.Helper()
	for name, n := range map[string]*int{"streams": &h.streams, "waiting": &h.waiting, "asked": &h.asked,
		"fetches": &h.fetches, "plugins": &h.plugins} {
		result, err := vm.Call("faults_" + name)
		if err != nil {
			t.Fatal(err)
		}
		*n = int(result)
	}
	return h
}

// holdsNothing checks that a VM whose plugins are all gone has forgotten everything.
func holdsNothing(t *testing.T, vm *wasmhost.VM) {
	t.Helper()
	if got := holds(t, vm); got != (held{}) {
		t.Errorf("all is over, and the module holds %+v", got)
	}
}

// TestHoldsNothing: whatever is done to the VMs of a proxy, the module has each stream and each plugin
// as long as it lives, and nothing of it afterwards: no stream, none that waits, no look-up, no fetch.
// The module is the one with faults in it, which tells, and otherwise does the same.
func TestHoldsNothing(t *testing.T) {
	t.Run("whole life", func(t *testing.T) {
		_, vm := newFaultyVM(t)
		runWhole(t, vm)
		holdsNothing(t, vm)
	})
	t.Run("many streams", func(t *testing.T) {
		_, vm := newFaultyVM(t)
		root := newRoot(t, vm, lookingUp(""))
		for _, request := range []func(i int) cases.Request{
			func(i int) cases.Request { return from(fmt.Sprintf("https://n%d.example", i%50)) },
			func(int) cases.Request { return preflightFrom("https://a.example") },
			func(int) cases.Request { return plain },
		} {
			var streams []*wasmhost.Stream
			for i := range 5_000 {
				s := root.Begin(request(i))
				if err := s.Request(); err != nil {
					t.Fatal(err)
				}
				streams = append(streams, s)
			}
			if got := holds(t, vm); got.streams != len(streams) {
				t.Errorf("of %d streams the module holds %+v", len(streams), got)
			}
			for _, s := range streams {
				if err := s.End(); err != nil {
					t.Fatal(err)
				}
			}
			if got := holds(t, vm); got.streams > 0 || got.waiting > 0 {
				t.Errorf("no stream is left, and the module holds %+v", got)
			}
		}
		remove(t, root)
		holdsNothing(t, vm)
	})
	t.Run("sequences", func(t *testing.T) {
		random := rand.New(rand.NewPCG(3, 4)) // other ones than those of FuzzModule
		for i := range choices.Rounds(100) {
			bytes := make([]byte, 300)
			for j := range bytes {
				bytes[j] = byte(random.Uint32())
			}
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				w := newWorld(t, faulty, choices.Of(bytes))
				w.tells = true
				w.run()
			})
		}
	})
}
