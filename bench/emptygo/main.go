//go:build wasip1

// Command emptygo is the least that is a proxy-wasm filter in Go: the runtime, and
// callbacks that do nothing. What it takes of an Envoy is the price of the language.
package main

func main() {}

//go:wasmexport proxy_abi_version_0_2_0
func abiVersion() {}

// The host has nothing to hand over to who asks for nothing.
//
//go:wasmexport proxy_on_memory_allocate
func allocate(uint32) uint32 { return 0 }

//go:wasmexport proxy_on_request_headers
func requestHeaders(_, _, _ uint32) uint32 { return 0 }

//go:wasmexport proxy_on_response_headers
func responseHeaders(_, _, _ uint32) uint32 { return 0 }
