package config_test

import (
	"fmt"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// What a webhook or a test asks: which policy applies to a request, and what it decides.
func ExampleParse() {
	c, problems := config.Parse(`{
		"defaults": {"allow_origins": ["https://*.example.com"], "max_age": "10m"},
		"policies": [
			{"name": "api", "match": {"hosts": ["api.example.com"]}, "allow_methods": ["PUT"], "allow_credentials": true},
			{"name": "status", "match": {"paths": [{"exact": "/status"}]}, "allow_origins": ["*"]}
		]
	}`)
	if c == nil {
		fmt.Println("refused:", problems)
		return
	}
	policy := c.Policies.Lookup(match.Key{Host: "api.example.com", Path: "/orders/7"})
	decision := policy.Decide(&cors.Request{
		Method: "OPTIONS", Origin: "https://shop.example.com", HasOrigin: true, RequestMethod: "PUT",
	})
	fmt.Println(policy.Name(), "answers", decision.Status())
	for _, header := range decision.AppendHeaders(nil) {
		fmt.Printf("%s: %s\n", header.Name, header.Value)
	}
	// Output:
	// api answers 204
	// access-control-allow-origin: https://shop.example.com
	// access-control-allow-credentials: true
	// access-control-allow-methods: PUT
	// access-control-max-age: 600
	// vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers
}

// A document with an error is refused whole. All that is wrong comes at once, each with
// its line and column, and with what to write instead.
func ExampleParse_refused() {
	c, problems := config.Parse(`{
  "allow_origins": ["https://app.example/", "*"],
  "allow_credentials": true,
  "max_age": "1 hour"
}`)
	fmt.Println("taken:", c != nil)
	for _, p := range problems {
		fmt.Println(p)
	}
	// Output:
	// taken: false
	// 2:21 allow_origins[0]: "https://app.example/" has a path (a trailing slash), and an origin is only scheme, host and port; write "https://app.example"
	// 2:45 allow_origins[1]: "*" with allow_credentials would let every site act as the visitor; list the origins, or leave out allow_credentials
	// 4:14 max_age: "1 hour" is not a duration; write 3600, or "3600s"
}

// A warning is about what is accepted but probably not meant.
func ExampleParse_warning() {
	c, problems := config.Parse(`{"allow_origins": ["https://app.example"], "max_age": 86400}`)
	fmt.Println("taken:", c != nil)
	for _, p := range problems {
		fmt.Println(p.Warning, p)
	}
	// Output:
	// taken: true
	// true 1:55 max_age: 86400 seconds are more than Chromium remembers; write at most 7200 to have the same in all browsers
}
