package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/probe"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/probe/mistakes"
)

// TestProbe has browsers and package probe ask servers that make all mistakes, and compares
// what they send, whether the page gets the answer, and what Chromium says with what is said
// that it says.
func TestProbe(t *testing.T) {
	seen := &sent{requests: map[int][]string{}}
	page := httptest.NewServer(&mistakes.Server{})
	t.Cleanup(page.Close)
	elsewhere := &mistakes.Server{Page: page.URL, Seen: seen.request}
	other := httptest.NewServer(elsewhere)
	t.Cleanup(other.Close)
	server := &mistakes.Server{Page: page.URL, Elsewhere: other.URL, Seen: seen.request}
	api := httptest.NewServer(server)
	t.Cleanup(api.Close)
	server.Here, elsewhere.Here, elsewhere.Elsewhere = api.URL, other.URL, api.URL

	var reports []*probe.Report
	asker := &probe.Prober{Timeout: time.Minute, UserAgent: "test"}
	for n, m := range mistakes.All {
		q := probe.Question{Request: m.Request, Send: true}
		q.Origin, q.URL = page.URL, api.URL+"/"+strconv.Itoa(n)
		reports = append(reports, asker.Probe(t.Context(), q))
	}
	probed := seen.take()

	t.Run(chromiumName, func(t *testing.T) {
		b := openBrowser(t)
		said := collectReports(b)
		b.visit(page.URL)
		results := fetchMistakes(b, api.URL)
		said.wait(func(n int) bool {
			return reports[n].Blocked == nil || mistakes.All[n].Lenient || reports[n].Blocked.Chromium.Message == ""
		})
		compareMistakes(t, reports, results, seen.take(), probed, nil)
		for n, m := range mistakes.All {
			t.Run(m.Name, func(t *testing.T) { said.check(t, n, reports[n].Blocked) })
		}
	})
	t.Run(firefoxName, func(t *testing.T) {
		f := openFirefox(t)
		f.visit(page.URL)
		results := fetchMistakes(f, api.URL)
		compareMistakes(t, reports, results, addressesApart(t, seen.take()), probed, firefoxMistakes)
	})
}

// firefoxMistakes are those in which Firefox does otherwise than the standard.
var firefoxMistakes = map[string]*departure{"a redirect of a preflighted request": preflightAgain}

// addressesApart mends what Firefox says of the site of a server, as of [siteOfAddresses].
func addressesApart(t *testing.T, requests map[int][]string) map[int][]string {
	t.Helper()
	const apart, together = "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"
	mended := 0
	for _, list := range requests {
		for i, request := range list {
			mended += strings.Count(request, apart)
			list[i] = strings.Replace(request, apart, together, 1)
		}
	}
	if mended == 0 {
		t.Errorf("no longer seen: %s", siteOfAddresses.what)
	}
	return requests
}

// compareMistakes compares what a browser sent, and whether the page got the answers, with probe.
func compareMistakes(t *testing.T, reports []*probe.Report, results []string, browsed, probed map[int][]string,
	otherwise map[string]*departure,
) {
	t.Helper()
	for n, m := range mistakes.All {
		diff := cmp.Diff(browsed[n], probed[n])
		agree := (results[n] == "") == (reports[n].Blocked == nil)
		switch {
		case otherwise[m.Name] != nil:
			if diff == "" {
				t.Errorf("%s: no longer seen: %s", m.Name, otherwise[m.Name].what)
			}
		case m.Lenient:
			if agree {
				t.Errorf("%s: the page gets %q, which is no longer otherwise", m.Name, results[n])
			}
		case diff != "":
			t.Errorf("%s: requests of (-browser +probe):\n%s", m.Name, diff)
		case !agree:
			t.Errorf("%s: the page gets %q, want %+v", m.Name, results[n], reports[n].Blocked)
		}
	}
}

