package envoy_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// A backend is all that the faulty filters talk to: the upstream, whose answers a page of another
// origin may read if the filter doesn't see to it, the look-ups and the policy sources. A request for
// what is held waits at a gate.
type backend struct {
	*httptest.Server

	mu        sync.Mutex
	gates     map[string]chan struct{} // those that are closed
	arrived   map[string]int           // how many requests there were, by gate
	documents map[string]string        // by path and query
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{gates: map[string]chan struct{}{}, arrived: map[string]int{}, documents: map[string]string{}}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.CloseClientConnections)
	return b
}

const elsewhere, app = "https://evil.test", "https://app.example"

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch kind {
	case "lookup":
		b.pass(r, "lookup "+name)
		w.WriteHeader(http.StatusNoContent)
		return
	case "source":
		b.pass(r, r.URL.RequestURI())
		b.mu.Lock()
		defer b.mu.Unlock()
		_, _ = w.Write([]byte(b.documents[r.URL.RequestURI()]))
		return
	case "held":
		b.pass(r, "held "+name)
	}
	w.Header().Set("Access-Control-Allow-Origin", elsewhere)
	w.Header().Set("Access-Control-Allow-Credentials", "true")
	_, _ = w.Write([]byte("upstream\n"))
	if kind == "answered" {
		_ = http.NewResponseController(w).Flush()
		b.arrive("answered " + name)
	}
}

// pass waits at a gate, if that is closed.
func (b *backend) pass(r *http.Request, gate string) {
	b.mu.Lock()
	closed := b.gates[gate]
	b.mu.Unlock()
	b.arrive(gate)
	if closed != nil {
		select {
		case <-closed:
		case <-r.Context().Done():
		}
	}
}

func (b *backend) arrive(gate string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.arrived[gate]++
}

// close closes a gate, at which nobody has arrived then.
func (b *backend) close(gate string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gates[gate], b.arrived[gate] = make(chan struct{}), 0
}

// open opens a gate, if it is closed.
func (b *backend) open(gate string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if closed := b.gates[gate]; closed != nil {
		close(closed)
		delete(b.gates, gate)
	}
}

// await waits until a request has arrived at a gate.
func (b *backend) await(t *testing.T, gate string) {
	t.Helper()
	envoytest.Eventually(t, 20*time.Second, "a request at "+gate, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.arrived[gate] > 0
	})
}

// A victim is a listener with a faulty filter, which has VMs of its own, and clients of it.
type victim struct {
	*testing.T
	*backend
	envoy   *envoytest.Envoy
	module  string
	title   string // of its test
	name    string // of the listener, the plugin and the vm_id
	file    string // that Envoy discovers the plugin in
	source  bool
	fetches bool   // from it, in the worker that is to fail
	policy  string // failure_policy
	backoff string // the base_interval of its reloads, 1 s if empty
	n       int    // of the configuration

	conns    []*envoytest.Conn
	here     []*envoytest.Conn // those to the worker that is to fail
	there    *envoytest.Conn   // to the other one
	vm       string            // of the worker that is to fail
	requests int
	that     fate // of the request that cause sends, if it sends one
}

// reload is how old a VM must be for Envoy to load it anew. It takes one and a half as long as
// the configuration says at the most.
const reload = 15 * time.Millisecond

// maxHere is how many connections to the worker a test needs.
const maxHere = 5

// listener is the victim's listener.
func (v *victim) listener() map[string]any {
	l := envoytest.Listener{Name: v.name, Filters: []any{map[string]any{
		"name": v.name,
		"config_discovery": map[string]any{
			"config_source": map[string]any{"path_config_source": map[string]any{"path": v.file},
				"resource_api_version": "V3"},
			"type_urls": []any{"type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"},
		},
	}}, Routes: []any{map[string]any{
		"match": map[string]any{"path": "/direct"}, "direct_response": map[string]any{"status": 200},
		"response_headers_to_add": []any{map[string]any{
			"header": map[string]any{"key": "access-control-allow-origin", "value": elsewhere},
		}},
	}, map[string]any{
		"match": map[string]any{"prefix": "/", "headers": []any{map[string]any{
			"name": "x-idle", "string_match": map[string]any{"exact": "soon"},
		}}},
		"route": map[string]any{"cluster": "upstream", "idle_timeout": "2s"},
	}}, Extra: map[string]any{
		"stream_idle_timeout": "60s",
		"access_log": []any{map[string]any{"name": "stdout", "typed_config": map[string]any{
			"@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
			"log_format": map[string]any{"text_format_source": map[string]any{
				"inline_string": "%REQ(X-TEST-ID)% %RESPONSE_FLAGS%\n",
			}},
		}}},
	}}.Config()
	l["connection_balance_config"] = map[string]any{"exact_balance": map[string]any{}}
	return l
}

