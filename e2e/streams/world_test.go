// Package streams_test has the faults of the traffic around the filter: clients that leave,
// upstreams that break off, headers and crowds near the limits, an Envoy that is drained, all
// while the policies change.
package streams_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// patience is how long anything may take on a busy machine.
const patience = 3 * time.Minute

// app is the origin that is listed, and evil one that isn't.
const (
	app  = "https://app.example"
	evil = "https://evil.example"
)

// document is a version of the policies. The answers of all versions are the same, but for
// max-age.
func document(version int, more string) string {
	return fmt.Sprintf(`{%s"defaults": {"allow_credentials": true, "allow_methods": ["PUT"], "max_age": %d}, "policies": [
		{"name": "open", "match": {"hosts": ["open.example"]}, "allow_origins": ["*"], "allow_credentials": false},
		{"name": "site", "match": {"hosts": ["site.example"]}, "allow_origins": [%q], "allow_headers": ["*"],
			"expose_headers": ["X-Shown"]},
		{"name": "tenants", "match": {"hosts": ["tenants.example"]},
			"origin_lookup": {"cluster": "registry", "path": "/lookup", "authority": "registry", "timeout": "1m"}}
	]}`, more, version%86400, app)
}

// source is what a configuration has of its policy source.
const source = `"policy_source": {"cluster": "registry", "path": "/cors.json", "authority": "registry",
	"interval": "200ms", "timeout": "10s"}, `

// The listeners, by the way in which their policies come.
const (
	byFile   = "file"
	bySource = "source"
)

var listeners = []string{byFile, bySource}

// The protocols of clients, each on the listener where it is tested.
var protocols = []struct {
	name     string
	dial     dialer
	listener string
}{{"HTTP1", dial1, byFile}, {"HTTP2", dial2, bySource}}

// A world is an Envoy, and what is around it.
type world struct {
	*envoytest.Envoy
	plugin    envoytest.Plugin
	upstream  *upstream
	registry  *registry
	file      string // of the configuration that Envoy discovers
	bootstrap envoytest.Bootstrap
	args      []string // of Envoy
	addrs     map[string]string

	version atomic.Int64
}

// newWorld prepares a world, whose listeners have further routes, filters and fields.
func newWorld(t *testing.T, more envoytest.Listener) *world {
	t.Helper()
	module, err := envoytest.Module()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		plugin: envoytest.Plugin{Module: module}, upstream: newUpstream(t), registry: newRegistry(t),
		file: filepath.Join(t.TempDir(), "cors.json"), addrs: map[string]string{},
	}
	w.update(t)
	own := w.plugin
	own.Config = document(1, source)
	discovered := map[string]any{"name": "cors", "config_discovery": map[string]any{
		"config_source": map[string]any{"path_config_source": map[string]any{"path": w.file}, "resource_api_version": "V3"},
		"type_urls":     []any{"type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"},
	}}
	to := func(prefix, cluster string) any {
		return map[string]any{"match": map[string]any{"prefix": prefix},
			"route": map[string]any{"cluster": cluster, "timeout": "0s"}}
	}
	routes := append(slices.Clip(more.Routes), to("/h2/", "upstream2"), to("/refused", "refused"), to("/", "upstream"))
	for name, filter := range map[string]any{byFile: discovered, bySource: own.Filter()} {
		extra := map[string]any{"access_log": []any{}, "stream_idle_timeout": "0s",
			"delayed_close_timeout": "0s"}
		maps.Copy(extra, more.Extra)
		w.bootstrap.Listeners = append(w.bootstrap.Listeners, envoytest.Listener{
			Name: name, Filters: append([]any{filter}, more.Filters...), Routes: routes, Extra: extra,
		})
	}
	w.bootstrap.Clusters = []any{
		cluster("upstream", w.upstream.addr, nil),
		cluster("upstream2", w.upstream.addr, map[string]any{"explicit_http_config": map[string]any{
			"http2_protocol_options": map[string]any{}}}),
		cluster("registry", w.registry.addr, nil), cluster("refused", "127.0.0.1:1", nil),
	}
	w.bootstrap.Extra = map[string]any{"node": map[string]any{"id": "test", "cluster": "test"}}
	return w
}

