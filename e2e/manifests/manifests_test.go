package manifests_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	mesh "istio.io/api/mesh/v1alpha1"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/convert"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/manifest"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/policytest"
)

// TestManifests checks all that users copy by what will read it: the API servers' schemas
// and rules, Envoy's messages, the filter's own configuration reader.
func TestManifests(t *testing.T) {
	root, err := envoytest.Root()
	if err != nil {
		t.Fatal(err)
	}
	all, err := texts(root)
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := newDefinitions()
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range all {
		t.Run(of.String(), func(t *testing.T) {
			wrong := errors.Join(check(kinds, root, of, reader(root, all, of))...)
			switch {
			case of.mistake == "" && wrong != nil:
				t.Error(wrong)
			case of.mistake != "" && (wrong == nil || !strings.Contains(wrong.Error(), of.mistake)):
				t.Errorf("the mistake isn't %q, but: %v", of.mistake, wrong)
			}
		})
	}
}

// check checks a text by what its documents are. Read reads other files.
func check(kinds definitions, root string, of text, read func(string) (string, error)) (list []error) {
	file, failed := document.Parse(of.file, of.content)
	if failed != nil {
		return []error{failed}
	}
	if len(file.Documents) == 0 {
		return checkModeline(root, of)
	}
	for _, d := range file.Documents {
		object, _ := d.JSON()
		switch {
		case d.Kind == document.List: // In the line before, so that all others stay.
			of.content = strings.TrimSuffix(of.content[:d.Offset], "\n") + "http_filters:\n" + of.content[d.Offset:]
			return check(kinds, root, of, read)
		case d.Has("tests"):
			return checkTests(of, read)
		case d.Has("database"):
			return checkPolicyd(root, of)
		}
		list = append(list, checkStrings(root, object)...)
		switch {
		case manifest.IsConfiguration(d):
		case d.Has("api_version"):
			list = append(append(list, kinds.check(object)...), checkPatches(object)...)
		case d.Has("mesh_config") && len(d.Members) == 1: // values of Istio's Helm chart
			values, _ := d.Get("mesh_config").JSON()
			list = append(list, checkEnvoy(&mesh.MeshConfig{}, values, true)...)
		default:
			known, wrong := checkPart(object)
			if list = append(list, wrong...); !known {
				list = append(list, fmt.Errorf("%s:%s: nothing is known to read this", of.file, d.Position()))
			}
		}
	}
	if len(list) > 0 {
		return list
	}
	return checkConfigurations(of, file, read)
}

// checkConfigurations checks the filter's configurations in a text as corsctl does, and
// what it converts.
func checkConfigurations(of text, file *document.File, read func(string) (string, error)) (list []error) {
	if !slices.ContainsFunc(file.Documents, func(d *document.Node) bool {
		return manifest.IsConfiguration(d) || d.Has("kind") || strings.Contains(of.content, ".http.wasm.")
	}) {
		return checkConversion(file) // corsctl takes parts of Envoy only with the filter in them.
	}
	_, findings := manifest.Check(of.file, of.content, read)
	for _, f := range findings {
		switch {
		case f.What == "has no Wasm filter and no configuration of one":
			list = append(list, checkConversion(file)...)
		case filepath.Ext(of.file) == ".md" && strings.HasSuffix(f.What, " is configured by ECDS"):
			// The page goes on with the resource.
		default:
			list = append(list, f)
		}
	}
	return list
}

// checkConversion checks that "corsctl convert" takes a file that has policies of others.
func checkConversion(file *document.File) (list []error) {
	from, _, err := convert.Recognize(file)
	if err != nil {
		return nil // It has none.
	}
	result, err := convert.Convert(from, file)
	if err != nil {
		return []error{err}
	}
	for _, f := range result.Findings {
		if !f.Warning {
			list = append(list, f)
		}
	}
	return list
}

// checkTests runs a file of "corsctl test".
func checkTests(of text, read func(string) (string, error)) (list []error) {
	for _, result := range policytest.Run(of.file, of.content, read).Results {
		for _, f := range result.Failures {
			list = append(list, fmt.Errorf("%s: %w", result.Name, f))
		}
	}
	return list
}

