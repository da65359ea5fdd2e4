package daemon

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the tests' own connection

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/settings"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

const tenants = `
policies:
- name: tenants
  match: {hosts: [api.example.com]}
  allow_credentials: true
  allow_origins: ["https://app.example.com", {query: SELECT origin FROM tenant_origins WHERE verified}]
lookups: {tenants: "SELECT 1 FROM tenant_origins WHERE origin = :origin AND verified"}
`

// A daemon is a running cors-policyd.
type daemon struct {
	*Daemon
	text string // its configuration
	log  *envoytest.Output
	stop func()
	url  string
}

// start runs a daemon until the test ends, or it is stopped.
func start(t *testing.T, text string) *daemon {
	t.Helper()
	text = "listen: 127.0.0.1:0\n" + text
	s, findings := settings.Parse("policyd.yaml", text)
	if s == nil {
		t.Fatal(findings)
	}
	d := &daemon{log: &envoytest.Output{}, text: text}
	var err error
	if d.Daemon, err = New(s, slog.New(slog.NewTextHandler(d.log, nil))); err != nil {
		t.Fatal(err)
	}
	scheme := "http"
	if s.TLS != nil {
		scheme = "https"
	}
	d.url = scheme + "://" + d.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	d.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		d.stop()
		if t.Failed() {
			t.Log(d.log)
		}
	})
	return d
}

// newSQLite makes a database, and returns its URL and a connection.
func newSQLite(t *testing.T, statements ...string) (string, *sql.DB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "origins.db")
	pool, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	for _, text := range statements {
		exec(t, pool, text)
	}
	return "database: sqlite:" + path + "\n", pool
}

func exec(t *testing.T, pool *sql.DB, text string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(text, args...); err != nil {
		t.Fatal(err)
	}
}

// An answer is an answer with its body.
type answer struct {
	*http.Response
	text string
}

func ask(t *testing.T, method, url, body string, headers ...string) answer {
	t.Helper()
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response, string(text)}
}

func (d *daemon) get(t *testing.T, path string, headers ...string) answer {
	t.Helper()
	return ask(t, http.MethodGet, d.url+path, "", headers...)
}

// until waits for a document with a text in it.
func (d *daemon) until(t *testing.T, text string) answer {
	t.Helper()
	etag := `"none"`
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		a := d.get(t, "/v1/policies", "If-None-Match", etag, "Prefer", "wait=5")
		if a.StatusCode == http.StatusOK {
			if strings.Contains(a.text, text) {
				return a
			}
			etag = a.Header.Get("ETag")
		}
	}
	t.Fatalf("no document with %s", text)
	return answer{}
}

