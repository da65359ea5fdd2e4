package database_test

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// crowdSize is how many clients wait. The race detector has no room for as many.
var crowdSize = flag.Int("crowd", 10_000, "the `number` of clients that wait at the same time")

// TestCrowd: ten thousand clients wait, each of which costs little memory; a change is sent to all of them, and
// the next one, too; then all are answered as cors-policyd is told to stop, and it ends in order.
func TestCrowd(t *testing.T) {
	c, change := crowded(t, 1_000, *crowdSize)
	pid := c.policyd.process.Process.Pid
	before := fleet.Resident(t, pid)
	for range 1 + *soak {
		took := c.change(t, change)
		t.Logf("%d clients have the document: p50 %s, the last after %s", *crowdSize, took.Quantile(50), took.Quantile(100))
	}
	each := (fleet.Peak(t, pid) - before) / *crowdSize
	t.Logf("a client takes %d bytes at the most", each)
	bounded(t, each, 100<<10)
	var reading sync.WaitGroup
	var answered atomic.Int64
	for _, client := range c.clients {
		client.ask(300)
		reading.Go(func() {
			if r, err := http.ReadResponse(client.read, nil); err == nil && r.StatusCode == http.StatusNotModified {
				answered.Add(1)
			}
		})
	}
	envoytest.Eventually(t, fleet.Recovery, "all to wait", func() bool {
		return c.policyd.metric(t, "cors_policyd_waiting_clients") == float64(*crowdSize)
	})
	if n := c.policyd.metric(t, "go_goroutines"); n > float64(2**crowdSize+200) {
		t.Errorf("there are %g goroutines", n)
	}
	stopped := time.Now()
	c.policyd.signal(t, syscall.SIGTERM)
	reading.Wait()
	if err := c.policyd.process.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
	took, n := time.Since(stopped), int(answered.Load())
	t.Logf("%d of %d are answered as it stops, within %s", n, *crowdSize, took)
	// It takes 5 s for that at the most, which on a busy machine may not be enough for all.
	if n < *crowdSize && took < 5*time.Second || n < *crowdSize/4 {
		t.Error("that is too few")
	}
}

// TestDescriptors: who opens connections and says nothing takes neither those to the database nor the files that a
// new certificate or the state needs: all goes on for those who are there, and for others once there is room.
func TestDescriptors(t *testing.T) {
	s := newPostgreSQL(t)
	s.table(t, "tenant_origins", "origin VARCHAR(255) NOT NULL")
	p := configured(t, s.url, s.fields+tenants())
	p.limits = "ulimit -n 200"
	p.start(t)
	p.has(t, "https://nobody.invalid")
	here := newCrowd(t, p, 1).clients[0] // is connected before the others
	here.ask(0)
	_, _ = http.ReadResponse(here.read, nil) // is answered
	var idle []net.Conn
	for range 400 {
		conn, err := net.Dial("tcp", p.http)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		idle = append(idle, conn)
	}
	s.exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cors-policyd'")
	s.exec(t, "INSERT INTO tenant_origins VALUES (?)", tenant(1))
	here.ask(300)
	if here.answer(); here.err != nil {
		t.Errorf("who was there first: %v", here.err)
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.process.Process.Pid))
	if err != nil || len(open) > 150 {
		t.Errorf("%d descriptors are open, %v", len(open), err)
	}
	for _, conn := range idle {
		conn.Close()
	}
	p.has(t, tenant(1))
	if n := p.metric(t, "process_open_fds"); n > 150 {
		t.Errorf("%g descriptors are open", n)
	}
}

// TestUnfinished: clients that begin something and never end it are sent away, whatever it is, and others are
// served all the while.
func TestUnfinished(t *testing.T) {
	t.Parallel() // it waits, most of the time
	s := newSQLite(t)
	s.table(t, "tenant_origins", "origin VARCHAR(255) NOT NULL")
	secure := newAuthority(t)
	secure.issue(t, "server", time.Hour)
	p := newPolicyd(t, s.url, s.fields+tenants())
	p.kill()
	p.secure(t, secure, false)
	p.start(t)
	plain := newPolicyd(t, s.url, s.fields+tenants())
	var ending sync.WaitGroup
	for name, client := range map[string]struct {
		addr string
		says []string // the last is said again and again
	}{
		"nothing at all":         {plain.http, nil},
		"headers, byte by byte":  {plain.http, []string{"GET /v1/policies HTTP/1.1\r\nHost: x\r\nX-Long: ", "x"}},
		"a body, byte by byte":   {plain.http, []string{"POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n", " "}},
		"a body in chunks":       {plain.http, []string{"POST /v1/check HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n"}},
		"a body, for nothing":    {plain.http, []string{"GET /v1/policies HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"}},
		"no handshake":           {p.http, nil},
		"half a handshake":       {p.http, []string{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"}},
		"no handshake with gRPC": {p.xds, []string{"\x16\x03\x01"}},
		"no preface of HTTP/2":   {plain.xds, nil},
		"half a preface":         {plain.xds, []string{"PRI * HTTP/2.0\r\n\r\n"}},
	} {
		for range 20 {
			conn, err := net.Dial("tcp", client.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			for _, text := range client.says {
				if _, err := conn.Write([]byte(text)); err != nil {
					t.Fatal(err)
				}
			}
			ended := make(chan struct{})
			if n := len(client.says); n > 1 {
				go func() { // until it is sent away
					for {
						select {
						case <-ended:
							return
						case <-time.After(100 * time.Millisecond):
							_, _ = conn.Write([]byte(client.says[n-1]))
						}
					}
				}()
			}
			ending.Go(func() {
				defer close(ended)
				_ = conn.SetReadDeadline(time.Now().Add(fleet.Recovery))
				r := bufio.NewReader(conn)
				for {
					if _, err := r.ReadByte(); err != nil {
						if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
							t.Errorf("%s: it is still there", name)
						}
						return
					}
				}
			})
		}
	}
	for n := range 3 {
		s.exec(t, "INSERT INTO tenant_origins VALUES (?)", tenant(n))
		plain.has(t, tenant(n))
		p.has(t, tenant(n))
	}
	ending.Wait()
	for _, p := range []*policyd{p, plain} {
		envoytest.Eventually(t, fleet.Recovery, "all connections to be gone", func() bool {
			return p.metric(t, "process_open_fds") < 60
		})
	}
}
