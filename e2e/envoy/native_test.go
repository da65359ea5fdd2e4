package envoy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/spelling"
)

// nativeInputs are the Envoy configurations that corsctl convert is tested with, and
// what becomes of them.
const nativeInputs = "internal/convert/testdata/envoy"

// onlyIstio are the inputs that no Envoy reads, but Istio.
var onlyIstio = []string{"envoyfilter"}

// An intended difference is one between what Envoy's own filter answers for its
// configuration, and what this filter does for the one that was converted from it.
type intended struct {
	// what is the difference, in the words of docs/converting.md, which has the reason.
	what string
	// generous marks those in which the converted policy allows what the source's didn't.
	generous bool
	// is tells whether an observation is of this kind.
	is func(o *observation) bool
}

// intendedDifferences are all there may be. One that doesn't occur is no difference.
var intendedDifferences = []intended{
	{
		what: "Answers without an upstream: a redirect, a direct response, a path without a route", generous: true,
		is: func(o *observation) bool {
			return o.verdict() && (o.at("bootstrap", "", "/healthz") || o.at("bootstrap", "", "/v0") ||
				o.at("rds", "any-host.cdn.example.com", "") && !strings.HasPrefix(o.path, "/assets/"))
		},
	},
	{
		what: "A host with a port where the domain has none", generous: true,
		is: func(o *observation) bool { return o.at("bootstrap", "api.shop.example:8443", "") },
	},
	{
		what: "A preflight for a method or a header that isn't allowed",
		is:   func(o *observation) bool { return o.aspect == "forwarded" && o.preflight && o.ours.forwarded },
	},
	{
		what: "CORS headers of the upstream for an origin that isn't allowed",
		is: func(o *observation) bool {
			return o.upstreamCORS && o.verdict() && o.origin == "https://upstream.test" && o.ours.allowOrigin == ""
		},
	},
	{
		what: "CORS headers of the upstream beside those of the policy",
		is: func(o *observation) bool {
			return o.upstreamCORS && o.native.allowOrigin == o.origin && o.ours.omit && !o.preflight &&
				o.aspect != "omit"
		},
	},
	{
		what: "`*`, or a regex that matches every site, with credentials",
		is: func(o *observation) bool {
			return o.aspect == "include" && (o.at("wildcard", "graphql.example.com", "") ||
				o.at("wildcard", "login.example.com", ""))
		},
	},
	{
		what: "`null` with credentials",
		is: func(o *observation) bool {
			return o.verdict() && o.at("matchers", "sandbox.example.com", "") && o.origin == "null"
		},
	},
	{
		what: "A wildcard over a public suffix with credentials",
		is: func(o *observation) bool {
			return o.verdict() && o.at("matchers", "sandbox.example.com", "") &&
				strings.HasSuffix(o.origin, ".github.io")
		},
	},
	{
		what: "Plain http with credentials",
		is: func(o *observation) bool {
			return o.verdict() && strings.HasPrefix(o.origin, "http://") &&
				(o.at("regex", "subdomains.example.com", "") || o.at("regex", "schemes.example.com", "") ||
					o.at("rds", "catalog.example.com", "") || o.at("matchers", "api.example.com", "") ||
					o.at("mistakes", "any-host.invalid", "") || o.at("matchers", "sandbox.example.com", ""))
		},
	},
	{
		what: "A prefix, a suffix, a part of an origin or a regex that doesn't end or begin with a domain",
		is: func(o *observation) bool {
			if !o.verdict() {
				return false
			}
			switch {
			case o.input == "matchers":
				return strings.Contains(o.origin, "evil") || o.at("matchers", "api.example.com", "") &&
					strings.HasPrefix(o.origin, "https://example")
			case o.at("regex", "open-ends.example.com", ""):
				return strings.Contains(o.origin, "evil") || strings.HasPrefix(o.origin, "https://app")
			}
			return false
		},
	},
	{
		what: "A dot in a regex that matches any character",
		is: func(o *observation) bool {
			return o.verdict() && o.at("regex", "dots.example.com", "") &&
				!strings.HasSuffix(o.origin, ".example.com") && o.origin != "https://app.example.org"
		},
	},
	{
		what: "`*` among other names, with credentials",
		is: func(o *observation) bool {
			return (o.verdict() || strings.HasPrefix(o.aspect, "exposed")) &&
				(o.at("wildcard", "fonts.example.com", "") || o.at("wildcard", "login.example.com", ""))
		},
	},
	{
		what: "Origins, methods and header names that no browser sends", generous: true,
		is: func(o *observation) bool {
			return (o.verdict() || strings.HasPrefix(o.aspect, "exposed") || o.aspect == "forwarded") &&
				(o.at("mistakes", "any-host.invalid", "") || o.at("mistakes", "no-names.example.com", ""))
		},
	},
	{
		what: "A policy for a part of the requests",
		is:   func(o *observation) bool { return o.at("shadow", "shop.example.com", "/half") },
	},
	{
		what: "A route that can't be told by host and path, and has no name",
		is:   func(o *observation) bool { return o.at("order", "nameless.example.com", "") },
	},
	{
		what: "Several listeners with policies for the same hosts",
		is:   func(o *observation) bool { return o.input == "listeners" },
	},
}

