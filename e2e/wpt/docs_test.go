package wpt_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/docs"
)

// A left is what of a file of WPT is not told here.
type left struct {
	file     string
	subtests int
	why      string
}

// Why subtests are not told.
const (
	ofBrowser = "about the browser alone"
	ofAPI     = "about the script's interface"
	noCORS    = "no CORS request"
	twin      = "the same as another one"
	setup     = "only prepares or cleans up"
	ofOthers  = "about another server's part"
)

// leftOut is what of the files that were looked at is not told.
var leftOut = []left{
	{"cors/allow-headers.htm", 44, twin + ": all stand in `cors/origin.htm`"},
	{"cors/credentials-flag.htm", 1, ofAPI + ": setting withCredentials"},
	{"cors/image-tainting-in-cross-origin-iframe.sub.html", 1, noCORS + ": an image and a canvas"},
	{"cors/preflight-cache-partitioning.sub.window.js", 1, ofBrowser + ": whose cache has an answer"},
	{"cors/request-headers.htm", 2, ofAPI + ": when a header may be set"},
	{"cors/response-headers.htm", 1, ofAPI + ": a name with white space"},
	{"fetch/api/cors/cors-cookies-redirect.any.js", 2, setup},
	{"fetch/api/cors/cors-cookies.any.js", 3, ofBrowser + ": which server has a cookie"},
	{"fetch/api/cors/cors-keepalive.any.js", 40, ofBrowser + ": requests of a page that is left"},
	{"fetch/api/cors/cors-preflight-referrer.any.js", 10, ofBrowser + ": its Referer"},
	{"fetch/api/cors/data-url-iframe.html", 2, noCORS + ": a data: URL is asked"},
	{"fetch/api/cors/data-url-shared-worker.html", 2, noCORS + ": a data: URL is asked"},
	{"fetch/api/cors/data-url-worker.html", 2, noCORS + ": a data: URL is asked"},
	{"fetch/api/redirect/redirect-origin.any.js", 10, noCORS + ": from the page's server to itself"},
	{"fetch/api/redirect/redirect-mode.any.js", 55, ofAPI + ": redirect modes, and no-cors"},
	{"fetch/api/basic/mode-same-origin.any.js", 8, noCORS + ": the mode same-origin"},
	{"xhr/access-control-preflight-credential-async.htm", 1, ofOthers + ": who asks for a password"},
	{"xhr/access-control-preflight-credential-sync.htm", 1, ofOthers + ": who asks for a password"},
	{"xhr/access-control-preflight-headers-sync.htm", 1, twin + ", synchronously"},
	{"xhr/access-control-preflight-sync-header-denied.htm", 1, twin + ", synchronously"},
	{"xhr/access-control-preflight-sync-method-denied.htm", 1, twin + ", synchronously"},
	{"xhr/access-control-preflight-sync-not-supported.htm", 1, twin + ", synchronously"},
	{"xhr/access-control-response-with-body-sync.htm", 1, ofAPI + ": the body"},
	{"xhr/access-control-response-with-body.htm", 1, ofAPI + ": the body"},
}

// section is what docs/conformance.md says of the rows.
func section() string {
	rows := all()
	type file struct{ told, rows, left int }
	files, told := map[string]*file{}, map[string]bool{}
	of := func(name string) *file {
		if files[name] == nil {
			files[name] = &file{}
		}
		return files[name]
	}
	for _, r := range rows {
		f := of(r.file)
		f.rows++
		if subtest := r.file + "\n" + r.told(); !told[subtest] {
			told[subtest] = true
			f.told++
		}
	}
	why := map[string][]string{}
	all := len(told)
	for _, l := range leftOut {
		of(l.file).left += l.subtests
		all += l.subtests
		why[l.file] = append(why[l.file], fmt.Sprintf("%d: %s", l.subtests, l.why))
	}
	text := fmt.Sprintf("\nOf %d subtests in %d files %d are told here, in %d rows. %s\nAll files, and what of them is left out:\n\n"+
		"| WPT's file | subtests | told | rows | left out |\n|---|--:|--:|--:|---|\n", all, len(files), len(told), len(rows),
		differences(rows))
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		f := files[name]
		text += fmt.Sprintf("| `%s` | %d | %d | %d | %s |\n", name, f.told+f.left, f.told, f.rows, strings.Join(why[name], "; "))
	}
	return text + "\n"
}

// differences is the table of what differs: the same reason in one file is one line.
func differences(rows []row) string {
	type key struct {
		who       who
		why, file string
	}
	count := map[key]int{}
	var keys []key
	for _, r := range rows {
		if r.differs == nil {
			continue
		}
		k := key{r.differs.who, r.differs.why, r.file}
		if count[k]++; count[k] == 1 {
			keys = append(keys, k)
		}
	}
	slices.SortStableFunc(keys, func(a, b key) int {
		return strings.Compare(string(a.who)+a.why+a.file, string(b.who)+b.why+b.file)
	})
	all, text := 0, ""
	for _, k := range keys {
		all += count[k]
		text += fmt.Sprintf("| %s | `%s` | %d | %s |\n", k.who, k.file, count[k], k.why)
	}
	return fmt.Sprintf("%d come otherwise than WPT says:\n\n"+
		"| who | WPT's file | rows | what, and why |\n|---|---|--:|---|\n%s", all, text)
}

// TestDocumented: docs/conformance.md has the files, and what differs.
func TestDocumented(t *testing.T) {
	docs.Section{Page: "conformance.md", Name: "wpt", Command: "go -C e2e test ./wpt -update"}.Check(t, section())
}

// TestRowsAreApart: no subtest is told twice in the same way.
func TestRowsAreApart(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range all() {
		if seen[r.String()] {
			t.Errorf("%s is told twice", r)
		}
		seen[r.String()] = true
	}
}