// says waits for a text in the log.
func (d *daemon) says(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(d.log.String(), text); {
		if time.Now().After(deadline) {
			t.Fatalf("the log doesn't say %q", text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestPolicies: a change is served to who waits for it, as soon as it is committed.
func TestPolicies(t *testing.T) {
	database, pool := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)")
	d := start(t, database+"poll: 1h\n"+tenants)
	first := d.until(t, "https://app.example.com")
	if first.Header.Get("Content-Type") != "application/json" || first.Header.Get("Preference-Applied") != "wait=5" {
		t.Errorf("%+v", first.Header)
	}
	etag := first.Header.Get("ETag")
	for _, h := range []string{etag, "W/" + etag, `"x", ` + etag, "*"} {
		if a := d.get(t, "/v1/policies", "If-None-Match", h); a.StatusCode != http.StatusNotModified || a.text != "" ||
			a.Header.Get("Preference-Applied") != "" {
			t.Errorf("If-None-Match: %s: %s %v", h, a.Status, a.Header)
		}
	}
	began := time.Now()
	if a := d.get(t, "/v1/policies", "If-None-Match", etag, "Prefer", `respond-async, wait="1"; x`); a.StatusCode != http.StatusNotModified ||
		time.Since(began) < time.Second {
		t.Errorf("%s after %s", a.Status, time.Since(began))
	}
	var worst time.Duration
	for i := range 20 {
		done := make(chan answer)
		go func() { done <- d.get(t, "/v1/policies", "If-None-Match", etag, "Prefer", "wait=20") }()
		time.Sleep(20 * time.Millisecond)
		origin := fmt.Sprintf("https://t%d.example.com", i)
		began := time.Now()
		exec(t, pool, "INSERT INTO tenant_origins VALUES (?, 1)", origin)
		a := <-done
		worst = max(worst, time.Since(began))
		if a.StatusCode != http.StatusOK || !strings.Contains(a.text, origin) {
			t.Fatalf("%s %s", a.Status, a.text)
		}
		etag = a.Header.Get("ETag")
	}
	t.Logf("from the commit to the answer at most %s", worst)
}

// TestEndpoints: what isn't the document.
func TestEndpoints(t *testing.T) {
	database, _ := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)",
		"INSERT INTO tenant_origins VALUES ('https://a.example', 1), ('https://b.example', 0), ('https://c.example/', 1)")
	d := start(t, database+"lookup_ttl: 90s\n"+tenants)
	d.until(t, "https://a.example")
	lookup := func(origin string) string {
		return "/v1/lookup?policy=tenants&host=api.example.com&origin=" + url.QueryEscape(origin)
	}
	for _, test := range []struct {
		method, path, body string
		status             int
		expect             string
	}{
		{"GET", lookup("https://a.example"), "", 204, ""},
		{"GET", lookup("https://b.example"), "", 404, ""},
		{"GET", lookup("' OR 1=1 --"), "", 404, ""},
		{"GET", lookup(strings.Repeat("x", 3000)), "", 404, ""},
		{"GET", lookup("https://a.example\x00"), "", 404, ""},
		{"GET", "/v1/lookup?policy=tenants", "", 400, "write ?policy="},
		{"GET", lookup("https://a.example") + "&origin=x", "", 400, "each once"},
		{"GET", "/v1/lookup?policy=other&origin=x", "", 404, "no query for this policy"},
		{"GET", "/v1/rejected", "", 200, `"instead":"write \"https://c.example\""`},
		{"POST", "/v1/check", `{"policy": "tenants", "origin": "https://x.example"}`, 200, `"ok":true`},
		{"POST", "/v1/check", `{"policy": "tenants", "origin": "http://x.example"}`, 200, `"ok":false`},
		{"POST", "/v1/check", `{"policy": "other", "origin": "http://x.example"}`, 404, "no such policy"},
		{"POST", "/v1/check", `{"policy": "tenants"}`, 400, "write {"},
		{"POST", "/v1/check", `{"policy": "tenants", "origin": "x", "more": 1}`, 400, "write {"},
		{"POST", "/v1/check", `{"policy": "tenants", "origin": "x"} {}`, 400, "write {"},
		{"POST", "/v1/check", `{"policy": "` + strings.Repeat("x", 20_000), 413, "more than 16384 bytes"},
		{"GET", "/v1/check", "", 405, "not allowed here"},
		{"DELETE", "/v1/policies", "", 405, "not allowed here"},
		{"GET", "/", "", 404, "there is nothing here"},
		{"GET", "/healthz", "", 200, "ok"},
		{"GET", "/readyz", "", 200, "ready"},
		{"GET", "/metrics", "", 200, `cors_policyd_rejected_rows{source="policies[0].allow_origins[1]"} 1`},
	} {
		a := ask(t, test.method, d.url+test.path, test.body)
		if a.StatusCode != test.status || !strings.Contains(a.text, test.expect) {
			t.Errorf("%s %s %s: %s %s", test.method, test.path, test.body, a.Status, a.text)
		}
		problem := a.StatusCode >= 400 && a.text != ""
		if (a.Header.Get("Content-Type") == "application/problem+json") != problem {
			t.Errorf("%s: Content-Type %s", test.path, a.Header.Get("Content-Type"))
		}
		if problem {
			var p struct {
				Type, Title, Detail string
				Status              int
			}
			if err := json.Unmarshal([]byte(a.text), &p); err != nil || p.Status != test.status || p.Title == "" {
				t.Errorf("%s: %v %s", test.path, err, a.text)
			}
		}
		if strings.HasPrefix(test.path, "/v1/lookup") && test.expect == "" && a.Header.Get("Cache-Control") != "max-age=90" {
			t.Errorf("%s: Cache-Control %s", test.path, a.Header.Get("Cache-Control"))
		}
	}
	if n := strings.Count(d.log.String(), "a row is left out"); n != 1 {
		t.Errorf("a rejected row is logged %d times", n)
	}
	if strings.Contains(d.log.String(), "more rows are left out") {
		t.Error("rows are said to be left out that there aren't")
	}
}

// TestLimits: beyond its limits the server says no, at once.
func TestLimits(t *testing.T) {
	database, _ := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)")
	d := start(t, database+"limits: {waiting: 1, lookups: 3}\n"+tenants)
	etag := d.until(t, "https://app").Header.Get("ETag")
	waiting := make(chan answer)
	go func() { waiting <- d.get(t, "/v1/policies", "If-None-Match", etag, "Prefer", "wait=2") }()
	time.Sleep(300 * time.Millisecond)
	began := time.Now()
	if a := d.get(t, "/v1/policies", "If-None-Match", etag, "Prefer", "wait=2"); a.StatusCode != 304 ||
		a.Header.Get("Preference-Applied") != "" || time.Since(began) > time.Second {
		t.Errorf("%s %v after %s", a.Status, a.Header, time.Since(began))
	}
	limited := 0
	for range 10 {
		if d.get(t, "/v1/lookup?policy=tenants&origin=x").StatusCode == http.StatusTooManyRequests {
			limited++
		}
	}
	if limited == 0 {
		t.Error("ten look-ups at once, of which three are allowed in a second")
	}
	if a := <-waiting; a.Header.Get("Preference-Applied") != "wait=2" {
		t.Errorf("%s %v", a.Status, a.Header)
	}
	if a := d.get(t, "/v1/policies", "If-None-Match", etag, "Prefer", "wait=1"); a.Header.Get("Preference-Applied") != "wait=1" {
		t.Errorf("after the one that waited has gone: %s %v", a.Status, a.Header)
	}
	request, err := http.NewRequest(http.MethodGet, d.url+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Large", strings.Repeat("x", 64<<10))
	response, err := http.DefaultClient.Do(request)
	if errors.Is(err, syscall.ECONNRESET) {
		return // the server has ended the connection, of which it had not read all, before its answer was read
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close() // the connection has ended
	if response.StatusCode != 431 {
		t.Errorf("large headers: %s", response.Status)
	}
}

// TestAway: while the database is away the last good document serves, also after a restart,
// and what comes back is noticed.
func TestAway(t *testing.T) {
	database, pool := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)", "INSERT INTO tenant_origins VALUES ('https://a.example', 1)")
	path := strings.TrimSpace(strings.TrimPrefix(database, "database: sqlite:"))
	state := "state: " + filepath.Join(t.TempDir(), "last-good.json") + "\n"
	text := database + state + "poll: 100ms\n" + tenants
	d := start(t, text)
	etag := d.until(t, "https://a.example").Header.Get("ETag")
	_ = pool.Close()
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond)
	if a := d.get(t, "/v1/policies"); a.Header.Get("ETag") != etag {
		t.Errorf("%s %s", a.Status, a.text)
	}
	d.stop()
	d = start(t, text)
	d.until(t, "https://a.example")
	if a := d.get(t, "/readyz"); a.StatusCode != 200 {
		t.Errorf("not ready with the state: %s", a.text)
	}
	if a := d.get(t, "/v1/lookup?policy=tenants&origin=x"); a.StatusCode != 503 {
		t.Errorf("a look-up: %s", a.Status)
	}
	// Without a state there is nothing to serve.
	none := start(t, strings.Replace(text, state, "", 1))
	if a := none.get(t, "/v1/policies"); a.StatusCode != 503 || a.Header.Get("Retry-After") == "" {
		t.Errorf("%s %s", a.Status, a.text)
	}
	if a := none.get(t, "/readyz"); a.StatusCode != 503 {
		t.Errorf("ready without anything: %s", a.text)
	}
	// With other policies, those are served, of what the queries had found.
	edited := start(t, strings.Replace(text, "app.example.com", "edited.example", 1))
	if a := edited.until(t, "https://edited.example"); !strings.Contains(a.text, "https://a.example") || strings.Contains(a.text, "app.example") {
		t.Error(a.text)
	}
	if m := edited.get(t, "/metrics").text; !strings.Contains(m, "cors_policyd_document_origins 2") {
		t.Error("the origins of the state aren't counted")
	}
	// Of another query nothing is known.
	other := start(t, strings.Replace(text, "WHERE verified}", "WHERE verified = 1}", 1))
	other.says(t, "has nothing of the query at policies[0].allow_origins[1]") // it serves before it has asked the database and read the state
	if a := other.get(t, "/v1/policies"); a.StatusCode != 503 {
		t.Errorf("%s %s", a.Status, a.text)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	for _, d := range []*daemon{d, none, edited, other} {
		d.until(t, "https://a.example")
	}
	pool, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pool.Close() }()
	exec(t, pool, "INSERT INTO tenant_origins VALUES ('https://b.example', 1)")
	for _, d := range []*daemon{d, none, edited, other} {
		d.until(t, "https://b.example")
		if n := strings.Count(d.log.String(), "the database answers again"); n != 1 {
			t.Errorf("that the database is back is said %d times", n)
		}
	}
}

