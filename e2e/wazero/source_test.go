package wazero_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/wasmhost"
)

// These are the tests of what a proxy's VMs do with a policy source together.

// A fleet is the VMs of a proxy.
type fleet struct {
	t       *testing.T
	module  *wasmhost.Module
	vms     []*wasmhost.VM
	roots   []*wasmhost.Root
	fetches []fetchedAt
	// answer is the source's.
	answer func(f *fetchedAt) *wasmhost.HTTPAnswer
}

// A fetchedAt is a request to a source.
type fetchedAt struct {
	wasmhost.HTTPCall
	at  time.Time
	now time.Time
}

func (f *fetchedAt) header(name string) string {
	for _, h := range f.Headers {
		if h[0] == name {
			return h[1]
		}
	}
	return ""
}

// startVMs configures a VM that is thrown away and so many others, as Envoy does.
func startVMs(t *testing.T, config string, workers int) *fleet {
	t.Helper()
	module, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{t: t, module: module}
	f.vms = append(f.vms, newVM(t))
	for range workers {
		f.vms = append(f.vms, sibling(t, module, f.vms[0]))
	}
	f.roots = f.configure(config)
	return f
}

// configure has all VMs take a configuration, and returns the roots but that of the first.
func (f *fleet) configure(config string) (roots []*wasmhost.Root) {
	f.t.Helper()
	remove(f.t, newRoot(f.t, f.vms[0], config))
	for _, vm := range f.vms[1:] {
		roots = append(roots, newRoot(f.t, vm, config))
	}
	return roots
}

// run has time pass, and returns the fetches meanwhile.
func (f *fleet) run(d time.Duration) []fetchedAt {
	f.t.Helper()
	fetches, err := f.tryRun(d)
	if err != nil {
		f.t.Fatal(err)
	}
	return fetches
}

// tryRun is run, until a VM dies.
func (f *fleet) tryRun(d time.Duration) ([]fetchedAt, error) {
	before := len(f.fetches)
	err := f.vms[0].Run(d, f.roots, func(call wasmhost.HTTPCall, now time.Time) *wasmhost.HTTPAnswer {
		same := func(known fetchedAt) bool { return fmt.Sprint(known.HTTPCall) == fmt.Sprint(call) }
		i := slices.IndexFunc(f.fetches[before:], same)
		if i < 0 {
			i = len(f.fetches) - before
			f.fetches = append(f.fetches, fetchedAt{HTTPCall: call, at: now})
		}
		fetch := &f.fetches[before+i]
		fetch.now = now
		return f.answer(fetch)
	})
	return f.fetches[before:], err
}

// counted is the sum of a counter over the VMs.
func (f *fleet) counted(name string) (n uint64) {
	for _, vm := range f.vms {
		n += vm.Metrics()["cors.policy_source."+name]
	}
	return n
}

// logged is how many lines of all VMs have a text.
func (f *fleet) logged(text string) (n int) {
	for _, vm := range f.vms {
		n += strings.Count(strings.Join(vm.Logs(), "\n"), text)
	}
	return n
}

// serve fails the test unless each VM allows an origin.
func (f *fleet) serve(origin string) {
	f.t.Helper()
	for i, root := range f.roots {
		got := allowedOrigin(exchange(f.t, f.vms[i+1], root,
			cases.Request{Headers: [][2]string{{"Origin", origin}}}, cases.Upstream{}))
		if got != origin {
			f.t.Errorf("VM %d allows %q, want %q", i+1, got, origin)
		}
	}
}

// publish returns an answer of a source with a document, which has an ETag.
func publish(origin string) func(f *fetchedAt) *wasmhost.HTTPAnswer {
	etag := `"` + origin + `"`
	return func(f *fetchedAt) *wasmhost.HTTPAnswer {
		if f.header("if-none-match") == etag {
			return &wasmhost.HTTPAnswer{Status: 304}
		}
		return &wasmhost.HTTPAnswer{Status: 200, Headers: [][2]string{{"etag", etag}},
			Body: `{"policies": [{"name": "p", "allow_origins": ["` + origin + `"]}]}`}
	}
}

