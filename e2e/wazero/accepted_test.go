package wazero_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/wasmhost"
)

// sibling returns one more VM of the same proxy.
func sibling(t *testing.T, module *wasmhost.Module, of *wasmhost.VM) *wasmhost.VM {
	t.Helper()
	vm, err := module.NewSibling(of)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { vm.Close() })
	return vm
}

// deniesAll checks that root allows no origin, whatever the upstream says, and why.
func deniesAll(t *testing.T, vm *wasmhost.VM, root *wasmhost.Root, why string) {
	t.Helper()
	permissive := cases.Upstream{Headers: [][2]string{
		{"Access-Control-Allow-Origin", "https://a.example"}, {"Access-Control-Allow-Credentials", "true"},
		{"Access-Control-Expose-Headers", "X-Seen"},
	}}
	result := exchange(t, vm, root, actualA, permissive)
	if got := cases.Lines(result.Headers); !result.Forwarded || !slices.Equal(got, []string{"vary: Origin"}) {
		t.Errorf("forwarded %t, with %q", result.Forwarded, got)
	}
	result = exchange(t, vm, root, plain, cases.Upstream{})
	if got := cases.Lines(result.Headers); !result.Forwarded || !slices.Equal(got, []string{"vary: Origin"}) {
		t.Errorf("without an origin: forwarded %t, with %q", result.Forwarded, got)
	}
	result = exchange(t, vm, root, allowedA, cases.Upstream{})
	want := []string{"vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
	if got := cases.Lines(result.Headers); result.Forwarded || result.Status != 403 || !slices.Equal(got, want) {
		t.Errorf("preflight: forwarded %t, status %d, %q", result.Forwarded, result.Status, got)
	}
	if want := strings.ReplaceAll("cors: "+why, " ", "_"); result.Details != want {
		t.Errorf("details %q, want %q", result.Details, want)
	}
}

// configuring returns the host calls of the creation of a root context, and those of
// its configuration, but for those that are about the configuration's note, and for
// the definition of counters.
func configuring(root *wasmhost.Root) (creation, configuration []string) {
	calls := slices.DeleteFunc(root.Calls(), func(call string) bool {
		return strings.Contains(call, "shared ") || strings.HasPrefix(call, "property ") ||
			strings.Contains(call, "started") || strings.HasPrefix(call, "define ")
	})
	at := slices.Index(calls, "call proxy_on_configure")
	return calls[1:at], calls[at+1:]
}

// TestAccepted: what one VM of a proxy has accepted, all others take when the
// plugin's context is created, and have nothing left to refuse.
func TestAccepted(t *testing.T) {
	module, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	const read, took = "buffer plugin configuration", "log info now serving 1 policy"
	first := newVM(t)
	creation, configuration := configuring(newRoot(t, first, policyA))
	if !slices.Equal(creation, []string{read}) || !slices.Equal(configuration, []string{read, took}) {
		t.Errorf("the first VM: created by %q, configured by %q", creation, configuration)
	}
	worker := sibling(t, module, first)
	root := newRoot(t, worker, policyA)
	creation, configuration = configuring(root)
	// It has been said.
	if !slices.Equal(creation, []string{read}) || len(configuration) > 0 {
		t.Errorf("the next VM: created by %q, configured by %q", creation, configuration)
	}
	serves(t, worker, root, "https://a.example")
	if n := worker.Metrics()["cors.panics"]; n > 0 {
		t.Errorf("%d panics", n)
	}

	// Another configuration is another matter, a refused one too.
	_, configuration = configuring(newRoot(t, worker, policyB))
	if !slices.Contains(configuration, took) {
		t.Errorf("a new configuration: configured by %q", configuration)
	}
	for range 2 {
		root, err := worker.NewRoot(`{"allow_origins": 1}`)
		if !errors.Is(err, wasmhost.ErrRefused) {
			t.Errorf("a bad configuration: %v", err)
		}
		deniesAll(t, worker, root, "the filter is not configured, so that no origin is allowed")
	}
	// Another proxy knows nothing of it.
	_, configuration = configuring(newRoot(t, newVM(t), policyA))
	if !slices.Contains(configuration, took) {
		t.Errorf("another proxy: configured by %q", configuration)
	}
}

// TestAcceptedIsBounded: shared data lives as long as the proxy, and doesn't grow
// with its updates.
func TestAcceptedIsBounded(t *testing.T) {
	module, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	const remembered, noteSize = 128, 16
	config := func(n int) string { return fmt.Sprintf(`{"allow_origins": ["https://n%d.example"]}`, n) }
	first := newVM(t)
	keys, longest := map[string]bool{}, 0
	for n := range remembered + 10 {
		root := newRoot(t, first, config(n))
		for _, call := range root.Calls() {
			if set, ok := strings.CutPrefix(call, "set shared "); ok {
				key, value, _ := strings.Cut(set, ": ")
				keys[key], longest = true, max(longest, len(value))
			}
		}
		if err := root.Delete(); err != nil {
			t.Fatal(err)
		}
	}
	if len(keys) != 1 || longest != remembered*noteSize {
		t.Errorf("%d keys, and a value of %d bytes; want 1 and %d", len(keys), longest, remembered*noteSize)
	}
	// The latest are known, and those that are forgotten are taken as new ones.
	worker := sibling(t, module, first)
	for n := range remembered + 10 {
		_, configuration := configuring(newRoot(t, worker, config(remembered+9-n)))
		if known, want := len(configuration) == 0, n < remembered; known != want {
			t.Errorf("the configuration before the last %d: known %t, want %t", n, known, want)
		}
	}
}

// TestPanicAfterAcceptance: a worker that fails to take what was accepted must not
// refuse it, or Envoy would serve without the filter. It allows no origin.
func TestPanicAfterAcceptance(t *testing.T) {
	module, first := newFaultyVM(t)
	config := strings.Replace(policyA, "X-Seen", "X-Fault-Panic", 1)
	serves(t, first, newRoot(t, first, config), "https://a.example")
	worker := sibling(t, module, first)
	root := newRoot(t, worker, config)
	if n := worker.Metrics()["cors.panics"]; n != 1 {
		t.Errorf("%d panics are counted, want 1", n)
	}
	if want := "critical bug: panic in proxy_on_context_create: fault at proxy_on_context_create; further ones are only counted, in cors.panics"; !slices.Contains(worker.Logs(), want) {
		t.Errorf("the log lacks %q: %q", want, worker.Logs())
	}
	deniesAll(t, worker, root, "the filter is not configured, so that no origin is allowed")
	// The next update serves.
	serves(t, worker, newRoot(t, worker, policyB), "https://b.example")
}

// TestDeathAfterAcceptance: a worker that dies of what was accepted does so before
// it is asked to configure: Envoy then fails its requests.
func TestDeathAfterAcceptance(t *testing.T) {
	for _, way := range []string{"Memory", "Stack", "Trap"} {
		t.Run(way, func(t *testing.T) {
			module, first := newFaultyVM(t)
			config := strings.Replace(policyA, "X-Seen", "X-Fault-"+way, 1)
			serves(t, first, newRoot(t, first, config), "https://a.example")
			worker := sibling(t, module, first)
			if _, err := worker.NewRoot(config); err == nil || worker.Err() == nil ||
				!strings.HasPrefix(err.Error(), "proxy_on_context_create: ") {
				t.Errorf("got %v, and the VM has %v", err, worker.Err())
			}
		})
	}
}

// TestDeathBeforeAcceptance: a VM that dies when it has read a configuration, of what that
// has left, notes nothing: the next one is asked again, and may refuse.
func TestDeathBeforeAcceptance(t *testing.T) {
	module, first := newFaultyVM(t)
	config := strings.Replace(policyA, "X-Seen", "X-Late-Fault-Trap", 1)
	for _, vm := range []*wasmhost.VM{first, sibling(t, module, first)} {
		if _, err := vm.NewRoot(config); err == nil || !strings.HasPrefix(err.Error(), "proxy_on_configure: ") {
			t.Errorf("got %v, and want a death in proxy_on_configure", err)
		}
	}
}
