package main

import (
	"encoding/json"
	"fmt"
	"maps"
)

// An object is a piece of Envoy's configuration in its JSON form.
type object = map[string]any

// A listener is an HTTP listener of the Envoy that is measured.
type listener struct {
	name    string
	filters []any // before the router
	routes  []any
}

// bootstrap returns an Envoy configuration with these listeners, all on ports of
// the kernel's choice.
func bootstrap(listeners []listener) []byte {
	local := object{"socket_address": object{"address": "127.0.0.1", "port_value": 0}}
	all := []any{}
	for _, l := range listeners {
		manager := typed("filters.network.http_connection_manager.v3.HttpConnectionManager", object{
			"stat_prefix":  l.name,
			"http_filters": append(append([]any{}, l.filters...), filter("router", typed("filters.http.router.v3.Router", nil))),
			"route_config": object{"virtual_hosts": []any{object{"name": "all", "domains": []any{"*"}, "routes": l.routes}}},
		})
		all = append(all, object{
			"name": l.name, "address": local,
			"filter_chains": []any{object{"filters": []any{filter("http", manager)}}},
		})
	}
	text, err := json.Marshal(object{
		"admin":            object{"address": local},
		"static_resources": object{"listeners": all, "clusters": []any{object{"name": "nobody"}}},
	})
	if err != nil {
		panic(err)
	}
	return text
}

// typed is the configuration of an extension of Envoy.
func typed(name string, fields object) object {
	config := object{"@type": "type.googleapis.com/envoy.extensions." + name}
	maps.Copy(config, fields)
	return config
}

func filter(name string, config object) object {
	return object{"name": name, "typed_config": config}
}

// direct is a route that Envoy answers itself, with further fields.
func direct(fields object) object {
	route := object{"match": object{"prefix": "/"}, "direct_response": object{"status": 200}}
	maps.Copy(route, fields)
	return route
}

// wasm is the configuration of a Wasm filter. Filters of the same module share
// their VMs.
func wasm(module, configuration string) object {
	return typed("filters.http.wasm.v3.Wasm", object{"config": object{
		"vm_config":     object{"runtime": "envoy.wasm.runtime.v8", "code": object{"local": object{"filename": module}}},
		"configuration": object{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration},
	}})
}

// copies are n filters of the same configuration.
func copies(n int, config object) (filters []any) {
	for i := range n {
		filters = append(filters, filter(copyName(i), config))
	}
	return filters
}

// perCopy is a typed_per_filter_config with the same for each of n copies.
func perCopy(n int, config object) object {
	fields := object{}
	for i := range n {
		fields[copyName(i)] = config
	}
	return object{"typed_per_filter_config": fields}
}

func copyName(i int) string { return fmt.Sprintf("copy-%d", i+1) }
