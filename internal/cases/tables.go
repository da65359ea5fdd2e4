package cases

import "strings"

// upstreamCORS is an upstream that has CORS headers of its own, all wrong.
var upstreamCORS = Upstream{Headers: [][2]string{
	{"access-control-allow-origin", "*"},
	{"access-control-allow-credentials", "true"},
	{"access-control-allow-methods", "DELETE"},
	{"access-control-allow-headers", "x-upstream"},
	{"access-control-max-age", "5"},
	{"access-control-expose-headers", "x-upstream"},
	{"access-control-allow-private-network", "true"},
}}

// answers are the rows of the answer table for requests that aren't preflights
// (Fetch, "HTTP responses").
var answers = []table{
	{"site", site, []Case{
		{Name: "no-origin", Request: Request{}, Want: forwarded(varyOrigin)},
		{Name: "no-origin-post", Request: Request{Method: "POST"}, Want: forwarded(varyOrigin)},
		{Name: "no-origin-options", Request: Request{Method: "OPTIONS", Headers: [][2]string{{"access-control-request-method", "PUT"}}}, Want: forwarded(varyOrigin)},
		{Name: "allowed", Request: get("https://app.example"), Want: forwarded(siteOrigin, siteExposed, varyOrigin)},
		{Name: "allowed-head", Request: Request{Method: "HEAD", Headers: [][2]string{{"origin", "https://app.example"}}}, Want: forwarded(siteOrigin, siteExposed, varyOrigin)},
		{Name: "allowed-any-method", Request: Request{Method: "PURGE", Headers: [][2]string{{"origin", "https://app.example"}}}, Want: forwarded(siteOrigin, siteExposed, varyOrigin)},
		{Name: "allowed-404", Request: get("https://app.example"), Upstream: Upstream{Status: 404}, Want: forwarded(siteOrigin, siteExposed, varyOrigin)},
		{Name: "allowed-redirect", Request: get("https://app.example"), Upstream: Upstream{Status: 302, Headers: [][2]string{{"location", "/login"}}}, Want: forwarded(siteOrigin, siteExposed, varyOrigin)},
		{Name: "allowed-304", Request: get("https://app.example"), Upstream: Upstream{Status: 304}, Want: forwarded(siteOrigin, siteExposed, varyOrigin)},
		{Name: "allowed-503", Request: get("https://app.example"), Upstream: Upstream{Status: 503}, Want: forwarded(siteOrigin, siteExposed, varyOrigin)},
		{Name: "denied", Request: get("https://evil.test"), Want: forwarded(varyOrigin)},
		{Name: "denied-post", Request: Request{Method: "POST", Headers: [][2]string{{"origin", "https://evil.test"}}}, Want: forwarded(varyOrigin)},
		{Name: "options-without-request-method", Request: Request{Method: "OPTIONS", Headers: [][2]string{{"origin", "https://app.example"}}}, Want: forwarded(siteOrigin, siteExposed, varyOrigin)},
		{Name: "options-empty-request-method", Request: preflight("https://app.example", "", ""), Want: forwarded(siteOrigin, siteExposed, varyOrigin)},
		{Name: "request-method-on-get", Request: get("https://app.example", [2]string{"access-control-request-method", "PUT"}), Want: forwarded(siteOrigin, siteExposed, varyOrigin)},
		// A WebSocket handshake is no CORS request; an upstream that doesn't switch
		// answers as to any request.
		{Name: "handshake-refused", Request: get("https://app.example", [2]string{"connection", "Upgrade"}, [2]string{"upgrade", "websocket"}), Want: forwarded(varyOrigin)},
		{Name: "handshake-refused-other-origin", Request: get("https://evil.test", [2]string{"connection", "Upgrade"}, [2]string{"upgrade", "WebSocket"}), Upstream: upstreamCORS,
			Want: forwarded(append(Lines(upstreamCORS.Headers), varyOrigin)...)},
	}},
	{"credentials", `{"allow_origins": ["https://app.example"], "allow_credentials": true}`, []Case{
		{Name: "no-origin", Request: Request{}, Want: forwarded(varyOrigin)},
		{Name: "allowed", Request: get("https://app.example", [2]string{"cookie", "id=1"}), Want: forwarded(credentials, siteOrigin, varyOrigin)},
		{Name: "denied", Request: get("https://evil.test", [2]string{"cookie", "id=1"}), Want: forwarded(varyOrigin)},
	}},
	{"any", `{"allow_origins": ["*"], "expose_headers": ["*"], "allow_methods": ["*"], "allow_headers": ["*"]}`, []Case{
		{Name: "no-origin", Request: Request{}, Want: forwarded(anyOrigin, "access-control-expose-headers: *")},
		{Name: "no-origin-replaces", Request: Request{}, Upstream: upstreamCORS, Want: forwarded(anyOrigin, "access-control-expose-headers: *")},
		{Name: "allowed", Request: get("https://anything.test"), Want: forwarded(anyOrigin, "access-control-expose-headers: *")},
		{Name: "null", Request: get("null"), Want: forwarded(anyOrigin, "access-control-expose-headers: *")},
		{Name: "handshake-refused", Request: get("https://anything.test", [2]string{"connection", "Upgrade"}, [2]string{"upgrade", "websocket"}), Upstream: upstreamCORS,
			Want:         forwarded(Lines(upstreamCORS.Headers)...),
			BeyondEngine: "that a handshake gets nothing of what every answer has is the filter's doing"},
		{Name: "preflight", Request: preflight("https://anything.test", "PURGE", "x-a,x-b"),
			Want: answered(anyOrigin, "access-control-allow-headers: *", "access-control-allow-methods: *")},
		{Name: "preflight-authorization", Request: preflight("https://anything.test", "GET", "authorization"),
			Want: rejected(`header Authorization is not in allow_headers ("*" does not cover it)`)},
		{Name: "preflight-forbidden-method", Request: preflight("https://anything.test", "TRACE", ""), Want: rejected("method TRACE is never allowed")},
		{Name: "preflight-malformed-method", Request: preflight("https://anything.test", "A B", ""), Want: rejected("the requested method is not a method")},
		{Name: "preflight-malformed-header", Request: preflight("https://anything.test", "GET", "x a"), Want: rejected("the requested headers are not a list of header names")},
		{Name: "preflight-null", Request: preflight("null", "PUT", ""),
			Want: answered(anyOrigin, "access-control-allow-headers: *", "access-control-allow-methods: *")},
	}},
}

