package daemon

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	osexec "os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/database"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/dbtest"
)

// deployed is where the examples are.
const deployed = "../../../../deploy/policyd"

func readDeployed(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deployed, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// startDeployed runs policyd.yaml, with a place of the test's own for what it writes.
func startDeployed(t *testing.T, url, poll string) *daemon {
	t.Helper()
	t.Setenv("CORS_DATABASE", url)
	text := readDeployed(t, "policyd.yaml")
	for old, replacement := range map[string]string{
		"\nlisten: 127.0.0.1:8081 ": "\n#", "\npoll: 10s\n": "\npoll: " + poll + "\n",
		"/var/lib/cors-policyd": t.TempDir(),
	} {
		if !strings.Contains(text, old) {
			t.Fatalf("policyd.yaml lacks %q", old)
		}
		text = strings.ReplaceAll(text, old, replacement)
	}
	return start(t, text)
}

// admin runs the command at the top of a file of SQL, by the database's own client.
func admin(t *testing.T, s *dbtest.Server, name string) {
	t.Helper()
	command := regexp.MustCompile(`(?m)^--   (.+)$`).FindStringSubmatch(readDeployed(t, name))
	u, err := url.Parse(s.URL)
	if command == nil || err != nil {
		t.Fatalf("%s has no command at its top, or %v", name, err)
	}
	home := t.TempDir()
	write(t, filepath.Join(home, ".my.cnf"), "[client]\nprotocol=tcp\nuser=root\nhost=127.0.0.1\nport="+u.Port()+"\n")
	shell := osexec.Command("sh", "-euc", command[1])
	shell.Dir = deployed
	shell.Env = append(os.Environ(), "HOME="+home, "PGHOST=127.0.0.1", "PGUSER=postgres", "PGPORT="+u.Port())
	if out, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command[1], err, out)
	}
}

// as is a URL with another user, and the password that a file of SQL gives it.
func as(t *testing.T, of, user, file string) string {
	t.Helper()
	password := regexp.MustCompile(`(?:ROLE|USER) ` + user + ` .*'(.+)';`).FindStringSubmatch(readDeployed(t, file))
	u, err := url.Parse(of)
	if password == nil || err != nil {
		t.Fatalf("%s gives %s no password, or %v", file, user, err)
	}
	u.User, u.Path = url.UserPassword(user, password[1]), "/app"
	return u.String()
}

// refused are statements that must fail.
func refused(t *testing.T, pool *sql.DB, statements ...string) {
	t.Helper()
	for _, text := range statements {
		if _, err := pool.Exec(text); err == nil {
			t.Errorf("%s is not refused", text)
		}
	}
}

// TestDeploy: cors-policyd serves with the configuration, the tables and the roles of deploy/policyd,
// and the roles have no other right than they need.
func TestDeploy(t *testing.T) {
	for _, test := range []struct {
		file, poll string
		server     func(tb testing.TB) *dbtest.Server
	}{
		{"postgresql.sql", "1h", dbtest.PostgreSQL}, {"mariadb.sql", "100ms", dbtest.MariaDB}, {"sqlite.sql", "1h", nil},
	} {
		t.Run(test.file, func(t *testing.T) {
			if test.server == nil {
				_, pool := newSQLite(t, readDeployed(t, test.file), "PRAGMA foreign_keys = ON")
				pool.SetMaxOpenConns(1) // the one with foreign keys
				var path string
				if err := pool.QueryRow("SELECT file FROM pragma_database_list").Scan(&path); err != nil {
					t.Fatal(err)
				}
				url := "sqlite:" + path
				serves(t, startDeployed(t, url, test.poll), pool, url)
				return
			}
			s := test.server(t)
			exec(t, s.Start(t), "CREATE DATABASE app")
			admin(t, s, test.file)
			reader, registrar := as(t, s.URL, "cors_policyd", test.file), as(t, s.URL, "cors_registrar", test.file)
			d := startDeployed(t, reader, test.poll)
			pool := open(t, s.Driver, strings.Replace(s.URL, "root@", "root:@", 1))
			serves(t, d, pool, registrar)
			rights(t, open(t, s.Driver, reader), open(t, s.Driver, registrar))
			if s.Driver == "pgx" {
				notices(t, pool, strings.TrimSuffix(s.URL, "/postgres")+"/app")
			}
		})
	}
}

