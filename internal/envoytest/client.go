package envoytest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
)

// exchangeTimeout bounds an exchange, so that a proxy that hangs fails the test.
const exchangeTimeout = 20 * time.Second

// A Response is an answer as the client received it.
type Response struct {
	// Status is the status code.
	Status int
	// Headers are all header lines in order, doubled ones included, names in lower case.
	Headers [][2]string
	// Body is the body.
	Body []byte
}

// Values returns the values of all header lines called name, in order.
func (r *Response) Values(name string) (values []string) {
	for _, h := range r.Headers {
		if h[0] == strings.ToLower(name) {
			values = append(values, h[1])
		}
	}
	return values
}

// CORSLines returns the header lines that are CORS response headers or Vary,
// each as "name: value", sorted: the form of [cases.Want]'s Headers.
func CORSLines(resp *Response) (lines []string) {
	for _, h := range resp.Headers {
		if strings.HasPrefix(h[0], "access-control-") || h[0] == "vary" {
			lines = append(lines, h[0]+": "+h[1])
		}
	}
	slices.Sort(lines)
	return lines
}

// A Conn is a client's HTTP/1.1 connection. After an answer with status 101 it
// is a plain stream of bytes.
type Conn struct {
	net.Conn
	r *bufio.Reader
}

// Dial opens a connection to addr.
func Dial(addr string) (*Conn, error) {
	conn, err := net.DialTimeout("tcp", addr, exchangeTimeout)
	if err != nil {
		return nil, err
	}
	return &Conn{conn, bufio.NewReader(conn)}, nil
}

// HTTP1 sends a request over an HTTP/1.1 connection of its own.
func HTTP1(addr string, req cases.Request) (*Response, error) {
	conn, err := Dial(addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.Do(req)
}

// Read reads what follows an upgrade.
func (c *Conn) Read(p []byte) (int, error) { return c.r.Read(p) }

// Do sends a request and reads the answer. The header lines go out exactly as
// they are, after Host, unless they have one, and before x-test-route.
func (c *Conn) Do(req cases.Request) (*Response, error) {
	if err := c.SetDeadline(time.Now().Add(exchangeTimeout)); err != nil {
		return nil, err
	}
	req = req.Complete()
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\n", req.Method, req.Path)
	if !slices.ContainsFunc(req.Headers, func(h [2]string) bool { return strings.EqualFold(h[0], "host") }) {
		fmt.Fprintf(&head, "Host: %s\r\n", req.Host)
	}
	for _, h := range req.Headers {
		fmt.Fprintf(&head, "%s: %s\r\n", h[0], h[1])
	}
	if req.Route != "" {
		fmt.Fprintf(&head, "x-test-route: %s\r\n", req.Route)
	}
	head.WriteString("\r\n")
	if _, err := io.WriteString(c.Conn, head.String()); err != nil {
		return nil, err
	}
	for {
		start, headers, err := readHead(c.r)
		if err != nil {
			return nil, err
		}
		code, _, _ := strings.Cut(strings.TrimPrefix(start, "HTTP/1.1 "), " ")
		status, err := strconv.Atoi(code)
		if err != nil {
			return nil, fmt.Errorf("status line %q: %w", start, err)
		}
		resp := &Response{Status: status, Headers: headers}
		switch {
		case status == http.StatusSwitchingProtocols:
			return resp, nil
		case status < 200: // Another head follows.
			continue
		case req.Method == http.MethodHead || bodiless(status):
			return resp, nil
		}
		resp.Body, err = readBody(c.r, headers, true)
		return resp, err
	}
}

// HTTP2 sends a request over an HTTP/2 connection of its own, without TLS.
// Header names go out in lower case, values exactly as they are; Host becomes
// :authority.
func HTTP2(addr string, req cases.Request) (*Response, error) {
	conn, err := Dial(addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(exchangeTimeout)); err != nil {
		return nil, err
	}
	// One buffer for all frames that go out: an error of its writes cannot be.
	var out bytes.Buffer
	out.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&out, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	// Windows wide open, instead of an update per DATA frame.
	_ = framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	_ = framer.WriteWindowUpdate(0, 1<<30)
	block := headerBlock(req.Complete())
	const frameSize = 16 << 10
	chunk := block.Next(frameSize)
	_ = framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: chunk, EndStream: true, EndHeaders: block.Len() == 0,
	})
	for block.Len() > 0 {
		chunk = block.Next(frameSize)
		_ = framer.WriteContinuation(1, block.Len() == 0, chunk)
	}
	resp := &Response{}
	for {
		if _, err := out.WriteTo(conn); err != nil {
			return nil, err
		}
		frame, err := framer.ReadFrame()
		if err != nil {
			return nil, err
		}
		if f, ok := frame.(*http2.SettingsFrame); ok && !f.IsAck() {
			_ = framer.WriteSettingsAck()
		}
		if last, err := resp.receive(frame); err != nil {
			return nil, err
		} else if last {
			return resp, nil
		}
	}
}