func fails(status int) func(f *fetchedAt) *wasmhost.HTTPAnswer {
	return func(*fetchedAt) *wasmhost.HTTPAnswer { return &wasmhost.HTTPAnswer{Status: status} }
}

func sourceOf(path, more string) string {
	return `{"policy_source": {"cluster": "policies", "path": "` + path + `"` + more + `}}`
}

var polled = sourceOf("/cors.json", `, "interval": "1s"`)

// between fails the test unless n is from least to most.
func between(t *testing.T, what string, n, least, most int) {
	t.Helper()
	if n < least || n > most {
		t.Errorf("%d %s, want %d to %d", n, what, least, most)
	}
}

// TestOneFetch: of several VMs one fetches, and counts and logs; all others have what
// it got, at once.
func TestOneFetch(t *testing.T) {
	f := startVMs(t, polled, 4)
	f.answer = publish("https://one.example")
	between(t, "fetches in ten seconds", len(f.run(10*time.Second)), 9, 12)
	f.serve("https://one.example")
	between(t, "updates", int(f.counted("updated")), 1, 1)
	between(t, "304s", int(f.counted("unchanged")), 8, 11)
	between(t, "log lines", f.logged("policy_source: a new document, now serving 1 policy"), 1, 1)

	// A document that is refused is logged once, and changes nothing.
	f.answer = func(*fetchedAt) *wasmhost.HTTPAnswer { return &wasmhost.HTTPAnswer{Status: 200, Body: "<html>"} }
	f.run(5 * time.Second)
	f.serve("https://one.example")
	between(t, "refusals", int(f.counted("refused")), 4, 6)
	between(t, "log lines", f.logged("policy_source: the document is refused"), 1, 1)

	// A source that is away is asked less and less often, and that is logged once.
	f.answer = fails(503)
	between(t, "fetches of a source that is away", len(f.run(62*time.Second)), 5, 8)
	between(t, "log lines", f.logged("policy_source: status 503"), 1, 1)

	f.answer = publish("https://two.example")
	f.run(20 * time.Second)
	f.serve("https://two.example")
	between(t, "updates", int(f.counted("updated")), 2, 2)
	// Whoever wakes another takes out what woke it before.
	if n := f.vms[0].Queued(); n > len(f.roots) {
		t.Errorf("%d values are in the queues", n)
	}
}

// TestTakeOver: whoever fetches may go, be it at its end or by its VM's death, with a fetch
// under way or between two.
func TestTakeOver(t *testing.T) {
	for _, held := range []bool{false, true} {
		for _, dies := range []bool{false, true} {
			t.Run(fmt.Sprintf("held %t, dies %t", held, dies), func(t *testing.T) {
				f := startVMs(t, sourceOf("/cors.json", `, "interval": "1s", "timeout": "10s"`), 3)
				f.answer = publish("https://one.example")
				f.run(3 * time.Second)
				fetcher := slices.IndexFunc(f.roots, func(r *wasmhost.Root) bool {
					return slices.Contains(r.Calls(), "count cors.policy_source.updated +1")
				})
				if held {
					f.answer = func(*fetchedAt) *wasmhost.HTTPAnswer { return nil }
					f.run(1200 * time.Millisecond)
					if n := len(f.roots[fetcher].HTTPCalls()); n != 1 {
						t.Fatalf("%d fetches are under way", n)
					}
				}
				gone := f.roots[fetcher]
				f.roots = slices.Delete(f.roots, fetcher, fetcher+1)
				f.vms = slices.Delete(f.vms, fetcher+1, fetcher+2)
				most := 3200 * time.Millisecond // the next look after the next fetch is late
				if !dies {
					remove(t, gone)
					most = 2200 * time.Millisecond
				} else if held {
					most = 6200 * time.Millisecond // the next look after five seconds of silence
				}
				f.answer = publish("https://two.example")
				f.run(most)
				f.serve("https://two.example")
				between(t, "fetches in ten seconds", len(f.run(10*time.Second)), 9, 12)
			})
		}
	}
}

