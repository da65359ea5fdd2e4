// Package policytest runs tests of policies that their authors write as a table in
// YAML: a request, and what a browser must make of it.
package policytest

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/capture"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/explain"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/fetch"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/manifest"
)

// A Suite is a file of tests of one configuration.
type Suite struct {
	// Name is the file's name.
	Name string
	// Tests are the tests in the file's order.
	Tests []*Test

	rules []config.Rule
}

// A Test is a request, and what is expected of it.
type Test struct {
	// Name is unique in the suite.
	Name string

	request fetch.Request
	browser bool // an origin is given, so a browser makes the request
	route   string
	expect  []expectation
}

// An expectation is one field of what is expected.
type expectation struct {
	path string
	node *document.Node
	// check returns what is there instead of what is expected, or "".
	check func(*explain.Explanation) string
}

// A Result is what came of a test.
type Result struct {
	*Test
	// Failures say what isn't as it is expected, at the place of the expectation. There
	// are none if the test has passed.
	Failures []*document.Finding
}

// Run runs the tests.
func (s *Suite) Run() (results []Result) {
	for _, t := range s.Tests {
		r := Result{Test: t}
		e := t.explain(s.rules)
		for _, x := range t.expect {
			if got := x.check(e); got != "" {
				r.Failures = append(r.Failures, &document.Finding{
					File: x.node.File(), Offset: x.node.Offset, Path: x.path, What: got,
				})
			}
		}
		results = append(results, r)
	}
	return results
}

func (t *Test) explain(rules []config.Rule) *explain.Explanation {
	if t.browser {
		return explain.Explain(rules, t.request, t.route)
	}
	return explain.WithoutOrigin(rules, t.request, t.route)
}

// Load reads a file of tests. The suite is nil if there is anything wrong with it, or
// with the configuration that it tests. Read reads the file that it names.
func Load(file *document.File, read func(name string) (text string, err error)) (*Suite, []*document.Finding) {
	l := &loader{file: file, suite: &Suite{Name: file.Name}}
	if len(file.Documents) != 1 {
		l.findings = append(l.findings, &document.Finding{
			File: file, Path: "tests", What: fmt.Sprintf("the file has %d documents", len(file.Documents)), Instead: "write one, with configuration and tests",
		})
		return nil, l.findings
	}
	root := file.Documents[0]
	if manifest.IsConfiguration(root) {
		l.fail(root, "configuration", "is a configuration, not a file of tests", "run corsctl validate "+file.Name+", or write a file of tests that names it")
		return nil, l.findings
	}
	l.fields(root, "", "configuration", "tests")
	l.configuration(root, read)
	tests := root.Get("tests")
	if len(tests.List()) == 0 {
		l.fail(or(tests, root), "tests", "is missing or has no test", "write a list of tests, each with name, request and expect")
	}
	names := map[string]bool{}
	for i, n := range tests.List() {
		l.test(n, "tests["+strconv.Itoa(i)+"]", names)
	}
	if len(l.findings) > 0 {
		document.Sort(l.findings)
		return nil, l.findings
	}
	return l.suite, nil
}

func or(n, otherwise *document.Node) *document.Node {
	if n == nil {
		return otherwise
	}
	return n
}

type loader struct {
	file     *document.File
	suite    *Suite
	findings []*document.Finding
}

func (l *loader) fail(at *document.Node, path, what, instead string) {
	l.findings = append(l.findings, &document.Finding{File: l.file, Offset: at.Offset, Path: path, What: what, Instead: instead})
}

// fields reports fields that are unknown or given twice.
func (l *loader) fields(n *document.Node, path string, known ...string) {
	if path != "" {
		path += "."
	}
	seen := map[string]bool{}
	for _, m := range n.Members {
		finding := &document.Finding{File: l.file, Offset: m.Offset, Path: path + m.Name}
		switch {
		case !slices.Contains(known, m.Name):
			finding.What, finding.Instead = "is not a field", "the fields are "+strings.Join(known, ", ")
		case seen[m.Name]:
			finding.What, finding.Instead = "is given twice", "leave one out"
		default:
			seen[m.Name] = true
			continue
		}
		l.findings = append(l.findings, finding)
	}
}

