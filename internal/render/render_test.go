package render_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/manifest"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/render"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var noDigest = strings.Repeat("0", 64)

// written is a manifest, or the test's end.
func written(t *testing.T, kind, configuration string, o render.Options) string {
	t.Helper()
	text, err := render.Manifest(kind, configuration, o)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// found are the configurations that "corsctl validate" finds, without a word about them.
func found(tb testing.TB, name, text string) []string {
	tb.Helper()
	plugins, findings := manifest.Find(name, text, nil)
	var list []string
	for _, p := range plugins {
		_, more := p.Parse()
		findings = append(findings, more...)
		list = append(list, p.Configuration)
	}
	for _, f := range findings {
		tb.Errorf("%s\n%s", f.Error(), text)
	}
	return list
}

// values are the documents of a text, as JSON has them.
func values(tb testing.TB, name, text string) (list []any) {
	tb.Helper()
	file, failed := document.Parse(name, text)
	if failed != nil {
		tb.Fatalf("%v\n%s", failed, text)
	}
	for _, d := range file.Documents {
		one, _ := d.JSON()
		list = append(list, value(tb, one))
	}
	return list
}

func value(tb testing.TB, text string) (v any) {
	tb.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		tb.Fatalf("%v\n%s", err, text)
	}
	return v
}

// TestDeploy: by default a manifest says what the examples in deploy say, which are tried on
// Envoy, Istio and Envoy Gateway.
func TestDeploy(t *testing.T) {
	for _, test := range []struct {
		example, kind string
		options       render.Options
	}{
		{"istio/gateway.yaml", render.Istio, render.Options{}},
		{"istio/gateway-api.yaml", render.Istio, render.Options{Target: render.Target{Kind: "Gateway", Name: "gateway"}}},
		{"envoy-gateway/cors.yaml", render.EnvoyGateway, render.Options{}},
		{"envoy-gateway/route.yaml", render.EnvoyGateway,
			render.Options{Target: render.Target{Kind: "HTTPRoute", Name: "public"}}},
		{"envoy/envoy.yaml", render.Envoy, render.Options{}},
		{"envoy-ecds/cors.yaml", render.Envoy, render.Options{ECDS: render.Resource}},
	} {
		t.Run(test.example, func(t *testing.T) {
			example, err := os.ReadFile(filepath.Join("../../deploy", test.example))
			if err != nil {
				t.Fatal(err)
			}
			test.options.Digest = noDigest
			configuration := found(t, test.example, string(example))[0]
			text := written(t, test.kind, configuration, test.options)
			// The string that Envoy has is compared as it is: it is JSON.
			want, got := values(t, test.example, string(example)), values(t, "written.yaml", text)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-%s +written):\n%s", test.example, diff)
			}
		})
	}
}

// configurations are what manifests are written around.
var configurations = map[string]string{
	"one": "{\n  \"allow_origins\": [\"https://app.example\"],\n  \"allow_credentials\": true\n}\n",
	"many": `{"defaults": {"allow_methods": ["PUT"], "max_age": "10m"}, "policies": [
  {"name": "yes", "match": {"hosts": ["api.example.com"], "paths": [{"prefix": "/v1"}, {"exact": "/"}]}, "allow_origins": ["https://a.example", {"regex": "https://app-[0-9]+\\.example"}]},
  {"name": "1e3", "match": {"routes": ["true", "on: #", "- a"]}, "mode": "off"}]}`,
	"asking": `{"policy_source": {"cluster": "policies", "path": "/cors.json"}, "policies": [
  {"name": "a", "origin_lookup": {"cluster": "tenants", "authority": "tenants.internal:8081"}}]}`,
	"asking the mesh": `{"policySource": {"cluster": "outbound|8080||policies.example.com"}}`,
}

// TestOptions: what each option changes.
func TestOptions(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0123456789abcdef", 4)
	for _, test := range []struct {
		name, kind, configuration string
		options                   render.Options
	}{
		{"istio", render.Istio, "one", render.Options{}},
		{"istio-all", render.Istio, "many", render.Options{
			Name: "edge-cors", Namespace: "edge", Image: "registry.example:5000/team/cors:v1.2.3", Digest: digest,
			Selector:   []render.Label{{Key: "app.kubernetes.io/name", Value: "yes"}, {Key: "n", Value: ""}},
			PullSecret: "registry",
		}},
		{"istio-target", render.Istio, "asking the mesh", render.Options{
			Target: render.Target{Kind: "Gateway", Name: "public"},
		}},
		{"istio-asking", render.Istio, "asking", render.Options{}},
		{"envoy-gateway", render.EnvoyGateway, "one", render.Options{}},
		{"envoy-gateway-all", render.EnvoyGateway, "asking", render.Options{
			Name: "123", Namespace: "true", Image: "registry.example/cors@sha256:" + noDigest, PullSecret: "registry",
			Target: render.Target{Kind: "Gateway", Name: "public"},
		}},
		{"envoy-gateway-route", render.EnvoyGateway, "asking", render.Options{
			Target: render.Target{Kind: "GRPCRoute", Name: "grpc"}, Digest: digest,
		}},
		{"envoy", render.Envoy, "asking", render.Options{}},
		{"envoy-asking", render.Envoy, "asking the mesh", render.Options{}},
		{"envoy-all", render.Envoy, "many", render.Options{Name: "edge-cors", Module: `/etc/envoy//cors.wasm`}},
		{"envoy-bootstrap", render.Envoy, "one", render.Options{
			ECDS: render.Bootstrap, Resource: "/etc/envoy/envoy-resource.yaml",
		}},
		{"envoy-resource", render.Envoy, "one", render.Options{ECDS: render.Resource}},
	} {
		t.Run(test.name, func(t *testing.T) {
			configuration := configurations[test.configuration]
			text := written(t, test.kind, configuration, test.options)
			golden := filepath.Join("testdata", test.name+".yaml")
			if *update {
				if err := os.WriteFile(golden, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), text); diff != "" {
				t.Errorf("(-%s +written):\n%s", golden, diff)
			}
			if test.options.ECDS != render.Bootstrap {
				checkInverse(t, test.kind, configuration, text)
			}
		})
	}
}

