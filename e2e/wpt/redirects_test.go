package wpt_test

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// redirectStatuses are the statuses of redirects.
var redirectStatuses = []int{301, 302, 303, 307, 308}

// redirects are the rows of redirects: who has to allow the page, and by which origin.
func redirects() []row {
	return slices.Concat(redirectedOrigins(), redirectedPreflights(), redirectedCredentials(), redirectsOf(), tainted())
}

// through is a row of a request that is redirected once.
func through(file, subtest string, first, second server, request browser.Request, w want) row {
	r := one(file, subtest, first, request, w)
	r.servers = append(r.servers, second)
	return r
}

// redirectedOrigins are the rows of redirect-origin.htm, whose two servers say * or an origin, null, or nothing.
func redirectedOrigins() (rows []row) {
	const file = "cors/redirect-origin.htm"
	policies := map[string]string{
		"*": anyone, "origin": page, "null": opaque, "none": strangers, "remote": `"allow_origins": ["REMOTE"]`,
	}
	add := func(first, says, second, then string, w want) {
		rows = append(rows, through(file, fmt.Sprintf("%s (%s) to %s (%s)", first, says, second, then),
			at(first, redirecting(302, policies[says])), at(second, by(policies[then])), xhr(asks("GET")), w))
	}
	known, unknown := want{origin: "PAGE"}, want{origin: "null"}
	for _, says := range []string{"*", "origin"} {
		for _, then := range []string{"*", "origin", "null", "none"} {
			local, other := failing, failing
			if then == "*" || then == "origin" {
				local = known
			}
			if then == "*" || then == "null" {
				other = unknown
			}
			add("page", says, "remote", then, local)
			add("remote", says, "remote", then, local)
			add("remote", says, "page", then, other)
			add("remote", says, "other", then, other)
		}
	}
	for _, says := range []string{"null", "none"} {
		add("page", says, "remote", "*", known)
		add("remote", says, "page", "*", failing)
		add("remote", says, "remote", "*", failing)
		add("remote", says, "other", "*", failing)
	}
	add("remote", "*", "remote", "remote", failing)
	add("remote", "*", "other", "remote", failing)
	add("remote", "remote", "remote", "*", failing)
	return rows
}

// redirectedPreflights are the rows of preflights that are redirected, and of those before and after a redirect.
func redirectedPreflights() (rows []row) {
	const header, folder = "x-test", "fetch/api/cors/"
	test := anyone + lists("", header)
	request := asks("GET", header+": test")
	for _, status := range redirectStatuses {
		rows = append(rows, through("cors/redirect-preflight.htm",
			fmt.Sprintf("Should allow redirect %d after successful (200) preflight", status),
			redirecting(status, test), by(test), xhr(request), preflighted))
		bad := redirecting(status, "")
		bad.preflight = answer{status, star + "|Access-Control-Allow-Headers: x-test|Location: NEXT"}
		bad.actual.lines += "|" + star
		rows = append(rows, mended(through(folder+"cors-preflight-redirect.any.js",
			fmt.Sprintf("Redirection %d on preflight failed", status), bad, by(test), request, refused),
			test, preflighted)...)
		rows = append(rows, through(folder+"cors-preflight-redirect.any.js",
			fmt.Sprintf("Redirection %d after preflight succeeded", status), redirecting(status, test), by(test),
			request, preflighted))
		for _, where := range []struct{ words, first, second string }{
			{"same origin to cors", "page", "remote"}, {"cors to same origin", "remote", "page"}, {"cors to another cors", "remote", "port"},
		} {
			words := fmt.Sprintf("Redirect %d: %s (preflight after redirection ", status, where.words)
			first := at(where.first, redirecting(status, test))
			rows = append(rows,
				through(folder+"cors-redirect-preflight.any.js", words+"success case)", first, at(where.second, by(test)), request, preflighted),
				through(folder+"cors-redirect-preflight.any.js", words+"failure case)", first, at(where.second, by(anyone)), request, failing))
		}
	}
	const second = "cors/redirect-preflight-2.htm"
	custom := xhr(asks("GET", "custom-header: admin"))
	rows = append(rows,
		through(second, "Same-origin custom-header request, redirect to cross-origin fails after doing a non-successful preflight",
			at("page", redirecting(302, "")), by(anyone), custom, refused),
		through(second, "Same-origin custom-header request, redirect to cross-origin succeeds after doing a preflight",
			at("page", redirecting(302, "")), by(anyone+lists("", "custom-header")), custom, preflighted))
	return rows
}

