package conformance_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/wasmhost"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// An answer is what came back, and whether the upstream saw the request.
type answer struct {
	passed  bool
	status  int
	headers [][2]string
}

// An exchange sends a request to this filter with a configuration, before an upstream.
type exchange func(t *testing.T, configuration string, request cases.Request, upstream cases.Upstream) answer

// newEngine is the decision alone, natively.
func newEngine(*testing.T, []string) exchange { return engine }

func engine(t *testing.T, configuration string, r cases.Request, up cases.Upstream) answer {
	t.Helper()
	parsed, problems := config.Parse(configuration)
	if parsed == nil {
		t.Fatal(problems)
	}
	untouched := answer{true, max(up.Status, 200), up.Headers}
	policy := parsed.Policies.Lookup(match.Key{Route: r.Route, Host: r.Host, Path: r.Path})
	if policy == nil {
		return untouched
	}
	values := func(name string) (values []string) {
		for _, h := range r.Headers {
			if h[0] == name {
				values = append(values, strings.Trim(h[1], " \t"))
			}
		}
		return values
	}
	origins := values("origin")
	d := policy.Decide(&cors.Request{
		Method: r.Method, HasOrigin: origins != nil, Origin: strings.Join(origins, ","),
		RequestMethod:  strings.Join(values("access-control-request-method"), ","),
		RequestHeaders: values("access-control-request-headers"),
		PrivateNetwork: slices.Contains(values("access-control-request-private-network"), "true"),
	})
	if d.Answered() {
		answered := answer{status: d.Status()}
		for _, h := range d.AppendHeaders(nil) {
			answered.headers = append(answered.headers, [2]string{h.Name, h.Value})
		}
		return answered
	}
	var observed cors.Upstream
	for _, h := range up.Headers {
		observed.Observe(h[0], h[1])
	}
	edited := editor(slices.Clone(up.Headers))
	d.Edit(&observed, &edited)
	untouched.headers = edited
	return untouched
}

// An editor edits header lines.
type editor [][2]string

func (e *editor) AddResponseHeader(name, value string) { *e = append(*e, [2]string{name, value}) }

func (e *editor) ReplaceResponseHeader(name, value string) {
	(*e)[slices.IndexFunc(*e, func(h [2]string) bool { return h[0] == name })][1] = value
}

func (e *editor) RemoveResponseHeader(name string) {
	*e = slices.DeleteFunc(*e, func(h [2]string) bool { return h[0] == name })
}

// newWazero is the compiled module, all configurations in one VM.
func newWazero(t *testing.T, _ []string) exchange {
	t.Helper()
	path, err := envoytest.Module()
	if err != nil {
		t.Fatal(err)
	}
	module, err := wasmhost.Compile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { module.Close() })
	vm, err := module.NewVM()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { vm.Close() })
	roots := map[string]*wasmhost.Root{}
	return func(t *testing.T, configuration string, r cases.Request, up cases.Upstream) answer {
		t.Helper()
		root := roots[configuration]
		if root == nil {
			if root, err = vm.NewRoot(configuration); err != nil {
				t.Fatal(err, vm.Logs())
			}
			roots[configuration] = root
		}
		result, err := vm.Exchange(root, r, up)
		if err != nil {
			t.Fatal(err)
		}
		return answer{result.Forwarded, result.Status, result.Headers}
	}
}

// newEnvoy is the module in a real Envoy. A configuration of one policy is a policy of the first listener, for a
// host of its own, so that Envoy starts sooner; one of several has a listener.
func newEnvoy(t *testing.T, configurations []string) exchange {
	t.Helper()
	module, err := envoytest.Module()
	if err != nil {
		t.Fatal(err)
	}
	var policies []any
	hosts := map[string]string{}
	upstream := envoytest.NewUpstream(t)
	bootstrap := envoytest.Bootstrap{Upstream: upstream.Addr()}
	listen := func(name, configuration string) {
		bootstrap.Listeners = append(bootstrap.Listeners, envoytest.Listener{
			Name: name, Filters: []any{envoytest.Plugin{Module: module, Config: configuration}.Filter()},
		})
	}
	for i, configuration := range configurations {
		var policy map[string]any
		if err := json.Unmarshal([]byte(configuration), &policy); err != nil {
			t.Fatal(err)
		}
		if policy["policies"] != nil {
			listen(fmt.Sprintf("listener-%d", i), configuration)
			continue
		}
		host := fmt.Sprintf("policy-%d.test", i)
		policy["name"], policy["match"] = host, map[string]any{"hosts": []string{host}}
		policies, hosts[configuration] = append(policies, policy), host
	}
	listen("policies", envoytest.JSON(map[string]any{"policies": policies}))
	addrs, err := envoytest.Start(t, bootstrap.String(), envoytest.Options{}).Addrs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T, configuration string, r cases.Request, up cases.Upstream) answer {
		t.Helper()
		listener := fmt.Sprintf("listener-%d", slices.Index(configurations, configuration))
		if host := hosts[configuration]; host != "" {
			listener, r.Host = "policies", host
		}
		x, err := upstream.Exchange(envoytest.HTTP1, addrs[listener], r, up)
		if err != nil {
			t.Fatal(err)
		}
		return answer{len(x.Received) > 0, x.Response.Status, x.Response.Headers}
	}
}
