package browser_test

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// A tried is what the playground has: the fields are those of its links.
type tried struct {
	Policy   string        `json:"policy"`
	Request  triedRequest  `json:"request"`
	Upstream triedUpstream `json:"upstream"`
	Filter   bool          `json:"filter"`
}

type triedRequest struct {
	Origin      string      `json:"origin"`
	Method      string      `json:"method"`
	URL         string      `json:"url"`
	Headers     [][2]string `json:"headers"`
	Credentials bool        `json:"credentials"`
	Forced      bool        `json:"forced"`
	Route       string      `json:"route"`
	Initiator   string      `json:"initiator,omitempty"`
	Lookup      string      `json:"lookup"`
}

type triedUpstream struct {
	Status     int         `json:"status"`
	Headers    [][2]string `json:"headers"`
	Preflights int         `json:"preflights"`
}

func try(policy string, request triedRequest) tried {
	if request.Method == "" {
		request.Method = "GET"
	}
	if request.Headers == nil {
		request.Headers = [][2]string{}
	}
	return tried{policy, request, triedUpstream{200, [][2]string{}, 200}, true}
}

// link writes the fragment of a link, as the page does.
func (s tried) link(t *testing.T) string {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(text) // to memory
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return "#try=1." + base64.RawURLEncoding.EncodeToString(packed.Bytes())
}

// openPlayground opens the page with a link, or without one.
func (b *chromium) openPlayground(url string) {
	b.t.Helper()
	b.run(chromedp.Navigate(url))
	b.decided()
}

// decided waits until the playground says what comes of what it shows. Where Chromium has only
// begun to show another page, what waits in the former one ends, and it waits in the new one.
func (b *chromium) decided() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	for {
		err := chromedp.Do(ctx, ignore(chromedp.Poll[bool](
			`document.getElementById('playground').dataset.state === 'ready' &&
			document.documentElement.dataset.state !== 'running'`)))
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), "Cannot find context") {
			b.t.Fatal(err)
		}
	}
}

// try shows a state, as a link does that is followed.
func (b *chromium) try(s tried) {
	b.t.Helper()
	b.run(ignore(chromedp.Evaluate[bool](fmt.Sprintf(`new Promise((resolve) => {
		const node = document.getElementById('playground');
		const observer = new MutationObserver(() => {
			if (node.dataset.state === 'ready') { observer.disconnect(); resolve(true); }
		});
		observer.observe(node, { attributeFilter: ['data-state'] });
		location.hash = ''; location.hash = %q;
	})`, s.link(b.t)), chromedp.EvalAwaitPromise)))
}

// press presses a button by the keyboard. Unlike a click it can't miss one that moves, as all
// does that stands below requests that run.
func press(selector string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		if _, err := chromedp.Focus(chromedp.CSS(selector))(ctx, t); err != nil {
			return chromedp.Void{}, err
		}
		return chromedp.KeyEvent(kb.Enter)(ctx, t)
	}
}

// apply gives Envoy the policy in the editor, and returns what the page says to that.
func (b *chromium) apply() string {
	b.t.Helper()
	b.decided()
	b.run(ignore(chromedp.Evaluate[chromedp.Void](`document.getElementById('try-answer').replaceChildren()`)),
		press(`#try-give`),
		ignore(chromedp.Poll[bool](`document.getElementById('try-answer').innerText !== ''`)))
	return b.text("#try-answer")
}

// send sends the request really, and returns whether all was as expected: "same" or "differs".
func (b *chromium) send() string {
	b.t.Helper()
	b.decided()
	b.run(ignore(chromedp.Evaluate[chromedp.Void](`document.getElementById('try-send').dataset.state = ''`)),
		press(`#try-go`),
		ignore(chromedp.Poll[bool](`/same|differs|doubtful|failed/.test(document.getElementById('try-send').dataset.state)`)))
	return evaluate[string](b, `document.getElementById('try-send').dataset.state`)
}

// sent returns what was seen, by fact.
func (b *chromium) sent() map[string]string {
	b.t.Helper()
	return evaluate[map[string]string](b,
		`Object.fromEntries([...document.querySelectorAll('#try-seen [data-fact]')].map(
			(row) => [row.dataset.fact, row.querySelector('.seen').textContent]))`)
}

func (b *chromium) result() string {
	b.t.Helper()
	return evaluate[string](b, `document.getElementById('try-explained').dataset.result`)
}

// TestPlayground runs one demo and one Chromium, which has a tab for each test: all of them give
// Envoy the policies that they need, so they take turns.
func TestPlayground(t *testing.T) {
	d := startDemo(t)
	b := openBrowser(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *demo, *chromium)
	}{
		{"policy", testPlaygroundPolicy}, // first, while the demo has the policy of the file
		{"tells the truth", testPlaygroundTellsTheTruth},
		{"doubts", testPlaygroundDoubts},
		{"examples", testPlaygroundExamples},
		{"says where it is wrong", testPlaygroundSaysWhereItIsWrong},
		{"of an origin elsewhere", testPlaygroundOfAnOriginElsewhere},
		{"log", testPlaygroundLog},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, d, b.tab(t)) })
	}
}