// cluster is a cluster that takes any number of requests, with options of HTTP.
func cluster(name, addr string, options map[string]any) map[string]any {
	c := envoytest.Cluster(name, addr)
	many := map[string]any{"max_connections": 30_000, "max_pending_requests": 30_000, "max_requests": 30_000}
	c["circuit_breakers"] = map[string]any{"thresholds": []any{many}}
	if options == nil {
		options = map[string]any{"explicit_http_config": map[string]any{"http_protocol_options": map[string]any{"enable_trailers": true}}}
	}
	options["common_http_protocol_options"] = map[string]any{"max_headers_count": 2000, "max_response_headers_kb": 96}
	protocol := "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
	options["@type"] = "type.googleapis.com/" + protocol
	c["typed_extension_protocol_options"] = map[string]any{protocol: options}
	return c
}

// start starts the Envoy, and waits until both listeners have their policies.
func (w *world) start(t *testing.T) {
	t.Helper()
	w.Envoy = envoytest.Start(t, w.bootstrap.String(), envoytest.Options{Concurrency: 2, Args: w.args})
	for _, listener := range listeners {
		w.addrs[listener] = w.Addr(t, listener)
	}
}

// update delivers the next version of the policies, to Envoy's file and from the source.
func (w *world) update(t *testing.T) {
	t.Helper()
	version := int(w.version.Add(1))
	w.registry.publish(document(version, ""))
	plugin := w.plugin
	plugin.Config = document(version, "")
	text := envoy.JSON(map[string]any{"resources": []any{map[string]any{
		"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", "name": "cors",
		"typed_config": plugin.TypedConfig(),
	}}})
	if err := os.WriteFile(w.file+".new", []byte(text), 0o600); err != nil {
		t.Error(err)
	}
	if err := os.Rename(w.file+".new", w.file); err != nil {
		t.Error(err)
	}
}

// The counters of what was taken of updates.
const (
	fileCounters = "extension_config_discovery.http_filter.cors."
	sourceTaken  = "wasmcustom.cors.policy_source.updated"
)

// taken delivers the next version of the policies, and waits until Envoy has taken it from the file and from the
// source, while so many requests of a listener are there.
func (w *world) taken(t *testing.T, listener string, active int) {
	t.Helper()
	counters := func() (file, source uint64) {
		stats := w.stats(t, `http_filter\.cors\.update_success|policy_source\.updated`)
		return stats[fileCounters+"update_success"], stats[sourceTaken]
	}
	file, source := counters()
	w.update(t)
	envoytest.Eventually(t, patience, "an update to be taken", func() bool {
		f, s := counters()
		return f > file && s > source
	})
	if n := w.stats(t, "^http."+listener)["http."+listener+".downstream_rq_active"]; int(n) != active {
		t.Errorf("%d requests were there as the update was taken, want %d", n, active)
	}
}

// updating has policies change until the test ends, which fails unless Envoy has taken them.
func (w *world) updating(t *testing.T) {
	t.Helper()
	stop := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(300 * time.Millisecond):
				w.update(t)
			}
		}
	})
	t.Cleanup(func() {
		close(stop)
		running.Wait()
	})
}

// checkUpdates fails the test unless policies have changed, and all changes were taken.
func (w *world) checkUpdates(t *testing.T) {
	t.Helper()
	var stats map[string]uint64
	envoytest.Eventually(t, patience, "updates", func() bool {
		stats = w.stats(t, `http_filter\.cors\.update|policy_source|panics`)
		return stats[fileCounters+"update_success"] > 2 && stats[sourceTaken] > 2
	})
	if stats[fileCounters+"update_rejected"] > 0 || stats["wasmcustom.cors.panics"] > 0 {
		t.Errorf("%v", stats)
	}
	if log := w.Log(); strings.Contains(log, "VM failed") || strings.Contains(log, "Function: proxy_on") {
		t.Error("a VM has died")
	}
}

// stats are the counters and gauges whose names match a regex.
func (w *world) stats(t *testing.T, regex string) (stats map[string]uint64) {
	t.Helper()
	var err error
	envoytest.Eventually(t, patience, "Envoy's counters", func() bool {
		stats, err = w.Envoy.Envoy.Stats(t.Context(), regex)
		return err == nil // Its main thread may be busy with policies.
	})
	return stats
}

// active are the requests and connections that are there, of clients, and of upstreams requests
// alone, as connections to those are kept.
func (w *world) active(t *testing.T) (list []string) {
	t.Helper()
	for name, n := range w.stats(t, `rq_active$|rq_pending_active$|downstream_cx_active$`) {
		if n > 0 && !strings.Contains(name, "admin") {
			list = append(list, fmt.Sprintf("%s: %d", name, n))
		}
	}
	return list
}

