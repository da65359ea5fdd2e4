// Package envoy_test runs the compiled module in Envoy.
package envoy_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

const site = `{
  "allow_origins": ["https://app.example"],
  "allow_methods": ["PUT"],
  "expose_headers": ["X-Request-Id"],
  "max_age": 600
}`

// siteAnswer are the CORS headers of site's answers to its origin.
var siteAnswer = []string{
	"access-control-allow-origin: https://app.example",
	"access-control-expose-headers: X-Request-Id",
	"vary: Origin",
}

var (
	fromSite      = cases.Request{Headers: [][2]string{{"origin", "https://app.example"}}}
	fromElsewhere = cases.Request{Headers: [][2]string{{"origin", "https://evil.test"}}}
	sitePreflight = cases.Request{Method: "OPTIONS",
		Headers: [][2]string{{"origin", "https://app.example"}, {"access-control-request-method", "PUT"}}}
)

func plugin(t *testing.T, config string) envoytest.Plugin {
	t.Helper()
	module, err := envoytest.Module()
	if err != nil {
		t.Fatal(err)
	}
	return envoytest.Plugin{Module: module, Config: config}
}

// filter is an HTTP filter of Envoy's own.
func filter(name, message string, config map[string]any) map[string]any {
	config["@type"] = "type.googleapis.com/" + message
	return map[string]any{"name": name, "typed_config": config}
}

// to is a request with another path and further headers.
func to(path string, r cases.Request, headers ...[2]string) cases.Request {
	r.Path = path
	r.Headers = append(slices.Clone(r.Headers), headers...)
	return r
}

