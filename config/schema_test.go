package config_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/config/schema"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/choices"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/spelling"
)

// beyondSchema are the problems that the schema can't find, by a part of their text
// and by what stands at their place in the document. There is no such list of what it
// refuses and the parser accepts: there is nothing.
var beyondSchema = []struct {
	kind          problem.Kind
	part, at, why string
}{
	{problem.Duplicate, "is given twice", "", "to a validator an object has each field once"},
	{problem.Duplicate, "is the name of", "", "no keyword compares the fields of several objects"},
	{problem.TooLarge, "bytes as a header", "", "no keyword adds up the lengths of strings"},
	{problem.Conflict, "claims ", "", "no keyword compares the fields of several objects"},
	{problem.RegexInvalid, "is invalid: ", "", "no keyword reads RE2"},
	{problem.EverySite, "matches every site", "", "what a regex matches is beyond a pattern"},
	{problem.OtherOwners, "also matches ", "", "what a regex matches is beyond a pattern"},
	{problem.RegexTooCostly, "is too complex to find out whose sites it matches", "",
		"what a regex matches is beyond a pattern"},
	{problem.RegexTooCostly, "has too many ways to match", "", "what a regex becomes is beyond a pattern"},
	{problem.RegexTooCostly, "repeats too much", "", "what a regex becomes is beyond a pattern"},
	{problem.PlainHTTP, "matches plain-http origins", "", "what a regex matches is beyond a pattern"},
	{problem.OtherOwners, "is a public suffix", `^"[^:]+://\*\.[^.]+\.[^.:"]`,
		"the list of public suffixes has ten thousand entries"},
	{problem.OtherOwners, "public suffixes lie below ", "", "the list of public suffixes has ten thousand entries"},
	{problem.NotOrigin, "an invalid IPv6 address", "",
		"how many pieces stand beside a :: is beyond a pattern of sensible size"},
	{problem.InvalidHost, "an invalid IPv6 address", "",
		"how many pieces stand beside a :: is beyond a pattern of sensible size"},
	{problem.NeverSent, "isn't in its shortest form", "",
		"which zeros an IPv6 address leaves out is beyond a pattern of sensible size"},
	{problem.InvalidHost, "isn't in its shortest form", "",
		"which zeros an IPv6 address leaves out is beyond a pattern of sensible size"},
	{problem.InvalidValue, "is not a whole number of seconds", `^"`, "a duration has fractions and several units"},
	{problem.InvalidValue, "is a whole number that isn't written as one", "", "1.0 and 1e2 are integers there"},
	{problem.OutOfRange, "seconds are out of range", `^"`, "a duration has fractions and several units"},
	{problem.OutOfRange, "is out of range", `^"`, "a duration has fractions and several units"},
	{problem.WrongType, "not a duration", `^"[0-9]+h"`, "the longest duration of Go isn't a round number"},
	{problem.InvalidValue, "not a duration", `^"[0-9]+h"`, "the longest duration of Go isn't a round number"},
}

// A judge compares the parser and the schema.
type judge struct {
	schema *jsonschema.Schema
	needed map[int]bool // of beyondSchema
}

func newJudge(tb testing.TB) *judge {
	tb.Helper()
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema.JSON()))
	if err != nil {
		tb.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(schema.ID, root); err != nil {
		tb.Fatal(err)
	}
	compiled, err := compiler.Compile(schema.ID)
	if err != nil {
		tb.Fatal(err)
	}
	return &judge{compiled, map[int]bool{}}
}

// agree checks that both accept a document or both refuse it, and reports whether
// the parser accepts it.
func (j *judge) agree(tb testing.TB, doc string) (accepted bool) {
	tb.Helper()
	c, problems := config.Parse(doc)
	if slices.ContainsFunc(problems, func(p config.Problem) bool { return p.Kind == 0 }) {
		tb.Errorf("a problem has no kind: %s\n%v", shorten(doc), problems)
	}
	err := j.validate(doc)
	switch {
	case c != nil && err != nil:
		tb.Errorf("the schema refuses what the parser accepts: %s\n%v", shorten(doc), err)
	case c == nil && err == nil:
		for _, p := range config.Errors(problems) {
			if !j.beyond(doc, p) {
				tb.Errorf("the schema accepts what the parser refuses: %s\n%s", shorten(doc), p)
			}
		}
	}
	return c != nil
}

