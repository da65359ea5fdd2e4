package streams_test

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// large is how long a header is that Envoy has to be told to take.
const large = 64 << 10

// roomy are the fields of a listener that takes large headers, and many.
var roomy = map[string]any{
	"max_request_headers_kb":       96,
	"common_http_protocol_options": map[string]any{"max_headers_count": 2000},
	"http2_protocol_options":       map[string]any{"max_concurrent_streams": 2000},
}

// TestLargeRequestHeaders: 64 kB in a header, or in many, of a request. What is no origin isn't
// allowed, nor are so many headers that are asked for; all else is as it is without.
func TestLargeRequestHeaders(t *testing.T) { //nolint:tparallel // its parts share an Envoy
	t.Parallel()
	w := newWorld(t, envoytest.Listener{Extra: roomy})
	w.start(t)
	w.updating(t)
	long := strings.Repeat("a", large)
	header := func(name, value string, times int) [][2]string {
		return slices.Repeat([][2]string{{name, value}}, times)
	}
	malformed := func(k kind, origin string) kind {
		k.origin, k.allowed = origin, k.host == simple.host
		return k
	}
	const asked = "access-control-request-headers"
	for _, test := range []struct {
		name   string
		kind   kind
		path   string // "/plain" if empty
		more   [][2]string
		status int // 200 if zero, and 204 of a preflight
	}{
		{name: "cookie", kind: credentialed, more: header("cookie", long, 1)},
		{name: "cookie, preflight", kind: credentialed.asked(), more: header("cookie", long, 1)},
		{name: "many headers", kind: credentialed, more: header("x-many", strings.Repeat("a", 50), 1000)},
		{name: "many headers, preflight", kind: credentialed.asked(), more: header("x-many", strings.Repeat("a", 50), 1000)},
		{name: "path", kind: credentialed, path: "/plain?" + long},
		{name: "path, preflight", kind: credentialed.asked(), path: "/plain?" + long},
		{name: "path, looked up", kind: lookedUp, path: "/plain?" + long},
		{name: "origin", kind: malformed(credentialed, "https://"+long+".example")},
		{name: "origin of labels", kind: malformed(credentialed, "https://"+strings.Repeat("a.", large/2)+"example")},
		{name: "origin, preflight", kind: malformed(credentialed, "https://"+long+".example").asked(), status: 403},
		{name: "origin, any allowed", kind: malformed(simple, long)},
		{name: "origin, looked up", kind: malformed(lookedUp, "https://"+long+".example")},
		{name: "origin, looked up, preflight", kind: malformed(lookedUp, "https://"+long+".example").asked(), status: 403},
		{name: "requested header", kind: credentialed.asked(), more: header(asked, long, 1), status: 403},
		{name: "requested headers", kind: credentialed.asked(), more: header(asked, strings.Repeat("a,", large/2), 1), status: 403},
		{name: "requested headers, many lines", kind: credentialed.asked(),
			more: header(asked, "x-"+strings.Repeat("a", 50), 1000), status: 403},
		{name: "requested headers, commas", kind: credentialed.asked(), more: header(asked, strings.Repeat(",", large), 1), status: 403},
		{name: "requested headers, looked up", kind: lookedUp.asked(), more: header(asked, long, 1), status: 403},
	} {
		for _, p := range protocols {
			t.Run(test.name+"/"+p.name, func(t *testing.T) {
				c := p.dial(t, w.addrs[p.listener])
				defer c.close()
				k, want := test.kind, cmp.Or(test.status, 200)
				if k.preflight {
					k.allowed = test.status == 0
					want = cmp.Or(test.status, 204)
				}
				r := k.request(cmp.Or(test.path, "/plain"), test.more...)
				a := c.send(r, "")
				await(t, a.ended)
				k.check(t, r, a)
				if a.status != want || a.err != nil {
					t.Errorf("status %d, %v; want %d", a.status, a.err, want)
				}
			})
		}
	}
	for _, listener := range listeners {
		w.serves(t, listener)
	}
	w.atRest(t)
	w.checkUpdates(t)
}

// TestLargeResponseHeaders: 64 kB in a header, or in many, of an upstream's answer. Its own CORS
// headers go, however many there are, and all else stays.
func TestLargeResponseHeaders(t *testing.T) { //nolint:tparallel // its parts share an Envoy
	t.Parallel()
	w := newWorld(t, envoytest.Listener{Extra: roomy})
	w.start(t)
	w.updating(t)
	const tooLarge = 100 << 10
	for _, test := range []struct {
		name        string
		size, times int
		status      int // 200 if zero, and of an upstream of HTTP/2
		status2     int
	}{
		{name: "x-large", size: large, times: 1}, {name: "x-many", size: 60, times: 1000},
		{name: "set-cookie", size: 60, times: 1000},
		{name: "vary", size: large, times: 1}, {name: "vary", size: 60, times: 1000},
		{name: "access-control-allow-origin", size: large, times: 1},
		{name: "access-control-allow-origin", size: 60, times: 1000},
		{name: "access-control-expose-headers", size: large, times: 1},
		{name: "access-control-allow-private-network", size: 20, times: 1000},
		{name: "x-too-large", size: tooLarge, times: 1, status: 502, status2: 503},
		{name: "x-too-many", size: 1, times: 2500, status: 502, status2: 503},
	} {
		for _, p := range protocols {
			t.Run(fmt.Sprintf("%s of %d, %d/%s", test.name, test.size, test.times, p.name), func(t *testing.T) {
				path := fmt.Sprintf("headers?name=%s&size=%d&times=%d", test.name, test.size, test.times)
				for upstream, status := range map[string]int{"/": test.status, "/h2/": test.status2} {
					for _, k := range []kind{simple, credentialed, deniedKind, lookedUp} {
						c := p.dial(t, w.addrs[p.listener])
						r := k.request(upstream + path)
						a := c.send(r, "")
						await(t, a.ended)
						if got := trimVary(a.header); test.name == "vary" && got != test.size*test.times {
							t.Errorf("%s: %d letters of Vary are left", k.name, got)
						}
						k.check(t, r, a)
						if a.status != cmp.Or(status, 200) || a.err != nil {
							t.Errorf("%s %s: status %d, %v", upstream, k.name, a.status, a.err)
						}
						left := len(a.header.Values(test.name))
						if test.status == 0 && strings.HasPrefix(test.name, "x-") && left != test.times {
							t.Errorf("%s: %d of %d headers are left", k.name, left, test.times)
						}
						c.close()
					}
				}
			})
		}
	}
	for _, listener := range listeners {
		w.serves(t, listener)
	}
	w.atRest(t)
	w.checkUpdates(t)
}

// trimVary takes what the upstream has said out of a Vary, and returns how many letters that was.
func trimVary(header http.Header) (letters int) {
	vary := strings.Join(header.Values("Vary"), ",")
	letters = strings.Count(vary, "a")
	if vary = strings.Trim(strings.ReplaceAll(vary, "a", ""), ", "); vary == "" {
		header.Del("Vary")
	} else {
		header.Set("Vary", vary)
	}
	return letters
}
