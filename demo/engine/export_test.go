package engine

import "encoding/json"

// CallFailing calls a function that panics.
func CallFailing() string {
	functions["fail"] = func([]json.RawMessage) (any, error) { panic("broken") }
	defer delete(functions, "fail")
	return Call("fail", "[]")
}
