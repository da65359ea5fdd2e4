package wpt_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// The wants of what WPT says of a request's preflight.
var (
	preflighted   = want{preflight: yes}
	unpreflighted = want{preflight: no}
	refused       = want{fails: true, preflight: yes}
)

// lists are fields of a policy.
func lists(methods, headers string) string {
	fields := ""
	for _, f := range [][2]string{{"methods", methods}, {"headers", headers}} {
		if f[1] != "" {
			fields += fmt.Sprintf(`, "allow_%s": ["%s"]`, f[0], strings.ReplaceAll(f[1], ", ", `", "`))
		}
	}
	return fields
}

// preflights are the rows about whether there is a preflight, and what it allows.
func preflights() []row {
	return slices.Concat(safelisted(), allowing(), stars(), statuses(), cached(), xhrPreflights())
}

// safelisted are the rows of requests that need a preflight, or none.
func safelisted() (rows []row) {
	const simple = "cors/simple-requests.htm"
	for _, headers := range [][]string{
		{"Accept: test"}, {"accept-language: test"}, {"CONTENT-language: test"},
		{"Content-Type: application/x-www-form-urlencoded"}, {"content-type: multipart/form-data"},
		{"content-type: text/plain"}, {"accept: test", "accept-language: test", "content-language: test",
			"content-type: text/plain; parameter=whatever"},
	} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			rows = append(rows, one(simple, fmt.Sprintf("No preflight %s and %q", method, headers), by(anyone),
				xhr(asks(method, headers...)), unpreflighted))
		}
	}
	rows = append(rows,
		one(simple, "No preflight Get", by(anyone), xhr(asks("Get", "content-type: text/plain; parameter=extra_bonus")),
			unpreflighted),
		one(simple, "No preflight post", by(anyone), xhr(asks("post", "content-type: text/plain")), unpreflighted),
		one(simple, "Check simple headers (async)", by(anyone), xhr(asks("POST", "Accept: jewelry",
			"accept-language: nn-NO,nn,en", "content-type: text/plain; parameter=extra", "content-Language: nn-NO")),
			unpreflighted))
	return slices.Concat(rows, headerValues(), notSafelisted(), clientHints())
}

// headerValues are the rows of values that take a header from the safelist or not.
func headerValues() (rows []row) {
	const file = "cors/cors-safelisted-request-header.any.js"
	for _, header := range []struct {
		name   string
		values [2][]string // without a preflight, and with one
	}{
		{"content-type", [2][]string{
			{"text/plain;", "text/plain;garbage", "multipart/form-data"},
			{"text /plain", "text\t/\tplain", "text/plain;garbage\x01\x02", "text/plain,", ",text/plain",
				"text/plain,text/plain", "text/plain,x/x", "text/plain\x0b", "text/plain\x0c",
				"application/www-form-urlencoded", "application/x-www-form-urlencoded;\x7f", `multipart/form-data;"`},
		}},
		{"range", [2][]string{
			{"bytes=100-200", "bytes=200-"},
			{"100-200", "MB=100-200", "bytes =100-200", "bytes\t=100-200", "bytes=  100-200", "bytes=\t\t100-200",
				"bytes= \t100-200", "bytes=100 -200", "bytes=100\t-200", "bytes=100- 200", "bytes=100-\t200",
				"bytes=100-200hello", "bytes=abc-def", "bytes=100-200,300-400", "bytes=-200", "bytes=200-100",
				"bytes=1" + strings.Repeat("0", 60) + "-2" + strings.Repeat("0", 60), "bytes 100-200", "bytes = 100-200",
				",bytes=100-200", "bytes=,100-200", "BYTES=100-200", "Bytes=100-200", "bytes=+0-100", "bytes=0-+100",
				"bytes=+5-", "bytes=0--1", "bytes\x0c=100-200", "bytes=\x0c100-200", "bytes=100\x0c-200",
				"bytes=100-\x0c200", "bytes=100-200\x0c"},
		}},
	} {
		for i, w := range []want{unpreflighted, refused} {
			for _, value := range header.values[i] {
				rows = append(rows, one(file, fmt.Sprintf("Preflight %s for %s %q", w.preflight, header.name, value),
					by(anyone+lists("", "x-print")), asks("POST", header.name+": "+value), w))
			}
		}
	}
	return rows
}

