package database_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// A clock is the time of day of some cors-policyd, which can be set as that of a machine can.
type clock struct {
	binary string // a cors-policyd that goes by it
	file   string // has by how many seconds it is put forward
	ahead  time.Duration
}

// newClock builds a cors-policyd for it: as make build does, but for a source file that takes the place of what Go's
// runtime reads the time by. Nothing else is compiled anew, and what only grows isn't touched.
func newClock(tb testing.TB) *clock {
	tb.Helper()
	root, err := envoytest.Root()
	if err != nil {
		tb.Fatal(err)
	}
	folder := tb.TempDir()
	c := &clock{binary: filepath.Join(folder, "cors-policyd"), file: filepath.Join(folder, "clock")}
	sources, err := filepath.Glob(filepath.Join(root, "e2e/database/testdata/clock/*"))
	if err != nil || len(sources) == 0 {
		tb.Fatalf("the sources are %v, %v", sources, err)
	}
	replace := map[string]string{}
	for _, source := range sources {
		replace[filepath.Join(root, "cmd/cors-policyd", filepath.Base(source))] = source
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		tb.Fatal(err)
	}
	table := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(table, overlay, 0o600); err != nil {
		tb.Fatal(err)
	}
	// Go's linker keeps others from the runtime's own, unless it is told not to.
	build := exec.Command("go", "-C", filepath.Join(root, "cmd/cors-policyd"), "build", "-trimpath", "-buildvcs=false",
		"-overlay", table, "-ldflags=-s -w -checklinkname=0", "-o", c.binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off", "GOEXPERIMENT=", "GOAMD64=v1",
		"GOARM64=v8.0")
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("%s: %v\n%s", build, err, out)
	}
	c.jump(tb, 0)
	return c
}

