package envoy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// TestTables runs the shared tables in one Envoy, which has a listener for each
// configuration: so one VM has as many plugins.
func TestTables(t *testing.T) {
	module, err := envoytest.Module()
	if err != nil {
		t.Fatal(err)
	}
	upstream := envoytest.NewUpstream(t)
	bootstrap := envoytest.Bootstrap{Upstream: upstream.Addr()}
	listeners := map[string]string{} // by configuration
	routes := map[string]bool{}
	for _, c := range cases.All {
		if c.Request.Route != "" {
			routes[c.Request.Route] = true
		}
	}
	var named []any
	for route := range routes {
		named = append(named, envoytest.Route(route))
	}
	for _, c := range cases.All {
		if listeners[c.Config] != "" {
			continue
		}
		listeners[c.Config] = c.Name
		bootstrap.Listeners = append(bootstrap.Listeners, envoytest.Listener{
			Name:    c.Name,
			Filters: []any{envoytest.Plugin{Module: module, Config: c.Config}.Filter()},
			Routes:  named,
		})
	}
	envoy := envoytest.Start(t, bootstrap.String(), envoytest.Options{})
	for _, protocol := range []struct {
		name string
		send func(string, cases.Request) (*envoytest.Response, error)
	}{{"http1", envoytest.HTTP1}, {"http2", envoytest.HTTP2}} {
		t.Run(protocol.name, func(t *testing.T) {
			for _, c := range cases.All {
				if protocol.name == "http2" && !inHTTP2(c) {
					continue
				}
				t.Run(c.Name, func(t *testing.T) {
					x, err := upstream.Exchange(protocol.send, envoy.Addr(t, listeners[c.Config]), c.Request,
						c.Upstream)
					if err != nil {
						t.Fatal(err)
					}
					checkExchange(t, envoy, c, x)
				})
			}
		})
	}
	if panics := envoy.Stats(t)["wasmcustom.cors.panics"]; panics != 0 {
		t.Errorf("%d panics in the module", panics)
	}
}

func checkExchange(t *testing.T, envoy *envoytest.Envoy, c cases.Case, x envoytest.Exchange) {
	t.Helper()
	if forwarded := len(x.Received) > 0; forwarded != c.Want.Forwarded {
		t.Errorf("forwarded: %t, want %t", forwarded, c.Want.Forwarded)
	}
	want := c.Want.Status
	if want == 0 {
		want = max(c.Upstream.Status, 200)
	}
	if x.Response.Status != want {
		t.Errorf("status %d, want %d", x.Response.Status, want)
	}
	if diff := cmp.Diff(c.Want.Headers, cases.Lines(x.Response.Headers)); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if !c.Want.Forwarded && len(x.Response.Body) > 0 {
		t.Errorf("the filter's answer has a body: %q", x.Response.Body)
	}
	if c.Want.Reason != "" {
		// Envoy writes details without spaces.
		reason := strings.ReplaceAll("cors: "+c.Want.Reason, " ", "_")
		if details := envoy.Details(t, x.ID); details != reason {
			t.Errorf("details %q, want %q", details, reason)
		}
	}
}

// inHTTP2 reports whether HTTP/2 can carry the case: not what only HTTP/1.1 has.
func inHTTP2(c cases.Case) bool {
	for _, h := range c.Request.Headers {
		if h[0] == "upgrade" || h[0] == "connection" || h[1] != strings.TrimSpace(h[1]) {
			return false
		}
	}
	return true
}
