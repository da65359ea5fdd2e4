package wazero_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/wasmhost"
)

// outcomes has a request of each outcome, for countedPolicy.
var outcomes = map[string]cases.Request{
	"allowed":                           actualA,
	"denied_origin":                     actualB,
	"denied_malformed_origin":           {Headers: [][2]string{{"Origin", "none"}}},
	"preflight_allowed":                 allowedA,
	"preflight_denied_origin":           preflight("https://b.example", "x-a"),
	"preflight_denied_malformed_origin": preflight("https://a.example, https://a.example", "x-a"),
	"preflight_denied_method":           rejectedA,
	"preflight_denied_header":           preflight("https://a.example", "x-b"),
	"preflight_denied_malformed":        preflight("https://a.example", "x a"),
}

func preflight(origin, headers string) cases.Request {
	return cases.Request{Method: "OPTIONS", Headers: [][2]string{{"Origin", origin},
		{"Access-Control-Request-Method", "PUT"}, {"Access-Control-Request-Headers", headers}}}
}

// countedPolicy is a policy with a name, a host and a mode.
func countedPolicy(name, host, mode string) string {
	return fmt.Sprintf(`{"name": %q, "match": {"hosts": [%q]}, "mode": %q, %s`, name, host, mode,
		strings.TrimPrefix(policyA, "{"))
}

func policies(list ...string) string { return `{"policies": [` + strings.Join(list, ", ") + `]}` }

// zeros are the counters of a policy before anything is counted, with those of the filter.
func zeros(policy, prefix string) map[string]uint64 {
	all := map[string]uint64{"cors.panics": 0}
	for outcome := range outcomes {
		all[counter(policy, prefix+outcome)] = 0
	}
	if prefix != "" {
		for _, verdict := range []string{"same", "looser", "stricter"} {
			all[counter(policy, prefix+verdict)] = 0
		}
	}
	return all
}

// defined are the names of the counters that calls define, in their order.
func defined(calls []string) (names []string) {
	for _, call := range calls {
		if name, ok := strings.CutPrefix(call, "define counter "); ok {
			names = append(names, name)
		}
	}
	return names
}

