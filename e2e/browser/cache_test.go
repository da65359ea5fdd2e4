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
	"time"

	"github.com/chromedp/chromedp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// A cached is a request to a server that answers preflights in a certain way, and one after it.
type cached struct {
	name        string
	answer      string // header lines of the answers to preflights, beside those that allow
	first, then browser.Request
	asks        bool // By the standard there is a preflight before the second, too.
	// Where one does otherwise than the standard.
	chromium, firefox *departure
}

// cachedRequests are those by which the model of the preflight cache is compared with Chromium's, and
// the standard's with both.
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
	const asks = true
	list := []cached{
		{"the same", own, put, put, !asks, nil, nil},
		{"a header less", own, with("X-A", "1"), put, !asks, nil, nil},
		{"a header more", own, put, with("X-A", "1"), !asks, nil, nil},
		{"a header that isn't listed", methods + "PUT", put, with("X-B", "1"), asks, nil, nil},
		{"a header, of *", methods + "PUT\n" + headers + "*", put, with("X-B", "1"), !asks, nil, starNotRemembered},
		{"a header beside *", methods + "PUT\n" + headers + "*, X-B", put, with("X-B", "1"), !asks, nil, nil},
		{"Authorization, of *", methods + "PUT\n" + headers + "*", put, with("Authorization", "x"), asks, nil, nil},
		{"Authorization twice, of *", methods + "PUT\n" + headers + "*", with("Authorization", "x"), with("Authorization", "x"),
			asks, nil, nil},
		{"Authorization by name", methods + "PUT\n" + headers + "*, Authorization", put, with("Authorization", "x"), !asks, nil, nil},
		{"another method", methods + "PUT, DELETE", put, of("DELETE"), !asks, nil, nil},
		{"another method, of *", methods + "*", put, of("DELETE"), !asks, nil, starNotRemembered},
		{"the same, of *", methods + "*", put, put, !asks, nil, starNotRemembered},
		{"another method that isn't listed", methods + "PUT", put, of("DELETE"), asks, nil, nil},
		{"a safelisted method with a header", own, put, browser.Request{Method: "POST", Headers: [][2]string{{"X-A", "1"}}},
			!asks, nil, nil},
		{"credentials, asked without", own, put, include, asks, nil, nil},
		{"no credentials, asked with", own, include, put, !asks, nil, credentialsApart},
		{"credentials twice", own, include, include, !asks, nil, nil},
	}
	for _, maxAge := range []struct {
		value             string
		asks              bool
		chromium, firefox *departure
	}{
		{"0", asks, nil, nil},
		{"1000", !asks, nil, nil},
		{"-1", !asks, negativeIsZero, badAgeIsZero},
		{"+1000", !asks, nil, badAgeIsZero},
		{"x", !asks, nil, badAgeIsZero},
		{"1000s", !asks, nil, badAgeIsZero},
		{"1e3", !asks, nil, badAgeIsZero},
		{"99999999999999999999", !asks, nil, nil},
		{"5, 5", !asks, nil, badAgeIsZero},
		{"1000\naccess-control-max-age: 1000", !asks, nil, badAgeIsZero},
	} {
		list = append(list, cached{"max-age " + maxAge.value, own + "access-control-max-age: " + maxAge.value, put, put,
			maxAge.asks, maxAge.chromium, maxAge.firefox})
	}
	for _, length := range []int{500, 511, 512, 1023, 1024, 2000} {
		long, chromium := put, (*departure)(nil)
		if long.URL = strings.Repeat("x", length); length > 1023 {
			chromium = longURLNotRemembered
		}
		list = append(list, cached{fmt.Sprintf("a URL of %d bytes", length), own, long, long, !asks, chromium, nil})
	}
	return list
}

// TestPreflightCache: Chromium remembers the answers to preflights as the engine expects it, and both
// browsers as the standard has it, but for what docs/browsers.md has.
func TestPreflightCache(t *testing.T) {
	t.Parallel()
	server := &cacheServer{cases: cachedRequests()}
	api := httptest.NewServer(server)
	defer api.Close()
	page := servePage(t, map[string]string{"empty.html": "<!doctype html><title>Empty</title>"})
	for _, b := range visitors(t) {
		b.visit(page + "/empty.html")
		server.settle(t, b, api.URL)
		for i, c := range server.cases {
			url := fmt.Sprintf("%s/%d?%s", api.URL, i, b.called()[:1])
			if n := len(c.first.URL); n > 0 {
				url += strings.Repeat("x", n-len(url))
			}
			var cache browser.PreflightCache
			for n, r := range []browser.Request{c.first, c.then} {
				r.Origin, r.URL = page, url
				want := n == 0 || c.asks != (c.departureOf(b.called()) != nil)
				asked := server.fetch(t, b, i, r)
				if asked != want {
					t.Errorf("%s: %s with credentials %v and %v: %s asks %v, expected %v", c.name, r.Method, r.CredentialsInclude,
						r.Headers, b.called(), asked, want)
				}
				model := !cache.Covers(r)
				if model != want && b.called() == chromiumName {
					t.Errorf("%s: by the model it asks %v, expected %v", c.name, model, want)
				}
				if model {
					cache.Store(r, c.lines())
				}
			}
		}
	}
}

func (c cached) departureOf(browser string) *departure {
	if browser == firefoxName {
		return c.firefox
	}
	return c.chromium
}

// settle waits until the browser remembers answers: one that has just started forgets some.
func (s *cacheServer) settle(t *testing.T, b visitor, api string) {
	t.Helper()
	n := slices.IndexFunc(s.cases, func(c cached) bool { return c.name == "max-age 1000" })
	r := browser.Request{Method: "PUT", URL: fmt.Sprintf("%s/%d?settle", api, n)}
	envoytest.Eventually(t, 30*time.Second, "an answer that is remembered", func() bool {
		return !s.fetch(t, b, n, r)
	})
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
func (s *cacheServer) fetch(t *testing.T, b visitor, i int, r browser.Request) bool {
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
		var passes bool
		b.decode(fmt.Sprintf(script, r.URL, init), &passes)
	})
	return slices.Contains(asked, fmt.Sprintf("/%d", i))
}
