package main

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/manifest"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/render"
)

// manifestFlags are the flags that say what stands around a configuration.
type manifestFlags struct {
	options  render.Options
	selector []string
	target   string
}

// manifestFlagsOf are the flags that a kind of manifest has.
var manifestFlagsOf = map[string][]string{
	render.Istio:        {"name", "namespace", "selector", "target", "image", "digest", "pull-secret"},
	render.EnvoyGateway: {"name", "namespace", "target", "image", "digest", "pull-secret"},
	render.Envoy:        {"name", "module", "ecds", "resource"},
}

// add gives a command the flags of some kinds of manifests.
func (f *manifestFlags) add(c *cobra.Command, kinds ...string) {
	o, flags := &f.options, c.Flags()
	text := func(value *string) func(name, usage string) {
		return func(name, usage string) { flags.StringVar(value, name, "", usage) }
	}
	for _, flag := range []struct {
		name, usage string
		add         func(name, usage string)
	}{
		{"name", "the name of the resource, or of Envoy's filter; cors, if not given", text(&o.Name)},
		{"namespace", "the namespace; if not given, istio-ingress for istio, and default for envoy-gateway",
			text(&o.Namespace)},
		{"selector", "the labels of the pods with the filter, as key=value; istio=ingressgateway, if not given",
			func(name, usage string) { flags.StringSliceVar(&f.selector, name, nil, usage) }},
		{"target", "what the filter is attached to, as Gateway/NAME (envoy-gateway: HTTPRoute/NAME and GRPCRoute/NAME too)",
			text(&f.target)},
		{"image", "the image with its tag; if not given, that of this release", text(&o.Image)},
		{"digest", "the image's digest, sha256:…", text(&o.Digest)},
		{"pull-secret", "the name of the Secret that the image's registry wants", text(&o.PullSecret)},
		{"module", "the module's path where Envoy runs; /etc/envoy/cors.wasm, if not given", text(&o.Module)},
		{"ecds", "the configuration in a file of its own, by ECDS: write its resource, or the bootstrap", text(&o.ECDS)},
		{"resource", "the path of ECDS's file where Envoy runs; /etc/envoy/cors.yaml, if not given", text(&o.Resource)},
	} {
		has := func(kind string) bool { return slices.Contains(manifestFlagsOf[kind], flag.name) }
		if slices.ContainsFunc(kinds, has) {
			flag.add(flag.name, flag.usage)
		}
	}
	if flags.Lookup("ecds") != nil {
		complete(c, "ecds", render.Parts())
	}
}

// given reports whether any of the flags is.
func (f *manifestFlags) given(c *cobra.Command) bool {
	return slices.ContainsFunc(slices.Concat(manifestFlagsOf[render.Istio], manifestFlagsOf[render.Envoy]),
		c.Flags().Changed)
}

// write is a manifest of a kind around a valid configuration.
func (f *manifestFlags) write(c *cobra.Command, kind, configuration string) (string, error) {
	for _, name := range slices.Concat(manifestFlagsOf[render.Istio], manifestFlagsOf[render.Envoy]) {
		switch {
		case !c.Flags().Changed(name) || slices.Contains(manifestFlagsOf[kind], name):
		case kind == "":
			return "", fmt.Errorf("--%s is for a manifest; write --to and one of %s", name, strings.Join(render.Kinds(), ", "))
		default:
			return "", fmt.Errorf("--%s says nothing to a manifest for %s; leave it out", name, kind)
		}
	}
	o := f.options
	o.Image = cmp.Or(o.Image, render.Image+":"+released(thisBuild().Version))
	for _, text := range f.selector {
		label, err := render.ParseLabel(text)
		if err != nil {
			return "", fmt.Errorf("--selector %w", err)
		}
		o.Selector = append(o.Selector, label)
	}
	if f.target != "" {
		var err error
		if o.Target, err = render.ParseTarget(f.target); err != nil {
			return "", fmt.Errorf("--target %w", err)
		}
	}
	return render.Manifest(kind, configuration, o)
}