// check compares what Chromium reports of a mistake with what probe says that it does.
func (r *reports) check(t *testing.T, n int, blocked *probe.Blocked) {
	t.Helper()
	var names, messages []string
	if blocked != nil && !mistakes.All[n].Lenient && blocked.Chromium.Name != "" {
		names = []string{blocked.Chromium.Name}
	}
	if blocked != nil && !mistakes.All[n].Lenient && blocked.Chromium.Message != "" {
		messages = []string{blocked.Chromium.Message}
	}
	if diff := cmp.Diff(names, r.names[n]); diff != "" {
		t.Errorf("the network panel's names (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(messages, r.messages[n]); diff != "" {
		t.Errorf("on the console (-want +got):\n%s", diff)
	}
}

// fetchMistakes has a page make the requests of all mistakes, and returns what each fails with.
func fetchMistakes(b visitor, api string) (results []string) {
	var scripts []string
	for n, m := range mistakes.All {
		headers, _ := json.Marshal(m.Request.Headers)
		credentials := map[bool]string{true: "include", false: "omit"}[m.Request.CredentialsInclude]
		scripts = append(scripts, fmt.Sprintf(`fetch("%s/%d", {method: %q, credentials: %q, headers: %s ?? []})
			.then(() => "", String)`, api, n, m.Request.Method, credentials, headers))
	}
	b.decode("Promise.all(["+strings.Join(scripts, ",\n")+"])", &results)
	return results
}

// sent has what reached the servers, of which mistake.
type sent struct {
	mu       sync.Mutex
	requests map[int][]string
}

// comparedLines are the lines that a page or CORS has a say in, and those that servers go by.
var comparedLines = []string{"Accept", "Access-Control-Request-Headers", "Access-Control-Request-Method",
	"Access-Control-Request-Private-Network", "Authorization", "Content-Length", "Content-Type", "Origin", "Referer",
	"Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "X-Key"}

func (s *sent) request(n int, r *http.Request) {
	if strings.Contains(r.Header.Get("Origin"), "corsctl-probe") {
		return
	}
	line := r.Method + " " + r.Host + r.URL.Path
	for _, name := range comparedLines {
		for _, value := range r.Header.Values(name) {
			line += "\n" + name + ": " + value
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[n] = append(s.requests[n], line)
}

func (s *sent) take() map[int][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.requests
	s.requests = map[int][]string{}
	return taken
}

// reports is what Chromium reports of each mistake.
type reports struct {
	mu              sync.Mutex
	urls            map[network.RequestID]string
	names, messages map[int][]string
}

var mistakeURL = regexp.MustCompile(`//[^/]+/(\d+)`)

// mistakeOf is the mistake that a URL, or a text with one, is about.
func mistakeOf(text string) (n int, ok bool) {
	found := mistakeURL.FindStringSubmatch(text)
	if found == nil {
		return 0, false
	}
	n, err := strconv.Atoi(found[1])
	return n, err == nil
}

func collectReports(b *chromium) *reports {
	b.t.Helper()
	r := &reports{urls: map[network.RequestID]string{}, names: map[int][]string{}, messages: map[int][]string{}}
	err := chromedp.Listen(b.ctx, func(ev any) {
		r.mu.Lock()
		defer r.mu.Unlock()
		switch ev := ev.(type) {
		case *network.EventRequestWillBeSent:
			r.urls[ev.RequestID] = ev.Request.URL
		case *network.EventLoadingFailed:
			if n, ok := mistakeOf(r.urls[ev.RequestID]); ok && ev.CorsErrorStatus != nil {
				r.names[n] = append(r.names[n], ev.CorsErrorStatus.CorsError.String())
			}
		case *log.EventEntryAdded:
			r.entry(ev.Entry)
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := chromedp.Call(b.ctx, network.Enable, network.EnableParams{}); err != nil {
		b.t.Fatal(err)
	}
	return r
}

// entry keeps a line of the console, unless it only repeats that a request failed.
func (r *reports) entry(e *log.Entry) {
	if strings.HasSuffix(e.Text, "net::ERR_FAILED") || strings.Contains(e.Text, "responded with a status of") {
		return
	}
	n, ok := mistakeOf(e.Text)
	if !ok {
		n, ok = mistakeOf(e.URL)
	}
	if ok {
		r.messages[n] = append(r.messages[n], e.Text)
	}
}

// wait waits for the messages, which come by another way than the results.
func (r *reports) wait(silent func(n int) bool) {
	complete := func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for n := range mistakes.All {
			if !silent(n) && r.messages[n] == nil {
				return false
			}
		}
		return true
	}
	for deadline := time.Now().Add(5 * time.Second); !complete() && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
}

// TestProbeMixedContent: Chromium doesn't ask plain http for a page of https, and what it says
// is what probe says, also behind a redirect.
func TestProbeMixedContent(t *testing.T) {
	page := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.URL.Path == "/redirect" {
			http.Redirect(w, r, "http://api.example/1", http.StatusFound)
		}
	}))
	t.Cleanup(page.Close)
	b := openBrowser(t)
	ignoring := security.SetIgnoreCertificateErrorsParams{Ignore: true}
	if _, err := chromedp.Call(b.ctx, security.SetIgnoreCertificateErrors, ignoring); err != nil {
		t.Fatal(err)
	}
	console := collectConsole(b)
	b.run(chromedp.Navigate(page.URL))
	asker := &probe.Prober{Timeout: time.Minute, Insecure: true}
	for _, url := range []string{"http://api.example/1", page.URL + "/redirect"} {
		result, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](
			fmt.Sprintf(`fetch(%q).then(() => "", String)`, url), chromedp.EvalAwaitPromise))
		if err != nil || result == "" {
			t.Errorf("%s: Chromium lets the page have the answer (%v)", url, err)
		}
		q := probe.Question{}
		q.Origin, q.URL, q.Method = page.URL, url, "GET"
		r := asker.Probe(t.Context(), q)
		if r.Blocked == nil || r.Blocked.Reason != probe.MixedContent {
			t.Fatalf("%s: probe says %+v", url, r.Blocked)
		}
		got := console.of("http://api.example/1")
		if !slices.Contains(got, r.Blocked.Chromium.Message) {
			t.Errorf("%s: on the console is\n\t%q, want\n\t%q", url, got, r.Blocked.Chromium.Message)
		}
		console.clear()
	}
}

// TestLoopback: a page of https may ask plain http on its own machine, in each browser as probe says, and nothing else.
func TestLoopback(t *testing.T) {
	t.Parallel()
	page := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
	}))
	t.Cleanup(page.Close)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
	}))
	t.Cleanup(api.Close)
	_, port, err := net.SplitHostPort(api.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := openBrowser(t)
	ignoring := security.SetIgnoreCertificateErrorsParams{Ignore: true}
	if _, err := chromedp.Call(c.ctx, security.SetIgnoreCertificateErrors, ignoring); err != nil {
		t.Fatal(err)
	}
	for _, b := range []visitor{c, openFirefox(t)} {
		b.visit(page.URL)
		for host, reads := range map[string]bool{
			"127.0.0.1": true, "localhost": true, "a.localhost": true, "api.example": false,
		} {
			q := probe.Question{}
			q.Origin, q.URL, q.Method = page.URL, "http://"+net.JoinHostPort(host, port)+"/", "GET"
			r := (&probe.Prober{Timeout: time.Minute}).Probe(t.Context(), q)
			if mixed := r.Blocked != nil && r.Blocked.Reason == probe.MixedContent; mixed == reads {
				t.Errorf("%s: probe says %+v", host, r.Blocked)
			}
			var got bool
			b.decode(fmt.Sprintf(`fetch(%q).then(() => true, () => false)`, q.URL), &got)
			if got != reads {
				t.Errorf("%s: the page in %s gets the answer: %t", host, b.called(), got)
			}
		}
	}
}

