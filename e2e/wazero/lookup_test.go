package wazero_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/wasmhost"
)

// These are the tests of origin_lookup: of what is asked, what is remembered, and what
// becomes of the streams that wait.

// lookingUp is a policy that looks all origins up but one.
func lookingUp(more string) string {
	return `{"policies": [{"name": "tenants", "allow_origins": ["https://own.example"], "allow_methods": ["PUT"], ` +
		`"origin_lookup": {"cluster": "policies"` + more + `}}]}`
}

func lookupCounter(result string) string {
	return "cors_policy=.=tenants;.;cors_result=.=" + result + ";.;cors_lookups_total"
}

func from(origin string) cases.Request {
	return cases.Request{Host: "api.example.com", Headers: [][2]string{{"Origin", origin}}}
}

func preflightFrom(origin string) cases.Request {
	return cases.Request{Method: "OPTIONS", Host: "api.example.com",
		Headers: [][2]string{{"Origin", origin}, {"Access-Control-Request-Method", "PUT"}}}
}

// A lookupTest is a VM with a plugin that looks origins up.
type lookupTest struct {
	*testing.T
	vm   *wasmhost.VM
	root *wasmhost.Root
}

func newLookupTest(t *testing.T, config string) *lookupTest {
	t.Helper()
	vm := newVM(t)
	return &lookupTest{t, vm, newRoot(t, vm, config)}
}

// try fails the test if an error comes of something.
func (t *lookupTest) try(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// begin begins a request.
func (t *lookupTest) begin(request cases.Request) *wasmhost.Stream {
	t.Helper()
	s := t.root.Begin(request)
	t.try(s.Request())
	return s
}

// asked are the origins that are being asked for.
func (t *lookupTest) asked(root *wasmhost.Root) (origins []string) {
	t.Helper()
	for _, call := range root.HTTPCalls() {
		origins = append(origins, query(t.T, call).Get("origin"))
	}
	return origins
}

func query(t *testing.T, call wasmhost.HTTPCall) url.Values {
	t.Helper()
	for _, h := range call.Headers {
		if h[0] == ":path" {
			u, err := url.Parse(h[1])
			if err != nil {
				t.Fatal(err)
			}
			return u.Query()
		}
	}
	t.Fatal("no path in", call.Headers)
	return nil
}

// answer answers the oldest question. A status of 0 is none in time.
func (t *lookupTest) answer(status int, headers ...[2]string) {
	t.Helper()
	t.try(t.root.AnswerHTTPCall(t.root.HTTPCalls()[0].Token, status, headers, ""))
}

// finish has the upstream answer, and the client get it.
func (t *lookupTest) finish(s *wasmhost.Stream) wasmhost.Result {
	t.Helper()
	if s.Result().Forwarded && s.Result().Status == 0 && !s.Waits() {
		t.try(s.Response(cases.Upstream{}))
	}
	if s.Waits() {
		t.Error("a stream stands still")
	}
	t.try(s.End())
	return s.Result()
}

// counts are the counters of look-ups that aren't zero.
func (t *lookupTest) counts() map[string]uint64 {
	counts := map[string]uint64{}
	for _, result := range []string{"hit", "stale", "allowed", "denied", "failed", "overloaded"} {
		if n := t.vm.Metrics()[lookupCounter(result)]; n > 0 {
			counts[result] = n
		}
	}
	return counts
}

func (t *lookupTest) counted(want map[string]uint64) {
	t.Helper()
	if diff := cmp.Diff(want, t.counts()); diff != "" {
		t.Errorf("look-ups counted (-want +got):\n%s", diff)
	}
}

// ask has an origin asked for, and answered, by an actual request.
func (t *lookupTest) ask(origin string, status int, headers ...[2]string) {
	t.Helper()
	s := t.begin(from(origin))
	t.answer(status, headers...)
	t.finish(s)
}

// knows fails the test unless an origin is allowed, or not, and asked for, or not.
func (t *lookupTest) knows(origin string, allowed bool, asks ...string) {
	t.Helper()
	s := t.begin(from(origin))
	t.try(s.Response(cases.Upstream{}))
	if s.Waits() {
		t.Fatalf("%s is not known", origin)
	}
	if got := allowedOrigin(s.Result()) == origin; got != allowed {
		t.Errorf("%s: allowed %t, want %t", origin, got, allowed)
	}
	t.try(s.End())
	if diff := cmp.Diff(asks, t.asked(t.root)); diff != "" {
		t.Errorf("%s asks for (-want +got):\n%s", origin, diff)
	}
}

// pass has time pass.
func (t *lookupTest) pass(d time.Duration) {
	t.Helper()
	t.try(t.vm.Run(d, nil, nil))
}

// TestLookupAnswers: what becomes of a preflight, and of an actual request whose answer comes
// before the decision or after it, with each answer to the look-up.
func TestLookupAnswers(t *testing.T) {
	const origin = "https://shop.example"
	for _, test := range []struct {
		name    string
		answer  int // 0 for none
		allowed bool
		reason  string
		count   string
	}{
		{"204", 204, true, "", "allowed"},
		{"200", 200, true, "", "allowed"},
		{"404", 404, false, "the look-up says no", "denied"},
		{"403", 403, false, "the look-up says no", "denied"},
		{"401", 401, false, "the look-up failed", "failed"},
		{"201", 201, false, "the look-up failed", "failed"},
		{"302", 302, false, "the look-up failed", "failed"},
		{"500", 500, false, "the look-up failed", "failed"},
		{"too late", 504, false, "the look-up failed", "failed"}, // is what Envoy answers
		{"a reset", 0, false, "the look-up failed", "failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			lookup := newLookupTest(t, lookingUp(""))
			check := func(what string, s *wasmhost.Stream) {
				t.Helper()
				result := lookup.finish(s)
				want := ""
				if test.allowed {
					want = origin
				}
				if got := allowedOrigin(result); got != want {
					t.Errorf("%s: the origin that is allowed is %q, want %q", what, got, want)
				}
				if got := s.Properties["cors.reason"]; !strings.HasSuffix(got, test.reason) || (got == "") != test.allowed {
					t.Errorf("%s: the reason is %q", what, got)
				}
			}
			after := lookup.begin(from(origin))
			before := lookup.begin(from(origin))
			preflight := lookup.begin(preflightFrom(origin))
			lookup.try(before.Response(cases.Upstream{Headers: [][2]string{{"Access-Control-Allow-Origin", "*"}}}))
			if !after.Result().Forwarded || after.Waits() || !before.Waits() || !preflight.Waits() ||
				len(lookup.root.HTTPCalls()) != 1 {
				t.Fatal("not forwarded, or not held, or not paused, or not asked for once")
			}
			lookup.answer(test.answer)
			if test.allowed != (preflight.Result().Status == 204) || !test.allowed && preflight.Result().Status != 403 {
				t.Errorf("the preflight's status is %d", preflight.Result().Status)
			}
			check("answer after the decision", after)
			check("answer before the decision", before)
			check("preflight", preflight)
			lookup.counted(map[string]uint64{test.count: 3})
			if n := lookup.vm.Metrics()[counter("tenants", "allowed")]; test.allowed && n != 2 {
				t.Errorf("%d actual requests are counted as allowed, want 2", n)
			}
		})
	}
}

