package streams_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A gate holds whoever comes, until it is opened for those that are there.
type gate struct {
	mu     sync.Mutex
	held   int
	total  int // who has come
	opened chan struct{}
}

func newGate() *gate { return &gate{opened: make(chan struct{})} }

// wait waits until the gate opens, or who waits has gone.
func (g *gate) wait(ctx context.Context) {
	g.mu.Lock()
	g.held++
	g.total++
	opened := g.opened
	g.mu.Unlock()
	select {
	case <-opened:
	case <-ctx.Done():
	}
	g.mu.Lock()
	g.held--
	g.mu.Unlock()
}

// open lets all go on that wait now.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.opened)
	g.opened = make(chan struct{})
}

// holding is how many wait.
func (g *gate) holding() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held
}

// come is how many have come to the gate.
func (g *gate) come() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.total
}

// serve runs a server of HTTP/1.1, and of HTTP/2 without TLS, until the test ends.
func serve(tb testing.TB, handler http.Handler) *httptest.Server {
	tb.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = &http.Protocols{}
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 5000}
	server.Start()
	tb.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server
}

// An upstream has faults, which requests choose by their paths.
type upstream struct {
	*gate
	addr   string
	served atomic.Int64 // requests
}

func newUpstream(tb testing.TB) *upstream {
	tb.Helper()
	u := &upstream{gate: newGate()}
	u.addr = serve(tb, u).Listener.Addr().String()
	return u
}

// ServeHTTP implements http.Handler. Whatever it answers lets every page read it, if the filter
// doesn't see to that.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.served.Add(1)
	w.Header().Set("Access-Control-Allow-Origin", "https://evil.example")
	w.Header().Set("Access-Control-Allow-Credentials", "true")
	name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	if wire, ok := wires[name]; ok {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		wire(conn.(*net.TCPConn))
		return
	}
	if fault, ok := faults[name]; ok {
		fault(u, w, r)
	}
}

// registry answers look-ups, and has the policies of the policy source.
type registry struct {
	*gate
	addr string

	mu       sync.Mutex
	document string
	asked    int
}

// How the origins begin whose look-ups are held at the gate, are late, and aren't allowed.
const (
	heldOrigin    = "https://held-"
	lateOrigin    = "https://late-"
	unknownOrigin = "https://unknown-"
)

func newRegistry(tb testing.TB) *registry {
	tb.Helper()
	r := &registry{gate: newGate()}
	r.addr = serve(tb, r).Listener.Addr().String()
	return r
}

// publish replaces the document of the policy source.
func (r *registry) publish(document string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.document = document
}

// ServeHTTP implements http.Handler.
func (r *registry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	document := r.document
	if request.URL.Path == "/lookup" {
		r.asked++
	}
	r.mu.Unlock()
	if request.URL.Path != "/lookup" {
		_, _ = io.WriteString(w, document) // Who has gone needs none.
		return
	}
	switch origin := request.URL.Query().Get("origin"); {
	case strings.HasPrefix(origin, heldOrigin):
		r.wait(request.Context())
	case strings.HasPrefix(origin, lateOrigin):
		time.Sleep(20 * time.Millisecond)
	case strings.HasPrefix(origin, unknownOrigin):
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// wires are faults in what is sent over a connection of HTTP/1.1.
var wires = map[string]func(*net.TCPConn){}

// faults are those that there is an interface for.
var faults = map[string]func(*upstream, http.ResponseWriter, *http.Request){
	"plain": func(_ *upstream, w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "upstream") },
	"hold": func(u *upstream, w http.ResponseWriter, r *http.Request) {
		u.wait(r.Context())
		fmt.Fprintln(w, "upstream")
	},
	"half": func(u *upstream, w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "half")
		_ = http.NewResponseController(w).Flush()
		u.wait(r.Context())
		fmt.Fprintln(w, "whole")
	},
}
