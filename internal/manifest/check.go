package manifest

import (
	"slices"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
)

// A Valid is a configuration that the filter accepts.
type Valid struct {
	// File is the file that was read.
	File string `json:"file"`
	// Name is the [Plugin]'s.
	Name string `json:"name,omitempty"`
	// Policies is how many there are, beside those of a policy source.
	Policies int `json:"policies"`
	// Part tells that it is a part of a configuration, as [Plugin] has it.
	Part bool `json:"part,omitempty"`
}

// Check reads a file as [Find] does, and the configurations in it. It returns those that
// are valid, and what is wrong or doubtful, each once: a value that aliases repeat is
// wrong once.
func Check(name, text string, read func(string) (string, error)) (valid []Valid, findings []*document.Finding) {
	plugins, all := Find(name, text, read)
	for _, plugin := range plugins {
		configuration, found := plugin.Parse()
		all = append(all, found...)
		v := Valid{File: name, Name: plugin.Name, Part: plugin.Part}
		if configuration != nil && configuration.Policies != nil {
			v.Policies = len(configuration.Policies.All())
		}
		if configuration == nil && (!plugin.Part || slices.ContainsFunc(found, isError)) {
			continue
		}
		valid = append(valid, v)
	}
	seen := map[document.Finding]bool{}
	for _, f := range all {
		if !seen[*f] {
			seen[*f] = true
			findings = append(findings, f)
		}
	}
	return valid, findings
}

func isError(f *document.Finding) bool { return !f.Warning }
