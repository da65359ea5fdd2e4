package envoygateway

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// testObserved: the access log has the policy of a request that isn't allowed and why it isn't,
// and the counters have labels.
func (g *gateway) testObserved(t *testing.T) {
	g.expect(t, preflight("/public", "PUT"), cases.Upstream{}, http.StatusForbidden, preflightDenied)
	g.expect(t, preflight("/plain?observed", "PATCH"), cases.Upstream{}, http.StatusForbidden, preflightDenied)
	var entry map[string]any
	envoytest.Eventually(t, updateTimeout, "the request is in the access log", func() bool {
		for line := range strings.Lines(g.output.String()) {
			if strings.Contains(line, "/plain?observed") && json.Unmarshal([]byte(line), &entry) == nil {
				return true
			}
		}
		return false
	})
	for field, want := range map[string]string{
		"origin":                origin,
		"response_code_details": "cors:_method_PATCH_is_not_in_allow_methods_(allowed:_PUT,_DELETE)",
		"cors_policy":           "default",
		"cors_reason":           "method PATCH is not in allow_methods (allowed: PUT, DELETE)",
	} {
		if entry[field] != want {
			t.Errorf("%s in the access log is %v, want %q", field, entry[field], want)
		}
	}
	metrics := g.get(t, "/stats/prometheus?filter=cors_requests_total")
	for _, policy := range []string{"default", "public"} { // the Gateway's, which has no name, and the HTTPRoute's
		counter := `cors_requests_total{cors_policy="` + policy + `",cors_outcome="preflight_denied_method"} `
		if !strings.Contains(metrics, counter) || strings.Contains(metrics, counter+"0\n") {
			t.Errorf("no %sin\n%s", counter, metrics)
		}
	}
	g.testLookupLabels(t)
}

// testLookupLabels: so will the counters of look-ups, by the regexes that Envoy has.
func (g *gateway) testLookupLabels(t *testing.T) {
	t.Helper()
	var dump struct {
		Configs []struct {
			Bootstrap struct {
				Stats struct {
					Tags []struct {
						Name  string `json:"tag_name"`
						Regex string `json:"regex"`
					} `json:"stats_tags"`
				} `json:"stats_config"`
			} `json:"bootstrap"`
		} `json:"configs"`
	}
	if err := json.Unmarshal([]byte(g.get(t, "/config_dump?mask=bootstrap.stats_config")), &dump); err != nil {
		t.Fatal(err)
	}
	labels, name := map[string]string{}, "wasmcustom.cors_policy=.=a.b;.;cors_result=.=hit;.;cors_lookups_total"
	for _, config := range dump.Configs {
		for _, tag := range config.Bootstrap.Stats.Tags {
			// Envoy cuts the first group out; the second is the value.
			if m := regexp.MustCompile(tag.Regex).FindStringSubmatch(name); m != nil {
				name, labels[tag.Name] = strings.Replace(name, m[1], "", 1), m[2]
			}
		}
	}
	if !maps.Equal(labels, map[string]string{"cors_policy": "a.b", "cors_result": "hit"}) ||
		name != "wasmcustom.cors_lookups_total" {
		t.Errorf("of the counter's name are made %q with the labels %q", name, labels)
	}
}
