package convert

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestEnvoy(t *testing.T) {
	testGolden(t, "envoy")
	testRoundTrip(t, "envoy")
}

// TestEnvoyFindings is about what is seldom in a configuration.
func TestEnvoyFindings(t *testing.T) {
	const (
		policy  = `"@type": x/envoy.extensions.filters.http.cors.v3.CorsPolicy`
		origins = `allow_origin_string_match: [{exact: "https://app.example"}]`
		cors    = `envoy.filters.http.cors: {` + policy + `, ` + origins
	)
	for _, test := range []struct {
		name, text string
		want       []string // parts of the configuration and of the findings
		without    string
	}{
		{
			name: "a typed policy beside a deprecated one",
			text: `virtual_hosts: [{name: v, domains: ["*"], cors: {allow_methods: PUT}, typed_per_filter_config: {` +
				cors + `}}}]`,
			want:    []string{"Envoy ignores this policy, because another one is in typed_per_filter_config"},
			without: "PUT",
		},
		{
			name: "two filters",
			text: `virtual_hosts: [{name: v, domains: ["*"], typed_per_filter_config: {` + cors + `}, b: {` + policy +
				`, allow_methods: PUT}}}]`,
			want: []string{"is the policy of a second CORS filter"}, without: "PUT",
		},
		{
			name: "a policy of a weighted cluster",
			text: `virtual_hosts: [{name: v, domains: ["*"], typed_per_filter_config: {` + cors +
				`, allow_credentials: true}}, routes: [{match: {prefix: /}, route: {weighted_clusters: {clusters: [
				{name: a}, {name: b, typed_per_filter_config: {envoy.filters.http.cors: {` + policy +
				`, allow_credentials: false}}}]}}}]}]`,
			want: []string{"the filter decides before Envoy chooses a cluster"}, without: "allow_credentials\": true",
		},
		{
			name: "a matcher tree",
			text: `virtual_hosts: [{name: v, domains: ["*"], matcher: {x: [{typed_config: {"@type": x/envoy.config.route.v3.Route, name: r, match: {prefix: /}, typed_per_filter_config: {` + cors + `}}}}]}}]`,
			want: []string{`"match": {"routes": ["r"]}`},
		},
		{
			name: "hosts of another header",
			text: `{vhost_header: x-host, virtual_hosts: [{name: v, domains: [a.example], routes: [{name: r, match: {prefix: /}, typed_per_filter_config: {` + cors + `}}}]}]}`,
			want: []string{`"match": {"routes": ["r"]}`},
		},
		{
			name: "an unknown field",
			text: cors[len("envoy.filters.http.cors: "):] + `, allow_methds: PUT}`,
			want: []string{`"allow_methds" is not a field of Envoy's CorsPolicy`},
		},
		{
			name: "a TypedStruct",
			text: `{"@type": x/xds.type.v3.TypedStruct, type_url: x/envoy.extensions.filters.http.cors.v3.CorsPolicy, value: {` + origins + `}}`,
			want: []string{"https://app.example"},
		},
		{
			name: "no origins",
			text: `{` + policy + `, allow_methods: PUT}`,
			want: []string{"the policy has no origins, so it allows nobody", "no policy is left"},
		},
		{
			name: "a route that completes a policy",
			text: `virtual_hosts: [{name: v, domains: ["*"], typed_per_filter_config: {` + cors +
				`}}, routes: [{match: {prefix: /}, typed_per_filter_config: {envoy.filters.http.cors: {` + policy +
				`, allow_methods: PUT}}}]}]`,
			want: []string{`"allow_methods": ["PUT"]`}, without: "warning",
		},
		{
			name: "the route switches on what the virtual host switches off",
			text: `{typed_per_filter_config: {` + cors +
				`}}, virtual_hosts: [{name: v, domains: ["*"], typed_per_filter_config: {envoy.filters.http.cors: {"@type": x/envoy.config.route.v3.FilterConfig, disabled: true}}, routes: [
				{match: {path_separated_prefix: /on}, typed_per_filter_config: {envoy.filters.http.cors: {` + policy +
				`, allow_methods: PUT}}}, {match: {prefix: /}}]}]}`,
			want: []string{`{"prefix": "/on"}`}, without: "warning",
		},
		{
			name: "true as a string",
			text: `{` + policy + `, ` + origins + `, allow_credentials: "true"}`,
			want: []string{"is not true or false"}, without: "allow_credentials\": true",
		},
		{
			name: "an age that is no number",
			text: `{` + policy + `, ` + origins + `, max_age: soon}`,
			want: []string{`"soon" is not a number of seconds`}, without: `"max_age":`,
		},
		{
			name: "an age beyond numbers",
			text: `{` + policy + `, ` + origins + `, max_age: "99999999999999999999"}`,
			want: []string{`"max_age": 7200`, "carried over as 7200"},
		},
		{
			name: "a matcher of an extension",
			text: `{` + policy +
				`, allow_origin_string_match: [{custom: {}}, {exact: ""}, {exact: "https://app.example"}]}`,
			want: []string{"is no matcher that is known here", "is empty"},
		},
		{
			name: "a configuration dump",
			text: `{configs: [{"@type": x/envoy.admin.v3.RoutesConfigDump, dynamic_route_configs: [{route_config: {"@type": x/envoy.config.route.v3.RouteConfiguration, virtual_hosts: [{name: v, domains: [a.example], typed_per_filter_config: {` + cors + `}}}]}}]}]}`,
			want: []string{`"hosts": ["a.example"]`}, without: "warning",
		},
		{
			name: "a patch of everything",
			text: `{kind: EnvoyFilter, metadata: {name: all}, spec: {configPatches: [{applyTo: ROUTE_CONFIGURATION, patch: {operation: MERGE, value: {typed_per_filter_config: {` + cors + `}}}}}]}}`,
			want: []string{`"allow_origins": ["https://app.example"]`}, without: `"match"`,
		},
		{
			name: "a patch that switches CORS off",
			text: `{kind: EnvoyFilter, metadata: {name: f}, spec: {configPatches: [{applyTo: VIRTUAL_HOST, patch: {value: {typed_per_filter_config: {` + cors + `}}}}},
				{applyTo: HTTP_ROUTE, match: {routeConfiguration: {vhost: {route: {name: r}}}}, patch: {value: {typed_per_filter_config: {envoy.filters.http.cors: {"@type": x/envoy.config.route.v3.FilterConfig, disabled: true}}}}}]}}`,
			want: []string{`"match": {"routes": ["r"]}`, `"mode": "off"`}, without: "warning",
		},
		{
			name: "domains twice, and paths that no request has",
			text: `virtual_hosts: [{name: v, domains: [a.example], typed_per_filter_config: {` + cors +
				`}}}, {name: w, domains: [A.example, "", "a b"], routes: [{match: {path: no-slash}}]}]`,
			want: []string{`"hosts": ["a.example"]`},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			result := convertText(t, "envoy", "file.yaml", strings.ReplaceAll(test.text, "\t", " "))
			checkResult(t, result)
			all := result.Configuration + lines(result)
			for _, want := range test.want {
				if !strings.Contains(all, want) {
					t.Errorf("%q is missing in\n%s", want, all)
				}
			}
			if test.without != "" && strings.Contains(all, test.without) {
				t.Errorf("%q is in\n%s", test.without, all)
			}
		})
	}
}

