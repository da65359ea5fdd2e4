// Command cors-policyd serves policies whose origins are in a database: as documents, to
// the filter's policy_source over HTTP and to Envoy over gRPC (ECDS), and as answers to the
// filter's origin_lookup.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/daemon"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/logging"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/settings"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/system"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// The exit codes, as corsctl has them.
const (
	exitGood     = 0
	exitFindings = 1 // there is something to mend in what the user gave
	exitUsage    = 2 // the command couldn't do its work
)

// errFindings ends a command that has printed what it found.
var errFindings = errors.New("there are findings")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second signal doesn't wait for anybody
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run runs a command and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	command, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return exitGood
	case errors.Is(err, errFindings):
		return exitFindings
	}
	fmt.Fprintf(stderr, "cors-policyd: %s\n", printable(err.Error()))
	if _, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintf(stderr, "Run %q to see how it is used.\n", command.CommandPath()+" --help")
	}
	return exitUsage
}

// A usageError says that a command is used wrongly.
type usageError struct{ error }

// Unwrap is the error itself.
func (e usageError) Unwrap() error { return e.error }

func usage(text string) error { return usageError{errors.New(text)} }

// printable makes sure that what a file or a database has can't control the terminal.
func printable(s string) string { return problem.Printable(s, '\uFFFD') }

// version and revision are set by the linker where the Makefile builds.
var version, revision string

func thisVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

func newRoot() *cobra.Command {
	var file string
	var check bool
	root := &cobra.Command{
		Use:   "cors-policyd -c FILE",
		Short: "Serve CORS policies whose origins are in a database",
		Long: `cors-policyd serves policies whose origins are in SQLite, PostgreSQL, MySQL or MariaDB.

  GET /v1/policies   the document for policy_source, with ETag and Prefer: wait=N
  GET /v1/lookup     the answer for origin_lookup: ?policy=…&host=…&origin=…
  POST /v1/check     is {"policy": "…", "origin": "…"} a good entry?
  GET /v1/rejected   the rows that are left out, and why
  /healthz, /readyz, /metrics

With xds in the configuration it serves the document to Envoy over gRPC, too (ECDS).

It exits with 0 when it is told to stop, with 1 if the configuration is wrong, and with 2
if it was used wrongly or couldn't do its work.`,
		Example: `  cors-policyd -c policyd.yaml
  cors-policyd -c policyd.yaml --check
  cors-policyd origins add -c policyd.yaml --policy tenants https://app.example.com`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("there is no command " + problem.Quote(args[0]))
			}
			return nil
		},
		Version: thisVersion(),
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := load(c, file)
			if err != nil {
				return err
			}
			if check {
				fmt.Fprintf(c.OutOrStdout(), "%s: valid\n", printable(file))
				return nil
			}
			system.OutliveOutput()
			lines := logging.NewWriter(c.ErrOrStderr())
			defer lines.Flush(time.Second)
			log := slog.New(slog.NewTextHandler(lines, nil))
			log.Info("cors-policyd", "version", thisVersion(), "revision", revision)
			d, err := daemon.New(s, log)
			if err != nil {
				return err
			}
			d.CountLost(lines.Lost)
			return d.Run(c.Context())
		},
	}
	root.SetVersionTemplate("cors-policyd {{.Version}}\n")
	root.PersistentFlags().StringVarP(&file, "config", "c", "", "the file with the configuration, YAML or JSON")
	root.Flags().BoolVar(&check, "check", false, "check the configuration, and exit")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newOrigins(&file))
	return root
}

// load reads the configuration. What is wrong or doubtful with it is printed.
func load(c *cobra.Command, file string) (*settings.Settings, error) {
	if file == "" {
		return nil, usage("-c is missing, the file with the configuration")
	}
	s, findings, err := settings.Load(file)
	if err != nil {
		return nil, err
	}
	for _, f := range findings {
		suffix := ""
		if f.Warning {
			suffix = " (warning)"
		}
		fmt.Fprintln(c.ErrOrStderr(), printable(f.Error()+suffix))
	}
	if s == nil {
		return nil, errFindings
	}
	return s, nil
}
