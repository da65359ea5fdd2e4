package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/wasmhost"
)

// TestEqual: the floor makes the very callbacks and host calls that the filter makes, in
// their order and with what is in them.
func TestEqual(t *testing.T) {
	wat := filepath.Join(t.TempDir(), "equal.wasm")
	if text, err := exec.Command("wat2wasm", "equal.wat", "-o", wat).CombinedOutput(); err != nil {
		t.Fatalf("wat2wasm, of Debian's package wabt: %v\n%s", err, text)
	}
	from := func(more ...[2]string) [][2]string { return append([][2]string{{"Origin", origin}}, more...) }
	for _, test := range []struct {
		name    string
		request cases.Request
		up      cases.Upstream
	}{
		{name: noOrigin},
		{name: "no Origin, the answer varies", up: cases.Upstream{Headers: [][2]string{{"Vary", "Origin"}}}},
		{name: actual, request: cases.Request{Headers: from()}},
		{name: "actual, the answer is right", request: cases.Request{Headers: from()}, up: cases.Upstream{
			Headers: [][2]string{{"Access-Control-Allow-Origin", origin}, {"Vary", "Origin"}},
		}},
		{name: preflight, request: cases.Request{Method: "OPTIONS", Headers: from(
			[2]string{"Access-Control-Request-Method", "POST"}, [2]string{"Access-Control-Request-Headers", "x-pingother"},
		)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			filter := emulate(t, "../build/cors.wasm", test.request, test.up)
			floor := emulate(t, wat, test.request, test.up)
			if diff := cmp.Diff(filter, floor); diff != "" {
				t.Errorf("the filter's (-) and the floor's (+):\n%s", diff)
			}
		})
	}
}

// emulate is what a module with the benchmark's policy makes of a request.
func emulate(t *testing.T, path string, request cases.Request, up cases.Upstream) wasmhost.Result {
	t.Helper()
	module, err := wasmhost.Compile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer module.Close()
	vm, err := module.NewVM()
	if err != nil {
		t.Fatal(err)
	}
	root, err := vm.NewRoot(policy)
	if err != nil {
		t.Fatal(err)
	}
	result, err := vm.Exchange(root, request, up)
	if err != nil {
		t.Fatal(err)
	}
	return result
}
