package streams_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// A journey is a request that is under way, or will be.
type journey struct {
	client
	kind    kind
	request cases.Request
	answer  *answer
}

// The kinds of requests that the upstream holds, and those that stand still for their look-ups.
var (
	slowKinds   = []kind{simple, credentialed, deniedKind}
	pausedKinds = []kind{held, held.asked()}
)

// board opens a connection for a request of each kind, over each protocol.
func (w *world) board(t *testing.T, kinds []kind, listener string) (list []*journey) {
	t.Helper()
	for _, dial := range []dialer{dial1, dial2} {
		for _, k := range kinds {
			list = append(list, &journey{client: dial(t, w.addrs[listener]), kind: k})
		}
	}
	return list
}

// depart sends the requests, and waits until all are held.
func (w *world) depart(t *testing.T, list []*journey) {
	t.Helper()
	upstream, registry := w.upstream.holding(), w.registry.holding()
	for _, j := range list {
		path := "/hold"
		if j.kind.host == held.host {
			path = "/plain"
			registry++
		} else {
			upstream++
		}
		j.request = j.kind.request(path)
		j.answer = j.send(j.request, "")
	}
	envoytest.Eventually(t, patience, "all to be under way", func() bool {
		return w.upstream.holding() == upstream && w.registry.holding() == registry
	})
}

// underWay has requests of all kinds under way to a listener.
func (w *world) underWay(t *testing.T, listener string) []*journey {
	t.Helper()
	list := w.board(t, slices.Concat(slowKinds, pausedKinds), listener)
	w.depart(t, list)
	return list
}

// arrive has requests that are under way go on, and fails the test unless each has its answer.
func (w *world) arrive(t *testing.T, list []*journey) {
	t.Helper()
	w.registry.open()
	w.upstream.open()
	for _, j := range list {
		await(t, j.answer.ended)
		j.kind.check(t, j.request, j.answer)
		want := 200
		if j.kind.preflight {
			want = 204
		}
		if j.answer.status != want || j.answer.err != nil {
			t.Errorf("%s: status %d, want %d; %v", j.kind.name, j.answer.status, want, j.answer.err)
		}
		j.close()
	}
}

// post has Envoy do something.
func (w *world) post(t *testing.T, path string) {
	t.Helper()
	response, err := http.Post("http://"+w.Admin()+path, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _ = response.Body.Close(); response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, response.Status)
	}
}

// refuses tells whether nobody listens at an address.
func refuses(addr string) bool {
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		_ = conn.Close()
	}
	return err != nil
}

// removable is a listener that Envoy discovers.
const removable = "removable"

// listen has Envoy discover the listener, or that it is gone.
func (w *world) listen(t *testing.T, file string, there bool) {
	t.Helper()
	resources := []any{}
	if there {
		plugin := w.plugin
		plugin.Config = document(1, "")
		l := w.bootstrap.Listeners[slices.IndexFunc(w.bootstrap.Listeners,
			func(l envoytest.Listener) bool { return l.Name == bySource })]
		l.Name, l.Filters = removable, []any{plugin.Filter()}
		config := l.Config()
		config["@type"] = "type.googleapis.com/envoy.config.listener.v3.Listener"
		resources = append(resources, config)
	}
	if err := os.WriteFile(file+".new", []byte(envoy.JSON(map[string]any{"resources": resources})), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// TestDrain: an Envoy is drained in each way while requests are under way, and policies change.
// They get their answers, and nothing stays.
func TestDrain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, envoytest.Listener{})
	file := filepath.Join(t.TempDir(), "listeners.json")
	w.bootstrap.Extra["dynamic_resources"] = map[string]any{"lds_config": map[string]any{
		"path_config_source": map[string]any{"path": file}, "resource_api_version": "V3"}}
	w.listen(t, file, true)
	w.args = []string{"--drain-time-s", "10"}
	w.start(t)
	w.addrs[removable] = w.Addr(t, removable)
	w.updating(t)

	for _, way := range []struct {
		name  string
		drain func()
	}{
		{"healthcheck fail", func() {
			list := append(w.underWay(t, byFile), w.underWay(t, bySource)...)
			w.post(t, "/healthcheck/fail")
			w.arrive(t, list)
			for _, j := range list {
				if _, ok := j.client.(*http1); ok && !j.answer.closes {
					t.Errorf("%s: the connection is kept", j.kind.name)
				}
			}
			w.post(t, "/healthcheck/ok")
			w.atRest(t)
		}},
		{"listener removed", func() {
			list, others := w.underWay(t, removable), w.underWay(t, byFile)
			w.listen(t, file, false)
			envoytest.Eventually(t, patience, "the listener to be drained", func() bool {
				return w.stats(t, "listener_manager")["listener_manager.total_listeners_draining"] == 1
			})
			w.arrive(t, append(list, others...))
			w.atRest(t)
		}},
		{"listener removed, and nobody answers", func() {
			w.listen(t, file, true)
			envoytest.Eventually(t, patience, "the listener to be back", func() bool {
				return w.stats(t, "listener_manager")["listener_manager.total_listeners_active"] == 3
			})
			w.addrs[removable] = w.Addr(t, removable)
			list := w.underWay(t, removable)
			w.listen(t, file, false)
			for _, j := range list {
				await(t, j.answer.ended)
				if j.answer.err == nil {
					t.Errorf("%s: status %d, though nobody has answered", j.kind.name, j.answer.status)
				}
				j.close()
			}
			w.registry.open()
			w.atRest(t)
		}},
		{"drain_listeners graceful", func() {
			// With a source that has had more documents than four meanwhile, a look-up is given up.
			list := w.underWay(t, byFile)
			w.post(t, "/drain_listeners?graceful")
			envoytest.Eventually(t, patience, "the listeners to go", func() bool {
				return refuses(w.addrs[byFile]) && refuses(w.addrs[bySource])
			})
			w.arrive(t, list)
			w.atRest(t)
		}},
	} {
		t.Log(way.name)
		way.drain()
	}
	w.checkUpdates(t)
}

