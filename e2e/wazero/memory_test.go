package wazero_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/wasmhost"
)

// The sizes of documents in bytes, each many times what requests need.
const (
	largeDocument  = 1_000_000
	mediumDocument = 300_000
	smallDocument  = 30_000
)

const (
	// rounds is how often the sizes of a test come again: the memory after the last
	// round may be a tenth more than after the settling ones. In the first one, the first
	// large document comes into a heap that is empty, and so needs less of it.
	rounds   = 8
	settling = 2
	// flood is how many denied preflights come after each update, where some do. They let
	// the collector end what it has begun: without requests it has to be told.
	flood = 300
)

// sizedPolicy returns a policy of about that size, which allows https://a.example. No
// two share an origin with another n but that.
func sizedPolicy(size, n int) string {
	var b strings.Builder
	b.WriteString(`{"allow_origins": ["https://a.example"`)
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, `, "https://tenant-%d.v%d.example"`, i, n)
	}
	b.WriteString(`], "allow_credentials": true}`)
	return b.String()
}

// TestUpdatesMemory gives a VM one policy after the other, and expects the memory of the
// first ones to do for all. The VM's memory never shrinks, so that its size is the most
// that was ever needed.
func TestUpdatesMemory(t *testing.T) {
	equal := []int{mediumDocument, mediumDocument, mediumDocument, mediumDocument}
	// A collector that is open after the large one takes the small ones for live.
	mixed := []int{largeDocument, smallDocument, smallDocument, smallDocument, smallDocument}
	// Refused for its last origin.
	refused := func(size, n int) string {
		return strings.Replace(sizedPolicy(size, n), `"], "`, `/"], "`, 1)
	}
	for _, c := range []struct {
		name   string
		sizes  []int
		flood  int
		update func(t *testing.T, vm *wasmhost.VM) func(size, n int) (serving *wasmhost.Root)
	}{
		{"configurations of one size", equal, 0, byConfiguration},
		{"configurations, a large one and small ones", mixed, flood, byConfiguration},
		{"refused configurations", mixed, 0, byRefusedConfiguration(refused)},
		{"fetched documents of one size", equal, 0, byFetch(sizedPolicy)},
		{"fetched documents, a large one and small ones", mixed, flood, byFetch(sizedPolicy)},
		{"refused documents", mixed, flood, byFetch(refused)},
		{"two plugins of one VM", mixed, 0, byTwo},
		{"two plugins of one VM, with requests", mixed, flood, byTwo},
	} {
		t.Run(c.name, func(t *testing.T) {
			vm := newVM(t)
			update := c.update(t, vm)
			var after []uint32
			for n := range rounds * len(c.sizes) {
				root := update(c.sizes[n%len(c.sizes)], n)
				for i := range c.flood {
					if result := exchange(t, vm, root, denied(i), cases.Upstream{}); result.Status != 403 {
						t.Fatalf("a denied preflight: %+v", result)
					}
				}
				if result := exchange(t, vm, root, actualA,
					cases.Upstream{}); allowedOrigin(result) != "https://a.example" {
					t.Fatalf("after update %d: %+v", n, result)
				}
				if (n+1)%len(c.sizes) == 0 {
					after = append(after, vm.MemorySize())
				}
			}
			t.Logf("MiB after each round of %d updates: %s", len(c.sizes), mebibytes(after))
			if first, last := after[settling-1], after[rounds-1]; last > first+first/10 {
				t.Errorf("the VM has %d bytes after %d rounds, and had %d after %d", last, rounds, first, settling)
			}
		})
	}
}

// byConfiguration replaces the plugin by one with another configuration.
func byConfiguration(t *testing.T, vm *wasmhost.VM) func(size, n int) *wasmhost.Root {
	t.Helper()
	var root *wasmhost.Root
	return func(size, n int) *wasmhost.Root {
		old := root
		root = newRoot(t, vm, sizedPolicy(size, n))
		remove(t, old)
		return root
	}
}

// byRefusedConfiguration offers configurations that are refused beside one that serves.
func byRefusedConfiguration(refused func(size, n int) string) func(t *testing.T, vm *wasmhost.VM) func(size,
	n int) *wasmhost.Root {
	return func(t *testing.T, vm *wasmhost.VM) func(size, n int) *wasmhost.Root {
		t.Helper()
		root := newRoot(t, vm, policyA)
		return func(size, n int) *wasmhost.Root {
			bad, err := vm.NewRoot(refused(size, n))
			if !errors.Is(err, wasmhost.ErrRefused) {
				t.Fatal(err)
			}
			remove(t, bad)
			return root
		}
	}
}

const fetching = `{"policy_source": {"cluster": "policies", "path": "/cors.json", "authority": "policies.internal", "interval": "10s", "timeout": "2s"},
	"policies": [{"name": "first", "allow_origins": ["https://a.example"]}]}`

