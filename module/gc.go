package main

import "runtime"

// Only the goroutine that runs the callbacks allocates, and between two of them nothing
// of the runtime runs. Left alone, Go's collector therefore begins a cycle and doesn't
// end it: what is garbage stays, what is allocated meanwhile counts as live, and the
// VM's memory, which never shrinks, grows to its limit. So it is told when to run.

// documentRead says that the callback has read a configuration or a fetched document.
var documentRead bool

// collect frees what reading a document left, with the document itself: more at once
// than thousands of requests leave, and whether it was taken or refused.
func collect() {
	documentRead = false
	collectionFault()
	freeMemory()
	runtime.GC()
}

// unyielded counts the callbacks since the last yield.
var unyielded int

// yield lets the runtime's own goroutines run, in one of 512 callbacks, so that a cycle
// that requests have begun also ends. It isn't for proxy_on_memory_allocate: there
// the host waits inside a host call, whose goroutine must go on first.
func yield() {
	if unyielded++; unyielded >= yieldAfter {
		unyielded = 0
		runtime.Gosched()
	}
}

const yieldAfter = 512