// An observation is a request in which the two answers differ in some aspect.
type observation struct {
	probe
	input  string
	aspect string
	native answer
	ours   answer
}

// at reports whether the request was for a host and a path, or anything below it; ""
// stands for any.
func (o *observation) at(input, host, path string) bool {
	return o.input == input && (host == "" || o.host == host || strings.HasPrefix(o.host, host+":")) &&
		(path == "" || o.path == path || strings.HasPrefix(o.path, path+"/"))
}

// verdict reports whether the difference is in whether a browser lets the script go on.
func (o *observation) verdict() bool { return o.aspect == "omit" || o.aspect == "include" }

func (o *observation) String() string {
	return fmt.Sprintf("%s %s%s %s: %s is %q natively, %q here (%d, %d)", o.input, o.host, o.path, o.words(), o.aspect,
		o.native.aspects()[o.aspect], o.ours.aspects()[o.aspect], o.native.status, o.ours.status)
}

// A probe is a request.
type probe struct {
	host, path, origin string
	query              string
	preflight          bool
	// method and names are what a preflight asks for, or the method of the request.
	method string
	names  string
	header [2]string // a further one
	// upstreamCORS makes the upstream answer with CORS headers of its own.
	upstreamCORS bool
}

func (p probe) words() string {
	if p.preflight {
		return fmt.Sprintf("preflight from %s for %s %s", p.origin, p.method, p.names)
	}
	return fmt.Sprintf("%s from %s, upstream with CORS %t", p.method, p.origin, p.upstreamCORS)
}

func (p probe) request() cases.Request {
	r := cases.Request{Method: p.method, Host: p.host, Path: p.path + p.query,
		Headers: [][2]string{{"origin", p.origin}}}
	if p.preflight {
		r.Method = "OPTIONS"
		r.Headers = append(r.Headers, [2]string{"access-control-request-method", p.method},
			[2]string{"access-control-request-private-network", "true"})
		if p.names != "" {
			r.Headers = append(r.Headers, [2]string{"access-control-request-headers", p.names})
		}
	}
	if p.header[0] != "" {
		r.Headers = append(r.Headers, p.header)
	}
	id := "plain"
	if p.upstreamCORS {
		id = "cors"
	}
	r.Headers = append(r.Headers, [2]string{"x-test-id", id})
	return r
}

// An answer is what a browser concludes from a response.
type answer struct {
	status        int
	allowOrigin   string
	omit, include bool // without credentials, and with
	exposed       []string
	// exposedInclude is exposed where the request has credentials.
	exposedInclude []string
	maxAge         int
	private        bool
	forwarded      bool
}

// aspects are what is compared, in words.
func (a answer) aspects() map[string]string {
	return map[string]string{
		"omit": fmt.Sprint(a.omit), "include": fmt.Sprint(a.include), "forwarded": fmt.Sprint(a.forwarded),
		"exposed": strings.Join(a.exposed, " "), "exposed with credentials": strings.Join(a.exposedInclude, " "),
		"max age": fmt.Sprint(a.maxAge), "private network": fmt.Sprint(a.private),
	}
}