// upstreams are answers that have CORS headers or Vary already.
var upstreams = []table{
	{"replace", site, []Case{
		{Name: "allowed", Request: get("https://app.example"), Upstream: upstreamCORS, Want: forwarded(siteOrigin, siteExposed, varyOrigin)},
		{Name: "denied", Request: get("https://evil.test"), Upstream: upstreamCORS, Want: forwarded(varyOrigin)},
		{Name: "malformed", Request: get("evil"), Upstream: upstreamCORS, Want: forwarded(varyOrigin)},
		{Name: "right-already", Request: get("https://app.example"),
			Upstream: Upstream{Headers: [][2]string{{"access-control-allow-origin", "https://app.example"}, {"access-control-expose-headers", "X-Request-Id"}, {"vary", "Origin"}}},
			Want:     forwarded(siteOrigin, siteExposed, varyOrigin)},
		{Name: "doubled", Request: get("https://app.example"),
			Upstream:       Upstream{Headers: [][2]string{{"access-control-allow-origin", "https://app.example"}, {"access-control-allow-origin", "*"}, {"access-control-expose-headers", "a"}, {"access-control-expose-headers", "b"}}},
			Want:           forwarded(siteOrigin, siteExposed, varyOrigin),
			BeyondEmulator: "it removes one line where a host removes all"},
		{Name: "doubled-denied", Request: get("https://evil.test"),
			Upstream:       Upstream{Headers: [][2]string{{"access-control-allow-origin", "https://app.example"}, {"access-control-allow-origin", "*"}, {"access-control-max-age", "1"}, {"access-control-max-age", "2"}}},
			Want:           forwarded(varyOrigin),
			BeyondEmulator: "it removes one line where a host removes all"},
		{Name: "vary-kept", Request: get("https://app.example"), Upstream: Upstream{Headers: [][2]string{{"vary", "Accept-Encoding"}}},
			Want: forwarded(siteOrigin, siteExposed, "vary: Accept-Encoding, Origin"), BeyondEmulator: "it joins lines without a comma"},
		{Name: "vary-kept-no-origin", Request: Request{}, Upstream: Upstream{Headers: [][2]string{{"vary", "Accept-Encoding"}}},
			Want: forwarded("vary: Accept-Encoding, Origin"), BeyondEmulator: "it joins lines without a comma"},
		{Name: "vary-has-origin", Request: get("https://app.example"), Upstream: Upstream{Headers: [][2]string{{"vary", "Accept-Encoding, origin"}}},
			Want: forwarded(siteOrigin, siteExposed, "vary: Accept-Encoding, origin")},
		{Name: "vary-has-origin-no-origin", Request: Request{}, Upstream: Upstream{Headers: [][2]string{{"vary", "ORIGIN ,Accept"}}},
			Want: forwarded("vary: ORIGIN, Accept")},
		{Name: "vary-on-second-line", Request: get("https://evil.test"), Upstream: Upstream{Headers: [][2]string{{"vary", "Accept"}, {"vary", "Origin"}}},
			Want: forwarded("vary: Accept, Origin")},
		{Name: "vary-on-second-line-no-origin", Request: Request{}, Upstream: Upstream{Headers: [][2]string{{"vary", "Accept"}, {"vary", "Origin"}}},
			Want: forwarded("vary: Accept, Origin"), BeyondEmulator: "it returns the first of several lines"},
		{Name: "vary-looks-alike", Request: get("https://app.example"), Upstream: Upstream{Headers: [][2]string{{"vary", "X-Origin"}}},
			Want: forwarded(siteOrigin, siteExposed, "vary: X-Origin, Origin"), BeyondEmulator: "it joins lines without a comma"},
		{Name: "vary-star", Request: Request{}, Upstream: Upstream{Headers: [][2]string{{"vary", "*"}}}, Want: forwarded("vary: *")},
		{Name: "no-origin-left-alone", Request: Request{}, Upstream: upstreamCORS, Want: forwarded(append(Lines(upstreamCORS.Headers), varyOrigin)...)},
	}},
	{"keep", `{"allow_origins": ["https://app.example"], "upstream_cors_headers": "keep"}`, []Case{
		{Name: "allowed", Request: get("https://app.example"), Upstream: upstreamCORS, Want: forwarded(Lines(upstreamCORS.Headers)...)},
		{Name: "denied", Request: get("https://evil.test"), Upstream: upstreamCORS, Want: forwarded(Lines(upstreamCORS.Headers)...)},
		{Name: "no-origin", Request: Request{}, Upstream: upstreamCORS, Want: forwarded(Lines(upstreamCORS.Headers)...)},
		{Name: "upstream-has-none", Request: get("https://app.example"), Want: forwarded(siteOrigin, varyOrigin)},
		{Name: "upstream-has-none-no-origin", Request: Request{}, Want: forwarded(varyOrigin)},
		{Name: "upstream-has-others", Request: get("https://app.example"), Upstream: Upstream{Headers: [][2]string{{"access-control-allow-credentials", "true"}}},
			Want: forwarded(siteOrigin, varyOrigin)},
		{Name: "preflight", Request: preflight("https://app.example", "GET", ""), Want: answered(siteOrigin)},
	}},
}

