// Command probe is a module that uses what the edits of Go's runtime touch, and tells what it
// sees: where functions are, after its stack has grown and its memory was collected.
package main

import (
	"runtime"
	"strings"
	"unsafe"
)

func main() {}

//go:wasmexport probe
func probe() {
	println("sum", deeper(0))
	println("panic", caught())
	println("stack", strings.Join(stack(), " ")) // probe
}

// deeper needs a stack that grows several times, and has its memory collected on the way: both
// look up the function of each frame.
func deeper(n int) int {
	if n == 2000 {
		runtime.GC()
		return 0
	}
	numbers := []int{n, n}
	kept = append(kept, numbers)
	return deeper(n+1) + numbers[0] + len(kept[n])
}

var kept [][]int

// caught returns what a panic says whose frames are left one by one.
func caught() (said string) {
	defer func() { said = recover().(error).Error() }()
	return string(rune(kept[len(kept)][0]))
}

// stack returns the names and lines of the functions that run, one of which is inlined.
//
//go:noinline
func stack() []string {
	return callers() // stack
}

func callers() (names []string) {
	var pcs [16]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs[:])]) // callers
	for {
		frame, more := frames.Next()
		names = append(names, frame.Function+":"+digits(frame.Line))
		if !more {
			return names
		}
	}
}

func digits(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return digits(n/10) + digits(n%10)
}

// A large is an object that fills pages of its own, which are nobody's when it is collected.
type large [1 << 20]byte

// A small is an object that shares a page with others.
type small [100]byte

var (
	// address is that of an object that is collected, for all that the collector knows.
	address  uintptr
	badLarge *large
	badSmall *small
	neighbor *small
)

// forgets makes objects and keeps none of them, but the address of one.
//
//go:noinline
func forgets() {
	var objects [8]*large
	for i := range objects {
		objects[i] = new(large)
	}
	address = uintptr(unsafe.Pointer(objects[len(objects)/2]))
}

// forgetsSmall keeps the object beside the one whose address it keeps.
//
//go:noinline
func forgetsSmall() {
	objects := make([]*small, 1000)
	for i := range objects {
		objects[i] = new(small)
	}
	address, neighbor = uintptr(unsafe.Pointer(objects[500])), objects[501]
}

// badPointer has the collector find a pointer into pages that are nobody's.
//
//go:wasmexport badPointer
func badPointer() {
	forgets()
	collect()
	badLarge = *(**large)(unsafe.Pointer(&address))
	collect()
	println("no harm", badLarge)
}

// freeObject has the collector find a pointer to an object that it has freed.
//
//go:wasmexport freeObject
func freeObject() {
	forgetsSmall()
	collect()
	badSmall = *(**small)(unsafe.Pointer(&address))
	collect()
	println("no harm", badSmall, neighbor)
}

// collect collects the garbage, and what that has left to do.
func collect() {
	runtime.GC()
	runtime.GC()
}
