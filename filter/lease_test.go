package filter

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/proxytest"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
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

// TestWake: all queues of a record are woken, whichever comes last.
func TestWake(t *testing.T) {
	var r record
	for queue := range uint32(3) {
		r.setQueue(7+queue, true)
	}
	host := &thread{}
	r.wake(host)
	if diff := cmp.Diff([]any{uint32(9), uint32(8), uint32(7)}, host.woken); diff != "" {
		t.Error(diff)
	}
	for queue := range uint32(12) {
		if want := queue >= 7 && queue <= 9; r.wakes(queue) != want {
			t.Errorf("wakes %d: %t, want %t", queue, !want, want)
		}
	}
}

// TestWatch: a VM has one queue, whose name stays; it hears through the newest of its sources, from the
// first tick on, and knows which source is the last of its kind.
func TestWatch(t *testing.T) {
	host := &thread{}
	w := &watch{}
	plugin := &Plugin{host: host}
	first, second, other := &source{plugin: plugin, key: "a"}, &source{plugin: plugin, key: "a"},
		&source{plugin: plugin, key: "b"}
	for i, step := range []struct {
		do   func()
		want int // how often the host was told the queue
	}{
		{func() { w.add(first) }, 0}, // it may be thrown away
		{func() { w.listen(first) }, 1},
		{func() { w.listen(first) }, 2},
		{func() { w.add(second) }, 3},
		{func() { w.listen(first) }, 3},
		{func() { w.listen(second) }, 4},
		{func() { w.add(other) }, 5},
	} {
		if step.do(); len(host.heard) != step.want {
			t.Errorf("step %d: it was told %d times, want %d", i, len(host.heard), step.want)
		}
	}
	for _, name := range host.heard {
		if name != w.name || name == "" {
			t.Errorf("the queue is %q, and was %q", w.name, name)
		}
	}
	for i, step := range []struct {
		*source
		last bool
	}{{first, false}, {second, true}, {other, true}} {
		if last := w.remove(step.source); last != step.last || len(w.sources) != 2-i {
			t.Errorf("source %d: the last one %t, want %t; %d left", i, last, step.last, len(w.sources))
		}
	}
}

// TestRemember: of sources that were replaced long ago nothing is kept, unless they are still in use.
func TestRemember(t *testing.T) {
	host := &thread{threads: &threads{shared: map[string]sharedValue{}}}
	plugin := &Plugin{host: host}
	key := func(n int) string { return recordKey + hashOf(strconv.Itoa(n)) }
	at := now()
	now = func() int64 { return at }
	const many, inUse, soon, silent = 2 * maxSources, 3, 4, 5
	for n := range many {
		r := record{number: 2}
		switch n {
		case inUse:
			r.owner, r.until = 1, at+1000
		case soon:
			r.owner, r.due = 1, at+1000
		case silent:
			r.owner, r.until = 1, at-slowest.Milliseconds()
		}
		host.SetShared(key(n), r.encode(), 0)
		host.SetShared(key(n)+documentKey, "document", 0)
		for range 2 {
			(&source{plugin: plugin, key: key(n)}).remember()
		}
	}
	list, _, _ := host.Shared(sourcesKey)
	if want := (maxSources + 2) * hashSize; len(list) != want || list[:hashSize] != hashOf(strconv.Itoa(many-1)) {
		t.Errorf("%d bytes list sources, want %d", len(list), want)
	}
	for n := range many {
		want := n >= many-maxSources || n == inUse || n == soon
		text, _, _ := host.Shared(key(n))
		document, _, _ := host.Shared(key(n) + documentKey)
		if (text != "") != want || (document != "") != want || strings.Contains(list, hashOf(strconv.Itoa(n))) != want {
			t.Errorf("source %d is kept: a record of %d bytes, a document of %d, want %t", n, len(text), len(document), want)
		}
	}
	// Both that were in use aren't any more.
	at += 2 * slowest.Milliseconds()
	(&source{plugin: plugin, key: key(many)}).remember()
	for _, n := range []int{inUse, soon} {
		if text, _, _ := host.Shared(key(n)); text != "" {
			t.Errorf("source %d isn't in use, and its record is kept", n)
		}
	}
}

