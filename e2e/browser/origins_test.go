package browser_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestOriginsFromADatabase: who adds an origin has its pages work at once, and sees how long
// that took; who removes it, the contrary. Meanwhile no request fails.
func TestOriginsFromADatabase(t *testing.T) {
	d := startDemo(t)
	stop := load(t, d)
	b := openBrowser(t)
	console := b.console()
	b.open(d.app)
	b.wantRows()
	there := openBrowser(t) // a visitor of the other origin, who only looks on
	there.open(d.other)
	there.checkCards(seenFrom(d.other, d.stranger, false))

	var allowed, blocked []int
	for range 3 {
		b.run(chromedp.SetValue(chromedp.CSS(`#origin`), d.other), chromedp.Click(chromedp.CSS(`form.add button`)))
		said := b.said("Added " + d.other)
		allowed = append(allowed, after(t, said, "allowed"))
		b.wantRows(d.other)
		if row := b.text("#rows tbody td"); row != fmt.Sprintf("%d ms after the click", allowed[len(allowed)-1]) {
			t.Errorf("the row says %q, and the page %q", row, said)
		}
		there.works(true)
		if len(allowed) == 1 {
			there.checkCards(seenFrom(d.other, d.stranger, true))
			if text := there.text("#policy"); !strings.Contains(text, `"allow_origins": ["`+d.other+`"]`) {
				t.Errorf("the page shows the policy %q", text)
			}
			b.screenshots("database-added")
			there.screenshots("database-there")
		}

		b.run(chromedp.Click(chromedp.CSS(`#rows tbody button`)))
		said = b.said("Removed " + d.other)
		blocked = append(blocked, after(t, said, "blocked"))
		b.wantRows()
		there.works(false)
	}
	t.Logf("from the click: allowed after %v ms, blocked after %v ms", allowed, blocked)
	there.checkCards(seenFrom(d.other, d.stranger, false))
	console.check(t)
	if failed, all := stop(); len(failed) > 0 || all == 0 {
		t.Errorf("of %d requests failed %q", all, failed)
	}
}

// load asks all the time, as the page of an origin that is allowed and as one that isn't, until
// the func that it returns is called.
func load(t *testing.T, d *demo) (stop func() (failed []string, all int)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	var mu sync.Mutex
	var failed []string
	all := 0
	ask := func(url, origin string) {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, url+"/load", nil)
		req.Header.Set("Origin", origin)
		res, err := http.DefaultClient.Do(req)
		if ctx.Err() != nil {
			return
		}
		says := fmt.Sprint(err)
		if err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			says = res.Status
		}
		mu.Lock()
		defer mu.Unlock()
		if all++; says != "200 OK" {
			failed = append(failed, says)
		}
	}
	for _, url := range []string{d.api, d.database} {
		for _, origin := range []string{d.app, d.other} {
			wait.Go(func() {
				for ctx.Err() == nil {
					ask(url, origin)
					time.Sleep(5 * time.Millisecond)
				}
			})
		}
	}
	return func() ([]string, int) {
		cancel()
		wait.Wait()
		return failed, all
	}
}

// TestAPageAddsItsOwnOrigin, and its requests, all of which were refused, work.
func TestAPageAddsItsOwnOrigin(t *testing.T) {
	d := startDemo(t)
	b := openBrowser(t)
	shop := strings.Replace(d.app, "localhost", "shop.localhost", 1)
	b.open(shop)
	b.checkCards(seenFrom(shop, d.other, false))
	b.run(chromedp.Click(chromedp.CSS(`form.add button`))) // its origin is in the field
	after(t, b.said("Added "+shop), "allowed")
	b.works(true)
	b.checkCards(seenFrom(shop, d.other, true))
	// A pattern has it, too: then the origin itself can go, and nothing changes.
	pattern := strings.Replace(d.app, "localhost", "*.localhost", 1)
	b.run(chromedp.SetValue(chromedp.CSS(`#origin`), pattern), chromedp.Click(chromedp.CSS(`form.add button`)))
	if said := b.said("Added " + pattern); !strings.Contains(said, "no page of this origin") {
		t.Errorf("the page says %q", said)
	}
	b.run(chromedp.Click(chromedp.CSS(`#rows [data-origin="` + shop + `"] button`)))
	if said := b.said("Removed " + shop); !strings.Contains(said, "another row may have them") {
		t.Errorf("the page says %q", said)
	}
	b.works(true)
}

