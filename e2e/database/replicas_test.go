package database_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// TestReplicas: two of cors-policyd on one database serve the same bytes with the same tag, and notice a
// change alike. Who moves from one to the other has nothing to load; one goes, and nothing is lost.
func TestReplicas(t *testing.T) {
	s := newPostgreSQL(t)
	d := deploy(t, s, hasty, byWait, byXDS)
	load := d.load(t)
	other := newPolicyd(t, s.url, s.fields+template)
	for range 3 {
		n := d.change(t)
		d.await(t, load, n)
		var first, second answer
		envoytest.Eventually(t, fleet.Recovery, "both to have the same document", func() bool {
			first, second = d.policyd.must(t, "/v1/policies"), other.must(t, "/v1/policies")
			return first.Header.Get("ETag") == second.Header.Get("ETag")
		})
		if first.text != second.text {
			t.Errorf("with the tag %s: %s and %s", first.Header.Get("ETag"), first.text, second.text)
		}
		a := other.must(t, "/v1/policies", "If-None-Match: "+first.Header.Get("ETag"))
		if a.StatusCode != http.StatusNotModified || a.text != "" {
			t.Errorf("who moves gets %s %q", a.Status, a.text)
		}
	}
	// All Envoys go over to the other one.
	before := d.counts(t, "updated")
	n := d.version
	begin := time.Now()
	d.http.to(other.http)
	d.xds.to(other.xds)
	d.policyd.kill()
	d.policyd = other
	envoytest.Eventually(t, fleet.Recovery, "all Envoys to be there", func() bool {
		return other.metric(t, "cors_policyd_waiting_clients") == envoys && other.metric(t, "cors_policyd_xds_streams") == envoys
	})
	t.Logf("all are with the other one after %s", time.Since(begin))
	for i, n := range d.counts(t, "updated") {
		if n != before[i] {
			t.Errorf("%s has taken the same document again, %d times", d.proxies[i].Node, n-before[i])
		}
	}
	for _, listener := range d.listeners {
		load.Remains(t, listener, n)
	}
	d.await(t, load, d.change(t))
	load.Check(t)
}

// counts are a counter of the policy source of each Envoy.
func (d *deployment) counts(tb testing.TB, counter string) (list []uint64) {
	tb.Helper()
	for _, p := range d.proxies {
		list = append(list, p.Stats(tb)["wasmcustom.cors.policy_source."+counter])
	}
	return list
}