// TestCarriedOver: a new configuration with the same source goes on with its last document,
// in old VMs and in new ones, and asks for what differs from it; one with another source
// doesn't.
func TestCarriedOver(t *testing.T) {
	f := startVMs(t, polled, 3)
	f.answer = publish("https://one.example")
	f.run(2 * time.Second)
	old := f.roots
	next := sourceOf("/cors.json", `, "interval": "2s", "timeout": "1s"`)
	f.roots = f.configure(next)
	f.serve("https://one.example")
	between(t, "log lines", f.logged("now serving 1 policy of the policy source's last document"), 1, 4)
	for _, root := range old {
		remove(t, root)
	}
	for _, fetch := range f.run(10 * time.Second) {
		if fetch.header("if-none-match") != `"https://one.example"` || fetch.Timeout != time.Second {
			t.Errorf("fetches with %q and time-out %s", fetch.Headers, fetch.Timeout)
		}
	}
	between(t, "updates", int(f.counted("updated")), 1, 1)

	// In new VMs, as in a worker that starts anew.
	for i := range f.vms[1:] {
		remove(t, f.roots[i])
		f.vms[i+1] = sibling(t, f.module, f.vms[0])
	}
	f.roots = f.configure(next)
	f.serve("https://one.example")

	f.roots = f.configure(sourceOf("/other.json", ""))
	for i, root := range f.roots {
		deniesAll(t, f.vms[i+1], root, "no policies have arrived from the policy source, so that no origin is allowed")
	}
}

// TestSources: plugins with different sources keep them apart, in the same VMs, and those
// with the same source share it.
func TestSources(t *testing.T) {
	f := startVMs(t, sourceOf("/a", `, "interval": "1s"`), 2)
	a := f.roots
	b := f.configure(sourceOf("/b", `, "interval": "1s"`))
	again := f.configure(sourceOf("/a", `, "interval": "1.5s"`))
	f.answer = func(fetch *fetchedAt) *wasmhost.HTTPAnswer {
		return publish("https://" + strings.TrimPrefix(fetch.header(":path"), "/") + ".example")(fetch)
	}
	all := slices.Concat(a, b, again)
	check := func() {
		t.Helper()
		f.roots = a
		f.serve("https://a.example")
		f.roots = again
		f.serve("https://a.example")
		f.roots = b
		f.serve("https://b.example")
		f.roots = all
	}
	f.roots = all
	between(t, "fetches of two sources in ten seconds", len(f.run(10*time.Second)), 14, 24)
	check()
	// The plugin goes that the proxy tells of new documents: the others hear of them all the
	// same.
	for _, root := range again {
		remove(t, root)
	}
	all, again = slices.Concat(a, b), nil
	f.roots = all
	f.run(2 * time.Second)
	suffix := ".a.example"
	f.answer = func(fetch *fetchedAt) *wasmhost.HTTPAnswer {
		return publish("https://" + strings.TrimPrefix(fetch.header(":path"), "/") + suffix)(fetch)
	}
	news := func(i int) bool {
		return allowedOrigin(exchange(t, f.vms[i+1], a[i], cases.Request{Headers: [][2]string{
			{"Origin", "https://a.a.example"}}}, cases.Upstream{})) != ""
	}
	for tries := 0; !news(0) && !news(1) && tries < 200; tries++ {
		f.run(10 * time.Millisecond)
	}
	f.roots = a
	f.serve("https://a.a.example")
	f.roots = all
	f.run(2 * time.Second)
	f.roots = b
	f.serve("https://b.a.example")
}

