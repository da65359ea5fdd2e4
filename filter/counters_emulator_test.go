package filter

import (
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