// validate returns what the schema has against a document.
func (j *judge) validate(doc string) error {
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(doc))
	if err != nil {
		return err
	}
	return j.schema.Validate(value)
}

// beyond reports whether a problem is beyond the schema.
func (j *judge) beyond(doc string, p config.Problem) (found bool) {
	for i, b := range beyondSchema {
		if p.Kind == b.kind && strings.Contains(p.What, b.part) &&
			regexp.MustCompile(b.at).MatchString(doc[p.Offset:]) {
			j.needed[i] = true
			found = true
		}
	}
	return found
}

func shorten(doc string) string {
	part, more := problem.Cut(doc, 1000)
	return part + more
}

// TestSchemaAgrees: the schema accepts and refuses what the parser does, in every
// configuration of the test tables, the examples and the documentation, and with
// every string of the corpus wherever a configuration has a string.
func TestSchemaAgrees(t *testing.T) {
	t.Parallel()
	j := newJudge(t)
	for _, test := range problemTests() {
		j.agree(t, test.doc)
	}
	for _, doc := range slices.Concat(validDocs(t), twists) {
		j.agree(t, doc)
	}
	for _, s := range choices.Few(corpus(t)) {
		for _, place := range stringPlaces {
			j.agree(t, strings.ReplaceAll(place, "§", quote(t, s)))
		}
	}
	for i, b := range beyondSchema {
		if !j.needed[i] && !testing.Short() {
			t.Errorf("no document needs the exception %q at %q; leave it out", b.part, b.at)
		}
	}
}