// TestBadOrigins: what is wrong is said in cors-policyd's words, and a click takes what it suggests.
func TestBadOrigins(t *testing.T) {
	d := startDemo(t)
	b := openBrowser(t)
	b.open(d.app)
	for _, test := range []struct {
		origin, says string
		suggestions  []string
	}{
		{"http://shop.example", `"http://shop.example" with allow_credentials trusts whoever is on the network between`, nil},
		{"*", `"*" with allow_credentials would let every site act as the visitor`, nil},
		{"--help", `"--help" has no scheme`, nil},
		{"https://a.example, https://b.example", `is a list in one string`, []string{"https://a.example", "https://b.example"}},
		{"https://App.example.com/", `"https://App.example.com/" has upper-case letters, which browsers never send in an origin; ` +
			`write "https://app.example.com"`, []string{"https://app.example.com"}},
	} {
		b.run(chromedp.SetValue(chromedp.CSS(`#origin`), test.origin), chromedp.Click(chromedp.CSS(`form.add button`)),
			ignore(chromedp.Poll[bool](fmt.Sprintf(`document.querySelector('#wrong:not([hidden]) p')?.innerText.includes(%q)`, test.says))))
		want := []string{}
		for _, origin := range test.suggestions {
			want = append(want, "Add "+origin)
		}
		got := evaluate[[]string](b, `[...document.querySelectorAll('#wrong button')].map((b) => b.innerText)`)
		if test.suggestions != nil && !slices.Equal(got, want) {
			t.Errorf("%s: the page suggests %q, want %q", test.origin, got, want)
		}
	}
	b.wantRows()
	if got := evaluate[string](b, `document.getElementById('origin').ariaInvalid`); got != "true" {
		t.Errorf("the field's aria-invalid is %q", got)
	}
	b.screenshots("database-wrong")
	b.checkWidths("a message")
	b.run(chromedp.Click(chromedp.CSS(`#wrong button`)))
	if said := b.said("Added https://app.example.com"); !strings.Contains(said, "in the table") {
		t.Errorf("the page says %q", said)
	}
	b.wantRows("https://app.example.com")
	if hidden := evaluate[bool](b, `document.getElementById('wrong').hidden`); !hidden {
		t.Error("the message stays after its suggestion is taken")
	}
	b.run(chromedp.SetValue(chromedp.CSS(`#origin`), "null"), chromedp.Click(chromedp.CSS(`form.add button`)))
	if said := b.said("Added null"); !strings.Contains(said, "any site can read answers") {
		t.Errorf("a warning isn't shown: %q", said)
	}
	b.wantRows("https://app.example.com", "null")
	b.run(chromedp.SetValue(chromedp.CSS(`#origin`), "null"), chromedp.Click(chromedp.CSS(`form.add button`)),
		chromedp.WaitVisible(chromedp.CSS(`#wrong`)))
	if text := b.text("#wrong"); text != "null is registered already." {
		t.Errorf("of one that is there the page says %q", text)
	}
}

