package envoy_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// TestOriginRoute runs deploy/envoy-origin-route: requests without an Origin skip
// the filter, and all get what they would get from it.
func TestOriginRoute(t *testing.T) {
	root, err := envoytest.Root()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(root, "deploy", "envoy-origin-route", "envoy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	upstream := envoytest.NewUpstream(t)
	_, port, err := net.SplitHostPort(upstream.Addr())
	if err != nil {
		t.Fatal(err)
	}
	envoy := envoytest.Start(t, strings.NewReplacer(
		"port_value: 10001", "port_value: 0",
		"port_value: 10003", "port_value: "+port,
		"build/cors.wasm", plugin(t, "").Module,
	).Replace(string(content)), envoytest.Options{})
	const (
		origin      = "access-control-allow-origin: https://app.example"
		credentials = "access-control-allow-credentials: true"
	)
	for _, test := range []struct {
		name      string
		request   cases.Request
		upstream  cases.Upstream
		status    int
		forwarded bool
		want      []string
	}{
		{"no-origin", cases.Request{}, cases.Upstream{}, 200, true, []string{"vary: Origin"}},
		{"no-origin-vary", cases.Request{}, cases.Upstream{Headers: [][2]string{{"vary", "Accept"}}}, 200, true,
			[]string{"vary: Accept, Origin"}},
		{"allowed", fromSite, cases.Upstream{}, 200, true, []string{credentials, origin, "vary: Origin"}},
		{"denied", fromElsewhere, cases.Upstream{Headers: [][2]string{{"access-control-allow-origin", "*"}}}, 200, true,
			[]string{"vary: Origin"}},
		{"empty-origin", cases.Request{Headers: [][2]string{{"origin", ""}}},
			cases.Upstream{Headers: [][2]string{{"access-control-allow-origin", "*"}}}, 200, true,
			[]string{"vary: Origin"}},
		{"preflight", sitePreflight, cases.Upstream{}, 204, false,
			[]string{credentials, "access-control-allow-methods: PUT", origin, "access-control-max-age: 600",
				"vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			x, err := upstream.Exchange(envoytest.HTTP1, envoy.Addr(t, "api"), test.request, test.upstream)
			if err != nil {
				t.Fatal(err)
			}
			if x.Response.Status != test.status || (len(x.Received) > 0) != test.forwarded {
				t.Errorf("status %d, forwarded %t; want %d, %t", x.Response.Status, len(x.Received) > 0, test.status,
					test.forwarded)
			}
			if diff := cmp.Diff(test.want, cases.Lines(x.Response.Headers)); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}
