package fleet

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

const (
	// clients is how many connections a listener gets: enough for each of its workers.
	clients = 4
	// pause is a client's from one request to the next: a steady load that leaves
	// the machine time for the rest of the test.
	pause = 3 * time.Millisecond
)

// A Conversation is what a client says on one connection, which one worker serves.
type Conversation interface {
	// Next is what to send.
	Next() cases.Request
	// Judge returns the version of the policies that the worker has by its answer, or an error
	// if the answer is one of no version. Versions must not go back.
	Judge(*envoytest.Response) (version int, err error)
}

// Begin begins a conversation with a listener of an Envoy.
type Begin func(p *Proxy, listener string) Conversation

// A Load sends requests over kept-alive connections until it is stopped, and judges
// every answer.
type Load struct {
	begin   Begin
	clients []*client
	stop    chan struct{}
	running sync.WaitGroup

	mu       sync.Mutex
	requests int
	excused  int // requests that failed because their Envoy was down
	failed   int
	failures []string // the first ones
	took     Durations
}

// A client is one connection at a time to one listener.
type client struct {
	load     *Load
	envoy    *Proxy
	listener string

	mu      sync.Mutex
	version int       // of the last answer
	since   time.Time // when the first answer of that version came
}

// StartLoad begins sending to these listeners of all Envoys, and returns once every
// client has had an answer of a version.
func StartLoad(tb testing.TB, begin Begin, envoys []*Proxy, listeners ...string) *Load {
	tb.Helper()
	l := &Load{begin: begin, stop: make(chan struct{})}
	for _, envoy := range envoys {
		for _, listener := range listeners {
			for range clients {
				c := &client{load: l, envoy: envoy, listener: listener}
				l.clients = append(l.clients, c)
				l.running.Go(c.run)
			}
		}
	}
	tb.Cleanup(l.End)
	envoytest.Eventually(tb, Recovery, "every client to have an answer", func() bool {
		return !slices.ContainsFunc(l.clients, func(c *client) bool { n, _ := c.state(); return n == 0 })
	})
	return l
}

// End stops the clients. It may be called again.
func (l *Load) End() {
	l.mu.Lock()
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.mu.Unlock()
	l.running.Wait()
}

// Check ends the load, fails the test if a request failed, and says how many there were.
func (l *Load) Check(tb testing.TB) {
	tb.Helper()
	l.End()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed > 0 {
		tb.Errorf("%d requests of %d failed:\n%s", l.failed, l.requests, strings.Join(l.failures, "\n"))
	}
	tb.Logf("%d requests, %d failed; %d more that were sent to an Envoy while it was down", l.requests-l.excused,
		l.failed, l.excused)
}

// Took returns how long each answer took until now.
func (l *Load) Took() Durations {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.took)
}

// Await waits until every client of a listener gets answers of a version, and
// returns when the last one got its first. It can be limited to some Envoys.
func (l *Load) Await(tb testing.TB, listener string, version int, envoys ...*Proxy) (last time.Time) {
	tb.Helper()
	for _, c := range l.clients {
		if c.listener != listener || len(envoys) > 0 && !slices.Contains(envoys, c.envoy) {
			continue
		}
		envoytest.Eventually(tb, Recovery, fmt.Sprintf("version %d of %s in every worker of %s", version, listener,
			c.envoy.Node), func() bool {
			n, since := c.state()
			if n == version && since.After(last) {
				last = since
			}
			return n == version
		})
	}
	return last
}

// Awaiting is Await for later.
func (l *Load) Awaiting(tb testing.TB, listener string, version int) func() time.Time {
	tb.Helper()
	return func() time.Time {
		tb.Helper()
		return l.Await(tb, listener, version)
	}
}

// Remains fails the test if a client of the listener gets another version.
func (l *Load) Remains(tb testing.TB, listener string, version int) {
	tb.Helper()
	for _, c := range l.clients {
		if n, _ := c.state(); c.listener == listener && n != version {
			tb.Errorf("%s serves version %d of %s, want %d", c.envoy.Node, n, listener, version)
		}
	}
}

func (l *Load) stopped() bool {
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

// connection sends requests over one connection, until it ends.
func (c *client) connection() {
	addr, outage, down := c.envoy.Address(c.listener)
	fail := func(err error) {
		c.load.mu.Lock()
		defer c.load.mu.Unlock()
		c.load.requests++
		if _, now, _ := c.envoy.Address(c.listener); down || now != outage {
			c.load.excused++
			return
		}
		if c.load.failed++; c.load.failed <= 10 {
			c.load.failures = append(c.load.failures, fmt.Sprintf("%s, listener %s: %v", c.envoy.Node, c.listener, err))
		}
	}
	talk := c.load.begin(c.envoy, c.listener)
	conn, err := envoytest.Dial(addr)
	if err != nil {
		fail(err)
		return
	}
	defer conn.Close()
	for last := 0; !c.load.stopped(); {
		request := talk.Next()
		start := time.Now()
		response, err := conn.Do(request)
		took := time.Since(start)
		if err != nil {
			fail(err)
			return
		}
		version, err := talk.Judge(response)
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
