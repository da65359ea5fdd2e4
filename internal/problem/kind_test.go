package problem_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/convert"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/manifest"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/policytest"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// configurations has one for each kind of problem that a configuration can have.
var configurations = map[problem.Kind]string{
	problem.Syntax:            `{"allow_origins": [}`,
	problem.Placeholder:       `{"allow_origins": ["https://${HOST}"]}`,
	problem.UnknownField:      `{"allow_origins": ["*"], "allow_orgins": []}`,
	problem.MisplacedField:    `{"policies": [], "max_age": 600}`,
	problem.WrongType:         `{"allow_origins": 1}`,
	problem.Missing:           `{"allow_origins": []}`,
	problem.InvalidValue:      `{"allow_origins": ["*"], "mode": "observe"}`,
	problem.OutOfRange:        `{"allow_origins": ["*"], "max_age": -1}`,
	problem.TooLarge:          `[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]`,
	problem.Duplicate:         `{"allow_origins": ["https://a.test", "https://a.test"]}`,
	problem.Superfluous:       `{"allow_origins": ["*", "https://a.test"]}`,
	problem.Conflict:          `{"policies": [{"name": "a", "allow_origins": ["*"]}, {"name": "b", "allow_origins": ["*"]}]}`,
	problem.NotOrigin:         `{"allow_origins": ["a.test"]}`,
	problem.WildcardMisplaced: `{"allow_origins": ["https://a*.test"]}`,
	problem.Literal:           `{"allow_origins": ["*"], "allow_headers": ["X-*"]}`,
	problem.NeverSent:         `{"allow_origins": ["https://A.test"]}`,
	problem.EverySite:         `{"allow_origins": ["*"], "allow_credentials": true}`,
	problem.OtherOwners:       `{"allow_origins": ["https://*.co.uk"], "allow_credentials": true}`,
	problem.PlainHTTP:         `{"allow_origins": ["http://a.test"], "allow_credentials": true}`,
	problem.NullOrigin:        `{"allow_origins": ["null"], "allow_credentials": true}`,
	problem.RegexInvalid:      `{"allow_origins": [{"regex": "("}]}`,
	problem.RegexTooCostly:    `{"allow_origins": [{"regex": "((a{100}){100}){100}"}]}`,
	problem.RegexNull:         `{"allow_origins": [{"regex": "null"}]}`,
	problem.InvalidName:       `{"allow_origins": ["*"], "allow_headers": ["X Id"]}`,
	problem.Forbidden:         `{"allow_origins": ["*"], "allow_methods": ["TRACE"]}`,
	problem.InvalidHost:       `{"allow_origins": ["*"], "match": {"hosts": ["https://a.test"]}}`,
	problem.InvalidPath:       `{"allow_origins": ["*"], "match": {"paths": [{"exact": "a"}]}}`,
	problem.More:              `{"allow_methods": [` + strings.Repeat(`"TRACE", `, 200) + `"PUT"]}`,
}

// found are the findings of the other kinds, which are about what isn't a configuration.
func found(t *testing.T) map[problem.Kind][]*document.Finding {
	t.Helper()
	parse := func(text string) *document.File {
		file, failed := document.Parse("a.yaml", text)
		if failed != nil {
			t.Fatal(failed)
		}
		return file
	}
	tests := func(configuration string) (list []*document.Finding) {
		text := "configuration: " + configuration + `
tests: [{name: a, request: {origin: "https://a.test", url: "https://b.test"}, expect: {verdict: blocked}}]`
		missing := func(string) (string, error) { return "", errors.New("no such file") }
		for _, r := range policytest.Run("a.yaml", text, missing).Results {
			list = append(list, r.Failures...)
		}
		return list
	}
	plugins, findings := manifest.Find("a.yaml", "kind: WasmPlugin\nspec: {pluginConfig: {allow_origins: ['*']}}", nil)
	for _, p := range plugins {
		findings = append(findings, p.Around()...)
	}
	result, err := convert.Convert("envoy",
		parse("'@type': type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy\n"+
			"allow_origin_string_match: [{contains: a}, {exact: 'https://a.test'}]"))
	if err != nil {
		t.Fatal(err)
	}
	return map[problem.Kind][]*document.Finding{
		problem.Unreadable: tests("a.json"), problem.Unexpected: tests(`{allow_origins: ["*"]}`),
		problem.Bypassed: findings, problem.NotCarriedOver: result.Findings,
	}
}

// TestKinds: something is of each kind, which has a name of its own, and nothing is of none.
func TestKinds(t *testing.T) {
	others := found(t)
	names := map[string]bool{}
	for kind := problem.Kind(1); kind.String() != ""; kind++ {
		if name := kind.String(); names[name] || !regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`).MatchString(name) {
			t.Errorf("kind %d is called %q", kind, name)
		}
		names[kind.String()] = true
		var problems []problem.Problem
		for _, f := range others[kind] {
			problems = append(problems, f.Problem)
		}
		if doc, ok := configurations[kind]; ok {
			_, problems = config.Parse(doc)
		}
		reported := false
		for _, p := range problems {
			reported = reported || p.Kind == kind
			if p.Kind.String() == "" {
				t.Errorf("%v has no kind", p)
			}
		}
		if !reported {
			t.Errorf("none of the problems is of the kind %s: %v", kind, problems)
		}
	}
	if len(names) != len(configurations)+len(others) {
		t.Errorf("%d kinds, and %d examples", len(names), len(configurations)+len(others))
	}
}
