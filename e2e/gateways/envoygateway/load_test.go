package envoygateway

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// A load sends requests over kept-alive connections, and judges every answer.
type load struct {
	stop    chan struct{}
	running sync.WaitGroup

	mu          sync.Mutex
	requests    int
	connections [4]int // how many each client had
	failures    []error
}

// startLoad begins to send. The load ends with the test.
func startLoad(t *testing.T) *load {
	t.Helper()
	l := &load{stop: make(chan struct{})}
	for i := range l.connections {
		l.running.Go(func() {
			for l.connection(i) {
			}
		})
	}
	t.Cleanup(l.end)
	l.turnover(t, [4]int{})
	return l
}

// connection sends requests over one connection until Envoy closes it, and reports whether
// to go on with another.
func (l *load) connection(client int) bool {
	conn, err := envoytest.Dial(entrance)
	if err != nil {
		l.note(fmt.Errorf("connecting: %w", err))
		return false
	}
	defer conn.Close()
	l.mu.Lock()
	l.connections[client]++
	l.mu.Unlock()
	for {
		select {
		case <-l.stop:
			return false
		case <-time.After(3 * time.Millisecond):
		}
		response, err := conn.Do(request("GET", "/plain", origin))
		if err == nil && (response.Status != http.StatusOK || !slices.Equal(cases.Lines(response.Headers), allowed)) {
			err = fmt.Errorf("status %d, headers %q", response.Status, response.Headers)
		}
		l.note(err)
		if err != nil || slices.Contains(response.Values("connection"), "close") {
			return true
		}
	}
}

// note counts a request, which failed if there is an error.
func (l *load) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
	if err != nil {
		l.failures = append(l.failures, err)
	}
}

// count returns how many connections each client had.
func (l *load) count() [4]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.connections
}

// turnover waits until each client has another connection than before: Envoy closes those
// of a listener that it has replaced, each with its next answer.
func (l *load) turnover(t *testing.T, before [4]int) {
	t.Helper()
	envoytest.Eventually(t, updateTimeout, "each client has another connection", func() bool {
		for i, n := range l.count() {
			if n == before[i] {
				return false
			}
		}
		return true
	})
}

// end stops the clients. It may be called again.
func (l *load) end() {
	l.mu.Lock()
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.mu.Unlock()
	l.running.Wait()
}

// check ends the load, and fails the test if a request was lost.
func (l *load) check(t *testing.T) {
	t.Helper()
	l.end()
	for _, err := range l.failures[:min(len(l.failures), 10)] {
		t.Error(err)
	}
	t.Logf("%d requests over %v connections, %d failed", l.requests, l.connections, len(l.failures))
}

// serveDocument serves what policy-source.yaml asks for, where /etc/hosts and the port say,
// and returns the Host of the first request.
func serveDocument(t *testing.T, document string) <-chan string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 1)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/cors.json" {
				http.NotFound(w, r)
				return
			}
			select {
			case asked <- r.Host:
			default:
			}
			_, _ = w.Write([]byte(document))
		})}
	t.Cleanup(func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }()
	return asked
}
