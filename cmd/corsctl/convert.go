package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/convert"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
)

func newConvert() *cobra.Command {
	c := &cobra.Command{
		Use:   "convert [--from FORMAT] FILE|-",
		Short: "Make a configuration of what other tools call a CORS policy",
		Long: `convert reads the CORS policies of another tool and prints the configuration of the
filter that means the same. What can't be carried over, and what was unsafe there, is
a warning with its line, on standard error; with --strict it fails. At the end stands
what to remove at the source: two that do CORS are one too many.

Without --from the format is recognized, and said. The formats are:

  envoy           Envoy's native CorsPolicy, on routes and virtual hosts
  istio           the corsPolicy of a VirtualService
  gateway-api     the CORS filters of an HTTPRoute
  envoy-gateway   the cors of a SecurityPolicy
  higress         Higress' cors plugin
  nginx-ingress   the annotations of ingress-nginx

docs/converting.md says what becomes of what. It exits with 0 if there is a
configuration, with 1 if there is none or, with --strict, if there are warnings, and
with 2 if the format can't be told.`,
		Example: `  corsctl convert --from istio virtualservice.yaml > cors.json
  kubectl get ingress -A -o yaml | corsctl convert --from nginx-ingress --strict -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New(`convert needs one file; write "-" for standard input`)
			}
			return nil
		},
	}
	from := c.Flags().String("from", "", "the format: "+strings.Join(convert.Sources(), ", "))
	strict := c.Flags().Bool("strict", false, "fail if anything isn't carried over as it was")
	output := outputFlag(c, "text", "json")
	if err := c.RegisterFlagCompletionFunc("from", cobra.FixedCompletions(convert.Sources(), cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag is there
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		name, text, err := read(c, args[0])
		if err != nil && output.value == "json" {
			return errors.Join(err, printConverted(c, *from, &convert.Result{Findings: []*document.Finding{unreadable(name, err)}}))
		}
		if err != nil {
			return err
		}
		file, failed := document.Parse(name, text)
		result := &convert.Result{Findings: []*document.Finding{failed}}
		source := *from
		if failed == nil {
			if source == "" {
				var by convert.Removal
				if source, by, err = convert.Recognize(file); err != nil {
					return err
				}
				if output.value != "json" {
					fmt.Fprintf(c.ErrOrStderr(), "%s is read as %s, because of %s in line %d\n",
						printable(file.Name), source, printable(by.Path), file.Position(by.Offset).Line)
				}
			}
			if result, err = convert.Convert(source, file); err != nil {
				return err
			}
		}
		wrong, warnings := count(result.Findings)
		if *strict && warnings > 0 {
			result.Configuration, result.Remove = "", nil
		}
		if output.value == "json" {
			err = printConverted(c, source, result)
		} else {
			printFindings(c.ErrOrStderr(), result.Findings)
			_, err = fmt.Fprint(c.OutOrStdout(), result.Configuration)
			printRemovals(c.ErrOrStderr(), result.Remove)
		}
		if err == nil && (wrong > 0 || *strict && warnings > 0) {
			return errFindings
		}
		return err
	}
	return c
}

// printRemovals says what to remove at the source.
func printRemovals(w io.Writer, list []convert.Removal) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(w, "Once the filter is in place, remove what it takes the place of:")
	for _, r := range list {
		fmt.Fprintln(w, "  "+printable(r.String()))
	}
}

// printConverted prints a result as JSON.
func printConverted(c *cobra.Command, from string, result *convert.Result) error {
	var configuration any
	if result.Configuration != "" {
		configuration = json.RawMessage(result.Configuration)
	}
	type removal struct {
		File   string `json:"file"`
		Line   int    `json:"line"`
		Column int    `json:"column"`
		Path   string `json:"path"`
		What   string `json:"what"`
	}
	remove := []removal{}
	for _, r := range result.Remove {
		at := r.File.Position(r.Offset)
		remove = append(remove, removal{r.File.Name, at.Line, at.Column, r.Path, r.What})
	}
	return printJSON(c.OutOrStdout(), map[string]any{"from": from, "configuration": configuration, "findings": asJSON(result.Findings), "remove": remove})
}
