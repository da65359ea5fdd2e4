package hotreload_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

const (
	// clients is how many connections a listener gets: enough for each of its workers.
	clients = 4
	// pause is a client's from one request to the next: a steady load that leaves
	// the machine time for the rest of the test.
	pause = 3 * time.Millisecond
)

// A load sends requests over kept-alive connections until it is stopped, and judges
// every answer.
type load struct {
	clients []*client
	stop    chan struct{}
	running sync.WaitGroup

	mu       sync.Mutex
	requests int
	excused  int // requests that failed because their Envoy was down
	failed   int
	failures []string // the first ones
	took     durations
}

// A client is one connection at a time to one listener.
type client struct {
	load     *load
	envoy    *proxy
	listener string

	mu      sync.Mutex
	version int       // of the last answer
	since   time.Time // when the first answer of that version came
}

// startLoad begins sending to these listeners of all Envoys, and returns once every
// client has had its first answer.
func startLoad(tb testing.TB, envoys []*proxy, listeners ...string) *load {
	tb.Helper()
	l := &load{stop: make(chan struct{})}
	for _, envoy := range envoys {
		for _, listener := range listeners {
			for range clients {
				c := &client{load: l, envoy: envoy, listener: listener}
				l.clients = append(l.clients, c)
				l.running.Go(c.run)
			}
		}
	}
	tb.Cleanup(l.end)
	envoytest.Eventually(tb, recovery, "every client to have an answer", func() bool {
		return !slices.ContainsFunc(l.clients, func(c *client) bool { n, _ := c.state(); return n == 0 })
	})
	return l
}

// end stops the clients. It may be called again.
func (l *load) end() {
	l.mu.Lock()
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.mu.Unlock()
	l.running.Wait()
}

// check ends the load, fails the test if a request failed, and says how many there were.
func (l *load) check(tb testing.TB) {
	tb.Helper()
	l.end()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed > 0 {
		tb.Errorf("%d requests of %d failed:\n%s", l.failed, l.requests, strings.Join(l.failures, "\n"))
	}
	tb.Logf("%d requests, %d failed; %d more that were sent to an Envoy while it was down", l.requests-l.excused,
		l.failed, l.excused)
}

// await waits until every client of a listener gets answers of a version, and
// returns when the last one got its first. It can be limited to some Envoys.
func (l *load) await(tb testing.TB, listener string, version int, envoys ...*proxy) (last time.Time) {
	tb.Helper()
	for _, c := range l.clients {
		if c.listener != listener || len(envoys) > 0 && !slices.Contains(envoys, c.envoy) {
			continue
		}
		envoytest.Eventually(tb, recovery, fmt.Sprintf("version %d of %s in every worker of %s", version, listener,
			c.envoy.node), func() bool {
			n, since := c.state()
			if n == version && since.After(last) {
				last = since
			}
			return n == version
		})
	}
	return last
}

// awaiting is await for later.
func (l *load) awaiting(tb testing.TB, listener string, version int) func() time.Time {
	tb.Helper()
	return func() time.Time {
		tb.Helper()
		return l.await(tb, listener, version)
	}
}

// remains fails the test if a client of the listener gets another version.
func (l *load) remains(tb testing.TB, listener string, version int) {
	tb.Helper()
	for _, c := range l.clients {
		if n, _ := c.state(); c.listener == listener && n != version {
			tb.Errorf("%s serves version %d of %s, want %d", c.envoy.node, n, listener, version)
		}
	}
}

func (l *load) stopped() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

// run sends requests, over a new connection whenever there is none.
func (c *client) run() {
	for !c.load.stopped() {
		c.connection()
		time.Sleep(pause) // what fails fails again
	}
}

// connection sends requests over one connection, until it ends. One worker serves it,
// so that versions must not go back.
func (c *client) connection() {
	addr, outage, down := c.envoy.address(c.listener)
	fail := func(err error) {
		c.load.mu.Lock()
		defer c.load.mu.Unlock()
		c.load.requests++
		if _, now, _ := c.envoy.address(c.listener); down || now != outage {
			c.load.excused++
			return
		}
		if c.load.failed++; c.load.failed <= 10 {
			c.load.failures = append(c.load.failures, fmt.Sprintf("%s, listener %s: %v", c.envoy.node, c.listener, err))
		}
	}
	conn, err := envoytest.Dial(addr)
	if err != nil {
		fail(err)
		return
	}
	defer conn.Close()
	for last, i := 0, 0; !c.load.stopped(); i++ {
		request, turn := foreignRequest, i%(len(requests)+1)
		if turn < len(requests) {
			request = requests[turn]
		}
		start := time.Now()
		response, err := conn.Do(request)
		took := time.Since(start)
		if err != nil {
			fail(err)
			return
		}
		version := last
		if turn < len(requests) {
			version, err = versionOf(request, response)
		} else {
			err = checkForeign(response)
		}
		switch {
		case err != nil:
			fail(err)
		case version < last:
			fail(fmt.Errorf("version %d came after version %d", version, last))
		default:
			c.answered(version, took)
			last = version
		}
		if slices.Contains(response.Values("connection"), "close") {
			return
		}
		time.Sleep(pause)
	}
}

func (c *client) answered(version int, took time.Duration) {
	c.load.mu.Lock()
	c.load.requests++
	c.load.took = append(c.load.took, took)
	c.load.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if version != c.version {
		c.version, c.since = version, time.Now()
	}
}

func (c *client) state() (version int, since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.version, c.since
}
