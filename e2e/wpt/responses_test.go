package wpt_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// responses are the rows about what a page sees of an answer: its status, and its headers.
func responses() []row {
	return slices.Concat(exposing(), filtering(), answered(), revalidated())
}

// controlled is what Envoy does with answers that no server should give.
const controlled = "Envoy takes no answer that has a control character in a header; the page gets its 502, which it can " +
	"read only if a policy lets it."

// exposing are the rows of how Access-Control-Expose-Headers is parsed.
func exposing() (rows []row) {
	const file = "cors/access-control-expose-headers-parsing.window.js"
	for _, exposed := range []bool{true, false} {
		values := []string{"BB-8", "bb-8|no", "no|bb-8", "|bb-8", ",bb-8", "'bb-8',bb-8"}
		if !exposed {
			values = []string{"bb-8,,@#$#%%&^&^*()()11!", "bb-8, no no", "@#$#%%&^&^*()()11!,bb-8", "bb-8|no no", "bb-8\x0c",
				"bb-8\x0b", "bb-8\x0b,bb-8", "'bb-8'", `"bb-8",bb-8`}
		}
		for _, value := range values {
			lines := star + "|Content-Language: mkay|BB-8: hey"
			for line := range strings.SplitSeq(value, "|") {
				lines += "|Access-Control-Expose-Headers: " + line
			}
			w := want{headers: []string{"Content-Language: mkay", "BB-8"}}
			if exposed {
				w.headers[1] = "BB-8: hey"
			}
			both := mended(one(file, fmt.Sprintf("Parsing: %q", value), answering(lines), asks("GET"), w),
				anyone+`, "expose_headers": ["bb-8"]`, want{headers: []string{"Content-Language: mkay", "BB-8: hey"}})
			if strings.ContainsAny(value, "\x0b\x0c") {
				both[0] = otherwise(both[0], difference{who: theProxy, want: failing, why: controlled})
				both[1].steps[0].want = want{status: 502}
			}
			rows = append(rows, both...)
		}
	}
	const stars = "fetch/api/cors/cors-expose-star.sub.any.js"
	lines := func(s server) server {
		s.actual.lines = "Test: X|Set-Cookie: X; Path=HERE|*: whoa|Content-Type: text/plain"
		return s
	}
	all := want{headers: []string{"Test: X", "Set-Cookie", "*: whoa"}}
	rows = append(rows,
		one(stars, "Basic Access-Control-Expose-Headers: * support", lines(by(anyone+`, "expose_headers": ["*"]`)), asks("GET"), all))
	several := lines(server{})
	several.actual.lines += "|" + star + "|Access-Control-Expose-Headers: *|Access-Control-Expose-Headers: set-cookie"
	rows = append(rows, mended(one(stars, "* can be one of several values", several, asks("GET"), all),
		anyone+`, "expose_headers": ["*"]`, all)...)
	literal := lines(server{})
	literal.actual.lines += "|" + allowed + "|Access-Control-Allow-Credentials: true|Access-Control-Expose-Headers: *"
	return append(rows, mended(one(stars, "* for credentialed fetches only matches literally", literal, include(asks("GET")),
		want{headers: []string{"Content-Type: text/plain", "Test", "Set-Cookie", "*: whoa"}}),
		credited+`, "expose_headers": ["Test"]`,
		want{headers: []string{"Content-Type: text/plain", "Test: X", "Set-Cookie", "*"}})...)
}