// TestLocalReplies is about answers that don't come from the upstream: those of
// Envoy, and of filters after this one, have the headers that any answer has.
func TestLocalReplies(t *testing.T) {
	upstream := envoytest.NewUpstream(t)
	route := func(path string, action map[string]any) map[string]any {
		action["match"] = map[string]any{"prefix": path}
		return action
	}
	listener := envoytest.Listener{
		Name: "main",
		Filters: []any{
			plugin(t, site).Filter(),
			filter("basic_auth", "envoy.extensions.filters.http.basic_auth.v3.BasicAuth", map[string]any{
				// {SHA} and the Base64 of SHA-1 of "secret".
				"users": map[string]any{"inline_string": "user:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="},
			}),
			filter("rbac", "envoy.extensions.filters.http.rbac.v3.RBAC", map[string]any{
				"rules": map[string]any{"action": "DENY", "policies": map[string]any{"deny": map[string]any{
					"permissions": []any{map[string]any{"url_path": map[string]any{"path": map[string]any{"prefix": "/denied"}}}},
					"principals":  []any{map[string]any{"any": true}},
				}}},
			}),
			filter("local_ratelimit", "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
				map[string]any{"stat_prefix": "limit"}),
		},
		Routes: []any{
			route("/redirect", map[string]any{"redirect": map[string]any{"path_redirect": "/elsewhere"}}),
			route("/direct",
				map[string]any{"direct_response": map[string]any{"status": 418,
					"body": map[string]any{"inline_string": "short and stout"}}}),
			route("/dead", map[string]any{"route": map[string]any{"cluster": "dead"}}),
			route("/limited", map[string]any{
				"route": map[string]any{"cluster": "upstream"},
				"typed_per_filter_config": map[string]any{"local_ratelimit": map[string]any{
					"@type":           "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
					"stat_prefix":     "limit",
					"token_bucket":    map[string]any{"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "3600s"},
					"filter_enabled":  map[string]any{"default_value": map[string]any{"numerator": 100}},
					"filter_enforced": map[string]any{"default_value": map[string]any{"numerator": 100}},
				}},
			}),
			route("/nowhere", map[string]any{"route": map[string]any{"cluster_header": "x-cluster"}}),
		},
	}
	envoy := envoytest.Start(t, envoytest.Bootstrap{
		Upstream:  upstream.Addr(),
		Listeners: []envoytest.Listener{listener},
		Clusters:  []any{envoytest.Cluster("dead", "127.0.0.1:1")},
	}.String(), envoytest.Options{})
	addr := envoy.Addr(t, "main")

	authorized := [2]string{"authorization", "Basic dXNlcjpzZWNyZXQ="}
	if _, err := envoytest.HTTP1(addr, to("/limited", fromSite, authorized)); err != nil { // takes the only token
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		path   string
		header [2]string
		status int
	}{
		{"unauthorized", "/", [2]string{"x-none", ""}, 401},
		{"rbac", "/denied", authorized, 403},
		{"rate-limited", "/limited", authorized, 429},
		{"redirect", "/redirect", authorized, 301},
		{"direct-response", "/direct", authorized, 418},
		{"dead-upstream", "/dead", authorized, 503},
		{"no-cluster", "/nowhere", authorized, 503},
	} {
		for _, from := range []struct {
			name    string
			request cases.Request
			want    []string
		}{
			{"allowed", fromSite, siteAnswer},
			{"denied", fromElsewhere, []string{"vary: Origin"}},
			{"no-origin", cases.Request{}, []string{"vary: Origin"}},
		} {
			t.Run(test.name+"-"+from.name, func(t *testing.T) {
				x, err := upstream.Exchange(envoytest.HTTP1, addr, to(test.path, from.request, test.header),
					cases.Upstream{})
				if err != nil {
					t.Fatal(err)
				}
				if len(x.Received) > 0 || x.Response.Status != test.status {
					t.Errorf("status %d, forwarded %t; want %d", x.Response.Status, len(x.Received) > 0, test.status)
				}
				if diff := cmp.Diff(from.want, cases.Lines(x.Response.Headers)); diff != "" {
					t.Errorf("headers (-want +got):\n%s", diff)
				}
			})
		}
		// A preflight carries no credentials, and is answered before any of them.
		t.Run(test.name+"-preflight", func(t *testing.T) {
			response, err := envoytest.HTTP1(addr, to(test.path, sitePreflight))
			if err != nil || response.Status != 204 {
				t.Errorf("got %v, %v; want status 204", response, err)
			}
		})
	}
}

// TestNoRoute: without a route Envoy answers 404, and a preflight is answered all the same.
func TestNoRoute(t *testing.T) {
	envoy := envoytest.Start(t, envoytest.Bootstrap{Listeners: []envoytest.Listener{{
		Name:    "main",
		Filters: []any{plugin(t, site).Filter()},
		Extra: map[string]any{"route_config": map[string]any{"virtual_hosts": []any{
			map[string]any{"name": "other", "domains": []any{"other.test"}},
		}}},
	}}}.String(), envoytest.Options{})
	for _, test := range []struct {
		request cases.Request
		status  int
		want    []string
	}{
		{fromSite, 404, siteAnswer},
		{fromElsewhere, 404, []string{"vary: Origin"}},
		{sitePreflight, 204, []string{
			"access-control-allow-methods: PUT", "access-control-allow-origin: https://app.example",
			"access-control-max-age: 600",
			"vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}},
	} {
		response, err := envoytest.HTTP1(envoy.Addr(t, "main"), test.request)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, cases.Lines(response.Headers)); diff != "" || response.Status != test.status {
			t.Errorf("%v: status %d, want %d; headers (-want +got):\n%s", test.request, response.Status, test.status,
				diff)
		}
	}
}

// TestWebSocket: a handshake and its answer go through untouched.
func TestWebSocket(t *testing.T) {
	upstream := envoytest.NewUpstream(t)
	envoy := envoytest.Start(t, envoytest.Bootstrap{Upstream: upstream.Addr(), Listeners: []envoytest.Listener{
		{Name: "site", Filters: []any{plugin(t, site).Filter()}},
		{Name: "any", Filters: []any{plugin(t, `{"allow_origins": ["*"]}`).Filter()}},
	}}.String(), envoytest.Options{})
	for _, listener := range []string{"site", "any"} {
		for name, r := range map[string]cases.Request{"allowed": fromSite, "denied": fromElsewhere, "no-origin": {}} {
			t.Run(listener+"-"+name, func(t *testing.T) {
				conn, err := envoytest.Dial(envoy.Addr(t, listener))
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				id := listener + name
				upstream.Answer(id, cases.Upstream{Status: 101,
					Headers: [][2]string{{"access-control-allow-origin", "https://its.own"}}})
				response, err := conn.Do(to("/", r, [2]string{"x-test-id", id}, [2]string{"connection", "Upgrade"},
					[2]string{"upgrade", "websocket"},
					[2]string{"sec-websocket-version", "13"},
					[2]string{"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="}))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]string{"access-control-allow-origin: https://its.own"},
					cases.Lines(response.Headers)); diff != "" || response.Status != 101 {
					t.Fatalf("status %d; headers (-want +got):\n%s", response.Status, diff)
				}
				echo := make([]byte, 5)
				if _, err := io.WriteString(conn, "hello"); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(conn, echo); err != nil || string(echo) != "hello" {
					t.Fatalf("echo %q, %v", echo, err)
				}
			})
		}
	}
}

