package browser_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/docs"
)

// A departure is what a browser does otherwise than the standard, or another browser where the
// standard leaves it open: a row of docs/browsers.md. What the tests compare refers to it where the
// browser does so, and fails if it doesn't.
type departure struct {
	what     string
	standard string // what the standard says, and where
	answer   string // what the filter's answers do about it, or who uses the filter
}

const fetchStandard = "https://fetch.spec.whatwg.org/"

func section(title, anchor string) string {
	return fmt.Sprintf("[%s](%s#%s)", title, fetchStandard, anchor)
}

var (
	preflightFetch = section("CORS-preflight fetch", "cors-preflight-fetch")
	safelistedName = section("CORS-safelisted request-header", "cors-safelisted-request-header")
	unsafeNames    = section("CORS-unsafe request-header names", "cors-unsafe-request-header-names")
	preflightCache = section("CORS-preflight cache", "cors-preflight-cache")
)

// The departures, in the order of the table.
var (
	starCoversAuthorization = &departure{
		"`*` in Access-Control-Allow-Headers covers Authorization, in requests without credentials",
		"It covers all but Authorization, which must be listed: " + preflightFetch + ", step 7.6",
		"`\"*\"` in `allow_headers` doesn't let Authorization pass: such a preflight gets 403, so that none lets it pass. " +
			"`[\"*\", \"Authorization\"]` has the answer name it, so that all do",
	}
	listenerNeedsMethods = &departure{
		"A preflight that the page forces, by listening to its upload, needs the method in Access-Control-Allow-Methods " +
			"even where there is no such header",
		"Without the header the request's method is taken for allowed: " + preflightFetch + ", step 7.4",
		"A method that isn't listed gets 403, so that none lets it pass; where methods are listed the answer has them",
	}
	noStreams = &departure{
		"A stream is no body for a request: its text is sent instead, and no preflight asks for it",
		"A stream as the body always asks for a preflight: " + section("new Request", "dom-request"),
		"None: the request that is made is judged as any other",
	}
	userAgentForbidden = &departure{
		"A script's User-Agent is dropped",
		"It is no " + section("forbidden request-header", "forbidden-request-header") + ", and needs a preflight",
		"None: list it in `allow_headers` for the browsers that ask",
	}
	clientHintsSafelisted = &departure{
		"DPR, Save-Data, Device-Memory, Width and Viewport-Width need no preflight",
		"They are no " + safelistedName,
		"None: list them in `allow_headers` for the browsers that ask",
	}
	linesJoined = &departure{
		"Several lines of one name are judged as one: two Accept lines of 100 bytes need a preflight",
		"Each line is judged by itself: " + unsafeNames,
		"None: list the header in `allow_headers` for the browsers that ask",
	}
	noSum = &departure{
		"Safelisted headers may be longer than 1024 bytes together",
		"Then all of them need a preflight: " + unsafeNames + ", step 5",
		"None: list the headers in `allow_headers` for the browsers that ask",
	}
	notASCIIUnsafe = &departure{
		"A byte outside ASCII in Accept or Content-Type needs a preflight",
		"It is no CORS-unsafe request-header byte: " + safelistedName,
		"None: list the header in `allow_headers` for the browsers that ask",
	}
	redirectNotNamed = &departure{
		"Of a preflight that is redirected and has no CORS headers, the console says that these are missing, and doesn't " +
			"name the redirect",
		"The CORS check comes before the status: " + preflightFetch + ", step 7",
		"None. `corsctl explain` and `corsctl probe` name the redirect, as Chromium does",
	}
	preflightAgain = &departure{
		"A request that had a preflight, and that a redirect makes a GET without anything to ask for, has one again, with " +
			"the page's Origin even where that of the request is null",
		"A preflight goes before what needs one: " + section("main fetch", "concept-main-fetch") + ", for each redirect anew",
		"A preflight for GET is allowed to whom the GET is. The answer to the GET is judged by its own Origin",
	}
	siteOfAddresses = &departure{
		"To a server at an address, such as 127.0.0.1, Sec-Fetch-Site is `cross-site` from another port of it",
		"It is `same-site`: " + "[same site](https://html.spec.whatwg.org/#same-site)",
		"None: it goes by the Origin alone",
	}
	twoHours = &departure{
		"An answer is remembered for two hours at the most",
		"It is the browser's to limit: " + preflightFetch + ", step 7.10",
		"`max_age` above that is a warning",
	}
	oneDay = &departure{
		"An answer is remembered for 24 hours at the most",
		"It is the browser's to limit: " + preflightFetch + ", step 7.10",
		"`max_age` above that is an error",
	}
	starNotRemembered = &departure{
		"A `*` in an answer that is remembered covers no later request: each method and header that only `*` allows is " +
			"asked for each time",
		"It covers them: " + section("method cache entry match", "concept-cache-match-method"),
		"With credentials the answer names what is asked for instead of `*`, which is remembered. Without, name the methods " +
			"and headers in the policy where preflights cost too much",
	}
	credentialsApart = &departure{
		"An answer to a preflight with credentials covers no request without",
		"It does: " + section("cache entry match", "concept-cache-match"),
		"None: there are more preflights",
	}
	badAgeIsZero = &departure{
		"An answer whose Access-Control-Max-Age is no number, or there twice, is not remembered at all",
		"It is remembered for 5 seconds: " + preflightFetch + ", step 7.9",
		"It has one line with a number, or none",
	}
	negativeIsZero = &departure{
		"A negative Access-Control-Max-Age counts as 0",
		"It is no number, and the answer is remembered for 5 seconds: " + preflightFetch + ", step 7.9",
		"`max_age` can't be negative",
	}
	longURLNotRemembered = &departure{
		"An answer for a URL of more than 1023 bytes is not remembered",
		"There is no such limit: " + preflightCache,
		"None: there are more preflights",
	}
)

