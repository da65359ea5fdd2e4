package wazero_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/wasmhost"
)

// statuses are those by which a host function fails, proxy_status_t but its OK.
var statuses = []string{
	1: "NotFound", "BadArgument", "SerializationFailure", "ParseFailure", "BadExpression", "InvalidMemoryAccess",
	"Empty", "CasMismatch", "ResultMismatch", "InternalFailure", "BrokenConnection", "Unimplemented",
}

// TestHostFunctionsFail: whichever function of the host fails, with whatever status, while a plugin
// is configured and while plugins serve: nothing panics, no page gets what it may not have, and
// traffic goes on. When it works again, so does the filter.
func TestHostFunctionsFail(t *testing.T) {
	module, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range module.Imports() {
		if !strings.HasPrefix(name, "env.") {
			continue
		}
		t.Run(strings.TrimPrefix(name, "env."), func(t *testing.T) {
			f := newFailing(t, name)
			for failure := 1; failure < len(statuses); failure++ {
				t.Run(statuses[failure], func(t *testing.T) { f.run(t, uint32(failure)) })
			}
			if log := strings.Join(f.vm.Logs(), "\n"); strings.Contains(log, "panic") {
				t.Error(log)
			}
		})
	}
}

// A failing is a VM in a host of which a function fails at times.
type failing struct {
	*testing.T
	vm      *wasmhost.VM
	roots   []*wasmhost.Root
	fails   map[string]uint32
	name    string
	failure uint32 // the function's status
	// credentials tells that policyB serves, and else no policy that allows more than policyA.
	credentials bool
}

// newFailing has a plugin serve policyB, and others what allows no more than policyA.
func newFailing(t *testing.T, name string) *failing {
	t.Helper()
	f := &failing{T: t, name: name, fails: map[string]uint32{}}
	f.vm = newQuirkyVM(t, compiled, wasmhost.Quirks{Fails: f.fails})
	for _, configuration := range []string{
		policyB, policyA,
		`{"policies": [{"name": "hosts", "match": {"hosts": ["api.example"], "paths": [{"prefix": "/"}]}, ` +
			strings.TrimPrefix(policyA, "{") + `]}`,
		`{"policies": [{"name": "routes", "match": {"routes": ["r"]}, ` + strings.TrimPrefix(policyA, "{") + `, ` +
			`{"name": "others", "allow_origins": ["https://other.example"]}]}`,
		lookingUp(`, "ttl": "0s", "stale": "0s"`),
	} {
		f.roots = append(f.roots, newRoot(t, f.vm, configuration))
	}
	return f
}

func (f *failing) try(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *failing) run(t *testing.T, failure uint32) {
	t.Helper()
	f.T, f.failure = t, failure
	f.fails[f.name] = failure
	polling, err := f.vm.NewRoot(polled)
	if errors.Is(err, wasmhost.ErrRefused) && f.name == "env.proxy_get_buffer_bytes" {
		remove(t, polling) // It has read nothing.
		clear(f.fails)
		polling, err = f.vm.NewRoot(polled)
		f.fails[f.name] = failure
	}
	f.try(err)
	for i, root := range append(f.roots, polling) {
		f.credentials = i == 0
		f.serves(root)
		f.try(root.Tick())
	}
	f.lives(polling, 2*time.Second)
	clear(f.fails)
	if f.name != "env.proxy_set_tick_period_milliseconds" { // without which nothing is ever polled
		f.lives(polling, 10*time.Second) // The next fetch after a failure isn't later.
		serves(t, f.vm, polling, "https://a.example")
	}
	serves(t, f.vm, f.roots[0], "https://b.example")
	serves(t, f.vm, f.roots[1], "https://a.example")
	remove(t, polling)
}

const evil = "https://evil.example"

// serves sends requests, and looks at what their pages get.
func (f *failing) serves(root *wasmhost.Root) {
	for _, origin := range []string{"https://a.example", "https://b.example", "https://other.example", evil} {
		for _, request := range []cases.Request{
			{Route: "r", Headers: [][2]string{{"Origin", origin}}},
			{Route: "r", Method: "POST", Headers: [][2]string{{"Origin", origin}, {"Content-Length", "5"}}},
			{Route: "r", Method: "OPTIONS", Headers: [][2]string{{"Origin", origin},
				{"Access-Control-Request-Method", "PUT"}, {"Access-Control-Request-Headers", "x-a"}}},
			{Route: "r", Method: "OPTIONS", Headers: [][2]string{{"Origin", origin},
				{"Access-Control-Request-Method", "DELETE"}}},
		} {
			for _, allows := range []string{origin, "*"} {
				f.exchange(root, request, origin, cases.Upstream{Headers: [][2]string{
					{"Access-Control-Allow-Origin", allows}, {"Access-Control-Allow-Credentials", "true"},
					{"Access-Control-Allow-Methods", "DELETE"},
				}})
			}
		}
	}
}

// waits are the functions without which a stream that waits for a look-up can't go on, until the
// proxy ends it.
var waits = []string{"env.proxy_continue_stream", "env.proxy_set_effective_context"}

// absences are the functions of which NotFound says that there is no Origin, or no route.
var absences = []string{"env.proxy_get_header_map_value", "env.proxy_get_property"}

func (f *failing) exchange(root *wasmhost.Root, request cases.Request, origin string, up cases.Upstream) {
	f.Helper()
	s := root.Begin(request)
	f.try(s.Request())
	f.answer(root)
	if s.Result().Forwarded && s.Result().Status == 0 {
		f.try(s.Response(up))
		f.answer(root)
	}
	if s.Waits() && !slices.Contains(waits, f.name) {
		f.Errorf("%+v stands still:\n%s", request, strings.Join(s.Calls(), "\n"))
	}
	f.try(s.End())
	result := s.Result()
	got, credentials := "", false
	for _, h := range result.Headers {
		switch h[0] {
		case "access-control-allow-origin":
			got = h[1]
		case "access-control-allow-credentials":
			credentials = h[1] == "true"
		}
	}
	switch {
	case f.failure == 1 && slices.Contains(absences, f.name):
	case got != origin && got != "*": // The page can't read it.
	case got == origin && origin == "https://a.example" && !credentials && !f.credentials:
	case got == origin && origin == "https://b.example" && f.credentials:
	default:
		f.Errorf("%+v has allow-origin %q, credentials %t:\n%s", request, got, credentials, strings.Join(s.Calls(), "\n"))
	}
}

// answer says no to all look-ups, and answers a source with policies for https://a.example.
func (f *failing) answer(root *wasmhost.Root) {
	for _, call := range root.HTTPCalls() {
		if slices.ContainsFunc(call.Headers, func(h [2]string) bool { return strings.Contains(h[1], "origin=") }) {
			f.try(root.AnswerHTTPCall(call.Token, 404, nil, ""))
		} else {
			f.try(root.AnswerHTTPCall(call.Token, 200, nil, policyA))
		}
	}
}

// lives has time pass.
func (f *failing) lives(root *wasmhost.Root, d time.Duration) {
	f.try(f.vm.Run(d, []*wasmhost.Root{root}, func(wasmhost.HTTPCall, time.Time) *wasmhost.HTTPAnswer {
		return &wasmhost.HTTPAnswer{Status: 200, Body: policyA}
	}))
}
