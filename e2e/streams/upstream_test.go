package streams_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// What an upstream's answers have beside their status line: they let every page read them, if the
// filter doesn't see to that. The last one of a connection says so.
const (
	permissive = "Access-Control-Allow-Origin: https://evil.example\r\n"
	closing    = "Connection: close\r\n" + permissive
)

func init() {
	say := func(text string) func(*net.TCPConn) {
		return func(conn *net.TCPConn) {
			_, _ = io.WriteString(conn, text) // Who has gone needs none.
			_ = conn.Close()
		}
	}
	reset := func(conn *net.TCPConn) {
		_ = conn.SetLinger(0)
		_ = conn.Close()
	}
	// A socket sends back what it gets, until that is "quit".
	socket := func(quit func(*net.TCPConn)) func(*net.TCPConn) {
		return func(conn *net.TCPConn) {
			defer func() { _ = conn.Close() }()
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"+
				"Upgrade: websocket\r\n"+permissive+"\r\n")
			for said := make([]byte, 4); ; {
				if _, err := io.ReadFull(conn, said); err != nil {
					return
				}
				if string(said) == "quit" {
					quit(conn)
					return
				}
				_, _ = conn.Write(said) // Who has gone is noticed above.
			}
		}
	}
	wires = map[string]func(*net.TCPConn){
		"reset":        func(conn *net.TCPConn) { reset(conn) },
		"close":        say(""),
		"cut-headers":  say("HTTP/1.1 200 OK\r\n" + closing),
		"garbage":      say("\x00\x01 what is this\r\n\r\n"),
		"cut-length":   say("HTTP/1.1 200 OK\r\n" + closing + "Content-Length: 10\r\n\r\nhalf\n"),
		"cut-chunk":    say("HTTP/1.1 200 OK\r\n" + closing + "Transfer-Encoding: chunked\r\n\r\n5\r\nhalf\n\r\n"),
		"bad-chunk":    say("HTTP/1.1 200 OK\r\n" + closing + "Transfer-Encoding: chunked\r\n\r\n5\r\nhalf\n\r\nno number\r\n"),
		"until-close":  say("HTTP/1.0 200 OK\r\n" + closing + "\r\nupstream\n"),
		"extensions":   say("HTTP/1.1 200 OK\r\n" + closing + "Transfer-Encoding: chunked\r\n\r\n9;a=b;c=\"d;e\"\r\nupstream\n\r\n0;last\r\n\r\n"),
		"empty-chunks": say("HTTP/1.1 200 OK\r\n" + closing + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
		"interim-only": say("HTTP/1.1 103 Early Hints\r\n" + permissive + "\r\n"),
		"interim-reset": func(conn *net.TCPConn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\n"+permissive+"\r\nHTTP/1.1 200 OK\r\n"+closing+"Content-Length: 10\r\n\r\nhalf\n")
			time.Sleep(30 * time.Millisecond) // so that it is read before the reset
			reset(conn)
		},
		"many-interim": say(strings.Repeat("HTTP/1.1 103 Early Hints\r\n"+permissive+"\r\n", 3) +
			"HTTP/1.1 200 OK\r\n" + closing + "Content-Length: 9\r\n\r\nupstream\n"),
		"socket":       socket(func(*net.TCPConn) {}),
		"socket-reset": socket(reset),
		"no-reason":    say("HTTP/1.1 200\r\n" + closing + "Content-Length: 9\r\n\r\nupstream\n"),
	}
	abort := func(*upstream, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	faults["abort"] = abort
	faults["abort-after"] = func(u *upstream, w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "half")
		_ = http.NewResponseController(w).Flush()
		abort(u, w, r)
	}
	faults["empty"] = func(_ *upstream, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }
	faults["status"] = func(_ *upstream, w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.URL.RawQuery)
		w.WriteHeader(status)
	}
	faults["read"] = func(_ *upstream, w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body) // Who has gone needs no echo.
	}
	// What comes back of a request is its body and its trailer.
	faults["sum"] = func(_ *upstream, w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // Who has gone needs no echo.
		_, _ = w.Write(append(body, r.Trailer.Get("X-Sum")...))
	}
	faults["early"] = func(_ *upstream, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		fmt.Fprintln(w, "upstream")
	}
	faults["trailers"] = func(_ *upstream, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status, Access-Control-Allow-Origin")
		fmt.Fprintln(w, "upstream")
		_ = http.NewResponseController(w).Flush()
		w.Header().Set("Grpc-Status", "0")
		w.Header().Set("Access-Control-Allow-Origin", "https://evil.example")
	}
	faults["trailers-only"] = func(_ *upstream, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Status", "12")
	}
	// Its query has a header's name, its size, and how often there is one.
	faults["headers"] = func(_ *upstream, w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		size, _ := strconv.Atoi(query.Get("size"))
		times, _ := strconv.Atoi(query.Get("times"))
		for range times {
			w.Header().Add(query.Get("name"), strings.Repeat("a", size))
		}
	}
	faults["huge"] = func(_ *upstream, w http.ResponseWriter, _ *http.Request) {
		chunk := make([]byte, 1<<20)
		for range huge >> 20 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
}

