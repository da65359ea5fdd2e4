//go:build js && wasm

// Command wasm is package engine for a page: it gives the global object a function
// corsEngine(function, arguments), which takes and returns JSON.
package main

import (
	"syscall/js"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/demo/engine"
)

func main() {
	js.Global().Set("corsEngine", js.FuncOf(func(_ js.Value, args []js.Value) any {
		if len(args) != 2 || args[0].Type() != js.TypeString || args[1].Type() != js.TypeString {
			return `{"error": "corsEngine takes a function's name, and its arguments as JSON"}`
		}
		return engine.Call(args[0].String(), args[1].String())
	}))
	select {} // the page calls
}
