package browser_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// A cached is a request to a server that answers preflights in a certain way, and one after it.
type cached struct {
	name        string
	answer      string // header lines of the answers to preflights, beside those that allow
	first, then browser.Request
}

// cachedRequests are those by which the model of the preflight cache is compared with Chromium's.
func cachedRequests() []cached {
	put := browser.Request{Method: "PUT"}
	with := func(name, value string) browser.Request {
		return browser.Request{Method: "PUT", Headers: [][2]string{{name, value}}}
	}
	include := browser.Request{Method: "PUT", CredentialsInclude: true}
	of := func(method string) browser.Request { return browser.Request{Method: method} }
	const methods = "access-control-allow-methods: "
	const headers = "access-control-allow-headers: "
	const own = methods + "PUT\n" + headers + "X-A\n"
	list := []cached{
		{"the same", own, put, put},
		{"a header less", own, with("X-A", "1"), put},
		{"a header more", own, put, with("X-A", "1")},
		{"a header that isn't listed", methods + "PUT", put, with("X-B", "1")},
		{"a header, of *", methods + "PUT\n" + headers + "*", put, with("X-B", "1")},
		{"Authorization, of *", methods + "PUT\n" + headers + "*", put, with("Authorization", "x")},
		{"Authorization twice, of *", methods + "PUT\n" + headers + "*", with("Authorization", "x"), with("Authorization", "x")},
		{"Authorization by name", methods + "PUT\n" + headers + "*, Authorization", put, with("Authorization", "x")},
		{"another method", methods + "PUT, DELETE", put, of("DELETE")},
		{"another method, of *", methods + "*", put, of("DELETE")},
		{"another method that isn't listed", methods + "PUT", put, of("DELETE")},
		{"a safelisted method with a header", own, put, browser.Request{Method: "POST", Headers: [][2]string{{"X-A", "1"}}}},
		{"credentials, asked without", own, put, include},
		{"no credentials, asked with", own, include, put},
		{"credentials twice", own, include, include},
	}
	for _, maxAge := range []string{
		"0", "1000", "-1", "+1000", "x", "1000s", "1e3", "99999999999999999999", "5, 5", "1000\naccess-control-max-age: 1000",
	} {
		list = append(list, cached{"max-age " + maxAge, own + "access-control-max-age: " + maxAge, put, put})
	}
	for _, length := range []int{500, 511, 512, 1023, 1024, 2000} {
		long := put
		long.URL = strings.Repeat("x", length)
		list = append(list, cached{fmt.Sprintf("a URL of %d bytes", length), own, long, long})
	}
	return list
}

// TestPreflightCache: Chromium remembers the answers to preflights as the engine expects it.
func TestPreflightCache(t *testing.T) {
	t.Parallel()
	server := &cacheServer{cases: cachedRequests()}
	api := httptest.NewServer(server)
	defer api.Close()
	page := servePage(t, map[string]string{"empty.html": "<!doctype html><title>Empty</title>"})
	b := openBrowser(t)
	b.run(chromedp.Navigate(page + "/empty.html"))
	for i, c := range server.cases {
		url := fmt.Sprintf("%s/%d?", api.URL, i)
		if n := len(c.first.URL); n > 0 {
			url += strings.Repeat("x", n-len(url))
		}
		var cache browser.PreflightCache
		for _, r := range []browser.Request{c.first, c.then} {
			r.Origin, r.URL = page, url
			want := !cache.Covers(r)
			asked := server.fetch(t, b, i, r)
			if asked != want {
				t.Errorf("%s: %s with credentials %v and %v: asked %v, expected %v", c.name, r.Method, r.CredentialsInclude,
					r.Headers, asked, want)
			}
			if want {
				cache.Store(r, c.lines())
			}
		}
	}
}

// TestPreflightCacheIsFull: how many answers Chromium remembers.
func TestPreflightCacheIsFull(t *testing.T) {
	t.Parallel()
	server := &cacheServer{cases: []cached{{answer: "access-control-allow-methods: PUT\naccess-control-max-age: 1000"}}}
	api := httptest.NewServer(server)
	defer api.Close()
	page := servePage(t, map[string]string{"empty.html": "<!doctype html><title>Empty</title>"})
	b := openBrowser(t)
	b.run(chromedp.Navigate(page + "/empty.html"))
	fetchAll := func(n int) (preflights []string) {
		const script = `(async () => {
			for (let i = 0; i < %d; i++) { await (await fetch('%s/0?' + i, {method: 'PUT'})).text(); }
			return true;
		})()`
		return server.preflights(func() {
			b.run(ignore(chromedp.Evaluate[bool](fmt.Sprintf(script, n, api.URL), chromedp.EvalAwaitPromise)))
		})
	}
	const most = 1024
	var cache browser.PreflightCache
	for _, n := range []int{most, most, most + 1} {
		expected := 0
		for i := range n {
			r := browser.Request{Origin: page, Method: "PUT", URL: fmt.Sprintf("%s/0?%d", api.URL, i)}
			if !cache.Covers(r) {
				expected++
				cache.Store(r, server.cases[0].lines())
			}
		}
		if got := fetchAll(n); len(got) != expected {
			t.Errorf("to %d URLs there were %d preflights, expected %d", n, len(got), expected)
		}
	}
	// Which ones are forgotten is chance, but some are.
	if got := fetchAll(most + 1); len(got) == 0 {
		t.Errorf("%d are remembered", most+1)
	}
}

// lines are the header lines of the answers to preflights.
func (c cached) lines() (lines [][2]string) {
	for line := range strings.Lines(c.answer) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		lines = append(lines, [2]string{name, value})
	}
	return lines
}

// A cacheServer answers requests for the cases by their indices, and notes for which there was a
// preflight.
type cacheServer struct {
	cases []cached
	mu    sync.Mutex
	asked []string
}

func (s *cacheServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	h.Set("Access-Control-Allow-Credentials", "true")
	if r.Method != http.MethodOptions {
		return
	}
	s.mu.Lock()
	s.asked = append(s.asked, r.URL.Path)
	s.mu.Unlock()
	var i int
	if _, err := fmt.Sscanf(r.URL.Path, "/%d", &i); err != nil {
		return
	}
	for _, line := range s.cases[i].lines() {
		h.Add(line[0], line[1])
	}
}

// preflights are the paths of the preflights while something is done.
func (s *cacheServer) preflights(do func()) []string {
	s.mu.Lock()
	s.asked = nil
	s.mu.Unlock()
	do()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// fetch makes a request in the page, and reports whether there was a preflight.
func (s *cacheServer) fetch(t *testing.T, b *chromium, i int, r browser.Request) bool {
	t.Helper()
	headers := map[string]string{}
	for _, h := range r.Headers {
		headers[h[0]] = h[1]
	}
	credentials := "omit"
	if r.CredentialsInclude {
		credentials = "include"
	}
	init, err := json.Marshal(map[string]any{"method": r.Method, "headers": headers, "credentials": credentials})
	if err != nil {
		t.Fatal(err)
	}
	const script = `fetch(%q, %s).then((r) => r.text()).then(() => true, () => false)`
	asked := s.preflights(func() {
		b.run(ignore(chromedp.Evaluate[bool](fmt.Sprintf(script, r.URL, init), chromedp.EvalAwaitPromise)))
	})
	return slices.Contains(asked, fmt.Sprintf("/%d", i))
}