// huge is how many bytes an answer has that no proxy should keep.
const huge = 100 << 20

// A row is a fault of the upstream, or of the way there, and what becomes of it.
type row struct {
	path   string
	method string // GET if empty
	header [2]string
	body   string
	sum    bool // trailers follow the body, also one that no browser sends
	// The answer's status, size of its body, and interim statuses.
	status int
	size   int64
	early  []int
	// cut is set where the client notices that it hasn't all.
	cut bool
	// late is the status if the answer breaks off, or takes too long, while it is held for a look-up:
	// Envoy then answers in its place, and has no filter see that answer.
	late    int
	trailer string // a trailer's value
	slow    bool   // it isn't for every kind
}

var rows = []row{
	{path: "/plain", status: 200, size: 9},
	{path: "/refused", status: 503, size: -1},
	{path: "/reset", status: 503, size: -1},
	{path: "/close", status: 503, size: -1},
	{path: "/cut-headers", status: 502, size: -1},
	{path: "/garbage", status: 502, size: -1},
	{path: "/cut-length", status: 200, size: 5, cut: true, late: 502},
	{path: "/cut-chunk", status: 200, size: 5, cut: true, late: 502},
	{path: "/bad-chunk", status: 200, size: -1, cut: true, late: 502},
	{path: "/abort", status: 503, size: -1},
	{path: "/abort-after", status: 200, size: 5, cut: true, late: 502},
	{path: "/interim-only", status: 503, size: -1, early: []int{103}},
	{path: "/interim-reset", status: 200, size: 5, early: []int{103}, cut: true, late: 502},
	{path: "/many-interim", status: 200, size: 9, early: []int{103}}, // Envoy passes the first one on,
	{path: "/early", status: 200, size: 9, early: []int{103}},
	{path: "/read", method: "POST", header: [2]string{"expect", "100-continue"}, body: "echo\n", status: 200, size: 5,
		early: []int{100}},
	{path: "/sum", method: "POST", header: [2]string{"trailer", "x-sum, origin"}, body: "echo\n", sum: true, status: 200,
		size: 9},
	{path: "/until-close", status: 200, size: 9},
	{path: "/extensions", status: 200, size: 9},
	{path: "/empty-chunks", status: 200},
	{path: "/no-reason", status: 200, size: 9},
	{path: "/empty", status: 200},
	{path: "/empty", method: "HEAD", status: 200},
	{path: "/plain", method: "HEAD", status: 200},
	{path: "/status?204", status: 204},
	{path: "/status?205", status: 205},
	{path: "/status?304", status: 304},
	{path: "/status?301", status: 301},
	{path: "/status?401", status: 401},
	{path: "/status?500", status: 500},
	{path: "/status?599", status: 599},
	{path: "/trailers", status: 200, size: 9, trailer: "0"},
	{path: "/timeout/hold", status: 504, size: -1, slow: true},
	{path: "/timeout/half", status: 200, size: 5, cut: true, late: 504, slow: true},
	{path: "/idle/hold", status: 504, size: -1, slow: true},
	{path: "/idle/half", status: 200, size: 5, cut: true, late: 504, slow: true},
	{path: "/idle/plain", status: 200, size: 9, late: 504, slow: true},
	{path: "/longest/hold", status: 504, size: -1, slow: true},
	{path: "/direct", status: 418},
	{path: "/redirect", status: 301},
	{path: "/faulty", header: [2]string{"x-envoy-fault-abort-request", "429"}, status: 429, size: -1},
	{path: "/faulty/hold", header: [2]string{"x-envoy-fault-delay-request", "30"}, status: 504, size: -1, slow: true},
	{path: "/nowhere", status: 503, size: -1},
	{path: "/retried/reset", status: 503, size: -1, slow: true},
	{path: "/h2/plain", status: 200, size: 9},
	{path: "/h2/sum", method: "POST", header: [2]string{"trailer", "x-sum, origin"}, body: "echo\n", sum: true, status: 200,
		size: 9},
	{path: "/h2/abort", status: 503, size: -1},
	{path: "/h2/abort-after", status: 200, size: 5, cut: true, late: 503},
	{path: "/h2/early", status: 200, size: 9, early: []int{103}},
	{path: "/h2/empty", status: 200},
	{path: "/h2/empty", method: "HEAD", status: 200},
	{path: "/h2/status?204", status: 204},
	{path: "/h2/status?304", status: 304},
	{path: "/h2/trailers", status: 200, size: 9, trailer: "0"},
	{path: "/h2/trailers-only", status: 200},
}