// TestPlaygroundCopy runs the page without a demo, in a Chromium for each test.
func TestPlaygroundCopy(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		run  func(*testing.T, *chromium)
	}{
		{"alone", testPlaygroundAlone},
		{"without its engine", testPlaygroundWithoutItsEngine},
		{"links", testPlaygroundLinks},
		{"imports", testPlaygroundImports},
		{"for everyone", testPlaygroundForEveryone},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, openBrowser(t))
		})
	}
}

// testPlaygroundTellsTheTruth: what the playground says of a policy and a request is what
// happens when Envoy has the policy, and a page of the origin sends the request.
func testPlaygroundTellsTheTruth(t *testing.T, d *demo, b *chromium) { //nolint:thelper // It is a test.
	b.openPlayground(d.app)
	shop := strings.Replace(d.api, "localhost", "shop.localhost", 1)
	json := [][2]string{{"Content-Type", "application/json"}}
	const every = `{"allow_origins": ["*"]}`
	const below = `{"policies": [{"name": "a", "match": {"paths": [{"prefix": "/a"}]}, "allow_origins": ["*"]}]}`
	const lookUp = `{"name": "tenants", "origin_lookup": {"cluster": "policies", "path": "/v1/lookup"}}`
	get := triedRequest{Origin: d.app, URL: d.api + "/"}
	from := func(origin string) triedRequest { return triedRequest{Origin: origin, URL: d.api + "/"} }
	by := func(method string) triedRequest { return triedRequest{Origin: d.app, Method: method, URL: d.api + "/"} }
	app := fmt.Sprintf(`{"allow_origins": [%q], "allow_methods": ["PUT"], "allow_headers": ["Content-Type"]`, d.app)
	for _, test := range []struct {
		name, policy string
		request      triedRequest
		bare         bool
		script       string // what the script gets
		envoy        string // what Envoy logs
	}{
		{"allowed", app + `}`, triedRequest{Origin: d.app, Method: "PUT", URL: d.api + "/a?b=c", Headers: json}, false,
			"reads 200", "OPTIONS 204, PUT 200"},
		{"without a preflight", app + `}`, get, false, "reads 200", "GET 200"},
		{"headers that are exposed", app + `, "expose_headers": ["X-Request-Id"]}`, get,
			false, "reads 200", "GET 200"},
		{"all headers are exposed", app + `, "expose_headers": ["*"]}`, get,
			false, "reads 200", "GET 200"},
		{"credentials", app + `, "allow_credentials": true}`,
			triedRequest{Origin: d.app, URL: d.api + "/", Credentials: true}, false, "reads 200", "GET 200"},
		{"credentials are not allowed", app + `}`,
			triedRequest{Origin: d.app, URL: d.api + "/", Credentials: true}, false, "network error", "GET 200"},
		{"credentials with *", every,
			triedRequest{Origin: d.app, URL: d.api + "/", Credentials: true}, false, "network error", "GET 200"},
		{"another origin", app + `}`, from(d.other), false, "network error", "GET 200"},
		{"another origin asks first", app + `}`, triedRequest{Origin: d.stranger, Method: "PUT", URL: d.api + "/"}, false,
			"network error", "OPTIONS 403"},
		{"a method", app + `}`, by("DELETE"), false, "network error", "OPTIONS 403"},
		{"the case of a method", `{"allow_origins": ["*"], "allow_methods": ["PATCH"]}`, by("patch"), false,
			"network error", "OPTIONS 403"},
		{"a header", app + `}`,
			triedRequest{Origin: d.app, URL: d.api + "/", Headers: [][2]string{{"X-Requested-With", "fetch"}}}, false,
			"network error", "OPTIONS 403"},
		{"the script may ask for options", `{"allow_origins": ["*"], "allow_methods": ["OPTIONS"]}`, by("OPTIONS"), false,
			"reads 200", "OPTIONS 204, OPTIONS 200"},
		{"null", app + `}`, from("null"), false, "network error", "GET 200"},
		{"null is listed", `{"allow_origins": ["null"], "allow_methods": ["PUT"]}`,
			triedRequest{Origin: "null", Method: "PUT", URL: d.api + "/"}, false, "reads 200", "OPTIONS 204, PUT 200"},
		{"every origin", every, from("null"), false, "reads 200", "GET 200"},
		{"a preflight is forwarded", app + `, "unmatched_preflights": "forward"}`, by("DELETE"), false,
			"network error", "OPTIONS 200"},
		{"shadow", app + `, "mode": "shadow"}`, by("PUT"), false, "network error", "OPTIONS 200"},
		{"off", `{"mode": "off"}`, get, false, "network error", "GET 200"},
		{"no policy applies", below,
			triedRequest{Origin: d.app, URL: d.api + "/b"}, false, "network error", "GET 200"},
		{"by path", below,
			triedRequest{Origin: d.app, URL: d.api + "/a/b"}, false, "reads 200", "GET 200"},
		{"by host", `{"policies": [{"name": "a", "match": {"hosts": ["shop.localhost"]}, "allow_origins": ["*"]}]}`,
			triedRequest{Origin: d.app, URL: shop + "/"}, false, "reads 200", "GET 200"},
		{"debug", app + `, "debug": true}`, by("DELETE"), false, "network error", "OPTIONS 204"},
		{"an error of Envoy", app + `}`, triedRequest{Origin: d.app, URL: d.api + "/down"}, false, "reads 503", "GET 503"},
		{"an error of Envoy, asked first", app + `}`,
			triedRequest{Origin: d.app, Method: "PUT", URL: d.api + "/down"}, false, "reads 503", "OPTIONS 204, PUT 503"},
		{"a look-up that says no", lookUp, get, false, "network error", "GET 200"},
		{"a forbidden method", app + `}`, by("TRACE"), false, "network error", "none"},
		{"a forbidden header", app + `}`,
			triedRequest{Origin: d.app, URL: d.api + "/", Headers: [][2]string{{"Host", "a"}, {"Accept", "text/html"}}},
			false, "reads 200", "GET 200"},
		{"a header that * does not cover", `{"allow_origins": ["*"], "allow_headers": ["*"]}`,
			triedRequest{Origin: d.app, URL: d.api + "/", Headers: [][2]string{{"Authorization", "..."}}}, false,
			"network error", "OPTIONS 403"},
		{"the parameter of the demo", every,
			triedRequest{Origin: d.app, URL: d.api + "/?exchange=a&b=c"}, false, "reads 200", "GET 200"},
		{"the bare upstream", app + `}`, get, true, "network error", ""},
		{"the bare upstream is asked first", app + `}`, by("PUT"), true,
			"network error", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := &chromium{t, b.ctx}
			s := try(test.policy, test.request)
			s.Filter = !test.bare
			b.try(s)
			if said := b.apply(); !strings.Contains(said, "Accepted") {
				t.Fatalf("the page says %q", said)
			}
			if state := b.send(); state != "same" {
				t.Errorf("the page expects otherwise: %s", b.text("#try-send"))
			}
			seen := b.sent()
			if seen["script"] != test.script || seen["envoy"] != test.envoy {
				t.Errorf("seen %q, want %q and %q", seen, test.script, test.envoy)
			}
			want := "blocked"
			if test.script != "network error" {
				want = "readable"
			}
			if got := b.result(); got != want {
				t.Errorf("the page says %s, want %s", got, want)
			}
		})
	}
}

