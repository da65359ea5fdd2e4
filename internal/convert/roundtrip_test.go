package convert

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/explain"
)

// An expectation stands as a comment in an input: what becomes of a page's request by
// the documentation of the source, and so by the configuration that is made of it.
//
//	# expected: OUTCOME ORIGIN METHOD URL [+HEADER[=VALUE]]... [@ROUTE] [cookies] [-- REMARK]
//
// The outcome is "allowed" if the page gets the answer, "blocked" if the browser
// withholds it, and "untouched" if no policy applies. The remark says why; where it
// begins with "there", the source has another outcome, which isn't carried over.
var expectation = regexp.MustCompile(`^\s*# expected: (allowed|blocked|untouched)\s+(\S+)\s+(\S+)\s+(https?://\S+)\s*(.*?)\s*(?:-- .+)?$`)

// An expected outcome of a request.
type expected struct {
	outcome, route string
	browser.Request
}

// expectations are those of an input.
func expectations(t *testing.T, text string) (list []expected) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.Contains(line, "# expected:") {
			continue
		}
		found := expectation.FindStringSubmatch(line)
		if found == nil {
			t.Fatalf("%q is no expectation", line)
		}
		e := expected{outcome: found[1], Request: browser.Request{Origin: found[2], Method: found[3], URL: found[4]}}
		for word := range strings.FieldsSeq(found[5]) {
			name, isHeader := strings.CutPrefix(word, "+")
			route, isRoute := strings.CutPrefix(word, "@")
			switch {
			case isHeader:
				name, value, _ := strings.Cut(name, "=")
				e.Headers = append(e.Headers, [2]string{name, value})
			case isRoute:
				e.route = route
			case word == "cookies":
				e.CredentialsInclude = true
			default:
				t.Fatalf("%q in %q is neither a header nor a route", word, line)
			}
		}
		list = append(list, e)
	}
	return list
}

// testRoundTrip checks that the configurations made of testdata/<format> answer as the
// source would.
func testRoundTrip(t *testing.T, from string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", from, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			list := expectations(t, string(text))
			if len(list) == 0 {
				t.Fatal("it has no expectations")
			}
			result := convertText(t, from, filepath.Base(path), string(text))
			c, problems := config.Parse(result.Configuration)
			if c == nil {
				t.Fatalf("the configuration is refused: %v", problems)
			}
			for _, e := range list {
				if got := outcome(c, e); got != e.outcome {
					t.Errorf("%s %s of %s @%s %v cookies: %t is %s, want %s", e.Method, e.URL, e.Origin, e.route,
						e.Headers, e.CredentialsInclude, got, e.outcome)
				}
			}
		})
	}
}

// outcome is what becomes of a request.
func outcome(c *config.Document, e expected) string {
	exchange := explain.Run(c.Policies.Lookup(explain.Key(e.URL, e.route)), e.Request, cors.NotLookedUp)
	switch d := exchange.Decision(); {
	case d == nil || d.Untouched():
		return "untouched"
	case exchange.Blocked != nil:
		return "blocked"
	}
	return "allowed"
}
