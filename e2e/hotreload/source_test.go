package hotreload_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// The policy source's interval and timeout, as the filter is configured.
const (
	sourceInterval = 200 * time.Millisecond
	sourceTimeout  = 300 * time.Millisecond
)

// A source is the policies' HTTP server, which can be stopped and started again.
type source struct {
	addr   string
	server *http.Server
	served chan struct{} // closed once server has stopped

	mu      sync.Mutex
	answer  http.HandlerFunc
	etag    string        // of the published document
	changed chan struct{} // closed when there is another answer
	asked   int           // requests
	sent    int           // published documents
	active  int           // requests that have no answer yet
	highest int           // of active
}

// newSource starts a source.
func newSource(tb testing.TB) *source {
	tb.Helper()
	s := &source{addr: "127.0.0.1:0"}
	s.start(tb)
	tb.Cleanup(s.stop)
	return s
}

// start begins serving, after a stop on the same port.
func (s *source) start(tb testing.TB) {
	tb.Helper()
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		tb.Fatal(err)
	}
	s.addr = listener.Addr().String()
	s.server, s.served = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}, make(chan struct{})
	go func(server *http.Server, served chan struct{}) {
		_ = server.Serve(listener) // until stop
		close(served)
	}(s.server, s.served)
}

// stop cuts all connections.
func (s *source) stop() {
	_ = s.server.Close()
	<-s.served
}

// serve sets how the source answers from now on.
func (s *source) serve(answer http.HandlerFunc) { s.set(answer, "") }

func (s *source) set(answer http.HandlerFunc, etag string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed != nil {
		close(s.changed)
	}
	s.answer, s.etag, s.changed = answer, etag, make(chan struct{})
}

// publish answers with a document from now on, and whoever has it with 304: at once, or when
// the time has passed for which the request may be held.
func (s *source) publish(document string) {
	sum := sha256.Sum256([]byte(document))
	etag := `"` + hex.EncodeToString(sum[:8]) + `"`
	s.set(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		s.mu.Lock()
		s.sent++
		s.mu.Unlock()
		_, _ = w.Write([]byte(document))
	}, etag)
}

// ServeHTTP implements http.Handler.
func (s *source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked++
	s.active++
	s.highest = max(s.highest, s.active)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.active--
	}()
	var seconds int
	_, _ = fmt.Sscanf(r.Header.Get("Prefer"), "wait=%d", &seconds)
	expired := time.After(time.Duration(seconds) * time.Second)
	for held := seconds > 0; ; {
		s.mu.Lock()
		answer, changed := s.answer, s.changed
		held = held && s.etag != "" && r.Header.Get("If-None-Match") == s.etag
		s.mu.Unlock()
		if !held {
			answer(w, r)
			return
		}
		select {
		case <-changed:
		case <-expired:
			held = false
		case <-r.Context().Done():
			return
		}
	}
}

// requests returns how many requests there were.
func (s *source) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// waiting returns how many requests have no answer yet.
func (s *source) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.active
}

// documents returns how many answers had a published document.
func (s *source) documents() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

// most returns how many requests there have been at once.
func (s *source) most() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.highest
}