// twists are documents for what several fields have to do with each other, and for
// the bounds of numbers and lengths.
var twists = func() (docs []string) {
	for _, policy := range []string{
		`"allow_credentials": true`, `"allowCredentials": true`, `"allow_credentials": false`,
		`"allow_credentials": null`, `"allow_methods": []`,
		`"allow_origins": ["https://a.test"]`, `"allowOrigins": ["*"]`,
		`"allow_origins": ["*"], "allow_credentials": false`, `"allow_origins": ["*"], "allowCredentials": false`,
		`"allow_origins": ["https://a.test"], "allow_credentials": true`,
		`"allow_origins": ["*"], "allowCredentials": true`,
		`"allow_origins": []`, `"allow_origins": null`, `"expose_headers": []`,
		`"expose_headers": ["X-A"], "allow_credentials": true`, `"exposeHeaders": ["*"]`,
		`"mode": "off"`, `"mode": "off", "max_age": 1`, `"mode": "off", "allow_origins": null`, `"mode": null`,
		`"origin_lookup": {"cluster": "c"}`, `"origin_lookup": null`, `"originLookup": {}`,
		`"originLookup": {"cluster": "c"}, "allow_origins": []`, `"origin_lookup": null, "allow_origins": []`,
		`"origin_lookup": {"cluster": "c"}, "allow_origins": null`, `"mode": "off", "origin_lookup": {"cluster": "c"}`,
		`"origin_lookup": {"cluster": "c"}, "allow_credentials": true`,
		`"origin_lookup": {"cluster": "c"}, "allow_origins": ["*"]`,
	} {
		for _, defaults := range []string{
			``, `"allow_credentials": true`, `"allowCredentials": true`, `"allow_credentials": false`,
			`"allow_origins": ["https://a.test"]`, `"allowOrigins": ["*"]`,
			`"allow_origins": ["*"], "allow_credentials": true`,
			`"allow_origins": ["https://a.test"], "allowCredentials": true`,
			`"allow_origins": ["http://a.test"], "allow_credentials": true`,
			`"allow_origins": []`, `"allow_origins": null`, `"allowOrigins": []`, `"allowOrigins": null`,
			`"expose_headers": ["*"]`, `"mode": "off"`, `"mode": "off", "allow_origins": ["http://a.test"], "allow_credentials": true`,
			`"exposeHeaders": ["*"], "allow_origins": ["https://a.test"], "allow_credentials": true`,
			`"origin_lookup": {"cluster": "c"}`, `"originLookup": {"cluster": "c"}, "allow_origins": []`,
			`"origin_lookup": {"cluster": "c"}, "mode": "off"`, `"origin_lookup": {"cluster": "c"}, "allow_origins": ["*"]`,
		} {
			docs = append(docs, `{"policies": [{"name": "p", `+policy+`}], "defaults": {`+defaults+`}}`)
		}
		docs = append(docs, `{`+policy+`}`, `{"policies": [{"name": "p", `+policy+`}]}`)
	}
	for _, number := range []string{"0", "-0", "-1", "1", "0.1", "0.09", "0.01", "0.009", "60", "60.1", "86400",
		"86401", "300", "300.1", "1.0", "200.0", "200", "203", "204", "1e2", "1e300"} {
		for _, field := range []string{"max_age", "preflight_status", "interval", "timeout", "wait"} {
			docs = append(docs, `{"allow_origins": ["*"], "`+field+`": `+number+`}`,
				`{"policy_source": {"cluster": "c", "`+field+`": `+number+`}}`)
		}
		for _, field := range []string{"timeout", "ttl", "stale", "max_entries"} {
			docs = append(docs, `{"origin_lookup": {"cluster": "c", "`+field+`": `+number+`}}`)
		}
	}
	for _, part := range []string{`"policies": null`, `"policies": []`,
		`"policies": [{"name": "p", "allow_origins": ["*"]}]`, `"policies": [1]`, `"max_age": 1`, `"name": null`} {
		for _, other := range []string{``, `"defaults": null`, `"defaults": {}`, `"policy_source": null`,
			`"policySource": null`, `"policySource": {"cluster": "c"}`, `"policy_source": {}`, `"allow_origins": ["*"]`,
			`"defaults": {}, "policy_source": {"cluster": "c"}`} {
			docs = append(docs, `{`+strings.Trim(part+`, `+other, " ,")+`}`)
			if other != "" {
				docs = append(docs, `{`+other+`}`)
			}
		}
	}
	for _, f := range schema.Policy {
		for _, name := range []string{f.Name, spelling.Camel(f.Name)} {
			docs = append(docs, `{"policies": [{"name": "p", "allow_origins": ["*"]}], "`+name+`": `+f.Examples[0]+`}`)
		}
	}
	for _, element := range []string{`null`, `1`, `true`, `[]`, `{}`, `["a"]`, `{"a": 1}`, `""`, `"*", "*"`, `"a"`,
		`{"regex": null}`, `{"regex": "a", "b": 1}`, `{"exact": "/a"}`, `{"exact": null}`,
		`{"exact": "/a", "prefix": null}`, `{"exact": "/a", "prefix": "/b"}`} {
		for _, field := range []string{"allow_origins", "allow_methods", "allow_headers", "expose_headers"} {
			docs = append(docs, `{"`+field+`": [`+element+`], "match": {}, "allowOrigins": ["*"]}`,
				`{"`+field+`": [`+element+`]}`)
		}
		for _, field := range []string{"hosts", "paths", "routes"} {
			docs = append(docs, `{"allow_origins": ["*"], "match": {"`+field+`": [`+element+`]}}`)
		}
	}
	for _, n := range []int{249, 250, 251, 252, 253, 254, 255, 256, 300} {
		host := strings.Repeat("a.", n/2) + strings.Repeat("a", n%2)
		for _, before := range []string{"", "*."} {
			docs = append(docs, `{"allow_origins": ["https://`+before+host+`:8443"]}`,
				`{"allow_origins": ["*"], "match": {"hosts": ["`+before+host+`:8443"]}}`)
			host = strings.Repeat("a", n)
		}
	}
	for _, address := range []string{"1:2:3:4:5:6:7:8", "1:2:3:4:5::6:7:8", "1::3:4:5:6:7:8", "1::4:5:6:7:8",
		"1:0:0:4::8", "1:0:0:4:0:0:0:8", "::ffff:102:304", "::A", "::01", "0:0::1"} {
		docs = append(docs, `{"allow_origins": ["http://[`+address+`]:8080"]}`,
			`{"allow_origins": ["*"], "match": {"hosts": ["[`+address+`]"]}}`)
	}
	for _, duration := range []string{"9999999h", "99999999999h", "-1s", "-0s", "+1s", "0.5h", "1500ms", "500ms500ms",
		"1m30s", ".5m", "1.s", ".s", "1", "0", "1d", "1 s", "10µs", "1h1h"} {
		docs = append(docs, `{"allow_origins": ["*"], "max_age": "`+duration+`"}`,
			`{"policy_source": {"cluster": "c", "interval": "`+duration+`", "timeout": "`+duration+`"}}`)
	}
	for _, n := range []int{61, 62, 63, 64, 65} {
		host := strings.Repeat("a.", n)
		for _, host := range []string{host, host + "a", "*." + host, "*." + host + "a"} {
			docs = append(docs, `{"allow_origins": ["https://`+host+`"]}`,
				`{"allow_origins": ["*"], "match": {"hosts": ["`+host+`"]}}`)
		}
		docs = append(docs, `{"name": "`+strings.Repeat("n", n)+`", "allow_origins": ["`+strings.Repeat("s", n)+
			`://a"]}`)
	}
	return docs
}()