// TestOriginsByKeyboard: all can be done without a mouse, and has a name for who doesn't see it.
func TestOriginsByKeyboard(t *testing.T) {
	d := startDemo(t)
	b := openBrowser(t)
	b.open(d.app)
	second := strings.Replace(d.app, "localhost", "b.localhost", 1)
	b.run(chromedp.Focus(chromedp.CSS(`#origin`)), chromedp.KeyEvent(kb.Enter))
	after(t, b.said("Added "+d.other), "allowed")
	if focused := b.focused(); focused != "Origin" {
		t.Errorf("after adding, the focus is at %q", focused)
	}
	b.run(chromedp.KeyEvent(second), chromedp.KeyEvent(kb.Enter))
	after(t, b.said("Added "+second), "allowed")

	names := b.names()
	for _, want := range []string{
		"region Origins from a database", "textbox Origin", "button Add", "log What came of it", "table Registered origins",
		"rowheader " + d.other, "columnheader First allowed answer", "button Remove " + d.other, "button Remove " + second,
	} {
		if !slices.Contains(names, want) {
			t.Errorf("there is no %s; but\n%s", want, strings.Join(names, "\n"))
		}
	}
	for _, name := range names {
		if role, name, _ := strings.Cut(name, " "); name == "" && slices.Contains([]string{"button", "link", "textbox"}, role) {
			t.Errorf("a %s has no name", role)
		}
	}
	b.checkWidths("two rows")

	b.tabTo("Remove " + d.other)
	b.run(chromedp.KeyEvent(" "))
	after(t, b.said("Removed "+d.other), "blocked")
	b.wantRows(second)
	if focused := b.focused(); focused != "Remove "+second {
		t.Errorf("after the first row is removed, the focus is at %q", focused)
	}
	b.run(chromedp.KeyEvent(kb.Enter))
	after(t, b.said("Removed "+second), "blocked")
	b.wantRows()
	if focused := b.focused(); focused != "Origin" {
		t.Errorf("after the last row is removed, the focus is at %q", focused)
	}
	for _, scheme := range []string{"light", "dark"} {
		b.prefer(scheme)
		if poor := evaluate[[]string](b, contrastScript); len(poor) > 0 {
			t.Errorf("%s: contrast below 4.5:\n%s", scheme, strings.Join(poor, "\n"))
		}
	}
}

// TestPolicydDies: the page says so, what was allowed works still, rows can be written, and
// count once cors-policyd runs again, which a click starts.
func TestPolicydDies(t *testing.T) {
	d := startDemo(t)
	b := openBrowser(t)
	b.open(d.app)
	// Rows that others write are shown too.
	d.origins(t, "add", d.other)
	b.wantRows(d.other)
	there := openBrowser(t)
	there.open(d.other)
	there.works(true)

	d.killPolicyd(t)
	b.run(chromedp.WaitVisible(chromedp.CSS(`#stopped`)))
	if text := b.text("#stopped"); !strings.Contains(text, "cors-policyd has stopped. signal: killed") {
		t.Errorf("the page says %q", text)
	}
	wantOutput(t, d.output.String(), "cors-policyd has stopped (signal: killed)")
	b.screenshots("database-stopped")
	b.checkWidths("cors-policyd has stopped")
	there.open(d.other)
	there.checkCards(seenFrom(d.other, d.stranger, true))

	b.run(chromedp.Click(chromedp.CSS(`#rows tbody button`)))
	if said := b.said("Removed " + d.other); !strings.Contains(said, "once cors-policyd runs again") {
		t.Errorf("the page says %q", said)
	}
	b.run(chromedp.Click(chromedp.CSS(`#start`)), chromedp.WaitNotVisible(chromedp.CSS(`#stopped`)))
	for deadline := time.Now().Add(20 * time.Second); d.allows(t, d.other); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a row that was removed while cors-policyd was away is still allowed")
		}
	}
	b.run(chromedp.SetValue(chromedp.CSS(`#origin`), d.other), chromedp.Click(chromedp.CSS(`form.add button`)))
	after(t, b.said("Added "+d.other), "allowed")
}

// Who starts the demo again has the origins of before.
func TestRowsSurviveTheDemo(t *testing.T) {
	d, cmd := newDemo(t)
	d.origins(t, "add", d.other)
	d.start(t, cmd)
	for deadline := time.Now().Add(5 * time.Second); !d.allows(t, d.other); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a row from before the start isn't allowed")
		}
	}
}

func TestDemoTellsThatPolicydDoesNotStart(t *testing.T) {
	d, cmd := newDemo(t)
	text, err := os.ReadFile(d.rows)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.rows, append(text, "typo: 1\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatal("the demo starts without cors-policyd")
	}
	wantOutput(t, string(out), "typo: is no known field", "demo: cors-policyd doesn't serve, but has ended: exit status 1")
}

// allows asks as a page of an origin would.
func (d *demo) allows(t *testing.T, origin string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.database+"/probe", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", origin)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.Header.Get("Access-Control-Allow-Origin") == origin
}

