package wazero_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/wasmhost"
)

// A failure is a VM in a host of which a function will fail.
type failure struct {
	*testing.T
	vm       *wasmhost.VM
	function string
	fails    map[string]uint32
}

// begins has the function fail from now on.
func (f *failure) begins() { f.fails["env."+f.function] = 10 } // InternalFailure

// config has a plugin take a configuration.
func (f *failure) config(text string) *wasmhost.Root {
	f.Helper()
	return newRoot(f.T, f.vm, text)
}

// unreadable checks that nobody can read the answer to a request of an origin that is allowed, whatever
// the upstream says.
func (f *failure) unreadable(root *wasmhost.Root, request cases.Request) {
	f.Helper()
	for _, up := range []cases.Upstream{{}, permissive} {
		if result := exchange(f.T, f.vm, root, request, up); allowedOrigin(result) != "" {
			f.Errorf("%+v", result)
		}
	}
}

// lookup has a plugin look origins up.
func (f *failure) lookup() *lookupTest {
	f.Helper()
	return &lookupTest{f.T, f.vm, f.config(lookingUp(""))}
}

// serving has a plugin serve policyA from a policy source.
func (f *failure) serving() *wasmhost.Root {
	f.Helper()
	root := f.config(polled)
	fetched(f.T, root, policyA)
	serves(f.T, f.vm, root, "https://a.example")
	return root
}

// publishes has time pass in which the source has policyB.
func (f *failure) publishes(roots ...*wasmhost.Root) {
	f.Helper()
	err := f.vm.Run(10*time.Second, roots, func(wasmhost.HTTPCall, time.Time) *wasmhost.HTTPAnswer {
		return &wasmhost.HTTPAnswer{Status: 200, Body: policyB}
	})
	if err != nil {
		f.Fatal(err)
	}
}

// keeps checks that no document of the source is taken, and what serves goes on.
func (f *failure) keeps() {
	f.Helper()
	root := f.serving()
	f.begins()
	f.publishes(root)
	serves(f.T, f.vm, root, "https://a.example")
}

// late checks that a VM hears of another's document not at once, but with its next tick.
func (f *failure) late() {
	f.Helper()
	module, err := compiled()
	if err != nil {
		f.Fatal(err)
	}
	other := sibling(f.T, module, f.vm)
	if f.function == "proxy_register_shared_queue" {
		f.begins()
	}
	root, theirs := f.config(polled), newRoot(f.T, other, polled)
	if err := theirs.Tick(); err != nil { // from which on it listens
		f.Fatal(err)
	}
	if len(theirs.HTTPCalls()) > 0 {
		root, theirs, f.vm, other = theirs, root, other, f.vm
		if err := theirs.Tick(); err != nil {
			f.Fatal(err)
		}
	} else if err := root.Tick(); err != nil {
		f.Fatal(err)
	}
	f.begins()
	calls := root.HTTPCalls()
	if err := errors.Join(root.AnswerHTTPCall(calls[0].Token, 200, nil, policyA), f.vm.Dispatch()); err != nil {
		f.Fatal(err)
	}
	serves(f.T, f.vm, root, "https://a.example")
	if got := allowedOrigin(exchange(f.T, other, theirs, actualA, cases.Upstream{})); got != "" {
		f.Errorf("at once %q is allowed", got)
	}
	if err := theirs.Tick(); err != nil {
		f.Fatal(err)
	}
	serves(f.T, other, theirs, "https://a.example")
}

// standsStill checks that an answer that is held for a look-up stays so.
func (f *failure) standsStill() {
	f.Helper()
	lookup := f.lookup()
	s := lookup.begin(from("https://a.example"))
	lookup.try(s.Response(cases.Upstream{}))
	f.begins()
	lookup.answer(204)
	for range 10 {
		if lookup.root.TickPeriod() > 0 {
			lookup.try(lookup.root.Tick())
		}
	}
	if !s.Waits() {
		f.Error("the stream goes on")
	}
	lookup.try(s.End()) // as the proxy ends it
	clear(f.fails)
	lookup.knows("https://a.example", true)
}

