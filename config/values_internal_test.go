package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// TestDistance: how many letters are to be inserted, deleted or changed.
func TestDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"xabc", "abc", 1}, {"abc", "xabc", 1}, {"abcx", "abc", 1},
		{"xxabc", "abc", 2}, {"abc", "axc", 1}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2},
	} {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("%q and %q: %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

// TestNearest: a name that is two letters off is meant, without what stands between its words, and
// not one that is very long.
func TestNearest(t *testing.T) {
	for key, want := range map[string]string{
		"max_age": "max_age", "maxAge": "max_age", "mx_ge": "max_age", "mode_of_x": "", "MAX-AGES": "max_age",
		"maxage" + strings.Repeat("_", 58): "max_age", "maxage" + strings.Repeat("_", 59): "",
	} {
		if got := nearest(key, policyFields); got != want {
			t.Errorf("%q: %q, want %q", key, got, want)
		}
	}
}

// TestSpend: what a document says costs memory by its parts, which are counted before they are made.
func TestSpend(t *testing.T) {
	spent := func(doc string) int {
		r := newReader(doc)
		if c, problems := r.parse(); c == nil {
			t.Fatal(problems)
		}
		return r.memory
	}
	const policy = `{"allow_origins": ["*"]%s}`
	const lookup = `{"cluster": "c", "path": "/a/long/path"}`
	plain := spent(fmt.Sprintf(policy, ""))
	for rest, want := range map[string]int{
		`, "match": {"hosts": ["a.test", "b.test"]}`:                                2 * matchCosts[fieldHosts],
		`, "match": {"paths": [{"exact": "/a"}, {"exact": "/b"}, {"exact": "/c"}]}`: 3 * matchCosts[fieldPaths],
		`, "match": {"routes": ["a", "b"]}`:                                         2 * matchCosts[fieldRoutes],
		`, "origin_lookup": ` + lookup:                                              lookupCost + len(lookup),
	} {
		if got := spent(fmt.Sprintf(policy, rest)) - plain; got != want {
			t.Errorf("%s costs %d, want %d", rest, got, want)
		}
	}
	if plain <= policyCost {
		t.Errorf("a policy with a list costs %d", plain)
	}
}

// TestOneOfEach: a list of a text and a regex has both, and a policy that is off is one.
func TestOneOfEach(t *testing.T) {
	c, problems := Parse(`{"policies": [
		{"name": "both", "allow_origins": ["https://a.test", {"regex": "https://b\\.test"}]},
		{"name": "off", "mode": "off", "match": {"routes": ["off"]}}]}`)
	if c == nil {
		t.Fatal(problems)
	}
	both, off := c.Policies.Lookup(match.Key{}), c.Policies.Lookup(match.Key{Route: "off"})
	for origin, want := range map[string]bool{"https://a.test": true, "https://b.test": true, "https://c.test": false} {
		d := both.Decide(&cors.Request{Method: "GET", Origin: origin, HasOrigin: true})
		if got := d.Origin() == origin; got != want {
			t.Errorf("%s: allowed %t, want %t", origin, got, want)
		}
	}
	if off == nil || !off.Off() || off.Name() != "off" {
		t.Errorf("the policy that is off is %v", off)
	}
}
