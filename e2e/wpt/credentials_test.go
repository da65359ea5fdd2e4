package wpt_test

// credentials are the rows about cookies and Access-Control-Allow-Credentials. What a server has got of
// cookies it says in X-Cookie.
func credentials() (rows []row) {
	const file = "cors/credentials-flag.htm"
	get := xhr(asks("GET"))
	without, with := step{Request: get, want: cookie("")}, step{Request: include(get), want: cookie("")}
	sent := func(name string) step { return step{Request: include(get), want: cookie(name + "=1")} }
	rows = append(rows,
		row{file: file, subtest: "Don't send cookie by default", servers: []server{setting("default=1")},
			steps: []step{without, without}},
		row{file: file, subtest: "Don't send cookie part 2", servers: []server{setting("part2=1")},
			steps: []step{with, without, sent("part2")}},
		row{file: file, subtest: "Don't obey Set-Cookie when withCredentials=false", servers: []server{setting("obey=1")},
			steps: []step{without, with, sent("obey")}})
	for _, value := range []string{"TRUE", "True", `"true"`, "false", "1", "0"} {
		line := "Access-Control-Allow-Credentials: " + value
		wrong := one(file, line+" should be disallowed", answering(allowed+"|"+line), include(get), failing)
		rows = append(rows, mended(wrong, credited, want{})...)
	}
	return append(rows, fetchedCookies()...)
}

// setting is a server that sets a cookie for its path alone, so that rows don't have each other's.
func setting(cookie string) server {
	s := by(credited + `, "expose_headers": ["X-Cookie"]`)
	s.actual.lines = "X-Cookie: COOKIE|Set-Cookie: " + cookie + "; Path=HERE"
	return s
}

// cookie is an answer to a request with that cookie, or with none.
func cookie(value string) want { return want{headers: []string{"X-Cookie: " + value}} }

func fetchedCookies() (rows []row) {
	const file = "fetch/api/cors/cors-cookies.any.js"
	none, one := step{Request: asks("GET"), want: cookie("")}, step{Request: include(asks("GET")), want: cookie("")}
	again := func(cookies string) step { return step{Request: include(asks("GET")), want: cookie(cookies)} }
	for _, r := range []struct {
		subtest, at string
		steps       []step
	}{
		{"Omit mode: no cookie sent", "page", []step{omitted(none), omitted(none)}},
		{"Include mode: 1 cookie", "remote", []step{one, again("a=1")}},
		{"Same-origin mode: cookies are discarded in cors request", "remote", []step{none, none}},
	} {
		s := at(r.at, setting("a=1"))
		rows = append(rows, row{file: file, subtest: r.subtest, servers: []server{s}, steps: r.steps})
	}
	const redirected = "fetch/api/cors/cors-cookies-redirect.any.js"
	for _, preflight := range []bool{false, true} {
		r := row{file: redirected, subtest: "Testing credentials after cross-origin redirection with CORS and no preflight",
			servers: []server{
				{policy: credited + `, "allow_headers": ["a"], "max_age": 0`, actual: answer{301, "Cache-Control: no-cache|Location: NEXT|Set-Cookie: a=1; Path=HERE"}},
				at("port", setting("a=2")),
			}}
		r.servers[1].policy = opaque + `, "allow_headers": ["a"], "allow_credentials": true, "max_age": 0, "expose_headers": ["X-Cookie"]`
		request := include(asks("GET"))
		if preflight {
			r.subtest = "Testing credentials after cross-origin redirection with CORS and preflight"
			request = include(asks("GET", "a: b"))
		}
		r.steps = []step{{Request: request, want: cookie("")}, {Request: request, want: cookie("a=2")}}
		rows = append(rows, r)
	}
	return rows
}

// omitted is a step without credentials, not even those of the page's own server.
func omitted(s step) step {
	s.kind = "omit"
	return s
}

const preflightFile = "fetch/api/cors/cors-preflight.any.js"

// sandboxed are the rows of pages, frames and workers whose origin is opaque.
func sandboxed() (rows []row) {
	for _, k := range []struct{ file, kind string }{
		{"fetch/api/cors/data-url-iframe.html", "data frame"},
		{"fetch/api/cors/data-url-worker.html", "data worker"},
		{"fetch/api/cors/data-url-shared-worker.html", "data shared worker"},
	} {
		no := one(k.file, `fetching "top.txt" with no CORS should be rejected`, at("page", by(page)), asks("GET"), failing)
		null := one(k.file, `fetching "top.txt" with CORS allowing null origin should be allowed`, at("page", by(opaque)),
			asks("GET"), want{origin: "null"})
		no.steps[0].kind, null.steps[0].kind = k.kind, k.kind
		rows = append(rows, no, null)
	}
	get := xhr(asks("GET"))
	for _, r := range []row{
		one("xhr/access-control-sandboxed-iframe-allow.htm", "Allow", at("page", by(anyone)), get, want{origin: "null"}),
		one("xhr/access-control-sandboxed-iframe-allow-origin-null.htm", "Allow null", at("page", by(opaque)), get, want{}),
		one("xhr/access-control-sandboxed-iframe-denied.htm", "Denied", at("page", server{}), get, failing),
		one("xhr/access-control-sandboxed-iframe-denied-without-wildcard.htm",
			"Sandboxed iframe is denied CORS access to server that allows parent origin", by(page), get, failing),
	} {
		r.from = "sandbox"
		rows = append(rows, r)
	}
	dataURL := one("xhr/access-control-basic-allow-access-control-origin-header-data-url.htm",
		"Access granted to null-origin iframe", by(opaque), asks("GET"), want{origin: "null"})
	dataURL.steps[0].kind = "data frame"
	return append(rows, dataURL, one("xhr/access-control-sandboxed-iframe-denied-without-wildcard.htm",
		"Check that path exists and is accessible via CORS XHR request", by(page), get, want{}))
}
