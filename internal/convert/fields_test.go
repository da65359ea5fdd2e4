package convert

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
)

// odd are values that are wrong for most fields. What isn't read must be said.
var odd = []string{"7", "zzz", `"a b"`, "true", `[""]`, "[7]", "[zzz]", "[null]", "{zzz: 1}", "[{zzz: 1}]", "[[zzz]]"}

// A fieldTest has the fields of a format's policies, or of what they hang on, with values
// that mean something. In each text stands FIELD where a field can be added.
type fieldTest struct {
	format, name, text string
	fields             map[string][]string
	// form is how a field is written; "FIELD: VALUE" if it is empty.
	form string
	// alike are values that mean what leaving the field out means, by field.
	alike map[string][]string
}

const (
	corsType   = `"@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy`
	fraction50 = "{default_value: {numerator: 50}}"
)

var fieldTests = []fieldTest{
	{
		format: "envoy", name: "CorsPolicy",
		text: `{virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}}], typed_per_filter_config: {envoy.filters.http.cors: {` + corsType + `, allow_origin_string_match: [{exact: "https://app.example"}], FIELD}}}]}`,
		fields: map[string][]string{
			"allow_methods": {"PUT", `"*"`, `"PUT,"`}, "allow_headers": {"x-a", `"*"`},
			"expose_headers": {"x-a", `"*"`}, "max_age": {`"600"`, "600"},
			"allow_credentials": {"true", "{value: true}"}, "filter_enabled": {fraction50, "{default_value: {}}"},
			"shadow_enabled":               {fraction50},
			"allow_private_network_access": {"true"}, "forward_not_matching_preflights": {"false"}, "zzz": {"1"},
		},
		// Where the policy applies to all, there is no other request to watch.
		alike: map[string][]string{"forward_not_matching_preflights": {"true"}, "shadow_enabled": {fraction50}},
	},
	{
		format: "envoy", name: "origin",
		text: `{` + corsType + `, allow_origin_string_match: [{exact: "https://app.example"}, FIELD]}`,
		form: "{%s: %s}",
		fields: map[string][]string{
			"exact": {`"https://a.example"`, `"*"`, `""`}, "prefix": {`"https://a.example"`, `""`},
			"suffix": {".a.example", `""`}, "contains": {"a.example", `""`},
			"safe_regex": {`{regex: "https://[a-z]+\\.a\\.example"}`, `{regex: ""}`},
			"regex":      {`"https://[a-z]+\\.a\\.example"`}, "custom": {"{}"}, "zzz": {"1"},
		},
	},
	{
		format: "apisix", name: "plugin",
		text: `{routes: [{uri: /a, plugins: {cors: {FIELD}}}]}`,
		fields: map[string][]string{
			"allow_origins":    {`"https://a.example"`, `"**"`, `"null"`, `"https://a.example,https://b.example"`, `""`},
			"allow_methods":    {"PUT", `"**"`, `"PUT,"`},
			"allow_headers":    {"x-a", `"x-a,"`},
			"expose_headers":   {"x-a", `"*"`, `"**"`},
			"max_age":          {"600", "-1"},
			"allow_credential": {"true"}, "allow_credentials": {"true"},
			"allow_origins_by_regex":    {`["https://[a-z]+\\.a\\.example$"]`},
			"allow_origins_by_metadata": {"[A]"},
			"timing_allow_origins":      {`"https://a.example"`}, "timing_allow_origins_by_regex": {`["a"]`},
			"_meta": {"{disable: true}", "{filter: [[arg_a, ==, b]]}"}, "disable": {"true"}, "zzz": {"1"},
		},
		alike: map[string][]string{"allow_origins": {`"**"`}},
	},
	{
		format: "apisix", name: "route",
		text: `{routes: [{uri: /a, plugins: {cors: {allow_origins: "https://app.example"}}, FIELD}]}`,
		fields: map[string][]string{
			"host": {"a.example"}, "hosts": {"[a.example]"}, "uris": {"[/b]"}, "methods": {"[GET]"},
			"vars": {"[[arg_a, ==, b]]"}, "remote_addr": {"127.0.0.1"}, "remote_addrs": {"[127.0.0.1]"},
			"filter_func": {"f"}, "status": {"0"}, "service_id": {"a"}, "plugin_config_id": {"a"},
		},
	},
	{
		format: "aws-apigateway", name: "x-amazon-apigateway-cors",
		text: `{openapi: 3.0.1, x-amazon-apigateway-cors: {allowOrigins: ["https://app.example"], FIELD}}`,
		fields: map[string][]string{
			"allowMethods": {"[PUT]", `["*"]`, "PUT", `"PUT,DELETE"`, `"'PUT'"`}, "allowHeaders": {"[x-a]", `["*"]`},
			"exposeHeaders": {"[x-a]", `["*"]`}, "maxAge": {"600", "-1"}, "allowCredentials": {"true"}, "zzz": {"1"},
		},
	},
	{
		format: "aws-apigateway", name: "origins",
		text: `{Resources: {A: {Type: "AWS::ApiGatewayV2::Api", Properties: {CorsConfiguration: {AllowMethods: [PUT], FIELD}}}}}`,
		fields: map[string][]string{
			"AllowOrigins": {`["https://a.example"]`, `["*"]`, `["https://*"]`, `["https://*.a.example"]`, "[!Ref A]"},
		},
	},
	{
		format: "aws-apigateway", name: "Cors of SAM",
		text: `{Resources: {A: {Type: "AWS::Serverless::Api", Properties: {Cors: {AllowOrigin: "'https://app.example'", FIELD}}}}}`,
		fields: map[string][]string{
			"AllowMethods": {`"'PUT'"`, "PUT", "!Ref A"}, "AllowHeaders": {`"'x-a'"`, `"'*'"`},
			"MaxAge": {`"'600'"`, "600"}, "AllowCredentials": {"true", "!Ref A"}, "AllowOrigins": {"a"}, "zzz": {"1"},
		},
	},
	{
		format: "istio", name: "corsPolicy",
		text: `{kind: VirtualService, metadata: {name: v}, spec: {hosts: [a.example], http: [{corsPolicy: {allowOrigins: [{exact: "https://app.example"}], FIELD}}]}}`,
		fields: map[string][]string{
			"allowOrigin": {`["https://b.example"]`}, "allowMethods": {"[PUT]", `["*"]`, `[""]`},
			"allowHeaders": {"[x-a]", `["*"]`, `[""]`}, "exposeHeaders": {"[x-a]", `["*"]`, `[""]`},
			"maxAge": {"24h", "600s", "1s"}, "allowCredentials": {"true"}, "unmatchedPreflights": {"IGNORE", "zzz"},
			"zzz": {"1"},
		},
	},
	{
		format: "istio", name: "origin",
		text: `{kind: VirtualService, metadata: {name: v}, spec: {hosts: [a.example], http: [{corsPolicy: {allowOrigins: [{exact: "https://app.example"}, FIELD]}}]}}`, form: "{%s: %s}",
		fields: map[string][]string{
			"exact": {`"https://a.example"`, `"*"`, `""`}, "prefix": {`"https://a.example"`, `""`},
			"regex": {`"https://[a-z]+\\.a\\.example"`, `""`}, "zzz": {"1"},
		},
	},
	{
		format: "istio", name: "match",
		text: `{kind: VirtualService, metadata: {name: v}, spec: {hosts: ["*.example"], http: [{match: [{FIELD}], corsPolicy: {allowOrigins: [{exact: "https://app.example"}]}}]}}`,
		fields: map[string][]string{
			"uri":       {"{prefix: /v1/}", "{exact: /v1}", "{regex: /v1/.+}", "{prefix: v1}", "{zzz: 1}"},
			"authority": {"{exact: a.example}", "{prefix: a}", "{zzz: 1}"},
			"headers":   {"{x-a: {exact: b}}"}, "withoutHeaders": {"{x-a: {exact: b}}"}, "method": {"{exact: GET}"},
			"queryParams": {"{a: {exact: b}}"}, "scheme": {"{exact: https}"},
			"port": {"443"}, "gateways": {"[a]"}, "sourceLabels": {"{a: b}"}, "sourceNamespace": {"a"}, "zzz": {"1"},
		},
	},
	{
		format: "gateway-api", name: "cors",
		text: `{kind: HTTPRoute, metadata: {name: r}, spec: {hostnames: [a.example], rules: [{filters: [{type: CORS, cors: {allowOrigins: ["https://app.example"], FIELD}}]}]}}`,
		fields: map[string][]string{
			"allowMethods": {"[PUT]", `["*"]`, `[""]`}, "allowHeaders": {"[x-a]", `["*"]`, `[""]`},
			"exposeHeaders": {"[x-a]", `["*"]`, `[""]`},
			"maxAge":        {"600", "-1", "86400"}, "allowCredentials": {"true"}, "zzz": {"1"},
		},
	},
	{
		format: "gateway-api", name: "match",
		text: `{kind: HTTPRoute, metadata: {name: r}, spec: {hostnames: [a.example], rules: [{matches: [{FIELD}], filters: [{type: CORS, cors: {allowOrigins: ["https://app.example"]}}]}]}}`,
		fields: map[string][]string{
			"path": {"{value: /v1}", "{type: Exact, value: /v1}", "{type: RegularExpression, value: /v1.+}",
				"{type: zzz, value: /v1}", "{value: v1}", "{value: 7}"},
			"headers": {"[{name: x-a, value: b}]"}, "queryParams": {"[{name: a, value: b}]"}, "method": {"GET"},
			"zzz": {"1"},
		},
	},
	{
		format: "envoy-gateway", name: "cors",
		text: `{kind: SecurityPolicy, metadata: {name: p}, spec: {targetRefs: [{kind: Gateway, name: g}], cors: {allowOrigins: ["https://app.example"], FIELD}}}`,
		fields: map[string][]string{
			"allowMethods": {"[PUT]", `["*"]`, `[""]`}, "allowHeaders": {"[x-a]", `["*"]`, `[""]`},
			"exposeHeaders": {"[x-a]", `["*"]`, `[""]`},
			"maxAge":        {"24h", "1s", "30d"}, "allowCredentials": {"true"}, "zzz": {"1"},
		},
	},
	{
		format: "higress", name: "plugin",
		text: `{allow_origin_patterns: ["https://*.app.example"], FIELD}`,
		fields: map[string][]string{
			"allow_origins": {`["https://a.example"]`, `["*"]`, `[""]`}, "allow_methods": {"[PUT]", `["*"]`, `[""]`},
			"allow_headers": {"[x-a]", `["*"]`, `[""]`}, "expose_headers": {"[x-a]", `["*"]`, `[""]`},
			"max_age": {"600", "-1"}, "allow_credentials": {"true"}, "zzz": {"1"},
			"_rules_": {`[{_match_route_: [r], allow_origins: ["https://b.example"]}]`, `[{zzz: 1}]`},
		},
	},
	{
		format: "higress", name: "WasmPlugin rule",
		text: `{apiVersion: extensions.higress.io/v1alpha1, kind: WasmPlugin, metadata: {name: cors}, spec: {matchRules: [{ingress: [r], config: {allow_origins: ["https://app.example"]}}, {config: {allow_origins: ["https://b.example"]}, FIELD}]}}`,
		fields: map[string][]string{
			"ingress": {"[a]"}, "domain": {"[a.example]"}, "service": {"[a]"}, "configDisable": {"true"}, "zzz": {"1"},
		},
	},
	{
		format: "s3", name: "rule",
		text: `{CORSRules: [{AllowedOrigins: ["https://app.example"], AllowedMethods: [GET], FIELD}]}`,
		fields: map[string][]string{
			"AllowedHeaders": {"[x-a]", `["*"]`, `["x-amz-*"]`}, "ExposeHeaders": {"[x-a]"},
			"MaxAgeSeconds": {"600", "-1"}, "zzz": {"1"},
		},
	},
	{
		format: "s3", name: "origins",
		text: `{Resources: {B: {Type: "AWS::S3::Bucket", Properties: {CorsConfiguration: {CorsRules: [{AllowedMethods: [PUT], FIELD}]}}}}}`,
		fields: map[string][]string{
			"AllowedOrigins": {`["*"]`, `["https://*.a.example"]`, `["https://*.*.example"]`, "[!Ref A]", "{Ref: A}"},
		},
	},
	{
		format: "spring", name: "globalcors",
		text: `{spring: {cloud: {gateway: {globalcors: {corsConfigurations: {"[/**]": {allowedOriginPatterns: ["https://*.app.example"], FIELD}}}}}}}`,
		fields: map[string][]string{
			"allowedOrigins": {"https://a.example", `["*"]`, `"${A}"`, `"https://a.example,https://b.example"`},
			"allowedMethods": {"PUT", `"*"`, "[PUT]", `"${A}"`, `"PUT,DELETE"`},
			"allowedHeaders": {"x-a", `"*"`, "[x-a]"}, "exposedHeaders": {"x-a", `"*"`, "[x-a]"},
			"maxAge":           {"600", `"600"`, "10m", `"${A}"`, "-1"},
			"allowCredentials": {"true", `"true"`, `"${A}"`}, "allowPrivateNetwork": {"true"}, "zzz": {"1"},
		},
	},
	{
		format: "spring", name: "metadata",
		text: `{spring: {cloud: {gateway: {routes: [{id: a, metadata: {cors: {allowedOriginPatterns: ["https://*.app.example"], FIELD}}}]}}}}`,
		fields: map[string][]string{
			"allowedOrigins": {"https://a.example", `"https://a.example,https://b.example"`}, "allowed-origins": {"https://a.example"},
			"allowedOriginPatterns": {"https://*.a.example", `"https://*.a.example:[80,81]"`},
			"allowedMethods":        {"PUT", `"*"`, `"PUT,DELETE"`}, "allowedHeaders": {"x-a"}, "exposedHeaders": {"x-a"},
			"maxAge": {"600"}, "allowCredentials": {"true"}, "allowPrivateNetwork": {"true"}, "zzz": {"1"},
		},
	},
	{
		format: "nginx-ingress", name: "annotations",
		text: `{kind: Ingress, metadata: {name: i, annotations: {nginx.ingress.kubernetes.io/enable-cors: "true", FIELD}}, spec: {rules: [{host: a.example}]}}`,
		fields: map[string][]string{
			"nginx.ingress.kubernetes.io/cors-allow-origin":      {`"https://a.example"`, `""`, `","`},
			"nginx.ingress.kubernetes.io/cors-allow-methods":     {`"PUT"`, `"*"`, `"PUT,"`},
			"nginx.ingress.kubernetes.io/cors-allow-headers":     {`"x-a"`, `"*"`},
			"nginx.ingress.kubernetes.io/cors-expose-headers":    {`"x-a"`, `"*"`, `","`},
			"nginx.ingress.kubernetes.io/cors-allow-credentials": {`"false"`, `"maybe"`},
			"nginx.ingress.kubernetes.io/cors-max-age":           {`"600"`, `"10m"`, `"-1"`},
			"nginx.ingress.kubernetes.io/server-alias":           {`"b.example"`, `"~^b"`},
			"nginx.ingress.kubernetes.io/cors-zzz":               {`"1"`},
		},
	},
	{
		format: "higress", name: "annotations",
		text: `{kind: Ingress, metadata: {name: i, annotations: {higress.io/enable-cors: "true", FIELD}}, spec: {rules: [{host: a.example}]}}`,
		fields: map[string][]string{
			"higress.io/cors-allow-origin":      {`"https://a.example"`, `","`},
			"higress.io/cors-allow-methods":     {`"PUT"`, `"*"`},
			"higress.io/cors-allow-headers":     {`"x-a"`, `"*"`},
			"higress.io/cors-expose-headers":    {`"x-a"`, `"*"`, `","`},
			"higress.io/cors-allow-credentials": {`"false"`, `"maybe"`}, "higress.io/cors-max-age": {`"600"`, `"10m"`},
			"higress.io/cors-zzz": {`"1"`},
		},
		alike: map[string][]string{"higress.io/cors-allow-credentials": {"true"}},
	},
	{
		format: "contour", name: "corsPolicy",
		text: `{kind: HTTPProxy, metadata: {name: p}, spec: {virtualhost: {fqdn: a.example, corsPolicy: {allowOrigin: ["https://app.example"], FIELD}}}}`,
		fields: map[string][]string{
			"allowMethods": {"[PUT]", `["*"]`, `[""]`}, "allowHeaders": {"[x-a]", `["*"]`, `[""]`},
			"exposeHeaders": {"[x-a]", `["*"]`, `[""]`}, "maxAge": {"24h", `"0"`, "1d"}, "allowCredentials": {"true"},
			"allowPrivateNetwork": {"true"}, "zzz": {"1"},
		},
	},
	{
		format: "emissary", name: "cors",
		text: `{apiVersion: getambassador.io/v3alpha1, kind: Mapping, metadata: {name: m}, spec: {hostname: a.example, prefix: /, cors: {origins: ["https://app.example"], FIELD}}}`,
		fields: map[string][]string{
			"methods": {"[PUT]", `"PUT, PATCH"`, `["*"]`, `[""]`}, "headers": {"[x-a]", `"x-a"`, `["*"]`, `[""]`},
			"exposed_headers": {"[x-a]", `["*"]`, `[""]`}, "max_age": {`"600"`, `"10m"`}, "credentials": {"true"},
			"zzz": {"1"},
		},
	},
	{
		format: "emissary", name: "Mapping",
		text: `{apiVersion: getambassador.io/v3alpha1, kind: Mapping, metadata: {name: m}, spec: {hostname: a.example, prefix: /v1/, cors: {origins: ["https://app.example"]}, FIELD}}`,
		fields: map[string][]string{
			"prefix_exact": {"true"}, "prefix_regex": {"true"}, "case_sensitive": {"false"}, "method": {"GET"},
			"headers": {"{x-a: b}"}, "regex_headers": {"{x-a: b}"}, "query_parameters": {"{a: b}"},
			"regex_query_parameters": {"{a: b}"}, "host": {"b.example"}, "host_redirect": {"true"}, "shadow": {"true"},
		},
		alike: map[string][]string{"case_sensitive": {"true"}},
	},
	{
		format: "traefik", name: "headers",
		text: `{http: {middlewares: {m: {headers: {accessControlAllowOriginList: ["https://app.example"], FIELD}}}}}`,
		fields: map[string][]string{
			"accessControlAllowOriginListRegex": {`["https://[a-z]+\\.app\\.example"]`, `[".*"]`, `[""]`},
			"accessControlAllowMethods":         {"[PUT]", `["*"]`, `[""]`},
			"accessControlAllowHeaders":         {"[x-a]", `["*"]`, `[""]`},
			"accessControlExposeHeaders":        {"[x-a]", `["*"]`, `[""]`},
			"accessControlMaxAge":               {"600", "10m", "-1"}, "accessControlAllowCredentials": {"true"},
			"accessControlAllowOrigin": {"x"}, "accessControlZzz": {"1"},
		},
	},
	{
		format: "traefik", name: "router",
		text:   `{http: {routers: {r: {rule: "Host(` + "`a.example`" + `)", FIELD}}, middlewares: {m: {headers: {accessControlAllowOriginList: ["https://app.example"]}}, c: {chain: {middlewares: [m]}}}}}`,
		fields: map[string][]string{"middlewares": {"[m]", "[c]", `["m@file"]`, "[zzz]"}},
		alike:  map[string][]string{"middlewares": {"[]"}},
	},
	{
		format: "kong", name: "config",
		text: `{_format_version: "3.0", plugins: [{name: cors, config: {origins: ["https://app.example"], FIELD}}]}`,
		fields: map[string][]string{
			"methods": {"[PUT]", `["*"]`, `[""]`, "[TRACE]"}, "headers": {"[x-a]", `["*"]`, `[""]`},
			"exposed_headers": {"[x-a]", `["*"]`, `[""]`}, "max_age": {"600", "10.5", "-1"}, "credentials": {"true"},
			"private_network": {"true"}, "preflight_continue": {"true"}, "allow_origin_absent": {"false"}, "zzz": {"1"},
		},
		// Whether an answer to a request without an Origin has CORS headers no browser asks.
		alike: map[string][]string{"allow_origin_absent": {"false", "true"}},
	},
	{
		format: "kong", name: "plugin",
		text: `{_format_version: "3.0", services: [{name: s, routes: [{name: r, hosts: [a.example]}]}], plugins: [{name: cors, config: {origins: ["https://app.example"]}, FIELD}]}`,
		fields: map[string][]string{
			"service": {"s", "{name: s}", "zzz"}, "route": {"r", "zzz"}, "consumer": {"c"}, "enabled": {"false"},
		},
		alike: map[string][]string{"enabled": {"true"}},
	},
	{
		format: "kong", name: "KongPlugin",
		text: `{apiVersion: configuration.konghq.com/v1, kind: KongPlugin, metadata: {name: p}, plugin: cors, config: {origins: ["https://app.example"]}, FIELD}`,
		fields: map[string][]string{
			"disabled": {"true"}, "configFrom": {"{secretKeyRef: {name: s, key: k}}"}, "configPatches": {"[{path: /origins}]"},
		},
	},
}

// TestEveryField: every field of a source is converted, or warned about, or refused:
// with it something else comes out than without it, and in a form of its own.
func TestEveryField(t *testing.T) {
	for _, test := range fieldTests {
		t.Run(test.format+"/"+test.name, func(t *testing.T) {
			convert := func(field string) string {
				t.Helper()
				text := strings.ReplaceAll(test.text, ", FIELD", field)
				text = strings.ReplaceAll(text, "FIELD", strings.TrimPrefix(field, ", "))
				file, failed := document.Parse("file.yaml", text)
				if failed != nil {
					t.Fatalf("%s: %v", text, failed)
				}
				result, err := Convert(test.format, file)
				if err != nil {
					t.Fatal(err)
				}
				checkResult(t, result)
				all := result.Configuration
				for _, f := range result.Findings {
					all += fmt.Sprintln(f.Path(), f.What, f.Instead)
				}
				return all
			}
			without := convert("")
			for field, values := range test.fields {
				for _, value := range append(values, odd...) {
					if convert(", "+fmt.Sprintf(cmp.Or(test.form, "%s: %s"), field, value)) == without &&
						!slices.Contains(test.alike[field], value) {
						t.Errorf("%s: %s is dropped in silence", field, value)
					}
				}
			}
		})
	}
}
