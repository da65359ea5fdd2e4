// A module of its own, so that databases' drivers and a control plane stay out of the root's go.mod.
module github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd

go 1.26.0

require github.com/proxy-wasm-cors/proxy-wasm-cors v0.0.0

require (
	github.com/tidwall/gjson v1.20.1 // indirect
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/pretty v1.2.0 // indirect
	go.yaml.in/yaml/v4 v4.0.0 // indirect
)

replace github.com/proxy-wasm-cors/proxy-wasm-cors => ../..