// byFetch answers the plugin's fetches with documents.
func byFetch(policy func(size, n int) string) func(t *testing.T, vm *wasmhost.VM) func(size, n int) *wasmhost.Root {
	return func(t *testing.T, vm *wasmhost.VM) func(size, n int) *wasmhost.Root {
		t.Helper()
		root := newRoot(t, vm, fetching)
		return func(size, n int) *wasmhost.Root {
			answerFetch(t, root, policy(size, n))
			return root
		}
	}
}

// byTwo updates one plugin by its configuration and the other by its source, in turn.
func byTwo(t *testing.T, vm *wasmhost.VM) func(size, n int) *wasmhost.Root {
	t.Helper()
	configured, fetched := byConfiguration(t, vm), byFetch(sizedPolicy)(t, vm)
	return func(size, n int) *wasmhost.Root {
		fetched(size, n)
		return configured(size, n)
	}
}

// answerFetch has the plugin fetch, and answers with a document of the one policy.
func answerFetch(t *testing.T, root *wasmhost.Root, policy string) {
	t.Helper()
	if err := root.Tick(); err != nil {
		t.Fatal(err)
	}
	document := `{"policies": [{"name": "fetched", ` + strings.TrimPrefix(policy, "{") + `]}`
	if err := root.AnswerHTTPCall(root.HTTPCalls()[0].Token, 200, nil, document); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, root *wasmhost.Root) {
	t.Helper()
	if root == nil {
		return
	}
	if err := root.Delete(); err != nil {
		t.Fatal(err)
	}
}

// denied returns a preflight that is denied, each for a reason of its own.
func denied(i int) cases.Request {
	return cases.Request{Method: "OPTIONS", Headers: [][2]string{
		{"Origin", "https://a.example"}, {"Access-Control-Request-Method", fmt.Sprintf("METHOD-%d", i)},
	}}
}

func mebibytes(sizes []uint32) string {
	var b strings.Builder
	for _, size := range sizes {
		fmt.Fprintf(&b, " %.1f", float64(size)/(1<<20))
	}
	return b.String()
}

// TestFloodMemory sends many requests of one kind, as any client can, and expects those
// after the first thousand to add nothing. The VM has had documents before: they once
// left the collector open, and then each denied preflight's reason stayed.
func TestFloodMemory(t *testing.T) {
	vm := newVM(t)
	root, update := newRoot(t, vm, policyA), byTwo(t, vm)
	for n := range 3 {
		update(largeDocument, 5*n)
		for i := range 4 {
			update(smallDocument, 5*n+1+i)
		}
	}
	long := strings.Repeat("x-a,", 10_000)
	longer := strings.Repeat("a", 100_000)
	preflight := func(name, value string) cases.Request {
		r := denied(0)
		r.Headers = append(r.Headers, [2]string{name, value})
		return r
	}
	for _, c := range []struct {
		name     string
		requests int
		request  func(i int) cases.Request
		up       cases.Upstream
		early    bool
	}{
		{"denied preflights", 50_000, denied, cases.Upstream{}, false},
		{"malformed origins", 50_000, func(i int) cases.Request {
			return cases.Request{Headers: [][2]string{{"Origin", fmt.Sprintf("https://%d.example/", i)}}}
		}, cases.Upstream{}, false},
		{"preflights of malformed origins", 50_000, func(i int) cases.Request {
			r := denied(i)
			r.Headers[0][1] = fmt.Sprintf("https://%d.example/", i)
			return r
		}, cases.Upstream{}, false},
		{"long lists of headers", 2_500, func(int) cases.Request {
			return preflight("Access-Control-Request-Headers", long)
		}, cases.Upstream{}, false},
		{"a long method", 2_500, func(int) cases.Request {
			r := denied(0)
			r.Headers[1][1] = longer
			return r
		}, cases.Upstream{}, false},
		{"a long origin", 2_500, func(int) cases.Request {
			return cases.Request{Headers: [][2]string{{"Origin", "https://" + longer}}}
		}, cases.Upstream{}, false},
		{"long other headers", 2_500, func(int) cases.Request {
			r := actualA
			r.Headers = append(r.Headers[:1:1], [2]string{"X-Other", longer})
			return r
		}, cases.Upstream{Headers: [][2]string{{"X-Other", longer}}}, false},
		{"streams that are left early", 50_000, func(int) cases.Request { return actualA }, cases.Upstream{}, true},
		{"preflights that are left early", 50_000, denied, cases.Upstream{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			const first = 1000
			var before uint32
			for i := range c.requests {
				s := root.Begin(c.request(i))
				err := s.Request()
				if err == nil && s.Result().Forwarded && !c.early {
					err = s.Response(c.up)
				}
				if err = errors.Join(err, s.End()); err != nil {
					t.Fatal(err)
				}
				if i+1 == first {
					before = vm.MemorySize()
				}
			}
			t.Logf("%.1f MiB after %d requests, %.1f after %d", float64(before)/(1<<20), first,
				float64(vm.MemorySize())/(1<<20), c.requests)
			const slack = 1 << 20 // the first cycle of the collector may be later; 21 bytes a request show
			if after := vm.MemorySize(); after > before+slack {
				t.Errorf("the VM has %d bytes after %d requests, and had %d after %d", after, c.requests, before, first)
			}
		})
	}
}