// departures are all of them, in the order of the table.
var departures = []*departure{
	starCoversAuthorization, listenerNeedsMethods, redirectNotNamed, noStreams,
	userAgentForbidden, clientHintsSafelisted, linesJoined, noSum, notASCIIUnsafe,
	preflightAgain, siteOfAddresses,
	twoHours, oneDay, starNotRemembered, credentialsApart, badAgeIsZero, negativeIsZero, longURLNotRemembered,
}

// caps are for how long browsers remember an answer to a preflight: TestCaps, of make test-clock.
var caps = map[string]struct {
	seconds int
	of      *departure
}{chromiumName: {7200, twoHours}, firefoxName: {86400, oneDay}}

// examples are the departures of which the tests have an example in that browser.
func examples(browser string) (list []*departure) {
	m := messages{browser: browser, exchanges: slices.Concat(exchanges, redirected, opaque)}
	for i := range m.exchanges {
		if d := m.deviation(i); d != nil {
			list = append(list, d.of)
		}
	}
	for _, c := range cachedRequests() {
		if d := c.departureOf(browser); d != nil {
			list = append(list, d)
		}
	}
	list = append(list, caps[browser].of)
	if browser == firefoxName {
		list = slices.AppendSeq(append(list, siteOfAddresses), maps.Values(firefoxMistakes))
	}
	return list
}

// version is what of a browser's version the table has.
var version = regexp.MustCompile(`\d+`)

// TestDepartures: docs/browsers.md has what the tests have examples of, and nothing else.
func TestDepartures(t *testing.T) {
	seen := map[string][]*departure{chromiumName: examples(chromiumName), firefoxName: examples(firefoxName)}
	want := "\n| What a browser does | " + chromiumName + " 0 | " + firefoxName + " 0 | The standard | The filter |\n" +
		"|---|---|---|---|---|\n"
	does := map[bool]string{true: "yes", false: "no"}
	for _, d := range departures {
		inChromium, inFirefox := slices.Contains(seen[chromiumName], d), slices.Contains(seen[firefoxName], d)
		if !inChromium && !inFirefox {
			t.Errorf("there is no example of: %s", d.what)
		}
		want += fmt.Sprintf("| %s | %s | %s | %s | %s |\n",
			d.what, does[inChromium], does[inFirefox], d.standard, d.answer)
	}
	want += "\n"
	for name, list := range seen {
		for _, d := range list {
			if !slices.Contains(departures, d) {
				t.Errorf("%s: the table lacks: %s", name, d.what)
			}
		}
	}
	if docs.Updating() {
		for _, b := range visitors(t) {
			var agent string
			b.decode("navigator.userAgent", &agent)
			product := map[string]string{chromiumName: "Chrome/", firefoxName: "Firefox/"}[b.called()]
			_, number, _ := strings.Cut(agent, product)
			want = strings.Replace(want, b.called()+" 0", b.called()+" "+version.FindString(number), 1)
		}
	}
	// A newer browser makes no other table by itself.
	docs.Section{Page: "browsers.md", Name: "departures", Command: "go -C e2e test ./browser -run Departures -update"}.
		CheckBut(t, want, func(text string) string {
			heading, rows, _ := strings.Cut(strings.TrimPrefix(text, "\n"), "\n")
			return version.ReplaceAllString(heading, "0") + "\n" + rows
		})
}