// differences are the aspects in which two answers differ. What a browser does with an
// answer that it blocks is none.
func (a answer) differences(other answer) (aspects []string) {
	mine, others := a.aspects(), other.aspects()
	for _, aspect := range slices.Sorted(maps.Keys(mine)) {
		relevant := true
		switch aspect {
		case "exposed":
			relevant = a.omit && other.omit
		case "exposed with credentials":
			relevant = a.include && other.include
		case "max age", "private network":
			relevant = a.omit && other.omit || a.include && other.include
		}
		if relevant && mine[aspect] != others[aspect] {
			aspects = append(aspects, aspect)
		}
	}
	return aspects
}

// exposable are response headers that the inputs expose, and one that none does.
var exposable = []string{"x-request-id", "x-ratelimit-remaining", "x-total-count", "etag", "x-trace", "x-pagination",
	"content-disposition", "grpc-status", "x-upstream", "x-other"}

// judge concludes as a browser does.
func (p probe) judge(resp *envoytest.Response) answer {
	a := answer{status: resp.Status, forwarded: resp.Values("x-upstream") != nil,
		allowOrigin: strings.Join(resp.Values("access-control-allow-origin"), ", ")}
	if p.preflight {
		asked := browser.Request{Origin: p.origin, Method: p.method,
			Headers: unsafeHeaders(strings.Split(p.names, ",")...)}
		a.omit = browser.PreflightCheck(asked, resp.Status, resp.Headers) == nil
		asked.CredentialsInclude = true
		a.include = browser.PreflightCheck(asked, resp.Status, resp.Headers) == nil
		// Chromium remembers a preflight no longer, and a conversion says so.
		a.maxAge = min(browser.MaxAge(resp.Headers), cors.ChromiumMaxAge)
		a.private = slices.Equal(resp.Values("access-control-allow-private-network"), []string{"true"})
		return a
	}
	a.omit = browser.CORSCheck(p.origin, false, resp.Headers) == nil
	a.include = browser.CORSCheck(p.origin, true, resp.Headers) == nil
	for _, name := range exposable {
		if browser.Exposed(resp.Headers, name, false) {
			a.exposed = append(a.exposed, name)
		}
		if browser.Exposed(resp.Headers, name, true) {
			a.exposedInclude = append(a.exposedInclude, name)
		}
	}
	return a
}

// A nativeInput is an input, and what is asked of it.
type nativeInput struct {
	name      string
	text      string
	converted string
	routes    []map[string]any // its route configurations
	filter    string           // what its CORS filter is called
}

// more has what can't be read off an input: origins that its matchers match or just don't,
// paths that its patterns match, a method, a header.
var more = map[string]struct {
	origins, hosts, paths []string
	queries               []string
	headers               [][2]string
	// expected is the route configuration that the input's expectations are of.
	expected int
}{
	"bootstrap": {
		origins: []string{"https://pr-7.preview.shop.example", "https://a.b.preview.shop.example"},
		paths:   []string{"/v0/x", "/api"},
		hosts:   []string{"api.shop.example:8443"}, expected: 1,
	},
	"regex": {origins: []string{
		"https://app-7.example.net", "https://app-7.example.net:8443", "https://app-x.example.net",
		"https://a.b.example.com", "http://a.example.com",
		"https://appxexample.org", "https://app.examplexorg", "https://evilxexample.com", "https://xexamplexcom",
		"https://intranet", "http://intranet:8080",
		"http://localhost:3000", "capacitor://localhost", "https://localhost", "http://10.0.0.7",
		"https://frame.example", "https://sub.example.org:8443",
		"https://app.evil.example", "https://evilexample.com", "https://app.example.org.evil.example",
	}},
	"matchers": {origins: []string{
		"https://a.b.example.com", "https://example.org", "https://www.example.org", "https://evilexample.org",
		"https://app.example.net:8443",
		"https://app.example.net.evil.example", "https://example.evil.example", "https://www.partner.test:9443",
		"https://partner.test", "https://partner.test.evil.example",
		"http://localhost:3000", "http://localhost.evil.example", "http://127.0.0.1:5173", "http://127.0.0.1",
		"https://dev.example.com:3000", "https://dev.example.com:4000",
		"https://x.dev.example.com:8443", "http://dev.example.com", "https://someone.github.io",
		"https://legacy.example",
	}},
	"hosts": {origins: []string{"https://a.tenant.example", "http://a.b.tenant.example", "https://tenant.example"}},
	"mistakes": {origins: []string{"https://app.example.com", "https://slash.example.com", "https://port.example.com",
		"https://no-scheme.example.com", "https://a.wild.example.com", "https://any-port.example.com:8443",
		"https://page.example.com"}},
	"order": {
		paths: []string{"/v1/users/7", "/v1/users", "/shops/7/carts/8", "/shops/7", "/STATUS", "/status", "/late/x",
			"/open-and-more"},
		queries: []string{"?debug=1"}, headers: [][2]string{{"x-beta", "1"}},
	},
	"policy": {origins: []string{"https://my-app.apps.example.com", "https://a.b.apps.example.com"}},
	"rds": {paths: []string{"/assets/font.woff2", "/other"},
		origins: []string{"https://www.example.com", "http://www.example.com"}},
}

