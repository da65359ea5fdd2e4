package filter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/proxytest"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
)

// An answer is a policy source's answer to a fetch; the zero value is none.
type answer struct {
	status, etag, body string
}

func document(origin string) string {
	return `{"policies": [{"name": "a", "allow_origins": ["` + origin + `"]}]}`
}

const sourceConfig = `{
  "policies": [{"name": "own", "allow_origins": ["https://own.example"]}],
  "policy_source": {"cluster": "policies", "path": "/cors.json", "authority": "policies.internal", "interval": "10s", "timeout": "2s"}
}`

// TestSource: answer after answer, what serves then, what is logged and counted, and
// how long, in milliseconds, until the next fetch.
func TestSource(t *testing.T) {
	const interval = 10_000
	huge := strings.Repeat(" ", config.MaxDocument+1)
	longest := `"` + strings.Repeat("e", maxETag-2) + `"`
	for _, test := range []struct {
		name    string
		config  string
		answers []answer
		asks    []string // if-none-match of each fetch
		serves  string   // the origin that is allowed in the end, "" if none
		logs    []string // since the start
		counts  map[string]uint64
		wait    uint32 // 10 % less or more
	}{
		{"nothing yet", sourceConfig, nil, nil, "https://own.example", nil, nil, 500},
		{"a document", sourceConfig, []answer{{"200", `"1"`, document("https://new.example")}}, []string{""},
			"https://new.example",
			[]string{"info policy_source: a new document, now serving 1 policy"}, map[string]uint64{countUpdated: 1},
			interval},
		{"the same again", sourceConfig, []answer{{"200", `"1"`, document("https://new.example")}, {"304", "", ""},
			{"200", `"2"`, document("https://new.example")}, {"304", "", ""}},
			[]string{"", `"1"`, `"1"`, `"2"`}, "https://new.example",
			[]string{"info policy_source: a new document, now serving 1 policy"},
			map[string]uint64{countUpdated: 1, countUnchanged: 3}, interval},
		{"without ETag", sourceConfig, []answer{{"200", "", document("https://new.example")},
			{"200", "", document("https://new.example")}, {"200", "", document("https://newer.example")}},
			[]string{"", "", ""}, "https://newer.example",
			[]string{"info policy_source: a new document, now serving 1 policy",
				"info policy_source: a new document, now serving 1 policy"},
			map[string]uint64{countUpdated: 2, countUnchanged: 1}, interval},
		{"the longest ETag, and a longer one", sourceConfig,
			[]answer{{"200", longest, document("https://new.example")}, {"304", "", ""},
				{"200", longest + "e", document("https://new.example")},
				{"200", longest + "e", document("https://new.example")}},
			[]string{"", longest, longest, ""}, "https://new.example",
			[]string{"info policy_source: a new document, now serving 1 policy"},
			map[string]uint64{countUpdated: 1, countUnchanged: 3}, interval},
		{"an ETag that would match any document", sourceConfig,
			[]answer{{"200", "*", document("https://new.example")}, {"200", `"*"`, document("https://new.example")}},
			[]string{"", ""}, "https://new.example",
			[]string{"info policy_source: a new document, now serving 1 policy"},
			map[string]uint64{countUpdated: 1, countUnchanged: 1}, interval},
		{"a compressed document", sourceConfig, []answer{{"200", `"1"`, "\x1f\x8b\x08\x00"}}, []string{""},
			"https://own.example", []string{
				"error policy_source: 1:1 configuration: is compressed by gzip; unpack it",
				"error policy_source: the document is refused: 1 error, listed above; still serving 1 policy"},
			map[string]uint64{countRefused: 1}, interval},
		{"one policy's fields", sourceConfig, []answer{{"200", "", `{"allow_origins": ["https://new.example"]}`}},
			[]string{""}, "https://new.example",
			[]string{"info policy_source: a new document, now serving 1 policy"}, map[string]uint64{countUpdated: 1},
			interval},
		{"not JSON, twice", sourceConfig, []answer{{"200", `"1"`, "<html>"}, {"200", `"1"`, "<html>"}},
			[]string{"", ""}, "https://own.example", []string{
				"error policy_source: 1:1 configuration: unexpected '<' where a value should stand; write the configuration as a JSON object, {…}",
				"error policy_source: the document is refused: 1 error, listed above; still serving 1 policy"},
			map[string]uint64{countRefused: 2}, interval},
		{"bad policy after a good one", sourceConfig,
			[]answer{{"200", `"1"`, document("https://new.example")}, {"200", `"2"`, document("new.example")},
				{"304", "", ""}}, []string{"", `"1"`, `"1"`}, "https://new.example", []string{
				"info policy_source: a new document, now serving 1 policy",
				`error policy_source: 1:47 policies[0].allow_origins[0]: "new.example" has no scheme; write "https://new.example"`,
				"error policy_source: the document is refused: 1 error, listed above; still serving 1 policy",
				"info policy_source: answers again with the same document, still serving 1 policy"},
			map[string]uint64{countUpdated: 1, countRefused: 1, countUnchanged: 1}, interval},
		{"a policy source in it", sourceConfig, []answer{{"200", "", sourceConfig}}, []string{""},
			"https://own.example", []string{
				"error policy_source: 3:20 policy_source: stands in a document that a policy source serves; leave it out",
				"error policy_source: the document is refused: 1 error, listed above; still serving 1 policy"},
			map[string]uint64{countRefused: 1}, interval},
		{"empty", sourceConfig, []answer{{"200", "", ""}, {"200", "", ""}}, []string{"", ""}, "https://own.example",
			[]string{
				`error policy_source: 1:1 configuration: is empty; write at least {"allow_origins": ["https://app.example"]}`,
				"error policy_source: the document is refused: 1 error, listed above; still serving 1 policy"},
			map[string]uint64{countRefused: 2}, interval},
		{"too long", sourceConfig, []answer{{"200", "", huge}}, []string{""}, "https://own.example", []string{
			"warn policy_source: the document has 4194305 bytes, and may have 4194304; still serving 1 policy"},
			map[string]uint64{countFailed: 1}, 2 * interval},
		{"errors", sourceConfig, []answer{{"500", "", ""}, {"500", "", ""}, {"404", "", ""}}, []string{"", "", ""},
			"https://own.example", []string{
				"warn policy_source: status 500; still serving 1 policy"}, map[string]uint64{countFailed: 3}, 60_000},
		{"flapping between two statuses", sourceConfig,
			[]answer{{"500", "", ""}, {"502", "", ""}, {"500", "", ""}, {"502", "", ""}}, []string{"", "", "", ""},
			"https://own.example", []string{
				"warn policy_source: status 500; still serving 1 policy"}, map[string]uint64{countFailed: 4}, 60_000},
		{"flapping between kinds of trouble", sourceConfig,
			[]answer{{"500", "", ""}, {}, {"200", "", huge}, {"502", "", ""}, {}, {"200", "", huge}},
			[]string{"", "", "", "", "", ""}, "https://own.example", []string{
				"warn policy_source: status 500; still serving 1 policy",
				"warn policy_source: no whole answer within 2s; still serving 1 policy",
				"warn policy_source: the document has 4194305 bytes, and may have 4194304; still serving 1 policy"},
			map[string]uint64{countFailed: 6}, 60_000},
		{"trouble, well, trouble", sourceConfig, []answer{{"500", "", ""},
			{"200", `"1"`, document("https://new.example")}, {"502", "", ""}, {"304", "", ""}, {"503", "", ""}},
			[]string{"", "", `"1"`, `"1"`, `"1"`}, "https://new.example", []string{
				"info policy_source: a new document, now serving 1 policy",
				"info policy_source: answers again with the same document, still serving 1 policy",
				"warn policy_source: status 500; still serving 1 policy",
				"warn policy_source: status 502; still serving 1 policy",
				"warn policy_source: status 503; still serving 1 policy"},
			map[string]uint64{countFailed: 3, countUpdated: 1, countUnchanged: 1}, 2 * interval},
		{"flapping between a bad document and a status", sourceConfig,
			[]answer{{"200", "", "<html>"}, {"500", "", ""}, {"200", "", "<html>"}, {"502", "", ""}},
			[]string{"", "", "", ""}, "https://own.example", []string{
				"warn policy_source: status 500; still serving 1 policy",
				"error policy_source: 1:1 configuration: unexpected '<' where a value should stand; write the configuration as a JSON object, {…}",
				"error policy_source: the document is refused: 1 error, listed above; still serving 1 policy"},
			map[string]uint64{countFailed: 2, countRefused: 2}, 2 * interval},
		{"flapping between a good document and a bad one", sourceConfig,
			[]answer{{"200", "", "<html>"}, {"200", "", document("https://new.example")}, {"200", "", "<html>"},
				{"200", "", document("https://new.example")}, {"200", "", "<html>"}, {"200", "", "<html>"}},
			[]string{"", "", "", "", "", ""}, "https://new.example", []string{
				"info policy_source: a new document, now serving 1 policy",
				"info policy_source: answers again with the same document, still serving 1 policy",
				"error policy_source: 1:1 configuration: unexpected '<' where a value should stand; write the configuration as a JSON object, {…}",
				"error policy_source: the document is refused: 1 error, listed above; still serving 1 policy",
				"error policy_source: a document is refused that was refused before; still serving 1 policy",
				"error policy_source: a document is refused that was refused before; still serving 1 policy"},
			map[string]uint64{countUpdated: 1, countUnchanged: 1, countRefused: 4}, interval},
		{"bad documents in turn", sourceConfig, []answer{{"200", "", ""}, {"200", "", "<html>"}, {"200", "", ""},
			{"200", "", "<html>"}}, []string{"", "", "", ""}, "https://own.example", []string{
			`error policy_source: 1:1 configuration: is empty; write at least {"allow_origins": ["https://app.example"]}`,
			"error policy_source: the document is refused: 1 error, listed above; still serving 1 policy",
			"error policy_source: 1:1 configuration: unexpected '<' where a value should stand; write the configuration as a JSON object, {…}",
			"error policy_source: the document is refused: 1 error, listed above; still serving 1 policy"},
			map[string]uint64{countRefused: 4}, interval},
		{"a 304 that nobody asked for", sourceConfig, []answer{{"304", "", ""}}, []string{""}, "https://own.example",
			[]string{
				"warn policy_source: status 304; still serving 1 policy"}, map[string]uint64{countFailed: 1},
			2 * interval},
		{"silence, and recovery", sourceConfig, []answer{{"200", `"1"`, document("https://new.example")}, {}, {},
			{"304", "", ""}}, []string{"", `"1"`, `"1"`, `"1"`}, "https://new.example", []string{
			"info policy_source: a new document, now serving 1 policy",
			"warn policy_source: no whole answer within 2s; still serving 1 policy",
			"info policy_source: answers again with the same document, still serving 1 policy"},
			map[string]uint64{countUpdated: 1, countFailed: 2, countUnchanged: 1}, interval},
		{"no policies of its own", `{"policy_source": {"cluster": "policies"}}`, []answer{{}}, []string{""}, "",
			[]string{
				"warn policy_source: no whole answer within 2s; still serving no policies: no origin is allowed"},
			map[string]uint64{countFailed: 1}, 2 * interval},
		{"no policies of its own, then some", `{"policy_source": {"cluster": "policies"}}`,
			[]answer{{"200", "", document("https://new.example")}}, []string{""}, "https://new.example", []string{
				"info policy_source: a new document, now serving 1 policy"}, map[string]uint64{countUpdated: 1},
			interval},
	} {
		t.Run(test.name, func(t *testing.T) {
			emulator, _, status := start(t, test.config, nil)
			if status != types.OnPluginStartStatusOK {
				t.Fatal(emulator.GetErrorLogs())
			}
			before := len(emulator.GetInfoLogs())
			for i, a := range test.answers {
				tick(emulator)
				tick(emulator) // one request at a time
				calls := emulator.GetCalloutAttributesFromContext(proxytest.PluginContextID)
				if len(calls) != i+1 {
					t.Fatalf("%d fetches, want %d", len(calls), i+1)
				}
				checkFetch(t, calls[i], test.asks[i])
				var headers [][2]string
				if a.status != "" {
					headers = [][2]string{{":status", a.status}}
				}
				if a.etag != "" {
					headers = append(headers, [2]string{"etag", a.etag})
				}
				emulator.CallOnHttpCallResponse(calls[i].CalloutID, headers, nil, []byte(a.body))
			}
			if got := allowedOrigin(emulator, test.serves); got != test.serves {
				t.Errorf("allows %q, want %q", got, test.serves)
			}
			got := levels("info", emulator.GetInfoLogs()[before:], "warn", emulator.GetWarnLogs(), "error",
				emulator.GetErrorLogs())
			want := levels("info", only("info", test.logs), "warn", only("warn", test.logs), "error",
				only("error", test.logs))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("logs (-want +got):\n%s", diff)
			}
			for _, counter := range []string{countUpdated, countUnchanged, countRefused, countFailed} {
				if n, _ := emulator.GetCounterMetric(counter); n != test.counts[counter] {
					t.Errorf("%s is %d, want %d", counter, n, test.counts[counter])
				}
			}
			if wait := emulator.GetTickPeriod(); test.wait == 500 && wait > 1000 || test.wait != 500 &&
				(wait < test.wait*9/10 || wait > test.wait*11/10) {
				t.Errorf("the next fetch is in %d ms, want about %d", wait, test.wait)
			}
		})
	}
}

