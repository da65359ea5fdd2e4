package database_test

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// A patientStore is a database that cors-policyd reaches through a pipe.
type patientStore struct {
	*store
	pipe    *pipe
	policyd *policyd
}

// A trouble is one that a database has.
type trouble struct {
	name  string
	store string // "" is each
	// begin makes the trouble and adds an origin, and returns what ends it. A nil one leaves it.
	begin func(t *testing.T, s *patientStore, origin string) (end func())
	fails bool // the queries, so that what was there serves
}

func (s *patientStore) add(tb testing.TB, origin string) {
	tb.Helper()
	s.exec(tb, "INSERT INTO tenant_origins VALUES (?)", origin)
}

// midst is in the midst of the rows, which are some 30 bytes each, behind what a connection begins with.
const midst = 8000

var troubles = []trouble{
	{name: "each answer is slow", begin: func(t *testing.T, s *patientStore, origin string) func() {
		t.Helper()
		s.pipe.delay(20 * time.Millisecond)
		s.add(t, origin)
		return func() { s.pipe.delay(0) }
	}},
	{name: "silent in the midst of rows", fails: true, begin: func(
		t *testing.T, s *patientStore, origin string,
	) func() {
		t.Helper()
		s.pipe.limit(midst, false)
		s.add(t, origin)
		return func() {
			s.pipe.limit(0, false)
			// Which waits for no lock that nobody will ever give back.
			s.exec(t, "ALTER TABLE tenant_origins ADD COLUMN later INT")
			s.exec(t, "ALTER TABLE tenant_origins DROP COLUMN later")
		}
	}},
	{name: "ends in the midst of rows", fails: true, begin: func(t *testing.T, s *patientStore, origin string) func() {
		t.Helper()
		s.pipe.limit(midst, true)
		s.add(t, origin)
		return func() { s.pipe.limit(0, true) }
	}},
	{name: "the table is locked", fails: true, begin: func(t *testing.T, s *patientStore, origin string) func() {
		t.Helper()
		lock, unlock := []string{"BEGIN", "LOCK TABLE tenant_origins IN ACCESS EXCLUSIVE MODE"}, "COMMIT"
		if !s.numbered {
			lock, unlock = []string{"LOCK TABLES tenant_origins WRITE"}, "UNLOCK TABLES"
		}
		conn, err := s.Conn(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		run := func(text string) {
			t.Helper()
			if _, err := conn.ExecContext(context.Background(), text); err != nil {
				t.Fatal(err)
			}
		}
		for _, text := range append(lock, "INSERT INTO tenant_origins VALUES ('"+origin+"')") {
			run(text)
		}
		return func() { run(unlock); _ = conn.Close() }
	}},
	{name: "look-ups take what connections there are", begin: func(
		t *testing.T, s *patientStore, origin string,
	) func() {
		t.Helper()
		var asking sync.WaitGroup
		for range 100 {
			asking.Go(func() {
				if a, err := s.policyd.get("/v1/lookup?policy=endless&origin=x"); err != nil ||
					a.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("an endless look-up: %v %v", a.Response, err)
				}
			})
		}
		s.add(t, origin)
		return asking.Wait
	}},
	{name: "it takes no more connections", store: "PostgreSQL", fails: true,
		begin: func(t *testing.T, s *patientStore, origin string) func() {
			t.Helper()
			s.exec(t, "ALTER ROLE cors CONNECTION LIMIT 0")
			s.pipe.end()
			s.add(t, origin)
			return func() { s.exec(t, "ALTER ROLE cors CONNECTION LIMIT -1") }
		}},
	{name: "it only reads", store: "PostgreSQL", begin: func(t *testing.T, s *patientStore, origin string) func() {
		t.Helper()
		s.exec(t, "ALTER ROLE cors SET default_transaction_read_only = on")
		s.pipe.end()
		s.add(t, origin)
		return nil
	}},
	{name: "it tells nothing", store: "PostgreSQL", begin: func(t *testing.T, s *patientStore, origin string) func() {
		t.Helper()
		s.exec(t, "ALTER TABLE tenant_origins DISABLE TRIGGER tell")
		s.add(t, origin)
		return func() { s.exec(t, "ALTER TABLE tenant_origins ENABLE TRIGGER tell") }
	}},
	{name: "another server takes its place", store: "PostgreSQL", begin: func(t *testing.T, s *patientStore, origin string) func() {
		t.Helper()
		other := newPostgreSQL(t)
		other.tenants(t)
		other.exec(t, "INSERT INTO tenant_origins VALUES (?)", origin)
		address, err := url.Parse(other.url)
		if err != nil {
			t.Fatal(err)
		}
		s.pipe.to(address.Host)
		s.server.Kill()
		s.pipe.end()
		return nil
	}},
}