// notSafelisted are the rows of headers that a preflight asks for, and of requests that make none.
func notSafelisted() (rows []row) {
	for _, h := range [][2]string{
		{"accept", `"`}, {"accept", strings.Repeat("0123456789", 13)[:129]}, {"accept-language", "\x01"}, {"accept-language", "@"},
		{"authorization", "basics"}, {"content-language", "\x01"}, {"content-language", "@"}, {"content-type", "text/html"},
		{"content-type", "text/plain; long=" + strings.Repeat("0123456789", 12)[:112]}, {"last-event-id", `"`},
		{"last-event-id", strings.Repeat("0123456789", 13)[:129]}, {"range", "bytes 0-"}, {"test", "hi"},
	} {
		r := one("fetch/api/cors/cors-preflight-not-cors-safelisted.any.js",
			fmt.Sprintf("Need CORS-preflight for %s/%q header", h[0], h[1]), by(anyone+lists("", h[0])),
			asks("GET", h[0]+": "+h[1]), preflighted)
		if h[1] == "\x01" {
			r = otherwise(r, difference{who: theProxy, want: refused,
				why: "Envoy answers a request that has a control character in a header with 400, before any filter."})
		}
		rows = append(rows, r)
	}
	const none = "fetch/api/cors/cors-no-preflight.any.js"
	for _, where := range elsewhere {
		rows = append(rows, one(none, where.words+" [GET]", at(where.at, by(anyone)), asks("GET"), unpreflighted))
	}
	for _, method := range []string{"POST", "HEAD"} {
		rows = append(rows, one(none, "Cross domain ["+method+"]", by(anyone), asks(method), unpreflighted))
	}
	for _, header := range []string{
		"Accept: */*", "Accept-Language: fr", "Content-Language: fr", "Content-Type: application/x-www-form-urlencoded",
		"Content-Type: multipart/form-data", "Content-Type: text/plain", "Content-Type: text/plain;charset=utf-8",
		"Content-Type: Text/Plain;charset=utf-8",
	} {
		rows = append(rows, one(none, "Cross domain [GET] ["+header+"]", by(anyone), asks("GET", header), unpreflighted))
	}
	const late = "cors/late-upload-events.htm"
	for _, r := range []row{
		one(late, "Late listeners: No preflight", by(page+lists("", "custom-header")), xhr(asks("POST")), unpreflighted),
		one(late, "Late listeners: Preflight", by(page+lists("", "custom-header")), xhr(asks("POST", "custom-header: test")),
			preflighted),
	} {
		r.steps[0].kind = "late"
		rows = append(rows, r)
	}
	return rows
}

// clientHints are the rows of headers that Chromium takes for safelisted, and the standard doesn't.
func clientHints() (rows []row) {
	const file = "cors/client-hint-request-headers.htm"
	rows = append(rows, one(file, "Unspecified request headers are disallowed", by(anyone+lists("", "x-print")),
		xhr(asks("GET", "x-print: unicorn", "y-print: unicorn")), refused))
	for _, hint := range []struct{ subtest, header string }{
		{"Unextractable device-memory client hint header is disallowed", "device-memory: "},
		{"Unextractable DPR client hint header is disallowed", "dpr: "},
		{"Unextractable width client hint header is disallowed", "width: "},
		{"Unextractable viewport-width client hint header is disallowed", "viewport-width: "},
		{"Test invalid rtt value is disallowed", "rtt: -1"},
		{"Test invalid downlink value is disallowed", "downlink: -1.0"},
		{"Test invalid ect value is disallowed", "ect: 6g"}, //nolint:misspell // the header's name
	} {
		rows = append(rows, one(file, hint.subtest, by(anyone+lists("", "x-print")), xhr(asks("GET", hint.header)),
			refused))
	}
	judged := difference{who: theVerdict, want: refused,
		why: "Client hints set by a page are safelisted in Chromium, by a tentative test, and not in the Fetch standard, " +
			"by which corsctl judges."}
	for _, method := range []string{"GET", "HEAD", "POST"} {
		rows = append(rows, otherwise(one("cors/simple-requests-ch.tentative.htm", "No preflight "+method, by(anyone),
			xhr(asks(method, "save-data: on", "device-memory: 2.0", "dpr: 3.0", "width: 1200", "viewport-width: 1300")),
			unpreflighted), judged))
	}
	return append(rows, otherwise(one("cors/client-hint-request-headers-2.tentative.htm",
		"Client hint headers are simple headers", by(anyone+lists("", "x-print")),
		xhr(asks("GET", "x-print: unicorn", "content-type: text/plain", "accept: test", "accept-language: nn",
			"content-language: nn", "save-data: on", "device-memory: 1.0", "dpr: 2.0", "width: 35", "viewport-width: 42")),
		preflighted), judged))
}