// testPlaygroundDoubts: what isn't the filter's doing is no bug of it, and the page says what it may be.
func testPlaygroundDoubts(t *testing.T, d *demo, b *chromium) { //nolint:thelper // It is a test.
	b.openPlayground(d.app)
	b.try(try(`{"allow_origins": ["*"], "allow_headers": ["*"]}`, triedRequest{Origin: d.app, URL: d.api + "/"}))
	b.apply()
	header := func(name, value string) triedRequest {
		return triedRequest{Origin: d.app, URL: d.api + "/", Headers: [][2]string{{name, value}}}
	}
	to := func(url string) triedRequest { return triedRequest{Origin: d.app, URL: url} }
	for _, test := range []struct {
		name    string
		request triedRequest
		bare    bool
		state   string
		says    string
	}{
		{"no value of a header", header("X-A", "…"), false, "same", "network error"},
		{"a user's name in the URL", to(strings.Replace(d.api, "//", "//me:secret@", 1) + "/"), false, "same", "network error"},
		{"Chromium drops a User-Agent", header("User-Agent", "a"), false, "doubtful", "Chromium leaves out a User-Agent"},
		{"longer than Envoy takes", to(d.api + "/?" + strings.Repeat("a", 70_000)), false, "doubtful", "one that is too large"},
		{"Envoy redirects", to(d.api + "/a%2Fb"), false, "doubtful", "Envoy redirected the request by itself"},
		{"the bare upstream is another origin", to(d.app + "/a"), true, "same", "network error"},
	} {
		s := try(`{"allow_origins": ["*"], "allow_headers": ["*"]}`, test.request)
		s.Filter = !test.bare
		b.try(s)
		state := b.send()
		if text := b.text("#try-sent"); state != test.state || !strings.Contains(text, test.says) {
			t.Errorf("%s: %s, %q", test.name, state, text)
		}
	}
}

// testPlaygroundExamples: each example is a good policy, and its request does what the page says.
func testPlaygroundExamples(t *testing.T, d *demo, b *chromium) { //nolint:thelper // It is a test.
	b.openPlayground(d.app)
	n := evaluate[int](b, `document.querySelectorAll('#try-example option').length - 1`)
	if n < 6 {
		t.Errorf("there are %d examples", n)
	}
	for i := range n {
		b.run(ignore(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`(() => {
			const select = document.getElementById('try-example');
			select.value = '%d';
			select.dispatchEvent(new Event('change'));
		})()`, i))))
		b.decided()
		if got := b.text("#try-summary"); got != "The filter takes this policy." {
			t.Errorf("example %d: %s", i, got)
		}
		b.apply()
		if state := b.send(); state != "same" {
			t.Errorf("example %d: %s: %s", i, state, b.text("#try-send"))
		}
		readable := b.sent()["script"] == "reads 200"
		if got := b.result(); (got == "readable") != readable {
			t.Errorf("example %d: the page says %s, and the script gets %q", i, got, b.sent()["script"])
		}
		b.axe(fmt.Sprint("example ", i))
		b.playgroundShots(fmt.Sprint("example-", i))
	}
}