// open is a connection by a URL as the daemon has it, to the database app.
func open(t *testing.T, driver, of string) *sql.DB {
	t.Helper()
	u, err := url.Parse(of)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/app"
	dsn := u.String()
	if driver == "mysql" {
		password, _ := u.User.Password()
		dsn = u.User.Username() + ":" + password + "@tcp(" + u.Host + ")/app"
	}
	pool, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	pool.SetMaxOpenConns(1) // so that SET holds
	return pool
}

// serves changes rows, and sees the document change.
func serves(t *testing.T, d *daemon, pool *sql.DB, registrar string) {
	t.Helper()
	d.until(t, `"name":"tenants"`)
	exec(t, pool, "INSERT INTO tenants (name, host) VALUES ('shop', 'shop.api.example.com'), ('bank', NULL)")
	// A tenant without origins has a policy that allows nobody.
	d.until(t, `"name":"shop","match":{"hosts":["shop.api.example.com"]},"allow_origins":["https://nobody.invalid"]`)
	exec(t, pool, "INSERT INTO tenant_origins (tenant, origin, challenge) VALUES "+
		"('shop', 'https://shop.example', 'a'), ('bank', 'https://bank.example', 'b'), "+
		"('bank', 'https://old.example', 'c')")
	exec(t, pool, "UPDATE tenant_origins SET verified = true WHERE origin <> 'https://old.example'")
	a := d.until(t, "https://bank.example")
	if want := `"name":"shop","match":{"hosts":["shop.api.example.com"]}`; !strings.Contains(a.text, want) ||
		strings.Contains(a.text, `"name":"bank"`) || strings.Contains(a.text, "old.example") {
		t.Errorf("%s lacks %s, or has more", a.text, want)
	}
	for origin, status := range map[string]int{
		"https://shop.example": 204, "https://SHOP.example": 404, "https://old.example": 404,
	} {
		if a := d.get(t, "/v1/lookup?policy=tenants&host=api.example.com&origin="+origin); a.StatusCode != status {
			t.Errorf("a look-up of %s: %s", origin, a.Status)
		}
	}
	refused(t, pool,
		"INSERT INTO tenant_origins (tenant, origin, challenge) VALUES ('shop', '*', 'a')",
		"INSERT INTO tenant_origins (tenant, origin, challenge) VALUES ('shop', 'null', 'a')",
		"INSERT INTO tenant_origins (tenant, origin, challenge) VALUES ('shop', 'http://shop.example', 'a')",
		"INSERT INTO tenant_origins (tenant, origin, challenge) VALUES ('none', 'https://a.example', 'a')",
		"INSERT INTO tenants (name, host) VALUES ('a b', NULL)",
		"INSERT INTO tenants (name, host) VALUES ('other', 'api.example.com')",
		"INSERT INTO tenants (name, host) VALUES ('other', 'shop.api.example.com')")
	if a := d.get(t, "/v1/rejected"); !strings.Contains(a.text, `"total":0`) {
		t.Error(a.text)
	}

	// What the command does.
	db, err := database.Open(database.Options{URL: registrar, Timeout: 10 * time.Second, Connections: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	ctx, rows := t.Context(), []database.Origin{{Policy: "partners", Origin: "https://partner.example"}}
	if n, err := db.Add(ctx, rows); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	d.until(t, "https://partner.example")
	if err := db.List(ctx, "partners", func(o string) error {
		if o != "https://partner.example" {
			t.Errorf("the table has %s", o)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if n, err := db.Remove(ctx, rows); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	d.until(t, `"name":"partners","match":{"hosts":["partners.example.com"]},`+
		`"allow_origins":["https://nobody.invalid"]`)

	// A tenant that goes takes its origins along, and its host has a policy all the same.
	exec(t, pool, "DELETE FROM tenants WHERE name = 'shop'")
	exec(t, pool, "UPDATE tenant_origins SET verified = true")
	a = d.until(t, "https://old.example")
	if strings.Contains(a.text, "shop") || !strings.Contains(a.text, `["*.api.example.com"]`) {
		t.Error(a.text)
	}
}

// rights: who serves can't write, nor see what it has no use for; who registers sees no tenants.
func rights(t *testing.T, reader, registrar *sql.DB) {
	t.Helper()
	for _, text := range []string{"SET default_transaction_read_only = off", "SET SESSION TRANSACTION READ WRITE"} {
		_, _ = reader.Exec(text) // one of them is the other database's
	}
	refused(t, reader,
		"INSERT INTO tenant_origins (tenant, origin, challenge, verified) VALUES ('bank', 'https://e.example', '', true)",
		"INSERT INTO tenants (name) VALUES ('evil')",
		"INSERT INTO cors_origins (policy, origin) VALUES ('partners', 'https://evil.example')",
		"UPDATE tenant_origins SET verified = true", "DELETE FROM tenant_origins", "DELETE FROM cors_origins",
		"TRUNCATE TABLE cors_origins", "DROP TABLE cors_origins", "CREATE TABLE evil (a INTEGER)",
		"SELECT challenge FROM tenant_origins", "SELECT * FROM tenant_origins")
	refused(t, registrar,
		"SELECT origin FROM tenant_origins", "INSERT INTO tenants (name) VALUES ('evil')",
		"UPDATE cors_origins SET policy = 'tenants'", "TRUNCATE TABLE cors_origins", "DROP TABLE cors_origins")
}

// notices: each statement tells once, each transaction too, by every table.
func notices(t *testing.T, pool *sql.DB, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "LISTEN cors_origins"); err != nil {
		t.Fatal(err)
	}
	statements := []string{
		"INSERT INTO tenant_origins SELECT 'bank', 'https://a' || i || '.example', '', true FROM " +
			"generate_series(1, 1000) i",
		"BEGIN; UPDATE tenant_origins SET verified = false; DELETE FROM tenant_origins; COMMIT",
		"UPDATE tenants SET host = 'bank.api.example.com'",
		"INSERT INTO cors_origins (policy, origin) VALUES ('a', 'https://a.example')",
		"TRUNCATE cors_origins",
	}
	last := []string{"BEGIN; DELETE FROM tenants; ROLLBACK", "NOTIFY cors_origins, 'the end'"}
	for i, text := range slices.Concat(statements, last) {
		exec(t, pool, text)
		if i == len(statements) {
			continue // what is rolled back tells nothing
		}
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if (n.Payload == "the end") != (i > len(statements)) {
			t.Errorf("%s tells %q", text, fmt.Sprint(n.Payload))
		}
	}
}

// TestDocsSQL: each statement that docs/database.md shows is one of those that TestDeploy runs.
func TestDocsSQL(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/database.md")
	if err != nil {
		t.Fatal(err)
	}
	run := readDeployed(t, "postgresql.sql") + readDeployed(t, "mariadb.sql")
	blocks := regexp.MustCompile("(?ms)^```sql\n(.*?)^```$").FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 3 {
		t.Fatalf("%d blocks", len(blocks))
	}
	for _, block := range blocks {
		for _, statement := range regexp.MustCompile(`(?ms)^[A-Z].*?;$`).FindAllString(block[1], -1) {
			if !strings.Contains(run, statement) {
				t.Errorf("no file has %s", statement)
			}
		}
	}
}
