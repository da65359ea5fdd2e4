package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// TestDebugConsole: what Chromium's console says of each kind of rejection, with debug and
// without. The page never gets an answer with it that it would not get without.
func TestDebugConsole(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
	}))
	t.Cleanup(page.Close)
	const (
		lists    = `"allow_methods": ["PUT", "PATCH"], "allow_headers": ["X-A", "Content-Type"]`
		none     = `"max_age": 600`
		wildcard = `"allow_methods": ["*"], "allow_headers": ["*"]`
	)
	const missing = "Response to preflight request doesn't pass access control check: " +
		"No 'Access-Control-Allow-Origin' header is present on the requested resource."
	method := func(name string) string {
		return "Method " + name + " is not allowed by Access-Control-Allow-Methods in preflight response."
	}
	header := func(name string) string {
		return "Request header field " + name + " is not allowed by Access-Control-Allow-Headers in preflight response."
	}
	const credentials = `, "allow_credentials": true`
	tests := []struct {
		name, policy, request string
		want                  string // on the console with debug
	}{
		{"a method", lists, `{method: "DELETE"}`, method("DELETE")},
		{"a method, with credentials", lists + credentials, `{method: "DELETE", credentials: "include"}`, method("DELETE")},
		{"the case of a method", lists, `{method: "patch"}`, method("patch")},
		{"no method is listed", none, `{method: "PUT"}`, method("PUT")},
		{"a header", lists, `{headers: {"x-a": "1", "x-b": "1"}}`, header("x-b")},
		{"a header, with credentials", lists + credentials, `{headers: {"x-b": "1"}, credentials: "include"}`, header("x-b")},
		{"no header is listed", none, `{headers: {"content-type": "application/json"}, method: "POST"}`,
			header("content-type")},
		{"Authorization", wildcard, `{headers: {"authorization": "1", "x-b": "1"}}`, header("authorization")},
		{"Authorization, with credentials", wildcard + credentials,
			`{headers: {"authorization": "1", "x-b": "1"}, method: "PURGE", credentials: "include"}`, header("authorization")},
		{"a method and a header", lists, `{headers: {"x-b": "1"}, method: "PURGE"}`, method("PURGE")},
		{"an upload with a listener", none, `"upload"`, method("PUT")},
		// What debug is not for.
		{"the origin", `"allow_origins": ["https://app.example"], ` + lists, `{method: "DELETE"}`, missing},
		{"too many headers", wildcard, `{headers: Object.fromEntries([...Array(900).keys()].map(i => ["x-long-" + i, "1"]))}`,
			missing},
	}
	var listeners []envoytest.Listener
	module, err := envoytest.Module()
	if err != nil {
		t.Fatal(err)
	}
	for i, test := range tests {
		for _, debug := range []bool{false, true} {
			policy := test.policy
			if !strings.Contains(policy, "allow_origins") {
				policy += fmt.Sprintf(`, "allow_origins": [%q]`, page.URL)
			}
			listeners = append(listeners, envoytest.Listener{Name: fmt.Sprint(i, debug), Filters: []any{
				envoytest.Plugin{Module: module, Config: fmt.Sprintf(`{%s, "debug": %t}`, policy, debug)}.Filter(),
			}})
		}
	}
	envoy := envoytest.Start(t, envoytest.Bootstrap{Upstream: envoytest.NewUpstream(t).Addr(),
		Listeners: listeners}.String(), envoytest.Options{})
	b := openBrowser(t)
	console := collectConsole(b)
	b.run(chromedp.Navigate(page.URL))
	for i, test := range tests {
		for _, debug := range []bool{false, true} {
			url := "http://" + envoy.Addr(t, fmt.Sprint(i, debug)) + "/"
			kind := "fetch"
			script := fmt.Sprintf(`fetch(%q, %s).then(() => "passes", () => "fails")`, url, test.request)
			if test.request == `"upload"` {
				kind = "XMLHttpRequest"
				script = fmt.Sprintf(`new Promise(done => { const x = new XMLHttpRequest(); x.open("PUT", %q);
				  x.upload.onprogress = () => {}; x.onload = () => done("passes"); x.onerror = () => done("fails");
				  x.send("body") })`, url)
			}
			result, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
			if err != nil {
				t.Fatal(err)
			}
			if result != "fails" {
				t.Errorf("%s, debug %t: the request %s", test.name, debug, result)
			}
			why := missing
			if debug {
				why = test.want
			}
			want := fmt.Sprintf("Access to %s at '%s' from origin '%s' has been blocked by CORS policy: %s",
				kind, url, page.URL, why)
			if got := console.of(url); !slices.Equal(got, []string{want}) {
				t.Errorf("%s, debug %t: on the console is\n\t%q, want\n\t%q", test.name, debug, got, want)
			}
		}
	}
}

// A collectedConsole has what a browser's console says.
type collectedConsole struct {
	mu    sync.Mutex
	lines []string
}

func collectConsole(b *chromium) *collectedConsole {
	b.t.Helper()
	c := &collectedConsole{}
	err := chromedp.Listen(b.ctx, func(ev any) {
		if added, ok := ev.(*log.EventEntryAdded); ok {
			c.mu.Lock()
			c.lines = append(c.lines, added.Entry.Text)
			c.mu.Unlock()
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// of returns the lines about CORS and a URL, once there is one.
func (c *collectedConsole) of(url string) (lines []string) {
	for deadline := time.Now().Add(5 * time.Second); lines == nil && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
		c.mu.Lock()
		for _, line := range c.lines {
			if strings.Contains(line, "'"+url+"'") {
				lines = append(lines, line)
			}
		}
		c.mu.Unlock()
	}
	return lines
}