// testPlaygroundPolicy: the policy is checked while it is written, mended by buttons, and given to Envoy.
func testPlaygroundPolicy(t *testing.T, d *demo, b *chromium) { //nolint:thelper // It is a test.
	put := triedRequest{Origin: d.app, Method: "PUT", URL: d.api + "/"}
	b.openPlayground(d.app + try(`{"allow_origins": ["`+d.app+`/"]}`, put).link(t))

	if got := b.text("#try-summary"); got != "The filter refuses this policy: 1 error, 0 warnings." {
		t.Errorf("the summary is %q", got)
	}
	if got := b.result(); got != "invalid" {
		t.Errorf("of a request by a policy that is refused the page says %q", got)
	}
	if said := b.apply(); !strings.Contains(said, "refuses this policy") || !strings.Contains(said, "allow_origins[0]") {
		t.Errorf("to a bad policy Envoy says %q", said)
	}
	b.checkWidths("reasons of Envoy")
	b.run(press(`[data-key="finding-0"]`))
	b.axe("refused")
	b.playgroundShots("refused")
	if focused := evaluate[bool](b, `document.getElementById('try-editor').contains(document.activeElement)
		|| document.getElementById('try-editor').querySelector(':focus-within') !== null`); !focused {
		t.Error("a finding doesn't lead into the editor")
	}
	b.run(press(`[data-key="fix-0"]`),
		ignore(chromedp.Poll[bool](`document.getElementById('try-explained').dataset.result === 'blocked'`)))
	if got := b.text("#try-differs"); got != "Envoy has another policy than the one here." {
		t.Errorf("of an edited policy the page says %q", got)
	}

	// The smallest change, made and given to Envoy.
	b.run(press(`[data-key="apply-change"]`),
		ignore(chromedp.Poll[bool](`document.getElementById('try-explained').dataset.result === 'readable'`)))
	if said := b.apply(); !strings.Contains(said, "Accepted") {
		t.Errorf("the page says %q", said)
	}
	if got := b.text("#try-differs"); got != "Envoy has this policy." {
		t.Errorf("of a policy that Envoy has the page says %q", got)
	}
	if state := b.send(); state != "same" || b.sent()["script"] != "reads 200" {
		t.Errorf("after the change: %s, %q", state, b.sent())
	}
	b.axe("sent")
	b.playgroundShots("sent")
	b.run(press(`#try-back`),
		ignore(chromedp.Poll[bool](`document.getElementById('try-answer').innerText.includes('of the file again')`)))
	b.decided()
	b.openPlayground(d.app) // anew
	if got := b.text("#try-differs"); got != "Envoy has this policy." {
		t.Errorf("after going back the page says %q", got)
	}
}

// testPlaygroundSaysWhereItIsWrong: if Envoy did otherwise than the engine expects, the page
// would say so.
func testPlaygroundSaysWhereItIsWrong(t *testing.T, d *demo, b *chromium) { //nolint:thelper // It is a test.
	b.openPlayground(d.app)
	b.try(try(`{"allow_origins": ["*"]}`, triedRequest{Origin: d.app, URL: d.api + "/"}))
	b.apply()
	b.run(ignore(chromedp.Evaluate[chromedp.Void](`(() => {
		const real = fetch;
		window.fetch = async (url, init) => {
			const answer = await real(url, init);
			const odd = { envoy: { method: 'GET', status: 418, path: '/' }, reason: '' };
			return String(url).startsWith('observed') ? Response.json([...await answer.json(), odd]) : answer;
		};
	})()`)))
	if state := b.send(); state != "differs" {
		t.Errorf("what Envoy logs is another thing, and the page says %s: %s", state, b.text("#try-send"))
	}
	if text := b.text("#try-sent"); !strings.Contains(text, "a bug") {
		t.Errorf("the page doesn't call it a bug: %q", text)
	}
	b.axe("differs")
	b.playgroundShots("differs")
	b.run(ignore(chromedp.Evaluate[chromedp.Void](
		`navigator.clipboard.writeText = async (text) => { window.copied = text; }`)),
		press(`#try-sent [data-key="report"]`), ignore(chromedp.Poll[bool](`Boolean(window.copied)`)))
	if report := evaluate[string](b, `window.copied`); !strings.Contains(report, "GET 418") ||
		!strings.Contains(report, `"allow_origins"`) {
		t.Errorf("the report is %q", report)
	}
}

// testPlaygroundOfAnOriginElsewhere: what the demo can't send it says, and offers what it can.
func testPlaygroundOfAnOriginElsewhere(t *testing.T, d *demo, b *chromium) { //nolint:thelper // It is a test.
	b.openPlayground(d.app)
	b.try(try(`{"allow_origins": ["`+d.other+`", "https://app.example"]}`,
		triedRequest{Origin: "https://app.example", URL: "https://api.example/orders"}))
	if text := b.text("#try-from"); !strings.Contains(text, "The demo has no page of https://app.example") {
		t.Errorf("the page says %q", text)
	}
	if disabled := evaluate[bool](b, `document.getElementById('try-go').disabled`); !disabled {
		t.Error("it can be sent all the same")
	}
	b.axe("elsewhere")
	b.playgroundShots("elsewhere")
	b.run(press(`[data-key="nearest"]`))
	b.decided()
	if origin, url := b.value("#try-origin"), b.value("#try-url"); origin != d.other || url != d.api+"/orders" {
		t.Errorf("nearest are %s and %s", origin, url)
	}
	b.apply()
	if state := b.send(); state != "same" || b.sent()["script"] != "reads 200" {
		t.Errorf("%s: %q", state, b.sent())
	}
}

func (b *chromium) value(selector string) string {
	b.t.Helper()
	return evaluate[string](b, fmt.Sprintf(`document.querySelector(%q).value`, selector))
}