// headerBlock encodes a request's headers.
func headerBlock(req cases.Request) *bytes.Buffer {
	const authority = 2
	lines := [][2]string{
		{":method", req.Method}, {":scheme", "http"}, authority: {":authority", req.Host}, {":path", req.Path},
	}
	for _, h := range req.Headers {
		if strings.EqualFold(h[0], "host") {
			lines[authority][1] = h[1]
		} else {
			lines = append(lines, h)
		}
	}
	if req.Route != "" {
		lines = append(lines, [2]string{"x-test-route", req.Route})
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, h := range lines {
		_ = encoder.WriteField(hpack.HeaderField{Name: strings.ToLower(h[0]), Value: h[1]}) // A Buffer takes all.
	}
	return &block
}

// receive adds what a frame has of the answer, and reports whether it is the last one.
func (r *Response) receive(frame http2.Frame) (last bool, err error) {
	switch f := frame.(type) {
	case *http2.MetaHeadersFrame:
		if r.Status >= 200 { // They are trailers.
			return f.StreamEnded(), nil
		}
		r.Headers = nil
		for _, h := range f.RegularFields() {
			r.Headers = append(r.Headers, [2]string{h.Name, h.Value})
		}
		r.Status, err = strconv.Atoi(f.PseudoValue("status"))
		return f.StreamEnded(), err
	case *http2.DataFrame:
		r.Body = append(r.Body, f.Data()...)
		return f.StreamEnded(), nil
	case *http2.RSTStreamFrame:
		return false, fmt.Errorf("stream reset: %s", f.ErrCode)
	case *http2.GoAwayFrame:
		return false, fmt.Errorf("connection closed: %s %s", f.ErrCode, f.DebugData())
	}
	return false, nil
}

// bodiless reports whether an answer with this status never has a body.
func bodiless(status int) bool {
	return status < 200 || status == http.StatusNoContent || status == http.StatusNotModified
}

// first returns the value of the first line called name.
func first(headers [][2]string, name string) string {
	for _, h := range headers {
		if h[0] == name {
			return h[1]
		}
	}
	return ""
}

// readHead reads the head of an HTTP/1.1 message: its first line, and its
// header lines in order, names in lower case.
func readHead(r *bufio.Reader) (start string, headers [][2]string, err error) {
	lines := textproto.NewReader(r)
	if start, err = lines.ReadLine(); err != nil {
		return "", nil, err
	}
	for {
		line, err := lines.ReadLine()
		if err != nil || line == "" {
			return start, headers, err
		}
		name, value, found := strings.Cut(line, ":")
		if !found {
			return "", nil, fmt.Errorf("header line %q has no colon", line)
		}
		headers = append(headers, [2]string{strings.ToLower(name), strings.Trim(value, " \t")})
	}
}

// readBody reads the body of an HTTP/1.1 message. A body without a length ends
// with the connection if untilClose is set, and else there is none.
func readBody(r *bufio.Reader, headers [][2]string, untilClose bool) ([]byte, error) {
	if strings.EqualFold(first(headers, "transfer-encoding"), "chunked") {
		body, err := io.ReadAll(httputil.NewChunkedReader(r))
		if err == nil { // Trailers, up to an empty line.
			_, err = textproto.NewReader(r).ReadMIMEHeader()
		}
		return body, err
	}
	if length := first(headers, "content-length"); length != "" {
		n, err := strconv.Atoi(length)
		if err != nil {
			return nil, err
		}
		body := make([]byte, n)
		_, err = io.ReadFull(r, body)
		return body, err
	}
	if untilClose {
		return io.ReadAll(r)
	}
	return nil, nil
}
