package manifest

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// ours finds what only files with the filter's configuration have in them, of the many files
// that a ConfigMap may have.
var ours = regexp.MustCompile(`\b(allow_origins|allowOrigins|policy_source|policySource|origin_lookup|originLookup)\b` +
	`|\bextensions\.filters\.http\.wasm\.|\bkind["\s:]+(WasmPlugin|TrafficExtension|EnvoyExtensionPolicy)\b`)

// configMap looks for configurations in the files that a ConfigMap has in it.
func (s *search) configMap(d *document.Node) {
	var names []string
	for _, m := range members(d.Get("data")) {
		names = append(names, m.Name)
	}
	for _, m := range members(d.Get("data")) {
		s.configFile("ConfigMap "+d.Get("metadata", "name").String()+" "+m.Name, m.Name, m.Value, names)
	}
}

// configFile looks for configurations in a file that is the text of a value, beside others.
func (s *search) configFile(called, name string, value *document.Node, beside []string) {
	known := slices.Contains([]string{".json", ".yaml", ".yml", ""}, path.Ext(name))
	if !known || s.opened[value.Offset] {
		return
	}
	s.opened[value.Offset] = true
	if !ours.MatchString(value.String()) {
		return
	}
	file, failed := value.Embedded(name)
	if failed != nil {
		s.findings = append(s.findings, failed)
		return
	}
	// Those of cors-policyd have what looks like policies, and tests have them.
	foreign := func(d *document.Node) bool { return d.Has("database") || isTests(d) }
	if slices.ContainsFunc(file.Documents, foreign) {
		return
	}
	inner := newSearch(file, s.read)
	inner.siblings = beside
	inner.run()
	s.take(inner, called)
}

// take takes what was found in a file that is in this one.
func (s *search) take(inner *search, called string) {
	something := func(f *document.Finding) bool { return f.Kind != problem.Missing }
	if len(inner.plugins)+len(inner.candidates) == 0 && !slices.ContainsFunc(inner.findings, something) {
		return
	}
	for _, p := range inner.plugins {
		p.Name = strings.TrimSpace(called + " " + p.Name)
	}
	s.plugins, s.findings = append(s.plugins, inner.plugins...), append(s.findings, inner.findings...)
}

// members are the fields of an object; n may be nil.
func members(n *document.Node) []document.Member {
	if n == nil {
		return nil
	}
	return n.Members
}
