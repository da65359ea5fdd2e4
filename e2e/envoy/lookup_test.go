package envoy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// A registry answers look-ups as their origins say: "https://404-300-x.example" is answered
// with 404 after 300 ms, and one with the status 0 by a connection that breaks. 999 is no
// answer at all.
type registry struct {
	*httptest.Server

	mu      sync.Mutex
	asked   map[string]int // how often, by query
	highest int            // how many at once
	now     int
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	r := &registry{asked: map[string]int{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *registry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	r.asked[request.URL.RawQuery]++
	r.now++
	r.highest = max(r.highest, r.now)
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.now--
		r.mu.Unlock()
	}()
	parts := strings.Split(strings.TrimPrefix(request.URL.Query().Get("origin"), "https://"), "-")
	status, _ := strconv.Atoi(parts[0])
	delay, _ := strconv.Atoi(parts[1])
	time.Sleep(time.Duration(delay) * time.Millisecond)
	switch status {
	case 999:
		<-request.Context().Done()
	case 0:
		panic(http.ErrAbortHandler)
	default:
		w.WriteHeader(status)
	}
}

// total is how many look-ups there were.
func (r *registry) total() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, times := range r.asked {
		n += times
	}
	return n
}

func (r *registry) addr() string { return r.Listener.Addr().String() }

const tenants = `{"policies": [{"name": "tenants", "allow_methods": ["PUT"], "origin_lookup": {"cluster": "policies"%s}}]}`

// lookups are the counters of look-ups that aren't zero.
func lookups(t *testing.T, envoy *envoytest.Envoy) map[string]uint64 {
	t.Helper()
	counts := map[string]uint64{}
	for name, n := range envoy.Stats(t) {
		if rest, ok := strings.CutPrefix(name, "wasmcustom.cors_policy=.=tenants;.;cors_result=.="); ok && n > 0 {
			counts[strings.TrimSuffix(rest, ";.;cors_lookups_total")] = n
		}
	}
	return counts
}

func preflightOf(origin string) cases.Request {
	return cases.Request{Method: "OPTIONS",
		Headers: [][2]string{{"origin", origin}, {"access-control-request-method", "PUT"}}}
}

func actualOf(origin string) cases.Request {
	return cases.Request{Headers: [][2]string{{"origin", origin}}}
}

