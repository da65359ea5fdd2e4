// Package wazero_test runs the compiled module, build/cors.wasm, in a host that
// shows every host call.
package wazero_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/wasmhost"
)

// Two policies that no answer can be confused between.
const (
	policyA = `{"allow_origins": ["https://a.example"], "allow_methods": ["PUT"], "allow_headers": ["X-A"], "expose_headers": ["X-Seen"], "max_age": 600}`
	policyB = `{"allow_origins": ["https://b.example"], "allow_credentials": true}`
)

var (
	plain    = cases.Request{}
	actualA  = cases.Request{Headers: [][2]string{{"Origin", "https://a.example"}}}
	actualB  = cases.Request{Headers: [][2]string{{"Origin", "https://b.example"}}}
	allowedA = cases.Request{Method: "OPTIONS", Headers: [][2]string{
		{"Origin", "https://a.example"}, {"Access-Control-Request-Method", "PUT"},
		{"Access-Control-Request-Headers", "x-a"},
	}}
	rejectedA = cases.Request{Method: "OPTIONS", Headers: [][2]string{
		{"Origin", "https://a.example"}, {"Access-Control-Request-Method", "DELETE"},
	}}
)

// exactCalls holds every callback and host call of some exchanges, in order:
// each costs time in every request of its kind, so one more is a decision.
var exactCalls = []struct {
	name    string
	config  string
	request cases.Request
	up      cases.Upstream
	calls   []string
	// allocations are the host's calls for memory, one for each value found.
	allocations int
}{{
	name:    "no origin",
	config:  policyA,
	request: plain,
	calls: []string{
		"call proxy_on_context_create",
		"call proxy_on_request_headers",
		"get request origin -> missing",
		"call proxy_on_response_headers",
		"get response vary -> missing",
		"add response vary: Origin",
		"call proxy_on_delete",
	},
}, {
	name:    "actual request allowed",
	config:  policyA,
	request: actualA,
	calls: []string{
		"call proxy_on_context_create",
		"call proxy_on_request_headers",
		`get request origin -> "https://a.example"`,
		"get request access-control-request-method -> missing",
		counted("default", "allowed"),
		"call proxy_on_response_headers",
		"pairs response",
		"add response access-control-allow-origin: https://a.example",
		"add response access-control-expose-headers: X-Seen",
		"add response vary: Origin",
		"call proxy_on_delete",
	},
	allocations: 2,
}, {
	name:    "actual request allowed, the upstream speaks CORS",
	config:  policyA,
	request: actualA,
	up: cases.Upstream{Headers: [][2]string{
		{"Access-Control-Allow-Origin", "*"}, {"Access-Control-Expose-Headers", "X-Seen"},
		{"Access-Control-Max-Age", "5"}, {"Vary", "Accept, Origin"},
	}},
	calls: []string{
		"call proxy_on_context_create",
		"call proxy_on_request_headers",
		`get request origin -> "https://a.example"`,
		"get request access-control-request-method -> missing",
		counted("default", "allowed"),
		"call proxy_on_response_headers",
		"pairs response",
		"replace response access-control-allow-origin: https://a.example",
		"remove response access-control-max-age",
		"call proxy_on_delete",
	},
	allocations: 2,
}, {
	name:    "preflight allowed",
	config:  policyA,
	request: allowedA,
	calls: []string{
		"call proxy_on_context_create",
		"call proxy_on_request_headers",
		`get request origin -> "https://a.example"`,
		`get request access-control-request-method -> "PUT"`,
		"pairs request",
		counted("default", "preflight_allowed"),
		"reply 204 details=cors: preflight allowed headers=[access-control-allow-origin: https://a.example, " +
			"access-control-allow-methods: PUT, access-control-allow-headers: X-A, access-control-max-age: 600, " +
			"vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers]",
		"call proxy_on_response_headers",
		"call proxy_on_delete",
	},
	allocations: 3,
}, {
	name:    "preflight rejected",
	config:  policyA,
	request: rejectedA,
	calls: []string{
		"call proxy_on_context_create",
		"call proxy_on_request_headers",
		`get request origin -> "https://a.example"`,
		`get request access-control-request-method -> "DELETE"`,
		"pairs request",
		counted("default", "preflight_denied_method"),
		"set property cors.policy: default",
		"set property cors.reason: method DELETE is not in allow_methods (allowed: PUT)",
		"reply 403 details=cors: method DELETE is not in allow_methods (allowed: PUT) " +
			"headers=[vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers]",
		"call proxy_on_response_headers",
		"call proxy_on_delete",
	},
	allocations: 3,
}, {
	name:    "preflight rejected, with debug",
	config:  `{"allow_origins": ["https://a.example"], "allow_methods": ["PUT"], "max_age": 600, "debug": true}`,
	request: rejectedA,
	calls: []string{
		"call proxy_on_context_create",
		"call proxy_on_request_headers",
		`get request origin -> "https://a.example"`,
		`get request access-control-request-method -> "DELETE"`,
		"pairs request",
		counted("default", "preflight_denied_method"),
		"set property cors.policy: default",
		"set property cors.reason: method DELETE is not in allow_methods (allowed: PUT)",
		"reply 204 details=cors: method DELETE is not in allow_methods (allowed: PUT) " +
			"headers=[access-control-allow-origin: https://a.example, access-control-allow-methods: PUT, " +
			"x-cors-reason: method DELETE is not in allow_methods (allowed: PUT), " +
			"vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers]",
		"call proxy_on_response_headers",
		"call proxy_on_delete",
	},
	allocations: 3,
}, {
	name:   "post with a body",
	config: policyA,
	request: cases.Request{Method: "POST", Headers: [][2]string{{"Origin", "https://evil.example"},
		{"Transfer-Encoding", "chunked"}}},
	calls: []string{
		"call proxy_on_context_create",
		"call proxy_on_request_headers",
		"get request upgrade -> missing",
		`get request origin -> "https://evil.example"`,
		"get request access-control-request-method -> missing",
		counted("default", "denied_origin"),
		"set property cors.policy: default",
		"set property cors.reason: origin https://evil.example is not in allow_origins",
		"call proxy_on_response_headers",
		"pairs response",
		"add response vary: Origin",
		"call proxy_on_delete",
	},
	allocations: 2,
}, {
	name:    "no origin, every origin allowed",
	config:  `{"allow_origins": ["*"]}`,
	request: cases.Request{},
	calls: []string{
		"call proxy_on_context_create",
		"call proxy_on_request_headers",
		"get request origin -> missing",
		"call proxy_on_response_headers",
		"pairs response",
		"add response access-control-allow-origin: *",
		"call proxy_on_delete",
	},
	allocations: 1,
}, {
	name:    "no origin, many policies of one kind",
	config:  `{"policies": [{"name": "a", "allow_origins": ["https://a.example"]}, {"name": "b", "match": {"hosts": ["b.test"]}, "allow_origins": ["https://b.example"]}]}`,
	request: cases.Request{},
	calls: []string{
		"call proxy_on_context_create",
		"call proxy_on_request_headers",
		"get request origin -> missing",
		"call proxy_on_response_headers",
		"get response vary -> missing",
		"add response vary: Origin",
		"call proxy_on_delete",
	},
}, {
	name:    "policies by host",
	config:  `{"policies": [{"name": "b", "match": {"hosts": ["b.test"]}, "allow_origins": ["https://b.example"]}]}`,
	request: cases.Request{Host: "other.test", Headers: [][2]string{{"Origin", "https://b.example"}}},
	calls: []string{
		"call proxy_on_context_create",
		"call proxy_on_request_headers",
		`get request origin -> "https://b.example"`,
		"get request access-control-request-method -> missing",
		`get request :authority -> "other.test"`,
		"call proxy_on_response_headers",
		"call proxy_on_delete",
	},
	allocations: 2,
}, {
	name:    "policies by route, host and path",
	config:  `{"policies": [{"name": "b", "match": {"routes": ["r"], "hosts": ["b.test"], "paths": [{"prefix": "/b"}]}, "allow_origins": ["https://b.example"]}]}`,
	request: cases.Request{Host: "b.test", Path: "/b/c", Headers: [][2]string{{"Origin", "https://b.example"}}},
	up: cases.Upstream{Headers: [][2]string{{"Access-Control-Allow-Origin", "https://b.example"},
		{"Vary", "Origin"}}},
	calls: []string{
		"call proxy_on_context_create",
		"call proxy_on_request_headers",
		`get request origin -> "https://b.example"`,
		"get request access-control-request-method -> missing",
		`property xds.route_name -> ""`,
		`get request :authority -> "b.test"`,
		`get request :path -> "/b/c"`,
		counted("b", "allowed"),
		"call proxy_on_response_headers",
		"pairs response",
		"call proxy_on_delete",
	},
	allocations: 4,
}, {
	name:    "off",
	config:  `{"name": "o", "mode": "off"}`,
	request: actualB,
	calls: []string{
		"call proxy_on_context_create",
		"call proxy_on_request_headers",
		`get request origin -> "https://b.example"`,
		"get request access-control-request-method -> missing",
		"call proxy_on_response_headers",
		"call proxy_on_delete",
	},
	allocations: 1,
}, {
	name:    "shadow, denied",
	config:  `{"policies": [{"name": "s", "allow_origins": ["https://a.example"], "mode": "shadow"}]}`,
	request: actualB,
	calls: []string{
		"call proxy_on_context_create",
		"call proxy_on_request_headers",
		`get request origin -> "https://b.example"`,
		"get request access-control-request-method -> missing",
		"get request cookie -> missing",
		counted("s", "shadow_denied_origin"),
		"set property cors.policy: s",
		"set property cors.reason: origin https://b.example is not in allow_origins",
		"call proxy_on_response_headers",
		"pairs response",
		counted("s", "shadow_same"),
		"call proxy_on_delete",
	},
	allocations: 2,
}, {
	name:    "shadow, stricter",
	config:  `{"policies": [{"name": "s", "allow_origins": ["https://a.example"], "mode": "shadow"}]}`,
	request: cases.Request{Headers: [][2]string{{"Origin", "https://b.example"}, {"Cookie", "id=1"}}},
	up: cases.Upstream{Headers: [][2]string{{"Access-Control-Allow-Origin", "https://b.example"},
		{"Access-Control-Allow-Credentials", "true"}}},
	calls: []string{
		"call proxy_on_context_create",
		"call proxy_on_request_headers",
		`get request origin -> "https://b.example"`,
		"get request access-control-request-method -> missing",
		`get request cookie -> "id=1"`,
		counted("s", "shadow_denied_origin"),
		"set property cors.policy: s",
		"set property cors.reason: origin https://b.example is not in allow_origins",
		"call proxy_on_response_headers",
		"pairs response",
		counted("s", "shadow_stricter"),
		"set property cors.policy: s",
		"set property cors.reason: stricter: origin https://b.example is not in allow_origins",
		"call proxy_on_delete",
	},
	allocations: 3,
}, {
	name:    "shadow, preflight",
	config:  `{"allow_origins": ["https://a.example"], "allow_headers": ["X-A"], "mode": "shadow", "debug": true}`,
	request: preflight("https://a.example", "x-a"),
	up: cases.Upstream{Status: 405, Headers: [][2]string{{"Access-Control-Allow-Origin", "https://a.example"},
		{"Access-Control-Allow-Headers", "X-A"}}},
	calls: []string{
		"call proxy_on_context_create",
		"call proxy_on_request_headers",
		`get request origin -> "https://a.example"`,
		`get request access-control-request-method -> "PUT"`,
		"pairs request",
		counted("default", "shadow_preflight_denied_method"),
		"set property cors.policy: default",
		"set property cors.reason: method PUT is not in allow_methods (allowed: GET, HEAD, POST)",
		"call proxy_on_response_headers",
		"pairs response",
		counted("default", "shadow_same"),
		"call proxy_on_delete",
	},
	allocations: 4,
}, {
	name:    "shadow",
	config:  `{"allow_origins": ["https://a.example"], "mode": "shadow"}`,
	request: actualA,
	calls: []string{
		"call proxy_on_context_create",
		"call proxy_on_request_headers",
		`get request origin -> "https://a.example"`,
		"get request access-control-request-method -> missing",
		"get request cookie -> missing",
		counted("default", "shadow_allowed"),
		"call proxy_on_response_headers",
		"pairs response",
		counted("default", "shadow_looser"),
		"set property cors.policy: default",
		"set property cors.reason: looser: access-control-allow-origin is missing",
		"call proxy_on_delete",
	},
	allocations: 2,
}}

