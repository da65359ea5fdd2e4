package convert

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A fakeTable is a route configuration, as a model of how Envoy routes.
type fakeTable struct {
	hosts []fakeHost
}

type fakeHost struct {
	domains []string
	policy  *fakePolicy
	routes  []fakeRoute
}

type fakeRoute struct {
	name, field, path string
	header            bool // it requires the header x
	policy            *fakePolicy
	disabled          bool
}

type fakePolicy struct {
	origin      string
	credentials bool
}

// route is the route that Envoy takes, and the policy that it applies; found is false
// for a 404.
func (f fakeTable) route(host, path string, header bool) (name string, policy *fakePolicy, found bool) {
	var best *fakeHost
	length := -1
	for i, h := range f.hosts {
		for _, d := range h.domains {
			n := -1
			switch {
			case d == host:
				n = 1000
			case d == "*":
				n = 0
			case strings.HasPrefix(d, "*") && strings.HasSuffix(host, d[1:]) && len(host) > len(d)-1:
				n = 500 + len(d)
			case strings.HasSuffix(d, "*") && strings.HasPrefix(host, d[:len(d)-1]):
				n = len(d)
			}
			if n > length {
				best, length = &f.hosts[i], n
			}
		}
	}
	if best == nil {
		return "", nil, false
	}
	for _, r := range best.routes {
		matches := map[string]bool{
			"path":                  path == r.path,
			"prefix":                strings.HasPrefix(path, r.path),
			"path_separated_prefix": path == r.path || strings.HasPrefix(path, r.path+"/"),
		}[r.field]
		if !matches || r.header && !header {
			continue
		}
		switch {
		case r.disabled:
			return r.name, nil, true
		case r.policy != nil:
			return r.name, r.policy, true
		}
		return r.name, best.policy, true
	}
	return "", nil, false
}

// object is the configuration.
func (f fakeTable) object() map[string]any {
	var hosts []any
	for i, h := range f.hosts {
		var routes []any
		for _, r := range h.routes {
			match := map[string]any{r.field: r.path}
			if r.header {
				match["headers"] = []any{map[string]any{"name": "x", "present_match": true}}
			}
			route := map[string]any{"name": r.name, "match": match, "route": map[string]any{"cluster": "upstream"}}
			if r.disabled {
				route["typed_per_filter_config"] = map[string]any{nativeFilter: map[string]any{"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": true}}
			} else if r.policy != nil {
				route["typed_per_filter_config"] = r.policy.object()
			}
			routes = append(routes, route)
		}
		host := map[string]any{"name": fmt.Sprint("host-", i), "domains": h.domains, "routes": routes}
		if h.policy != nil {
			host["typed_per_filter_config"] = h.policy.object()
		}
		hosts = append(hosts, host)
	}
	return map[string]any{"virtual_hosts": hosts}
}

func (p *fakePolicy) object() map[string]any {
	return map[string]any{nativeFilter: map[string]any{
		"@type":                     "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
		"allow_origin_string_match": []any{map[string]any{"exact": p.origin}}, "allow_credentials": p.credentials,
	}}
}

// random makes a route configuration of few parts, so that they meet.
func random(r *rand.Rand) fakeTable {
	pick := func(texts ...string) string { return texts[r.IntN(len(texts))] }
	policy := func() *fakePolicy {
		if r.IntN(3) == 0 {
			return nil
		}
		return &fakePolicy{"https://" + pick("a", "b") + ".example", r.IntN(2) == 0}
	}
	f := fakeTable{}
	domains := []string{"*", "*.example.com", "a.example.com", "*.a.example.com", "b.example.com", "brand.*", "x.*",
		"a.example.com:8080"}
	r.Shuffle(len(domains), func(i, j int) { domains[i], domains[j] = domains[j], domains[i] })
	for domains = domains[:1+r.IntN(len(domains))]; len(domains) > 0; {
		n := 1 + r.IntN(min(2, len(domains)))
		h := fakeHost{domains: domains[:n], policy: policy()}
		domains = domains[n:]
		for range r.IntN(5) {
			h.routes = append(h.routes, fakeRoute{
				name:  pick("", "", "one", fmt.Sprint("route-", r.IntN(100))),
				field: pick("path", "prefix", "path_separated_prefix"),
				path:  pick("/a", "/ab", "/a/b", "/c"), header: r.IntN(4) == 0, policy: policy(),
				disabled: r.IntN(8) == 0,
			})
			if last := &h.routes[len(h.routes)-1]; last.field == "prefix" {
				last.path = pick("/", "/a", "/a/", "/a/b/", "/c/")
			}
		}
		f.hosts = append(f.hosts, h)
	}
	return f
}

