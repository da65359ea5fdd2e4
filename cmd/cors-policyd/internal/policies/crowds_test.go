package policies

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/database"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
)

// insertMany inserts rows of a policy, each of which takes 85 bytes of a document.
func insertMany(t *testing.T, s *scene, name string, count int) {
	t.Helper()
	s.exec(t, fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < %d) "+
		"INSERT INTO sites SELECT '%s', '%s.example', 'https://' || i || '.%s.example' FROM n", count, name, name, strings.Repeat("a", 60)))
}

// TestCrowded: of policies of rows that don't fit into a document together, those that take more than a quarter of it
// are closed, the largest first, and as few as needed; what each says of others stays, in any order of the rows.
// Where no single one takes so much, nothing is closed, and it is said that there is too much.
func TestCrowded(t *testing.T) {
	for _, test := range []struct {
		name   string
		rows   map[string]int
		closed string // the names
		fails  bool
	}{
		{"all fit", map[string]int{"a": 40_000, "b": 10}, "", false},
		{"one is too large", map[string]int{"a": 60_000, "b": 10}, "a", false},
		{"one is larger than what is read", map[string]int{"a": 150_000, "b": 10}, "a", false},
		{"the larger one of two goes", map[string]int{"a": 25_000, "b": 35_000, "c": 10}, "b", false},
		{"both of two go", map[string]int{"a": 55_000, "b": 55_000, "c": 10}, "ab", false},
		{"many are too large together", map[string]int{"a": 10_000, "b": 10_000, "c": 10_000, "d": 10_000, "e": 10_000, "f": 10_000}, "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			orders := []string{" ORDER BY name"}
			if test.rows["a"] > 100_000 { // are closed while they are read
				orders = append(orders, " ORDER BY name DESC")
			}
			for _, order := range orders {
				s := newScene(t, "policies: [{rows: 'SELECT name, host, origin FROM sites"+order+"'}]",
					"CREATE TABLE sites (name, host, origin)")
				for name, count := range test.rows {
					insertMany(t, s, name, count)
				}
				result, err := s.builder.Build(context.Background(), s.db)
				if (err != nil) != test.fails || err != nil && !strings.Contains(err.Error(), "room for") {
					t.Fatal(err)
				}
				if test.fails {
					continue
				}
				text := string(result.Document.Text)
				if len(text) > config.MaxDocument {
					t.Errorf("%d bytes", len(text))
				}
				for name := range test.rows {
					none := `{"name":"` + name + `","match":{"hosts":["` + name + `.example"]},"allow_origins":["https://nobody.invalid"]}`
					if closed := strings.Contains(text, none); closed != strings.Contains(test.closed, name) {
						t.Errorf("%s: %s is closed: %v", order, name, closed)
					}
				}
				said := fmt.Sprint(result.Rejected)
				if strings.Contains(said, "don't fit into a document") != (test.closed != "") {
					t.Errorf("%s: rejected are %.300s", order, said)
				}
			}
		})
	}
}

// TestRead: what is read is counted by the bytes of all values, and more isn't kept: of a policy that is larger than
// what may be read one row is left, and of origins that are, none.
func TestRead(t *testing.T) {
	if n := (&row{Values: [...]string{"a", "bb", "ccc", "dddd", "eeeee"}}).size(); n != 32+15 {
		t.Errorf("a row of 15 bytes counts as %d", n)
	}
	s := newScene(t, "policies: [{rows: 'SELECT name, origin FROM sites'}, {name: a, allow_origins: [{query: SELECT origin FROM sites}]}]",
		"CREATE TABLE sites (name, origin)", "INSERT INTO sites VALUES ('small', 'https://a.example')",
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 9000) "+
			"INSERT INTO sites SELECT 'large', 'https://' || i || hex(zeroblob(1000)) FROM n")
	list := queries(s.builder.template)
	read := func(q *query) error {
		return s.db.Read(context.Background(), func(ctx context.Context, tx *database.Tx) error {
			return q.read(ctx, tx)
		})
	}
	err := read(list[0])
	var kept []string
	for _, r := range list[0].Rows {
		kept = append(kept, r.Values[name])
	}
	if err != nil || !slices.Equal(kept, []string{"large", "small"}) {
		t.Errorf("%q are kept, %v", kept, err)
	}
	if err := read(list[1]); err == nil || !strings.Contains(err.Error(), "room for") {
		t.Error(err)
	}
}

// TestLargestCrowd: where what is read has no room, the largest policy that has more than its share is closed, of two
// that are as large the first by name, and none that is closed already. Of its rows one stays for each thing it is for.
func TestLargestCrowd(t *testing.T) {
	const share = maxRead / share
	for _, test := range []struct {
		name   string
		sizes  map[string]int
		closed []string // one after the other
	}{
		{"none has more than its share", map[string]int{"": 200, "a": share, "b": share}, nil},
		{"one has a byte more", map[string]int{"a": share, "b": share + 1, "c": share}, []string{"b"}},
		{"those without a name are a policy", map[string]int{"": share + 1, "a": share}, []string{""}},
		{"the largest first", map[string]int{"a": share + 1, "b": share + 3, "c": share + 2}, []string{"b", "c", "a"}},
		{"the largest first, of many", map[string]int{
			"a": share + 1, "b": share + 2, "c": share + 3, "d": share + 4, "e": share + 5, "f": share + 6,
		}, []string{"f", "e", "d", "c", "b", "a"}},
		{"two are as large", map[string]int{"c": share + 1, "b": share + 1, "a": share + 1, "d": share + 2}, []string{"d", "a", "b", "c"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := crowds{}
			var rows []row
			size := 0
			add := func(policy string, bytes int) {
				r := row{Values: [...]string{policy, "api.example", "", "", ""}}
				r.Values[origin] = strings.Repeat("x", bytes-r.size())
				if !c.count(&r) {
					t.Fatalf("a row of %q is not kept", policy)
				}
				rows = append(rows, r)
				size += r.size()
			}
			for _, policy := range slices.Sorted(maps.Keys(test.sizes)) {
				add(policy, test.sizes[policy]-100)
				add(policy, 100)
			}
			var closed []string
			for range len(test.sizes) + 1 {
				before := size
				rows, size = c.close(rows, size)
				var now []string
				left := 0
				for policy, p := range c {
					of := slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return r.Values[name] != policy })
					if p.closed {
						if len(of) != 1 || !strings.Contains(of[0].WrongOrigin, "don't fit") || of[0].Values[host] == "" || of[0].Values[origin] != "" {
							t.Errorf("of %q, which is closed, is left %v", policy, of)
						}
						left += of[0].size()
						if !slices.Contains(closed, policy) {
							now = append(now, policy)
						}
						continue
					}
					if len(of) != 2 {
						t.Errorf("of %q are left %d rows", policy, len(of))
					}
					left += p.size
				}
				if size != left || len(now) > 1 || (len(now) == 0) != (size == before) {
					t.Errorf("%d bytes of %d are left where %q is closed, want %d", size, before, now, left)
				}
				closed = append(closed, now...)
			}
			if !slices.Equal(closed, test.closed) {
				t.Errorf("closed are %q, want %q", closed, test.closed)
			}
		})
	}
}
