package convert

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// lineWidth is how long a line may get before a list in it is written one element a line.
const lineWidth = 100

// write writes the policies as a configuration, with the fields in the order of the
// documentation. One policy that is for everything stands at the top.
func write(rules []*rule) string {
	if len(rules) == 1 && len(rules[0].Match.Hosts)+len(rules[0].Match.Paths)+len(rules[0].Match.Routes) == 0 {
		return object("", rules[0].fields(false)) + "\n"
	}
	var policies []string
	for _, r := range rules {
		policies = append(policies, object("    ", r.fields(true)))
	}
	return "{\n  \"policies\": [\n    " + strings.Join(policies, ",\n    ") + "\n  ]\n}\n"
}

// A field is a field of an object: a value as JSON, or a list of such, or fields.
type field struct {
	name   string
	value  string
	list   []string
	fields []field
}

// object writes an object whose first line begins at the indentation.
func object(indent string, fields []field) string {
	var b strings.Builder
	b.WriteString("{")
	for i, f := range fields {
		if i > 0 {
			b.WriteString(",")
		}
		head := indent + "  " + encode(f.name) + ": "
		b.WriteString("\n" + head + f.text(len(head), indent+"  "))
	}
	b.WriteString("\n" + indent + "}")
	return b.String()
}

// text is the field's value; it begins at a column of a line that is indented.
func (f field) text(column int, indent string) string {
	if f.value != "" {
		return f.value
	}
	line := f.line()
	switch {
	case column+len(line) < lineWidth:
		return line
	case f.fields != nil:
		return object(indent, f.fields)
	}
	return "[\n" + indent + "  " + strings.Join(f.list, ",\n"+indent+"  ") + "\n" + indent + "]"
}

// line is the field's value in one line.
func (f field) line() string {
	switch {
	case f.value != "":
		return f.value
	case f.fields == nil:
		return "[" + strings.Join(f.list, ", ") + "]"
	}
	var members []string
	for _, m := range f.fields {
		members = append(members, encode(m.name)+": "+m.line())
	}
	return "{" + strings.Join(members, ", ") + "}"
}

// fields are the policy's fields that differ from the defaults.
func (r *rule) fields(named bool) (fields []field) {
	add := func(name string, given bool, value string) {
		if given {
			fields = append(fields, field{name: name, value: value})
		}
	}
	list := func(name string, elements []string) {
		if len(elements) > 0 {
			fields = append(fields, field{name: name, list: elements})
		}
	}
	add("name", named, encode(r.Name))
	if match := matchFields(r.Match); match != nil {
		fields = append(fields, field{name: "match", fields: match})
	}
	var origins []string
	for _, entry := range r.AllowOrigins {
		if entry.Regex {
			origins = append(origins, `{"regex": `+encode(entry.Text)+`}`)
		} else {
			origins = append(origins, encode(entry.Text))
		}
	}
	list("allow_origins", origins)
	list("allow_methods", encodeAll(r.AllowMethods))
	list("allow_headers", encodeAll(r.AllowHeaders))
	list("expose_headers", encodeAll(r.ExposeHeaders))
	add("allow_credentials", r.AllowCredentials, "true")
	if r.MaxAge != nil {
		add("max_age", true, strconv.Itoa(*r.MaxAge))
	}
	add("allow_private_network", r.AllowPrivateNetwork, "true")
	add("unmatched_preflights", r.ForwardUnmatchedPreflights, `"forward"`)
	add("preflight_status", r.PreflightStatus != 0, strconv.Itoa(r.PreflightStatus))
	add("upstream_cors_headers", r.KeepUpstreamHeaders, `"keep"`)
	add("mode", r.Shadow, `"shadow"`)
	return fields
}

func matchFields(m match.Match) (fields []field) {
	if len(m.Hosts) > 0 {
		fields = append(fields, field{name: "hosts", list: encodeAll(m.Hosts)})
	}
	var paths []string
	for _, path := range m.Paths {
		kind := "exact"
		if path.Prefix {
			kind = "prefix"
		}
		paths = append(paths, `{"`+kind+`": `+encode(path.Path)+`}`)
	}
	if paths != nil {
		fields = append(fields, field{name: "paths", list: paths})
	}
	if len(m.Routes) > 0 {
		fields = append(fields, field{name: "routes", list: encodeAll(m.Routes)})
	}
	return fields
}

func encodeAll(list []string) (encoded []string) {
	for _, s := range list {
		encoded = append(encoded, encode(s))
	}
	return encoded
}

// encode is a string as JSON, as a person would write it.
func encode(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // a string is always JSON
	}
	return strings.TrimSuffix(b.String(), "\n")
}
