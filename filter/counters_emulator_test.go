package filter

import (
	"fmt"
	"testing"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// TestCounters: each decision adds one to a counter that is there from the start.
func TestCounters(t *testing.T) {
	emulator, _, status := start(t, `{"policies": [
		{"name": "a", "match": {"hosts": ["a.test"]}, "allow_origins": ["https://a.example"]},
		{"name": "b", "match": {"hosts": ["b.test"]}, "allow_origins": ["https://a.example"], "mode": "shadow"}]}`, nil)
	if status != types.OnPluginStartStatusOK {
		t.Fatal(emulator.GetErrorLogs())
	}
	counters := map[string]uint64{
		"cors_policy=.=a;.;cors_outcome=.=allowed;.;cors_requests_total":              0,
		"cors_policy=.=a;.;cors_outcome=.=denied_origin;.;cors_requests_total":        0,
		"cors_policy=.=b;.;cors_outcome=.=shadow_allowed;.;cors_requests_total":       0,
		"cors_policy=.=b;.;cors_outcome=.=shadow_denied_origin;.;cors_requests_total": 0,
	}
	check := func(when string) {
		t.Helper()
		for name, want := range counters {
			if n, err := emulator.GetCounterMetric(name); err != nil || n != want {
				t.Errorf("%s, %s is %d (%v), want %d", when, name, n, err, want)
			}
		}
	}
	check("at the start")
	for _, request := range []struct{ host, origin, counter string }{
		{"a.test", "https://a.example", "cors_policy=.=a;.;cors_outcome=.=allowed;.;cors_requests_total"},
		{"a.test", "https://b.example", "cors_policy=.=a;.;cors_outcome=.=denied_origin;.;cors_requests_total"},
		{"b.test", "https://a.example", "cors_policy=.=b;.;cors_outcome=.=shadow_allowed;.;cors_requests_total"},
		{"b.test", "https://b.example", "cors_policy=.=b;.;cors_outcome=.=shadow_denied_origin;.;cors_requests_total"},
		{"c.test", "https://a.example", ""},
		{"a.test", "", ""},
	} {
		headers := [][2]string{{":method", "GET"}, {":authority", request.host}, {":path", "/"}}
		if request.origin != "" {
			headers = append(headers, [2]string{"origin", request.origin})
		}
		emulator.CallOnRequestHeaders(emulator.InitializeHttpContext(), headers, true)
		if request.counter != "" {
			counters[request.counter]++
		}
		check("after " + request.origin + " to " + request.host)
	}
}

// defining is a host that knows what has been defined.
type defining struct {
	Host
	names []string
}

func (h *defining) DefineCounter(name string) Counter {
	h.names = append(h.names, name)
	return Counter(len(h.names))
}

// TestCountersBound: a VM defines counters for so many policies and no more, each once; of those that
// look origins up also of that, whenever they begin to.
func TestCountersBound(t *testing.T) {
	host := &defining{}
	c := newCounters(host)
	for i := range maxDefined {
		c.ofPolicy(countedAs{policy: fmt.Sprint(i)}, false)
	}
	each := len(host.names) / maxDefined
	for _, step := range []struct {
		name    string
		policy  string
		looksUp bool
		want    int // counters that are defined
	}{
		{"a known policy", "0", false, 0},
		{"which begins to look up", "0", true, int(lookupCounts)},
		{"which goes on to", "0", true, 0},
		{"one too many", "new", false, each},
		{"another", "newer", false, 0},
		{"which looks up", "newest", true, int(lookupCounts)},
	} {
		before := len(host.names)
		ids := c.ofPolicy(countedAs{policy: step.policy}, step.looksUp)
		if n := len(host.names) - before; n != step.want || step.looksUp && ids.lookups == nil {
			t.Errorf("%s: %d counters are defined, want %d; of look-ups %v", step.name, n, step.want, ids.lookups)
		}
	}
}
