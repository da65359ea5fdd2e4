package differential_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/choices"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// native is the policy as Envoy's own filter has it, for all of a host's routes.
func (p policy) native() map[string]any {
	var origins []any
	for _, o := range p.origins {
		if strings.Contains(o, "*.") {
			expression := strings.Replace(regexp.QuoteMeta(o), `\*`, ".*", 1)
			origins = append(origins, map[string]any{"safe_regex": map[string]any{"regex": expression}})
		} else {
			origins = append(origins, map[string]any{"exact": o})
		}
	}
	list := func(names []string) string { return strings.Join(names, ",") }
	fields := map[string]any{
		"allow_origin_string_match": origins, "allow_methods": list(p.methods), "allow_headers": list(p.headers),
		"expose_headers": list(p.exposed), "allow_credentials": p.credentials,
		"allow_private_network_access": p.privateNetwork, "forward_not_matching_preflights": false,
	}
	if p.maxAge >= 0 {
		fields["max_age"] = strconv.Itoa(p.maxAge)
	}
	return envoy.Typed("filters.http.cors.v3.CorsPolicy", fields)
}

// through makes a server of a listener of Envoy's, for one of the hosts.
func through(t *testing.T, addr, host string) server {
	t.Helper()
	return func(method string, lines [][2]string, upstreamCORS bool) *answer {
		if method == "patch" || method == "QUERY" {
			method = "PATCH" // of other methods Envoy refuses requests before any filter; preflights tell them apart
		}
		id := "plain"
		if upstreamCORS {
			id = "cors"
		}
		resp, err := envoytest.HTTP1(addr, cases.Request{Method: method, Host: host,
			Headers: append(slices.Clone(lines), [2]string{"X-Test-Id", id})})
		if err != nil {
			t.Fatal(err)
		}
		return &answer{browser.Response{Status: resp.Status, Headers: resp.Headers}, resp.Values("X-Upstream") != nil}
	}
}

// TestNativeDifferences is TestDifferences for Envoy's own filter, and for this one in Envoy.
func TestNativeDifferences(t *testing.T) {
	module, err := envoytest.Module()
	if err != nil {
		t.Fatal(err)
	}
	up := envoytest.NewUpstream(t)
	for id, cors := range map[string]bool{"plain": false, "cors": true} {
		up.Answer(id, cases.Upstream{Headers: append(upstreamLines(cors), [2]string{"X-Upstream", "1"})})
	}
	random := rand.New(rand.NewPCG(*seed, 3))
	next := func(n int) *choices.Choices {
		bytes := make([]byte, n)
		for i := range bytes {
			bytes[i] = byte(random.Uint32())
		}
		return choices.Of(bytes)
	}
	hosts := 40 * *times
	var policies []policy
	var ours, natively []any
	for len(policies) < hosts {
		p := newPolicy(next(100))
		if _, refused := newOurs(p); refused != "" {
			continue
		}
		host := fmt.Sprintf("p%d.example", len(policies))
		policies = append(policies, p)
		var fields map[string]any
		if err := json.Unmarshal([]byte(p.json()), &fields); err != nil {
			t.Fatal(err)
		}
		fields["name"], fields["match"] = host, map[string]any{"hosts": []string{host}}
		ours = append(ours, fields)
		natively = append(natively, map[string]any{
			"name": host, "domains": []string{host},
			"routes":                  []any{map[string]any{"match": map[string]any{"prefix": "/"}, "route": map[string]any{"cluster": "upstream"}}},
			"typed_per_filter_config": map[string]any{"envoy.filters.http.cors": p.native()},
		})
	}
	proxy := envoytest.Start(t, envoytest.Bootstrap{Upstream: up.Addr(), Listeners: []envoytest.Listener{
		{Name: "ours", Filters: []any{
			envoytest.Plugin{Module: module, Config: envoytest.JSON(map[string]any{"policies": ours})}.Filter()}},
		{Name: "native", Filters: []any{envoy.Filter("envoy.filters.http.cors", envoy.Typed("filters.http.cors.v3.Cors", nil))},
			Extra: map[string]any{"route_config": map[string]any{"name": "native", "virtual_hosts": natively}}},
	}}.String(), envoytest.Options{})
	seen := newTally(nativeEnvoy)
	for n, p := range policies {
		host, c := fmt.Sprintf("p%d.example", n), next(4000)
		ours, native := through(t, proxy.Addr(t, "ours"), host), through(t, proxy.Addr(t, "native"), host)
		engine, _ := newOurs(p)
		for range 100 {
			r := newRequest(c)
			mine := outcomeOf(ours, r)
			compareOne(nativeEnvoy, p, r, mine, outcomeOf(native, r), seen.add)
			// What the libraries are compared with is what Envoy serves.
			compareOne("the engine", p, r, outcomeOf(engine, r), mine, func(o *observation) {
				t.Errorf("the module in Envoy isn't as its engine: %s", o)
			})
		}
	}
	seen.report(t)
}
