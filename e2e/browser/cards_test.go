package browser_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestCardsNeverLie: whatever policy Envoy has, what the page says of each request is what
// happened, by Envoy's log and by what Chromium tells of its requests.
func TestCardsNeverLie(t *testing.T) {
	d := startDemo(t)
	happened := watchLog(t, d)
	b := openBrowser(t)
	happened.watch(b)
	const lists = `"allow_methods": ["PUT", "PATCH"], "allow_headers": ["Content-Type", "X-PINGOTHER"], ` +
		`"expose_headers": ["X-Request-Id"], "allow_credentials": true, "max_age": 7200`
	app, both := fmt.Sprintf(`"allow_origins": [%q], `, d.app), fmt.Sprintf(`"allow_origins": [%q, %q], `, d.app, d.other)
	const anyone = `"allow_origins": ["*"], "allow_methods": ["PUT"], "allow_headers": ["Content-Type", "X-PINGOTHER"]`
	long := "https://" + strings.Repeat("a", 60) + "." + strings.Repeat("b", 60) + "." + strings.Repeat("c", 60) + ".example"
	for _, test := range []struct {
		name, policy string
		page         string            // if it isn't the app's
		seen         map[string]string // of the script, by card
		says         map[string]string // by card, in what explains it
	}{
		{name: "127.0.0.1 is allowed", policy: both + lists, page: d.other, seen: map[string]string{
			"simple-get": "reads 200", "preflighted-post": "reads 200", "another-origin": "network error, network error",
		}, says: map[string]string{"another-origin": "origin " + d.stranger + " is not in allow_origins"}},
		{name: "DELETE is allowed", policy: app + strings.Replace(lists, `"PATCH"`, `"DELETE"`, 1), seen: map[string]string{
			"delete": "reads 200", "custom-header": "network error",
		}},
		{name: "any origin, without credentials", policy: anyone, seen: map[string]string{
			"simple-get": "reads 200", "credentialed": "network error", "another-origin": "reads 200, reads 200",
		}, says: map[string]string{"credentialed": "The request is sent, and the script can’t read the answer."}},
		{name: "shadow mode", policy: app + lists + `, "mode": "shadow"`, seen: map[string]string{
			"simple-get": "network error", "preflighted-post": "network error", "delete": "network error",
		}, says: map[string]string{"delete": "The policy is in shadow mode, and changes nothing"}},
		{name: "mode off", policy: `"mode": "off"`, seen: map[string]string{
			"simple-get": "network error", "preflighted-post": "network error",
		}, says: map[string]string{"simple-get": "The policy is off"}},
		{name: "debug", policy: app + lists + `, "debug": true`, seen: map[string]string{
			"simple-get": "reads 200", "delete": "network error", "custom-header": "network error",
		}, says: map[string]string{"delete": "Method DELETE is not in allow_methods (allowed: PUT, PATCH)."}},
		{name: "no policy applies", policy: `"policies": [{"name": "elsewhere", "match": {"hosts": ["api.example.com"]}, ` +
			app + lists + `}]`, seen: map[string]string{"simple-get": "network error", "preflighted-post": "network error"},
			says: map[string]string{"simple-get": "No policy applies, so that the filter does nothing"}},
		{name: "preflights that aren't allowed are forwarded", policy: app + lists + `, "unmatched_preflights": "forward"`,
			seen: map[string]string{"preflighted-post": "reads 200", "delete": "network error"},
			says: map[string]string{"delete": "The preflight is forwarded to the upstream"}},
		{name: "the upstream's headers are kept", policy: app + lists + `, "upstream_cors_headers": "keep"`,
			seen: map[string]string{"simple-get": "reads 200", "delete": "network error"}},
		{name: "max_age 0", policy: app + strings.Replace(lists, "7200", "0", 1), seen: map[string]string{
			"cached-preflight": "reads 200, reads 200",
		}},
		{name: "no max_age", policy: app + strings.Replace(lists, `, "max_age": 7200`, "", 1), seen: map[string]string{
			"cached-preflight": "reads 200, reads 200",
		}},
		{name: "preflights are answered with 200", policy: app + lists + `, "preflight_status": 200`, seen: map[string]string{
			"preflighted-post": "reads 200",
		}},
		{name: "every header is exposed", policy: anyone + `, "expose_headers": ["*"]`, seen: map[string]string{
			"simple-get": "reads 200",
		}},
		{name: "a policy source without policies", policy: `"policy_source": {"cluster": "down"}`, seen: map[string]string{
			"simple-get": "network error", "preflighted-post": "network error",
		}},
		{name: "one policy for each path", policy: `"policies": [{"name": "people", "match": {"paths": [{"prefix": "/people"}]}, ` +
			app + lists + `}, {"name": "rest", "allow_origins": ["https://app.example"]}]`, seen: map[string]string{
			"simple-get": "network error", "preflighted-post": "reads 200", "error-answer": "network error",
		}},
		{name: "a look-up that fails", policy: `"origin_lookup": {"cluster": "down", "path": "/"}, ` + lists,
			seen: map[string]string{"simple-get": "network error"}},
		{name: "a long line", policy: `"allow_origins": ["` + strings.Repeat(long+`", "`, 40) + d.app + `"], ` + lists,
			seen: map[string]string{"simple-get": "reads 200"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			policy := "{" + test.policy + "}"
			if result, _ := d.write(t, http.MethodPost, policy); !result.Accepted {
				t.Fatalf("Envoy refuses it: %q", result.Reasons)
			}
			page := d.app
			if test.page != "" {
				page = test.page
			}
			b := &chromium{t, b.ctx}
			b.open(page)
			if got := b.policy(); got != policy {
				t.Fatalf("the page shows the policy %s", got)
			}
			happened.check(b)
			cards := b.cards()
			for card, want := range test.seen {
				if got := cards[card].Seen["script"]; got != want {
					t.Errorf("%s: the script %s, want %s", card, got, want)
				}
			}
			for card, want := range test.says {
				got := strings.Join(append(cards[card].Explained, cards[card].Notes...), "\n")
				if !strings.Contains(strings.ToLower(got), strings.ToLower(want)) {
					t.Errorf("%s is explained by %q, which lacks %q", card, got, want)
				}
			}
			b.checkWidths(test.name)
			b.screenshots("cards-" + strings.ReplaceAll(strings.ReplaceAll(test.name, " ", "-"), ",", ""))
		})
	}

	// An open page follows by itself, and a refused policy changes nothing.
	b.open(d.app)
	another := "{" + app + `"allow_methods": ["DELETE"]}`
	d.write(t, http.MethodPost, another)
	b.wantPolicy(another)
	happened.check(b)
	if result, _ := d.write(t, http.MethodPost, `{"allow_origins": ["*"], "allow_credentials": true}`); result.Accepted {
		t.Error("a bad policy is accepted")
	}
	b.open(d.app)
	if got := b.policy(); got != another {
		t.Errorf("with a refused policy the page shows %s", got)
	}
	happened.check(b)
}

