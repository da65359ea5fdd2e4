package wazero_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/choices"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/wasmhost"
)

// FuzzModule: whatever is done to the VMs of a proxy, in whatever order, each answer is what a small
// model of the filter expects, nothing panics, and no stream stands still but for a look-up that is
// under way. That the module has forgotten all in the end is for TestHoldsNothing, as this one doesn't tell.
func FuzzModule(f *testing.F) {
	if _, err := compiled(); err != nil { // before, since that takes longer than a fuzzer lets an input take
		f.Fatal(err)
	}
	choices.Seed(f, 100, 300)
	f.Fuzz(func(t *testing.T, bytes []byte) {
		newWorld(t, compiled, choices.Of(bytes[:min(len(bytes), 500)])).run()
	})
}

// run does what is chosen.
func (w *world) run() {
	w.Helper()
	for w.c.More() && !w.Failed() {
		w.step()
		w.inspect()
	}
	w.end()
}

// A plugin is a kind of configuration, and what is meant by it.
type plugin struct {
	config string
	// mode is "shadow" if it changes nothing.
	mode    string
	forward bool // preflights that aren't allowed
	// allows are the origins that it lists.
	allows []string
	// lookup has the fields of origin_lookup that tell caches apart, if it looks up what it doesn't list.
	lookup string
	most   int // answers that are remembered
	source bool
}

// lookUpPlugin is a plugin that looks origins up.
func lookUpPlugin(more string, most int, fields string) plugin {
	return plugin{config: `{"policies": [{"name": "tenants", "allow_origins": ["https://own.example"], ` +
		`"allow_methods": ["PUT"], "origin_lookup": {"cluster": "policies", "max_entries": ` + strconv.Itoa(most) +
		more + `}` + fields + `}]}`,
		allows: []string{"https://own.example"}, lookup: more, most: most, forward: strings.Contains(fields, "forward"),
		mode: map[bool]string{true: "shadow"}[strings.Contains(fields, "shadow")]}
}

const ownPolicy = `"policies": [{"name": "own", "allow_origins": ["https://own.example"], "allow_methods": ["PUT"]}]`

var fuzzedPlugins = []plugin{
	{config: "{" + ownPolicy + "}", allows: []string{"https://own.example"}},
	{config: `{"allow_origins": ["https://o1.example"], "allow_credentials": true, "allow_methods": ["PUT"], ` +
		`"unmatched_preflights": "forward"}`, allows: []string{"https://o1.example"}, forward: true},
	{config: `{"mode": "shadow", "allow_origins": ["https://o1.example"]}`, mode: "shadow"},
	{config: `{"mode": "off"}`, mode: "off"},
	lookUpPlugin("", 10_000, ""),
	lookUpPlugin("", 2, ""),
	lookUpPlugin("", 2, `, "unmatched_preflights": "forward"`),
	lookUpPlugin("", 10_000, `, "mode": "shadow"`),
	lookUpPlugin(`, "path": "/other"`, 10_000, ""),
	{config: `{"policy_source": {"cluster": "policies"}}`, source: true},
	{config: `{` + ownPolicy + `, "policy_source": {"cluster": "policies"}}`, source: true,
		allows: []string{"https://own.example"}},
}

// fuzzedDocument is a document that a source may have. Each is for one origin, and all are for one.
func fuzzedDocument(n int) string {
	return fmt.Sprintf(`{"policies": [{"name": "doc", "allow_origins": ["https://o%d.example", "https://own.example"], `+
		`"allow_methods": ["PUT"]}]}`, n)
}

// A world is what has been done to the VMs, and what is expected of them.
type world struct {
	*testing.T
	c       *choices.Choices
	plugins []plugin
	vms     []*modelVM
	streams []*fuzzedStream
	// documents are those that the source has had, by their numbers, in their order.
	documents []int
	// fetching is who has sent the last fetch, unless that isn't known.
	fetching *modelRoot
	// tells is set where the module tells what it holds.
	tells bool
}

type modelVM struct {
	*wasmhost.VM
	roots  []*modelRoot
	caches map[string]*modelCache
}

type modelRoot struct {
	*wasmhost.Root
	plugin
	vm      *modelVM
	cache   *modelCache
	asks    map[string]*question
	streams int
	// since is the index of the first of the documents that it may serve, -1 if none.
	since int
}

// A modelCache is what is remembered of look-ups, the most recently used last.
type modelCache struct {
	users   int
	entries []*remembered
}

type remembered struct {
	key            string
	allowed        bool
	expires, retry time.Time
}