// TestLookupAsks: for what is asked, and how.
func TestLookupAsks(t *testing.T) {
	const credentials = `, "allow_credentials": true}`
	policy := strings.TrimSuffix(strings.TrimPrefix(lookingUp(""), `{"policies": [`), `]}`)
	for _, test := range []struct {
		name, config string
		host, origin string
		path         string // "" if nothing is asked
	}{
		{"an origin", lookingUp(""), "api.example.com", "https://shop.example",
			"/v1/lookup?policy=tenants&host=api.example.com&origin=https%3A%2F%2Fshop.example"},
		{"host with a port, in upper case", lookingUp(""), "API.example.com:8443", "https://shop.example:8443",
			"/v1/lookup?policy=tenants&host=api.example.com%3A8443&origin=https%3A%2F%2Fshop.example%3A8443"},
		{"hostile host", lookingUp(""), "a&origin=https://own.example#%00é", "https://shop.example",
			"/v1/lookup?policy=tenants&host=a%26origin%3Dhttps%3A%2F%2Fown.example%23%2500%C3%A9&origin=https%3A%2F%2Fshop.example"},
		{"an app's origin", lookingUp(""), "h", "capacitor://localhost",
			"/v1/lookup?policy=tenants&host=h&origin=capacitor%3A%2F%2Flocalhost"},
		{"another path", lookingUp(`, "path": "/ask"`), "h", "https://a.example",
			"/ask?policy=tenants&host=h&origin=https%3A%2F%2Fa.example"},
		{"a path with a query", lookingUp(`, "path": "/ask?key=1"`), "h", "https://a.example",
			"/ask?key=1&policy=tenants&host=h&origin=https%3A%2F%2Fa.example"},
		{"a policy without a name", `{"origin_lookup": {"cluster": "policies"}}`, "h", "https://a.example",
			"/v1/lookup?policy=default&host=h&origin=https%3A%2F%2Fa.example"},
		{"loopback with credentials", policies(strings.TrimSuffix(policy, "}") + credentials), "h", "http://localhost:3000",
			"/v1/lookup?policy=tenants&host=h&origin=http%3A%2F%2Flocalhost%3A3000"},
		{"plain http without credentials", lookingUp(""), "h", "http://a.example",
			"/v1/lookup?policy=tenants&host=h&origin=http%3A%2F%2Fa.example"},
		{"plain http with credentials", policies(strings.TrimSuffix(policy, "}") + credentials), "h", "http://a.example", ""},
		{"an origin of the list", lookingUp(""), "h", "https://own.example", ""},
		{"null", lookingUp(""), "h", "null", ""},
		{"empty", lookingUp(""), "h", "", ""},
		{"no origin", lookingUp(""), "h", "https://a.example/", ""},
		{"two", lookingUp(""), "h", "https://a.example, https://b.example", ""},
		{"too long", lookingUp(""), "h", "https://" + strings.Repeat("a", 300), ""},
		{"too long a host", lookingUp(""), strings.Repeat("a", 301), "https://a.example", ""},
	} {
		for _, preflight := range []bool{false, true} {
			lookup := newLookupTest(t, test.config)
			request := from(test.origin)
			if preflight {
				request = preflightFrom(test.origin)
			}
			request.Host = test.host
			s := lookup.begin(request)
			calls := lookup.root.HTTPCalls()
			if test.path == "" {
				if len(calls) > 0 {
					t.Errorf("%s: %v is asked", test.name, calls[0])
				}
				lookup.finish(s)
				continue
			}
			if len(calls) != 1 {
				t.Errorf("%s: nothing is asked", test.name)
				continue
			}
			want := wasmhost.HTTPCall{Token: calls[0].Token, Cluster: "policies", Timeout: 500 * time.Millisecond,
				Headers: [][2]string{{":method", "GET"}, {":path", test.path}, {":authority", "policies"},
					{":scheme", "http"}, {"user-agent", "proxy-wasm-cors"}}}
			if diff := cmp.Diff(want, calls[0]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.name, diff)
			}
			lookup.answer(204)
			lookup.finish(s)
		}
	}
}

