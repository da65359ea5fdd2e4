package envoy_test

import (
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// TestMethods: Envoy's HTTP/1 codec refuses methods that it doesn't know, before any
// filter and so without CORS headers, unless allow_custom_methods is set. The preflight
// for them has the method OPTIONS, and is answered all the same.
func TestMethods(t *testing.T) {
	upstream := envoytest.NewUpstream(t)
	listener := func(name string, custom bool) envoytest.Listener {
		return envoytest.Listener{
			Name: name,
			Filters: []any{plugin(t,
				`{"allow_origins": ["https://app.example"], "allow_methods": ["PATCH", "PROPFIND", "LIST", "patch"]}`).Filter()},
			Extra: map[string]any{"http_protocol_options": map[string]any{"allow_custom_methods": custom}},
		}
	}
	envoy := envoytest.Start(t, envoytest.Bootstrap{Upstream: upstream.Addr(),
		Listeners: []envoytest.Listener{listener("default", false), listener("custom", true)}}.String(),
		envoytest.Options{})
	for _, test := range []struct {
		method string
		known  bool
	}{{"PATCH", true}, {"PROPFIND", true}, {"LIST", false}, {"patch", false}} {
		for _, protocol := range []struct {
			name, listener string
			send           func(string, cases.Request) (*envoytest.Response, error)
			passes         bool
		}{
			{"http1", "default", envoytest.HTTP1, test.known},
			{"http1-custom", "custom", envoytest.HTTP1, true},
			{"http2", "default", envoytest.HTTP2, true},
		} {
			t.Run(test.method+"/"+protocol.name, func(t *testing.T) {
				addr := envoy.Addr(t, protocol.listener)
				preflight := cases.Request{Method: "OPTIONS",
					Headers: [][2]string{{"origin", "https://app.example"},
						{"access-control-request-method", test.method}}}
				if response, err := protocol.send(addr, preflight); err != nil || response.Status != 204 {
					t.Errorf("the preflight: %v, %v", response, err)
				}
				request := fromSite
				request.Method = test.method
				response, err := protocol.send(addr, request)
				if err != nil {
					t.Fatal(err)
				}
				passed := response.Status == 200 && len(response.Values("access-control-allow-origin")) == 1
				if refused := response.Status == 400 &&
					len(cases.Lines(response.Headers)) == 0; passed != protocol.passes || refused == passed {
					t.Errorf("status %d, %v; want it to pass: %t", response.Status, response.Headers, protocol.passes)
				}
			})
		}
	}
}
