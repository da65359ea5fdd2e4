package main

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/spf13/cobra"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/manifest"
)

// validateFlags are the flags of validate.
type validateFlags struct {
	strict bool
	output *format
}

func newValidate() *cobra.Command {
	f := &validateFlags{}
	c := &cobra.Command{
		Use:   "validate FILE…|-",
		Short: "Check configurations, and say what is wrong where",
		Long: `validate reads the filter's configuration as the filter does, and prints all that is
wrong with it as

  file:line:column: path: what is wrong; what to write instead

with the line it stands in. It finds the configuration within Envoy's own
configuration, an Istio WasmPlugin or TrafficExtension and an Envoy Gateway
EnvoyExtensionPolicy, in JSON and YAML, with any number of documents; also in the files
of a ConfigMap, and in the patches that a kustomization has in itself.

It also warns of what stands around the configuration in the file, and makes it void: a
filter that answers first, a failure that lets requests pass, Istio's phase, paths in
several spellings.

It exits with 0 if the filter would accept all of it, and 1 if not. Warnings are about
what is accepted, but probably not meant; with --strict they count as errors.`,
		Example: `  corsctl validate cors.json envoy.yaml
  kubectl get wasmplugin cors -o yaml | corsctl validate -
  corsctl validate -o json cors.yaml | jq '.findings[].what'`,
		Args: files(math.MaxInt, `validate needs a file; write "-" for standard input`),
		RunE: f.run,
	}
	c.Flags().BoolVar(&f.strict, "strict", false, "exit with 1 if there are warnings")
	f.output = outputFlag(c, "text", "json")
	return c
}

func (f *validateFlags) run(c *cobra.Command, args []string) error {
	valid := []manifest.Valid{}
	var findings []*document.Finding
	var unread error
	for _, arg := range args {
		name, text, err := read(c, arg)
		if err != nil {
			unread = errors.Join(unread, err)
			if f.output.value == "json" {
				findings = append(findings, document.Unreadable(name, err))
			}
			continue
		}
		more, found := manifest.Check(name, text, readText)
		valid, findings = append(valid, more...), append(findings, found...)
	}
	wrong, warnings := count(findings)
	if f.output.value == "json" {
		if err := printJSON(c.OutOrStdout(), map[string]any{
			"valid": wrong == 0 && unread == nil, "configurations": valid, "findings": document.JSON(findings),
		}); err != nil {
			return err
		}
	} else {
		printFindings(c.OutOrStdout(), findings)
		printValid(c.OutOrStdout(), valid, wrong, warnings)
	}
	return verdict(unread, wrong > 0 || f.strict && warnings > 0)
}

// printValid says which configurations are valid, and how much is wrong with the others.
func printValid(w io.Writer, valid []manifest.Valid, wrong, warnings int) {
	for _, v := range valid {
		where := v.File
		if v.Name != "" {
			where += ": " + v.Name
		}
		what := plural(v.Policies, "policy", "policies")
		if v.Part {
			what = "as a part of a configuration"
		}
		fmt.Fprintf(w, "%s: %s, %s\n", printable(where), paint(w).in(green, "valid"), what)
	}
	if wrong+warnings > 0 {
		fmt.Fprintf(w, "%s, %s\n", plural(wrong, "error", "errors"), plural(warnings, "warning", "warnings"))
	}
}
