// Package filter is the thin layer between a proxy-wasm host and the CORS engine:
// it reads a request's facts from the host, asks package cors for a decision, and
// applies it.
//
// Its contexts are those of the Go SDK. What they ask of the proxy goes through a
// [Host] rather than through the SDK's functions, which would cost each request two
// maps and a few copies, and the module half a megabyte for fmt.
package filter

import (
	"strconv"
	"strings"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A Host is the proxy that hosts the filter. The strings that it returns are valid
// until the callback returns. Header names are in lower case.
type Host interface {
	// Log writes a line to the proxy's log.
	Log(level Level, line string)
	// Configuration returns the plugin's configuration, or "" where it can't be read.
	Configuration() string
	// PluginName returns what the proxy calls the plugin, as far as that is known.
	PluginName() string
	// RequestHeader returns the value of a request header, or ok false if there is
	// none. Several lines of a header that CORS knows arrive joined by commas; of
	// others only the first counts.
	RequestHeader(name string) (value string, ok bool)
	// ObserveRequest tells facts of all of the request's headers.
	ObserveRequest(facts *Facts)
	// RouteName returns the name of the request's route, or "".
	RouteName() string
	// SetFilterState puts a value into the state that the request has in the proxy, from
	// which access logs have it.
	SetFilterState(name string, value []byte)
	// ResponseHeader is as RequestHeader, for the answer.
	ResponseHeader(name string) (value string, ok bool)
	// ObserveResponse tells upstream of all header lines of the answer that it may
	// want to know, or returns false if it can't.
	ObserveResponse(upstream *cors.Upstream) bool
	// ObserveAnswer tells answer of all header lines of the answer, or returns false if it
	// can't.
	ObserveAnswer(answer *cors.Answer) bool
	// The answer's headers are changed through this.
	cors.Editor
	// Reply answers the request in place of the upstream, with a proxy-wasm header
	// map and no body. The details go to the access log.
	Reply(status int, details string, headers []byte)

	// Settle does what may still end the VM because of a configuration that it has read. What
	// the host has handed over is gone then.
	Settle()
	// Shared returns a value that the proxy's VMs share, and its version.
	Shared(key string) (value string, version uint32, ok bool)
	// SetShared sets a shared value, and returns false if that has another version.
	SetShared(key, value string, version uint32) bool
	// SharedDocument is as Shared, for a document.
	SharedDocument(key string) (value string, ok bool)
	// DefineCounter makes sure that there is a counter, and returns its number, a new one
	// each time. A counter that is defined begins at zero.
	DefineCounter(name string) Counter
	// Count adds one to a counter.
	Count(counter Counter)
	// SetTickPeriod has the plugin's OnTick called again and again, first after a
	// period.
	SetTickPeriod(period time.Duration)
	// Fetch sends a request of a plugin without a body, given as a proxy-wasm header map, to
	// a cluster, and calls answered once, unless the plugin goes: with the size of the
	// answer's body, or with ok false if there is no answer. It returns false if it can't
	// send.
	Fetch(plugin uint32, cluster string, headers []byte, timeout time.Duration, answered func(size int, ok bool)) bool
	// FetchedHeader and FetchedBody are for use in answered.
	FetchedHeader(name string) (value string, ok bool)
	FetchedBody(size int) string
	// Enter makes a stream the one that what follows is about, until the callback returns.
	// What the host has handed over is gone then.
	Enter(stream uint32)
	// ContinueRequest has the request of a stream go on, which must be paused, and
	// ContinueResponse its answer, when the callback has returned. Of one that isn't paused
	// Envoy dies.
	ContinueRequest()
	ContinueResponse()
	// Listen has the plugin's OnQueueReady called when the queue of a name is woken, of
	// whatever plugin has asked last, and returns the queue's number.
	Listen(name string) (queue uint32)
	// Wake wakes who listens to a queue, in whatever VM.
	Wake(queue uint32)
}

// A Level is the level of a log line, as proxy-wasm numbers it.
type Level uint32

// The levels in use.
const (
	Info     Level = 2
	Warn     Level = 3
	Error    Level = 4
	Critical Level = 5
)

// A VM is the context of a Wasm VM. It holds no policies: several plugins with
// policies of their own share one VM, and an update adds a plugin before the old
// one goes.
type VM struct {
	types.DefaultVMContext
	// Host serves the streams.
	Host Host
	// Version and Revision of the build.
	Version, Revision string

	unconfigured *config.Document
	counters     *counters
	loads        map[string]uint32 // how often the VM has taken a configuration
	watch        watch
	caches       caches
	asked        int // how many look-ups are under way
	started      bool
}

// NewPluginContext implements types.VMContext.
func (vm *VM) NewPluginContext(id uint32) types.PluginContext {
	if !vm.started {
		vm.started = true
		vm.Host.Log(Info, "proxy-wasm-cors "+vm.Version+" (revision "+vm.Revision+") started")
	}
	p := vm.Unconfigured()
	p.id = id
	return p
}

// Unconfigured returns a plugin that allows no origin until it is configured.
func (vm *VM) Unconfigured() *Plugin {
	if vm.unconfigured == nil {
		vm.counters, vm.loads, vm.caches = newCounters(vm.Host), map[string]uint32{}, caches{}
		vm.unconfigured = closed("the filter is not configured, so that no origin is allowed")
	}
	p := &Plugin{vm: vm, host: vm.Host, editor: vm.Host, build: vm.Version + " " + vm.Revision,
		counters: vm.counters, loads: vm.loads, watch: &vm.watch, ticks: ticks{host: vm.Host}}
	p.use(vm.unconfigured, nil)
	return p
}

// CountPanic counts a panic, of a VM that has had a plugin.
func (vm *VM) CountPanic() { vm.counters.count(CountPanics) }

// A Plugin is the root context of one plugin configuration, and owns its policies.
type Plugin struct {
	types.DefaultPluginContext
	vm       *VM
	id       uint32 // the host's
	host     Host
	editor   cors.Editor // the host, which need not be converted for each answer
	build    string      // of the filter
	counters *counters   // the VM's
	policies *match.Table[*served]
	// What applies to every request, and what the answers to all without an origin need;
	// nil if that depends on the request.
	everywhere    *served
	withoutOrigin *cors.Edits

	// See Accepted.
	accepted      bool
	configuration string
	hash          string
	loads         map[string]uint32 // the VM's

	replySize int     // of all replies, in bytes
	source    *source // nil if the configuration has no policy source
	ticks     ticks
	watch     *watch  // the VM's
	free      *Stream // released streams

	asks       map[askKey]*ask // that are under way
	answers    []*ask          // whose streams are still to be released
	lookups    []*lookup       // of the policies
	generation int             // of the policies: how many there were

	// For the callback that runs, kept to be used again.
	scratch   []byte
	facts     Facts
	authority string // of the request, once its policy depends on it
	upstream  cors.Upstream
	answer    cors.Answer
}

// OnPluginStart implements types.PluginContext: it reads the configuration, unless
// that is done. A bad one is refused whole, and what served before goes on.
func (p *Plugin) OnPluginStart(size int) types.OnPluginStartStatus {
	if p.accepted {
		return types.OnPluginStartStatusOK
	}
	if p.read(); p.configuration == "" && size > 0 {
		p.host.Log(Critical, "the configuration is refused: it has "+count(size, "byte")+
			", which is more than the filter can read")
		return types.OnPluginStartStatusFailed
	}
	ok := p.Configure()
	if ok && !p.accepted {
		p.noteTaken(seconds())
	}
	// What only now turns out to be accepted is not refused either.
	return types.OnPluginStartStatus(ok || p.accepted)
}

// Configure makes the policies those of the configuration that was read. It returns
// false, and leaves everything as it is, if that is bad.
func (p *Plugin) Configure() bool {
	text := p.configuration
	p.configuration = ""
	// Defined before anything is counted, a counter's first increment shows in a rate, and
	// it goes on where an update makes new VMs.
	p.counters.define(CountPanics)
	c, problems := config.Parse(text)
	if c == nil {
		p.logProblems(problems)
		p.host.Log(Critical, "the configuration is refused: "+refusal(problems))
		return false
	}
	rest := ""
	if c.PolicySource != nil {
		p.source = newSource(p, c.PolicySource)
		if rest = " of the policy source's last document"; !p.source.start() {
			rest = ", until the policy source answers"
		}
		if len(c.Policies.All()) == 0 {
			c = closed(cors.NotArrived)
		}
	}
	if p.source == nil || !p.source.serves() {
		p.use(c, p.counters)
	}
	if !p.accepted || p.noteTaken(seconds()) {
		p.logProblems(problems)
		p.host.Log(Info, p.serving("now")+rest)
	}
	return true
}

func (p *Plugin) logProblems(problems []config.Problem) {
	for _, problem := range problems {
		p.logProblem("", problem)
	}
}

// OnTick implements types.PluginContext.
func (p *Plugin) OnTick() {
	p.release()
	if len(p.answers) == 0 {
		p.ticks.calm()
	}
	if p.ticks.source() {
		p.source.tick()
	}
}

// OnQueueReady implements types.PluginContext. It is for all plugins of the VM.
func (p *Plugin) OnQueueReady(uint32) { p.watch.sync() }

// Gone is called when the plugin goes.
func (p *Plugin) Gone() {
	p.vm.asked -= len(p.asks) // whose answers don't come any more
	p.asks = nil
	forget(p.lookups)
	if p.source != nil {
		p.source.gone()
	}
}

// refusal says how many errors there are. The problems that are logged are at most
// [cors.MaxProblems] and one that counts the others.
func refusal(problems []config.Problem) string {
	if n := len(config.Errors(problems)); n <= cors.MaxProblems {
		return count(n, "error") + ", listed above"
	}
	return "the first " + strconv.Itoa(cors.MaxProblems) + " errors are listed above"
}

// logProblem logs a problem of the configuration, on a line of its own.
func (p *Plugin) logProblem(prefix string, problem config.Problem) {
	level := Error
	if problem.Warning {
		level = Warn
	}
	p.host.Log(level, prefix+problem.Error())
}

// serving says how many policies serve.
func (p *Plugin) serving(when string) string {
	if p.everywhere != nil && p.everywhere.policy.Closed() {
		return when + " serving no policies: no origin is allowed"
	}
	return when + " serving " + count(len(p.policies.All()), "policy")
}

// use makes the policies those of the streams to come. Their decisions are counted,
// unless counters is nil.
func (p *Plugin) use(c *config.Document, counters *counters) {
	before := p.lookups
	p.lookups = nil
	p.policies, p.withoutOrigin, p.replySize = p.serve(c, counters), withoutOrigin(c.Policies), 0
	p.everywhere = p.policies.Everywhere()
	forget(before) // not sooner, so that what both look up is not forgotten
	p.vm.caches.trim()
	p.outdate()
}

// withoutOrigin is what the answers to all requests without an origin need; nil if that
// depends on the request.
func withoutOrigin(policies *match.Table[*cors.Policy]) *cors.Edits {
	if !policies.Complete() {
		return nil
	}
	all := policies.All()
	edits := all[0].WithoutOrigin()
	for _, policy := range all[1:] {
		if policy.WithoutOrigin() != edits {
			return nil
		}
	}
	return &edits
}

// closed is for when there are no policies: one applies to every request, and allows
// nobody.
func closed(why string) *config.Document {
	return &config.Document{Policies: match.Everything(cors.Closed(why))}
}

func count(n int, noun string) string {
	if n != 1 {
		if stem, ok := strings.CutSuffix(noun, "y"); ok {
			noun = stem + "ie"
		}
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}

// NewHttpContext implements types.PluginContext.
func (p *Plugin) NewHttpContext(id uint32) types.HttpContext { return p.NewStream(id) }

// NewStream returns a stream for a request to come, with the host's id.
func (p *Plugin) NewStream(id uint32) *Stream {
	s := p.free
	if s == nil {
		return &Stream{plugin: p, id: id}
	}
	p.free, s.next, s.id = s.next, nil, id
	return s
}

// incomparable is a field of structs that nothing compares: the module is then without the
// function that would, which can be a kilobyte.
type incomparable [0]func()
