package manifest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/manifest"
)

// checkedAs are what "corsctl validate" says of a file: a line for each valid configuration,
// and one for each finding.
func checkedAs(name, text string) (list []string) {
	valid, findings := manifest.Check(name, text, nil)
	for _, v := range valid {
		line := fmt.Sprintf("%s: %d", v.Name, v.Policies)
		if v.Part {
			line += ", a part"
		}
		list = append(list, line)
	}
	for _, f := range findings {
		list = append(list, f.Error())
	}
	return list
}

const nothing = "a.yaml:1:1: configuration: has no Wasm filter and no configuration of one; give a plugin configuration, " +
	"an Envoy bootstrap or a resource of LDS or ECDS, a WasmPlugin, a TrafficExtension, an EnvoyExtensionPolicy, " +
	"or a ConfigMap or a kustomization that has one"

// TestConfigMap: what a ConfigMap has in its files is read, and shown where it stands.
func TestConfigMap(t *testing.T) {
	const head = "kind: ConfigMap\nmetadata: {name: cors}\ndata:\n"
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"a configuration", head + "  cors.json: |\n    {\"allow_origins\": [\"*\"]}\n", []string{"ConfigMap cors cors.json: 1"}},
		{"in YAML, without an extension", head + "  policy: |\n    allowOrigins: [\"*\"]\n", []string{"ConfigMap cors policy: 1"}},
		{"with a mistake", head + "  cors.json: |\n    {\n      \"allow_origins\": [\"https://A.example\"]\n    }\n", []string{
			`a.yaml:6:25: allow_origins[0]: "https://A.example" has upper-case letters, which browsers never send in an origin; write "https://a.example"`,
		}},
		{"in quotes, with escapes", head + `  cors.json: "{\n\t\"allow_origins\": [\"x\"]}"`, []string{
			`a.yaml:4:40: allow_origins[0]: "x" has no scheme; write "https://x"`,
		}},
		{"in a JSON file's string", `{"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a.yaml": "allow_origins:\n- x\n"}}`, []string{
			`a.yaml:1:88: allow_origins[0]: "x" has no scheme; write "https://x"`,
		}},
		{"broken", head + "  cors.json: |\n    {\"allow_origins\": [}\n", []string{
			"a.yaml:5:24: configuration: unexpected '}' where a value should stand; write a JSON value: strings stand in " +
				"double quotes, and the last element has no comma after it",
		}},
		{"a manifest", head + "  plugin.yaml: |\n    kind: WasmPlugin\n    metadata: {name: x}\n    spec:\n      phase: AUTHN\n      pluginConfig:\n        allow_origins: [x]\n", []string{
			`a.yaml:10:25: allow_origins[0]: "x" has no scheme; write "https://x"`,
		}},
		{"Envoy's, three levels deep", head + "  envoy.yaml: |\n    http_filters:\n    - name: cors\n      typed_config:\n        " + wasm +
			"\n        config:\n          configuration:\n            '@type': type.googleapis.com/google.protobuf.StringValue\n            value: |\n              {\"allow_origins\":\n                [\"x\"]}\n", []string{
			`a.yaml:14:18: allow_origins[0]: "x" has no scheme; write "https://x"`,
		}},
		{"ECDS beside Envoy's file", head + "  envoy.yaml: |\n    http_filters:\n    - name: cors\n      config_discovery:\n        config_source: {path_config_source: {path: /etc/envoy/cors.yaml}}\n" +
			"        type_urls: [type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm]\n" +
			"  cors.yaml: |\n    resources:\n    - name: cors\n      typed_config:\n        " + wasm +
			"\n        config:\n          configuration:\n            '@type': type.googleapis.com/google.protobuf.StringValue\n            value: '{\"allow_origins\": [\"*\"]}'\n", []string{
			"ConfigMap cors cors.yaml filter cors: 1",
		}},
		{"ECDS of elsewhere", head + "  envoy.yaml: |\n    http_filters:\n    - name: cors\n      config_discovery:\n        config_source: {path_config_source: {path: /etc/envoy/cors.yaml}}\n" +
			"        type_urls: [type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm]\n", []string{
			"a.yaml:6:7: configuration: filter cors is configured by ECDS; give that resource",
		}},
		{"beside a plugin", head + "  a.json: '{\"allow_origins\": [\"*\"]}'\n---\nkind: WasmPlugin\nmetadata: {name: x}\nspec: {phase: AUTHN, pluginConfig: {allow_origins: ['*']}}\n", []string{
			"ConfigMap cors a.json: 1", "WasmPlugin x: 1",
		}},
		{"in a list", "kind: ConfigMapList\nitems:\n- metadata: {name: c}\n  data: {a.json: '{\"allow_origins\": [\"*\"]}'}\n", []string{
			"ConfigMap c a.json: 1",
		}},
		{"the same file under more names", head + "  a.json: &a '{\"allow_origins\": [\"*\"]}'\n  b.json: *a\n", []string{
			"ConfigMap cors a.json: 1",
		}},
		{"nothing of ours", head + "  nginx.conf: |\n    events {}\n  a.yaml: |\n    policies: [\n", []string{nothing}},
		{"a script", head + "  cors.lua: |\n    -- allow_origins\n    a = [\n", []string{nothing}},
		{"cors-policyd's", head + "  policyd.yaml: |\n    database: sqlite:a.db\n    policies: [{name: a, allow_origins: [{table: true}]}]\n", []string{nothing}},
		{"tests", head + "  cors_test.yaml: |\n    configuration: {allow_origins: ['*']}\n    tests: []\n", []string{nothing}},
		{"no text", head + "  a.json: {allow_origins: ['*']}\n", []string{nothing}},
		{"no data", "kind: ConfigMap\n", []string{nothing}},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := "a.yaml"
			if strings.HasPrefix(test.text, "{") {
				name = "-"
			}
			got := checkedAs(name, test.text)
			for i, line := range got {
				got[i] = strings.Replace(line, "-:", "a.yaml:", 1)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestKustomization: patches that stand in a kustomization are read, as parts of a configuration
// if they are no more.
func TestKustomization(t *testing.T) {
	const head = "kind: Kustomization\nresources: [cors.yaml]\npatches:\n"
	const operations = head + "- target: {kind: WasmPlugin, name: cors}\n  patch: |-\n"
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"merged", head + "- patch: |-\n    kind: WasmPlugin\n    metadata: {name: cors}\n    spec:\n      pluginConfig:\n        allow_origins: [\"https://a.example\"]\n", []string{
			"patch of WasmPlugin cors: 1, a part",
		}},
		{"merged, a part", head + "- patch: |-\n    kind: WasmPlugin\n    metadata: {name: cors}\n    spec:\n      pluginConfig:\n        max_age: 9h\n        allow_method: [PUT]\n", []string{
			"a.yaml:9:18: max_age: 32400 seconds are more than Chromium remembers; write at most 7200 to have the same in all browsers",
			`a.yaml:10:9: allow_method: is not a field; write "allow_methods"`,
		}},
		{"merged, of the target's kind", head + "- target: {kind: WasmPlugin, name: cors}\n  patch: |-\n    metadata: {name: any}\n    spec:\n      pluginConfig: {debug: true}\n", []string{
			"patch of WasmPlugin any: 0, a part",
		}},
		{"merged, that fails open and comes late", head + "- patch: |-\n    kind: WasmPlugin\n    metadata: {name: cors}\n    spec:\n      failStrategy: FAIL_OPEN\n      phase: STATS\n      pluginConfig: {debug: true}\n", []string{
			"patch of WasmPlugin cors: 0, a part",
			"a.yaml:8:21: fail_strategy: FAIL_OPEN lets requests pass without the filter when it fails: preflights reach the upstream, and its own CORS headers the page; write FAIL_RELOAD, or FAIL_CLOSE",
			"a.yaml:9:14: phase: STATS comes late: authentication, authorization and rate limits answer a preflight first, and what they answer has no CORS headers; write AUTHN, with a priority above that of other plugins",
		}},
		{"merged, without a configuration", head + "- patch: |-\n    kind: WasmPlugin\n    metadata: {name: cors}\n    spec: {sha256: a}\n", []string{nothing}},
		{"merged into another plugin", head + "- patch: |-\n    kind: WasmPlugin\n    metadata: {name: waf}\n    spec: {pluginConfig: {rules: []}}\n", []string{nothing}},
		{"of Envoy Gateway", head + "- patch: |-\n    kind: EnvoyExtensionPolicy\n    metadata: {name: p}\n    spec:\n      wasm:\n      - name: cors\n        config: {allow_origins: [x]}\n", []string{
			`a.yaml:10:34: allow_origins[0]: "x" has no scheme; write "https://x"`,
		}},
		{"strategic merges", "patchesStrategicMerge:\n- other.yaml\n- |-\n  kind: WasmPlugin\n  metadata: {name: cors}\n  spec: {pluginConfig: {allow_origins: [x]}}\n", []string{
			`a.yaml:6:41: allow_origins[0]: "x" has no scheme; write "https://x"`,
		}},
		{"an operation with the whole", operations + "    - op: replace\n      path: /spec/pluginConfig\n      value: {allow_methods: [PUT]}\n", []string{
			`a.yaml:8:14: allow_origins: is required, and has no entry; write the origins of the pages that may read answers, such as ["https://app.example"]`,
		}},
		{"an operation in JSON", operations + "    [{\"op\": \"replace\", \"path\": \"/spec/pluginConfig/max_age\", \"value\": \"1w\"}]\n", []string{
			`a.yaml:6:71: max_age: "1w" is not a duration; write seconds, such as 600, or a duration, such as "10m"`,
		}},
		{"operations on parts", operations +
			"    - {op: add, path: /spec/pluginConfig/allow_origins/-, value: x}\n" +
			"    - {op: add, path: /spec/pluginConfig/policies/2/match/hosts/0, value: a b}\n" +
			"    - {op: add, path: /spec/pluginConfig/policies/-, value: {name: a, allow_origins: ['*']}}\n" +
			"    - {op: remove, path: /spec/pluginConfig/allow_methods}\n" +
			"    - {op: test, path: /spec/pluginConfig/allow_methods, value: 1}\n" +
			"    - {op: add, path: /metadata/labels/a~1b, value: x}\n" +
			"    - {op: add, path: /spec/match/0/ports, value: [1]}\n", []string{
			"patch of WasmPlugin cors: 1, a part",
			`a.yaml:6:66: allow_origins[0]: "x" has no scheme; write "https://x"`,
			`a.yaml:7:75: policies[0].match.hosts[0]: "a b" is not a host; write "a", "b"`,
		}},
		{"an operation on one of Envoy Gateway's", head + "- target: {kind: EnvoyExtensionPolicy, name: edge-cors}\n  patch: |-\n    - {op: add, path: /spec/wasm/0/config/debug, value: 1}\n", []string{
			`a.yaml:6:57: debug: is the number 1, not true or false; write true`,
		}},
		{"an operation on another plugin", head + "- target: {kind: WasmPlugin, name: waf}\n  patch: |-\n    - {op: add, path: /spec/pluginConfig/rules, value: 1}\n", []string{nothing}},
		{"an operation on another plugin's name", head + "- target: {kind: WasmPlugin, labelSelector: a=b}\n  patch: |-\n    - {op: add, path: /spec/pluginConfig/allow_credentials, value: 1}\n", []string{
			`a.yaml:6:68: allow_credentials: is the number 1, not true or false; write true`,
		}},
		{"no object", operations + "    - {op: replace, path: /spec/pluginConfig, value: x}\n", []string{
			"a.yaml:6:54: configuration: patch of WasmPlugin cors has a configuration that is no object; write {…}",
		}},
		{"a ConfigMap's file", head + "- target: {kind: ConfigMap, name: c}\n  patch: |-\n    - op: replace\n      path: /data/cors.json\n      value: |\n        {\"allow_origins\": [\"x\"]}\n", []string{
			`a.yaml:9:28: allow_origins[0]: "x" has no scheme; write "https://x"`,
		}},
		{"patches_json6902", "patchesJson6902:\n- target: {kind: WasmPlugin, name: cors}\n  patch: '[{op: add, path: /spec/pluginConfig/mode, value: on}]'\n", []string{
			`a.yaml:3:60: mode: "on" is not one of enforce, shadow, off; write "enforce", "shadow" or "off"`,
		}},
		{"broken", head + "- patch: |-\n    a: [\n", []string{
			`a.yaml:5:9: configuration: did not find expected node content while parsing a flow node`,
		}},
		{"the same patch twice", head + "- patch: &a |-\n    kind: WasmPlugin\n    metadata: {name: cors}\n    spec: {pluginConfig: {debug: true}}\n- patch: *a\n", []string{
			"patch of WasmPlugin cors: 0, a part",
		}},
		{"a patch in a file", head + "- path: patch.yaml\n", []string{nothing}},
		{"nothing", "kind: Kustomization\n", []string{nothing}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, checkedAs("a.yaml", test.text)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