// hostFailures are what becomes of a failure of each function, in the words of docs/hosts.md.
var hostFailures = []struct {
	function, words string
	check           func(f *failure)
}{
	{"proxy_log", "nothing is logged", func(f *failure) {
		f.begins()
		before := len(f.vm.Logs())
		serves(f.T, f.vm, f.config(policyA), "https://a.example")
		if n := len(f.vm.Logs()); n > before {
			f.Error(f.vm.Logs())
		}
	}},
	{"proxy_get_buffer_bytes", "the configuration is refused; what serves goes on", func(f *failure) {
		own := f.config(policyB)
		f.keeps()
		if _, err := f.vm.NewRoot(policyA); !errors.Is(err, wasmhost.ErrRefused) {
			f.Error(err)
		}
		serves(f.T, f.vm, own, "https://b.example")
	}},
	{"proxy_get_header_map_value", "the answer loses its CORS headers; the look-up has failed", func(f *failure) {
		root, lookup := f.config(policyA), f.lookup()
		paused := lookup.begin(preflightFrom("https://b.example"))
		f.begins()
		f.unreadable(root, actualA)
		lookup.answer(204)
		if paused.Waits() || allowedOrigin(paused.Result()) != "" {
			f.Errorf("%+v", paused.Result())
		}
		lookup.counted(map[string]uint64{"failed": 1})
	}},
	{"proxy_get_header_map_pairs", "the answer loses its CORS headers", func(f *failure) {
		root := f.config(policyA)
		f.begins()
		f.unreadable(root, actualA)
		f.unreadable(root, allowedA)
	}},
	{"proxy_get_property", "the answer loses its CORS headers, where there are `match.routes`", func(f *failure) {
		root := f.config(policyA)
		routes := f.config(`{"policies": [{"name": "p", "match": {"routes": ["r"]}, "allow_origins": ["https://a.example"]}]}`)
		request := actualA
		request.Route = "r"
		if result := exchange(f.T, f.vm, routes, request, cases.Upstream{}); allowedOrigin(result) == "" {
			f.Fatalf("%+v", result)
		}
		f.begins()
		f.unreadable(routes, request)
		serves(f.T, f.vm, root, "https://a.example")
	}},
	{"proxy_set_property", "they are missing", func(f *failure) {
		root := f.config(policyA)
		f.begins()
		s := root.Begin(actualB)
		if err := errors.Join(s.Request(), s.Response(cases.Upstream{}), s.End()); err != nil {
			f.Fatal(err)
		}
		for name := range s.Properties {
			if strings.HasPrefix(name, "cors.") {
				f.Error(s.Properties)
			}
		}
	}},
	{"proxy_add_header_map_value", "the page can't read it", func(f *failure) {
		root := f.config(policyA)
		f.begins()
		if result := exchange(f.T, f.vm, root, actualA, cases.Upstream{}); allowedOrigin(result) != "" {
			f.Errorf("%+v", result)
		}
	}},
	{"proxy_replace_header_map_value", "the upstream's is removed", func(f *failure) {
		root := f.config(policyA)
		f.begins()
		result := exchange(f.T, f.vm, root, actualA, permissive)
		for _, h := range result.Headers {
			if h[0] == "access-control-allow-origin" {
				f.Errorf("%+v", result)
			}
		}
	}},
	{"proxy_remove_header_map_value", "they are emptied", func(f *failure) {
		root := f.config(policyA)
		f.begins()
		result := exchange(f.T, f.vm, root, actualB, permissive)
		for _, name := range []string{"access-control-allow-origin", "access-control-allow-credentials"} {
			if !slices.Contains(result.Headers, [2]string{name, ""}) {
				f.Errorf("%s: %+v", name, result)
			}
		}
	}},
	{"proxy_send_local_response", "the preflight goes on to the upstream, whose answer loses its CORS headers", func(f *failure) {
		root := f.config(policyA)
		f.begins()
		f.unreadable(root, allowedA)
		if result := exchange(f.T, f.vm, root, allowedA, permissive); !result.Forwarded {
			f.Errorf("%+v", result)
		}
	}},
	{"proxy_define_metric", "nothing is counted", (*failure).uncounted},
	{"proxy_increment_metric", "nothing is counted", (*failure).uncounted},
	{"proxy_http_call", "what serves goes on; origins that would be looked up aren't allowed", func(f *failure) {
		f.keeps()
		f.unreadable(f.lookup().root, from("https://shop.example"))
	}},
	{"proxy_set_tick_period_milliseconds", "nothing is polled, and what serves goes on", func(f *failure) {
		f.begins()
		root := f.config(fetching)
		f.publishes(root)
		if root.TickPeriod() > 0 || len(root.HTTPCalls()) > 0 {
			f.Errorf("ticks of %s, %d fetches", root.TickPeriod(), len(root.HTTPCalls()))
		}
		serves(f.T, f.vm, root, "https://a.example")
	}},
	{"proxy_get_shared_data", "no document of a policy source is taken, and what serves goes on", (*failure).keeps},
	{"proxy_set_shared_data", "the same", (*failure).keeps},
	{"proxy_register_shared_queue", "it is taken up at the next tick", (*failure).late},
	{"proxy_enqueue_shared_queue", "they take it up at their next tick", (*failure).late},
	{"proxy_dequeue_shared_queue", "it grows by a byte for each document", func(f *failure) {
		module, err := compiled()
		if err != nil {
			f.Fatal(err)
		}
		other := sibling(f.T, module, f.vm)
		roots := []*wasmhost.Root{f.config(polled), newRoot(f.T, other, polled)}
		f.publishes(roots...)
		f.begins()
		before := f.vm.Queued()
		for _, document := range []string{policyA, policyB, policyA} {
			err := f.vm.Run(3*time.Second, roots, func(wasmhost.HTTPCall, time.Time) *wasmhost.HTTPAnswer {
				return &wasmhost.HTTPAnswer{Status: 200, Body: document}
			})
			if err != nil {
				f.Fatal(err)
			}
		}
		serves(f.T, f.vm, roots[0], "https://a.example")
		serves(f.T, other, roots[1], "https://a.example")
		if n := f.vm.Queued() - before; n != 3*len(roots) { // Each VM has a queue.
			f.Errorf("%d values are in the queues after three documents", n)
		}
	}},
	{"proxy_set_effective_context", "streams that wait stand still until the proxy's own time-out", (*failure).standsStill},
	{"proxy_continue_stream", "the same", (*failure).standsStill},
}

// uncounted checks that nothing is counted, and all else is well.
func (f *failure) uncounted() {
	f.begins()
	serves(f.T, f.vm, f.config(policyA), "https://a.example")
	for name, n := range f.vm.Metrics() {
		if n > 0 {
			f.Errorf("%s is %d", name, n)
		}
	}
}

// TestHostFailures: where a function of the host fails, what docs/hosts.md says of it is what happens.
func TestHostFailures(t *testing.T) {
	var want [][]string
	for _, test := range hostFailures {
		want = append(want, []string{test.function, test.words})
		t.Run(test.function, func(t *testing.T) {
			f := &failure{T: t, function: test.function, fails: map[string]uint32{}}
			f.vm = newQuirkyVM(t, compiled, wasmhost.Quirks{Fails: f.fails})
			test.check(f)
		})
	}
	var got [][]string
	for _, row := range regexp.MustCompile("(?m)^\\| `(proxy_\\w+)` \\| .* \\| (.*) \\|$").
		FindAllStringSubmatch(read(t, "docs/hosts.md"), -1) {
		got = append(got, row[1:])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is tested (-) and docs/hosts.md (+):\n%s", diff)
	}
}
