// Package cases holds the tables of requests and answers that every level of
// the tests runs: the pure engine, the filter in the SDK's emulator, the
// compiled module in wazero, and the compiled module in Envoy.
package cases

// A Case is one exchange: a plugin configuration, a request, what the upstream
// answers if the request reaches it, and what must be seen on either side.
type Case struct {
	// Name is unique among all cases, and a file name: lower-case words and dashes.
	Name string
	// Config is the plugin configuration, JSON.
	Config string
	// Request is what the client sends.
	Request Request
	// Upstream is what the upstream answers if the request reaches it.
	Upstream Upstream
	// Want is what must be seen.
	Want Want
}

// A Request is what the client sends.
type Request struct {
	// Method is GET if empty.
	Method string
	// Host is the Host header or :authority; "api.example" if empty.
	Host string
	// Path is the request target; "/" if empty.
	Path string
	// Route is the name of the Envoy route that the request matches; none if empty.
	Route string
	// Headers are header lines, sent in this order, values exactly as written.
	Headers [][2]string
}

// An Upstream is the upstream's answer.
type Upstream struct {
	// Status is 200 if zero.
	Status int
	// Headers are header lines, sent in this order.
	Headers [][2]string
}

// A Want is what must be seen of an exchange.
type Want struct {
	// Forwarded tells whether the request must reach the upstream.
	Forwarded bool
	// Status is the answer's status; the upstream's if zero.
	Status int
	// Headers are all lines of the answer that are CORS response headers or Vary,
	// each as "name: value" with the name in lower case, in any order.
	Headers []string
	// Reason is the text that response_code_details carries when the filter
	// answers itself, without the filter's prefix; empty if not checked.
	Reason string
}
