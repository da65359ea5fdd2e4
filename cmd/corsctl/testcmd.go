package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
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
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("test needs a file of tests")
			}
			return nil
		},
	}
	output := outputFlag(c, "text", "json", "junit", "tap")
	c.RunE = func(c *cobra.Command, args []string) error {
		var reports []policytest.Report
		wrong := false
		var unread error
		for _, arg := range args {
			name, text, err := read(c, arg)
			if err != nil {
				unread = errors.Join(unread, err)
				if output.value != "text" {
					failed := unreadable(name, err)
					reports = append(reports, policytest.Run(failed.File, failed, readText))
				}
				continue
			}
			file, failed := document.Parse(name, text)
			report := policytest.Run(file, failed, readText)
			wrong = wrong || report.Failed() > 0
			reports = append(reports, report)
		}
		if err := printReports(c.OutOrStdout(), output.value, reports); err != nil {
			return err
		}
		if unread != nil {
			return unread
		}
		if wrong {
			return errFindings
		}
		return nil
	}
	return c
}

func readText(name string) (string, error) {
	content, err := os.ReadFile(name)
	return string(content), err
}

func printReports(w io.Writer, output string, reports []policytest.Report) error {
	switch output {
	case "junit":
		return policytest.JUnit(w, reports)
	case "tap":
		return policytest.TAP(w, reports)
	case "json":
		return printJSON(w, reportsAsJSON(reports))
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

func reportsAsJSON(reports []policytest.Report) any {
	type result struct {
		Name     string    `json:"name"`
		Passed   bool      `json:"passed"`
		Failures []finding `json:"failures"`
	}
	type suite struct {
		File  string   `json:"file"`
		Tests []result `json:"tests"`
	}
	suites := []suite{}
	for _, r := range reports {
		s := suite{File: r.Suite.Name, Tests: []result{}}
		for _, x := range r.Results {
			s.Tests = append(s.Tests, result{x.Name, len(x.Failures) == 0, asJSON(x.Failures)})
		}
		suites = append(suites, s)
	}
	return suites
}