// TestFetchedPolicies: of policies that only Envoy has, the page says what it sees, and claims no bug.
func TestFetchedPolicies(t *testing.T) {
	d := startDemo(t)
	d.origins(t, "add", d.app)
	if result, _ := d.write(t, http.MethodPost, `{"policy_source": {"cluster": "policies", "path": "/v1/policies",
		"interval": "100ms"}}`); !result.Accepted {
		t.Fatalf("Envoy refuses it: %q", result.Reasons)
	}
	for deadline := time.Now().Add(10 * time.Second); d.allowed(t) == ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("Envoy doesn't fetch the policies")
		}
	}
	b := openBrowser(t)
	b.open(d.app)
	card := b.cards()["simple-get"]
	if card.State != "seen" || card.Seen["script"] != "reads 200" {
		t.Errorf("the card shows %+v", card)
	}
	if text := b.text("#simple-get .differs"); !strings.Contains(text, "the page knows only those that stand in it") {
		t.Errorf("the page says %q", text)
	}
	text := evaluate[string](b, `document.querySelector('.top').innerText + document.getElementById('requests').innerText`)
	for _, lie := range []string{"This is a bug", "can’t read what the API answers"} {
		if strings.Contains(text, lie) {
			t.Errorf("the page says %q", lie)
		}
	}
	b.axe("policies that only Envoy has")
}

func (b *chromium) policy() string {
	b.t.Helper()
	return evaluate[string](b, `document.getElementById('policy').textContent`)
}