// readNative reads the inputs.
func readNative(t *testing.T) (inputs []*nativeInput) {
	t.Helper()
	root, err := envoytest.Root()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, nativeInputs, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		if strings.Contains(path, ".golden.") || slices.Contains(onlyIstio, name) {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		converted, err := os.ReadFile(strings.TrimSuffix(path, filepath.Ext(path)) + ".golden.json")
		if err != nil {
			t.Fatal(err)
		}
		in := &nativeInput{name: name, text: string(text), converted: string(converted),
			filter: "envoy.filters.http.cors"}
		var hosts []any
		decoder := yaml.NewDecoder(strings.NewReader(string(text)))
		for {
			var document any
			if decoder.Decode(&document) != nil {
				break // the end; the conversion has read it
			}
			hosts = append(hosts, in.find(document)...)
		}
		if hosts != nil {
			in.routes = append(in.routes, map[string]any{"virtual_hosts": hosts})
		}
		if in.routes == nil {
			t.Fatalf("%s has no routes", name)
		}
		inputs = append(inputs, in)
	}
	return inputs
}

// find looks for route configurations, and returns virtual hosts that stand alone.
func (in *nativeInput) find(value any) (hosts []any) {
	switch v := value.(type) {
	case []any:
		for _, e := range v {
			hosts = append(hosts, in.find(e)...)
		}
	case map[string]any:
		switch {
		case either(v, "virtual_hosts") != nil:
			in.routes = append(in.routes, v)
		case v["domains"] != nil:
			return []any{v}
		case either(v, "allow_origin_string_match") != nil: // a policy alone
			return []any{map[string]any{
				"name": "all", "domains": []any{"*"}, "typed_per_filter_config": map[string]any{in.filter: v},
				"routes": []any{map[string]any{"match": map[string]any{"prefix": "/"},
					"route": map[string]any{"cluster": "upstream"}}},
			}}
		default:
			for _, e := range v {
				hosts = append(hosts, in.find(e)...)
			}
		}
	}
	return hosts
}

// either is a field by its name in either spelling.
func either(object map[string]any, name string) any {
	if value, ok := object[name]; ok {
		return value
	}
	return object[spelling.Camel(name)]
}

// list is a field that is a list, or nothing.
func list(object map[string]any, name string) []any {
	l, _ := either(object, name).([]any)
	return l
}

// rewired is the route configuration with every route to the test's upstream, and with
// or without policies.
func (in *nativeInput) rewired(routes map[string]any, policies bool) map[string]any {
	copied := map[string]any{}
	text, err := json.Marshal(routes)
	if err == nil {
		err = json.Unmarshal(text, &copied)
	}
	if err != nil {
		panic(err) // it was YAML
	}
	var walk func(value any)
	walk = func(value any) {
		switch v := value.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for name, e := range v {
				if action, ok := e.(map[string]any); ok && name == "route" {
					v[name] = map[string]any{"cluster": "upstream"}
					if cors, legacy := action["cors"]; legacy && policies {
						v[name].(map[string]any)["cors"] = cors
					}
					continue
				}
				if strings.EqualFold(strings.ReplaceAll(name, "_", ""), "typedPerFilterConfig") {
					for filter := range e.(map[string]any) {
						in.filter = filter
					}
				}
				if !policies && (name == "cors" ||
					strings.EqualFold(strings.ReplaceAll(name, "_", ""), "typedPerFilterConfig")) {
					delete(v, name)
					continue
				}
				walk(e)
			}
		}
	}
	walk(copied)
	delete(copied, "@type")
	for _, host := range list(copied, "virtual_hosts") {
		delete(host.(map[string]any), "@type")
	}
	return copied
}

