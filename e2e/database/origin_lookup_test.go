package database_test

import (
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// entries is max_entries of the policy.
var entries = flag.Int("entries", 10_000, "the `number` of answers that a worker remembers")

// lookupConfig is the filter's configuration of the listener byLookup.
func lookupConfig() string {
	return fmt.Sprintf(`{"policies": [{"name": "tenants", "allow_origins": [%q], "allow_credentials": true,
		"origin_lookup": {"cluster": "policies", "timeout": "2s", "ttl": "1m", "max_entries": %d}}]}`, app, *entries)
}

// lookupRequest is a request from an origin, or its preflight.
func lookupRequest(origin string, preflight bool) cases.Request {
	r := cases.Request{Host: "tenants.example", Headers: [][2]string{{"origin", origin}}}
	if preflight {
		r.Method = http.MethodOptions
		r.Headers = append(r.Headers, [2]string{"access-control-request-method", "GET"})
	}
	return r
}

// checkLookup returns an error unless an answer is as it has to be.
func checkLookup(request cases.Request, response *envoytest.Response, allowed bool) error {
	status, lines := 200, []string{"vary: Origin"}
	if request.Method == http.MethodOptions {
		lines = []string{"vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
		if status = 204; !allowed {
			status = 403
		}
	}
	origin := request.Headers[0][1]
	if allowed {
		lines = append([]string{"access-control-allow-credentials: true",
			"access-control-allow-origin: " + origin}, lines...)
	}
	if got := envoytest.CORSLines(response); response.Status != status || !slices.Equal(got, lines) {
		return fmt.Errorf("%s from %s: status %d and %q, want %d and %q", request.Method, origin, response.Status, got,
			status, lines)
	}
	return nil
}

// few is how many customers come again and again, and as many who are unknown.
const few = 50

// A regular asks for the same origins again and again.
type regular struct {
	turn    int
	request cases.Request
}

// Next implements [fleet.Conversation].
func (r *regular) Next() cases.Request {
	n := r.turn / 2 % (2 * few)
	origin := customer(n)
	if n >= few {
		origin = fmt.Sprintf("https://unknown%d.example", n)
	}
	r.request = lookupRequest(origin, r.turn%2 == 1)
	r.turn++
	return r.request
}

// Judge implements [fleet.Conversation]. The version is 2 once the worker has been asked for all.
func (r *regular) Judge(response *envoytest.Response) (version int, err error) {
	known := !strings.Contains(r.request.Headers[0][1], "unknown")
	if version = 1; r.turn >= 4*few {
		version = 2
	}
	return version, checkLookup(r.request, response, known)
}

// ask sends a request to the first Envoy.
func (d *deployment) ask(origin string, preflight, allowed bool) error {
	addr, _, _ := d.proxies[0].Address(byLookup)
	request := lookupRequest(origin, preflight)
	response, err := envoytest.HTTP1(addr, request)
	if err != nil {
		return err
	}
	return checkLookup(request, response, allowed)
}

// lookups are how many look-ups of all Envoys had a result.
func (d *deployment) lookups(tb testing.TB, results ...string) (n int) {
	tb.Helper()
	for _, p := range d.proxies {
		stats := p.Stats(tb)
		for _, result := range results {
			n += int(stats["wasmcustom.cors_policy=.=tenants;.;cors_result=.="+result+";.;cors_lookups_total"])
		}
	}
	return n
}

// TestOriginLookup: the next request knows of a row, those that are remembered outlive cors-policyd and
// its database, and a flood of origins that are made up holds nobody up.
func TestOriginLookup(t *testing.T) {
	s := newPostgreSQL(t)
	s.customers(t, 10_000)
	policyd := newPolicyd(t, s.url, s.fields+"timeout: 1s\nlookup_ttl: 1s\n"+lookups)
	d := deployOn(t, s, policyd, envoys, patient, byLookup)
	load := fleet.StartLoad(t, func(*fleet.Proxy, string) fleet.Conversation { return &regular{} }, d.proxies, byLookup)
	load.Await(t, byLookup, 2)
	ask := func(what, origin string, preflight, allowed bool) {
		t.Helper()
		if err := d.ask(origin, preflight, allowed); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}

	fresh := func(i int) string { return fmt.Sprintf("https://new%d.example", i) }
	for i := range 20 {
		s.exec(t, "INSERT INTO tenant_origins VALUES (?)", fresh(i))
		ask("a row that is new", fresh(i), i%2 == 1, true)
	}
	s.exec(t, "DELETE FROM tenant_origins WHERE origin LIKE 'https://new%'")
	eventually := func(what, origin string, preflight, allowed bool) {
		t.Helper()
		envoytest.Eventually(t, fleet.Recovery, what, func() bool { return d.ask(origin, preflight, allowed) == nil })
	}
	for i := range 20 {
		eventually("a row that has gone", fresh(i), true, false)
	}
	ask("SQL", "https://x.example'OR'1'='1", false, false)

	s.server.Kill()
	time.Sleep(1500 * time.Millisecond) // What is remembered has expired.
	ask("without the database, one who is new", customer(9_001), true, false)
	s.again(t)
	eventually("the database again", customer(9_001), true, true)

	d.policyd.kill()
	time.Sleep(1500 * time.Millisecond)
	ask("without cors-policyd, one who is new", customer(9_002), false, false)
	d.policyd.start(t)
	eventually("cors-policyd again", customer(9_002), false, true)

	d.policyd.signal(t, syscall.SIGSTOP)
	most := d.flood(t, 300)
	ask("while cors-policyd is silent, one who is new", customer(9_003), true, false)
	d.policyd.signal(t, syscall.SIGCONT)
	eventually("cors-policyd that goes on", customer(9_003), true, true)
	if overloaded := d.lookups(t, "overloaded"); most > 100*workers || overloaded == 0 {
		t.Errorf("%d look-ups at once, want %d at most; %d were too many", most, 100*workers, overloaded)
	}
	t.Logf("with 300 clients, each with an origin of its own: %d look-ups at once", most)
	load.Check(t)
	for _, p := range d.proxies {
		for _, name := range []string{"cluster.policies.upstream_rq_active", "http.lookup.downstream_rq_active"} {
			envoytest.Eventually(t, fleet.Recovery, p.Node+": nothing to wait any more",
				func() bool { return p.Stats(t)[name] == 0 })
		}
	}
}

// flood sends preflights from origins that are made up over many connections to the first Envoy, all at
// once, and returns how many look-ups there were at once.
func (d *deployment) flood(tb testing.TB, connections int) (most int) {
	tb.Helper()
	p := d.proxies[0]
	addr, _, _ := p.Address(byLookup)
	var sending sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(connections))
	for i := range connections {
		sending.Go(func() {
			defer left.Add(-1)
			request := lookupRequest(fmt.Sprintf("https://flood%d.example", i), true)
			response, err := envoytest.HTTP1(addr, request)
			if err == nil {
				err = checkLookup(request, response, false)
			}
			if err != nil {
				tb.Error(err)
			}
		})
	}
	for left.Load() > 0 {
		most = max(most, int(p.Stats(tb)["cluster.policies.upstream_rq_active"]))
	}
	sending.Wait()
	return most
}
