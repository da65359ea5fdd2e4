package envoytest

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
)

// A response filter of Envoy's own stands in for the one under test, as far as
// the harness is concerned: what it adds must be seen.
var addHeader = map[string]any{
	"name": "add",
	"typed_config": map[string]any{
		"@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
		"mutations": map[string]any{"response_mutations": []any{map[string]any{"append": map[string]any{
			"header": map[string]any{"key": "vary", "value": "Added"},
		}}}},
	},
}

func TestExchange(t *testing.T) {
	up := NewUpstream(t)
	teapot := Route("teapot")
	delete(teapot, "route")
	teapot["direct_response"] = map[string]any{"status": 418}
	envoy := Start(t, Bootstrap{
		Upstream: up.Addr(),
		Listeners: []Listener{
			{Name: "plain"},
			{Name: "main", Filters: []any{addHeader}, Routes: []any{teapot}},
		},
	}.String(), Options{Concurrency: 2})
	addr := envoy.Addr(t, "main")

	tests := []struct {
		name     string
		req      cases.Request
		answer   cases.Upstream
		status   int
		body     string
		lines    []string
		received []Received // nil: not forwarded; headers only those whose names begin with "a"
	}{
		{
			name: "header lines",
			req: cases.Request{Method: "PUT", Path: "/a?b", Host: "a.example", Headers: [][2]string{
				{"A-1", "1"}, {"A-Empty", ""}, {"A-Blank", " \t x\ty "}, {"A-1", "2"}, {"Accept", "1"}, {"Accept", "2"},
			}},
			answer: cases.Upstream{Status: 201, Headers: [][2]string{
				{"Vary", "B"}, {"Access-Control-Allow-Origin", "*"}, {"Vary", "A"},
				{"access-control-allow-origin", "*"},
			}},
			status: 201, body: "upstream\n",
			// The headers that Envoy knows it joins itself, whichever side sent them.
			lines: []string{"access-control-allow-origin: *,*", "vary: B,A,Added"},
			received: []Received{{"PUT", "/a?b", "a.example", [][2]string{
				{"a-1", "1"}, {"a-empty", ""}, {"a-blank", "x\ty"}, {"a-1", "2"}, {"accept", "1,2"},
			}}},
		},
		{
			name: "a Host line", req: cases.Request{Headers: [][2]string{{"Host", "b.example"}}},
			status: 200, body: "upstream\n", lines: []string{"vary: Added"},
			received: []Received{{"GET", "/", "b.example", nil}},
		},
		{
			name: "HEAD", req: cases.Request{Method: "HEAD"},
			status: 200, lines: []string{"vary: Added"},
			received: []Received{{"HEAD", "/", "api.example", nil}},
		},
		{
			name: "204", answer: cases.Upstream{Status: 204},
			status: 204, lines: []string{"vary: Added"},
			received: []Received{{"GET", "/", "api.example", nil}},
		},
		{
			name: "304", answer: cases.Upstream{Status: 304},
			status: 304, lines: []string{"vary: Added"},
			received: []Received{{"GET", "/", "api.example", nil}},
		},
		{
			name:   "a long header",
			req:    cases.Request{Headers: [][2]string{{"A-Long", strings.Repeat("\u00e9", 20_000)}}},
			status: 200, body: "upstream\n", lines: []string{"vary: Added"},
			received: []Received{{"GET", "/", "api.example",
				[][2]string{{"a-long", strings.Repeat("\u00e9", 20_000)}}}},
		},
		{
			name: "a route by name", req: cases.Request{Route: "teapot"},
			status: 418, lines: []string{"vary: Added"},
		},
	}
	for _, protocol := range []struct {
		name string
		send func(string, cases.Request) (*Response, error)
	}{{"HTTP1", HTTP1}, {"HTTP2", HTTP2}} {
		for _, tt := range tests {
			t.Run(protocol.name+"/"+tt.name, func(t *testing.T) {
				if protocol.name == "HTTP2" { // It forbids white space around values.
					tt.req.Headers = slices.Clone(tt.req.Headers)
					for i, h := range tt.req.Headers {
						tt.req.Headers[i][1] = strings.TrimSpace(h[1])
					}
				}
				got, err := up.Exchange(protocol.send, addr, tt.req, tt.answer)
				if err != nil {
					t.Fatal(err)
				}
				if got.Response.Status != tt.status || string(got.Response.Body) != tt.body {
					t.Errorf("got %d %q", got.Response.Status, got.Response.Body)
				}
				if diff := cmp.Diff(tt.lines, CORSLines(got.Response)); diff != "" {
					t.Errorf("header lines (-want +got):\n%s", diff)
				}
				for i := range got.Received {
					got.Received[i].Headers = slices.DeleteFunc(got.Received[i].Headers,
						func(h [2]string) bool { return h[0][0] != 'a' })
					if len(got.Received[i].Headers) == 0 {
						got.Received[i].Headers = nil
					}
				}
				if diff := cmp.Diff(tt.received, got.Received); diff != "" {
					t.Errorf("received (-want +got):\n%s", diff)
				}
				want := "via_upstream"
				if tt.received == nil {
					want = "direct_response"
				}
				if details := envoy.Details(t, got.ID); details != want {
					t.Errorf("details are %q, want %q", details, want)
				}
			})
		}
	}

	// Envoy counts a request when it is complete, which is after its answer.
	Eventually(t, 5*time.Second, "all requests are in the stats", func() bool {
		return envoy.Stats(t)["http.main.downstream_rq_completed"] == uint64(2*len(tests))
	})
}