// testPlaygroundLog: Envoy's log is there as it comes, can be paused and narrowed, and a line is
// taken by a click.
func testPlaygroundLog(t *testing.T, d *demo, b *chromium) { //nolint:thelper // It is a test.
	b.openPlayground(d.app)
	b.settle()
	rows := func() int {
		return evaluate[int](b, `document.querySelectorAll('#try-lines tbody tr').length`)
	}
	ask := func(origin, path string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.api+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", origin)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
	shown := func(path string) {
		b.run(ignore(chromedp.Poll[bool](fmt.Sprintf(
			`document.getElementById('try-lines').textContent.includes(%q)`, path))))
	}
	ask("https://one.example", "/first?a=b")
	shown("/first?a=b")
	b.run(press(`#try-pause`))
	before := rows()
	ask("https://two.example", "/second")
	b.run(ignore(chromedp.Poll[bool](`document.getElementById('try-log-says').textContent === 'Paused; 1 since then.'`)))
	if now := rows(); now != before {
		t.Errorf("paused, the log has grown from %d to %d", before, now)
	}
	b.run(press(`#try-pause`))
	shown("/second")
	b.axe("log")
	b.playgroundShots("log")
	b.run(chromedp.SetValue(chromedp.CSS(`#try-filter`), "https://two.example"),
		ignore(chromedp.Evaluate[chromedp.Void](
			`document.getElementById('try-filter').dispatchEvent(new Event('change'))`)))
	if n := rows(); n != 1 {
		t.Errorf("narrowed to an origin the log has %d lines, want 1", n)
	}
	b.run(press(`#try-lines button`))
	b.decided()
	if focused := b.focused(); focused != "Request" {
		t.Errorf("after a line is taken the focus is at %q", focused)
	}
	if origin, url := b.value("#try-origin"), b.value("#try-url"); origin != "https://two.example" ||
		url != d.api+"/second" {
		t.Errorf("taken are %s and %s", origin, url)
	}
	b.run(press(`#try-clear`))
	if n := rows(); n != 0 {
		t.Errorf("cleared, the log has %d lines", n)
	}
	for i := range 210 {
		ask("https://two.example", fmt.Sprint("/many/", i))
	}
	shown("/many/209")
	if n := rows(); n != 200 {
		t.Errorf("after 210 requests the log has %d lines, want 200", n)
	}
}

// static serves the page without the demo, below a path and as strictly as a server can, until
// the test ends.
func static(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(root, "build/playground")
	if _, err := os.Stat(filepath.Join(folder, "engine.wasm")); err != nil {
		t.Fatalf("%v; run make playground", err)
	}
	files := http.StripPrefix("/some/where/", http.FileServer(http.Dir(folder)))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; "+
			"style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'")
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/some/where/"
}

// testPlaygroundAlone: without the demo the page explains, and says how to get the rest.
func testPlaygroundAlone(t *testing.T, b *chromium) { //nolint:thelper // It is a test.
	url := static(t)
	log := collectConsole(b)
	s := try(`{"allow_origins": ["https://app.example"], "allow_methods": ["PUT"]}`,
		triedRequest{Origin: "https://app.example", Method: "DELETE", URL: "https://api.example/orders/7"})
	b.openPlayground(url + s.link(t))
	if got := b.result(); got != "blocked" {
		t.Errorf("the page says %q, want blocked", got)
	}
	if text := b.text("#try-alone"); !strings.Contains(text, "make run") {
		t.Errorf("the page says %q of the demo", text)
	}
	for _, id := range []string{"try-apply", "try-send", "try-log"} {
		if seen := evaluate[bool](b, fmt.Sprintf(`document.getElementById(%q).checkVisibility()`, id)); seen {
			t.Errorf("#%s is there without the demo", id)
		}
	}
	if text := b.text("#try-verdict"); !strings.Contains(text, "Method DELETE is not in allow_methods") ||
		!strings.Contains(text, "has been blocked by CORS policy") {
		t.Errorf("the verdict is %q", text)
	}
	foreign := evaluate[[]string](b, `performance.getEntriesByType('resource').map((e) => e.name)
		.filter((name) => !name.startsWith(location.origin + '/some/where/'))`)
	if len(foreign) > 0 {
		t.Errorf("the page loads from elsewhere: %q", foreign)
	}
	b.checkWidths("a verdict")
	b.axe("alone")
	b.playgroundShots("alone")
	b.run(ignore(chromedp.Evaluate[chromedp.Void](`console.log('the end')`)))
	log.mu.Lock()
	defer log.mu.Unlock()
	for _, line := range log.lines {
		if !strings.Contains(line, "404") { // of the facts
			t.Errorf("on the console: %s", line)
		}
	}
}

// testPlaygroundWithoutItsEngine: a copy that lacks a file says so, and nothing that isn't so.
func testPlaygroundWithoutItsEngine(t *testing.T, b *chromium) { //nolint:thelper // It is a test.
	files := http.FileServer(http.Dir(pageFolder))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/engine.wasm" {
			http.NotFound(w, r)
			return
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	b.run(chromedp.Navigate(s.URL),
		ignore(chromedp.Poll[bool](`document.getElementById('playground').dataset.state === 'failed'`)))
	if text := b.text("#try-broken"); !strings.Contains(text, "engine.wasm: 404") {
		t.Errorf("the page says %q", text)
	}
	for _, id := range []string{"try-editor", "try-explained", "try-send", "try-loading"} {
		if seen := evaluate[bool](b, fmt.Sprintf(`document.getElementById(%q).checkVisibility()`, id)); seen {
			t.Errorf("#%s is there without the engine", id)
		}
	}
	b.axe("no engine")
}

