package database_test

import (
	"cmp"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/dbtest"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// A store is a database, and how cors-policyd reads it.
type store struct {
	*sql.DB
	server   *dbtest.Server // nil if there is none
	url      string
	fields   string // further ones of cors-policyd's configuration
	numbered bool   // parameters are numbered
}

// The databases that all is tested on.
var stores = []struct {
	name string
	make func(tb testing.TB) *store
}{{"SQLite", newSQLite}, {"PostgreSQL", newPostgreSQL}, {"MariaDB", newMariaDB}}

func newSQLite(tb testing.TB) *store {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "origins.db")
	pool, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = pool.Close() }) // the file goes with the test
	return &store{DB: pool, url: "sqlite:" + path, fields: "poll: 1h\n"}
}

func newPostgreSQL(tb testing.TB) *store {
	tb.Helper()
	server := dbtest.PostgreSQL(tb)
	s := &store{server: server, DB: server.Start(tb), url: server.URL, numbered: true,
		fields: "poll: 1h\nnotify: cors_origins\n"}
	s.exec(tb, "CREATE FUNCTION tell() RETURNS trigger AS $$ BEGIN NOTIFY cors_origins; RETURN NULL; END $$ LANGUAGE plpgsql")
	return s
}

func newMariaDB(tb testing.TB) *store {
	tb.Helper()
	server := dbtest.MariaDB(tb)
	return &store{server: server, DB: server.Start(tb), url: server.URL, fields: "poll: 100ms\n"}
}

// table makes a table, with a trigger where the database can tell of changes.
func (s *store) table(tb testing.TB, name, columns string) {
	tb.Helper()
	s.exec(tb, "CREATE TABLE "+name+" ("+columns+")")
	if s.numbered {
		s.exec(tb, "CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON "+name+" EXECUTE FUNCTION tell()")
	}
}

// exec runs a statement whose parameters are written as ?.
func (s *store) exec(tb testing.TB, text string, args ...any) {
	tb.Helper()
	if err := execute(s.DB, s.text(text), args...); err != nil {
		tb.Fatal(err)
	}
}

func execute(e interface {
	Exec(text string, args ...any) (sql.Result, error)
}, text string, args ...any) error {
	if _, err := e.Exec(text, args...); err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	return nil
}

// text is a statement with its parameters as the database has them.
func (s *store) text(text string) string {
	if !s.numbered {
		return text
	}
	parts := strings.Split(text, "?")
	for i := range parts[1:] {
		parts[i] += "$" + strconv.Itoa(i+1)
	}
	return strings.Join(parts, "")
}

// again starts the database's server after it was killed.
func (s *store) again(tb testing.TB) {
	tb.Helper()
	_ = s.Close() // its connections are gone
	s.DB = s.server.Start(tb)
}

// A policyd is a cors-policyd that may be killed, stopped and started again.
type policyd struct {
	http, xds string // its addresses
	config    string // its configuration's file
	process   *exec.Cmd
	log       *envoytest.Output
	stderr    *os.File // in place of log, if it isn't nil
	limits    string   // what a shell does before it runs it, such as "ulimit -n 100"
	binary    string   // in place of the one that others have, if it isn't empty
	scheme    string
	client    *http.Client
}

// newPolicyd starts a cors-policyd, as make build has made it, and waits until it is ready.
func newPolicyd(tb testing.TB, url, fields string) *policyd {
	tb.Helper()
	p := configured(tb, url, fields)
	p.start(tb)
	return p
}