// stringPlaces are documents with a place for a string.
var stringPlaces = []string{
	`{"allow_origins": [§]}`, `{"allow_origins": [§], "allow_credentials": true}`,
	`{"allow_origins": [{"regex": §}]}`, `{"allow_origins": [{"regex": §}], "allow_credentials": true}`,
	`{"allow_origins": [{§: "a"}]}`,
	`{"allow_origins": ["*"], "allow_methods": [§]}`, `{"allow_origins": ["*"], "allow_headers": [§]}`,
	`{"allow_origins": ["*"], "expose_headers": [§]}`,
	`{"allow_origins": ["https://a.test"], "expose_headers": [§], "allow_credentials": true}`,
	`{"allow_origins": ["*"], "name": §}`, `{"allow_origins": ["*"], "max_age": §}`,
	`{"allow_origins": ["*"], "unmatched_preflights": §}`,
	`{"allow_origins": ["*"], "preflight_status": §}`, `{"allow_origins": ["*"], "upstream_cors_headers": §}`,
	`{"allow_origins": ["*"], "mode": §}`,
	`{"allow_origins": ["*"], "match": {"hosts": [§]}}`, `{"allow_origins": ["*"], "match": {"routes": [§]}}`,
	`{"allow_origins": ["*"], "match": {"paths": [{"exact": §}, {"prefix": §}]}}`,
	`{"allow_origins": ["*"], "match": {"paths": [{§: "/a"}]}}`,
	`{"allow_origins": ["*"], "match": {§: []}}`, `{"allow_origins": ["*"], §: null}`,
	`{"policies": [{"name": §, "allow_origins": ["*"]}]}`,
	`{"policies": [{"name": "p", "allow_origins": ["*"], §: null}]}`,
	`{"policies": [{"name": "p", "allow_origins": ["*"]}], "defaults": {§: null}}`,
	`{"policies": [{"name": "p", "allow_origins": ["*"]}], §: {"cluster": "c"}}`,
	`{"policy_source": {"cluster": §}}`, `{"policy_source": {"cluster": "c", "path": §, "authority": null}}`,
	`{"policy_source": {"cluster": "c", "authority": §}}`,
	`{"policy_source": {"cluster": "c", "interval": §}}`, `{"policy_source": {"cluster": "c", "timeout": §}}`,
	`{"policy_source": {"cluster": "c", §: null}}`,
}

