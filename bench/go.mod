// A module of its own, so that what only benchmarks need stays out of the root's go.mod.
module github.com/proxy-wasm-cors/proxy-wasm-cors/bench

go 1.26.0

require (
	github.com/google/go-cmp v0.7.0
	github.com/proxy-wasm-cors/proxy-wasm-cors v0.0.0
	github.com/rs/cors v1.11.1
	golang.org/x/sys v0.49.0
)

require github.com/tetratelabs/wazero v1.12.0 // indirect

replace github.com/proxy-wasm-cors/proxy-wasm-cors => ..
