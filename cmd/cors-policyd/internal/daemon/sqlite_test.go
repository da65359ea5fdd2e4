package daemon

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pathOf is the file of a database's URL.
func pathOf(database string) string {
	return strings.TrimSpace(strings.TrimPrefix(database, "database: sqlite:"))
}

// TestRemoved: a file that comes after another was removed is noticed, for look-ups too.
func TestRemoved(t *testing.T) {
	database, pool := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)")
	path := pathOf(database)
	d := start(t, database+"poll: 100ms\n"+tenants)
	d.until(t, "https://app")
	_ = pool.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	_, next := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)",
		"INSERT INTO tenant_origins VALUES ('https://new.example', 1)", "VACUUM INTO '"+path+"'")
	_ = next.Close()
	d.until(t, "https://new.example")
	if a := d.get(t, "/v1/lookup?policy=tenants&origin=https://new.example"); a.StatusCode != 204 {
		t.Errorf("a look-up in the new file: %s", a.Status)
	}
}

// TestCrashed: what a program that writes leaves behind when it is killed, a journal that is to be
// rolled back, holds nothing up.
func TestCrashed(t *testing.T) {
	database, pool := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)",
		"INSERT INTO tenant_origins VALUES ('https://committed.example', 1)",
		"CREATE TABLE pages (x)", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 500) "+
			"INSERT INTO pages SELECT randomblob(1000) FROM n")
	conn, err := pool.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"PRAGMA cache_size = 2", "BEGIN", "INSERT INTO tenant_origins VALUES ('https://never.example', 1)",
		"UPDATE pages SET x = randomblob(1001)",
	} {
		if _, err := conn.ExecContext(context.Background(), text); err != nil {
			t.Fatal(err)
		}
	}
	// The files as they are now are what a crash would leave.
	crashed := filepath.Join(t.TempDir(), "crashed.db")
	for _, suffix := range []string{"", "-journal"} {
		text, err := os.ReadFile(pathOf(database) + suffix)
		if err != nil {
			t.Fatal(err)
		}
		write(t, crashed+suffix, string(text))
	}
	_ = conn.Close()
	d := start(t, "database: sqlite:"+crashed+"\n"+tenants)
	if a := d.until(t, "https://committed.example"); strings.Contains(a.text, "never") {
		t.Error(a.text)
	}
}

// TestLocked: while a program holds the lock of a file that isn't in WAL mode, what was there
// serves, and its change is noticed when it lets go.
func TestLocked(t *testing.T) {
	database, pool := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)")
	d := start(t, database+"poll: 100ms\ntimeout: 500ms\n"+tenants)
	etag := d.until(t, "https://app").Header.Get("ETag")
	pool.SetMaxOpenConns(1)
	exec(t, pool, "BEGIN EXCLUSIVE")
	exec(t, pool, "INSERT INTO tenant_origins VALUES ('https://late.example', 1)")
	d.says(t, "locked")
	if a := d.get(t, "/v1/policies"); a.Header.Get("ETag") != etag {
		t.Errorf("%s %s", a.Status, a.text)
	}
	began := time.Now()
	if a := d.get(t, "/v1/lookup?policy=tenants&origin=https://late.example"); a.StatusCode != 503 || time.Since(began) > 2*time.Second {
		t.Errorf("a look-up: %s after %s", a.Status, time.Since(began))
	}
	exec(t, pool, "COMMIT")
	d.until(t, "https://late.example")
	if a := d.get(t, "/v1/lookup?policy=tenants&origin=https://late.example"); a.StatusCode != 204 {
		t.Errorf("a look-up: %s", a.Status)
	}
}
