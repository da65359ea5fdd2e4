package wazero_test

import (
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/wazero/wasmhost"
)

// quarter is how much of the memory that Envoy gives a VM one plugin may need.
const quarter = 1 << 30 / 4

// TestLargest: the longest documents of the shortest elements, configured a second time
// while the first serves, as on an update, take at most a quarter of the memory that a
// VM has, whether they are accepted or refused. What one VM accepts, another does too.
func TestLargest(t *testing.T) {
	documents := cases.Largest(config.MaxSize)
	// Those that take the most; package config's test has all of them.
	for _, name := range []string{
		"origins", "wildcards", "one origin", "bad origins", "regexes", "deep prefixes", "policies by host", "policies with lists of their own", "policies with a regex of their own",
	} {
		t.Run(name, func(t *testing.T) {
			doc := documents[name]
			vm := newVM(t)
			var old *wasmhost.Root
			for range 2 {
				root, err := vm.NewRoot(doc)
				if vm.Err() != nil {
					t.Fatal(vm.Err())
				}
				remove(t, old)
				if old = root; err != nil {
					remove(t, root)
					old = nil
				}
			}
			accepted := old != nil
			t.Logf("accepted %t, %d MiB", accepted, vm.MemorySize()>>20)
			if size := vm.MemorySize(); size > quarter {
				t.Errorf("the VM has %d MiB", size>>20)
			}
			if lines := len(vm.Logs()); lines > 2*(2+100+1)+1 {
				t.Errorf("%d lines in the log", lines)
			}
		})
	}
}