// jump sets it, all at once: to so much ahead of the machine's.
func (c *clock) jump(tb testing.TB, ahead time.Duration) {
	tb.Helper()
	c.ahead = ahead
	file, err := os.OpenFile(c.file, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	seconds := binary.NativeEndian.AppendUint64(nil, uint64(ahead/time.Second))
	if _, err := file.WriteAt(seconds, 0); err != nil {
		tb.Fatal(err)
	}
}

// rules has a cors-policyd go by it, from its next start on.
func (c *clock) rules(p *policyd) { p.binary, p.limits = c.binary, "export CLOCK='"+c.file+"'" }

var loggedAt = regexp.MustCompile(`(?m)^time=(\S+) .* msg="a new document"`)

// tells waits until a document's line in the log has the time of day as it is now.
func (c *clock) tells(tb testing.TB, p *policyd) {
	tb.Helper()
	envoytest.Eventually(tb, fleet.Recovery, "a line of the log with the time of day", func() bool {
		lines := loggedAt.FindAllStringSubmatch(p.log.String(), -1)
		if len(lines) == 0 {
			return false
		}
		at, err := time.Parse(time.RFC3339, lines[len(lines)-1][1])
		if err != nil {
			tb.Fatal(err)
		}
		return time.Since(at.Add(-c.ahead)).Abs() < 2*fleet.Recovery
	})
}

// day and decade are how far a clock jumps: as one that is set, and as one that has forgotten what year it is.
const day, decade = 24 * time.Hour, 3653 * 24 * time.Hour

// TestClockJumps: the time of day jumps, forth and back, while clients wait, a look-up takes too long, and rows change.
// What waits is answered when it would have been, a change is served at once, what hasn't changed keeps its tag, no
// connection ends, the log goes on. Certificates are valid or not by the time of day that is there.
func TestClockJumps(t *testing.T) {
	t.Parallel() // it waits, most of the time
	c := newClock(t)
	s := newPostgreSQL(t)
	s.table(t, "tenant_origins", "origin VARCHAR(255) NOT NULL")
	s.exec(t, "INSERT INTO tenant_origins VALUES (?)", app)
	address, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	database := newPipe(t, address.Host)
	address.Host = database.addr
	state := filepath.Join(t.TempDir(), "state")
	p := configured(t, address.String(), s.fields+"state: "+state+"\n"+tenants())
	p.edit(t, "lookups: {", "lookups: {endless: SELECT 1 FROM pg_sleep(60), ")
	p.edit(t, "timeout: 1s", "timeout: 3s") // is enough on a busy machine
	c.rules(p)
	p.start(t)
	p.has(t, app)

	// By its certificate, another one knows its clients.
	a := newAuthority(t)
	a.issue(t, "server", time.Hour)
	other := newSQLite(t)
	other.table(t, "tenant_origins", "origin VARCHAR(255) NOT NULL")
	secure := configured(t, other.url, other.fields+tenants())
	secure.secure(t, a, true)
	c.rules(secure)
	secure.start(t)

	here := newCrowd(t, p, 1).clients[0]
	envoys := subscribe(t, p, 2)
	// change makes a change, has another thing happen at once, and waits until all have the change.
	n := 0
	change := func(another func()) {
		t.Helper()
		n++
		pushed(t, envoys, func() {
			s.exec(t, "INSERT INTO tenant_origins VALUES (?)", tenant(n))
			another()
			p.has(t, tenant(n))
		})
	}
	for _, ahead := range []time.Duration{day, -day, decade, -decade} {
		before := p.must(t, "/v1/policies")
		here.etag = before.Header.Get("ETag")
		here.ask(300)
		waits := p.begin(time.Second, http.StatusNotModified, "/v1/policies", "If-None-Match: "+here.etag, "Prefer: wait=1")
		slow := p.begin(3*time.Second, http.StatusServiceUnavailable, "/v1/lookup?policy=endless&origin="+app)
		envoytest.Eventually(t, fleet.Recovery, "both to wait", func() bool {
			return p.metric(t, "cors_policyd_waiting_clients") == 2 || len(waits) > 0 // has waited, on a busy machine
		})
		c.jump(t, ahead)

		if now := p.must(t, "/v1/policies"); now.Header.Get("ETag") != here.etag || now.text != before.text {
			t.Errorf("%s ahead: it serves %s %s, and had %s", ahead, now.Header.Get("ETag"), now.text, here.etag)
		} else if now.Close {
			t.Errorf("%s ahead: a connection ends as if it were old", ahead)
		}
		for origin, status := range map[string]int{app: http.StatusNoContent, foreign: http.StatusNotFound} {
			// On a busy machine the database may take longer than it has.
			envoytest.Eventually(t, fleet.Recovery, "a look-up of "+origin, func() bool {
				return p.must(t, "/v1/lookup?policy=tenants&origin="+origin).StatusCode == status
			})
		}
		// None ends before its time, nor ever so much later.
		for what, ended := range map[string]chan error{"who waits for a second": waits, "a look-up without end": slow} {
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("%s ahead: %s %v", ahead, what, err)
				}
			case <-time.After(fleet.Recovery):
				t.Fatalf("%s ahead: %s isn't answered", ahead, what)
			}
		}
		change(func() {})
		_ = here.conn.SetReadDeadline(time.Now().Add(fleet.Recovery))
		if here.answer(); here.err != nil {
			t.Fatalf("%s ahead: who waits for a change: %v", ahead, here.err)
		}
		c.tells(t, p)
		if _, err := secure.get("/healthz"); err == nil {
			t.Errorf("%s ahead: who has a certificate that is valid now gets in", ahead)
		}

		// It jumps back while the queries run.
		database.delay(40 * time.Millisecond)
		change(func() {
			time.Sleep(100 * time.Millisecond)
			c.jump(t, 0)
			database.delay(0)
		})
		change(func() {})
		if _, err := secure.get("/healthz"); err != nil {
			t.Errorf("after %s: %v", ahead, err)
		}
	}
	for _, p := range []*policyd{p, secure} {
		if log := p.log.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "panic") {
			t.Error("there are errors in the log")
		}
	}

	// A state is taken that comes from the future.
	before := p.must(t, "/v1/policies")
	envoytest.Eventually(t, fleet.Recovery, "the state", func() bool {
		text, err := os.ReadFile(state)
		return err == nil && strings.Contains(string(text), tenant(n))
	})
	p.kill()
	c.jump(t, -decade)
	if err := os.Chtimes(state, time.Time{}, time.Now().Add(decade)); err != nil {
		t.Fatal(err)
	}
	database.cut(true)
	p.start(t)
	if a := p.must(t, "/v1/policies"); a.text != before.text || before.text == "" {
		t.Errorf("after a restart it serves %s, and had %s", a.text, before.text)
	}
	database.cut(false)
	s.exec(t, "INSERT INTO tenant_origins VALUES (?)", tenant(n+1))
	p.has(t, tenant(n+1))
}

// begin asks for a path that isn't answered before some time, and returns what tells if it was, or otherwise than so.
func (p *policyd) begin(least time.Duration, status int, path string, headers ...string) chan error {
	ended := make(chan error, 1)
	began := time.Now()
	go func() {
		a, err := p.get(path, headers...)
		if took := time.Since(began); err == nil && (a.StatusCode != status || took < least) {
			err = fmt.Errorf("gets %s %s after %s", a.Status, a.text, took)
		}
		ended <- err
	}()
	return ended
}
