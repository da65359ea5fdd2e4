package browser_test

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const editorPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Editor</title>
<link rel="stylesheet" href="style.css">
<style>main { padding: 1rem; } #editor { min-height: 16rem; }</style>
<main>
  <h1>Editor</h1>
  <button>Before</button>
  <div id="editor"></div>
  <button>After</button>
</main>
<script type="module">
import { createEditor } from './editor.js';
import { loadEngine } from './engine.js';
window.changes = 0;
window.editor = createEditor(document.getElementById('editor'),
	{ engine: await loadEngine(), text: '', label: 'Policy', onChange: () => { window.changes += 1; } });
document.documentElement.dataset.state = 'ready';
</script>`

// openEditor opens a page with an editor of a text.
func openEditor(t *testing.T, text string) *chromium {
	t.Helper()
	b := openBrowser(t)
	b.run(chromedp.Navigate(servePage(t, map[string]string{"editor.html": editorPage})+"/editor.html"),
		ignore(chromedp.Poll[bool](`document.documentElement.dataset.state === 'ready'`)))
	b.write(text)
	return b
}

// write has the editor show a text, with the cursor in place of "|", if there is one.
func (b *chromium) write(text string) {
	b.t.Helper()
	before, after, _ := strings.Cut(text, "|")
	b.run(ignore(chromedp.Evaluate[chromedp.Void](
		`editor.setText(` + quote(before+after) + `); editor.select(` + quote(before) + `.length); 0`)))
}

func quote(text string) string { return "`" + strings.ReplaceAll(text, `\`, `\\`) + "`" }

// written is what the editor has.
func (b *chromium) written() string {
	b.t.Helper()
	return evaluate[string](b, `editor.getText()`)
}

const (
	offered = `[...document.querySelectorAll('.cm-tooltip-autocomplete li')].map((li) => li.textContent)`
	isOpen  = `document.querySelector('.cm-tooltip-autocomplete li[aria-selected]') !== null`
)

// TestCompletion: the editor offers what the schema has for the place, and writes it with what
// belongs to it.
func TestCompletion(t *testing.T) {
	b := openEditor(t, "")
	for _, test := range []struct {
		name, text, typed string
		offers            string // the first ones
		want              string // once the first is taken
	}{
		{"a field", `{"allow_origins": ["*"], |}`, `"allow_m`, "allow_methods", `{"allow_origins": ["*"], "allow_methods": []}`},
		{"without its quote", `{|}`, `max_a`, "max_age", `{"max_age": }`},
		{"in lowerCamelCase, it is there", `{"allowMethods": [], |}`, `"allow_`,
			"allow_origins allow_headers", `{"allowMethods": [], "allow_origins": []}`},
		{"before another", `{|"mode": "off"}`, `nam`, "name", `{"name": "","mode": "off"}`},
		{"after one without a comma", `{"mode": "off" |}`, `"na`, "name", `{"mode": "off", "name": ""}`},
		{"the name of a field that has a value", `{"|": []}`, `expose`, "expose_headers", `{"expose_headers": []}`},
		{"a word", `{"mode": |}`, `"`, `"enforce" "shadow" "off"`, `{"mode": "enforce"}`},
		{"a part of a word", `{"mode": "|"}`, `sh`, `"shadow"`, `{"mode": "shadow"}`},
		{"true or false", `{"allow_credentials": |}`, `t`, `true`, `{"allow_credentials": true}`},
		{"a number", `{"preflight_status": |}`, `2`, `200 204`, `{"preflight_status": 200}`},
		{"an entry of a list", `{"allow_methods": ["PUT", |]}`, `"PA`, `"PATCH"`, `{"allow_methods": ["PUT", "PATCH"]}`},
		{"deep down", `{"policies": [{"match": {"paths": [{|}]}}]}`, `"pre`, `prefix`,
			`{"policies": [{"match": {"paths": [{"prefix": ""}]}}]}`},
		{"in the other spelling's object", `{"policies": [{"originLookup": {|}}]}`, `"clu`, `cluster`,
			`{"policies": [{"originLookup": {"cluster": ""}}]}`},
		{"of a list of policies", `{"policies": [], |}`, `"d`, `defaults`, `{"policies": [], "defaults": {}}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			b.t = t
			b.write(test.text)
			b.run(chromedp.KeyEvent(test.typed), ignore(chromedp.Poll[bool](isOpen)))
			if got := strings.Join(evaluate[[]string](b, offered), " "); !strings.HasPrefix(got+" ", test.offers+" ") {
				t.Errorf("offered %s, want %s", got, test.offers)
			}
			// Enter would have to wait: what appears just as one presses it is not what is meant.
			b.run(chromedp.Click(chromedp.CSS(`.cm-tooltip-autocomplete li[aria-selected]`)))
			b.run(chromedp.KeyEvent(kb.Escape))
			if got := b.written(); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// TestFindings: what is wrong is shown where it stands, and mended by a button.
func TestFindings(t *testing.T) {
	t.Parallel()
	b := openEditor(t, `{"allow_origins": ["https://App.example", "ä𝄞"], "max_age": 99999|}`)
	marked := evaluate[[]string](b, `[...document.querySelectorAll('.cm-lintRange-error')].map((n) => n.textContent)`)
	if got := strings.Join(marked, " "); got != `"https://App.example" "ä𝄞" 99999` {
		t.Errorf("marked: %s", got)
	}
	selected := func() string { return evaluate[string](b, `getSelection().toString()`) }
	b.write(`|` + b.written())
	for _, want := range []string{`"https://App.example"`, `"ä𝄞"`, `99999`, `"https://App.example"`} {
		b.run(chromedp.KeyEvent(kb.F8))
		if got := selected(); got != want {
			t.Errorf("F8 leads to %s, want %s", got, want)
		}
		b.run(ignore(chromedp.Poll[bool](`document.querySelector('.cm-announced').innerText.startsWith('error: ')`))) // to who listens
	}
	b.run(chromedp.KeyEvent(".", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	if got := b.written(); !strings.HasPrefix(got, `{"allow_origins": ["https://app.example", `) {
		t.Errorf("mended: %s", got)
	}
	b.run(chromedp.KeyEvent(kb.F8, chromedp.KeyModifiers(chromedp.ModifierShift)))
	if got := selected(); got != `99999` {
		t.Errorf("Shift+F8 leads to %s", got)
	}
	// With the mouse.
	at := evaluate[[]float64](b, `(() => {
		const r = document.querySelector('.cm-lintRange-error').getBoundingClientRect();
		return [r.x + r.width / 2, r.y + r.height / 2];
	})()`)
	const tooltip = `.cm-tooltip-lint`
	b.run(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, at[0], at[1]),
		ignore(chromedp.Poll[bool]("document.querySelector('"+tooltip+"') !== null")))
	if got := b.text(tooltip); !strings.HasPrefix(got, `allow_origins[1]: "ä𝄞" `) {
		t.Errorf("over the second, the mouse shows %q", got)
	}
	b.axe("with a finding shown")
	b.screenshots("editor-findings")
	if changes := evaluate[int](b, `changes`); changes < 2 {
		t.Errorf("told of %d changes", changes)
	}
}

// TestEditorByKeyboard: Tab indents, and Escape and Tab lead out of the editor, which says so.
func TestEditorByKeyboard(t *testing.T) {
	t.Parallel()
	b := openEditor(t, `{"mode": "off"}`)
	b.run(chromedp.Focus(chromedp.CSS(`button`)))
	b.tabTo("Policy")
	b.run(chromedp.KeyEvent(kb.Tab))
	if got := b.written(); got != `  {"mode": "off"}` {
		t.Errorf("Tab has made %q", got)
	}
	b.run(chromedp.KeyEvent(kb.Escape), chromedp.KeyEvent(kb.Tab))
	if got := b.focused(); got != "After" {
		t.Errorf("Escape and Tab lead to %q", got)
	}
	b.run(chromedp.KeyEvent(kb.Tab, chromedp.KeyModifiers(chromedp.ModifierShift)))
	if got := b.focused(); got != "Policy" {
		t.Errorf("Shift+Tab leads to %q", got)
	}
	found := false
	for _, node := range b.tree() {
		if value(node.Name) == "Policy" {
			found = strings.Contains(value(node.Description), "press Escape, and then Tab")
		}
	}
	if !found {
		t.Error("the editor doesn't say how to leave it")
	}
}

// TestEditorLooks: the editor can be read and used on every screen, in every colour scheme.
func TestEditorLooks(t *testing.T) {
	t.Parallel()
	b := openEditor(t, `{
  "allow_origins": ["https://`+strings.Repeat("a", 60)+"."+strings.Repeat("b", 60)+"."+strings.Repeat("c", 60)+`.example"],
  "max_age": 99999, "mode": "shadow", "debug": true|
}`)
	for _, scheme := range []string{"light", "dark"} {
		b.prefer(scheme)
		b.checkWidths("a long line in the editor, " + scheme)
		b.axe("in " + scheme)
		b.run(chromedp.EmulateViewport(1280, 900))
	}
	b.write(`{|}`)
	b.run(chromedp.KeyEvent(`"`), ignore(chromedp.Poll[bool](isOpen)))
	b.screenshots("editor-completion")
	b.run(chromedp.EmulateViewport(320, 640))
	b.checkWidths("what may be written")
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "forced-colors", Value: "active"}},
	}); err != nil {
		t.Fatal(err)
	}
	// The colours are the system's, and the arrow keys scroll what is offered.
	b.axe("in high contrast", "color-contrast", "scrollable-region-focusable")
	b.screenshot("editor-contrast")
}