// preflights are answered by the filter (Fetch, "CORS-preflight fetch").
var preflights = []table{
	{"preflight", site, []Case{
		{Name: "allowed", Request: preflight("https://app.example", "PUT", "content-type,x-custom"), Want: answered(siteOrigin, siteMethods, siteHeaders, siteMaxAge)},
		{Name: "safelisted-method", Request: preflight("https://app.example", "POST", "x-custom"), Want: answered(siteOrigin, siteMethods, siteHeaders, siteMaxAge)},
		{Name: "origin", Request: preflight("https://evil.test", "PUT", ""), Want: rejected("origin https://evil.test is not in allow_origins")},
		{Name: "malformed-origin", Request: preflight("https://app.example,https://app.example", "PUT", ""), Want: rejected("the Origin header is not one serialized origin")},
		{Name: "origin-with-slash", Request: preflight("https://app.example/", "PUT", ""), Want: rejected("the Origin header https://app.example/ has a slash at its end, as browsers never send it")},
		{Name: "origin-in-upper-case", Request: preflight("https://App.example", "PUT", ""), Want: rejected("the Origin header https://App.example has upper-case letters, as browsers never send it")},
		{Name: "origin-with-slash-in-upper-case", Request: preflight("HTTPS://app.example/", "PUT", ""), Want: rejected("the Origin header HTTPS://app.example/ has upper-case letters and a slash at its end, as browsers never send it")},
		{Name: "empty-origin", Request: preflight("", "PUT", ""), Want: rejected("the Origin header is empty"), BeyondEmulator: "an empty header is missing there"},
		{Name: "two-origins", Request: preflight("https://app.example", "PUT", "", [2]string{"origin", "https://app.example"}), Want: rejected("the Origin header is not one serialized origin")},
		{Name: "method", Request: preflight("https://app.example", "PURGE", ""), Want: rejected("method PURGE is not in allow_methods (allowed: PUT, DELETE, PATCH)")},
		{Name: "method-case", Request: preflight("https://app.example", "patch", ""), Want: rejected("method patch is not in allow_methods (methods compare by case; allowed: PUT, DELETE, PATCH)")},
		{Name: "two-methods", Request: preflight("https://app.example", "PUT", "", [2]string{"access-control-request-method", "DELETE"}), Want: rejected("the requested method is not a method")},
		{Name: "method-forbidden", Request: preflight("https://app.example", "connect", ""), Want: rejected("method connect is never allowed")},
		{Name: "long-method", Request: preflight("https://app.example", strings.Repeat("M", 5000), ""), Want: rejected("the requested method is not a method")},
		{Name: "header", Request: preflight("https://app.example", "PUT", "x-custom,x-other"), Want: rejected("header x-other is not in allow_headers (allowed: Content-Type, X-Custom)")},
		{Name: "header-prefix", Request: preflight("https://app.example", "PUT", "x-custo"), Want: rejected("header x-custo is not in allow_headers (allowed: Content-Type, X-Custom)")},
		{Name: "header-case", Request: preflight("https://app.example", "PUT", "CONTENT-type"), Want: answered(siteOrigin, siteMethods, siteHeaders, siteMaxAge)},
		{Name: "header-order", Request: preflight("https://app.example", "PUT", "x-custom,content-type"), Want: answered(siteOrigin, siteMethods, siteHeaders, siteMaxAge)},
		{Name: "header-spaces", Request: preflight("https://app.example", "PUT", "content-type \t, x-custom"), Want: answered(siteOrigin, siteMethods, siteHeaders, siteMaxAge)},
		{Name: "header-empty-elements", Request: preflight("https://app.example", "PUT", ",,content-type, ,x-custom,"), Want: answered(siteOrigin, siteMethods, siteHeaders, siteMaxAge)},
		{Name: "header-lines", Request: preflight("https://app.example", "PUT", "content-type",
			[2]string{"access-control-request-headers", "x-custom"}), Want: answered(siteOrigin, siteMethods, siteHeaders, siteMaxAge)},
		{Name: "header-lines-second-not-allowed", Request: preflight("https://app.example", "PUT", "content-type",
			[2]string{"access-control-request-headers", "x-other"}), Want: rejected("header x-other is not in allow_headers (allowed: Content-Type, X-Custom)")},
		{Name: "headers-empty", Request: preflight("https://app.example", "PUT", "", [2]string{"access-control-request-headers", ""}), Want: answered(siteOrigin, siteMethods, siteHeaders, siteMaxAge)},
		{Name: "header-malformed", Request: preflight("https://app.example", "PUT", "x-custom x-other"), Want: rejected("the requested headers are not a list of header names")},
		{Name: "headers-too-long", Request: preflight("https://app.example", "PUT", strings.Repeat("x-custom,", 1000)), Want: rejected("the requested headers are longer than 8192 bytes")},
		{Name: "many-commas", Request: preflight("https://app.example", "PUT", strings.Repeat(",", 4000)+"x-custom"), Want: answered(siteOrigin, siteMethods, siteHeaders, siteMaxAge)},
		{Name: "private-network-not-offered", Request: preflight("https://app.example", "PUT", "", [2]string{"access-control-request-private-network", "true"}),
			Want: answered(siteOrigin, siteMethods, siteHeaders, siteMaxAge)},
		{Name: "not-by-the-upstream", Request: preflight("https://app.example", "PUT", ""), Upstream: upstreamCORS, Want: answered(siteOrigin, siteMethods, siteHeaders, siteMaxAge)},
	}},
	{"preflight-credentials", `{"allow_origins": ["https://app.example"], "allow_methods": ["PUT"], "allow_headers": ["X-Custom"], "allow_credentials": true, "max_age": 0, "preflight_status": 200, "allow_private_network": true}`, []Case{
		{Name: "allowed", Request: preflight("https://app.example", "PUT", "x-custom"),
			Want: Want{Status: 200, Headers: []string{siteOrigin, credentials, "access-control-allow-methods: PUT", "access-control-allow-headers: X-Custom", "access-control-max-age: 0", preflightVary}}},
		{Name: "private-network", Request: preflight("https://app.example", "PUT", "", [2]string{"access-control-request-private-network", "true"}),
			Want: Want{Status: 200, Headers: []string{siteOrigin, credentials, "access-control-allow-methods: PUT", "access-control-allow-headers: X-Custom", "access-control-max-age: 0", "access-control-allow-private-network: true", preflightVary}}},
		{Name: "private-network-false", Request: preflight("https://app.example", "PUT", "", [2]string{"access-control-request-private-network", "false"}),
			Want: Want{Status: 200, Headers: []string{siteOrigin, credentials, "access-control-allow-methods: PUT", "access-control-allow-headers: X-Custom", "access-control-max-age: 0", preflightVary}}},
		{Name: "rejected", Request: preflight("https://evil.test", "PUT", "", [2]string{"access-control-request-private-network", "true"}), Want: rejected("origin https://evil.test is not in allow_origins")},
	}},
	{"preflight-any-credentials", `{"allow_origins": ["https://app.example"], "allow_methods": ["*"], "allow_headers": ["*", "Authorization"], "allow_credentials": true}`, []Case{
		// With credentials a literal "*" means nothing, so the answer names what was asked for.
		{Name: "allowed", Request: preflight("https://app.example", "PURGE", "authorization,x-a"),
			Want: answered(siteOrigin, credentials, "access-control-allow-methods: PURGE", "access-control-allow-headers: authorization,x-a")},
		{Name: "no-headers", Request: preflight("https://app.example", "GET", ""), Want: answered(siteOrigin, credentials, "access-control-allow-methods: GET")},
		{Name: "unusual-form", Request: preflight("https://app.example", "PUT", "x-a , ,X-B,", [2]string{"access-control-request-headers", "x-c"}),
			Want: answered(siteOrigin, credentials, "access-control-allow-methods: PUT", "access-control-allow-headers: x-a,X-B,x-c")},
		{Name: "malformed-header", Request: preflight("https://app.example", "PUT", "x-a,x:b"), Want: rejected("the requested headers are not a list of header names")},
	}},
	{"preflight-any-authorization", `{"allow_origins": ["*"], "allow_headers": ["*", "Authorization"]}`, []Case{
		{Name: "allowed", Request: preflight("https://app.example", "GET", "Authorization,x-a"), Want: answered(anyOrigin, "access-control-allow-headers: *, Authorization")},
		{Name: "method", Request: preflight("https://app.example", "PUT", ""), Want: rejected("method PUT is not in allow_methods (allowed: GET, HEAD, POST)")},
	}},
	{"preflight-minimal", `{"allow_origins": ["https://app.example"]}`, []Case{
		{Name: "allowed", Request: preflight("https://app.example", "HEAD", ""), Want: answered(siteOrigin)},
		{Name: "header", Request: preflight("https://app.example", "GET", "content-type"), Want: rejected("header content-type is not in allow_headers (allowed: none)")},
	}},
	{"preflight-normalized", `{"allow_origins": ["https://app.example"], "allow_methods": ["put", "Delete", "patch"]}`, []Case{
		{Name: "put", Request: preflight("https://app.example", "PUT", ""), Want: answered(siteOrigin, "access-control-allow-methods: PUT, DELETE, patch")},
		{Name: "patch", Request: preflight("https://app.example", "patch", ""), Want: answered(siteOrigin, "access-control-allow-methods: PUT, DELETE, patch")},
		{Name: "upper-case-patch", Request: preflight("https://app.example", "PATCH", ""), Want: rejected("method PATCH is not in allow_methods (allowed: PUT, DELETE, patch)")},
	}},
	{"forward", `{"allow_origins": ["https://app.example"], "allow_methods": ["PUT"], "unmatched_preflights": "FORWARD"}`, []Case{
		{Name: "allowed", Request: preflight("https://app.example", "PUT", ""), Want: answered(siteOrigin, "access-control-allow-methods: PUT")},
		{Name: "origin", Request: preflight("https://evil.test", "PUT", ""), Want: forwarded(varyOrigin)},
		{Name: "method", Request: preflight("https://app.example", "DELETE", ""), Want: forwarded(varyOrigin)},
		// The upstream answers, but what it allows doesn't count.
		{Name: "upstream-allows", Request: preflight("https://evil.test", "PUT", ""), Upstream: upstreamCORS, Want: forwarded(varyOrigin)},
	}},
	{"forward-keep", `{"allow_origins": ["https://app.example"], "unmatchedPreflights": "forward", "upstreamCorsHeaders": "keep"}`, []Case{
		{Name: "upstream-allows", Request: preflight("https://evil.test", "PUT", ""), Upstream: upstreamCORS, Want: forwarded(Lines(upstreamCORS.Headers)...)},
	}},
}

// modes are policies that change nothing.
var modes = []table{
	{"shadow", `{"allow_origins": ["https://app.example"], "mode": "shadow"}`, []Case{
		{Name: "no-origin", Request: Request{}, Want: forwarded()},
		{Name: "allowed", Request: get("https://app.example"), Upstream: upstreamCORS, Want: forwarded(Lines(upstreamCORS.Headers)...)},
		{Name: "denied", Request: get("https://evil.test"), Want: forwarded()},
		{Name: "preflight", Request: preflight("https://app.example", "GET", ""), Want: forwarded()},
		{Name: "preflight-denied", Request: preflight("https://evil.test", "PUT", ""), Upstream: upstreamCORS, Want: forwarded(Lines(upstreamCORS.Headers)...)},
	}},
}
