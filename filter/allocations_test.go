package filter

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
)

// A stillHost has the headers of one request and one answer, and does nothing else.
type stillHost struct {
	Host
	request, response []cors.Header
	replied           bool
}

func header(headers []cors.Header, name string) (string, bool) {
	for _, h := range headers {
		if h.Name == name {
			return h.Value, true
		}
	}
	return "", false
}

func (h *stillHost) Log(Level, string)                         {}
func (h *stillHost) RequestHeader(name string) (string, bool)  { return header(h.request, name) }
func (h *stillHost) ResponseHeader(name string) (string, bool) { return header(h.response, name) }
func (h *stillHost) SetFilterState(string, []byte)             {}
func (h *stillHost) AddResponseHeader(string, string)          {}
func (h *stillHost) ReplaceResponseHeader(string, string)      {}
func (h *stillHost) RemoveResponseHeader(string)               {}
func (h *stillHost) DefineCounter(string) Counter              { return 1 }
func (h *stillHost) Count(Counter)                             {}
func (h *stillHost) Reply(int, string, []byte)                 { h.replied = true }
func (h *stillHost) RouteName() string                         { return "items" }

func (h *stillHost) ObserveRequest(facts *Facts) {
	for _, line := range h.request {
		facts.Observe(line.Name, line.Value)
	}
}

func (h *stillHost) ObserveResponse(upstream *cors.Upstream) bool {
	for _, line := range h.response {
		upstream.Observe(line.Name, line.Value)
	}
	return true
}

// TestAllocations: how much garbage a request leaves, which is collected while requests wait.
// An origin that no list has is kept for the answer, and a reason is made in words.
func TestAllocations(t *testing.T) {
	const policy = `"allow_origins": ["https://a.example", "https://*.b.example"], "allow_methods": ["PUT"], ` +
		`"allow_headers": ["x-a"]`
	var hosts strings.Builder
	for i := range 1001 {
		fmt.Fprintf(&hosts, `%s{"name": "p%d", "match": {"hosts": ["h%[2]d.example"]}, %s}`,
			strings.Repeat(", ", min(i, 1)), i, policy)
	}
	byHost := `{"policies": [` + hosts.String() + `]}`
	single := "{" + policy + "}"
	looksUp := "{" + policy + `, "origin_lookup": {"cluster": "policies", "path": "/v1/lookup"}}`
	actual := func(origin string) []cors.Header {
		return []cors.Header{
			{Name: ":authority", Value: "h7.example"}, {Name: ":path", Value: "/items"}, {Name: ":method", Value: "GET"},
			{Name: "origin", Value: origin},
		}
	}
	preflight := func(origin, method string) []cors.Header {
		return append(actual(origin)[:2], cors.Header{Name: ":method", Value: "OPTIONS"},
			cors.Header{Name: "origin", Value: origin},
			cors.Header{Name: "access-control-request-method", Value: method},
			cors.Header{Name: "access-control-request-headers", Value: "x-a"})
	}
	for _, test := range []struct {
		name, config string
		request      []cors.Header
		want         float64
	}{
		{"no Origin", single, actual("")[:3], 0},
		{"no Origin, by host", byHost, actual("")[:3], 0},
		{"actual", single, actual("https://a.example"), 0},
		{"actual, by host", byHost, actual("https://a.example"), 0},
		{"actual, a wildcard's origin", single, actual("https://x.b.example"), 1},
		{"actual, denied", single, actual("https://evil.example"), 0},
		{"actual, looked up before", looksUp, actual("https://c.example"), 1},
		{"preflight", single, preflight("https://a.example", "PUT"), 0},
		{"preflight, by host", byHost, preflight("https://a.example", "PUT"), 0},
		{"preflight, a wildcard's origin", single, preflight("https://x.b.example", "PUT"), 0},
		{"preflight, looked up before", looksUp, preflight("https://c.example", "PUT"), 0},
		{"preflight, denied", single, preflight("https://a.example", "DELETE"), 6},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, problems := config.Parse(test.config)
			if c == nil {
				t.Fatal(problems)
			}
			host := &stillHost{request: test.request, response: []cors.Header{{Name: ":status", Value: "200"}}}
			vm := &VM{Host: host}
			p := vm.Unconfigured()
			p.use(c, vm.counters)
			for _, l := range p.lookups {
				l.cache.put(string(p.lookupKey(l.policy, "h7.example", "https://c.example")), true, math.MaxInt64)
			}
			got := testing.AllocsPerRun(100, func() {
				s := p.NewStream(1)
				if s.OnHttpRequestHeaders(0, true) == types.ActionContinue {
					s.OnHttpResponseHeaders(0, true)
				}
				s.Release()
			})
			if got != test.want {
				t.Errorf("%v allocations, want %v", got, test.want)
			}
			if isPreflight := strings.HasPrefix(test.name, "preflight"); host.replied != isPreflight {
				t.Errorf("replied is %v", host.replied)
			}
		})
	}
}
