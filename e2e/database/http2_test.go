package database_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
)

// A flood is what a client of HTTP/2 sends, with streams of its own numbers, until the server ends the connection.
type flood struct {
	name string
	send func(f *http2.Framer, stream uint32, headers []byte) error
	n    int
}

var floods = []flood{
	{"streams that are reset at once", func(f *http2.Framer, stream uint32, headers []byte) error {
		err := f.WriteHeaders(complete(stream, headers))
		return errors.Join(err, f.WriteRSTStream(stream, http2.ErrCodeCancel))
	}, 20_000},
	{"streams that wait", func(f *http2.Framer, stream uint32, headers []byte) error {
		return f.WriteHeaders(complete(stream, headers))
	}, 20_000},
	{"bodies without end", func(f *http2.Framer, stream uint32, headers []byte) error {
		err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: headers, EndHeaders: true})
		return errors.Join(err, f.WriteData(stream, false, []byte{' '}))
	}, 20_000},
	{"headers without end", func(f *http2.Framer, stream uint32, headers []byte) error {
		if stream == 1 {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headers})
		}
		return f.WriteContinuation(1, false, literal(stream))
	}, 20_000},
	{"pings", func(f *http2.Framer, _ uint32, _ []byte) error { return f.WritePing(false, [8]byte{}) }, 50_000},
	{"settings", func(f *http2.Framer, _ uint32, _ []byte) error {
		return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
	}, 50_000},
}

// complete are headers of a request that has no body.
func complete(stream uint32, headers []byte) http2.HeadersFrameParam {
	return http2.HeadersFrameParam{StreamID: stream, BlockFragment: headers, EndHeaders: true, EndStream: true}
}

// literal is a header of a kilobyte that HPACK doesn't remember.
func literal(n uint32) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	field := hpack.HeaderField{Name: fmt.Sprint("x-", n), Value: megabyte[:1024], Sensitive: true}
	_ = e.WriteField(field) // to a buffer
	return b.Bytes()
}

// run sends a flood, and returns when all was sent or the server has ended the connection.
func (f flood) run(tb testing.TB, addr string) error {
	tb.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // nothing more is asked of it
	_ = conn.SetDeadline(time.Now().Add(fleet.Recovery))
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return err
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		return err
	}
	go func() { _, _ = io.Copy(io.Discard, conn) }() // until it is ended
	var headers bytes.Buffer
	e := hpack.NewEncoder(&headers)
	for _, field := range []hpack.HeaderField{
		{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: "localhost"},
		{Name: ":path", Value: "/v1/policies"}, {Name: "prefer", Value: "wait=300"}, {Name: "if-none-match", Value: "*"},
	} {
		field.Sensitive = true  // is the same for each stream
		_ = e.WriteField(field) // to a buffer
	}
	for i := range f.n {
		if err := f.send(framer, uint32(2*i+1), headers.Bytes()); err != nil {
			if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
				return err
			}
			return nil // the server has ended it
		}
	}
	return nil
}

// TestFloods: what a client of HTTP/2 sends without end, to HTTP or to gRPC, takes little memory, and others are served
// all the while.
func TestFloods(t *testing.T) {
	s := newSQLite(t)
	s.table(t, "tenant_origins", "origin VARCHAR(255) NOT NULL")
	a := newAuthority(t)
	a.issue(t, "server", time.Hour)
	p := configured(t, s.url, s.fields+tenants())
	p.secure(t, a, false)
	p.start(t)
	n := 0
	for target, addr := range map[string]string{"HTTP": p.http, "gRPC": p.xds} {
		for _, f := range floods {
			t.Run(target+"/"+f.name, func(t *testing.T) {
				flooded := make(chan error, 2)
				for range cap(flooded) {
					go func() { flooded <- f.run(t, addr) }()
				}
				n++
				s.exec(t, "INSERT INTO tenant_origins VALUES (?)", tenant(n))
				p.has(t, tenant(n))
				for range cap(flooded) {
					if err := <-flooded; err != nil {
						t.Error(err)
					}
				}
				p.has(t, tenant(n))
			})
		}
	}
	peak := fleet.Peak(t, p.process.Process.Pid)
	t.Logf("it takes %d MiB at the most", peak>>20)
	bounded(t, peak, 200<<20)
}