// A question is a look-up that is under way.
type question struct {
	key   string
	waits []*fuzzedStream
}

// A fuzzedStream is a stream and what is to become of it.
type fuzzedStream struct {
	*wasmhost.Stream
	root      *modelRoot
	origin    string // "" for none
	host      string
	method    string // that a preflight asks for, "" if it isn't one
	untouched bool
	allowed   bool // the origin
	timedOut  bool
	asked     *question // that it waits for
}

// ttl and stale are the defaults of look-ups, and retry is when what failed may be asked again.
const (
	lookUpTTL   = time.Minute
	lookUpStale = time.Hour
	askAgain    = time.Second
)

func newWorld(t *testing.T, load func() (*wasmhost.Module, error), c *choices.Choices) *world {
	t.Helper()
	first := newQuirkyVM(t, load, wasmhost.Quirks{})
	module, err := load()
	if err != nil {
		t.Fatal(err)
	}
	// Few kinds, so that what they have in common is used again.
	w := &world{T: t, c: c, plugins: append(choices.Some(c, 3, fuzzedPlugins...), choices.One(c, fuzzedPlugins...))}
	for _, vm := range []*wasmhost.VM{first, sibling(t, module, first)} {
		w.vms = append(w.vms, &modelVM{VM: vm, caches: map[string]*modelCache{}})
	}
	return w
}