// TestRandomTables: whatever the routes, nobody may act as the visitor who may not there;
// and where nothing is said of it, the same policies apply.
func TestRandomTables(t *testing.T) {
	silent := 0
	for seed := range uint64(3000) {
		f := random(rand.New(rand.NewPCG(seed, 1)))
		text, err := json.Marshal(f.object())
		if err != nil {
			t.Fatal(err)
		}
		result := convertText(t, "envoy", "routes.json", string(text))
		checkResult(t, result)
		c := &config.Document{}
		if result.Configuration != "" {
			c, _ = config.Parse(result.Configuration)
		}
		if len(result.Findings) == 0 {
			silent++
		}
		f.compare(t, c, len(result.Findings) == 0)
		if t.Failed() {
			t.Fatalf("seed %d:\n%s\nbecomes\n%s%s", seed, text, result.Configuration, lines(result))
		}
	}
	// What can be matched exactly is, and not just warned about.
	if silent < 490 {
		t.Errorf("only %d tables have no findings", silent)
	}
}

// compare compares the policies that apply to all sorts of requests.
func (f fakeTable) compare(t *testing.T, c *config.Document, same bool) {
	t.Helper()
	hosts := []string{"a.example.com", "b.example.com", "x.a.example.com", "example.com", "brand.test", "x.test",
		"x.example.com", "other.test"}
	for _, h := range f.hosts {
		if slices.Contains(h.domains, "a.example.com:8080") {
			hosts = append(hosts, "a.example.com:8080") // otherwise ports make a difference that is intended
		}
	}
	for _, host := range hosts {
		for _, path := range []string{"/", "/a", "/ab", "/abc", "/a/", "/a/b", "/a/b/", "/a/b/c", "/a/bc", "/c", "/c/",
			"/cd", "/c/d", "/d"} {
			for _, header := range []bool{false, true} {
				route, native, found := f.route(host, path, header)
				if !found {
					continue
				}
				var ours *cors.Policy
				if c.Policies != nil {
					ours = c.Policies.Lookup(match.Key{Route: route, Host: host, Path: path})
				}
				for _, origin := range []string{"https://a.example", "https://b.example"} {
					there := native != nil && native.origin == origin
					here, credentials := allows(ours, origin)
					where := func() string {
						return fmt.Sprintf("%s%s, header %t, route %q, from %s", host, path, header, route, origin)
					}
					if credentials && (!there || !native.credentials) {
						t.Errorf("%s: may act as the visitor here, and not there", where())
					}
					if same && (here != there || here && credentials != native.credentials) {
						t.Errorf("%s: allowed %t, with credentials %t; there %t, %+v", where(), here, credentials,
							there, native)
					}
				}
			}
		}
	}
}

// allows reports whether a policy allows an origin, and with credentials.
func allows(p *cors.Policy, origin string) (allowed, credentials bool) {
	if p == nil {
		return false, false
	}
	d := p.Decide(&cors.Request{Method: "OPTIONS", Origin: origin, HasOrigin: true, RequestMethod: "GET"})
	if !d.Allowed() || d.Untouched() {
		return false, false
	}
	for _, h := range d.AppendHeaders(nil) {
		credentials = credentials || h.Name == "access-control-allow-credentials"
	}
	return true, credentials
}
