package cases

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

func on(route string, r Request) Request {
	r.Route = route
	return r
}

// matches tell which policy applies: the most specific one, whatever the order.
var matches = []table{
	{"match", `{
	  "defaults": {"allow_methods": ["PUT"], "max_age": 60},
	  "policies": [
	    {"name": "everywhere", "allow_origins": ["https://everywhere.example"]},
	    {"name": "v1", "allow_origins": ["https://v1.example"], "match": {"paths": [{"prefix": "/v1"}]}},
	    {"name": "wide", "allow_origins": ["https://wide.example"], "match": {"hosts": ["*.example.com"]}},
	    {"name": "wider", "allow_origins": ["https://wider.example"], "match": {"hosts": ["*.com"]}},
	    {"name": "exact", "allow_origins": ["https://exact.example"], "match": {"hosts": ["API.example.com", "other.example.com"]}},
	    {"name": "exact-path", "allow_origins": ["https://exact-path.example"], "match": {"hosts": ["api.example.com"], "paths": [{"exact": "/v1/users"}]}},
	    {"name": "exact-v1", "allow_origins": ["https://exact-v1.example"], "match": {"hosts": ["api.example.com"], "paths": [{"prefix": "/v1"}]}},
	    {"name": "exact-v1-a", "allow_origins": ["https://exact-v1-a.example"], "match": {"hosts": ["api.example.com"], "paths": [{"prefix": "/v1/a/"}]}},
	    {"name": "port", "allow_origins": ["https://port.example"], "match": {"hosts": ["api.example.com:8443"]}},
	    {"name": "only-path", "allow_origins": ["https://only-path.example"], "match": {"hosts": ["paths.test"], "paths": [{"prefix": "/in"}]}},
	    {"name": "route", "allow_origins": ["https://route.example"], "match": {"routes": ["checkout"]}},
	    {"name": "both", "allow_origins": ["https://both.example"], "match": {"routes": ["pay"], "hosts": ["both.test"]}}
	  ]
	}`, []Case{
		{Name: "every-host", Request: at("everywhere", "api.test", "/"), Want: by("everywhere")},
		{Name: "every-host-path", Request: at("v1", "api.test", "/v1/x"), Want: by("v1")},
		{Name: "wildcard-host", Request: at("wide", "a.example.com", "/"), Want: by("wide")},
		{Name: "wildcard-host-deep", Request: at("wide", "a.b.example.com", "/"), Want: by("wide")},
		{Name: "wildcard-host-before-path-of-every-host", Request: at("wide", "a.example.com", "/v1"), Want: by("wide")},
		{Name: "wildcard-host-not-apex", Request: at("wider", "example.com", "/"), Want: by("wider")},
		{Name: "wildcard-host-lookalike", Request: at("wider", "notexample.com", "/"), Want: by("wider")},
		{Name: "exact-host", Request: at("exact", "api.example.com", "/"), Want: by("exact")},
		{Name: "exact-host-case", Request: at("exact", "Api.Example.COM", "/"), Want: by("exact")},
		{Name: "exact-host-any-port", Request: at("exact", "api.example.com:9000", "/"), Want: by("exact")},
		{Name: "exact-host-second", Request: at("exact", "other.example.com", "/v1"), Want: by("exact")},
		{Name: "exact-host-with-port", Request: at("port", "api.example.com:8443", "/v1"), Want: by("port")},
		{Name: "exact-path", Request: at("exact-path", "api.example.com", "/v1/users"), Want: by("exact-path")},
		{Name: "exact-path-query", Request: at("exact-path", "api.example.com", "/v1/users?id=/v1/a"), Want: by("exact-path")},
		{Name: "prefix", Request: at("exact-v1", "api.example.com", "/v1"), Want: by("exact-v1")},
		{Name: "prefix-below", Request: at("exact-v1", "api.example.com", "/v1/users/1"), Want: by("exact-v1")},
		{Name: "prefix-slash", Request: at("exact-v1", "api.example.com", "/v1/"), Want: by("exact-v1")},
		{Name: "prefix-query", Request: at("exact-v1", "api.example.com", "/v1?a"), Want: by("exact-v1")},
		{Name: "prefix-longest", Request: at("exact-v1-a", "api.example.com", "/v1/a/b"), Want: by("exact-v1-a")},
		{Name: "prefix-longest-itself", Request: at("exact-v1-a", "api.example.com", "/v1/a"), Want: by("exact-v1-a")},
		{Name: "prefix-segment", Request: at("exact", "api.example.com", "/v12"), Want: by("exact")},
		{Name: "path-case", Request: at("exact", "api.example.com", "/V1"), Want: by("exact")},
		{Name: "host-without-the-path-falls-back", Request: at("everywhere", "paths.test", "/out"), Want: by("everywhere")},
		{Name: "route", Request: on("checkout", at("route", "api.example.com", "/v1/users")), Want: by("route")},
		{Name: "route-of-nobody", Request: on("cart", at("exact", "api.example.com", "/")), Want: by("exact")},
		{Name: "route-and-host-by-route", Request: on("pay", at("both", "api.example.com", "/")), Want: by("both")},
		{Name: "route-and-host-by-host", Request: at("both", "both.test", "/"), Want: by("both")},
		{Name: "route-only-by-route", Request: at("route", "checkout.test", "/"), Want: forwarded(varyOrigin)},
	}},
	// A page chooses how it spells a host, and one dot at its end makes no other of it, in
	// the request or in the configuration.
	{"host-spelling", `{"policies": [
	    {"name": "everywhere", "allow_origins": ["https://everywhere.example"]},
	    {"name": "plain", "allow_origins": ["https://plain.example"], "match": {"hosts": ["plain.test"]}},
	    {"name": "dot", "allow_origins": ["https://dot.example"], "match": {"hosts": ["Dot.Test."]}},
	    {"name": "wild", "allow_origins": ["https://wild.example"], "match": {"hosts": ["*.wild.test"]}},
	    {"name": "wild-dot", "allow_origins": ["https://wild-dot.example"], "match": {"hosts": ["*.dots.test."]}},
	    {"name": "port", "allow_origins": ["https://port.example"], "match": {"hosts": ["port.test:8443", "*.port.test:8443"]}},
	    {"name": "port-dot", "allow_origins": ["https://port-dot.example"], "match": {"hosts": ["ports.test.:8443", "*.ports.test.:8443"]}},
	    {"name": "port-path", "allow_origins": ["https://port-path.example"], "match": {"hosts": ["plain.test.:8443"], "paths": [{"prefix": "/v1"}]}}
	  ]}`, []Case{
		{Name: "dot-in-request", Request: at("plain", "plain.test.", "/"), Want: by("plain")},
		{Name: "dot-in-request-port", Request: at("plain", "plain.test.:8080", "/"), Want: by("plain")},
		{Name: "dot-in-request-case", Request: at("plain", "PLAIN.Test.", "/"), Want: by("plain")},
		{Name: "dot-in-match", Request: at("dot", "dot.test", "/"), Want: by("dot")},
		{Name: "dot-in-match-port", Request: at("dot", "dot.test:8080", "/"), Want: by("dot")},
		{Name: "dot-in-both", Request: at("dot", "dot.test.", "/"), Want: by("dot")},
		{Name: "dot-in-both-case-port", Request: at("dot", "DOT.TEST.:80", "/"), Want: by("dot")},
		{Name: "wildcard-dot-in-request", Request: at("wild", "a.b.wild.test.", "/"), Want: by("wild")},
		{Name: "wildcard-dot-in-request-port-case", Request: at("wild", "A.Wild.TEST.:8080", "/"), Want: by("wild")},
		{Name: "wildcard-dot-in-request-not-apex", Request: at("everywhere", "wild.test.", "/"), Want: by("everywhere")},
		{Name: "wildcard-dot-in-match", Request: at("wild-dot", "a.dots.test", "/"), Want: by("wild-dot")},
		{Name: "wildcard-dot-in-both", Request: at("wild-dot", "a.dots.test.", "/"), Want: by("wild-dot")},
		{Name: "with-port-dot-in-request", Request: at("port", "port.test.:8443", "/"), Want: by("port")},
		{Name: "with-port-dot-in-request-other-port", Request: at("everywhere", "port.test.:8444", "/"), Want: by("everywhere")},
		{Name: "with-port-dot-in-request-no-port", Request: at("everywhere", "port.test.", "/"), Want: by("everywhere")},
		{Name: "with-port-wildcard-dot-in-request", Request: at("port", "a.port.test.:8443", "/"), Want: by("port")},
		{Name: "with-port-dot-in-match", Request: at("port-dot", "ports.test:8443", "/"), Want: by("port-dot")},
		{Name: "with-port-dot-in-both", Request: at("port-dot", "ports.test.:8443", "/"), Want: by("port-dot")},
		{Name: "with-port-wildcard-dot-in-both", Request: at("port-dot", "A.ports.test.:8443", "/"), Want: by("port-dot")},
		{Name: "with-port-dot-and-path", Request: at("port-path", "plain.test:8443", "/v1"), Want: by("port-path")},
		{Name: "with-port-dot-and-other-path", Request: at("plain", "plain.test.:8443", "/v2"), Want: by("plain")},
		{Name: "two-dots", Request: at("everywhere", "plain.test..", "/"), Want: by("everywhere")},
		{Name: "two-dots-dot-in-match", Request: at("everywhere", "dot.test..", "/"), Want: by("everywhere")},
		{Name: "two-dots-wildcard", Request: at("everywhere", "a.wild.test..", "/"), Want: by("everywhere")},
		{Name: "only-a-dot", Request: at("everywhere", ".", "/"), Want: by("everywhere")},
	}},
	{"somewhere", `{"policies": [
	    {"name": "shop", "allow_origins": ["https://shop.example"], "match": {"hosts": ["shop.test"], "paths": [{"prefix": "/api"}]}},
	    {"name": "open", "allow_origins": ["*"], "match": {"hosts": ["open.test"]}}
	  ]}`, []Case{
		{Name: "applies", Request: at("shop", "shop.test", "/api/1"), Want: by("shop")},
		{Name: "applies-no-origin", Request: Request{Host: "shop.test", Path: "/api"}, Want: forwarded(varyOrigin)},
		{Name: "open-no-origin", Request: Request{Host: "open.test"}, Want: forwarded(anyOrigin)},
		{Name: "other-path", Request: at("shop", "shop.test", "/"), Want: forwarded()},
		{Name: "other-path-no-origin", Request: Request{Host: "shop.test"}, Want: forwarded()},
		{Name: "other-host", Request: at("shop", "other.test", "/api"), Upstream: upstreamCORS, Want: forwarded(Lines(upstreamCORS.Headers)...)},
		{Name: "other-host-preflight", Request: Request{Method: "OPTIONS", Host: "other.test", Headers: preflight("https://evil.test", "PUT", "").Headers}, Want: forwarded()},
	}},
	// Without an origin too each request gets what its own policy says.
	{"mixed", `{"policies": [
	    {"name": "default", "allow_origins": ["https://default.example"]},
	    {"name": "open", "allow_origins": ["*"], "match": {"hosts": ["open.test"]}},
	    {"name": "keep", "allow_origins": ["https://keep.example"], "upstream_cors_headers": "keep", "match": {"hosts": ["keep.test"]}},
	    {"name": "shadow", "allow_origins": ["https://shadow.example"], "mode": "shadow", "match": {"hosts": ["*.shadow.test:8443", "[::1]"]}}
	  ]}`, []Case{
		{Name: "default-no-origin", Request: Request{Host: "any.test"}, Want: forwarded(varyOrigin)},
		{Name: "open-no-origin", Request: Request{Host: "open.test"}, Want: forwarded(anyOrigin)},
		{Name: "keep-no-origin", Request: Request{Host: "keep.test"}, Upstream: upstreamCORS, Want: forwarded(Lines(upstreamCORS.Headers)...)},
		{Name: "shadow-no-origin", Request: Request{Host: "a.b.shadow.test:8443"}, Want: forwarded()},
		{Name: "wildcard-host-other-port", Request: Request{Host: "a.shadow.test:8444"}, Want: forwarded(varyOrigin)},
		{Name: "wildcard-host-no-port", Request: Request{Host: "a.shadow.test"}, Want: forwarded(varyOrigin)},
		{Name: "ipv6-host", Request: Request{Host: "[::1]"}, Want: forwarded()},
		{Name: "ipv6-host-any-port", Request: Request{Host: "[::1]:8080"}, Want: forwarded()},
		{Name: "ipv6-other-host", Request: Request{Host: "[::2]"}, Want: forwarded(varyOrigin)},
	}},
	{"inherit", `{
	  "defaults": {"allow_origins": ["https://app.example"], "allow_methods": ["PUT"], "allowCredentials": true, "max_age": "10m"},
	  "policies": [
	    {"name": "all", "match": {"hosts": ["all.test"]}},
	    {"name": "none", "match": {"hosts": ["none.test"]}, "allow_methods": [], "allow_credentials": false, "maxAge": null}
	  ]}`, []Case{
		{Name: "all", Request: Request{Method: "OPTIONS", Host: "all.test", Headers: preflight("https://app.example", "PUT", "").Headers},
			Want: answered(siteOrigin, credentials, "access-control-allow-methods: PUT", siteMaxAge)},
		{Name: "unset", Request: Request{Method: "OPTIONS", Host: "none.test", Headers: preflight("https://app.example", "GET", "").Headers}, Want: answered(siteOrigin)},
		{Name: "unset-method", Request: Request{Method: "OPTIONS", Host: "none.test", Headers: preflight("https://app.example", "PUT", "").Headers},
			Want: rejected("method PUT is not in allow_methods (allowed: GET, HEAD, POST)")},
	}},
}