// allowing are the rows of methods and headers that a preflight allows or doesn't.
func allowing() (rows []row) {
	for _, method := range []string{"DELETE", "PUT", "PATCH", "NEW"} {
		rows = append(rows,
			one(preflightFile, "CORS ["+method+"], server allows", by(anyone+lists(method, "")), asks(method), preflighted),
			one(preflightFile, "CORS ["+method+"], server refuses", by(anyone), asks(method), refused))
	}
	rows = append(rows, one(preflightFile, "CORS [PUT], server allows, check preflight has user agent",
		by(anyone+lists("PUT", "")), asks("PUT"), preflighted))
	several := []string{
		"x-test-header1: a", "x-test-header2: a", "X-test-header3: a", "x-test-header-b: a", "x-test-header-D: a",
		"x-test-header-C: a", "x-test-header-a: a", "Content-Type: allowedOrRefused",
		"Accept: *", "Accept-Language: bzh", "Content-Language: eu",
	}
	const names = "x-test-header1, x-test-header2, x-test-header3, x-test-header-b, x-test-header-d, x-test-header-c, " +
		"x-test-header-a, content-type"
	rows = append(rows,
		one(preflightFile, "CORS [GET] [x-test-header: allowed], server allows", by(anyone+lists("", "x-test-header1")),
			asks("GET", "x-test-header1: allowed"), preflighted),
		one(preflightFile, "CORS [GET] [x-test-header: refused], server refuses", by(anyone),
			asks("GET", "x-test-header1: refused"), refused),
		one(preflightFile, "CORS [PUT] [only safe headers], server allows", by(anyone+lists("PUT", "")),
			asks("PUT", several[8:]...), preflighted))
	for _, method := range []string{"GET", "PUT"} {
		rows = append(rows,
			one(preflightFile, "CORS ["+method+"] [several headers], server allows", by(anyone+lists("PUT", names)),
				asks(method, several...), preflighted),
			one(preflightFile, "CORS ["+method+"] [several headers], server refuses", by(anyone), asks(method, several...), refused))
	}
	const file = "cors/request-headers.htm"
	rows = append(rows,
		one(file, "basic request header", by(page+lists("", "x-print")), xhr(asks("GET", "x-print: unicorn")), want{}),
		one(file, "Simple request headers need not be in allow-headers", by(page+lists("", "x-print")), xhr(asks("GET",
			"x-print: unicorn", "content-type: text/plain", "accept: test", "accept-language: nn", "content-language: nn")), want{}),
		one(file, "Unspecified request headers are disallowed", by(page+lists("", "x-print")),
			xhr(asks("GET", "x-print: unicorn", "y-print: unicorn")), failing))
	rows = append(rows, mended(one(file, "Strange allowheaders (case insensitive)",
		answering(allowed+"|Access-Control-Allow-Headers: ,y-lol,x-PriNT, ,,,Y-PRINT"),
		xhr(asks("GET", "x-print: unicorn", "y-print: narwhal")), want{}), page+lists("", "y-lol, x-PriNT, Y-PRINT"), want{})...)
	const validation = "fetch/api/cors/cors-preflight-response-validation.any.js"
	force := asks("GET", "x-force-preflight: ")
	rows = append(rows, mended(one(validation, "Preflight response with bad Allow-Access-Control-Headers",
		answering(star+"|Access-Control-Allow-Headers: x-force-preflight,header name with space"), force, refused),
		anyone+lists("", "x-force-preflight"), preflighted)...)
	return append(rows, mended(one(validation, "Preflight response with bad Allow-Access-Control-Methods",
		answering(star+"|Access-Control-Allow-Headers: x-force-preflight|Access-Control-Allow-Methods: Bad method name"),
		force, refused), anyone+lists("", "x-force-preflight"), preflighted)...)
}

