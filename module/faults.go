//go:build faults

package main

import (
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

// Faults are for tests of what comes of a bug in each callback. Only builds with the
// tag faults have them. A request asks for one by its header x-fault, which has a place and a
// way to fail: a panic, or one of the ways to die. The place is a callback, as faultIn is told
// it, whose next call in the VM fails; or the name of a header or a property at which the
// module fails, where "twice" is once more while the first panic is dealt with. Of a request
// with "vm" the answer says in x-vm which VM has served it, and what is to fail there, in
// x-plugins how many plugins it has, and in x-calls how many calls are under way.

// faultIn is called where a callback begins, or where the filter's own part of it does, and fails
// there if a request has asked for that.
func faultIn(callback string) {
	switch callback {
	case "proxy_on_request_headers":
		asked, _ := header(requestHeaders, "x-fault")
		named = asked == "vm"
		if i := strings.LastIndexByte(asked, ' '); strings.HasPrefix(asked, "proxy_on_") {
			asked = strings.Clone(asked)
			nextAt, nextKind = asked[:i], asked[i+1:]
		}
	case "proxy_on_response_headers":
		if named {
			proxy.AddResponseHeader("x-vm", vmName+"/"+nextAt)
			proxy.AddResponseHeader("x-plugins", strconv.Itoa(len(plugins)))
			proxy.AddResponseHeader("x-calls", strconv.Itoa(len(fetches)))
		}
	case "proxy_on_configure":
		configuredFault("X-Configure-Fault-")
	case "proxy_on_http_call_response":
		return // It is in fault, as nothing before that can fail.
	}
	failNext(callback)
}

// failNext fails if that is what is to fail next.
func failNext(callback string) {
	if callback == nextAt {
		nextAt = ""
		die(nextKind)
	}
}

var (
	nextAt, nextKind string                                  // the callback that is to fail, and how
	named            bool                                    // the answer is to have the VM's name
	vmName           = strconv.FormatUint(rand.Uint64(), 36) //nolint:gosec // no secret
)

// fault is where a request's fault may be, the one in its header x-fault.
func fault(name string) {
	switch name {
	case "x-fault":
		return
	case ":status": // of the answer to a call
		failNext(entered)
	}
	if ask(requestHeaders, "x-fault") == statusOK {
		// It outlives the request's headers, which the answer's callback can't ask for.
		faultAt, faultKind, _ = strings.Cut(strings.Clone(value()), " ")
	}
	if name == faultAt || name == "remove" && again {
		again = !again && faultKind == "twice"
		die(faultKind)
	}
}

var (
	faultAt, faultKind string
	again              bool // another fault is to come while the first is dealt with
)

// configurationFault is where a VM's fault may be as a plugin is created: of one that takes a
// configuration which was accepted before, if that has X-Fault- and a way to die in it, and of
// one that is the first to see it, if it has X-Create-Fault-.
func configurationFault(accepted bool) {
	if accepted {
		configuredFault("X-Fault-")
		failNext("proxy_on_context_create of a plugin, reading")
	} else {
		configuredFault("X-Create-Fault-")
	}
}

// collectionFault is where a VM's fault may be when it has configured, and collects what
// that has left: one of a configuration that has X-Late-Fault- and a way to die in it.
func collectionFault() {
	if entered == "proxy_on_configure" {
		configuredFault("X-Late-Fault-")
		documentRead = false
	}
}

// configuredFault fails in the way that follows a mark in the configuration.
func configuredFault(mark string) {
	if _, kind, ok := strings.Cut(proxy.Configuration(), mark); ok {
		kind, _, _ = strings.Cut(kind, `"`)
		die(strings.ToLower(kind))
	}
}

// die ends the callback, and all ways but a panic the VM.
func die(kind string) {
	switch kind {
	case "trap":
		runtime.Breakpoint()
	case "memory":
		for {
			kept = append(kept, make([]byte, 256<<20))
		}
	case "stack":
		kept = make([][]byte, deeper(0))
	case "throw":
		new(sync.Mutex).Unlock()
	case "deadlock":
		select {}
	}
	panic("fault at " + entered)
}

var kept [][]byte

// deeper calls itself for ever, or nearly so.
func deeper(n int) int {
	if n < 0 {
		return 0
	}
	return deeper(n+1) + n
}

// What the module holds, for tests in which it should be nothing, is told by functions that only
// they call: the host's own count of streams says what it has told the module, not what that has
// made of it.

//go:wasmexport faults_streams
func faultsStreams() uint32 { return uint32(streams.Len()) }

// faultsWaiting counts the streams that wait for look-ups.
//
//go:wasmexport faults_waiting
func faultsWaiting() uint32 {
	n := unconfigured.Waiting()
	for _, p := range plugins {
		n += p.Waiting()
	}
	return uint32(n)
}

// faultsAsked counts the look-ups that are under way.
//
//go:wasmexport faults_asked
func faultsAsked() uint32 { return uint32(vm.Asked()) }

// faultsFetches counts the requests of the module that are, those look-ups among them.
//
//go:wasmexport faults_fetches
func faultsFetches() uint32 { return uint32(len(fetches)) }

//go:wasmexport faults_plugins
func faultsPlugins() uint32 { return uint32(len(plugins)) }
