package streams_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
)

// An answer is what a client has of it until now. What is before a channel in it may be read once
// that is closed.
type answer struct {
	stream uint32 // of HTTP/2
	early  []int  // the interim ones
	status int
	header http.Header
	closes bool          // the connection of HTTP/1.1
	begun  chan struct{} // the headers are there, or nothing comes

	size    int64 // of the body
	trailer http.Header
	err     error // it has been cut off
	ended   chan struct{}
}

func newAnswer() *answer {
	return &answer{begun: make(chan struct{}), ended: make(chan struct{})}
}

// await waits for what a channel that is closed tells.
func await(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("no answer within %s", patience)
	}
}

// begin tells that the headers are there.
func (a *answer) begin() { close(a.begun) }

// end tells that nothing more comes.
func (a *answer) end(err error) {
	select {
	case <-a.begun:
	default:
		a.begin()
	}
	a.err = err
	close(a.ended)
}

// A client is a connection.
type client interface {
	// send sends a request, the body of which may be a part of what its headers promise. After trailers nothing
	// comes.
	send(request cases.Request, body string, trailers ...[2]string) *answer
	// close ends the connection, and close of one that has ended does nothing.
	close()
}

// A dialer opens a client's connection.
type dialer func(tb testing.TB, addr string) client

func dialTCP(tb testing.TB, addr string) *net.TCPConn {
	tb.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

// An http1 is a client of HTTP/1.1, for one request after the other.
type http1 struct {
	*net.TCPConn
	r *bufio.Reader
}

func dial1(tb testing.TB, addr string) client {
	tb.Helper()
	conn := dialTCP(tb, addr)
	return &http1{conn, bufio.NewReader(conn)}
}

// text is a request's head, as HTTP/1.1 has it.
func text(request cases.Request) string {
	request = request.Complete()
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nhost: %s\r\n", request.Method, request.Path, request.Host)
	for _, h := range request.Headers {
		fmt.Fprintf(&head, "%s: %s\r\n", h[0], h[1])
	}
	return head.String() + "\r\n"
}

func (c *http1) close() { _ = c.Close() } // It may have ended.

func (c *http1) send(request cases.Request, body string, trailers ...[2]string) *answer {
	a := newAnswer()
	if len(trailers) > 0 {
		request.Headers = append(slices.Clip(request.Headers), [2]string{"transfer-encoding", "chunked"})
		body = fmt.Sprintf("%x\r\n%s\r\n0\r\n", len(body), body)
		for _, h := range trailers {
			body += h[0] + ": " + h[1] + "\r\n"
		}
		body += "\r\n"
	}
	if _, err := io.WriteString(c, text(request)+body); err != nil {
		a.end(err)
		return a
	}
	go func() { a.end(c.receive(a, request.Complete().Method)) }()
	return a
}

func (c *http1) receive(a *answer, method string) error {
	for {
		response, err := http.ReadResponse(c.r, &http.Request{Method: method})
		if err != nil {
			return err
		}
		if response.StatusCode < 200 && response.StatusCode != http.StatusSwitchingProtocols {
			a.early = append(a.early, response.StatusCode)
			continue
		}
		a.status, a.header, a.closes = response.StatusCode, response.Header, response.Close
		a.begin()
		a.size, err = io.Copy(io.Discard, response.Body)
		a.trailer = response.Trailer
		return err
	}
}

// An http2Client is a client of HTTP/2 without TLS, for any number of requests at once.
type http2Client struct {
	conn *net.TCPConn

	mu      sync.Mutex // of what is sent
	framer  *http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	last    uint32 // stream, of odd numbers
	answers map[uint32]*answer
	ended   error
}

func dial2(tb testing.TB, addr string) client {
	tb.Helper()
	conn := dialTCP(tb, addr)
	c := &http2Client{
		conn: conn, framer: http2.NewFramer(conn, bufio.NewReaderSize(conn, 64<<10)),
		last: math.MaxUint32, answers: map[uint32]*answer{},
	}
	c.encoder = hpack.NewEncoder(&c.block)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.framer.MaxHeaderListSize = 1 << 20
	const window = 1 << 30 // wide open, instead of updates
	_, err := io.WriteString(conn, http2.ClientPreface)
	if err = errors.Join(err, c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}),
		c.framer.WriteWindowUpdate(0, window)); err != nil {
		tb.Fatal(err)
	}
	go c.receive()
	return c
}

