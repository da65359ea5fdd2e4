package policies

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/database"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/settings"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
)

// The columns of a row.
const (
	name = iota
	host
	path
	route
	origin
	numColumns
)

var columnNames = [numColumns]string{"name", "host", "path", "route", "origin"}

// A row is a row of a query. What is NULL or has no column is "".
type row struct {
	Values [numColumns]string `json:"values"`
	// Wrong tells of a value that isn't a text, if one of those that say what the policy is and
	// what it is for isn't; WrongOrigin the same of the origin.
	Wrong       string `json:"wrong,omitempty"`
	WrongOrigin string `json:"wrong_origin,omitempty"`
}

// isNull is what is wrong with an origin that is NULL.
const isNull = "origin is NULL"

// Limits of what is read: more rows than a document has room for, or longer values than
// anything that is right, are not kept.
const (
	maxValue = 2048
	maxRead  = 4 * config.MaxDocument
	shown    = 200
)

// errTooMuch says what to do if there is more than fits.
func errTooMuch(source string) error {
	return fmt.Errorf("%s has more rows than a document of %d MiB has room for; "+
		"narrow the query, or have the origins looked up one by one (lookups, and origin_lookup in the policy)",
		source, config.MaxDocument>>20)
}

// A query is a query of the template, where it stands, and what it has found.
type query struct {
	asking
	source string
	Rows   []row `json:"rows"`
}

// asking is what the rows of a query depend on: its text, the policy whose name is its parameter,
// and whether it is for whole policies.
type asking struct {
	Text     string `json:"query"`
	Policy   string `json:"policy,omitempty"`
	Policies bool   `json:"policies,omitempty"`
}

// queries are all queries of a template, in its order.
func queries(t *settings.Template) (list []*query) {
	for _, p := range t.Policies {
		if p.Rows != "" {
			list = append(list, &query{asking: asking{Text: p.Rows, Policies: true}, source: p.Path + ".rows"})
		}
		for i, o := range p.Origins {
			if o.Query != "" {
				list = append(list, &query{
					asking: asking{Text: o.Query, Policy: p.Name},
					source: fmt.Sprintf("%s.allow_origins[%d]", p.Path, i),
				})
			}
		}
	}
	return list
}

