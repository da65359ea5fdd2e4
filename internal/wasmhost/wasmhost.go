// Package wasmhost runs a proxy-wasm module (ABI 0.2.0) in wazero as Envoy 1.40
// runs it in V8, for tests of the compiled module that see every host call.
//
// What Envoy does was read in its source and measured with the module in
// testdata/echo, whose answers from Envoy 1.40 are the expectations of this
// package's tests. Where the two differ on purpose:
//   - poll_oneoff answers ENOSYS, as every Envoy before mid-2026 does;
//   - proc_exit fails the VM at once, where Envoy returns and lets the module
//     run into a trap;
//   - nothing is added to a message: no x-request-id, x-forwarded-proto, date
//     or server;
//   - what this project's modules don't use is missing, and a module that imports
//     it has no VM: gRPC calls, foreign functions, bodies,
//     trailers, proxy_done, and metrics other than counters.
//
// A [Module] is compiled once and instantiated as often as wanted. A [VM] holds
// any number of root contexts, [Root], one for each plugin configuration, and a
// Root any number of HTTP streams, [Stream]. [VM.Exchange] runs a stream from
// request to end; its steps can be called one by one to interleave streams or to
// leave one early. Neither a VM nor what belongs to it may be used by several
// goroutines at once.
package wasmhost

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

const (
	allocator = "proxy_on_memory_allocate"
	// memoryPages is Envoy's limit on a VM's memory, 1 GiB in pages of 64 KiB.
	memoryPages = 1 << 14
)

// hostModules returns the functions that a module can import.
func hostModules() map[string]map[string]function {
	return map[string]map[string]function{"env": envFunctions(), "wasi_snapshot_preview1": wasiFunctions()}
}

// A Module is a compiled module.
type Module struct {
	runtime wazero.Runtime
	code    wazero.CompiledModule
}

// cache lets several Modules of one process share the compiled code.
var cache = wazero.NewCompilationCache()

// Compile compiles the module in the file at path to code of this machine. Close the result.
func Compile(path string) (*Module, error) { return load(path, wazero.NewRuntimeConfigCompiler()) }

// Interpret is Compile for an interpreter, which is some twenty times slower.
func Interpret(path string) (*Module, error) { return load(path, wazero.NewRuntimeConfigInterpreter()) }

func load(path string, config wazero.RuntimeConfig) (*Module, error) {
	binary, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	m := &Module{runtime: wazero.NewRuntimeWithConfig(ctx,
		config.WithCompilationCache(cache).WithMemoryLimitPages(memoryPages))}
	for module, functions := range hostModules() {
		builder := m.runtime.NewHostModuleBuilder(module)
		for name, f := range functions {
			parameters, results := f.types()
			handler := f.handler(module + "." + name)
			builder.NewFunctionBuilder().WithGoModuleFunction(handler, parameters, results).Export(name)
		}
		if _, err = builder.Instantiate(ctx); err != nil {
			break
		}
	}
	if err == nil {
		m.code, err = m.runtime.CompileModule(ctx, binary)
	}
	if err != nil {
		m.Close()
		return nil, fmt.Errorf("compile %s: %w", path, err)
	}
	return m, nil
}

// Close frees the module and all its VMs.
func (m *Module) Close() error { return m.runtime.Close(context.Background()) }

