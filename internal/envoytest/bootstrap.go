package envoytest

import (
	"maps"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
)

// A Plugin is the compiled filter with one configuration, see [Module].
type Plugin = envoy.Plugin

// Parts of a configuration, as they are for every Envoy.
var (
	Cluster = envoy.Cluster
	JSON    = envoy.JSON
)

// A Bootstrap is a static Envoy configuration. Whatever is of type any in it
// stands for a piece of Envoy's configuration in its JSON form: anything that
// encoding/json encodes, a map or a json.RawMessage for example.
type Bootstrap struct {
	// Upstream is the host:port of the cluster "upstream"; no such cluster if empty.
	Upstream string
	// Listeners are HTTP listeners on ports of the kernel's choice, see [Envoy.Addr].
	Listeners []Listener
	// Clusters are further clusters, see [Cluster].
	Clusters []any
	// Extra are further fields of the bootstrap: node, dynamic_resources, ...
	Extra map[string]any
}

// String returns the bootstrap as JSON.
func (b Bootstrap) String() string {
	listeners, clusters := []any{}, append([]any{}, b.Clusters...)
	for _, l := range b.Listeners {
		listeners = append(listeners, l.Config())
	}
	if b.Upstream != "" {
		clusters = append(clusters, Cluster("upstream", b.Upstream))
	}
	config := map[string]any{"static_resources": map[string]any{"listeners": listeners, "clusters": clusters}}
	maps.Copy(config, b.Extra)
	return JSON(config)
}

// A Listener is one HTTP listener: HTTP/1.1, HTTP/2 with prior knowledge and
// WebSocket upgrades, path normalisation, and an access log for [Envoy.Details].
// A nameless route after its Routes takes all requests to the cluster "upstream";
// see [Route]. Its Extra may have other values for what is set here.
type Listener envoy.Listener

// Config returns the listener's configuration.
func (l Listener) Config() map[string]any {
	l.Routes = append(l.Routes[:len(l.Routes):len(l.Routes)], map[string]any{
		"match": map[string]any{"prefix": "/"}, "route": map[string]any{"cluster": "upstream"},
	})
	log := envoy.Typed("access_loggers.stream.v3.StdoutAccessLog", map[string]any{
		"log_format": map[string]any{"text_format_source": map[string]any{
			"inline_string": "%REQ(X-TEST-ID)% %RESPONSE_CODE_DETAILS%\n",
		}},
	})
	extra := map[string]any{
		"codec_type":      "AUTO",
		"normalize_path":  true,
		"upgrade_configs": []any{map[string]any{"upgrade_type": "websocket"}},
		"access_log":      []any{map[string]any{"name": "stdout", "typed_config": log}},
	}
	maps.Copy(extra, l.Extra)
	l.Extra = extra
	return envoy.Listener(l).Config()
}

// Route returns a route to the cluster "upstream", called name, for requests
// whose header x-test-route is name. The clients send it for [cases.Request]'s
// Route.
func Route(name string) map[string]any {
	return map[string]any{
		"name":  name,
		"route": map[string]any{"cluster": "upstream"},
		"match": map[string]any{"prefix": "/", "headers": []any{map[string]any{
			"name": "x-test-route", "string_match": map[string]any{"exact": name},
		}}},
	}
}