// clear forgets what the console says.
func (c *collectedConsole) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = nil
}

// TestProbeFailures: where there is no answer, Chromium's console has the words that probe says
// that it has.
func TestProbeFailures(t *testing.T) {
	plain := httptest.NewServer(&mistakes.Server{})
	t.Cleanup(plain.Close)
	untrusted := httptest.NewTLSServer(&mistakes.Server{})
	t.Cleanup(untrusted.Close)
	gone := httptest.NewServer(&mistakes.Server{})
	gone.Close()
	long := "X-A: " + strings.Repeat("a", 1000) + "\r\n"
	const head = "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\n"
	b := openBrowser(t)
	console := collectConsole(b)
	b.run(chromedp.Navigate(plain.URL))
	asker := &probe.Prober{Timeout: time.Minute}
	for _, test := range []struct{ name, url string }{
		{"no such host", "http://api.invalid/"},
		{"refused", gone.URL + "/"},
		{"closed", answering(t, "")},
		{"garbage", answering(t, "SSH-2.0-OpenSSH_9.6\r\n\r\n")},
		{"a header that is too large", answering(t, head+strings.Repeat(long, 300)+"\r\n")},
		{"a certificate that isn't trusted", untrusted.URL + "/"},
		{"no TLS", "https" + strings.TrimPrefix(plain.URL, "http") + "/"},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := probe.Question{}
			q.Origin, q.URL, q.Method = plain.URL, test.url, "GET"
			failure := asker.Probe(t.Context(), q).Failure()
			if failure == nil {
				t.Fatal("probe has an answer")
			}
			result, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](
				fmt.Sprintf(`fetch(%q).then(() => "", String)`, test.url), chromedp.EvalAwaitPromise))
			if err != nil || result == "" {
				t.Errorf("Chromium lets the page have an answer (%v)", err)
			}
			want := "Failed to load resource: net::" + failure.Chromium
			got := console.last(func(lines []string) bool { return slices.Contains(lines, want) })
			if !slices.Contains(got, want) {
				t.Errorf("on the console is\n\t%q, want\n\t%q (%s)", got, want, failure.What)
			}
			console.clear()
		})
	}
}

