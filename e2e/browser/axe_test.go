package browser_test

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/chromedp/chromedp"
)

// A violation is what axe-core has found wrong.
type violation struct {
	ID     string
	Impact string
	Help   string
	Nodes  []struct {
		Target         []any
		HTML           string
		FailureSummary string
	}
}

// axe fails the test if the page, as it is now, isn't accessible by the rules of axe-core:
// those of WCAG 2.2 at the levels A and AA, and what it calls best practices. With says what
// state the page is in, for the message. Rules are switched off by their names, each for a
// reason that the caller gives.
//
// See https://github.com/dequelabs/axe-core/blob/develop/doc/rule-descriptions.md.
func (b *chromium) axe(with string, off ...string) {
	b.t.Helper()
	script, err := os.ReadFile(filepath.Join(root, "build/npm/node_modules/axe-core/axe.min.js"))
	if err != nil {
		b.t.Fatalf("%v; run make playground", err)
	}
	if !evaluate[bool](b, `typeof axe === 'object'`) {
		b.run(ignore(chromedp.Evaluate[chromedp.Void](string(script) + ";0")))
	}
	const run = `axe.run(document, {resultTypes: ['violations'], rules: Object.fromEntries(
		"OFF".split(' ').filter(Boolean).map((id) => [id, {enabled: false}]))}).then((r) => r.violations)`
	violations, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]violation](
		strings.ReplaceAll(run, "OFF", strings.Join(off, " ")), chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatal("axe-core:", err)
	}
	for _, v := range violations {
		for _, n := range v.Nodes {
			b.t.Errorf("%s: %s (%s): %s\n\tat %v: %s\n\t%s", with, v.ID, v.Impact, v.Help, n.Target, n.HTML,
				strings.ReplaceAll(n.FailureSummary, "\n", "\n\t"))
		}
	}
}
