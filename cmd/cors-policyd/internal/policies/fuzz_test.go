package policies

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/settings"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/choices"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// fuzzedTemplates have a policy with a query of origins, and policies of rows.
var fuzzedTemplates = []string{`
policies:
- {name: fixed, match: {hosts: [fixed.example]}, allow_origins: ['https://app.example', {query: SELECT origin FROM o}]}
- {rows: 'SELECT name, host, path, route, origin FROM sites'}
`, `
defaults: {allow_credentials: true}
policies:
- {name: fixed, match: {hosts: [fixed.example]}, allow_origins: [{query: SELECT origin FROM o}]}
- {rows: 'SELECT name, host, path, route, origin FROM sites', allow_origins: ['https://console.example']}
`}

// fuzzedValues are what columns have: good values, and those that are none.
var fuzzedValues = [numColumns][]any{
	name:  {"a", "a", "b", "b", "c", "fixed", "none", nil, "", "a b", 7, "\xff", strings.Repeat("n", 65), `a","x":"`},
	host:  {nil, nil, nil, "a.example", "b.example", "A.example.", "*.a.example", "fixed.example", "", "a.example/", 7, `a","b`, "*"},
	path:  {nil, nil, nil, "/v1", "/v1/", "/v2", "/v1/x", "/", "", "v1", "/v1?", `/"},{"prefix":"/`, 7.5},
	route: {nil, nil, nil, nil, nil, nil, "one", "two", "", "a\"b", []byte("\xfe")},
	origin: {"https://a.example", "https://b.example", "https://*.b.example", "http://a.example", nil, "", "*", "null", "a.example",
		"https://a.example/", `https://a.example","*`, "https://a.example\x00", "https://a.example\r\nx", 7, []byte("https://c.example"),
		"https://bücher.example", "https://*.co.uk", `{"regex":".*"}`, strings.Repeat("x", maxValue+1)},
}

// FuzzRows: whatever is in the rows, there is a document that the filter takes, in which each good row
// is, and nothing that no row says; a row that is left out is told, and changes nothing.
func FuzzRows(f *testing.F) {
	choices.Seed(f, 200, 110)
	f.Fuzz(func(t *testing.T, bytes []byte) {
		c := choices.Of(bytes)
		s, findings := settings.Parse("p.yaml", "database: sqlite:o.db\n"+choices.One(c, fuzzedTemplates...))
		if s == nil {
			t.Fatal(findings)
		}
		var origins, sites []row
		for c.More() && len(sites) < 20 {
			values := make([]any, numColumns)
			for i := range values {
				values[i] = choices.One(c, fuzzedValues[i]...)
			}
			switch c.N(8) {
			case 0:
				values[origin] = "https://" + c.Text(12)
			case 1:
				values[host] = c.Text(12)
			case 2:
				origins = append(origins, newRow([]int{origin}, values[origin:]))
			}
			sites = append(sites, newRow([]int{name, host, path, route, origin}, values))
		}
		b := NewBuilder(s.Template)
		result := built(t, b, origins, sites)
		checkRows(t, result, origins, sites)
		// Rows come in any order, and those that are left out might as well not be there.
		slices.Reverse(origins)
		slices.Reverse(sites)
		if again := built(t, b, origins, sites); string(again.Document.Text) != string(result.Document.Text) {
			t.Errorf("in another order of the rows there is\n%s, not\n%s", again.Document.Text, result.Document.Text)
		}
		good := slices.DeleteFunc(slices.Clone(sites), func(r row) bool {
			return isRejected(result, r) && nameless(result, r)
		})
		if again := built(t, b, origins, good); string(again.Document.Text) != string(result.Document.Text) {
			t.Errorf("without the rows that are left out there is\n%s, not\n%s", again.Document.Text, result.Document.Text)
		}
	})
}

// built is the result that the rows make.
func built(t *testing.T, b *Builder, origins, sites []row) *Result {
	t.Helper()
	list := queries(b.template)
	for i, rows := range [][]row{origins, sites} {
		list[i].Rows = slices.Clone(rows)
		slices.SortFunc(list[i].Rows, compare)
	}
	result, err := b.build(list)
	if err != nil {
		t.Fatalf("the rows hold all up: %v\n%+v\n%+v", err, origins, sites)
	}
	return result
}

// isRejected reports whether a row, or one with the same values, is left out.
func isRejected(result *Result, r row) bool {
	return slices.ContainsFunc(result.Rejected, func(rejected Rejected) bool {
		return fmt.Sprint(rejected.Row) == fmt.Sprint(r.given())
	})
}

