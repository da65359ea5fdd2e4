package envoy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// A rawUpstream answers every request with the same bytes, and keeps those that it received.
type rawUpstream struct {
	listener net.Listener

	mu       sync.Mutex
	answer   string
	received bytes.Buffer
}

func newRawUpstream(t *testing.T) *rawUpstream {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	u := &rawUpstream{listener: listener}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go u.serve(conn)
		}
	}()
	return u
}

// serve answers one request, which has no body.
func (u *rawUpstream) serve(conn net.Conn) {
	defer conn.Close()
	for r := bufio.NewReader(conn); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		u.mu.Lock()
		u.received.WriteString(line)
		answer := u.answer
		u.mu.Unlock()
		if line == "\r\n" {
			_, _ = io.WriteString(conn, answer)
			return
		}
	}
}

// exchange has u answer what send sends, and returns what u received of it.
func (u *rawUpstream) exchange(answer cases.Upstream, send func() string) (sent, received string) {
	var head strings.Builder
	fmt.Fprintf(&head, "HTTP/1.1 %d Whatever\r\n", max(answer.Status, 200))
	for _, h := range answer.Headers {
		fmt.Fprintf(&head, "%s: %s\r\n", h[0], h[1])
	}
	head.WriteString("X-Id: 1\r\nServer: raw\r\nConnection: close\r\n\r\n")
	if answer.Status != 204 && answer.Status != 304 {
		head.WriteString("body")
	}
	u.mu.Lock()
	u.answer = head.String()
	u.received.Reset()
	u.mu.Unlock()
	sent = send()
	u.mu.Lock()
	defer u.mu.Unlock()
	return sent, u.received.String()
}

// rawHTTP1 returns all bytes of the answer to a request.
func rawHTTP1(t *testing.T, addr string, r cases.Request) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, r.Path, r.Host)
	for _, h := range r.Headers {
		fmt.Fprintf(&head, "%s: %s\r\n", h[0], h[1])
	}
	head.WriteString("Connection: close\r\n\r\n")
	if _, err := io.WriteString(conn, head.String()); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// decodedHTTP2 returns the answer to a request over HTTP/2, whose bytes depend on what a
