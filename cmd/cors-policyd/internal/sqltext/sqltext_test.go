package sqltext

import (
	"slices"
	"strings"
	"testing"
)

func TestQuery(t *testing.T) {
	for _, test := range []struct{ text, numbered, positional, names string }{
		{"SELECT 1", "SELECT 1", "SELECT 1", ""},
		{"a = :origin AND b = :host OR a = :origin", "a = $1 AND b = $2 OR a = $1", "a = ? AND b = ? OR a = ?", "origin host origin"},
		{"x = ':origin' AND \":host\" = :policy", "x = ':origin' AND \":host\" = $1", "x = ':origin' AND \":host\" = ?", "policy"},
		{"x = 'it''s :origin' AND y = :Origin", "x = 'it''s :origin' AND y = $1", "x = 'it''s :origin' AND y = ?", "origin"},
		{"`:a` = :b", "`:a` = $1", "`:a` = ?", "b"},
		{":a -- :b\n/* :c */ :d", "$1 -- :b\n/* :c */ $2", "? -- :b\n/* :c */ ?", "a d"},
		{"x::text = :a::text", "x::text = $1::text", "x::text = ?::text", "a"},
		{"$f$ :a $f$ = :b AND $$ :c $$ = ''", "$f$ :a $f$ = $1 AND $$ :c $$ = ''", "$f$ :a $f$ = ? AND $$ :c $$ = ''", "b"},
		{"$f1$ :a $f1$ = :b", "$f1$ :a $f1$ = $1", "$f1$ :a $f1$ = ?", "b"},
		{`E'\':a' = :b`, `E'\':a' = $1`, `E'\':a' = ?`, "b"},
		{"@x := :a", "@x := $1", "@x := ?", "a"},
		{"$$$$ = :a AND $$ :c $$ = ''", "$$$$ = $1 AND $$ :c $$ = ''", "$$$$ = ? AND $$ :c $$ = ''", "a"},
		{"'never closed :a", "'never closed $1", "'never closed ?", "a"},
	} {
		q := Parse(test.text)
		if got, _ := q.Numbered("$"); got != test.numbered {
			t.Errorf("%s: numbered %s", test.text, got)
		}
		got, names := q.Positional()
		if got != test.positional || strings.Join(names, " ") != test.names {
			t.Errorf("%s: positional %s %v", test.text, got, names)
		}
		if distinct := q.Names(); len(distinct) != len(slices.Compact(slices.Sorted(slices.Values(names)))) {
			t.Errorf("%s: names %v", test.text, distinct)
		}
	}
}
