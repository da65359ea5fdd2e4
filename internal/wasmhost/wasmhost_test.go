package wasmhost

import (
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
)

var echo *Module

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "wasmhost")
	if err != nil {
		log.Fatal(err)
	}
	path := filepath.Join(dir, "echo.wasm")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-buildmode=c-shared", "-o", path, "./testdata/echo")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		log.Fatalf("build testdata/echo: %v\n%s", err, out)
	}
	if echo, err = Compile(path); err != nil {
		log.Fatal(err)
	}
	code := m.Run()
	echo.Close()
	os.RemoveAll(dir)
	os.Exit(code)
}

func newVM(t *testing.T) *VM {
	t.Helper()
	vm, err := echo.NewVM()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { vm.Close() })
	return vm
}

func newRoot(t *testing.T, vm *VM, configuration string) *Root {
	t.Helper()
	root, err := vm.NewRoot(configuration)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// said returns what the module logged of the host's answers, from the calls.
func said(calls []string) (lines []string) {
	for _, call := range calls {
		if line, ok := strings.CutPrefix(call, "log info "); ok {
			lines = append(lines, line)
		}
	}
	return lines
}

// commands writes commands in one line for the module.
func commands(c ...string) string { return strings.Join(c, ";") }

// TestEnvoy holds what Envoy 1.40 answered to the same module and commands.
func TestEnvoy(t *testing.T) {
	tests := []struct {
		name                  string
		onRequest, onResponse string
		headers               [][2]string
		route                 string
		noRoute               bool
		up                    cases.Upstream
		// What the module logs of the commands, beside what it always does.
		onRequestSaid, onResponseSaid []string
		status                        int
		answer                        [][2]string
		details                       string
	}{{
		name: "request headers",
		headers: [][2]string{
			{"Origin", "  https://a \t"}, {"Origin", "https://b"}, {"E", ""}, {"Acr", "1"}, {"ACR", "2"},
			{"Access-Control-Request-Headers", "a"}, {"access-control-request-headers", "b"}, {"Bad", "caf\xe9 \xff"},
		},
		onRequest: commands("get|0|ORIGIN", "get|0|origin", "get|0|e", "get|0|nope", "get|0|acr",
			"get|0|access-control-request-headers", "get|0|bad", "get|2|x", "pairs|2", "get|9|x"),
		onResponse: commands("get|0|:path", "pairs|0", "add|0|a|b", "replace|0|a|b", "remove|0|a"),
		onRequestSaid: []string{
			`get|0|ORIGIN -> 0 "https://a,https://b"`,
			`get|0|origin -> 0 "https://a,https://b"`,
			`get|0|e -> 0 "" pointer 0`,
			`get|0|nope -> 1 "" nothing written`,
			`get|0|acr -> 0 "1"`,
			`get|0|access-control-request-headers -> 0 "a,b"`,
			`get|0|bad -> 0 "caf\xe9 \xff"`,
			`get|2|x -> 2 "" nothing written`,
			`pairs|2 -> 0 "" pointer 0`,
			`get|9|x -> 2 "" nothing written`,
		},
		onResponseSaid: []string{
			`get|0|:path -> 2 "" nothing written`,
			`pairs|0 -> 0 "" pointer 0`,
			`add|0|a|b -> 2 ""`,
			`replace|0|a|b -> 2 ""`,
			`remove|0|a -> 2 ""`,
		},
		status:  200,
		details: "via_upstream",
	}, {
		name:  "properties of a named route",
		route: "r1",
		onRequest: commands("property|xds.route_name", "property|request.path", "property|request.host",
			"property|request.foo", "property|foo"),
		onResponse: commands("property|xds.route_name", "property|request.path"),
		onRequestSaid: []string{`property|xds.route_name -> 0 "r1"`, `property|request.path -> 0 "/p?q"`,
			`property|request.host -> 0 "api.example"`, `property|request.foo -> 1 "" nothing written`,
			`property|foo -> 1 "" nothing written`},
		onResponseSaid: []string{
			`property|xds.route_name -> 0 "r1"`,
			`property|request.path -> 1 "" nothing written`,
		},
		status:  200,
		details: "via_upstream",
	}, {
		name:       "a property that is set",
		onRequest:  "setproperty|cors.x|1;setproperty|cors.x|2;property|cors.x",
		onResponse: "property|cors.x",
		onRequestSaid: []string{`setproperty|cors.x|1 -> 0 ""`, `setproperty|cors.x|2 -> 0 ""`,
			`property|cors.x -> 0 "2"`},
		onResponseSaid: []string{`property|cors.x -> 0 "2"`},
		status:         200,
		details:        "via_upstream",
	}, {
		name:          "properties of a route without name",
		onRequest:     "property|xds.route_name",
		onRequestSaid: []string{`property|xds.route_name -> 0 "" pointer 0`},
		status:        200,
		details:       "via_upstream",
	}, {
		name:           "no route",
		noRoute:        true,
		up:             cases.Upstream{Status: 404},
		onRequest:      "property|xds.route_name",
		onResponse:     "pairs|2",
		onRequestSaid:  []string{`property|xds.route_name -> 1 "" nothing written`},
		onResponseSaid: []string{`pairs|2 -> 0 ":status: 404"`},
		status:         404,
		details:        "via_upstream",
	}, {
		name: "response headers",
		up: cases.Upstream{Status: 201, Headers: [][2]string{
			{"Vary", "A"}, {"x-f", "1"}, {"x-f", "2"}, {"vary", "B"}, {"empty", ""},
			{"Access-Control-Allow-Origin", ""}, {"x-g", "1"}, {"X-G", "2"}, {"set-cookie", "1"}, {"set-cookie", "2"},
		}},
		onResponse: commands("get|2|vary", "get|2|x-f", "get|2|access-control-allow-origin",
			"replace|2|X-F|n", "add|2|vary|Origin", "add|2|Access-Control-Allow-Origin|q", "add|2|x-n|1", "add|2|x-n|2",
			"replace|2|x-m|9", "remove|2|x-g", "remove|2|nope", "add|2|vary|", "add|2|x-e|", "pairs|2"),
		onResponseSaid: []string{
			`get|2|vary -> 0 "A,B"`, `get|2|x-f -> 0 "1"`, `get|2|access-control-allow-origin -> 0 "" pointer 0`,
			`replace|2|X-F|n -> 0 ""`, `add|2|vary|Origin -> 0 ""`, `add|2|Access-Control-Allow-Origin|q -> 0 ""`,
			`add|2|x-n|1 -> 0 ""`, `add|2|x-n|2 -> 0 ""`, `replace|2|x-m|9 -> 0 ""`, `remove|2|x-g -> 0 ""`,
			`remove|2|nope -> 0 ""`, `add|2|vary| -> 0 ""`, `add|2|x-e| -> 0 ""`,
			`pairs|2 -> 0 ":status: 201\nvary: A,B,Origin\nempty: \naccess-control-allow-origin: q\nset-cookie: 1\nset-cookie: 2\nx-f: n\nx-n: 1\nx-n: 2\nx-m: 9\nx-e: "`,
		},
		status: 201,
		answer: [][2]string{
			{"vary", "A,B,Origin"}, {"empty", ""}, {"access-control-allow-origin", "q"}, {"set-cookie", "1"},
			{"set-cookie", "2"},
			{"x-f", "n"}, {"x-n", "1"}, {"x-n", "2"}, {"x-m", "9"}, {"x-e", ""},
		},
		details: "via_upstream",
	}, {
		name:       "all response headers set",
		onResponse: commands("set|2|:status|201|vary|Q|vary|R|x|y|x|z", "pairs|2"),
		onResponseSaid: []string{`set|2|:status|201|vary|Q|vary|R|x|y|x|z -> 0 ""`,
			`pairs|2 -> 0 ":status: 201\nvary: Q,R\nx: y\nx: z"`},
		status:  201,
		answer:  [][2]string{{"vary", "Q,R"}, {"x", "y"}, {"x", "z"}},
		details: "via_upstream",
	}, {
		name: "an answer passes the response callback",
		onRequest: commands("reply|403|a b\tc|x-a|1|content-length|7|x-a|2|vary|Origin|Vary|Q", "get|0|:path",
			"say|after"),
		onResponse: commands("pairs|2", "get|0|:path", "property|request.path", "add|2|vary|Late", "replace|2|x-a|3"),
		onRequestSaid: []string{
			"reply|403|a b\tc|x-a|1|content-length|7|x-a|2|vary|Origin|Vary|Q -> 0 \"\"",
			`get|0|:path -> 0 "/p?q"`, `say|after -> 0 ""`,
		},
		onResponseSaid: []string{
			`pairs|2 -> 0 ":status: 403\nx-a: 1\nx-a: 2\nvary: Origin,Q"`,
			`get|0|:path -> 0 "/p?q"`, `property|request.path -> 0 "/p?q"`,
			`add|2|vary|Late -> 0 ""`, `replace|2|x-a|3 -> 0 ""`,
		},
		status:  403,
		answer:  [][2]string{{"vary", "Origin,Q,Late"}, {"x-a", "3"}},
		details: "a_b_c",
	}, {
		name:          "the first answer counts",
		onRequest:     commands("reply|403|one|x-a|1", "reply|401|two|x-b|1"),
		onRequestSaid: []string{`reply|403|one|x-a|1 -> 0 ""`, `reply|401|two|x-b|1 -> 0 ""`},
		status:        403,
		answer:        [][2]string{{"x-a", "1"}},
		details:       "one",
	}, {
		name:           "an answer instead of the response passes no callback",
		up:             cases.Upstream{Headers: [][2]string{{"x-up", "1"}}},
		onResponse:     "reply|403|late|x-a|1",
		onResponseSaid: []string{`reply|403|late|x-a|1 -> 0 ""`},
		status:         403,
		answer:         [][2]string{{"x-a", "1"}},
		details:        "late",
	}}
	vm := newVM(t)
	root := newRoot(t, vm, "")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := root.Begin(cases.Request{Path: "/p?q", Route: test.route, Headers: append(
				[][2]string{{"on-request", test.onRequest}, {"on-response", test.onResponse}}, test.headers...)})
			if test.noRoute {
				delete(s.Properties, "xds.route_name")
			}
			err := s.Request()
			if err == nil && s.Result().Forwarded {
				err = s.Response(test.up)
			}
			if err == nil {
				err = s.End()
			}
			if err != nil {
				t.Fatal(err)
			}
			result := s.Result()
			id := fmt.Sprint(s.ID())
			want := slices.Concat(
				[]string{"context " + id + " of 1", fmt.Sprintf("request %s %d 1", id, len(s.request.lines))},
				test.onRequestSaid,
				[]string{"response " + id}, test.onResponseSaid,
				[]string{"log " + id, "done " + id, "delete " + id})
			got := said(result.Calls)
			for i, line := range got { // The pairs tell the number of lines better.
				if strings.HasPrefix(line, "response ") {
					got[i] = "response " + id
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if result.Status != test.status || result.Details != test.details ||
				!slices.Equal(result.Headers, test.answer) {
				t.Errorf("got %d %v %s, want %d %v %s", result.Status, result.Headers, result.Details, test.status,
					test.answer, test.details)
			}
		})
	}
	if n := vm.Streams(); n != 0 {
		t.Errorf("%d streams are left", n)
	}
}

