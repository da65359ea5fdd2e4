package main

import (
	"fmt"
	"strings"

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
	if wrong, _ := count(findings); wrong > 0 {
		printFindings(c.ErrOrStderr(), findings)
		return nil, nil, errFindings
	}
	if len(plugins) > 1 {
		var names []string
		for _, p := range plugins {
			names = append(names, p.Name)
		}
		return nil, nil, fmt.Errorf("%s has %d configurations (%s); give a file with one", name, len(plugins), strings.Join(names, ", "))
	}
	plugin := plugins[0]
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