// wantPolicy waits until the page shows a policy, and has run its requests by it.
func (b *chromium) wantPolicy(policy string) {
	b.t.Helper()
	b.run(ignore(chromedp.Poll[bool](fmt.Sprintf(`document.getElementById('policy').textContent === %q`, policy))))
	b.settle()
}

// A line is one of Envoy's access log.
type line struct {
	Method, Path, Details, Origin string
	Status                        int
	AllowOrigin                   string `json:"access-control-allow-origin"`
	RequestMethod                 string `json:"access-control-request-method"`
}

func (l line) preflight() bool { return l.Method == http.MethodOptions && l.RequestMethod != "" }

// A happening is what happened to the page's requests, by the browser and by Envoy.
type happening struct {
	d *demo

	mu    sync.Mutex
	lines []line
	// sent are the ids of the browser's requests, but preflights, in order; and results what the
	// script got of them.
	sent    []string
	urls    map[string]string // by id
	results map[string]string // by id
}

// watchLog follows the demo's log of requests, which has each line of Envoy's as it is.
func watchLog(t *testing.T, d *demo) *happening {
	t.Helper()
	h := &happening{d: d, urls: map[string]string{}, results: map[string]string{}}
	last := ""
	follow := func() error {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.app+"/log", nil)
		if err != nil {
			return err
		}
		r.Header.Set("Last-Event-ID", last)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer func() { _ = res.Body.Close() }()
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
				last = id
			}
			text, ok := strings.CutPrefix(lines.Text(), "data: ")
			var l line
			if ok && json.Unmarshal([]byte(text), &l) == nil && l.Method != "" {
				h.mu.Lock()
				h.lines = append(h.lines, l)
				h.mu.Unlock()
			}
		}
		return nil
	}
	go func() {
		for follow() == nil {
		}
	}()
	return h
}

// watch notes what a browser tells of its requests.
func (h *happening) watch(b *chromium) {
	b.t.Helper()
	if err := chromedp.Listen(b.ctx, func(ev any) {
		h.mu.Lock()
		defer h.mu.Unlock()
		switch e := ev.(type) {
		case *network.EventRequestWillBeSent:
			own := strings.Contains(e.Request.URL, "/observed?") || e.Request.Method == http.MethodOptions
			if id := string(e.RequestID); !own {
				h.sent = append(h.sent, id)
				h.urls[id] = e.Request.URL
			}
		case *network.EventResponseReceived:
			h.results[string(e.RequestID)] = fmt.Sprint("reads ", e.Response.Status)
		case *network.EventLoadingFailed:
			h.results[string(e.RequestID)] = "network error"
		}
	}); err != nil {
		b.t.Fatal(err)
	}
}

// of returns what was logged of the latest run of a card, and what Chromium says that its script got.
func (h *happening) of(card string) (lines []line, script []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	exchange := func(target string) string {
		u, _ := url.Parse(target)
		id := u.Query().Get("exchange")
		if strings.HasPrefix(id, card+"-") && !strings.Contains(strings.TrimPrefix(id, card+"-"), "-") {
			return id
		}
		return ""
	}
	latest := ""
	for _, l := range slices.Backward(h.lines) {
		if latest = exchange(l.Path); latest != "" {
			break
		}
	}
	for _, l := range h.lines {
		if latest != "" && exchange(l.Path) == latest {
			lines = append(lines, l)
		}
	}
	for _, id := range h.sent {
		if latest != "" && exchange(h.urls[id]) == latest {
			script = append(script, h.results[id])
		}
	}
	return lines, script
}

// settle waits until all that has been answered so far is in the log.
func (h *happening) settle(t *testing.T) {
	t.Helper()
	last := fmt.Sprintf("/last?%d", time.Now().UnixNano())
	res, err := http.Get(h.d.api + last)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		h.mu.Lock()
		there := slices.ContainsFunc(h.lines, func(l line) bool { return l.Path == last })
		h.mu.Unlock()
		if there {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the demo's log doesn't have what Envoy has logged")
		}
	}
}

