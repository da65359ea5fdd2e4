package daemon

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql" // the tests' own connections
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/database"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/dbtest"
)

// TestServers: the same on PostgreSQL and on MariaDB: rows, look-ups, the table of origins, the
// database killed and started again, and nothing is ever written by a query.
func TestServers(t *testing.T) {
	for name, test := range map[string]struct {
		server func(tb testing.TB) *dbtest.Server
		make   []string // beside the tables
		change []string // what follows a change
		poll   string
		write  string
		bounds string // whether a connection has those that the server keeps
	}{
		"PostgreSQL": {
			server: dbtest.PostgreSQL, poll: "poll: 1h\nnotify: Cors-Origins\n", make: []string{
				`CREATE FUNCTION tell() RETURNS trigger AS $$ BEGIN NOTIFY "Cors-Origins"; RETURN NULL; END $$ LANGUAGE plpgsql`,
				`CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON tenant_origins EXECUTE FUNCTION tell()`,
			}, write: "DELETE FROM tenant_origins RETURNING origin",
			bounds: "current_setting('idle_in_transaction_session_timeout') = '20s' AND " +
				"current_setting('statement_timeout') = '10s'",
		},
		"MariaDB": {
			server: dbtest.MariaDB, poll: "poll: 100ms\n", write: "DELETE FROM tenant_origins RETURNING origin",
			bounds: "@@idle_transaction_timeout = 20 AND @@wait_timeout = 600 AND @@max_statement_time = 10",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := test.server(t)
			pool := s.Start(t)
			exec(t, pool, "CREATE TABLE tenant_origins (origin VARCHAR(400), verified BOOLEAN NOT NULL)")
			for _, text := range test.make {
				exec(t, pool, text)
			}
			insert := func(origin string) {
				t.Helper()
				exec(t, pool, "INSERT INTO tenant_origins VALUES ('"+origin+"', true)")
			}
			for _, origin := range []string{"https://a.example", "https://bad.example/", "https://*.wild.example"} {
				insert(origin)
			}
			exec(t, pool, "INSERT INTO tenant_origins VALUES (NULL, true), ('https://no.example', false)")
			text := "database: " + s.URL + "\n" + test.poll + `
policies:
- name: tenants
  match: {hosts: [api.example.com]}
  allow_credentials: true
  allow_origins: [{query: SELECT origin FROM tenant_origins WHERE verified}]
- name: own
  match: {hosts: [own.example.com]}
  allow_origins: [{table: true}]
lookups: {tenants: "SELECT 1 FROM tenant_origins WHERE origin = :origin AND verified AND :host <> '' AND origin = :origin"}
`
			d := start(t, text)
			first := d.until(t, "https://a.example")
			if want := `"allow_origins":["https://*.wild.example","https://a.example"]`; !strings.Contains(first.text, want) {
				t.Errorf("%s lacks %s", first.text, want)
			}
			if n := d.get(t, "/v1/rejected").text; !strings.Contains(n, `"total":2`) {
				t.Error(n)
			}
			lookups := func(d *daemon) {
				t.Helper()
				for origin, status := range map[string]int{
					"https://a.example": 204, "https://no.example": 404, "'%20OR%20''='": 404, "%5C'%20OR%201=1%20--%20": 404, "https://A.example%00": 404,
				} {
					if a := d.get(t, "/v1/lookup?policy=tenants&host=api.example.com&origin="+origin); a.StatusCode != status {
						t.Errorf("%s: %s", origin, a.Status)
					}
				}
			}
			lookups(d)
			// Each change is there soon.
			etag := first.Header.Get("ETag")
			var times []time.Duration
			for i := range 20 {
				done := make(chan answer)
				go func() { done <- d.get(t, "/v1/policies", "If-None-Match", etag, "Prefer", "wait=20") }()
				time.Sleep(20 * time.Millisecond)
				began := time.Now()
				origin := fmt.Sprintf("https://t%d.example", i)
				insert(origin)
				a := <-done
				times = append(times, time.Since(began))
				if !strings.Contains(a.text, origin) {
					t.Fatalf("%s %s", a.Status, a.text)
				}
				etag = a.Header.Get("ETag")
			}
			slices.Sort(times)
			t.Logf("from the statement to the answer: median %s, worst %s", times[len(times)/2], times[len(times)-1])
			// Nothing is lost while the database is away, and all is well when it is back.
			s.Kill()
			time.Sleep(300 * time.Millisecond)
			if a := d.get(t, "/v1/policies"); a.Header.Get("ETag") != etag {
				t.Errorf("without the database: %s %s", a.Status, a.text)
			}
			if a := d.get(t, "/v1/lookup?policy=tenants&host=x&origin=https://a.example"); a.StatusCode != 503 {
				t.Errorf("a look-up without the database: %s", a.Status)
			}
			pool = s.Start(t)
			insert("https://back.example")
			d.until(t, "https://back.example")
			lookups(d)
			// Nor is a change lost that comes while nobody listens.
			if s.Driver == "pgx" {
				exec(t, pool, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LIS' || 'TEN%'")
				insert("https://unheard.example")
				d.until(t, "https://unheard.example")
			}
			// A query can't write.
			writing := start(t, "database: "+s.URL+"\npolicies: [{name: a, allow_origins: [{query: "+test.write+"}]}]\n"+
				"lookups: {a: "+test.write+", bounds: \"SELECT "+test.bounds+"\"}\n")
			writing.says(t, "can't be built")
			said := strings.ReplaceAll(strings.ToLower(writing.log.String()), "read only", "read-only")
			if !strings.Contains(said, "read-only") {
				t.Errorf("a query that writes: %s", said)
			}
			// Nor can a look-up.
			if a := writing.get(t, "/v1/lookup?policy=a&origin=x"); a.StatusCode != 503 {
				t.Errorf("a look-up that writes: %s", a.Status)
			}
			lookups(d)
			if a := writing.get(t, "/v1/lookup?policy=bounds&origin=x"); a.StatusCode != 204 {
				t.Errorf("a connection hasn't the bounds %s: %s", test.bounds, a.Status)
			}
			// Nor can it take for ever.
			slow := start(t, "database: "+s.URL+"\ntimeout: 300ms\nlookups: {a: SELECT "+
				map[string]string{"pgx": "pg_sleep(30)", "mysql": "SLEEP(30)"}[s.Driver]+"}\n")
			began := time.Now()
			a, took := slow.get(t, "/v1/lookup?policy=a&origin=x"), time.Since(began)
			if a.StatusCode != 503 || took > 5*time.Second {
				t.Errorf("a slow look-up: %s after %s", a.Status, took)
			}
			// Nor does the server go on with it.
			for began := time.Now(); running(t, pool, s.Driver) > 0; time.Sleep(20 * time.Millisecond) {
				if time.Since(began) > 3*time.Second {
					t.Fatal("the server still runs the slow query")
				}
			}
			// A statement that was prepared is prepared again when its table has changed.
			whole := start(t, "database: "+s.URL+"\nlookups: {a: SELECT * FROM tenant_origins WHERE origin = :origin}\n")
			again := "/v1/lookup?policy=a&origin=https://a.example"
			if a := whole.get(t, again); a.StatusCode != 204 {
				t.Errorf("a look-up: %s", a.Status)
			}
			exec(t, pool, "ALTER TABLE tenant_origins ADD COLUMN more INTEGER")
			_ = whole.get(t, again) // may fail
			if a := whole.get(t, again); a.StatusCode != 204 {
				t.Errorf("a look-up after a change of the table: %s", a.Status)
			}
			table(t, d, pool)
		})
	}
}

