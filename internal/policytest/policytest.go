// Package policytest runs tests of policies that their authors write as a table in
// YAML: a request, and what a browser must make of it.
package policytest

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/capture"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/explain"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/manifest"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// A Report is a file of tests and what came of them.
type Report struct {
	// File is the file's name.
	File    string
	Results []Result
}

// A Result is what came of a test.
type Result struct {
	// Name is unique in the file.
	Name string
	// Failures say what isn't as it is expected, at the place of the expectation. There
	// are none if the test has passed.
	Failures []*document.Finding
}

// Failed is the number of tests that failed.
func (r *Report) Failed() (n int) {
	for _, result := range r.Results {
		if len(result.Failures) > 0 {
			n++
		}
	}
	return n
}

// Run runs the tests of a file, or says that it can't. Read reads the file that the tests
// name.
func Run(name, text string, read func(name string) (string, error)) Report {
	file, failed := document.ParseAs("the test file", name, text)
	if failed != nil {
		return broken(name, failed)
	}
	l := &loader{file: file, names: map[string]bool{}}
	l.load(read)
	if len(l.findings) > 0 {
		document.Sort(l.findings)
		return broken(name, l.findings...)
	}
	report := Report{File: name}
	for _, t := range l.tests {
		report.Results = append(report.Results, Result{t.name, t.failures(l.policies)})
	}
	return report
}

// Unreadable is the report of a file that can't be read.
func Unreadable(name string, err error) Report { return broken(name, document.Unreadable(name, err)) }

// broken is the report of a file that can't be run.
func broken(name string, findings ...*document.Finding) Report {
	return Report{name, []Result{{"the file can be run", findings}}}
}

// A test is a request, and what is expected of it.
type test struct {
	name    string
	request browser.Request
	browser bool // an origin is given, so a browser makes the request
	route   string
	lookup  cors.LookupResult
	expect  []expectation
}

// An expectation is one field of what is expected.
type expectation struct {
	path string
	node *document.Node
	// check returns what is there instead of what is expected, or "".
	check func(e *explain.Explanation, want *document.Node) string
}

// failures runs the test.
func (t *test) failures(policies []config.Policy) (list []*document.Finding) {
	e := explain.WithoutOrigin(policies, t.request, t.route)
	if t.browser {
		e = explain.Explain(policies, t.request, t.route, t.lookup)
	}
	for _, x := range t.expect {
		if got := x.check(e, x.node); got != "" {
			list = append(list, x.node.Finding(problem.Unexpected, x.path, got, ""))
		}
	}
	return list
}

// A loader reads a file of tests, and finds what is wrong with it or with the configuration
// that it tests.
type loader struct {
	file     *document.File
	policies []config.Policy
	tests    []*test
	names    map[string]bool // of the tests
	findings []*document.Finding
}

func (l *loader) load(read func(name string) (string, error)) {
	if len(l.file.Documents) != 1 {
		l.report(0, problem.New(problem.WrongType, "tests",
			fmt.Sprintf("the file has %d documents", len(l.file.Documents)), "write one, with configuration and tests"))
		return
	}
	root := l.file.Documents[0]
	if manifest.IsConfiguration(root) {
		l.fail(problem.WrongType, root, "configuration", "is a configuration, not a file of tests",
			"run corsctl validate "+l.file.Name+", or write a file of tests that names it")
		return
	}
	l.fields(root, "", "configuration", "tests")
	l.configuration(root, read)
	tests := root.Get("tests")
	if len(tests.List()) == 0 {
		l.fail(problem.Missing, cmp.Or(tests, root), "tests", "is missing or has no test",
			"write a list of tests, each with name, request and expect")
	}
	for i, n := range tests.List() {
		l.test(n, "tests["+strconv.Itoa(i)+"]")
	}
}

func (l *loader) fail(kind problem.Kind, at *document.Node, path, what, instead string) {
	l.report(at.Offset, problem.New(kind, path, what, instead))
}

func (l *loader) report(offset int, p problem.Problem) {
	l.findings = append(l.findings, l.file.Finding(offset, p))
}

// fields reports fields that are unknown or given twice.
func (l *loader) fields(n *document.Node, path string, known ...string) {
	if path != "" {
		path += "."
	}
	seen := map[string]bool{}
	for _, m := range n.Members {
		switch {
		case !slices.Contains(known, m.Name):
			l.report(m.Offset, problem.New(problem.UnknownField, path+m.Name, "is not a field",
				"the fields are "+strings.Join(known, ", ")))
		case seen[m.Name]:
			l.report(m.Offset, problem.New(problem.Duplicate, path+m.Name, "is given twice", "leave one out"))
		}
		seen[m.Name] = true
	}
}

// configuration reads what is tested: a file that is named, or an object.
func (l *loader) configuration(root *document.Node, read func(string) (string, error)) {
	const path = "configuration"
	n := root.Get("configuration")
	plugin := l.plugin(root, path, read)
	if plugin == nil {
		return
	}
	configuration, findings := plugin.Parse()
	l.policies = plugin.Policies()
	switch {
	case configuration == nil:
		isWarning := func(f *document.Finding) bool { return f.Warning }
		l.findings = append(l.findings, slices.DeleteFunc(findings, isWarning)...)
	case len(l.policies) == 0:
		l.fail(problem.Missing, n, path, "has no policies of its own",
			"give the document that its policy source serves")
	}
}

