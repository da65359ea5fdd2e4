package hotreload_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

const (
	// workers is the number of worker threads of each Envoy. Its main thread has a VM too.
	workers = 4
	// recovery is how long anything may take, an Envoy's start on a busy machine included.
	recovery = 90 * time.Second
)

// The listeners of every Envoy, by the way in which their policies come.
const (
	byXDS    = "xds"
	bySource = "source"
)

// filterName is the name of the filter, and of its configuration in the discovery service.
const filterName = "cors"

// A fleet is some Envoys, and all that they depend on.
type fleet struct {
	plugin  envoytest.Plugin
	xds     *controlPlane
	source  *source
	proxies []*proxy
	// fields are those of the policy source, beside where it is.
	fields string
	// ready, if there is one, waits until the fleet is ready for a change that is measured.
	ready func()
}

// startFleet starts everything, with version 1 of the policies in each listener.
func startFleet(tb testing.TB) *fleet {
	tb.Helper()
	return startFleetOf(tb, 2, fmt.Sprintf(`"interval": %q, "timeout": %q`, sourceInterval, sourceTimeout))
}

// startFleetOf is startFleet with another number of Envoys, and with other fields of the
// policy source.
func startFleetOf(tb testing.TB, envoys int, fields string) *fleet {
	tb.Helper()
	module, err := envoytest.Module()
	if err != nil {
		tb.Fatal(err)
	}
	return startFleetWith(tb, envoytest.Plugin{Module: module}, envoys, fields)
}

// startFleetWith is startFleetOf with another plugin.
func startFleetWith(tb testing.TB, plugin envoytest.Plugin, envoys int, fields string) *fleet {
	tb.Helper()
	f := &fleet{plugin: plugin, xds: newControlPlane(tb), source: newSource(tb), fields: fields}
	f.push(tb, document(1))
	f.source.publish(document(1))
	upstream := newUpstream(tb)
	for i := range envoys {
		node := fmt.Sprintf("envoy-%d", i)
		p := &proxy{node: node, bootstrap: f.bootstrap(node, upstream), listeners: []string{byXDS, bySource}}
		f.proxies = append(f.proxies, p)
		p.launch(tb) // both at once: Envoy compiles the module first
	}
	for _, p := range f.proxies {
		p.ready(tb)
	}
	return f
}

// push sends the filter's configuration to all Envoys by xDS.
func (f *fleet) push(tb testing.TB, config string) {
	tb.Helper()
	plugin := f.plugin
	plugin.Config = config
	f.xds.push(tb, plugin)
}

// bootstrap returns the configuration of one Envoy.
func (f *fleet) bootstrap(node, upstream string) string {
	plugin := f.plugin
	plugin.Config = sourced("/cors.json", f.fields)
	discovery := map[string]any{"name": filterName, "config_discovery": map[string]any{
		"type_urls": []any{"type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"},
		"config_source": map[string]any{"resource_api_version": "V3", "api_config_source": map[string]any{
			"api_type": "GRPC", "transport_api_version": "V3",
			"grpc_services": []any{map[string]any{"envoy_grpc": map[string]any{"cluster_name": "xds"}}},
		}},
	}}
	xds := cluster("xds", f.xds.addr)
	xds["typed_extension_protocol_options"] = map[string]any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": map[string]any{
		"@type":                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
		"explicit_http_config": map[string]any{"http2_protocol_options": map[string]any{}},
	}}
	return envoytest.Bootstrap{Extra: map[string]any{
		"node": map[string]any{"id": node, "cluster": "fleet"},
		"static_resources": map[string]any{
			"listeners": []any{listener(byXDS, discovery), listener(bySource, plugin.Filter())},
			"clusters":  []any{xds, cluster("policies", f.source.addr), cluster("upstream", upstream)},
		},
	}}.String()
}

// sourced returns version 1 of a configuration, with a policy source.
func sourced(path, fields string) string {
	return documentWith(1, fmt.Sprintf(`"policy_source": {"cluster": "policies", "path": %q, %s},
  `, path, fields), "")
}

// listener returns an HTTP listener that spreads its connections over all workers.
func listener(name string, filter map[string]any) map[string]any {
	l := envoytest.Listener{Name: name, Filters: []any{filter}, Extra: map[string]any{"access_log": []any{}}}.Config()
	l["stat_prefix"] = name
	l["connection_balance_config"] = map[string]any{"exact_balance": map[string]any{}}
	return l
}

func cluster(name, addr string) map[string]any {
	c := envoytest.Cluster(name, addr)
	c["connect_timeout"] = "0.25s"
	return c
}

// newUpstream starts the server behind all Envoys, and returns its address. It allows
// the foreign origin, so that a missing filter shows.
func newUpstream(tb testing.TB) string {
	tb.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", foreign)
		_, _ = w.Write([]byte("upstream\n"))
	}))
	tb.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// A proxy is an Envoy that may be killed and started again.
type proxy struct {
	node, bootstrap string
	listeners       []string
	args            []string
	*envoytest.Envoy

	mu      sync.Mutex
	addrs   map[string]string // of the listeners
	down    bool
	outages int
}

// launch starts Envoy; see ready.
func (p *proxy) launch(tb testing.TB) {
	tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	p.Envoy = envoytest.Launch(tb, p.bootstrap, envoytest.Options{Concurrency: workers, Args: p.args})
}

// ready waits until Envoy serves.
func (p *proxy) ready(tb testing.TB) {
	tb.Helper()
	p.WaitReady(tb)
	addrs := map[string]string{}
	for _, listener := range p.listeners {
		addrs[listener] = p.Addr(tb, listener)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addrs, p.down = addrs, false
}

// kill ends Envoy as a crash would.
func (p *proxy) kill(tb testing.TB) {
	tb.Helper()
	p.mu.Lock()
	p.down = true
	p.outages++
	p.mu.Unlock()
	if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
		tb.Fatal(err)
	}
	p.WaitExit(tb)
}

// address returns where a listener is, how often Envoy has gone, and whether it is away.
func (p *proxy) address(listener string) (addr string, outages int, down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addrs[listener], p.outages, p.down
}

// checkWorkers fails the test unless every worker has connections, where there are any.
func (p *proxy) checkWorkers(tb testing.TB) {
	tb.Helper()
	stats := p.Stats(tb)
	for _, listener := range p.listeners {
		for worker := range workers {
			name := fmt.Sprintf("listener.%s.worker_%d.downstream_cx_active", listener, worker)
			if _, ok := stats[name]; !ok || stats["listener."+listener+".downstream_cx_active"] > 0 &&
				stats[name] == 0 {
				tb.Errorf("%s: no connection in worker %d of listener %s", p.node, worker, listener)
			}
		}
	}
}