func quote(tb testing.TB, s string) string {
	tb.Helper()
	quoted, err := json.Marshal(s)
	if err != nil {
		tb.Fatal(err)
	}
	return string(quoted)
}

// corpus are strings that a configuration may have somewhere, rightly or not: testdata has
// one to a line, quoted as in Go. It began with all strings of the engine and its tests.
// What a new rule refuses, or only just takes, is to be added.
func corpus(tb testing.TB) (list []string) {
	tb.Helper()
	for line := range strings.Lines(string(read(tb, "testdata/strings.txt"))) {
		s, err := strconv.Unquote(strings.TrimSuffix(line, "\n"))
		if err != nil {
			tb.Fatalf("%v: %s", err, line)
		}
		list = append(list, s)
	}
	return list
}

// validDocs are the configurations that are meant to be used, each once.
func validDocs(tb testing.TB) (docs []string) {
	tb.Helper()
	for _, c := range cases.All {
		docs = append(docs, c.Config)
	}
	for _, pattern := range []string{"../envoy.yaml", "../deploy/*/*.yaml", "../README.md", "../docs/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil || files == nil {
			tb.Fatal(pattern, err)
		}
		for _, name := range files {
			docs = append(docs, embedded(string(read(tb, name)))...)
		}
	}
	lines := strings.Split(strings.TrimSpace(string(read(tb, "../e2e/envoy/testdata/fetch-cases.jsonl"))), "\n")
	for _, line := range lines {
		var c struct{ Policy json.RawMessage }
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			tb.Fatal(err)
		}
		docs = append(docs, string(c.Policy))
	}
	converted, err := filepath.Glob("../internal/convert/testdata/*/*.golden.json")
	if err != nil || converted == nil {
		tb.Fatal(err)
	}
	for _, name := range converted {
		if doc := string(read(tb, name)); doc != "" {
			docs = append(docs, doc)
		}
	}
	slices.Sort(docs)
	return slices.Compact(docs)
}

func read(tb testing.TB, name string) []byte {
	tb.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return content
}

// embedded are the configurations in a file of Envoy's: blocks of text below "value".
func embedded(content string) (docs []string) {
	const key = "value: |\n"
	for {
		before, after, found := strings.Cut(content, key)
		if !found {
			return docs
		}
		indent := len(before) - strings.LastIndexByte(before, '\n') - 1
		end := 0
		for line := range strings.Lines(after) {
			if strings.TrimSpace(line) != "" && len(line)-len(strings.TrimLeft(line, " ")) <= indent {
				break
			}
			end += len(line)
		}
		if doc := after[:end]; strings.HasPrefix(strings.TrimSpace(doc), "{") {
			docs = append(docs, doc)
		}
		content = after[end:]
	}
}

// fieldPlaces are documents with a place for each field of an object.
var fieldPlaces = []struct {
	fields []schema.Field
	places []string
}{
	{schema.Top[:1], []string{`{§}`, `{§, "policy_source": {"cluster": "c"}}`}},
	{schema.Top[1:2], []string{`{§, "policies": [{"name": "p", "allow_origins": ["https://a.test"]}]}`}},
	{schema.Top[2:], []string{`{§, "policies": [{"name": "p", "allow_origins": ["https://a.test"]}]}`}},
	{schema.Policy[:2], []string{`{§, "allow_origins": ["https://a.test"]}`}},
	{schema.Policy[:1], []string{`{"policies": [{§, "allow_origins": ["https://a.test"]}]}`}},
	{schema.Policy[1:2], []string{`{"policies": [{"name": "p", § ,"allow_origins": ["https://a.test"]}]}`}},
	{schema.Inherited[:1], []string{`{§}`, `{"policies": [{"name": "p", §}]}`,
		`{"policies": [{"name": "p", "allow_origins": ["https://a.test"]}], "defaults": {§}}`}},
	{schema.Inherited[1:], []string{`{§, "allow_origins": ["https://a.test"]}`,
		`{"policies": [{"name": "p", §, "allow_origins": ["https://a.test"]}]}`,
		`{"policies": [{"name": "p", "allow_origins": ["https://a.test"], "expose_headers": []}], "defaults": {§}}`}},
	{schema.Match, []string{`{"allow_origins": ["https://a.test"], "match": {§}}`,
		`{"policies": [{"name": "p", "allow_origins": ["https://a.test"], "match": {§}}]}`}},
	{schema.Path, []string{`{"allow_origins": ["https://a.test"], "match": {"paths": [{§}]}}`}},
	{schema.Regex, []string{`{"allow_origins": [{§}]}`}},
	{schema.Source[:1], []string{`{"policy_source": {§}}`}},
	{schema.Source[1:], []string{`{"policy_source": {"cluster": "c", §}}`}},
}

