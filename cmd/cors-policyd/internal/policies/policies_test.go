package policies

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/database"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/settings"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
)

// A scene is a database of SQLite and what makes documents of it.
type scene struct {
	sql     *sql.DB
	db      *database.DB
	builder *Builder
}

func newScene(t *testing.T, policies string, statements ...string) *scene {
	t.Helper()
	url := "sqlite:" + filepath.Join(t.TempDir(), "o.db")
	s, findings := settings.Parse("p.yaml", "database: "+url+"\n"+policies)
	if s == nil {
		t.Fatal(findings)
	}
	pool, err := sql.Open("sqlite", strings.TrimPrefix(url, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := database.Open(database.Options{URL: url, Timeout: time.Minute, Connections: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = pool.Close(), db.Close() })
	sc := &scene{pool, db, NewBuilder(s.Template)}
	for _, text := range statements {
		sc.exec(t, text)
	}
	return sc
}

func (s *scene) exec(t *testing.T, text string, args ...any) {
	t.Helper()
	if _, err := s.sql.Exec(text, args...); err != nil {
		t.Fatal(err)
	}
}

func (s *scene) build(t *testing.T) *Result {
	t.Helper()
	return s.builder.must(t, s)
}

func (b *Builder) must(t *testing.T, s *scene) *Result {
	t.Helper()
	result, err := b.Build(context.Background(), s.db)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

const onlyQuery = "policies: [{name: a, allow_credentials: true, allow_origins: ['https://app.example', {query: SELECT origin FROM o}]}]"

// TestBadRows: a bad origin of each kind is left out with corsctl's words, and no other is.
func TestBadRows(t *testing.T) {
	s := newScene(t, onlyQuery, "CREATE TABLE o (origin)")
	bad := []struct {
		value any
		what  string
	}{
		{nil, "origin is NULL"},
		{"", "origin is empty"},
		{42, "origin is no text, but 42"},
		{1.5, "origin is no text, but 1.5"},
		{[]byte("\xff\xfe"), "origin is not UTF-8"},
		{strings.Repeat("x", 5_000_000), "origin is 5000000 bytes long"},
		{"https://a.example/", "has a path (a trailing slash)"},
		{"https://a.example:443", "default port"},
		{"https://A.example", "upper-case"},
		{"a.example", "scheme"},
		{"https://u:p@a.example", "user"},
		{"https://a.example?q=1", "query"},
		{"https://a.example,https://b.example", "list"},
		{"*", "credentials"},
		{"http://a.example", "plain http"},
		{"https://*.co.uk", "public suffix"},
		{"https://a.example\r\nX-Evil: 1", ""},
		{`https://a.example","*`, ""},
		{`"],"allow_origins":["*"`, ""},
		{"https://a.example\x00.evil.example", ""},
		{"'; DROP TABLE o; --", ""},
		{"https://a*.example", ""},
		{`{"regex":".*"}`, ""},
	}
	for _, b := range bad {
		s.exec(t, "INSERT INTO o VALUES (?)", b.value)
	}
	for _, good := range []string{"https://b.example", "https://a.example:8443", "https://*.example.com", "https://b.example"} {
		s.exec(t, "INSERT INTO o VALUES (?)", good)
	}
	result := s.build(t)
	want := `{"policies":[
{"name":"a","allow_credentials":true,"allow_origins":["https://app.example","https://*.example.com","https://a.example:8443","https://b.example"]}
]}
`
	if got := string(result.Document.Text); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if n := result.Count["policies[0].allow_origins[1]"]; n != len(bad) || len(result.Rejected) != len(bad) {
		t.Errorf("%d are rejected, %d of them listed; want %d", n, len(result.Rejected), len(bad))
	}
	for _, b := range bad {
		if !strings.Contains(fmt.Sprint(result.Rejected), b.what) {
			t.Errorf("nothing says %q", b.what)
		}
	}
}

// TestRows: a policy for each name, and what can't be one is left out.
func TestRows(t *testing.T) {
	s := newScene(t, `
defaults: {allow_methods: [PUT]}
policies:
- {name: fixed, match: {hosts: [fixed.example]}, allow_origins: ['https://app.example']}
- rows: SELECT name, host, path, route, origin FROM sites
  max_age: 600
  allow_origins: ['https://console.example']
- {name: later, match: {hosts: [later.example]}, allow_origins: ['https://app.example']}
`, "CREATE TABLE sites (name, host, path, route, origin)")
	for _, r := range [][]any{
		{"shop", "shop.example", nil, nil, "https://b.example"},
		{"shop", "shop.example", nil, nil, "https://a.example"},
		{"shop", "www.shop.example", nil, nil, "https://a.example"},
		{"shop", nil, nil, nil, "https://wide.example"},                 // would widen the policy
		{"thief", "SHOP.example.", nil, nil, "https://thief.example"},   // has an owner
		{"thief2", "fixed.example", nil, nil, "https://thief.example"},  // the same
		{"thief3", "later.example", nil, nil, "https://thief.example"},  // the same, of one that stands after the rows
		{"fixed", "other.example", nil, nil, "https://thief.example"},   // a name that is taken
		{"a b", "x.example", nil, nil, "https://x.example"},             // no name
		{"c d", "wrong/host", nil, nil, "https://x.example"},            // of two mistakes the first is said
		{nil, "x.example", nil, nil, "https://x.example"},               // none at all
		{"host", `x","y.example`, nil, nil, "https://x.example"},        // an injection
		{"path", "path.example", `/a"},{"prefix":"/`, nil, "https://x"}, // is what it is, and nothing else
		{"path2", "path.example", "v1", nil, "https://x.example"},       // no path
		{"docs", "docs.example", "/v1/", nil, "https://x.example"},
		{"docs2", "docs.example", "/v1", nil, "https://x.example"}, // the same path
		{"docs3", "docs.example", "/v2", nil, "https://x.example"},
		{"routed", nil, nil, "r1", "https://x.example"},
		{"routed", nil, nil, "r2", "https://x.example"},
		{"routed2", nil, nil, "r2", "https://x.example"}, // has an owner
		{"both", "both.example", nil, "r3", "https://x.example"},
		{"both", "both.example", nil, "r4", "https://x.example"},
		{"both", "www.both.example", nil, "r4", "https://x.example"},
	} {
		s.exec(t, "INSERT INTO sites VALUES (?, ?, ?, ?, ?)", r...)
	}
	result := s.build(t)
	want := `{"defaults":{"allow_methods":["PUT"]},"policies":[
{"name":"fixed","match":{"hosts":["fixed.example"]},"allow_origins":["https://app.example"]},
{"name":"later","match":{"hosts":["later.example"]},"allow_origins":["https://app.example"]},
{"name":"both","match":{"hosts":["both.example","www.both.example"],"routes":["r3","r4"]},"max_age":600,"allow_origins":["https://console.example","https://x.example"]},
{"name":"docs","match":{"hosts":["docs.example"],"paths":[{"prefix":"/v1/"}]},"max_age":600,"allow_origins":["https://console.example","https://x.example"]},
{"name":"docs3","match":{"hosts":["docs.example"],"paths":[{"prefix":"/v2"}]},"max_age":600,"allow_origins":["https://console.example","https://x.example"]},
{"name":"path","match":{"hosts":["path.example"],"paths":[{"prefix":"/a\"},{\"prefix\":\"/"}]},"max_age":600,"allow_origins":["https://console.example","https://x"]},
{"name":"routed","match":{"routes":["r1","r2"]},"max_age":600,"allow_origins":["https://console.example","https://x.example"]},
{"name":"shop","match":{"hosts":["shop.example","www.shop.example"]},"max_age":600,"allow_origins":["https://console.example","https://a.example","https://b.example"]}
]}
`
	if got := string(result.Document.Text); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if d := result.Document; d.Policies != 8 || d.Origins != 15 {
		t.Errorf("%d policies and %d origins are counted", d.Policies, d.Origins)
	}
	for _, what := range []string{
		`has other columns that are NULL than the other rows of "shop"`,
		`claims the host shop.example and every path, as the policy "shop" does`,
		`claims the host fixed.example and every path, as the policy "fixed" does`,
		`claims the host later.example and every path, as the policy "later" does`, `"wrong/host" has a path`,
		`"fixed" is the name of another policy too`, `"a b" is not a name`, "name is NULL", "is not a host",
		`claims the route "r2", as the policy "routed" does`,
	} {
		if !strings.Contains(fmt.Sprint(result.Rejected), what) {
			t.Errorf("nothing says %q: %+v", what, result.Rejected)
		}
	}
}

// TestClosed: what a row is for has a policy, though its origin can't be allowed or is NULL, as for
// who has none yet: without one the upstream's word would stand.
func TestClosed(t *testing.T) {
	s := newScene(t, `
policies:
- rows: SELECT name, host, path, origin FROM sites
  allow_credentials: true`, "CREATE TABLE sites (name, host, path, origin)")
	for _, r := range [][4]any{
		{"a", "a.example", nil, "https://bad.example/"},
		{"b", "b.example", nil, "https://good.example"},
		{"b", "www.b.example", nil, "http://plain.example"},
		{"c", "c.example", "/v1", nil},
		{"d", "d.example", nil, 42},
		{"e", "e.example", nil, ""},
		{"f", "", nil, "https://good.example"},           // '' isn't NULL, which is for every host
		{"g", "g.example", "", "https://good.example"},   // the same
		{"h", "h.example/", nil, "https://bad.example/"}, // no host
		{"i", "a.example", nil, "*"},                     // a host that has a policy
		{"j j", "j.example", nil, nil},                   // no name
	} {
		s.exec(t, "INSERT INTO sites VALUES (?, ?, ?, ?)", r[:]...)
	}
	result := s.build(t)
	want := `{"policies":[
{"name":"a","match":{"hosts":["a.example"]},"allow_credentials":true,"allow_origins":["https://nobody.invalid"]},
{"name":"b","match":{"hosts":["b.example","www.b.example"]},"allow_credentials":true,"allow_origins":["https://good.example"]},
{"name":"c","match":{"hosts":["c.example"],"paths":[{"prefix":"/v1"}]},"allow_credentials":true,"allow_origins":["https://nobody.invalid"]},
{"name":"d","match":{"hosts":["d.example"]},"allow_credentials":true,"allow_origins":["https://nobody.invalid"]},
{"name":"e","match":{"hosts":["e.example"]},"allow_credentials":true,"allow_origins":["https://nobody.invalid"]}
]}
`
	if got := string(result.Document.Text); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	for policy, what := range map[string]string{
		"a": "has a path (a trailing slash)", "b": "plain http", "d": "origin is no text, but 42", "e": "origin is empty",
		"f": "host is empty", "g": "path is empty", "h": `"h.example/" has a path`, "i": `as the policy "a" does`, "j j": "is not a name",
	} {
		said := slices.ContainsFunc(result.Rejected, func(r Rejected) bool {
			return r.Policy == policy && strings.Contains(r.What, what)
		})
		if !said {
			t.Errorf("nothing says %q of %s: %+v", what, policy, result.Rejected)
		}
	}
	if len(result.Rejected) != 9 {
		t.Errorf("%d rows are rejected: %+v", len(result.Rejected), result.Rejected)
	}
	// What is said stays the same, so that it is said once, also of what several claim.
	s.exec(t, "INSERT INTO sites VALUES ('x', 'y.example', '/1', NULL), ('x', 'y.example', '/2', NULL), "+
		"('z', 'x.example', '/1', NULL), ('z', 'x.example', '/2', NULL), ('z', 'y.example', '/1', NULL)")
	said := fmt.Sprint(s.build(t).Rejected)
	for range 20 {
		if again := fmt.Sprint(NewBuilder(s.builder.template).must(t, s).Rejected); again != said {
			t.Fatalf("said\n%s\nand then\n%s", said, again)
		}
	}
}

// TestTooMuch: policies that are too much together are not written first, to be measured then.
func TestTooMuch(t *testing.T) {
	s := newScene(t, "policies: [{rows: 'SELECT name, host, origin FROM sites', allow_origins: [{query: SELECT origin FROM o}]}]",
		"CREATE TABLE sites (name, host, origin)", "CREATE TABLE o (origin)")
	numbers := "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 2000) INSERT INTO "
	s.exec(t, numbers+"o SELECT 'https://t' || i || '.example' FROM n")
	s.exec(t, numbers+"sites SELECT 's' || i, 's' || i || '.example', NULL FROM n")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := s.builder.Build(context.Background(), s.db)
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "than a document of 4 MiB has room for") {
		t.Error(err)
	}
	if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 150 {
		t.Errorf("it took %d MiB to say so", took)
	}
}

// TestUnchanged: the order of rows doesn't matter, and a state that was there before isn't
// built again.
func TestUnchanged(t *testing.T) {
	s := newScene(t, onlyQuery, "CREATE TABLE o (origin)", "INSERT INTO o VALUES ('https://a.example'), ('https://b.example')")
	first := s.build(t)
	s.exec(t, "DELETE FROM o")
	s.exec(t, "INSERT INTO o VALUES ('https://b.example'), ('https://a.example')")
	if again := s.build(t); again != first {
		t.Errorf("%s\nis another document than\n%s", again.Document.Text, first.Document.Text)
	}
	s.exec(t, "INSERT INTO o VALUES ('https://c.example')")
	if third := s.build(t); third.Document.ETag == first.Document.ETag {
		t.Error("the tag is the same")
	}
}

// TestNobody: without an origin a policy allows none, and without a policy there is one
// for nobody.
func TestNobody(t *testing.T) {
	s := newScene(t, "policies: [{name: a, match: {hosts: [a.example]}, allow_origins: [{query: SELECT origin FROM o}]}]", "CREATE TABLE o (origin)")
	if text := string(s.build(t).Document.Text); !strings.Contains(text, `"allow_origins":["https://nobody.invalid"]`) {
		t.Error(text)
	}
	s = newScene(t, "policies: [{rows: 'SELECT name, origin FROM o'}]", "CREATE TABLE o (name, origin)")
	if text := string(s.build(t).Document.Text); !strings.Contains(text, `"match":{"hosts":["nobody.invalid"]}`) {
		t.Error(text)
	}
}

// TestFailures: a query that fails, has other columns, or finds too much, says so.
func TestFailures(t *testing.T) {
	for _, test := range []struct{ policies, expect string }{
		{onlyQuery, "policies[0].allow_origins[1]: SQL logic error: no such table: o"},
		{"policies: [{name: a, allow_origins: [{query: 'SELECT 1, 2'}]}]", "the query has 2 columns; select one, the origin"},
		{"policies: [{rows: 'SELECT 1 AS name'}]", `the query has no column "origin"`},
		{"policies: [{rows: 'SELECT 1 AS name, 2 AS origin, 3 AS x'}]", `the query has a column "x"`},
		{"policies: [{name: a, allow_origins: [{query: '" +
			"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT ''https://a'' || i || ''.example'' FROM n'}]}]",
			"has more rows than a document of 4 MiB has room for; narrow the query, or have the origins looked up"},
	} {
		s := newScene(t, test.policies)
		s.exec(t, "CREATE TABLE other (x)")
		_, err := s.builder.Build(context.Background(), s.db)
		if err == nil || !strings.Contains(err.Error(), test.expect) {
			t.Errorf("%s: %v", test.policies, err)
		}
	}
}

// TestReadOnly: no query writes.
func TestReadOnly(t *testing.T) {
	s := newScene(t, "policies: [{name: a, allow_origins: [{query: DELETE FROM o RETURNING origin}]}]",
		"CREATE TABLE o (origin)", "INSERT INTO o VALUES ('https://a.example')")
	if _, err := s.builder.Build(context.Background(), s.db); err == nil || !strings.Contains(err.Error(), "readonly") {
		t.Error(err)
	}
}

// TestMany: a hundred thousand origins make a document that the filter takes.
func TestMany(t *testing.T) {
	s := newScene(t, onlyQuery, "CREATE TABLE o (origin)",
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 100000) INSERT INTO o SELECT 'https://t' || i || '.example' FROM n")
	began := time.Now()
	result := s.build(t)
	first := time.Since(began)
	if result.Document.Origins != 100_001 || len(result.Document.Text) > config.MaxDocument {
		t.Errorf("%d origins, %d bytes", result.Document.Origins, len(result.Document.Text))
	}
	s.exec(t, "INSERT INTO o VALUES ('https://new.example'), ('https://bad.example/')")
	began = time.Now()
	if again := s.build(t); again.Document.Origins != 100_002 || again.Count["policies[0].allow_origins[1]"] != 1 {
		t.Errorf("%d origins", again.Document.Origins)
	}
	t.Logf("first %s, after a change %s, %d bytes", first, time.Since(began), len(result.Document.Text))
}

func TestCheck(t *testing.T) {
	if p := Check("https://a.example", true); len(p) != 0 {
		t.Error(p)
	}
	if p := Check(`https://a.example","*`, true); len(p) == 0 {
		t.Error("an injection is a good entry")
	}
	if p := Check("http://a.example", false); len(p) != 0 {
		t.Error(p)
	}
	if p := Check("https://a.example/", true); len(p) != 1 || p[0].Instead != `write "https://a.example"` {
		t.Error(p)
	}
}

// TestBounded: rows whose hosts and paths multiply, and claim what others have, end soon, and
// the policies before them are whole.
func TestBounded(t *testing.T) {
	s := newScene(t, "policies: [{rows: 'SELECT name, host, path, origin FROM o'}]", "CREATE TABLE o (name, host, path, origin)")
	numbers := "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 3000) INSERT INTO o SELECT "
	s.exec(t, numbers+"'a', 'h' || i || '.example', '/1', 'https://a.example' FROM n")
	// Each further path of b is one of 3000 hosts that are a's.
	s.exec(t, numbers+"'b', 'h1.example', '/' || (i+1), 'https://b.example' FROM n")
	s.exec(t, numbers+"'b', 'i' || i || '.example', '/x', 'https://b.example' FROM n")
	// Each host of c is one that a has.
	s.exec(t, numbers+"'c', 'h' || i || '.example', '/1', 'https://c.example' FROM n")
	began := time.Now()
	result := s.build(t)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
	if !result.Names["a"] || !result.Names["b"] || result.Names["c"] {
		t.Errorf("the policies are %v", result.Names)
	}
	if n := strings.Count(string(result.Document.Text), ".example\",\"h"); n != 2999 {
		t.Errorf("%d hosts of a policy that was there before", n+1)
	}
	if n := result.Count["policies[0].rows"]; n < 3000 || len(result.Rejected) != MaxListed {
		t.Errorf("%d are rejected, %d are listed", n, len(result.Rejected))
	}
}

// TestNotTaken: what the filter doesn't take, and no row has made so, is no reason to leave rows out: there is no
// document then.
func TestNotTaken(t *testing.T) {
	rows := settings.Policy{Path: "policies[0]", Rows: "SELECT name, origin FROM o"}
	for where, template := range map[string]*settings.Template{
		"a policy": {Policies: []settings.Policy{rows, {Path: "policies[1]", Name: "fixed", Fields: `,"match":{"hosts":["x/y"]}`}}},
		"defaults": {Defaults: `{"max_age":-1}`, Policies: []settings.Policy{rows}},
	} {
		b := NewBuilder(template)
		list := queries(template)
		list[0].Rows = []row{newRow([]int{name, origin}, []any{"a", "https://a.example"})}
		if result, err := b.build(list); err == nil || !strings.Contains(err.Error(), "none that the filter takes") {
			t.Errorf("%s: %v %v", where, result, err)
		}
	}
}

// TestWork: rows whose hosts and paths multiply aren't compared for ever, whichever of the two there are many of: what
// comes after them is left out.
func TestWork(t *testing.T) {
	for name, values := range map[string]string{
		"hosts": "'a', 'h.example', '/' || i, NULL FROM n UNION ALL SELECT 'a', 'i' || i || '.example', '/x', NULL FROM n",
		"paths": "'a', 'h' || i || '.example', '/x', NULL FROM n UNION ALL SELECT 'a', 'z.example', '/' || i, NULL FROM n",
	} {
		s := newScene(t, "policies: [{rows: 'SELECT name, host, path, origin FROM o'}]", "CREATE TABLE o (name, host, path, origin)")
		s.exec(t, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 2500) INSERT INTO o SELECT "+values)
		s.exec(t, "INSERT INTO o VALUES ('b', 'b.example', '/b', NULL)")
		if result := s.build(t); !result.Names["a"] || result.Names["b"] {
			t.Errorf("many %s: the policies are %v", name, result.Names)
		}
	}
}

// TestTimeout: a query that never ends is ended.
func TestTimeout(t *testing.T) {
	s := newScene(t, "policies: [{name: a, allow_origins: [{query: '"+
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT max(i) FROM n'}]}]", "CREATE TABLE o (x)")
	var path string
	if err := s.sql.QueryRow("SELECT file FROM pragma_database_list").Scan(&path); err != nil {
		t.Fatal(err)
	}
	db, err := database.Open(database.Options{URL: "sqlite:" + path, Timeout: 300 * time.Millisecond, Connections: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	began := time.Now()
	_, err = s.builder.Build(context.Background(), db)
	took := time.Since(began)
	if err == nil || !strings.Contains(err.Error(), "has not answered within 300ms") || took > 5*time.Second {
		t.Errorf("%v after %s", err, took)
	}
	// The one connection is free again.
	if err := db.Ping(context.Background()); err != nil {
		t.Error(err)
	}
}
