package browser_test

import (
	"context"
	_ "embed"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// A card is what the page shows of one scenario.
type card struct {
	State    string
	Verdict  string
	Expected map[string]string
	Seen     map[string]string
	Requests []string // the exchange, one line for each request
	Because  []string // what is said of each, in the same order
	// Explained is what the engine says of each fetch, and Changes what to change.
	Explained, Notes, Changes []string
	Code                      string
}

// readCards collects the cards by scenario.
const readCards = `Object.fromEntries([...document.querySelectorAll('[data-scenario]')].map((card) => {
	const facts = (kind) => Object.fromEntries([...card.querySelectorAll('[data-fact]')].map(
		(row) => [row.dataset.fact, row.querySelector(kind).textContent]));
	const texts = (selector) => [...card.querySelectorAll(selector)].map((node) => node.textContent.trim());
	return [card.dataset.scenario, {
		state: card.dataset.state,
		verdict: card.querySelector('.verdict').textContent,
		expected: facts('.expected'),
		seen: facts('.seen'),
		requests: texts('.exchange h4'),
		because: texts('.because'),
		explained: texts('.explained > p:first-child'),
		code: card.querySelector('.code').textContent,
		notes: texts('.explained .hint'),
		changes: texts('.change'),
	}];
}))`

// The page's own expectations are not trusted here: this is what must be seen.
func seenFrom(app, other string, allowed bool) map[string]map[string]string {
	if allowed {
		return map[string]map[string]string{
			"simple-get": {
				"script": "reads 200", "envoy": "GET 200", "upstream": "GET",
				"allowOrigin": app, "cookie": "not sent", "exposed": "X-Request-Id",
			},
			"preflighted-post": {
				"script": "reads 200", "envoy": "OPTIONS 204, POST 200", "upstream": "POST",
				"allowOrigin": app, "maxAge": "7200", "reason": "OPTIONS: preflight allowed",
			},
			"cached-preflight": {
				"script": "reads 200, reads 200", "envoy": "OPTIONS 204, POST 200, POST 200", "upstream": "POST, POST",
				"allowOrigin": app, "maxAge": "7200", "reason": "OPTIONS: preflight allowed",
			},
			"credentialed": {
				"script": "reads 200", "envoy": "GET 200", "upstream": "GET",
				"allowOrigin": app, "cookie": "sent",
			},
			"delete": {
				"script": "network error", "envoy": "OPTIONS 403", "upstream": "nothing", "allowOrigin": "none",
				"reason": "OPTIONS: method DELETE is not in allow_methods (allowed: PUT, PATCH)",
			},
			"custom-header": {
				"script": "network error", "envoy": "OPTIONS 403", "upstream": "nothing", "allowOrigin": "none",
				"reason": "OPTIONS: header x-requested-with is not in allow_headers (allowed: Content-Type, X-PINGOTHER)",
			},
			"another-origin": {
				"script": "network error, network error", "envoy": "GET 200, OPTIONS 403", "upstream": "GET",
				"allowOrigin": "none",
				"reason":      "OPTIONS: origin " + other + " is not in allow_origins",
			},
			"error-answer": {
				"script": "reads 503", "envoy": "GET 503", "upstream": "nothing",
				"allowOrigin": app, "body": "no healthy upstream", "reason": "GET: no healthy upstream",
			},
		}
	}
	refusedWith := func(facts map[string]string) map[string]string {
		all := map[string]string{
			"script": "network error", "envoy": "OPTIONS 403", "upstream": "nothing", "allowOrigin": "none",
			"reason": "OPTIONS: origin " + app + " is not in allow_origins",
		}
		maps.Copy(all, facts)
		return all
	}
	return map[string]map[string]string{
		"simple-get": {
			"script": "network error", "envoy": "GET 200", "upstream": "GET",
			"allowOrigin": "none", "cookie": "not sent", "exposed": "none",
		},
		"preflighted-post": refusedWith(map[string]string{"maxAge": "none"}),
		"cached-preflight": refusedWith(map[string]string{"maxAge": "none"}), // the code ends at the first
		"credentialed": {
			"script": "network error", "envoy": "GET 200", "upstream": "GET",
			"allowOrigin": "none", "cookie": "not sent",
		},
		"delete":        refusedWith(nil),
		"custom-header": refusedWith(nil),
		"another-origin": refusedWith(map[string]string{
			"script": "network error, network error", "envoy": "GET 200, OPTIONS 403", "upstream": "GET",
			"reason": "OPTIONS: origin " + other + " is not in allow_origins",
		}),
		"error-answer": {
			"script": "network error", "envoy": "GET 503", "upstream": "nothing",
			"allowOrigin": "none", "body": "none", "reason": "GET: no healthy upstream",
		},
	}
}

// TestPage looks at one demo, of which it changes nothing.
func TestPage(t *testing.T) {
	d := startDemo(t)
	for _, test := range []struct {
		name    string
		origin  string
		allowed bool
	}{
		{"allowed", d.app, true},
		{"other", d.other, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := openBrowser(t)
			console := b.console()
			b.open(test.origin)

			want := seenFrom(d.app, d.other, true)
			if !test.allowed {
				want = seenFrom(d.other, d.stranger, false)
			}
			b.checkCards(want)
			if hidden := evaluate[bool](b, `document.getElementById('notice').hidden`); hidden != test.allowed {
				t.Errorf("the notice is hidden: %t, want %t", hidden, test.allowed)
			}
			if policy := evaluate[string](b, `document.getElementById('policy').textContent`); !strings.Contains(policy,
				`"allow_origins": ["`+d.app+`"]`) {
				t.Errorf("the page does not show the policy, but %q", policy)
			}
			foreign := evaluate[[]string](b, fmt.Sprintf(
				`performance.getEntriesByType('resource').map((e) => e.name).filter((url) => ![%q, %q, %q, %q, %q].includes(new URL(url).origin))`,
				d.app, d.other, d.stranger, d.api, d.database))
			if len(foreign) > 0 {
				t.Errorf("the page loads from elsewhere: %q", foreign)
			}

			// A click runs one card again, another runs all.
			b.run(chromedp.Click(chromedp.CSS(`#cached-preflight .run`)))
			b.settle()
			b.checkCards(want)
			b.run(chromedp.Click(chromedp.CSS(`#run-all`)))
			b.settle()
			b.checkCards(want)

			link := map[bool]string{true: `#another-origin .where a`, false: `#to-app`}[test.allowed]
			to := map[bool]string{true: d.other, false: d.app}[test.allowed]
			if origin := evaluate[string](b, `new URL(document.querySelector('`+link+`').href).origin`); origin != to {
				t.Errorf("%s leads to %s, want %s", link, origin, to)
			}
			console.check(t)
			b.screenshots(test.name)
		})
	}
	t.Run("Firefox", func(t *testing.T) { checkInFirefox(t, d) })
	t.Run("reasons", func(t *testing.T) { checkReasons(t, d) })
	t.Run("looks", func(t *testing.T) { checkLooks(t, d) })
	t.Run("for everyone", func(t *testing.T) { testCardsForEveryone(t, d) })
	t.Run("bugs are said", func(t *testing.T) { testBugsAreSaid(t, d) })
	t.Run("the code shown runs", func(t *testing.T) { testTheCodeShownRuns(t, d) })
	t.Run("the playground knows Firefox", func(t *testing.T) { testPlaygroundKnowsFirefox(t, d) })
	t.Run("the playground knows Chromium", func(t *testing.T) { testPlaygroundKnowsChromium(t, d) })
}

