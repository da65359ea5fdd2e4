package wpt_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// A row is a subtest of WPT, told anew: what the servers answer, what a page asks, and what WPT says
// that comes of it. Some are told twice, with a policy and without.
//
// In policies and lines of answers PAGE stands for the page's origin, HOST for that without its scheme, UPPER
// and UPHOST for these in upper case, REMOTE for the origin of WPT's usual other server, ASKED for that of the
// server that answers, HERE for its path, and NEXT for the URL of the row's next server. In an upstream's
// answer COOKIE stands for the request's cookies, and METHOD for its method.
type row struct {
	file, subtest string
	// from is who asks: "" is a page, "remote" a page of the other server, "sandbox" a page with an opaque origin.
	from string
	// servers are those that the row needs. The page asks the first; redirects lead to the others.
	servers []server
	// steps are the requests, one after the other.
	steps []step
	// waits tells that the page asks until there is a second preflight.
	waits bool
	// differs is how it comes otherwise than WPT says.
	differs *difference
}

func (r row) String() string { return r.file + ": " + r.subtest }

// page is the server whose page asks.
func (r row) page() string {
	if r.from == "remote" {
		return "remote"
	}
	return "page"
}

// A server is a path that WPT's server, or one of the others that it is, answers.
type server struct {
	at string // its origin, by the names that website has; "" is the remote one
	// policy has the fields of the filter's policy; without it the filter leaves all to the upstream.
	policy string
	// What the upstream answers to preflights, to other requests, and to those that revalidate what the
	// browser has in its cache.
	preflight, actual, again answer
}

// origin is the server's name among those that website has.
func (s server) origin() string { return cmp.Or(s.at, "remote") }

// An answer has a status, 200 if it is 0, and header lines, with | between them.
type answer struct {
	status int
	lines  string
}

// A step is a request, and what comes of it.
type step struct {
	browser.Request
	kind string // what makes it, where it is neither a plain fetch() nor a plain XMLHttpRequest
	// direct tells that the row's second server is asked, not the first.
	direct bool
	want   want
}

// A want is what a page sees. The zero value is an answer with the status 200.
type want struct {
	fails  bool // with a network error
	status int
	// headers are lines that the page sees, and names of those that it doesn't see.
	headers []string
	// preflight tells whether there is a preflight, where the test says it.
	preflight said
	// origin is the Origin with which the last server is asked, where the test says it.
	origin string
	opaque bool // the answer is one that the page can't look into
}

// A said is yes or no, where WPT says it.
type said string

const (
	yes said = "yes"
	no  said = "no"
)

// A difference is what comes otherwise than WPT says, of all steps.
type difference struct {
	who  who
	want want
	why  string
}

// A who is who does otherwise than WPT says.
type who string

const (
	theFilter  who = "the filter"
	theBrowser who = "Chromium"
	theVerdict who = "`corsctl probe`"
	theProxy   who = "Envoy"
	theTest    who = "WPT's test"
)

var failing = want{fails: true}

// The policies that most rows have.
const (
	anyone    = `"allow_origins": ["*"]`
	page      = `"allow_origins": ["PAGE"]`
	opaque    = `"allow_origins": ["null"]`
	strangers = `"allow_origins": ["https://stranger.example"]`
	credited  = page + `, "allow_credentials": true`
)

// The lines of an upstream's answer that most rows have.
const (
	star    = "Access-Control-Allow-Origin: *"
	allowed = "Access-Control-Allow-Origin: PAGE"
)

// by is the remote server with a policy, and an upstream that knows nothing of CORS.
func by(policy string) server { return server{policy: policy} }

// at is a server elsewhere.
func at(where string, s server) server {
	s.at = where
	return s
}

// answering is a server without a policy, whose upstream gives the same lines to preflights.
func answering(lines string) server {
	return server{preflight: answer{lines: lines}, actual: answer{lines: lines}}
}

// redirecting is a server whose upstream redirects to the next one. It doesn't say no-store: such a redirect
// holds its connection in Chromium while the next preflight waits for one, so that many at once stop each other.
func redirecting(status int, policy string) server {
	return server{policy: policy, actual: answer{status, "Location: NEXT"}}
}

// one is a row with one server and one request.
func one(file, subtest string, s server, request browser.Request, w want) row {
	return row{file: file, subtest: subtest, servers: []server{s}, steps: []step{{Request: request, want: w}}}
}

// asks is a request with header lines, each a name and its value behind ": ".
func asks(method string, headers ...string) browser.Request {
	r := browser.Request{Method: method}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Headers = append(r.Headers, [2]string{name, value})
	}
	return r
}