// redirectedCredentials are the rows of redirects to a URL with a user or a password.
func redirectedCredentials() (rows []row) {
	to := func(status int, policy, userinfo string) server {
		s := redirecting(status, policy)
		s.actual.lines = "Location: http://" + userinfo + "@NEXT-ADDRESS"
		return s
	}
	for _, user := range [][2]string{
		{"user:pass", "test:test"}, {"user:", "user:"}, {"user", "user"}, {":", ":"}, {":pass", ":pass"}, {"", ""},
	} {
		subtest, userinfo := user[0], user[1]
		r := through("cors/redirect-userinfo.htm", "Disallow redirect with userinfo (//"+subtest+"@)",
			to(302, anyone, userinfo), by(anyone), xhr(asks("GET")), failing)
		if userinfo == "" {
			r.subtest, r.steps[0].want = "Allow redirect with userinfo (//@)", want{}
		}
		if userinfo == ":" {
			r = otherwise(r, difference{who: theTest, want: want{},
				why: "By the URL standard a URL with an empty user name and an empty password includes no credentials, " +
					"and so may be redirected to."})
		}
		rows = append(rows, r)
	}
	for _, status := range redirectStatuses {
		for _, where := range []struct{ words, first, second string }{
			{"same origin to remote", "page", "port"}, {"remote to same origin", "port", "page"},
			{"remote to same remote", "port", "port"}, {"remote to another remote", "port", "remote"},
		} {
			for _, user := range [][2]string{
				{"without user and password", ""}, {"with user and password", "user:password"}, {"with user", "user:"},
				{"with password", ":password"},
			} {
				words, userinfo := user[0], user[1]
				w := want{fails: userinfo != ""}
				if !w.fails && where.first != "page" {
					continue
				}
				rows = append(rows, through("fetch/api/cors/cors-redirect-credentials.any.js",
					fmt.Sprintf("Redirect %d from %s %s", status, where.words, words),
					at(where.first, to(status, anyone, userinfo)), at(where.second, by(anyone)), asks("GET"), w))
			}
		}
	}
	return rows
}

// redirectsOf are the rows of the Origin after redirects, with each status.
func redirectsOf() (rows []row) {
	for _, status := range redirectStatuses {
		for _, where := range []struct{ words, first, second, origin string }{
			{"cors to same cors", "remote", "remote", "PAGE"}, {"cors to another cors", "remote", "port", "null"},
			{"same origin to cors", "page", "remote", "PAGE"}, {"cors to same origin", "remote", "page", "null"},
		} {
			rows = append(rows, through("fetch/api/cors/cors-redirect.any.js", fmt.Sprintf("Redirect %d: %s", status, where.words),
				at(where.first, redirecting(status, anyone)), at(where.second, by(anyone)), asks("GET"),
				want{origin: where.origin, preflight: no}))
		}
		rows = append(rows, through("fetch/api/redirect/redirect-mode.any.js",
			fmt.Sprintf("cross-origin redirect %d in follow redirect and cors mode", status),
			redirecting(status, anyone), by(anyone), asks("GET"), want{}))
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			for _, where := range []struct{ words, first, second, policy, origin string }{
				{"Same origin to other origin", "page", "remote", page, "PAGE"},
				{"Other origin to other origin", "remote", "remote", page, "PAGE"},
				{"Other origin to same origin", "remote", "page", opaque, "null"},
			} {
				rows = append(rows, through("fetch/api/redirect/redirect-origin.any.js",
					fmt.Sprintf("%s redirection[%s] %d", where.words, method, status),
					at(where.first, redirecting(status, page)), at(where.second, by(where.policy)), asks(method),
					want{origin: where.origin}))
			}
		}
	}
	const original = "fetch/api/redirect/redirect-back-to-original-origin.any.js"
	noCORS := asks("GET")
	noCORS.Mode = browser.ModeNoCORS
	rows = append(rows,
		through(original, `original => remote => original with mode: "no-cors"`, redirecting(303, anyone), at("page", by(anyone)), noCORS, want{opaque: true}),
		through(original, `original => remote => original with mode: "cors"`, redirecting(303, anyone), at("page", by(anyone)), asks("GET"), want{}))
	return append(rows, xhrRedirects()...)
}