// stars are the rows of cors-preflight-star.any.js: what * allows, and how methods compare.
func stars() (rows []row) {
	add := func(succeeds, credentials bool, methods, headers, method string, header ...string) row {
		request, policy, lines := asks(method, header...), anyone, star
		if credentials {
			request, policy, lines = include(request), credited, allowed+"|Access-Control-Allow-Credentials: true"
		}
		name := fmt.Sprintf("CORS with credentials: %t; method: %s (allowed: %s); header: %q (allowed: %s)",
			credentials, method, methods, header, headers)
		upstream := answering(lines + "|Access-Control-Allow-Methods: " + methods + "|Access-Control-Allow-Headers: " + headers)
		r := one("fetch/api/cors/cors-preflight-star.any.js", name, upstream, request, want{fails: !succeeds})
		rows = append(rows, r)
		// The same, said by a policy.
		r.servers = []server{by(policy + lists(methods, headers))}
		r.subtest += " (with a policy)"
		return r
	}
	policy := func(r row) { rows = append(rows, r) }
	starred := difference{who: theFilter, want: want{},
		why: "With credentials the standard takes `*` literally, so that it allows nothing. In a policy it means what it " +
			"means without them: the answer has the names that were asked for."}
	normalized := difference{who: theFilter, want: want{},
		why: "`put` and `delete` in a policy are normalised as the standard does with a page's, so that the entry allows what it says."}
	policy(add(true, false, "get", "x-test", "GET", "X-Test: 1"))
	policy(add(true, false, "*", "x-test", "SUPER", "X-Test: 1"))
	policy(add(true, false, "*", "*", "OK", "X-Test: 1"))
	policy(otherwise(add(false, true, "*", "*", "OK", "X-Test: 1"), starred))
	policy(otherwise(add(false, true, "*", "", "PUT"), starred))
	policy(otherwise(add(false, true, "get", "*", "GET", "X-Test: 1"), starred))
	policy(otherwise(add(false, true, "*", "*", "GET", "X-Test: 1"), starred))
	policy(add(true, true, "*", "*", "*", "*: 1"))
	for _, method := range []string{"GET", "HEAD", "POST", "DELETE", "PUT"} {
		lower, safelisted := strings.ToLower(method), browser.SafelistedMethod(method)
		for _, asked := range []string{method, lower} {
			policy(add(true, true, method, "*", asked))
			r := add(safelisted, true, lower, "*", asked)
			if !safelisted {
				r = otherwise(r, normalized)
			}
			policy(r)
		}
	}
	policy(add(true, true, "PATCH", "*", "PATCH"))
	policy(add(false, true, "PATCH", "*", "patch"))
	policy(add(false, true, "patch", "*", "PATCH"))
	policy(add(true, true, "patch", "*", "patch"))
	r := add(false, false, "*", "*", "POST", "Authorization: 123")
	rows[len(rows)-1] = otherwise(rows[len(rows)-1], coversAuthorization)
	policy(r)
	policy(add(true, false, "*", "*, Authorization", "POST", "Authorization: 123"))
	return rows
}

// coversAuthorization is what Chromium does by a preflight's answer whose Access-Control-Allow-Headers is *.
var coversAuthorization = difference{who: theBrowser, want: want{},
	why: "`*` covers Authorization in Chromium, [as in other browsers](https://github.com/whatwg/fetch/issues/1919). A " +
		"policy's `*` doesn't, as the standard says, unless Authorization stands beside it: the preflight is refused."}