// check compares all that the page says with what happened.
func (h *happening) check(b *chromium) {
	b.t.Helper()
	h.settle(b.t)
	for id, card := range b.cards() {
		lines, script := h.of(id)
		if len(lines) == 0 {
			b.t.Errorf("%s: nothing is logged", id)
			continue
		}
		if id == "another-origin" { // another process of Chromium sends it
			script = scriptByLog(lines)
		}
		h.checkCard(b.t, id, card, lines, script)
	}
	readable := b.cards()["simple-get"].Seen["script"] == "reads 200"
	if shown := evaluate[bool](b, `!document.getElementById('notice').hidden`); shown == readable {
		b.t.Errorf("the notice that this page can't read answers is shown: %t", shown)
	}
	text := evaluate[string](b, `document.body.innerText`)
	for _, word := range []string{"undefined", "NaN", "[object", "via_upstream", "via upstream", "This is a bug", "null"} {
		if strings.Contains(text, word) {
			b.t.Errorf("the page says %q", word)
		}
	}
}

func (*happening) checkCard(t *testing.T, id string, card card, lines []line, script []string) {
	t.Helper()
	var envoy, upstream, because []string
	for i, l := range lines {
		envoy = append(envoy, fmt.Sprint(l.Method, " ", l.Status))
		says := "Envoy answered, without the API: "
		switch {
		case l.Details == "via_upstream":
			upstream = append(upstream, l.Method)
			says = "The API answered."
		case strings.HasPrefix(l.Details, "cors:"):
			says = "The filter answered, without the API: "
		}
		last := i == len(lines)-1
		then := ""
		switch {
		case l.preflight() && (last || lines[i+1].preflight()):
			then = "The browser did not send the request that it asked for."
		case l.preflight():
			then = "and sent the " + l.RequestMethod + "."
		case last && script[len(script)-1] == "network error":
			then = "The browser withheld the answer from the script."
		case last:
			then = "The script could read the answer."
		}
		because = append(because, says, then)
	}
	allowOrigin := lines[len(lines)-1].AllowOrigin
	if allowOrigin == "" {
		allowOrigin = "none"
	}
	if upstream == nil {
		upstream = []string{"nothing"}
	}
	for fact, want := range map[string]string{
		"script": strings.Join(script, ", "), "envoy": strings.Join(envoy, ", "), "upstream": strings.Join(upstream, ", "),
		"allowOrigin": allowOrigin,
	} {
		if got := card.Seen[fact]; got != want {
			t.Errorf("%s: the page has seen %s %q; it was %q", id, fact, got, want)
		}
	}
	for fact, seen := range card.Seen {
		if expected := card.Expected[fact]; expected != seen {
			t.Errorf("%s: %s is expected to be %q, and seen as %q", id, fact, expected, seen)
		}
	}
	if card.State != "pass" {
		t.Errorf("%s: %s, %q", id, card.State, card.Verdict)
	}
	if len(card.Because) != len(lines) {
		t.Errorf("%s: of %d requests the page says %q", id, len(lines), card.Because)
		return
	}
	for i, says := range card.Because {
		if !strings.HasPrefix(says, because[2*i]) || !strings.HasSuffix(says, because[2*i+1]) {
			t.Errorf("%s: the page says %q; it was %q, %q", id, says, because[2*i], because[2*i+1])
		}
	}
	if len(card.Explained) != len(script) {
		t.Errorf("%s: of %d requests %d are explained", id, len(script), len(card.Explained))
		return
	}
	for i, says := range card.Explained {
		if reads := strings.Contains(says, "The script reads the answer."); reads != strings.HasPrefix(script[i], "reads") {
			t.Errorf("%s: the page explains %q, and the script %s", id, says, script[i])
		}
	}
}

// scriptByLog is what a script without credentials gets, as Envoy's log lets one conclude.
func scriptByLog(lines []line) (script []string) {
	for i, l := range lines {
		allowed := l.AllowOrigin == "*" || l.AllowOrigin == l.Origin
		switch {
		case l.preflight() && (i == len(lines)-1 || lines[i+1].preflight()):
			script = append(script, "network error")
		case l.preflight():
		case allowed:
			script = append(script, fmt.Sprint("reads ", l.Status))
		default:
			script = append(script, "network error")
		}
	}
	return script
}