// configured returns a cors-policyd that doesn't run yet.
func configured(tb testing.TB, url, fields string) *policyd {
	tb.Helper()
	p := &policyd{
		http: "127.0.0.1:" + dbtest.FreePort(tb), xds: "127.0.0.1:" + dbtest.FreePort(tb), log: &envoytest.Output{},
		scheme: "http", client: http.DefaultClient, config: filepath.Join(tb.TempDir(), "policyd.yaml"),
	}
	module, err := envoytest.Module()
	if err != nil {
		tb.Fatal(err)
	}
	text := fmt.Sprintf("listen: %s\ndatabase: %s\n%s", p.http, url, fields)
	if strings.Contains(fields, "policies:") {
		text += fmt.Sprintf("xds: {listen: %q, module: %q}\n", p.xds, module)
	}
	if err := os.WriteFile(p.config, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if p.process != nil {
			p.kill()
		}
		if strings.Contains(p.log.String(), "DATA RACE") {
			tb.Error("there is a data race")
		}
		if tb.Failed() {
			tb.Logf("cors-policyd's log:\n%s", p.log)
		}
	})
	return p
}

func (p *policyd) start(tb testing.TB) {
	tb.Helper()
	p.launch(tb)
	envoytest.Eventually(tb, fleet.Recovery, "cors-policyd to be ready", func() bool {
		a, err := p.get("/readyz")
		return err == nil && a.StatusCode == http.StatusOK
	})
}

// launch starts it, and doesn't wait.
func (p *policyd) launch(tb testing.TB) {
	tb.Helper()
	command := p.command(tb, "-c", p.config)
	p.process = exec.Command(command[0], command[1:]...)
	p.process.Stderr = p.log
	if p.stderr != nil {
		p.process.Stderr = p.stderr
	}
	if err := envoy.Spawn(p.process, false); err != nil {
		tb.Fatal(err)
	}
}

// given is a cors-policyd that takes the place of the one that make build has made, as make race has it.
var given = os.Getenv("CORS_POLICYD")

// bounded fails the test if memory is more than it may be, unless that is of a binary that may take more.
func bounded(tb testing.TB, bytes, most int) {
	tb.Helper()
	if bytes > most && given == "" {
		tb.Errorf("%d bytes are more than %d", bytes, most)
	}
}

// command is cors-policyd with arguments, after what a shell does before.
func (p *policyd) command(tb testing.TB, args ...string) []string {
	tb.Helper()
	root, err := envoytest.Root()
	if err != nil {
		tb.Fatal(err)
	}
	command := append([]string{cmp.Or(p.binary, given, filepath.Join(root, "build/cors-policyd"))}, args...)
	if p.limits != "" {
		command = append([]string{"sh", "-c", p.limits + ` && exec "$@"`, "sh"}, command...)
	}
	return command
}

// kill ends it as a crash would.
func (p *policyd) kill() {
	_ = p.process.Process.Kill()
	_ = p.process.Wait() // it was killed
}

func (p *policyd) signal(tb testing.TB, s syscall.Signal) {
	tb.Helper()
	if err := p.process.Process.Signal(s); err != nil {
		tb.Fatal(err)
	}
}

// An answer is an answer of cors-policyd.
type answer struct {
	*http.Response
	text string
}

// get asks it for a path, with headers as "name: value".
func (p *policyd) get(path string, headers ...string) (answer, error) {
	request, err := http.NewRequest(http.MethodGet, p.scheme+"://"+p.http+path, nil)
	if err != nil {
		return answer{}, err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Add(name, value)
	}
	response, err := p.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response, string(text)}, err
}

// must is get where nothing may fail.
func (p *policyd) must(tb testing.TB, path string, headers ...string) answer {
	tb.Helper()
	a, err := p.get(path, headers...)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// metric is the sum of the series that begin so.
func (p *policyd) metric(tb testing.TB, name string) (sum float64) {
	tb.Helper()
	for line := range strings.Lines(p.must(tb, "/metrics").text) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(series, name) {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				tb.Fatal(err)
			}
			sum += n
		}
	}
	return sum
}

// A pipe passes connections on, until it is told to swallow what they say: then they stay
// open, and are silent for ever. It may also be slow, or stop or end in the midst of an answer.
type pipe struct {
	addr string

	mu      sync.Mutex
	target  string
	swallow bool
	pause   time.Duration // before each part of an answer
	most    int           // bytes of the answers of a connection, if it isn't 0
	drop    bool          // the connection ends after most, or is silent
	conns   map[net.Conn]bool
}