// TestStop: Envoy is stopped while requests are under way, and streams stand still. It goes, and
// doesn't crash.
func TestStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, envoytest.Listener{})
	w.start(t)
	list := append(w.underWay(t, byFile), w.underWay(t, bySource)...)
	w.update(t)
	if err := syscall.Kill(w.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := w.WaitExit(t); code != 0 || strings.Contains(w.Log(), "Caught Segmentation") {
		t.Errorf("Envoy has ended with %s", w.State())
	}
	for _, j := range list {
		await(t, j.answer.ended)
		if j.answer.err == nil {
			t.Errorf("%s: status %d, though nobody has answered", j.kind.name, j.answer.status)
		}
	}
}

// TestHotRestart: another Envoy takes over while requests are under way. The first one answers
// those for as long as it may stay, and the other one all that come.
func TestHotRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, envoytest.Listener{})
	bootstrap := w.bootstrap.String()
	id := filepath.Join(t.TempDir(), "base-id")
	launch := func(args ...string) {
		w.Envoy = envoytest.Launch(t, bootstrap, envoytest.Options{Concurrency: 2, HotRestart: true,
			Args: append(args, "--drain-time-s", "5", "--parent-shutdown-time-s", "10")})
		w.WaitReady(t)
		for _, listener := range listeners {
			w.addrs[listener] = w.Addr(t, listener)
		}
	}
	launch("--use-dynamic-base-id", "--base-id-path", id)
	base, err := os.ReadFile(id)
	if err != nil {
		t.Fatal(err)
	}
	shared := fmt.Sprintf("/dev/shm/envoy_shared_memory_%s0", base)
	t.Cleanup(func() { _ = os.Remove(shared) }) // It need not be there.
	w.updating(t)

	first := w.Envoy
	// Those that stand still depart when the other one is there, or their look-ups may take too long.
	slow, paused := w.board(t, slowKinds, byFile), w.board(t, pausedKinds, byFile)
	w.depart(t, slow)
	for _, listener := range w.bootstrap.Listeners { // The next one takes over the ports that the first one got.
		_, port, _ := net.SplitHostPort(w.addrs[listener.Name])
		bootstrap = strings.Replace(bootstrap, `"port_value":0`, `"port_value":`+port, 1)
	}
	launch("--base-id", string(base), "--restart-epoch", "1")
	w.depart(t, paused)
	next := w.underWay(t, byFile)
	w.arrive(t, slices.Concat(slow, paused, next))
	for _, listener := range listeners {
		w.serves(t, listener)
	}
	if code := first.WaitExit(t); code != 0 {
		t.Errorf("the first Envoy has ended with %s", first.State())
	}
	w.atRest(t)
	w.checkUpdates(t)
}