func (c *http2Client) close() { _ = c.conn.Close() } // It may have ended.

// fields are a request's headers, as HTTP/2 has them.
func fields(request cases.Request) [][2]string {
	request = request.Complete()
	return append([][2]string{
		{":method", request.Method}, {":scheme", "http"}, {":authority", request.Host}, {":path", request.Path},
	}, request.Headers...)
}

// send implements client. A body ends the stream unless content-length promises more.
func (c *http2Client) send(request cases.Request, body string, trailers ...[2]string) *answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := newAnswer()
	if c.ended != nil {
		a.end(c.ended)
		return a
	}
	c.last += 2
	c.answers[c.last], a.stream = a, c.last
	promised := "0"
	for _, h := range request.Headers {
		if h[0] == "content-length" {
			promised = h[1]
		}
	}
	whole := promised == strconv.Itoa(len(body))
	err := c.writeHeaders(fields(request), body == "" && whole, true)
	if body != "" {
		err = errors.Join(err, c.framer.WriteData(c.last, whole, []byte(body)))
	}
	if len(trailers) > 0 {
		err = errors.Join(err, c.writeHeaders(trailers, true, true))
	}
	if err != nil {
		delete(c.answers, c.last)
		a.end(err)
	}
	return a
}

// writeHeaders sends headers of the last stream, those of its request or its trailers.
func (c *http2Client) writeHeaders(headers [][2]string, last, whole bool) error {
	c.block.Reset()
	for _, h := range headers {
		_ = c.encoder.WriteField(hpack.HeaderField{Name: strings.ToLower(h[0]), Value: h[1]}) // A Buffer takes all.
	}
	const frame = 16 << 10
	chunk := c.block.Next(frame)
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: c.last, BlockFragment: chunk, EndStream: last, EndHeaders: whole && c.block.Len() == 0,
	})
	for c.block.Len() > 0 {
		chunk = c.block.Next(frame)
		err = errors.Join(err, c.framer.WriteContinuation(c.last, whole && c.block.Len() == 0, chunk))
	}
	return err
}

// reset has the client want no more of an answer.
func (c *http2Client) reset(a *answer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.framer.WriteRSTStream(a.stream, http2.ErrCodeCancel)
}

func (c *http2Client) receive() {
	for {
		frame, err := c.framer.ReadFrame()
		c.mu.Lock()
		if err != nil {
			c.ended = err
			for id, a := range c.answers {
				delete(c.answers, id)
				a.end(err)
			}
			c.mu.Unlock()
			return
		}
		c.take(frame)
		c.mu.Unlock()
	}
}

// take does what a frame is for.
func (c *http2Client) take(frame http2.Frame) {
	if f, ok := frame.(*http2.SettingsFrame); ok && !f.IsAck() {
		_ = c.framer.WriteSettingsAck() // Who has gone needs none.
	}
	id := frame.Header().StreamID
	a := c.answers[id]
	if a == nil {
		return
	}
	end := func(err error) {
		delete(c.answers, id)
		a.end(err)
	}
	switch f := frame.(type) {
	case *http2.MetaHeadersFrame:
		a.take(f)
		if f.StreamEnded() {
			end(nil)
		}
	case *http2.DataFrame:
		a.size += int64(len(f.Data()))
		if f.StreamEnded() {
			end(nil)
		}
	case *http2.RSTStreamFrame:
		end(fmt.Errorf("stream reset: %s", f.ErrCode))
	}
}

// take takes headers, of an interim answer, the answer or its trailers.
func (a *answer) take(f *http2.MetaHeadersFrame) {
	header := http.Header{}
	for _, h := range f.RegularFields() {
		header.Add(h.Name, h.Value)
	}
	if a.status != 0 {
		a.trailer = header
		return
	}
	status, _ := strconv.Atoi(f.PseudoValue("status"))
	if status < 200 {
		a.early = append(a.early, status)
		return
	}
	a.status, a.header = status, header
	a.begin()
}

// lines are the headers that the filter answers for, but for max-age, in which versions of the
// policies differ.
func lines(header http.Header) (list []string) {
	for name, values := range header {
		if name = strings.ToLower(name); name != "vary" && !strings.HasPrefix(name, "access-control-") ||
			name == "access-control-max-age" {
			continue
		}
		for _, value := range values {
			list = append(list, name+": "+value)
		}
	}
	slices.Sort(list)
	return list
}