// reroutes are the routes of rows that aren't to the upstream and nothing else.
func reroutes() []any {
	to := func(prefix string, fields map[string]any) any {
		action := map[string]any{"cluster": "upstream"}
		for name, value := range fields {
			action[name] = value
		}
		return map[string]any{"match": map[string]any{"prefix": prefix}, "route": action}
	}
	answer := func(prefix, action string, fields map[string]any) any {
		return map[string]any{"match": map[string]any{"prefix": prefix}, action: fields}
	}
	return []any{
		// Long enough for what is to come before.
		to("/timeout/half", map[string]any{"timeout": "0.5s"}),
		to("/timeout/", map[string]any{"timeout": "0.1s"}),
		to("/idle/hold", map[string]any{"timeout": "0s", "idle_timeout": "0.1s"}),
		to("/idle/", map[string]any{"timeout": "0s", "idle_timeout": "0.5s"}),
		to("/longest/", map[string]any{"timeout": "0s",
			"max_stream_duration": map[string]any{"max_stream_duration": "0.1s"}}),
		to("/faulty/hold", map[string]any{"timeout": "0.1s"}),
		to("/retried/", map[string]any{"timeout": "5s",
			"retry_policy": map[string]any{"retry_on": "5xx", "num_retries": 2}}),
		answer("/nowhere", "route", map[string]any{"cluster_header": "x-cluster"}),
		answer("/direct", "direct_response", map[string]any{"status": 418}),
		answer("/redirect", "redirect", map[string]any{"path_redirect": "/"}),
	}
}

var faultFilter = envoytest.Listener{Filters: []any{map[string]any{"name": "fault", "typed_config": map[string]any{
	"@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
	"abort": map[string]any{"header_abort": map[string]any{}, "percentage": map[string]any{"numerator": 100}},
	"delay": map[string]any{"header_delay": map[string]any{}, "percentage": map[string]any{"numerator": 100}},
}}}}