// TestEnvoyLarge: what a large proxy has is converted within seconds. They are the
// processor's, because the machine may do other things too.
func TestEnvoyLarge(t *testing.T) {
	for _, size := range []struct{ hosts, routes int }{{1500, 5}, {3, 700}} {
		var b strings.Builder
		b.WriteString("virtual_hosts:\n- {name: all, domains: ['*'], routes: [{match: {prefix: /}}]}\n- {name: wild, domains: ['*.example'], routes: [{match: {prefix: /}}]}\n")
		for i := range size.hosts {
			fmt.Fprintf(&b, "- name: host-%d\n  domains: [host-%d.example]\n  routes:\n", i, i)
			for j := range size.routes {
				fmt.Fprintf(&b,
					"  - match: {prefix: /%d/}\n    typed_per_filter_config: {envoy.filters.http.cors: {'@type': x/envoy.extensions.filters.http.cors.v3.CorsPolicy, "+
						"allow_credentials: true, allow_origin_string_match: [{exact: 'https://%d.example'}]}}\n", j,
					j%7)
			}
			b.WriteString("  - match: {prefix: /}\n")
		}
		start := cpuTime(t)
		result := convertText(t, "envoy", "file.yaml", b.String())
		if took := cpuTime(t) - start; took > 10*time.Second {
			t.Errorf("%+v took %v", size, took)
		} else {
			t.Logf("%+v took %v", size, took)
		}
		checkResult(t, result)
		if n := size.hosts * min(size.routes, 7); result.Policies < n/size.hosts {
			t.Errorf("%d policies", result.Policies)
		}
	}
}

// cpuTime is the processor time of the test so far.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