// TestWait: a source may hold a fetch, and the next one follows at once. One that doesn't
// hold it is asked as often as without.
func TestWait(t *testing.T) {
	f := startVMs(t, sourceOf("/cors.json", `, "interval": "10s", "wait": "30s"`), 3)
	published := publish("https://one.example")
	holding := func(fetch *fetchedAt) *wasmhost.HTTPAnswer {
		a := published(fetch)
		if a.Status == 304 && fetch.now.Sub(fetch.at) < 30*time.Second {
			return nil
		}
		return a
	}
	f.answer = holding
	fetches := f.run(2 * time.Second)
	between(t, "fetches", len(fetches), 2, 2)
	if fetch := fetches[1]; fetch.header("prefer") != "wait=30" || fetch.Timeout != 32*time.Second {
		t.Errorf("the fetch has time-out %s and %q", fetch.Timeout, fetch.Headers)
	}
	f.serve("https://one.example")
	for n := range 10 {
		origin := fmt.Sprintf("https://n%d.example", n)
		published = publish(origin)
		f.run(110 * time.Millisecond)
		f.serve(origin)
	}
	between(t, "fetches in five minutes that are held", len(f.run(5*time.Minute)), 10, 11)

	f.answer = func(fetch *fetchedAt) *wasmhost.HTTPAnswer { return published(fetch) }
	f.run(30 * time.Second)
	between(t, "fetches in five minutes that are not held", len(f.run(5*time.Minute)), 27, 34)

	n := 0
	f.answer = func(*fetchedAt) *wasmhost.HTTPAnswer {
		n++
		return publish(fmt.Sprintf("https://n%d.example", n))(&fetchedAt{})
	}
	f.run(10 * time.Second)
	between(t, "fetches in ten seconds of something new each time", len(f.run(10*time.Second)), 50, 101)
}

// TestClockSetBack: a clock that is set back keeps no one from fetching.
func TestClockSetBack(t *testing.T) {
	f := startVMs(t, sourceOf("/cors.json", `, "wait": "30s"`), 2)
	f.answer = func(*fetchedAt) *wasmhost.HTTPAnswer { return nil }
	f.run(2 * time.Second)
	f.vms = []*wasmhost.VM{f.vms[0], sibling(t, f.module, f.vms[0])} // The others die.
	f.roots = f.configure(sourceOf("/cors.json", `, "wait": "20s"`))
	f.vms[0].SetBack(time.Hour, f.roots)
	f.answer = publish("https://one.example")
	f.run(3 * time.Second)
	f.serve("https://one.example")
}

// TestSharedMemory: neither who fetches nor who is handed documents keeps anything of those
// before, large or small.
func TestSharedMemory(t *testing.T) {
	f := startVMs(t, polled, 2)
	document := ""
	f.answer = func(*fetchedAt) *wasmhost.HTTPAnswer { return &wasmhost.HTTPAnswer{Status: 200, Body: document} }
	var half [2]uint32
	const documents = 40
	for n := range documents {
		origins := make([]string, []int{40_000, 10, 10, 1000}[n%4])
		for i := range origins {
			origins[i] = fmt.Sprintf(`"https://n%d-%d.example"`, n, i)
		}
		document = `{"policies": [{"name": "p", "allow_origins": [` + strings.Join(origins, ",") + `]}]}`
		f.run(3 * time.Second)
		f.serve(fmt.Sprintf("https://n%d-3.example", n))
		for i, vm := range f.vms[1:] {
			if n == documents/2 {
				half[i] = vm.MemorySize()
			}
		}
	}
	for i, vm := range f.vms[1:] {
		t.Logf("VM %d has %d bytes, and %d after the first half", i+1, vm.MemorySize(), half[i])
		if vm.MemorySize() > half[i]+4<<20 {
			t.Errorf("VM %d has grown", i+1)
		}
	}
}