// listeners are Envoy's own filter and this one, on the same routes.
func (in *nativeInput) listeners(module string) (listeners []envoytest.Listener) {
	for i, routes := range in.routes {
		native := in.rewired(routes, true)
		listeners = append(listeners, envoytest.Listener{
			Name: in.listener("native", i),
			Filters: []any{map[string]any{"name": in.filter,
				"typed_config": map[string]any{"@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"}}},
			Extra: map[string]any{"route_config": native},
		}, envoytest.Listener{
			Name:    in.listener("ours", i),
			Filters: []any{envoytest.Plugin{Module: module, Config: in.converted}.Filter()},
			Extra:   map[string]any{"route_config": in.rewired(routes, false)},
		})
	}
	return listeners
}

func (in *nativeInput) listener(kind string, i int) string {
	return fmt.Sprintf("%s-%s-%d", in.name, kind, i)
}

var (
	originInText = regexp.MustCompile(`(?:https?|[a-z]+)://[a-z0-9][a-z0-9.-]*(?::[0-9]+)?`)
	hostOfOrigin = regexp.MustCompile(`^([a-z]+://)([^:]+)(.*)$`)
)

// origins are those of the input and of what it was converted to, with neighbours of each.
func (in *nativeInput) origins() (named, neighbours []string) {
	seen := map[string]bool{}
	add := func(to *[]string, origin string) {
		if !seen[origin] && !strings.HasSuffix(origin, ".") && !strings.HasSuffix(origin, ":443") {
			seen[origin] = true
			*to = append(*to, origin)
		}
	}
	for _, origin := range slices.Concat(more[in.name].origins, originInText.FindAllString(in.text, -1),
		originInText.FindAllString(in.converted, -1)) {
		if !strings.Contains(origin, "nobody.invalid") && !strings.Contains(origin, "googleapis") {
			add(&named, origin)
		}
	}
	for _, origin := range []string{"null", "https://evil.test", "https://upstream.test"} {
		add(&named, origin)
	}
	for _, origin := range slices.Clone(named) {
		part := hostOfOrigin.FindStringSubmatch(origin)
		if part == nil {
			continue
		}
		scheme := map[string]string{"http://": "https://", "https://": "http://"}[part[1]]
		for _, neighbour := range []string{scheme + part[2] + part[3], part[1] + "sub." + part[2] + part[3],
			part[1] + "evil" + part[2] + part[3], part[1] + part[2] + ".evil.example", part[1] + part[2] + ":9999"} {
			if strings.Contains(neighbour, "://") {
				add(&neighbours, neighbour)
			}
		}
	}
	return named, neighbours
}

// expectation is what an input says in a comment: the outcome for a page, the page's
// origin, its method and its URL, further words, and a remark, which begins with "there"
// if Envoy's own filter has another outcome. The tests of corsctl convert read it too.
var expectation = regexp.MustCompile(`(?m)^# expected: (allowed|blocked|untouched) (\S+) (\S+) https?://([^/\s]+)(\S+)(.*?)(?: -- (there)?.*)?$`)

// expect checks what the input expects against Envoy's own filter: corsctl's tests check
// it against the conversion.
func (c *comparison) expect() {
	found := expectation.FindAllStringSubmatch(c.input.text, -1)
	if len(found) != strings.Count(c.input.text, "# expected:") {
		c.t.Error("there is an expectation in another form")
	}
	for _, e := range found {
		outcome, origin, method, host, path := e[1], e[2], e[3], e[4], e[5]
		page := browser.Request{Origin: origin, Method: method}
		for word := range strings.FieldsSeq(e[6]) {
			if name, isHeader := strings.CutPrefix(word, "+"); isHeader {
				name, value, _ := strings.Cut(name, "=")
				page.Headers = append(page.Headers, [2]string{name, value})
			}
			page.CredentialsInclude = page.CredentialsInclude || word == "cookies"
		}
		want := (outcome == "allowed") != (e[7] == "there")
		if got := c.fetch(page, host, path); got != want {
			c.t.Errorf("%s: natively it is allowed: %t, want %t", e[0], got, want)
		}
	}
}

