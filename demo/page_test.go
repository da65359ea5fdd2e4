package main

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A folder is served as it is now, compressed for who takes that.
func TestPageFiles(t *testing.T) {
	dir := t.TempDir()
	if _, err := pageFiles(dir); err == nil || !strings.Contains(err.Error(), `"make run" makes it`) {
		t.Errorf("of an empty folder: %v", err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("index.html", "<title>index</title>")
	write("engine.wasm", "\x00asm"+strings.Repeat("x", 10_000))
	write("playground/main.js", "export {}")
	write("notes.txt", "notes")
	page, err := pageFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	get := func(path, accept string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Accept-Encoding", accept)
		if len(header) > 0 {
			r.Header.Set(header[0], header[1])
		}
		w := httptest.NewRecorder()
		page.ServeHTTP(w, r)
		return w
	}
	for _, test := range []struct {
		path, accept   string
		status         int
		kind, encoding string
		cors           string
		text           string
	}{
		{"/", "gzip, br", 200, "text/html; charset=utf-8", "gzip", "", "<title>index</title>"},
		{"/", "", 200, "text/html; charset=utf-8", "", "", "<title>index</title>"},
		{"/engine.wasm", "gzip", 200, "application/wasm", "gzip", "", "\x00asm" + strings.Repeat("x", 10_000)},
		{"/engine.wasm", "", 200, "application/wasm", "", "", "\x00asm" + strings.Repeat("x", 10_000)},
		{"/playground/main.js", "gzip", 200, "text/javascript; charset=utf-8", "gzip", "*", "export {}"},
		{"/notes.txt", "gzip", 200, "text/plain; charset=utf-8", "", "", "notes"},
		{"/../page_test.go", "gzip", 404, "text/plain; charset=utf-8", "", "", "not found"},
		{"/none.js", "gzip", 404, "text/plain; charset=utf-8", "", "*", "not found"},
	} {
		w := get(test.path, test.accept)
		body := io.Reader(w.Body)
		if w.Header().Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(body)
			if err != nil {
				t.Errorf("%s: %v", test.path, err)
				continue
			}
			body = z
		}
		text, err := io.ReadAll(body)
		if err != nil || w.Code != test.status || !strings.Contains(string(text), test.text) ||
			w.Header().Get("Content-Type") != test.kind || w.Header().Get("Content-Encoding") != test.encoding ||
			w.Header().Get("Access-Control-Allow-Origin") != test.cors {
			t.Errorf("%+v: %d %v %q, %v", test, w.Code, w.Header(), text[:min(100, len(text))], err)
		}
	}

	w := get("/engine.wasm", "gzip")
	changed := w.Header().Get("Last-Modified")
	if again := get("/engine.wasm", "gzip", "If-Modified-Since", changed); again.Code != http.StatusNotModified {
		t.Errorf("what hasn't changed since %s: %d", changed, again.Code)
	}
	write("engine.wasm", "\x00asm other")
	if again := get("/engine.wasm", "gzip"); again.Body.String() == w.Body.String() {
		t.Error("a file that has changed is served as before")
	}
}