// TestRememberTogether: a source is listed that starts while another VM changes the list.
func TestRememberTogether(t *testing.T) {
	host := &contended{thread: thread{threads: &threads{shared: map[string]sharedValue{}}}}
	host.SetShared(sourcesKey, hashOf("first"), 0)
	(&source{plugin: &Plugin{host: host}, key: recordKey + hashOf("own")}).remember()
	want := hashOf("own") + hashOf("other") + hashOf("first")
	if list, _, _ := host.Shared(sourcesKey); list != want {
		t.Errorf("%q is listed, want %q", list, want)
	}
}

// A contended is a host on which another VM is faster once.
type contended struct {
	thread
	lost bool
}

func (h *contended) SetShared(key, text string, version uint32) bool {
	if version != 0 && !h.lost {
		h.lost = true
		h.thread.SetShared(key, hashOf("other")+hashOf("first"), 0)
	}
	return h.thread.SetShared(key, text, version)
}

// TestLease: as long as one VM fetches and says so at each look, no other does, unless the fetch takes longer than it
// may; and when it has been silent for the time of a lease, another one does.
func TestLease(t *testing.T) {
	at := now()
	now = func() int64 { return at }
	from := &config.PolicySource{Cluster: "policies", Interval: config.MinInterval, Timeout: config.MaxTimeout}
	longest := int((from.Timeout + grace) / look)
	for _, test := range []struct {
		looks  int   // of the one that fetches
		silent int64 // in ms, after which the other may fetch
	}{{0, lease.Milliseconds()}, {30, lease.Milliseconds()}, {longest - 1, look.Milliseconds()}} {
		proxy := &threads{shared: map[string]sharedValue{}}
		var vms [2]*source
		for i := range vms {
			vms[i] = newSource((&VM{Host: &thread{threads: proxy}}).Unconfigured(), from)
			vms[i].start()
		}
		vms[0].tick()
		vms[1].tick()
		for range test.looks {
			at += look.Milliseconds()
			vms[0].tick()
			vms[1].tick()
		}
		for _, step := range []struct{ after, fetches int64 }{{0, 1}, {test.silent - 1, 1}, {1, 2}} {
			at += step.after
			vms[1].tick()
			if n := proxy.fetches.Load(); n != step.fetches {
				t.Errorf("after %d looks, and %d ms more: %d fetches, want %d", test.looks, step.after, n, step.fetches)
			}
		}
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
		{answer{"500", "", ""}, 100, 500, 1_500},
		{answer{"500", "", ""}, 30_000, 1_000, 3_000},
		{answer{}, 31_500, 2_000, 6_000},
		{answer{"304", "", ""}, 30_000, 1, 1},
		{answer{"304", "", ""}, -3_600_000, 9_000, 11_000}, // a clock that is set back
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

// TestBusy: a source that has another document each time takes no more than a part of the
// time of those that read it, however often it is asked, and also where they refuse it.
func TestBusy(t *testing.T) {
	const large = 256 << 10
	for _, test := range []struct {
		name, source, origin string
		more                 int // that the document has
	}{
		{"with wait", `"interval": "100ms", "wait": 30`, "https://new.example", large},
		{"without", `"interval": "100ms"`, "https://new.example", large},
		{"refused", `"interval": "100ms"`, "https://new.example/", large},
		{"refused, with wait", `"interval": "100ms", "wait": 30`, "https://new.example/", large},
		{"small", `"interval": "100ms"`, "https://new.example", 0},
		{"small, with wait", `"interval": "100ms", "wait": 30`, "https://new.example", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			emulator, _, _ := start(t, `{"policy_source": {"cluster": "policies", `+test.source+`}}`, nil)
			tick(emulator)
			calls := emulator.GetCalloutAttributesFromContext(proxytest.PluginContextID)
			began, looks := now()+40_000, int64(0)
			now = func() int64 { // Each look at the clock is 100 ms after the one before.
				looks++
				return began + 100*looks
			}
			emulator.CallOnHttpCallResponse(calls[0].CalloutID, [][2]string{{":status", "200"}}, nil,
				[]byte(document(test.origin)+strings.Repeat(" ", test.more)))
			end := now()
			now = func() int64 { return end }
			reading := uint32(100 * (looks - 2))
			wait := emulator.GetTickPeriod()
			if test.more == 0 && wait > 120 {
				t.Errorf("after the clock has jumped by %d ms, the next is in %d ms", reading, wait)
			}
			if test.more > 0 && (wait < 8*reading || wait > 10*reading) {
				t.Errorf("after reading for %d ms, the next is in %d ms, want nine times as long", reading, wait)
			}
		})
	}
}

// TestDelay: a source that fails is asked less and less often, up to a sixteenth of how often it otherwise is, or
// once a minute; one that holds fetches is asked sooner at first.
func TestDelay(t *testing.T) {
	for _, test := range []struct {
		interval, wait time.Duration
		want           []time.Duration // by the failures in a row
	}{
		{time.Second, 0, []time.Duration{
			time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 16 * time.Second,
		}},
		{20 * time.Second, 0, []time.Duration{20 * time.Second, 40 * time.Second, time.Minute, time.Minute}},
		{time.Hour, 0, []time.Duration{time.Hour, time.Hour, time.Hour}},
		{10 * time.Second, time.Minute, []time.Duration{10 * time.Second, firstRetry, 2 * firstRetry, 4 * firstRetry}},
	} {
		s := &source{from: &config.PolicySource{Interval: test.interval, Wait: test.wait}}
		for failures, want := range test.want {
			if got := s.delay(int64(failures)); got != want {
				t.Errorf("every %s, and waiting %s: %s after %d failures, want %s", test.interval, test.wait, got, failures, want)
			}
		}
	}
}

// TestSpread: times are spread over all that there is between two.
func TestSpread(t *testing.T) {
	least, most := time.Hour, time.Duration(0)
	for range 1000 {
		d := spread(time.Minute, 3*time.Minute)
		least, most = min(least, d), max(most, d)
	}
	if least < time.Minute || least > 70*time.Second || most < 170*time.Second || most > 3*time.Minute {
		t.Errorf("times are from %s to %s", least, most)
	}
	if d := spread(0, 0); d != time.Millisecond {
		t.Errorf("no time is %s", d)
	}
}

// TestTurn: who may fetch, and when.
func TestTurn(t *testing.T) {
	const at = 1_000_000
	vm := &watch{}
	older, s := &source{id: 1}, &source{id: 2}
	for _, s := range []*source{older, s} {
		s.plugin = &Plugin{watch: vm}
		s.from = &config.PolicySource{Interval: 10 * time.Second, Wait: 30 * time.Second}
		vm.sources = append(vm.sources, s)
	}
	for _, test := range []struct {
		name string
		r    record
		want time.Duration
	}{
		{"nobody has asked", record{}, -at * time.Millisecond},
		{"another asks", record{owner: 9, began: at - 1, until: at + 1}, time.Second},
		{"another asks, and has looked at the clock later", record{owner: 9, began: at + 1, until: at + 5000},
			time.Second},
		{"another has fallen silent", record{owner: 9, began: at - 5000, until: at - 1, due: at - 9000},
			-8 * time.Second},
		{"the clock was set back", record{owner: 9, began: at + 1001, until: at + 5000}, 0},
		{"its time is up", record{owner: 9, began: at - 5000, until: at, due: at - 9000}, -8 * time.Second},
		{"another thread's clock", record{owner: 9, began: at + 1000, until: at + 5000}, time.Second},
		{"the time of the configuration before is up", record{owner: 1, began: at - 1, until: at, due: at + 500},
			500 * time.Millisecond},
		{"its turn is later", record{owner: 2, began: at - 1000, due: at + 9000}, 9 * time.Second},
		{"another's is", record{owner: 9, began: at - 1000, due: at + 9000}, time.Second},
		{"another's was", record{owner: 9, began: at - 1000, due: at - 1300}, -300 * time.Millisecond},
		{"another's may be late", record{owner: 9, began: at - 1000, due: at - 300}, 700 * time.Millisecond},
		{"another asks less often", record{owner: 9, began: at - 20_000, due: at + 60_000}, -4 * time.Second},
		{"one that has gone left its turn", record{began: at - 1000, due: at + 500}, 500 * time.Millisecond},
		{"the configuration before asks", record{owner: 1, began: at - 1, until: at + 5000}, 0},
		{"the configuration before is to ask", record{owner: 1, began: at - 1, due: at + 500},
			500 * time.Millisecond},
	} {
		if got := s.turn(&test.r, at); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
	if got := older.turn(&record{owner: 2, began: at - 1, until: at + 5000}, at); got != look {
		t.Errorf("a newer configuration asks, and the one before is to wait %s", got)
	}
	s.from.Wait = 0
	if got := s.turn(&record{owner: 1, began: at - 1, until: at + 5000}, at); got != look {
		t.Errorf("the configuration before waits for changes, which this one doesn't, and is to wait %s", got)
	}
}

// TestListedAgain: VMs that died have left so many queues that there is no place for one
// that lives.
func TestListedAgain(t *testing.T) {
	emulator, host, _ := start(t, sourceConfig, nil)
	tick(emulator)
	keys := []string{recordKey + hashOf("policies\npolicies.internal\n/cors.json")}
	text, _, _ := host.Shared(keys[0])
	own := decodeRecord(text).queues
	if len(own) != queueSize {
		t.Fatalf("%d bytes of queues", len(own))
	}
	r := decodeRecord(text)
	for queue := range uint32(maxQueues) {
		r.setQueue(1000+queue, true)
	}
	host.SetShared(keys[0], r.encode(), 0)
	tick(emulator)
	if text, _, _ := host.Shared(keys[0]); !strings.HasPrefix(decodeRecord(text).queues, own) {
		t.Error("it isn't woken any more")
	}
}

// TestForeignDocument: a document in the shared data that this build doesn't take, or that
// isn't whole, is asked for without its ETag, and then refused or replaced.
func TestForeignDocument(t *testing.T) {
	for _, test := range []struct {
		name, shared string
		number       uint64
		answer       string
		serves       string
		updated      uint64
	}{
		{"of another build", "<html>", 2, "<html>", "", 0},
		{"whose writer has died", document("https://one.example"), 3, document("https://one.example"),
			"https://one.example", 1},
		{"that was emptied", "", 4, document("https://one.example"), "https://one.example", 1},
		{"that is well", document("https://one.example"), 2, "", "https://one.example", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			emulator, host, _ := start(t, `{"policy_source": {"cluster": "other"}}`, nil)
			key := recordKey + hashOf("other\nother\n/")
			host.SetShared(key+documentKey, test.shared, 0)
			host.SetShared(key, (&record{number: test.number, etag: `"1"`}).encode(), 0)
			tick(emulator)
			call := emulator.GetCalloutAttributesFromContext(proxytest.PluginContextID)[0]
			asked := false
			for _, h := range call.Headers {
				asked = asked || h[0] == "if-none-match"
			}
			if well := test.answer == ""; asked != well {
				t.Errorf("asks with %q", call.Headers)
			}
			if !asked {
				emulator.CallOnHttpCallResponse(call.CalloutID, [][2]string{{":status", "200"}, {"etag", `"1"`}}, nil,
					[]byte(test.answer))
			}
			if got := allowedOrigin(emulator, test.serves); got != test.serves {
				t.Errorf("allows %q", got)
			}
			if n, _ := emulator.GetCounterMetric(countUpdated); n != test.updated {
				t.Errorf("%d updates", n)
			}
			text, _, _ := host.Shared(key)
			r := decodeRecord(text)
			if handedOn := r.number > test.number && !r.writing() && r.etag == `"1"`; test.updated > 0 && !handedOn {
				t.Errorf("the record is %+v", r)
			}
		})
	}
}

// TestManyAtOnce: of sixteen VMs in threads of their own, one at a time fetches.
func TestManyAtOnce(t *testing.T) {
	const workers = 16
	now = func() int64 { return time.Now().UnixMilli() }
	proxy := &threads{shared: map[string]sharedValue{}}
	c := &config.PolicySource{Cluster: "policies", Interval: 20 * time.Millisecond, Timeout: time.Second}
	end := time.Now().Add(2 * time.Second)
	var running sync.WaitGroup
	for range workers {
		vm := &VM{Host: &thread{threads: proxy}}
		s := newSource(vm.Unconfigured(), c)
		s.start()
		running.Go(func() {
			host := vm.Host.(*thread)
			for time.Now().Before(end) {
				if s.tick(); host.answered != nil {
					answered := host.answered
					host.answered = nil
					time.Sleep(2 * time.Millisecond)
					proxy.underWay.Add(-1)
					answered(0, true)
				}
				time.Sleep(50 * time.Microsecond)
			}
		})
	}
	running.Wait()
	if n := proxy.most.Load(); n != 1 {
		t.Errorf("%d fetches at once", n)
	}
	if n := proxy.fetches.Load(); n < 20 || n > 2000/18 {
		t.Errorf("%d fetches in two seconds at intervals of 20 ms", n)
	}
}

// threads are what the VMs of a proxy have in common.
type threads struct {
	mu                      sync.Mutex
	shared                  map[string]sharedValue
	version                 uint32
	underWay, most, fetches atomic.Int64
}

type sharedValue struct {
	text    string
	version uint32
}

// A thread is a host of a VM in a thread of its own, without traffic.
type thread struct {
	Host
	*threads
	answered      func(int, bool)
	configuration string
	woken, heard  []any // queues, and names of queues
}

func (*thread) Log(Level, string)            {}
func (*thread) DefineCounter(string) Counter { return 0 }
func (*thread) Count(Counter)                {}
func (*thread) SetTickPeriod(time.Duration)  {}
func (*thread) PluginName() string           { return "plugin" }
func (*thread) Settle()                      {}
func (*thread) FetchedBody(int) string       { return document("https://one.example") }

func (*thread) FetchedHeader(name string) (string, bool) { return "200", name == ":status" }

func (h *thread) Configuration() string { return h.configuration }

func (h *thread) Listen(name string) uint32 {
	h.heard = append(h.heard, name)
	return 1
}

func (h *thread) Wake(queue uint32) { h.woken = append(h.woken, queue) }

func (h *thread) SharedDocument(key string) (string, bool) {
	value, _, ok := h.Shared(key)
	return value, ok
}

func (h *thread) Shared(key string) (string, uint32, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	value, ok := h.shared[key]
	return value.text, value.version, ok
}

func (h *thread) SetShared(key, text string, version uint32) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if old, ok := h.shared[key]; ok && version != 0 && version != old.version {
		return false
	}
	h.version++
	h.shared[key] = sharedValue{text, h.version}
	return true
}

