// Command image packs the Wasm module as an OCI image, without a container engine, and
// pushes it to a registry:
//
//	image write build/cors.wasm build/image --version v1.0.0 --revision 0123456789ab
//	image push build/image registry.example/cors:v1.0.0
//
// The Makefile's targets image and push run it.
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
		Short: "Pack the Wasm module as an OCI image, and push it to a registry",
		// The one who calls has the error, and cobra's own commands aren't needed.
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.AddCommand(newWrite(), newPush())
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

func newPush() *cobra.Command {
	var (
		how      manner
		patience time.Duration
	)
	c := &cobra.Command{
		Use:   "push FOLDER REGISTRY/NAME:TAG",
		Short: "Push the image in a folder to a registry",
		Long: `Pushes the image in a folder to a registry, unless the tag is there with another image.
The tag is set last: a push that fails leaves it as it was.

Credentials are those of "docker login" and "podman login". Only a registry on this
machine is asked without TLS, or with --plain-http.`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			// First what needs no registry, so that a mistake is told at once.
			tag, err := parseTag(args[1], how.plainHTTP)
			if err != nil {
				return err
			}
			img, err := readLayout(args[0])
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), patience)
			defer cancel()
			done, err := push(ctx, img, tag, how)
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), done)
			return nil
		},
	}
	c.Flags().BoolVar(&how.overwrite, "overwrite", false, "replace the image of a tag that is there")
	c.Flags().BoolVar(&how.plainHTTP, "plain-http", false, "also ask a registry elsewhere without TLS")
	c.Flags().DurationVar(&patience, "timeout", 2*time.Minute, "how long all of it may take")
	return c
}
