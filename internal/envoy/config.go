package envoy

import (
	"cmp"
	"encoding/json"
	"maps"
	"net"
	"strconv"
)

// An Object is a piece of Envoy's configuration in its JSON form. Whatever is of type
// any in this package is one too, or anything else that encoding/json encodes so.
type Object = map[string]any

// JSON returns a piece of configuration as JSON. It panics on what cannot be encoded.
func JSON(config any) string {
	text, err := json.Marshal(config)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// A Listener is one HTTP listener on a port of the kernel's choice, see [Envoy.Addrs].
type Listener struct {
	// Name is the listener's name, and its prefix in the stats.
	Name string
	// Filters are the HTTP filters before the router, in order; see [Plugin].
	Filters []any
	// Routes are tried in order.
	Routes []any
	// Extra are further fields of the HTTP connection manager.
	Extra Object
}

// Config returns the listener's configuration.
func (l Listener) Config() Object {
	router := Filter("router", Typed("filters.http.router.v3.Router", nil))
	manager := Typed("filters.network.http_connection_manager.v3.HttpConnectionManager", Object{
		"stat_prefix": l.Name,
		"route_config": Object{"name": l.Name, "virtual_hosts": []any{
			Object{"name": "all", "domains": []any{"*"}, "routes": l.Routes},
		}},
		"http_filters": append(l.Filters[:len(l.Filters):len(l.Filters)], router),
	})
	maps.Copy(manager, l.Extra)
	return Object{
		"name":          l.Name,
		"address":       Address("127.0.0.1:0"),
		"filter_chains": []any{Object{"filters": []any{Filter("http", manager)}}},
	}
}

// Filter returns a filter, of HTTP or of the network.
func Filter(name string, config Object) Object {
	return Object{"name": name, "typed_config": config}
}

// Typed returns the configuration of an extension of Envoy, which is named as in
// its type behind "envoy.extensions.".
func Typed(extension string, fields Object) Object {
	config := Object{"@type": "type.googleapis.com/envoy.extensions." + extension}
	maps.Copy(config, fields)
	return config
}

// Cluster returns a static cluster of one endpoint, given as host:port.
func Cluster(name, hostPort string) Object {
	return Object{
		"name": name,
		"load_assignment": Object{"cluster_name": name, "endpoints": []any{Object{
			"lb_endpoints": []any{Object{"endpoint": Object{"address": Address(hostPort)}}},
		}}},
	}
}

// Address returns the address host:port. It panics on anything else.
func Address(hostPort string) Object {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		panic(err)
	}
	value, err := strconv.Atoi(port)
	if err != nil {
		panic(err)
	}
	return Object{"socket_address": Object{"address": host, "port_value": value}}
}

// A Plugin is a compiled filter with one configuration. Plugins of the same Module and
// VMID share their VMs.
type Plugin struct {
	// Module is the path of the compiled filter.
	Module string
	// Config is the plugin configuration; none if empty.
	Config string
	// FailurePolicy is FAIL_CLOSED, FAIL_OPEN or FAIL_RELOAD, which is the one that
	// the examples have, and the one if empty.
	FailurePolicy string
	// VMID is the vm_id.
	VMID string
}

// Filter returns the plugin as the HTTP filter "cors".
func (p Plugin) Filter() Object { return Filter("cors", p.TypedConfig()) }

// TypedConfig returns the configuration of the Wasm filter, "@type" included,
// as it stands in a filter chain or in an answer of the extension discovery service.
func (p Plugin) TypedConfig() Object {
	config := Object{
		"name":           "cors",
		"failure_policy": cmp.Or(p.FailurePolicy, "FAIL_RELOAD"),
		"vm_config": Object{
			"vm_id":   p.VMID,
			"runtime": "envoy.wasm.runtime.v8",
			"code":    Object{"local": Object{"filename": p.Module}},
		},
	}
	if p.Config != "" {
		config["configuration"] = Object{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": p.Config}
	}
	return Typed("filters.http.wasm.v3.Wasm", Object{"config": config})
}