// TestLookupExactCalls: what is remembered costs a request the host's name, where the policy
// did not depend on it, the time, and a counter.
func TestLookupExactCalls(t *testing.T) {
	const byHost = `{"policies": [{"name": "tenants", "match": {"hosts": ["api.example.com"]}, ` +
		`"origin_lookup": {"cluster": "policies"}}]}`
	hit := "count " + lookupCounter("hit") + " +1"
	allowed := "count " + counter("tenants", "allowed") + " +1"
	for _, test := range []struct {
		name, config string
		request      cases.Request
		want         []string
	}{
		{"actual request", lookingUp(""), from("https://a.example"), []string{
			"call proxy_on_context_create", "call proxy_on_request_headers",
			`get request origin -> "https://a.example"`, "get request access-control-request-method -> missing",
			`get request :authority -> "api.example.com"`, hit, allowed,
			"call proxy_on_response_headers", "pairs response",
			"add response access-control-allow-origin: https://a.example", "add response vary: Origin",
			"call proxy_on_delete"}},
		{"actual request, policies by host", byHost, from("https://a.example"), []string{
			"call proxy_on_context_create", "call proxy_on_request_headers",
			`get request origin -> "https://a.example"`, "get request access-control-request-method -> missing",
			`get request :authority -> "api.example.com"`, hit, allowed,
			"call proxy_on_response_headers", "pairs response",
			"add response access-control-allow-origin: https://a.example", "add response vary: Origin",
			"call proxy_on_delete"}},
		{"preflight", lookingUp(""), preflightFrom("https://a.example"), []string{
			"call proxy_on_context_create", "call proxy_on_request_headers",
			`get request origin -> "https://a.example"`, `get request access-control-request-method -> "PUT"`,
			"pairs request", hit,
			"count " + counter("tenants", "preflight_allowed") + " +1",
			"reply 204 details=cors: preflight allowed headers=[access-control-allow-origin: https://a.example, " +
				"access-control-allow-methods: PUT, vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers]",
			"call proxy_on_response_headers", "call proxy_on_delete"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			lookup := newLookupTest(t, test.config)
			lookup.ask("https://a.example", 204)
			result := lookup.finish(lookup.begin(test.request))
			if diff := cmp.Diff(test.want, result.Calls); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestLookupRemembers: for how long an answer serves.
func TestLookupRemembers(t *testing.T) {
	t.Parallel()
	const a = "https://a.example"
	control := func(value string) [2]string { return [2]string{"cache-control", value} }
	for _, test := range []struct {
		name    string
		more    string // of the configuration
		headers [][2]string
		fresh   time.Duration // 0 if it is stale at once
		stale   time.Duration // beyond that
	}{
		{"by default", "", nil, time.Minute, time.Hour},
		{"ttl and stale", `, "ttl": "10s", "stale": "20s"`, nil, 10 * time.Second, 20 * time.Second},
		{"max-age", `, "ttl": "10s", "stale": "20s"`, [][2]string{control("max-age=3")}, 3 * time.Second, 20 * time.Second},
		{"max-age among others", `, "stale": "20s"`, [][2]string{control(`private, Max-Age="3" , must-revalidate`)},
			3 * time.Second, 20 * time.Second},
		{"the first of several", `, "stale": "20s"`, [][2]string{control("max-age=3, max-age=30")},
			3 * time.Second, 20 * time.Second},
		{"max-age of none", `, "stale": "20s"`, [][2]string{control("max-age=0")}, 0, 20 * time.Second},
		{"a longer max-age than a day", `, "stale": 0`, [][2]string{control("max-age=99999999999999999999")},
			24 * time.Hour, 0},
		{"no number", `, "ttl": "10s", "stale": "20s"`, [][2]string{control("max-age=soon, max-age=-1, max-age=")},
			10 * time.Second, 20 * time.Second},
		{"not stale", `, "ttl": "10s", "stale": 0`, nil, 10 * time.Second, 0},
		{"no-store", "", [][2]string{control("no-store, max-age=60")}, -1, 0},
		{"no-cache", "", [][2]string{control("NO-CACHE")}, -1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			lookup := newLookupTest(t, lookingUp(test.more))
			lookup.ask(a, 204, test.headers...)
			const moment = 100 * time.Millisecond
			if test.fresh > 0 {
				lookup.knows(a, true)
				lookup.pass(test.fresh - moment)
				lookup.knows(a, true)
				lookup.pass(2 * moment)
			}
			if test.stale > 0 {
				lookup.knows(a, true, a)
				lookup.pass(test.stale - 4*moment)
				lookup.knows(a, true, a) // that is asked still
				lookup.answer(500)
				lookup.knows(a, true) // and that isn't asked again at once
				lookup.pass(4 * moment)
			}
			s := lookup.begin(from(a))
			if diff := cmp.Diff([]string{a}, lookup.asked(lookup.root)); diff != "" || len(s.Properties) > 1 {
				t.Errorf("when it isn't remembered any more (-want +got):\n%s", diff)
			}
			lookup.answer(404)
			if got := allowedOrigin(lookup.finish(s)); got != "" {
				t.Errorf("%s is allowed", got)
			}
		})
	}
}

// TestLookupAsksAgain: an expired answer is asked for again, once at a time, and what then
// comes counts; where asking fails it serves, and is asked for again after a second.
func TestLookupAsksAgain(t *testing.T) {
	const a = "https://a.example"
	lookup := newLookupTest(t, lookingUp(`, "ttl": "10s"`))
	lookup.ask(a, 204)
	lookup.pass(11 * time.Second)
	lookup.knows(a, true, a)
	lookup.knows(a, true, a)
	lookup.answer(503)
	lookup.knows(a, true)
	lookup.pass(time.Second)
	lookup.knows(a, true, a)
	lookup.answer(404)
	lookup.knows(a, false)
	lookup.counted(map[string]uint64{"allowed": 1, "stale": 4, "failed": 1, "denied": 1, "hit": 1})
	logs := strings.Join(lookup.vm.Logs(), "\n")
	for _, want := range []string{
		"warn origin_lookup: policy tenants: status 503; origins are not allowed of which no answer is remembered",
		`info origin_lookup: policy tenants: the cluster "policies" answers again`,
	} {
		if strings.Count(logs, want) != 1 {
			t.Errorf("there is no %q, or more than one, in\n%s", want, logs)
		}
	}
}

// TestLookupFlaps: what fails again and again is logged once a minute.
func TestLookupFlaps(t *testing.T) {
	lookup := newLookupTest(t, lookingUp(""))
	for i := range 13 {
		lookup.ask(fmt.Sprintf("https://o%d.example", i), 500)
		lookup.ask(fmt.Sprintf("https://o%d.example", i), 204)
		lookup.pass(10 * time.Second)
	}
	logs := strings.Join(lookup.vm.Logs(), "\n")
	for _, want := range []string{"status 500", "answers again"} {
		if n := strings.Count(logs, want); n != 3 {
			t.Errorf("%q is logged %d times in two minutes, want 3", want, n)
		}
	}
}

// TestLookupNoStore: what must not be kept takes the place of what was.
func TestLookupNoStore(t *testing.T) {
	const a = "https://a.example"
	lookup := newLookupTest(t, lookingUp(`, "ttl": "10s"`))
	lookup.ask(a, 204)
	lookup.pass(11 * time.Second)
	lookup.knows(a, true, a)
	lookup.answer(404, [2]string{"cache-control", "no-store"})
	for range 2 {
		s := lookup.begin(preflightFrom(a))
		if !s.Waits() {
			t.Fatal("something is remembered")
		}
		lookup.answer(404, [2]string{"cache-control", "max-age=60, no-store"})
		lookup.finish(s)
	}
}

// TestLookupKeys: an answer is for its policy, host and origin alone, whatever they are like.
func TestLookupKeys(t *testing.T) {
	lookup := newLookupTest(t, `{"defaults": {"origin_lookup": {"cluster": "policies"}}, "policies": [
		{"name": "a", "match": {"hosts": ["*.a.example"]}}, {"name": "b", "match": {"hosts": ["*.b.example"]}}]}`)
	ask := func(host, origin string, allowed bool) {
		t.Helper()
		request := from(origin)
		request.Host = host
		s := lookup.begin(request)
		if len(lookup.root.HTTPCalls()) != 1 {
			t.Fatalf("%s at %s isn't asked for", origin, host)
		}
		lookup.answer(map[bool]int{true: 204, false: 404}[allowed])
		if got := allowedOrigin(lookup.finish(s)); (got != "") != allowed {
			t.Errorf("%s at %s: %q", origin, host, got)
		}
	}
	ask("x.a.example", "https://o.example", true)
	ask("y.a.example", "https://o.example", false)
	ask("x.b.example", "https://o.example", false)
	ask("x.a.example", "https://o.example:8443", false)
	ask("x.a.example:81", "https://o.example", false)
	same := from("https://o.example")
	same.Host = "X.A.example"
	if got := allowedOrigin(lookup.finish(lookup.begin(same))); got == "" || len(lookup.root.HTTPCalls()) > 0 {
		t.Errorf("a host in upper case is another one: %q", got)
	}
}

// TestLookupForgets: of max_entries answers the least recently used goes.
func TestLookupForgets(t *testing.T) {
	lookup := newLookupTest(t, lookingUp(`, "max_entries": 2`))
	lookup.ask("https://a.example", 204)
	lookup.ask("https://b.example", 204)
	lookup.knows("https://a.example", true)
	lookup.ask("https://c.example", 404)
	lookup.knows("https://a.example", true)
	lookup.knows("https://c.example", false)
	lookup.ask("https://b.example", 404)
	lookup.knows("https://c.example", false)
	s := lookup.begin(from("https://a.example"))
	if len(lookup.root.HTTPCalls()) != 1 {
		t.Error("a third one is remembered")
	}
	lookup.answer(204)
	lookup.finish(s)
}

// TestLookupLimits: a hundred are asked at once, and a thousand streams wait for each; for
// the others the origin isn't allowed, and nobody waits. All that wait go on, so many in a
// callback that the stack stands it.
func TestLookupLimits(t *testing.T) {
	lookup := newLookupTest(t, lookingUp(""))
	origin := func(i int) string { return fmt.Sprintf("https://o%d.example", i) }
	var waiting []*wasmhost.Stream
	for i := range 100 {
		s := lookup.begin(preflightFrom(origin(i)))
		s.Direct = &cases.Upstream{Status: 404}
		waiting = append(waiting, s)
	}
	for _, request := range []cases.Request{from(origin(100)), preflightFrom(origin(101))} {
		s := lookup.begin(request)
		if s.Waits() || s.Properties["cors.reason"] != "origin "+request.Headers[0][1]+
			" is not in allow_origins, and too many look-ups are under way" {
			t.Errorf("waits, or %q", s.Properties["cors.reason"])
		}
		lookup.finish(s)
	}
	for i := range 999 {
		request := from(origin(0))
		if i%3 > 0 {
			request = preflightFrom(origin(0))
		}
		s := lookup.begin(request)
		if i%3 == 0 && i%2 == 0 {
			lookup.try(s.Response(cases.Upstream{}))
		}
		waiting = append(waiting, s)
	}
	s := lookup.begin(preflightFrom(origin(0)))
	if s.Waits() {
		t.Error("more than a thousand wait for an origin")
	}
	lookup.finish(s)
	lookup.counted(map[string]uint64{"overloaded": 3})
	for i := range 100 {
		before := lookup.vm.Waiting()
		lookup.answer(map[bool]int{true: 204, false: 404}[i%2 == 0])
		if n := before - lookup.vm.Waiting(); n < 1 || n > 32 {
			t.Fatalf("%d streams go on in one callback", n)
		}
	}
	for ticks := 0; lookup.vm.Waiting() > 0; ticks++ {
		if lookup.root.TickPeriod() != time.Millisecond || ticks > 100 {
			t.Fatalf("%d streams wait, and the period of ticks is %s", lookup.vm.Waiting(), lookup.root.TickPeriod())
		}
		lookup.try(lookup.root.Tick())
	}
	for i, s := range waiting {
		if i < 100 && i%2 != 0 {
			if s.Result().Status != 403 {
				t.Errorf("stream %d: %+v", i, s.Result())
			}
			lookup.try(s.End())
			continue
		}
		want := origin(0)
		if i < 100 {
			want = origin(i)
		}
		if got := allowedOrigin(lookup.finish(s)); got != want {
			t.Errorf("stream %d: %q is allowed, want %q", i, got, want)
		}
	}
	lookup.try(lookup.root.Tick())
	if lookup.root.TickPeriod() != 0 {
		t.Errorf("ticks still come every %s", lookup.root.TickPeriod())
	}
	lookup.counted(map[string]uint64{"overloaded": 3, "allowed": 50 + 999, "denied": 50})
}

// TestLookupLimitsStale: of expired answers, too, a hundred are asked for again at once; all
// serve.
func TestLookupLimitsStale(t *testing.T) {
	lookup := newLookupTest(t, lookingUp(`, "ttl": "10s"`))
	origin := func(i int) string { return fmt.Sprintf("https://o%d.example", i) }
	for i := range 101 {
		lookup.ask(origin(i), 204)
	}
	lookup.pass(11 * time.Second)
	for i := range 101 {
		if got := allowedOrigin(lookup.finish(lookup.begin(from(origin(i))))); got != origin(i) {
			t.Errorf("%q is allowed, want %q", got, origin(i))
		}
	}
	if n := len(lookup.root.HTTPCalls()); n != 100 {
		t.Errorf("%d are asked for, want 100", n)
	}
	lookup.counted(map[string]uint64{"allowed": 101, "stale": 101})
}

// TestLookupCannotAsk: an unknown cluster, or one without an endpoint.
func TestLookupCannotAsk(t *testing.T) {
	lookup := newLookupTest(t, lookingUp(""))
	lookup.vm.Unreachable = true
	for range 3 {
		for _, request := range []cases.Request{from("https://a.example"), preflightFrom("https://a.example")} {
			s := lookup.begin(request)
			if result := lookup.finish(s); allowedOrigin(result) != "" ||
				!strings.HasSuffix(s.Properties["cors.reason"], "and the look-up failed") {
				t.Errorf("%+v, %v", result, s.Properties)
			}
		}
	}
	lookup.counted(map[string]uint64{"failed": 6})
	logs := strings.Join(lookup.vm.Logs(), "\n")
	if want := `warn origin_lookup: policy tenants: the cluster "policies" is unknown, has no endpoint, or has as many requests as it may have; origins are not allowed of which no answer is remembered`; strings.Count(logs, want) != 1 {
		t.Errorf("there is no %q, or more than one, in\n%s", want, logs)
	}
}

// TestLookupForward: a preflight that isn't allowed goes on where the policy says so.
func TestLookupForward(t *testing.T) {
	lookup := newLookupTest(t,
		`{"origin_lookup": {"cluster": "policies"}, "unmatched_preflights": "forward"}`)
	for _, status := range []int{404, 500} {
		s := lookup.begin(preflightFrom(fmt.Sprintf("https://o%d.example", status)))
		lookup.answer(status)
		if !s.Result().Forwarded {
			t.Errorf("%d: the preflight isn't forwarded", status)
		}
		if result := lookup.finish(s); result.Status != 200 || allowedOrigin(result) != "" {
			t.Errorf("%d: %+v", status, result)
		}
	}
}

// TestLookupShadow: a policy in shadow mode holds nothing up, and changes nothing.
func TestLookupShadow(t *testing.T) {
	lookup := newLookupTest(t, `{"policies": [{"name": "tenants", "mode": "shadow", "allow_methods": ["PUT"], `+
		`"origin_lookup": {"cluster": "policies"}}]}`)
	for _, status := range []int{204, 404} {
		origin := fmt.Sprintf("https://o%d.example", status)
		up := cases.Upstream{Headers: [][2]string{{"Access-Control-Allow-Origin", origin},
			{"Access-Control-Allow-Methods", "PUT"}}}
		for _, request := range []cases.Request{from(origin), preflightFrom(origin)} {
			lookup := &lookupTest{t, lookup.vm, newRoot(t, lookup.vm, `{"policies": [{"name": "tenants", "mode": "shadow", `+
				`"allow_methods": ["PUT"], "origin_lookup": {"cluster": "policies", "max_entries": `+
				fmt.Sprint(1+len(lookup.vm.Logs()))+`}}]}`)}
			early, late := lookup.begin(request), lookup.begin(request)
			lookup.try(early.Response(up))
			if early.Waits() || late.Waits() || !late.Result().Forwarded {
				t.Fatalf("%d: something stands still", status)
			}
			lookup.try(early.End())
			lookup.answer(status)
			lookup.try(late.Response(up))
			if allowedOrigin(early.Result()) != origin || allowedOrigin(late.Result()) != origin {
				t.Errorf("%d: an answer is changed", status)
			}
			if got := late.Properties["cors.reason"]; (status == 404) != strings.HasPrefix(got, "stricter") {
				t.Errorf("%d: the reason is %q", status, got)
			}
			lookup.try(late.End())
		}
	}
	for outcome, want := range map[string]uint64{"shadow_allowed": 1, "shadow_preflight_allowed": 1,
		"shadow_denied_origin": 1, "shadow_preflight_denied_origin": 1, "shadow_same": 2, "shadow_stricter": 2} {
		if got := lookup.vm.Metrics()[counter("tenants", outcome)]; got != want {
			t.Errorf("%s is %d, want %d", outcome, got, want)
		}
	}
}

// TestLookupLeavers: streams that end, or are answered by Envoy, before the look-up is, and
// others that go on.
func TestLookupLeavers(t *testing.T) {
	const origin = "https://a.example"
	lookup := newLookupTest(t, lookingUp(""))
	var streams []*wasmhost.Stream
	for range 3 {
		held := lookup.begin(from(origin))
		lookup.try(held.Response(cases.Upstream{}))
		streams = append(streams, lookup.begin(preflightFrom(origin)), lookup.begin(from(origin)), held)
	}
	// The first three, of which one has asked, and the last three, leave.
	for _, i := range []int{0, 8, 1, 7, 2, 6} {
		lookup.try(streams[i].End())
	}
	late := lookup.begin(preflightFrom(origin))
	lookup.try(late.Answer(504))                     // which the client is still to get when the look-up is answered
	streams[6] = lookup.begin(preflightFrom(origin)) // after one that was the last, and has left
	lookup.answer(204)
	for _, s := range streams[3:7] {
		if got := allowedOrigin(lookup.finish(s)); got != origin {
			t.Errorf("%q is allowed", got)
		}
	}
	if result := lookup.finish(late); result.Status != 504 || allowedOrigin(result) != "" {
		t.Errorf("%+v", result)
	}
	lookup.knows(origin, true)

	// More leave than may wait, and the answer is remembered all the same.
	for range 1100 {
		s := lookup.begin(preflightFrom("https://b.example"))
		if !s.Waits() {
			t.Fatal("who has left counts as waiting")
		}
		lookup.try(s.End())
	}
	lookup.answer(204)
	lookup.knows("https://b.example", true)
}

// TestLookupUpdate: what is remembered outlives a new configuration and the old plugin, and
// streams that wait end with what they have begun with.
func TestLookupUpdate(t *testing.T) {
	const a, b = "https://a.example", "https://b.example"
	lookup := newLookupTest(t, lookingUp(""))
	lookup.ask(a, 204)
	waiting := lookup.begin(preflightFrom(b))
	before := lookup.root
	lookup.root = newRoot(t, lookup.vm, lookingUp(`, "ttl": "5m"`))
	lookup.knows(a, true)
	own := lookup.begin(preflightFrom(b))
	if !own.Waits() || len(lookup.root.HTTPCalls()) != 1 {
		t.Fatal("the new plugin waits for the old one's answer")
	}
	lookup.try(before.AnswerHTTPCall(before.HTTPCalls()[0].Token, 204, nil, ""))
	if got := allowedOrigin(lookup.finish(waiting)); got != b {
		t.Errorf("%q is allowed", got)
	}
	lookup.answer(404)
	if result := lookup.finish(own); result.Status != 403 {
		t.Errorf("%+v", result)
	}
	remove(t, before)
	lookup.knows(a, true)

	// A plugin that goes while it asks gives up its share of what may be asked at once.
	for range 3 {
		for i := range 100 {
			lookup.try(lookup.begin(from(fmt.Sprintf("https://o%d.example", i))).End())
		}
		remove(t, lookup.root)
		lookup.root = newRoot(t, lookup.vm, lookingUp(""))
	}
	lookup.ask("https://new.example", 204)
	lookup.counted(map[string]uint64{"allowed": 3, "hit": 2, "denied": 1})
}

// TestLookupFromSource: policies of a source look origins up, and a new document forgets no
// answers.
func TestLookupFromSource(t *testing.T) {
	const a = "https://a.example"
	vm := newVM(t)
	root := newRoot(t, vm, `{"policy_source": {"cluster": "policies"}}`)
	fetched(t, root, lookingUp(""))
	lookup := &lookupTest{t, vm, root}
	lookup.ask(a, 204)
	lookup.knows(a, true)
	fetched(t, root, strings.Replace(lookingUp(""), "PUT", "DELETE", 1))
	lookup.knows(a, true)
	period := root.TickPeriod()
	s := lookup.begin(preflightFrom("https://b.example"))
	fetched(t, root, `{"policies": [{"name": "other", "allow_origins": ["https://other.example"]}]}`)
	lookup.answer(404)
	if result := lookup.finish(s); result.Status != 403 || s.Properties["cors.policy"] != "tenants" {
		t.Errorf("%+v, %v", result, s.Properties)
	}
	if got := root.TickPeriod(); got < period*8/10 || got > period*12/10 {
		t.Errorf("the period of ticks was %s, and is %s", period, got)
	}
}

// TestLookupWaitsForTheSame: who has waited gets what the next one gets, who doesn't have to.
func TestLookupWaitsForTheSame(t *testing.T) {
	const origin = "https://a.example"
	requests := []cases.Request{from(origin)}
	for _, headers := range [][][2]string{
		nil,
		{{"Access-Control-Request-Headers", "x-ok"}},
		{{"Access-Control-Request-Headers", "x-not, x-ok"}},
		{{"Access-Control-Request-Private-Network", "true"}},
		{{"Access-Control-Request-Headers", "x-ok"}, {"Access-Control-Request-Private-Network", "true"}},
	} {
		request := preflightFrom(origin)
		request.Headers = append(request.Headers, headers...)
		requests = append(requests, request)
	}
	for _, more := range []string{
		"", `, "unmatched_preflights": "forward"`, `, "debug": true`, `, "upstream_cors_headers": "keep"`,
		`, "allow_credentials": true, "allow_headers": ["*"], "allow_methods": ["*"]`,
		`, "allow_methods": ["PUT"], "preflight_status": 200, "max_age": 0`,
		`, "allow_private_network": true, "allow_headers": ["X-Ok"], "allow_methods": ["PUT"], "expose_headers": ["X-A"]`,
		`, "mode": "shadow", "allow_headers": ["X-Ok"], "allow_methods": ["PUT"], "allow_credentials": true`,
	} {
		lookup := newLookupTest(t, `{"origin_lookup": {"cluster": "policies", "ttl": 1, "stale": 0}`+more+`}`)
		for _, request := range requests {
			for _, status := range []int{204, 404, 500} {
				for _, headers := range [][][2]string{nil, {{"Access-Control-Allow-Origin", "*"}, {"Vary", "origin"}}} {
					what := fmt.Sprintf("%s, %v, %d, %v", more, request.Headers, status, headers)
					lookup.waitsForTheSame(what, request, status, cases.Upstream{Headers: headers})
				}
			}
		}
	}
}

func (t *lookupTest) waitsForTheSame(what string, request cases.Request, status int, up cases.Upstream) {
	t.Helper()
	type outcome struct {
		wasmhost.Result
		Properties map[string]string
		Counts     map[string]uint64
	}
	exchange := func(answer func(s *wasmhost.Stream)) outcome {
		before := t.vm.Metrics()
		s := t.begin(request)
		answer(s)
		if s.Result().Forwarded && s.Result().Status == 0 && !s.Waits() {
			t.try(s.Response(up))
		}
		o := outcome{t.finish(s), s.Properties, t.vm.Metrics()}
		for name := range o.Counts {
			if o.Counts[name] -= before[name]; strings.Contains(name, "cors_lookups_total") {
				delete(o.Counts, name)
			}
		}
		o.Calls, o.Allocations = nil, 0
		return o
	}
	t.pass(2 * time.Second)
	waited := exchange(func(*wasmhost.Stream) { t.answer(status) })
	t.vm.Unreachable = status == 500 // of which nothing is remembered
	known := exchange(func(*wasmhost.Stream) {})
	t.vm.Unreachable = false
	t.pass(2 * time.Second)
	held := exchange(func(s *wasmhost.Stream) {
		if s.Result().Forwarded {
			t.try(s.Response(up))
		}
		t.answer(status)
	})
	for i, got := range []outcome{waited, held} {
		if i == 1 && strings.Contains(what, "shadow") {
			continue // in which nothing is held
		}
		if diff := cmp.Diff(known, got); diff != "" {
			t.Errorf("%s (-known +waited):\n%s", what, diff)
		}
	}
}

// TestLookupQueued: an answer that comes while its stream is still to go on, after many others,
// goes on at once.
func TestLookupQueued(t *testing.T) {
	const origin = "https://a.example"
	lookup := newLookupTest(t, lookingUp(""))
	var streams []*wasmhost.Stream
	for range 40 {
		streams = append(streams, lookup.begin(preflightFrom(origin)))
	}
	actual := lookup.begin(from(origin))
	lookup.answer(204)
	if lookup.vm.Waiting() != 8 {
		t.Fatalf("%d wait, want 8", lookup.vm.Waiting())
	}
	if got := allowedOrigin(lookup.finish(actual)); got != origin {
		t.Errorf("%q is allowed", got)
	}
	lookup.try(lookup.root.Tick())
	for _, s := range streams {
		lookup.finish(s)
	}
	lookup.counted(map[string]uint64{"allowed": 41})
}

// TestLookupHost: the host that is asked for is the request's own, also where policies no longer
// depend on it.
func TestLookupHost(t *testing.T) {
	vm := newVM(t)
	root := newRoot(t, vm, `{"policy_source": {"cluster": "policies"}}`)
	lookup := &lookupTest{t, vm, root}
	for i, match := range []string{`"match": {"hosts": ["*.example"]}, `, ""} {
		fetched(t, root, strings.Replace(lookingUp(""), `"allow_origins"`, match+`"allow_origins"`, 1))
		request := from("https://a.example")
		request.Host = fmt.Sprintf("api%d.example", i)
		s := lookup.begin(request)
		if got := query(t, root.HTTPCalls()[0]).Get("host"); got != request.Host {
			t.Errorf("%s is asked for, want %s", got, request.Host)
		}
		lookup.answer(204)
		lookup.finish(s)
	}
}

// TestLookupTicks: ticks that come to release streams are not the source's, unless one of those
// is due; and in the end there are those alone again.
func TestLookupTicks(t *testing.T) {
	vm := newVM(t)
	root := newRoot(t, vm, `{"policy_source": {"cluster": "policies", "interval": "10s"}}`)
	fetched(t, root, lookingUp(""))
	lookup := &lookupTest{t, vm, root}
	for range 120 {
		lookup.begin(preflightFrom("https://a.example"))
	}
	lookup.answer(204)
	looked := func() (n int) {
		for _, call := range root.Calls() {
			if strings.HasPrefix(call, "register queue") {
				n++
			}
		}
		return n
	}
	before := looked()
	for _, want := range []struct {
		pass                    time.Duration
		waiting, looks, fetches int
		period                  time.Duration
	}{
		{0, 56, 0, 0, time.Millisecond},
		{20 * time.Second, 24, 1, 1, time.Millisecond},
		{0, 0, 2, 1, time.Second},
	} {
		lookup.pass(want.pass)
		lookup.try(root.Tick())
		if vm.Waiting() != want.waiting || looked()-before != want.looks || len(root.HTTPCalls()) != want.fetches ||
			root.TickPeriod() != want.period {
			t.Errorf("%d wait, the source has looked %d times and fetches %d, the period is %s; want %v",
				vm.Waiting(), looked()-before, len(root.HTTPCalls()), root.TickPeriod(), want)
		}
	}
}

// TestLookupOutdated: a stream that waits keeps the policies that it has begun with; of many
// that are replaced meanwhile only the last few are kept.
func TestLookupOutdated(t *testing.T) {
	vm := newVM(t)
	root := newRoot(t, vm, `{"policy_source": {"cluster": "policies"}}`)
	lookup := &lookupTest{t, vm, root}
	var waiting []*wasmhost.Stream
	for i := range 8 {
		fetched(t, root, strings.Replace(lookingUp(""), "PUT", fmt.Sprintf(`PUT", "M%d`, i), 1))
		waiting = append(waiting, lookup.begin(preflightFrom("https://a.example")))
		if root.TickPeriod() == time.Millisecond {
			lookup.try(root.Tick())
		}
	}
	for i, s := range waiting {
		if i >= 3 {
			break
		}
		if result := lookup.finish(s); result.Status != 403 ||
			!strings.HasSuffix(s.Properties["cors.reason"], "the look-up failed") {
			t.Errorf("stream %d: %+v, %v", i, result, s.Properties)
		}
	}
	lookup.answer(204)
	for i, s := range waiting[3:] {
		if result := lookup.finish(s); result.Status != 204 ||
			!slices.Contains(result.Headers, [2]string{"access-control-allow-methods", fmt.Sprintf("PUT, M%d", i+3)}) {
			t.Errorf("stream %d: %+v", i+3, result)
		}
	}
}

// TestLookupOutdatedElsewhere: where the proxy tells a plugin that the source of another one,
// in the same VM, has a new document, the ticks of both stay their own.
func TestLookupOutdatedElsewhere(t *testing.T) {
	f := startVMs(t, sourceOf("/a", `, "interval": "0.5s"`), 2)
	a := f.roots
	var b []*wasmhost.Root // so many that it is mostly one of them that the proxy tells
	for i := range 8 {
		b = append(b, f.configure(sourceOf(fmt.Sprintf("/b%d", i), `, "interval": "100s"`))...)
	}
	version := 0
	f.answer = func(fetch *fetchedAt) *wasmhost.HTTPAnswer {
		switch path := fetch.header(":path"); {
		case strings.HasPrefix(path, "/v1/lookup"):
			return nil // for as long as the test takes
		case path == "/a":
			version++
			return &wasmhost.HTTPAnswer{Status: 200, Body: strings.Replace(lookingUp(`, "timeout": "60s"`),
				"PUT", fmt.Sprintf(`PUT", "M%d`, version), 1)}
		default:
			return publish("https://b.example")(fetch)
		}
	}
	f.roots = slices.Concat(a, b)
	f.run(2 * time.Second)
	var waiting []*wasmhost.Stream
	for range 100 {
		for _, root := range a {
			s := root.Begin(preflightFrom("https://a.example"))
			if err := s.Request(); err != nil || !s.Waits() {
				t.Fatal(err, "or it doesn't wait")
			}
			waiting = append(waiting, s)
		}
		f.run(100 * time.Millisecond)
		for _, root := range b {
			if root.TickPeriod() == time.Millisecond {
				t.Fatal("a plugin that looks nothing up has the ticks of one that does")
			}
		}
	}
	f.run(6 * time.Second)
	for i, s := range waiting {
		if s.Waits() {
			t.Fatalf("stream %d of %d waits with policies of long ago", i, len(waiting))
		}
		if err := s.End(); err != nil {
			t.Fatal(err)
		}
	}
	for _, root := range a {
		if root.TickPeriod() == time.Millisecond {
			t.Error("a plugin has ticks each millisecond, and nobody waits")
		}
	}
}

// TestLookupPanics: a bug that one stream meets when it is to go on leaves no other waiting,
// nor itself.
func TestLookupPanics(t *testing.T) {
	const origin = "https://a.example"
	for _, fault := range []string{"access-control-request-headers", "access-control-allow-origin", "cors.reason",
		":status", "cache-control", "count"} {
		panics := 0 // by the log, for the one at count keeps them from being counted
		for _, status := range []int{204, 404} {
			_, vm := newFaultyVM(t)
			lookup := &lookupTest{t, vm, newRoot(t, vm, lookingUp(""))}
			var streams []*wasmhost.Stream
			for i := range 120 {
				request := from(origin)
				if i%2 == 0 {
					request = preflightFrom(origin)
				}
				if i%7 == 0 {
					request.Headers = append(request.Headers, [2]string{"X-Fault", fault})
				}
				s := lookup.begin(request)
				if i%2 != 0 {
					lookup.try(s.Response(cases.Upstream{}))
				}
				streams = append(streams, s)
			}
			lookup.answer(status)
			for ticks := 0; vm.Waiting() > 0; ticks++ {
				if lookup.root.TickPeriod() != time.Millisecond || ticks > 200 {
					t.Fatalf("%s, %d: %d streams wait", fault, status, vm.Waiting())
				}
				lookup.try(lookup.root.Tick())
			}
			for _, s := range streams {
				lookup.finish(s)
			}
			panics += strings.Count(strings.Join(vm.Logs(), "\n"), "bug: panic in ")
		}
		if panics == 0 {
			t.Errorf("there is no panic at %s", fault)
		}
	}
}

// TestLookupModel: whatever comes after what, bugs included, no stream is left waiting, each
// origin that is allowed was looked up and allowed for the host, none goes on twice, and as many
// can be asked for in the end as in the beginning.
func TestLookupModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			newModel(t, rand.New(rand.NewPCG(seed, 1)), seed%2 != 0).run(2000)
		})
	}
}

