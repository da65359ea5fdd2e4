package main

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/spf13/cobra"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/policytest"
)

func newTest() *cobra.Command {
	c := &cobra.Command{
		Use:   "test FILE…",
		Short: "Run tests of policies",
		Long: `test runs tests of policies from files of YAML:

  configuration: cors.yaml        # the file with the policies, or the policies
  tests:
    - name: the shop may change orders
      request:
        origin: https://shop.example.com
        method: PUT               # GET if left out
        url: https://api.example.com/v1/orders
        headers: {Content-Type: application/json}
        credentials: true         # the credentials mode is "include"
        route: orders             # the name of Envoy's route
        lookup: denied            # what a look-up of the origin says: allowed, denied, failed
      expect:
        verdict: allowed          # or blocked
        policy: shop              # or null for none
        preflight: true           # a browser asks first
        preflight_status: 204
        preflight_headers: {access-control-max-age: 600}
        headers: {vary: Origin, access-control-expose-headers: null}
    - name: others may not
      request: {origin: "https://evil.example", url: "https://api.example.com/v1/orders"}
      expect: {verdict: blocked, reason: origin_not_allowed}

Of what is expected, leave out what doesn't matter; null means that a header must not
be there. Of requests without an origin, only policy and headers can be expected.

It exits with 0 if all tests pass, and 1 if not.`,
		Example: `  corsctl test cors_test.yaml
  corsctl test -o junit tests/*.yaml > report.xml`,
		Args: files(math.MaxInt, "test needs a file of tests"),
	}
	output := outputFlag(c, "text", "json", "junit", "tap")
	c.RunE = func(c *cobra.Command, args []string) error { return runTests(c, args, output.value) }
	return c
}

func runTests(c *cobra.Command, args []string, output string) error {
	var reports []policytest.Report
	failed := 0
	var unread error
	for _, arg := range args {
		name, text, err := read(c, arg)
		if err != nil {
			unread = errors.Join(unread, err)
			if output != "text" {
				reports = append(reports, policytest.Unreadable(name, err))
			}
			continue
		}
		report := policytest.Run(name, text, readText)
		reports, failed = append(reports, report), failed+report.Failed()
	}
	if err := printReports(c.OutOrStdout(), output, reports); err != nil {
		return err
	}
	return verdict(unread, failed > 0)
}

func printReports(w io.Writer, output string, reports []policytest.Report) error {
	switch output {
	case "junit":
		return policytest.JUnit(w, reports)
	case "tap":
		return policytest.TAP(w, reports)
	case "json":
		return printJSON(w, policytest.JSON(reports))
	}
	p := paint(w)
	tests, failed := 0, 0
	for _, r := range reports {
		for _, result := range r.Results {
			if len(result.Failures) == 0 {
				fmt.Fprintf(w, "%s %s\n", p.in(green, "ok  "), printable(result.Name))
				continue
			}
			fmt.Fprintf(w, "%s %s\n", p.in(red, "FAIL"), printable(result.Name))
			printFindings(w, result.Failures)
		}
		tests += len(r.Results)
		failed += r.Failed()
	}
	fmt.Fprintf(w, "%s, %d failed\n", plural(tests, "test", "tests"), failed)
	return nil
}