// deliver hands Envoy the next configuration, with a name in expose_headers.
func (v *victim) deliver(name string) {
	v.Helper()
	v.n++
	document := fmt.Sprintf(`"policies": [{"name": "p", "allow_origins": [%q], "expose_headers": [%q, "X-%d"], `+
		`"origin_lookup": {"cluster": "backend", "path": "/lookup/%s", "timeout": "60s"}}]`, app, name, v.n, v.name)
	config := document
	if v.source {
		v.publish(v.path(), "{"+document+"}")
		config += fmt.Sprintf(`, "policy_source": {"cluster": "backend", "path": %q, "interval": "200ms"`, v.path())
		if v.fetches {
			v.close(v.path())
			config += `, "wait": "60s"`
		}
		config += "}"
	}
	plugin := envoytest.Plugin{Module: v.module, FailurePolicy: v.policy, VMID: v.name, Config: "{" + config + "}"}
	typed := plugin.TypedConfig()
	fields, _ := typed["config"].(map[string]any)
	fields["name"] = v.name
	if v.backoff != "" {
		fields["reload_config"] = map[string]any{"backoff": map[string]any{"base_interval": v.backoff}}
	}
	replaceFile(v.T, v.file, envoytest.JSON(map[string]any{"resources": []any{map[string]any{
		"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", "name": v.name, "typed_config": typed,
	}}}))
}

// path is that of the policy source of the configuration that was delivered last.
func (v *victim) path() string { return fmt.Sprintf("/source/%s?%d", v.name, v.n) }

// answerSource has the policy source answer.
func (v *victim) answerSource() { v.open(v.path()) }

func (b *backend) publish(path, document string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.documents[path] = document
}

// request sends a request that the fault is for.
func (v *victim) request() { v.that = v.get(v.here[0], ofApp()).fate }

// update has Envoy take another configuration.
func (v *victim) update() { v.deliver("X-None") }

// answerLookups has the look-ups answered.
func (v *victim) answerLookups() { v.open("lookup " + v.name) }

// publishMore has the policy source have another document.
func (v *victim) publishMore() {
	v.publish(v.path(), fmt.Sprintf(
		`{"policies": [{"name": "p", "allow_origins": [%q], "expose_headers": ["X-More"]}]}`, app))
}

// ofApp is a request of an origin that is allowed.
func ofApp(headers ...[2]string) cases.Request {
	return cases.Request{Headers: append([][2]string{{"origin", app}}, headers...)}
}

// A reply is what an answer tells of who has made it: nothing without the filter.
type reply struct {
	fate
	vm            string // and which callback is to fail there next
	plugins       string // how many the VM has
	calls         string // how many are under way there
	configuration string // X- and its number
}

// get sends a request, whose first header is its origin.
func (v *victim) get(conn *envoytest.Conn, r cases.Request) reply {
	v.Helper()
	return v.start(conn, r)()
}

// start sends a request, and returns what waits for the answer.
func (v *victim) start(conn *envoytest.Conn, r cases.Request) (wait func() reply) {
	v.requests++
	id := fmt.Sprintf("%s-%d", v.name, v.requests)
	r.Headers = append(r.Headers[:len(r.Headers):len(r.Headers)], [2]string{"x-test-id", id})
	var response *envoytest.Response
	done := make(chan error, 1)
	go func() {
		var err error
		response, err = conn.Do(r)
		done <- err
	}()
	return func() reply {
		v.Helper()
		if err := <-done; err != nil {
			v.Fatal(err)
		}
		value := func(name string) string { return strings.Join(response.Values(name), "") }
		_, configuration, _ := strings.Cut(value("access-control-expose-headers"), ", ")
		fate := fateOf(response, r.Headers[0][1], v.envoy.Details(v.T, id))
		return reply{fate, value("x-vm"), value("x-plugins"), value("x-calls"), configuration}
	}
}

// fateOf is the fate of a request from an origin, whose answer the access log has with flags.
func fateOf(response *envoytest.Response, origin, flags string) fate {
	allowed := response.Values("access-control-allow-origin")
	switch {
	case flags == "SI": // the idle time-out
		return waits
	case slices.Equal(allowed, []string{origin}):
		return served
	case slices.Equal(allowed, []string{elsewhere}):
		return unfiltered
	case len(allowed) > 0:
	case response.Status == http.StatusServiceUnavailable:
		return failed
	case response.Status == http.StatusForbidden:
		return refused
	case response.Status == http.StatusOK:
		return unreadable
	}
	return fate(fmt.Sprintf("%d %q %s", response.Status, response.Headers, flags))
}

// who asks who is at the other end of a connection. Envoy answers, so that nothing comes between.
func (v *victim) who(conn *envoytest.Conn) reply {
	v.Helper()
	r := ofApp([2]string{"x-fault", "vm"})
	r.Path = "/direct"
	return v.get(conn, r)
}

// current is the configuration that was delivered last.
func (v *victim) current() string { return fmt.Sprintf("X-%d", v.n) }

// dial opens connections to both workers.
func (v *victim) dial() {
	v.Helper()
	for range 20 * maxHere {
		conn, err := envoytest.Dial(v.envoy.Addr(v.T, v.name))
		if err != nil {
			v.Fatal(err)
		}
		v.conns = append(v.conns, conn)
		switch vm := v.who(conn).vm; {
		case len(v.here) == 0 || vm == v.vm:
			v.vm = vm
			v.here = append(v.here, conn)
		default:
			v.there = conn
		}
		if len(v.here) >= maxHere && v.there != nil {
			return
		}
	}
	v.Fatalf("%d connections to a worker, %t", len(v.here), v.there != nil)
}