// testPlaygroundLinks: a link shows what was shown, whoever opens it; a broken one says so.
func testPlaygroundLinks(t *testing.T, b *chromium) { //nolint:thelper // It is a test.
	url := static(t)
	want := tried{
		Policy: "{\n  \"allow_origins\": [\"https://äpp.example\"], \"routes\" \"origin_lookup\" \U0001f600\n}",
		Request: triedRequest{
			Origin: "https://app.example", Method: "PATCH", URL: "https://...@api.example/a?token=...&b=c d",
			Headers:     [][2]string{{"X-One", "1"}, {"X-One", "2"}, {"Authorization", "..."}},
			Credentials: true, Forced: true, Route: "orders", Initiator: "XMLHttpRequest",
			Lookup: "failed",
		},
		Upstream: triedUpstream{404, [][2]string{
			{"Access-Control-Allow-Credentials", "true"}, {"Set-Cookie", "..."},
		}, 501},
	}
	given := want
	given.Request.URL = "https://me:secret@api.example/a?token=secret&b=c d"
	given.Upstream.Headers = [][2]string{{"Access-Control-Allow-Credentials", "true"}, {"Set-Cookie", "id=secret"}}
	given.Request.Headers = [][2]string{{"X-One", "1"}, {"X-One", "2"}, {"Authorization", "Bearer secret"}}

	b.openPlayground(url + given.link(t))
	link := b.copyLink()
	if got := unlink(t, link); !equalJSON(got, want) {
		t.Errorf("the link has\n%+v, want\n%+v", got, want)
	}
	fresh := openBrowser(t)
	fresh.openPlayground(url + link)
	if got := unlink(t, fresh.copyLink()); !equalJSON(got, want) {
		t.Errorf("who opens the link has\n%+v, want\n%+v", got, want)
	}

	// The page keeps what there was, as in a reload.
	b.run(ignore(chromedp.Evaluate[chromedp.Void](`(() => {
		const input = document.getElementById('try-url');
		input.value = 'https://api.example/later';
		input.dispatchEvent(new Event('input', { bubbles: true }));
	})()`)), ignore(chromedp.Poll[bool](`document.getElementById('try-snippets').textContent.includes('/later')`)))
	b.decided()
	b.openPlayground(url + "?again")
	if got := b.value("#try-url"); got != "https://api.example/later" {
		t.Errorf("after a reload the URL is %q", got)
	}

	good := try(`{"allow_origins": ["*"]}`, triedRequest{Origin: "https://a.example", URL: "https://b.example/"}).link(t)
	for _, test := range []struct{ name, fragment, says string }{
		{"of another version", "#try=2.abc", "another version"},
		{"cut off", good[:len(good)-20], "not complete"},
		{"empty", "#try=", "not complete"},
		{"no base64url", "#try=1.%%%", "not complete"},
		{"no JSON", "#try=1." + deflated(t, []byte("[")), "not complete"},
		{"no UTF-8", "#try=1." + deflated(t, []byte{'"', 0xff, '"'}), "not complete"},
		{"a bomb", "#try=1." + deflated(t, bytes.Repeat([]byte(" "), 64<<20)), "not complete"},
	} {
		b.openPlayground(url + "?" + strings.ReplaceAll(test.name, " ", "-") + test.fragment)
		if text := b.text("#try-broken"); !strings.Contains(text, test.says) {
			t.Errorf("of a link that is %s the page says %q", test.name, text)
		}
		if got := b.result(); got != "readable" {
			t.Errorf("after a link that is %s the page shows %q", test.name, got)
		}
	}
	for i, odd := range []string{
		`null`, `[]`, `{"policy": 1, "request": {"headers": [1, ["a"], ["b", 2]], "url": null}}`,
		`{"upstream": {"status": 99}}`,
	} {
		b.openPlayground(fmt.Sprint(url, "?", i, "#try=1.", deflated(t, []byte(odd))))
		if got := b.result(); got != "readable" {
			t.Errorf("after a link with %s the page shows %q", odd, got)
		}
	}
}

// copyLink clicks the button, and returns the link's fragment.
func (b *chromium) copyLink() string {
	b.t.Helper()
	b.run(press(`#try-link`),
		ignore(chromedp.Poll[bool](`document.getElementById('try-says').textContent.startsWith('The link')`)))
	return evaluate[string](b, `location.hash`)
}

func deflated(t *testing.T, text []byte) string {
	t.Helper()
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(text) // to memory
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(packed.Bytes())
}

// unlink reads a fragment as the page does.
func unlink(t *testing.T, fragment string) (s tried) {
	t.Helper()
	packed, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(fragment, "#try=1."))
	if err != nil {
		t.Fatalf("%v: %s", err, fragment)
	}
	if err := json.NewDecoder(flate.NewReader(bytes.NewReader(packed))).Decode(&s); err != nil {
		t.Fatalf("%v: %s", err, fragment)
	}
	return s
}

func equalJSON(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y)
}