// TestLookup: preflights and actual requests with each answer to the look-up, and answers of
// each kind that come before it.
func TestLookup(t *testing.T) {
	upstream, registry := envoytest.NewUpstream(t), newRegistry(t)
	envoy := envoytest.Start(t, envoytest.Bootstrap{
		Upstream: upstream.Addr(),
		Listeners: []envoytest.Listener{{
			Name: "main", Filters: []any{plugin(t, fmt.Sprintf(tenants, `, "timeout": "700ms"`)).Filter()},
			Routes: []any{
				map[string]any{"match": map[string]any{"prefix": "/direct"}, "direct_response": map[string]any{"status": 418}},
				map[string]any{"match": map[string]any{"prefix": "/redirect"}, "redirect": map[string]any{"path_redirect": "/"}},
				map[string]any{"match": map[string]any{"prefix": "/dead"}, "route": map[string]any{"cluster": "dead"}},
				map[string]any{"match": map[string]any{"prefix": "/short"},
					"route": map[string]any{"cluster": "upstream", "timeout": "0.3s"}},
			},
		}},
		Clusters: []any{envoytest.Cluster("policies", registry.addr()), envoytest.Cluster("dead", "127.0.0.1:1")},
	}.String(), envoytest.Options{})
	addr := envoy.Addr(t, "main")

	answers := 0 // so that none is remembered
	for _, look := range []struct {
		status, delay int
		allowed       bool
	}{
		{204, 0, true}, {204, 200, true}, {200, 0, true}, {404, 0, false}, {403, 200, false}, {500, 0, false},
		{0, 0, false}, {999, 0, false},
	} {
		for i, send := range []func(string, cases.Request) (*envoytest.Response, error){
			envoytest.HTTP1, envoytest.HTTP2,
		} {
			for _, test := range []struct {
				path   string
				method string
				status int // of the upstream
				want   int
			}{
				{"/", "GET", 200, 200}, {"/", "HEAD", 200, 200}, {"/", "POST", 204, 204}, {"/", "GET", 304, 304},
				{"/", "GET", 404, 404}, {"/direct", "GET", 0, 418}, {"/redirect", "GET", 0, 301}, {"/dead", "GET", 0, 503},
				{"/", "OPTIONS", 0, 0},
			} {
				answers++
				origin := fmt.Sprintf("https://%d-%d-%d.example", look.status, look.delay, answers)
				request, want := actualOf(origin), test.want
				if request.Method = test.method; test.method == "OPTIONS" {
					request = preflightOf(origin)
					want = map[bool]int{true: 204, false: 403}[look.allowed]
				}
				request.Path = test.path
				x, err := upstream.Exchange(send, addr, request, cases.Upstream{Status: test.status,
					Headers: [][2]string{{"access-control-allow-origin", "https://evil.test"}}})
				if err != nil {
					t.Errorf("%s %s from %s: %v", test.method, test.path, origin, err)
					continue
				}
				allowed := x.Response.Values("access-control-allow-origin")
				if got := len(allowed) == 1 && allowed[0] == origin; x.Response.Status != want || got != look.allowed ||
					!look.allowed && len(allowed) > 0 {
					t.Errorf("HTTP/%d: %s %s from %s: status %d, %q is allowed", 1+i, test.method, test.path, origin,
						x.Response.Status, allowed)
				}
			}
		}
	}
	if n := registry.total(); n != answers {
		t.Errorf("%d look-ups, want %d", n, answers)
	}

	// The answer's time is over while it is held: Envoy answers.
	x, err := upstream.Exchange(envoytest.HTTP1, addr, to("/short", actualOf("https://204-600-x.example")),
		cases.Upstream{})
	if err != nil || x.Response.Status != 200 && x.Response.Status != 504 {
		t.Errorf("%+v, %v", x.Response, err)
	}
	// A remembered one.
	for range 2 {
		if x, err := envoytest.HTTP1(addr, preflightOf("https://204-0-1.example")); err != nil || x.Status != 204 {
			t.Errorf("%+v, %v", x, err)
		}
	}
	counts := lookups(t, envoy)
	delete(counts, "failed")
	delete(counts, "allowed")
	delete(counts, "denied")
	if diff := cmp.Diff(map[string]uint64{"hit": 2}, counts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	alive(t, envoy)
}

// alive fails the test if a VM has died.
func alive(t *testing.T, envoy *envoytest.Envoy) {
	t.Helper()
	if log := envoy.Log(); strings.Contains(log, "VM failed") || strings.Contains(log, "Function: proxy_on") {
		t.Error("a VM has died")
	}
	if n := envoy.Stats(t)["wasmcustom.cors.panics"]; n > 0 {
		t.Errorf("%d panics", n)
	}
}

// crowd sends requests at once, and returns how many got which status.
func crowd(t *testing.T, addr string, requests []cases.Request) map[int]int {
	t.Helper()
	var all sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for _, request := range requests {
		all.Go(func() {
			response, err := envoytest.HTTP1(addr, request)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("%s from %s: %v", request.Method, request.Headers[0][1], err)
				return
			}
			if statuses[response.Status]++; response.Status/100 == 2 &&
				len(response.Values("access-control-allow-origin")) != 1 {
				t.Errorf("%s from %s: no origin is allowed", request.Method, request.Headers[0][1])
			}
		})
	}
	all.Wait()
	return statuses
}