// tag is what a release is tagged with.
var tag = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-rc\.[0-9]+)?$`)

// released is the version, if it is one that has an image, or what the examples have in its place.
func released(version string) string {
	if tag.MatchString(version) {
		return version
	}
	return "v0.0.0"
}

func newManifest() *cobra.Command {
	c := &cobra.Command{
		Use:   "manifest " + strings.Join(render.Kinds(), "|"),
		Short: "Write a complete manifest around a configuration",
		Long: `manifest writes what Istio, Envoy Gateway or Envoy reads, with a configuration in it: what
deploy/ has as examples, for your names. The configuration may stand in anything that
validate reads, so that a manifest of one kind becomes one of another. It is checked
first, and what is wrong with it is printed as validate prints it.

It exits with 0 if there is a manifest, 1 if the configuration is wrong, and 2 if an
option is.`,
		Args: func(_ *cobra.Command, args []string) error {
			kinds := strings.Join(render.Kinds(), ", ")
			if len(args) == 0 {
				return fmt.Errorf("manifest needs what it is for: %s", kinds)
			}
			return fmt.Errorf("there is no manifest for %q; write one of %s", args[0], kinds)
		},
		RunE: func(*cobra.Command, []string) error { return nil }, // Args is what fails,
		// with a better word than that a flag isn't known here.
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},
	}
	c.AddCommand(
		newManifestOf(render.Istio, "a WasmPlugin for Istio",
			`  corsctl manifest istio -c cors.json --selector istio=ingressgateway --digest sha256:… > cors.yaml
  corsctl manifest istio -c cors.json --target Gateway/public --namespace edge | kubectl apply -f -`),
		newManifestOf(render.EnvoyGateway, "an EnvoyExtensionPolicy for Envoy Gateway, with the EnvoyProxy that puts it first",
			`  corsctl manifest envoy-gateway -c cors.json --target Gateway/eg --namespace default > cors.yaml`),
		newManifestOf(render.Envoy, "a configuration of an Envoy on its own",
			`  corsctl manifest envoy -c cors.json --module /etc/envoy/cors.wasm > envoy.yaml
  corsctl manifest envoy -c cors.json --ecds bootstrap > envoy.yaml
  corsctl manifest envoy -c cors.json --ecds resource > cors.yaml`),
	)
	return c
}

func newManifestOf(kind, what, example string) *cobra.Command {
	f := &manifestFlags{}
	var config, at string
	c := &cobra.Command{
		Use:     kind + " -c FILE",
		Short:   "Write " + what,
		Example: example,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 || config == "" {
				return fmt.Errorf("manifest %s takes the file with the configuration from --config, and no arguments", kind)
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			configuration, err := readValid(c, config, at)
			if err != nil {
				return err
			}
			text, err := f.write(c, kind, configuration)
			if err == nil {
				_, err = fmt.Fprint(c.OutOrStdout(), text)
			}
			return err
		},
	}
	c.Flags().StringVarP(&config, "config", "c", "", `the file with the configuration, "-" for standard input`)
	c.Flags().StringVar(&at, "at", "", "the line of the configuration, if the file has several")
	f.add(c, kind)
	return c
}

// readValid is the configuration in a file, or what of several stands at a line. What is wrong
// with it or doubtful is printed on standard error; what stands around it there is not: it
// will stand elsewhere.
func readValid(c *cobra.Command, arg, at string) (string, error) {
	name, text, err := read(c, arg)
	if err != nil {
		return "", err
	}
	plugins, findings := manifest.Find(name, text, readText)
	if len(plugins) == 0 {
		return "", report(c, findings, false)
	}
	plugin, err := chooseAt(name, plugins, at)
	if err != nil {
		return "", err
	}
	if plugin.Part {
		return "", partOf(name)
	}
	configuration, findings := plugin.Parse()
	around := plugin.Around()
	printFindings(c.ErrOrStderr(), slices.DeleteFunc(findings, func(f *document.Finding) bool {
		return slices.Contains(around, f)
	}))
	if configuration == nil {
		return "", errFindings
	}
	return plugin.Configuration, nil
}
