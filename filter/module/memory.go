package main

import "unsafe"

// arena holds what the host hands over during a callback: the values of headers
// and properties, which it writes into memory that it asks the module for.
// Addresses in it go to the host, and Go never moves it.
var (
	arena [64 << 10]byte
	used  uintptr
	// larger are values that don't fit, kept from the collector, and left is how many
	// bytes of them there may still be in this callback.
	larger [][]byte
	left   uintptr = maxLarger
)

// maxLarger bounds what a callback may hand over beyond the arena: no bug of a host
// may exhaust the memory, which would end the VM. The headers that Envoy can be made
// to accept have 8 MiB, and the bodies that it fetches 32.
const maxLarger = 64 << 20

// freeMemory makes room for what the host hands over next.
func freeMemory() {
	used = 0
	if larger != nil {
		larger, left = nil, maxLarger
		// As much garbage as many callbacks leave.
		unyielded = yieldAfter
	}
}

//go:wasmexport proxy_on_memory_allocate
func proxyOnMemoryAllocate(size uint32) unsafe.Pointer {
	n := uintptr(size)
	if n <= uintptr(len(arena))-used {
		p := unsafe.Pointer(&arena[min(used, uintptr(len(arena)-1))])
		used += n
		return p
	}
	if n > left {
		return nil // the host's call then fails
	}
	left -= n
	b := make([]byte, n)
	larger = append(larger, b)
	return unsafe.Pointer(&b[0])
}

// slots are where the host writes the address and the size of a value. Its
// addresses have 32 bits and Go's have 64, so the upper halves stay zero.
var slots struct{ data, size uint64 }

// value is what the host has put into the slots.
func value() string {
	return unsafe.String((*byte)(unsafe.Add(nil, slots.data)), int(slots.size))
}
