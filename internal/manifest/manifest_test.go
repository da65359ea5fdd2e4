package manifest_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/manifest"
)

const wasm = `"@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm`

// TestFind: configurations are found wherever people have them, and what is wrong is
// shown where it stands.
func TestFind(t *testing.T) {
	for _, test := range []struct {
		name, file, text string
		// want has a line for each configuration, then one for each finding.
		want []string
	}{
		{"json", "-", `{"allow_origins": ["*"]}`, []string{`"" {"allow_origins": ["*"]}`}},
		{"json with a mistake", "-", `{"allow_orgins": ["*"]}`, []string{
			`"" {"allow_orgins": ["*"]}`,
			`-:1:1: allow_origins: is required, and has no entry; write the origins of the pages that may read answers, such as ["https://app.example"]`,
			`-:1:2: allow_orgins: is not a field; write "allow_origins"`,
		}},
		{"yaml", "a.yaml", "allowOrigins:\n  - '*'\n  - http\n", []string{
			`"" {"allowOrigins": ["*", "http"]}`,
			`a.yaml:3:5: allow_origins[1]: "http" has no scheme; write "https://http"`,
		}},
		{"a look-up, no origins, and a field of Envoy's", "a.yaml", "originLookup: {cluster: policies}\nnode: {}\n",
			[]string{
				`"" {"originLookup": {"cluster": "policies"}, "node": {}}`,
				`a.yaml:2:1: node: is not a field; write "mode"`,
			}},
		{"two in a file", "a.yaml", "allow_origins: ['*']\n---\npolicies: []\n", []string{
			`"" {"allow_origins": ["*"]}`, `"" {"policies": []}`,
			`a.yaml:3:11: policies: is empty; write at least one policy`,
		}},
		{"bytes that look like a template", "a.yaml", "{{\xff",
			[]string{`a.yaml:1:3: configuration: the file is not valid UTF-8; save it as UTF-8`}},
		{"nothing", "a.yaml", " \n", []string{`"" ` + " \n",
			`a.yaml:1:1: configuration: is empty; write at least {"allow_origins": ["https://app.example"]}`}},
		{"no object", "a.yaml", "# no\n- a\n", []string{`"" ["a"]`,
			`a.yaml:2:1: configuration: is a list, not an object; write {…}`}},
		{"other manifests only", "a.yaml", "kind: Deployment\n---\nkind: Service\n", []string{
			`a.yaml:1:1: configuration: has no Wasm filter and no configuration of one; give a plugin configuration, an Envoy bootstrap or a resource of LDS or ECDS, a WasmPlugin, a TrafficExtension, an EnvoyExtensionPolicy, or a ConfigMap or a kustomization that has one`,
		}},

		{"WasmPlugin", "a.yaml",
			"kind: WasmPlugin\nmetadata: {name: x}\nspec:\n  pluginConfig:\n    allow_origins: '*'\n  phase: AUTHN\n",
			[]string{
				`"WasmPlugin x" {"allow_origins": "*"}`,
				`a.yaml:5:20: allow_origins: is the string "*", not a list; write ["*"]`,
			}},
		{"WasmPlugin without a configuration", "a.yaml",
			"kind: WasmPlugin\nmetadata: {name: x}\nspec:\n  url: oci://x\n", []string{
				`a.yaml:4:3: configuration: WasmPlugin x has no configuration, and without a policy the filter doesn't start; write one, with at least allow_origins`,
			}},
		{"WasmPlugin with a template", "a.yaml",
			"kind: WasmPlugin\nmetadata: {name: x}\nspec: {pluginConfig: '{{ toJson .Values.cors }}'}\n", []string{
				`a.yaml:3:22: configuration: WasmPlugin x has a template for its configuration; run helm template first, and give what that prints`,
			}},
		{"WasmPlugin with a string", "a.yaml", "kind: WasmPlugin\nmetadata: {name: x}\nspec: {pluginConfig: '{}'}\n",
			[]string{
				`a.yaml:3:22: configuration: WasmPlugin x has its configuration as a string; write it as an object`,
			}},
		{"one of two WasmPlugins", "a.yaml",
			"kind: WasmPlugin\nmetadata: {name: waf}\nspec: {pluginConfig: {rules: []}}\n---\nkind: WasmPlugin\nmetadata: {name: x}\nspec:\n  url: oci://example/proxy-wasm-cors:1\n  pluginConfig: {}\n  phase: AUTHN\n", []string{
				`"WasmPlugin x" {}`,
				`a.yaml:3:7: configuration: WasmPlugin waf is another Wasm filter, or is not recognised as this one, and isn't checked; name it "cors" if it is this one`,
				`a.yaml:9:17: allow_origins: is required, and has no entry; write the origins of the pages that may read answers, such as ["https://app.example"]`,
			}},
		{"TrafficExtension", "a.yaml",
			"kind: TrafficExtension\nmetadata: {name: x}\nspec:\n  wasm:\n    pluginConfig: {allow_origins: ['*']}\n  phase: AUTHN\n", []string{`"TrafficExtension x" {"allow_origins": ["*"]}`}},
		{"TrafficExtension in Lua", "a.yaml",
			"kind: TrafficExtension\nmetadata: {name: x}\nspec:\n  lua: {inlineCode: ''}\n", []string{
				`a.yaml:1:1: configuration: has no Wasm filter and no configuration of one; give a plugin configuration, an Envoy bootstrap or a resource of LDS or ECDS, a WasmPlugin, a TrafficExtension, an EnvoyExtensionPolicy, or a ConfigMap or a kustomization that has one`,
			}},
		{"EnvoyExtensionPolicy", "a.yaml",
			"kind: EnvoyExtensionPolicy\nmetadata: {name: x}\nspec:\n  wasm:\n  - name: waf\n    config: {}\n  - name: CORS\n    config: {allow_origins: ['*']}\n", []string{
				`"EnvoyExtensionPolicy x" {"allow_origins": ["*"]}`,
				`a.yaml:5:5: configuration: EnvoyExtensionPolicy x is another Wasm filter, or is not recognised as this one, and isn't checked; name it "cors" if it is this one`,
				`a.yaml:5:5: wasm: filter waf comes before filter CORS (line 7), and may answer a preflight first; put filter CORS first`,
			}},
		{"WasmPlugin with a type", "a.yaml",
			"kind: WasmPlugin\nmetadata: {name: x}\nspec: {pluginConfig: {'@type': x/google.protobuf.StringValue, allow_origins: ['*']}, phase: AUTHN}\n", []string{
				`"WasmPlugin x" {"@type": "x/google.protobuf.StringValue", "allow_origins": ["*"]}`,
				`a.yaml:3:23: "@type": is not a field; leave it out; the fields are name, match, allow_origins, allow_methods, allow_headers, expose_headers, allow_credentials, max_age, allow_private_network, unmatched_preflights, preflight_status, upstream_cors_headers, origin_lookup, debug, mode`,
			}},
		{"a word with cors in it", "a.yaml",
			"kind: WasmPlugin\nmetadata: {name: corsair}\nspec: {pluginConfig: {}}\n---\nkind: WasmPlugin\nmetadata: {name: my_CORS-2}\nspec: {pluginConfig: {allow_origins: ['*']}, phase: AUTHN}\n", []string{
				`"WasmPlugin my_CORS-2" {"allow_origins": ["*"]}`,
				`a.yaml:3:7: configuration: WasmPlugin corsair is another Wasm filter, or is not recognised as this one, and isn't checked; name it "cors" if it is this one`,
			}},
		{"a list of a kind", "a.yaml",
			"kind: WasmPluginList\nitems:\n- metadata: {name: x}\n  spec: {pluginConfig: {allow_origins: ['*']}, phase: AUTHN}\n", []string{`"WasmPlugin x" {"allow_origins": ["*"]}`}},
		{"merges in a manifest", "a.yaml",
			"kind: WasmPlugin\nmetadata: {name: x}\nspec: {pluginConfig: {<<: {allow_origins: ['*']}}, phase: AUTHN}\n",
			[]string{`"WasmPlugin x" {"allow_origins": ["*"]}`}},
		{"a template", "a.yaml", "kind: WasmPlugin\nmetadata:\n  name: {{ .Release.Name }}-cors\n", []string{
			`a.yaml:3:9: configuration: the file is a template; run helm template first, and give what that prints`,
		}},
		{"a byte order mark", "a.yaml", "\ufeffallow_origins: ['*']\n",
			[]string{`a.yaml:1:1: configuration: begins with a byte order mark; save it without`}},
		{"a byte order mark in JSON", "-", "\ufeff{}",
			[]string{`-:1:1: configuration: begins with a byte order mark; save it without`}},
		{"a list of manifests", "a.json",
			`{"kind": "List", "items": [{"kind": "WasmPlugin", "metadata": {"name": "x"}, "spec": {"pluginConfig": {"allow_origins": ["*"]}, "phase": "AUTHN"}}]}`, []string{`"WasmPlugin x" {"allow_origins": ["*"]}`}},

		{"Envoy, a string", "a.yaml", "http_filters:\n- name: cors\n  typed_config:\n    " + wasm +
			"\n    config:\n      configuration:\n        '@type': type.googleapis.com/google.protobuf.StringValue\n        value: |\n          {\"allow_origins\":\n            [\"*\", 1]}\n", []string{
			`"filter cors" {"allow_origins":` + "\n  [\"*\", 1]}\n",
			`a.yaml:10:19: allow_origins[1]: is the number 1, not an origin; write a string such as "https://app.example", or {"regex": "…"}`,
		}},
		{"Envoy, a struct", "a.json", `{"httpFilters": [{"name": "cors", "typedConfig": {` +
			strings.ReplaceAll(wasm, ": ", `: "`) +
			`", "config": {"configuration": {"@type": "type.googleapis.com/google.protobuf.Struct", "value": {"allowOrigins": []}}}}}]}`, []string{
			`a.json:1:154: configuration: Envoy hands a Struct to the filter in binary, which it refuses; write google.protobuf.StringValue, with the configuration as a string: value: |`,
		}},
		{"Envoy, no type", "a.yaml", "typed_config:\n  " + wasm +
			"\n  config:\n    configuration: {allow_origins: ['*']}\n", []string{
			`a.yaml:4:20: configuration: has no @type; write {"@type": type.googleapis.com/google.protobuf.StringValue, value: …}`,
		}},
		{"Envoy, a type without a slash", "a.yaml",
			"typed_config:\n  " + wasm +
				"\n  config:\n    configuration: {'@type': google.protobuf.StringValue, value: '{}'}\n", []string{
				`a.yaml:4:30: configuration: has the @type "google.protobuf.StringValue", which has no slash; write type.googleapis.com/google.protobuf.StringValue`,
			}},
		{"EnvoyFilter, a struct", "a.yaml", "kind: EnvoyFilter\nspec:\n  typed_config:\n    " + wasm +
			"\n    config:\n      configuration: {'@type': x/google.protobuf.Struct, value: {}}\n", []string{
			`a.yaml:6:22: configuration: Envoy hands a Struct to the filter in binary, which it refuses; write google.protobuf.StringValue, with the configuration as a string: value: |`,
		}},
		{"Envoy, merges on the way", "a.yaml", "http_filters:\n- <<: {name: cors}\n  typed_config:\n    " + wasm +
			"\n    config: {configuration: {'@type': x/google.protobuf.StringValue, value: '{}'}}\n", []string{
			`a.yaml:2:3: configuration: Envoy doesn't read merge keys (<<); write the fields out, or use an alias of the whole value`,
		}},
		{"Envoy, merges within", "a.yaml", "a: &a {value: '{}'}\nhttp_filters:\n- typed_config:\n    " + wasm +
			"\n    config: {configuration: {'@type': x/google.protobuf.StringValue, <<: *a}}\n", []string{
			`a.yaml:5:70: configuration: Envoy doesn't read merge keys (<<); write the fields out, or use an alias of the whole value`,
		}},
		{"Envoy, merges elsewhere", "a.yaml", "clusters:\n- {<<: {name: a}}\nhttp_filters:\n- typed_config:\n    " +
			wasm +
			"\n    config: {configuration: {'@type': x/google.protobuf.StringValue, value: '{\"allow_origins\": [\"*\"]}'}}\n", []string{
			`"the Wasm filter" {"allow_origins": ["*"]}`,
		}},
		{"EnvoyFilter, merges", "a.yaml", "kind: EnvoyFilter\nspec:\n  <<: {a: b}\n  typed_config:\n    " + wasm +
			"\n    config: {configuration: {'@type': x/google.protobuf.StringValue, value: '{\"allow_origins\": [\"*\"]}'}}\n", []string{
			`"the Wasm filter" {"allow_origins": ["*"]}`,
		}},
		{"Envoy, ECDS", "a.yaml",
			"http_filters:\n- name: cors\n  config_discovery:\n    type_urls: [type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm]\n", []string{
				`a.yaml:2:3: configuration: filter cors is configured by ECDS; give that resource`,
			}},
		{"Envoy, ECDS of two", "a.yaml",
			"http_filters:\n- name: a\n  config_discovery: &x {type_urls: [x/envoy.extensions.filters.http.wasm.v3.Wasm]}\n- name: b\n  config_discovery: *x\n", []string{
				`a.yaml:2:3: configuration: filter a is configured by ECDS; give that resource`,
				`a.yaml:4:3: configuration: filter b is configured by ECDS; give that resource`,
			}},
		{"Envoy, ECDS of another type", "a.yaml",
			"http_filters:\n- name: cors\n  config_discovery: {type_urls: [x/envoy.extensions.filters.http.lua.v3.Lua]}\n", []string{
				`a.yaml:1:1: configuration: has no Wasm filter and no configuration of one; give a plugin configuration, an Envoy bootstrap or a resource of LDS or ECDS, a WasmPlugin, a TrafficExtension, an EnvoyExtensionPolicy, or a ConfigMap or a kustomization that has one`,
			}},
		{"Envoy, ECDS with a default", "a.yaml",
			"http_filters:\n- name: cors\n  config_discovery:\n    type_urls: [x/envoy.extensions.filters.http.wasm.v3.Wasm]\n    default_config:\n      " + wasm + "\n      config: {configuration: {'@type': x/google.protobuf.StringValue, value: '{\"allow_origins\": [\"*\"]}'}}\n", []string{
				`"filter cors" {"allow_origins": ["*"]}`,
			}},
		{"Envoy, another filter", "a.yaml", "http_filters:\n- name: cors\n  typed_config:\n    " + wasm +
			"\n    config: {configuration: {'@type': x/google.protobuf.StringValue, value: '{\"allow_origins\": [\"*\"]}'}}\n- name: gateway\n  typed_config:\n    " + wasm + "\n", []string{
			`"filter cors" {"allow_origins": ["*"]}`,
			`a.yaml:8:5: configuration: filter gateway is another Wasm filter, or is not recognised as this one, and isn't checked; name it "cors" if it is this one`,
		}},
		{"Envoy, bytes of the other alphabet", "a.yaml",
			"typed_config:\n  " + wasm +
				"\n  config: {configuration: {'@type': x/google.protobuf.BytesValue, value: eyJhbGxvd19vcmlnaW5zIjogWyIqIl0sICJuYW1lIjogImE_Pz4-fn4ifQ}}\n", []string{
				`"the Wasm filter" {"allow_origins": ["*"], "name": "a??>>~~"}`,
				`a.yaml:3:74: name: "a??>>~~" is not a name; write 1 to 64 letters, digits, dots, hyphens and underscores`,
			}},
		{"Envoy without a filter, from the admin interface", "a.json", `{"configs": []}`, []string{
			`a.json:1:1: configuration: has no Wasm filter and no configuration of one; give a plugin configuration, an Envoy bootstrap or a resource of LDS or ECDS, a WasmPlugin, a TrafficExtension, an EnvoyExtensionPolicy, or a ConfigMap or a kustomization that has one`,
		}},
		{"Envoy, bytes", "a.yaml", "typed_config:\n  " + wasm +
			"\n  config:\n    configuration:\n      '@type': type.googleapis.com/google.protobuf.BytesValue\n      value: eyJhbGxvd19vcmlnaW5zIjogW119\n", []string{
			`"the Wasm filter" {"allow_origins": []}`,
			`a.yaml:6:14: allow_origins: is required, and has no entry; write the origins of the pages that may read answers, such as ["https://app.example"]`,
		}},
		{"Envoy, a typed struct", "a.yaml",
			"resources:\n- name: cors\n  typed_config:\n    '@type': type.googleapis.com/xds.type.v3.TypedStruct\n    type_url: type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n    value:\n      config:\n        configuration:\n          '@type': type.googleapis.com/google.protobuf.StringValue\n          value: '{\"allow_origins\": [\"*\"]}'\n", []string{
				`"filter cors" {"allow_origins": ["*"]}`,
			}},
		{"Envoy, a message of another type", "a.yaml",
			"typed_config:\n  " + wasm +
				"\n  config:\n    configuration:\n      '@type': type.googleapis.com/google.protobuf.Empty\n", []string{
				`a.yaml:5:7: configuration: the Wasm filter has a configuration of the type type.googleapis.com/google.protobuf.Empty; write google.protobuf.StringValue`,
			}},
		{"Envoy, two others", "a.yaml", "http_filters:\n- typed_config:\n    " + wasm + "\n- typed_config:\n    " +
			wasm + "\n    config: {configuration: {'@type': x/google.protobuf.Struct, value: {}}}\n", []string{
			`a.yaml:3:5: configuration: none of the file's Wasm filters looks like this one; name the filter "cors"`,
		}},
		{"Envoy without a filter", "a.yaml", "static_resources: {}\n", []string{
			`a.yaml:1:1: configuration: has no Wasm filter and no configuration of one; give a plugin configuration, an Envoy bootstrap or a resource of LDS or ECDS, a WasmPlugin, a TrafficExtension, an EnvoyExtensionPolicy, or a ConfigMap or a kustomization that has one`,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			plugins, findings := manifest.Find(test.file, test.text, nil)
			var got []string
			for _, p := range plugins {
				got = append(got, fmt.Sprintf("%q %s", p.Name, p.Configuration))
				_, found := p.Parse()
				findings = append(findings, found...)
			}
			for _, f := range findings {
				if got = append(got, f.Error()); f.Kind == 0 {
					t.Errorf("%v has no kind", f)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// check reads what may be anything: it must not panic, and every finding has a place
// in the file.
func check(t *testing.T, name, text string) (wrong bool) {
	t.Helper()
	plugins, findings := manifest.Find(name, text, nil)
	for _, p := range plugins {
		_, found := p.Parse()
		findings = append(findings, found...)
	}
	for _, f := range findings {
		if f.Kind == 0 || f.Line < 1 || f.Column < 1 || f.Offset > len(text) || f.What == "" {
			t.Fatalf("%.100q: a finding without a place: %+v", text, f)
		}
		wrong = wrong || !f.Warning
	}
	if len(plugins)+len(findings) == 0 {
		t.Fatalf("%.100q: neither a configuration nor a word on why there is none", text)
	}
	return wrong
}

// TestPrefixes: every prefix of a good file is an error with a place, or good itself,
// as YAML that ends between two lines may be.
func TestPrefixes(t *testing.T) {
	root := "../.."
	files, err := filepath.Glob(root + "/deploy/*/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range append(files, root+"/envoy.yaml") {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for n := range len(content) {
			check(t, "a.yaml", string(content[:n]))
		}
	}
	const good = `{"defaults": {"max_age": "10m"}, "policies": [{"name": "a", "match": {"hosts": ["*.example"]}, "allow_origins": ["https://ä.example", {"regex": "https://[a-z]+\\.example"}], "allow_credentials": true}]}`
	for n := range len(good) {
		if !check(t, "a.json", good[:n]) {
			t.Errorf("%s: no error", good[:n])
		}
	}
}

// TestRandomBytes: what isn't text at all is an error with a place.
func TestRandomBytes(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 6))
	for _, name := range []string{"-", "a.json", "a.yaml"} {
		for _, alphabet := range []string{"", "{}[]:,\"'\n -&*!|>%@`#a1\\u\t", "{\"allow_origins\":[]}, \n"} {
			b := make([]byte, 100_000)
			for i := range b {
				if b[i] = byte(random.Uint32()); alphabet != "" {
					b[i] = alphabet[int(b[i])%len(alphabet)]
				}
			}
			if !check(t, name, string(b)) {
				t.Errorf("%s of %q: no error", name, alphabet)
			}
		}
	}
}

func FuzzFind(f *testing.F) {
	f.Add("kind: WasmPlugin\nspec:\n  pluginConfig: &x {allow_origins: ['*'], a: *x}\n")
	f.Add("typed_config:\n  " + wasm +
		"\n  config:\n    configuration:\n      '@type': x/google.protobuf.StringValue\n      value: \"{\\\"allow_origins\\\": \\\n  [\\\"\\u00e4\\\"]}\"\n")
	f.Add("kind: ConfigMap\ndata:\n  a.json: |\n    {\"allow_origins\": [\"*\"]}\n  b.yaml: \"kind: WasmPlugin\\nspec: {pluginConfig: {allow_origins: [x]}}\"\n")
	f.Add("patches:\n- target: {kind: WasmPlugin, name: cors}\n  patch: |-\n    - {op: add, path: /spec/pluginConfig/policies/0/allow_origins/-, value: x}\n")
	f.Fuzz(func(t *testing.T, text string) {
		check(t, "a.yaml", text)
		check(t, "-", text)
	})
}

// managed is an HttpConnectionManager with settings and filters before the CORS filter.
func managed(settings, before, fields string) string {
	return "filters:\n- typed_config:\n" + settings + "    http_filters:\n" + before +
		"    - name: cors\n      typed_config:\n        " + wasm + "\n        config:\n" + fields +
		"          configuration: {'@type': x/google.protobuf.StringValue, value: '{\"allow_origins\": [\"*\"], \"match\": {\"paths\": [{\"prefix\": \"/v1\"}]}}'}\n"
}

const normalized = "    normalize_path: true\n    merge_slashes: true\n    path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT\n"

// TestAround: what stands around the configuration, because of which it isn't what
// happens.
func TestAround(t *testing.T) {
	const (
		answers  = "it may answer a preflight, which carries no credentials, and what it answers has no CORS headers; put filter cors first"
		passes   = "lets requests pass without the filter when it fails: preflights reach the upstream, and its own CORS headers the page"
		late     = "authentication, authorization and rate limits answer a preflight first, and what they answer has no CORS headers"
		priority = ", with a priority above that of other plugins"
		paths    = "policies match on paths, of which Envoy leaves several spellings: what one policy covers as /admin may reach another as //admin, /x/../admin or /%2Fadmin; write "
	)
	filter := func(name, message string) string {
		return "    - name: " + name +
			"\n      typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http." + message + "}\n"
	}
	istio := func(spec string) string {
		return "kind: WasmPlugin\nmetadata: {name: cors}\nspec:\n  pluginConfig: {allow_origins: ['*']}\n" + spec
	}
	const unchecked = "a.yaml:11:3: configuration: WasmPlugin waf is another Wasm filter, or is not recognised as this one, and isn't checked; name it \"cors\" if it is this one"
	waf := func(spec string) string {
		return "---\nkind: WasmPlugin\nmetadata: {name: waf}\nspec:\n  pluginConfig: {}\n" + spec
	}
	gateway := func(wasm string) string {
		return "kind: EnvoyExtensionPolicy\nmetadata: {name: cors}\nspec:\n  wasm:\n  - config: {allow_origins: ['*']}\n" + wasm
	}
	authorization := func(metadata, action string) string {
		return "---\nkind: AuthorizationPolicy\nmetadata: " + metadata + "\nspec: {action: " + action + "}\n"
	}
	security := func(spec string) string { return "---\nkind: SecurityPolicy\nspec:\n" + spec }
	order := func(positions string) string {
		return "---\nkind: EnvoyProxy\nspec:\n  filterOrder: [" + positions + "]\n"
	}
	puts := func(filter string) string {
		return "Envoy Gateway puts envoy.filters.http." + filter +
			" before the filter of line 5: it may answer a preflight, which carries no credentials, and what it answers has no CORS headers; "
	}
	patch := func(operation, match string) string {
		return "kind: EnvoyFilter\nspec:\n  configPatches:\n  - applyTo: HTTP_FILTER\n    match: {listener: {filterChain: {filter: " + match + "}}}\n    patch:\n      operation: " + operation +
			"\n      value:\n        name: cors\n        typed_config:\n          " + wasm +
			"\n          config: {configuration: {'@type': x/google.protobuf.StringValue, value: '{\"allow_origins\": [\"*\"]}'}}\n"
	}
	discovered := func(operation string) string {
		return "kind: EnvoyFilter\nspec:\n  configPatches:\n  - applyTo: HTTP_FILTER\n    patch:\n      operation: " + operation +
			"\n      value: {name: a, config_discovery: {type_urls: [x/envoy.extensions.filters.http.wasm.v3.Wasm]}}\n" +
			"  - applyTo: EXTENSION_CONFIG\n    patch:\n      operation: ADD\n      value:\n        name: a\n        typed_config:\n          " + wasm +
			"\n          config: {configuration: {'@type': x/google.protobuf.StringValue, value: '{\"allow_origins\": [\"*\"]}'}}\n"
	}
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", managed(normalized, "", ""), nil},
		{"harmless filters", managed(normalized, filter("a", "grpc_web.v3.GrpcWeb")+
			filter("b", "compressor.v3.Compressor"), ""), nil},
		{"jwt_authn", managed(normalized, filter("envoy.filters.http.jwt_authn", "jwt_authn.v3.JwtAuthentication"), ""),
			[]string{
				"a.yaml:7:7: http_filters: filter envoy.filters.http.jwt_authn stands before filter cors (line 9): " +
					answers,
			}},
		{"several, of other names", managed(normalized,
			filter("who", "ext_authz.v3.ExtAuthz")+filter("b", "grpc_web.v3.GrpcWeb")+
				filter("many", "local_ratelimit.v3.LocalRateLimit"), ""), []string{
			"a.yaml:7:7: http_filters: filter who stands before filter cors (line 13): " + answers,
			"a.yaml:11:7: http_filters: filter many stands before filter cors (line 13): " + answers,
		}},
		{"Envoy's own", managed(normalized, filter("envoy.filters.http.cors", "cors.v3.Cors"), ""), []string{
			"a.yaml:7:7: http_filters: filter envoy.filters.http.cors stands before filter cors (line 9): Envoy's own CORS filter answers preflights first, by the policies of the routes; remove it, or put filter cors first",
		}},
		{"one that is disabled", managed(normalized, "    - {name: envoy.filters.http.rbac, disabled: true}\n", ""),
			nil},
		{"one that is discovered", managed(normalized,
			"    - {name: a, config_discovery: {type_urls: [x/envoy.extensions.filters.http.oauth2.v3.OAuth2]}}\n", ""),
			[]string{
				"a.yaml:7:7: http_filters: filter a stands before filter cors (line 8): " + answers,
			}},
		{"one of a typed struct", managed(normalized,
			"    - {name: a, typed_config: {'@type': x/xds.type.v3.TypedStruct, type_url: x/envoy.extensions.filters.http.lua.v3.Lua}}\n", ""), []string{
			"a.yaml:7:7: http_filters: filter a stands before filter cors (line 8): " + answers,
		}},
		{"one with a matcher", managed(normalized,
			"    - {name: a, typed_config: {'@type': x/envoy.extensions.common.matching.v3.ExtensionWithMatcher, extension_config: {name: b, typed_config: {'@type': x/envoy.extensions.filters.http.rbac.v3.RBAC}}}}\n", ""), []string{
			"a.yaml:7:7: http_filters: filter a stands before filter cors (line 8): " + answers,
		}},
		{"a policy", managed(normalized, "", "          failure_policy: FAIL_OPEN\n"),
			[]string{"a.yaml:11:27: failure_policy: FAIL_OPEN " + passes + "; write FAIL_RELOAD, or FAIL_CLOSED"}},
		{"a policy by its number", managed(normalized, "", "          failurePolicy: 3\n"),
			[]string{"a.yaml:11:26: failure_policy: FAIL_OPEN " + passes + "; write FAIL_RELOAD, or FAIL_CLOSED"}},
		{"the old field", managed(normalized, "", "          fail_open: true\n"),
			[]string{"a.yaml:11:22: fail_open: " + passes + "; leave it out"}},
		{"a policy that is well", managed(normalized, "",
			"          failure_policy: FAIL_RELOAD\n          fail_open: false\n"), nil},
		{"paths", managed("", "", ""), []string{"a.yaml:3:5: match.paths: " + paths +
			"normalize_path: true, merge_slashes: true, path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT in the HttpConnectionManager"}},
		{"paths, and some of it",
			managed("    normalize_path: true\n    mergeSlashes: false\n    path_with_escaped_slashes_action: KEEP_UNCHANGED\n", "", ""), []string{
				"a.yaml:3:5: match.paths: " + paths +
					"merge_slashes: true, path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT in the HttpConnectionManager"}},
		{"no paths", strings.ReplaceAll(managed("", "", ""), `, "match": {"paths": [{"prefix": "/v1"}]}`, ""), nil},

		{"Istio", istio("  phase: AUTHN\n  failStrategy: FAIL_CLOSE\n"), nil},
		{"Istio, no phase", istio(""),
			[]string{"a.yaml:4:3: phase: is missing, so that Istio puts the filter at the end of the chain: " + late +
				"; write phase: AUTHN" + priority}},
		{"Istio, another phase", istio("  phase: STATS\n"),
			[]string{"a.yaml:5:10: phase: STATS comes late: " + late + "; write AUTHN" + priority}},
		{"Istio, an external authorizer", istio("  phase: AUTHN\n") + authorization("{name: a}", "CUSTOM"), []string{
			"a.yaml:9:16: spec.action: Istio puts CUSTOM before every plugin, and so before that of line 1: it may answer a preflight, which carries no credentials, and what it answers has no CORS headers; insert the filter first by an EnvoyFilter, as deploy/istio/before-ext-authz.yaml does"}},
		{"Istio, one for all namespaces",
			strings.Replace(istio("  phase: AUTHN\n"), "name: cors", "name: cors, namespace: b", 1) +
				authorization("{namespace: istio-system}", "CUSTOM"), []string{
				"a.yaml:9:16: spec.action: Istio puts CUSTOM before every plugin, and so before that of line 1: it may answer a preflight, which carries no credentials, and what it answers has no CORS headers; insert the filter first by an EnvoyFilter, as deploy/istio/before-ext-authz.yaml does"}},
		{"Istio, one of another namespace", istio("  phase: AUTHN\n") + authorization("{namespace: b}", "CUSTOM"), nil},
		{"Istio, an authorization", istio("  phase: AUTHN\n") + authorization("{name: a}", "DENY"), nil},
		{"EnvoyFilter, before an external authorizer", patch("INSERT_FIRST", "{}") + authorization("{name: a}", "CUSTOM"), nil},
		{"Istio, open", istio("  phase: AUTHN\n  failStrategy: FAIL_OPEN\n"),
			[]string{"a.yaml:6:17: fail_strategy: FAIL_OPEN " + passes + "; write FAIL_RELOAD, or FAIL_CLOSE"}},
		{"Istio, TrafficExtension",
			"kind: TrafficExtension\nmetadata: {name: cors}\nspec:\n  phase: AUTHZ\n  wasm: {pluginConfig: {allow_origins: ['*']}, failStrategy: FAIL_OPEN}\n", []string{
				"a.yaml:4:10: phase: AUTHZ comes late: " + late + "; write AUTHN" + priority,
				"a.yaml:5:62: fail_strategy: FAIL_OPEN " + passes + "; write FAIL_RELOAD, or FAIL_CLOSE",
			}},
		{"Istio, another before", istio("  phase: AUTHN\n  priority: 10\n") + waf("  phase: AUTHN\n  priority: 20\n"),
			[]string{
				unchecked,
				"a.yaml:11:3: wasm: WasmPlugin waf comes before WasmPlugin cors (line 1), and may answer a preflight first; put WasmPlugin cors first"}},
		{"Istio, another of the same priority", istio("  phase: AUTHN\n") + "  #\n" + waf("  phase: AUTHN\n"), []string{
			unchecked,
			"a.yaml:11:3: wasm: WasmPlugin waf comes before WasmPlugin cors (line 1), and may answer a preflight first; put WasmPlugin cors first"}},
		{"Istio, another after", istio("  phase: AUTHN\n  priority: 20\n") + waf("  phase: AUTHN\n  priority: 10\n"),
			[]string{unchecked}},
		{"Istio, another in a later phase", istio("  phase: AUTHN\n  priority: 20\n") +
			waf("  phase: STATS\n  priority: 30\n"), []string{unchecked}},
		{"Envoy Gateway, another before",
			"kind: EnvoyExtensionPolicy\nmetadata: {name: x}\nspec:\n  wasm:\n  - {name: waf, config: {}}\n  - {name: cors, config: {allow_origins: ['*']}}\n", []string{
				"a.yaml:5:5: configuration: EnvoyExtensionPolicy x is another Wasm filter, or is not recognised as this one, and isn't checked; name it \"cors\" if it is this one",
				"a.yaml:5:5: wasm: filter waf comes before filter cors (line 6), and may answer a preflight first; put filter cors first"}},
		{"EnvoyFilter, first", patch("INSERT_FIRST", "{}"), nil},
		{"EnvoyFilter, discovered", discovered("INSERT_FIRST"), nil},
		{"EnvoyFilter, discovered, last", discovered("ADD"), []string{
			"a.yaml:6:18: patch.operation: ADD puts the filter behind others, which may answer a preflight first; write INSERT_FIRST"}},
		{"EnvoyFilter, before", patch("INSERT_BEFORE", "{name: a}"), nil},
		{"EnvoyFilter, before one", patch("INSERT_BEFORE", "{subFilter: {name: envoy.filters.http.router}}"), []string{
			"a.yaml:7:18: patch.operation: INSERT_BEFORE puts the filter behind others, which may answer a preflight first; write INSERT_FIRST"}},
		{"EnvoyFilter, last", patch("ADD", "{}"), []string{
			"a.yaml:7:18: patch.operation: ADD puts the filter behind others, which may answer a preflight first; write INSERT_FIRST"}},

		{"Envoy Gateway", gateway(""), nil},
		{"Envoy Gateway, open", gateway("    failOpen: true\n"),
			[]string{"a.yaml:6:15: fail_open: " + passes + "; leave it out"}},
		{"Envoy Gateway, closed, in YAML 1.1", gateway("    failOpen: no\n"), nil},
		{"Envoy Gateway, open, in YAML 1.1", gateway("    failOpen: yes\n"),
			[]string{"a.yaml:6:15: fail_open: " + passes + "; leave it out"}},
		{"Envoy Gateway, authentication", gateway("") + security("  jwt: {}\n"), []string{
			"a.yaml:9:8: spec: " + puts("jwt_authn") +
				"write an EnvoyProxy with filterOrder: [{name: envoy.filters.http.wasm, before: envoy.filters.http.jwt_authn}]"}},
		{"Envoy Gateway, its own CORS", gateway("") + security("  cors: {}\n"), []string{
			"a.yaml:9:9: spec: " + puts("cors") +
				"remove it, or write an EnvoyProxy with filterOrder: [{name: envoy.filters.http.wasm, before: envoy.filters.http.cors}]"}},
		{"Envoy Gateway, its CSRF protection", gateway("") + security("  csrf: {}\n  jwt: {}\n") +
			order("{name: envoy.filters.http.wasm, before: envoy.filters.http.jwt_authn}"), []string{
			"a.yaml:9:9: spec: " + puts("csrf") +
				"write an EnvoyProxy with filterOrder: [{name: envoy.filters.http.wasm, before: envoy.filters.http.csrf}]"}},
		{"Envoy Gateway, several", gateway("  lua: []\n") + security("  oidc: {}\n  apiKeyAuth: {}\n"), []string{
			"a.yaml:6:8: spec: " + puts("lua") +
				"write an EnvoyProxy with filterOrder: [{name: envoy.filters.http.wasm, before: envoy.filters.http.api_key_auth}]",
			"a.yaml:10:9: spec: " + puts("oauth2") +
				"write an EnvoyProxy with filterOrder: [{name: envoy.filters.http.wasm, before: envoy.filters.http.api_key_auth}]",
			"a.yaml:11:15: spec: " + puts("api_key_auth") +
				"write an EnvoyProxy with filterOrder: [{name: envoy.filters.http.wasm, before: envoy.filters.http.api_key_auth}]"}},
		{"Envoy Gateway, what comes later", gateway("") + security("  authorization: {}\n"), nil},
		{"Envoy Gateway, in order", gateway("") + security("  jwt: {}\n  basicAuth: {}\n") +
			order("{name: envoy.filters.http.wasm, before: envoy.filters.http.basic_auth}"), nil},
		{"Envoy Gateway, in order by what is after",
			gateway("") + security("  jwt: {}\n") +
				order("{name: envoy.filters.http.jwt_authn, after: envoy.filters.http.wasm}"), nil},
		{"Envoy Gateway, each filter, in its order", gateway("") + security("  jwt: {}\n  basicAuth: {}\n") +
			order("{name: envoy.filters.http.wasm, before: envoy.filters.http.basic_auth}, {name: envoy.filters.http.wasm, before: envoy.filters.http.jwt_authn}"), []string{
			"a.yaml:10:14: spec: " + puts("basic_auth") +
				"write an EnvoyProxy with filterOrder: [{name: envoy.filters.http.wasm, before: envoy.filters.http.basic_auth}]"}},
		{"Envoy Gateway, order by halves", gateway("") + security("  jwt: {}\n  basicAuth: {}\n") +
			order("{name: envoy.filters.http.wasm, before: envoy.filters.http.jwt_authn}, {name: envoy.filters.http.wasm, before: envoy.filters.http.fault}"), []string{
			"a.yaml:10:14: spec: " + puts("basic_auth") +
				"write an EnvoyProxy with filterOrder: [{name: envoy.filters.http.wasm, before: envoy.filters.http.basic_auth}]"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			plugins, findings := manifest.Find("a.yaml", test.text, nil)
			var got []string
			for _, p := range plugins {
				_, found := p.Parse()
				findings = append(findings, found...)
			}
			for _, f := range findings {
				if got = append(got, f.Error()); !f.Warning {
					t.Error("not a warning: " + f.Error())
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" || len(plugins) != 1 {
				t.Errorf("%d configurations; (-want +got)\n%s", len(plugins), diff)
			}
		})
	}
}

// TestFollow: the configuration is looked for where Envoy would discover it in a file,
// and nowhere else.
func TestFollow(t *testing.T) {
	envoy := func(path string) string {
		return "http_filters:\n- name: envoy.filters.http.rbac\n- name: cors\n  config_discovery:\n    config_source: {path_config_source: {path: " + path + "}}\n    type_urls: [x/envoy.extensions.filters.http.wasm.v3.Wasm]\n"
	}
	const resource = "resources:\n- name: cors\n  typed_config:\n    " + wasm +
		"\n    config: {fail_open: true, configuration: {'@type': x/google.protobuf.StringValue, value: '{\"allow_origins\": [\"*\"]}'}}\n"
	for _, test := range []struct {
		name, path string
		files      map[string]string
		want       []string
		asked      []string
	}{
		{"as Envoy", "b/c.yaml", map[string]string{"b/c.yaml": resource}, []string{
			"b/c.yaml:5:25: fail_open: lets requests pass without the filter when it fails: preflights reach the upstream, and its own CORS headers the page; leave it out",
			"d/a.yaml:2:3: http_filters: filter envoy.filters.http.rbac stands before filter cors (b/c.yaml:2:3): it may answer a preflight, which carries no credentials, and what it answers has no CORS headers; put filter cors first",
		}, []string{"b/c.yaml"}},
		{"beside", "/etc/envoy/c.yaml", map[string]string{"d/c.yaml": "resources: []"}, []string{
			"d/c.yaml:1:1: configuration: has no Wasm filter and no configuration of one; give a plugin configuration, an Envoy bootstrap or a resource of LDS or ECDS, a WasmPlugin, a TrafficExtension, an EnvoyExtensionPolicy, or a ConfigMap or a kustomization that has one",
		}, []string{"d/c.yaml"}},
		{"nowhere", "../c.yaml", nil,
			[]string{"d/a.yaml:3:3: configuration: filter cors is configured by ECDS; give that resource"},
			[]string{"d/c.yaml"}},
		{"itself", "d/a.yaml", map[string]string{"d/a.yaml": "x"},
			[]string{"d/a.yaml:3:3: configuration: filter cors is configured by ECDS; give that resource"},
			[]string{"d/a.yaml", "d/a.yaml"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var asked, got []string
			plugins, findings := manifest.Find("d/a.yaml", envoy(test.path), func(name string) (string, error) {
				asked = append(asked, name)
				if text, ok := test.files[name]; ok {
					return text, nil
				}
				return "", os.ErrNotExist
			})
			for _, p := range plugins {
				_, found := p.Parse()
				findings = append(findings, found...)
			}
			for _, f := range findings {
				if got = append(got, f.Error()); f.Kind == 0 {
					t.Errorf("%v has no kind", f)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(test.asked, asked); diff != "" {
				t.Errorf("files that are asked for (-want +got)\n%s", diff)
			}
		})
	}
}

// TestManyProblems: of many findings in a configuration the last one counts those that
// aren't described.
func TestManyProblems(t *testing.T) {
	doc := `{"allow_origins": ["https://a.example/"` +
		strings.Repeat(`, "https://a.example/", "https://b.example", "https://b.example"`, 200) + `]}`
	plugins, _ := manifest.Find("cors.json", doc, nil)
	c, findings := plugins[0].Parse()
	errors, warnings := 0, 0
	for _, f := range findings[:len(findings)-1] {
		if f.Warning {
			warnings++
		} else {
			errors++
		}
	}
	last := findings[len(findings)-1]
	if c != nil || errors+warnings != 100 || errors+last.MoreErrors != 201 || warnings+last.MoreWarnings != 399 {
		t.Errorf("configuration %v; %d errors and %d more, %d warnings and %d more", c, errors, last.MoreErrors,
			warnings, last.MoreWarnings)
	}
}