// filtering are the rows of which headers a page sees.
func filtering() (rows []row) {
	const file = "fetch/api/cors/cors-filtering.sub.any.js"
	for _, h := range []struct {
		line      string
		safe, may bool // seen by itself, and if it is exposed
	}{
		{"Cache-Control: no-cache", true, true}, {"Content-Language: fr", true, true}, {"Content-Type: text/html", true, true},
		{"Expires: 04 May 1988 22:22:22 GMT", true, true}, {"Last-Modified: 04 May 1988 22:22:22 GMT", true, true},
		{"Pragma: no-cache", true, true}, // Go's client adds a Cache-Control to it; see below
		{"Content-Length: 4", true, true},
		{"Age: 27", false, true}, {"Server: wptServe", false, true}, {"Warning: Mind the gap", false, true},
		{"Set-Cookie: name=value; Path=HERE", false, false}, {"Set-Cookie2: name=value", false, false},
	} {
		name, _, _ := strings.Cut(h.line, ": ")
		seen := func(sees bool) want {
			if sees {
				return want{headers: []string{h.line}}
			}
			return want{headers: []string{name}}
		}
		s := by(anyone)
		s.actual.lines = h.line
		if name == "Pragma" {
			s.actual.lines += "|Cache-Control: no-cache"
		}
		rows = append(rows, one(file, "CORS filter on "+name+" header", s, asks("GET"), seen(h.safe)))
		if h.safe && name != "Content-Length" {
			continue
		}
		exposed := s
		exposed.policy += fmt.Sprintf(`, "expose_headers": [%q]`, name)
		subtest := "CORS filter on " + name + " header, header is exposed"
		r := one(file, subtest, exposed, asks("GET"), seen(h.may))
		switch name {
		case "Set-Cookie", "Set-Cookie2": // refused in a policy
			r.servers[0] = answering(star + "|Access-Control-Expose-Headers: " + name + "|" + h.line)
		case "Server":
			r = otherwise(r, difference{who: theProxy, want: want{headers: []string{"Server: envoy"}},
				why: "Envoy puts its own Server in the place of an upstream's."})
		}
		rows = append(rows, r)
	}
	return append(rows, responseHeaders()...)
}

// responseHeaders are the rows of response-headers.htm, whose server gives one answer to all.
func responseHeaders() (rows []row) {
	const file = "cors/response-headers.htm"
	s := by(anyone + `, "expose_headers": ["X-Custom-Header", "X-Custom-Header-Empty", "X-Custom-Header-Comma",
		"X-Custom-Header-Bytes", "X-Second-Expose", "Date"]`)
	s.actual.lines = "Content-Type: text/plain|X-Custom-Header: test|X-Custom-Header: test|Set-Cookie: test1=t1; Path=HERE|" +
		"Set-Cookie2: test2=t2|X-Custom-Header-Empty: |X-Custom-Header-Comma: 1|X-Custom-Header-Comma: 2|" +
		"X-Custom-Header-Bytes: \xe2\x80\xa6|X-Nonexposed: unicorn|X-Second-Expose: flyingpig|X-Powered-By: a|" +
		"Cache-Control: no-cache|Content-Language: nn|Expires: Thu, 01 Dec 1994 16:00:00 GMT|" +
		"Last-Modified: Thu, 01 Dec 1994 10:00:00 GMT|Pragma: no-cache|Content-Length: 4|Date: Wed, 22 Oct 2013 10:00:00 GMT"
	add := func(subtest string, headers ...string) {
		rows = append(rows, one(file, subtest, s, xhr(asks("GET")), want{headers: headers}))
	}
	add("Expose Access-Control-Expose-Headers (x-custom-header-comma)", "X-Custom-Header-Comma: 1, 2")
	add("Expose second Access-Control-Expose-Headers (x-second-expose)", "X-Second-Expose: flyingpig")
	add("x-custom-header bytes", "X-Custom-Header-Bytes: â\u0080¦")
	add("Exposed server field readable (Date)", "Date: Wed, 22 Oct 2013 10:00:00 GMT")
	for _, line := range []string{
		"Cache-Control: no-cache", "Content-Language: nn", "Expires: Thu, 01 Dec 1994 16:00:00 GMT",
		"Last-Modified: Thu, 01 Dec 1994 10:00:00 GMT", "Pragma: no-cache", "Content-Length: 4", "Content-Type: text/plain",
	} {
		name, _, _ := strings.Cut(line, ": ")
		add(name+": readable by default", line)
	}
	add("Server: unreadable by default", "Server")
	add("X-Powered-By: unreadable by default", "X-Powered-By")
	add("Combined testing of cors response headers", "X-Custom-Header: test, test", "X-Custom-Header-Empty: ", "Set-Cookie",
		"Set-Cookie2", "X-Non-Existent-Header", "X-Nonexposed")
	add("getResponse: don't expose x-nonexposed", "X-Custom-Header: test, test", "X-Nonexposed")
	add("getAllResponseHeaders: don't expose x-nonexposed", "X-Custom-Header: test, test", "X-Nonexposed")

	const safelisted = "xhr/access-control-basic-cors-safelisted-response-headers.htm"
	s = by(anyone)
	s.actual.lines = "Cache-Control: no-cache|Content-Language: en|Content-Type: text/plain|Expires: 0|Last-Modified: 0|" +
		"Pragma: no-cache|X-WebKit: foobar"
	rows = append(rows, one(safelisted, "Response with CORS-safelisted headers", s, xhr(asks("GET")), want{headers: []string{
		"Cache-Control: no-cache", "Content-Language: en", "Content-Type: text/plain", "Expires: 0", "Last-Modified: 0",
		"Pragma: no-cache", "X-WebKit"}}))
	s = by(anyone + `, "expose_headers": ["X-Foo"]`)
	s.actual.lines = "X-foo: BAR|x-test: TEST"
	return append(rows, one("xhr/access-control-response-with-exposed-headers.htm", "Exposed", s, xhr(asks("GET")),
		want{headers: []string{"X-Foo: BAR", "X-Test"}}))
}