// running is how many slow queries the server runs.
func running(t *testing.T, pool *sql.DB, driver string) (n int) {
	t.Helper()
	query := map[string]string{
		"pgx":   "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sle' || 'ep%'",
		"mysql": "SELECT count(*) FROM information_schema.processlist WHERE info LIKE CONCAT('%SLE', 'EP%')",
	}[driver]
	if err := pool.QueryRow(query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func originsOf(policy string, origins ...string) (rows []database.Origin) {
	for _, o := range origins {
		rows = append(rows, database.Origin{Policy: policy, Origin: o})
	}
	return rows
}

// table adds to the table of origins and removes from it.
func table(t *testing.T, d *daemon, pool *sql.DB) {
	t.Helper()
	rows := []string{"https://own.example", "https://OTHER.example"}
	for i := range 2 {
		n, err := d.db.Add(context.Background(), originsOf("own", rows...))
		if want := []int{2, 0}[i]; err != nil || n != want {
			t.Errorf("adding for the %d. time: %d, %v", i, n, err)
		}
	}
	var created time.Time
	var text string
	if err := pool.QueryRow("SELECT created_at FROM cors_origins WHERE origin = 'https://own.example'").Scan(&text); err != nil {
		t.Error(err)
	}
	for _, layout := range []string{time.RFC3339, time.DateTime} {
		if at, err := time.Parse(layout, text); err == nil {
			created = at
		}
	}
	if created.IsZero() {
		t.Errorf("created at %q", text)
	}
	var list []string
	err := d.db.List(context.Background(), "own", func(origin string) error { list = append(list, origin); return nil })
	if err != nil || len(list) != 2 {
		t.Errorf("%v, %v", list, err)
	}
	if n, err := d.db.Remove(context.Background(), originsOf("own", "https://own.example", "https://other.example")); n != 1 || err != nil {
		t.Errorf("removed %d, %v", n, err)
	}
}

// TestSilence: a server that takes connections and never says a word holds nothing up.
func TestSilence(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for _, scheme := range []string{"postgres", "mysql"} {
		d := start(t, "database: "+scheme+"://u:secret@"+l.Addr().String()+"/x\ntimeout: 300ms\n"+tenants)
		if a := d.get(t, "/v1/policies"); a.StatusCode != 503 {
			t.Errorf("%s: %s", scheme, a.Status)
		}
		began := time.Now()
		a, took := d.get(t, "/v1/lookup?policy=tenants&origin=x"), time.Since(began)
		if a.StatusCode != 503 || took > 3*time.Second {
			t.Errorf("%s: a look-up: %s after %s", scheme, a.Status, took)
		}
		d.says(t, "can't be built")
		d.stop()
		if said := d.log.String(); strings.Contains(said, "secret") {
			t.Errorf("%s: %s", scheme, said)
		}
	}
}
