package filter

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// pluginOf is a plugin with the policies of a document.
func pluginOf(t *testing.T, doc string) *Plugin {
	t.Helper()
	c, problems := config.Parse(doc)
	if c == nil {
		t.Fatal(problems)
	}
	p := (&VM{Host: &sdkHost{}}).Unconfigured()
	p.use(c, nil)
	return p
}

// TestRepeatedNames: a reply that repeats what a preflight asks for isn't kept for the next.
func TestRepeatedNames(t *testing.T) {
	for _, lists := range []string{`"allow_methods": ["*"]`, `"allow_headers": ["*"]`} {
		p := pluginOf(t, `{"allow_origins": ["https://a.example"], "allow_credentials": true, `+lists+`}`)
		s := p.policies.Lookup(match.Key{})
		for _, r := range []cors.Request{
			{RequestMethod: "GET"}, {RequestMethod: "PUT"}, {RequestMethod: "GET", RequestHeaders: []string{"x-a"}},
		} {
			r.Method, r.Origin, r.HasOrigin = "OPTIONS", "https://a.example", true
			d := s.policy.Decide(&r)
			if diff := cmp.Diff(d.AppendHeaders(nil), readHeaderMap(p.appendReply(nil, s, &d))); diff != "" {
				t.Errorf("%s, %+v (-want +got):\n%s", lists, r, diff)
			}
		}
	}
}

// TestWithoutOrigin: what is the same for all requests without an origin is known without
// a look-up, and only that.
func TestWithoutOrigin(t *testing.T) {
	const a = `{"name": "a", "match": {"hosts": ["a.example"]}, "allow_origins": ["https://a.example"]}`
	const b = `{"name": "b", "allow_origins": `
	for doc, want := range map[string]bool{
		`{"policies": [` + a + `]}`:                                  false, // nothing for other hosts
		`{"policies": [` + a + `, ` + b + `["https://b.example"]}]}`: true,
		`{"policies": [` + a + `, ` + b + `["*"]}]}`:                 false,
	} {
		if got := pluginOf(t, doc).withoutOrigin != nil; got != want {
			t.Errorf("%s: %t, want %t", doc, got, want)
		}
	}
}

// TestRelease: a stream that is used again has nothing of the one before.
func TestRelease(t *testing.T) {
	p := pluginOf(t, `{"allow_origins": ["*"]}`)
	s := p.NewStream(1)
	s.edits, s.handshake, s.failed = *p.withoutOrigin, true, true
	s.Release()
	if again := p.NewStream(1); again != s || !again.edits.None() || again.handshake || again.failed {
		t.Errorf("%+v", again)
	}
}

// TestCount: a number agrees with its noun.
func TestCount(t *testing.T) {
	for want, got := range map[string]string{
		"0 bytes": count(0, "byte"), "1 byte": count(1, "byte"), "2 bytes": count(2, "byte"),
		"1 policy": count(1, "policy"), "2 policies": count(2, "policy"),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestRefusal: as many errors as are logged are all listed, and of more it is said that they aren't.
func TestRefusal(t *testing.T) {
	for n, want := range map[int]string{
		1: "1 error, listed above", cors.MaxProblems: "100 errors, listed above",
		cors.MaxProblems + 1: "the first 100 errors are listed above",
	} {
		if got := refusal(append(make([]config.Problem, n), config.Problem{Warning: true})); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestUnreadable: a configuration that the proxy has and doesn't tell is refused, which is another thing
// than having none.
func TestUnreadable(t *testing.T) {
	for size, want := range map[int]bool{0: false, 5: true} {
		host := &refusing{}
		p := (&VM{Host: host}).NewPluginContext(1).(*Plugin)
		if p.OnPluginStart(size) {
			t.Errorf("%d bytes are accepted", size)
		}
		if got := strings.Contains(strings.Join(host.log, "\n"), "more than the filter can read"); got != want {
			t.Errorf("%d bytes can't be read: %t, want %t: %q", size, got, want, host.log)
		}
	}
}

// refusing is a host that doesn't tell the configuration.
type refusing struct {
	defining
	log []string
}

func (*refusing) PluginName() string         { return "plugin" }
func (*refusing) Configuration() string      { return "" }
func (h *refusing) Log(_ Level, line string) { h.log = append(h.log, line) }