// TestEnvoyRoots holds what Envoy 1.40 did with two plugins in one VM.
func TestEnvoyRoots(t *testing.T) {
	vm := newVM(t)
	a := newRoot(t, vm, "say|a;buffer|7|4|2;buffer|7|300|2;buffer|7|0|0;buffer|6|0|9;buffer|0|0|9;buffer|99|0|9;"+
		"get|0|x;pairs|0;add|2|a|b;property|plugin_vm_id;property|xds.route_name;property|request.path;setproperty|a|b")
	b := newRoot(t, vm, "print|hello;count|m|0;count|m|2;context|77")
	want := []string{
		"context 1 of 0", "start 1 0", fmt.Sprintf("configure 1 %d", len(a.configuration)),
		`say|a -> 0 ""`,
		`buffer|7|4|2 -> 0 "a;"`,
		`buffer|7|300|2 -> 0 "" pointer 0`,
		`buffer|7|0|0 -> 0 "" pointer 0`,
		`buffer|6|0|9 -> 0 "" pointer 0`,
		`buffer|0|0|9 -> 0 "" pointer 0`,
		`buffer|99|0|9 -> 2 "" nothing written`,
		`get|0|x -> 2 "" nothing written`,
		`pairs|0 -> 0 "" pointer 0`,
		`add|2|a|b -> 2 ""`,
		`property|plugin_vm_id -> 0 "" pointer 0`,
		`property|xds.route_name -> 1 "" nothing written`,
		`property|request.path -> 1 "" nothing written`,
		`setproperty|a|b -> 1 ""`,
	}
	if diff := cmp.Diff(want, said(a.Calls())); diff != "" {
		t.Error(diff)
	}
	want = []string{
		"context 2 of 0", "start 2 0", fmt.Sprintf("configure 2 %d", len(b.configuration)),
		"hello", `print|hello -> 0 ""`,
		`count|m|0 -> 2 ""`, `count|m|2 -> 0 ""`,
		`context|77 -> 2 ""`,
	}
	if diff := cmp.Diff(want, said(b.Calls())); diff != "" {
		t.Error(diff)
	}
	c := newRoot(t, vm, "buffer|7|0|6;property|plugin_name;property|xds.route_name;tick|1500//say|c")
	want = []string{
		"context 3 of 0",
		`buffer|7|0|6 -> 0 "buffer"`, `property|plugin_name -> 0 "" pointer 0`,
		`property|xds.route_name -> 1 "" nothing written`, `tick|1500 -> 0 ""`,
		"start 3 0", fmt.Sprintf("configure 3 %d", len(c.configuration)), `say|c -> 0 ""`,
	}
	if diff := cmp.Diff(want, said(c.Calls())); diff != "" || c.TickPeriod() != 1500*time.Millisecond {
		t.Errorf("tick period %v; %s", c.TickPeriod(), diff)
	}
	if got := vm.Metrics(); len(got) != 1 || got["m"] != 2 {
		t.Errorf("metrics: %v", got)
	}
	if err := a.Delete(); err != nil {
		t.Error(err)
	}
	if got := said(a.Calls()); !slices.Equal(got[len(got)-2:], []string{"done 1", "delete 1"}) {
		t.Errorf("deletion: %v", got)
	}
	if _, err := vm.NewRoot("refuse"); !errors.Is(err, ErrRefused) {
		t.Errorf("refused configuration: %v", err)
	}
	if r, err := vm.Exchange(b, cases.Request{}, cases.Upstream{}); err != nil || !r.Forwarded {
		t.Errorf("after the others' end: %v %v", r, err)
	}
}