// TestState: a state that can't be used is said, and is no reason to begin anew; one that can't be
// written is written when it can.
func TestState(t *testing.T) {
	folder := t.TempDir()
	state := filepath.Join(folder, "states", "s.json")
	table := "state: " + state + "\npoll: 100ms\npolicies: [{name: a, allow_origins: [{table: true}]}]\n"
	database, pool := newSQLite(t, "CREATE TABLE cors_origins (policy, origin, created_at)")
	d := start(t, database+table)
	d.until(t, "nobody.invalid")
	time.Sleep(500 * time.Millisecond)
	if n := strings.Count(d.log.String(), "the state can't be written"); n != 1 {
		t.Errorf("a state that can't be written is said %d times", n)
	}
	exec(t, pool, "INSERT INTO cors_origins VALUES ('a', 'https://a.example', '')")
	d.until(t, "https://a.example")
	if err := os.Mkdir(filepath.Dir(state), 0o700); err != nil {
		t.Fatal(err)
	}
	text, deadline := "", time.Now().Add(10*time.Second)
	for text == "" && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
		bytes, _ := os.ReadFile(state) // is there soon
		text = string(bytes)
	}
	if !strings.Contains(text, "https://a.example") {
		t.Errorf("the state is %q", text)
	}
	if files, _ := os.ReadDir(filepath.Dir(state)); len(files) != 1 {
		t.Errorf("beside the state there are %v", files)
	}
	d.stop()
	gone := filepath.Join(folder, "gone.db")
	for _, broken := range []string{"", "{", "null", `{"queries": [null]}`, `{"policies": "x", "document": "{}"}`, `{"queries": [{"query": 1}]}`} {
		write(t, state, broken)
		d := start(t, "database: sqlite:"+gone+"\n"+table)
		if a := d.get(t, "/v1/policies"); a.StatusCode != 503 {
			t.Errorf("%s: %s", broken, a.Status)
		}
		time.Sleep(200 * time.Millisecond)
		if _, err := os.Stat(gone); err == nil {
			t.Errorf("%s: the database is made", broken)
		}
		d.stop()
		if said := d.log.String(); !strings.Contains(said, "the state can't be used") {
			t.Errorf("%s: %s", broken, said)
		}
	}
}

