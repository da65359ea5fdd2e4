// Package main is the Wasm module: the bridge between the proxy-wasm ABI 0.2.0
// (https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.0) and package
// filter, built by the standard Go toolchain.
//
// The bridge dispatches the host's callbacks to the contexts of package filter, and
// serves package filter as its host. It is the only place with unsafe.
package main

import (
	"maps"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/filter"
)

// Set by the linker.
var (
	version  = "dev"
	revision = "unknown"
)

// The root contexts, and the stream contexts, by their ids.
var (
	plugins = map[uint32]*filter.Plugin{}
	streams filter.Streams

	// The plugin that the last stream was for, most likely the next one's too.
	lastRoot struct {
		id     uint32
		plugin *filter.Plugin
	}

	// unconfigured has the streams whose plugin isn't known.
	unconfigured = vm.Unconfigured()
)

// The host calls _initialize, which sets variables and runs no main.
var vm = filter.VM{Host: &proxy, Version: version, Revision: revision}

func main() {}

// The callback that runs, and the stream that it is for, if it is for one.
var (
	entered string
	serving *filter.Stream
)

// enter begins a callback. What the host handed over before is void.
func enter(callback string, s *filter.Stream) {
	entered, serving = callback, s
	freeMemory()
	yield()
	faultIn(callback)
}

// guard keeps a panic from killing the VM, which would fail every request from
// then on. It is deferred in every callback. A stream's answer then has no CORS
// headers. What a document left is collected, whatever became of it.
func guard() {
	if r := recover(); r != nil {
		defer func() { _ = recover() }() // of a panic in what follows
		unanswered = false
		if serving != nil {
			serving.Fail()
		}
		panicked(entered, r)
	}
	if documentRead {
		collect()
	}
}

//go:wasmexport proxy_abi_version_0_2_0
func proxyABIVersion() {}

// There is no proxy_on_vm_start: after a VM has died in proxy_on_context_create, Envoy
// would call it all the same, and serve without the filter if it fails.

//go:wasmexport proxy_on_configure
func proxyOnConfigure(rootID, size uint32) (ok bool) {
	// A VM that dies here leaves Envoy without the filter, so that a worker has nothing to do.
	if p := plugins[rootID]; p != nil && p.WasAccepted() {
		return true
	}
	defer func() {
		// What turns out to have been accepted is not refused, come what may.
		if p := plugins[rootID]; p != nil && p.WasAccepted() {
			ok = true
		}
	}()
	defer guard()
	enter("proxy_on_configure", nil)
	return bool(plugins[rootID].OnPluginStart(int(size)))
}

//go:wasmexport proxy_on_context_create
func proxyOnContextCreate(id, rootID uint32) {
	if rootID != 0 {
		faultIn("proxy_on_context_create of a stream")
	}
	// Most streams are of the plugin that had the last one: there is nothing here that can
	// panic, and nothing that the host hands over.
	if p := lastRoot.plugin; p != nil && rootID == lastRoot.id {
		streams.Put(id, p.NewStream(id))
		return
	}
	createContext(id, rootID)
}

func createContext(id, rootID uint32) {
	defer guard()
	enter("proxy_on_context_create", nil)
	if rootID == 0 {
		p := vm.NewPluginContext(id).(*filter.Plugin)
		plugins[id] = p
		lastRoot.id, lastRoot.plugin = 0, nil
		faultIn("proxy_on_context_create of a plugin")
		accepted := p.Accepted()
		configurationFault(accepted)
		if accepted {
			p.Configure()
		}
		return
	}
	if rootID != lastRoot.id {
		lastRoot.id, lastRoot.plugin = rootID, plugins[rootID]
	}
	if p := lastRoot.plugin; p != nil {
		streams.Put(id, p.NewStream(id))
	}
}

// stranger returns a stream for an id that is unknown: one of a plugin that isn't
// configured.
func stranger(id uint32) *filter.Stream {
	s := unconfigured.NewStream(id)
	if plugins[id] == nil {
		streams.Put(id, s)
	}
	return s
}

// stopAll has a message stand still as a whole, StopAllIterationAndWatermark in Envoy. What the
// ABI has for it holds the headers up alone where allow_on_headers_stop_iteration is set, and
// the body takes them along.
const stopAll = 4

// status is what a callback returns.
func status(action types.Action) uint32 {
	if action == types.ActionPause {
		return stopAll
	}
	return uint32(action)
}

//go:wasmexport proxy_on_request_headers
func proxyOnRequestHeaders(id, headers, endOfStream uint32) (action uint32) {
	s := streams.Get(id)
	if s == nil {
		s = stranger(id)
	}
	defer guard()
	enter(requestCallback, s)
	action = status(s.OnHttpRequestHeaders(int(headers), endOfStream != 0))
	if unanswered {
		unanswered, action = false, uint32(types.ActionContinue)
	}
	return action
}

const requestCallback = "proxy_on_request_headers"

//go:wasmexport proxy_on_response_headers
func proxyOnResponseHeaders(id, headers, endOfStream uint32) (action uint32) {
	s := streams.Get(id)
	if s == nil {
		return uint32(types.ActionContinue)
	}
	defer guard()
	enter("proxy_on_response_headers", s)
	return status(s.OnHttpResponseHeaders(int(headers), endOfStream != 0))
}

//go:wasmexport proxy_on_tick
func proxyOnTick(rootID uint32) {
	defer guard()
	enter("proxy_on_tick", nil)
	plugins[rootID].OnTick()
}

// The id may be of a stream: that which a root had in a VM that died, and was replaced. It
// tells nothing anyway, for a queue is for all plugins of the VM.
//
//go:wasmexport proxy_on_queue_ready
func proxyOnQueueReady(_, queue uint32) {
	defer guard()
	enter("proxy_on_queue_ready", nil)
	unconfigured.OnQueueReady(queue)
}

//go:wasmexport proxy_on_http_call_response
func proxyOnHTTPCallResponse(_, call, headers, size, _ uint32) {
	defer guard()
	enter("proxy_on_http_call_response", nil)
	if f, ok := fetches[call]; ok {
		delete(fetches, call)
		// Without headers there is no answer: a timeout, or a connection that broke.
		f.answered(int(size), headers > 0)
	}
}

//go:wasmexport proxy_on_delete
func proxyOnDelete(id uint32) {
	if s := streams.Remove(id); s != nil {
		faultIn("proxy_on_delete of a stream")
		s.Release()
		return
	}
	deletePlugin(id)
}

func deletePlugin(id uint32) {
	defer guard()
	enter("proxy_on_delete", nil)
	if p := plugins[id]; p != nil {
		delete(plugins, id)
		lastRoot.id, lastRoot.plugin = 0, nil
		faultIn("proxy_on_delete of a plugin")
		p.Gone()
		maps.DeleteFunc(fetches, func(_ uint32, f fetch) bool { return f.plugin == id })
	}
}
