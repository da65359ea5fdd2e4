package filter

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"strings"
	"testing"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/proxytest"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

func TestFindNote(t *testing.T) {
	const rest = "12345678"
	a, b := hashOf("a"), hashOf("b")
	for _, test := range []struct {
		notes, hash string
		want        int
	}{
		{"", a, -1},
		{a + rest, a, 0},
		{a + rest, b, -1},
		{b + rest + a + rest, a, noteSize},
		{b + rest + a + rest, b, 0},
		{b + a, a, -1}, // where the rest of another note is
		{b + rest + a + rest[1:], a, -1},
		{b + rest + b + rest + a + rest, a, 2 * noteSize},
	} {
		if got := findNote(test.notes, test.hash); got != test.want {
			t.Errorf("%q in %q: %d, want %d", test.hash, test.notes, got, test.want)
		}
	}
	sum := fnv.New64a()
	sum.Write([]byte("ab"))
	if got, want := hashOf("ab"), string(binary.LittleEndian.AppendUint64(nil, sum.Sum64())); got != want {
		t.Errorf("the hash is %x, want %x", got, want)
	}
	if hashOf("") == hashOf("\x00") || hashOf("ab") == hashOf("ba") || len(hashOf("ab")) != hashSize {
		t.Error("the hash is none")
	}
}

// TestNoteTaken: of the VMs that take a configuration, one logs it each time that all do.
func TestNoteTaken(t *testing.T) {
	start(t, `{"allow_origins": ["*"]}`, nil) // for the host's functions
	take := func(vm *VM, configuration string, now uint32) bool {
		p := vm.Unconfigured()
		p.hash = hashOf(configuration)
		return p.noteTaken(now)
	}
	newVM := func() *VM { return &VM{Host: &sdkHost{}, Version: "v", Revision: t.Name()} }
	workers := []*VM{newVM(), newVM(), newVM()}
	for i, update := range []struct {
		configuration string
		now           uint32
		fresh         bool // all VMs are new ones
		want          int
	}{
		{"a", 1000, false, 1},
		{"b", 1001, false, 1},
		{"a", 1002, false, 1},
		{"a", 1003, false, 1},
		{"a", 5000, false, 1},
		{"b", 5000, false, 1},
		{"b", 5030, true, 0}, // as new VMs can't know
		{"b", 5200, true, 1},
	} {
		if update.fresh {
			workers = []*VM{newVM(), newVM(), newVM()}
		}
		logs := 0
		for _, vm := range append([]*VM{newVM()}, workers...) { // the first is thrown away
			if take(vm, update.configuration, update.now) {
				logs++
			}
		}
		if logs != update.want {
			t.Errorf("update %d is logged %d times, want %d", i, logs, update.want)
		}
	}
}

// TestNotesBound: the notes don't grow with every update, and the latest ones are kept.
func TestNotesBound(t *testing.T) {
	vm := &VM{Host: &thread{threads: &threads{shared: map[string]sharedValue{}}}}
	for i := range 3 * remembered {
		p := vm.Unconfigured()
		p.hash = hashOf(fmt.Sprint(i))
		p.noteTaken(1000)
	}
	key := vm.Unconfigured().notesKey()
	notes, _, _ := vm.Host.Shared(key)
	if len(notes) != remembered*noteSize || findNote(notes, hashOf(fmt.Sprint(2*remembered))) < 0 {
		t.Errorf("%d bytes of notes", len(notes))
	}
}

// TestLatestNoteCounts: the configuration that was noted last is known, as any other.
func TestLatestNoteCounts(t *testing.T) {
	vm := &VM{Host: &thread{threads: &threads{shared: map[string]sharedValue{}}, configuration: "{}"}}
	for _, noted := range []bool{false, true} {
		p := vm.Unconfigured()
		if p.Accepted() != noted {
			t.Errorf("accepted %t before it is noted, %t after", !noted, noted)
		}
		p.hash = hashOf("{}")
		p.noteTaken(1000)
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
				must(proxywasm.SetSharedData(key, []byte(hashOf("another")+"12345678"+hashOf(test.config)+"12345678"), 0))
			}
			if got := emulator.StartPlugin(); got != test.want {
				t.Errorf("status %t, want %t", got, test.want)
			}
			log := strings.Join(emulator.GetInfoLogs(), "\n")
			if said := strings.Contains(log, "now serving 1 policy"); said != test.allows {
				t.Errorf("it says that a policy serves: %t, want %t", said, test.allows)
			}
			notes, _, _ := host.Shared(key)
			if got, want := strings.Contains(notes, hashOf(test.config)),
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
