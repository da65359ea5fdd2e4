// Command image packs the Wasm module as an OCI image, without a container engine:
//
//	image write build/cors.wasm build/image --version v1.0.0 --revision 0123456789ab
//
// The Makefile's target image runs it.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	root := &cobra.Command{
		Use:   "image",
		Short: "Pack the Wasm module as an OCI image",
		// The one who calls has the error, and cobra's own commands aren't needed.
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.AddCommand(newWrite())
	root.SetArgs(args)
	root.SetOut(stdout)
	return root.ExecuteContext(ctx)
}

func newWrite() *cobra.Command {
	var about release
	c := &cobra.Command{
		Use:   "write MODULE FOLDER",
		Short: "Write the image as an OCI layout to a folder",
		Long: `Writes the image of a module as an OCI layout to a folder, in place of the layout that
is there, and prints the digests that Istio and Envoy Gateway compare. The same module
and flags make the same bytes, wherever and whenever.`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			module, err := readModule(args[0])
			if err != nil {
				return err
			}
			img, err := newImage(module, about)
			if err != nil {
				return err
			}
			if err := writeLayout(args[1], img, about.version); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: the image of version %s\n", args[1], about.version)
			return printDigests(c.OutOrStdout(), img, module)
		},
	}
	c.Flags().StringVar(&about.version, "version", "dev", "the module's version")
	c.Flags().StringVar(&about.revision, "revision", "unknown", "the commit that it is made of")
	c.Flags().TextVar(&about.created, "created", time.Time{},
		"the commit's time, as in RFC 3339; the image has none without")
	return c
}