// A model is a VM, what has been done to it, and what may be done next.
type model struct {
	*lookupTest
	random  *rand.Rand
	faulty  bool
	roots   []*wasmhost.Root // the first one has a policy source; that and the last one serve
	streams []*modelStream
	allowed map[string]bool // by the look-ups
}

type modelStream struct {
	*wasmhost.Stream
	root         *wasmhost.Root
	host, origin string
}

func newModel(t *testing.T, random *rand.Rand, faulty bool) *model {
	t.Helper()
	vm := newVM(t)
	if faulty {
		_, vm = newFaultyVM(t)
	}
	source := newRoot(t, vm, `{"policy_source": {"cluster": "policies"}}`)
	fetched(t, source, lookingUp(""))
	return &model{&lookupTest{T: t, vm: vm}, random, faulty,
		[]*wasmhost.Root{source, newRoot(t, vm, lookingUp(""))}, nil, map[string]bool{}}
}

func (m *model) run(steps int) {
	m.Helper()
	for range steps {
		m.step()
	}
	m.begin(m.roots[0], "", 0, "none") // no more faults
	for range 200 {
		for _, root := range m.roots {
			for len(root.HTTPCalls()) > 0 {
				m.answer(root)
			}
			if root.TickPeriod() > 0 {
				m.try(root.Tick())
			}
		}
	}
	if n := m.vm.Waiting(); n > 0 {
		m.Errorf("%d streams wait for nothing", n)
	}
	for len(m.streams) > 0 {
		m.end(0)
	}
	serves := m.roots[len(m.roots)-1]
	for _, root := range m.roots {
		if root.TickPeriod() == time.Millisecond {
			m.Error("ticks come each millisecond, and nobody waits")
		}
	}
	for i := range 101 {
		m.begin(serves, fmt.Sprintf("https://end%d.example", i), 0, "none")
	}
	if n := len(serves.HTTPCalls()); n != 100 {
		m.Errorf("%d are asked for, want 100", n)
	}
}

