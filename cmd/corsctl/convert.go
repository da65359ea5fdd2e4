package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/corsctl/internal/convert"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/corsctl/internal/document"
)

func newConvert() *cobra.Command {
	c := &cobra.Command{
		Use:   "convert --from FORMAT FILE|-",
		Short: "Make a configuration of what other tools call a CORS policy",
		Long: `convert reads the CORS policies of another tool and prints the configuration of the
filter that means the same. What can't be carried over, and what was unsafe there, is
a warning with its line, on standard error; with --strict it fails.

The formats are:

  envoy           Envoy's native CorsPolicy, on routes and virtual hosts
  istio           the corsPolicy of a VirtualService
  gateway-api     the CORS filters of an HTTPRoute
  envoy-gateway   the cors of a SecurityPolicy
  higress         Higress' cors plugin
  nginx-ingress   the annotations of ingress-nginx

docs/converting.md says what becomes of what. It exits with 0 if there is a
configuration, and 1 if there is none or, with --strict, if there are warnings.`,
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
	err := errors.Join(
		c.MarkFlagRequired("from"),
		c.RegisterFlagCompletionFunc("from", cobra.FixedCompletions(convert.Sources(), cobra.ShellCompDirectiveNoFileComp)),
	)
	if err != nil {
		panic(err) // the flag is there
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		name, text, err := read(c, args[0])
		if err != nil {
			return err
		}
		file, failed := document.Parse(name, text)
		result := &convert.Result{Findings: []*document.Finding{failed}}
		if failed == nil {
			if result, err = convert.Convert(*from, file); err != nil {
				return err
			}
		}
		wrong, warnings := count(result.Findings)
		if *strict && warnings > 0 {
			result.Configuration = ""
		}
		if output.value == "json" {
			err = printConverted(c, result)
		} else {
			printFindings(c.ErrOrStderr(), result.Findings)
			_, err = fmt.Fprint(c.OutOrStdout(), result.Configuration)
		}
		if err == nil && (wrong > 0 || *strict && warnings > 0) {
			return errFindings
		}
		return err
	}
	return c
}

// printConverted prints a result as JSON.
func printConverted(c *cobra.Command, result *convert.Result) error {
	var configuration any
	if result.Configuration != "" {
		configuration = json.RawMessage(result.Configuration)
	}
	return printJSON(c.OutOrStdout(), map[string]any{"configuration": configuration, "findings": asJSON(result.Findings)})
}
