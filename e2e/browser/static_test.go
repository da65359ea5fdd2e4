package browser_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pageFolder is where make playground writes the page.
var pageFolder = filepath.Join(root, "build/playground")

// servePage serves the page without the demo, as any web server does, and beside it the HTML
// pages that are given, by their names. It returns the server's origin.
func servePage(t *testing.T, pages map[string]string) (origin string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(pageFolder, "engine.wasm")); err != nil {
		t.Fatalf("%v; run make playground", err)
	}
	files := http.FileServer(http.Dir(pageFolder))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if page, ok := pages[strings.TrimPrefix(r.URL.Path, "/")]; ok {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte(page)) // a browser that has gone notices
			return
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}
