package filter

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/choices"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A fuzzedHost is a proxy with one VM, which is asked, answers, and has a clock as the test says.
type fuzzedHost struct {
	stillHost
	configuration string
	unreachable   bool
	fetches       []*fuzzedFetch // that are under way
	answer        map[string]string
	body          string
	shared        map[string]string
	versions      map[string]uint32
	counters      []string
	counted       string // last
	now           int64  // milliseconds
}

type fuzzedFetch struct {
	plugin   uint32
	headers  []cors.Header
	answered func(size int, ok bool)
}

// newFuzzedHost returns a host whose clock is that of the filter, for the test.
func newFuzzedHost(t *testing.T) *fuzzedHost {
	t.Helper()
	h := &fuzzedHost{shared: map[string]string{}, versions: map[string]uint32{}, now: 1_000_000}
	clock, wall := monotonic, now
	monotonic, now = func() int64 { return h.now }, func() int64 { return h.now }
	t.Cleanup(func() { monotonic, now = clock, wall })
	return h
}

func (h *fuzzedHost) Count(c Counter) { h.counted = h.counters[c] }

func (h *fuzzedHost) DefineCounter(name string) Counter {
	h.counters = append(h.counters, name)
	return Counter(len(h.counters) - 1)
}

func (h *fuzzedHost) Configuration() string                    { return h.configuration }
func (h *fuzzedHost) PluginName() string                       { return "" }
func (h *fuzzedHost) Settle()                                  {}
func (h *fuzzedHost) SetTickPeriod(time.Duration)              {}
func (h *fuzzedHost) Listen(string) uint32                     { return 1 }
func (h *fuzzedHost) Wake(uint32)                              {}
func (h *fuzzedHost) Enter(uint32)                             {}
func (h *fuzzedHost) FetchedBody(size int) string              { return h.body[:size] }
func (h *fuzzedHost) SharedDocument(key string) (string, bool) { v, ok := h.shared[key]; return v, ok }

func (h *fuzzedHost) FetchedHeader(name string) (string, bool) {
	value, ok := h.answer[name]
	return value, ok
}

func (h *fuzzedHost) Shared(key string) (string, uint32, bool) {
	value, ok := h.shared[key]
	return value, h.versions[key], ok
}

func (h *fuzzedHost) SetShared(key, value string, version uint32) bool {
	if version != 0 && version != h.versions[key] {
		return false
	}
	h.shared[key], h.versions[key] = value, h.versions[key]+1
	return true
}

func (h *fuzzedHost) Fetch(plugin uint32, _ string, headers []byte, _ time.Duration,
	answered func(size int, ok bool)) bool {
	if !h.unreachable {
		h.fetches = append(h.fetches, &fuzzedFetch{plugin, readHeaderMap(headers), answered})
	}
	return !h.unreachable
}

// give answers a fetch: not at all if the status is 0.
func (h *fuzzedHost) give(f *fuzzedFetch, status int, headers map[string]string, body string) {
	h.fetches = slices.DeleteFunc(h.fetches, func(other *fuzzedFetch) bool { return other == f })
	h.answer, h.body = headers, body
	if status != 0 {
		h.answer[":status"] = strconv.Itoa(status)
	}
	f.answered(len(body), status != 0)
	h.answer, h.body = nil, ""
}