// checkInFirefox checks that the page shows in Firefox what it shows in Chromium.
func checkInFirefox(t *testing.T, d *demo) {
	t.Helper()
	for origin, want := range map[string]map[string]map[string]string{
		d.app: seenFrom(d.app, d.other, true), d.other: seenFrom(d.other, d.stranger, false),
	} {
		f := openFirefox(t)
		f.visit(origin)
		const settled = `(async () => {
			const state = document.documentElement.dataset;
			while (state.state === 'running') { await new Promise((r) => setTimeout(r, 50)); }
			return true;
		})()`
		var done bool
		f.decode(settled, &done)
		var cards map[string]card
		f.decode(readCards, &cards)
		checkCards(t, cards, want)
	}
}

// checkReasons checks what the page says of each request of an exchange.
func checkReasons(t *testing.T, d *demo) {
	t.Helper()
	b := openBrowser(t)
	b.open(d.app)
	cards := b.cards()
	for _, test := range []struct {
		scenario string
		requests []string
		because  []string
	}{
		{"simple-get", []string{"GET /greeting"}, []string{"The API answered. The script could read the answer."}},
		{"preflighted-post", []string{"OPTIONS /people preflight", "POST /people"}, []string{
			"The filter answered, without the API: preflight allowed. The browser took it as permission, and sent the POST.",
			"The API answered. The script could read the answer.",
		}},
		{"cached-preflight", []string{"OPTIONS /people preflight", "POST /people", "POST /people"}, []string{
			"The filter answered, without the API: preflight allowed. The browser took it as permission, and sent the POST.",
			"The API answered. The script could read the answer.",
			"The API answered. The browser remembered the answer to the preflight. The script could read the answer.",
		}},
		{"delete", []string{"OPTIONS /people/1 preflight"}, []string{
			"The filter answered, without the API: method DELETE is not in allow_methods (allowed: PUT, PATCH). " +
				"The browser did not send the request that it asked for.",
		}},
		{"another-origin", []string{"GET /greeting", "OPTIONS /people/1 preflight"}, []string{
			"The API answered. The filter logged: origin " + d.other + " is not in allow_origins. " +
				"The browser withheld the answer from the script.",
			"The filter answered, without the API: origin " + d.other + " is not in allow_origins. " +
				"The browser did not send the request that it asked for.",
		}},
		{"error-answer", []string{"GET /down"}, []string{
			"Envoy answered, without the API: no healthy upstream. The script could read the answer.",
		}},
	} {
		got := cards[test.scenario]
		if !slices.Equal(got.Requests, test.requests) {
			t.Errorf("%s: requests %q, want %q", test.scenario, got.Requests, test.requests)
		}
		if !slices.Equal(got.Because, test.because) {
			t.Errorf("%s: because %q, want %q", test.scenario, got.Because, test.because)
		}
	}
}

