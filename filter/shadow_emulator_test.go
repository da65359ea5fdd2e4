package filter

import (
	"testing"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// TestShadowLookup: a policy that changes nothing holds nothing up either while an origin is looked up.
// What it would have decided is counted, and what that would have changed of the answer; the access log
// has why.
func TestShadowLookup(t *testing.T) {
	const no = "origin https://a.example is not in allow_origins, and the look-up says no"
	const failed = "origin https://a.example is not in allow_origins, and the look-up failed"
	for _, test := range []struct {
		name, status, allowed    string // the look-up's, and what the upstream allows
		outcome, verdict, reason string
	}{
		{"allowed, as by the upstream", "204", "https://a.example", "allowed", "same", ""},
		{"allowed, and not by the upstream", "204", "", "allowed", "looser", "looser: access-control-allow-origin is missing"},
		{"denied, as by the upstream", "404", "", "denied_origin", "same", no},
		{"denied, and not by the upstream", "404", "https://a.example", "denied_origin", "stricter", "stricter: " + no},
		{"failed, and not denied by the upstream", "500", "https://a.example", "denied_origin", "stricter", "stricter: " + failed},
	} {
		t.Run(test.name, func(t *testing.T) {
			emulator, _, _ := start(t, `{"mode": "shadow", "origin_lookup": {"cluster": "policies"}}`, nil)
			id := emulator.InitializeHttpContext()
			if emulator.CallOnRequestHeaders(id, [][2]string{{":method", "GET"}, {":authority", "api.example"},
				{"origin", "https://a.example"}}, true) != types.ActionContinue {
				t.Fatal("the request is held up")
			}
			calls := emulator.GetCalloutAttributesFromContext(id)
			if len(calls) != 1 {
				t.Fatalf("asked %d times", len(calls))
			}
			emulator.CallOnHttpCallResponse(calls[0].CalloutID, [][2]string{{":status", test.status}}, nil, nil)
			answer := [][2]string{{":status", "200"}}
			if test.allowed != "" {
				answer = append(answer, [2]string{"access-control-allow-origin", test.allowed})
			}
			if emulator.CallOnResponseHeaders(id, answer, true) != types.ActionContinue {
				t.Fatal("the answer is held up")
			}
			reason, err := emulator.GetProperty([]string{"cors.reason"})
			if string(reason) != test.reason || (err == nil) != (test.reason != "") {
				t.Errorf("the reason is %q (%v), want %q", reason, err, test.reason)
			}
			for _, of := range []string{"allowed", "denied_origin", "same", "looser", "stricter"} {
				n, _ := emulator.GetCounterMetric("cors_policy=.=default;.;cors_outcome=.=shadow_" + of + ";.;cors_requests_total")
				if want := of == test.outcome || of == test.verdict; n > 1 || (n == 1) != want {
					t.Errorf("%s is counted %d times, want it to be: %t", of, n, want)
				}
			}
		})
	}
}
