package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// cookieName names the cookie that proves a credentialed request. Cookies know
// no ports: what the app sets for localhost, the browser sends to the API too.
const cookieName = "cors_demo"

// app serves the page, and tells it what Envoy and the upstream saw.
type app struct {
	rec   *recorder
	log   *eventLog
	mux   http.ServeMux
	ready chan struct{} // closed once what follows is known

	policies *policies
	mu       sync.Mutex
	facts    facts
}

func newApp(rec *recorder, log *eventLog, page http.Handler) *app {
	a := &app{rec: rec, log: log, ready: make(chan struct{})}
	a.mux.Handle("GET /", page)
	a.mux.Handle("GET /facts", ours(a.serveFacts))
	a.mux.Handle("GET /observed", ours(a.serveObserved))
	a.mux.Handle("GET /log", ours(log.serve))
	a.mux.Handle("POST /policy", ours(a.writePolicy((*policies).apply)))
	a.mux.Handle("DELETE /policy", ours(a.writePolicy((*policies).restore)))
	return a
}

// publish lets the page know of the running Envoy.
func (a *app) publish(f facts, p *policies) {
	a.facts, a.policies = f, p
	close(a.ready)
}

// change lets the page know that something about the running Envoy has changed.
func (a *app) change(change func(*facts)) {
	a.edit(change)
	a.log.add("policy", []byte("{}"))
}

// edit changes the facts.
func (a *app) edit(change func(*facts)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(&a.facts)
}

// current returns the facts.
func (a *app) current() facts {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.facts
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if _, port, err := net.SplitHostPort(r.Host); err == nil {
		// The page has buttons that write: no page of others may have it in a frame.
		w.Header().Set("Content-Security-Policy", "frame-ancestors http://localhost:"+port+
			" http://127.0.0.1:"+port+" http://*.localhost:"+port)
	}
	if _, err := r.Cookie(cookieName); err != nil && r.URL.Path == "/" {
		http.SetCookie(w, &http.Cookie{ //nolint:gosec // the demo has no TLS, and no secret
			Name: cookieName, Value: strings.ToLower(rand.Text()[:8]), Path: "/",
			HttpOnly: true, SameSite: http.SameSiteLaxMode,
		})
	}
	a.mux.ServeHTTP(w, r)
}

func (a *app) serveFacts(w http.ResponseWriter, r *http.Request) {
	select {
	case <-a.ready:
		writeJSON(w, a.current())
	case <-r.Context().Done():
	}
}

// serveObserved answers what was seen of an exchange, once Envoy has logged it: of so many
// fetch calls, of which 0 leave nothing to wait for.
func (a *app) serveObserved(w http.ResponseWriter, r *http.Request) {
	fetches, err := strconv.Atoi(r.FormValue("fetches"))
	if err != nil || r.FormValue("exchange") == "" {
		http.Error(w, "want ?exchange=id&fetches=number", http.StatusBadRequest)
		return
	}
	if fetches > 0 {
		ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
		defer cancel()
		a.rec.settle(ctx, func(path string) error { return ask(ctx, a.current().API+path) })
	}
	writeJSON(w, a.rec.find(r.FormValue("exchange")))
}

// ask sends a request, whatever the answer to it.
func ask(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// api is the API's upstream. It knows nothing of CORS: it answers what reached it.
type api struct {
	rec *recorder
}

func (a api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	id := r.Header.Get("X-Request-Id")
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/json")
	h.Set("X-Request-Id", id)    // the policy exposes this one to scripts
	h.Set("X-Served-By", "demo") // and not this one
	seen := headerLines(r.Header)
	if !strings.HasPrefix(r.URL.Path, markPath) {
		a.rec.addVisit(visit{
			Method:    r.Method,
			RequestID: id, Exchange: exchangeOf(r.URL.String()), Request: seen, Answer: headerLines(h),
		})
	}
	writeJSON(w, map[string]any{
		"method":  r.Method,
		"path":    r.URL.Path,
		"headers": seen,
		"body":    string(body),
	})
}

// headerLines returns headers as lines in the order of their lower-case names.
func headerLines(h http.Header) [][2]string {
	lines := [][2]string{}
	for name, values := range h {
		for _, value := range values {
			lines = append(lines, [2]string{strings.ToLower(name), value})
		}
	}
	slices.SortStableFunc(lines, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return lines
}

func writeJSON(w http.ResponseWriter, v any) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	_ = json.NewEncoder(w).Encode(v) // fails for a visitor who has left
}