func (w *world) try(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// step does something.
func (w *world) step() {
	vm := choices.One(w.c, w.vms[0], w.vms[0], w.vms[1])
	if len(vm.roots) == 0 {
		w.create(vm)
		return
	}
	root := choices.One(w.c, vm.roots...)
	switch w.c.N(16) {
	case 0:
		w.create(vm)
	case 1:
		w.remove(root)
	case 2, 3, 4, 5:
		w.begin(root)
	case 6, 7, 8:
		w.proceed()
	case 9:
		if len(w.streams) > 0 {
			w.endStream(w.c.N(len(w.streams)))
		}
	case 10, 11, 12:
		w.answer(root)
	case 13:
		w.tick(root)
	case 14:
		// On the clock of both, on which no tick depends then.
		vm.SetBack(-choices.One(w.c, 10*time.Second, 100*time.Second, time.Hour), nil)
	default:
		vm.Unreachable = w.c.Yes(3)
		w.try(vm.Dispatch())
	}
}

// create has a VM take a configuration, or refuse one.
func (w *world) create(vm *modelVM) {
	w.Helper()
	if w.c.Yes(8) {
		root, err := vm.NewRoot(`{"allow_origins": ["https://own.example/"]}`)
		if err == nil {
			w.Fatal("a bad configuration is taken")
		}
		w.try(root.Delete())
		return
	}
	if len(vm.roots) >= 5 {
		return
	}
	p := choices.One(w.c, w.plugins...)
	root := &modelRoot{Root: newRoot(w.T, vm.VM, p.config), plugin: p, vm: vm, asks: map[string]*question{}, since: -1}
	if p.source {
		root.since = len(w.documents) - 1
	}
	if p.most > 0 {
		key := fmt.Sprint(p.lookup, p.most)
		if vm.caches[key] == nil {
			vm.caches[key] = &modelCache{}
		}
		root.cache = vm.caches[key]
		root.cache.users++
	}
	vm.roots = append(vm.roots, root)
}

// remove removes a root that has no streams, as the proxy does with one that was replaced.
func (w *world) remove(root *modelRoot) {
	w.Helper()
	if root.streams > 0 {
		return
	}
	w.try(root.Delete())
	root.vm.roots = slices.DeleteFunc(root.vm.roots, func(r *modelRoot) bool { return r == root })
	if w.fetching == root {
		w.fetching = nil
	}
	if root.cache == nil {
		return
	}
	if root.cache.users--; root.cache.users == 0 {
		delete(root.vm.caches, fmt.Sprint(root.lookup, root.most))
	}
}

// begin begins a request.
func (w *world) begin(root *modelRoot) {
	w.Helper()
	if len(w.streams) >= 25 {
		return
	}
	s := &fuzzedStream{root: root, host: choices.One(w.c, "api.example", "api.example", "API.example", "b.example:8443"),
		origin: choices.One(w.c, "", "https://own.example", "https://o1.example", "https://o1.example",
			"https://o2.example", "https://o3.example", "null", "https://o1.example/"),
		method: choices.One(w.c, "", "", "PUT", "DELETE")}
	request := cases.Request{Host: s.host}
	if s.origin != "" {
		request.Headers = append(request.Headers, [2]string{"Origin", s.origin})
	}
	if s.origin == "" {
		s.method = ""
	}
	if s.method != "" {
		request.Method = "OPTIONS"
		request.Headers = append(request.Headers, [2]string{"Access-Control-Request-Method", s.method})
	}
	if s.method == "" && w.c.Yes(8) {
		request.Headers = append(request.Headers, [2]string{"Upgrade", "websocket"})
		s.untouched = true
	}
	s.untouched = s.untouched || s.origin == "" || root.mode != ""
	s.Stream = root.Begin(request)
	w.streams = append(w.streams, s)
	root.streams++
	if w.c.Yes(20) { // it is reset before its request comes here
		w.endStream(len(w.streams) - 1)
		return
	}
	if s.origin != "" && request.Headers[len(request.Headers)-1][0] != "Upgrade" {
		w.expect(s)
	}
	if w.c.Yes(2) {
		s.Direct = &cases.Upstream{Headers: [][2]string{{"Access-Control-Allow-Origin", "*"}}}
	}
	w.try(s.Request())
	if root.source {
		w.observe(s)
	}
}

// expect works out what is to become of a request with an Origin.
func (w *world) expect(s *fuzzedStream) {
	root := s.root
	s.allowed = slices.Contains(root.allows, s.origin)
	if root.cache == nil || s.allowed || !strings.HasPrefix(s.origin, "https://") || strings.HasSuffix(s.origin, "/") {
		return
	}
	w.avoidLimits(root.cache)
	key, now := strings.ToLower(s.host)+" "+s.origin, w.now()
	asked := root.asks[key]
	if e := root.cache.get(key); e != nil && now.Before(e.expires.Add(lookUpStale)) {
		s.allowed = e.allowed
		if !now.Before(e.expires) && asked == nil && !now.Before(e.retry) {
			w.ask(root, key)
		}
		return
	}
	if asked == nil {
		if asked = w.ask(root, key); asked == nil {
			return // nobody can be asked
		}
	}
	if root.mode == "" {
		s.asked = asked
		asked.waits = append(asked.waits, s)
	}
}

// ask expects a look-up, or that it fails at once.
func (w *world) ask(root *modelRoot, key string) *question {
	if root.vm.Unreachable {
		if e := root.cache.find(key); e != nil {
			e.retry = w.now().Add(askAgain)
		}
		return nil
	}
	q := &question{key: key}
	root.asks[key] = q
	return q
}

func (w *world) now() time.Time { return w.vms[0].Now() }

// avoidLimits lets so much time pass that nothing that is remembered has an end soon: the VM looks at
// its clock a little later.
func (w *world) avoidLimits(c *modelCache) {
	const soon = 5 * time.Second
	near := func(at time.Time) bool { return at.Sub(w.now()).Abs() < soon }
	for slices.ContainsFunc(c.entries, func(e *remembered) bool {
		return near(e.expires) || near(e.expires.Add(lookUpStale)) || near(e.retry)
	}) {
		w.vms[0].SetBack(-2*soon, nil)
	}
}

func (c *modelCache) find(key string) *remembered {
	if i := slices.IndexFunc(c.entries, func(e *remembered) bool { return e.key == key }); i >= 0 {
		return c.entries[i]
	}
	return nil
}

// get finds what is remembered, and makes it the most recently used.
func (c *modelCache) get(key string) *remembered {
	e := c.find(key)
	if e != nil {
		c.drop(key)
		c.entries = append(c.entries, e)
	}
	return e
}

func (c *modelCache) drop(key string) {
	c.entries = slices.DeleteFunc(c.entries, func(e *remembered) bool { return e.key == key })
}

// observe checks that a request to a plugin with a source was decided by a document that may serve
// there: by none that is older than one that did before.
func (w *world) observe(s *fuzzedStream) {
	w.Helper()
	if s.untouched || s.method != "" && !s.Result().Forwarded && s.Result().Status == 0 {
		return
	}
	// A preflight tells now, another request tells by its answer.
	if s.method == "" {
		w.try(s.Response(cases.Upstream{}))
	}
	allowed := allowedOrigin(s.Result()) != ""
	if s.method == "DELETE" { // which none allows
		if allowed {
			w.Errorf("a preflight for DELETE is allowed")
		}
		s.allowed = false
		return
	}
	for i := s.root.since; i < len(w.documents); i++ {
		would := slices.Contains(s.root.allows, s.origin)
		if i >= 0 {
			would = s.origin == "https://own.example" || s.origin == fmt.Sprintf("https://o%d.example", w.documents[i])
		}
		if would == allowed {
			s.root.since, s.allowed = i, allowed
			return
		}
	}
	w.Errorf("%s is allowed: %t; the documents were %d, from index %d", s.origin, allowed, w.documents, s.root.since)
}

// proceed has an upstream answer, or the proxy itself where a request stands still.
func (w *world) proceed() {
	w.Helper()
	if len(w.streams) == 0 {
		return
	}
	switch s := choices.One(w.c, w.streams...); {
	case s.Result().Status != 0 || s.Waits() && s.Result().Forwarded:
	case s.Result().Forwarded:
		w.try(s.Response(cases.Upstream{Status: choices.One(w.c, 200, 302, 503),
			Headers: [][2]string{{"Access-Control-Allow-Origin", "*"}, {"Vary", "Accept"}}}))
	case s.Waits() && w.c.Yes(3):
		w.try(s.Answer(504))
		w.leave(s)
		s.timedOut = true
	}
}

// leave has a stream wait for nothing.
func (w *world) leave(s *fuzzedStream) {
	if s.asked != nil {
		s.asked.waits = slices.DeleteFunc(s.asked.waits, func(other *fuzzedStream) bool { return other == s })
		s.asked, s.allowed = nil, false
	}
}

// answer answers one of a root's requests.
func (w *world) answer(root *modelRoot) {
	w.Helper()
	calls := root.HTTPCalls()
	if len(calls) == 0 {
		return
	}
	call := choices.One(w.c, calls...)
	if root.source {
		w.serve(root, call)
		return
	}
	asked := query(w.T, call)
	key := strings.ToLower(asked.Get("host")) + " " + asked.Get("origin")
	q := root.asks[key]
	if q == nil {
		w.Fatalf("%s is asked for", key)
	}
	delete(root.asks, key)
	status := choices.One(w.c, 0, 200, 204, 204, 404, 403, 500, 304)
	allowed := status == 200 || status == 204
	var headers [][2]string
	age, store := lookUpTTL, true
	switch w.c.N(5) {
	case 1:
		headers, age = [][2]string{{"Cache-Control", "max-age=0"}}, 0
	case 2:
		headers, age = [][2]string{{"Cache-Control", "private, Max-Age=\"7200\""}}, 2*time.Hour
	case 3:
		headers, store = [][2]string{{"Cache-Control", "max-age=60, no-store"}}, false
	}
	switch now := w.now(); {
	case !allowed && status != 404 && status != 403:
		if e := root.cache.find(key); e != nil {
			e.retry = now.Add(askAgain)
		}
	case !store:
		root.cache.drop(key)
	default:
		root.cache.drop(key)
		root.cache.entries = append(root.cache.entries, &remembered{key: key, allowed: allowed, expires: now.Add(age)})
		if n := len(root.cache.entries); n > root.most {
			root.cache.entries = root.cache.entries[n-root.most:]
		}
	}
	for _, s := range q.waits {
		s.asked, s.allowed = nil, allowed
	}
	w.try(root.AnswerHTTPCall(call.Token, status, headers, ""))
}

const sourceUpdated = "cors.policy_source.updated"

// serve answers a root's fetch of a document.
func (w *world) serve(root *modelRoot, call wasmhost.HTTPCall) {
	w.Helper()
	n := 1 + w.c.N(3)
	body, status := fuzzedDocument(n), 200
	switch w.c.N(6) {
	case 0:
		body = choices.One(w.c, "", "<html>", `{"policies": []}`, `{"allow_origins": ["https://evil.example/"]}`, "{}")
	case 1:
		status = choices.One(w.c, 0, 304, 404, 500)
	}
	good := status == 200 && body == fuzzedDocument(n)
	before := root.vm.Metrics()[sourceUpdated]
	w.try(root.AnswerHTTPCall(call.Token, status, [][2]string{{"ETag", fmt.Sprintf(`"%d"`, n)}}, body))
	last := w.fetching == root
	w.fetching = nil
	switch taken := root.vm.Metrics()[sourceUpdated] > before; {
	case taken && !good:
		w.Errorf("a document is taken of status %d: %s", status, body)
	case taken:
		w.documents = append(w.documents, n)
		root.since = len(w.documents) - 1
	case good && last && (root.since < 0 || !slices.Contains(w.documents[root.since:], n)):
		w.Errorf("the document for o%d.example isn't taken; they were %d, from index %d", n, w.documents, root.since)
	}
}

// tick has a root's tick come, if it wants one. It has the last document then.
func (w *world) tick(root *modelRoot) {
	w.Helper()
	if root.TickPeriod() == 0 {
		return
	}
	before := len(root.HTTPCalls())
	w.try(root.Tick())
	if !root.source {
		return
	}
	if root.vm.Unreachable {
		w.fetching = nil
	}
	if len(root.HTTPCalls()) > before {
		w.fetching = root
	}
	root.since = len(w.documents) - 1
}

// inspect checks that those stand still that wait for a look-up, and no others, and that nothing else
// is asked for than what is expected.
func (w *world) inspect() {
	w.Helper()
	for _, s := range w.streams {
		result := s.Result()
		stands := s.asked != nil && (s.method != "" || result.Status == 0 && s.answered())
		if s.Waits() != stands {
			w.Errorf("a stream of %s (%s) stands still: %t, want %t", s.origin, s.method, s.Waits(), stands)
		}
	}
	for _, vm := range w.vms {
		for _, root := range vm.roots {
			if calls := len(root.HTTPCalls()); !root.source && calls != len(root.asks) || root.source && calls > 1 {
				w.Errorf("%s has %d requests under way, want %d", root.config, calls, len(root.asks))
			}
		}
		if w.tells {
			w.compare(vm)
		}
	}
}

// compare checks that a VM's module holds the streams and the plugins that there are.
func (w *world) compare(vm *modelVM) {
	w.Helper()
	streams := 0
	for _, s := range w.streams {
		if s.root.vm == vm {
			streams++
		}
	}
	if got := holds(w.T, vm.VM); got.streams != streams || got.plugins != len(vm.roots) {
		w.Errorf("the module holds %+v, want %d streams and %d plugins", got, streams, len(vm.roots))
	}
}

// answered reports whether the upstream's answer has come, which may stand still.
func (s *fuzzedStream) answered() bool {
	return slices.Contains(s.Calls(), "call proxy_on_response_headers")
}

// endStream ends a stream, as a client that leaves does too, and checks what it has got.
func (w *world) endStream(i int) {
	w.Helper()
	s := w.streams[i]
	w.leave(s)
	result := s.Result()
	got, want := allowedOrigin(result), ""
	allowed := s.allowed && s.method != "DELETE" && !s.timedOut
	if allowed {
		want = s.origin
	}
	switch {
	case result.Status == 0:
	case s.untouched:
		if !result.Forwarded || got != "*" {
			w.Errorf("what %s isn't to touch has become %+v", s.root.config, result)
		}
	case got != want:
		w.Errorf("%s (%s) is allowed as %q, want %q, by %s: %+v", s.origin, s.method, got, want, s.root.config, result)
	case s.method != "" && !s.timedOut:
		status := map[bool]int{true: 204, false: 403}[allowed]
		forwarded := !allowed && s.root.forward
		if result.Forwarded != forwarded || !forwarded && result.Status != status {
			w.Errorf("the preflight of %s for %s has %d by %s", s.origin, s.method, result.Status, s.root.config)
		}
	}
	w.try(s.End())
	s.root.streams--
	w.streams = slices.Delete(w.streams, i, i+1)
}

// end has all that is under way come to its end, and checks that nothing is left.
func (w *world) end() {
	w.Helper()
	if w.Failed() {
		return
	}
	for _, vm := range w.vms {
		vm.Unreachable = false
		for _, root := range slices.Clone(vm.roots) {
			for range 10 {
				if len(root.HTTPCalls()) > 0 {
					w.answer(root)
				}
			}
			w.tick(root)
			w.inspect()
		}
		w.try(vm.Dispatch())
	}
	for _, s := range w.streams {
		if s.Result().Forwarded && s.Result().Status == 0 && !s.Waits() {
			w.try(s.Response(cases.Upstream{Headers: [][2]string{{"Access-Control-Allow-Origin", "*"}}}))
		}
	}
	w.inspect()
	for len(w.streams) > 0 {
		w.endStream(0)
	}
	for _, vm := range w.vms {
		if w.tells {
			if got := holds(w.T, vm.VM); got.streams > 0 || got.waiting > 0 {
				w.Errorf("no stream is left, and the module holds %+v", got)
			}
		}
		for len(vm.roots) > 0 {
			root := vm.roots[0]
			if root.TickPeriod() == time.Millisecond {
				w.Errorf("ticks come each millisecond, and nobody waits")
			}
			w.remove(root)
		}
		if w.tells {
			holdsNothing(w.T, vm.VM)
		}
		if n := vm.Metrics()["cors.panics"]; n > 0 {
			w.Errorf("%d panics are counted:\n%s", n, strings.Join(vm.Logs(), "\n"))
		}
	}
}