// TestCounters: what a policy may count is there from the start, each decision adds one to
// the counter of its outcome, and a request without an Origin to none.
func TestCounters(t *testing.T) {
	for mode, prefix := range map[string]string{"enforce": "", "shadow": "shadow_"} {
		t.Run(mode, func(t *testing.T) {
			vm := newVM(t)
			root := newRoot(t, vm, policies(countedPolicy("a.b", "a.test", mode)))
			want := zeros("a.b", prefix)
			if diff := cmp.Diff(want, vm.Metrics()); diff != "" {
				t.Errorf("at the start (-want +got):\n%s", diff)
			}
			for _, host := range []string{"a.test", "other.test"} {
				exchange(t, vm, root, cases.Request{Host: host}, cases.Upstream{})
				exchange(t, vm, root, cases.Request{Host: host, Method: "OPTIONS"}, cases.Upstream{})
			}
			n := uint64(0)
			for outcome, request := range outcomes {
				n++
				want[counter("a.b", prefix+outcome)] = n
				switch {
				case mode == "enforce":
				case strings.HasSuffix(outcome, "allowed"):
					want[counter("a.b", "shadow_looser")] += n
				default:
					want[counter("a.b", "shadow_same")] += n
				}
				request.Host = "a.test"
				for range n {
					exchange(t, vm, root, request, cases.Upstream{})
				}
				request.Host = "other.test"
				exchange(t, vm, root, request, cases.Upstream{})
			}
			if diff := cmp.Diff(want, vm.Metrics()); diff != "" {
				t.Errorf("afterwards (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCountersAreDefinedOnce: the proxy gives a counter a new number each time, so that a
// VM defines each once, whoever counts there; a policy without a name counts as "default".
func TestCountersAreDefinedOnce(t *testing.T) {
	vm := newVM(t)
	first := newRoot(t, vm, policyA)
	if names := defined(first.Calls()); len(names) != len(zeros("default", "")) ||
		len(slices.Compact(slices.Sorted(slices.Values(names)))) != len(names) || names[0] != "cors.panics" {
		t.Errorf("the first plugin defines %q", names)
	}
	exchange(t, vm, first, actualA, cases.Upstream{})
	if err := first.Delete(); err != nil {
		t.Fatal(err)
	}
	for _, config := range []string{policyB, policies(countedPolicy("default", "a.test", "enforce"))} {
		root := newRoot(t, vm, config)
		if names := defined(root.Calls()); len(names) > 0 {
			t.Errorf("%s defines again %q", config, names)
		}
		exchange(t, vm, root, actualB, cases.Upstream{})
	}
	serves(t, vm, newRoot(t, vm, policyB), "https://b.example")
	if n := vm.Metrics()[counter("default", "allowed")]; n != 3 {
		t.Errorf("%d requests are counted as allowed, want 3", n)
	}
}

// TestManyPoliciesCountAsOne: the proxy keeps counters for good, so that more than a
// thousand policies have those of one.
func TestManyPoliciesCountAsOne(t *testing.T) {
	for n, names := range map[int]int{1000: 1000, 1001: 1} {
		list := make([]string, n)
		for i := range list {
			list[i] = countedPolicy(fmt.Sprintf("p%d", i), fmt.Sprintf("h%d.test", i), "enforce")
		}
		vm := newVM(t)
		root := newRoot(t, vm, policies(list...))
		request := actualA
		request.Host = "h7.test"
		exchange(t, vm, root, request, cases.Upstream{})
		if got, want := len(vm.Metrics()), 1+names*len(outcomes); got != want {
			t.Errorf("%d policies: %d counters, want %d", n, got, want)
		}
		name := map[int]string{1000: "p7", 1001: "*"}[n]
		if vm.Metrics()[counter(name, "allowed")] != 1 {
			t.Errorf("%d policies: nothing is counted for %q", n, name)
		}
	}
}

// TestRenamedPoliciesCountAsOne: a source that renames its policies again and again doesn't
// fill the proxy with counters. What has counters goes on with them.
func TestRenamedPoliciesCountAsOne(t *testing.T) {
	const bound, of = 4000, 800
	vm := newVM(t)
	root := newRoot(t, vm, `{"policy_source": {"cluster": "policies"}}`)
	update := func(first int, mode string) {
		list := make([]string, of)
		for i := range list {
			list[i] = countedPolicy(fmt.Sprintf("p%d", first+i), fmt.Sprintf("h%d.test", i), mode)
		}
		fetched(t, root, policies(list...))
		request := actualA
		request.Host = "h7.test"
		exchange(t, vm, root, request, cases.Upstream{})
	}
	want := map[string]uint64{}
	for n := range bound/of + 5 {
		name := "*"
		if n*of+7 < bound-1 { // the filter's own policy has counters too
			name = fmt.Sprintf("p%d", n*of+7)
		}
		want[name]++
		update(n*of, "enforce")
	}
	want["p7"]++
	update(0, "enforce")
	for name, n := range want {
		if got := vm.Metrics()[counter(name, "allowed")]; got != n {
			t.Errorf("%d requests are counted for %s, want %d", got, name, n)
		}
	}
	update(0, "shadow")
	if got := vm.Metrics()[counter("*", "shadow_looser")]; got != 1 {
		t.Errorf("%d are compared for *, want 1", got)
	}
	// The five of the filter and its source, and "*" with both modes.
	if got, most := len(vm.Metrics()), 5+len(outcomes)*(bound+2)+3; got != most {
		t.Errorf("%d counters, want %d", got, most)
	}
}

// TestFetchedPoliciesCount: the counters of a policy source are there from the start, and
// those of a document's policies when it is taken.
func TestFetchedPoliciesCount(t *testing.T) {
	vm := newVM(t)
	root := newRoot(t, vm, `{"policy_source": {"cluster": "policies"}}`)
	want := zeros("default", "")
	for _, counts := range []string{"updated", "unchanged", "refused", "failed"} {
		want["cors.policy_source."+counts] = 0
	}
	if diff := cmp.Diff(want, vm.Metrics()); diff != "" {
		t.Errorf("at the start (-want +got):\n%s", diff)
	}
	exchange(t, vm, root, actualA, cases.Upstream{})
	want[counter("default", "denied_origin")]++
	for _, name := range []string{"one", "two", "one"} {
		fetched(t, root, policies(countedPolicy(name, "a.test", "enforce")))
		for name, zero := range zeros(name, "") {
			want[name] += zero
		}
		request := actualA
		request.Host = "a.test"
		exchange(t, vm, root, request, cases.Upstream{})
		want[counter(name, "allowed")]++
		want["cors.policy_source.updated"]++
		if diff := cmp.Diff(want, vm.Metrics()); diff != "" {
			t.Errorf("with %s (-want +got):\n%s", name, diff)
		}
	}
	names := defined(root.Calls())
	if want := slices.Collect(maps.Keys(want)); len(names) != len(want) {
		t.Errorf("%d counters are defined, want %d", len(names), len(want))
	}
}

// fetched has the root's source serve a document.
func fetched(t *testing.T, root *wasmhost.Root, document string) {
	t.Helper()
	if err := root.Tick(); err != nil {
		t.Fatal(err)
	}
	calls := root.HTTPCalls()
	if err := root.AnswerHTTPCall(calls[len(calls)-1].Token, 200, nil, document); err != nil {
		t.Fatal(err)
	}
}
