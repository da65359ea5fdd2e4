package settings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/spelling"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A Template is a document but for what comes from the database.
type Template struct {
	// Defaults are the defaults as JSON, or "".
	Defaults string
	// Policies are the document's, in its order.
	Policies []Policy
}

// A Policy is a policy whose origins, or which itself, comes from the database.
type Policy struct {
	// Path is its place, such as "policies[2]".
	Path string
	// Name is its name; "" if there is one for each name of Rows.
	Name string
	// Rows is the query for the policies themselves, or "".
	Rows string
	// Match says what the policy is for, if it isn't of Rows.
	Match match.Match
	// Fields are the fields beside name and allow_origins as members of a JSON object, with
	// a comma before each.
	Fields string
	// Origins are the entries of allow_origins. Where Inherits is set there are none.
	Origins  []Origin
	Inherits bool
	// Credentials tells whether the policy allows them.
	Credentials bool
}

// An Origin is an entry of allow_origins: either as it stands, or a query for several.
type Origin struct{ JSON, Query string }

// TableQuery is what {table: true} stands for.
const TableQuery = "SELECT origin FROM cors_origins WHERE policy = :policy"

// templateNodes are the values that make the template.
type templateNodes struct{ defaults, policies *document.Node }

// A draft is the document with placeholders for what the database has, to be checked by the
// filter's own reader, and where its parts come from.
type draft struct {
	reader *reader
	text   strings.Builder
	at     []int // where parts of the text begin
	from   []func(offset int) int
}

func (d *draft) add(text string, node *document.Node) {
	d.at = append(d.at, d.text.Len())
	d.from = append(d.from, func(int) int { return node.Offset })
	d.text.WriteString(text)
}

func (d *draft) value(node *document.Node) string {
	text, places := node.JSON()
	d.at = append(d.at, d.text.Len())
	d.from = append(d.from, places.Offset)
	d.text.WriteString(text)
	return compact(text)
}

// offset is where in the file something in the draft comes from.
func (d *draft) offset(at int) int {
	i, found := slices.BinarySearch(d.at, at)
	if !found {
		i--
	}
	return d.from[max(i, 0)](at - d.at[max(i, 0)])
}

// compact is JSON without space. What isn't valid stays as it is, and is found when the
// draft is checked.
func compact(text string) string {
	var b bytes.Buffer
	if json.Compact(&b, []byte(text)) != nil {
		return text
	}
	return b.String()
}

func quoted(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string
	return strings.TrimSuffix(b.String(), "\n")
}

// template reads defaults and policies. They are checked by the filter's own reader, with an
// origin that nobody has in place of each query.
func (r *reader) template(nodes templateNodes) *Template {
	t, d := &Template{}, &draft{reader: r}
	before := len(r.findings)
	first := nodes.defaults
	if first == nil {
		first = nodes.policies
	}
	d.add("{", first)
	if nodes.defaults != nil {
		for i, v := range nodes.defaults.Get("allow_origins").List() {
			if v.Kind == document.Object && !v.Has("regex") {
				r.fail(v, problem.MisplacedField, "defaults.allow_origins["+strconv.Itoa(i)+"]", "is a query, and stands in defaults",
					"write it into the policies")
			}
		}
		d.add(`"defaults":`, nodes.defaults)
		t.Defaults = d.value(nodes.defaults)
	}
	if nodes.policies != nil {
		if nodes.defaults != nil {
			d.add(",", nodes.policies)
		}
		d.add(`"policies":`, nodes.policies)
		if nodes.policies.Kind == document.List {
			d.policies(t, nodes.policies)
		} else {
			d.value(nodes.policies)
		}
	}
	d.add("}", first)
	if len(r.findings) > before {
		return t
	}
	d.check(t)
	return t
}

func (d *draft) policies(t *Template, list *document.Node) {
	d.add("[", list)
	for i, n := range list.Elements {
		if i > 0 {
			d.add(",", n)
		}
		if n.Kind != document.Object {
			d.value(n)
			continue
		}
		t.Policies = append(t.Policies, d.policy(i, n))
	}
	d.add("]", list)
}

