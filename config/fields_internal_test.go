package config

import (
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config/schema"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/policyjson"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/spelling"
)

// TestFields: the schema and the documentation have the fields that the parser knows,
// in the same order, and the same second spelling of each.
func TestFields(t *testing.T) {
	for name, test := range map[string]struct {
		parser []string
		schema []schema.Field
	}{
		"top":           {topFields, schema.Top},
		"policy":        {policyFields, schema.Policy},
		"defaults":      {defaultFields, schema.Inherited},
		"match":         {matchFields, schema.Match},
		"policy_source": {sourceFields[:], schema.Source},
		"origin_lookup": {lookupFields[:], schema.Lookup},
	} {
		var fields []string
		for _, f := range test.schema {
			fields = append(fields, f.Name)
			if camel := spelling.Camel(f.Name); canonical(camel, test.parser) != slices.Index(test.parser, f.Name) {
				t.Errorf("%s: %s is not a spelling of %s", name, camel, f.Name)
			}
		}
		if diff := cmp.Diff(test.parser, fields); diff != "" {
			t.Errorf("%s (-parser +schema):\n%s", name, diff)
		}
	}
}

// TestEveryPlace: a field of a policy has its place in the engine, in the parser, in the
// schema and in what is written, and comes through each. It names each place that doesn't
// have a new one yet. The README is made of the schema, which a test of its own sees to.
func TestEveryPlace(t *testing.T) {
	fields := reflect.VisibleFields(reflect.TypeFor[cors.Config]())
	for place, n := range map[string]int{
		"policyFields in config/config.go":  len(policyFields),
		"Policy in config/schema/fields.go": len(schema.Policy),
	} {
		// With the match; Shadow and Off are both of the field mode.
		if want := len(fields) + 1 - 1; n != want {
			t.Errorf("%s: there are %d fields, and cors.Config has as many as %d", place, n, want)
		}
	}
	plain := cors.Config{AllowOrigins: []cors.OriginEntry{{Text: "https://plain.test"}}}
	before, _ := cors.Compile(plain)
	if again, _ := cors.Compile(plain); !reflect.DeepEqual(before, again) {
		t.Fatal("policies can't be compared")
	}
	for _, field := range fields {
		c := plain
		value, known := sample(field.Type)
		if !known {
			t.Errorf("sample in this test: there is no value for %s, a %v", field.Name, field.Type)
			continue
		}
		reflect.ValueOf(&c).Elem().FieldByIndex(field.Index).Set(reflect.ValueOf(value))
		after, problems := cors.Compile(c)
		switch {
		case after == nil:
			t.Errorf("sample in this test: the value of %s isn't valid: %v", field.Name, problems)
			continue
		case reflect.DeepEqual(before, after):
			t.Errorf("Policy and Assemble in cors/policy.go: %s makes no difference", field.Name)
		}
		p := policyjson.Policy{Config: c}
		if c.Lookup {
			p.Lookup = policyjson.Object{{"cluster", "policies"}}
		}
		written := policyjson.Line(p.Object())
		if written == policyjson.Line(policyjson.Policy{Config: plain}.Object()) {
			t.Errorf("Policy.Object in internal/policyjson: %s isn't written, "+
				"so that nothing can tell yet whether readField in config/policy.go reads it", field.Name)
			continue
		}
		readsBack(t, "readField in config/policy.go, or written in config/policies.go", written, field, value)
		if field.Name != "Name" {
			inherited := `{"policies": [{"name": "p"}], "defaults": ` + written + `}`
			readsBack(t, "the defaults in config/config.go", inherited, field, value)
		}
	}
}

// readsBack checks that a document's policy has a value in a field. The place is where that
// is seen to.
func readsBack(t *testing.T, place, doc string, field reflect.StructField, value any) {
	t.Helper()
	_, policies, problems := ParsePolicies(doc)
	if policies == nil {
		t.Errorf("%s: %s is refused in %s: %v", place, field.Name, doc, problems)
		return
	}
	got := reflect.ValueOf(policies[0].Config).FieldByIndex(field.Index).Interface()
	if diff := cmp.Diff(value, got); diff != "" {
		t.Errorf("%s: %s isn't read from %s (-want +got):\n%s", place, field.Name, doc, diff)
	}
}

// sample is a valid value of a field of such a type that isn't the field's default.
func sample(of reflect.Type) (value any, known bool) {
	seconds := 60
	origins := []cors.OriginEntry{{Text: "https://sample.test"}}
	for _, value := range []any{true, 200, &seconds, "name", []string{"NAME"}, origins} {
		if reflect.TypeOf(value) == of {
			return value, true
		}
	}
	return nil, false
}
