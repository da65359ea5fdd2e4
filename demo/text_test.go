package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// asCode finds what makes HTML or code of a text, and asHTML what does in a page's own HTML.
var (
	asCode = regexp.MustCompile(`\b(innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|setHTML\w*|DOMParser|` +
		`srcdoc|eval|execScript|Function)\b|\.constructor\b|document\.write|javascript:|set(?:Timeout|Interval)\(['"` + "`" + `]`)
	asHTML = regexp.MustCompile(`(?i)\son\w+\s*=|javascript:|<script(?:\s+type="module")?\s*>`)
)

// own is what the page itself has of that: its scenarios are code that it both shows and runs, and a
// frame of another origin, which no policy of content has to allow, has a script of its own.
var own = map[string]string{
	"web/send.js": ".constructor", "web/frame.html": `<script type="module">`,
}

// The page writes what comes from elsewhere as text: policies, answers, HAR files, links. Nothing in
// its source makes HTML or code of a text, and its HTML has no script of its own that a policy of
// content would have to allow.
func TestPageWritesText(t *testing.T) {
	scripts := 0
	for folder, names := range map[string]string{"web": "", "npm": "codemirror.js"} {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || names != "" && entry.Name() != names {
				return err
			}
			pattern := map[string]*regexp.Regexp{".js": asCode, ".html": asHTML, ".svg": asHTML}[filepath.Ext(path)]
			if pattern == nil {
				return nil
			}
			scripts++
			text, err := os.ReadFile(path)
			if found := string(pattern.Find(text)); found != "" && own[filepath.ToSlash(path)] != found {
				t.Errorf("%s has %q", path, found)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if scripts < 20 {
		t.Errorf("%d files", scripts)
	}
	for text, want := range map[string]bool{
		"e.innerHTML = x": true, "eval(x)": true, "setTimeout('x()', 1)": true, "retrieval(x)": false, "e.textContent = x": false,
		"setTimeout(() => x(), 1)": false,
	} {
		if asCode.MatchString(text) != want {
			t.Errorf("%s: %t", text, !want)
		}
	}
	for text, want := range map[string]bool{
		`<a onclick="x()">`: true, "<script>x()": true, `<script type="module" src="app.js">`: false, `<p class="on">`: false,
	} {
		if asHTML.MatchString(text) != want {
			t.Errorf("%s: %t", text, !want)
		}
	}
}
