package filter

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/proxytest"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// TestRecord: what one VM writes, another reads; what is cut off, or none, is an empty
// record.
func TestRecord(t *testing.T) {
	full := record{owner: 1<<64 - 1, began: 1, until: 2, due: -3, failures: 4, number: 5, etag: `"e"`}
	full.setQueue(7, true)
	full.setQueue(8, true)
	for _, want := range []record{{}, {etag: "e"}, {queues: "1234"}, full} {
		text := want.encode()
		if diff := cmp.Diff(want, decodeRecord(text), cmp.AllowUnexported(record{})); diff != "" {
			t.Error(diff)
		}
		for size := range recordHead + len(want.etag) {
			if got := decodeRecord(text[:size]); got != (record{}) {
				t.Errorf("%d bytes: %+v", size, got)
			}
		}
	}
}

func TestQueues(t *testing.T) {
	var r record
	for _, step := range []struct {
		queue  uint32
		wanted bool
		want   string
	}{
		{1, true, "\x01\x00\x00\x00"},
		{2, true, "\x02\x00\x00\x00\x01\x00\x00\x00"},
		{1, true, "\x01\x00\x00\x00\x02\x00\x00\x00"},
		{3, false, "\x01\x00\x00\x00\x02\x00\x00\x00"},
		{1, false, "\x02\x00\x00\x00"},
		{2, false, ""},
	} {
		if r.setQueue(step.queue, step.wanted); r.queues != step.want {
			t.Errorf("with %d wanted %t: %q, want %q", step.queue, step.wanted, r.queues, step.want)
		}
	}
	for queue := range uint32(2 * maxQueues) {
		r.setQueue(queue, true)
	}
	if len(r.queues) != queueSize*maxQueues || !strings.HasPrefix(r.queues, "\xff\x03\x00\x00\xfe") {
		t.Errorf("%d bytes of queues, %q first", len(r.queues), r.queues[:8])
	}
}

// TestHold: with wait the source is asked to hold a fetch, the time-out comes on top, and
// the next fetch follows at once where it has.
func TestHold(t *testing.T) {
	emulator, _, status := start(t,
		`{"policy_source": {"cluster": "policies", "interval": "10s", "timeout": "2s", "wait": 29.5}}`, nil)
	if status != types.OnPluginStartStatusOK {
		t.Fatal(emulator.GetCriticalLogs())
	}
	for i, test := range []struct {
		answer      answer
		held        int64 // ms
		least, most uint32
	}{
		{answer{"200", `"1"`, document("https://new.example")}, 0, 99, 100},
		{answer{"304", "", ""}, 30_000, 1, 1},
		{answer{"304", "", ""}, 10, 8_980, 10_990},
		{answer{"200", `"2"`, document("https://newer.example")}, 500, 1, 1},
		{answer{"200", `"3"`, "<html>"}, 100, 8_890, 10_900},
		{answer{"500", "", ""}, 100, 18_000, 22_000},
		{answer{"500", "", ""}, 30_000, 36_000, 44_000},
		{answer{}, 31_500, 54_000, 66_000},
		{answer{"304", "", ""}, 30_000, 1, 1},
	} {
		tick(emulator)
		calls := emulator.GetCalloutAttributesFromContext(proxytest.PluginContextID)
		if len(calls) != i+1 {
			t.Fatalf("%d fetches, want %d", len(calls), i+1)
		}
		prefer := ""
		for _, h := range calls[i].Headers {
			if h[0] == "prefer" {
				prefer = h[1]
			}
		}
		if prefer != "wait=30" {
			t.Errorf("fetch %d: prefer %q", i, prefer)
		}
		answered := now() + test.held
		now = func() int64 { return answered }
		var headers [][2]string
		if test.answer.status != "" {
			headers = [][2]string{{":status", test.answer.status}, {"etag", test.answer.etag}}
		}
		emulator.CallOnHttpCallResponse(calls[i].CalloutID, headers, nil, []byte(test.answer.body))
		if wait := emulator.GetTickPeriod(); wait < test.least || wait > test.most {
			t.Errorf("after fetch %d the next is in %d ms, want %d to %d", i, wait, test.least, test.most)
		}
	}
	if want := "policy_source: no whole answer within 31.5s; still serving 1 policy"; !strings.Contains(
		strings.Join(emulator.GetWarnLogs(), "\n"), want) {
		t.Errorf("the log lacks %q: %q", want, emulator.GetWarnLogs())
	}
	if got := allowedOrigin(emulator, "https://newer.example"); got == "" {
		t.Error("the last document doesn't serve")
	}
}
