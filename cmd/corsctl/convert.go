package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/convert"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/render"
)

// convertFlags are the flags of convert.
type convertFlags struct {
	from, to string
	strict   bool
	manifest manifestFlags
	output   *format
}

func newConvert() *cobra.Command {
	f := &convertFlags{}
	c := &cobra.Command{
		Use:   "convert [--from FORMAT] [--to istio|envoy-gateway|envoy] FILE|-",
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
  contour         the corsPolicy of an HTTPProxy
  emissary        the cors of Mappings and of the Module
  higress         Higress' cors plugin
  nginx-ingress   the annotations of ingress-nginx
  traefik         the headers middleware, of files and of Kubernetes
  kong            the cors plugin, of declarative files and of Kubernetes
  apisix          APISIX' cors plugin: apisix.yaml, Admin API, ApisixRoute
  spring          globalcors of Spring Cloud Gateway, and cors of its routes
  aws-apigateway  HTTP and REST APIs of Amazon's API Gateway: OpenAPI, SAM, CloudFormation
  s3              the CORS configuration of a bucket, in JSON or in CloudFormation

With --to the result is a complete manifest, as corsctl manifest writes it, with the
options of that.

docs/converting.md says what becomes of what. It exits with 0 if there is a
configuration, with 1 if there is none or, with --strict, if there are warnings, and
with 2 if the format can't be told.`,
		Example: `  corsctl convert --from istio virtualservice.yaml > cors.json
  kubectl get ingress -A -o yaml | corsctl convert --from nginx-ingress --strict -
  corsctl convert virtualservice.yaml --to istio --selector istio=ingressgateway > cors.yaml`,
		Args: files(1, `convert needs one file; write "-" for standard input`),
		RunE: f.run,
	}
	c.Flags().StringVar(&f.from, "from", "", "the format: "+strings.Join(convert.Formats(), ", "))
	c.Flags().StringVar(&f.to, "to", "", "write a manifest for one of "+strings.Join(render.Kinds(), ", "))
	c.Flags().BoolVar(&f.strict, "strict", false, "fail if anything isn't carried over as it was")
	f.manifest.add(c, render.Kinds()...)
	f.output = outputFlag(c, "text", "json")
	complete(c, "from", convert.Formats())
	complete(c, "to", render.Kinds())
	return c
}

func (f *convertFlags) run(c *cobra.Command, args []string) error {
	name, text, err := read(c, args[0])
	if err != nil {
		if f.output.value == "json" {
			unread := &convert.Result{From: f.from, Findings: []*document.Finding{document.Unreadable(name, err)}}
			err = errors.Join(err, printJSON(c.OutOrStdout(), unread.JSON()))
		}
		return err
	}
	result, err := f.convert(c.ErrOrStderr(), name, text)
	if err != nil {
		return err
	}
	wrong, warnings := count(result.Findings)
	fails := f.strict && warnings > 0
	if fails {
		result.Configuration, result.Remove = "", nil
	}
	written, err := f.wrap(c, result.Configuration)
	if err != nil {
		return err
	}
	if f.output.value == "json" {
		err = printJSON(c.OutOrStdout(), f.inJSON(result, written))
	} else {
		printFindings(c.ErrOrStderr(), result.Findings)
		_, err = fmt.Fprint(c.OutOrStdout(), written)
		printRemovals(c.ErrOrStderr(), result.Remove)
	}
	return verdict(err, wrong > 0 || fails)
}

// wrap is a manifest around a configuration, or the configuration as it is if no manifest is
// asked for or there is nothing to stand in one.
func (f *convertFlags) wrap(c *cobra.Command, configuration string) (string, error) {
	if f.to == "" && !f.manifest.given(c) || f.to != "" && configuration == "" {
		return configuration, nil
	}
	return f.manifest.write(c, f.to, configuration)
}

// inJSON is the result for programs, with the manifest if there is one.
func (f *convertFlags) inJSON(result *convert.Result, written string) any {
	fields := result.JSON()
	if f.to != "" && written != "" {
		fields["manifest"] = written
	}
	return fields
}

// convert converts a file, and says which format it is read as if it had to find out.
func (f *convertFlags) convert(stderr io.Writer, name, text string) (*convert.Result, error) {
	file, failed := document.Parse(name, text)
	if failed != nil {
		findings := []*document.Finding{failed}
		return &convert.Result{From: f.from, Findings: findings}, nil //nolint:nilerr // It is the result.
	}
	if f.from != "" {
		return convert.Convert(f.from, file)
	}
	from, by, err := convert.Recognize(file)
	if err != nil {
		return nil, err
	}
	if f.output.value != "json" {
		fmt.Fprintf(stderr, "%s is read as %s, because of %s in line %d\n",
			printable(file.Name), from, printable(by.Path), file.Position(by.Offset).Line)
	}
	return convert.Convert(from, file)
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