// tenants makes the table, with rows of some length, and a role for cors-policyd where there are troubles of it.
func (s *store) tenants(tb testing.TB) {
	tb.Helper()
	s.table(tb, "tenant_origins", "origin VARCHAR(255) NOT NULL")
	s.fill(tb, 1000)
	if s.numbered {
		s.exec(tb, "CREATE ROLE cors LOGIN")
		s.exec(tb, "GRANT SELECT ON tenant_origins TO cors")
	}
}

// TestTroubles: a database that is slow, silent, locked, full, or another one. While its queries fail, what was
// there is served whole, look-ups are answered, and it is ready; a change is served as soon as it can be read.
func TestTroubles(t *testing.T) {
	for _, kind := range stores[1:] {
		t.Run(kind.name, func(t *testing.T) {
			s := &patientStore{store: kind.make(t)}
			s.tenants(t)
			address, err := url.Parse(s.url)
			if err != nil {
				t.Fatal(err)
			}
			s.pipe = newPipe(t, address.Host)
			address.Host = s.pipe.addr
			sleep := "SLEEP(60)"
			if s.numbered {
				address.User, sleep = url.User("cors"), "1 FROM pg_sleep(60)"
			}
			fields := "poll: 300ms\nlimits: {connections: 4}\n"
			if s.numbered {
				fields += "notify: cors_origins\n"
			}
			s.policyd = configured(t, address.String(), fields+tenants())
			s.policyd.edit(t, "lookups: {", "lookups: {endless: SELECT "+sleep+", ")
			s.policyd.start(t)
			s.policyd.has(t, "https://t000999.example")
			for i, trouble := range troubles {
				if trouble.store != "" && trouble.store != kind.name {
					continue
				}
				t.Run(trouble.name, func(t *testing.T) { s.bear(t, trouble, tenant(i)) })
			}
		})
	}
}

// bear bears a trouble.
func (s *patientStore) bear(t *testing.T, trouble trouble, origin string) {
	t.Helper()
	before := s.policyd.must(t, "/v1/policies")
	failures := s.policyd.metric(t, `cors_policyd_refreshes_total{result="failed"}`)
	end := trouble.begin(t, s, origin)
	if trouble.fails {
		envoytest.Eventually(t, fleet.Recovery, "the queries to fail twice", func() bool {
			return s.policyd.metric(t, `cors_policyd_refreshes_total{result="failed"}`) >= failures+2
		})
		if now := s.policyd.must(t, "/v1/policies"); now.text != before.text {
			t.Errorf("meanwhile it serves %s", now.text)
		}
		if a := s.policyd.must(t, "/v1/lookup?policy=tenants&origin="+app); a.StatusCode != http.StatusNotFound &&
			a.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("a look-up: %s", a.Status)
		}
		if a := s.policyd.must(t, "/readyz"); a.StatusCode != http.StatusOK {
			t.Errorf("it isn't ready: %s", a.text)
		}
		end()
		s.policyd.has(t, origin)
		return
	}
	s.policyd.has(t, origin)
	if now := s.policyd.must(t, "/v1/policies"); strings.Count(now.text, "https://t0") != 1000 {
		t.Errorf("it serves %s", now.text)
	}
	if end != nil {
		end()
	}
}

// edit replaces a text of the configuration, which is read at the next start.
func (p *policyd) edit(tb testing.TB, old, text string) {
	tb.Helper()
	config, err := os.ReadFile(p.config)
	if err != nil || !strings.Contains(string(config), old) {
		tb.Fatalf("the configuration has no %q: %s, %v", old, config, err)
	}
	if err := os.WriteFile(p.config, []byte(strings.Replace(string(config), old, text, 1)), 0o600); err != nil {
		tb.Fatal(err)
	}
}
