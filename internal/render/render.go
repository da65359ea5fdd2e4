// Package render writes complete manifests around the filter's configuration: for Istio, Envoy
// Gateway and Envoy alone. They say what the examples in deploy say, which its tests hold them
// to, and what package manifest finds in them is the configuration again.
package render

import (
	"embed"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"text/template"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
)

// The kinds of manifests.
const (
	Istio        = "istio"
	EnvoyGateway = "envoy-gateway"
	Envoy        = "envoy"
)

// Kinds are the kinds of manifests that there are.
func Kinds() []string { return []string{Istio, EnvoyGateway, Envoy} }

// The parts of an Envoy whose filter ECDS configures.
const (
	// Bootstrap is the file that Envoy starts with, which names the other one.
	Bootstrap = "bootstrap"
	// Resource is the file with the configuration, which Envoy reads again when it changes.
	Resource = "resource"
)

// Parts are the parts of an Envoy whose filter ECDS configures.
func Parts() []string { return []string{Bootstrap, Resource} }

// Image is the image that manifests name without its tag.
const Image = "ghcr.io/proxy-wasm-cors/proxy-wasm-cors"

// Options are what a manifest says beside the configuration. What is empty has a default, as
// far as it is needed.
type Options struct {
	// Name is the name of the resource, or of Envoy's filter.
	Name string
	// Namespace is the namespace of the resource.
	Namespace string
	// Selector are the labels of the pods that Istio gives the filter to.
	Selector []Label
	// Target is what the filter is attached to. For Istio it takes the Selector's place.
	Target Target
	// Image is the image with its tag, and Digest its SHA-256 in hexadecimal digits.
	Image, Digest string
	// PullSecret is the name of the Secret that the registry wants.
	PullSecret string
	// Module is the path of the module on the machine that Envoy runs on.
	Module string
	// ECDS is which of the [Parts] to write; empty for an Envoy with the configuration in it.
	ECDS string
	// Resource is the path of the file with the resource of ECDS.
	Resource string
}

// A Label is a label of Kubernetes.
type Label struct{ Key, Value string }

// A Target is a resource of the Gateway API.
type Target struct{ Kind, Name string }

// ParseLabel reads a label as "key=value".
func ParseLabel(s string) (Label, error) {
	key, value, ok := strings.Cut(s, "=")
	if !ok {
		return Label{}, fmt.Errorf("%q is no label; write key=value, such as istio=ingressgateway", s)
	}
	return Label{key, value}, nil
}

// ParseTarget reads a target as "KIND/NAME".
func ParseTarget(s string) (Target, error) {
	kind, name, ok := strings.Cut(s, "/")
	if !ok {
		return Target{}, fmt.Errorf("%q is no target; write KIND/NAME, such as Gateway/eg", s)
	}
	return Target{kind, name}, nil
}

// A page is what a template is made a manifest of.
type page struct {
	Options
	// Configuration is the configuration, as the manifest has it.
	Configuration string
	// Clusters are those that the filter asks while it runs.
	Clusters []cluster
}

//go:embed templates/*.tmpl
var files embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"q": scalar, "indent": indent, "dir": path.Dir, "isRoute": func(t Target) bool { return strings.HasSuffix(t.Kind, "Route") },
}).ParseFS(files, "templates/*.tmpl"))

// Manifest is a manifest of one of the [Kinds] around a configuration, which must be valid.
func Manifest(kind, configuration string, o Options) (string, error) {
	if !slices.Contains(Kinds(), kind) {
		return "", fmt.Errorf("there is no manifest for %q; write one of %s", kind, strings.Join(Kinds(), ", "))
	}
	document, _ := config.Parse(configuration)
	if document == nil {
		return "", errors.New("the configuration isn't valid")
	}
	o.complete(kind)
	if err := o.check(kind); err != nil {
		return "", err
	}
	p := page{Options: o, Clusters: clustersOf(document)}
	var err error
	if kind == Envoy {
		p.Configuration, err = text(configuration)
	} else {
		p.Configuration, err = object(configuration)
	}
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if kind == Envoy && o.ECDS == Resource {
		kind += "-" + Resource
	}
	err = templates.ExecuteTemplate(&b, kind+".tmpl", p)
	return b.String(), err
}

// complete fills in what is needed and isn't given.
func (o *Options) complete(kind string) {
	isGiven := func(value *string, otherwise string) {
		if *value == "" {
			*value = otherwise
		}
	}
	isGiven(&o.Image, Image+":v0.0.0")
	isGiven(&o.Module, "/etc/envoy/cors.wasm")
	if o.ECDS != "" {
		isGiven(&o.Resource, "/etc/envoy/cors.yaml")
	}
	o.Digest = strings.TrimPrefix(o.Digest, "sha256:")
	switch kind {
	case Istio:
		isGiven(&o.Namespace, "istio-ingress")
		if o.Target == (Target{}) && o.Selector == nil {
			o.Selector = []Label{{"istio", "ingressgateway"}}
		}
	case EnvoyGateway:
		isGiven(&o.Namespace, "default")
		if o.Target == (Target{}) {
			o.Target = Target{"Gateway", "eg"}
		}
		if o.Target.Kind != "Gateway" {
			// What the log calls it, and not the Gateway's, beside which it stands.
			isGiven(&o.Name, "cors-"+o.Target.Name)
		}
	}
	isGiven(&o.Name, "cors")
}
