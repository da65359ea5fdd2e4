package streams_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// How many streams there are at once, and over how many connections.
const (
	crowded     = 10_000
	connections = 8
)

// A crowd is streams that are there at once.
type crowd struct {
	clients  []*http2Client
	kinds    []kind
	requests []cases.Request
	answers  []*answer
}

// crowd sends so many requests, which each makes.
func (w *world) crowd(t *testing.T, listener string, request func(i int) (kind, cases.Request)) *crowd {
	t.Helper()
	c := &crowd{}
	for range connections {
		c.clients = append(c.clients, dial2(t, w.addrs[listener]).(*http2Client))
	}
	for i := range crowded {
		k, r := request(i)
		c.kinds, c.requests = append(c.kinds, k), append(c.requests, r)
		c.answers = append(c.answers, c.clients[i%connections].send(r, ""))
	}
	var active uint64
	defer func() { t.Logf("%s: %d streams at once", listener, active) }()
	envoytest.Eventually(t, patience, "all to be there", func() bool {
		active = w.stats(t, "^http."+listener)["http."+listener+".downstream_rq_active"]
		return active == crowded
	})
	return c
}

// check fails the test unless those of the crowd that which is true for have their answers.
func (c *crowd) check(t *testing.T, which func(i int) bool) {
	t.Helper()
	for i, a := range c.answers {
		if !which(i) {
			continue
		}
		await(t, a.ended)
		want := 200
		if c.kinds[i].preflight {
			want = 204
		}
		if a.status != want || a.err != nil {
			t.Errorf("%s: status %d, want %d; %v", c.kinds[i].name, a.status, want, a.err)
		}
		c.kinds[i].check(t, c.requests[i], a)
		if t.Failed() {
			t.FailNow() // It says enough.
		}
	}
}

func (c *crowd) leave() {
	for _, client := range c.clients {
		client.close()
	}
}

// holds waits until the upstream holds so many requests.
func (w *world) holds(t *testing.T, n int) {
	t.Helper()
	has := 0
	defer func() { t.Logf("the upstream holds %d", has) }()
	envoytest.Eventually(t, patience, "the upstream to hold them", func() bool {
		has = w.upstream.holding()
		return has == n
	})
}

func all(int) bool { return true }

// TestManyStreams: ten thousand streams at once of an upstream that is slow. A third of
// them is reset; the others get their answers.
func TestManyStreams(t *testing.T) {
	t.Parallel()
	w := newWorld(t, envoytest.Listener{Extra: roomy})
	// Envoy takes 250 streams of a connection that are reset within a second for an attack, and ends it.
	w.bootstrap.Extra["layered_runtime"] = map[string]any{"layers": []any{map[string]any{"name": "static",
		"static_layer": map[string]any{"overload.premature_reset_total_stream_count": crowded}}}}
	w.start(t)
	kinds := []kind{simple, credentialed, deniedKind, lookedUp}
	stays := func(i int) bool { return i%3 > 0 } // on each connection, of each kind
	for _, listener := range listeners {
		c := w.crowd(t, listener, func(i int) (kind, cases.Request) {
			k := kinds[i/connections%len(kinds)]
			if k.name == lookedUp.name {
				// As many origins as may be asked for at once.
				k.origin = fmt.Sprintf("https://tenant-%d.example", i%50)
			}
			return k, k.request("/h2/hold")
		})
		w.holds(t, crowded)
		w.taken(t, listener, crowded)
		for i, a := range c.answers {
			if !stays(i) {
				if err := c.clients[i%connections].reset(a); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.holds(t, crowded*2/3)
		w.taken(t, listener, crowded*2/3)
		w.upstream.open()
		c.check(t, stays)
		c.leave()
		w.atRest(t)
		w.serves(t, listener)
	}
	w.updating(t)
	w.checkUpdates(t)
}

// TestManyPaused: ten thousand streams stand still at once for look-ups, preflights and answers.
// They go on together, or leave together.
func TestManyPaused(t *testing.T) { //nolint:tparallel // its parts share an Envoy
	t.Parallel()
	w := newWorld(t, envoytest.Listener{Extra: roomy})
	w.start(t)
	const origins = 20
	paused := func(round string) func(i int) (kind, cases.Request) {
		return func(i int) (kind, cases.Request) {
			k, path := held, "/h2/plain"
			k.origin = fmt.Sprintf("%s%s-%d.example", heldOrigin, round, i/connections%origins)
			if i%4 > 0 {
				k = k.asked()
			}
			return k, k.request(path)
		}
	}
	for _, listener := range listeners {
		t.Run("go on/"+listener, func(t *testing.T) {
			asked := w.registry.lookups()
			c := w.crowd(t, listener, paused("go-"+listener))
			w.taken(t, listener, crowded)
			// Each worker asks once for each version of the policies, of which few come meanwhile.
			if n := w.registry.lookups() - asked; n > 10*origins {
				t.Errorf("%d look-ups for %d origins", n, origins)
			}
			envoytest.Eventually(t, patience, "all to have their answers", func() bool {
				w.registry.open() // also for those that come late
				return !slices.ContainsFunc(c.answers, func(a *answer) bool { return !a.over() })
			})
			c.check(t, all)
			c.leave()
			w.atRest(t)
			w.serves(t, listener)
		})
		t.Run("leave/"+listener, func(t *testing.T) {
			c := w.crowd(t, listener, paused("leave-"+listener))
			w.taken(t, listener, crowded)
			c.leave()
			envoytest.Eventually(t, patience, "all to have gone", func() bool {
				return w.stats(t, "^http."+listener)["http."+listener+".downstream_rq_active"] == 0
			})
			envoytest.Eventually(t, patience, "no look-up to be there", func() bool {
				w.registry.open()
				return w.stats(t, "registry.*active")["cluster.registry.upstream_rq_active"] == 0
			})
			w.atRest(t)
			w.serves(t, listener)
		})
	}
	w.updating(t)
	w.checkUpdates(t)
}

// over tells whether nothing more comes.
func (a *answer) over() bool {
	select {
	case <-a.ended:
		return true
	default:
		return false
	}
}

// lookups is how many there have been.
func (r *registry) lookups() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}
