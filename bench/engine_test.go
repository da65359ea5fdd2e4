package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	rs "github.com/rs/cors"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
)

// A recorder is a response writer that allocates nothing.
type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header            { return r.header }
func (r *recorder) Write(body []byte) (int, error) { return len(body), nil }
func (r *recorder) WriteHeader(status int)         { r.status = status }

// TestEngines: both libraries make the same of the benchmarks' requests.
func TestEngines(t *testing.T) {
	for _, c := range engineCases() {
		for name, handler := range c.handlers(t) {
			w := &recorder{header: http.Header{}}
			handler.ServeHTTP(w, c.request())
			got := false
			for name := range w.header {
				got = got || strings.EqualFold(name, "Access-Control-Allow-Origin")
			}
			if got != c.allowed {
				t.Errorf("%s, %s: allowed %t, headers %q", c.name, name, got, w.header)
			}
		}
	}
}

// BenchmarkEngine has the two libraries decide a request and write the headers of
// its answer.
func BenchmarkEngine(b *testing.B) {
	for _, c := range engineCases() {
		handlers := c.handlers(b)
		for _, name := range []string{ours, "rs/cors"} {
			handler := handlers[name]
			b.Run(c.name+"/"+name, func(b *testing.B) {
				w, r := &recorder{header: http.Header{}}, c.request()
				b.ReportAllocs()
				for b.Loop() {
					clear(w.header)
					handler.ServeHTTP(w, r)
				}
			})
		}
	}
}

// An engineCase is a configuration and a request.
type engineCase struct {
	name    string
	origins []string
	method  string
	headers map[string]string
	allowed bool
}

func engineCases() []engineCase {
	one, many, wildcards := []string{origin}, []string{}, []string{}
	for i := range 1000 {
		many = append(many, fmt.Sprintf("https://app-%d.example", i))
		wildcards = append(wildcards, fmt.Sprintf("https://*.tenant-%d.example.com", i))
	}
	from := func(origin string, more ...string) map[string]string {
		headers := map[string]string{"Origin": origin}
		for i := 0; i < len(more); i += 2 {
			headers[more[i]] = more[i+1]
		}
		return headers
	}
	const method, list = "Access-Control-Request-Method", "Access-Control-Request-Headers"
	return []engineCase{
		{"no Origin", one, "GET", nil, false},
		{"actual, 1 origin", one, "GET", from(origin), true},
		{"actual, the middle one of 1000 origins", many, "GET", from("https://app-500.example"), true},
		{"actual, the middle one of 1000 wildcards", wildcards, "GET", from("https://www.tenant-500.example.com"),
			true},
		{"actual, not one of 1000 origins", many, "GET", from("https://evil.example"), false},
		{"preflight", one, "OPTIONS", from(origin, method, "PUT", list, "content-type,x-pingother"), true},
		{"preflight, method not allowed", one, "OPTIONS", from(origin, method, "PATCH"), false},
		{"preflight, header not allowed", one, "OPTIONS", from(origin, method, "PUT", list, "x-other"), false},
		{"preflight, 8000 commas", one, "OPTIONS",
			from(origin, method, "PUT", list, strings.Repeat(",", 8000)+"x-other"), false},
		{"preflight, 1 MB of commas", one, "OPTIONS", from(origin, method, "PUT", list, strings.Repeat(",", 1<<20)),
			false},
		{"preflight, a header 600 times", one, "OPTIONS",
			from(origin, method, "PUT", list, strings.Repeat("content-type,", 600)+"x-other"), false},
	}
}

func (c *engineCase) request() *http.Request {
	r := &http.Request{Method: c.method, Header: http.Header{}}
	for name, value := range c.headers {
		r.Header.Set(name, value)
	}
	return r
}

// handlers are the two libraries, configured alike.
func (c *engineCase) handlers(tb testing.TB) map[string]http.Handler {
	tb.Helper()
	methods, headers, maxAge := []string{"GET", "POST", "PUT", "DELETE"}, []string{"content-type", "x-pingother"}, 600
	config := cors.Config{AllowMethods: methods, AllowHeaders: headers, MaxAge: &maxAge}
	for _, o := range c.origins {
		config.AllowOrigins = append(config.AllowOrigins, cors.OriginEntry{Text: o})
	}
	policy, problems := cors.Compile(config)
	if policy == nil {
		tb.Fatal(problems)
	}
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	return map[string]http.Handler{
		ours: &engine{policy: policy},
		"rs/cors": rs.New(rs.Options{AllowedOrigins: c.origins, AllowedMethods: methods, AllowedHeaders: headers,
			MaxAge: maxAge}).Handler(next),
	}
}

// An engine serves HTTP by a policy, for the comparison. It is its own editor.
type engine struct {
	policy *cors.Policy
	answer http.Header
	values [8]string // of the answer's headers
}

// AddResponseHeader implements cors.Editor.
func (e *engine) AddResponseHeader(name, value string) {
	n := len(e.answer)
	e.values[n] = value
	e.answer[name] = e.values[n : n+1 : n+1]
}

// ReplaceResponseHeader implements cors.Editor.
func (e *engine) ReplaceResponseHeader(string, string) { panic("there is no answer yet") }

// RemoveResponseHeader implements cors.Editor.
func (e *engine) RemoveResponseHeader(string) { panic("there is no answer yet") }

// ServeHTTP implements http.Handler.
func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	facts := cors.Request{Method: r.Method, RequestHeaders: r.Header["Access-Control-Request-Headers"]}
	if lines := r.Header["Origin"]; len(lines) > 0 {
		facts.Origin, facts.HasOrigin = lines[0], true
	}
	if lines := r.Header["Access-Control-Request-Method"]; len(lines) > 0 {
		facts.RequestMethod = lines[0]
	}
	d := e.policy.Decide(&facts)
	e.answer = w.Header()
	if !d.Answered() {
		d.Edit(&cors.Upstream{}, e)
		return
	}
	var buf [8]cors.Header
	for _, h := range d.AppendHeaders(buf[:0]) {
		e.AddResponseHeader(h.Name, h.Value)
	}
	w.WriteHeader(d.Status())
}