// connection's compression has seen.
func decodedHTTP2(t *testing.T, addr string, r cases.Request) string {
	t.Helper()
	resp, err := envoytest.HTTP2(addr, r)
	if err != nil {
		return err.Error()
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%d\r\n", resp.Status)
	for _, h := range resp.Headers {
		fmt.Fprintf(&text, "%s: %s\r\n", h[0], h[1])
	}
	fmt.Fprintf(&text, "\r\n%s", resp.Body)
	return text.String()
}

// times are what differs from answer to answer in any Envoy.
var times = regexp.MustCompile(`(?i)((?:date|x-envoy-upstream-service-time): )[^\r]*`)

// TestShadowChangesNothing: not a byte of a request that reaches the upstream, and of an
// answer that reaches the client, is another one than in the same Envoy without the filter,
// whatever a policy would do if it were in force, and whoever answers.
func TestShadowChangesNothing(t *testing.T) {
	upstream := newRawUpstream(t)
	routes := []any{
		map[string]any{"match": map[string]any{"prefix": "/direct"}, "direct_response": map[string]any{"status": 418}},
		map[string]any{"match": map[string]any{"prefix": "/moved"}, "redirect": map[string]any{"path_redirect": "/x"}},
		map[string]any{"match": map[string]any{"prefix": "/dead"}, "route": map[string]any{"cluster": "dead"}},
		map[string]any{"match": map[string]any{"prefix": "/nowhere"}, "route": map[string]any{"cluster_header": "x-c"}},
	}
	extra := map[string]any{"generate_request_id": false}
	const policy = `{"allow_origins": ["https://app.example"], "allow_methods": ["PUT"], "allow_headers": ["X-Custom"],
	  "expose_headers": ["X-Id"], "allow_credentials": true, "max_age": 60, "debug": true, "mode": "shadow"}`
	const everyone = `{"allow_origins": ["*"], "allow_methods": ["*"], "allow_headers": ["*"], "expose_headers": ["*"],
	  "unmatched_preflights": "forward", "upstream_cors_headers": "keep", "mode": "shadow"}`
	envoy := envoytest.Start(t, envoytest.Bootstrap{
		Upstream: upstream.listener.Addr().String(),
		Clusters: []any{envoytest.Cluster("dead", "127.0.0.1:1")},
		Listeners: []envoytest.Listener{
			{Name: "without", Extra: extra, Routes: routes},
			{Name: "one", Extra: extra, Routes: routes, Filters: []any{plugin(t, policy).Filter()}},
			{Name: "everyone", Extra: extra, Routes: routes, Filters: []any{plugin(t, everyone).Filter()}},
		},
	}.String(), envoytest.Options{})
	addrs := map[string]string{}
	for _, name := range []string{"without", "one", "everyone"} {
		addrs[name] = envoy.Addr(t, name)
	}
	check := func(name string, r cases.Request, answer cases.Upstream) {
		r = r.Complete()
		for protocol, send := range map[string]func(*testing.T, string, cases.Request) string{
			"HTTP/1": rawHTTP1, "HTTP/2": decodedHTTP2,
		} {
			seen := map[string]string{}
			for listener, addr := range addrs {
				sent, received := upstream.exchange(answer, func() string { return send(t, addr, r) })
				seen[listener] = times.ReplaceAllString(sent, "$1") + "\nreceived\n" + received
			}
			for listener := range addrs {
				if diff := cmp.Diff(seen["without"], seen[listener]); diff != "" {
					t.Errorf("%s, %s, %s (-without the filter +with it):\n%s", name, protocol, listener, diff)
				}
			}
		}
	}
	for _, c := range cases.All {
		upgrade := false
		for _, h := range c.Request.Headers {
			upgrade = upgrade || h[0] == "connection"
		}
		if !upgrade { // which lasts, and HTTP/2 doesn't have
			check(c.Name, c.Request, c.Upstream)
		}
	}
	for _, path := range []string{"/direct", "/moved", "/dead", "/nowhere"} {
		for _, r := range []cases.Request{{}, fromSite, fromElsewhere, sitePreflight} {
			check(path, to(path, r), cases.Upstream{})
		}
	}
	if n := len(decisions(t, envoy)); n < 9 {
		t.Errorf("only %d outcomes are counted: %v", n, decisions(t, envoy))
	}
}

// TestShadow: what a page gets is compared with what the policy would let it have, whoever
// answers; it is counted, and the access log has page, route and header of a difference.
func TestShadow(t *testing.T) {
	upstream := envoytest.NewUpstream(t)
	log := map[string]any{
		"@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
		"log_format": map[string]any{"text_format_source": map[string]any{"inline_string": "%REQ(X-TEST-ID)% " +
			"%REQ(ORIGIN)% %ROUTE_NAME% %FILTER_STATE(wasm.cors.policy:PLAIN)% " +
			"%FILTER_STATE(wasm.cors.reason:PLAIN)%\n"}},
	}
	envoy := envoytest.Start(t, envoytest.Bootstrap{Upstream: upstream.Addr(), Listeners: []envoytest.Listener{{
		Name:  "main",
		Extra: map[string]any{"access_log": []any{map[string]any{"name": "stdout", "typed_config": log}}},
		Routes: []any{
			envoytest.Route("api"),
			map[string]any{"name": "direct", "match": map[string]any{"path": "/direct"},
				"direct_response": map[string]any{"status": 200}},
		},
		Filters: []any{plugin(t, `{"policies": [{"name": "shop", "allow_origins": ["https://app.example"],
		  "allow_methods": ["PUT"], "expose_headers": ["X-Id"], "mode": "shadow"}]}`).Filter()},
	}}}.String(), envoytest.Options{})
	answer := func(lines ...string) (u cases.Upstream) {
		for _, line := range lines {
			name, value, _ := strings.Cut(line, ": ")
			u.Headers = append(u.Headers, [2]string{name, value})
		}
		return u
	}
	const origin = "access-control-allow-origin: https://app.example"
	refused := answer(origin)
	refused.Status = 405
	cookie := [2]string{"cookie", "id=1"}
	verdicts := map[string]uint64{}
	for i, test := range []struct {
		request cases.Request
		answer  cases.Upstream
		verdict string
		want    string // after the origin
	}{
		{fromSite, answer(origin), "same", "api - -"},
		{fromSite, answer("access-control-allow-origin: *"), "same", "api - -"},
		{fromSite, answer(), "looser", "api shop looser: access-control-allow-origin is missing"},
		{fromSite, answer(origin, "x-id: 1"), "looser",
			"api shop looser: header x-id is not in access-control-expose-headers"},
		{fromSite, answer(origin, origin), "looser", "api shop looser: access-control-allow-origin has several values"},
		{fromSite, answer(origin, "access-control-allow-credentials: true"), "stricter",
			"api shop stricter: allow_credentials is not set"},
		{to("/", fromSite, cookie), answer("access-control-allow-origin: *"), "same", "api - -"},
		{fromElsewhere, answer(), "same", "api shop origin https://evil.test is not in allow_origins"},
		{fromElsewhere, answer("access-control-allow-origin: *"), "stricter",
			"api shop stricter: origin https://evil.test is not in allow_origins"},
		{sitePreflight, answer(origin, "access-control-allow-methods: PUT"), "same", "api - -"},
		{sitePreflight, answer(origin, "access-control-allow-methods: GET"), "looser",
			"api shop looser: method PUT is not in access-control-allow-methods"},
		{sitePreflight, refused, "looser", "api shop looser: status 405 is not one of 200 to 299"},
	} {
		test.request.Route = "api"
		x, err := upstream.Exchange(envoytest.HTTP1, envoy.Addr(t, "main"), test.request, test.answer)
		if err != nil {
			t.Fatal(err)
		}
		want := test.request.Headers[0][1] + " " + test.want
		if got := envoy.Details(t, x.ID); got != want {
			t.Errorf("%d: the log has %q, want %q", i, got, want)
		}
		verdicts[test.verdict]++
		for verdict, n := range verdicts {
			if got := envoy.Stats(t)[counted("shop", "shadow_"+verdict)]; got != n {
				t.Errorf("%d: %d are counted as %s, want %d", i, got, verdict, n)
			}
		}
	}
	// What Envoy answers itself is what the page gets.
	x, err := upstream.Exchange(envoytest.HTTP1, envoy.Addr(t, "main"), to("/direct", fromSite), cases.Upstream{})
	if err != nil {
		t.Fatal(err)
	}
	const direct = "https://app.example direct shop looser: access-control-allow-origin is missing"
	if got := envoy.Details(t, x.ID); got != direct {
		t.Errorf("the log has %q, want %q", got, direct)
	}
}
