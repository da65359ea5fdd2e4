// Package database tests the whole way of a row: a real database, cors-policyd, two Envoys of
// two workers each, and pages that ask all the while.
package database_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// workers is the number of worker threads of each of the Envoys.
const workers, envoys = 2, 2

// The listeners of every Envoy, by the way in which their policies come.
const (
	byXDS  = "ecds"
	byWait = "wait"
	// byLookup has one policy, whose origins are looked up.
	byLookup = "lookup"
)

// template is cors-policyd's configuration, but for what is the database's. Policies of rows are
// of two kinds, which answer differently in each line.
const template = `timeout: 1s
policies:
- name: tenants
  match: {hosts: [tenants.example]}
  allow_credentials: true
  allow_origins: [{query: SELECT origin FROM tenant_origins}]
- rows: SELECT name, host, path, origin FROM sites WHERE kind = 0
  allow_methods: [EVEN]
  allow_headers: [X-Even]
  expose_headers: [X-Even, X-Even-Too]
  max_age: 2
- rows: SELECT name, host, path, origin FROM sites WHERE kind = 1
  allow_methods: [ODD]
  allow_headers: [X-Odd]
  expose_headers: [X-Odd, X-Odd-Too]
  allow_credentials: true
  max_age: 1
`

const (
	// app is the origin that every version of the policies allows.
	app = "https://app.example"
	// foreign is an origin that no version allows, but the upstream does.
	foreign = "https://foreign.example"
)

// tenant is the origin that version n allows to the tenants, and no other version does.
func tenant(n int) string { return fmt.Sprintf("https://v%d.example", n) }

// A deployment is a database, cors-policyd, and Envoys between which and cors-policyd there is
// a pipe for each way.
type deployment struct {
	store     *store
	policyd   *policyd
	http, xds *pipe
	upstream  *upstream
	proxies   []*fleet.Proxy
	listeners []string

	mu      sync.Mutex
	version int                             // of the database
	settled map[*fleet.Proxy]map[string]int // what all workers of a listener have at least
}

// deploy starts everything, with version 1 of the rows, and listeners by some of the ways.
// source are fields of the policy source.
func deploy(tb testing.TB, s *store, source string, listeners ...string) *deployment {
	tb.Helper()
	s.table(tb, "tenant_origins", "origin VARCHAR(255) NOT NULL")
	s.table(tb, "sites", "name VARCHAR(64), host VARCHAR(255), path VARCHAR(255), origin VARCHAR(255), kind INT")
	s.exec(tb, "INSERT INTO tenant_origins VALUES (?)", tenant(1))
	s.exec(tb, "INSERT INTO sites VALUES ('one', 'one.example', NULL, ?, 1), ('two', 'two.example', '/v2', ?, 1)", app, app)
	return deployOn(tb, s, newPolicyd(tb, s.url, s.fields+template), envoys, source, listeners...)
}

// deployOn starts Envoys before a cors-policyd.
func deployOn(
	tb testing.TB, s *store, policyd *policyd, envoys int, source string, listeners ...string,
) *deployment {
	tb.Helper()
	d := &deployment{
		store: s, policyd: policyd, http: newPipe(tb, policyd.http), xds: newPipe(tb, policyd.xds),
		upstream: newUpstream(tb), listeners: listeners, version: 1, settled: map[*fleet.Proxy]map[string]int{},
	}
	for i := range envoys {
		node := fmt.Sprintf("envoy-%d", i)
		p := &fleet.Proxy{Node: node, Listeners: listeners, Workers: workers,
			Bootstrap: d.bootstrap(tb, node, source, []string{"GRPC", "DELTA_GRPC"}[i%2])}
		d.proxies = append(d.proxies, p)
		d.settled[p] = map[string]int{}
		p.Launch(tb) // both at once: Envoy compiles the module first
	}
	for _, p := range d.proxies {
		p.Ready(tb)
	}
	return d
}

