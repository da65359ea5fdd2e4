package manifests_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	bootstrap "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	wasm "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"sigs.k8s.io/yaml"

	// What an @type in the texts may name: an unknown one is a mistake, or missing here.
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/common/matching/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/matcher/action/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/basic_auth/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/composite/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/credential_injector/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/upstream_codec/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/http/injected_credentials/generic/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// parts are the messages of Envoy that a text may be, or be fields of: the first of those
// that have most of its fields.
var parts = []proto.Message{
	&bootstrap.Bootstrap{}, &discovery.DiscoveryResponse{}, &bootstrap.Bootstrap_StaticResources{},
	&hcm.HttpConnectionManager{}, &listener.Listener{}, &cluster.Cluster{}, &route.RouteConfiguration{},
	&route.VirtualHost{}, &route.Route{}, &hcm.HttpFilter{}, &core.TypedExtensionConfig{},
}

// partOf is the message whose fields a text has, or nil.
func partOf(fields map[string]json.RawMessage) (found proto.Message) {
	most := 0
	for _, part := range parts {
		known, n := part.ProtoReflect().Descriptor().Fields(), 0
		for name := range fields {
			if known.ByTextName(name) != nil || known.ByJSONName(name) != nil {
				n++
			}
		}
		if n > most {
			found, most = part, n
		}
	}
	return found
}

// checkPart checks a text of Envoy's configuration that may be a part of one. Known tells
// whether it is one at all.
func checkPart(text string) (known bool, list []error) {
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &fields) != nil {
		return false, nil
	}
	part := partOf(fields)
	if part == nil {
		return false, nil
	}
	_, whole := part.(*bootstrap.Bootstrap)
	return true, checkEnvoy(part, text, whole)
}

// checkEnvoy decodes JSON as a message of Envoy, strictly, and checks it and all in it by
// Envoy's rules. A part that isn't whole may lack required fields, but not in its fields.
func checkEnvoy(message proto.Message, text string, whole bool) (list []error) {
	m := message.ProtoReflect().New()
	if err := protojson.Unmarshal([]byte(text), m.Interface()); err != nil {
		return []error{err}
	}
	err := protorange.Range(m, func(values protopath.Values) error {
		last := values.Index(-1)
		if urls, ok := typeURLs(last.Step, last.Value); ok {
			list = append(list, urls...)
			return nil
		}
		if kind := last.Step.Kind(); kind == protopath.RootStep && !whole || kind == protopath.UnknownAccessStep {
			return nil
		}
		inner, ok := last.Value.Interface().(protoreflect.Message)
		if !ok {
			return nil
		}
		if vm, ok := inner.Interface().(*wasm.VmConfig); ok && vm.GetRuntime() != "envoy.wasm.runtime.v8" {
			list = append(list, fmt.Errorf("the filter isn't tested in the runtime %q", vm.GetRuntime()))
		}
		if v, ok := inner.Interface().(interface{ Validate() error }); ok {
			if err := v.Validate(); err != nil {
				list = append(list, err)
				return protorange.Break // What is in it would say the same once more.
			}
		}
		return nil
	})
	if err != nil {
		list = append(list, err)
	}
	return list
}

// typeURLs checks the types that the filter of config_discovery may have.
func typeURLs(step protopath.Step, value protoreflect.Value) (list []error, ok bool) {
	if step.Kind() != protopath.FieldAccessStep ||
		step.FieldDescriptor().FullName() != "envoy.config.core.v3.ExtensionConfigSource.type_urls" {
		return nil, false
	}
	for i := range value.List().Len() {
		if _, err := protoregistry.GlobalTypes.FindMessageByURL(value.List().Get(i).String()); err != nil {
			list = append(list, fmt.Errorf("type_urls[%d]: %w", i, err))
		}
	}
	return list, true
}

// patched are the messages that Istio's EnvoyFilter patches.
var patched = map[string]proto.Message{
	"BOOTSTRAP": &bootstrap.Bootstrap{}, "CLUSTER": &cluster.Cluster{}, "EXTENSION_CONFIG": &core.TypedExtensionConfig{},
	"FILTER_CHAIN": &listener.FilterChain{}, "HTTP_FILTER": &hcm.HttpFilter{}, "HTTP_ROUTE": &route.Route{},
	"LISTENER": &listener.Listener{}, "LISTENER_FILTER": &listener.ListenerFilter{}, "NETWORK_FILTER": &listener.Filter{},
	"ROUTE_CONFIGURATION": &route.RouteConfiguration{}, "VIRTUAL_HOST": &route.VirtualHost{},
}

// A jsonPatch is one of Envoy Gateway, as an EnvoyPatchPolicy and an EnvoyProxy have them.
type jsonPatch struct {
	Op       string
	Path     string
	JSONPath string
	Value    json.RawMessage
}

// checkPatches checks what a resource of Istio or Envoy Gateway has in it of Envoy's
// configuration.
func checkPatches(object string) (list []error) {
	var resource struct {
		Kind string
		Spec struct {
			ConfigPatches []struct {
				ApplyTo string
				Patch   struct {
					Operation string
					Value     json.RawMessage
				}
			}
			JSONPatches []struct {
				Type      string
				Operation jsonPatch
			}
			Bootstrap struct {
				Value       string
				JSONPatches []jsonPatch
			}
		}
	}
	if err := json.Unmarshal([]byte(object), &resource); err != nil {
		return []error{err}
	}
	for _, p := range resource.Spec.ConfigPatches {
		message, known := patched[p.ApplyTo]
		switch {
		case !known:
			list = append(list, errors.New("no message is known for applyTo: "+p.ApplyTo))
		case p.Patch.Value != nil:
			list = append(list, checkEnvoy(message, string(p.Patch.Value), p.Patch.Operation != "MERGE")...)
		}
	}
	for _, p := range resource.Spec.JSONPatches {
		message, err := protoregistry.GlobalTypes.FindMessageByURL(p.Type)
		if err != nil {
			list = append(list, err)
			continue
		}
		list = append(list, p.Operation.check(message.Zero().Interface())...)
	}
	if text, err := yaml.YAMLToJSONStrict([]byte(resource.Spec.Bootstrap.Value)); err != nil {
		list = append(list, err)
	} else if resource.Spec.Bootstrap.Value != "" {
		list = append(list, checkEnvoy(&bootstrap.Bootstrap{}, string(text), false)...)
	}
	for _, p := range resource.Spec.Bootstrap.JSONPatches {
		list = append(list, p.check(&bootstrap.Bootstrap{})...)
	}
	return list
}

// check checks the value of a patch in its place in a message. Where a JSONPath looks for
// the place, that can't be told without a configuration: the tests of the gateway do it.
func (p jsonPatch) check(message proto.Message) []error {
	if p.Value == nil || p.JSONPath != "" {
		return nil
	}
	text := string(p.Value)
	steps := strings.Split(p.Path, "/")[1:]
	if p.Path == "" {
		steps = nil
	}
	for i := len(steps) - 1; i >= 0; i-- {
		if step := steps[i]; step == "-" || strings.Trim(step, "0123456789") == "" {
			text = "[" + text + "]"
		} else {
			text = fmt.Sprintf("{%q: %s}", step, text)
		}
	}
	return checkEnvoy(message, text, p.Path == "")
}