// FuzzSource: whatever a policy source answers, what serves is its last good document, and what is asked
// for is what differs from that.
func FuzzSource(f *testing.F) {
	for i, doc := range []string{
		"", "{}", "<html>", document("https://a.example"), document("https://a.example/"), `{"allow_origins": ["*"]}`,
		`{"policies": [{"name": "a", "mode": "off"}]}`, `{"policy_source": {"cluster": "a"}, "allow_origins": ["*"]}`,
		`{"policies": [{"name": "a", "allow_origins": ["*"], "allow_credentials": true}]}`, "\x1f\x8b", "null",
		`{"policies": [{"name": "a", "allow_origins": [], "origin_lookup": {"cluster": "a"}}]}`,
		`{"defaults": {"allow_methods": ["PUT"]}, "policies": [{"name": "a", "allow_origins": ["null"]}]}`,
	} {
		f.Add(doc, []byte(strings.Repeat(string(rune(i+1)), 60)))
		f.Add(doc, []byte("\x00\x01\x02\x03\x04\x05\x06\x00\x02\x04\x01\x03\x05\x07\x02\x02\x00\x01\x00\x03\x03\x00\x02"))
	}
	f.Fuzz(func(t *testing.T, doc string, bytes []byte) {
		c, host := choices.Of(bytes), newFuzzedHost(t)
		host.configuration = sourceConfig
		p := (&VM{Host: host}).NewPluginContext(1).(*Plugin)
		if !p.OnPluginStart(len(sourceConfig)) {
			t.Fatal("the configuration is refused")
		}
		own, _ := config.Parse(sourceConfig)
		serves, etag := own.Policies, ""
		for range 12 {
			host.now += 100_000
			p.OnTick()
			if len(host.fetches) != 1 {
				t.Fatalf("%d fetches are under way", len(host.fetches))
			}
			fetch := host.fetches[0]
			got, asks := header(fetch.headers, "if-none-match")
			if got != etag || asks != (etag != "") {
				t.Fatalf("what differs from %q is asked for: %t, want %q", got, asks, etag)
			}
			body := choices.One(c, doc, document("https://b.example"), document("c.example"), doc+" ", "[")
			status := choices.One(c, 200, 200, 200, 304, 404, 0)
			headers := map[string]string{}
			if tag := choices.One(c, "", `"1"`, `W/"2"`, "*", strings.Repeat("e", maxETag+1)); tag != "" {
				headers["etag"] = tag
			}
			host.give(fetch, status, headers, body)
			good, _ := config.ParseFetched(body)
			counted := []string{countFailed}
			switch {
			case status == 304 && asks:
				counted = []string{countUnchanged}
			case status == 200 && good == nil:
				counted = []string{countRefused}
			case status == 200:
				counted = []string{countUpdated, countUnchanged}
				serves, etag = good.Policies, headers["etag"]
				if etag == "*" || len(etag) > maxETag {
					etag = ""
				}
			}
			if !slices.Contains(counted, host.counted) {
				t.Errorf("%d %q is counted as %s, want one of %q", status, body, host.counted, counted)
			}
			sameDecisions(t, serves, p)
		}
	})
}

// sameDecisions checks that a plugin decides as policies do.
func sameDecisions(t *testing.T, policies *match.Table[*cors.Policy], p *Plugin) {
	t.Helper()
	for _, origin := range []string{"https://own.example", "https://a.example", "https://b.example", "null", "x"} {
		for _, host := range []string{"a.example", "b.example"} {
			key := match.Key{Host: host, Path: "/a"}
			want, got := policies.Lookup(key), p.policies.Lookup(key)
			if (want == nil) != (got == nil) {
				t.Fatalf("a policy applies to %s: %t", host, got != nil)
			}
			if want == nil {
				continue
			}
			r := &cors.Request{Origin: origin, HasOrigin: true, Method: "OPTIONS", RequestMethod: "PUT"}
			wanted, decided := want.Decide(r), got.policy.Decide(r)
			if fmt.Sprint(wanted.AppendHeaders(nil)) != fmt.Sprint(decided.AppendHeaders(nil)) ||
				wanted.Why() != decided.Why() {
				t.Fatalf("%s: %s, want %s", origin, decided.Why(), wanted.Why())
			}
		}
	}
}

// directive is a directive of Cache-Control (RFC 9111, section 5.2), whose value is a token or quoted.
var directive = regexp.MustCompile(`^[ \t]*([^=]*?)(?:=(.*?))?[ \t]*$`)

// FuzzMaxAge: an answer is remembered for as long as its Cache-Control says, the first time that it does.
func FuzzMaxAge(f *testing.F) {
	for _, s := range []string{
		"", "max-age=60", "Max-Age=\"60\"", "private, max-age=0 ,must-revalidate", "max-age=60, max-age=3600", "no-store",
		"no-cache=\"set-cookie\"", "max-age=86400", "max-age=86401", "max-age=99999999999999999999", "max-age=-1", "max-age",
		"max-age=", "max-age=1e3", "x-max-age=5", "max-age =5", "max-age=5, no-store", "\tmax-age=7\t", "max-age=soon, max-age=8",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		const ttl = 77 * time.Second
		want, wantStore, known := ttl, true, false
		for _, part := range strings.Split(s, ",") {
			m := directive.FindStringSubmatch(part)
			if m == nil {
				continue
			}
			switch name := strings.ToLower(m[1]); name {
			case "no-store", "no-cache":
				want, wantStore = 0, false
			case "max-age":
				digits := strings.Trim(m[2], `"`)
				if !regexp.MustCompile(`^[0-9]+$`).MatchString(digits) || known || !wantStore {
					continue
				}
				known, want = true, 24*time.Hour
				if digits = strings.TrimLeft(digits, "0"); len(digits) < 6 {
					n, _ := strconv.Atoi(digits)
					want = min(want, time.Duration(n)*time.Second)
				}
			}
		}
		if age, store := maxAge(s, ttl); store != wantStore || age != want {
			t.Errorf("%q lets an answer be remembered: %t, for %s; want %t, %s", s, store, age, wantStore, want)
		}
	})
}
