//go:build clock

package browser_test

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestCaps: how long a browser remembers an answer that may be remembered for a week, by a clock that is
// put forward under it. That takes a C compiler, and browsers of the test's own.
func TestCaps(t *testing.T) {
	dir := t.TempDir()
	library, offset := filepath.Join(dir, "clock.so"), filepath.Join(dir, "offset")
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-O1", "-o", library, "testdata/clock.c").CombinedOutput(); err != nil {
		t.Fatalf("compile the clock: %v\n%s", err, out)
	}
	put := func(seconds int) {
		file, err := os.OpenFile(offset, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(seconds)), 0); err != nil {
			t.Fatal(err)
		}
	}
	put(0)
	t.Setenv("CLOCK_OFFSET", offset)
	t.Setenv("LD_PRELOAD", library)

	server := &cacheServer{cases: []cached{
		{name: "max-age 1000", answer: "access-control-allow-methods: PUT\naccess-control-max-age: 604800"},
	}}
	api := httptest.NewServer(server)
	t.Cleanup(api.Close)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
	}))
	t.Cleanup(page.Close)
	for _, b := range visitors(t) {
		t.Run(b.called(), func(t *testing.T) {
			put(0)
			b.visit(page.URL)
			server.settle(t, b, api.URL)
			r := cached{}.first
			r.Method, r.URL = http.MethodPut, fmt.Sprintf("%s/0?caps", api.URL)
			server.fetch(t, b, 0, r)
			seconds := caps[b.called()].seconds
			for _, step := range []struct {
				at   int
				asks bool
			}{{seconds - 60, false}, {seconds + 60, true}, {2*seconds - 60, false}, {2*seconds + 300, true}} {
				put(step.at)
				if asks := server.fetch(t, b, 0, r); asks != step.asks {
					t.Errorf("after %d seconds it asks: %t", step.at, asks)
				}
			}
		})
	}
}