// fetch does as a browser does for a page, and reports whether the page gets the answer
// of Envoy's own filter.
func (c *comparison) fetch(page browser.Request, host, path string) bool {
	at := probe{host: host, path: path, origin: page.Origin, method: page.Method}
	if names := browser.UnsafeRequestHeaderNames(page.Headers); len(names) > 0 ||
		!browser.SafelistedMethod(page.Method) {
		preflight := at
		preflight.preflight, preflight.names = true, strings.Join(names, ",")
		if resp := c.do(c.native, preflight); browser.PreflightCheck(page, resp.Status, resp.Headers) != nil {
			return false
		}
	}
	request := at.request()
	request.Headers = append(request.Headers, page.Headers...)
	resp, err := c.native.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	return browser.CORSCheck(page.Origin, page.CredentialsInclude, resp.Headers) == nil
}

// hostsOf are hosts of a route configuration's domains.
func hostsOf(routes map[string]any) (hosts []string) {
	for _, v := range list(routes, "virtual_hosts") {
		for _, d := range list(v.(map[string]any), "domains") {
			domain, _ := d.(string)
			switch {
			case domain == "*":
				domain = "any-host.invalid"
			case strings.HasPrefix(domain, "*"):
				domain = "any-host" + domain[1:]
			case strings.HasSuffix(domain, ":*"):
				domain = strings.TrimSuffix(domain, "*") + "8443"
			case strings.HasSuffix(domain, "*"):
				domain = strings.TrimSuffix(domain, "*") + "any"
			}
			hosts = append(hosts, domain)
		}
	}
	return hosts
}

// pathsOf are paths of a route configuration's routes, with neighbours of each.
func (in *nativeInput) pathsOf(routes map[string]any) (paths []string) {
	paths = []string{"/", "/elsewhere"}
	for _, v := range list(routes, "virtual_hosts") {
		for _, r := range list(v.(map[string]any), "routes") {
			match, _ := r.(map[string]any)["match"].(map[string]any)
			for _, field := range []string{"prefix", "path", "path_separated_prefix"} {
				if path, ok := either(match, field).(string); ok && path != "/" {
					path = strings.TrimSuffix(path, "/")
					paths = append(paths, path, path+"/", path+"/below", path+"-beside")
				}
			}
		}
	}
	paths = append(paths, more[in.name].paths...)
	slices.Sort(paths)
	return slices.Compact(paths)
}

// TestNative compares what Envoy's own CORS filter answers for Envoy configurations, and
// what this filter answers for what corsctl makes of them: what a browser concludes is
// the same, but for what is intended.
func TestNative(t *testing.T) {
	module, err := envoytest.Module()
	if err != nil {
		t.Fatal(err)
	}
	up := envoytest.NewUpstream(t)
	up.Answer("plain", cases.Upstream{Headers: [][2]string{{"x-upstream", "1"}}})
	up.Answer("cors", cases.Upstream{Headers: [][2]string{
		{"x-upstream", "1"}, {"access-control-allow-origin", "https://upstream.test"},
		{"access-control-allow-credentials", "true"},
		{"access-control-expose-headers", "x-upstream"}, {"access-control-allow-methods", "PUT"},
	}})
	inputs := readNative(t)
	if len(inputs) < 12 {
		t.Errorf("there are %d inputs, and there should be twelve at least", len(inputs))
	}
	bootstrap := envoytest.Bootstrap{Upstream: up.Addr()}
	for _, in := range inputs {
		bootstrap.Listeners = append(bootstrap.Listeners, in.listeners(module)...)
	}
	envoy := envoytest.Start(t, bootstrap.String(), envoytest.Options{})
	var mu sync.Mutex
	occurred := make([]int, len(intendedDifferences))
	t.Run("inputs", func(t *testing.T) {
		for _, in := range inputs {
			t.Run(in.name, func(t *testing.T) {
				t.Parallel()
				c := &comparison{t: t, input: in, occurred: make([]int, len(intendedDifferences))}
				for i := range in.routes {
					c.compare(i, envoy.Addr(t, in.listener("native", i)), envoy.Addr(t, in.listener("ours", i)))
				}
				t.Logf("%d requests", c.requests)
				mu.Lock()
				defer mu.Unlock()
				for i, n := range c.occurred {
					occurred[i] += n
				}
			})
		}
	})
	documentation := readDocumentation(t)
	for i, d := range intendedDifferences {
		t.Logf("%6d times: %s", occurred[i], d.what)
		if occurred[i] == 0 && !t.Failed() {
			t.Errorf("an intended difference doesn't occur: %s", d.what)
		}
		if !strings.Contains(documentation, "\n| "+d.what+" |") {
			t.Errorf("docs/converting.md doesn't say: %s", d.what)
		}
	}
}

