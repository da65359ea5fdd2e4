package database_test

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// What the benchmarks of many clients have.
var (
	clients   = flag.Int("clients", 5000, "the `number` of clients, each an Envoy to cors-policyd")
	documents = flag.String("documents", "10,1000,10000", "the `numbers` of origins of their documents")
)

// sizes are the numbers of origins of documents.
func sizes(tb testing.TB) (list []int) {
	tb.Helper()
	for text := range strings.SplitSeq(*documents, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, n)
	}
	return list
}

// fill adds origins to those of the tenants.
func (s *store) fill(tb testing.TB, origins int) {
	tb.Helper()
	tx, err := s.Begin()
	if err != nil {
		tb.Fatal(err)
	}
	for i := range origins {
		if err := execute(tx, s.text("INSERT INTO tenant_origins VALUES (?)"), fmt.Sprintf("https://t%06d.example", i)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkDocument measures what documents of many origins cost: how long a change of one row takes to
// the last worker of both Envoys, the processor's time of cors-policyd and of an Envoy for one change,
// and their memory.
func BenchmarkDocument(b *testing.B) {
	for _, listener := range []string{byWait, byXDS} {
		for _, origins := range []int{10, 1_000, 10_000, 100_000} {
			b.Run(fmt.Sprintf("%s/origins=%d", listener, origins), func(b *testing.B) {
				d := deploy(b, newSQLite(b), patient, listener)
				load := d.load(b)
				before := d.proxies[0].Resident(b)
				d.store.fill(b, origins)
				d.await(b, load, d.change(b))
				policyd, envoy := d.policyd.process.Process.Pid, d.proxies[0].PID()
				var took fleet.Durations
				var cpu [2]time.Duration // of cors-policyd and an Envoy
				n := 0
				for b.Loop() {
					d.ready(b)
					n++
					used := [2]time.Duration{fleet.CPU(b, policyd), fleet.CPU(b, envoy)}
					took.Measure(func() { d.change(b) }, func() time.Time { return load.Await(b, listener, d.version) })
					for i, pid := range []int{policyd, envoy} {
						cpu[i] += fleet.CPU(b, pid) - used[i]
					}
					d.settle(listener, d.version)
				}
				load.Check(b)
				took.Report(b, "", 50, 100)
				load.Took().Report(b, "answer-", 50, 99.9, 100)
				for i, name := range []string{"policyd", "envoy"} {
					b.ReportMetric(float64(cpu[i].Microseconds())/1000/float64(n), "cpu-ms/"+name)
				}
				b.ReportMetric(mebibytes(fleet.Resident(b, policyd)), "MiB/policyd")
				b.ReportMetric(mebibytes(before), "MiB/envoy-before")
				b.ReportMetric(mebibytes(fleet.Resident(b, envoy)), "MiB/envoy")
				b.ReportMetric(d.policyd.metric(b, "cors_policyd_document_bytes"), "bytes/document")
				b.ReportMetric(0, "ns/op") // is the tests' own
			})
		}
	}
}

func mebibytes(bytes int) float64 { return float64(bytes) / (1 << 20) }

// A simulated is a client of cors-policyd, as an Envoy is one.
type simulated struct {
	conn net.Conn
	read *bufio.Reader
	etag string
	got  time.Time
	err  error
}

// ask sends a request for the document, which may be held.
func (c *simulated) ask(wait int) {
	if c.err == nil {
		_, c.err = fmt.Fprintf(c.conn, "GET /v1/policies HTTP/1.1\r\nHost: policies\r\nIf-None-Match: %s\r\nPrefer: wait=%d\r\n\r\n",
			c.etag, wait)
	}
}

// answer reads the answer.
func (c *simulated) answer() {
	if c.err != nil {
		return
	}
	response, err := http.ReadResponse(c.read, nil)
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
		if etag := response.Header.Get("ETag"); response.StatusCode == http.StatusOK && etag != c.etag {
			c.etag, c.got = etag, time.Now()
		} else if err == nil {
			err = fmt.Errorf("%s with the tag %s", response.Status, etag)
		}
	}
	c.err = err
}

// A crowd is many clients that have the document and wait for the next one.
type crowd struct {
	policyd *policyd
	clients []*simulated
}

func newCrowd(tb testing.TB, p *policyd, n int) *crowd {
	tb.Helper()
	c := &crowd{policyd: p}
	etag := p.must(tb, "/v1/policies").Header.Get("ETag")
	for range n {
		conn, err := net.Dial("tcp", p.http)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { conn.Close() })
		c.clients = append(c.clients, &simulated{conn: conn, read: bufio.NewReaderSize(conn, 1024), etag: etag})
	}
	return c
}

// change makes a change while all wait, and returns when each had the new document.
func (c *crowd) change(tb testing.TB, change func()) (took fleet.Durations) {
	tb.Helper()
	var reading sync.WaitGroup
	for _, client := range c.clients {
		client.ask(300)
		reading.Go(client.answer)
	}
	envoytest.Eventually(tb, fleet.Recovery, "all to wait", func() bool {
		return c.policyd.metric(tb, "cors_policyd_waiting_clients") == float64(len(c.clients))
	})
	start := time.Now()
	change()
	reading.Wait()
	for i, client := range c.clients {
		if client.err != nil {
			tb.Fatalf("client %d: %v", i, client.err)
		}
		if client.etag != c.clients[0].etag {
			tb.Fatalf("client %d has the document %s, and the first one %s", i, client.etag, c.clients[0].etag)
		}
		took = append(took, client.got.Sub(start))
	}
	return took
}

// crowded starts cors-policyd on SQLite with some origins, and clients that wait.
func crowded(tb testing.TB, origins, clients int) (c *crowd, change func()) {
	tb.Helper()
	s := newSQLite(tb)
	s.table(tb, "tenant_origins", "origin VARCHAR(255) NOT NULL")
	s.fill(tb, origins)
	head, _, _ := strings.Cut(template, "- rows")
	c = newCrowd(tb, newPolicyd(tb, s.url, s.fields+head), clients)
	n := 0
	return c, func() {
		n++
		s.exec(tb, "INSERT INTO tenant_origins VALUES (?)", tenant(n))
	}
}

// TestWaitingClients: a change is sent to all of two hundred clients that wait, each of them has all of it,
// and the next one is, too.
func TestWaitingClients(t *testing.T) {
	c, change := crowded(t, 1_000, 200)
	for range 3 {
		took := c.change(t, change)
		t.Logf("200 clients have the document: p50 %s, the last after %s", took.Quantile(50), took.Quantile(100))
	}
	envoytest.Eventually(t, fleet.Recovery, "nobody to be counted as waiting", func() bool {
		return c.policyd.metric(t, "cors_policyd_waiting_clients") == 0
	})
}

// BenchmarkWaitingClients measures a change to many clients that wait for it, 5,000 unless -clients says
// otherwise, on a machine that they share with cors-policyd: when the last one has it, and the
// processor's time and memory of cors-policyd.
func BenchmarkWaitingClients(b *testing.B) {
	for _, origins := range sizes(b) {
		b.Run(fmt.Sprintf("origins=%d", origins), func(b *testing.B) {
			c, change := crowded(b, origins, *clients)
			m := newMeter(b, c.policyd)
			for b.Loop() {
				m.measure(func() fleet.Durations { return c.change(b, change) })
			}
			m.report()
		})
	}
}

// A meter measures changes to all clients.
type meter struct {
	b           *testing.B
	policyd     *policyd
	first, last fleet.Durations
	cpu         time.Duration
	clients     int // of all changes
}

func newMeter(b *testing.B, p *policyd) *meter { b.Helper(); return &meter{b: b, policyd: p} }

// measure makes a change that returns when each client had it.
func (m *meter) measure(change func() fleet.Durations) {
	pid := m.policyd.process.Process.Pid
	used := fleet.CPU(m.b, pid)
	took := change()
	m.cpu += fleet.CPU(m.b, pid) - used
	m.clients += len(took)
	m.first, m.last = append(m.first, took.Quantile(0.01)), append(m.last, took.Quantile(100))
}

func (m *meter) report() {
	m.first.Report(m.b, "first-", 50)
	m.last.Report(m.b, "last-", 50, 100)
	pid := m.policyd.process.Process.Pid
	for unit, n := range map[string]float64{
		"cpu-us/client":    float64(m.cpu.Microseconds()) / float64(m.clients),
		"MiB/policyd":      mebibytes(fleet.Resident(m.b, pid)),
		"MiB/policyd-peak": mebibytes(fleet.Peak(m.b, pid)),
		"bytes/document":   m.policyd.metric(m.b, "cors_policyd_document_bytes"),
		"ns/op":            0, // is the clients' own
	} {
		m.b.ReportMetric(n, unit)
	}
}

// BenchmarkUnchanged measures what it costs cors-policyd to tell a client that nothing has changed, as it
// does each time that one has waited in vain.
func BenchmarkUnchanged(b *testing.B) {
	c, _ := crowded(b, 10, 1)
	client := c.clients[0]
	pid := c.policyd.process.Process.Pid
	used, n := fleet.CPU(b, pid), 0
	for b.Loop() {
		client.ask(0)
		response, err := http.ReadResponse(client.read, nil)
		if err != nil || response.StatusCode != http.StatusNotModified {
			b.Fatal(response, err)
		}
		n++
	}
	b.ReportMetric(float64((fleet.CPU(b, pid)-used).Microseconds())/float64(n), "cpu-us/client")
}