// atRest fails the test unless everything comes to its end.
func (w *world) atRest(t *testing.T) {
	t.Helper()
	var active []string
	defer func() {
		if active != nil {
			t.Logf("still there: %q, %d are held by the upstream and %d by the registry", active, w.upstream.holding(),
				w.registry.holding())
		}
	}()
	envoytest.Eventually(t, patience, "no request to be there", func() bool {
		active = w.active(t)
		return active == nil && w.upstream.holding() == 0 && w.registry.holding() == 0
	})
}

// A kind is that of a request, by what the policies say.
type kind struct {
	name        string
	host        string
	origin      string // or how origins begin, each request's another one
	preflight   bool
	allowed     bool
	credentials bool
}

// The kinds of requests. Those of tenants are looked up.
var (
	simple       = kind{name: "simple", host: "open.example", origin: app, allowed: true}
	credentialed = kind{name: "credentialed", host: "site.example", origin: app, allowed: true, credentials: true}
	deniedKind   = kind{name: "denied", host: "site.example", origin: evil}
	lookedUp     = kind{name: "looked up", host: "tenants.example", origin: "https://tenant-", allowed: true,
		credentials: true}
	lookedUpLate = kind{name: "looked up late", host: "tenants.example", origin: lateOrigin, allowed: true,
		credentials: true}
	lookedUpDenied = kind{name: "looked up, denied", host: "tenants.example", origin: unknownOrigin}
	held           = kind{name: "held", host: "tenants.example", origin: heldOrigin, allowed: true, credentials: true}
)

// asked is the preflight of a kind.
func (k kind) asked() kind {
	k.name, k.preflight = k.name+", preflight", true
	return k
}

// serial numbers origins.
var serial atomic.Int64

var numbered = regexp.MustCompile(`-$`)

// request is one of the kind to a path, with further headers.
func (k kind) request(path string, more ...[2]string) cases.Request {
	origin := k.origin
	if numbered.MatchString(origin) {
		origin = fmt.Sprintf("%s%d.example", origin, serial.Add(1))
	}
	r := cases.Request{Host: k.host, Path: path, Headers: [][2]string{{"origin", origin}}}
	if k.preflight {
		r.Method = "OPTIONS"
		r.Headers = append(r.Headers, [2]string{"access-control-request-method", "PUT"})
	}
	r.Headers = append(r.Headers, more...)
	return r
}

// lines are the headers that the answer to a request has to have.
func (k kind) lines(r cases.Request) (list []string) {
	add := func(line string) { list = append(list, line) }
	varies := k.host != "open.example"
	if k.allowed && !varies {
		add("access-control-allow-origin: *")
	} else if k.allowed {
		add("access-control-allow-origin: " + r.Headers[0][1])
	}
	if k.allowed && k.credentials {
		add("access-control-allow-credentials: true")
	}
	switch {
	case k.preflight:
		if k.allowed {
			add("access-control-allow-methods: PUT")
		}
		add("vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
	case varies:
		if k.allowed && k.host == "site.example" {
			add("access-control-expose-headers: X-Shown")
		}
		add("vary: Origin")
	}
	slices.Sort(list)
	return list
}

// check fails the test unless an answer has the headers of its kind.
func (k kind) check(t *testing.T, r cases.Request, a *answer) {
	t.Helper()
	await(t, a.begun)
	if diff := cmp.Diff(k.lines(r), lines(a.header)); diff != "" {
		t.Errorf("%s: status %d, %v; headers (-want +got):\n%s", k.name, a.status, a.err, diff)
	}
}

// serves fails the test unless a listener answers requests of the usual kinds.
func (w *world) serves(t *testing.T, listener string) {
	t.Helper()
	for i, k := range []kind{
		credentialed, deniedKind, credentialed.asked(), deniedKind.asked(), lookedUp, lookedUp.asked(),
	} {
		c := []dialer{dial1, dial2}[i%2](t, w.addrs[listener])
		r := k.request("/plain")
		a := c.send(r, "")
		await(t, a.ended)
		k.check(t, r, a)
		want := 200
		if k.preflight {
			want = map[bool]int{true: 204, false: 403}[k.allowed]
		}
		if a.status != want || a.err != nil {
			t.Errorf("%s: status %d, want %d; %v", k.name, a.status, want, a.err)
		}
		c.close()
	}
}