// TestNoCounter: an id that a module has not got from proxy_define_metric, such as 0 in a
// variable that nothing was written to, counts nowhere.
func TestNoCounter(t *testing.T) {
	vm := newVM(t)
	root := newRoot(t, vm, "count|m|1;increment|0|1;increment|1|1;increment|5|1;increment|8|1;increment|4|1")
	want := []string{
		`count|m|1 -> 0 ""`, `increment|0|1 -> 1 ""`, `increment|1|1 -> 1 ""`, `increment|5|1 -> 1 ""`,
		`increment|8|1 -> 1 ""`, `increment|4|1 -> 0 ""`,
	}
	got := said(root.Calls())
	if diff := cmp.Diff(want, got[max(0, len(got)-len(want)):]); diff != "" {
		t.Error(diff)
	}
	if got := vm.Metrics(); len(got) != 1 || got["m"] != 2 {
		t.Errorf("metrics: %v", got)
	}
}

// TestRootStays: Envoy keeps a root whose module answers proxy_on_done with 0. The modules
// here never do, and a test sees if one does.
func TestRootStays(t *testing.T) {
	vm := newVM(t)
	root := newRoot(t, vm, "stay")
	if err := root.Delete(); err == nil || !strings.Contains(err.Error(), "proxy_done") {
		t.Errorf("the root goes: %v", err)
	}
	if got := said(root.Calls()); got[len(got)-1] != "done 1" {
		t.Errorf("deletion: %v", got)
	}
}

