package manifest

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// isKustomization reports whether a document is a kustomization, which may leave its kind out
// (https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/).
func isKustomization(d *document.Node, kind string) bool {
	return kind == "Kustomization" || kind == "Component" ||
		kind == "" && d.Has("patches", "patches_strategic_merge", "patches_json6902")
}

// kustomization looks for configurations in the patches that stand in a kustomization itself.
func (s *search) kustomization(d *document.Node) {
	for _, field := range []string{"patches", "patches_json6902"} {
		for _, p := range d.Get(field).List() {
			s.patchOf(p.Get("patch"), p.Get("target"))
		}
	}
	for _, text := range d.Get("patches_strategic_merge").List() {
		if strings.Contains(text.String(), "\n") { // else it names a file
			s.patchOf(text, nil)
		}
	}
}

// patchOf looks for configurations in a patch of a target: the operations of a JSON Patch
// (RFC 6902), or parts of manifests that are merged into others.
func (s *search) patchOf(text, target *document.Node) {
	if text.String() == "" || s.opened[text.Offset] {
		return
	}
	s.opened[text.Offset] = true
	file, failed := text.Embedded("patch.yaml")
	if failed != nil {
		s.findings = append(s.findings, failed)
		return
	}
	name := target.Get("name").String()
	for _, d := range file.Documents {
		kind := cmp.Or(d.Get("kind").String(), target.Get("kind").String())
		if d.Kind != document.List {
			s.merge(file, d, kind, name)
			continue
		}
		for _, operation := range d.Elements {
			s.operation(operation, kind, name)
		}
	}
}

// merge looks for a configuration in a part of a manifest.
func (s *search) merge(file *document.File, d *document.Node, kind, name string) {
	inner := newSearch(file, nil)
	inner.patch = true
	inner.document(d, kind)
	for _, c := range inner.candidates {
		c.module = append(c.module, name)
		if c.value == nil || !c.looksOurs() {
			continue
		}
		before := len(inner.plugins)
		inner.unwrap(c)
		for _, p := range inner.plugins[before:] {
			// Envoy has it as one string, which is whole.
			p.Name, p.Part = "patch of "+p.Name, !c.envoy
		}
	}
	s.plugins, s.findings = append(s.plugins, inner.plugins...), append(s.findings, inner.findings...)
}

// configurationAt are where manifests have the configuration, as JSON pointers (RFC 6901); a star
// is an element of a list.
var configurationAt = map[string][]string{
	"WasmPlugin":           {"spec", "pluginConfig"},
	"TrafficExtension":     {"spec", "wasm", "pluginConfig"},
	"EnvoyExtensionPolicy": {"spec", "wasm", "*", "config"},
}

// operation looks for a configuration, or a part of one, in an operation of a JSON Patch.
func (s *search) operation(o *document.Node, kind, name string) {
	at, value := o.Get("path"), o.Get("value")
	steps := strings.Split(strings.TrimPrefix(at.String(), "/"), "/")
	for i, step := range steps {
		steps[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
	}
	if value == nil || o.Get("op").String() == "test" {
		return
	}
	if kind == "ConfigMap" && len(steps) == 2 && steps[0] == "data" {
		s.configFile("patch of ConfigMap "+name+" "+steps[1], steps[1], value, nil)
		return
	}
	prefix, known := configurationAt[kind]
	leads := func(want, got string) bool { return want == got || want == "*" && isElement(got) }
	if !known || len(steps) < len(prefix) || !slices.EqualFunc(prefix, steps[:len(prefix)], leads) {
		return
	}
	steps = steps[len(prefix):]
	for _, step := range slices.Backward(steps) {
		if isElement(step) {
			value = value.Alone()
		} else {
			value = value.Under(step, at.Offset)
		}
	}
	called := strings.TrimSpace("patch of " + kind + " " + name)
	switch {
	case !cors.MatchString(name) && !isConfiguration(value):
	case value.Kind != document.Object:
		s.findings = append(s.findings, value.Finding(problem.WrongType, "configuration",
			called+" has a configuration that is no object", "write {…}"))
	default:
		p := Of(called, value)
		p.Part = len(steps) > 0
		s.plugins = append(s.plugins, p)
	}
}

// isElement reports whether a step of a JSON pointer leads to an element of a list: to one by its
// number, or to the one after the last.
func isElement(step string) bool {
	_, err := strconv.ParseUint(step, 10, 32)
	return step == "-" || err == nil
}