// bootstrap returns the configuration of one Envoy. One of two has ECDS in its form of deltas.
func (d *deployment) bootstrap(tb testing.TB, node, source, api string) string {
	tb.Helper()
	module, err := envoytest.Module()
	if err != nil {
		tb.Fatal(err)
	}
	plugin := envoytest.Plugin{Module: module, Config: `{"policy_source":
		{"cluster": "policies", "path": "/v1/policies", ` + source + `}}`}
	// So that a cors-policyd that is cut off without a word is missed.
	alive := map[string]any{"connection_keepalive": map[string]any{"interval": "2s", "timeout": "1s"}}
	discovered, xds := fleet.Discovered("cors", d.xds.addr, api, alive)
	lookup := envoytest.Plugin{Module: module, Config: lookupConfig()}
	filters := map[string]map[string]any{byXDS: discovered, byWait: plugin.Filter(), byLookup: lookup.Filter()}
	var list []any
	for _, name := range d.listeners {
		list = append(list, fleet.Listener(name, filters[name]))
	}
	return envoytest.Bootstrap{Extra: map[string]any{
		"node": map[string]any{"id": node, "cluster": "fleet"},
		"static_resources": map[string]any{"listeners": list, "clusters": []any{
			xds, fleet.Cluster("policies", d.http.addr), fleet.Cluster("upstream", d.upstream.addr),
		}},
	}}.String()
}

// change makes the next version of the rows, in one transaction, and returns its number: an origin
// goes, one comes, and all sites change their kind.
func (d *deployment) change(tb testing.TB) int {
	tb.Helper()
	d.mu.Lock()
	d.version++ // first, since answers may be by it as soon as it is committed
	n := d.version
	d.mu.Unlock()
	tx, err := d.store.Begin()
	if err != nil {
		tb.Fatal(err)
	}
	for _, statement := range []struct {
		text string
		arg  any
	}{
		{"DELETE FROM tenant_origins WHERE origin = ?", tenant(n - 1)},
		{"INSERT INTO tenant_origins VALUES (?)", tenant(n)},
		{"UPDATE sites SET kind = ? WHERE name IN ('one', 'two')", n % 2},
	} {
		if err := execute(tx, d.store.text(statement.text), statement.arg); err != nil {
			tb.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		tb.Fatal(err)
	}
	return n
}

// await waits until every worker has a version, by every way.
func (d *deployment) await(tb testing.TB, load *fleet.Load, version int) {
	tb.Helper()
	for _, listener := range d.listeners {
		load.Await(tb, listener, version)
		d.settle(listener, version)
	}
}

// settle notes that every worker has a version, so that none may have one before.
func (d *deployment) settle(listener string, version int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, at := range d.settled {
		at[listener] = version
	}
}

// begins notes that an Envoy begins anew, and thus without policies.
func (d *deployment) begins(p *fleet.Proxy) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settled[p] = map[string]int{}
}

// load begins to send requests to all listeners.
func (d *deployment) load(tb testing.TB) *fleet.Load {
	tb.Helper()
	begin := func(p *fleet.Proxy, listener string) fleet.Conversation {
		d.mu.Lock()
		defer d.mu.Unlock()
		return &conversation{deployment: d, version: d.settled[p][listener]}
	}
	load := fleet.StartLoad(tb, begin, d.proxies, d.listeners...)
	d.await(tb, load, d.version)
	for _, p := range d.proxies {
		p.CheckWorkers(tb)
	}
	return load
}

// A conversation asks one worker which version it has, by all that differs.
type conversation struct {
	*deployment
	turn, version int // 0: no policies have come yet
	request       cases.Request
	outages       int // of the upstream, when the request was sent
}

// Next implements [fleet.Conversation].
func (c *conversation) Next() cases.Request {
	actual := func(host, path, origin string) cases.Request {
		return cases.Request{Host: host, Path: path, Headers: [][2]string{{"origin", origin}}}
	}
	preflight := func(host, path, origin string) cases.Request {
		return cases.Request{Method: "OPTIONS", Host: host, Path: path,
			Headers: [][2]string{{"origin", origin}, {"access-control-request-method", "GET"}}}
	}
	requests := []cases.Request{
		actual("one.example", "/", app), preflight("two.example", "/v2/x", app),
		actual("tenants.example", "/", tenant(c.version)), // is to go
		actual("two.example", "/v2", app), preflight("one.example", "/", app),
		preflight("tenants.example", "/", tenant(c.version+1)), // is to come
		actual("one.example", "/", foreign),
	}
	c.turn = (c.turn + 1) % len(requests)
	c.request, c.outages = requests[c.turn], c.upstream.outages()
	return c.request
}