// TestLate: an answer that comes when another has asked is void.
func TestLate(t *testing.T) {
	f := startVMs(t, polled, 2)
	f.answer = func(*fetchedAt) *wasmhost.HTTPAnswer { return nil }
	f.run(2 * time.Second)
	if len(f.roots[0].HTTPCalls()) == 0 {
		slices.Reverse(f.roots)
		slices.Reverse(f.vms[1:])
	}
	f.run(5 * time.Second) // more than the time-out, at which Envoy would answer
	origins := []string{"https://old.example", "https://new.example"}
	for _, i := range []int{1, 0} {
		calls, a := f.roots[i].HTTPCalls(), publish(origins[i])(&fetchedAt{})
		if len(calls) != 1 {
			t.Fatalf("%d fetches are under way", len(calls))
		}
		if err := f.roots[i].AnswerHTTPCall(calls[0].Token, a.Status, a.Headers, a.Body); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.vms[0].Dispatch(); err != nil {
		t.Fatal(err)
	}
	f.serve("https://new.example")
}

// TestEveryWorkerSoon: all VMs have the first document at once, and with wait the next ones:
// also those plugins that share a VM with the one that fetches, those that have just
// been made, and those whose plugin has just been replaced.
func TestEveryWorkerSoon(t *testing.T) {
	waits := func(seconds int) string {
		return sourceOf("/cors.json", fmt.Sprintf(`, "interval": "10s", "wait": "%ds"`, seconds))
	}
	published := publish("https://one.example")
	f := startVMs(t, waits(30), 4)
	f.answer = func(fetch *fetchedAt) *wasmhost.HTTPAnswer {
		if a := published(fetch); a.Status == 200 || fetch.now.Sub(fetch.at) >= 30*time.Second {
			return a
		}
		return nil
	}
	f.run(200 * time.Millisecond)
	f.serve("https://one.example")
	change := func(origin string) {
		t.Helper()
		f.run(200 * time.Millisecond)
		published = publish(origin)
		f.run(20 * time.Millisecond)
		f.serve(origin)
	}
	for n := range 10 {
		change(fmt.Sprintf("https://n%d.example", n))
		old := f.roots
		f.roots = f.configure(waits(20 + n))
		f.run(200 * time.Millisecond)
		both, vms := slices.Concat(old, f.roots), f.vms
		f.roots, f.vms = both, slices.Concat(vms, vms[1:])
		change(fmt.Sprintf("https://both%d.example", n))
		f.roots, f.vms = both[len(old):], vms
		for _, root := range old {
			remove(t, root)
		}
	}
}

// TestDeathAtEachStep: whoever fetches dies, after each of the host calls that it makes from
// there to the end. The others, and one that takes its place, have the new document soon, and
// the next one.
func TestDeathAtEachStep(t *testing.T) {
	const steps = 200
	for step := 1; ; step++ {
		f := startVMs(t, sourceOf("/cors.json", `, "interval": "1s", "timeout": "10s"`), 3)
		f.answer = publish("https://one.example")
		f.run(3 * time.Second)
		f.serve("https://one.example")
		fetcher := 1 + slices.IndexFunc(f.roots, func(r *wasmhost.Root) bool {
			return slices.Contains(r.Calls(), "count cors.policy_source.updated +1")
		})
		dying := f.vms[fetcher]
		dying.DieAfter(step)
		f.answer = publish("https://two.example")
		_, err := f.tryRun(1200 * time.Millisecond)
		if dying.Err() == nil {
			if err != nil || step < 20 {
				t.Fatalf("after %d steps: %v", step, err)
			}
			t.Logf("it makes %d host calls", step-1)
			return
		}
		if step == steps {
			t.Fatal("there is no end of it")
		}
		f.vms[fetcher] = sibling(t, f.module, f.vms[0])
		f.roots[fetcher-1] = newRoot(t, f.vms[fetcher], sourceOf("/cors.json", `, "interval": "1s", "timeout": "10s"`))
		f.run(7 * time.Second)
		f.serve("https://two.example")
		f.answer = publish("https://three.example")
		between(t, "fetches in ten seconds", len(f.run(10*time.Second)), 8, 12)
		f.serve("https://three.example")
		if t.Failed() {
			t.Fatalf("it died after %d steps: %v", step, dying.Err())
		}
	}
}

// TestReplacedSources: of sources that are not in use any more, the proxy keeps few documents,
// and those in use go on.
func TestReplacedSources(t *testing.T) {
	f := startVMs(t, sourceOf("/used", `, "interval": "1s"`), 1)
	used, large := f.roots, strings.Repeat(" ", 1<<20)
	f.answer = func(fetch *fetchedAt) *wasmhost.HTTPAnswer {
		a := publish("https://" + strings.TrimPrefix(fetch.header(":path"), "/") + ".example")(fetch)
		a.Body += large
		return a
	}
	f.run(time.Second)
	for n := range 50 {
		f.roots = append(f.configure(sourceOf(fmt.Sprintf("/n%d", n), "")), used...)
		f.vms = []*wasmhost.VM{f.vms[0], f.vms[1], f.vms[1]}
		f.run(2 * time.Minute)
		remove(t, f.roots[0])
		f.roots, f.vms = used, f.vms[:2]
	}
	f.serve("https://used.example")
	if size := f.vms[0].SharedSize(); size > 35<<20 {
		t.Errorf("the proxy has %d MiB", size>>20)
	}
	if n := f.vms[1].Metrics()["cors.panics"]; n > 0 {
		t.Errorf("%d panics", n)
	}
	// The latest ones are there, and those before are not.
	f.roots = f.configure(sourceOf("/n49", ""))
	f.serve("https://n49.example")
	root := f.configure(sourceOf("/n0", ""))[0]
	deniesAll(t, f.vms[1], root, "no policies have arrived from the policy source, so that no origin is allowed")
	f.roots = []*wasmhost.Root{root}
	f.run(time.Second)
	f.serve("https://n0.example")
}

// TestQueueOfDeadVM: the proxy may call a VM that was replaced with an id that was a plugin's
// in the VM before it.
func TestQueueOfDeadVM(t *testing.T) {
	f := startVMs(t, polled, 1)
	f.answer = publish("https://one.example")
	f.run(2 * time.Second)
	if _, err := f.vms[1].Call("proxy_on_queue_ready", 999, 1); err != nil {
		t.Error(err)
	}
	if n := f.vms[1].Metrics()["cors.panics"]; n > 0 {
		t.Errorf("%d panics", n)
	}
}

// TestWhateverHappens: VMs die, plugins are replaced, clocks are set, and the source fails, in
// any order. When all is quiet again, every VM has what the source has, and one fetches.
func TestWhateverHappens(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c := &chaos{fleet: startVMs(t, polled, 3), random: rand.New(rand.NewPCG(seed, 0)), config: polled}
			c.publish()
			for range 30 {
				events := []func(){c.publish, c.publish, c.kill, c.replace, c.setClock, c.fail, c.pass, c.pass}
				events[c.random.IntN(len(events))]()
				c.pass()
			}
			c.answer = c.serveInTime(publish(c.origin()))
			for range 50 { // the longest pause after failures, and a VM may be about to die
				c.runFor(3 * time.Second)
			}
			c.serve(c.origin())
			c.publish()
			c.runFor(13 * time.Second)
			c.serve(c.origin())
			if c.config == polled {
				between(t, "fetches in ten seconds", len(c.run(10*time.Second)), 9, 12)
			}
			for i, vm := range c.vms {
				if n := vm.Metrics()["cors.panics"]; n > 0 {
					t.Errorf("VM %d: %d panics: %q", i, n, vm.Logs())
				}
			}
			if t.Failed() {
				t.Log(strings.Join(c.story, "\n"))
			}
		})
	}
}

