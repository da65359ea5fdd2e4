//go:build faults

package main

import (
	"runtime"
	"strings"
)

// Faults are for tests of what comes of a bug in each callback. Only builds with the
// tag faults have them. A fault is the name of a header or a property, at which the
// module panics, or dies if a space and a way to die follow; "twice" is once more while
// the first panic is dealt with.

// fault is where a request's fault may be, the one in its header x-fault.
func fault(name string) {
	if name == "x-fault" {
		return
	}
	if asked, ok := header(requestHeaders, "x-fault"); ok {
		// It outlives the request's headers, which the answer's callback can't ask for.
		faultAt, faultKind, _ = strings.Cut(strings.Clone(asked), " ")
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

// configurationFault is where a VM's fault may be that takes a configuration which
// was accepted before: one that has X-Fault- and a way to die in it.
func configurationFault() {
	if _, kind, ok := strings.Cut(proxy.Configuration(), "X-Fault-"); ok {
		kind, _, _ = strings.Cut(kind, `"`)
		die(strings.ToLower(kind))
	}
}

// collectionFault is where a VM's fault may be when it has configured, and collects what
// that has left: one of a configuration that has X-Late-Fault- and a way to die in it.
func collectionFault() {
	if entered != "proxy_on_configure" {
		return
	}
	if _, kind, ok := strings.Cut(proxy.Configuration(), "X-Late-Fault-"); ok {
		kind, _, _ = strings.Cut(kind, `"`)
		die(strings.ToLower(kind))
	}
	documentRead = false
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
