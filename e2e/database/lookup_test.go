package database_test

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
)

// origins is how many origins the benchmarks of look-ups have.
var origins = flag.Int("origins", 1_000_000, "the `number` of origins that are looked up")

// lookups is cors-policyd's configuration for nothing but look-ups.
const lookups = `limits: {lookups: 1000000}
lookups: {tenants: SELECT 1 FROM tenant_origins WHERE origin = :origin}
`

// customer is the origin of the n-th customer.
func customer(n int) string { return fmt.Sprintf("https://t%d.example", n) }

// customers makes a table with so many origins.
func (s *store) customers(tb testing.TB, n int) {
	tb.Helper()
	s.exec(tb, "CREATE TABLE tenant_origins (origin VARCHAR(255) NOT NULL PRIMARY KEY)")
	numbers := "WITH RECURSIVE t (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM t WHERE n + 1 < ?) SELECT 'https://t' || n || '.example' FROM t"
	switch {
	case s.server == nil:
		s.exec(tb, "INSERT INTO tenant_origins "+numbers, n)
	case s.numbered:
		s.exec(tb, "INSERT INTO tenant_origins SELECT 'https://t' || n || '.example' FROM generate_series(0, ?::int - 1) AS n", n)
		s.exec(tb, "ANALYZE tenant_origins")
	default:
		s.exec(tb, "INSERT INTO tenant_origins SELECT CONCAT('https://t', seq, '.example') FROM seq_0_to_"+fmt.Sprint(n-1))
	}
}

// The visitors of a site: the first few come again and again, most of them once, as a Zipf
// distribution has it, and one of five isn't known.
type visitors struct {
	random *rand.Rand
	zipf   *rand.Zipf
}

func newVisitors(seed uint64, origins int) visitors {
	random := rand.New(rand.NewPCG(seed, 1)) // the same each time
	return visitors{random, rand.NewZipf(random, 1.1, 10, uint64(origins-1))}
}

// next is the origin of the next visitor, and whether it is known.
func (v visitors) next() (origin string, known bool) {
	n := int(v.zipf.Uint64())
	if v.random.IntN(5) == 0 {
		return fmt.Sprintf("https://unknown%d.example", n), false
	}
	return customer(n), true
}

// lookup asks cors-policyd for an origin, and returns its status.
func lookup(conn net.Conn, read *bufio.Reader, origin string) (int, error) {
	_, err := fmt.Fprintf(conn, "GET /v1/lookup?policy=tenants&host=api.example&origin=%s HTTP/1.1\r\nHost: policies\r\n\r\n",
		url.QueryEscape(origin))
	if err != nil {
		return 0, err
	}
	response, err := http.ReadResponse(read, nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// look makes so many look-ups on a connection of its own.
func look(p *policyd, seed uint64, n int) (took fleet.Durations, err error) {
	conn, err := net.Dial("tcp", p.http)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	read := bufio.NewReader(conn)
	people := newVisitors(seed, *origins)
	for range n {
		origin, known := people.next()
		want := http.StatusNotFound
		if known {
			want = http.StatusNoContent
		}
		start := time.Now()
		status, err := lookup(conn, read, origin)
		if err != nil || status != want {
			return nil, fmt.Errorf("%s: %d %w", origin, status, err)
		}
		took = append(took, time.Since(start))
	}
	return took, nil
}

// BenchmarkLookups measures look-ups in a million origins, at cors-policyd itself: how many there are
// in a second, how long each takes, and the processor's time of cors-policyd and of the database for each.
func BenchmarkLookups(b *testing.B) {
	for _, s := range stores {
		b.Run(s.name, func(b *testing.B) {
			store := s.make(b)
			store.customers(b, *origins)
			p := newPolicyd(b, store.url, store.fields+lookups)
			for _, connections := range []int{1, 16} {
				b.Run(fmt.Sprintf("connections=%d", connections), func(b *testing.B) {
					lookAll(b, store, p, connections)
				})
			}
		})
	}
}

// lookAll measures look-ups over connections that each make one after the other.
func lookAll(b *testing.B, s *store, p *policyd, connections int) {
	b.Helper()
	const each = 1_000
	var mu sync.Mutex
	var took fleet.Durations
	used := spent(b, p, s)
	for b.Loop() {
		var looking sync.WaitGroup
		for c := range connections {
			seed := uint64(len(took) + c)
			looking.Go(func() {
				list, err := look(p, seed, each)
				mu.Lock()
				defer mu.Unlock()
				took = append(took, list...)
				if err != nil {
					b.Error(err)
				}
			})
		}
		looking.Wait()
	}
	n := float64(len(took))
	b.ReportMetric(n/b.Elapsed().Seconds(), "lookups/s")
	took.Report(b, "", 50, 99)
	now := spent(b, p, s)
	for i, process := range []string{"policyd", "database"} {
		b.ReportMetric(float64((now[i]-used[i]).Microseconds())/n, "cpu-us/"+process)
	}
	b.ReportMetric(mebibytes(fleet.Resident(b, p.process.Process.Pid)), "MiB/policyd")
	b.ReportMetric(0, "ns/op")
}

// spent is the processor's time of cors-policyd, and of the database's server.
func spent(tb testing.TB, p *policyd, s *store) (cpu [2]time.Duration) {
	tb.Helper()
	cpu[0] = fleet.CPU(tb, p.process.Process.Pid)
	if s.server != nil {
		for _, pid := range descendants(tb, s.server.PID()) {
			cpu[1] += fleet.CPU(tb, pid)
		}
	}
	return cpu
}

// descendants are a process and its children, which PostgreSQL has one of for each connection.
func descendants(tb testing.TB, pid int) []int {
	tb.Helper()
	list := []int{pid}
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range files {
		text, _ := os.ReadFile(name) // of those that have ended since
		_, rest, _ := strings.Cut(string(text), ") ")
		var state string
		var parent, child int
		if _, err := fmt.Sscan(rest, &state, &parent); err == nil && parent == pid {
			if _, err := fmt.Sscan(string(text), &child); err == nil {
				list = append(list, child)
			}
		}
	}
	return list
}