// statuses are the rows of the status of the answer to a preflight. The filter gives 200 and 204; any other is
// one that an upstream gives, and a policy mends.
func statuses() (rows []row) {
	add := func(file, subtest string, status int, headers string, request browser.Request) {
		policy := anyone + lists("", headers)
		if status == 200 || status == 204 {
			s := by(fmt.Sprintf(`%s, "preflight_status": %d`, policy, status))
			rows = append(rows, one(file, subtest, s, request, preflighted))
			return
		}
		w := preflighted
		w.fails = status < 200 || status > 299
		s := server{
			preflight: answer{status, star + "|Access-Control-Allow-Headers: " + headers}, actual: answer{lines: star},
		}
		if status/100 == 3 {
			s.preflight.lines += "|Location: NEXT"
		}
		all := mended(one(file, subtest, s, request, w), policy, preflighted)
		if status == http.StatusRequestTimeout {
			all[0] = otherwise(all[0], difference{who: theBrowser, want: w,
				why: "After 408 Chromium makes the request again, a few times; nothing else comes of it."})
		}
		for _, r := range all {
			r.servers = append(r.servers, by(anyone))
			rows = append(rows, r)
		}
	}
	for _, status := range []int{
		200, 201, 202, 203, 204, 205, 206, 300, 301, 302, 303, 304, 305, 306, 307, 308, 400, 401, 402, 403, 404, 405,
		501, 502, 503, 504, 505,
	} {
		add("fetch/api/cors/cors-preflight-status.any.js", fmt.Sprintf("Preflight answered with status %d", status), status,
			"x-force-preflight", asks("GET", "x-force-preflight: "))
	}
	failures := slices.Concat([]int{200, 299}, span(300, 308), span(400, 417), span(500, 505), []int{680, 790})
	for _, status := range failures {
		add("cors/preflight-failure.htm", fmt.Sprintf("Preflight has status %d", status), status, "x-test",
			xhr(asks("GET", "x-test: test")))
	}
	return rows
}

// span are the numbers from one to another.
func span(from, to int) (list []int) {
	for n := from; n <= to; n++ {
		list = append(list, n)
	}
	return list
}

// cached are the rows about answers that the browser remembers.
func cached() (rows []row) {
	const file = "cors/preflight-cache.htm"
	asked := step{Request: xhr(asks("GET", "x-print: a")), want: preflighted}
	remembered := asked
	remembered.want = unpreflighted
	policy := func(maxAge string) []server { return []server{by(anyone + lists("", "x-print") + maxAge)} }
	rows = append(rows,
		row{file: file, subtest: "Test preflight", servers: policy(""), steps: []step{asked}},
		row{file: file, subtest: "preflight for x-print should be cached", servers: policy(`, "max_age": 600`),
			steps: []step{asked, remembered}},
		row{file: file, subtest: "age = 0, should not be cached", servers: policy(`, "max_age": 0`), steps: []step{asked, asked}})
	negative := row{file: file, subtest: "age = -1, should not be cached", steps: []step{asked, asked},
		servers: []server{answering(star + "|Access-Control-Allow-Headers: x-print|Access-Control-Max-Age: -1")}}
	expiring := row{file: file, subtest: "preflight first request, second from cache, wait, third should preflight again",
		servers: policy(`, "max_age": 1`), steps: []step{asked}, waits: true}
	rows = append(rows, negative, expiring)
	post := step{Request: asks("POST", "x-test-header: test"), want: preflighted}
	again := post
	again.want = unpreflighted
	return append(rows, row{file: "fetch/api/cors/cors-preflight-cache.any.js", subtest: "CORS preflight cache reuses explicit header entries",
		servers: []server{by(anyone + lists("", "x-test-header") + `, "max_age": "2h"`)}, steps: []step{post, again}},
		otherwise(row{file: "fetch/api/cors/cors-preflight-cache.any.js",
			subtest: "CORS preflight cache does not reuse wildcard header entries for Authorization",
			servers: []server{answering(star + "|Access-Control-Allow-Headers: *|Access-Control-Max-Age: 7200")},
			steps:   []step{post, {Request: asks("POST", "authorization: test2"), want: refused}},
		}, coversAuthorization),
		one("fetch/api/cors/cors-preflight-unterminated-body.any.js",
			"CORS preflight response with a body that never terminates does not stall the fetch",
			by(anyone+lists("", "x-preflight-test")), asks("GET", "x-preflight-test: 1"), preflighted))
}

