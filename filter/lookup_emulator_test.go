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