// answered are the rows of the status that a page sees, which is 0 after a network error.
func answered() (rows []row) {
	const async = "cors/status-async.htm"
	server := func(status int, headers string) server {
		s := by(page + lists("CHICKEN, PUT", headers) + `, "expose_headers": ["X-Request-Method"]`)
		s.actual = answer{status, "X-Request-Method: METHOD"}
		return s
	}
	ok := func(method string, status int) {
		rows = append(rows, one(async, fmt.Sprintf("Status on %s %d", method, status), server(status, ""), xhr(asks(method)),
			want{status: status, headers: []string{"X-Request-Method: " + method}}))
	}
	for _, status := range []int{200, 201, 202, 203, 204, 205, 206, 209, 299, 400} {
		ok("GET", status)
	}
	for _, method := range []string{"POST", "HEAD", "PUT", "CHICKEN"} {
		ok(method, 200)
	}
	ok("HEAD", 401)
	ok("POST", 404)
	ok("POST", 500)
	// The server gives the status to the preflight, too.
	failing := func(method string, status int, headers ...string) {
		subtest := fmt.Sprintf("Status on %s %d", method, status)
		if headers != nil {
			subtest += " (nonsimple)"
		}
		s := server(status, "x-nonsimple")
		s.policy = ""
		s.actual.lines += "|" + allowed
		s.preflight = answer{status, allowed + "|Access-Control-Allow-Methods: CHICKEN, PUT|Access-Control-Allow-Headers: x-nonsimple"}
		rows = append(rows, mended(one(async, subtest, s, xhr(asks(method, headers...)), refused),
			page+lists("CHICKEN, PUT", "x-nonsimple"), want{status: status, preflight: yes})...)
	}
	failing("PUT", 699)
	failing("CHICKEN", 501)
	for _, m := range []struct {
		method string
		status int
	}{{"GET", 400}, {"HEAD", 401}, {"POST", 404}, {"PUT", 699}, {"CHICKEN", 501}} {
		failing(m.method, m.status, "x-nonsimple: true")
	}
	for _, m := range []struct {
		method   string
		statuses []int
	}{
		{"GET", []int{200, 204, 400, 401}}, {"HEAD", []int{200, 204, 400, 401, 501, 699}},
		{"POST", []int{204, 400, 401, 404}}, {"PUT", []int{699}}, {"CHICKEN", []int{501}},
	} {
		for _, status := range m.statuses {
			rows = append(rows, one("cors/status-preflight.htm", fmt.Sprintf("Status after preflight on %s %d", m.method, status),
				server(status, "x-nonsimple"), xhr(asks(m.method, "x-nonsimple: true")), want{status: status, preflight: yes}))
		}
	}
	return append(rows, allowedStatuses()...)
}