// TestCalls shows what an exchange's record looks like.
func TestCalls(t *testing.T) {
	vm := newVM(t)
	root := newRoot(t, vm, "")
	result, err := vm.Exchange(root, cases.Request{Route: "r", Headers: [][2]string{
		{"on-request", "get|0|upgrade;get|0|origin;property|xds.route_name"},
		{"on-response", "pairs|2;replace|2|a|1;add|2|b|2;remove|2|c;get|0|x;count|n|3"},
		{"Origin", "https://a"},
	}}, cases.Upstream{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"call proxy_on_context_create",
		"call proxy_on_request_headers",
		`get request on-response -> "pairs|2;replace|2|a|1;add|2|b|2;remove|2|c;get|0|x;count|n|3"`,
		`get request on-request -> "get|0|upgrade;get|0|origin;property|xds.route_name"`,
		"get request upgrade -> missing",
		`get request origin -> "https://a"`,
		`property xds.route_name -> "r"`,
		"call proxy_on_response_headers",
		"pairs response",
		"replace response a: 1",
		"add response b: 2",
		"remove response c",
		"get request x -> bad argument",
		"define counter n",
		"count n +3",
		"call proxy_on_log",
		"call proxy_on_done",
		"call proxy_on_delete",
	}
	got := slices.DeleteFunc(result.Calls, func(call string) bool { return strings.HasPrefix(call, "log ") })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if result.Allocations != 5 {
		t.Errorf("%d allocations, want those for four values and the pairs", result.Allocations)
	}
	result, err = vm.Exchange(root, cases.Request{Headers: [][2]string{{"on-request", "reply|204|why|a|1|b|2"}}},
		cases.Upstream{})
	if err != nil || result.Forwarded || !slices.Contains(result.Calls, "reply 204 details=why headers=[a: 1, b: 2]") {
		t.Errorf("answer: %+v, %v", result, err)
	}
}

// TestClientGone runs streams that end before their response, or their request.
func TestClientGone(t *testing.T) {
	vm := newVM(t)
	root := newRoot(t, vm, "")
	for _, step := range []string{"before the request", "after the request", "while paused"} {
		s := root.Begin(cases.Request{Headers: [][2]string{{"on-request",
			map[bool]string{true: "pause"}[step == "while paused"]}}})
		want := []string{fmt.Sprintf("context %d of 1", s.ID())}
		if step != "before the request" {
			if err := s.Request(); err != nil {
				t.Fatal(err)
			}
			want = append(want, fmt.Sprintf("request %d 5 1", s.ID()))
		}
		if step == "while paused" {
			want = append(want, `pause -> 0 ""`)
			if err := s.Response(cases.Upstream{}); err == nil {
				t.Error("a request that wasn't forwarded got a response")
			}
		}
		for range 2 {
			if err := s.End(); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"log", "done", "delete"} {
			want = append(want, fmt.Sprintf("%s %d", name, s.ID()))
		}
		if diff := cmp.Diff(want, said(s.Calls())); diff != "" {
			t.Errorf("%s: %s", step, diff)
		}
		if s.Result().Status != 0 || vm.Streams() != 0 {
			t.Errorf("%s: %+v, %d streams", step, s.Result(), vm.Streams())
		}
	}
}

// TestDeath checks that what kills a module in Envoy kills it here.
func TestDeath(t *testing.T) {
	for command, why := range map[string]string{
		// The runtime stops the other goroutines before it prints a panic's value,
		// sleeps meanwhile, and dies of that.
		"trap":  "fatal error: wasi_snapshot_preview1.poll_oneoff",
		"sleep": "fatal error: poll_oneoff failed",
		"exit":  "proc_exit(3)",
	} {
		t.Run(command, func(t *testing.T) {
			vm := newVM(t)
			root := newRoot(t, vm, "")
			request := cases.Request{Headers: [][2]string{{"on-request", command}}}
			_, err := vm.Exchange(root, request, cases.Upstream{})
			if err == nil || vm.Err() == nil {
				t.Fatal("the VM lives")
			}
			if !strings.Contains(err.Error(), why) {
				t.Errorf("%q is not in %v", why, err)
			}
			if _, err := vm.Exchange(root, cases.Request{}, cases.Upstream{}); err == nil ||
				!strings.Contains(err.Error(), "dead") {
				t.Errorf("the dead VM answers: %v", err)
			}
			// Another one of the same module is none the worse.
			vm = newVM(t)
			if _, err := vm.Exchange(newRoot(t, vm, ""), cases.Request{}, cases.Upstream{}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestImportsAndExports(t *testing.T) {
	if got := echo.Imports(); !slices.IsSorted(got) || !slices.Contains(got, "env.proxy_log") ||
		!slices.Contains(got, "wasi_snapshot_preview1.poll_oneoff") {
		t.Errorf("imports: %v", got)
	}
	want := []string{
		"_initialize", "memory", "proxy_abi_version_0_2_0", "proxy_on_configure", "proxy_on_context_create",
		"proxy_on_delete", "proxy_on_done", "proxy_on_http_call_response", "proxy_on_log", "proxy_on_memory_allocate",
		"proxy_on_request_headers", "proxy_on_response_headers", "proxy_on_tick", "proxy_on_vm_start",
	}
	if diff := cmp.Diff(want, echo.Exports()); diff != "" {
		t.Error(diff)
	}
	// A module with one import, of a function without parameters or result.
	binary := "\x00asm\x01\x00\x00\x00" + "\x01\x04\x01\x60\x00\x00" + "\x02\x0f\x01\x03env\x07unknown\x00\x00"
	path := filepath.Join(t.TempDir(), "unknown.wasm")
	if err := os.WriteFile(path, []byte(binary), 0o666); err != nil {
		t.Fatal(err)
	}
	module, err := Compile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer module.Close()
	if _, err := module.NewVM(); err == nil || !strings.Contains(err.Error(), "env.unknown") {
		t.Errorf("unknown import: %v", err)
	}
}

func TestHTTPCall(t *testing.T) {
	vm := newVM(t)
	root := newRoot(t, vm, "tick|1500;call|policies|:method|GET|:path|/p|:authority|a;call|policies|:method|GET")
	if got := root.TickPeriod(); got != 1500*time.Millisecond {
		t.Errorf("tick period: %v", got)
	}
	want := []HTTPCall{{Token: 1, Cluster: "policies",
		Headers: [][2]string{{":method", "GET"}, {":path", "/p"}, {":authority", "a"}}, Timeout: time.Second}}
	if diff := cmp.Diff(want, root.HTTPCalls()); diff != "" {
		t.Error(diff)
	}
	if err := errors.Join(root.Tick(), root.AnswerHTTPCall(1, 304, [][2]string{{"ETag", "x"}}, "body")); err != nil {
		t.Fatal(err)
	}
	got := said(root.Calls())
	wantSaid := []string{"tick 1", "answer 1 1 2 4 0", `pairs|6 -> 0 ":status: 304\netag: x"`,
		`buffer|4|0|99 -> 0 "body"`}
	if diff := cmp.Diff(wantSaid, got[max(0, len(got)-len(wantSaid)):]); diff != "" {
		t.Error(diff)
	}
	if err := root.AnswerHTTPCall(1, 200, nil, ""); err == nil {
		t.Error("one request got two answers")
	}
}
