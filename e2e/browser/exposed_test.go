package browser_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// exposures are header lines of answers.
var exposures = []struct {
	name        string
	lines       []string // of Access-Control-Expose-Headers
	credentials bool
}{
	{"none", nil, false},
	{"by name", []string{"X-A"}, false},
	{"in another case", []string{"x-a, AUTHORIZATION"}, false},
	{"empty elements", []string{",X-A,, X-B ,"}, false},
	{"two lines", []string{"X-A", "X-B"}, false},
	{"star", []string{"*"}, false},
	{"star beside a name", []string{"X-A, *"}, false},
	{"star, with credentials", []string{"*"}, true},
	{"star beside a name, with credentials", []string{"*, X-A"}, true},
	{"by name, with credentials", []string{"X-A, X-B"}, true},
	{"cookies", []string{"Set-Cookie, Set-Cookie2, X-A"}, false},
	{"no list", []string{"X-A X-B"}, false},
	{"one that is no name", []string{"X-A, X B"}, false},
	{"quoted", []string{`"X-A"`}, false},
	{"a prefix", []string{"X-*"}, false},
}

// TestExposed: which headers of an answer a page sees is what package browser says.
func TestExposed(t *testing.T) {
	t.Parallel()
	answered := []string{"Cache-Control", "Content-Language", "Content-Length", "Content-Type", "Expires", "Last-Modified",
		"Pragma", "Authorization", "Set-Cookie", "Set-Cookie2", "X-A", "X-B", "*", "Access-Control-Expose-Headers"}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i, err := strconv.Atoi(strings.Trim(r.URL.Path, "/"))
		if err != nil {
			return
		}
		for _, name := range answered {
			w.Header().Set(name, "1")
		}
		w.Header()["Access-Control-Expose-Headers"] = exposures[i].lines
		w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		fmt.Fprint(w, "1")
	}))
	t.Cleanup(api.Close)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
	}))
	t.Cleanup(page.Close)
	names, err := json.Marshal(answered)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range visitors(t) {
		b.visit(page.URL)
		for i, e := range exposures {
			var headers [][2]string
			for _, line := range e.lines {
				headers = append(headers, [2]string{"Access-Control-Expose-Headers", line})
			}
			var want, got []string
			for _, name := range answered {
				there := name != "Access-Control-Expose-Headers" || e.lines != nil
				if there && browser.Exposed(headers, name, e.credentials) {
					want = append(want, name)
				}
			}
			b.decode(fmt.Sprintf(`fetch("%s/%d", {credentials: %q}).then((r) => %s.filter((name) => r.headers.has(name)))`,
				api.URL, i, map[bool]string{true: "include", false: "omit"}[e.credentials], names), &got)
			if !slices.Equal(got, want) {
				t.Errorf("%s: %s shows %q, want %q", e.name, b.called(), got, want)
			}
		}
	}
}