func newPipe(tb testing.TB, target string) *pipe {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	p := &pipe{addr: l.Addr().String(), target: target, conns: map[net.Conn]bool{}}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go p.pass(conn)
		}
	}()
	return p
}

// pass passes a connection on until either side closes it.
func (p *pipe) pass(from net.Conn) {
	defer from.Close()
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	to, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer to.Close()
	p.mu.Lock()
	p.conns[from] = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, from)
	}()
	var lost sync.Once
	silent := make(chan struct{})
	var both sync.WaitGroup
	both.Go(func() { p.copy(to, from, silent, &lost, false) })
	both.Go(func() { p.copy(from, to, silent, &lost, true) })
	both.Wait()
}

func (p *pipe) copy(to, from net.Conn, silent chan struct{}, lost *sync.Once, answers bool) {
	defer func() {
		select {
		case <-silent: // What has lost bytes doesn't even end.
		default:
			to.Close()
		}
	}()
	buffer := make([]byte, 64<<10)
	passed := 0
	for {
		n, err := from.Read(buffer)
		if answers {
			all := n
			if n = p.hold(passed, n); n < all {
				_, _ = to.Write(buffer[:n]) // is the last in any case
				if p.drops() {
					return
				}
				lost.Do(func() { close(silent) })
			}
			passed += n
		}
		if p.swallows() {
			lost.Do(func() { close(silent) })
		}
		select {
		case <-silent:
		default:
			if n > 0 {
				if _, err := to.Write(buffer[:n]); err != nil {
					return
				}
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *pipe) swallows() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.swallow
}

// hold waits if answers are slow, and returns how many of n bytes may pass after others have.
func (p *pipe) hold(passed, n int) int {
	p.mu.Lock()
	pause, most := p.pause, p.most
	p.mu.Unlock()
	time.Sleep(pause)
	if most > 0 {
		n = max(0, min(n, most-passed))
	}
	return n
}

func (p *pipe) drops() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.drop
}

// delay has each part of an answer wait.
func (p *pipe) delay(pause time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pause = pause
}

// limit has connections end after some bytes of their answers, or be silent from then on. 0 is no limit.
func (p *pipe) limit(most int, drop bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.most, p.drop = most, drop
}

// end ends all connections.
func (p *pipe) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		conn.Close()
	}
}

// to passes new connections on to another server.
func (p *pipe) to(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// cut swallows what is said, or no more.
func (p *pipe) cut(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swallow = cut
}

// An upstream is the server behind all Envoys, which can go and come back. It allows the
// foreign origin, so that a missing filter shows.
type upstream struct {
	addr   string
	server *http.Server

	mu   sync.Mutex
	away int // how often it has gone and come back, odd while it is away
}

func newUpstream(tb testing.TB) *upstream {
	tb.Helper()
	u := &upstream{addr: "127.0.0.1:0"}
	u.start(tb)
	tb.Cleanup(func() { _ = u.server.Close() }) // cuts all connections
	return u
}

func (u *upstream) start(tb testing.TB) {
	tb.Helper()
	l, err := net.Listen("tcp", u.addr)
	if err != nil {
		tb.Fatal(err)
	}
	u.addr = l.Addr().String()
	u.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Access-Control-Allow-Origin", foreign)
			_, _ = io.WriteString(w, "upstream\n")
		})}
	go func(s *http.Server) { _ = s.Serve(l) }(u.server) // until it is closed
}

func (u *upstream) kill(tb testing.TB) {
	tb.Helper()
	u.count()
	if err := u.server.Close(); err != nil {
		tb.Fatal(err)
	}
}

// back starts it again on the same port.
func (u *upstream) back(tb testing.TB) {
	tb.Helper()
	u.start(tb)
	time.Sleep(100 * time.Millisecond) // Envoy's connections to it
	u.count()
}

func (u *upstream) count() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.away++
}

func (u *upstream) outages() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.away
}