// postTwice sends one preflighted POST after the other, to the same URL.
const postTwice = `(async () => {
	for (let i = 0; i < 2; i++) {
		const response = await fetch('%s/people?exchange=%s', {
			method: 'POST', headers: {'Content-Type': 'application/xml', 'X-PINGOTHER': 'pingpong'}, body: '<person/>',
		});
		await response.text();
	}
	return true;
})()`

func TestPreflightIsCachedForMaxAge(t *testing.T) {
	for _, test := range []struct {
		name   string
		maxAge string
		want   []string
	}{
		{"two hours", `"max_age": 7200`, []string{"OPTIONS 204", "POST 200", "POST 200"}},
		{"zero", `"max_age": 0`, []string{"OPTIONS 204", "POST 200", "OPTIONS 204", "POST 200"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := startDemo(t, `"max_age": 7200`, test.maxAge)
			b := openBrowser(t)
			b.open(d.app)
			b.run(ignore(chromedp.Evaluate[bool](fmt.Sprintf(postTwice, d.api, "twice"), chromedp.EvalAwaitPromise)))
			if got := d.observed(t, "twice", 2); !slices.Equal(got, test.want) {
				t.Errorf("Envoy logged %q, want %q", got, test.want)
			}
			// The page's card says the same.
			if got := b.cards()["cached-preflight"]; got.State != "pass" || got.Seen["envoy"] != strings.Join(test.want, ", ") {
				t.Errorf("the page's card says %+v, want %s", got, test.want)
			}
		})
	}
}