// begin begins a request to one of the hosts.
func (m *model) begin(root *wasmhost.Root, origin string, host int, fault string) {
	m.Helper()
	request := from(origin)
	if m.random.IntN(2) == 0 {
		request = preflightFrom(origin)
	}
	request.Host = fmt.Sprintf("api%d.example", host)
	if m.faulty {
		request.Headers = append(request.Headers, [2]string{"X-Fault", fault})
	}
	s := &modelStream{root.Begin(request), root, request.Host, origin}
	if m.random.IntN(2) == 0 {
		s.Direct = &cases.Upstream{}
	}
	m.try(s.Request())
	m.streams = append(m.streams, s)
}

var modelFaults = []string{"access-control-request-headers", "access-control-allow-origin", "cors.reason",
	"access-control-request-method", ":authority", ":status", "cache-control", "count"}

func (m *model) step() {
	m.Helper()
	switch n := m.random.IntN(100); {
	case n < 45:
		root, fault := m.roots[len(m.roots)-1], "none"
		if m.random.IntN(3) == 0 {
			root = m.roots[0]
		}
		if m.random.IntN(10) == 0 {
			fault = modelFaults[m.random.IntN(len(modelFaults))]
		}
		m.begin(root, fmt.Sprintf("https://o%d.example", m.random.IntN(9)), m.random.IntN(2), fault)
	case n < 70 && len(m.streams) > 0:
		m.proceed(m.random.IntN(len(m.streams)))
	case n < 80 && len(m.streams) > 0:
		m.end(m.random.IntN(len(m.streams)))
	case n < 88:
		m.answer(m.roots[m.random.IntN(len(m.roots))])
	case n < 92:
		if root := m.roots[m.random.IntN(len(m.roots))]; root.TickPeriod() > 0 {
			m.try(root.Tick())
		}
	case n < 94:
		m.pass(time.Duration(m.random.IntN(5)) * 10 * time.Second)
	case n < 96:
		m.roots = append(m.roots, newRoot(m.T, m.vm, lookingUp(`, "ttl": "`+fmt.Sprint(m.random.IntN(100))+`s"`)))
	default:
		m.remove()
	}
}