// TestUpstreamFaults: whatever becomes of a request behind the filter, the answer has the CORS
// headers of its kind, whole or not.
func TestUpstreamFaults(t *testing.T) { //nolint:tparallel // its parts share an Envoy
	t.Parallel()
	w := newWorld(t, envoytest.Listener{Routes: reroutes(), Filters: faultFilter.Filters,
		Extra: map[string]any{"proxy_100_continue": true, "http_protocol_options": map[string]any{"enable_trailers": true}}})
	w.start(t)
	w.updating(t)
	for _, row := range rows {
		for _, p := range protocols {
			t.Run(row.method+row.path+"/"+p.name, func(t *testing.T) {
				kinds := []kind{simple, credentialed, deniedKind, held}
				if row.late == 0 { // or it depends on which is first
					kinds = append(kinds, lookedUp, lookedUpDenied)
				}
				if row.slow {
					kinds = []kind{credentialed, held}
				}
				for _, k := range kinds {
					w.suffers(t, p.dial(t, w.addrs[p.listener]), row, k)
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

// suffers sends a request of a kind to a fault.
func (w *world) suffers(t *testing.T, c client, row row, k kind) {
	t.Helper()
	defer c.close()
	r := k.request(row.path)
	r.Method = row.method
	if row.header[0] != "" {
		r.Headers = append(r.Headers, row.header)
	}
	var trailers [][2]string
	if row.sum {
		trailers = [][2]string{{"x-sum", "5913"}, {"origin", evil}}
	} else if row.body != "" {
		r.Headers = append(r.Headers, [2]string{"content-length", strconv.Itoa(len(row.body))})
	}
	asked := w.registry.come()
	a := c.send(r, row.body, trailers...)
	if k.name == held.name {
		envoytest.Eventually(t, patience, "the look-up", func() bool { return w.registry.come() > asked })
		if row.late > 0 {
			await(t, a.ended)
		}
		w.registry.open()
	}
	await(t, a.ended)
	if k.name == held.name && row.late > 0 {
		if got := lines(a.header); a.status != row.late || len(got) > 0 || a.err != nil {
			t.Errorf("%s: status %d, %q, %v; want Envoy's own %d", k.name, a.status, got, a.err, row.late)
		}
		return
	}
	k.check(t, r, a)
	if a.status != row.status || (a.err != nil) != row.cut || row.size >= 0 && a.size != row.size ||
		!slices.Equal(a.early, row.early) {
		t.Errorf("%s: status %d, %d bytes, interim ones %v, %v; want %+v", k.name, a.status, a.size, a.early, a.err, row)
	}
	if got := a.trailer.Get("grpc-status"); got != row.trailer {
		t.Errorf("%s: trailers %v", k.name, a.trailer)
	}
}

// TestHugeAnswers: an answer of any size goes through, and Envoy keeps no more of it than its
// buffers have room for, also while the answer is held.
func TestHugeAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, envoytest.Listener{})
	w.start(t)
	w.updating(t)
	w.serves(t, byFile)
	before := fleet.Resident(t, w.PID())
	for _, dial := range []dialer{dial1, dial2} {
		for _, k := range []kind{credentialed, held} {
			c := dial(t, w.addrs[byFile])
			r := k.request("/huge")
			a := c.send(r, "")
			if k.name == held.name {
				registryHolds(t, w, 0, a)
				w.registry.open()
			}
			await(t, a.ended)
			k.check(t, r, a)
			if a.size != huge || a.err != nil {
				t.Errorf("%s: %d bytes, %v", k.name, a.size, a.err)
			}
			c.close()
		}
	}
	for _, way := range ways {
		c := way.dial(t, w.addrs[byFile])
		a := c.send(credentialed.request("/huge"), "")
		await(t, a.begun)
		if err := way.leave(c); err != nil {
			t.Fatal(err)
		}
		c.close()
	}
	w.atRest(t)
	w.checkUpdates(t)
	const room = 40 << 20
	if peak := fleet.Peak(t, w.PID()); peak > before+room {
		t.Errorf("Envoy has had %d MiB, and %d before", peak>>20, before>>20)
	}
}

// TestUpgrades: of a WebSocket that ends, whoever ends it, nothing stays. Its handshake is left
// untouched.
func TestUpgrades(t *testing.T) { //nolint:tparallel // its parts share an Envoy
	t.Parallel()
	w := newWorld(t, envoytest.Listener{})
	w.start(t)
	w.updating(t)
	want := []string{"access-control-allow-origin: https://evil.example"}
	for _, k := range []kind{simple, credentialed, deniedKind, lookedUp, held} {
		for _, end := range []string{"HTTP1 closed", "HTTP1 half closed", "HTTP1 reset", "/socket", "/socket-reset"} {
			t.Run(k.name+"/"+end, func(t *testing.T) {
				c := dial1(t, w.addrs[byFile]).(*http1)
				path := "/socket"
				if strings.HasPrefix(end, path) {
					path = end
				}
				a := c.send(k.request(path, [2]string{"connection", "Upgrade"}, [2]string{"upgrade", "websocket"}), "")
				if await(t, a.ended); a.status != 101 || !slices.Equal(lines(a.header), want) {
					t.Fatalf("status %d, %q, %v", a.status, lines(a.header), a.err)
				}
				echo := make([]byte, 4)
				if _, err := io.WriteString(c, "ping"); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(c.r, echo); err != nil || string(echo) != "ping" {
					t.Fatalf("%q, %v", echo, err)
				}
				if at := slices.IndexFunc(ways, func(w way) bool { return w.name == end }); at >= 0 {
					if err := ways[at].leave(c); err != nil {
						t.Fatal(err)
					}
				} else if _, err := io.WriteString(c, "quit"); err != nil {
					t.Fatal(err)
				} else if _, err := io.ReadAll(c.r); err != nil && !errors.Is(err, syscall.ECONNRESET) {
					t.Fatal(err)
				}
				w.atRest(t)
			})
		}
	}
	w.checkUpdates(t)
}

// TestBeforeTheFilter: what Envoy refuses before any filter sees it has no CORS headers, and so
// is a network error to a page, whichever its origin. The filter serves on.
func TestBeforeTheFilter(t *testing.T) { //nolint:tparallel // its parts share an Envoy
	t.Parallel()
	w := newWorld(t, envoytest.Listener{Extra: map[string]any{
		"request_headers_timeout": "1s", "path_with_escaped_slashes_action": "REJECT_REQUEST",
	}})
	w.start(t)
	for _, test := range []struct {
		name, text string
		status     int
	}{
		{"headers too large", "GET /plain HTTP/1.1\r\nhost: site.example\r\norigin: " + app + "\r\nx: " +
			strings.Repeat("x", 70_000) + "\r\n\r\n", 431},
		{"too many headers", "GET /plain HTTP/1.1\r\nhost: site.example\r\norigin: " + app + "\r\n" +
			strings.Repeat("x: x\r\n", 200) + "\r\n", 431},
		{"no host", "GET /plain HTTP/1.1\r\norigin: " + app + "\r\n\r\n", 400},
		{"not HTTP", "GET\r\norigin: " + app + "\r\n\r\n", 400},
		{"two lengths", "POST /plain HTTP/1.1\r\nhost: site.example\r\norigin: " + app +
			"\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400},
		{"an escaped slash", text(credentialed.request("/a%2fplain")), 400},
		{"headers too slow", "GET /plain HTTP/1.1\r\nhost: site.example\r\norigin: " + app + "\r\n", 408},
		{"unknown upgrade", text(credentialed.request("/plain", [2]string{"connection", "upgrade"},
			[2]string{"upgrade", "unknown"})), 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			served := w.upstream.served.Load()
			c := dial1(t, w.addrs[byFile]).(*http1)
			if _, err := io.WriteString(c, test.text); err != nil {
				t.Fatal(err)
			}
			a := newAnswer()
			a.end(c.receive(a, "GET"))
			if got := lines(a.header); a.status != test.status || len(got) > 0 || w.upstream.served.Load() > served {
				t.Errorf("status %d, %q, %v; want %d", a.status, got, a.err, test.status)
			}
			c.close()
		})
	}
	for _, listener := range listeners {
		w.serves(t, listener)
	}
	w.atRest(t)
}