// xhrPreflights are the rows of the XMLHttpRequest's tests about preflights.
func xhrPreflights() (rows []row) {
	const folder = "xhr/access-control-"
	add := func(file, subtest string, s server, request browser.Request, w want) {
		rows = append(rows, one(folder+file+".htm", subtest, s, xhr(request), w))
	}
	unaware := server{actual: answer{lines: star}, preflight: answer{status: 405}}
	add("basic-denied", "Same-origin request accepted", at("page", server{}), asks("GET"), want{})
	add("basic-denied", "Cross-origin request denied", by(strangers), asks("GET"), failing)
	add("basic-get-fail-non-simple", "Preflighted cross-origin request denied", unaware, asks("GET", "x-test: foobar"), refused)
	add("basic-post-success-no-content-type", "POST request with text content", unaware, asks("POST"), unpreflighted)
	add("basic-post-with-non-cors-safelisted-content-type", "Same-origin request succeeds", at("page", unaware),
		asks("POST", "Content-Type: application/xml"), unpreflighted)
	add("basic-post-with-non-cors-safelisted-content-type", "CORS request sends preflight and fails", unaware,
		asks("POST", "Content-Type: application/xml"), refused)
	add("basic-preflight-denied", "FOO", by(strangers), asks("FOO"), refused)
	add("preflight-async-header-denied", "Async request denied at preflight", by(anyone), asks("GET", "x-test: foo"), refused)
	add("preflight-async-method-denied", "Async request denied at preflight", by(anyone), asks("DELETE"), refused)
	add("preflight-async-not-supported", "PUT", by(anyone), asks("PUT"), refused)
	add("preflight-headers-async", "Preflighted async request with custom header", by(anyone+lists("", "x-test")),
		asks("GET", "x-test: foobar"), preflighted)
	add("preflight-request-header-lowercase", "Request with uppercase header set", by(anyone+lists("", "x-test")),
		asks("GET", "X-Test: foobar"), preflighted)
	add("preflight-request-header-sorted", "Sorted",
		by(anyone+lists("", "x-custom-s, x-custom-test, x-custom-u, x-custom-ua, x-custom-v")), asks("GET",
			"X-Custom-Test: a", "X-Custom-ua: a", "X-Custom-V: a", "X-Custom-s: a", "X-Custom-U: a"), preflighted)
	add("preflight-request-headers-origin", "'Origin' should not be included in CORS Request-Headers",
		by(anyone+lists("", "x-pass")), asks("GET", "x-pass: PASS"), preflighted)
	add("basic-cors-safelisted-request-headers", "Request with CORS-safelisted headers", by(anyone),
		asks("POST", "Accept: *", "Accept-Language: ru", "Content-Language: ru", "Content-Type: text/plain"), unpreflighted)
	for _, status := range []int{301, 400, 501} {
		s := answering(star)
		s.preflight = answer{status, star + "|Access-Control-Allow-Headers: x-pass"}
		rows = append(rows, mended(one(fmt.Sprintf("%spreflight-request-invalid-status-%d.htm", folder, status),
			fmt.Sprintf("Request with %d preflight response", status), s, xhr(asks("GET", "x-pass: pass")), refused),
			anyone+lists("", "x-pass"), preflighted)...)
	}
	put := by(anyone + lists("PUT", ""))
	rows = append(rows,
		row{file: folder + "basic-non-cors-safelisted-content-type.htm", subtest: "Deny non-CORS-safelisted content type",
			servers: []server{put}, steps: []step{
				{Request: xhr(asks("PUT", "Content-Type: text/plain")), want: preflighted},
				{Request: xhr(asks("PUT", "Content-Type: application/xml")), want: refused},
			}},
		row{file: folder + "recursive-failed-request.htm", subtest: "Repeated",
			servers: []server{by(strangers)},
			steps:   slices.Repeat([]step{{Request: xhr(asks("GET")), want: failing}}, 10)},
		row{file: folder + "preflight-request-must-not-contain-cookie.htm", subtest: "No cookie",
			servers: []server{preflightedCookie()}, steps: []step{
				{Request: include(xhr(asks("GET", "X-Proprietary-Header: foo"))), want: cookie("")},
				{Request: include(xhr(asks("GET", "X-Proprietary-Header: foo"))), want: cookie("foo=1")},
			}})
	return append(rows, row{file: "xhr/allow-lists-starting-with-comma.htm", subtest: "Allow lists starting with a comma",
		servers: []server{
			answering(allowed + "|Access-Control-Allow-Headers: ,y-lol,x-print, ,,,y-print"),
			answering(allowed + "|Access-Control-Allow-Methods: ,,PUT,GET"),
		},
		steps: []step{
			{Request: xhr(asks("GET", "x-print: unicorn", "y-print: narwhal")), want: preflighted},
			{Request: xhr(asks("PUT")), direct: true, want: preflighted},
		}})
}

// preflightedCookie is a server that sets a cookie, and allows a header.
func preflightedCookie() server {
	s := setting("foo=1")
	s.policy += lists("", "X-Proprietary-Header") + `, "max_age": 0`
	return s
}