// proceed has a stream's upstream answer, or Envoy answer a preflight that waits.
func (m *model) proceed(i int) {
	m.Helper()
	switch s := m.streams[i]; {
	case s.Result().Status != 0 || s.Waits() && s.Result().Forwarded:
	case s.Result().Forwarded:
		m.try(s.Response(cases.Upstream{Headers: [][2]string{{"Access-Control-Allow-Origin", "*"}}}))
	case m.random.IntN(5) == 0:
		m.try(s.Answer(504))
	}
}

// end ends a stream, as a client that leaves does too.
func (m *model) end(i int) {
	m.Helper()
	s := m.streams[i]
	if got := allowedOrigin(s.Result()); got != "" && (got != s.origin || !m.allowed[s.host+got]) {
		m.Errorf("%s gets an answer for %q at %s, which was not allowed", s.origin, got, s.host)
	}
	m.try(s.End())
	m.streams = slices.Delete(m.streams, i, i+1)
}

// answer answers one of a root's questions, or gives its source another document.
func (m *model) answer(root *wasmhost.Root) {
	m.Helper()
	calls := root.HTTPCalls()
	if len(calls) == 0 {
		return
	}
	call := calls[m.random.IntN(len(calls))]
	asked := query(m.T, call)
	if !asked.Has("origin") {
		document := strings.Replace(lookingUp(""), "PUT", fmt.Sprintf(`PUT", "M%d`, m.random.IntN(1000)), 1)
		m.try(root.AnswerHTTPCall(call.Token, 200, nil, document))
		return
	}
	status := []int{0, 200, 204, 204, 404, 500}[m.random.IntN(6)]
	if status/100 == 2 {
		m.allowed[asked.Get("host")+asked.Get("origin")] = true
	}
	m.try(root.AnswerHTTPCall(call.Token, status, nil, ""))
}

// remove removes a root that was replaced, as soon as it has no streams.
func (m *model) remove() {
	m.Helper()
	for i, root := range m.roots[:len(m.roots)-1] {
		if i > 0 && !slices.ContainsFunc(m.streams, func(s *modelStream) bool { return s.root == root }) {
			remove(m.T, root)
			m.roots = slices.Delete(m.roots, i, i+1)
			return
		}
	}
}