// TestProbeHTTP2Failure: as TestProbeFailures, of a server that breaks off a stream of HTTP/2.
func TestProbeHTTP2Failure(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/breaks" {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "text/html")
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	b := openBrowser(t)
	ignoring := security.SetIgnoreCertificateErrorsParams{Ignore: true}
	if _, err := chromedp.Call(b.ctx, security.SetIgnoreCertificateErrors, ignoring); err != nil {
		t.Fatal(err)
	}
	console := collectConsole(b)
	b.run(chromedp.Navigate(server.URL))
	q := probe.Question{}
	q.Origin, q.URL, q.Method = server.URL, server.URL+"/breaks", "GET"
	failure := (&probe.Prober{Timeout: time.Minute, Insecure: true}).Probe(t.Context(), q).Failure()
	if failure == nil || failure.Kind != probe.FailedHTTP {
		t.Fatalf("probe says %v", failure)
	}
	_, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](
		fmt.Sprintf(`fetch(%q).then(() => "", String)`, q.URL), chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	said := func(lines []string) bool {
		return strings.Contains(strings.Join(lines, "\n"), "net::"+failure.Chromium)
	}
	if got := console.last(said); !said(got) {
		t.Errorf("on the console is\n\t%q, want %s", got, failure.Chromium)
	}
}

// TestProbeAnswers: Chromium and probe read the same from answers that are written oddly.
func TestProbeAnswers(t *testing.T) {
	page := httptest.NewServer(&mistakes.Server{})
	t.Cleanup(page.Close)
	const head = "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\n"
	b := openBrowser(t)
	b.run(chromedp.Navigate(page.URL))
	for _, test := range []struct{ name, answer string }{
		{"line feeds alone", "HTTP/1.1 200 OK\nAccess-Control-Allow-Origin: *\n\n"},
		{"no reason phrase", "HTTP/1.1 200\r\nAccess-Control-Allow-Origin: *\r\n\r\n"},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nAccess-Control-Allow-Origin: *\r\n\r\n"},
		{"a space before the colon", "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin : *\r\n\r\n"},
		{"a name in another case", "HTTP/1.1 200 OK\r\naCCESS-cONTROL-aLLOW-oRIGIN: *\r\n\r\n"},
		{"white space around a value", "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin:\t*\t \r\n\r\n"},
		{"a value on two lines", "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin:\r\n *\r\n\r\n"},
		{"two stars", head + "Access-Control-Allow-Origin: *\r\n\r\n"},
		{"an empty value beside the right one", head + "Access-Control-Allow-Origin:\r\n\r\n"},
		{"a comma at the end", "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: " + page.URL + ",\r\n\r\n"},
		{"many hints", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 20) + head + "\r\n"},
		{"a hint that allows", "HTTP/1.1 103 Early Hints\r\nAccess-Control-Allow-Origin: *\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"},
		{"a body that is cut off", head + "Content-Length: 500\r\n\r\nhello"},
		{"300 with a location", "HTTP/1.1 300 x\r\nAccess-Control-Allow-Origin: *\r\nLocation: /end\r\n\r\n"},
		{"999", "HTTP/1.1 999 x\r\nAccess-Control-Allow-Origin: *\r\n\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := probe.Question{}
			q.Origin, q.URL, q.Method = page.URL, answering(t, test.answer), "GET"
			r := (&probe.Prober{Timeout: time.Minute}).Probe(t.Context(), q)
			result, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](
				fmt.Sprintf(`fetch(%q).then(() => "", String)`, q.URL), chromedp.EvalAwaitPromise))
			if err != nil {
				t.Fatal(err)
			}
			if r.Failure() != nil || (r.Verdict == probe.Allowed) != (result == "") {
				t.Errorf("probe says %s %+v %v, Chromium %q", r.Verdict, r.Blocked, r.Failure(), result)
			}
		})
	}
}