// xhrRedirects are the rows of the XMLHttpRequest's tests about redirects.
func xhrRedirects() (rows []row) {
	const folder = "xhr/access-control-"
	const file = folder + "and-redirects-async.htm"
	get, custom := xhr(asks("GET")), xhr(asks("GET", "x-test: test"))
	badURL := by(anyone)
	badURL.actual = answer{302, "Location: foo://bar.cgi"}
	userinfo := redirecting(302, anyone)
	userinfo.actual.lines = "Location: http://username:password@NEXT-ADDRESS"
	preflight := func(headers string) server {
		s := redirecting(302, "")
		s.preflight = answer{302, star + headers + "|Location: NEXT"}
		s.actual.lines += "|" + star
		return s
	}
	rows = append(rows,
		through(file, "Request is redirected without CORS headers to a response with *", redirecting(302, strangers), by(anyone), get, failing),
		through(file, "Request is redirected to a response with *", redirecting(302, anyone), by(anyone), get, want{}),
		through(file, "Request with user info is redirected to a response with *", userinfo, by(anyone), get, failing),
		one(file, "Request is redirect to a bad URL", badURL, get, failing),
		through(file, "Preflighted request is redirected to a response with *", preflight(""), by(anyone), custom, refused),
		through(file, "Preflighted request is redirected to a response with * and header allowed",
			preflight("|Access-Control-Allow-Headers: x-test"), by(anyone), custom, refused),
		through(file, "Request is redirected to a same-origin resource file", at("page", redirecting(302, "")), at("page", server{}),
			custom, want{}))
	const same = folder + "and-redirects-async-same-origin.htm"
	for _, r := range []struct {
		words, policy string
		fails         bool // with credentials
	}{
		{"Access-Control-Allow-Origin=* (with star)", anyone, true},
		{"a specific Access-Control-Allow-Origin", credited, false},
		{"a specific Access-Control-Allow-Origin (no credentials)", page, true},
	} {
		rows = append(rows,
			through(same, "Request without credentials is redirected to a cross-origin response with "+r.words,
				at("page", redirecting(302, "")), by(r.policy), get, want{}),
			through(same, "Request with credentials is redirected to a cross-origin response with "+r.words,
				at("page", redirecting(302, "")), by(r.policy), include(get), want{fails: r.fails}))
	}
	s := by(anyone + `, "expose_headers": ["foo"]`)
	s.actual.lines = "foo: bar|hoge: fuga"
	return append(rows, through(folder+"expose-headers-on-redirect.html", "Expose on redirect", at("page", redirecting(302, "")), s,
		get, want{headers: []string{"foo: bar", "hoge"}}))
}

// tainted are the rows of answers to preflights with the origin null, and with the page's, for one URL.
func tainted() (rows []row) {
	const file = "fetch/api/cors/cors-preflight-cache-tainted.any.js"
	policy := anyone + lists("", "x-test-header") + `, "max_age": "2h"`
	request := step{Request: asks("POST", "x-test-header: test"), want: preflighted}
	direct := request
	direct.direct = true
	servers := []server{redirecting(307, policy), at("port", by(policy))}
	return []row{
		{file: file, subtest: "Tainted CORS preflight cache entry is not reused for untainted requests", servers: servers,
			steps: []step{request, direct}},
		{file: file, subtest: "Untainted CORS preflight cache entry is not reused for tainted requests", servers: servers,
			steps: []step{direct, request}},
	}
}