func (h *thread) Fetch(_ uint32, _ string, _ []byte, _ time.Duration, answered func(int, bool)) bool {
	h.fetches.Add(1)
	for n := h.underWay.Add(1); ; {
		if most := h.most.Load(); n <= most || h.most.CompareAndSwap(most, n) {
			break
		}
	}
	h.answered = answered
	return true
}

// TestSyncAll: a VM is called once for all its plugins, and what each then asks of the host,
// such as ticks, is for itself.
func TestSyncAll(t *testing.T) {
	host := &entering{thread: thread{threads: &threads{shared: map[string]sharedValue{}}}}
	vm := &VM{Host: host}
	for id := range uint32(3) {
		p := vm.NewPluginContext(7 + id).(*Plugin)
		newSource(p, &config.PolicySource{Cluster: "policies"}).start()
	}
	key := vm.watch.sources[0].key
	host.SetShared(key+documentKey, document("https://one.example"), 0)
	host.SetShared(key, (&record{number: 2}).encode(), 0)
	host.calls = nil
	vm.Unconfigured().OnQueueReady(1)
	want := []string{"enter 7", "document", "enter 8", "document", "enter 9", "document"}
	if diff := cmp.Diff(want, host.calls); diff != "" {
		t.Error(diff)
	}
	for _, s := range vm.watch.sources {
		if !s.serves() {
			t.Errorf("plugin %d hasn't the document", s.plugin.id)
		}
	}
}

