package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Only the demo's own pages may write: neither those of other origins, on this machine or not,
// nor those of a host whose name leads here only since somebody made it so.
func TestOnlyOursWrite(t *testing.T) {
	handler := ours(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for _, test := range []struct {
		method, host, origin, site string
		want                       int
	}{
		{"POST", "localhost:10000", "http://localhost:10000", "same-origin", 204},
		{"DELETE", "127.0.0.1:10000", "http://127.0.0.1:10000", "", 204},
		{"POST", "shop.localhost:10000", "http://shop.localhost:10000", "same-origin", 204},
		{"POST", "[::1]:10000", "http://[::1]:10000", "", 204},
		{"POST", "localhost", "", "", 204}, // curl
		{"GET", "localhost:10000", "", "cross-site", 204},
		{"POST", "localhost:10000", "https://evil.example", "cross-site", 403},
		{"POST", "localhost:10000", "https://evil.example", "", 403},
		{"DELETE", "localhost:10000", "http://localhost:3000", "same-site", 403},
		{"POST", "localhost:10000", "http://127.0.0.1:10000", "", 403},
		{"POST", "localhost:10000", "null", "", 403},
		{"POST", "evil.example:10000", "http://evil.example:10000", "same-origin", 403},
		{"GET", "evil.example:10000", "", "same-origin", 403},
		{"POST", "localhost.evil.example", "", "", 403},
		{"POST", "192.0.2.1:10000", "", "", 403},
	} {
		r := httptest.NewRequest(test.method, "/origins", nil)
		r.Host = test.host
		for name, value := range map[string]string{"Origin": test.origin, "Sec-Fetch-Site": test.site} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != test.want {
			t.Errorf("%+v: %d", test, w.Code)
		}
	}
}

// A page that has the rows waits for others.
func TestServeRows(t *testing.T) {
	p := &policyd{changed: make(chan struct{}), rows: rows{Version: 7}}
	get := func(after int) rows {
		w := httptest.NewRecorder()
		p.serveRows(w, httptest.NewRequest(http.MethodGet, "/origins?after="+strconv.Itoa(after), nil))
		var got rows
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Error(err)
		}
		return got
	}
	if got := get(3); got.Version != 7 {
		t.Errorf("%+v", got)
	}
	got := make(chan rows)
	go func() { got <- get(7) }()
	p.change(func(*rows) {}) // nothing
	select {
	case now := <-got:
		t.Errorf("%+v, though nothing has changed", now)
	case <-time.After(50 * time.Millisecond):
	}
	p.change(func(r *rows) { r.Origins = []string{"https://shop.example"} })
	if now := <-got; now.Version != 8 || !slices.Equal(now.Origins, []string{"https://shop.example"}) {
		t.Errorf("%+v", now)
	}
}

// What cors-policyd proposes is offered if it takes it itself.
func TestSuggestions(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch string(body) {
		case `{"origin":"bad","policy":"tenants"}`:
			_, _ = io.WriteString(w, `{"ok":false,"findings":[
				{"what":"\"https://what.example\" is not it","instead":"write \"https://a.example\", \"https://b.example\" or \"worse\""},
				{"what":"the same","instead":"write \"https://a.example\""}]}`)
		case `{"origin":"https://a.example","policy":"tenants"}`, `{"origin":"https://b.example","policy":"tenants"}`,
			`{"origin":"https://what.example","policy":"tenants"}`:
			_, _ = io.WriteString(w, `{"ok":true,"findings":[]}`)
		default:
			_, _ = io.WriteString(w, `{"ok":false,"findings":[]}`)
		}
	}))
	p := &policyd{listen: strings.TrimPrefix(server.URL, "http://")}
	if got := p.suggestions(t.Context(), "bad"); !slices.Equal(got, []string{"https://a.example", "https://b.example"}) {
		t.Errorf("%q", got)
	}
	server.Close()
	if got := p.suggestions(t.Context(), "bad"); len(got) > 0 {
		t.Errorf("without cors-policyd: %q", got)
	}
}

// The terminal gets the first probe of an origin, and each that ends otherwise than the one before.
func TestAccessLogOfProbes(t *testing.T) {
	rec := newRecorder()
	var out strings.Builder
	line := accessLog(rec, newEventLog(), &out)
	for _, origins := range [][2]string{
		{"http://a.example", ""}, {"http://a.example", ""}, {"http://b.example", "http://b.example"},
		{"http://a.example", "http://a.example"}, {"http://a.example", "http://a.example"}, {"http://a.example", ""},
	} {
		text, err := json.Marshal(map[string]string{
			"method": "GET", "path": "/probe?exchange=probe", "origin": origins[0], "access-control-allow-origin": origins[1],
			"details": "via_upstream",
		})
		if err != nil {
			t.Fatal(err)
		}
		line(append(text, '\n'))
	}
	var got []string
	for text := range strings.Lines(out.String()) {
		got = append(got, strings.Join(strings.Fields(text)[4:], " "))
	}
	want := []string{
		"not readable by http://a.example", "readable by http://b.example",
		"readable by http://a.example", "not readable by http://a.example",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if len(rec.accesses.items) > 0 {
		t.Errorf("probes are recorded: %d", len(rec.accesses.items))
	}
}

// Of origins that are made up no more are kept than of all else.
func TestProbesAreBounded(t *testing.T) {
	p := probes{}
	for i := range 3 * kept {
		if !p.changed(strconv.Itoa(i), true) {
			t.Fatalf("the first probe of %d is not told", i)
		}
		if len(p) > kept {
			t.Fatalf("%d origins are kept", len(p))
		}
	}
}

func TestNewPolicyd(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, err := newPolicyd("database", nil, nil); err == nil || !strings.Contains(err.Error(), `"make run" builds it`) {
		t.Errorf("without the binary: %v", err)
	}
	for _, dir := range []string{"build", "database"} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile("build/cors-policyd", nil, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ text, listen, database string }{
		{"# listen: a\nlisten: 127.0.0.1:1 # here\ndatabase: sqlite:build/a.db\n", "127.0.0.1:1", "build/a.db"},
		{"listen: 127.0.0.1:1\n", "", ""},
	} {
		if err := os.WriteFile(filepath.Join("database", "policyd.yaml"), []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := newPolicyd("database", nil, nil)
		if test.listen == "" {
			if err == nil {
				t.Errorf("%q is taken", test.text)
			}
			continue
		}
		if err != nil || p.listen != test.listen || p.database != test.database {
			t.Errorf("%q: %+v, %v", test.text, p, err)
		}
	}
}