// testPlaygroundImports: requests are taken from a command, and from a file with several.
func testPlaygroundImports(t *testing.T, b *chromium) { //nolint:thelper // It is a test.
	b.openPlayground(static(t))
	b.run(press(`#try-import summary`),
		chromedp.SetValue(chromedp.CSS(`#try-curl`),
			`curl 'https://api.example/orders' -X PATCH -H 'Origin: https://app.example' -H 'X-A: 1'`),
		press(`#try-read`))
	b.decided()
	if got := [3]string{b.value("#try-method"), b.value("#try-url"), b.value("#try-headers input")}; got !=
		[3]string{"PATCH", "https://api.example/orders", "X-A"} {
		t.Errorf("taken from cURL: %q", got)
	}
	b.run(chromedp.SetValue(chromedp.CSS(`#try-curl`), `curl 'https://api.example/orders' -X OPTIONS `+
		`-H 'Origin: https://app.example' -H 'Access-Control-Request-Method: GET' `+
		`-H 'Access-Control-Request-Headers: accept'`),
		press(`#try-read`))
	b.decided()
	if text := b.text("#try-imported"); !strings.Contains(text, "Of accept only the name is recorded") {
		t.Errorf("of a preflight the page says %q", text)
	}
	if text := b.text("#try-steps"); !strings.Contains(text, "The preflight") {
		t.Errorf("a request that has asked first doesn't: %q", text)
	}
	b.run(chromedp.SetValue(chromedp.CSS(`#try-curl`), `wget https://api.example`),
		press(`#try-read`))
	if text := b.text("#try-imported"); text == "" || strings.HasPrefix(text, "Taken") {
		t.Errorf("of what is no curl command the page says %q", text)
	}

	har, err := os.ReadFile(filepath.Join(root, "internal/capture/testdata/chromium.har"))
	if err != nil {
		t.Fatal(err)
	}
	b.run(ignore(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`(() => {
		const files = new DataTransfer();
		files.items.add(new File([%s], 'app.har'));
		const drop = document.getElementById('try-drop');
		drop.dispatchEvent(new DragEvent('dragover', { dataTransfer: files, bubbles: true, cancelable: true }));
		drop.dispatchEvent(new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true }));
	})()`, quoted(har)))), ignore(chromedp.Poll[bool](`document.querySelectorAll('#try-requests li').length > 1`)))
	if first := evaluate[bool](b, `document.querySelector('#try-requests li').classList.contains('failed')`); !first {
		t.Error("the first of the list is not one that failed")
	}
	want := evaluate[string](b, `document.querySelector('#try-requests li button').textContent`)
	b.run(press(`#try-requests li button`))
	b.decided()
	if url := b.value("#try-url"); !strings.Contains(want, url) || url == "" {
		t.Errorf("chosen is %q, taken %q", want, url)
	}
	b.checkWidths("a list of requests")
	b.axe("imported")
	b.playgroundShots("imported")
}

func quoted(text []byte) string {
	literal, _ := json.Marshal(string(text)) // a string
	return string(literal)
}

// testPlaygroundForEveryone: by keyboard, and by ear.
func testPlaygroundForEveryone(t *testing.T, b *chromium) { //nolint:thelper // It is a test.
	b.openPlayground(static(t))
	b.run(ignore(chromedp.Evaluate[chromedp.Void](`(() => {
		window.said = [];
		new MutationObserver(() => window.said.push(document.getElementById('try-says').textContent))
			.observe(document.getElementById('try-says'), { childList: true });
	})()`)))

	// Typing is not interrupted: one verdict, once it is another one.
	b.run(chromedp.Focus(chromedp.CSS(`#try-method`)), chromedp.KeyEvent(kb.End),
		chromedp.KeyEvent(kb.Backspace), chromedp.KeyEvent(kb.Backspace), chromedp.KeyEvent(kb.Backspace),
		chromedp.KeyEvent("DELETE"),
		ignore(chromedp.Poll[bool](`window.said.some((text) => text.includes('DELETE'))`)))
	b.decided()
	if said := evaluate[[]string](b, `window.said`); len(said) != 1 {
		t.Errorf("said is %q, want one thing", said)
	}
	if focused := b.focused(); focused != "Method" {
		t.Errorf("the focus has gone to %q", focused)
	}

	// What is open or focused in the result stays so.
	b.run(ignore(chromedp.Evaluate[chromedp.Void](`(() => {
		document.querySelector('[data-key="preflight"]').open = false;
		document.querySelector('[data-key^="section-"]').focus();
	})()`)))
	before := b.focused()
	b.run(ignore(chromedp.Evaluate[chromedp.Void](`(() => {
		const method = document.getElementById('try-method');
		method.value = 'PURGE';
		method.dispatchEvent(new Event('input', { bubbles: true }));
	})()`)), ignore(chromedp.Poll[bool](`document.getElementById('try-steps').textContent.includes('PURGE')`)))
	if after := b.focused(); after != before || before == "" {
		t.Errorf("the focus was at %q, and is at %q", before, after)
	}
	if open := evaluate[bool](b, `document.querySelector('[data-key="preflight"]').open`); open {
		t.Error("what was folded is open again")
	}

	// Headers: a row is added, removed, and the focus goes on with it.
	b.run(chromedp.Focus(chromedp.CSS(`#try-add`)), chromedp.KeyEvent(kb.Enter), chromedp.KeyEvent("X-A"))
	b.decided()
	if focused := b.focused(); !strings.HasPrefix(focused, "Name of header") {
		t.Errorf("in a new row the focus is at %q", focused)
	}
	b.tabTo("Value of X-A")
	b.tabTo("Remove X-A")
	b.run(chromedp.KeyEvent(kb.Enter))
	b.decided()
	if focused := b.focused(); focused == "" {
		t.Error("after a row is removed, nothing is focused")
	}

	names := map[string]int{}
	for _, name := range b.names() {
		if strings.HasPrefix(name, "button ") {
			names[name]++
		}
	}
	for name, n := range names {
		if n > 1 || name == "button " {
			t.Errorf("%d buttons have the name %q", n, name)
		}
	}
	for _, scheme := range []string{"light", "dark"} {
		b.prefer(scheme)
		if poor := evaluate[[]string](b, contrastScript); len(poor) > 0 {
			t.Errorf("%s: contrast below 4.5:\n%s", scheme, strings.Join(poor, "\n"))
		}
	}
}

