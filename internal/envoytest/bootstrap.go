package envoytest

import (
	"encoding/json"
	"maps"
	"net"
	"strconv"
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
type Listener struct {
	// Name is the listener's name, and its prefix in the stats.
	Name string
	// Filters are the HTTP filters before the router, in order; see [Plugin].
	Filters []any
	// Routes are tried in order, before a nameless one that takes all requests
	// to the cluster "upstream"; see [Route].
	Routes []any
	// Extra are further fields of the HTTP connection manager, or other values
	// for those that are set here.
	Extra map[string]any
}

// Config returns the listener's configuration.
func (l Listener) Config() map[string]any {
	manager := map[string]any{
		"@type":           "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
		"stat_prefix":     l.Name,
		"codec_type":      "AUTO",
		"normalize_path":  true,
		"upgrade_configs": []any{map[string]any{"upgrade_type": "websocket"}},
		"route_config": map[string]any{"name": l.Name, "virtual_hosts": []any{map[string]any{
			"name": "all", "domains": []any{"*"}, "routes": append(append([]any{}, l.Routes...), map[string]any{
				"match": map[string]any{"prefix": "/"}, "route": map[string]any{"cluster": "upstream"},
			}),
		}}},
		"http_filters": append(append([]any{}, l.Filters...), map[string]any{
			"name":         "router",
			"typed_config": map[string]any{"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
		}),
		"access_log": []any{map[string]any{
			"name": "stdout",
			"typed_config": map[string]any{
				"@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
				"log_format": map[string]any{"text_format_source": map[string]any{
					"inline_string": "%REQ(X-TEST-ID)% %RESPONSE_CODE_DETAILS%\n",
				}},
			},
		}},
	}
	maps.Copy(manager, l.Extra)
	return map[string]any{
		"name":          l.Name,
		"address":       address("127.0.0.1:0"),
		"filter_chains": []any{map[string]any{"filters": []any{map[string]any{"name": "http", "typed_config": manager}}}},
	}
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

// Cluster returns a static cluster of one endpoint, given as host:port.
func Cluster(name, hostPort string) map[string]any {
	return map[string]any{
		"name": name,
		"load_assignment": map[string]any{"cluster_name": name, "endpoints": []any{map[string]any{
			"lb_endpoints": []any{map[string]any{"endpoint": map[string]any{"address": address(hostPort)}}},
		}}},
	}
}

// A Plugin is the compiled filter with one configuration. Plugins of the same
// Module and VMID share their VMs.
type Plugin struct {
	// Module is the path of the compiled filter, see [Module].
	Module string
	// Config is the plugin configuration, JSON; none if empty.
	Config string
	// FailurePolicy is FAIL_CLOSED, FAIL_OPEN or FAIL_RELOAD, which is the one that
	// the examples have, and the one if empty.
	FailurePolicy string
	// VMID is the vm_id.
	VMID string
}

// Filter returns the plugin as the HTTP filter "cors".
func (p Plugin) Filter() map[string]any {
	return map[string]any{"name": "cors", "typed_config": p.TypedConfig()}
}

// TypedConfig returns the configuration of the Wasm filter, "@type" included,
// as it stands in a filter chain or in an answer of the extension discovery service.
func (p Plugin) TypedConfig() map[string]any {
	config := map[string]any{
		"name":           "cors",
		"failure_policy": or(p.FailurePolicy, "FAIL_RELOAD"),
		"vm_config": map[string]any{
			"vm_id":   p.VMID,
			"runtime": "envoy.wasm.runtime.v8",
			"code":    map[string]any{"local": map[string]any{"filename": p.Module}},
		},
	}
	if p.Config != "" {
		config["configuration"] = map[string]any{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": p.Config}
	}
	return map[string]any{"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": config}
}

// JSON returns a piece of configuration as JSON. It panics on what cannot be encoded.
func JSON(config any) string {
	text, err := json.MarshalIndent(config, "", " ")
	if err != nil {
		panic(err)
	}
	return string(text)
}

func address(hostPort string) map[string]any {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		panic(err)
	}
	value, err := strconv.Atoi(port)
	if err != nil {
		panic(err)
	}
	return map[string]any{"socket_address": map[string]any{"address": host, "port_value": value}}
}
