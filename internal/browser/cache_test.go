package browser_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// TestPreflightCache: which answers a browser remembers, and for which requests.
func TestPreflightCache(t *testing.T) {
	put := browser.Request{Origin: "https://app.example", URL: "https://api.example/", Method: "PUT"}
	with := func(change func(r *browser.Request)) browser.Request {
		r := put
		change(&r)
		return r
	}
	include := with(func(r *browser.Request) { r.CredentialsInclude = true })
	header := with(func(r *browser.Request) { r.Headers = [][2]string{{"X-A", "1"}} })
	answer := func(pairs ...string) (lines [][2]string) {
		lines = [][2]string{{"access-control-allow-origin", "https://app.example"}, {"access-control-allow-methods", "PUT"}}
		for i := 0; i < len(pairs); i += 2 {
			lines = append(lines, [2]string{pairs[i], pairs[i+1]})
		}
		return lines
	}
	for _, test := range []struct {
		name    string
		asked   browser.Request
		answer  [][2]string
		then    browser.Request
		covered bool
	}{
		{"the same", put, answer(), put, true},
		{"max-age 0", put, answer("access-control-max-age", "0"), put, false},
		{"a max-age below zero", put, answer("access-control-max-age", "-1"), put, false},
		{"a max-age that is none", put, answer("access-control-max-age", "x"), put, true},
		{"a safelisted method", put, answer(), with(func(r *browser.Request) { r.Method = "POST" }), true},
		{"another method", put, answer(), with(func(r *browser.Request) { r.Method = "DELETE" }), false},
		{"another method, of *", put, answer("access-control-allow-methods", "*"),
			with(func(r *browser.Request) { r.Method = "DELETE" }), true},
		{"another method, of * with credentials", include, answer("access-control-allow-methods", "*"),
			with(func(r *browser.Request) { r.Method = "DELETE" }), false},
		{"another method by case", put, answer("access-control-allow-methods", "patch"),
			with(func(r *browser.Request) { r.Method = "PATCH" }), false},
		{"a header that is listed", put, answer("access-control-allow-headers", "x-A"), header, true},
		{"a header that isn't", put, answer("access-control-allow-headers", "x-b"), header, false},
		{"a header, of *", put, answer("access-control-allow-headers", "*"), header, true},
		{"another origin", put, answer(), with(func(r *browser.Request) { r.Origin = "null" }), false},
		{"another path", put, answer(), with(func(r *browser.Request) { r.URL += "x" }), false},
		{"credentials, asked without", put, answer(), include, false},
		{"no credentials, asked with", include, answer(), put, true},
		{"a URL that is too long", with(func(r *browser.Request) { r.URL += strings.Repeat("x", 1100) }), answer(),
			with(func(r *browser.Request) { r.URL += strings.Repeat("x", 1100) }), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var c browser.PreflightCache
			if c.Covers(test.asked) {
				t.Error("an empty cache covers it")
			}
			c.Store(test.asked, test.answer)
			if got := c.Covers(test.then); got != test.covered {
				t.Errorf("covered: %v", got)
			}
			// What doesn't cover a request to the same URL is forgotten.
			same := test.then.Origin == test.asked.Origin && test.then.URL == test.asked.URL
			if got := c.Covers(test.asked); got && same && !test.covered || !got && test.covered {
				t.Errorf("afterwards, what was asked is covered: %v", got)
			}
		})
	}
}

// TestPreflightCacheIsFull: a browser remembers so many answers, and no more.
func TestPreflightCacheIsFull(t *testing.T) {
	var c browser.PreflightCache
	covered := 0
	request := func(i int) browser.Request {
		return browser.Request{Origin: "https://app.example", URL: fmt.Sprintf("https://api.example/%d", i), Method: "PUT"}
	}
	const n, most, forgotten = 2000, 1024, 10
	for i := range n {
		c.Store(request(i), [][2]string{{"access-control-allow-methods", "PUT"}})
	}
	for i := range n {
		if c.Covers(request(i)) {
			covered++
		}
	}
	if covered > most || covered <= most-forgotten {
		t.Errorf("%d are remembered", covered)
	}
	if !c.Covers(request(n - 1)) {
		t.Error("the last one isn't remembered")
	}
}

// TestCachedFor: Chromium remembers for two hours at the most.
func TestCachedFor(t *testing.T) {
	for value, want := range map[string]int{"": 5, "0": 0, "7200": 7200, "7201": 7200, "99999999999999999999": 5, "x": 5, "-1": 0, "+1": 5, "1, 1": 5} {
		var headers [][2]string
		if value != "" {
			headers = append(headers, [2]string{"Access-Control-Max-Age", value})
		}
		if got := browser.CachedFor(headers); got != want {
			t.Errorf("%q: %d, want %d", value, got, want)
		}
	}
}