// configuration reads what is tested: a file that is named, or an object.
func (l *loader) configuration(root *document.Node, read func(string) (string, error)) {
	const path = "configuration"
	var plugins []*manifest.Plugin
	switch n := root.Get("configuration"); {
	case n == nil:
		l.fail(root, path, "is missing", "write the name of the file with the policies, or the policies")
		return
	case n.Kind == document.Object:
		plugins = []*manifest.Plugin{manifest.Of("", n)}
	case n.Kind == document.String:
		name := n.Text
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(l.file.Name), name)
		}
		text, err := read(name)
		if err != nil {
			l.fail(n, path, "can't be read: "+err.Error(), "write a name relative to the file of the tests")
			return
		}
		found, findings := manifest.Find(name, text, nil)
		if len(found) > 1 {
			l.fail(n, path, fmt.Sprintf("%s has %d configurations", n.Text, len(found)), "name a file with one")
			return
		}
		if plugins = found; len(found) == 0 {
			l.findings = append(l.findings, findings...)
		}
	default:
		l.fail(n, path, "is neither a name nor an object", "write the name of the file with the policies, or the policies")
		return
	}
	for _, p := range plugins {
		configuration, findings := p.Parse()
		if configuration == nil {
			for _, f := range findings {
				if !f.Warning {
					l.findings = append(l.findings, f)
				}
			}
		}
		l.suite.rules = p.Rules()
		if n := root.Get("configuration"); configuration != nil && len(l.suite.rules) == 0 {
			l.fail(n, path, "has no policies of its own", "give the document that its policy source serves")
		}
	}
}

// test reads one test.
func (l *loader) test(n *document.Node, path string, names map[string]bool) {
	if n.Kind != document.Object {
		l.fail(n, path, "is not an object", "write name, request and expect")
		return
	}
	l.fields(n, path, "name", "request", "expect")
	t := &Test{Name: n.Get("name").String()}
	switch {
	case t.Name == "":
		l.fail(n, path+".name", "is missing", "say what the test is about")
	case names[t.Name]:
		l.fail(n.Get("name"), path+".name", strconv.Quote(t.Name)+" is the name of another test too", "give each test a name of its own")
	}
	names[t.Name] = true
	l.request(n, path+".request", t)
	l.expectations(n, path+".expect", t)
	l.suite.Tests = append(l.suite.Tests, t)
}

func (l *loader) request(test *document.Node, path string, t *Test) {
	n := test.Get("request")
	if n == nil || n.Kind != document.Object {
		l.fail(or(n, test), path, "is missing", "write origin, method, url, headers, credentials and route, as far as they matter")
		return
	}
	l.fields(n, path, "origin", "method", "url", "route", "headers", "credentials", "private_network")
	text := func(name, otherwise string) string {
		value := n.Get(name)
		switch {
		case value == nil:
			return otherwise
		case value.Kind == document.Null && name == "origin":
			return "null" // YAML's null, and the origin null, which is written alike
		case value.Kind != document.String || value.Text == "":
			l.fail(value, path+"."+name, "is not a text", "write it in quotes")
			return otherwise
		}
		return value.Text
	}
	flag := func(name string) bool {
		value := n.Get(name)
		if value != nil && value.Kind != document.Bool {
			l.fail(value, path+"."+name, "is not true or false", "write true or false")
		}
		return value != nil && value.Text == "true"
	}
	t.browser = n.Has("origin")
	t.route = text("route", "")
	t.request = fetch.Request{
		Origin: text("origin", ""), Method: text("method", "GET"), URL: text("url", ""),
		CredentialsInclude: flag("credentials"), PrivateNetwork: flag("private_network"),
	}
	check := func(name string, err error) {
		if value := n.Get(name); value != nil && err != nil {
			what, instead, _ := strings.Cut(err.Error(), "; ")
			l.fail(value, path+"."+name, what, instead)
		}
	}
	check("origin", capture.CheckOrigin(t.request.Origin))
	check("method", capture.CheckMethod(t.request.Method))
	check("url", capture.CheckURL(t.request.URL))
	headers := n.Get("headers")
	if headers != nil && headers.Kind != document.Object {
		l.fail(headers, path+".headers", "is not an object", `write each header as "name: value"`)
		return
	}
	if headers != nil {
		for _, m := range headers.Members {
			l.header(m, path+".headers."+m.Name)
			if err := capture.CheckHeader(m.Name, scalar(m.Value)); err != nil {
				what, instead, _ := strings.Cut(err.Error(), "; ")
				l.fail(m.Value, path+".headers."+m.Name, what, instead)
			}
			t.request.Headers = append(t.request.Headers, [2]string{m.Name, scalar(m.Value)})
		}
	}
}

// header reports a header whose value is no text.
func (l *loader) header(m document.Member, path string) {
	if m.Value.Kind == document.List || m.Value.Kind == document.Object {
		l.fail(m.Value, path, "is not a text", "write the value in quotes, several joined by commas")
	}
}

// scalar is a value as it is written: a header's value may be a number.
func scalar(n *document.Node) string {
	if n.Kind == document.Null {
		return ""
	}
	return n.Text
}
