package database

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// newFile returns a database of SQLite with a table.
func newFile(t *testing.T, o Options, statements ...string) *DB {
	t.Helper()
	o.URL = "sqlite:" + filepath.Join(t.TempDir(), "o.db")
	pool, err := sql.Open("sqlite", strings.TrimPrefix(o.URL, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pool.Close() }()
	for _, text := range statements {
		if _, err := pool.Exec(text); err != nil {
			t.Fatal(err)
		}
	}
	db, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// TestURL: what is wrong with a URL is said without its password, and without what may be a part
// of it.
func TestURL(t *testing.T) {
	for _, url := range []string{
		"mysql://u:sec%ret@h/d", "mysql://u:sec/ret@h/d", "mysql://u:secret@h:port/d", "mysql://u:secret@h/d?tls=none",
		"mysql://u:secret@h/d?timeout=soon",
		"postgres://u:sec%ret@h/d", "postgres://u:sec/ret@h/d", "postgres://u:secret@h:port/d", "postgres://u:sec#ret@h/d",
		"postgres://u:secret@h/d?sslmode=none", "oracle://u:secret@h/d",
	} {
		db, err := Open(Options{URL: url, Timeout: time.Second, Connections: 1})
		if err == nil {
			_ = db.Close()
			t.Errorf("%s is taken", url)
		} else if strings.Contains(err.Error(), "sec") || strings.Contains(err.Error(), "ret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestServerName: a certificate of MySQL has to be for the host that the URL has.
func TestServerName(t *testing.T) {
	u, err := url.Parse("mysql://u@db.example/d?tls=true")
	if err != nil {
		t.Fatal(err)
	}
	m, err := newMySQL(u, Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if name := m.config.TLS.ServerName; name != "db.example" {
		t.Errorf("it has to be for %s", name)
	}
}

// TestAllows: a look-up's row says yes, unless its first column is NULL, false, 0 or empty: who
// selects a flag or counts doesn't mean everybody.
func TestAllows(t *testing.T) {
	db := newFile(t, Options{Timeout: 10 * time.Second, Connections: 2},
		"CREATE TABLE o (origin TEXT, verified)", "INSERT INTO o VALUES ('a', 1), ('b', 0), ('c', NULL), ('d', 0), ('d', 1)")
	for query, allowed := range map[string]string{
		"SELECT 1 FROM o WHERE origin = :origin":                    "abcd",
		"SELECT verified FROM o WHERE origin = :origin":             "ad",
		"SELECT verified, origin FROM o WHERE origin = :origin":     "ad",
		"SELECT count(*) FROM o WHERE origin = :origin":             "abcd",
		"SELECT EXISTS (SELECT 1 FROM o WHERE origin = :origin)":    "abcd",
		"SELECT origin FROM o WHERE origin = :origin":               "abcd",
		"SELECT '' FROM o WHERE origin = :origin":                   "",
		"SELECT CAST(verified AS TEXT) FROM o WHERE origin=:origin": "ad",
		"SELECT x'00' FROM o WHERE origin = :origin":                "",
		"SELECT 0.0 FROM o WHERE origin = :origin":                  "",
		"SELECT 0.5 FROM o WHERE origin = :origin":                  "abcd",
	} {
		for _, origin := range []string{"a", "b", "c", "d", "e"} {
			got, err := db.Allows(context.Background(), query, map[string]string{"origin": origin})
			if err != nil || got != strings.Contains(allowed, origin) {
				t.Errorf("%s with %s: %v %v", query, origin, got, err)
			}
		}
	}
}

// endless is a query that ends by its time-out only.
const endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT 1 FROM n WHERE i < 0"

// TestReserved: look-ups that take long leave a connection to who reads documents.
func TestReserved(t *testing.T) {
	db := newFile(t, Options{Timeout: 3 * time.Second, Connections: 2}, "CREATE TABLE o (origin TEXT)")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	const clients = 6
	for range clients {
		go func() {
			_, err := db.Allows(ctx, endless, nil)
			ended <- err
		}()
	}
	time.Sleep(200 * time.Millisecond)
	began := time.Now()
	err := db.Read(context.Background(), func(ctx context.Context, tx *Tx) error {
		columns, each := func([]string) error { return nil }, func([]any) error { return nil }
		return tx.Query(ctx, "SELECT origin FROM o", nil, columns, each)
	})
	if took := time.Since(began); err != nil || took > time.Second {
		t.Errorf("%v after %s", err, took)
	}
	cancel()
	for range clients {
		if err := <-ended; err == nil {
			t.Error("an endless query has an answer")
		}
	}
}

// TestYes: what a database returns for yes and for no, as a number, a flag, a text or a byte.
func TestYes(t *testing.T) {
	for _, test := range []struct {
		value any
		want  bool
	}{
		{nil, false}, {false, false}, {true, true}, {int64(0), false}, {int64(1), true}, {int64(-1), true},
		{"", false}, {"0", false}, {"1", true}, {[]byte{}, false}, {[]byte("0"), false}, {[]byte("1"), true},
		{[]byte("\x00"), false}, {[]byte("\x01"), true}, {[]byte("00"), true},
	} {
		if got := yes(test.value); got != test.want {
			t.Errorf("%#v: %t, want %t", test.value, got, test.want)
		}
	}
}

// TestTable: rows are added to the table of origins and removed from it, each once; the first ones make it.
func TestTable(t *testing.T) {
	db := newFile(t, Options{Timeout: 10 * time.Second, Connections: 2}, "CREATE TABLE o (origin TEXT)")
	ctx := context.Background()
	a, b, c := Origin{"p", "https://a.example"}, Origin{"p", "https://b.example"}, Origin{"q", "https://c.example"}
	n, err := db.Remove(ctx, []Origin{a})
	if n != 0 || err == nil || !strings.Contains(err.Error(), "which adding an origin makes") {
		t.Errorf("without the table: %d, %v", n, err)
	}
	for i, step := range []struct {
		change func(context.Context, []Origin) (int, error)
		rows   []Origin
		want   int
		list   string // of p
	}{
		{db.Add, []Origin{b, a, c}, 3, "https://a.example https://b.example"}, {db.Add, []Origin{a, b}, 0, "https://a.example https://b.example"},
		{db.Remove, []Origin{a, c, {"p", "https://c.example"}}, 2, "https://b.example"}, {db.Add, []Origin{a, b}, 1, "https://a.example https://b.example"},
	} {
		n, err := step.change(ctx, step.rows)
		if n != step.want || err != nil {
			t.Errorf("step %d: %d rows, %v", i, n, err)
		}
		var list []string
		err = db.List(ctx, "p", func(origin string) error { list = append(list, origin); return nil })
		if got := strings.Join(list, " "); got != step.list || err != nil {
			t.Errorf("step %d: the list is %s, %v", i, got, err)
		}
	}
	if err := db.MakeTable(ctx); err != nil {
		t.Errorf("a table that is there: %v", err)
	}
}

// TestWrongTable: a table of the same name that has other columns is left alone, and nothing is half done.
func TestWrongTable(t *testing.T) {
	db := newFile(t, Options{Timeout: 10 * time.Second, Connections: 2},
		"CREATE TABLE cors_origins (policy TEXT, origin, CHECK (origin <> 'https://no.example'))",
		"INSERT INTO cors_origins VALUES ('p', 'https://a.example'), ('number', 7)")
	ctx := context.Background()
	rows := []Origin{{"p", "https://b.example"}, {"p", "https://no.example"}}
	if _, err := db.Add(ctx, rows); err == nil || !strings.Contains(err.Error(), "CHECK") {
		t.Errorf("an origin that the table doesn't take: %v", err)
	}
	var list []string
	err := db.List(ctx, "p", func(origin string) error { list = append(list, origin); return nil })
	if err != nil || len(list) != 1 {
		t.Errorf("%v %v", list, err)
	}
	if err := db.List(ctx, "number", func(string) error { return nil }); err == nil {
		t.Error("a number is an origin")
	}
	url := "sqlite:" + filepath.Join(t.TempDir(), "no", "o.db")
	gone, err := Open(Options{URL: url, Timeout: time.Second, Connections: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = gone.Close() }()
	if err := gone.MakeTable(ctx); err == nil {
		t.Error("there is a table in a folder that isn't there")
	}
}

// TestTime: a read that takes too long says so.
func TestTime(t *testing.T) {
	db := newFile(t, Options{Timeout: 100 * time.Millisecond, Connections: 2}, "CREATE TABLE o (origin TEXT)")
	err := db.Read(context.Background(), func(ctx context.Context, tx *Tx) error {
		return tx.Query(ctx, endless, nil, func([]string) error { return nil }, func([]any) error { return nil })
	})
	if err == nil || !strings.Contains(err.Error(), "has not answered within 100ms") {
		t.Error(err)
	}
}

// TestWatch: what was there before is a change once, and each commit is one.
func TestWatch(t *testing.T) {
	db := newFile(t, Options{Timeout: 10 * time.Second, Connections: 2}, "CREATE TABLE cors_origins (policy, origin)")
	ctx, cancel := context.WithCancel(context.Background())
	changes, ended := make(chan struct{}, 1000), make(chan struct{})
	go func() {
		defer close(ended)
		db.Watch(ctx, "", func() { changes <- struct{}{} }, func(err error) { t.Error(err) })
	}()
	for _, origin := range []string{"", "a", "b"} {
		if origin != "" {
			if _, err := db.Add(ctx, []Origin{{"p", origin}}); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case <-changes:
		case <-time.After(20 * time.Second):
			t.Fatalf("no change by %q", origin)
		}
		time.Sleep(10 * watchInterval)
		if n := len(changes); n > 0 {
			t.Fatalf("%d more changes after %q", n, origin)
		}
	}
	cancel()
	<-ended
}

// TestUnwatched: a database that can't tell of changes isn't watched, which is no failure; and one that can't be
// watched is tried less and less often.
func TestUnwatched(t *testing.T) {
	for url, most := range map[string]int{
		"mysql://u@127.0.0.1:1/d": 0, "postgres://u@127.0.0.1:1/d": 0, "sqlite:" + filepath.Join(t.TempDir(), "gone.db"): 5,
	} {
		db, err := Open(Options{URL: url, Timeout: time.Second, Connections: 1})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		failures := 0
		db.Watch(ctx, "", func() { t.Errorf("%s has changed", url) }, func(error) { failures++ })
		if failures > most || failures == 0 && most > 0 {
			t.Errorf("%s: %d failures", url, failures)
		}
		cancel()
		_ = db.Close()
	}
}

// A fakeListening is a connection whose notifications come after it was idle for some intervals, and that is cut off
// after some.
type fakeListening struct {
	idle, alive, pings int
	fails              error
}

func (f *fakeListening) WaitForNotification(ctx context.Context) (*pgconn.Notification, error) {
	if f.pings < f.idle {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &pgconn.Notification{}, f.fails
}

func (f *fakeListening) Ping(context.Context) error {
	if f.pings++; f.pings > f.alive {
		return errCutOff
	}
	return nil
}

var errCutOff = errors.New("cut off")

// TestWaitFor: a connection that is idle is asked whether it is there, and waits on if it is.
func TestWaitFor(t *testing.T) {
	for name, test := range map[string]struct {
		conn  fakeListening
		want  error
		pings int
	}{
		"news at once":           {fakeListening{}, nil, 0},
		"news later":             {fakeListening{idle: 2, alive: 2}, nil, 2},
		"cut off without a word": {fakeListening{idle: 3, alive: 2}, errCutOff, 3},
		"cut off":                {fakeListening{fails: errCutOff}, errCutOff, 0},
	} {
		err := waitFor(context.Background(), &test.conn, time.Millisecond)
		if !errors.Is(err, test.want) || test.conn.pings != test.pings {
			t.Errorf("%s: %v after %d pings", name, err, test.conn.pings)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	conn := &fakeListening{idle: 1}
	if err := waitFor(ctx, conn, time.Hour); !errors.Is(err, context.Canceled) || conn.pings > 0 {
		t.Errorf("at the end: %v after %d pings", err, conn.pings)
	}
}

// TestConnectTimeout: a server is waited for as long as a statement may take, unless the URL says otherwise.
func TestConnectTimeout(t *testing.T) {
	for url, want := range map[string]time.Duration{"postgres://u@h/d": 7 * time.Second, "postgres://u@h/d?connect_timeout=3": 3 * time.Second} {
		p, err := newPostgres(Options{URL: url, Timeout: 7 * time.Second})
		if err != nil || p.config.ConnectTimeout != want {
			t.Errorf("%s: %v %v", url, p.config.ConnectTimeout, err)
		}
	}
}