// xhr makes it a request of an XMLHttpRequest.
func xhr(r browser.Request) browser.Request {
	r.Initiator = browser.InitiatorXHR
	return r
}

// include makes it a request with credentials.
func include(r browser.Request) browser.Request {
	r.CredentialsInclude = true
	return r
}

// mended is a row whose upstream answers wrongly, and another one in which a policy mends that, so that the
// page gets what the policy says.
func mended(r row, policy string, w want) []row {
	cured := r
	cured.subtest += " (with a policy)"
	cured.servers = slices.Clone(r.servers)
	cured.servers[0].policy = policy
	cured.steps = slices.Clone(r.steps)
	cured.steps[0].want = w
	return []row{r, cured}
}

// told is the name of the subtest that a row tells.
func (r row) told() string {
	name, _, _ := strings.Cut(r.subtest, " (with a policy)")
	return name
}

// otherwise is a row that comes otherwise than WPT says.
func otherwise(r row, d difference) row {
	r.differs = &d
	return r
}

// expected is what is expected of someone, which is what WPT says unless it differs.
func (r row) expected(of who, s step) want {
	d := r.differs
	if d == nil || d.who == theBrowser && of == theVerdict || d.who == theVerdict && of == theBrowser {
		return s.want
	}
	return d.want
}

// all are all rows.
func all() []row {
	return slices.Concat(origins(), credentials(), preflights(), responses(), redirects(), sandboxed())
}

const (
	basicFile  = "cors/basic.htm"
	originFile = "cors/origin.htm"
	remoteFile = "cors/remote-origin.htm"
)

// elsewhere are WPT's names for where servers are, and ours.
var elsewhere = []struct{ words, at string }{
	{"Cross domain basic usage", "remote"},
	{"Same domain different port", "port"},
	{"Cross domain different port", "remote port"},
	{"Cross domain different protocol", "remote https"},
	{"Same domain different protocol different port", "https"},
}

// origins are the rows about Access-Control-Allow-Origin.
func origins() (rows []row) {
	get := xhr(asks("GET"))
	rows = append(rows,
		one(basicFile, "Same domain basic usage: origin: none", at("page", server{}), get, want{}),
		one(basicFile, "Same domain basic usage: origin: echo", at("page", by(page)), get, want{}))
	for _, where := range elsewhere {
		rows = append(rows,
			one(basicFile, where.words+": origin: none", at(where.at, by(strangers)), get, failing),
			one(basicFile, where.words+": origin: echo", at(where.at, by(page)), get, want{}))
		const file = "fetch/api/cors/cors-basic.any.js"
		noCORS := asks("GET")
		noCORS.Mode = browser.ModeNoCORS
		rows = append(rows,
			one(file, where.words+" [no-cors mode]", at(where.at, by(anyone)), noCORS, want{opaque: true}),
			one(file, where.words+" [server forbid CORS]", at(where.at, by(strangers)), asks("GET"), failing),
			one(file, where.words+" [cors mode]", at(where.at, by(anyone)), asks("GET"), want{}))
		const keepalive = "fetch/api/cors/cors-keepalive.any.js"
		for _, r := range []row{
			one(keepalive, "[no-cors mode]", at(where.at, by(anyone)), noCORS, want{opaque: true}),
			one(keepalive, "[cors mode, server forbid CORS]", at(where.at, by(strangers)), asks("GET"), failing),
			one(keepalive, "[cors mode]", at(where.at, by(anyone)), asks("GET"), want{}),
		} {
			r.subtest = "[keepalive] " + where.words + " " + r.subtest
			r.steps[0].kind = "keepalive"
			rows = append(rows, r)
		}
	}
	for _, value := range []string{"*", " *  ", "\t*", "PAGE", " PAGE", " PAGE   \t ", "\tPAGE"} {
		line := answering("Access-Control-Allow-Origin: " + value)
		rows = append(rows, one(originFile, fmt.Sprintf("Allow origin: %q", value), line, get, want{origin: "PAGE"}),
			remotely(one(remoteFile, fmt.Sprintf("Allow origin: %q", value), line, get, want{origin: "PAGE"})))
	}
	rows = append(rows, wrongOrigins()...)
	return append(rows, originAnswers()...)
}

// remotely is the row by a page of the remote server, that asks the page's.
func remotely(r row) row {
	r.from = "remote"
	r.servers[0].at = "page"
	return r
}