// nameless reports whether a row that is left out is so as a whole: no policy has its name, or what it is for.
func nameless(result *Result, r row) bool { return !claimed(policiesOf(result), r) }

// A writtenPolicy is a policy of a document.
type writtenPolicy struct {
	Name  string
	Match struct {
		Hosts, Routes []string
		Paths         []struct{ Prefix string }
	}
	AllowOrigins []string `json:"allow_origins"`
}

func policiesOf(result *Result) map[string]writtenPolicy {
	var document struct{ Policies []writtenPolicy }
	if err := json.Unmarshal(result.Document.Text, &document); err != nil {
		panic(err)
	}
	policies := map[string]writtenPolicy{}
	for _, p := range document.Policies {
		policies[p.Name] = p
	}
	return policies
}

// claimed reports whether the policy of a row's name is for what the row is for.
func claimed(policies map[string]writtenPolicy, r row) bool {
	p, ok := policies[r.Values[name]]
	has := func(list []string, value string) bool {
		return value == "" && len(list) == 0 || slices.Contains(list, value)
	}
	var prefixes []string
	for _, path := range p.Match.Paths {
		prefixes = append(prefixes, path.Prefix)
	}
	return ok && has(p.Match.Hosts, r.Values[host]) && has(prefixes, r.Values[path]) &&
		has(p.Match.Routes, r.Values[route])
}

// checkRows compares a document with the rows that it is made of.
func checkRows(t *testing.T, result *Result, origins, sites []row) {
	t.Helper()
	policies := policiesOf(result)
	left := 0
	for _, r := range sites {
		switch p := policies[r.Values[name]]; {
		case isRejected(result, r):
			left++
		case !claimed(policies, r):
			t.Errorf("the row %q isn't in the document, and not rejected: %s", r.Values, result.Document.Text)
		case r.WrongOrigin != isNull && !slices.Contains(p.AllowOrigins, r.Values[origin]):
			t.Errorf("the origin of %q isn't in the document, and not rejected: %s", r.Values, result.Document.Text)
		}
	}
	for _, r := range origins {
		if isRejected(result, r) {
			left++
		} else if !slices.Contains(policies["fixed"].AllowOrigins, r.Values[origin]) {
			t.Errorf("the origin %q isn't in the document, and not rejected: %s", r.Values[origin], result.Document.Text)
		}
	}
	if n := len(result.Rejected); n > left {
		t.Errorf("%d rows are rejected, and %d were", n, left)
	}
	parsed, problems := config.ParseFetched(string(result.Document.Text))
	if parsed == nil {
		t.Fatal(problems)
	}
	for _, from := range []string{"https://a.example", "https://b.example", "https://x.b.example", "https://c.example",
		"https://evil.example", "null", "http://a.example", "https://bank.co.uk"} {
		for _, host := range []string{"a.example", "x.a.example", "b.example", "fixed.example", "other.example"} {
			for _, path := range []string{"/", "/v1", "/v1/x/y", "/v12"} {
				policy := parsed.Policies.Lookup(match.Key{Host: host, Path: path})
				if policy == nil {
					continue
				}
				d := policy.Decide(&cors.Request{Origin: from, HasOrigin: true})
				if d.Allowed() && !says(policy.Name(), from, host, path, origins, sites) {
					t.Errorf("%s is allowed at %s%s, which no row says: %s", from, host, path, result.Document.Text)
				}
			}
		}
	}
}

// says reports whether rows of a policy's name are for an origin, and for what it is allowed at.
func says(policy, from, at, below string, origins, sites []row) bool {
	stands := func(r row) bool {
		entry := r.Values[origin]
		suffix, wildcard := strings.CutPrefix(entry, "https://*")
		return entry == from || entry == "*" || wildcard && strings.HasSuffix(from, suffix)
	}
	if policy == "fixed" {
		return slices.ContainsFunc(origins, stands)
	}
	var allowed, hosts, paths bool
	for _, r := range sites {
		if r.Values[name] != policy {
			continue
		}
		entry := strings.TrimSuffix(strings.ToLower(r.Values[host]), ".")
		suffix, wildcard := strings.CutPrefix(entry, "*")
		prefix := strings.TrimSuffix(r.Values[path], "/")
		allowed = allowed || stands(r)
		hosts = hosts || entry == "" || entry == at || wildcard && strings.HasSuffix(at, suffix)
		paths = paths || r.Values[path] == "" || below == prefix || strings.HasPrefix(below, prefix+"/")
	}
	return allowed && hosts && paths
}