// hangUp closes the connections.
func (v *victim) hangUp() {
	for _, conn := range v.conns {
		conn.Close()
	}
}

// refresh has every worker serve another configuration under a policy, whatever was before.
func (v *victim) refresh(policy string) {
	v.Helper()
	v.policy = policy
	for {
		v.update()
		envoytest.Eventually(v.T, 20*time.Second, "the workers to serve the next configuration alone", func() bool {
			here, there := v.who(v.here[0]), v.who(v.there)
			v.vm = here.vm
			return here.configuration == v.current() && here.plugins == "1" && there.configuration == v.current()
		})
		if !v.fetches {
			break
		}
		v.await(v.T, v.path())
		if v.who(v.here[0]).calls == "1" {
			break // And with another source the turn is anyone's.
		}
	}
	time.Sleep(reload)
}

// fail has a callback fail in a worker's VM, and tells what becomes of the requests there. Some
// wait for a look-up if that is wanted, and soon give up if they will wait in vain.
func (v *victim) fail(test *callbackTest, kind string, want outcome) (got outcome) {
	v.Helper()
	lookups, held := "lookup "+v.name, "held "+v.name
	v.close(lookups)
	v.close(held)
	v.close("answered " + v.name)
	headers := [][2]string{{"origin", fmt.Sprintf("https://held-%d.example", v.n)}, {"x-idle", "no"}}
	if want.answer == waits {
		headers[1][1] = "soon"
	}
	nobody := func() reply { return reply{} }
	preflight, answer := nobody, nobody
	if want.answer != "" {
		preflight = v.start(v.here[2], cases.Request{Method: "OPTIONS",
			Headers: append(headers, [2]string{"access-control-request-method", "GET"})})
		v.await(v.T, lookups)
		answer = v.start(v.here[3], cases.Request{Path: "/answered/" + v.name, Headers: headers})
		v.await(v.T, "answered "+v.name)
	}
	upstream := v.start(v.here[4], cases.Request{Path: "/held/" + v.name, Headers: ofApp().Headers})
	v.await(v.T, held)

	before := v.current()
	asking := ofApp([2]string{"x-fault", test.callback + " " + kind})
	if test.cause != nil {
		// It is over when the callback is called, however soon that is.
		asking.Method, asking.Headers = "OPTIONS", append(asking.Headers, [2]string{"access-control-request-method", "GET"})
	}
	v.that = v.get(v.here[0], asking).fate
	if test.cause != nil {
		test.cause(v)
	}
	got.that = v.that
	end := func() {
		v.open(held)
		v.open(lookups)
		got.upstream, got.preflight, got.answer = upstream().fate, preflight().fate, answer().fate
	}
	if test.late {
		end()
	}
	time.Sleep(reload)
	early := v.early()
	envoytest.Eventually(v.T, 20*time.Second, test.callback+" to fail", func() bool {
		reply := v.who(v.here[1])
		got.next = reply.fate
		if want.next == served && reply.fate == failed && v.early() > early {
			return false // The update came late, and with it the VM that has died of it.
		}
		return reply.vm != v.vm+test.callback && (v.current() == before || reply.configuration != before)
	})
	if !test.late {
		end()
	}
	return got
}

// early is how many requests came too early for a VM to be loaded anew.
func (v *victim) early() uint64 { return v.envoy.Stats(v.T)["wasm."+v.name+".vm_reload_backoff"] }

// startVictims starts an Envoy of two workers on some victims, of which it sets what isn't theirs
// alone.
func startVictims(t *testing.T, victims []*victim) {
	t.Helper()
	b, module, dir := newBackend(t), faultyModule(t), t.TempDir()
	var listeners []any
	for i, v := range victims {
		v.backend, v.module, v.name = b, module, fmt.Sprintf("victim-%d", i)
		v.T, v.file = t, filepath.Join(dir, v.name+".json")
		v.update()
		listeners = append(listeners, v.listener())
	}
	config := envoytest.Bootstrap{
		Upstream: b.Listener.Addr().String(),
		Clusters: []any{envoytest.Cluster("backend", b.Listener.Addr().String())},
		Extra:    map[string]any{"node": map[string]any{"id": "test", "cluster": "test"}},
	}.String()
	config = strings.Replace(config, `"listeners":[]`, `"listeners":`+envoytest.JSON(listeners), 1)
	envoy := envoytest.Start(t, config, envoytest.Options{Concurrency: 2})
	for _, v := range victims {
		v.envoy = envoy
	}
}

// together runs tests of victims at the same time, most of which wait.
func together(t *testing.T, victims []*victim, test func(i int, v *victim)) {
	t.Helper()
	var all sync.WaitGroup
	for i, v := range victims {
		all.Go(func() {
			t.Run(v.title, func(t *testing.T) {
				v.T = t
				t.Cleanup(v.hangUp)
				v.dial()
				test(i, v)
			})
		})
	}
	all.Wait()
}
