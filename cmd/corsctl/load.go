package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/manifest"
)

// load reads a file that must have one configuration, or several of which at is the line
// of one: a valid one with policies. What is wrong with it is printed, on standard output
// if that is for programs.
func load(c *cobra.Command, arg, at string, forPrograms bool) (*manifest.Plugin, []config.Rule, error) {
	name, text, err := read(c, arg)
	if err != nil {
		if forPrograms {
			err = errors.Join(err, printJSON(c.OutOrStdout(), withFindings(document.Unreadable(name, err))))
		}
		return nil, nil, err
	}
	report := func(findings []*document.Finding) error {
		if forPrograms {
			if err := printJSON(c.OutOrStdout(), withFindings(findings...)); err != nil {
				return err
			}
			return errFindings
		}
		printFindings(c.ErrOrStderr(), findings)
		return errFindings
	}
	plugins, findings := manifest.Find(name, text, readText)
	if len(plugins) == 0 {
		return nil, nil, report(findings)
	}
	plugin, err := chooseAt(name, plugins, at)
	if err != nil {
		return nil, nil, err
	}
	if configuration, findings := plugin.Parse(); configuration == nil {
		return nil, nil, report(findings)
	}
	rules := plugin.Rules()
	if len(rules) == 0 {
		return nil, nil, fmt.Errorf("%s has no policies of its own; give the document that its policy source serves", name)
	}
	return plugin, rules, nil
}

// withFindings is what a program reads instead of an answer.
func withFindings(findings ...*document.Finding) any {
	return map[string]any{"findings": document.Reports(findings)}
}

// chooseAt is the configuration that a line belongs to, or, without a line, the only one
// that there is.
func chooseAt(name string, plugins []*manifest.Plugin, at string) (*manifest.Plugin, error) {
	if at == "" {
		for _, p := range plugins[1:] {
			if p.Configuration != plugins[0].Configuration {
				return nil, fmt.Errorf("%s has %d configurations: %s; choose one with --at and its line, such as --at %s",
					name, len(plugins), places(plugins), position(plugins[len(plugins)-1], plugins))
			}
		}
		return plugins[0], nil
	}
	where, err := parsePosition(at)
	if err != nil {
		return nil, err
	}
	var chosen *manifest.Plugin
	last := 0
	for _, p := range plugins {
		last = max(last, p.File().Position(len(p.File().Text)).Line)
		if !after(p.Begin(), where) && (chosen == nil || !after(chosen.Begin(), p.Begin())) {
			chosen = p
		}
	}
	if chosen == nil || where.Line > last {
		return nil, fmt.Errorf("no configuration of %s stands at line %d; there is one at %s", name, where.Line, places(plugins))
	}
	return chosen, nil
}

// parsePosition reads a line, or a line and a column.
func parsePosition(at string) (p document.Position, err error) {
	line, column, more := strings.Cut(at, ":")
	p.Line, err = strconv.Atoi(line)
	if p.Column = 1 << 30; more && err == nil {
		p.Column, err = strconv.Atoi(column)
	}
	if err != nil || p.Line < 1 || p.Column < 1 {
		return p, fmt.Errorf("--at %q is no line; write a number such as 12, or 12:5 with a column", at)
	}
	return p, nil
}

func after(a, b document.Position) bool {
	return a.Line > b.Line || a.Line == b.Line && a.Column > b.Column
}

// places are where configurations begin, with their names.
func places(plugins []*manifest.Plugin) string {
	var list []string
	for _, p := range plugins {
		place := "line " + position(p, plugins)
		if p.Name != "" {
			place += " (" + p.Name + ")"
		}
		list = append(list, place)
	}
	return strings.Join(list, ", ")
}

// position is what --at says of a configuration: its line, and its column if another one
// begins in that line.
func position(p *manifest.Plugin, plugins []*manifest.Plugin) string {
	for _, other := range plugins {
		if other != p && other.Begin().Line == p.Begin().Line {
			return p.Begin().String()
		}
	}
	return strconv.Itoa(p.Begin().Line)
}
