package filter

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// TestLookup: a preflight is paused until its origin is looked up, and answered then; an
// actual request goes on, and its answer is held; and what is remembered serves at once.
func TestLookup(t *testing.T) {
	for status, want := range map[string]struct{ preflight, origin string }{
		"204": {"204", "https://a.example"}, "404": {"403", ""}, "500": {"403", ""},
	} {
		t.Run(status, func(t *testing.T) {
			emulator, _, started := start(t, `{"origin_lookup": {"cluster": "policies", "path": "/ask"}}`, nil)
			if started != types.OnPluginStartStatusOK {
				t.Fatal(emulator.GetErrorLogs())
			}
			origin := [2]string{"origin", "https://a.example"}
			preflight, actual := emulator.InitializeHttpContext(), emulator.InitializeHttpContext()
			action := emulator.CallOnRequestHeaders(preflight, [][2]string{{":method", "OPTIONS"},
				{":authority", "api.example"}, origin, {"access-control-request-method", "GET"}}, true)
			if action != types.ActionPause || emulator.GetSentLocalResponse(preflight) != nil {
				t.Fatalf("%s: the preflight isn't paused", status)
			}
			if emulator.CallOnRequestHeaders(actual, [][2]string{{":method", "GET"}, {":authority", "api.example"},
				origin}, true) != types.ActionContinue {
				t.Fatalf("%s: the actual request doesn't go on", status)
			}
			if emulator.CallOnResponseHeaders(actual, [][2]string{{":status", "200"}}, true) != types.ActionPause {
				t.Fatalf("%s: its answer isn't held", status)
			}
			calls := emulator.GetCalloutAttributesFromContext(preflight)
			if len(calls) != 1 || calls[0].Headers[1][1] != "/ask?policy=default&host=api.example&origin=https%3A%2F%2Fa.example" {
				t.Fatalf("%s: %+v is asked", status, calls)
			}
			emulator.CallOnHttpCallResponse(calls[0].CalloutID, [][2]string{{":status", status}}, nil, nil)
			reply := emulator.GetSentLocalResponse(preflight)
			if reply == nil {
				t.Fatalf("%s: the preflight isn't answered", status)
			}
			allowed := ""
			for _, h := range emulator.GetCurrentResponseHeaders(actual) {
				if h[0] == "access-control-allow-origin" {
					allowed = h[1]
				}
			}
			got := struct{ preflight, origin string }{fmt.Sprint(reply.StatusCode), allowed}
			if got != want || emulator.GetCurrentHttpStreamAction(actual) != types.ActionContinue {
				t.Errorf("%s: %+v, want %+v", status, got, want)
			}
			if diff := cmp.Diff(allowedOrigin(emulator, "https://a.example"), want.origin); status != "500" && diff != "" {
				t.Errorf("%s: what is remembered (-got +want):\n%s", status, diff)
			}
		})
	}
}

// TestLookupKey: what is remembered is of a policy, of an origin as it is, and of a host in lower case
// (RFC 9110, section 4.2.3).
func TestLookupKey(t *testing.T) {
	p := &Plugin{}
	for _, test := range []struct{ policy, host, origin, want string }{
		{"Shop", "AZ.Example:80", "App://A", "Shop\x00az.example:80\x00App://A"},
		{"", "az", "https://a.example", "\x00az\x00https://a.example"},
		{"Shop", "", "Z", "Shop\x00\x00Z"},
	} {
		if got := string(p.lookupKey(test.policy, test.host, test.origin)); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// TestTroubleIsQuiet: trouble of a cluster is logged once, and after it has been well not again at once.
func TestTroubleIsQuiet(t *testing.T) {
	host := &logging{}
	p, l := &Plugin{host: host}, &lookup{cache: &cache{}}
	for i, step := range []struct {
		now  int64
		well bool // before
		logs int
	}{
		{0, false, 1}, {1, false, 1}, {quiet * 2, false, 1}, {quiet - 1, true, 1}, {quiet, true, 2},
		{2*quiet - 1, true, 2}, {2 * quiet, true, 3}, {3 * quiet, false, 3},
	} {
		monotonic = func() int64 { return step.now }
		l.cache.trouble = l.cache.trouble && !step.well
		if p.troubled(l, "it fails"); host.lines != step.logs {
			t.Errorf("step %d: %d lines, want %d", i, host.lines, step.logs)
		}
	}
}

// logging is a host that counts what is logged.
type logging struct {
	Host
	lines int
}

func (h *logging) Log(Level, string) { h.lines++ }

// TestManyWait: streams that wait for one answer are counted each, and go on a few at a time, for the
// proxy calls the module for each within the call for the one before.
func TestManyWait(t *testing.T) {
	const many = 2*maxReleased + 8
	emulator, _, _ := start(t, `{"origin_lookup": {"cluster": "policies"}}`, nil)
	var streams []uint32
	for range many {
		id := emulator.InitializeHttpContext()
		emulator.CallOnRequestHeaders(id, [][2]string{{":method", "OPTIONS"}, {":authority", "api.example"},
			{"origin", "https://a.example"}, {"access-control-request-method", "GET"}}, true)
		streams = append(streams, id)
	}
	calls := emulator.GetCalloutAttributesFromContext(streams[0])
	if len(calls) != 1 {
		t.Fatalf("asked %d times", len(calls))
	}
	emulator.CallOnHttpCallResponse(calls[0].CalloutID, [][2]string{{":status", "204"}}, nil, nil)
	for _, want := range []int{maxReleased, 2 * maxReleased, many, many} {
		answered := 0
		for _, id := range streams {
			if emulator.GetSentLocalResponse(id) != nil {
				answered++
			}
		}
		if answered != want {
			t.Errorf("%d are answered, want %d", answered, want)
		}
		if period := emulator.GetTickPeriod(); (period == 1) != (answered < many) {
			t.Errorf("%d are answered, and it ticks by %d ms", answered, period)
		}
		emulator.Tick()
	}
	const allowed = "cors_policy=.=default;.;cors_result=.=allowed;.;cors_lookups_total"
	if n, _ := emulator.GetCounterMetric(allowed); n != many {
		t.Errorf("%d are counted, want %d", n, many)
	}
}
