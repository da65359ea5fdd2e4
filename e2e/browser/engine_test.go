package browser_test

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/demo/engine"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
)

const enginePage = `<!doctype html>
<html lang="en">
<title>Engine</title>
<script type="module">
import { loadEngine } from './engine.js';
const state = document.documentElement.dataset;
loadEngine().then((engine) => { window.engine = engine; state.state = 'ready'; },
	(error) => { state.state = 'failed: ' + error.message; });
</script>`

// openEngine opens a page with the engine at a server.
func openEngine(t *testing.T, origin string) *chromium {
	t.Helper()
	b := openBrowser(t)
	b.run(chromedp.Navigate(origin+"/engine.html"),
		ignore(chromedp.Poll[bool](`Boolean(document.documentElement.dataset.state)`)))
	if state := evaluate[string](b, `document.documentElement.dataset.state`); state != "ready" {
		t.Fatal(state)
	}
	return b
}

// TestEngine: in a page the engine says what it says here. A call that fails is an error, and
// the next one succeeds.
func TestEngine(t *testing.T) {
	t.Parallel()
	b := openEngine(t, servePage(t, map[string]string{"engine.html": enginePage}))
	call := func(function string, arguments ...any) {
		t.Helper()
		text, err := json.Marshal(arguments)
		if err != nil {
			t.Fatal(err)
		}
		in, err := json.Marshal([]string{function, string(text)})
		if err != nil {
			t.Fatal(err)
		}
		decode := func(result string) (value any) {
			if err := json.Unmarshal([]byte(result), &value); err != nil {
				t.Fatal(err)
			}
			return value
		}
		got := decode(evaluate[string](b, fmt.Sprintf(`corsEngine(...%s)`, in)))
		want := decode(engine.Call(function, string(text)))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s %.200s (-native +page)\n%s", function, text, diff)
		}
	}
	for _, c := range cases.All[:200] {
		call("check", c.Config)
		call("walk", c.Config, []engine.Request{{Origin: "https://app.example", Method: "PUT", URL: "https://api.example/"}},
			engine.Options{})
	}
	call("schema")
	call("requests", `curl 'https://api.example/' -H 'Origin: https://app.example' -H 'X-A: ä𝄞'`)
	for _, wrong := range []string{`corsEngine()`, `corsEngine('check')`, `corsEngine('check', '[')`, `corsEngine('check', '[1]')`,
		`corsEngine('check', '[]')`, `corsEngine('none', '[]')`, `corsEngine(1, 2)`} {
		if got := evaluate[string](b, `JSON.parse(`+wrong+`).error`); got == "" {
			t.Errorf("%s is no error", wrong)
		}
	}
	if !evaluate[bool](b, `engine.check('{"allow_origins": ["*"]}').ok`) {
		t.Error("after errors, the engine is gone")
	}
}

// TestEngineOfAnyServer: the engine loads from a server that doesn't know the type of
// WebAssembly, and says so if there is none.
func TestEngineOfAnyServer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		wasm  func(http.ResponseWriter)
		state string
	}{
		"no type": {func(w http.ResponseWriter) {
			file, err := os.ReadFile(filepath.Join(pageFolder, "engine.wasm"))
			if err != nil {
				t.Error(err)
			}
			w.Header().Set("Content-Type", "application/octet-stream")
			_, _ = w.Write(file) // the browser notices
		}, "ready"},
		"missing": {func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) }, "failed: engine.wasm: 404 Not Found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mux := http.NewServeMux()
			mux.Handle("/", http.FileServer(http.Dir(pageFolder)))
			mux.HandleFunc("/engine.html", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, enginePage) })
			mux.HandleFunc("/engine.wasm", func(w http.ResponseWriter, _ *http.Request) { test.wasm(w) })
			server := httptest.NewServer(mux)
			defer server.Close()
			b := openBrowser(t)
			b.run(chromedp.Navigate(server.URL+"/engine.html"),
				ignore(chromedp.Poll[bool](`Boolean(document.documentElement.dataset.state)`)))
			if state := evaluate[string](b, `document.documentElement.dataset.state`); state != test.state {
				t.Errorf("%q, want %q", state, test.state)
			}
		})
	}
}

// TestPageSize: what a visitor loads isn't larger than it was meant to be, as it is and
// compressed.
func TestPageSize(t *testing.T) {
	t.Parallel()
	for name, budget := range map[string][2]int64{
		"engine.wasm":   {8_200_000, 2_300_000},
		"codemirror.js": {450_000, 150_000},
	} {
		file, err := os.Open(filepath.Join(pageFolder, name))
		if err != nil {
			t.Fatalf("%v; run make playground", err)
		}
		var compressed counter
		w := gzip.NewWriter(&compressed)
		size, err := io.Copy(w, file)
		if err := errors.Join(err, w.Close(), file.Close()); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes, %d compressed", name, size, compressed)
		if size > budget[0] || int64(compressed) > budget[1] {
			t.Errorf("%s has %d bytes, %d compressed, more than %d", name, size, compressed, budget)
		}
	}
}

// A counter counts what is written.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