// testCardsForEveryone: by keyboard, for who listens, and with nothing lost when a request runs again.
func testCardsForEveryone(t *testing.T, d *demo) { //nolint:thelper // It is a test.
	b := openBrowser(t)
	b.open(d.app)
	b.axe("all is as expected, most cards are folded")

	names := b.names()
	for _, want := range []string{
		"heading CORS, request by request", "heading The requests", "navigation Requests",
		"button Run: A simple GET", "button Run: A DELETE", "button A simple GET", "button Unfold all", "button Run all",
		"article A simple GET", "link A DELETE: as expected", "region The policy in Envoy",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("there is no %s; but\n%s", want, strings.Join(names, "\n"))
		}
	}
	seen := map[string]bool{}
	for _, name := range names {
		if button, ok := strings.CutPrefix(name, "button "); ok && seen[button] {
			t.Errorf("two buttons are named %q", button)
		} else if ok {
			seen[button] = true
		}
	}

	// A card unfolds by keyboard, and so do the details in it.
	b.run(chromedp.Focus(chromedp.CSS(`#delete .fold`)), chromedp.KeyEvent(kb.Enter))
	if open := evaluate[string](b, `document.querySelector('#delete .fold').ariaExpanded`); open != "true" {
		t.Errorf("after Enter the card's aria-expanded is %q", open)
	}
	b.run(chromedp.Focus(chromedp.CSS(`#delete .why summary`)), chromedp.KeyEvent(" "))
	const isOpen = `document.querySelector('#delete .why details').open`
	if !evaluate[bool](b, isOpen) {
		t.Error("the steps don't unfold by keyboard")
	}
	// They stay open, and the focus stays, when the card runs again: by its own button, and by all.
	b.run(ignore(chromedp.Evaluate[chromedp.Void](`document.querySelector('#delete .run').click()`)))
	b.settle()
	const focused = `document.activeElement === document.querySelector('#delete .why summary')`
	if !evaluate[bool](b, isOpen) || !evaluate[bool](b, focused) {
		t.Errorf("after a run the steps are open: %t, and focused: %t", evaluate[bool](b, isOpen), evaluate[bool](b, focused))
	}
	for _, button := range []string{"#delete .run", "#run-all"} {
		b.run(chromedp.Focus(chromedp.CSS(button)), chromedp.KeyEvent(" "))
		b.settle()
		if at := evaluate[bool](b, fmt.Sprintf(`document.activeElement === document.querySelector(%q)`, button)); !at {
			t.Errorf("after it has run, the focus isn't at %s", button)
		}
		if !evaluate[bool](b, isOpen) || evaluate[string](b, `document.querySelector('#delete .fold').ariaExpanded`) != "true" {
			t.Errorf("after %s the card or its steps are folded", button)
		}
	}
	// The marks lead to their cards, and unfold them.
	b.run(chromedp.Focus(chromedp.CSS(`#index a:last-child`)), chromedp.KeyEvent(kb.Enter))
	if hidden := evaluate[bool](b, `document.querySelector('#error-answer .body').hidden`); hidden {
		t.Error("the mark of a card doesn't unfold it")
	}
	b.run(chromedp.Focus(chromedp.CSS(`#fold-all`)), chromedp.KeyEvent(kb.Enter))
	if n := evaluate[int](b, `document.querySelectorAll('.card > .body[hidden]').length`); n != 0 {
		t.Errorf("after Unfold all %d cards are folded", n)
	}
	b.run(ignore(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll('#cards details').forEach((d) => { d.open = true; })`)))
	for _, scheme := range []string{"light", "dark"} {
		b.prefer(scheme)
		b.axe("all cards are unfolded, in the " + scheme)
		if poor := evaluate[[]string](b, contrastScript); len(poor) > 0 {
			t.Errorf("%s: contrast below 4.5:\n%s", scheme, strings.Join(poor, "\n"))
		}
	}
	b.checkWidths("all cards unfolded")
	b.screenshots("cards-unfolded")
	// Nor is anything cut off, where most is said.
	b.open(d.other)
	b.run(chromedp.Click(chromedp.CSS(`#fold-all`)), chromedp.EmulateViewport(320, 900))
	const cut = `[...document.querySelectorAll('#cards .body *')].filter((node) => !node.closest('pre, .unseen')
		&& node.getBoundingClientRect().right > node.closest('.card').getBoundingClientRect().right)
		.map((node) => node.closest('.card').id + ': ' + node.className + ' ' + node.textContent.slice(0, 40))`
	if nodes := evaluate[[]string](b, cut); len(nodes) > 0 {
		t.Errorf("at a width of 320 these are cut off: %q", nodes)
	}
	// Nothing moves by itself for who doesn't want that; prefer asks for it.
	if moves := evaluate[string](b, `getComputedStyle(document.documentElement).scrollBehavior`); moves != "auto" {
		t.Errorf("with reduced motion the page scrolls %s", moves)
	}
}

// TestStoppedDemo: that nothing answers is said once, and the page goes on when something does.
func TestStoppedDemo(t *testing.T) {
	d, cmd := newDemo(t)
	again := exec.Command(cmd.Path, cmd.Args[1:]...)
	again.Dir, again.Env = cmd.Dir, cmd.Env
	d.start(t, cmd)
	b := openBrowser(t)
	b.open(d.app)
	cmd.Process.Signal(os.Interrupt)
	d.wait(t)

	b.run(chromedp.WaitVisible(chromedp.CSS(`#away`)))
	check := func(after string) {
		t.Helper()
		alerts := evaluate[[]string](b, `[...document.querySelectorAll('[role=alert]')].filter((n) => n.checkVisibility()).map((n) => n.innerText)`)
		if len(alerts) != 1 || !strings.HasPrefix(alerts[0], "The demo does not answer.") {
			t.Errorf("%s the page's alerts are %q", after, alerts)
		}
		if score := b.text("#score"); score != "Not run" {
			t.Errorf("%s the score is %q", after, score)
		}
		for id, card := range b.cards() {
			shown := len(card.Seen) + len(card.Explained) + len(card.Requests)
			if card.State != "away" || card.Verdict != "Not run" || shown > 0 {
				t.Errorf("%s %s shows %+v", after, id, card)
			}
		}
	}
	check("after it has stopped")
	b.run(chromedp.Click(chromedp.CSS(`#run-all`)))
	b.settle()
	check("after Run all")
	b.axe("the demo has stopped")
	b.checkWidths("the demo stopped")
	b.screenshots("cards-stopped")

	d.exited = make(chan struct{})
	d.start(t, again)
	b.run(chromedp.WaitNotVisible(chromedp.CSS(`#away`)))
	b.settle()
	b.checkCards(seenFrom(d.app, d.other, true))
}

// testBugsAreSaid: where what happens isn't what the engine says, the page says so, with a report.
func testBugsAreSaid(t *testing.T, d *demo) { //nolint:thelper // It is a test.
	b := openBrowser(t)
	// An engine that has other policies than Envoy.
	params := page.AddScriptToEvaluateOnNewDocumentParams{Source: `let engine;
		const other = (name, args) => engine(name, args.replaceAll('PATCH', 'DELETE'));
		Object.defineProperty(globalThis, 'corsEngine', { get: () => engine && other, set: (e) => { engine = e; } })`}
	if _, err := chromedp.Call(b.ctx, page.AddScriptToEvaluateOnNewDocument, params); err != nil {
		t.Fatal(err)
	}
	b.open(d.app)
	if score := b.text("#score"); score != "5 of 8 as expected" { // two more preflights are answered otherwise
		t.Errorf("the score is %q", score)
	}
	card := b.cards()["delete"]
	if card.State != "fail" || card.Expected["script"] != "reads 200" || card.Seen["script"] != "network error" {
		t.Errorf("the card shows %+v", card)
	}
	if text := b.text("#delete .differs"); !strings.Contains(text, "This is a bug: the code that decides in the filter expects something else") {
		t.Errorf("the page says %q", text)
	}
	if hidden := evaluate[bool](b, `document.querySelector('#delete .body').hidden`); hidden {
		t.Error("the card is folded")
	}
	b.axe("a bug")
	b.checkWidths("a bug")
	b.screenshots("cards-bug")
	b.run(ignore(chromedp.Evaluate[chromedp.Void](`navigator.clipboard.writeText = async (text) => { globalThis.copied = text; }`)),
		chromedp.Click(chromedp.CSS(`#delete .differs button`)))
	report := evaluate[string](b, `copied`)
	for _, want := range []string{
		"script: expected reads 200; seen network error", `"allow_methods": ["PUT", "PATCH"]`,
		"await fetch('" + d.api + "/people/1', {\n  method: 'DELETE',\n});", `"status": 403`, "Chrome/",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
}

// testTheCodeShownRuns: what Chromium sends is what the code of a card says.
func testTheCodeShownRuns(t *testing.T, d *demo) { //nolint:thelper // It is a test.
	b := openBrowser(t)
	b.open(d.app)
	for id, card := range b.cards() {
		if id == "another-origin" {
			continue // a page of another origin has it
		}
		// The code as it stands, in the page as it is; it ends where a request fails. What the page asks of the demo
		// meanwhile, it asks by relative URLs.
		script := fmt.Sprintf(`(async () => { const sent = []; const own = globalThis.fetch;
			globalThis.fetch = (url, init) => {
				if (/^http/.test(url)) { sent.push([init?.method ?? 'GET', url]); }
				return own(url, init);
			};
			try { await (async () => { %s })(); } catch {} finally { globalThis.fetch = own; }
			return JSON.stringify(sent); })()`, card.Code)
		sent, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatal(err)
		}
		var calls [][2]string
		if err := json.Unmarshal([]byte(sent), &calls); err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, call := range calls {
			u, _ := url.Parse(call[1])
			want = append(want, call[0]+" "+u.Path)
		}
		var got []string
		for _, request := range card.Requests {
			if method, preflight := strings.CutSuffix(request, " preflight"); !preflight {
				got = append(got, method)
			}
		}
		if strings.Contains(card.Seen["script"], "network error") { // its preflight only
			got = want
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the page has sent %q, and its code sends %q", id, got, want)
		}
	}
}

// TestPoliciesChangeWhileCardsRun: that Envoy gets other policies between the requests of the cards
// is no bug, and in the end all cards have run by the last one.
func TestPoliciesChangeWhileCardsRun(t *testing.T) {
	d := startDemo(t)
	b := openBrowser(t)
	b.open(d.app)
	b.run(ignore(chromedp.Evaluate[chromedp.Void](`globalThis.wrong = [];
		new MutationObserver(() => document.querySelectorAll('#cards [data-state="fail"], #playground .try-bug')
			.forEach(({ id, innerText }) => wrong.push(id + ': ' + innerText.slice(0, 200))))
			.observe(document.body,
				{ subtree: true, attributes: true, childList: true, attributeFilter: ['data-state'] });
		setInterval(() => document.getElementById('try-go').click(), 20);`)))
	policies := []string{
		`{"allow_origins": ["` + d.other + `"]}`,
		`{"allow_origins": ["*"], "allow_methods": ["*"], "allow_headers": ["*"], "expose_headers": ["*"]}`,
		`{"allow_origins": ["` + d.app + `"], "allow_methods": ["DELETE"], "allow_credentials": true}`,
	}
	for i := range 24 {
		if result, status := d.write(t, http.MethodPost, policies[i%len(policies)]); !result.Accepted {
			t.Fatalf("the demo answers %d: %v", status, result.Reasons)
		}
	}
	b.wantPolicy(policies[2])
	b.settle()
	if wrong := evaluate[[]string](b, `wrong`); len(wrong) > 0 {
		t.Errorf("%d times the page shows a bug: %q", len(wrong), wrong[0])
	}
	for card, want := range map[string]string{"simple-get": "reads 200", "delete": "reads 200", "custom-header": "network error"} {
		if script := b.cards()[card].Seen["script"]; script != want {
			t.Errorf("%s: the script %s; want %s", card, script, want)
		}
	}
}

// TestHiddenPage: a page that nobody saw while Envoy got another policy has it when it is seen again,
// though the log has forgotten that.
func TestHiddenPage(t *testing.T) {
	d := startDemo(t)
	b := openBrowser(t)
	b.open(d.app)
	see := func(hidden bool) {
		b.run(ignore(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`
			Object.defineProperty(document, 'hidden', { value: %t, configurable: true });
			document.dispatchEvent(new Event('visibilitychange'));`, hidden))))
	}
	see(true)
	policy := `{"allow_origins": ["` + d.other + `"]}`
	if result, status := d.write(t, http.MethodPost, policy); !result.Accepted {
		t.Fatalf("the demo answers %d: %v", status, result.Reasons)
	}
	for range 1000 { // so many are kept
		res, err := http.Get(d.api + "/")
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
	d.observed(t, "none", 1) // they are logged
	see(false)
	b.wantPolicy(policy)
	if script := b.cards()["simple-get"].Seen["script"]; script != "network error" {
		t.Errorf("the script %s", script)
	}
}
