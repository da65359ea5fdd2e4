package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config/schema"
)

func newSchema() *cobra.Command {
	c := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration, or its documentation",
		Long: `schema prints the JSON Schema (2020-12) of the filter's configuration, so that editors
complete and check it. In VS Code, put this in the first line of a YAML file:

  # yaml-language-server: $schema=` + schema.ID + `

With "-o markdown" it prints the documentation of the fields.

The schema knows of most mistakes, and not of all: those between policies, in a regex
or of a public suffix are found by "corsctl validate".`,
		Example: `  corsctl schema > cors.schema.json
  corsctl schema -o markdown`,
		Args: cobra.NoArgs,
	}
	output := outputFlag(c, "json", "markdown")
	c.RunE = func(c *cobra.Command, _ []string) error {
		text := string(schema.JSON())
		if output.value == "markdown" {
			text = schema.Markdown()
		}
		_, err := fmt.Fprint(c.OutOrStdout(), text)
		return err
	}
	return c
}
