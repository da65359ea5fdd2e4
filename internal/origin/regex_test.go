package origin

import (
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"

	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// compileOne compiles a set of one regex, and returns what was found, "error: …" or
// "warning: …".
func compileOne(expr string, credentials bool) (set *Set, problem string, found problem.Problem) {
	set, problems := compileAll([]Entry{{Text: expr, Regex: true}}, credentials, NewRegexBudget())
	for _, found := range problems {
		kind := "error: "
		if found.Warning {
			kind = "warning: "
		}
		problem += kind + found.What + "; " + found.Instead
	}
	if len(problems) > 0 {
		found = problems[0]
	}
	return set, problem, found
}

// TestRegexHoles: what a regex matches of other owners' sites, with credentials and
// without, and what was meant. want is "" for a regex that is right.
func TestRegexHoles(t *testing.T) {
	for _, test := range []struct{ expr, hole, meant string }{
		// No boundary before the domain.
		{`https://.*example\.com`, "https://evilexample.com", `https://(.*\.)?example\.com`},
		{`https://.+example\.com`, "https://evilexample.com", `https://(.+\.)?example\.com`},
		{`https://[a-z0-9-]+example\.com`, "https://evilexample.com", `https://([a-z0-9-]+\.)?example\.com`},
		{`https://[^.]*example\.com`, "https://evilexample.com", `https://([^.]*\.)?example\.com`},
		{`https://(.*)example\.com`, "https://evilexample.com", `https://(.*\.)?example\.com`},
		{`https://(.*)?example\.com`, "https://evilexample.com", `https://(.*\.)?example\.com`},
		{`https://.*\.?example\.com`, "https://evilexample.com", `https://(.*\.)?example\.com`},
		{`https://(.*\.?)example\.com`, "https://evilexample.com", `https://(.*\.)?example\.com`},
		{`https://([a-z]+\.?)?example\.com`, "https://evilexample.com", `https://([a-z]+\.)?example\.com`},
		{`https://.*-example\.com`, "https://evil-example.com", ""},
		{`https://pr-[0-9]+example\.com`, "https://pr-00example.com", `https://pr-[0-9]+\.example\.com`},
		{`(?i)https://.*example\.com`, "https://evilexample.com", `(?i)https://(.*\.)?example\.com`},
		{`https://.*example\.com(:[0-9]+)?`, "https://evilexample.com", `https://(.*\.)?example\.com(:[0-9]+)?`},
		{`https://.*example\.com:8443`, "https://evilexample.com:8443", `https://(.*\.)?example\.com:8443`},
		{`^https://.*example\.com$`, "https://evilexample.com", `^https://(.*\.)?example\.com$`},
		{`https://.*example\.co\.uk`, "https://evilexample.co.uk", `https://(.*\.)?example\.co\.uk`},
		{`https://(app|.*)example\.com`, "https://evilexample.com", ""},
		{`https://.*example\.(com|org)`, "https://evilexample.org", `https://(.*\.)?example\.(com|org)`},
		{`https://\S*example\.com`, "https://evilexample.com", `https://(\S*\.)?example\.com`},
		{`https://a\.example\.com|https://.*example\.org`, "https://evilexample.org", ""},
		{`https://(?:.*\b)?example\.com`, "https://evil-example.com", ""},
		// A dot that matches any character.
		{`https://app.example.com`, "https://appxexample.com", `https://app\.example\.com`},
		{`https://app\.example.com`, "https://app.examplexcom", `https://app\.example\.com`},
		{`https://app.example\.com`, "https://appxexample.com", `https://app\.example\.com`},
		{`https://.*.example.com`, "https://evilexample.com", `https://.*\.example\.com`},
		{`https://[a-z]+.example.com`, "", `https://[a-z]+\.example\.com`},
		{`https://(a|b).example.com`, "", `https://(a|b)\.example\.com`},
		{`https://example.co.uk`, "", `https://example\.co\.uk`},
		{`https://[\w.-]+example\.com`, "https://evilexample.com", `https://([\w.-]+\.)?example\.com`},
		// What may follow the domain.
		{`https://app\.example\.com.*`, "https://app.example.com.evil.example", `https://app\.example\.com(:[0-9]+)?`},
		{`https://app\.example\.com.*$`, "https://app.example.com.evil.example", `https://app\.example\.com(:[0-9]+)?`},
		{`https://app\.example\.com[^/]*`, "https://app.example.com.evil.example",
			`https://app\.example\.com(:[0-9]+)?`},
		{`https://app\.example\.com(.*)`, "https://app.example.com.evil.example",
			`https://app\.example\.com(:[0-9]+)?`},
		{`https://app.*`, "", ""},
		{`https://app\..*\.com`, "", ""},
		{`https://app\.example\.[a-z]+`, "", ""},
		{`https://app\.example\.[a-z]{2,3}`, "", ""},
		{`https://example\.(com|[a-z]{2})`, "", ""},
		{`https://example\.co(m|\.[a-z]{2})`, "", ""},
		{`https://[a-z]{3}\.com`, "", ""},
		{`https://[0-9]+shop\.com`, "", ""},
		// A wildcard over a public suffix, or over a domain that has some below it.
		{`https://.*\.github\.io`, "https://evil.github.io", `https://my-name\.github\.io`},
		{`https://[^.]+\.vercel\.app`, "https://evil.vercel.app", `https://my-name\.vercel\.app`},
		{`https://my-app-[a-z0-9]+\.vercel\.app`, "", `https://my-name\.vercel\.app`},
		{`https://([a-z]+\.)?netlify\.app`, "https://evil.netlify.app", `https://my-name\.netlify\.app`},
		{`https://[a-z0-9-]+\.co\.uk`, "", ""},
		{`https://[a-z0-9-]+\.com\.au`, "https://evil.com.au", `https://my-name\.com\.au`},
		{`https://.*\.amazonaws\.com`, "https://evil.amazonaws.com", `https://my-name\.amazonaws\.com`},
		{`https://.*\.kobe\.jp`, "https://evil.kobe.jp", ""},
		{`https://.*\.any\.kobe\.jp`, "https://evil.any.kobe.jp", ""},
		{`https://.*\.ck`, "https://evil.ck", ""},
		{`https://[a-z]+`, "https://evil", ""},
		{`https://[a-z]+\.s3\.amazonaws\.com`, "https://evil.s3.amazonaws.com", ""},
		{`https://.*github\.io`, "", ""},
		{`https://(.*\.)*github\.io`, "https://evil.github.io", ""},
		{`https://(www|.*)\.github\.io`, "", ""},
		{`https://.*\.com\.`, "", ""},
		{`https://[a-z0-9]+--my-site\.netlify\.app`, "https://evil--my-site.netlify.app",
			`https://([a-z0-9-]+\.)*my-site\.netlify\.app`},
		{`https://deploy-preview-\d+--my-site\.netlify\.app`, "", `https://([a-z0-9-]+\.)*my-site\.netlify\.app`},
		// Names of deployments, whose end is no site of one's own.
		{`https://app-[0-9]+\.herokuapp\.com`, "", `https://my-name\.herokuapp\.com`},
		{`https://my-app-git-[a-z0-9-]+-my-team\.vercel\.app`, "", `https://my-name\.vercel\.app`},
		{`https://.*-my-project\.web\.app`, "https://evil-my-project.web.app", `https://my-name\.web\.app`},
		{`https://example[0-9]+\.com`, "", `https://my-name\.com`},
		// What is counted is no name: a.org has another owner.
		{`https://example-[abcd]+\.org`, "https://example-aa.org", `https://my-name\.org`},
		{`https://appx+\.com`, "", `https://my-name\.com`},
		{`https://.*-example\.com`, "https://evil-example.com", `https://([a-z0-9-]+\.)*example\.com`},
		// With a port that isn't any.
		{`https://.*:[0-9]{4}`, "", ""},
		{`https://.*\.github\.io:\d{4}`, "https://evil.github.io:1000", ""},
		{`https://.*:(44|45)3`, "", ""},
		{`https://.*example\.com:[0-9]{3,5}`, "https://evilexample.com:100", ""},
		// Addresses.
		{`https://203\.0\..*`, "", ""},
		{`https://192\.168\..*`, "", `https://192\.168\.[0-9]+\.[0-9]+`},
		{`https://10\..*`, "", `https://10\.[0-9]+\.[0-9]+\.[0-9]+`},
		{`https://[0-9]+\.0\.0\.1`, "", ""},
		{`https://203\.0\.[0-9]+\.[0-9]+`, "", ""},
		{`https://\[[0-9a-f:]+\]`, "", ""},
		{`https://\[2001:[0-9a-f:]+\]`, "", ""},
	} {
		for _, credentials := range []bool{true, false} {
			p, problem, found := compileOne(test.expr, credentials)
			if problem == "" && !credentials {
				if c, _, _, _ := compileRegex(test.expr, NewRegexBudget()); examine(c, NewRegexBudget()).everySite {
					continue // which may be meant
				}
			}
			if problem == "" || credentials != (p == nil) {
				t.Errorf("%s, credentials %t: %q", test.expr, credentials, problem)
				continue
			}
			everySite := strings.Contains(problem, "matches every site")
			if !everySite && test.hole != "" && !strings.Contains(found.What, `also matches "`+test.hole+`"`) {
				t.Errorf("%s, credentials %t: %q doesn't name %s", test.expr, credentials, problem, test.hole)
			}
			if test.meant != "" && suggestion(t, found.Instead) != test.meant {
				t.Errorf("%s, credentials %t: %q doesn't suggest %s", test.expr, credentials, problem, test.meant)
			}
			checkKind(t, found)
			checkHole(t, test.expr, found)
			checkSuggestion(t, found, credentials)
		}
	}
}

// checkKind checks that what is said about what a regex matches is of the kind that code
// knows it by.
func checkKind(t *testing.T, found problem.Problem) {
	t.Helper()
	for words, kind := range map[string]problem.Kind{
		" matches every site": problem.EverySite, " matches plain-http": problem.PlainHTTP,
		` also matches "`:    problem.OtherOwners,
		" matches no origin": problem.NeverSent, ` matches "null"`: problem.RegexNull,
		" is too complex": problem.RegexTooCostly,
	} {
		if strings.Contains(found.What, words) && found.Kind != kind {
			t.Errorf("%s is of the kind %s", found.What, found.Kind)
		}
	}
}

// checkHole checks that a regex does match what the message says it matches.
func checkHole(t *testing.T, expr string, found problem.Problem) {
	t.Helper()
	_, rest, ok := strings.Cut(found.What, ` also matches "`)
	if !ok {
		return
	}
	origin, _, _ := strings.Cut(rest, `"`)
	if a, _, _, _ := compileRegex(expr, NewRegexBudget()); !strings.Contains(origin, "…") && !a.MatchString(origin) {
		t.Errorf("%s doesn't match %s", expr, origin)
	}
}

// suggestion is the regex that a message suggests, or "".
func suggestion(t *testing.T, instead string) string {
	t.Helper()
	i := strings.Index(instead, `{"regex"`)
	if i < 0 {
		return ""
	}
	var entry struct{ Regex string }
	if err := json.NewDecoder(strings.NewReader(instead[i:])).Decode(&entry); err != nil {
		t.Errorf("%q: %v", instead, err)
	}
	return entry.Regex
}

// checkSuggestion checks that what a message suggests is accepted without a word.
func checkSuggestion(t *testing.T, found problem.Problem, credentials bool) {
	t.Helper()
	if quoted, ok := strings.CutPrefix(found.Instead, `write "`); ok &&
		strings.HasSuffix(quoted, ", which is no regex") {
		entry, _, _ := strings.Cut(quoted, `"`)
		if _, problems := compileAll([]Entry{{Text: entry}}, credentials, NewRegexBudget()); len(problems) > 0 {
			t.Errorf("%s: the suggestion %s is wrong itself: %v", found.What, entry, problems)
		}
		return
	}
	meant := suggestion(t, found.Instead)
	if meant == "" {
		if strings.Contains(found.Instead, "write {") {
			t.Errorf("%s: no regex in %q", found.What, found.Instead)
		}
		return
	}
	if _, problem, _ := compileOne(meant, credentials); problem != "" {
		t.Errorf("%s: the suggestion %s is wrong itself: %s", found.What, meant, problem)
	}
	if _, rest, ok := strings.Cut(found.Instead, `, or "`); ok {
		entry, _, _ := strings.Cut(rest, `"`)
		if _, problems := compileAll([]Entry{{Text: entry}}, credentials, NewRegexBudget()); len(problems) > 0 {
			t.Errorf("%s: the suggestion %s is wrong itself: %v", found.What, entry, problems)
		}
	}
}

// TestGoodRegexes: what careful operators write is accepted without a word.
func TestGoodRegexes(t *testing.T) {
	for _, expr := range []string{
		`https://[a-z0-9-]+\.example\.com`,
		`https://([a-z0-9-]+\.)*example\.com(:[0-9]+)?`,
		`https://([a-z0-9-]+\.)?example\.com`,
		`https://(app|admin)\.example\.(com|de|co\.uk)`,
		`https://(a|b)\.example\.(com|org)`,
		`https://pr-[0-9]+\.preview\.example\.com`,
		`https://[a-z0-9-]+\.my-team\.vercel\.app`,
		`https://my-team\.github\.io`,
		`https://(.*\.my-team|other|.*\.third)\.github\.io`,
		`https://(my-team|other)\.github\.io(:\d+)?`,
		`https://.*\.example\.com`,
		`https://.+\.example\.com`,
		`https://(.*\.)?example\.com`,
		`https://(.+\.|)example\.com`,
		`^https://[^.]+\.example\.com$`,
		`^https://a\.example\.com$|^https://b\.example\.org$`,
		`\Ahttps://a\.example\.com\z`,
		`(?i)https://[a-z]+\.example\.com`,
		`(?i)^HTTPS://App\.Example\.com$`,
		`https:\/\/app\.example\.com`,
		`https[:]//app[.]example[.]com`,
		`https://\Qapp.example.com\E`,
		`https://(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+example\.com`,
		`https://[a-z0-9.-]{1,253}\.example\.com`,
		`https://app-[a-z0-9]{8}\.example\.com:8443`,
		`https://app[0-9]\.example\.com(:(3000|3001))?`,
		`https://shop[1-9]\.com`,
		`https://(alpha|beta|carrot|delta|echo|fox|golf|hotel|india|juliet|kilo|lima|mike|november|oscar|papa|quebec|romeo|sierra|tango)\.com`,
		`https://amazon\.(com|de|fr|es|it|nl|pl|se|ca|in|co\.uk|co\.jp|com\.au|com\.br|com\.mx|com\.tr|sg|ae|sa|eg)`,
		`https://app\.example\.com\.?`,
		`https://.*\.example\.com\.`,
		`https://.*\.city\.kobe\.jp`,
		`https://.*\.www\.ck`,
		`https://my-bucket\.s3\.amazonaws\.com`,
		`https://[a-z]+\.my-bucket\.s3\.amazonaws\.com`,
		`https://.*\.xn--bcher-kva\.example\.com`,
		`https://localhost(:[0-9]+)?`,
		`http://localhost:[0-9]+`,
		`https?://localhost(:\d+)?`,
		`http://[a-z]+\.localhost(:[0-9]+)?`,
		`http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?`,
		`http://127\.[0-9]+\.[0-9]+\.[0-9]+`,
		`(http://localhost|https://app\.example\.com)(:\d+)?`,
		`https://intranet`,
		`https://192\.168\.[0-9]+\.[0-9]+(:[0-9]+)?`,
		`https://10\.0\.0\.[0-9]{1,3}`,
		`https://172\.(1[6-9]|2[0-9]|3[01])\.\d+\.\d+`,
		`https://203\.0\.113\.[0-9]+`,
		`https://\[fd12:[0-9a-f:]+\]`,
		`https://\[2001:db8:1:[0-9a-f:]+\]`,
		`https://\[::1\](:[0-9]+)?`,
		`capacitor://localhost`,
		`(capacitor|ionic|tauri)://localhost|https://app\.example\.com`,
		`app://-`,
		`app://.*`,
		`file://`,
		`moz-extension://[0-9a-f-]{36}`,
		`chrome-extension://[a-p]{32}`,
		`safari-web-extension://[0-9A-F-]{36}`,
	} {
		for _, credentials := range []bool{true, false} {
			if _, problem, _ := compileOne(expr, credentials); problem != "" {
				t.Errorf("%s, credentials %t: %s", expr, credentials, problem)
			}
		}
	}
}

// TestUselessRegexes: what matches no origin is accepted with a warning, which says
// why, and what was meant.
func TestUselessRegexes(t *testing.T) {
	for _, test := range []struct{ expr, because, meant string }{
		{`/^https:\/\/app\.example\.com$/`, "the slashes around it", `^https:\/\/app\.example\.com$`},
		{`/^https:\/\/app\.example\.com$/i`, "the slashes around it", `^https:\/\/app\.example\.com$`},
		{`/https:\/\/.*\.example\.com/`, "the slashes around it", `https:\/\/.*\.example\.com`},
		{`/^https:\/\/.*example.com$/`, "the slashes around it", `^https:\/\/(.*\.)?example\.com$`},
		{`https://app\.example\.com/`, "its path", `https://app\.example\.com`},
		{`https://app\.example\.com/.*`, "its path", `https://app\.example\.com`},
		{`^https://[a-z]+\.example\.com/login$`, "its path", `^https://[a-z]+\.example\.com`},
		{`https://app\.example\.com:443`, "its port, the scheme's default", `https://app\.example\.com`},
		{`http://localhost:80`, "its port, the scheme's default", `http://localhost`},
		{`^https://app\.example\.com:443$`, "its port, the scheme's default", `^https://app\.example\.com$`},
		{`https://App\.Example\.com`, "its upper-case letters", `https://app\.example\.com`},
		{`HTTPS://app\.example\.com`, "its upper-case letters", `https://app\.example\.com`},
		{`https://[A-Z]+\.example\.com`, "its upper-case letters", `https://[a-z]+\.example\.com`},
		{`https://^app\.example\.com$`, "the anchors in its middle", `https://app\.example\.com$`},
		{`https://app$\.example\.com`, "the anchors in its middle", `https://app\.example\.com`},
		{`https://a\\.example\\.com`, "its backslashes are doubled", `https://a\.example\.com`},
		{`"https://a\.example\.com"`, "the quotes", `https://a\.example\.com`},
		{` https://a\.example\.com`, "white space around it", `https://a\.example\.com`},
		{`^a\.example\.com$|^b\.example\.com$`, "it must match the whole origin",
			`https://(.*\.)?(a\.example\.com|b\.example\.com)`},
		{`example\.com`, "it must match the whole origin", `https://(.*\.)?example\.com`},
		{`example.com`, "it must match the whole origin", `https://(.*\.)?example\.com`},
		{`example\.com$`, "it must match the whole origin", `https://(.*\.)?example\.com$`},
		{`\.?example\.com`, "it must match the whole origin", `https://([a-z0-9-]+\.)*example\.com`},
		{`\.example\.com$`, "it must match the whole origin", `https://.*\.example\.com$`},
		{`^app\.example\.com`, "it must match the whole origin", `https://app\.example\.com`},
		{`//app\.example\.com`, "it must match the whole origin", `https://app\.example\.com`},
		{`[a-z]+\.example\.com`, "it must match the whole origin", `https://[a-z]+\.example\.com`},
		{`localhost:3000`, "it must match the whole origin", ``},
		{`https://bücher\.example`, "its characters outside ASCII", `https://xn--bcher-kva\.example`},
		{`https://(www\.)?BÜCHER\.example`, "its characters outside ASCII", ``},
		{`https://(www\.)?bücher-laden\.example`, "its characters outside ASCII",
			`https://(www\.)?xn--bcher-laden-thb\.example`},
		{`https://bü+cher\.example`, "", ``},
		{`https://`, "", ``},
		{`^https://`, "", ``},
		{`https://app\.example\.com:0443`, "", ``},
		{`https://app\.example\.com:70000`, "", ``},
		{`https://app\.example\.com:`, "", ``},
		{`https://b[üö]cher\.example`, "", ``},
		{`https://1\.2\.3`, "", ``},
		{`https://1\.2\.3\.(256|300)`, "", ``},
		{`https://\.example\.com`, "", ``},
		{`https://a\.\.example\.com`, "", ``},
		{`https://a b`, "", ``},
		{`[^\x00-\x{10FFFF}]`, "", ``},
		{`x`, "", ``},
		{`.`, "", ``},
		{`\bnull`, "", ""},
	} {
		for _, credentials := range []bool{true, false} {
			p, problem, found := compileOne(test.expr, credentials)
			checkKind(t, found)
			if p == nil || !strings.Contains(problem, "matches no origin") &&
				!strings.Contains(problem, `matches "null"`) || !strings.Contains(problem, test.because) {
				t.Errorf("%s: %q doesn't say because of %q", test.expr, problem, test.because)
				continue
			}
			if meant := suggestion(t, found.Instead); test.meant != "" && meant != test.meant {
				t.Errorf("%s: %q suggests %s, not %s", test.expr, problem, meant, test.meant)
			}
			checkSuggestion(t, found, credentials)
		}
	}
}

// TestPlainHTTPRegexes: with credentials only loopback hosts may be reached over http.
func TestPlainHTTPRegexes(t *testing.T) {
	for expr, meant := range map[string]string{
		`http://app\.example\.com`:                `https://app\.example\.com`,
		`https?://app\.example\.com`:              `https://app\.example\.com`,
		`(http|https)://app\.example\.com`:        `https://app\.example\.com`,
		`http(s)?://app\.example\.com`:            `https://app\.example\.com`,
		`^https?://([a-z]+\.)*example\.com$`:      `https://([a-z]+\.)*example\.com$`,
		`[a-z]+://app\.example\.com`:              `https://app\.example\.com`,
		`.*://app\.example\.com`:                  `https://app\.example\.com`,
		`.*\.example\.com`:                        `https://.*\.example\.com`,
		`(?i)HTTP://app\.example\.com`:            ``,
		`http://localhost\.example\.com`:          ``,
		`http://(localhost|app\.example\.com)`:    ``,
		`http://192\.168\.0\.1`:                   ``,
		`http://\[fd12::1\]`:                      ``,
		`http://a\.example|https://b\.example`:    `https://a\.example|https://b\.example`,
		`http://localhost\.|http://[a-z]+\.local`: ``,
	} {
		_, problem, found := compileOne(expr, true)
		checkKind(t, found)
		if !strings.Contains(problem, "error: ") || !strings.Contains(problem, "plain-http") &&
			!strings.Contains(problem, "also matches") {
			t.Errorf("%s: %q", expr, problem)
		}
		if got := suggestion(t, found.Instead); meant != "" && got != meant {
			t.Errorf("%s: %q suggests %s, not %s", expr, problem, got, meant)
		}
		checkSuggestion(t, found, true)
	}
}

// TestWildcardRegexes: a pattern that is written as a regex.
func TestWildcardRegexes(t *testing.T) {
	for expr, want := range map[string]string{
		`https://*.example.com`:   `write "https://*.example.com", which is no regex`,
		`*.example.com`:           `write "https://*.example.com", which is no regex`,
		`https://*.example.com:*`: `write "https://*.example.com:*", which is no regex`,
		`*.github.io`:             "write it in RE2 syntax",
	} {
		_, problem, found := compileOne(expr, true)
		if found.Instead != want {
			t.Errorf("%s: %q", expr, problem)
		}
		checkSuggestion(t, found, true)
	}
}

func TestEverySite(t *testing.T) {
	for expr, want := range map[string]bool{
		`.*`: true, `https://.*`: true, `https?://.+`: true, `https://[^/]+`: true, `https://[a-z.]+`: true,
		`https://[a-z-]+\.com`: true,
		`https://\w+\.\w+`:     true, `https://.*:8443`: true, `https://.*:3000`: true, `https://.*:[0-9]+`: true,
		`http://.*`: true, `https://.*\.net`: true,
		`https://.*\.example\.com`: false, `https://app-[0-9]+\.example`: false, `https://(.*\.)?example\.org`: false,
		`chrome-extension://[a-p]{32}`: false,
		`https://.*example\.com`:       false, `https://.*\.github\.io`: false,
	} {
		_, problem, found := compileOne(expr, true)
		if checkKind(t, found); strings.Contains(problem, "matches every site") != want {
			t.Errorf("%s: %q", expr, problem)
		}
	}
}

// TestRegexPorts: whether a regex matches an origin, whatever of a port it leaves open, is
// found out by trying all ports.
func TestRegexPorts(t *testing.T) {
	tails := []string{
		`[0-9]{4}`, `\d\d\d\d`, `[0-9]{4,5}`, `[0-9]{2,5}`, `[0-9]{3}`, `[0-9]{1}`, `[0-9]{5}`, `[0-9]{6}`, `0`, `00`,
		`0[0-9]`, `0*`, `0*80`, `[0-9]*0`, `[01]?`, `[01]+`,
		`4`, `44`, `8`, `44?`, `443`, `80`, `(44|45)3`, `4(4|5)3`, `[45]43`, `44[34]`, `4430?`, `4430`, `443[0-9]{2}`,
		`443[0-9]{3}`, `(8|9)0`, `8[01]`, `80+`, `[0-8]{2}`, `(80|443)`, `(80|443)?0`,
		`[6-9][0-9]{4}`, `[7-9][0-9]{4}`, `6553[5-9]`, `6553[6-9]`, `(0|1)2`, `0+1`, `[0-9]+5{4}`, `[0-9]*6553[6-9]`,
		`[^0-9]+`,
	}
	for i := range 200 { // of few digits, so that states are shared
		digits := func(n int) string { return []string{"0", "[04]", "4", "[48]", "[0-9]", "(0|8)", "3?", "[34]*"}[n%8] }
		tails = append(tails, digits(i)+digits(i/3)+digits(i/7)+digits(i/2))
	}
	for _, scheme := range []string{"https", "http"} {
		for _, tail := range tails {
			expr := scheme + `://localhost:` + tail
			a, _, what, _ := compileRegex(expr, NewRegexBudget())
			if what != "" {
				t.Fatal(expr, what)
			}
			matches := false
			for port := 0; port <= 65535 && !matches; port++ {
				matches = port != defaultPort(scheme) && a.MatchString(scheme+"://localhost:"+strconv.Itoa(port))
			}
			if got := !examine(a, NewRegexBudget()).nothing; got != matches {
				t.Errorf("%s: matches %t, found %t", expr, matches, got)
			}
		}
	}
}

// TestPortsTakeLittle: ports are looked for once for all hosts that end before the same
// ones, however many states a careless regex makes of either, and the work is counted.
func TestPortsTakeLittle(t *testing.T) {
	var ports []string
	for n := 10000; n < 60000; n += 167 { // each of them is a way of its own, and none is an end
		ports = append(ports, strconv.Itoa(n))
	}
	budget := NewRegexBudget()
	a, _, what, _ := compileRegex(`https://[^:/]*1[^:/]{9}:(`+strings.Join(ports, "|")+`)x`, budget)
	if what != "" {
		t.Fatal(what)
	}
	x := &examiner{a: a, scheme: "https", budget: maxExamination, begin: a.run(startState, "https://")}
	if _, ok := x.port(a.run(x.begin, "1123456789")); ok {
		t.Error("there is a port")
	}
	if steps := maxExamination - x.budget; steps < 2000 {
		t.Errorf("looking for ports counts as %d steps", steps)
	}
	x.domains()
	x.addresses()
	if x.budget < 0 {
		t.Error("ports are looked for again and again")
	}
}

// TestExaminationCutShort: an examination that comes to its end too early never says
// that a regex matches nothing, which would let it go with credentials.
func TestExaminationCutShort(t *testing.T) {
	for _, expr := range []string{`https://evil\.example`, `https://[a-z]+\.com`, `https://203\.0\.113\.[0-9]+`,
		`https://\[2001:[0-9a-f:]+\]`, `http://.*`} {
		a, _, what, _ := compileRegex(expr, NewRegexBudget())
		if what != "" {
			t.Fatal(what)
		}
		for steps := 1; steps < 1<<20; steps += steps/4 + 1 {
			if v := examine(a, &RegexBudget{steps: steps}); v.nothing {
				t.Errorf("%s: after %d steps it is said to match nothing", expr, steps)
				break
			}
		}
	}
}

// TestAdviceSpent: regexes are judged as ever when no work is left for finding out what
// to write instead of them.
func TestAdviceSpent(t *testing.T) {
	for _, credentials := range []bool{true, false} {
		for _, steps := range []int{0, 1, regexBase, 2 * regexBase, 4 * regexBase, 8 * regexBase} {
			for _, expr := range []string{`https://example\.com/`, `https://.*example\.com`,
				`https://a[^:/]*1[^:/]{9}:(10000|20000)x`} {
				r := &problem.List{}
				budget := NewRegexBudget()
				budget.advice.steps = steps
				Compile(slices.All([]Entry{{Text: expr, Regex: true}}), credentials, budget, r)
				if got := r.All(); len(got) != 1 || got[0].What == "" || got[0].Instead == "" {
					t.Errorf("%s with %d steps for advice: %v", expr, steps, got)
				}
			}
		}
	}
}
