package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The upstream must know nothing of CORS: what the browser sees is the filter's.
func TestAPIEchoesAndKnowsNothingOfCORS(t *testing.T) {
	rec := newRecorder()
	r := httptest.NewRequest(http.MethodPost, "/people?exchange=a", strings.NewReader("<person/>"))
	r.Header.Set("Origin", "http://localhost:10000")
	r.Header.Set("X-Request-Id", "7")
	w := httptest.NewRecorder()
	api{rec}.ServeHTTP(w, r)

	for name := range w.Header() {
		if strings.HasPrefix(name, "Access-Control-") || name == "Vary" {
			t.Errorf("the upstream answers %s", name)
		}
	}
	if id := w.Header().Get("X-Request-Id"); id != "7" {
		t.Errorf("X-Request-Id: %s", id)
	}
	var echo struct {
		Method, Path, Body string
		Headers            [][2]string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &echo); err != nil {
		t.Fatal(err)
	}
	if echo.Method != "POST" || echo.Path != "/people" || echo.Body != "<person/>" ||
		len(echo.Headers) != 2 || echo.Headers[0] != [2]string{"origin", "http://localhost:10000"} {
		t.Errorf("echo: %+v", echo)
	}
	if len(rec.visits.items) != 1 || rec.visits.items[0].RequestID != "7" {
		t.Errorf("visits: %+v", rec.visits.items)
	}
}

func TestApp(t *testing.T) {
	page, err := pageFiles("web")
	if err != nil {
		t.Fatal(err)
	}
	app := newApp(newRecorder(), newEventLog(), page)
	app.publish(facts{App: "http://localhost:1", API: "http://localhost:2"}, &policies{})
	server := httptest.NewServer(app)
	defer server.Close()

	for _, test := range []struct {
		path   string
		status int
		text   string
		cookie bool
	}{
		{"/", 200, "<!doctype html>", true},
		{"/app.js", 200, "import ", false},
		{"/style.css", 200, "prefers-color-scheme: dark", false},
		{"/facts", 200, `"api":"http://localhost:2"`, false},
		{"/observed?exchange=none&fetches=0", 200, "[]", false},
		{"/observed?exchange=none", 400, "fetches", false},
		{"/observed?fetches=1", 400, "exchange", false},
		{"/nothing", 404, "not found", false},
	} {
		res, err := http.Get(server.URL + test.path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != test.status || !strings.Contains(string(body), test.text) {
			t.Errorf("%s: %s, body %q", test.path, res.Status, body)
		}
		if got := strings.HasPrefix(res.Header.Get("Set-Cookie"), cookieName+"="); got != test.cookie {
			t.Errorf("%s: sets the cookie: %t, want %t", test.path, got, test.cookie)
		}
	}

	// What Envoy and the upstream saw is for pages of this machine.
	for _, path := range []string{"/facts", "/observed?exchange=none&fetches=0", "/log"} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Host = "rebound.example:10000"
		w := httptest.NewRecorder()
		if app.ServeHTTP(w, r); w.Code != http.StatusForbidden {
			t.Errorf("%s of another host: %d", path, w.Code)
		}
	}

	// A visitor keeps the cookie.
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.AddCookie(&http.Cookie{Name: cookieName, Value: "kept"})
	w := httptest.NewRecorder()
	app.ServeHTTP(w, r)
	if set := w.Header().Get("Set-Cookie"); set != "" {
		t.Errorf("the cookie is set again: %s", set)
	}
}
