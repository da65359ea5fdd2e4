package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// outputs is the schema of what the commands print as JSON. Here it knows every field: one that
// it lacks is a mistake, though who reads the output must expect more.
func outputs(schema string) (*jsonschema.Compiler, error) {
	text, err := os.ReadFile(schema)
	if err != nil {
		return nil, err
	}
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	closeObjects(root)
	compiler := jsonschema.NewCompiler()
	return compiler, compiler.AddResource("corsctl.json", root)
}

// closeObjects forbids objects the fields that a schema doesn't have.
func closeObjects(schema any) {
	switch s := schema.(type) {
	case map[string]any:
		if _, isObject := s["properties"].(map[string]any); isObject && s["type"] == "object" {
			s["additionalProperties"] = false
		}
		for _, inner := range s {
			closeObjects(inner)
		}
	case []any:
		for _, inner := range s {
			closeObjects(inner)
		}
	}
}

// definition is what the schema calls the output of a command, "" if it has none.
func definition(args []string) string {
	has := func(flag string, values ...string) bool {
		return slices.ContainsFunc(args, func(arg string) bool {
			name, _, _ := strings.Cut(arg, "=")
			return name == flag
		}) && (values == nil || slices.ContainsFunc(args, func(arg string) bool {
			return slices.Contains(values, arg[strings.LastIndexByte(arg, '=')+1:])
		}))
	}
	switch {
	case len(args) == 0 || !has("-o", "json") && !has("--output", "json") || args[0] == "schema":
		return ""
	case args[0] == "explain" && has("--har") && has("--by", "cause"):
		return "explain_har_by_cause"
	case args[0] == "explain" && has("--har"):
		return "explain_har"
	case args[0] == "probe" && (has("--compare") || has("--compare-connect")):
		return "probe_compare"
	}
	return args[0]
}

// checkJSON checks what a command has printed by the schema.
func checkJSON(schema string, args []string, printed string) error {
	name := definition(args)
	if name == "" || printed == "" {
		return nil
	}
	compiler, err := outputs(schema)
	if err != nil {
		return err
	}
	compiled, err := compiler.Compile("corsctl.json#/$defs/" + name)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(printed))
	if err != nil {
		return err
	}
	return compiled.Validate(value)
}

// checked is the command as the scripts run it: what it prints as JSON is what docs/corsctl.schema.json
// says, or else it exits with a code that no script expects.
func checked() {
	const unexpected = 99
	var printed bytes.Buffer
	code := run(os.Args[1:], os.Stdin, io.MultiWriter(os.Stdout, &printed), os.Stderr)
	schema := filepath.Join(os.Getenv("ROOT"), "docs", "corsctl.schema.json")
	if err := checkJSON(schema, os.Args[1:], printed.String()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = unexpected
	}
	os.Exit(code)
}

// TestJSON: the schema has what probe prints, of which the scripts have nothing, and finds what
// isn't as it says.
func TestJSON(t *testing.T) {
	const schema = "../../docs/corsctl.schema.json"
	compiler, err := outputs(schema)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := compiler.Compile("corsctl.json"); err != nil {
		t.Error(err)
	}
	goldens, err := filepath.Glob("testdata/probe/*")
	if err != nil || goldens == nil {
		t.Fatal(goldens, err)
	}
	found := 0
	for _, path := range goldens {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(text, []byte("{")) {
			continue
		}
		found++
		args := []string{"probe", "-o", "json"}
		if strings.Contains(filepath.Base(path), "compare") {
			args = append(args, "--compare")
		}
		if err := checkJSON(schema, args, string(text)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if found < 2 {
		t.Errorf("%d golden files of probe are JSON", found)
	}
	for _, test := range []struct{ name, args, printed, want string }{
		{"a field that it lacks", "version -o=json", `{"version": "", "revision": "", "go": "", "platform": "", "x": 1}`, "'x' not allowed"},
		{"a field that is missing", "validate --output=json", `{"valid": true, "findings": []}`, "'configurations'"},
		{"causes as a list", "explain --har=a --by=cause -o json", `[]`, "want object"},
		{"a list as causes", "explain --har a -o json", `{}`, "want array"},
		{"a line 0", "explain -o json", `{"findings": [{"file": "a", "line": 0, "column": 1, "path": "", "severity": "error", "what": ""}]}`, "minimum"},
		{"no JSON", "test -o json", "ok", "invalid character"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := checkJSON(schema, strings.Fields(test.args), test.printed)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
