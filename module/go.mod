// A module of its own, for the replace directive below: the root module has none.
module github.com/proxy-wasm-cors/proxy-wasm-cors/module

go 1.26.0

require (
	github.com/proxy-wasm-cors/proxy-wasm-cors v0.0.0
	github.com/tetratelabs/proxy-wasm-go-sdk v0.24.0
)

require (
	github.com/tidwall/gjson v1.20.1 // indirect
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/pretty v1.2.0 // indirect
)

replace github.com/proxy-wasm-cors/proxy-wasm-cors => ..

// gjson needs pretty for modifiers that the filter doesn't use. The real one
// brings encoding/json, fmt and os into the module: 1.1 MB.
replace github.com/tidwall/pretty => ./pretty