// TestPolicyIsReloaded: who edits the policy of the running demo sees the page change.
func TestPolicyIsReloaded(t *testing.T) {
	d := startDemo(t)
	content, err := os.ReadFile(d.config)
	if err != nil {
		t.Fatal(err)
	}
	shipped := string(content)
	const methods = `"allow_methods": ["PUT", "PATCH"]`
	more := strings.Replace(shipped, methods, `"allow_methods": ["PUT", "DELETE"]`, 1)
	bad := strings.Replace(shipped, methods, `"allow_methods": ["PUT", "TRACE"]`, 1)
	badStill := strings.Replace(bad, "# Should the filter's VM die", "# If the filter's VM should die", 1)

	b := openBrowser(t)
	b.open(d.app)
	if got := evaluate[string](b, `document.getElementById('edit').innerText`); !strings.Contains(got, d.config) {
		t.Errorf("the page doesn't say where to edit the policy: %q", got)
	}
	for _, step := range []struct {
		name    string
		text    string
		says    string // the demo, on the terminal
		serves  string
		refused bool
	}{
		{"more methods", more, "Envoy serves the new policy", more, false},
		{"bad", bad, "Envoy refuses the new policy", more, true},
		// Envoy takes what it has refused for good when it gets the same again.
		{"bad, with another comment", badStill, "Envoy refuses the new policy", more, true},
		{"elsewhere", badStill + "# The end.\n", "it takes only the configuration of the filter", more, true},
		{"as shipped", shipped, "Envoy serves the new policy", shipped, false},
	} {
		d.edit(t, step.text, step.says)
		// The page learns of it by itself.
		page, policy := "network error", methods
		if step.serves == more {
			page, policy = "reads 200", `"allow_methods": ["PUT", "DELETE"]`
		}
		b.run(ignore(chromedp.Poll[bool](fmt.Sprintf(
			`document.getElementById('refused').hidden === %t && document.getElementById('policy').textContent.includes(%q)`,
			!step.refused, policy))))
		b.settle()
		if c := b.cards()["delete"]; c.Seen["script"] != page || c.State != "pass" {
			t.Errorf("%s: of the DELETE is seen %q (%s), want %q", step.name, c.Seen["script"], c.State, page)
		}
		if got := evaluate[string](b, `document.getElementById('policy').textContent`); !strings.Contains(got, policy) {
			t.Errorf("%s: the page shows the policy %q, want %q in it", step.name, got, policy)
		}
		if got := evaluate[string](b,
			`document.querySelector('#refused:not([hidden]) ul')?.innerText ?? ''`); strings.Contains(got,
			"allow_methods[1]: TRACE") != step.refused {
			t.Errorf("%s: the page says what is wrong with the policy: %q; want it: %t", step.name, got, step.refused)
		}
		b.screenshots("edited-" + strings.ReplaceAll(step.name, " ", "-"))
	}
}

// edit saves the demo's configuration as an editor does that writes the file anew, and
// waits until the demo says what came of it.
func (d *demo) edit(t *testing.T, text, says string) {
	t.Helper()
	before := strings.Count(d.output.String(), says)
	if err := os.WriteFile(d.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); strings.Count(d.output.String(),
		says) == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the demo doesn't say %q", says)
		}
	}
}

// checkLooks checks that the page is readable in light and dark, and fits a phone.
func checkLooks(t *testing.T, d *demo) {
	t.Helper()
	b := openBrowser(t)
	b.open(d.app)
	grounds := map[string]string{}
	for _, scheme := range []string{"light", "dark"} {
		b.prefer(scheme)
		grounds[scheme] = evaluate[string](b, `getComputedStyle(document.body).backgroundColor`)
		if poor := evaluate[[]string](b, contrastScript); len(poor) > 0 {
			t.Errorf("%s: contrast below 4.5:\n%s", scheme, strings.Join(poor, "\n"))
		}
	}
	if grounds["light"] == grounds["dark"] {
		t.Errorf("light and dark have the same ground: %s", grounds["light"])
	}
	b.checkWidths("no rows")
}

//go:embed contrast.js
var contrastScript string

// A chromium is a window of the one Chromium of these tests, for one test. It shares nothing with others: neither
// storage nor caches, that of preflights among them.
type chromium struct {
	t   *testing.T
	ctx context.Context
}

func openBrowser(t *testing.T) *chromium {
	t.Helper()
	started, err := startChromium()
	if err != nil {
		t.Fatal(err)
	}
	return open(t, started, chromedp.WithNewBrowserContext())
}

// tab opens another tab of the same window, for a test.
func (b *chromium) tab(t *testing.T) *chromium {
	t.Helper()
	return open(t, b.ctx)
}

func open(t *testing.T, from context.Context, options ...chromedp.ContextOption) *chromium {
	t.Helper()
	ctx, cancel := chromedp.NewContext(from, options...)
	t.Cleanup(cancel)
	b := &chromium{t, ctx}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal("open a tab:", err)
	}
	b.prefer("light")
	return b
}

// open loads the page and waits until all its scenarios have run.
func (b *chromium) open(url string) {
	b.t.Helper()
	b.run(chromedp.Navigate(url))
	b.settle()
}