// read runs the query and keeps its rows in an order that doesn't depend on the database's.
func (q *query) read(ctx context.Context, tx *database.Tx) error {
	var at []int // which value each column is
	read := 0
	columns := func(names []string) (err error) {
		at, err = q.columns(names)
		return err
	}
	crowds := crowds{}
	err := tx.Query(ctx, q.Text, map[string]string{"policy": q.Policy}, columns, func(values []any) error {
		r := newRow(at, values)
		if q.Policies && !crowds.count(&r) {
			return nil
		}
		q.Rows = append(q.Rows, r)
		if read += r.size(); read > maxRead && q.Policies {
			q.Rows, read = crowds.close(q.Rows, read)
		}
		if read > maxRead {
			return errTooMuch(q.source)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", q.source, err)
	}
	slices.SortFunc(q.Rows, compare)
	return nil
}

// size is about what a row takes of the memory, and of the document.
func (r *row) size() int {
	n := 32
	for _, v := range r.Values {
		n += len(v)
	}
	return n
}

// tooManyRows is what is wrong with the origins of a policy that takes the room of the others.
const tooManyRows = "is one of so many of its policy that all policies together don't fit into a document" +
	"\nhave the policy's origins looked up one by one (lookups, and origin_lookup in the policy)"

// share is the part of what there is room for that one policy of rows may always have: a quarter.
const share = 4

// crowds are the policies of rows by how much there is of each. One that takes more than its share is closed where the
// rest doesn't fit beside it: else who may write the rows of one policy could keep all others from changing.
type crowds map[string]*crowd

type crowd struct {
	size    int
	closed  bool
	matches map[[origin]string]bool // of one that is closed: what it is for
}

// maxMatches is how many rows are kept of a policy that is closed. If it is for more, it isn't there.
const maxMatches = 100

// count counts a row, and reports whether it is to be kept.
func (c crowds) count(r *row) bool {
	p := c[r.Values[name]]
	if p == nil {
		p = &crowd{}
		c[r.Values[name]] = p
	}
	if !p.closed {
		p.size += r.size()
		return true
	}
	return p.first(r)
}

// first reports whether a row of a policy that is closed says anew what it is for. Its origin goes.
func (p *crowd) first(r *row) bool {
	key := [origin]string(r.Values[:origin])
	if p.matches[key] || len(p.matches) == maxMatches {
		return false
	}
	p.matches[key] = true
	r.Values[origin], r.WrongOrigin = "", "origin "+tooManyRows
	return true
}

// close closes the largest policy, if it takes more than its share, and returns what is left and its size.
func (c crowds) close(rows []row, size int) ([]row, int) {
	var largest string
	var p *crowd
	for n, other := range c {
		switch {
		case other.closed || other.size <= maxRead/share:
		case p == nil || other.size > p.size || other.size == p.size && n < largest:
			largest, p = n, other
		}
	}
	if p == nil {
		return rows, size
	}
	size -= p.size
	p.closed, p.matches = true, map[[origin]string]bool{}
	kept := rows[:0]
	for _, r := range rows {
		switch {
		case r.Values[name] != largest:
			kept = append(kept, r)
		case p.first(&r):
			kept = append(kept, r)
			size += r.size()
		}
	}
	clear(rows[len(kept):]) // which would hold their texts
	return kept, size
}

// compare orders rows: of one policy, those that fill more columns come first.
func compare(a, b row) int {
	for i := range a.Values {
		x, y := a.Values[i], b.Values[i]
		if (x == "") != (y == "") {
			if x == "" {
				return 1
			}
			return -1
		}
		if c := cmp.Compare(x, y); c != 0 {
			return c
		}
	}
	return cmp.Or(cmp.Compare(a.Wrong, b.Wrong), cmp.Compare(a.WrongOrigin, b.WrongOrigin))
}

// columns says which value each column of a result is.
func (q *query) columns(names []string) (at []int, err error) {
	if !q.Policies {
		if len(names) != 1 {
			return nil, fmt.Errorf("the query has %d columns; select one, the origin", len(names))
		}
		return []int{origin}, nil
	}
	for _, column := range names {
		i := slices.Index(columnNames[:], strings.ToLower(column))
		switch {
		case i < 0:
			return nil, fmt.Errorf("the query has a column %q; select name, origin, and any of host, path and route", column)
		case slices.Contains(at, i):
			return nil, fmt.Errorf("the query has two columns %q", column)
		}
		at = append(at, i)
	}
	for _, i := range []int{name, origin} {
		if !slices.Contains(at, i) {
			return nil, fmt.Errorf("the query has no column %q; select name, origin, and any of host, path and route", columnNames[i])
		}
	}
	return at, nil
}

// newRow copies the values of a row, but for what can't be right.
func newRow(at []int, values []any) (r row) {
	wrong := func(i int, what string) {
		said := &r.Wrong
		if i == origin {
			said = &r.WrongOrigin
		}
		*said = cmp.Or(*said, columnNames[i]+" "+what)
	}
	for column, value := range values {
		i := at[column]
		var text string
		switch v := value.(type) {
		case nil:
			if i == name || i == origin {
				wrong(i, "is NULL")
			}
			continue
		case string:
			text = v
		case []byte:
			text = string(v)
		default:
			wrong(i, fmt.Sprintf("is no text, but %v", v))
			continue
		}
		switch {
		case !utf8.ValidString(text):
			wrong(i, "is not UTF-8")
			text = strings.ToValidUTF8(text[:min(len(text), shown)], "\uFFFD")
		case len(text) > maxValue:
			wrong(i, "is "+strconv.Itoa(len(text))+" bytes long")
			text = strings.ToValidUTF8(text[:shown], "")
		case text == "":
			wrong(i, "is empty, and not NULL")
		}
		r.Values[i] = strings.Clone(text)
	}
	return r
}

// given are the values that there are, shortened, for people.
func (r row) given() map[string]string {
	values := map[string]string{}
	for i, v := range r.Values {
		if v != "" {
			values[columnNames[i]] = strings.ToValidUTF8(v[:min(len(v), shown)], "")
		}
	}
	return values
}

// document is a configuration with nothing but what the row's policy is, and what it is for.
func (r row) document() string {
	type paths []map[string]string
	var match struct {
		Hosts  []string `json:"hosts,omitempty"`
		Paths  paths    `json:"paths,omitempty"`
		Routes []string `json:"routes,omitempty"`
	}
	if v := r.Values[host]; v != "" {
		match.Hosts = []string{v}
	}
	if v := r.Values[path]; v != "" {
		match.Paths = paths{{"prefix": v}}
	}
	if v := r.Values[route]; v != "" {
		match.Routes = []string{v}
	}
	text, _ := json.Marshal(map[string]any{"policies": []any{map[string]any{ // texts
		"name": r.Values[name], "match": match, "allow_origins": []string{"https://" + nobody},
	}}})
	return string(text)
}