// TestLookupCrowd: hundreds that wait for one look-up go on together, and it is one. That
// many in one callback would end the VM.
func TestLookupCrowd(t *testing.T) {
	upstream, registry := envoytest.NewUpstream(t), newRegistry(t)
	envoy := envoytest.Start(t, envoytest.Bootstrap{
		Upstream: upstream.Addr(),
		Listeners: []envoytest.Listener{{
			Name: "main", Filters: []any{plugin(t, fmt.Sprintf(tenants, `, "timeout": "10s"`)).Filter()},
			Routes: []any{map[string]any{"match": map[string]any{"prefix": "/direct"},
				"direct_response": map[string]any{"status": 200}}},
		}},
		Clusters: []any{envoytest.Cluster("policies", registry.addr())},
	}.String(), envoytest.Options{})
	addr := envoy.Addr(t, "main")
	var requests []cases.Request
	for i := range 900 {
		request := preflightOf("https://204-3000-crowd.example")
		if i%3 == 0 {
			request = to([]string{"/", "/direct"}[i%2], actualOf("https://204-3000-crowd.example"))
		}
		requests = append(requests, request)
	}
	if diff := cmp.Diff(map[int]int{204: 600, 200: 300}, crowd(t, addr, requests)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := registry.total(); n != 1 {
		t.Errorf("%d look-ups", n)
	}

	// As many origins, of which a hundred are asked for at once.
	requests = nil
	for i := range 300 {
		requests = append(requests, preflightOf(fmt.Sprintf("https://204-2000-%d.example", i)))
	}
	statuses := crowd(t, addr, requests)
	if statuses[204]+statuses[403] != 300 || statuses[403] == 0 || registry.highest > 100 {
		t.Errorf("%v, with up to %d look-ups at once", statuses, registry.highest)
	}
	counts := lookups(t, envoy)
	if counts["overloaded"] != uint64(statuses[403]) || counts["allowed"] != uint64(900+statuses[204]) {
		t.Errorf("%v, and %v are counted", statuses, counts)
	}
	alive(t, envoy)
}

// TestLookupLeavers: clients that leave while they wait, each kind of request, and others
// that don't.
func TestLookupLeavers(t *testing.T) {
	upstream, registry := envoytest.NewUpstream(t), newRegistry(t)
	envoy := envoytest.Start(t, envoytest.Bootstrap{
		Upstream: upstream.Addr(),
		Listeners: []envoytest.Listener{{
			Name: "main", Filters: []any{plugin(t, fmt.Sprintf(tenants, "")).Filter()},
			Extra: map[string]any{"stream_idle_timeout": "0.2s"},
		}},
		Clusters: []any{envoytest.Cluster("policies", registry.addr())},
	}.String(), envoytest.Options{})
	addr := envoy.Addr(t, "main")
	const origin = "https://204-400-leavers.example"
	// A stream that waits for longer than it may: Envoy answers itself.
	response, err := envoytest.HTTP1(addr, preflightOf(origin))
	if err != nil || response.Status/100 != 4 && response.Status != 504 ||
		len(response.Values("access-control-allow-origin")) > 0 {
		t.Errorf("%+v, %v", response, err)
	}
	for i := range 100 {
		origin := fmt.Sprintf("https://204-%d-leavers.example", 50+i)
		for _, request := range []cases.Request{preflightOf(origin), actualOf(origin)} {
			conn, err := envoytest.Dial(addr)
			if err != nil {
				t.Fatal(err)
			}
			request = request.Complete()
			var head strings.Builder
			fmt.Fprintf(&head, "%s / HTTP/1.1\r\nHost: api.example\r\n", request.Method)
			for _, h := range request.Headers {
				fmt.Fprintf(&head, "%s: %s\r\n", h[0], h[1])
			}
			if _, err := conn.Write([]byte(head.String() + "\r\n")); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(time.Duration(i)*time.Millisecond, func() { conn.Close() })
		}
	}
	envoytest.Eventually(t, 20*time.Second, "no request to be there", func() bool {
		return envoy.Stats(t)["http.main.downstream_rq_active"] == 0
	})
	if response, err := envoytest.HTTP1(addr, preflightOf("https://204-50-leavers.example")); err != nil ||
		response.Status != 204 {
		t.Errorf("%+v, %v", response, err)
	}
	alive(t, envoy)
}

// TestLookupUpdate: the filter's configuration is replaced again and again while look-ups are
// under way; no request is lost, and each is decided.
func TestLookupUpdate(t *testing.T) {
	upstream, registry := envoytest.NewUpstream(t), newRegistry(t)
	by := deliveries[0]
	e := &faultyEnvoy{by: by, plugin: plugin(t, ""), file: filepath.Join(t.TempDir(), "resource.json"), upstream: upstream}
	config := func(n int) string { return fmt.Sprintf(tenants, fmt.Sprintf(`, "timeout": "10s", "ttl": "%ds"`, 60+n)) }
	e.move(t, config(0))
	bootstrap := by.bootstrap(e.file)
	bootstrap.Upstream = upstream.Addr()
	bootstrap.Clusters = []any{envoytest.Cluster("policies", registry.addr())}
	bootstrap.Extra = map[string]any{"node": map[string]any{"id": "test", "cluster": "test"}}
	e.Envoy = envoytest.Start(t, bootstrap.String(), envoytest.Options{Concurrency: 2})
	addr := e.Addr(t, "main")

	updates := 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		for updates = 1; updates <= 10; updates++ {
			e.move(t, config(updates))
			time.Sleep(150 * time.Millisecond)
		}
	}()
	for round := 0; ; round++ {
		var requests []cases.Request
		for i := range 40 {
			origin := fmt.Sprintf("https://204-%d-%d.example", 20+10*i, round*40+i)
			requests = append(requests, preflightOf(origin), actualOf(origin))
		}
		if diff := cmp.Diff(map[int]int{204: 40, 200: 40}, crowd(t, addr, requests)); diff != "" {
			t.Errorf("round %d (-want +got):\n%s", round, diff)
		}
		select {
		case <-done:
			alive(t, e.Envoy)
			return
		default:
		}
	}
}