// Judge implements [fleet.Conversation]. A worker may have any version from the one that it had to the
// database's, but each answer is by one of them, as a whole.
func (c *conversation) Judge(response *envoytest.Response) (version int, err error) {
	c.mu.Lock()
	newest := c.deployment.version
	c.mu.Unlock()
	for n := c.version; n <= newest; n++ {
		status, lines := expected(c.request, n)
		if status == 200 && response.Status == 503 && (c.outages%2 == 1 || c.upstream.outages() != c.outages) {
			status = 503 // Whatever is before it, this request fails. Its headers are right all the same.
		}
		if response.Status == status && slices.Equal(envoytest.CORSLines(response), lines) {
			c.version = n
			return n, nil
		}
	}
	return c.version, fmt.Errorf("%+v gets status %d and %q, which is by no version from %d to %d; body %q",
		c.request, response.Status, envoytest.CORSLines(response), c.version, newest, response.Body)
}

// expected is what version n answers.
func expected(request cases.Request, n int) (status int, lines []string) {
	origin := request.Headers[0][1]
	kind, credentials := []string{"Even", "Odd"}[n%2], n%2 == 1
	allowed := n > 0 && origin == app
	if request.Host == "tenants.example" {
		allowed, credentials = n > 0 && origin == tenant(n), true
	}
	status = 200
	vary := "vary: Origin"
	if request.Method == "OPTIONS" {
		vary = "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
		if status = 204; !allowed {
			status = 403
		}
	}
	lines = []string{vary}
	if !allowed {
		return status, lines
	}
	lines = append(lines, "access-control-allow-origin: "+origin)
	if credentials {
		lines = append(lines, "access-control-allow-credentials: true")
	}
	switch {
	case request.Host == "tenants.example":
	case request.Method == "OPTIONS":
		lines = append(lines, "access-control-allow-methods: "+strings.ToUpper(kind),
			"access-control-allow-headers: X-"+kind, fmt.Sprintf("access-control-max-age: %d", 2-n%2))
	default:
		lines = append(lines, fmt.Sprintf("access-control-expose-headers: X-%[1]s, X-%[1]s-Too", kind))
	}
	slices.Sort(lines)
	return status, lines
}

// TestJudge: an answer that is made of two versions is noticed, whichever line is the other's.
func TestJudge(t *testing.T) {
	answer := func(request cases.Request, n int) *envoytest.Response {
		status, lines := expected(request, n)
		response := &envoytest.Response{Status: status}
		for _, line := range lines {
			name, value, _ := strings.Cut(line, ": ")
			response.Headers = append(response.Headers, [2]string{name, value})
		}
		return response
	}
	c := &conversation{deployment: &deployment{version: 4, upstream: &upstream{}}, version: 3}
	for range 7 {
		c.version = 3
		request := c.Next()
		one, other := answer(request, 3), answer(request, 4)
		for _, response := range []*envoytest.Response{one, other} {
			if _, err := c.Judge(response); err != nil {
				t.Error(err)
			}
			c.version = 3
		}
		for i, line := range one.Headers {
			mix := &envoytest.Response{Status: one.Status, Headers: slices.Clone(one.Headers)}
			values := other.Values(line[0])
			if len(values) == 0 || values[0] == line[1] {
				continue
			}
			mix.Headers[i][1] = values[0]
			if n, err := c.Judge(mix); err == nil {
				t.Errorf("%+v with the %s of the next version passes as version %d", request, line[0], n)
			}
			c.version = 3
		}
		for _, response := range []*envoytest.Response{{Status: one.Status}, {Status: 503, Headers: one.Headers}} {
			if _, err := c.Judge(response); err == nil {
				t.Errorf("%+v: %+v passes", request, response)
			}
		}
	}
}