func readDocumentation(t *testing.T) string {
	t.Helper()
	root, err := envoytest.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "converting.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A comparison asks two listeners the same.
type comparison struct {
	t            *testing.T
	input        *nativeInput
	native, ours *envoytest.Conn
	occurred     []int
	requests     int
	reported     int
}

func (c *comparison) compare(routes int, native, ours string) {
	c.native, c.ours = c.dial(native), c.dial(ours)
	defer c.native.Close()
	defer c.ours.Close()
	if routes == more[c.input.name].expected {
		c.expect()
	}
	named, neighbours := c.input.origins()
	paths := c.input.pathsOf(c.input.routes[routes])
	for _, host := range slices.Concat(hostsOf(c.input.routes[routes]), more[c.input.name].hosts) {
		for _, path := range paths {
			at := probe{host: host, path: path}
			for _, origin := range named {
				c.fromOrigin(at, origin)
			}
			if path == "/" || path == "/elsewhere" {
				for _, origin := range neighbours {
					c.fromOrigin(at, origin)
				}
			}
			for _, query := range more[c.input.name].queries {
				at.query = query
				c.eachOrigin(at, named)
			}
			at.query = ""
			for _, header := range more[c.input.name].headers {
				at.header = header
				c.eachOrigin(at, named)
			}
		}
	}
}

func (c *comparison) eachOrigin(at probe, origins []string) {
	for _, origin := range origins {
		c.fromOrigin(at, origin)
	}
}

func (c *comparison) dial(addr string) *envoytest.Conn {
	conn, err := envoytest.Dial(addr)
	if err != nil {
		c.t.Fatal(err)
	}
	return conn
}

// asked are what preflights ask for where the origin is allowed.
var asked = []struct{ method, names string }{
	{"GET", ""}, {"PUT", "content-type"}, {"PATCH", ""}, {"DELETE", ""}, {"PURGE", ""}, {"patch", ""}, {"OPTIONS", ""},
	{"UNKNOWN", ""},
	{"GET", "content-type"}, {"GET", "authorization"}, {"GET", "x-unknown"}, {"GET", "x-trace,content-type"},
	{"GET", "x-one"}, {"POST", "x-grpc-web,x-user-agent"},
}

// fromOrigin asks for everything that a page of an origin can ask for.
func (c *comparison) fromOrigin(at probe, origin string) {
	at.origin, at.method = origin, "GET"
	c.ask(at)
	at.upstreamCORS = true
	c.ask(at)
	at.upstreamCORS, at.preflight, at.method = false, true, "PUT"
	if answered := c.ask(at); answered.allowOrigin == "" {
		return // and what else a preflight asks for makes no difference
	}
	for _, a := range asked {
		at.method, at.names = a.method, a.names
		c.ask(at)
	}
}

// ask sends a request to both, and returns the native answer.
func (c *comparison) ask(p probe) answer {
	c.requests += 2
	native, ours := c.do(c.native, p), c.do(c.ours, p)
	o := &observation{probe: p, input: c.input.name, native: p.judge(native), ours: p.judge(ours)}
	for _, o.aspect = range o.native.differences(o.ours) {
		c.explain(o)
	}
	return o.native
}

func (c *comparison) do(conn *envoytest.Conn, p probe) *envoytest.Response {
	resp, err := conn.Do(p.request())
	if err != nil {
		c.t.Fatal(err)
	}
	return resp
}

// explain finds the intended difference that an observation is of.
func (c *comparison) explain(o *observation) {
	more := o.ours.include && !o.native.include
	for i, d := range intendedDifferences {
		if d.is(o) && (d.generous || !more || o.aspect != "include") {
			c.occurred[i]++
			return
		}
	}
	if c.reported++; c.reported <= 20 {
		c.t.Errorf("not intended: %v", o)
	} else {
		c.t.Fail()
	}
}
