// Command corsctl answers a policy's author before Envoy does: it checks the filter's
// configuration, explains what a browser makes of a request, converts what other
// tools call a CORS policy, and runs tests of policies.
//
// It decides with the packages that the filter itself is made of.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// The exit codes.
const (
	exitGood     = 0
	exitFindings = 1 // there is something to mend in what the user gave
	exitUsage    = 2 // the command couldn't do its work
)

// errFindings ends a command that has printed what it found.
var errFindings = errors.New("there are findings")

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run runs a command and returns its exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	out := &writer{Writer: stdout}
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(out)
	root.SetErr(stderr)
	strict(root) // which has to know the output
	command, err := root.ExecuteC()
	if out.err != nil {
		err = &os.PathError{Op: "write", Path: "standard output", Err: out.err}
	}
	switch {
	case err == nil:
		return exitGood
	case errors.Is(err, errFindings):
		return exitFindings
	case errors.Is(err, errNoAnswer):
		return exitUsage
	}
	for _, one := range separate(err) {
		fmt.Fprintf(stderr, "corsctl: %s\n", printable(one.Error()))
	}
	if _, ok := errors.AsType[*os.PathError](err); !ok {
		fmt.Fprintf(stderr, "Run %q to see how it is used.\n", command.CommandPath()+" --help")
	}
	return exitUsage
}

// separate is each of the errors that are joined in one.
func separate(err error) (list []error) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	for _, one := range joined.Unwrap() {
		list = append(list, separate(one)...)
	}
	return list
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "corsctl",
		Short: "Check, explain, convert and test CORS policies of proxy-wasm-cors",
		Long: `corsctl answers a policy's author before Envoy does. It decides with the code that
runs in the filter, so what it says is what Envoy will do.

Wherever it reads a configuration, that may be a file on its own (JSON or YAML), an
Envoy bootstrap or a resource of LDS or ECDS, an Istio WasmPlugin or
TrafficExtension, or an Envoy Gateway EnvoyExtensionPolicy; "-" is standard input.

It exits with 0 if all is well, 1 if there is something to mend, and 2 if it was
used wrongly or couldn't do its work.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
		Version:       thisBuild().Version,
	}
	root.SetVersionTemplate("corsctl {{.Version}}\n")
	root.AddCommand(newValidate(), newExplain(), newProbe(), newConvert(), newManifest(), newSchema(), newTest(),
		newDocs(), newVersion())
	return root
}

// strict makes the commands that the library adds fail where they are used wrongly, as
// all others do: they print some help and exit with 0.
func strict(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			help := c.Run
			c.Run, c.RunE = nil, func(c *cobra.Command, args []string) error {
				if topic, rest, err := c.Root().Find(args); topic == nil || err != nil || len(rest) > 0 {
					return fmt.Errorf("unknown help topic %q; \"corsctl --help\" lists the commands",
						strings.Join(args, " "))
				}
				help(c, args)
				return nil
			}
		case "completion":
			c.Args = func(_ *cobra.Command, args []string) error {
				if len(args) > 0 {
					return fmt.Errorf("there is no completion for %q; write one of bash, zsh, fish, powershell",
						args[0])
				}
				return nil
			}
			c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
		}
	}
}