// TestSave: of a state that can't be put in its place nothing is left behind.
func TestSave(t *testing.T) {
	folder := t.TempDir()
	name := filepath.Join(folder, "state")
	if err := os.MkdirAll(filepath.Join(name, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := save(name, []byte("x")); err == nil {
		t.Error("a folder is a state")
	}
	if files, err := os.ReadDir(folder); len(files) != 1 || err != nil {
		t.Errorf("beside it there are %v, %v", files, err)
	}
}

// TestReport: of many rows that are left out some are said, and how many others there are.
func TestReport(t *testing.T) {
	database, pool := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)")
	const rows = 60
	for i := range rows {
		exec(t, pool, "INSERT INTO tenant_origins VALUES (?, 1)", fmt.Sprintf("bad%d", i))
	}
	d := start(t, database+"poll: 1h\n"+tenants)
	d.until(t, "https://app")
	d.stop()
	said := d.log.String()
	n := strings.Count(said, "a row is left out")
	if n < 20 || !strings.Contains(said, fmt.Sprintf("/v1/rejected lists them\" rows=%d", rows-n)) {
		t.Errorf("%d rows are said: %s", n, said)
	}
}

// TestReplaced: another file in the database's place is noticed.
func TestReplaced(t *testing.T) {
	database, pool := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)")
	path := strings.TrimSpace(strings.TrimPrefix(database, "database: sqlite:"))
	d := start(t, database+"poll: 1h\n"+tenants)
	d.until(t, "https://app")
	_ = pool.Close()
	_, next := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)", "INSERT INTO tenant_origins VALUES ('https://new.example', 1)",
		"VACUUM INTO '"+path+".new'")
	_ = next.Close()
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	d.until(t, "https://new.example")
	if a := d.get(t, "/v1/lookup?policy=tenants&origin=https://new.example"); a.StatusCode != 204 {
		t.Errorf("a look-up in the new file: %s", a.Status)
	}
}