// A chaos is a fleet to which things happen.
type chaos struct {
	*fleet
	random   *rand.Rand
	config   string
	versions int
	going    []*wasmhost.Root // roots that were replaced, by their VMs; nil if the VM has died
	story    []string
}

func (c *chaos) origin() string { return fmt.Sprintf("https://n%d.example", c.versions) }

func (c *chaos) tell(format string, arguments ...any) {
	c.story = append(c.story, fmt.Sprintf(format, arguments...))
}

func (c *chaos) publish() {
	c.versions++
	c.answer = c.serveInTime(publish(c.origin()))
	c.tell("publish %d", c.versions)
}

// serveInTime holds what nothing new can be said to, as long as that may be, or fails.
func (c *chaos) serveInTime(answer func(*fetchedAt) *wasmhost.HTTPAnswer) func(*fetchedAt) *wasmhost.HTTPAnswer {
	return func(f *fetchedAt) *wasmhost.HTTPAnswer {
		a := answer(f)
		waited := f.now.Sub(f.at)
		switch {
		case waited >= f.Timeout:
			return &wasmhost.HTTPAnswer{Status: 504}
		case a != nil && a.Status == 304 && waited < f.Timeout-time.Second && f.header("prefer") != "":
			return nil
		}
		return a
	}
}