// playgroundShots saves what the playground shows, if $DEMO_SCREENSHOTS names a folder.
func (b *chromium) playgroundShots(name string) {
	b.t.Helper()
	dir := os.Getenv("DEMO_SCREENSHOTS")
	if dir == "" {
		return
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		b.t.Fatal(err)
	}
	for _, feature := range []emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: "light"},
		{Name: "prefers-color-scheme", Value: "dark"},
		{Name: "forced-colors", Value: "active"},
	} {
		if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{&feature, {Name: "prefers-reduced-motion", Value: "reduce"}},
		}); err != nil {
			b.t.Fatal(err)
		}
		for _, width := range []int64{320, 768, 1280, 1920} {
			b.run(chromedp.EmulateViewport(width, 900))
			image, err := chromedp.Run(b.ctx, chromedp.Screenshot(chromedp.CSS(`#playground`)))
			if err != nil {
				b.t.Fatal(err)
			}
			file := filepath.Join(dir, fmt.Sprintf("%s-%s-%d.png", name, feature.Value, width))
			if err := os.WriteFile(file, image, 0o666); err != nil {
				b.t.Fatal(err)
			}
		}
	}
	b.prefer("light")
}

// testPlaygroundKnowsFirefox: in Firefox, the page has Firefox's words, and what that does otherwise than the
// standard is no bug.
func testPlaygroundKnowsFirefox(t *testing.T, d *demo) { //nolint:thelper // It is a test.
	f := openFirefox(t)
	const ready = `(async () => {
		const state = () => document.getElementById('playground').dataset.state === 'ready' &&
			document.documentElement.dataset.state !== 'running';
		while (!state()) { await new Promise((r) => setTimeout(r, 20)); }
		return true;
	})()`
	const send = `(async () => {
		const section = document.getElementById('try-send');
		document.getElementById('try-go').click();
		const ended = () => /same|differs|doubtful|failed/.test(section.dataset.state);
		while (!ended()) { await new Promise((r) => setTimeout(r, 20)); }
		return [section.dataset.state, section.innerText];
	})()`
	for _, test := range []struct {
		name  string
		tried tried
		says  string // the page of what comes of the request
		state string
		sent  string // and of it when it is sent
	}{
		{"an origin that isn't allowed", try(`{"allow_origins": ["https://a.example"]}`, triedRequest{
			Origin: d.app, URL: d.api + "/",
		}), "On Firefox’s console", "", ""},
		{"not ASCII", try(`{"allow_origins": ["`+d.app+`"]}`, triedRequest{
			Origin: d.app, URL: d.api + "/", Headers: [][2]string{{"Accept", "\u00e9"}},
		}), "", "doubtful", "Firefox asks by a preflight for what isn't ASCII in Accept."},
	} {
		t.Run(test.name, func(t *testing.T) {
			var done bool
			var said string
			f.visit("about:blank")
			f.visit(d.app + "/" + test.tried.link(t))
			f.decode(ready, &done)
			f.decode(`document.getElementById('playground').innerText`, &said)
			if !strings.Contains(said, test.says) {
				t.Errorf("the page doesn't say %q, but\n%s", test.says, said)
			}
			if test.state == "" {
				return
			}
			var sent [2]string
			f.decode(send, &sent)
			if sent[0] != test.state || !strings.Contains(sent[1], test.sent) {
				t.Errorf("sent, it is %s:\n%s\nwant %s and %q", sent[0], sent[1], test.state, test.sent)
			}
		})
	}
}

// testPlaygroundKnowsChromium: where Chromium sends what the standard says otherwise, that is no bug.
func testPlaygroundKnowsChromium(t *testing.T, d *demo) { //nolint:thelper // It is a test.
	b := openBrowser(t)
	b.openPlayground(d.app)
	for _, header := range []string{"User-Agent", "Save-Data"} {
		t.Run(header, func(t *testing.T) {
			b.try(try(`{"allow_origins": ["`+d.app+`"]}`, triedRequest{
				Origin: d.app, URL: d.api + "/", Headers: [][2]string{{header, "on"}},
			}))
			if state := b.send(); state != "doubtful" {
				t.Errorf("the state is %q: does Chromium do as the standard says now?", state)
			}
			if text := b.text("#try-sent"); !strings.Contains(text, "Not as the engine expects. ") || strings.Contains(text, "bug") {
				t.Errorf("the page says %q", text)
			}
		})
	}
}
