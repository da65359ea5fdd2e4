package database_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

var megabyte = strings.Repeat("a", 1<<20)

// hostile are rows of name, host, path and origin that are to harm those of others.
var hostile = []struct {
	name  string
	store string // "" is each
	count int
	row   func(i int) []any
	good  bool // are not rejected
	grows bool // with -soak
}{
	{name: "NULLs only", count: 10, row: func(int) []any { return []any{nil, nil, nil, nil} }},
	{name: "empty texts", count: 10, row: func(int) []any { return []any{"", "", "", ""} }},
	{name: "names of a megabyte", count: 5, row: func(i int) []any {
		return []any{fmt.Sprint(i, megabyte), "h.example", nil, "https://a.example"}
	}},
	{name: "origins of a megabyte", count: 5, row: func(i int) []any {
		return []any{fmt.Sprint("big-", i), fmt.Sprintf("b%d.example", i), nil, "https://" + megabyte}
	}},
	{name: "one name for many hosts", good: true, count: 2000, row: func(i int) []any {
		return []any{"twice", fmt.Sprintf("twice-%d.example", i), nil, fmt.Sprintf("https://a%d.example", i)}
	}},
	{name: "the same row over and over", good: true, count: 2000, row: func(int) []any {
		return []any{"again", "again.example", nil, "https://a.example"}
	}},
	{name: "patterns in each column", count: 100, row: func(i int) []any {
		return []any{"[a-z]*", fmt.Sprintf("*.%d.*", i), "/*/%", "https://*.*.example"}
	}},
	{name: "names of others", count: 100, row: func(int) []any {
		return []any{"good", nil, nil, "https://evil.example"}
	}},
	{name: "hosts of others", count: 100, row: func(i int) []any {
		return []any{fmt.Sprint("taker-", i), "good.example", nil, "https://evil.example"}
	}},
	{name: "the host of nobody", count: 100, row: func(i int) []any {
		return []any{fmt.Sprint("z-", i), nil, nil, "https://*"}
	}},
	{name: "bytes that are no UTF-8, and numbers", store: "SQLite", count: 100, row: func(i int) []any {
		return []any{[]byte{0xff, byte(i)}, i, 2.5, []byte{0xfe}}
	}},
	// A policy has its share of the document, and no more where others need the rest.
	{name: "more rows than a document has room for", count: 55_000, grows: true, row: func(i int) []any {
		return []any{"hog", "hog.example", nil, fmt.Sprintf("https://a%d.%s.example", i, strings.Repeat("a", 60))}
	}},
}

// TestHostileRows: whatever rows a tenant writes, others' rows change what is served, and what they say stays in force;
// each kind is counted as rejected, and memory and log stay small.
func TestHostileRows(t *testing.T) {
	kinds := stores
	if *soak == 1 {
		kinds = stores[:2] // what differs is the types, which those two have
	}
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			s := kind.make(t)
			columns := "name TEXT, host TEXT, path TEXT, origin TEXT"
			if kind.name == "MariaDB" {
				columns = strings.ReplaceAll(columns, "TEXT", "LONGTEXT")
			}
			s.table(t, "sites", columns)
			p := newPolicyd(t, s.url, strings.Replace(s.fields, "poll: 100ms", "poll: 1s", 1)+hostileTemplate)
			for i, h := range hostile {
				if h.store != "" && h.store != kind.name {
					continue
				}
				t.Run(h.name, func(t *testing.T) {
					s.exec(t, "DELETE FROM sites")
					s.exec(t, "INSERT INTO sites VALUES ('good', 'good.example', NULL, ?)", tenant(100+i))
					count := h.count
					if h.grows {
						count *= *soak
					}
					s.insert(t, count, h.row)
					s.exec(t, "UPDATE sites SET origin = ? WHERE origin = ?", tenant(200+i), tenant(100+i))
					p.has(t, tenant(200+i))
					envoytest.Eventually(t, fleet.Recovery, "rejected rows", func() bool {
						return (p.metric(t, "cors_policyd_rejected_rows") > 0) != h.good
					})
					if document := p.must(t, "/v1/policies").text; strings.Contains(document, "evil") {
						t.Errorf("it serves %s", document)
					}
				})
			}
			peak, logged := fleet.Peak(t, p.process.Process.Pid), len(p.log.String())
			t.Logf("it takes %d MiB at the most, and the log has %d bytes", peak>>20, logged)
			bounded(t, peak, 400<<20)
			if logged > 200_000 {
				t.Error("that is too much")
			}
		})
	}
}

const hostileTemplate = `timeout: 20s
policies:
- rows: SELECT name, host, path, origin FROM sites
  allow_credentials: true
`

// insert inserts rows, some by each statement.
func (s *store) insert(tb testing.TB, count int, row func(i int) []any) {
	tb.Helper()
	tx, err := s.Begin()
	if err != nil {
		tb.Fatal(err)
	}
	const most = 1000
	for from := 0; from < count; from += most {
		n := min(most, count-from)
		var args []any
		for i := range n {
			args = append(args, row(from+i)...)
		}
		values := strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?), ", n), ", ")
		if err := execute(tx, s.text("INSERT INTO sites VALUES "+values), args...); err != nil {
			tb.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		tb.Fatal(err)
	}
}
