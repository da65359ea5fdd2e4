package manifest

import (
	"slices"
	"strconv"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// gatewayFilters are the filters that Envoy Gateway puts before Wasm filters and that
// answer requests themselves, in its order, and where its resources ask for them
// (https://gateway.envoyproxy.io/docs/api/extension_types/#filterposition).
var gatewayFilters = []struct{ kind, field, filter string }{
	{"BackendTrafficPolicy", "fault_injection", "envoy.filters.http.fault"},
	{"SecurityPolicy", "cors", "envoy.filters.http.cors"},
	{"SecurityPolicy", "csrf", "envoy.filters.http.csrf"},
	{"SecurityPolicy", "ext_auth", "envoy.filters.http.ext_authz"},
	{"SecurityPolicy", "api_key_auth", "envoy.filters.http.api_key_auth"},
	{"SecurityPolicy", "basic_auth", "envoy.filters.http.basic_auth"},
	{"SecurityPolicy", "oidc", "envoy.filters.http.oauth2"},
	{"SecurityPolicy", "jwt", "envoy.filters.http.jwt_authn"},
	{"EnvoyExtensionPolicy", "lua", "envoy.filters.http.lua"},
	{"EnvoyExtensionPolicy", "ext_proc", "envoy.filters.http.ext_proc"},
}

const gatewayWasm = "envoy.filters.http.wasm"

// A gateway is what a file has of Envoy Gateway's resources that its order of filters
// depends on.
type gateway struct {
	// asked is where each filter is asked for.
	asked map[string]*document.Node
	// positions are the filterOrder of EnvoyProxy resources.
	positions []*document.Node
}

// note takes note of a document of a kind.
func (g *gateway) note(d *document.Node, kind string) {
	if kind == "EnvoyProxy" {
		g.positions = append(g.positions, d.Get("spec", "filter_order").List()...)
	}
	for _, f := range gatewayFilters {
		if n := d.Get("spec", f.field); n != nil && n.Kind != document.Null && f.kind == kind &&
			g.asked[f.filter] == nil {
			g.asked[f.filter] = n
		}
	}
}

// earlier are the filters that come before Wasm filters, after all that the file says
// of the order.
func (g *gateway) earlier() []string {
	var chain []string
	for _, f := range gatewayFilters {
		if g.asked[f.filter] != nil {
			chain = append(chain, f.filter)
		}
	}
	chain = append(chain, gatewayWasm)
	for _, p := range g.positions {
		name := p.Get("name").String()
		at, before, after := slices.Index(chain, name), p.Get("before").String(), p.Get("after").String()
		if at < 0 || !slices.Contains(chain, before) && !slices.Contains(chain, after) || name == before ||
			name == after {
			continue // It does nothing.
		}
		chain = slices.Delete(chain, at, at+1)
		if to := slices.Index(chain, before); to >= 0 {
			chain = slices.Insert(chain, to, name)
		} else {
			chain = slices.Insert(chain, slices.Index(chain, after)+1, name)
		}
	}
	return chain[:slices.Index(chain, gatewayWasm)]
}

// secured warns of what answers before a Wasm filter of an EnvoyExtensionPolicy.
func (s *search) secured(wasm *document.Node) (list []*document.Finding) {
	earlier := s.gateway.earlier()
	for _, filter := range earlier {
		instead := "write an EnvoyProxy with filterOrder: [{name: " + gatewayWasm + ", before: " + earlier[0] + "}]"
		if filter == "envoy.filters.http.cors" {
			instead = "remove it, or " + instead
		}
		list = append(list, s.gateway.asked[filter].Warning(problem.Bypassed, "spec",
			"Envoy Gateway puts "+filter+" before the filter of line "+strconv.Itoa(wasm.Position().Line)+
				": it may answer a preflight, which carries no credentials, and what it answers has no CORS headers",
			instead))
	}
	return list
}