// TestProbeLocations: Chromium and probe read a redirect's Location alike, however it is written,
// and go where it leads.
func TestProbeLocations(t *testing.T) {
	page := httptest.NewServer(&mistakes.Server{})
	t.Cleanup(page.Close)
	const chromiumFollows = true // and the standard doesn't
	tests := []struct {
		lines    []string
		chromium bool
	}{
		{lines: []string{"/end"}}, {lines: []string{"end"}}, {lines: []string{"?end"}}, {lines: []string{"1:end"}},
		{lines: []string{"/a/../end/%2e%2E/end"}}, {lines: []string{`/end"<>{}|^?a b'`}}, {lines: []string{"/end\td"}},
		{lines: []string{"/\u00fc?\u00fc"}}, {lines: []string{"/\xfc"}}, {lines: []string{"/end;a?q=%zz"}},
		{lines: []string{`\end`}}, {lines: []string{"//{host}/end"}}, {lines: []string{`\\{host}\end`}},
		{lines: []string{"http:end"}}, {lines: []string{"http:/end"}}, {lines: []string{"http:///{host}/end"}},
		{lines: []string{"HTTP://{host}/end"}}, {lines: []string{"http://%31%32%37.1:{port}/end"}},
		{lines: []string{"http://2130706433:{port}/end"}}, {lines: []string{"http://b\u00fccher.localhost:{port}/end"}},
		{lines: []string{"http://127.0.0.1:99999/"}}, {lines: []string{"http://"}}, {lines: []string{"http://["}},
		{lines: []string{"http://@{host}/end"}}, {lines: []string{"http://:@{host}/end"}},
		{lines: []string{"http://u@{host}/end"}}, {lines: []string{"//u:p@{host}/end"}}, {lines: []string{`http:\\u:p@{host}/`}},
		{lines: []string{"end:1"}}, {lines: []string{"data:,x"}}, {lines: []string{"ftp://{host}/end"}},
		{lines: []string{"/end", "/other"}}, {lines: []string{"/end", "/end"}, chromium: chromiumFollows},
	}
	var mu sync.Mutex
	var asked []string
	take := func() []string {
		mu.Lock()
		defer mu.Unlock()
		taken := asked
		asked = nil
		return taken
	}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.Host+r.RequestURI)
		w.Header().Set("Access-Control-Allow-Origin", "*")
		n, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/from/"))
		if err != nil || r.URL.RawQuery != "" {
			return
		}
		_, port, _ := net.SplitHostPort(r.Host)
		expand := strings.NewReplacer("{host}", r.Host, "{port}", port)
		for _, line := range tests[n].lines {
			w.Header().Add("Location", expand.Replace(line))
		}
		w.WriteHeader(http.StatusFound)
	}))
	t.Cleanup(api.Close)
	b := openBrowser(t)
	console := collectConsole(b)
	b.run(chromedp.Navigate(page.URL))
	for n, test := range tests {
		t.Run(strings.Join(test.lines, ","), func(t *testing.T) {
			q := probe.Question{}
			q.Origin, q.URL, q.Method = page.URL, fmt.Sprintf("%s/from/%d", api.URL, n), "GET"
			r := (&probe.Prober{Timeout: time.Minute}).Probe(t.Context(), q)
			probed := take()
			result, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](
				fmt.Sprintf(`fetch(%q).then(() => "", String)`, q.URL), chromedp.EvalAwaitPromise))
			if err != nil {
				t.Fatal(err)
			}
			if (r.Verdict == probe.Allowed) != (result == "") && !test.chromium {
				t.Errorf("probe says %s %+v %+v, Chromium %q", r.Verdict, r.Blocked, r.Failure(), result)
			}
			if diff := cmp.Diff(take(), probed); diff != "" && !test.chromium {
				t.Errorf("asked (-Chromium +probe):\n%s", diff)
			}
			if r.Blocked != nil && r.Blocked.Chromium.Message != "" {
				want := r.Blocked.Chromium.Message
				got := console.last(func(lines []string) bool { return slices.Contains(lines, want) })
				if !slices.Contains(got, want) {
					t.Errorf("on the console is\n\t%q, want\n\t%q", got, want)
				}
			}
			console.clear()
		})
	}
}

