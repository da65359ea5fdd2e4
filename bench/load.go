package main

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// answerTimeout bounds the wait for one answer.
const answerTimeout = 30 * time.Second

// A target is a listener with connections that are kept alive.
type target struct {
	work  work // what it owes
	conns []*os.File
	fds   []int // of conns
}

// dial opens n connections.
func dial(addr string, w work, n int) (*target, error) {
	t := &target{work: w}
	for range n {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return nil, err
		}
		file, err := conn.(*net.TCPConn).File()
		conn.Close()
		if err != nil {
			return nil, err
		}
		fd := int(file.Fd()) // Blocking from now on.
		timeout := unix.NsecToTimeval(answerTimeout.Nanoseconds())
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
			return nil, err
		}
		t.conns, t.fds = append(t.conns, file), append(t.fds, fd)
	}
	return t, nil
}

func (t *target) close() {
	for _, c := range t.conns {
		c.Close()
	}
}

// An exchange is a request whose answer is known: how long it is, header and body,
// and its status.
type exchange struct {
	*target
	request []byte
	serials [][]byte // the parts of request that are another number each time
	sent    int
	size    int
	status  string
}

// newExchange is the exchange of a request, whose answer is raw.
func newExchange(t *target, request string, raw []byte) *exchange {
	x := &exchange{target: t, request: []byte(request), size: len(raw)}
	if len(raw) >= 12 {
		x.status = string(raw[9:12])
	}
	for rest := x.request; ; {
		at := bytes.Index(rest, []byte(serial))
		if at < 0 {
			return x
		}
		x.serials = append(x.serials, rest[at:at+len(serial)])
		rest = rest[at+len(serial):]
	}
}

// next is the request to send next.
func (e *exchange) next() []byte {
	e.sent++
	for _, part := range e.serials {
		copy(part, fmt.Appendf(nil, "%0*d", len(part), e.sent))
	}
	return e.request
}

// learn sends a query once, and checks that the answer is what the target owes.
func (t *target) learn(q query) (*exchange, error) {
	if _, err := unix.Write(t.fds[0], []byte(q.text)); err != nil {
		return nil, err
	}
	var raw []byte
	buf := make([]byte, 64<<10)
	method, _, _ := strings.Cut(q.text, " ")
	for {
		n, err := unix.Read(t.fds[0], buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return nil, fmt.Errorf("no whole answer, but %q: %w", raw, errors.Join(err, unix.ECONNRESET))
		}
		raw = append(raw, buf[:n]...)
		head := bytes.Index(raw, []byte("\r\n\r\n"))
		if head < 0 {
			continue
		}
		answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), &http.Request{Method: method})
		if err != nil {
			return nil, err
		}
		if len(raw) == head+4+int(max(answer.ContentLength, 0)) {
			return newExchange(t, q.text, raw), verify(t.work, q, answer)
		}
	}
}

// burst sends n requests over all connections, each of which has one in flight.
func (e *exchange) burst(n int) error {
	for i := range n + len(e.fds) {
		fd := e.fds[i%len(e.fds)]
		if i >= len(e.fds) {
			if err := e.receive(fd); err != nil {
				return err
			}
		}
		if i < n {
			if _, err := unix.Write(fd, e.next()); err != nil {
				return err
			}
		}
	}
	return nil
}

// receive waits for the answer on a connection.
func (e *exchange) receive(fd int) error {
	var buf [4096]byte
	for got := 0; got < e.size; {
		n, err := unix.Read(fd, buf[got:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return fmt.Errorf("no answer after %d bytes: %w", got, errors.Join(err, unix.ECONNRESET))
		}
		got += n
		if err := e.check(buf[:got]); err != nil {
			return err
		}
	}
	return nil
}

// check says whether what was received so far can be the known answer.
func (e *exchange) check(got []byte) error {
	if len(got) > e.size || len(got) >= 12 && string(got[9:12]) != e.status {
		return fmt.Errorf("an answer changed, its first lines are %q", got[:min(len(got), 200)])
	}
	return nil
}

// verify is the check of learn.
func verify(w work, q query, answer *http.Response) error {
	h, allowed := answer.Header, q.allowed
	if w == nothing {
		allowed = ""
	}
	if got := strings.Join(h.Values("Access-Control-Allow-Origin"), " and "); got != allowed {
		return fmt.Errorf("the answer's Access-Control-Allow-Origin is %q instead of %q", got, allowed)
	}
	if vary := strings.Join(h.Values("Vary"), ","); strings.Contains(vary, "Origin") != (w == varies) {
		return fmt.Errorf("the answer's Vary is %q", vary)
	}
	if q.kind != preflight && answer.StatusCode != cmp.Or(q.status, http.StatusOK) {
		return fmt.Errorf("the status is %s", answer.Status)
	}
	if q.kind != preflight || allowed == "" {
		return nil
	}
	methods, headers := h.Get("Access-Control-Allow-Methods"), h.Get("Access-Control-Allow-Headers")
	maxAge := h.Get("Access-Control-Max-Age")
	if answer.StatusCode/100 != 2 || !strings.Contains(methods, "POST") ||
		!strings.EqualFold(headers, "x-pingother") || maxAge != "86400" {
		return fmt.Errorf("the preflight is answered with %s, methods %q, headers %q, max-age %q",
			answer.Status, methods, headers, maxAge)
	}
	return nil
}