// checkInverse checks that what is found in a manifest is the configuration that it was
// written around: in Envoy every byte of it, if it has more than a line.
func checkInverse(t *testing.T, kind, configuration, text string) {
	t.Helper()
	list := found(t, "written.yaml", text)
	if len(list) != 1 {
		t.Fatalf("%d configurations in\n%s", len(list), text)
	}
	if diff := cmp.Diff(value(t, configuration), value(t, list[0])); diff != "" {
		t.Errorf("(-configuration +found):\n%s\nin\n%s", diff, text)
	}
	if kind == render.Envoy && strings.Contains(configuration, "\n") && list[0] != configuration {
		t.Errorf("found %q, want %q, in\n%s", list[0], configuration, text)
	}
}

// TestEveryByte: however a configuration is written, it comes out of a manifest as it went in.
func TestEveryByte(t *testing.T) {
	const one = `{"allow_origins": ["https://app.example"]}`
	for name, configuration := range map[string]string{
		"a line":                   one,
		"a line with its end":      one + "\n",
		"many empty lines after":   one + "\n\n\n",
		"an empty line before":     "\n" + one + "\n",
		"spaces before":            "   " + one + "\n",
		"deeper than what follows": "      {\n\"allow_origins\":\n [\"*\"]}",
		"tabs":                     "{\n\t\"allow_origins\": [\n\t\t\"*\"\n\t]\n}\n",
		"tabs first":               "\t{\n\t\"allow_origins\":\t[\"*\"]}\n",
		"spaces after lines":       "{  \n  \"allow_origins\": [\"*\"]  \n   \n}  \n  ",
		"Windows":                  "{\r\n  \"allow_origins\": [\"*\"]\r\n}\r\n",
		"old Mac":                  "{\r  \"allow_origins\": [\"*\"]\r}\n",
		"an end of YAML":           "{\n\"allow_origins\": [{\"regex\":\n\"https://a\\\\.example\"}]\n}\n",
		"many lines":               configurations["many"],
	} {
		for _, kind := range render.Kinds() {
			t.Run(name+" for "+kind, func(t *testing.T) {
				checkInverse(t, kind, configuration, written(t, kind, configuration, render.Options{}))
			})
		}
	}
}