// TestStop: who waits is answered when the server stops.
func TestStop(t *testing.T) {
	database, _ := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)")
	d := start(t, database+tenants)
	etag := d.until(t, "https://app").Header.Get("ETag")
	const clients = 100
	answers := make(chan int, clients)
	for range clients {
		go func() {
			status := 0
			defer func() { answers <- status }() // also of who fails
			status = d.get(t, "/v1/policies", "If-None-Match", etag, "Prefer", "wait=60").StatusCode
		}()
	}
	allWait := fmt.Sprintf("cors_policyd_waiting_clients %d\n", clients)
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(d.get(t, "/metrics").text, allWait); {
		if time.Now().After(deadline) {
			t.Fatal("not all wait")
		}
		time.Sleep(20 * time.Millisecond)
	}
	began := time.Now()
	d.stop()
	for range clients {
		if status := <-answers; status != http.StatusNotModified {
			t.Errorf("a client that waits gets %d", status)
		}
	}
	// A connection that a client has opened in vain is waited for.
	if took := time.Since(began); took > 2*stopTimeout {
		t.Errorf("stopping took %s", took)
	}
}

// TestTable: with {table: true} the table is made, and a database that is gone isn't made anew.
func TestTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new.db")
	d := start(t, "database: sqlite:"+path+"\npolicies: [{name: a, allow_origins: [{table: true}]}]\npoll: 100ms\n")
	d.until(t, "nobody.invalid")
	if said := d.log.String(); strings.Contains(said, "can't be built") {
		t.Errorf("a table that is made is a failure: %s", said)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond)
	if _, err := os.Stat(path); err == nil {
		t.Error("a database that was removed is made anew")
	}
	if n := strings.Count(d.log.String(), "changes are noticed by poll only"); n != 1 {
		t.Errorf("that the file is gone is said %d times", n)
	}
}

// TestFlood: who changes rows as fast as it can, and writes bad ones, makes neither a document nor
// a line of the log of each; the last state is served all the same.
func TestFlood(t *testing.T) {
	database, pool := newSQLite(t, "PRAGMA journal_mode = wal", "CREATE TABLE tenant_origins (origin, verified)")
	d := start(t, database+"poll: 1h\n"+tenants)
	d.until(t, "https://app")
	const changes = 300
	began := time.Now()
	for i := range changes {
		exec(t, pool, "INSERT INTO tenant_origins VALUES (?, 1), (?, 1)", fmt.Sprintf("https://t%d.example", i), fmt.Sprintf("bad%d", i))
		time.Sleep(5 * time.Millisecond)
	}
	d.until(t, fmt.Sprintf("https://t%d.example", changes-1))
	took := time.Since(began)
	said := d.log.String()
	if n := strings.Count(said, "a new document"); n > int(took/restAtLeast)+2 {
		t.Errorf("%d documents in %s", n, took)
	}
	if n := strings.Count(said, "a row is left out"); n < 10 || n > 20+int(took/time.Second)+1 {
		t.Errorf("%d rows are logged in %s", n, took)
	}
	if n := strings.Count(said, "more rows are left out"); n != 1 {
		t.Errorf("that there are more is logged %d times", n)
	}
	if rejected := d.get(t, "/v1/rejected").text; !strings.Contains(rejected, fmt.Sprintf(`"total":%d`, changes)) {
		t.Error("not all are listed")
	}
}