// plugin finds the configuration that is tested; it is nil if there isn't just one.
func (l *loader) plugin(root *document.Node, path string, read func(string) (string, error)) *manifest.Plugin {
	const instead = "write the name of the file with the policies, or the policies"
	n := root.Get("configuration")
	switch {
	case n == nil:
		l.fail(problem.Missing, root, path, "is missing", instead)
		return nil
	case n.Kind == document.Object:
		return manifest.Of("", n)
	case n.Kind != document.String:
		l.fail(problem.WrongType, n, path, "is neither a name nor an object", instead)
		return nil
	}
	name := n.Text
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(l.file.Name), name)
	}
	text, err := read(name)
	if err != nil {
		l.fail(problem.Unreadable, n, path, "can't be read: "+err.Error(),
			"write a name relative to the file of the tests")
		return nil
	}
	switch plugins, findings := manifest.Find(name, text, nil); len(plugins) {
	case 0:
		l.findings = append(l.findings, findings...)
		return nil
	case 1:
		return plugins[0]
	default:
		l.fail(problem.WrongType, n, path, fmt.Sprintf("%s has %d configurations", n.Text, len(plugins)),
			"name a file with one")
		return nil
	}
}

// test reads one test.
func (l *loader) test(n *document.Node, path string) {
	if n.Kind != document.Object {
		l.fail(problem.WrongType, n, path, "is not an object", "write name, request and expect")
		return
	}
	l.fields(n, path, "name", "request", "expect")
	t := &test{name: n.Get("name").String()}
	switch {
	case t.name == "":
		l.fail(problem.Missing, n, path+".name", "is missing", "say what the test is about")
	case l.names[t.name]:
		l.fail(problem.Duplicate, n.Get("name"), path+".name", strconv.Quote(t.name)+" is the name of another test too",
			"give each test a name of its own")
	}
	l.names[t.name] = true
	l.request(n, path+".request", t)
	l.expectations(n, path+".expect", t)
	l.tests = append(l.tests, t)
}

func (l *loader) request(of *document.Node, path string, t *test) {
	n := of.Get("request")
	if n == nil || n.Kind != document.Object {
		l.fail(problem.Missing, cmp.Or(n, of), path, "is missing",
			"write origin, method, url, headers, credentials and route, as far as they matter")
		return
	}
	l.fields(n, path, "origin", "method", "url", "route", "headers", "credentials", "private_network", "lookup")
	text := func(name, otherwise string) string { return l.text(n.Get(name), path+"."+name, otherwise) }
	t.browser = n.Has("origin")
	t.route, t.lookup = text("route", ""), l.lookup(n.Get("lookup"), path+".lookup", t.browser)
	t.request = browser.Request{
		Origin: l.origin(n.Get("origin"), path+".origin"), Method: text("method", "GET"), URL: text("url", ""),
		CredentialsInclude: l.flag(n, "credentials", path), PrivateNetwork: l.flag(n, "private_network", path),
	}
	l.check(n.Get("origin"), path+".origin", capture.CheckOrigin(t.request.Origin))
	l.check(n.Get("method"), path+".method", capture.CheckMethod(t.request.Method))
	l.check(n.Get("url"), path+".url", capture.CheckURL(t.request.URL))
	headers := n.Get("headers")
	if headers == nil {
		return
	}
	if headers.Kind != document.Object {
		l.fail(problem.WrongType, headers, path+".headers", "is not an object", `write each header as "name: value"`)
	}
	for _, m := range headers.Members {
		l.header(m, path+".headers."+m.Name)
		l.check(m.Value, path+".headers."+m.Name, capture.CheckHeader(m.Name, scalar(m.Value)))
		t.request.Headers = append(t.request.Headers, [2]string{m.Name, scalar(m.Value)})
	}
}

// origin reads an origin. YAML's null and the origin null are written alike.
func (l *loader) origin(n *document.Node, path string) string {
	if n != nil && n.Kind == document.Null {
		return "null"
	}
	return l.text(n, path, "")
}

// lookup reads what a look-up of the origin comes to.
func (l *loader) lookup(n *document.Node, path string, browser bool) cors.LookupResult {
	result, known := explain.ParseLookupResult(n.String())
	switch {
	case n == nil:
	case !browser:
		l.fail(problem.MisplacedField, n, path, "is what a look-up says of an origin, and the request has none",
			"write an origin, or leave it out")
	case !known || result == cors.NotLookedUp:
		l.fail(problem.InvalidValue, n, path, "is no result of a look-up",
			"write one of "+strings.Join(explain.LookupResults(), ", "))
	}
	return result
}

// text reads a text that isn't empty.
func (l *loader) text(n *document.Node, path, otherwise string) string {
	if n != nil && n.String() == "" {
		l.fail(problem.WrongType, n, path, "is not a text", "write it in quotes")
	}
	return cmp.Or(n.String(), otherwise)
}

// flag reads true or false, which is what is left out.
func (l *loader) flag(of *document.Node, name, path string) bool {
	n := of.Get(name)
	if n != nil && n.Kind != document.Bool {
		l.fail(problem.WrongType, n, path+"."+name, "is not true or false", "write true or false")
	}
	return n.Scalar() == "true"
}

// check reports what a check of package capture says of a value, if there is one.
func (l *loader) check(n *document.Node, path string, err error) {
	if p, ok := errors.AsType[problem.Problem](err); ok && n != nil {
		l.fail(p.Kind, n, path, p.What, p.Instead)
	}
}

// header reports a header whose value is no text.
func (l *loader) header(m document.Member, path string) {
	if m.Value.Kind == document.List || m.Value.Kind == document.Object {
		l.fail(problem.WrongType, m.Value, path, "is not a text", "write the value in quotes, several joined by commas")
	}
}

// scalar is a value as it is written: a header's value may be a number.
func scalar(n *document.Node) string {
	if n.Kind == document.Null {
		return ""
	}
	return n.Text
}