// policy reads a policy, and adds it to the draft.
func (d *draft) policy(i int, n *document.Node) Policy {
	p := Policy{Path: fmt.Sprintf("policies[%d]", i), Name: n.Get("name").String(), Inherits: !n.Has("allow_origins")}
	placeholder := func(j int) string { return fmt.Sprintf(`"https://query-%d-%d.invalid"`, i, j) }
	first := true
	member := func(name string, at *document.Node) {
		if !first {
			d.add(",", at)
		}
		first = false
		d.add(quoted(name)+":", at)
	}
	d.add("{", n)
	var fields strings.Builder
	for _, m := range n.Members {
		switch {
		case m.Name == "rows":
			p.Rows = d.reader.query(m.Value, p.Path+".rows")
		case spelling.Is(m.Name, "allow_origins") && m.Value.Kind == document.List:
			member("allow_origins", m.Value)
			d.origins(&p, m.Value, placeholder)
		default:
			member(m.Name, m.Value)
			value := d.value(m.Value)
			if m.Name != "name" && !spelling.Is(m.Name, "allow_origins") {
				fields.WriteString("," + quoted(m.Name) + ":" + value)
			}
		}
	}
	if n.Has("rows") {
		for _, name := range []string{"name", "match"} {
			if v := n.Get(name); v != nil {
				d.reader.fail(v, problem.MisplacedField, p.Path+"."+name, "stands beside rows, which have it", "leave it out")
			}
		}
		// What stands for the rows: a policy that no other one conflicts with.
		member("name", n)
		d.add(fmt.Sprintf(`"rows-%d","match":{"hosts":["rows-%d.invalid"]}`, i, i), n)
		if p.Inherits {
			d.add(`,"allow_origins":[`+placeholder(0)+`]`, n)
		}
	}
	d.add("}", n)
	p.Fields = fields.String()
	return p
}

// origins reads allow_origins.
func (d *draft) origins(p *Policy, list *document.Node, placeholder func(int) string) {
	d.add("[", list)
	for j, v := range list.Elements {
		if j > 0 {
			d.add(",", v)
		}
		if v.Kind != document.Object || v.Has("regex") {
			p.Origins = append(p.Origins, Origin{JSON: d.value(v)})
			continue
		}
		path := fmt.Sprintf("%s.allow_origins[%d]", p.Path, j)
		o := Origin{}
		if v.Has("table") {
			o.Query = TableQuery
		}
		before := len(d.reader.findings)
		d.reader.object(v, path, fields{
			"query": func(v *document.Node, path string) { o.Query = d.reader.query(v, path, "policy") },
			"table": func(v *document.Node, path string) {
				if !d.reader.boolean(v, path) {
					d.reader.fail(v, problem.InvalidValue, path, "is not true", "write true, or leave the entry out")
				}
			},
			"regex": func(*document.Node, string) {},
		})
		switch {
		case len(d.reader.findings) > before:
		case o.Query == "" || v.Has("table") && v.Has("query"):
			d.reader.fail(v, problem.Missing, path, "is neither a query nor the table",
				`write {"query": "SELECT origin FROM …"}, {"table": true} or {"regex": "…"}`)
		case v.Has("table") && p.Name == "":
			d.reader.fail(v, problem.MisplacedField, path, "is the table, which is by the policy's name, and there is none",
				"write it into a policy with a name")
		}
		p.Origins = append(p.Origins, o)
		d.add(placeholder(j), v)
	}
	d.add("]", list)
}

// check has the filter's reader judge the draft, and takes from it what the policies say.
func (d *draft) check(t *Template) {
	text := d.text.String()
	_, policies, problems := config.ParsePolicies(text)
	for _, p := range problems {
		d.reader.findings = append(d.reader.findings, d.reader.file.Finding(d.offset(p.Offset), p))
	}
	if len(policies) != len(t.Policies) {
		return
	}
	for i, p := range policies {
		t.Policies[i].Credentials = p.Config.AllowCredentials
		t.Policies[i].Match = p.Match
		if t.Policies[i].Rows != "" {
			t.Policies[i].Match = match.Match{}
		}
	}
}

// mayHave reports whether there is a policy of a name, or may be, since rows have names.
func (t *Template) mayHave(name string) bool {
	return slices.ContainsFunc(t.Policies, func(p Policy) bool { return p.Rows != "" || p.Name == name })
}

// HasTable reports whether origins are of the table cors_origins.
func (t *Template) HasTable() bool {
	for _, p := range t.Policies {
		for _, o := range p.Origins {
			if o.Query == TableQuery {
				return true
			}
		}
	}
	return false
}
