package config

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config/schema"
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
		"policy_source": {sourceFields, schema.Source},
	} {
		var fields []string
		for _, f := range test.schema {
			fields = append(fields, f.Name)
			if camel := schema.Camel(f.Name); canonical(camel, test.parser) != slices.Index(test.parser, f.Name) {
				t.Errorf("%s: %s is not a spelling of %s", name, camel, f.Name)
			}
		}
		if diff := cmp.Diff(test.parser, fields); diff != "" {
			t.Errorf("%s (-parser +schema):\n%s", name, diff)
		}
	}
}