// counted is the call that counts a decision.
func counted(policy, outcome string) string { return "count " + counter(policy, outcome) + " +1" }

// counter is the name of a counter of decisions.
func counter(policy, outcome string) string {
	return "cors_policy=.=" + policy + ";.;cors_outcome=.=" + outcome + ";.;cors_requests_total"
}

// compiled is the module, compiled once for all tests.
var compiled = sync.OnceValues(func() (*wasmhost.Module, error) {
	path, err := envoytest.Module()
	if err != nil {
		return nil, err
	}
	return wasmhost.Compile(path)
})

// faulty is the module with faults in it, compiled once for all tests.
var faulty = sync.OnceValues(func() (*wasmhost.Module, error) {
	dir, err := os.MkdirTemp("", "faults-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "faults.wasm")
	if err := envoytest.BuildModule(path, "faults"); err != nil {
		return nil, err
	}
	return wasmhost.Compile(path)
})

// newFaultyVM returns a VM of the module with faults in it, and the module.
func newFaultyVM(t *testing.T) (*wasmhost.Module, *wasmhost.VM) {
	t.Helper()
	module, err := faulty()
	if err != nil {
		t.Fatal(err)
	}
	vm, err := module.NewVM()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { vm.Close() })
	return module, vm
}

func newVM(t *testing.T) *wasmhost.VM {
	t.Helper()
	return newQuirkyVM(t, compiled, wasmhost.Quirks{})
}

