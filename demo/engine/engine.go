// Package engine is what the page of the demo asks: it checks configurations, reads requests
// from what people have at hand, and walks a request through a browser and the filter, as the
// Fetch standard does (https://fetch.spec.whatwg.org/).
//
// It decides nothing itself. The filter's decisions come of packages config, cors and match,
// which the module for Envoy consists of; those of the browser of package browser; the words
// about them of package explain, as those of corsctl do. The page has them compiled to
// WebAssembly, so that what it expects of a request is what they say of it.
package engine

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config/schema"
)

// Call calls a function with arguments, an array in JSON, and returns its result as JSON. It
// is an object with the member "error" if the function isn't there, or the arguments aren't
// what it takes; and if the function has failed, so that the page goes on.
func Call(function, arguments string) (result string) {
	defer func() {
		if failure := recover(); failure != nil {
			result = encode(failed{fmt.Sprintf("the engine has failed: %v", failure)})
		}
	}()
	f, ok := functions[function]
	if !ok {
		return encode(failed{"the engine has no function " + function})
	}
	var args []json.RawMessage
	if err := json.Unmarshal([]byte(arguments), &args); err != nil {
		return encode(failed{"the arguments of " + function + ": " + err.Error()})
	}
	value, err := f(args)
	if err != nil {
		return encode(failed{err.Error()})
	}
	return encode(value)
}

// A failed is why there is no result.
type failed struct {
	Error string `json:"error"`
}

// functions are what the page may call.
var functions = map[string]func(args []json.RawMessage) (any, error){
	"check": func(args []json.RawMessage) (any, error) {
		var text string
		err := decode(args, &text)
		return Check(text), err
	},
	"schema": func(args []json.RawMessage) (any, error) {
		return json.RawMessage(schema.JSON()), decode(args)
	},
	"requests": func(args []json.RawMessage) (any, error) {
		var text string
		err := decode(args, &text)
		return ParseRequests(text), err
	},
	"walk": func(args []json.RawMessage) (any, error) {
		var text string
		var requests []Request
		var options Options
		if err := decode(args, &text, &requests, &options); err != nil {
			return nil, err
		}
		return WalkAll(text, requests, options), nil
	},
}

// decode reads arguments, of which there must be as many as there are values.
func decode(args []json.RawMessage, values ...any) error {
	if len(args) != len(values) {
		return fmt.Errorf("%d arguments, and not %d", len(args), len(values))
	}
	for i, arg := range args {
		if err := json.Unmarshal(arg, values[i]); err != nil {
			return fmt.Errorf("argument %d: %w", i+1, err)
		}
	}
	return nil
}

// encode writes a value as JSON, in which "&" stands as it is.
func encode(value any) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err) // all that is encoded can be
	}
	return b.String()
}
