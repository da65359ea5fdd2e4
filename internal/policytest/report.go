package policytest

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// JSON are reports as [encoding/json] takes them.
func JSON(reports []Report) any {
	type result struct {
		Name     string                 `json:"name"`
		Passed   bool                   `json:"passed"`
		Failures []document.FindingJSON `json:"failures"`
	}
	type suite struct {
		File  string   `json:"file"`
		Tests []result `json:"tests"`
	}
	suites := []suite{}
	for _, r := range reports {
		s := suite{File: r.File, Tests: []result{}}
		for _, x := range r.Results {
			s.Tests = append(s.Tests, result{x.Name, len(x.Failures) == 0, document.JSON(x.Failures)})
		}
		suites = append(suites, s)
	}
	return suites
}

// JUnit writes reports in the XML of JUnit, as continuous integration reads it.
func JUnit(w io.Writer, reports []Report) error {
	type failure struct {
		Type    string `xml:"type,attr"`
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
	type testCase struct {
		Name      string   `xml:"name,attr"`
		ClassName string   `xml:"classname,attr"`
		File      string   `xml:"file,attr"`
		Time      string   `xml:"time,attr"`
		Failure   *failure `xml:"failure"`
	}
	type testSuite struct {
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Errors   int        `xml:"errors,attr"`
		Time     string     `xml:"time,attr"`
		Cases    []testCase `xml:"testcase"`
	}
	type testSuites struct {
		XMLName  xml.Name    `xml:"testsuites"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Suites   []testSuite `xml:"testsuite"`
	}
	var all testSuites
	for _, r := range reports {
		suite := testSuite{Name: r.File, Tests: len(r.Results), Failures: r.Failed(), Time: "0"}
		for _, result := range r.Results {
			c := testCase{Name: result.Name, ClassName: r.File, File: r.File, Time: "0"}
			if len(result.Failures) > 0 {
				c.Failure = &failure{Type: "expectation", Message: result.Failures[0].What,
					Text: strings.Join(result.lines(), "\n")}
			}
			suite.Cases = append(suite.Cases, c)
		}
		all.Suites = append(all.Suites, suite)
		all.Tests += suite.Tests
		all.Failures += suite.Failures
	}
	text, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	return err
}

// lines are the failures, one to a line.
func (r *Result) lines() (lines []string) {
	for _, f := range r.Failures {
		lines = append(lines, f.Error())
	}
	return lines
}

// TAP writes reports in version 14 of the Test Anything Protocol
// (https://testanything.org/tap-version-14-specification.html).
func TAP(w io.Writer, reports []Report) error {
	var b strings.Builder
	n := 0
	for _, r := range reports {
		for _, result := range r.Results {
			n++
			name := escapeTAP.Replace(problem.Printable(r.File+": "+result.Name, ' '))
			if len(result.Failures) == 0 {
				fmt.Fprintf(&b, "ok %d - %s\n", n, name)
				continue
			}
			fmt.Fprintf(&b, "not ok %d - %s\n  ---\n  failures:\n", n, name)
			for _, line := range result.lines() {
				fmt.Fprintf(&b, "    - %s\n", strconv.Quote(line)) // a string of YAML, too
			}
			b.WriteString("  ...\n")
		}
	}
	_, err := fmt.Fprintf(w, "TAP version 14\n1..%d\n%s", n, b.String())
	return err
}

var escapeTAP = strings.NewReplacer(`\`, `\\`, "#", `\#`)
