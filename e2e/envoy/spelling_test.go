package envoy_test

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// spellings is a policy for all, one for a path, and one for a host. Each has a header
// of its own, to allow and to expose, which tells who answered.
const spellings = `{
  "defaults": {"allow_origins": ["https://app.example"], "allow_methods": ["PUT"]},
  "policies": [
    {"name": "general", "allow_headers": ["X-General"], "expose_headers": ["X-General"]},
    {"name": "admin", "allow_headers": ["X-Admin"], "expose_headers": ["X-Admin"], "match": {"paths": [{"prefix": "/admin"}]}},
    {"name": "api", "allow_headers": ["X-Api"], "expose_headers": ["X-Api"], "match": {"hosts": ["api.example"]}}
  ]}`

// configuration is that of the plugin in envoy.yaml.
var configuration = regexp.MustCompile(`(?s)value: \|\n.*?\n +}\n`)

// TestSpellings: a page chooses how it spells a host and a path. Which policy answers is
// checked with the settings of envoy.yaml, and with normalize_path alone.
func TestSpellings(t *testing.T) {
	root, err := envoytest.Root()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(root, "envoy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	upstream := envoytest.NewUpstream(t)
	_, port, err := net.SplitHostPort(upstream.Addr())
	if err != nil {
		t.Fatal(err)
	}
	const others = "          merge_slashes: true\n          path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT\n"
	shipped := strings.NewReplacer(
		"port_value: 10000", "port_value: 0", "port_value: 10001", "port_value: 0",
		"port_value: 10003", "port_value: "+port,
		"build/cors.wasm", plugin(t, "").Module,
	).Replace(configuration.ReplaceAllLiteralString(string(content),
		"value: '"+strings.ReplaceAll(spellings, "\n", " ")+"'\n"))
	if !strings.Contains(shipped, others) || !strings.Contains(shipped, "X-Admin") {
		t.Fatal("envoy.yaml isn't written as this test expects it")
	}
	addr := envoytest.Start(t, shipped, envoytest.Options{}).Addr(t, "api")
	bare := envoytest.Start(t, strings.Replace(shipped, others, "", 1), envoytest.Options{}).Addr(t, "api")

	const (
		general  = "X-General"
		admin    = "X-Admin"
		api      = "X-Api"
		redirect = "redirect"
	)
	for _, test := range []struct{ name, host, path, want, alone string }{
		{"plain", "any.example", "/admin", admin, admin},
		{"below", "any.example", "/admin/x?q=//admin", admin, admin},
		{"beside", "any.example", "/administrator", general, general},
		{"slashes", "any.example", "//admin", admin, general},
		{"slashes-within", "any.example", "/admin//x", admin, admin},
		{"slash-escaped", "any.example", "/admin%2fx", redirect, general},
		{"slash-escaped-upper-case", "any.example", "/admin%2Fx", redirect, general},
		{"backslash-escaped", "any.example", "/admin%5cx", redirect, general},
		{"backslash", "any.example", `/admin\x`, admin, admin},
		{"dot", "any.example", "/./admin", admin, admin},
		{"dot-escaped", "any.example", "/%2e/admin", admin, admin},
		{"dots", "any.example", "/x/../admin", admin, admin},
		{"dots-out", "any.example", "/admin/../x", general, general},
		{"letter-escaped", "any.example", "/%61dmin", admin, admin},
		// What stands for no other spelling to Envoy may be one to an upstream.
		{"parameter", "any.example", "/admin;x", general, general},
		{"parameter-before", "any.example", "/;x/admin", general, general},
		{"upper-case", "any.example", "/Admin", general, general},
		{"escaped-twice", "any.example", "/%2561dmin", general, general},

		{"host", "api.example", "/", api, api},
		{"host-dot", "api.example.", "/", api, api},
		{"host-upper-case", "API.Example", "/", api, api},
		{"host-upper-case-dot-port", "API.example.:10001", "/", api, api},
		{"host-two-dots", "api.example..", "/", general, general},
	} {
		for _, setting := range []struct{ name, addr, want string }{{"shipped", addr, test.want},
			{"normalize-path-alone", bare, test.alone}} {
			for _, request := range []cases.Request{fromSite, sitePreflight} {
				request.Host, request.Path = test.host, test.path
				method := "actual"
				if request.Method != "" {
					method = "preflight"
				}
				t.Run(test.name+"/"+setting.name+"/"+method, func(t *testing.T) {
					response, err := envoytest.HTTP1(setting.addr, request)
					if err != nil {
						t.Fatal(err)
					}
					got := strings.Join(append(response.Values("access-control-expose-headers"),
						response.Values("access-control-allow-headers")...), ",")
					// Envoy redirects before any filter, so that no page can follow.
					if response.Status == 307 && len(cases.Lines(response.Headers)) == 0 {
						got = redirect
					}
					if got != setting.want {
						t.Errorf("%s %s: %s by status %d, want %s", test.host, test.path, got, response.Status,
							setting.want)
					}
				})
			}
		}
	}
}

// TestTrailingDot: the filter finds the policy for a host with a dot at its end, and
// Envoy finds the virtual host with strip_trailing_host_dot.
func TestTrailingDot(t *testing.T) {
	listener := func(name string, strip bool) envoytest.Listener {
		return envoytest.Listener{Name: name, Filters: []any{plugin(t, spellings).Filter()}, Extra: map[string]any{
			"strip_trailing_host_dot": strip,
			"route_config": map[string]any{"virtual_hosts": []any{map[string]any{
				"name": "api", "domains": []any{"api.example"},
				"routes": []any{map[string]any{"match": map[string]any{"prefix": "/"},
					"direct_response": map[string]any{"status": 200}}},
			}}},
		}}
	}
	envoy := envoytest.Start(t,
		envoytest.Bootstrap{Listeners: []envoytest.Listener{listener("kept", false),
			listener("stripped", true)}}.String(), envoytest.Options{})
	for name, status := range map[string]int{"kept": 404, "stripped": 200} {
		request := fromSite
		request.Host = "api.example."
		response, err := envoytest.HTTP1(envoy.Addr(t, name), request)
		if err != nil {
			t.Fatal(err)
		}
		if exposed := strings.Join(response.Values("access-control-expose-headers"), ","); exposed != "X-Api" ||
			response.Status != status {
			t.Errorf("%s: status %d, want %d, by the policy of %s, want X-Api", name, response.Status, status, exposed)
		}
	}
}