// TestSchemaTypes: of each field, in either spelling, the schema and the parser accept
// the examples, and refuse every type of value that the field doesn't have.
func TestSchemaTypes(t *testing.T) {
	j := newJudge(t)
	for _, p := range fieldPlaces {
		for _, f := range p.fields {
			for _, place := range p.places {
				j.checkTypes(t, f, place)
			}
		}
	}
}

// valuesOf are values of each type of JSON.
var valuesOf = map[string][]string{
	"null": {`null`}, "boolean": {`true`, `false`}, "number": {`0`, `1`, `-1`, `0.5`, `1e300`},
	"string": {`""`, `"x"`, `"null"`, `"true"`, `"1"`}, "array": {`[]`, `[null]`, `["x"]`, `[[]]`},
	"object": {`{}`, `{"x": 1}`},
}

// checkTypes checks a field in a document with a place for it.
func (j *judge) checkTypes(t *testing.T, f schema.Field, place string) {
	t.Helper()
	with := func(members ...string) string { return strings.ReplaceAll(place, "§", strings.Join(members, ", ")) }
	refused := func(doc string) bool { return !j.agree(t, doc) && j.validate(doc) != nil }
	name, camel := quote(t, f.Name)+": ", quote(t, spelling.Camel(f.Name))+": "
	for _, name := range []string{name, camel} {
		for _, example := range append(f.Examples, f.Default) {
			if example != "" && !j.agree(t, with(name+example)) {
				t.Errorf("the example is refused: %s", with(name+example))
			}
		}
		for kind, list := range valuesOf {
			for _, value := range list {
				if !refused(with(name+value)) && !mayBe(f, kind) {
					t.Errorf("a value of type %s is accepted: %s", kind, with(name+value))
				}
			}
		}
	}
	if twice := with(name+f.Examples[0], camel+f.Examples[0]); name != camel && !refused(twice) {
		t.Errorf("both spellings are accepted: %s", twice)
	}
}

func mayBe(f schema.Field, kind string) bool {
	return slices.Contains(f.Types, kind) || kind == "number" && slices.Contains(f.Types, "integer")
}

// TestSchemaMutations: the schema and the parser agree on configurations that have been
// changed at random.
func TestSchemaMutations(t *testing.T) {
	t.Parallel()
	j := newJudge(t)
	m := &mutator{Rand: rand.New(rand.NewPCG(1, 2)), strings: corpus(t)}
	for _, doc := range append(validDocs(t), rich) {
		m.docs = append(m.docs, decode(t, doc))
	}
	rounds := choices.Rounds(5000)
	accepted := 0
	for range rounds {
		doc := decode(t, encode(t, m.docs[m.IntN(len(m.docs))]))
		for range 1 + m.IntN(2) {
			doc = m.mutate(doc)
		}
		if j.agree(t, encode(t, doc)) {
			accepted++
		}
	}
	if accepted < rounds/10 || accepted > rounds*9/10 {
		t.Errorf("%d of %d are accepted: the mutations are too strong or too weak", accepted, rounds)
	}
}