// TestTwoPluginsInOneVM: policies belong to their plugin, also where plugins share
// a VM and one connection's requests alternate between them.
func TestTwoPluginsInOneVM(t *testing.T) {
	upstream := envoytest.NewUpstream(t)
	a, b := plugin(t, `{"allow_origins": ["https://a.example"]}`), plugin(t, `{"allow_origins": ["https://b.example"]}`)
	a.VMID, b.VMID = "shared", "shared"
	envoy := envoytest.Start(t, envoytest.Bootstrap{Upstream: upstream.Addr(), Listeners: []envoytest.Listener{
		{Name: "a", Filters: []any{a.Filter()}}, {Name: "b", Filters: []any{b.Filter()}},
	}}.String(), envoytest.Options{Concurrency: 2})
	for range 20 {
		for _, listener := range []string{"a", "b"} {
			for _, origin := range []string{"a", "b"} {
				response, err := envoytest.HTTP1(envoy.Addr(t, listener),
					cases.Request{Headers: [][2]string{{"origin", "https://" + origin + ".example"}}})
				if err != nil {
					t.Fatal(err)
				}
				want := []string{"vary: Origin"}
				if listener == origin {
					want = []string{"access-control-allow-origin: https://" + origin + ".example", "vary: Origin"}
				}
				if diff := cmp.Diff(want, cases.Lines(response.Headers)); diff != "" {
					t.Fatalf("listener %s, origin %s (-want +got):\n%s", listener, origin, diff)
				}
			}
		}
	}
}

// TestBadConfigurationAtStart: Envoy refuses to start, and its log has each
// problem on a line of its own.
func TestBadConfigurationAtStart(t *testing.T) {
	for _, test := range []struct {
		name, config string
		want         []string
	}{
		{"problems",
			"{\n  \"allow_origins\": [\"https://App.example\", \"https://app.example/\"],\n  \"max_age\": -1\n}",
			[]string{
				`2:21 allow_origins[0]: "https://App.example" has upper-case letters, which browsers never send in an origin; write "https://app.example"`,
				`2:44 allow_origins[1]: "https://app.example/" has a path (a trailing slash), and an origin is only scheme, host and port; write "https://app.example"`,
				`3:14 max_age: -1 seconds are out of range; write 0 if browsers should not remember it, or leave it out`,
				`the configuration is refused: 3 errors, listed above`,
			}},
		{"empty", "",
			[]string{`1:1 configuration: is empty; write at least {"allow_origins": ["https://app.example"]}`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			envoy := envoytest.Launch(t, envoytest.Bootstrap{Upstream: "127.0.0.1:1",
				Listeners: []envoytest.Listener{{Name: "main",
					Filters: []any{plugin(t, test.config).Filter()}}}}.String(), envoytest.Options{})
			if code := envoy.WaitExit(t); code == 0 {
				t.Error("Envoy exited with code 0")
			}
			for _, line := range test.want {
				if n := strings.Count(envoy.Log(), line+"\n"); n != 1 {
					t.Errorf("the log has %d lines %q, want 1:\n%s", n, line, envoy.Log())
				}
			}
		})
	}
}

