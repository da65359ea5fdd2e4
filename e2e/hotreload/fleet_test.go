package hotreload_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// workers is the number of worker threads of each Envoy. Its main thread has a VM too.
const workers = 4

// The listeners of every Envoy, by the way in which their policies come.
const (
	byXDS    = "xds"
	bySource = "source"
)

// filterName is the name of the filter, and of its configuration in the discovery service.
const filterName = "cors"

// A deployment is some Envoys, and all that they depend on.
type deployment struct {
	plugin  envoytest.Plugin
	xds     *controlPlane
	source  *source
	proxies []*fleet.Proxy
	// fields are those of the policy source, beside where it is.
	fields string
	// ready, if there is one, waits until the fleet is ready for a change that is measured.
	ready func()
}

// deploy starts everything, with version 1 of the policies in each listener.
func deploy(tb testing.TB) *deployment {
	tb.Helper()
	return deployOf(tb, 2, fmt.Sprintf(`"interval": %q, "timeout": %q`, sourceInterval, sourceTimeout))
}

// deployOf is deploy with another number of Envoys, and with other fields of the
// policy source.
func deployOf(tb testing.TB, envoys int, fields string) *deployment {
	tb.Helper()
	module, err := envoytest.Module()
	if err != nil {
		tb.Fatal(err)
	}
	return deployWith(tb, envoytest.Plugin{Module: module}, envoys, fields)
}

// deployWith is deployOf with another plugin.
func deployWith(tb testing.TB, plugin envoytest.Plugin, envoys int, fields string) *deployment {
	tb.Helper()
	f := &deployment{plugin: plugin, xds: newControlPlane(tb), source: newSource(tb), fields: fields}
	f.push(tb, document(1))
	f.source.publish(document(1))
	upstream := newUpstream(tb)
	for i := range envoys {
		node := fmt.Sprintf("envoy-%d", i)
		p := &fleet.Proxy{Node: node, Bootstrap: f.bootstrap(node, upstream), Listeners: []string{byXDS, bySource},
			Workers: workers}
		f.proxies = append(f.proxies, p)
		p.Launch(tb) // both at once: Envoy compiles the module first
	}
	for _, p := range f.proxies {
		p.Ready(tb)
	}
	return f
}

// push sends the filter's configuration to all Envoys by xDS.
func (f *deployment) push(tb testing.TB, config string) {
	tb.Helper()
	plugin := f.plugin
	plugin.Config = config
	f.xds.push(tb, plugin)
}

// bootstrap returns the configuration of one Envoy.
func (f *deployment) bootstrap(node, upstream string) string {
	plugin := f.plugin
	plugin.Config = sourced("/cors.json", f.fields)
	discovery, xds := fleet.Discovered(filterName, f.xds.addr, "GRPC", map[string]any{})
	return envoytest.Bootstrap{Extra: map[string]any{
		"node": map[string]any{"id": node, "cluster": "fleet"},
		"static_resources": map[string]any{
			"listeners": []any{fleet.Listener(byXDS, discovery), fleet.Listener(bySource, plugin.Filter())},
			"clusters":  []any{xds, fleet.Cluster("policies", f.source.addr), fleet.Cluster("upstream", upstream)},
		},
	}}.String()
}

// sourced returns version 1 of a configuration, with a policy source.
func sourced(path, fields string) string {
	return documentWith(1, fmt.Sprintf(`"policy_source": {"cluster": "policies", "path": %q, %s},
  `, path, fields), "")
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
