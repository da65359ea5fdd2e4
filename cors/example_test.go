package cors_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
)

// A policy is compiled once, and decides any number of requests. The answer to a
// preflight says what pages of the origin may do; nothing is forwarded.
func Example() {
	policy, problems := cors.Compile(cors.Config{
		AllowOrigins:     []cors.OriginEntry{{Text: "https://app.example"}, {Text: "https://*.example.com"}},
		AllowMethods:     []string{"PUT", "DELETE"},
		AllowHeaders:     []string{"Content-Type"},
		AllowCredentials: true,
	})
	if policy == nil {
		fmt.Println(problems)
		return
	}
	d := policy.Decide(&cors.Request{
		Method: "OPTIONS", Origin: "https://admin.example.com", HasOrigin: true,
		RequestMethod: "PUT", RequestHeaders: []string{"content-type"},
	})
	fmt.Println(d.Status(), d.Why())
	for _, h := range d.AppendHeaders(nil) {
		fmt.Printf("%s: %s\n", h.Name, h.Value)
	}
	// Output:
	// 204 allowed
	// access-control-allow-origin: https://admin.example.com
	// access-control-allow-credentials: true
	// access-control-allow-methods: PUT, DELETE
	// access-control-allow-headers: Content-Type
	// vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers
}

// A preflight that isn't allowed is answered, too, and the decision says why.
func ExamplePolicy_Decide() {
	policy, problems := cors.Compile(cors.Config{
		AllowOrigins: []cors.OriginEntry{{Text: "https://app.example"}},
		AllowMethods: []string{"PUT", "DELETE"},
	})
	if policy == nil {
		fmt.Println(problems)
		return
	}
	d := policy.Decide(&cors.Request{Method: "OPTIONS", Origin: "https://app.example", HasOrigin: true,
		RequestMethod: "PATCH"})
	fmt.Println(d.Status(), d.Why())
	// Output: 403 method PATCH is not in allow_methods (allowed: PUT, DELETE)
}

// Incorrect: a mistake that most CORS libraries let pass. Any site could act as the visitor.
func ExampleCompile_incorrect() {
	_, problems := cors.Compile(cors.Config{
		AllowOrigins:     []cors.OriginEntry{{Text: "*"}},
		AllowCredentials: true,
	})
	fmt.Println(problems[0].Error())
	// Output: allow_origins[0]: "*" with allow_credentials would let every site act as the visitor; list the origins, or leave out allow_credentials
}

// Incorrect: everything that is wrong is reported at once, with what to write instead.
func ExampleCompile_refused() {
	_, problems := cors.Compile(cors.Config{
		AllowOrigins: []cors.OriginEntry{{Text: "https://App.example/"},
			{Text: `https://.*example\.com`, Regex: true}},
		AllowHeaders:  []string{"Cookie"},
		ExposeHeaders: []string{"X-Id, X-Trace"},
	})
	for _, p := range problems {
		fmt.Println(p.Error())
	}
	// Output:
	// allow_origins[0]: "https://App.example/" has upper-case letters, which browsers never send in an origin; write "https://app.example"
	// allow_origins[1]: the regex "https://.*example\\.com" also matches "https://evilexample.com"; write {"regex": "https://(.*\\.)?example\\.com"}
	// allow_headers[0]: "Cookie" is a header that pages can't set, so no preflight asks for it; leave it out
	// expose_headers[0]: "X-Id, X-Trace" is a list in one string; write "X-Id", "X-Trace"
}

// The answer to an actual request is the upstream's. The policy adds what a browser needs,
// and takes away what the upstream says of CORS itself.
func ExampleDecision_Edit() {
	policy, problems := cors.Compile(cors.Config{
		AllowOrigins:  []cors.OriginEntry{{Text: "https://app.example"}},
		ExposeHeaders: []string{"X-Request-Id"},
	})
	if policy == nil {
		fmt.Println(problems)
		return
	}
	answer := http.Header{"Access-Control-Allow-Origin": {"*"}, "Vary": {"Accept-Encoding"}}

	d := policy.Decide(&cors.Request{Method: "GET", Origin: "https://app.example", HasOrigin: true})
	var upstream cors.Upstream
	upstream.Observe("access-control-allow-origin", answer.Get("Access-Control-Allow-Origin"))
	upstream.Observe("vary", answer.Get("Vary"))
	d.Edit(&upstream, headers{answer})

	for _, name := range slices.Sorted(maps.Keys(answer)) {
		fmt.Println(name, answer[name])
	}
	// Output:
	// Access-Control-Allow-Origin [https://app.example]
	// Access-Control-Expose-Headers [X-Request-Id]
	// Vary [Accept-Encoding Origin]
}

// headers make an [http.Header] a [cors.Editor].
type headers struct{ http.Header }

func (h headers) AddResponseHeader(name, value string)     { h.Add(name, value) }
func (h headers) ReplaceResponseHeader(name, value string) { h.Set(name, value) }
func (h headers) RemoveResponseHeader(name string)         { h.Del(name) }
