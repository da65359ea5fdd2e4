package main

import "unsafe"

const (
	// arenaSize holds all headers that Envoy takes by default, 60 KiB.
	arenaSize = 64 << 10
	// maxArenaSize is for proxies that take more. What is still larger, such as a
	// fetched document, isn't worth keeping memory for.
	maxArenaSize = 1 << 20
)

// arena holds what the host hands over during a callback: the values of headers
// and properties, which it writes into memory that it asks the module for.
// Addresses in it go to the host, and Go never moves it.
var (
	arena = make([]byte, arenaSize)
	used  uintptr
	// larger are values that don't fit, kept from the collector, and overflow is their
	// size.
	larger   [][]byte
	overflow uintptr
)

// maxLarger bounds what a callback may hand over beyond the arena: no bug of a host
// may exhaust the memory, which would end the VM. The headers that Envoy can be made
// to accept have 8 MiB, and the bodies that it fetches 32.
const maxLarger = 64 << 20

// freeMemory makes room for what the host hands over next.
func freeMemory() {
	if larger != nil {
		fitArena()
	}
	used = 0
}

// fitArena lets go of the values that didn't fit, and makes room for as much in the
// callbacks to come: each such value would be garbage, faster than it is collected.
func fitArena() {
	size := uintptr(len(arena))
	for size < used+overflow {
		size *= 2
	}
	if size <= maxArenaSize {
		arena = make([]byte, size)
	}
	larger, overflow = nil, 0
	// This is as much garbage as many callbacks leave.
	unyielded = yieldAfter
}

//go:wasmexport proxy_on_memory_allocate
func proxyOnMemoryAllocate(size uint32) unsafe.Pointer {
	faultIn("proxy_on_memory_allocate")
	n := uintptr(size)
	if n <= uintptr(len(arena))-used {
		p := unsafe.Pointer(&arena[min(used, uintptr(len(arena)-1))])
		used += n
		return p
	}
	if n > maxLarger-overflow {
		return nil // the host's call then fails
	}
	b := make([]byte, n)
	larger, overflow = append(larger, b), overflow+n
	return unsafe.Pointer(&b[0])
}

// slots are where the host writes the address and the size of a value. Its
// addresses have 32 bits and Go's have 64, so the upper halves stay zero.
var slots struct{ data, size uint64 }

// value is what the host has put into the slots.
func value() string {
	return unsafe.String((*byte)(unsafe.Add(nil, slots.data)), int(slots.size))
}