// rich is a configuration with each field.
const rich = `{
  "defaults": {"allow_origins": ["https://a.test", {"regex": "https://b[0-9]\\.test"}], "allow_credentials": true, "expose_headers": ["X-A"], "max_age": 600, "mode": "shadow"},
  "policies": [
    {"name": "a", "match": {"hosts": ["a.test", "*.b.test:8443", "[::1]"], "paths": [{"exact": "/a"}, {"prefix": "/b"}], "routes": ["r"]}, "allow_methods": ["PUT"]},
    {"name": "b", "allow_origins": ["https://*.c.test:*", "http://localhost:*", "http://[::1]:8080", "null"], "allow_headers": ["*", "Authorization"], "allow_private_network": true},
    {"name": "c", "match": {"hosts": ["c.test"]}, "allow_origins": ["*"], "allow_credentials": false, "unmatched_preflights": "forward", "preflight_status": 200, "upstream_cors_headers": "keep"}
  ],
  "policy_source": {"cluster": "c", "path": "/p", "authority": "a", "interval": "10s", "timeout": 1.5}
}`

func decode(tb testing.TB, doc string) any {
	tb.Helper()
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(doc))
	if err != nil {
		tb.Fatal(err)
	}
	return value
}

func encode(tb testing.TB, value any) string {
	tb.Helper()
	doc, err := json.Marshal(value)
	if err != nil {
		tb.Fatal(err)
	}
	return string(doc)
}

// A mutator changes documents at random.
type mutator struct {
	*rand.Rand
	docs    []any
	strings []string
}

// mutate changes one thing in a value, often deep within it.
func (m *mutator) mutate(value any) any {
	switch v := value.(type) {
	case map[string]any:
		if len(v) > 0 && m.IntN(10) > 0 {
			keys := slices.Sorted(maps.Keys(v))
			key := keys[m.IntN(len(keys))]
			m.member(v, key)
			return v
		}
	case []any:
		if len(v) > 0 && m.IntN(10) > 0 {
			i := m.IntN(len(v))
			if m.IntN(10) == 0 {
				return slices.Delete(v, i, i+1)
			}
			v[i] = m.mutate(v[i])
			return v
		}
	case string:
		if m.IntN(4) > 0 {
			return m.text(v)
		}
	}
	return m.other()
}

// member changes a field, its name or its presence.
func (m *mutator) member(object map[string]any, key string) {
	switch value := object[key]; m.IntN(12) {
	case 0:
		delete(object, key)
	case 1:
		delete(object, key)
		object[spelling.Camel(key)] = value
	case 2:
		object[spelling.Camel(key)] = value
	case 3:
		object[m.name()] = m.other()
	default:
		object[key] = m.mutate(value)
	}
}

func (m *mutator) name() string {
	fields := slices.Concat(schema.Top, schema.Policy, schema.Match, schema.Source)
	return fields[m.IntN(len(fields))].Name
}

// text changes a string by a character.
func (m *mutator) text(s string) string {
	const alphabet = "aAzZ09.-_*:/?#@[] \t\n\x00\x7fäs%"
	i := m.IntN(len(s) + 1)
	letter := string([]rune(alphabet)[m.IntN(len([]rune(alphabet)))])
	switch m.IntN(4) {
	case 0:
		return s[:i] + letter + s[i:]
	case 1:
		return s[:i] + letter + s[min(i+1, len(s)):]
	case 2:
		return s[:i] + s[min(i+1, len(s)):]
	}
	return strings.ToUpper(s[:i]) + s[i:]
}

// other is any value.
func (m *mutator) other() any {
	switch m.IntN(10) {
	case 0:
		return nil
	case 1:
		return m.IntN(2) == 0
	case 2:
		return json.Number(strconv.Itoa([]int{-1, 0, 1, 60, 61, 200, 204, 600, 86400, 86401}[m.IntN(10)]))
	case 3:
		return json.Number(strconv.FormatFloat(m.Float64()*100, 'g', 3, 64))
	case 4:
		return []any{}
	case 5:
		return []any{m.strings[m.IntN(len(m.strings))]}
	case 6:
		return map[string]any{}
	case 7:
		return map[string]any{m.name(): m.other()}
	}
	return m.strings[m.IntN(len(m.strings))]
}
