package config_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
)

// TestParsePolicies: where the fields of policies stand, which are their own, and what all inherit.
func TestParsePolicies(t *testing.T) {
	c, policies, problems := config.ParsePolicies(`{"defaults": {"allow_methods": ["PUT"], "debug": true}, "policies": [
{"name": "a", "allow_origins": ["*"], "debug": null, "match": {"hosts": ["a.test"], "paths": null}},
{"name": "b", "allow_origins": ["*"]}]}`)
	if c == nil || len(policies) != 2 {
		t.Fatal(policies, problems)
	}
	want := &config.Policy{Path: "defaults", Offset: 13, Config: cors.Config{AllowMethods: []string{"PUT"}, Debug: true}}
	as := cmp.Options{cmpopts.IgnoreUnexported(config.Policy{}), cmpopts.EquateEmpty()}
	for _, p := range policies {
		if diff := cmp.Diff(want, p.Defaults, as); diff != "" {
			t.Errorf("%s: the defaults (-want +got):\n%s", p.Path, diff)
		}
	}
	for _, test := range []struct {
		policy           int
		name, field, own string
	}{
		{0, "debug", "policies[0].debug 117 true", "policies[0].debug 117 false"},
		{0, "allow_origins", "policies[0].allow_origins 101 true", "policies[0].allow_origins 101 true"},
		{0, "allow_methods", "defaults.allow_methods 31 true", "policies[0].allow_methods 70 false"},
		{0, "match.hosts", "policies[0].match.hosts 142 true", "policies[0].match.hosts 142 true"},
		{0, "match.paths", "policies[0].match.paths 163 true", "policies[0].match.paths 163 false"},
		{0, "max_age", "policies[0].max_age 70 false", "policies[0].max_age 70 false"},
		{1, "debug", "defaults.debug 49 true", "policies[1].debug 171 false"},
	} {
		p := policies[test.policy]
		path, offset, given := p.Field(test.name)
		if got := fmt.Sprint(path, " ", offset, " ", given); got != test.field {
			t.Errorf("%d %s: %s, want %s", test.policy, test.name, got, test.field)
		}
		path, offset, set := p.OwnField(test.name)
		if got := fmt.Sprint(path, " ", offset, " ", set); got != test.own {
			t.Errorf("%d %s: its own %s, want %s", test.policy, test.name, got, test.own)
		}
	}
}