// Imports returns the functions that the module imports, each as
// "module.name", sorted, without repetitions.
func (m *Module) Imports() []string {
	var names []string
	for _, f := range m.code.ImportedFunctions() {
		module, name, _ := f.Import()
		names = append(names, module+"."+name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Exports returns the names of the functions and memories that the module
// exports, sorted.
func (m *Module) Exports() []string {
	names := slices.Collect(maps.Keys(m.code.ExportedFunctions()))
	names = slices.AppendSeq(names, maps.Keys(m.code.ExportedMemories()))
	slices.Sort(names)
	return names
}

// A VM is one instance of a module, as each of Envoy's workers has one.
type VM struct {
	ctx     context.Context
	module  api.Module
	exports map[string]api.Function
	err     error

	// own is the VM's own context, the one of code that runs for no other.
	own      scope
	current  *scope
	contexts map[uint32]*scope
	lastID   uint32
	// effective is the context that host calls are for, if the module chose one.
	effective *scope

	allocations int
	logs        []string
	stderr      strings.Builder
	metrics     []string // names of counters, by id
	values      map[string]uint64
	lastToken   uint32
	actions     []func() error // to be done when the callback has returned
	nested      int            // how many of those are under way
	// Unreachable has proxy_http_call fail, as it does where a cluster has no endpoint.
	Unreachable bool
	lives       int // host calls until the VM dies, 0 if it doesn't
	quirks      Quirks
	trace       *trace // nil if there is none
	*proxy
}

// A proxy is what the VMs of all threads have in common.
type proxy struct {
	shared map[string]sharedValue
	queues []*queue
	events []event
	later  time.Duration // how far the clock is ahead
	still  time.Time     // what it would say instead of the machine's, if not zero
}

// A scope is what Envoy calls a context: of the VM itself, of a root, or of
// a stream.
type scope struct {
	id     uint32
	vm     *VM
	root   *Root
	stream *Stream
	calls  []string
}

// Calls returns what happened in this context so far, in order: the callbacks
// that the host entered ("call proxy_on_request_headers") and the host calls
// made there ("get request origin -> missing").
func (c *scope) Calls() []string { return slices.Clone(c.calls) }

// ID returns the context's id.
func (c *scope) ID() uint32 { return c.id }

type vmKey struct{}

// NewVM instantiates the module and runs its _initialize. Close the result.
func (m *Module) NewVM() (*VM, error) { return m.NewQuirkyVM(Quirks{}) }

// NewQuirkyVM is NewVM in a host that isn't as Envoy is.
func (m *Module) NewQuirkyVM(quirks Quirks) (*VM, error) {
	return m.newVM(quirks, &proxy{shared: map[string]sharedValue{}, still: quirks.Time})
}

func (m *Module) newVM(quirks Quirks, of *proxy) (*VM, error) {
	offered := hostModules()
	for _, wanted := range m.Imports() {
		module, name, _ := strings.Cut(wanted, ".")
		if _, ok := offered[module][name]; !ok {
			return nil, fmt.Errorf("the module imports %s, which this host does not have", wanted)
		}
	}
	for _, name := range []string{"proxy_abi_version_0_2_0", allocator} {
		if m.code.ExportedFunctions()[name] == nil {
			return nil, fmt.Errorf("the module does not export %s", name)
		}
	}
	vm := &VM{
		exports:  map[string]api.Function{},
		contexts: map[uint32]*scope{},
		values:   map[string]uint64{},
		quirks:   quirks,
		trace:    newTrace(quirks.Trace),
		proxy:    of,
	}
	vm.own.vm, vm.current = vm, &vm.own
	vm.ctx = context.WithValue(context.Background(), vmKey{}, vm)
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize")
	vm.trace.add("enter _initialize")
	module, err := m.runtime.InstantiateModule(vm.ctx, m.code, config)
	if err != nil {
		return nil, fmt.Errorf("instantiate: %w\n%s", err, strings.Join(vm.logs, "\n"))
	}
	vm.trace.add("leave")
	vm.module = module
	for name := range m.code.ExportedFunctions() {
		vm.exports[name] = module.ExportedFunction(name)
	}
	return vm, nil
}

// NewSibling instantiates the module once more, in a VM that has its shared data, its queues
// and its clock in common with vm, as the VMs of Envoy's threads do. Close the result. The rule for
// goroutines goes for both together.
func (m *Module) NewSibling(vm *VM) (*VM, error) {
	quirks := vm.quirks
	quirks.Trace = nil // which would be one of two VMs
	return m.newVM(quirks, vm.proxy)
}

// Close frees the VM.
func (vm *VM) Close() error { return vm.module.Close(vm.ctx) }

// Err returns what killed the VM: a trap, or an exit. It is nil while the VM
// lives. Envoy answers 503 to every request of a VM that died.
func (vm *VM) Err() error { return vm.err }

// DieAfter has the VM die when it has made so many more host calls.
func (vm *VM) DieAfter(calls int) { vm.lives = calls }

// SharedSize returns how many bytes the proxy's VMs share.
func (vm *VM) SharedSize() (n int) {
	for _, v := range vm.shared {
		n += len(v.value)
	}
	return n
}

// Logs returns the lines logged so far by any context, each with its level
// before it ("warn …"). What the module writes to its standard output is of
// level info, to its standard error of level error.
func (vm *VM) Logs() []string { return slices.Clone(vm.logs) }

// Metrics returns the value of each counter defined so far.
func (vm *VM) Metrics() map[string]uint64 { return maps.Clone(vm.values) }

// MemorySize returns the size of the module's memory in bytes.
func (vm *VM) MemorySize() uint32 { return vm.module.Memory().Size() }

// Allocations returns how often the host has called proxy_on_memory_allocate.
func (vm *VM) Allocations() int { return vm.allocations }

// Call calls an export with these arguments, whatever Envoy would do. There is
// no stream in it, and no configuration. A function without result returns 0.
func (vm *VM) Call(name string, arguments ...uint64) (uint64, error) {
	if vm.exports[name] == nil {
		return 0, fmt.Errorf("%s is not exported", name)
	}
	return vm.enter(&vm.own, name, 0, arguments...)
}

// enter calls an export for a context. What isn't exported isn't called, and
// its result is missing.
func (vm *VM) enter(c *scope, name string, missing uint64, arguments ...uint64) (uint64, error) {
	switch {
	case vm.err != nil:
		return 0, fmt.Errorf("%s: the VM is dead: %w", name, vm.err)
	case vm.exports[name] == nil:
		return missing, nil
	}
	caller, effective := vm.current, vm.effective
	vm.current, vm.effective = c, nil
	defer func() { vm.current, vm.effective = caller, effective }()
	c.calls = append(c.calls, "call "+name)
	results, err := vm.call(name, arguments...)
	if err != nil {
		vm.err = fmt.Errorf("%s: %w\n%.1000s", name, err, vm.stderr.String())
		return 0, vm.err
	}
	if vm.err == nil {
		err = vm.act()
	}
	return append(results, 0)[0], cmp.Or(vm.err, err)
}

// call calls an export.
func (vm *VM) call(name string, arguments ...uint64) ([]uint64, error) {
	vm.trace.add("enter "+name, arguments...)
	results, err := vm.exports[name].Call(vm.ctx, arguments...)
	vm.trace.add("leave", results...)
	return results, err
}

// after has something done when the callback that runs has returned.
func (vm *VM) after(action func() error) { vm.actions = append(vm.actions, action) }

// act does what is to be done after a callback. As in Envoy, the callbacks that come of it do
// the rest of it, within one another.
func (vm *VM) act() error {
	vm.nested++
	defer func() { vm.nested-- }()
	for len(vm.actions) > 0 {
		if vm.nested > maxNested {
			vm.err = errors.New("the stack overflows, since too many streams go on in one callback")
			return vm.err
		}
		action := vm.actions[0]
		vm.actions = vm.actions[1:]
		if err := action(); err != nil {
			return err
		}
	}
	return nil
}

// maxNested is how many streams may go on in one callback: of local replies, Envoy stood 301.
const maxNested = 250

// allocate asks the module for memory, from within a host call.
func (vm *VM) allocate(size int) (pointer uint32) {
	// Counted, not recorded as a call: the record would be twice as long, and say
	// no more than that a value was found.
	vm.allocations++
	results, err := vm.call(allocator, uint64(size))
	if err != nil {
		panic(fmt.Errorf("%s: %w", allocator, err))
	}
	return uint32(results[0])
}

// newID returns an id for a context: they count up from 1, roots and streams
// alike.
func (vm *VM) newID() uint32 {
	vm.lastID++
	return vm.lastID
}

func (vm *VM) log(level uint32, text string) {
	line := levels[level] + " " + text
	vm.logs = append(vm.logs, line)
	vm.current.calls = append(vm.current.calls, "log "+line)
}

var levels = []string{"trace", "debug", "info", "warn", "error", "critical"}