// checkPolicyd has cors-policyd check its configuration. A warning is a mistake here too.
func checkPolicyd(root string, of text) []error {
	check := exec.Command(filepath.Join(root, "build/cors-policyd"), "--check", "-c", "/dev/stdin")
	check.Env = append(os.Environ(), "CORS_DATABASE=postgres://db.internal/app")
	check.Stdin = strings.NewReader(of.content)
	out, err := check.CombinedOutput()
	if string(out) != "/dev/stdin: valid\n" {
		return []error{errors.Join(fmt.Errorf("cors-policyd --check says: %s", out), err)}
	}
	return nil
}

// modeline finds the schema that a comment names to editors.
var modeline = regexp.MustCompile(`^\s*# yaml-language-server: \$schema=https://raw\.githubusercontent\.com/` +
	`proxy-wasm-cors/proxy-wasm-cors/main/(\S+)\s*$`)

// checkModeline checks a text that is nothing but a comment to editors.
func checkModeline(root string, of text) []error {
	match := modeline.FindStringSubmatch(of.content)
	if match == nil {
		return []error{fmt.Errorf("%s: nothing but comments", of)}
	}
	schema, err := os.ReadFile(filepath.Join(root, match[1]))
	if err == nil && !json.Valid(schema) {
		err = fmt.Errorf("%s: %s is no JSON", of, match[1])
	}
	if err != nil {
		return []error{err}
	}
	return nil
}

// TestEnvoyValidates has Envoy itself check each whole configuration, with the module.
func TestEnvoyValidates(t *testing.T) {
	t.Parallel()
	root, err := envoytest.Root()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := envoy.Find(root)
	if err != nil {
		t.Fatal(err)
	}
	module, err := envoytest.Module()
	if err != nil {
		t.Fatal(err)
	}
	all, err := texts(root)
	if err != nil {
		t.Fatal(err)
	}
	whole := 0
	for _, of := range all {
		if !strings.Contains(of.content, "\nstatic_resources:") {
			continue
		}
		whole++
		t.Run(of.String(), func(t *testing.T) {
			t.Parallel()
			// What the folder /etc/envoy has: the files beside it, and the module.
			dir := t.TempDir()
			placed := strings.NewReplacer("build/cors.wasm", module, "/etc/envoy", dir)
			if err := os.Symlink(module, filepath.Join(dir, "cors.wasm")); err != nil {
				t.Fatal(err)
			}
			for _, other := range all {
				if filepath.Dir(other.file) != filepath.Dir(of.file) {
					continue
				}
				path := filepath.Join(dir, filepath.Base(other.file))
				if err := os.WriteFile(path, []byte(placed.Replace(other.content)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			validate := exec.Command(binary, "--mode", "validate", "-c", filepath.Join(dir, filepath.Base(of.file)),
				"--log-level", "error")
			validate.Dir = root
			if out, err := validate.CombinedOutput(); err != nil {
				t.Errorf("envoy --mode validate: %v\n%s", err, out)
			}
		})
	}
	if whole < 3 {
		t.Errorf("%d whole configurations; want 3 at least", whole)
	}
}

// TestMistakes checks that each kind of mistake is found, and called what the page says.
func TestMistakes(t *testing.T) {
	root, err := envoytest.Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("testdata/mistakes.md")
	if err != nil {
		t.Fatal(err)
	}
	all, err := blocks("testdata/mistakes.md", string(page))
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := newDefinitions()
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range all {
		t.Run(of.String(), func(t *testing.T) {
			wrong := errors.Join(check(kinds, root, of, reader(root, all, of))...)
			if of.mistake == "" || wrong == nil || !strings.Contains(wrong.Error(), of.mistake) {
				t.Errorf("the mistake isn't %q, but: %v", of.mistake, wrong)
			}
		})
	}
}

// TestNothingEscapes checks that a page can't have a block that isn't looked at.
func TestNothingEscapes(t *testing.T) {
	for page, want := range map[string]string{
		"```\na: b\n```\n":     `page.md:1: the block is in the language ""`,
		"```yml\na: b\n```\n":  `page.md:1: the block is in the language "yml"`,
		"\n```yaml\na: b\n":    "page.md:2: the block has no end",
		"```YAML\na: b\n```\n": `page.md:1: the block is in the language "YAML"`,
	} {
		if _, err := blocks("page.md", page); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v; want %s", page, err, want)
		}
	}
}
