// Package wpt_test tells the tests of Web Platform Tests that are about a server's CORS answers anew, in a
// real Chromium through the filter in a real Envoy, and by corsctl's judge.
package wpt_test

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/launch"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

//go:embed page.html
var pageSource string

// TestWPT: in Chromium comes of each row what WPT says, and corsctl probe says the same of it. A row that
// differs says how.
func TestWPT(t *testing.T) {
	rows := all()
	w := start(t, rows)
	seen := make([][]*seen, len(rows))
	b := launch.Chromium(t, chromedp.Flag("ignore-certificate-errors", true))
	for _, from := range []struct{ page, url string }{
		{"remote", w.origins["remote"] + "/"}, {"sandbox", w.origins["page"] + "/sandbox"}, {"", w.origins["page"] + "/"},
	} {
		if err := chromedp.Do(b, chromedp.Navigate(from.url)); err != nil {
			t.Fatal(err)
		}
		var indices []int
		for i, r := range rows {
			if r.from == from.page {
				indices = append(indices, i)
			}
		}
		for some := range slices.Chunk(indices, 100) {
			for i, answers := range w.askAll(t, b, some) {
				seen[some[i]] = answers
			}
		}
	}
	for i, r := range rows {
		t.Run(r.file+"/"+r.subtest, func(t *testing.T) {
			if r.waits {
				w.checkForgotten(t, b, i)
				return
			}
			w.check(t, i, seen[i])
			w.checkVerdict(t, i, seen[i])
		})
	}
}

// A seen is what a page sees of an answer; it is nil after a network error.
type seen struct {
	Status  int
	Type    string
	Headers [][2]string
	Events  int // of the upload
}

// values are the values of the header lines of a name.
func (s *seen) values(name string) (values []string) {
	for _, h := range s.Headers {
		if strings.EqualFold(h[0], name) {
			values = append(values, h[1])
		}
	}
	return values
}

// askAll makes the requests of some rows.
func (w *website) askAll(t *testing.T, b context.Context, rows []int) (answers [][]*seen) {
	t.Helper()
	var all [][]any
	for _, i := range rows {
		var steps []any
		for _, s := range w.rows[i].steps {
			steps = append(steps, s.script(w.asked(i, s)))
		}
		all = append(all, steps)
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	const script = "askAll(%s).then(JSON.stringify)"
	got, err := chromedp.Run(b, chromedp.Evaluate[string](fmt.Sprintf(script, text), chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(got), &answers); err != nil {
		t.Fatal(err)
	}
	return answers
}

// asked is the URL that a step asks.
func (w *website) asked(row int, s step) string {
	if s.direct {
		return w.url(row, 1)
	}
	return w.url(row, 0)
}

// script is a step as the page's script takes it.
func (s step) script(url string) any {
	credentials := map[bool]string{true: "include", false: "same-origin"}[s.CredentialsInclude]
	if s.kind == "omit" {
		credentials = "omit"
	}
	init := map[string]any{
		"method": s.Method, "headers": append([][2]string{}, s.Headers...), "upload": s.UseCORSPreflight,
		"credentials": credentials,
		"mode":        cmp.Or(string(s.Mode), "cors"), "keepalive": s.kind == "keepalive", "late": s.kind == "late",
	}
	if strings.EqualFold(s.Method, http.MethodPost) {
		init["body"] = "data"
	}
	return map[string]any{"url": url, "kind": cmp.Or(s.kind, s.Initiator, browser.InitiatorFetch), "init": init}
}

// check compares what the page has seen, and who was asked.
func (w *website) check(t *testing.T, i int, answers []*seen) {
	t.Helper()
	r := w.rows[i]
	sent, upstream := w.observed(i)
	for n, s := range r.steps {
		s.want = r.expected(theBrowser, s)
		w.checkSeen(t, i, s.want, answers[n])
		if s.kind == "late" && answers[n].Events > 0 {
			t.Errorf("there are %d events", answers[n].Events)
		}
	}
	checkPreflights(t, r, sent)
	if origin := r.steps[0].want.origin; origin != "" {
		if got := sent[len(sent)-1].Header.Get("Origin"); got != w.fill(origin, i, 0) {
			t.Errorf("the last server is asked with the origin %q, want %q", got, origin)
		}
	}
	var forwarded []string
	for _, request := range sent {
		_, server, _ := w.rowOf(request.URL.Path)
		if !isPreflight(request) || r.servers[server].policy == "" {
			forwarded = append(forwarded, request.Method)
		}
		if isPreflight(request) && (request.Header["Cookie"] != nil || request.Header.Get("User-Agent") == "") {
			t.Errorf("the preflight has %v", request.Header)
		}
	}
	if !slices.Equal(upstream, forwarded) {
		t.Errorf("%q reached the upstream, want %q", upstream, forwarded)
	}
}

// checkPreflights compares how many preflights there are with how many steps have one. There are more where
// redirects lead to further ones, and where Chromium tries again.
func checkPreflights(t *testing.T, r row, sent []*http.Request) {
	t.Helper()
	want, got := 0, 0
	for _, s := range r.steps {
		if s.want.preflight == "" {
			return
		}
		if s.want.preflight == yes {
			want++
		}
	}
	for _, request := range sent {
		if isPreflight(request) {
			got++
		}
	}
	if got < want || want == 0 && got > 0 {
		t.Errorf("there are %d preflights, want %d", got, want)
	}
}

// checkForgotten asks until there is another preflight, since the answer to the first one is remembered for a
// second.
func (w *website) checkForgotten(t *testing.T, b context.Context, i int) {
	t.Helper()
	envoytest.Eventually(t, time.Minute, "another preflight", func() bool {
		for _, answers := range w.askAll(t, b, []int{i}) {
			w.checkSeen(t, i, want{}, answers[0])
		}
		sent, _ := w.observed(i)
		return len(slices.DeleteFunc(sent, func(r *http.Request) bool { return !isPreflight(r) })) > 1
	})
}

// checkSeen compares what the page has seen of one answer.
func (w *website) checkSeen(t *testing.T, i int, want want, got *seen) {
	t.Helper()
	if want.fails || got == nil {
		if want.fails != (got == nil) {
			t.Errorf("the page gets %+v, want a network error: %t", got, want.fails)
		}
		return
	}
	if want.opaque {
		if got.Type != "opaque" || got.Status != 0 || len(got.Headers) > 0 {
			t.Errorf("the page gets %+v", got)
		}
		return
	}
	if got.Status != cmp.Or(want.status, 200) || got.Type == "opaque" {
		t.Errorf("the page gets %+v, want the status %d", got, want.status)
	}
	for _, line := range want.headers {
		name, value, sees := strings.Cut(line, ": ")
		values := got.values(name)
		if len(values) > 0 != sees || sees && strings.Join(values, ", ") != w.fill(value, i, 0) {
			t.Errorf("the page sees %s %q, want %t %q", name, values, sees, value)
		}
	}
}