// fail has the source fail in one way or another.
func (c *chaos) fail() {
	ways := []func(*fetchedAt) *wasmhost.HTTPAnswer{
		fails(503), fails(304), fails(0), func(*fetchedAt) *wasmhost.HTTPAnswer { return nil },
		func(*fetchedAt) *wasmhost.HTTPAnswer { return &wasmhost.HTTPAnswer{Status: 200, Body: "<html>"} },
	}
	way := c.random.IntN(len(ways))
	c.answer = c.serveInTime(ways[way])
	c.tell("fail %d", way)
}

// kill has a VM die after some host calls.
func (c *chaos) kill() {
	i, calls := 1+c.random.IntN(len(c.vms)-1), 1+c.random.IntN(60)
	c.vms[i].DieAfter(calls)
	c.tell("VM %d dies after %d calls", i, calls)
}

// replace brings another configuration of the plugin, while the old one has streams or not.
func (c *chaos) replace() {
	configs := []string{polled, sourceOf("/cors.json", `, "interval": "1s", "wait": "5s"`),
		sourceOf("/cors.json", `, "interval": "2s"`)}
	c.config = configs[c.random.IntN(len(configs))]
	c.tell("replace by %s", c.config)
	c.going = c.roots
	c.roots = nil
	for i := range c.vms[1:] {
		c.roots = append(c.roots, c.newRoot(i+1))
	}
	if c.random.IntN(2) == 0 {
		c.pass()
	}
	for _, root := range c.still() {
		if err := root.Delete(); err != nil { // The VM may die of it.
			c.tell("%.60s", err)
		}
	}
	c.going = nil
}

// still are the roots that were replaced and are still there.
func (c *chaos) still() []*wasmhost.Root {
	return slices.DeleteFunc(slices.Clone(c.going), func(r *wasmhost.Root) bool { return r == nil })
}

// renew replaces a VM that has died.
func (c *chaos) renew(vm int, why error) {
	c.tell("VM %d: %.60s", vm, why)
	c.vms[vm] = sibling(c.t, c.module, c.vms[0])
	if c.going != nil {
		c.going[vm-1] = nil
	}
}

// newRoot makes a root in a VM, in another one if that dies.
func (c *chaos) newRoot(vm int) *wasmhost.Root {
	for {
		root, err := c.vms[vm].NewRoot(c.config)
		if err == nil {
			return root
		}
		c.renew(vm, err)
	}
}

func (c *chaos) setClock() {
	d := time.Duration(c.random.IntN(7200)-3600) * time.Second
	c.vms[0].SetBack(d, slices.Concat(c.roots, c.still()))
	c.tell("set the clock back by %s", d)
}

func (c *chaos) pass() {
	d := time.Duration(c.random.IntN(3000)) * time.Millisecond
	c.tell("%s pass", d)
	c.runFor(d)
}

// runFor has time pass, and replaces the VMs that die meanwhile.
func (c *chaos) runFor(d time.Duration) {
	current := c.roots
	for range 20 {
		c.roots = slices.Concat(current, c.still())
		_, err := c.tryRun(d)
		c.roots = current
		for i, vm := range c.vms {
			if i > 0 && vm.Err() != nil {
				c.renew(i, vm.Err())
				c.roots[i-1] = c.newRoot(i)
			}
		}
		if err == nil {
			return
		}
	}
	c.t.Fatal("VMs die again and again")
}
