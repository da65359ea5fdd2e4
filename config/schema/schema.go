// Package schema describes the configuration format once, for editors and for
// people: as a JSON Schema, with which editors complete and check what is typed, and
// as the tables of the documentation.
//
// The schema refuses nothing that package config accepts. The reverse isn't possible:
// whether a regular expression is valid, say, only package config can tell.
package schema

import (
	"slices"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/policyjson"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/spelling"
)

// The schema is made of JSON in the order that is written here.
type (
	object = policyjson.Object
	member = policyjson.Member
	raw    = policyjson.Raw
)

func ref(def string) object { return object{{"$ref", "#/$defs/" + def}} }

//go:generate go run ./internal/generate

// ID is the schema's address.
const ID = "https://raw.githubusercontent.com/proxy-wasm-cors/proxy-wasm-cors/main/config/schema/cors.schema.json"

// JSON is the schema (JSON Schema 2020-12, https://json-schema.org/draft/2020-12).
//
// Three of its keywords are not the standard's, and validators leave them aside, as it
// says (Core, section 6.5). They are for editors with the language services of VS
// Code, which show errorMessage and patternErrorMessage in place of a pattern, and
// don't offer what has doNotSuggest: the second spellings, and what stands in rules.
func JSON() []byte { return []byte(policyjson.Lines(document()) + "\n") }

func document() object {
	return join(
		object{
			{"$schema", "https://json-schema.org/draft/2020-12/schema"},
			{"$id", ID},
			{"title", "proxy-wasm-cors"},
			{"description",
				"the configuration of the CORS filter: one policy's fields, or a list of policies, what they share, and where to fetch them"},
			{"examples", examples},
			{"type", "object"},
		},
		fieldsOf(slices.Concat(Top, Policy), "name", "allow_origins"),
		object{
			{"if", has(names(Top)...)},
			{"then", ref("policy_list")},
			{"else", ref("single_policy")},
			{"$defs", definitions()},
		},
	)
}

// examples are whole configurations.
var examples = []raw{
	`{"allow_origins": ["https://app.example"], "allow_methods": ["PUT", "DELETE"], "allow_headers": ["Content-Type"], "allow_credentials": true, "max_age": "10m"}`,
	`{"defaults": {"allow_methods": ["PUT"]}, "policies": [{"name": "shop", "match": {"hosts": ["shop.example.com"]}, "allow_origins": ["https://shop.example"]}]}`,
}

func definitions() object {
	var defs object
	for _, f := range slices.Concat(Top, Policy) {
		if !f.inDefs {
			continue
		}
		defs = append(defs, member{f.Name, definition(f.present())})
		if f.Required != "" {
			defs = append(defs, member{optionalPrefix + f.Name, definition(f)})
		}
	}
	return join(defs, object{
		{"origin", originEntry},
		{"method", methodEntry},
		{"request_header", requestHeaderEntry},
		{"response_header", responseHeaderEntry},
		{"host", hostEntry},
		{"path", pathEntry},
		{"policy", policy},
		{"single_policy", singlePolicy},
		{"policy_list", policyList},
		{"with_credentials", withCredentials},
		{"safe_with_credentials", safeWithCredentials},
		{"safe_origin", safeOrigin},
		{"safe_exposed_header", safeExposedHeader},
	})
}

// definition is the schema of a field's value.
func definition(f Field) object {
	d := object{{"description", f.Description}, {"type", f.Types}}
	if len(f.Types) == 1 {
		d[1].Value = f.Types[0]
	}
	d = append(d, f.rules...)
	if f.Default != "" {
		d = append(d, member{"default", raw(f.Default)})
	}
	var list []raw
	for _, e := range f.Examples {
		list = append(list, raw(e))
	}
	return append(d, member{"examples", list})
}

// optionalPrefix begins the name in $defs of a field that is required, in the form
// that it has where it isn't.
const optionalPrefix = "optional_"

// present is a field as it is where it is required.
func (f Field) present() Field {
	if f.Required == "" {
		return f
	}
	f.Types = slices.DeleteFunc(slices.Clone(f.Types), func(t string) bool { return t == "null" })
	if slices.Contains(f.Types, "array") {
		f.rules = join(object{{"minItems", 1}}, f.rules)
	}
	return f
}

// fieldsOf is the rule for an object that has these fields and no others. Those that
// are named are required elsewhere, and not in this object.
func fieldsOf(fields []Field, optional ...string) object {
	var first, second, once object
	for _, f := range fields {
		value := definition(f)
		if f.inDefs {
			value = ref(f.Name)
		}
		if slices.Contains(optional, f.Name) {
			value = ref(optionalPrefix + f.Name)
		}
		first = append(first, member{f.Name, value})
		if camel := spelling.Camel(f.Name); camel != f.Name {
			second = append(second,
				member{camel, join(object{{"description", "the same as `" + f.Name + "`"}}, quiet(value))})
			once = append(once,
				member{f.Name, object{{"properties", object{{camel, false}}},
					{"errorMessage", f.Name + " is given twice; leave one out"}}})
		}
	}
	o := object{{"properties", join(first, second)}, {"additionalProperties", false}}
	if once != nil {
		o = append(o, member{"dependentSchemas", once})
	}
	return o
}

// quiet is a schema that editors don't offer, but for its description. Nothing may stand beside
// a $ref: then the language service for YAML would overlook it.
func quiet(schema object) object {
	switch schema[0].Key {
	case "$ref":
		schema = all(schema)
	case "description":
		schema = schema[1:]
	}
	return join(schema, object{{"doNotSuggest", true}})
}

// spellings are the spellings of a field's name.
func spellings(name string) []string {
	return slices.Compact([]string{name, spelling.Camel(name)})
}