// allowedStatuses are the rows of status.htm.
func allowedStatuses() (rows []row) {
	const file = "cors/status.htm"
	simple, custom := xhr(asks("GET")), xhr(asks("GET", "X-Custom: preflight"))
	add := func(subtest, policy string, status int, request browser.Request, w want) {
		s := by(policy + lists("", "x-custom"))
		s.actual.status = status
		rows = append(rows, one(file, subtest, s, request, w))
	}
	add("CORS disallowed, response status 400.", strangers, 400, simple, failing)
	add("CORS disallowed, preflight status 200.", strangers, 200, custom, failing)
	add("CORS allowed, response status 400.", page, 400, simple, want{status: 400})
	add("CORS allowed, preflight status 200, response status 400.", page, 400, custom, want{status: 400})
	bad := answering(allowed)
	bad.preflight = answer{400, allowed + "|Access-Control-Allow-Headers: x-custom"}
	return append(rows, mended(one(file, "CORS allowed, preflight status 400.", bad, custom, failing),
		page+lists("", "x-custom"), want{})...)
}

// revalidated are the rows of an answer with 304, that says what of the remembered answer changes.
func revalidated() (rows []row) {
	const file = "cors/304.htm"
	const cachable = "ETag: \"abcdef\"|Cache-Control: private, no-cache|"
	add := func(subtest, first, then, policy string, wants, cured [2]want) {
		s := server{actual: answer{lines: cachable + first}, again: answer{304, then}}
		r := row{file: file, subtest: subtest, servers: []server{s}}
		for _, w := range wants {
			r.steps = append(r.steps, step{Request: xhr(asks("GET")), want: w})
		}
		both := mended(r, policy, cured[0])
		if wants[1].fails || !slices.Equal(wants[0].headers, wants[1].headers) {
			both[0] = otherwise(both[0], difference{who: theVerdict,
				why: "It remembers no answer, so that no server says 304 to it."})
		}
		both[1].steps[1].want = cured[1]
		rows = append(rows, both...)
	}
	saying := func(lines ...string) want { return want{headers: lines} }
	expose := func(names string) string { return "|Access-Control-Expose-Headers: " + names }
	add("A 304 response with no CORS headers inherits from the stored response", "A: 1|B: 1|"+star, "A: 2|B: 2", anyone,
		[2]want{saying("A"), saying("A")}, [2]want{saying("A"), saying("A")})
	both := anyone + `, "expose_headers": ["A", "B"]`
	add("A 304 can expand Access-Control-Expose-Headers", "A: 3|B: 3|"+star, "A: 4|B: 4"+expose("a, b"), both,
		[2]want{saying("A", "B"), saying("A: 4", "B: 4")}, [2]want{saying("A: 3", "B: 3"), saying("A: 4", "B: 4")})
	add("A 304 can contract Access-Control-Expose-Headers", "A: 5|B: 5|"+star+expose("a, b"), "A: 6|B: 6"+expose("a"), both,
		[2]want{saying("A: 5", "B: 5"), saying("B")}, [2]want{saying("A: 5", "B: 5"), saying("A: 6", "B: 6")})
	add("A 304 can change Access-Control-Allow-Origin", "A: 7|"+star, "A: 8|Access-Control-Allow-Origin: other.origin.example",
		anyone, [2]want{{}, failing}, [2]want{})
	const script = "cors/script-304.html"
	s := by(page)
	s.actual.lines, s.again = cachable+"Content-Type: text/javascript", answer{304, "Cache-Control: private, no-cache"}
	load := step{Request: asks("GET"), kind: "script"}
	return append(rows,
		row{file: script, subtest: "Load a fresh cross-origin script", servers: []server{s}, steps: []step{load}},
		row{file: script, subtest: "Reload same cross-origin script from the memory cache after revalidation",
			servers: []server{s}, steps: []step{load, load}})
}