// TestLookupBodies: what stands still does so with its body, also where Envoy is told that a
// plugin may hold headers up alone, which the body would take along.
func TestLookupBodies(t *testing.T) {
	body := strings.Repeat("x", 100_000)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(upstream.Close)
	registry := newRegistry(t)
	var listeners []envoytest.Listener
	for _, alone := range []bool{false, true} {
		cors := plugin(t, fmt.Sprintf(tenants, fmt.Sprintf(`, "timeout": "10s", "path": "/%t"`, alone)))
		cors.VMID = fmt.Sprint(alone)
		filter := cors.Filter()
		filter["typed_config"].(map[string]any)["config"].(map[string]any)["allow_on_headers_stop_iteration"] = alone
		listeners = append(listeners, envoytest.Listener{Name: cors.VMID, Filters: []any{filter}})
	}
	envoy := envoytest.Start(t, envoytest.Bootstrap{
		Upstream: upstream.Listener.Addr().String(), Listeners: listeners,
		Clusters: []any{envoytest.Cluster("policies", registry.addr())},
	}.String(), envoytest.Options{})
	for i := range 10 {
		addr, origin := envoy.Addr(t, listeners[i%2].Name), fmt.Sprintf("https://204-300-%d.example", i)
		response, err := envoytest.HTTP1(addr, actualOf(origin))
		if err != nil || fmt.Sprint(response.Values("access-control-allow-origin")) != "["+origin+"]" {
			t.Errorf("%d: %v, %v", i, response, err)
		}
		conn, err := envoytest.Dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(100*time.Millisecond, func() { _, _ = io.WriteString(conn, "12345") })
		request := preflightOf(fmt.Sprintf("https://204-300-%d-preflight.example", i))
		request.Headers = append(request.Headers, [2]string{"content-length", "5"})
		if response, err = conn.Do(request); err != nil || response.Status != 204 {
			t.Errorf("%d: %v, %v", i, response, err)
		}
		conn.Close()
	}
	alive(t, envoy)
}

// TestLookupRefused: a look-up that Envoy refuses at once, since as many are under way as its
// cluster may have, has failed, and is none of those that may be under way.
func TestLookupRefused(t *testing.T) {
	upstream, registry := envoytest.NewUpstream(t), newRegistry(t)
	policies := envoytest.Cluster("policies", registry.addr())
	policies["circuit_breakers"] = map[string]any{"thresholds": []any{map[string]any{
		"max_requests": 1, "max_pending_requests": 1, "max_connections": 1}}}
	envoy := envoytest.Start(t, envoytest.Bootstrap{
		Upstream: upstream.Addr(),
		Listeners: []envoytest.Listener{{
			Name: "main", Filters: []any{plugin(t, fmt.Sprintf(tenants, `, "timeout": "10s"`)).Filter()},
		}},
		Clusters: []any{policies},
	}.String(), envoytest.Options{})
	addr := envoy.Addr(t, "main")
	for round := range 4 {
		var requests []cases.Request
		for i := range 60 {
			requests = append(requests, preflightOf(fmt.Sprintf("https://204-300-%d-%d.example", round, i)))
		}
		statuses := crowd(t, addr, requests)
		if statuses[403] == 0 || statuses[204] == 0 || statuses[204]+statuses[403] != len(requests) {
			t.Errorf("%v", statuses)
		}
	}
	if response, err := envoytest.HTTP1(addr, preflightOf("https://204-0-last.example")); err != nil ||
		response.Status != 204 {
		t.Errorf("%+v, %v", response, err)
	}
	if n := lookups(t, envoy)["overloaded"]; n > 0 {
		t.Errorf("%d count as too many", n)
	}
	alive(t, envoy)
}
