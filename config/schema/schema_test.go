package schema_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config/schema"
)

// TestPublished: what is in the repository is what the table of fields makes.
func TestPublished(t *testing.T) {
	const stale = "%s is stale (-published +current); run go generate ./config/schema\n%s"
	published, err := os.ReadFile("cors.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(published), string(schema.JSON())); diff != "" {
		t.Errorf(stale, "cors.schema.json", diff)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	filled, err := schema.Fill(string(readme))
	if err != nil {
		t.Fatal("README.md: ", err)
	}
	if diff := cmp.Diff(string(readme), filled); diff != "" {
		t.Errorf(stale, "README.md", diff)
	}
}

// TestFill: what has lost its marker or its end is not left as it is.
func TestFill(t *testing.T) {
	var doc strings.Builder
	for _, name := range []string{"top", "policy", "allow_origins", "policy_source", "origin_lookup"} {
		doc.WriteString("before\n<!-- begin: " + name + " (go generate ./config/schema) -->\n<!-- end -->\nafter\n")
	}
	filled, err := schema.Fill(doc.String())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := schema.Fill(filled); err != nil || again != filled {
		t.Errorf("filled again: %v\n%s", err, cmp.Diff(filled, again))
	}
	for _, row := range []string{"| `policies` | yes,", "| `match.hosts` | no | every host |",
		"| `\"*\"` | every origin, whatever the header says |", "| `cluster` | yes | | "} {
		if !strings.Contains(filled, "\n"+row) || !strings.Contains(schema.Markdown(), "\n"+row) {
			t.Errorf("no row %s", row)
		}
	}
	for doc, want := range map[string]string{
		"": "there is no line <!-- begin: top (go generate ./config/schema) -->; write it before the table, and <!-- end --> after it",
		"<!-- begin: top (go generate ./config/schema) -->\n": "the table top has no end; write <!-- end --> after it",
	} {
		if _, err := schema.Fill(doc); err == nil || err.Error() != want {
			t.Errorf("%q: %v", doc, err)
		}
	}
}

// TestSchema: the schema is valid by the standard's own, and so are its examples and
// defaults by it.
func TestSchema(t *testing.T) {
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema.JSON()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(schema.ID, root); err != nil {
		t.Fatal(err)
	}
	if draft := root.(map[string]any)["$schema"]; draft != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("the draft is %v", draft)
	}
	examples := 0
	walk("", root, func(pointer string, s map[string]any) {
		values, _ := s["examples"].([]any)
		if value, ok := s["default"]; ok {
			values = append(values, value)
		}
		if len(values) == 0 {
			return
		}
		compiled, err := compiler.Compile(schema.ID + "#" + pointer)
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range values {
			examples++
			if err := compiled.Validate(value); err != nil {
				t.Errorf("%s: the example %v: %v", pointer, value, err)
			}
		}
	})
	if examples < len(schema.Policy) {
		t.Errorf("there are only %d examples", examples)
	}
}

// TestNamesOnce: no object of the schema has a name twice, of which readers take one or the
// other, and some none.
func TestNamesOnce(t *testing.T) {
	var once any
	if err := json.Unmarshal(schema.JSON(), &once); err != nil {
		t.Fatal(err)
	}
	var want, got bytes.Buffer
	encoder := json.NewEncoder(&want)
	encoder.SetEscapeHTML(false)
	if err := errors.Join(encoder.Encode(once), json.Compact(&got, schema.JSON())); err != nil {
		t.Fatal(err)
	}
	if want, got := len(bytes.TrimSpace(want.Bytes())), len(bytes.TrimSpace(got.Bytes())); want != got {
		t.Errorf("%d bytes are lost where the schema is read", got-want)
	}
}

// TestPatterns: each pattern means the same in ECMA-262, for which the standard has
// them, and in RE2, with which some validators read them.
func TestPatterns(t *testing.T) {
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema.JSON()))
	if err != nil {
		t.Fatal(err)
	}
	differs := regexp.MustCompile(`\(\?|\[\[|\\[^.*+[\]sS]`)
	patterns := 0
	walk("", root, func(pointer string, s map[string]any) {
		pattern, ok := s["pattern"].(string)
		if !ok {
			return
		}
		patterns++
		if _, err := regexp.Compile(pattern); err != nil {
			t.Errorf("%s: %v", pointer, err)
		}
		if at := differs.FindString(pattern); at != "" {
			t.Errorf("%s: %s in the pattern %s", pointer, at, pattern)
		}
	})
	if patterns == 0 {
		t.Error("there are no patterns")
	}
}

// walk visits every object of a document.
func walk(pointer string, value any, visit func(pointer string, object map[string]any)) {
	switch v := value.(type) {
	case map[string]any:
		visit(pointer, v)
		for key, member := range v {
			if key != "examples" {
				walk(pointer+"/"+key, member, visit)
			}
		}
	case []any:
		for i, element := range v {
			walk(pointer+"/"+strconv.Itoa(i), element, visit)
		}
	}
}