// An entering is a host that records for whom documents are read.
type entering struct {
	thread
	calls []string
}

func (h *entering) Enter(id uint32) { h.calls = append(h.calls, "enter "+strconv.Itoa(int(id))) }

func (h *entering) SharedDocument(key string) (string, bool) {
	h.calls = append(h.calls, "document")
	return h.thread.SharedDocument(key)
}

// TestGone: a source that goes leaves its turn to others, and its VM's queue if no other source of the VM
// is of its kind.
func TestGone(t *testing.T) {
	for _, test := range []struct {
		name   string
		owner  uint64
		others int
		want   record
	}{
		{"the last one, whose turn it is", 1, 0, record{}},
		{"the last one", 9, 0, record{owner: 9, until: 7, due: 8}},
		{"one of two, whose turn it is", 1, 1, record{queues: "\x01\x00\x00\x00"}},
		{"one of two", 9, 1, record{owner: 9, until: 7, due: 8, queues: "\x01\x00\x00\x00"}},
	} {
		host := &thread{threads: &threads{shared: map[string]sharedValue{}}}
		s := &source{id: 1, key: "key", plugin: &Plugin{host: host, watch: &watch{queue: 1}}}
		s.plugin.watch.sources = []*source{s}
		for range test.others {
			s.plugin.watch.sources = append(s.plugin.watch.sources, &source{key: "key"})
		}
		r := record{owner: test.owner, until: 7, due: 8}
		r.setQueue(1, true)
		host.SetShared("key", r.encode(), 0)
		_, before, _ := host.Shared("key")
		s.gone()
		text, after, _ := host.Shared("key")
		if diff := cmp.Diff(test.want, decodeRecord(text), cmp.AllowUnexported(record{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		if wrote := after != before; wrote != (r != test.want) {
			t.Errorf("%s: the record is written: %t", test.name, wrote)
		}
	}
}

// TestPrefer: a source is asked to wait as long as is configured, in whole seconds (RFC 7240, section
// 4.3), and else not.
func TestPrefer(t *testing.T) {
	for wait, want := range map[string]string{"": "", `, "wait": 30`: "wait=30", `, "wait": 29.001`: "wait=30"} {
		t.Run(wait, func(t *testing.T) {
			emulator, _, _ := start(t, `{"policy_source": {"cluster": "policies"`+wait+`}}`, nil)
			tick(emulator)
			got := ""
			for _, h := range emulator.GetCalloutAttributesFromContext(proxytest.PluginContextID)[0].Headers {
				if h[0] == "prefer" {
					got = h[1]
				}
			}
			if got != want {
				t.Errorf("prefer %q, want %q", got, want)
			}
		})
	}
}

// ticking is a host that knows what it was last asked to tick by.
type ticking struct {
	Host
	period time.Duration
	calls  int
}

func (h *ticking) SetTickPeriod(period time.Duration) { h.period, h.calls = period, h.calls+1 }

// TestTicks: a source's ticks come when they are due, also while others come in between, and the host is
// told only what it doesn't know.
func TestTicks(t *testing.T) {
	at := int64(1_000)
	monotonic = func() int64 { return at }
	host := &ticking{}
	ticks := &ticks{host: host}
	for i, step := range []struct {
		at     int64
		do     func()
		source bool
		period time.Duration // of the host
		calls  int
	}{
		{1_000, ticks.hasten, false, time.Millisecond, 1}, // without a source
		{1_000, ticks.calm, false, 0, 2},
		{1_000, func() { ticks.every(10 * time.Second) }, true, 10 * time.Second, 3},
		{1_000, func() { ticks.every(10 * time.Second) }, true, 10 * time.Second, 3},
		{2_000, ticks.hasten, false, time.Millisecond, 4},
		{3_000, ticks.hasten, false, time.Millisecond, 4},
		{10_999, func() {}, false, time.Millisecond, 4},
		{11_000, func() {}, true, time.Millisecond, 4},
		{11_001, func() {}, false, time.Millisecond, 4},
		{21_000, func() {}, true, time.Millisecond, 4},
		{22_000, func() { ticks.every(20 * time.Second) }, false, time.Millisecond, 4},
		{41_999, func() {}, false, time.Millisecond, 4},
		{42_000, ticks.calm, true, 20 * time.Second, 5},
		{42_000, ticks.calm, true, 20 * time.Second, 5},
		{42_000, func() { ticks.every(0) }, true, time.Millisecond, 6},
	} {
		at = step.at
		step.do()
		if source := ticks.source(); source != step.source || host.period != step.period || host.calls != step.calls {
			t.Errorf("step %d: the source's %t, the host ticks by %s and was told %d times", i, source, host.period,
				host.calls)
		}
	}
}

// TestOutdate: streams that wait with policies of long ago are given up, and no others.
func TestOutdate(t *testing.T) {
	p := &Plugin{ticks: ticks{host: &ticking{}}}
	a := &ask{lookup: &lookup{}}
	p.asks = map[askKey]*ask{{}: a}
	for generation := range 3 {
		a.add(&wait{generation: generation})
		a.add(&wait{generation: generation})
	}
	for i := range maxGenerations + 4 {
		p.outdate()
		gone := min(max(0, i-maxGenerations+1), 3) // of the generations
		given := 0
		for _, a := range p.answers {
			for w := a.first; w != nil; w = w.next {
				given++
			}
			if a.waiting != 2 || a.first == nil {
				t.Errorf("%d streams are given up together", a.waiting)
			}
		}
		if given != 2*gone || len(p.answers) != gone || a.waiting != 2*(3-gone) {
			t.Errorf("after %d updates %d streams are given up, and %d wait", i+1, given, a.waiting)
		}
	}
}