func (b *chromium) settle() {
	b.t.Helper()
	b.run(ignore(chromedp.Poll[bool](`document.documentElement.dataset.state !== 'running'`)))
}

func (b *chromium) run(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// evaluate returns the value of a JavaScript expression.
func evaluate[T any](b *chromium, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// ignore makes a step of an action whose value does not matter.
func ignore[T any](a chromedp.Action[T]) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := a(ctx, t)
		return chromedp.Void{}, err
	}
}

func (b *chromium) cards() map[string]card {
	b.t.Helper()
	return evaluate[map[string]card](b, readCards)
}

// checkCards compares what the page shows with what must be seen.
func (b *chromium) checkCards(want map[string]map[string]string) {
	b.t.Helper()
	checkCards(b.t, b.cards(), want)
}

func checkCards(t *testing.T, cards map[string]card, want map[string]map[string]string) {
	t.Helper()
	for scenario, facts := range want {
		got, ok := cards[scenario]
		if !ok {
			t.Errorf("%s: no such card", scenario)
			continue
		}
		if got.State != "pass" || got.Verdict != "As expected" {
			t.Errorf("%s: %s, %q", scenario, got.State, got.Verdict)
		}
		if !maps.Equal(got.Seen, facts) {
			t.Errorf("%s: seen\n\t%q, want\n\t%q", scenario, got.Seen, facts)
		}
		for fact, expected := range got.Expected {
			if !strings.HasPrefix(facts[fact], expected) {
				t.Errorf("%s: the page expects %s %q, want %q", scenario, fact, expected, facts[fact])
			}
		}
	}
	if len(cards) != len(want) {
		t.Errorf("the page has %d cards, want %d", len(cards), len(want))
	}
}

// prefer sets the visitor's colour scheme, and that the page jumps rather than scrolls.
func (b *chromium) prefer(scheme string) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme},
			// Else a click may come while the page still scrolls to what is to be clicked.
			{Name: "prefers-reduced-motion", Value: "reduce"},
		},
	}); err != nil {
		b.t.Fatal(err)
	}
}

// screenshots saves the page in light and dark, if $DEMO_SCREENSHOTS names a directory.
func (b *chromium) screenshots(name string) {
	b.t.Helper()
	if os.Getenv("DEMO_SCREENSHOTS") == "" {
		return
	}
	for _, width := range []int64{320, 768, 1280, 1920} {
		for _, scheme := range []string{"light", "dark"} {
			b.prefer(scheme)
			b.run(chromedp.EmulateViewport(width, 900))
			b.run(ignore(chromedp.Evaluate[chromedp.Void](`scrollTo({top: 0, behavior: 'instant'})`)))
			b.screenshot(fmt.Sprintf("%s-%s-%d", name, scheme, width))
		}
	}
}

// screenshot saves the page as it is, if $DEMO_SCREENSHOTS names a directory.
func (b *chromium) screenshot(name string) {
	b.t.Helper()
	dir := os.Getenv("DEMO_SCREENSHOTS")
	if dir == "" {
		return
	}
	image, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), image, 0o666); err != nil {
		b.t.Fatal(err)
	}
}

// A console is what the browser has written to it since it was subscribed.
type console struct {
	messages iter.Seq2[chromedp.ConsoleMessage, error]
	end      context.CancelFunc
}

func (b *chromium) console() console {
	ctx, end := context.WithCancel(b.ctx)
	return console{chromedp.Console(ctx), end}
}

// check accepts what a browser writes about the scenarios' refusals and the 503, and nothing else.
func (c console) check(t *testing.T) {
	t.Helper()
	time.AfterFunc(500*time.Millisecond, c.end)
	blocked := 0
	for m, err := range c.messages {
		if err != nil {
			break
		}
		switch {
		case strings.Contains(m.Text, "has been blocked by CORS policy"):
			blocked++
		case strings.Contains(m.Text, "net::ERR_FAILED"), strings.Contains(m.Text, "status of 503"):
		default:
			t.Errorf("on the console: %s %q (%s:%d)", m.Type, m.Text, m.URL, m.Line)
		}
	}
	if blocked == 0 {
		t.Error("the browser's console tells of no refusal")
	}
}
