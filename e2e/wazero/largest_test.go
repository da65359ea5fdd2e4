package wazero_test

import (
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/wasmhost"
)

// quarter is how much of the memory that Envoy gives a VM one plugin may need.
const quarter = 1 << 30 / 4

// TestLargest: the longest documents of the shortest elements, one after the other in one
// VM, each while the last that was accepted serves, as on an update. They take at most a
// quarter of the memory that a VM has, whether they are accepted or refused.
func TestLargest(t *testing.T) {
	documents := cases.Largest(config.MaxSize)
	vm := newVM(t)
	var serving *wasmhost.Root
	logged := 0
	// Those that take the most; package config's test has all of them. What is accepted
	// and lives on as the most comes first, and twice.
	for _, test := range []struct {
		name     string
		accepted bool
	}{
		{"deep prefixes", true},
		{"deep prefixes", true},
		{"policies by host", false},
		{"policies with lists of their own", false},
		{"policies with a regex of their own", false},
		{"regexes", false},
		{"bad origins", false},
		{"one origin", true},
		{"origins", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			root, err := vm.NewRoot(documents[test.name])
			if vm.Err() != nil {
				t.Fatal(vm.Err())
			}
			if accepted := err == nil; accepted != test.accepted {
				t.Errorf("accepted %t, want %t", accepted, test.accepted)
			}
			if err != nil {
				remove(t, root)
			} else {
				remove(t, serving)
				serving = root
			}
			t.Logf("%d MiB", vm.MemorySize()>>20)
			if size := vm.MemorySize(); size > quarter {
				t.Errorf("the VM has %d MiB", size>>20)
			}
			lines := len(vm.Logs())
			if n := lines - logged; n > 2+100+1 {
				t.Errorf("%d lines in the log", n)
			}
			logged = lines
		})
	}
}