// hostile are texts that mean something in YAML.
var hostile = []string{
	"a\nb: c", "a: b", "- a", "#", "a #b", "'", `"`, "{", "}", "]", "*a", "&a", "!a", "|", ">", "%", "@", "`", "---", "...",
	"a\n---\nkind: Secret", "\u2028", "\u0085", "\ufeff", "\x00", "\x7f", "yes", "null", "1e3", "0x1f", "1_000", "2001-01-01",
	"=", "<<", "~", "{{.Name}}", "${HOME}", "", " ", "/a/../b", strings.Repeat("a", 254), "😀", "\xff", `\`, `\n`,
}

// TestHostileOptions: an option is refused, or is what the manifest says, and that alone.
func TestHostileOptions(t *testing.T) {
	for _, kind := range render.Kinds() {
		plain := func(ecds string) int {
			return len(leaves(values(t, "a.yaml", written(t, kind, configurations["one"], render.Options{
				Digest: noDigest, PullSecret: "a", ECDS: ecds,
			}))))
		}
		for _, text := range hostile {
			for name, o := range map[string]render.Options{
				"name": {Name: text}, "namespace": {Namespace: text}, "image": {Image: text}, "digest": {Digest: text},
				"secret": {PullSecret: text}, "module": {Module: "/" + text},
				"resource": {ECDS: render.Bootstrap, Resource: "/" + text},
				"key":      {Selector: []render.Label{{Key: text, Value: "a"}}}, "label": {Selector: []render.Label{{Key: "a", Value: text}}},
				"target": {Target: render.Target{Kind: "Gateway", Name: text}},
				"kind":   {Target: render.Target{Kind: text, Name: "a"}}, "part": {ECDS: text},
			} {
				if o.Digest == "" {
					o.Digest = noDigest
				}
				if o.PullSecret == "" {
					o.PullSecret = "a"
				}
				manifest, err := render.Manifest(kind, configurations["one"], o)
				if err != nil {
					continue
				}
				got := leaves(values(t, "a.yaml", manifest))
				want := plain(o.ECDS)
				if kind == render.Istio && o.Target.Name != "" {
					want += 2 // A target says three things where a selector says one.
				}
				if len(got) != want {
					t.Errorf("%s: the %s %q makes %d values of %d:\n%s", kind, name, text, len(got), want, manifest)
				}
			}
		}
	}
}

// leaves are the values in values that aren't lists or objects.
func leaves(v any) (list []any) {
	switch v := v.(type) {
	case map[string]any:
		for _, inner := range v {
			list = append(list, leaves(inner)...)
		}
	case []any:
		for _, inner := range v {
			list = append(list, leaves(inner)...)
		}
	default:
		return []any{v}
	}
	return list
}

// TestRefused: what a manifest can't say.
func TestRefused(t *testing.T) {
	for _, test := range []struct {
		name, kind, configuration string
		options                   render.Options
		want                      string
	}{
		{"kind", "nginx", "one", render.Options{}, `there is no manifest for "nginx"; write one of istio, envoy-gateway, envoy`},
		{"configuration", render.Istio, "none", render.Options{}, "the configuration isn't valid"},
		{"name", render.Istio, "one", render.Options{Name: "My CORS"},
			`the name "My CORS": write at most 244 lower-case letters, digits, - and .`},
		{"name with a suffix", render.EnvoyGateway, "one", render.Options{Name: strings.Repeat("a", 245)},
			`the name "` + strings.Repeat("a", 245) + `": write at most 244 lower-case letters, digits, - and .`},
		{"label twice", render.Istio, "one", render.Options{Selector: []render.Label{{Key: "a", Value: "b"}, {Key: "a", Value: "c"}}},
			`the selector "a=c": write each label once`},
		{"two digests", render.Istio, "one", render.Options{
			Image: "registry/cors@sha256:" + strings.Repeat("0", 64), Digest: strings.Repeat("1", 64),
		}, `the digest "` + strings.Repeat("1", 64) + `": write the one that the image has, or leave one out`},
		{"resource of no ECDS", render.Envoy, "one", render.Options{Resource: "/cors.yaml"},
			`the resource "/cors.yaml": leave it out, or write the part of ECDS`},
		{"two", render.Istio, "one", render.Options{
			Selector: []render.Label{{Key: "a", Value: "b"}}, Target: render.Target{Kind: "Gateway", Name: "a"},
		}, "a selector and a target say what the filter is for; leave one out"},
		{"target", render.EnvoyGateway, "one", render.Options{Target: render.Target{Kind: "Service", Name: "a"}},
			`the target's kind "Service": write one of Gateway, HTTPRoute, GRPCRoute`},
		{"route of Istio", render.Istio, "one", render.Options{Target: render.Target{Kind: "HTTPRoute", Name: "a"}},
			`the target's kind "HTTPRoute": write Gateway`},
		{"module", render.Envoy, "one", render.Options{Module: "cors.wasm"},
			`the module "cors.wasm": write its whole path where Envoy runs, such as /etc/envoy/cors.wasm`},
		{"all", render.Envoy, "one", render.Options{Digest: "1", Image: "x", ECDS: "y"}, "the image \"x\": write registry/name:tag\n" +
			"the digest \"1\": write sha256: and the 64 hexadecimal digits that \"make push\" prints\n" +
			"the part \"y\": write one of bootstrap, resource"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := render.Manifest(test.kind, configurations[test.configuration], test.options); err == nil ||
				err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// FuzzManifest: whatever valid configuration there is, it comes out of a manifest as it went in.
func FuzzManifest(f *testing.F) {
	for _, c := range configurations {
		f.Add(c)
	}
	for _, text := range hostile {
		quoted, _ := json.Marshal(text)
		f.Add(`{"policies": [{"name": "a", "match": {"routes": [` + string(quoted) + `]}, "allow_origins": ["*"]}]}`)
	}
	f.Fuzz(func(t *testing.T, configuration string) {
		for _, kind := range render.Kinds() {
			text, err := render.Manifest(kind, configuration, render.Options{})
			if err != nil {
				return // It isn't valid.
			}
			plugins, findings := manifest.Find("a.yaml", text, nil)
			if len(plugins) != 1 || findings != nil {
				t.Fatalf("%d configurations, %v, in\n%s", len(plugins), findings, text)
			}
			got := plugins[0].Configuration
			if diff := cmp.Diff(value(t, configuration), value(t, got)); diff != "" {
				t.Errorf("(-configuration +found):\n%s\nin\n%s", diff, text)
			}
			if kind == render.Envoy && strings.Contains(configuration, "\n") && got != configuration {
				t.Errorf("found %q, want %q, in\n%s", got, configuration, text)
			}
		}
	})
}
