package filter

import (
	"strings"
	"testing"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/proxytest"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

func TestHasNote(t *testing.T) {
	a, b := note("a"), note("b")
	for _, test := range []struct {
		notes, note string
		want        bool
	}{
		{"", a, false},
		{a, a, true},
		{a, b, false},
		{b + a, a, true},
		{b + a, b, true},
		{b[:4] + a + b[4:], a, false}, // half of one and half of another
		{b + a[:7], a, false},
	} {
		if got := hasNote(test.notes, test.note); got != test.want {
			t.Errorf("%q in %q: %t", test.note, test.notes, got)
		}
	}
	if note("") == note("\x00") || note("ab") == note("ba") || len(note("ab")) != noteSize {
		t.Error("the hash is none")
	}
}

// TestNoted: a configuration that is good is noted, and one that is noted is never
// refused, by a proxy that only tells it to who is to be configured, too. If it can't
// be used all the same, no origin is allowed.
func TestNoted(t *testing.T) {
	const good, bad = `{"allow_origins": ["https://a.example"]}`, `{"allow_origins": ["https://a.example/"]}`
	for _, test := range []struct {
		name, config string
		noted        bool
		want         types.OnPluginStartStatus
		allows       bool
	}{
		{"good", good, false, types.OnPluginStartStatusOK, true},
		{"good, noted", good, true, types.OnPluginStartStatusOK, true},
		{"bad", bad, false, types.OnPluginStartStatusFailed, false},
		{"bad, noted", bad, true, types.OnPluginStartStatusOK, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			host := &sdkHost{}
			vm := &VM{Host: host, Version: "v1.2.3", Revision: "abc"}
			options := proxytest.NewEmulatorOption().WithVMContext(vm).WithPluginConfiguration([]byte(test.config))
			emulator, reset := proxytest.NewHostEmulator(options)
			defer reset()
			emulator.StartVM()
			key := vm.Unconfigured().notesKey()
			if test.noted {
				must(proxywasm.SetSharedData(key, []byte(note("another")+note(test.config)), 0))
			}
			if got := emulator.StartPlugin(); got != test.want {
				t.Errorf("status %t, want %t", got, test.want)
			}
			notes, _, _ := host.Shared(key)
			if got, want := strings.Contains(notes, note(test.config)),
				test.noted || test.want == types.OnPluginStartStatusOK; got != want {
				t.Errorf("noted %t, want %t", got, want)
			}
			id := emulator.InitializeHttpContext()
			emulator.CallOnRequestHeaders(id, [][2]string{{":method", "GET"}, {"origin", "https://a.example"}}, true)
			emulator.CallOnResponseHeaders(id, [][2]string{{":status", "200"}, {"access-control-allow-origin", "*"}},
				true)
			allowed := ""
			for _, h := range emulator.GetCurrentResponseHeaders(id) {
				if h[0] == "access-control-allow-origin" {
					allowed = h[1]
				}
			}
			if want := map[bool]string{true: "https://a.example"}[test.allows]; allowed != want {
				t.Errorf("allowed origin %q, want %q", allowed, want)
			}
		})
	}
}
