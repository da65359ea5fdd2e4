// Package fleet has what tests of updates need: Envoys that may be killed and started again,
// and a load of requests on them, each answer of which is judged.
package fleet

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// Recovery is how long anything may take, an Envoy's start on a busy machine included.
const Recovery = 90 * time.Second

// A Proxy is an Envoy that may be killed and started again.
type Proxy struct {
	// Node is its name, Bootstrap its configuration, and Listeners the names of its listeners.
	Node, Bootstrap string
	Listeners       []string
	// Workers is the number of worker threads. The main thread has a VM too.
	Workers int
	// Args are further arguments of Envoy.
	Args []string
	*envoytest.Envoy

	mu      sync.Mutex
	addrs   map[string]string // of the listeners
	down    bool
	outages int
}

// Launch starts Envoy; see Ready.
func (p *Proxy) Launch(tb testing.TB) {
	tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	p.Envoy = envoytest.Launch(tb, p.Bootstrap, envoytest.Options{Concurrency: p.Workers, Args: p.Args})
}

// Ready waits until Envoy serves.
func (p *Proxy) Ready(tb testing.TB) {
	tb.Helper()
	p.WaitReady(tb)
	addrs := map[string]string{}
	for _, listener := range p.Listeners {
		addrs[listener] = p.Addr(tb, listener)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addrs, p.down = addrs, false
}

// Kill ends Envoy as a crash would.
func (p *Proxy) Kill(tb testing.TB) {
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

// Address returns where a listener is, how often Envoy has gone, and whether it is away.
func (p *Proxy) Address(listener string) (addr string, outages int, down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addrs[listener], p.outages, p.down
}

// CheckWorkers fails the test unless every worker has connections, where there are any.
func (p *Proxy) CheckWorkers(tb testing.TB) {
	tb.Helper()
	stats := p.Stats(tb)
	for _, listener := range p.Listeners {
		for worker := range p.Workers {
			name := fmt.Sprintf("listener.%s.worker_%d.downstream_cx_active", listener, worker)
			if _, ok := stats[name]; !ok || stats["listener."+listener+".downstream_cx_active"] > 0 &&
				stats[name] == 0 {
				tb.Errorf("%s: no connection in worker %d of listener %s", p.Node, worker, listener)
			}
		}
	}
}

// Resident returns how many bytes of memory Envoy has.
func (p *Proxy) Resident(tb testing.TB) int { tb.Helper(); return Resident(tb, p.PID()) }

// Listener returns an HTTP listener that spreads its connections over all workers.
func Listener(name string, filter map[string]any) map[string]any {
	l := envoytest.Listener{Name: name, Filters: []any{filter}, Extra: map[string]any{"access_log": []any{}}}.Config()
	l["stat_prefix"] = name
	l["connection_balance_config"] = map[string]any{"exact_balance": map[string]any{}}
	return l
}

// Cluster returns a cluster that doesn't wait long for a connection.
func Cluster(name, addr string) map[string]any {
	c := envoytest.Cluster(name, addr)
	c["connect_timeout"] = "0.25s"
	return c
}

// Discovered returns a filter whose configuration comes from the cluster xds, and that cluster.
// api is how, GRPC or DELTA_GRPC, and http2 are options of the connection.
func Discovered(name, addr, api string, http2 map[string]any) (filter, cluster map[string]any) {
	filter = map[string]any{"name": name, "config_discovery": map[string]any{
		"type_urls": []any{"type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"},
		"config_source": map[string]any{"resource_api_version": "V3", "api_config_source": map[string]any{
			"api_type": api, "transport_api_version": "V3",
			"grpc_services": []any{map[string]any{"envoy_grpc": map[string]any{"cluster_name": "xds"}}},
		}},
	}}
	options := "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
	cluster = Cluster("xds", addr)
	cluster["typed_extension_protocol_options"] = map[string]any{options: map[string]any{
		"@type":                "type.googleapis.com/" + options,
		"explicit_http_config": map[string]any{"http2_protocol_options": http2},
	}}
	return filter, cluster
}
