// Package conformance_test asks this filter what other projects' own tests ask of their CORS, re-told in
// tables, and counts in docs/conformance.md what is the same, what isn't, and who is right then.
package conformance_test

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/convert"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
)

//go:embed testdata/*.yaml
var tables embed.FS

// A project is one table: the tests of another project, re-told.
type project struct {
	// Project is its name, and Tests are the files that have the tests, each with what of it was read.
	Project string
	Tests   []string
	// Policies are by name: of this filter's own form, or what is to be converted.
	Policies map[string]policy
	Rows     []row
}

// A policy says what another project's test configures.
type policy struct {
	// From is the source's format, of those that are converted, and Source what stands there.
	From, Source string
	// Own is the policy in this filter's form, where its format isn't one of these.
	Own map[string]any
}

// A row is one case.
type row struct {
	// Case is how the project calls it. Policy is what it configures.
	Case, Policy string

	// The request: its method and path, where they aren't GET and /; its host; lines of Origin,
	// Access-Control-Request-Method and Access-Control-Request-Headers; and other lines.
	Method, Path, Host  string
	Origin, Asks, Names texts
	With                map[string]string
	// Upstream are the upstream's lines, and Answers is its status.
	Upstream map[string]string
	Answers  int

	// What the project expects. Page is what a page gets, "allowed" or "blocked", where the headers don't
	// tell all. Passes tells whether the upstream sees the request; by default it doesn't see preflights.
	Page    string
	Passes  *bool
	Status  statuses
	Headers map[string]texts
	// Only tells that there are no other CORS headers, nor Vary.
	Only bool
	// Refused tells that the policy is refused, or with Accepted that it isn't: there is no request.
	Refused, Accepted bool

	// Differs names the kinds of differences of this filter's answer. Beyond is why it can't be told.
	Differs []string
	Beyond  string
}

// Texts are lines, or values that are all right; null is none.
type texts []string

// UnmarshalYAML takes one text for a list of one.
func (t *texts) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.SequenceNode {
		return node.Decode((*[]string)(t))
	}
	*t = texts{}
	if node.Tag != "!!null" {
		*t = texts{node.Value}
	}
	return nil
}

// Statuses are one status, or several that are all right.
type statuses []int

// UnmarshalYAML takes one number for a list of one.
func (s *statuses) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.SequenceNode {
		return node.Decode((*[]int)(s))
	}
	*s = statuses{0}
	return node.Decode(&(*s)[0])
}

// UnmarshalYAML tells the two forms of a policy apart.
func (p *policy) UnmarshalYAML(node *yaml.Node) error {
	if err := node.Decode(&p.Own); err != nil {
		return err
	}
	from, ok := p.Own["from"].(string)
	if ok {
		p.From, p.Source, p.Own = from, p.Own["source"].(string), nil
	}
	return nil
}

// configuration is the policy in this filter's form.
func (p policy) configuration(t *testing.T) string {
	t.Helper()
	if p.From == "" {
		text, err := json.Marshal(p.Own)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	file, failed := document.Parse("policy.yaml", p.Source)
	if failed != nil {
		t.Fatal(failed)
	}
	result, err := convert.Convert(p.From, file)
	if err != nil {
		t.Fatal(err)
	}
	return result.Configuration
}

// request is the row's request, as the tables of all levels have it.
func (r row) request() cases.Request {
	request := cases.Request{Method: r.Method, Path: r.Path, Host: r.Host}
	for _, header := range []struct {
		name  string
		lines texts
	}{{"origin", r.Origin}, {"access-control-request-method", r.Asks}, {"access-control-request-headers", r.Names}} {
		for _, line := range header.lines {
			request.Headers = append(request.Headers, [2]string{header.name, line})
		}
	}
	request.Headers = append(request.Headers, lines(r.With)...)
	return request.Complete()
}

// upstream is what the upstream answers.
func (r row) upstream() cases.Upstream {
	return cases.Upstream{Status: r.Answers, Headers: lines(r.Upstream)}
}

func lines(headers map[string]string) (lines [][2]string) {
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		lines = append(lines, [2]string{name, headers[name]})
	}
	return lines
}

// isPreflight reports whether the request is a preflight.
func (r row) isPreflight() bool {
	return r.Method == "OPTIONS" && len(r.Origin) > 0 && len(r.Asks) > 0 && r.Asks[0] != ""
}

// readProjects reads all tables.
func readProjects(t *testing.T) (projects []project) {
	t.Helper()
	names, err := fs.Glob(tables, "testdata/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := tables.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var p project
		decoder := yaml.NewDecoder(bytes.NewReader(text))
		decoder.KnownFields(true)
		if err := decoder.Decode(&p); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p.check(t, name)
		projects = append(projects, p)
	}
	return projects
}

// check fails the test if the table says something of no meaning.
func (p project) check(t *testing.T, name string) {
	t.Helper()
	seen := map[string]bool{}
	used := map[string]bool{}
	for _, r := range p.Rows {
		at := fmt.Sprintf("%s: %s", name, r.Case)
		if seen[r.Case] || r.Case == "" {
			t.Errorf("%s is there twice, or has no name", at)
		}
		seen[r.Case], used[r.Policy] = true, true
		_, known := p.Policies[r.Policy]
		switch {
		case r.Beyond != "" && reasons[r.Beyond] == "":
			t.Errorf("%s: there is no reason %q", at, r.Beyond)
		case r.Beyond != "":
		case !known:
			t.Errorf("%s: there is no policy %q", at, r.Policy)
		case !slices.Contains([]string{"", "allowed", "blocked", "none"}, r.Page):
			t.Errorf("%s: page %q", at, r.Page)
		case !r.Refused && !r.Accepted && r.Page == "" && r.Passes == nil && r.Status == nil && r.Headers == nil:
			t.Errorf("%s: nothing is expected", at)
		}
	}
	for policy := range p.Policies {
		if !used[policy] {
			t.Errorf("%s: the policy %s is of no case", name, policy)
		}
	}
	if p.Project == "" || len(p.Tests) == 0 || strings.TrimSpace(strings.Join(p.Tests, "")) == "" {
		t.Errorf("%s doesn't say what it is of", name)
	}
}