// TestProbeBadPorts: Chromium doesn't ask the ports of which probe says that it says so, and does
// ask those beside them.
func TestProbeBadPorts(t *testing.T) {
	page := httptest.NewServer(&mistakes.Server{})
	t.Cleanup(page.Close)
	nobody, cancel := context.WithCancel(t.Context())
	cancel()
	bad := map[string]bool{}
	var urls []string
	for port := 1; port <= 11000; port++ {
		q := probe.Question{}
		q.Origin, q.URL, q.Method = page.URL, fmt.Sprintf("http://127.0.0.1:%d/", port), "GET"
		r := (&probe.Prober{Timeout: time.Minute}).Probe(nobody, q)
		if r.Blocked == nil {
			continue
		}
		bad[q.URL] = r.Blocked.Chromium.Message != ""
		for near := max(port-1, 1); near <= port+1; near++ {
			url := fmt.Sprintf("http://127.0.0.1:%d/", near)
			if near != 80 && !slices.Contains(urls, url) { // which a URL of http leaves out
				urls = append(urls, url)
			}
		}
	}
	b := openBrowser(t)
	refused := map[string]bool{}
	var mu sync.Mutex
	err := chromedp.Listen(b.ctx, func(ev any) {
		if added, ok := ev.(*log.EventEntryAdded); ok && strings.HasPrefix(added.Entry.URL, "http://127.0.0.1:") {
			mu.Lock()
			defer mu.Unlock()
			refused[added.Entry.URL] = strings.Contains(added.Entry.Text, "net::ERR_UNSAFE_PORT")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	b.run(chromedp.Navigate(page.URL))
	list, _ := json.Marshal(urls)
	_, err = chromedp.Run(b.ctx, chromedp.Evaluate[[]bool](
		fmt.Sprintf("Promise.all(%s.map(url => fetch(url).then(() => true, () => false)))", list), chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	envoytest.Eventually(t, 5*time.Second, "a line on the console about each port", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(refused) == len(urls)
	})
	for _, url := range urls {
		if bad[url] != refused[url] {
			t.Errorf("%s: Chromium refuses it: %t, probe says %t", url, refused[url], bad[url])
		}
	}
	if len(bad) < 80 {
		t.Errorf("%d ports are bad", len(bad))
	}
}

// answering is the URL of a server that answers each request with a text, and closes.
func answering(t *testing.T, text string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		_, _ = conn.Write([]byte(text)) // A client that doesn't read it all ends it.
	}))
	t.Cleanup(server.Close)
	return server.URL + "/"
}

// last are all lines of the console, once they are as they should be.
func (c *collectedConsole) last(complete func(lines []string) bool) (lines []string) {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		c.mu.Lock()
		lines = slices.Clone(c.lines)
		c.mu.Unlock()
		if complete(lines) {
			break
		}
	}
	return lines
}
