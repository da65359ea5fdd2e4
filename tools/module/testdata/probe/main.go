// Command probe is a module that uses what the edits of Go's runtime touch, and tells what it
// sees: where functions are, after its stack has grown and its memory was collected.
package main

import (
	"runtime"
	"strings"
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