// origins runs the command that the banner proposes.
func (d *demo) origins(t *testing.T, verb, origin string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(root, "build/cors-policyd"),
		"origins", verb, "-c", d.rows, "--policy", "tenants", origin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// killPolicyd ends cors-policyd, which the demo has started, without a word.
func (d *demo) killPolicyd(t *testing.T) {
	t.Helper()
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", d.cmd.Process.Pid))
	for _, list := range lists {
		children, _ := os.ReadFile(list)
		for child := range strings.FieldsSeq(string(children)) {
			name, _ := os.ReadFile("/proc/" + child + "/comm")
			pid, err := strconv.Atoi(child)
			if err == nil && strings.TrimSpace(string(name)) == "cors-policyd" {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				return
			}
		}
	}
	t.Fatal("cors-policyd doesn't run")
}

// wantRows waits until the table has these origins.
func (b *chromium) wantRows(origins ...string) {
	b.t.Helper()
	want, _ := json.Marshal(append([]string{}, origins...))
	b.run(ignore(chromedp.Poll[bool](fmt.Sprintf(
		`JSON.stringify([...document.querySelectorAll('#rows tbody tr')].map((row) => row.dataset.origin)) === %q`, want))))
}

// said waits for the newest entry of what came of a click, which begins with a text.
func (b *chromium) said(begin string) string {
	b.t.Helper()
	b.run(ignore(chromedp.Poll[bool](fmt.Sprintf(`document.querySelector('#times li')?.innerText.startsWith(%q)`, begin))))
	return b.text("#times li")
}

func (b *chromium) text(selector string) string {
	b.t.Helper()
	return evaluate[string](b, fmt.Sprintf(`document.querySelector(%q).innerText`, selector))
}

// after reads the time until something was done for the first time.
func after(t *testing.T, said, done string) int {
	t.Helper()
	m := regexp.MustCompile(`table (\d+) ms after the click, ` + done + ` after (\d+) ms, at request \d+ of its page\.`).FindStringSubmatch(said)
	if m == nil {
		t.Fatalf("the page says %q", said)
	}
	written, _ := strconv.Atoi(m[1])
	ms, _ := strconv.Atoi(m[2])
	if written <= 0 || ms < written {
		t.Errorf("the page says %q", said)
	}
	return ms
}

// works waits until the page's own requests are allowed, or refused, and have all been made.
func (b *chromium) works(allowed bool) {
	b.t.Helper()
	b.run(ignore(chromedp.Poll[bool](fmt.Sprintf(
		`document.getElementById('registered').hidden !== %t && document.documentElement.dataset.state === 'pass'`, allowed))))
}

// checkWidths checks that the page fits screens of all sizes.
func (b *chromium) checkWidths(with string) {
	b.t.Helper()
	for _, width := range []int64{320, 360, 768, 1280, 1920} {
		b.run(chromedp.EmulateViewport(width, 900))
		if over := evaluate[int](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
			b.t.Errorf("with %s, at a width of %d the page is %d pixels too wide", with, width, over)
		}
	}
}

// tabTo presses Tab until what has a name is focused.
func (b *chromium) tabTo(name string) {
	b.t.Helper()
	for range 50 {
		if b.focused() == name {
			return
		}
		b.run(chromedp.KeyEvent(kb.Tab))
	}
	b.t.Fatalf("Tab doesn't lead to %q", name)
}

// focused returns the accessible name of what is focused.
func (b *chromium) focused() string {
	b.t.Helper()
	for _, node := range b.tree() {
		for _, property := range node.Properties {
			if property.Name == accessibility.PropertyNameFocused && value(node.Role) != "RootWebArea" {
				return value(node.Name)
			}
		}
	}
	return ""
}

// names returns the role and the accessible name of everything.
func (b *chromium) names() (names []string) {
	b.t.Helper()
	for _, node := range b.tree() {
		names = append(names, value(node.Role)+" "+value(node.Name))
	}
	return names
}

func (b *chromium) tree() []*accessibility.Node {
	b.t.Helper()
	tree, err := chromedp.Call(b.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		b.t.Fatal(err)
	}
	return slices.DeleteFunc(tree.Nodes, func(n *accessibility.Node) bool { return n.Ignored })
}

func value(v *accessibility.Value) (text string) {
	if v != nil {
		_ = json.Unmarshal(bytes.TrimSpace(v.Value), &text) // others than texts are ""
	}
	return text
}