// TestUpdate: a new configuration takes effect while Envoy serves, and a bad one
// changes nothing.
func TestUpdate(t *testing.T) {
	upstream := envoytest.NewUpstream(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "cors.json")
	write := func(config string) {
		t.Helper()
		resource := plugin(t, config).TypedConfig()
		content := envoytest.JSON(map[string]any{"resources": []any{map[string]any{
			"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", "name": "cors",
			"typed_config": resource,
		}}})
		if err := os.WriteFile(file+".new", []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		// Envoy watches for renames, and so never reads half a file.
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	policy := func(n int) string { return fmt.Sprintf(`{"allow_origins": ["https://app-%d.example"]}`, n) }
	write(policy(0))
	envoy := envoytest.Start(t, envoytest.Bootstrap{Upstream: upstream.Addr(),
		Listeners: []envoytest.Listener{{Name: "main", Filters: []any{map[string]any{
			"name": "cors",
			"config_discovery": map[string]any{
				"config_source": map[string]any{"path_config_source": map[string]any{"path": file,
					"watched_directory": map[string]any{"path": dir}}, "resource_api_version": "V3"},
				"type_urls": []any{"type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"},
			},
		}}}}, Extra: map[string]any{"node": map[string]any{"id": "test", "cluster": "test"}}}.String(),
		envoytest.Options{})
	serves := func(n int) bool {
		response, err := envoytest.HTTP1(envoy.Addr(t, "main"),
			cases.Request{Headers: [][2]string{{"origin", fmt.Sprintf("https://app-%d.example", n)}}})
		if err != nil || response.Status != 200 {
			t.Fatal(response, err)
		}
		return len(response.Values("access-control-allow-origin")) == 1
	}
	for n := range 5 {
		write(policy(n))
		envoytest.Eventually(t, 10*time.Second, fmt.Sprintf("policy %d to serve", n), func() bool { return serves(n) })
		if n > 0 && serves(n-1) {
			t.Errorf("policy %d serves beside policy %d", n-1, n)
		}
		write(fmt.Sprintf(`{"allow_origins": ["no origin %d"]}`, n))
		envoytest.Eventually(t, 10*time.Second, "the bad configuration to be refused", func() bool {
			return strings.Contains(envoy.Log(),
				fmt.Sprintf(`1:20 allow_origins[0]: "no origin %d" contains white space`, n))
		})
		if !serves(n) {
			t.Errorf("policy %d stopped serving after a bad configuration", n)
		}
	}
}

// TestHostileRequests: whatever a request has in it, it is served, and leaves no
// trace in the log.
func TestHostileRequests(t *testing.T) {
	upstream := envoytest.NewUpstream(t)
	envoy := envoytest.Start(t, envoytest.Bootstrap{Upstream: upstream.Addr(), Listeners: []envoytest.Listener{{
		Name: "main",
		Filters: []any{plugin(t, `{"policies": [
			{"name": "hosts", "match": {"hosts": ["*.example.com"], "paths": [{"prefix": "/a/b/c"}]}, "allow_origins": ["https://*.example.com:*", {"regex": "https://(a|aa)+\\.test"}]},
			{"name": "any", "allow_origins": ["https://app.example"], "allow_methods": ["*"], "allow_headers": ["*"], "allow_credentials": true}]}`).Filter()},
	}}}.String(), envoytest.Options{})
	before := envoy.Log()
	long := func(s string) string { return strings.Repeat(s, 50_000/len(s)) }
	for i, value := range []string{long("a"), long(","), long("a,"), long(" ,\t"), long("https://"),
		"https://" + long("a.") + "example.com", "https://[" + long(":") + "]",
		long("\xff"), "https://" + long("a") + ".test", "https://app.example:" + long("9"), long("*"), long("null,")} {
		for _, r := range []cases.Request{
			{Headers: [][2]string{{"origin", value}}},
			{Method: "OPTIONS", Headers: [][2]string{{"origin", value}, {"access-control-request-method", "PUT"}}},
			{Method: "OPTIONS", Headers: [][2]string{{"origin", "https://app.example"},
				{"access-control-request-method", value}}},
			{Method: "OPTIONS", Headers: [][2]string{{"origin", "https://app.example"},
				{"access-control-request-method", "PUT"}, {"access-control-request-headers", value}}},
			{Host: "a.example.com", Path: "/a/b/c" + long("/a"),
				Headers: [][2]string{{"origin", "https://app.example"}}},
			{Host: "example.com:" + strings.Repeat("1", 300), Headers: [][2]string{{"origin", "https://app.example"}}},
		} {
			response, err := envoytest.HTTP1(envoy.Addr(t, "main"), r)
			if err != nil {
				t.Fatal(i, err)
			}
			if values := response.Values("access-control-allow-origin"); r.Headers[0][1] == value && len(values) > 0 {
				t.Errorf("value %d got access-control-allow-origin %q", i, values)
			}
		}
	}
	if response, err := envoytest.HTTP1(envoy.Addr(t, "main"), fromSite); err != nil ||
		len(response.Values("access-control-allow-origin")) != 1 {
		t.Errorf("afterwards the filter doesn't serve: %v, %v", response, err)
	}
	if after := envoy.Log(); after != before {
		t.Errorf("the log has grown:\n%s", strings.TrimPrefix(after, before))
	}
}

// TestStartLog: the log tells which build runs.
func TestStartLog(t *testing.T) {
	envoy := envoytest.Start(t, envoytest.Bootstrap{Upstream: "127.0.0.1:1",
		Listeners: []envoytest.Listener{{Name: "main", Filters: []any{plugin(t, site).Filter()}}}}.String(),
		envoytest.Options{})
	for _, want := range []string{"proxy-wasm-cors ", " (revision ", "serving 1 policy"} {
		if !strings.Contains(envoy.Log(), want) {
			t.Errorf("the log lacks %q:\n%s", want, envoy.Log())
		}
	}
}
