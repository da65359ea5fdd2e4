package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/manifest"
)

// load reads a file that must have one configuration, or several of which at is the line
// of one: a valid one with policies. What is wrong with it is printed, on standard output
// if that is for programs.
func load(c *cobra.Command, arg, at string, forPrograms bool) (*manifest.Plugin, error) {
	name, text, err := read(c, arg)
	if err != nil {
		if forPrograms {
			err = errors.Join(err, printJSON(c.OutOrStdout(), withFindings(document.Unreadable(name, err))))
		}
		return nil, err
	}
	plugins, findings := manifest.Find(name, text, readText)
	if len(plugins) == 0 {
		return nil, report(c, findings, forPrograms)
	}
	plugin, err := chooseAt(name, plugins, at)
	if err != nil {
		return nil, err
	}
	if plugin.Part {
		return nil, partOf(name)
	}
	if configuration, findings := plugin.Parse(); configuration == nil {
		return nil, report(c, findings, forPrograms)
	}
	if len(plugin.Policies()) == 0 {
		return nil, fmt.Errorf("%s has no policies of its own; give the document that its policy source serves", name)
	}
	return plugin, nil
}

// partOf is the error that a file has no more than a part of a configuration.
func partOf(name string) error {
	return fmt.Errorf("%s has a part of a configuration; give what kustomize build prints", name)
}

// report prints what is wrong with a configuration, and ends the command.
func report(c *cobra.Command, findings []*document.Finding, forPrograms bool) error {
	if !forPrograms {
		printFindings(c.ErrOrStderr(), findings)
		return errFindings
	}
	return verdict(printJSON(c.OutOrStdout(), withFindings(findings...)), true)
}

// withFindings is what a program reads instead of an answer.
func withFindings(findings ...*document.Finding) any {
	return map[string]any{"findings": document.JSON(findings)}
}

// chooseAt is the configuration that a line belongs to, or, without a line, the only one
// that there is.
func chooseAt(name string, plugins []*manifest.Plugin, at string) (*manifest.Plugin, error) {
	if at == "" {
		if !manifest.Alike(plugins) {
			return nil, fmt.Errorf("%s has %d configurations: %s; choose one with --at and its line, such as --at %s",
				name, len(plugins), manifest.Places(plugins), plugins[len(plugins)-1].Place(plugins))
		}
		return plugins[0], nil
	}
	where, ok := document.ParsePosition(at)
	if !ok {
		return nil, fmt.Errorf("--at %q is no line; write a number such as 12, or 12:5 with a column", at)
	}
	plugin := manifest.At(plugins, where)
	if plugin == nil {
		return nil, fmt.Errorf("no configuration of %s stands at line %d; there is one at %s",
			name, where.Line, manifest.Places(plugins))
	}
	return plugin, nil
}
