package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/manifest"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

func newValidate() *cobra.Command {
	c := &cobra.Command{
		Use:   "validate FILE…|-",
		Short: "Check configurations, and say what is wrong where",
		Long: `validate reads the filter's configuration as the filter does, and prints all that is
wrong with it as

  file:line:column: path: what is wrong; what to write instead

with the line it stands in. It finds the configuration within Envoy's own
configuration, an Istio WasmPlugin or TrafficExtension and an Envoy Gateway
EnvoyExtensionPolicy, in JSON and YAML, with any number of documents.

It also warns of what stands around the configuration in the file, and makes it void: a
filter that answers first, a failure that lets requests pass, Istio's phase, paths in
several spellings.

It exits with 0 if the filter would accept all of it, and 1 if not. Warnings are about
what is accepted, but probably not meant; with --strict they count as errors.`,
		Example: `  corsctl validate cors.json envoy.yaml
  kubectl get wasmplugin cors -o yaml | corsctl validate -
  corsctl validate -o json cors.yaml | jq '.findings[].what'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New(`validate needs a file; write "-" for standard input`)
			}
			return nil
		},
	}
	strict := c.Flags().Bool("strict", false, "exit with 1 if there are warnings")
	output := outputFlag(c, "text", "json")
	c.RunE = func(c *cobra.Command, args []string) error {
		var all []*document.Finding
		var unread error
		type summary struct {
			File     string `json:"file"`
			Name     string `json:"name,omitempty"`
			Policies int    `json:"policies"`
		}
		summaries := []summary{}
		for _, arg := range args {
			name, text, err := read(c, arg)
			if err != nil {
				unread = errors.Join(unread, err)
				if output.value == "json" {
					all = append(all, unreadable(name, err))
				}
				continue
			}
			plugins, findings := manifest.Find(name, text, readText)
			all = append(all, findings...)
			for _, plugin := range plugins {
				configuration, findings := plugin.Parse()
				all = append(all, findings...)
				if configuration != nil {
					s := summary{File: name, Name: plugin.Name}
					if configuration.Policies != nil {
						s.Policies = len(configuration.Policies.All())
					}
					summaries = append(summaries, s)
				}
			}
		}
		all = withoutRepeats(all)
		wrong, warnings := count(all)
		out := c.OutOrStdout()
		if output.value == "json" {
			if err := printJSON(out, map[string]any{
				"valid": wrong == 0 && unread == nil, "configurations": summaries, "findings": asJSON(all),
			}); err != nil {
				return err
			}
		} else {
			printFindings(out, all)
			for _, s := range summaries {
				where := s.File
				if s.Name != "" {
					where += ": " + s.Name
				}
				fmt.Fprintf(out, "%s: %s, %s\n", printable(where), paint(out).in(green, "valid"), plural(s.Policies, "policy", "policies"))
			}
			if wrong+warnings > 0 {
				fmt.Fprintf(out, "%s, %s\n", plural(wrong, "error", "errors"), plural(warnings, "warning", "warnings"))
			}
		}
		if unread != nil {
			return unread
		}
		if wrong > 0 || *strict && warnings > 0 {
			return errFindings
		}
		return nil
	}
	return c
}

// unreadable is the finding that a file can't be read.
func unreadable(name string, err error) *document.Finding {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		err = path.Err
	}
	file, _ := document.Parse(name, "")
	return file.Finding(0, problem.New(problem.Unreadable, "configuration", "the file can't be read: "+err.Error(), ""))
}

// withoutRepeats leaves out findings that are there already: a value that aliases repeat
// is wrong once.
func withoutRepeats(findings []*document.Finding) (list []*document.Finding) {
	seen := map[document.Finding]bool{}
	for _, f := range findings {
		if !seen[*f] {
			seen[*f] = true
			list = append(list, f)
		}
	}
	return list
}