func newRoot(t *testing.T, vm *wasmhost.VM, config string) *wasmhost.Root {
	t.Helper()
	root, err := vm.NewRoot(config)
	if err != nil {
		t.Fatalf("configuration %s: %v\n%s", config, err, strings.Join(vm.Logs(), "\n"))
	}
	return root
}

func exchange(t *testing.T, vm *wasmhost.VM, root *wasmhost.Root, request cases.Request,
	up cases.Upstream) wasmhost.Result {
	t.Helper()
	result, err := vm.Exchange(root, request, up)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// serves checks that root answers by policyA or policyB, as origin says.
func serves(t *testing.T, vm *wasmhost.VM, root *wasmhost.Root, origin string) {
	t.Helper()
	for _, request := range []cases.Request{actualA, actualB} {
		want := ""
		if request.Headers[0][1] == origin {
			want = origin
		}
		result := exchange(t, vm, root, request, cases.Upstream{})
		if got := allowedOrigin(result); got != want || !result.Forwarded {
			t.Errorf("request from %s: %+v, want access-control-allow-origin %q", request.Headers[0][1], result, want)
		}
	}
}

func allowedOrigin(result wasmhost.Result) string {
	for _, line := range result.Headers {
		if line[0] == "access-control-allow-origin" {
			return line[1]
		}
	}
	return ""
}

// TestImports keeps the module from using what a proxy may not have, or what a
// filter on every request should not use, and from exporting what it would be called for.
func TestImports(t *testing.T) {
	module, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	// docs/hosts.md has what each is for. Not poll_oneoff: Envoys before mid-2026 answer it with
	// ENOSYS, and the runtime then ends the VM.
	imports := strings.Fields(`
		env.proxy_add_header_map_value env.proxy_continue_stream env.proxy_define_metric
		env.proxy_dequeue_shared_queue env.proxy_enqueue_shared_queue
		env.proxy_get_buffer_bytes env.proxy_get_header_map_pairs env.proxy_get_header_map_value
		env.proxy_get_property env.proxy_get_shared_data env.proxy_http_call env.proxy_increment_metric
		env.proxy_log env.proxy_register_shared_queue env.proxy_remove_header_map_value
		env.proxy_replace_header_map_value env.proxy_send_local_response env.proxy_set_effective_context
		env.proxy_set_property env.proxy_set_shared_data env.proxy_set_tick_period_milliseconds
		wasi_snapshot_preview1.clock_time_get
		wasi_snapshot_preview1.environ_get wasi_snapshot_preview1.environ_sizes_get
		wasi_snapshot_preview1.fd_write
		wasi_snapshot_preview1.proc_exit wasi_snapshot_preview1.random_get`)
	if diff := cmp.Diff(imports, module.Imports()); diff != "" {
		t.Errorf("imports: %s", diff)
	}
	exports := strings.Fields(`
		_initialize memory proxy_abi_version_0_2_0
		proxy_on_configure proxy_on_context_create proxy_on_delete proxy_on_http_call_response
		proxy_on_memory_allocate proxy_on_queue_ready proxy_on_request_headers proxy_on_response_headers
		proxy_on_tick`)
	if diff := cmp.Diff(exports, module.Exports()); diff != "" {
		t.Errorf("exports: %s", diff)
	}
}

// TestCases runs the tables that the engine, the filter and Envoy are tested
// with, all in one VM, a root for each.
func TestCases(t *testing.T) {
	vm := newVM(t)
	for _, c := range cases.All {
		t.Run(c.Name, func(t *testing.T) {
			root := newRoot(t, vm, c.Config)
			checkCase(t, vm, root, c)
			remove(t, root)
		})
	}
}

// checkCase runs a case of the tables.
func checkCase(t *testing.T, vm *wasmhost.VM, root *wasmhost.Root, c cases.Case) {
	t.Helper()
	result := exchange(t, vm, root, c.Request, c.Upstream)
	if result.Forwarded != c.Want.Forwarded {
		t.Errorf("forwarded: %v, want %v", result.Forwarded, c.Want.Forwarded)
	}
	want := c.Want.Status
	if want == 0 {
		want = c.Upstream.Status
	}
	if want == 0 {
		want = 200
	}
	if result.Status != want {
		t.Errorf("status %d, want %d", result.Status, want)
	}
	if got := cases.Lines(result.Headers); !slices.Equal(got, c.Want.Headers) {
		t.Errorf("headers: %s", cmp.Diff(c.Want.Headers, got))
	}
	// Envoy makes white space underscores.
	if reason := strings.ReplaceAll(c.Want.Reason, " ", "_"); !strings.Contains(result.Details, reason) {
		t.Errorf("details %q, want %q in it", result.Details, reason)
	}
	if t.Failed() {
		t.Log(strings.Join(result.Calls, "\n"))
	}
}

func TestExactCalls(t *testing.T) {
	for _, c := range exactCalls {
		t.Run(c.name, func(t *testing.T) {
			vm := newVM(t)
			root := newRoot(t, vm, c.config)
			result := exchange(t, vm, root, c.request, c.up)
			if diff := cmp.Diff(c.calls, result.Calls); diff != "" {
				t.Error(diff)
			}
			if result.Allocations != c.allocations {
				t.Errorf("%d allocations, want %d", result.Allocations, c.allocations)
			}
		})
	}
}

// TestStartLog checks that an operator can see what runs.
func TestStartLog(t *testing.T) {
	vm := newVM(t)
	newRoot(t, vm, policyA)
	pattern := regexp.MustCompile(`^info proxy-wasm-cors \S+ \(\S.*\)`)
	if !slices.ContainsFunc(vm.Logs(), pattern.MatchString) {
		t.Errorf("no line with version and revision in %q", vm.Logs())
	}
}

// TestPolicySource fetches policies, with one host call after the other, and serves
// them from the next request on.
func TestPolicySource(t *testing.T) {
	vm := newVM(t)
	root := newRoot(t, vm,
		`{"policy_source": {"cluster": "policies", "path": "/cors.json", "authority": "policies.internal", "interval": "10s", "timeout": "2s"}}`)
	if period := root.TickPeriod(); period <= 0 || period > time.Second {
		t.Errorf("the first fetch is in %s", period)
	}
	if len(root.HTTPCalls()) > 0 {
		t.Error("the plugin fetches while it is configured")
	}
	deniesAll(t, vm, root, "no policies have arrived from the policy source, so that no origin is allowed")
	before := len(root.Calls())
	if err := root.Tick(); err != nil {
		t.Fatal(err)
	}
	calls := root.HTTPCalls()
	if len(calls) != 1 || calls[0].Cluster != "policies" || calls[0].Timeout != 2*time.Second || calls[0].Body != "" {
		t.Fatalf("fetches: %+v", calls)
	}
	want := [][2]string{{":method", "GET"}, {":path", "/cors.json"}, {":authority", "policies.internal"},
		{":scheme", "http"}, {"accept", "application/json"}, {"user-agent", "proxy-wasm-cors"}}
	if diff := cmp.Diff(want, calls[0].Headers); diff != "" {
		t.Error(diff)
	}
	policies := policyA
	if err := root.AnswerHTTPCall(calls[0].Token, 200, [][2]string{{"etag", `"1"`}}, policies); err != nil {
		t.Fatal(err)
	}
	serves(t, vm, root, "https://a.example")
	// What came in the arena is gone with the next callback.
	exchange(t, vm, root, cases.Request{Headers: [][2]string{{"Origin", strings.Repeat("x", 60_000)}}},
		cases.Upstream{})
	serves(t, vm, root, "https://a.example")
	if period := root.TickPeriod(); period < 9*time.Second || period > 11*time.Second {
		t.Errorf("the next fetch is in %s", period)
	}
	if vm.Metrics()["cors.policy_source.updated"] != 1 {
		t.Errorf("metrics: %v", vm.Metrics())
	}
	entered := root.Calls()[before:]
	for i, call := range entered { // but what is in the record of the proxy's VMs
		for _, about := range []string{"register queue", "shared", "set shared", "tick every"} {
			if strings.HasPrefix(call, about+" ") {
				if entered[i] = about; strings.Contains(call, " document: ") {
					entered[i] += " document"
				}
			}
		}
	}
	if diff := cmp.Diff([]string{
		"call proxy_on_tick",
		"register queue", "shared", "shared", "set shared", "shared", "set shared", "tick every",
		"http call policies [:method: GET, :path: /cors.json, :authority: policies.internal, :scheme: http, accept: application/json, user-agent: proxy-wasm-cors]",
		"call proxy_on_http_call_response", "shared", "set shared",
		`get http call response :status -> "200"`,
		"buffer http call response body",
		"shared", "shared", "set shared",
		"set shared document", "shared", `get http call response etag -> "\"1\""`, "tick every", "set shared",
		"dequeue 1 -> empty", "enqueue 1 1",
		"count cors.policy_source.updated +1",
		"log info policy_source: a new document, now serving 1 policy",
	}, entered); diff != "" {
		t.Error(diff)
	}
	// A plugin that goes with a fetch in flight: the answer finds nobody.
	if err := root.Tick(); err != nil {
		t.Fatal(err)
	}
	calls = root.HTTPCalls()
	if last := calls[0].Headers[len(calls[0].Headers)-1]; last != [2]string{"if-none-match", `"1"`} {
		t.Errorf("the second fetch has %q", last)
	}
	if err := root.Delete(); err != nil {
		t.Fatal(err)
	}
	if _, err := vm.Call("proxy_on_http_call_response", uint64(root.ID()), uint64(calls[0].Token), 0, 0,
		0); err != nil {
		t.Fatal(err)
	}
	serves(t, vm, newRoot(t, vm, policyB), "https://b.example")
}

// TestPanics: a panic is counted and logged once, the request goes through, and no
// page may read its answer; what comes after is served as ever. The module is built
// with faults in it, because none is known.
func TestPanics(t *testing.T) {
	for _, at := range []string{"origin", "access-control-request-method", "access-control-allow-origin",
		"access-control-expose-headers", "vary"} {
		t.Run(at, func(t *testing.T) {
			_, vm := newFaultyVM(t)
			root := newRoot(t, vm, policyA)
			request := cases.Request{Headers: [][2]string{{"Origin", "https://a.example"}, {"X-Fault", at}}}
			permissive := cases.Upstream{}
			if at == "origin" || at == "access-control-request-method" {
				permissive.Headers = [][2]string{{"Access-Control-Allow-Origin", "*"},
					{"Access-Control-Allow-Credentials", "true"}}
			}
			for range 2 {
				result := exchange(t, vm, root, request, permissive)
				for _, h := range result.Headers {
					if h[0] == "access-control-allow-origin" || h[0] == "access-control-allow-credentials" {
						t.Errorf("the answer has %q", h)
					}
				}
				if !result.Forwarded || result.Status != 200 {
					t.Errorf("forwarded %t, status %d", result.Forwarded, result.Status)
				}
			}
			exchange(t, vm, root, cases.Request{Headers: [][2]string{{"X-Fault", "none"}}}, cases.Upstream{})
			serves(t, vm, root, "https://a.example")
			if n := vm.Metrics()["cors.panics"]; n != 2 {
				t.Errorf("%d panics are counted, want 2", n)
			}
			if n := strings.Count(strings.Join(vm.Logs(), "\n"), "bug: panic in "); n != 1 {
				t.Errorf("%d panics are logged, want 1: %q", n, vm.Logs())
			}
		})
	}
}

// TestRoots serves two plugins that share a VM, by their own policies.
func TestRoots(t *testing.T) {
	vm := newVM(t)
	a, b := newRoot(t, vm, policyA), newRoot(t, vm, policyB)
	serves(t, vm, a, "https://a.example")
	serves(t, vm, b, "https://b.example")
	if err := a.Delete(); err != nil {
		t.Fatal(err)
	}
	serves(t, vm, b, "https://b.example")
}

// TestInterleaved has the requests of several streams before the first of their
// responses: each must get its own origin back, whatever the host has written
// since to where it was.
func TestInterleaved(t *testing.T) {
	vm := newVM(t)
	root := newRoot(t, vm, `{"allow_origins": ["https://*.example"]}`)
	var streams []*wasmhost.Stream
	origins := []string{"https://a.example", "https://b.example", "https://c.example"}
	for _, origin := range origins {
		s := root.Begin(cases.Request{Headers: [][2]string{{"Origin", origin}}})
		streams = append(streams, s)
		if err := s.Request(); err != nil {
			t.Fatal(err)
		}
	}
	for i, s := range streams {
		if err := errors.Join(s.Response(cases.Upstream{}), s.End()); err != nil {
			t.Fatal(err)
		}
		if got := allowedOrigin(s.Result()); got != origins[i] {
			t.Errorf("request from %s: allow-origin %q", origins[i], got)
		}
	}
}

// TestUpdate replaces a policy as Envoy does: a new root, then the end of the
// old one, which here comes before, in and after the life of a stream.
func TestUpdate(t *testing.T) {
	for _, deleted := range []string{"before the request", "before the response", "before the end", "after the end"} {
		t.Run(deleted, func(t *testing.T) {
			vm := newVM(t)
			old := newRoot(t, vm, policyA)
			serves(t, vm, old, "https://a.example")
			stream := old.Begin(actualA)
			replacement := newRoot(t, vm, policyB)
			for _, step := range []struct {
				name string
				run  func() error
			}{
				{"before the request", stream.Request},
				{"before the response", func() error { return stream.Response(cases.Upstream{}) }},
				{"before the end", stream.End},
				{"after the end", func() error { return nil }},
			} {
				if step.name == deleted {
					if err := old.Delete(); err != nil {
						t.Fatal(err)
					}
				}
				if err := step.run(); err != nil {
					t.Fatalf("%s: %v", step.name, err)
				}
				serves(t, vm, replacement, "https://b.example")
			}
			got := allowedOrigin(stream.Result())
			if orphan := deleted == "before the request"; !orphan && got != "https://a.example" {
				t.Errorf("the stream got allow-origin %q, want its own policy's", got)
			} else if orphan && got != "" {
				t.Errorf("a stream without policy got allow-origin %q", got)
			}
		})
	}
}

// TestBadConfiguration checks that a bad configuration is refused with all its
// problems, each in a line of its own, and harms nobody.
func TestBadConfiguration(t *testing.T) {
	vm := newVM(t)
	good := newRoot(t, vm, policyA)
	problem := regexp.MustCompile(`^log error .*\b\d+:\d+ [^:]*: .+`)
	for config, problems := range map[string]int{
		``:  1,
		`{`: 1,
		`{"allow_origins": ["https://a.example/"], "allow_methods": ["TRACE"], "max_age": -1}`: 3,
		`{"allow_origins": 1, "unknown": 2}`:                                                   2,
	} {
		before := len(vm.Logs())
		root, err := vm.NewRoot(config)
		if !errors.Is(err, wasmhost.ErrRefused) {
			t.Fatalf("%q: %v", config, err)
		}
		lines := 0
		for _, call := range root.Calls() {
			if problem.MatchString(call) {
				lines++
			}
		}
		if lines != problems {
			t.Errorf("%q: %d lines with a problem, want %d: %q", config, lines, problems, vm.Logs()[before:])
		}
		serves(t, vm, good, "https://a.example")
		if err := root.Delete(); err != nil {
			t.Fatal(err)
		}
		serves(t, vm, good, "https://a.example")
	}
}

// TestUnknownContexts makes calls that no Envoy makes, or only in a bug of its
// own: traffic goes on, and so does the filter.
func TestUnknownContexts(t *testing.T) {
	vm := newVM(t)
	root := newRoot(t, vm, policyA)
	const stranger, orphan, noRoot = 7001, 7002, 7003
	for _, call := range []struct {
		name      string
		arguments []uint64
	}{
		{"proxy_on_request_headers", []uint64{stranger, 4, 1}},
		{"proxy_on_response_headers", []uint64{stranger, 1, 1}},
		{"proxy_on_delete", []uint64{stranger}},
		{"proxy_on_delete", []uint64{stranger}},
		{"proxy_on_context_create", []uint64{orphan, noRoot}},
		{"proxy_on_request_headers", []uint64{orphan, 4, 1}},
		{"proxy_on_response_headers", []uint64{orphan, 1, 1}},
		{"proxy_on_delete", []uint64{orphan}},
		{"proxy_on_delete", []uint64{orphan}},
		{"proxy_on_configure", []uint64{noRoot, 0}},
		{"proxy_on_context_create", []uint64{uint64(root.ID()), 0}},
		{"proxy_on_context_create", []uint64{orphan, orphan}},
		{"proxy_on_delete", []uint64{0}},
		{"proxy_on_request_headers", []uint64{uint64(root.ID()), 4, 1}},
	} {
		result, err := vm.Call(call.name, call.arguments...)
		if err != nil {
			t.Fatalf("%s%v: %v", call.name, call.arguments, err)
		}
		if strings.HasSuffix(call.name, "_headers") && result != 0 {
			t.Errorf("%s%v stops the traffic: %d", call.name, call.arguments, result)
		}
		if call.name == "proxy_on_context_create" && call.arguments[0] == uint64(root.ID()) {
			continue // That made a new root of it, without a configuration.
		}
		if r := exchange(t, vm, newRoot(t, vm, policyB), actualB, cases.Upstream{}); allowedOrigin(r) == "" {
			t.Errorf("after %s%v: %+v", call.name, call.arguments, r)
		}
	}
}

// TestAllocate asks for memory as a host may: for nothing, for much, and for
// nothing where all that was set aside is taken.
func TestAllocate(t *testing.T) {
	vm := newVM(t)
	root := newRoot(t, vm, policyA)
	if _, err := vm.Call("proxy_on_delete", 7001); err != nil { // Frees what it can.
		t.Fatal(err)
	}
	for _, size := range append(slices.Repeat([]uint64{1 << 10, 0}, 1_000), 0, 1, 1<<20, 0) {
		if pointer, err := vm.Call("proxy_on_memory_allocate", size); err != nil || pointer == 0 && size > 0 {
			t.Fatalf("%d bytes: %d, %v", size, pointer, err)
		}
	}
	serves(t, vm, root, "https://a.example")
}

// TestMemory runs many exchanges, some of them left early by the client, and
// expects the memory of the first half to do for the second: so many that even a
// few bytes left by each would show.
func TestMemory(t *testing.T) {
	vm := newVM(t)
	root := newRoot(t, vm, policyA)
	requests := []cases.Request{plain, actualA, actualB, allowedA, rejectedA}
	// A stream leaves so little garbage that the collector would hardly run.
	garbage := [][2]string{{"vary", strings.Repeat("a", 100_000)}}
	var sizes []uint32
	const exchanges = 200_000
	for i := range exchanges {
		request, up := requests[i%len(requests)], cases.Upstream{Headers: [][2]string{{"vary", "Accept"}}}
		if i%500 == 1 {
			up.Headers = garbage
		}
		if i%3 > 0 {
			exchange(t, vm, root, request, up)
		} else {
			s := root.Begin(request)
			if err := errors.Join(s.Request(), s.End()); err != nil {
				t.Fatal(err)
			}
		}
		if (i+1)%(exchanges/4) == 0 {
			sizes = append(sizes, vm.MemorySize())
		}
	}
	if sizes[3] > sizes[1]+1<<20 { // The collector may be a little later.
		t.Errorf("after each quarter of the exchanges, the module has %d bytes", sizes)
	}
}

// TestHostile sends what no browser would. Whatever comes, the module neither
// dies nor lets a client write to the log.
func TestHostile(t *testing.T) {
	long := strings.Repeat("a", 60<<10)
	values := map[string]string{
		"empty":        "",
		"long":         long,
		"long origin":  "https://" + long + ".example",
		"long port":    "https://a.example:" + strings.Repeat("9", 60<<10),
		"commas":       strings.Repeat(",", 10_000),
		"many names":   strings.Repeat("x-a,", 15_000),
		"spaces":       "x" + strings.Repeat(" ", 60_000) + "x",
		"not UTF-8":    "https://\xff\xfe\x80.example",
		"control":      "https://a.example\x01\x7f",
		"markup":       "\"><script>%n%s{{.}}",
		"right prefix": "https://a.example" + long,
		"list":         "https://a.example, https://b.example",
	}
	const anyHeader = `{"allow_origins": ["https://a.example"], "allow_methods": ["*"], "allow_headers": ["*"], "allow_credentials": true}`
	vm := newVM(t)
	for _, config := range []string{policyA, anyHeader} {
		root := newRoot(t, vm, config)
		logged := len(vm.Logs())
		for name, value := range values {
			up := cases.Upstream{Headers: [][2]string{
				{"Vary", value}, {"Access-Control-Allow-Origin", value}, {"Access-Control-Max-Age", value},
				{"X-Other", value},
			}}
			for _, hostile := range []string{"Origin", "Access-Control-Request-Method",
				"Access-Control-Request-Headers", "Access-Control-Request-Private-Network", ":path", ":authority"} {
				for _, method := range []string{"GET", "OPTIONS", long} {
					what := fmt.Sprintf("%s %s as %s", method[:3], hostile, name)
					result, err := vm.Exchange(root, hostileRequest(method, hostile, value), up)
					if err != nil {
						t.Fatalf("%s: %v", what, err)
					}
					got := allowedOrigin(result)
					if hostile == "Origin" && got != "" || got != "" && got != "https://a.example" {
						t.Errorf("%s: allow-origin %.99q", what, got)
					}
					if !result.Forwarded && (method != "OPTIONS" || len(result.Details) > 1000) {
						t.Errorf("%s: answered, details %.99q", what, result.Details)
					}
				}
			}
		}
		if lines := vm.Logs()[logged:]; len(lines) > 0 {
			t.Errorf("requests wrote %d lines to the log, such as %.99q", len(lines), lines[0])
		}
	}
}

// hostileRequest is a preflight that is allowed, but for its method and one header or
// pseudo-header.
func hostileRequest(method, hostile, value string) cases.Request {
	request := cases.Request{Method: method}
	switch hostile {
	case ":path":
		request.Path = "/" + value
	case ":authority":
		request.Host = value
	}
	for _, h := range [][2]string{
		{"Origin", "https://a.example"}, {"Access-Control-Request-Method", "PUT"},
		{"Access-Control-Request-Headers", "x-a"}, {"Access-Control-Request-Private-Network", "true"},
	} {
		if h[0] == hostile {
			h[1] = value
		}
		request.Headers = append(request.Headers, h)
	}
	return request
}
