package manifests_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/api/meta"
	names "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/client-go/kubernetes/scheme"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// releases are where CustomResourceDefinitions are, by the module of crds/go.mod.
var releases = map[string][]string{
	"istio.io/api":           {"kubernetes/customresourcedefinitions.gen.yaml"},
	"example.com/istio-1.27": {"kubernetes/customresourcedefinitions.gen.yaml"},
	"example.com/istio-1.30": {"kubernetes/customresourcedefinitions.gen.yaml"},
	"github.com/envoyproxy/gateway": {
		"charts/gateway-crds-helm/templates/generated/*.yaml",
		"charts/gateway-crds-helm/templates/standard-gatewayapi-crds.yaml",
	},
}

// A kind is a version of a CustomResourceDefinition in a release.
type kind struct {
	release string
	// compile compiles its schema and rules, once.
	compile func() (*compiled, error)
}

type compiled struct {
	structural *schema.Structural
	values     validation.SchemaValidator
	rules      *cel.Validator
}

// The definitions are the kinds of all releases, by apiVersion and kind.
type definitions map[string][]kind

// newDefinitions downloads the releases and reads their definitions.
func newDefinitions() (definitions, error) {
	dirs, err := download()
	if err != nil {
		return nil, err
	}
	d := definitions{}
	for module, patterns := range releases {
		for _, pattern := range patterns {
			paths, err := filepath.Glob(filepath.Join(dirs[module], pattern))
			if err != nil || paths == nil {
				return nil, fmt.Errorf("%s has no %s", module, pattern)
			}
			for _, path := range paths {
				if err := d.read(module, path); err != nil {
					return nil, fmt.Errorf("%s: %w", path, err)
				}
			}
		}
	}
	return d, nil
}

// download downloads the modules of crds/go.mod, whose content its go.sum vouches for, and
// returns where they are.
func download() (map[string]string, error) {
	// So that a kept result of the test isn't one of other releases.
	if _, err := os.ReadFile("crds/go.mod"); err != nil {
		return nil, err
	}
	get := exec.Command("go", "mod", "download")
	list := exec.Command("go", "list", "-m", "-f", "{{.Path}} {{.Dir}}")
	list.Args = append(list.Args, slices.Collect(maps.Keys(releases))...)
	get.Dir, list.Dir = "crds", "crds"
	if out, err := get.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go mod download: %w\n%s", err, out)
	}
	out, err := list.Output()
	if err != nil {
		return nil, err
	}
	dirs := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
		dirs[path] = dir
	}
	return dirs, nil
}

// action is a line of a Helm chart's that is no YAML.
var action = regexp.MustCompile(`(?m)^\s*\{\{-?.*\}\}\s*$`)

// read reads a file of definitions.
func (d definitions) read(release, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, document := range strings.Split(action.ReplaceAllString(string(content), ""), "\n---") {
		if !strings.Contains(document, "\nkind: CustomResourceDefinition") {
			continue // a chart's policies among them
		}
		var definition v1.CustomResourceDefinition
		if err := yaml.Unmarshal([]byte(document), &definition); err != nil {
			return err
		}
		for _, version := range definition.Spec.Versions {
			name := definition.Spec.Group + "/" + version.Name + " " + definition.Spec.Names.Kind
			d[name] = append(d[name], kind{release, sync.OnceValues(func() (*compiled, error) {
				return compile(version.Schema.OpenAPIV3Schema)
			})})
		}
	}
	return nil
}

// compile prepares a schema as the API server does.
func compile(props *v1.JSONSchemaProps) (*compiled, error) {
	var internal apiextensions.JSONSchemaProps
	err := v1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(props, &internal, nil)
	if err != nil {
		return nil, err
	}
	structural, err := schema.NewStructural(&internal)
	if err != nil {
		return nil, err
	}
	values, _, err := validation.NewSchemaValidator(&internal)
	if err != nil {
		return nil, err
	}
	return &compiled{structural, values, cel.NewValidator(structural, true, celconfig.PerCallLimit)}, nil
}

// check checks an object, given as JSON, as the API servers of all releases that know its
// kind would, with fieldValidation=Strict.
func (d definitions) check(object string) []error {
	var of metav1.TypeMeta
	if err := json.Unmarshal([]byte(object), &of); err != nil {
		return []error{err}
	}
	if strings.HasSuffix(of.Kind, "List") {
		return []error{fmt.Errorf("%s: write its objects on their own, to have them checked", of.Kind)}
	}
	kinds := d[of.APIVersion+" "+of.Kind]
	if len(kinds) == 0 {
		return builtIn(object)
	}
	var list []error
	for _, k := range kinds {
		schema, err := k.compile()
		if err != nil {
			return []error{err}
		}
		for _, err := range schema.check(object) {
			list = append(list, fmt.Errorf("%s of %s: %w", of.Kind, k.release, err))
		}
	}
	return list
}

// check checks an object of the kind.
func (c *compiled) check(object string) (list []error) {
	var content map[string]any
	strict, err := kjson.UnmarshalStrict([]byte(object), &content)
	if list = append(list, strict...); err != nil {
		return append(list, err)
	}
	metadata, _, unknown, err := objectmeta.GetObjectMetaWithOptions(content,
		objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		list = append(list, err)
	} else {
		list = append(list, checkMetadata(metadata)...)
	}
	unknown = append(unknown, pruning.PruneWithOptions(content, c.structural, true,
		schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})...)
	for _, path := range unknown {
		list = append(list, errors.New("unknown field "+path))
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(content, c.structural)
	defaulting.Default(content, c.structural)
	wrong := validation.ValidateCustomResource(nil, content, c.values)
	wrong = append(wrong, objectmeta.Validate(context.Background(), nil, content, c.structural, true)...)
	wrong = append(wrong, listtype.ValidateListSetsAndMaps(nil, c.structural, content)...)
	if len(wrong) == 0 {
		// As the API server has it: rules are for what has the right types.
		const budget = celconfig.RuntimeCELCostBudget
		rules, _ := c.rules.Validate(context.Background(), nil, c.structural, content, nil, budget)
		wrong = append(wrong, rules...)
	}
	for _, err := range wrong {
		list = append(list, err)
	}
	return list
}

// strictly decodes Kubernetes' own kinds.
var strictly = serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()

// builtIn checks an object of a kind of Kubernetes' own.
func builtIn(object string) []error {
	decoded, _, err := strictly.Decode([]byte(object), nil, nil)
	switch {
	case runtime.IsNotRegisteredError(err):
		return []error{fmt.Errorf("no release has this kind: %w", err)}
	case err != nil:
		return []error{err}
	}
	metadata, err := meta.Accessor(decoded)
	if err != nil {
		return []error{err}
	}
	return checkMetadata(metadata)
}

// checkMetadata checks an object's name, labels and annotations. Its namespace may be that
// of kubectl.
func checkMetadata(metadata metav1.Object) (list []error) {
	wrong := names.ValidateObjectMetaAccessor(metadata, metadata.GetNamespace() != "", names.NameIsDNSSubdomain,
		field.NewPath("metadata"))
	for _, err := range wrong {
		list = append(list, err)
	}
	return list
}