// TestLogIsBounded: documents with tens of thousands of problems, or with long ones, are
// logged in a hundred lines, one that counts the others, and one that says what comes of
// it. The same document is logged once.
func TestLogIsBounded(t *testing.T) {
	const many = 40_000
	origins := func(n int, origin func(i int) string) string {
		list := make([]string, n)
		for i := range list {
			list[i] = `"` + origin(i) + `"`
		}
		return `"allow_origins": [` + strings.Join(list, ",") + `]`
	}
	long := strings.Repeat("x", 10_000)
	for _, test := range []struct {
		name, fields string
		accepted     bool
		errors       int
		warnings     int
		more         string
	}{
		{"bad origins", origins(many, func(i int) string { return fmt.Sprintf("https://n%d.example/", i) }), false, 100,
			0, "and 39900 more problems"},
		{"long bad origins", origins(300, func(i int) string { return fmt.Sprintf("https://%s%d.example/", long, i) }),
			false, 100, 0, "and 200 more problems"},
		{"unknown fields", strings.TrimSuffix(strings.Repeat(`"`+long+`": 1, `, 300), ", "), false, 100, 0,
			"and 201 more problems"},
		{"warnings", origins(many, func(i int) string { return fmt.Sprintf("ws://n%d.example", i) }), true, 0, 100,
			"and 39900 more problems"},
		{"a hundred bad origins", origins(100, func(i int) string { return fmt.Sprintf("https://n%d.example/", i) }),
			false, 100, 0, ""},
	} {
		check := func(t *testing.T, lines []string, prefix string) {
			t.Helper()
			more, last := "", ""
			errors, warnings := 0, 0
			for _, line := range lines {
				// Whatever is in the document, what is said of it fits on a screen.
				if len(line) > 1000 {
					t.Errorf("a line of %d bytes: %.200q", len(line), line)
				}
				switch level, text, _ := strings.Cut(line, " "+prefix+"1:"); {
				case strings.HasSuffix(text, " more problems"):
					more = text[strings.Index(text, ": ")+2:]
				case level == "error":
					errors++
				case level == "warn":
					warnings++
				default:
					last += line
				}
			}
			if errors != test.errors || warnings != test.warnings || more != test.more ||
				!strings.Contains(last, "serving") && !strings.Contains(last, "refused") {
				t.Errorf("%d errors, %d warnings, %q and %q; want %d, %d, %q and what comes of it", errors, warnings,
					more, last, test.errors, test.warnings, test.more)
			}
			most := errors + warnings + 1
			if more != "" {
				most++
			}
			if len(lines) > most {
				t.Errorf("%d lines, want %d", len(lines), most)
			}
		}
		t.Run(test.name+", fetched", func(t *testing.T) {
			emulator, _, status := start(t, sourceConfig, nil)
			if status != types.OnPluginStartStatusOK {
				t.Fatal(emulator.GetErrorLogs())
			}
			before := len(emulator.GetInfoLogs())
			logged := func() []string {
				return levels("info", emulator.GetInfoLogs()[before:], "warn", emulator.GetWarnLogs(), "error",
					emulator.GetErrorLogs(), "critical", emulator.GetCriticalLogs())
			}
			var first int
			for i := range 3 {
				tick(emulator)
				calls := emulator.GetCalloutAttributesFromContext(proxytest.PluginContextID)
				emulator.CallOnHttpCallResponse(calls[i].CalloutID, [][2]string{{":status", "200"}}, nil,
					[]byte("{"+test.fields+"}"))
				if i == 0 {
					first = len(logged())
				}
			}
			if n := len(logged()); n != first {
				t.Errorf("the same document again adds %d lines", n-first)
			}
			check(t, logged(), "policy_source: ")
		})
		t.Run(test.name+", configured", func(t *testing.T) {
			emulator, _, status := start(t, "{"+test.fields+"}", nil)
			if got := status == types.OnPluginStartStatusOK; got != test.accepted {
				t.Errorf("accepted %t", got)
			}
			var lines []string
			for _, line := range levels("info", emulator.GetInfoLogs(), "warn", emulator.GetWarnLogs(), "error",
				emulator.GetErrorLogs(), "critical", emulator.GetCriticalLogs()) {
				if !strings.Contains(line, "started") {
					lines = append(lines, line)
				}
			}
			check(t, lines, "")
		})
	}
}

