package streams_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// A way is one of clients to leave.
type way struct {
	name  string
	dial  dialer
	leave func(client) error
}

var ways = []way{
	{"HTTP1 closed", dial1, func(c client) error { return c.(*http1).Close() }},
	{"HTTP1 half closed", dial1, func(c client) error { return c.(*http1).CloseWrite() }},
	{"HTTP1 reset", dial1, func(c client) error {
		_ = c.(*http1).SetLinger(0)
		return c.(*http1).Close()
	}},
	{"HTTP2 stream reset", dial2, func(c client) error { return c.(*http2Client).reset(&answer{stream: 1}) }},
	{"HTTP2 connection closed", dial2, func(c client) error { return c.(*http2Client).conn.Close() }},
}

// A moment is one at which clients leave.
type moment struct {
	name  string
	path  string
	kinds []kind
	body  string // what is sent of ten bytes, if any
	// come waits until it has come, for a stream that was the first since the upstream had served
	// so many.
	come func(t *testing.T, w *world, served int64, a *answer)
}

var moments = []moment{
	{name: "before the answer", path: "/hold", kinds: []kind{simple, credentialed, deniedKind, lookedUp},
		come: upstreamHolds},
	{name: "in the request's body", path: "/hold", kinds: []kind{simple, credentialed, deniedKind, lookedUp},
		body: "12345", come: upstreamHolds},
	{name: "paused", path: "/plain", kinds: []kind{held.asked()}, come: registryHolds},
	{name: "paused in the request's body", path: "/plain", kinds: []kind{held.asked()}, body: "12345", come: registryHolds},
	{name: "answer held", path: "/plain", kinds: []kind{held}, come: answerHeld},
	{name: "half of an answer held", path: "/half", kinds: []kind{held}, come: answerHeld},
	{name: "in the answer", path: "/half", kinds: []kind{simple, credentialed, deniedKind, lookedUp, lookedUpLate},
		come: answerBegun},
	{name: "after the answer", path: "/plain",
		kinds: []kind{simple, credentialed, deniedKind, lookedUp, lookedUpDenied,
			credentialed.asked(), deniedKind.asked(), lookedUp.asked(), lookedUpDenied.asked()},
		come: func(t *testing.T, _ *world, _ int64, a *answer) { t.Helper(); await(t, a.ended) }},
}

func upstreamHolds(t *testing.T, w *world, _ int64, _ *answer) {
	t.Helper()
	envoytest.Eventually(t, patience, "the upstream to hold it", func() bool { return w.upstream.holding() == 1 })
}

func registryHolds(t *testing.T, w *world, _ int64, _ *answer) {
	t.Helper()
	envoytest.Eventually(t, patience, "the registry to hold it", func() bool { return w.registry.holding() == 1 })
}

func answerHeld(t *testing.T, w *world, served int64, a *answer) {
	t.Helper()
	registryHolds(t, w, served, a)
	envoytest.Eventually(t, patience, "the upstream to have served it",
		func() bool { return w.upstream.served.Load() > served })
}

func answerBegun(t *testing.T, w *world, served int64, a *answer) {
	t.Helper()
	await(t, a.begun)
	upstreamHolds(t, w, served, a)
}

// TestClientLeaves: clients leave in each way at each moment. What they have asked for ends, while
// whoever was to answer still holds it, and is nobody else's.
func TestClientLeaves(t *testing.T) { //nolint:tparallel // its parts share an Envoy
	t.Parallel()
	w := newWorld(t, envoytest.Listener{})
	w.start(t)
	w.updating(t)
	turn := 0
	for _, m := range moments {
		for _, k := range m.kinds {
			for _, way := range ways {
				turn++
				t.Run(fmt.Sprintf("%s/%s/%s", m.name, k.name, way.name), func(t *testing.T) {
					w.leaves(t, listeners[turn%len(listeners)], way, m, k)
				})
			}
		}
	}
	t.Run("in the headers", w.leavesHeaders)
	for _, listener := range listeners {
		w.serves(t, listener)
	}
	w.atRest(t)
	w.checkUpdates(t)
}

// leaves has a client of a kind come and leave.
func (w *world) leaves(t *testing.T, listener string, way way, m moment, k kind) {
	t.Helper()
	served := w.upstream.served.Load()
	r := k.request(m.path)
	if m.body != "" {
		r.Headers = append(r.Headers, [2]string{"content-length", "10"})
		if !k.preflight {
			r.Method = "POST"
		}
	}
	c := way.dial(t, w.addrs[listener])
	a := c.send(r, m.body)
	m.come(t, w, served, a)
	if err := way.leave(c); err != nil {
		t.Fatal(err)
	}
	active := func() int { return int(w.stats(t, "^http."+listener)["http."+listener+".downstream_rq_active"]) }
	envoytest.Eventually(t, patience, "the request to end", func() bool { return active() == 0 })
	w.registry.open()
	w.upstream.open()
	c.close()
	w.atRest(t)
}

// leavesHeaders has clients leave in the midst of what they ask.
func (w *world) leavesHeaders(t *testing.T) {
	for _, k := range []kind{simple, credentialed, deniedKind.asked(), held.asked()} {
		r := k.request("/plain")
		for _, listener := range listeners {
			for _, way := range ways {
				c := way.dial(t, w.addrs[listener])
				var err error
				switch c := c.(type) {
				case *http1:
					_, err = io.WriteString(c, text(r)[:len(text(r))-3])
				case *http2Client:
					c.mu.Lock()
					c.last = 1
					err = c.writeHeaders(fields(r), true, false)
					c.mu.Unlock()
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := way.leave(c); err != nil {
					t.Fatal(err)
				}
				c.close()
			}
		}
	}
	w.atRest(t)
	if n := w.registry.holding(); n > 0 {
		t.Errorf("%d look-ups for requests that aren't whole", n)
	}
}
