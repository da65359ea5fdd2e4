package cors_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
)

// TestClosed: without policies no origin is allowed, the upstream's word doesn't
// count, and rejected preflights say why.
func TestClosed(t *testing.T) {
	policy := cors.Closed("no policies yet")
	if !policy.Closed() {
		t.Error("the policy isn't closed")
	}
	upstream := [][2]string{{"access-control-allow-origin", "*"}, {"access-control-allow-credentials", "true"},
		{"access-control-max-age", "9"}}
	for _, origin := range []string{"https://app.example", "http://localhost:8080", "null", "capacitor://localhost",
		"nonsense/", ""} {
		d := policy.Decide(&cors.Request{Origin: origin, HasOrigin: true})
		if diff := cmp.Diff([][2]string{{"vary", "Origin"}}, edit(d, upstream)); d.Allowed() || diff != "" {
			t.Errorf("%q: allowed %t; %s", origin, d.Allowed(), diff)
		}
	}
	d := policy.Decide(&cors.Request{Origin: "https://app.example", HasOrigin: true, Method: "OPTIONS",
		RequestMethod: "GET"})
	if !d.Answered() || d.Status() != 403 || d.Why() != "no policies yet" {
		t.Errorf("preflight: answered %t, status %d, %q", d.Answered(), d.Status(), d.Why())
	}
	d = policy.Decide(&cors.Request{})
	if edits := d.Edits(); !edits.OnlyVary() {
		t.Error("a request without an origin gets more than Vary")
	}
}
