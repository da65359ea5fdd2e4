package envoytest

import (
	"bufio"
	"cmp"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
)

// An Upstream is an HTTP/1.1 server that answers each request as told for its
// header x-test-id, and remembers what it received. It is not built on
// net/http, which would sort and add header lines.
type Upstream struct {
	listener net.Listener

	mu       sync.Mutex
	lastID   int
	answers  map[string]cases.Upstream
	received map[string][]Received
}

// A Received is a request as it reached the upstream.
type Received struct {
	// Method, Path and Host are the request's.
	Method, Path, Host string
	// Headers are all header lines in order, names in lower case.
	Headers [][2]string
}

// NewUpstream starts an upstream that takes no more connections when the test ends;
// those that it has end with the proxies and clients of the test.
func NewUpstream(tb testing.TB) *Upstream {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { listener.Close() })
	u := &Upstream{listener: listener, answers: map[string]cases.Upstream{}, received: map[string][]Received{}}
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

// Addr returns the upstream's host:port.
func (u *Upstream) Addr() string { return u.listener.Addr().String() }

// Answer tells how to answer requests whose x-test-id is id; others are
// answered with 200. The header lines are sent as they are, before those that
// frame the body, which is "upstream\n" for statuses that have one. Status 101
// stands for a WebSocket handshake, after which all bytes are sent back.
func (u *Upstream) Answer(id string, answer cases.Upstream) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answers[id] = answer
}

// Received returns the requests whose x-test-id was id.
func (u *Upstream) Received(id string) []Received {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.received[id]
}

// An Exchange is a request's fate.
type Exchange struct {
	// ID is the request's x-test-id.
	ID string
	// Response is what the client received.
	Response *Response
	// Received is what reached the upstream: nothing if the request was not forwarded.
	Received []Received
}

// Exchange sends a request with [HTTP1] or [HTTP2] to addr, under an x-test-id
// of its own for which the upstream gives that answer.
func (u *Upstream) Exchange(send func(addr string, req cases.Request) (*Response, error),
	addr string, req cases.Request, answer cases.Upstream,
) (Exchange, error) {
	u.mu.Lock()
	u.lastID++
	id := "exchange-" + strconv.Itoa(u.lastID)
	u.mu.Unlock()
	u.Answer(id, answer)
	req.Headers = append(req.Headers[:len(req.Headers):len(req.Headers)], [2]string{"x-test-id", id})
	resp, err := send(addr, req)
	return Exchange{id, resp, u.Received(id)}, err
}

// serve answers the requests of one connection.
func (u *Upstream) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		req, err := readRequest(r)
		if err != nil {
			return
		}
		id := first(req.Headers, "x-test-id")
		u.mu.Lock()
		answer := u.answers[id]
		u.received[id] = append(u.received[id], req)
		u.mu.Unlock()
		answer.Status = cmp.Or(answer.Status, http.StatusOK)
		if _, err := io.WriteString(conn, message(answer, req)); err != nil {
			return
		}
		if answer.Status == http.StatusSwitchingProtocols {
			_, _ = io.Copy(conn, r) // Until either side hangs up.
			return
		}
	}
}

func readRequest(r *bufio.Reader) (Received, error) {
	start, headers, err := readHead(r)
	if err != nil {
		return Received{}, err
	}
	method, rest, _ := strings.Cut(start, " ")
	path, _, _ := strings.Cut(rest, " ")
	_, err = readBody(r, headers, false)
	return Received{method, path, first(headers, "host"), headers}, err
}

// message is the answer to a request, head and body.
func message(answer cases.Upstream, req Received) string {
	var m strings.Builder
	fmt.Fprintf(&m, "HTTP/1.1 %d %s\r\n", answer.Status, http.StatusText(answer.Status))
	for _, h := range answer.Headers {
		fmt.Fprintf(&m, "%s: %s\r\n", h[0], h[1])
	}
	const body = "upstream\n"
	switch {
	case answer.Status == http.StatusSwitchingProtocols:
		// RFC 6455, section 4.2.2.
		accept := sha1.Sum([]byte(first(req.Headers, "sec-websocket-key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		fmt.Fprintf(&m, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
			base64.StdEncoding.EncodeToString(accept[:]))
	case bodiless(answer.Status):
		m.WriteString("\r\n")
	case req.Method == http.MethodHead:
		fmt.Fprintf(&m, "Content-Length: %d\r\n\r\n", len(body))
	default:
		fmt.Fprintf(&m, "Content-Length: %d\r\n\r\n%s", len(body), body)
	}
	return m.String()
}