func TestWebSocket(t *testing.T) {
	up := NewUpstream(t)
	envoy := Start(t, Bootstrap{Upstream: up.Addr(), Listeners: []Listener{{Name: "main"}}}.String(), Options{})
	conn, err := Dial(envoy.Addr(t, "main"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// The connection first serves plain requests, then the handshake.
	for range 2 {
		if resp, err := conn.Do(cases.Request{}); err != nil || resp.Status != 200 {
			t.Fatal(resp, err)
		}
	}
	up.Answer("ws", cases.Upstream{Status: 101})
	resp, err := conn.Do(cases.Request{Headers: [][2]string{
		{"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"x-test-id", "ws"},
		{"Sec-WebSocket-Version", "13"}, {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
	}})
	if err != nil {
		t.Fatal(err)
	}
	// The key and its answer are the example of RFC 6455, section 1.3.
	if want := []string{"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}; resp.Status != 101 ||
		!slices.Equal(resp.Values("Sec-WebSocket-Accept"), want) {
		t.Fatalf("got %d %q", resp.Status, resp.Headers)
	}
	if _, err := io.WriteString(conn, "\x00\xffbytes"); err != nil {
		t.Fatal(err)
	}
	echo := make([]byte, 7)
	if _, err := io.ReadFull(conn, echo); err != nil || string(echo) != "\x00\xffbytes" {
		t.Fatalf("got %q, %v", echo, err)
	}
}

func TestRefused(t *testing.T) {
	// YAML, with an admin port that must not be bound, and a field that does not exist.
	envoy := Launch(t, "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}\nno_such_field: 1\n",
		Options{})
	if code := envoy.WaitExit(t); code == 0 || !strings.Contains(envoy.Log(), "no_such_field") {
		t.Errorf("Envoy exited with code %d; its log:\n%s", code, envoy.Log())
	}
}

func TestAdminOverride(t *testing.T) {
	envoy := Start(t, "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}\n", Options{})
	if strings.HasSuffix(envoy.Admin(), ":1") {
		t.Error(envoy.Admin())
	}
	if uptime, ok := envoy.Stats(t)["server.uptime"]; !ok {
		t.Error("no server.uptime in the stats", uptime)
	}
}
