package hotreload_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// app is the origin that every version of the policies allows.
const app = "https://app.example"

// document returns version n of the policies, from 1 to 86400. Each answer has the
// version in several places, so that one which mixes two versions is noticed.
func document(n int) string { return documentWith(n, "", "") }

// largeDocument is document with so many origins that it has about that size in bytes.
// No version has the origins of another, but app.
func largeDocument(n, size int) string {
	origins := []byte(`, "allow_origins": ["` + app + `"`)
	suffix := "." + version(n) + `.example"`
	for i := 0; len(origins) < size-len(document(n)); i++ {
		origins = append(origins, `, "https://tenant-`...)
		origins = strconv.AppendInt(origins, int64(i), 10)
		origins = append(origins, suffix...)
	}
	return documentWith(n, "", string(origins)+"]")
}

// documentWith is document, with further fields at the top, and in the second policy.
func documentWith(n int, fields, policyFields string) string {
	return fmt.Sprintf(`{
  %[3]s"defaults": {
    "allow_origins": ["%[2]s"],
    "allow_methods": ["VERSION-%[1]d"],
    "allow_headers": ["X-Version-%[1]d"],
    "expose_headers": ["X-Version-%[1]d", "X-Again-%[1]d"],
    "allow_credentials": %[4]t,
    "max_age": %[1]d
  },
  "policies": [
    {"name": "one-%[1]d", "match": {"hosts": ["one.example"]}},
    {"name": "any-%[1]d"%[5]s}
  ]
}`, n, app, fields, credentials(n), policyFields)
}

// version returns the number of a version as text.
func version(n int) string { return strconv.Itoa(n) }

// credentials tells whether version n allows credentials.
func credentials(n int) bool { return n%2 == 1 }

// requests are what a client sends in turn: requests and preflights, to two policies.
var requests = []cases.Request{
	{Host: "any.example", Headers: [][2]string{{"origin", app}}},
	{Host: "any.example", Method: "OPTIONS", Headers: [][2]string{{"origin", app},
		{"access-control-request-method", "GET"}}},
	{Host: "one.example", Headers: [][2]string{{"origin", app}}},
	{Host: "one.example", Method: "OPTIONS", Headers: [][2]string{{"origin", app},
		{"access-control-request-method", "GET"}}},
}

// foreign is a page's origin that no version allows, but the upstream does. Without
// the filter the page would read the answer.
const foreign = "https://foreign.example"

// foreignRequest is from there.
var foreignRequest = cases.Request{Host: "any.example", Headers: [][2]string{{"origin", foreign}}}

// checkForeign returns an error if an answer to foreignRequest isn't what each version
// answers.
func checkForeign(response *envoytest.Response) error {
	if got := envoytest.CORSLines(response); response.Status != 200 || !slices.Equal(got, []string{"vary: Origin"}) {
		return fmt.Errorf("a foreign origin gets status %d and %q", response.Status, got)
	}
	return nil
}

// versionOf returns the version of the policies that an answer is from, or an error
// if it isn't, line by line, what one version answers.
func versionOf(request cases.Request, response *envoytest.Response) (int, error) {
	status, header, prefix := 200, "access-control-expose-headers", "X-Version-"
	if request.Method == "OPTIONS" {
		status, header, prefix = 204, "access-control-max-age", ""
	}
	value := strings.Join(response.Values(header), ",")
	first, _, _ := strings.Cut(strings.TrimPrefix(value, prefix), ",")
	n, err := strconv.Atoi(first)
	if err != nil || response.Status != status {
		return 0, fmt.Errorf("status %d and %s %q, which no version answers; body %q", response.Status, header, value,
			response.Body)
	}
	if got, want := envoytest.CORSLines(response), linesOf(request, n); !slices.Equal(got, want) {
		return 0, fmt.Errorf("a mix of versions: got %q, version %d answers %q", got, n, want)
	}
	return n, nil
}

// linesOf returns the CORS headers that version n answers.
func linesOf(request cases.Request, n int) []string {
	lines := []string{"access-control-allow-origin: " + app}
	if credentials(n) {
		lines = append(lines, "access-control-allow-credentials: true")
	}
	if request.Method == "OPTIONS" {
		lines = append(lines,
			fmt.Sprintf("access-control-allow-methods: VERSION-%d", n),
			fmt.Sprintf("access-control-allow-headers: X-Version-%d", n),
			fmt.Sprintf("access-control-max-age: %d", n),
			"vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
	} else {
		lines = append(lines, fmt.Sprintf("access-control-expose-headers: X-Version-%[1]d, X-Again-%[1]d", n),
			"vary: Origin")
	}
	slices.Sort(lines)
	return lines
}

// A conversation repeats the requests, and is the load's.
type conversation struct{ turn, version int }

// Next implements [fleet.Conversation].
func (c *conversation) Next() cases.Request {
	if c.turn = (c.turn + 1) % (len(requests) + 1); c.turn == len(requests) {
		return foreignRequest
	}
	return requests[c.turn]
}

// Judge implements [fleet.Conversation].
func (c *conversation) Judge(response *envoytest.Response) (version int, err error) {
	if c.turn == len(requests) {
		return c.version, checkForeign(response)
	}
	if version, err = versionOf(requests[c.turn], response); err == nil {
		c.version = version
	}
	return version, err
}

// startLoad begins sending to these listeners of all Envoys.
func startLoad(tb testing.TB, envoys []*fleet.Proxy, listeners ...string) *fleet.Load {
	tb.Helper()
	begin := func(*fleet.Proxy, string) fleet.Conversation { return &conversation{turn: -1} }
	return fleet.StartLoad(tb, begin, envoys, listeners...)
}

// TestVersionOf: an answer that is made of two successive versions is noticed,
// whichever line is the other's.
func TestVersionOf(t *testing.T) {
	for _, request := range requests {
		one, other := answer(request, 3), answer(request, 4)
		if n, err := versionOf(request, one); n != 3 || err != nil {
			t.Errorf("version 3: got %d, %v", n, err)
		}
		for _, line := range append(one.Headers, other.Headers...) {
			name := line[0]
			mix := &envoytest.Response{Status: one.Status}
			for _, value := range other.Values(name) {
				mix.Headers = append(mix.Headers, [2]string{name, value})
			}
			for _, h := range one.Headers {
				if h[0] != name {
					mix.Headers = append(mix.Headers, h)
				}
			}
			n, err := versionOf(request, mix)
			if same := slices.Equal(one.Values(name), other.Values(name)); (err == nil) != same {
				t.Errorf("version 3 with the %s of version 4: got version %d, %v", name, n, err)
			}
		}
		for _, response := range []*envoytest.Response{{Status: one.Status}, {Status: 503, Headers: one.Headers}} {
			if n, err := versionOf(request, response); err == nil {
				t.Errorf("%+v passes as version %d", response, n)
			}
		}
	}
}

// answer returns what version n answers.
func answer(request cases.Request, n int) *envoytest.Response {
	response := &envoytest.Response{Status: 200}
	if request.Method == "OPTIONS" {
		response.Status = 204
	}
	for _, line := range linesOf(request, n) {
		name, value, _ := strings.Cut(line, ": ")
		response.Headers = append(response.Headers, [2]string{name, value})
	}
	return response
}