// wrongOrigins are the rows of an Access-Control-Allow-Origin that is neither * nor the origin. A policy puts
// the right one in its place.
func wrongOrigins() (rows []row) {
	get := xhr(asks("GET"))
	wrong := func(value string, nowhere bool) {
		line := answering("Access-Control-Allow-Origin: " + value)
		name := fmt.Sprintf("Disallow origin: %q", value)
		seen := want{}
		if strings.ContainsAny(value, "\x00\x0b\x0c") {
			seen.status = 502 // Envoy takes no such answer of an upstream
		}
		rows = append(rows, mended(one(originFile, name, line, get, failing), page, seen)...)
		if !nowhere {
			rows = append(rows, remotely(one(remoteFile, name, line, get, failing)))
		}
	}
	for _, value := range []string{
		"//HOST", "://HOST", "ftp://HOST", "http:://HOST", "http:/HOST", "http:HOST", "HOST", "PAGE?", "PAGE/", "PAGE /",
		"PAGE#", "PAGE%23", "PAGE:80", "PAGE, *", "PAGE\x00", "UPPER", "HTTP://HOST", "-", "**", "\x00*", "*\x00", "'*'",
		`"*"`, "* *", "*http://*", "*PAGE", "* PAGE", "*, PAGE", "\x00PAGE", "null PAGE", "http://example.net", "null", "",
	} {
		wrong(value, false)
	}
	for _, value := range []string{
		"http://www1.HOST", ",*", "*,", "\x0b*", "\x0c*", "*\x0b", "*\x0c", "* null", "null *",
		"test.localhost", ".test.localhost", "*.test.localhost", "http://test.localhost", "http://.test.localhost",
		"http://*.test.localhost", "PAGE/dir/page", "PAGE/dir/", "REMOTE/dir/",
	} {
		wrong(value, true)
	}
	for _, value := range []string{"ASKED", "http://UPHOST", "ASKED/dir/page", "ASKED/dir/", "PAGE/dir/"} {
		rows = append(rows, remotely(one(remoteFile, fmt.Sprintf("Disallow origin: %q", value),
			answering("Access-Control-Allow-Origin: "+value), get, failing)))
	}
	for _, two := range [][2]string{{"", "*"}, {"*", ""}, {"*", "*"}, {"", "PAGE"}, {"*", "PAGE"}, {"PAGE", "PAGE"}} {
		both := mended(one(originFile, fmt.Sprintf("Disallow multiple headers %q", two),
			answering("Access-Control-Allow-Origin: "+two[0]+"|Access-Control-Allow-Origin: "+two[1]), get, failing),
			page, want{})
		if two[0] == "" || two[1] == "" {
			both[0] = otherwise(both[0], difference{who: theProxy, want: want{},
				why: "Envoy joins an upstream's lines of this header, and leaves out the empty ones."})
		}
		rows = append(rows, both...)
	}
	const file = "fetch/api/cors/cors-multiple-origins.sub.any.js"
	for _, list := range [][]string{
		{`""`, "http://example.com", "PAGE"}, {`""`, "http://example.com", "*"}, {`""`, "PAGE", "PAGE"},
		{"*", "http://example.com", "*"}, {"*", "http://example.com", "PAGE"},
		{"", "http://example.com", "https://example2.com"},
	} {
		lines := "Access-Control-Allow-Origin: " + strings.Join(list, "|Access-Control-Allow-Origin: ")
		rows = append(rows, mended(one(file, fmt.Sprintf("Listing multiple origins is illegal: %q", list),
			answering(lines), asks("GET"), failing), page, want{})...)
	}
	return rows
}

// originAnswers are the rows of cors-origin.any.js, which says "origin OK" of a server that allows the page's
// origin, and "origin KO" of one that allows its own.
func originAnswers() (rows []row) {
	const file = "fetch/api/cors/cors-origin.any.js"
	methods := []struct{ words, at, method string }{
		{"Cross domain [POST]", "remote", "POST"}, {"Cross domain [HEAD]", "remote", "HEAD"},
		{"CORS preflight [PUT]", "remote", "PUT"},
	}
	for _, where := range elsewhere {
		words := cmp.Or(map[string]string{"remote": "Cross domain different subdomain"}[where.at], where.words)
		methods = append(methods, struct{ words, at, method string }{words, where.at, "GET"})
	}
	for _, m := range methods {
		const put = `, "allow_methods": ["PUT"]`
		rows = append(rows,
			one(file, m.words+" [origin OK]", at(m.at, by(page+put)), asks(m.method), want{}),
			one(file, m.words+" [origin KO]", at(m.at, by(strangers+put)), asks(m.method), failing))
	}
	return append(rows, mended(one(file, `Allowed origin: "" [origin KO]`, answering("Access-Control-Allow-Origin: "),
		asks("GET"), failing), page, want{})...)
}