func checkFetch(t *testing.T, call proxytest.HttpCalloutAttribute, etag string) {
	t.Helper()
	headers := map[string]string{}
	for _, h := range call.Headers {
		headers[h[0]] = h[1]
	}
	if call.Upstream != "policies" || headers[":method"] != "GET" || headers[":path"] == "" ||
		headers[":authority"] == "" || headers["if-none-match"] != etag {
		t.Errorf("fetch from %s: %q, want if-none-match %q", call.Upstream, call.Headers, etag)
	}
}

// allowedOrigin is what a request from an origin is allowed.
func allowedOrigin(emulator proxytest.HostEmulator, origin string) string {
	if origin == "" {
		origin = "https://own.example"
	}
	id := emulator.InitializeHttpContext()
	emulator.CallOnRequestHeaders(id, [][2]string{{":method", "GET"}, {":authority", "api.example"}, {":path", "/"},
		{"origin", origin}}, true)
	emulator.CallOnResponseHeaders(id, [][2]string{{":status", "200"}}, true)
	for _, h := range emulator.GetCurrentResponseHeaders(id) {
		if h[0] == "access-control-allow-origin" {
			return h[1]
		}
	}
	return ""
}

// levels prefixes the lines of each level with its name.
func levels(pairs ...any) (all []string) {
	for i := 0; i < len(pairs); i += 2 {
		for _, line := range pairs[i+1].([]string) {
			all = append(all, pairs[i].(string)+" "+line)
		}
	}
	return all
}

// only are the lines of a level, without its name.
func only(level string, lines []string) (some []string) {
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, level+" "); ok {
			some = append(some, rest)
		}
	}
	return some
}
