package policies

import (
	"context"
	"fmt"
	"strings"
	"testing"

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
