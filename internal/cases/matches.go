package cases

import "strings"

// by is the want of a policy whose only origin is https://NAME.example,
// asked by that origin.
func by(policy string) Want {
	return forwarded("access-control-allow-origin: https://"+policy+".example", varyOrigin)
}

// at is a GET from https://POLICY.example to a host and a path.
func at(policy, host, path string) Request {
	r := get("https://" + policy + ".example")
	r.Host, r.Path = host, path
	return r
}

// applied is the case of a policy that applies to a host and a path.
func applied(name, policy, host, path string) Case {
	return row(name, at(policy, host, path), by(policy))
}

// own is a policy whose only origin is https://NAME.example. Without a match it applies
// everywhere.
func own(name, match string) string {
	policy := `{"name": "` + name + `", "allow_origins": ["https://` + name + `.example"]`
	if match != "" {
		policy += `, "match": {` + match + `}`
	}
	return policy + "}"
}

func list(policies ...string) string { return strings.Join(policies, ", ") }

func on(route string, r Request) Request {
	r.Route = route
	return r
}

// matches tell which policy applies: the most specific one, whatever the order.
var matches = []table{
	{"match", `{"defaults": {"allow_methods": ["PUT"], "max_age": 60}, "policies": [` + list(
		own("everywhere", ""),
		own("v1", `"paths": [{"prefix": "/v1"}]`),
		own("wide", `"hosts": ["*.example.com"]`),
		own("wider", `"hosts": ["*.com"]`),
		own("exact", `"hosts": ["API.example.com", "other.example.com"]`),
		own("exact-path", `"hosts": ["api.example.com"], "paths": [{"exact": "/v1/users"}]`),
		own("exact-v1", `"hosts": ["api.example.com"], "paths": [{"prefix": "/v1"}]`),
		own("exact-v1-a", `"hosts": ["api.example.com"], "paths": [{"prefix": "/v1/a/"}]`),
		own("port", `"hosts": ["api.example.com:8443"]`),
		own("only-path", `"hosts": ["paths.test"], "paths": [{"prefix": "/in"}]`),
		own("route", `"routes": ["checkout"]`),
		own("both", `"routes": ["pay"], "hosts": ["both.test"]`),
	) + `]}`, []Case{
		applied("every-host", "everywhere", "api.test", "/"),
		applied("every-host-path", "v1", "api.test", "/v1/x"),
		applied("wildcard-host", "wide", "a.example.com", "/"),
		applied("wildcard-host-deep", "wide", "a.b.example.com", "/"),
		applied("wildcard-host-before-path-of-every-host", "wide", "a.example.com", "/v1"),
		applied("wildcard-host-not-apex", "wider", "example.com", "/"),
		applied("wildcard-host-lookalike", "wider", "notexample.com", "/"),
		applied("exact-host", "exact", "api.example.com", "/"),
		applied("exact-host-case", "exact", "Api.Example.COM", "/"),
		applied("exact-host-any-port", "exact", "api.example.com:9000", "/"),
		applied("exact-host-second", "exact", "other.example.com", "/v1"),
		applied("exact-host-with-port", "port", "api.example.com:8443", "/v1"),
		applied("exact-path", "exact-path", "api.example.com", "/v1/users"),
		applied("exact-path-query", "exact-path", "api.example.com", "/v1/users?id=/v1/a"),
		applied("prefix", "exact-v1", "api.example.com", "/v1"),
		applied("prefix-below", "exact-v1", "api.example.com", "/v1/users/1"),
		applied("prefix-slash", "exact-v1", "api.example.com", "/v1/"),
		applied("prefix-query", "exact-v1", "api.example.com", "/v1?a"),
		applied("prefix-longest", "exact-v1-a", "api.example.com", "/v1/a/b"),
		applied("prefix-longest-itself", "exact-v1-a", "api.example.com", "/v1/a"),
		applied("prefix-segment", "exact", "api.example.com", "/v12"),
		applied("path-case", "exact", "api.example.com", "/V1"),
		applied("host-without-the-path-falls-back", "everywhere", "paths.test", "/out"),
		row("route", on("checkout", at("route", "api.example.com", "/v1/users")), by("route")),
		row("route-of-nobody", on("cart", at("exact", "api.example.com", "/")), by("exact")),
		row("route-and-host-by-route", on("pay", at("both", "api.example.com", "/")), by("both")),
		applied("route-and-host-by-host", "both", "both.test", "/"),
		row("route-only-by-route", at("route", "checkout.test", "/"), unreadable),
	}},
	// A policy that is off takes its part out of what another is for, and no other one applies.
	{"match-off", `{"policies": [` + list(
		own("on", ""),
		`{"name": "out", "match": {"hosts": ["api.test"], "paths": [{"prefix": "/own"}], "routes": ["own"]}, "mode": "off"}`,
		own("in", `"hosts": ["api.test"], "paths": [{"prefix": "/own/in"}]`),
	) + `]}`, []Case{
		{Name: "path", Request: at("on", "api.test", "/own/x"), Upstream: upstreamCORS, Want: upstreamKept},
		{Name: "route", Request: on("own", at("on", "any.test", "/")), Upstream: upstreamCORS, Want: upstreamKept},
		row("path-preflight", Request{Method: "OPTIONS", Host: "api.test", Path: "/own",
			Headers: preflight("https://on.example", "PUT", "").Headers}, forwarded()),
		row("path-no-origin", Request{Host: "api.test", Path: "/own"}, forwarded()),
		applied("longer-path", "in", "api.test", "/own/in"),
		applied("other-path", "on", "api.test", "/owned"),
		row("other-path-no-origin", Request{Host: "api.test", Path: "/owned"}, unreadable),
	}},
	// A page chooses how it spells a host, and one dot at its end makes no other of it, in
	// the request or in the configuration.
	{"host-spelling", `{"policies": [` + list(
		own("everywhere", ""),
		own("plain", `"hosts": ["plain.test"]`),
		own("dot", `"hosts": ["Dot.Test."]`),
		own("wild", `"hosts": ["*.wild.test"]`),
		own("wild-dot", `"hosts": ["*.dots.test."]`),
		own("port", `"hosts": ["port.test:8443", "*.port.test:8443"]`),
		own("port-dot", `"hosts": ["ports.test.:8443", "*.ports.test.:8443"]`),
		own("port-path", `"hosts": ["plain.test.:8443"], "paths": [{"prefix": "/v1"}]`),
	) + `]}`, []Case{
		applied("dot-in-request", "plain", "plain.test.", "/"),
		applied("dot-in-request-port", "plain", "plain.test.:8080", "/"),
		applied("dot-in-request-case", "plain", "PLAIN.Test.", "/"),
		applied("dot-in-match", "dot", "dot.test", "/"),
		applied("dot-in-match-port", "dot", "dot.test:8080", "/"),
		applied("dot-in-both", "dot", "dot.test.", "/"),
		applied("dot-in-both-case-port", "dot", "DOT.TEST.:80", "/"),
		applied("wildcard-dot-in-request", "wild", "a.b.wild.test.", "/"),
		applied("wildcard-dot-in-request-port-case", "wild", "A.Wild.TEST.:8080", "/"),
		applied("wildcard-dot-in-request-not-apex", "everywhere", "wild.test.", "/"),
		applied("wildcard-dot-in-match", "wild-dot", "a.dots.test", "/"),
		applied("wildcard-dot-in-both", "wild-dot", "a.dots.test.", "/"),
		applied("with-port-dot-in-request", "port", "port.test.:8443", "/"),
		applied("with-port-dot-in-request-other-port", "everywhere", "port.test.:8444", "/"),
		applied("with-port-dot-in-request-no-port", "everywhere", "port.test.", "/"),
		applied("with-port-wildcard-dot-in-request", "port", "a.port.test.:8443", "/"),
		applied("with-port-dot-in-match", "port-dot", "ports.test:8443", "/"),
		applied("with-port-dot-in-both", "port-dot", "ports.test.:8443", "/"),
		applied("with-port-wildcard-dot-in-both", "port-dot", "A.ports.test.:8443", "/"),
		applied("with-port-dot-and-path", "port-path", "plain.test:8443", "/v1"),
		applied("with-port-dot-and-other-path", "plain", "plain.test.:8443", "/v2"),
		applied("two-dots", "everywhere", "plain.test..", "/"),
		applied("two-dots-dot-in-match", "everywhere", "dot.test..", "/"),
		applied("two-dots-wildcard", "everywhere", "a.wild.test..", "/"),
		applied("only-a-dot", "everywhere", ".", "/"),
	}},
	{"somewhere", `{"policies": [
	    {"name": "shop", "allow_origins": ["https://shop.example"],
	     "match": {"hosts": ["shop.test"], "paths": [{"prefix": "/api"}]}},
	    {"name": "open", "allow_origins": ["*"], "match": {"hosts": ["open.test"]}}
	  ]}`, []Case{
		applied("applies", "shop", "shop.test", "/api/1"),
		row("applies-no-origin", Request{Host: "shop.test", Path: "/api"}, unreadable),
		row("open-no-origin", Request{Host: "open.test"}, forwarded(anyOrigin)),
		row("other-path", at("shop", "shop.test", "/"), forwarded()),
		row("other-path-no-origin", Request{Host: "shop.test"}, forwarded()),
		{Name: "other-host", Request: at("shop", "other.test", "/api"), Upstream: upstreamCORS, Want: upstreamKept},
		row("other-host-preflight", to("other.test", preflight(evil, "PUT", "")), forwarded()),
	}},
	// Without an origin too each request gets what its own policy says.
	{"mixed", `{"policies": [
	    {"name": "default", "allow_origins": ["https://default.example"]},
	    {"name": "open", "allow_origins": ["*"], "match": {"hosts": ["open.test"]}},
	    {"name": "keep", "allow_origins": ["https://keep.example"], "upstream_cors_headers": "keep",
	     "match": {"hosts": ["keep.test"]}},
	    {"name": "shadow", "allow_origins": ["https://shadow.example"], "mode": "shadow",
	     "match": {"hosts": ["*.shadow.test:8443", "[::1]"]}}
	  ]}`, []Case{
		row("default-no-origin", Request{Host: "any.test"}, unreadable),
		row("open-no-origin", Request{Host: "open.test"}, forwarded(anyOrigin)),
		{Name: "keep-no-origin", Request: Request{Host: "keep.test"}, Upstream: upstreamCORS, Want: upstreamKept},
		row("shadow-no-origin", Request{Host: "a.b.shadow.test:8443"}, forwarded()),
		row("wildcard-host-other-port", Request{Host: "a.shadow.test:8444"}, unreadable),
		row("wildcard-host-no-port", Request{Host: "a.shadow.test"}, unreadable),
		row("ipv6-host", Request{Host: "[::1]"}, forwarded()),
		row("ipv6-host-any-port", Request{Host: "[::1]:8080"}, forwarded()),
		row("ipv6-other-host", Request{Host: "[::2]"}, unreadable),
	}},
	{"inherit", `{
	  "defaults": {"allow_origins": ["https://app.example"], "allow_methods": ["PUT"], "allowCredentials": true,
	     "max_age": "10m"},
	  "policies": [
	    {"name": "all", "match": {"hosts": ["all.test"]}},
	    {"name": "none", "match": {"hosts": ["none.test"]}, "allow_methods": [], "allow_credentials": false,
	     "maxAge": null}
	  ]}`, []Case{
		row("all", to("all.test", preflight(app, "PUT", "")),
			answered(siteOrigin, credentials, "access-control-allow-methods: PUT", siteMaxAge)),
		row("unset", to("none.test", preflight(app, "GET", "")), answered(siteOrigin)),
		row("unset-method", to("none.test", preflight(app, "PUT", "")),
			rejected("method PUT is not in allow_methods (allowed: GET, HEAD, POST)")),
	}},
}
