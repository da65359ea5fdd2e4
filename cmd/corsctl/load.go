package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/corsctl/internal/manifest"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
)

// load reads a file that must have one configuration, a valid one with policies. What
// is wrong with it is printed.
func load(c *cobra.Command, arg string) (*manifest.Plugin, []config.Rule, error) {
	name, text, err := read(c, arg)
	if err != nil {
		return nil, nil, err
	}
	plugins, findings := manifest.Find(name, text)
	if len(plugins) == 0 {
		printFindings(c.ErrOrStderr(), findings)
		return nil, nil, errFindings
	}
	plugin := plugins[0]
	for _, p := range plugins[1:] {
		if p.Configuration != plugin.Configuration {
			return nil, nil, fmt.Errorf("%s has several configurations (at %s %s, and at %s %s); give a file with one",
				name, plugin.Position(0), plugin.Name, p.Position(0), p.Name)
		}
	}
	if configuration, findings := plugin.Parse(); configuration == nil {
		printFindings(c.ErrOrStderr(), findings)
		return nil, nil, errFindings
	}
	rules := config.Rules(plugin.Configuration)
	if len(rules) == 0 {
		return nil, nil, fmt.Errorf("%s has no policies of its own; give the document that its policy source serves", name)
	}
	return plugin, rules, nil
}
