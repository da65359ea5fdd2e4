package probe_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/probe"
)

// TestCompareNotSent: none of the questions may change something, not even in disguise, and not
// the one without an origin either.
func TestCompareNotSent(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if asked[r.Method]++; r.Method != "OPTIONS" && (r.Method != "GET" || r.Header.Get("X-Http-Method-Override") != "") {
			t.Errorf("sent: %s %v", r.Method, r.Header)
		}
		w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		w.Header().Set("Access-Control-Allow-Methods", "PUT")
		w.Header().Set("Access-Control-Allow-Headers", "X-HTTP-Method-Override")
	}))
	t.Cleanup(server.Close)
	for _, method := range []string{"GET", "PUT"} {
		q := getFrom("https://app.example.com", server.URL)
		q.Method, q.Headers = method, [][2]string{{"X-HTTP-Method-Override", "DELETE"}}
		if c := probe.Compare(t.Context(), prober(), prober(), q, server.URL); c.Differs() {
			t.Errorf("%s: they differ", method)
		}
	}
	if asked["GET"] == 0 || asked["OPTIONS"] == 0 {
		t.Errorf("asked %v", asked)
	}
}
