package cors_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/choices"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// answerOf is what the engine observes of an upstream's answer.
func answerOf(u browser.Response) *cors.Answer {
	var a cors.Answer
	a.Observe(":status", strconv.Itoa(u.Status))
	for _, h := range u.Headers {
		a.Observe(h[0], h[1])
	}
	return &a
}

// inForce is what the page would get if the policy were in force: what the filter answers,
// or makes of the upstream's answer.
func inForce(d cors.Decision, upstream browser.Response) browser.Response {
	if !d.Answered() {
		return browser.Response{Status: upstream.Status, Headers: edit(d, upstream.Headers)}
	}
	answer := browser.Response{Status: d.Status()}
	for _, h := range d.AppendHeaders(nil) {
		answer.Headers = append(answer.Headers, [2]string{h.Name, h.Value})
	}
	return answer
}

// compared is the oracle's verdict: in each credentials mode that the request may have been
// made in, it has a browser check both answers.
func compared(r *cors.Request, ours, theirs browser.Response) (verdict cors.Verdict) {
	note := func(ours, theirs bool) {
		switch {
		case theirs && !ours:
			verdict = cors.Stricter
		case ours && !theirs && verdict == cors.Same:
			verdict = cors.Looser
		}
	}
	hasOrigin, redirect := false, false
	for _, h := range theirs.Headers {
		hasOrigin = hasOrigin || h[0] == "access-control-allow-origin"
		redirect = redirect || h[0] == "location" && h[1] != ""
	}
	redirect = redirect && slices.Contains([]int{301, 302, 303, 307, 308}, theirs.Status)
	cached := theirs.Status == 304 && !hasOrigin && !r.Preflight() // and what the cache has is not known
	for _, include := range []bool{false, true} {
		if r.Cookie && !r.Preflight() && !include || cached {
			continue
		}
		req := browser.Request{Origin: r.Origin, Method: r.RequestMethod, CredentialsInclude: include,
			PrivateNetwork: r.PrivateNetwork}
		passes := func(answer browser.Response) bool {
			if !r.Preflight() {
				return browser.CORSCheck(req.Origin, include, answer.Headers) == nil
			}
			for name := range strings.SplitSeq(strings.Join(r.RequestHeaders, ","), ",") {
				if name = strings.Trim(name, " \t"); name != "" {
					req.UnsafeNames = append(req.UnsafeNames, name)
				}
			}
			return browser.PreflightCheck(req, answer.Status, answer.Headers) == nil
		}
		note(passes(ours), passes(theirs))
		if r.Preflight() || !passes(ours) || !passes(theirs) || redirect || theirs.Status == 304 {
			continue
		}
		for _, h := range theirs.Headers {
			if name := strings.ToLower(h[0]); name != "vary" && !slices.Contains(corsHeaders, name) {
				note(browser.Exposed(ours.Headers, name, include), browser.Exposed(theirs.Headers, name, include))
			}
		}
	}
	return verdict
}

var corsHeaders = []string{
	"access-control-allow-origin", "access-control-allow-credentials", "access-control-expose-headers",
	"access-control-allow-methods", "access-control-allow-headers", "access-control-max-age",
	"access-control-allow-private-network",
}

// browserMade reports whether a browser can have made the request that was decided so.
func browserMade(reason cors.Reason) bool {
	return !slices.Contains([]cors.Reason{
		cors.NoOrigin, cors.OriginMalformed, cors.MethodMalformed, cors.MethodForbidden, cors.HeadersMalformed,
		cors.HeadersTooLong,
	}, reason)
}

// checkShadow compares the engine's verdict with the oracle's. It returns what the engine says.
func checkShadow(t *testing.T, policy *cors.Policy, r *cors.Request, upstream browser.Response) (cors.Verdict, string) {
	t.Helper()
	d := policy.Decide(r)
	want := cors.Same
	if browserMade(d.Reason) && len(r.Origin) <= 512 {
		want = compared(r, inForce(d, upstream), upstream)
	}
	shadow := d.Shadow(r)
	got, why := shadow.Compare(answerOf(upstream))
	if got != want {
		t.Errorf("%v (%s), want %v\nrequest  %+v\ndecision %v\nin force %v\nupstream %v",
			got, why, want, *r, d.Reason, inForce(d, upstream), upstream)
	}
	if (why == "") != (got == cors.Same) || len(why) > cors.MaxLogged || strings.ContainsFunc(why, unloggable) {
		t.Errorf("%v: %q", got, why)
	}
	return got, why
}

func unloggable(r rune) bool { return r < ' ' || r > '~' || r == '"' }

// TestShadowCases compares verdicts over the tables that all levels share, with each answer
// of an upstream that is in them, and with what other rows' policies answer.
func TestShadowCases(t *testing.T) {
	counted := map[cors.Verdict]int{}
	for _, c := range cases.All {
		parsed := parse(t, c.Config)
		r := c.Request.Complete()
		policy := parsed.Policies.Lookup(match.Key{Route: r.Route, Host: r.Host, Path: r.Path})
		if policy == nil {
			continue
		}
		if d := policy.Decide(&cors.Request{}); d.Untouched() {
			continue
		}
		for _, other := range cases.All {
			upstream := browser.Response{Status: max(other.Upstream.Status, 200), Headers: other.Upstream.Headers}
			if other.Want.Status != 0 && !other.Want.Forwarded {
				upstream.Status = other.Want.Status
				for _, line := range other.Want.Headers {
					name, value, _ := strings.Cut(line, ": ")
					upstream.Headers = append(slices.Clone(upstream.Headers), [2]string{name, value})
				}
			}
			request := facts(r)
			request.Cookie = slices.ContainsFunc(r.Headers, func(h [2]string) bool { return h[0] == "cookie" })
			verdict, _ := checkShadow(t, policy, request, upstream)
			counted[verdict]++
			if t.Failed() {
				t.Fatalf("%s, with the upstream of %s", c.Name, other.Name)
			}
		}
	}
	for v := range cors.Verdicts {
		if counted[v] < 1000 {
			t.Errorf("only %d of %v", counted[v], v)
		}
	}
}

// TestShadowProperty compares verdicts on random policies, requests and answers.
func TestShadowProperty(t *testing.T) {
	rnd := rand.New(rand.NewPCG(14, 2))
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	some := func(of ...string) (list []string) {
		for range rnd.IntN(4) {
			list = append(list, pick(of...))
		}
		return list
	}
	maybe := func(n int) bool { return rnd.IntN(n) == 0 }
	fields := []string{"X-A", "x-b", "Authorization", "Content-Type", "X-Long-" + strings.Repeat("y", 100)}
	newPolicy := func() *cors.Policy {
		c := cors.Config{
			AllowOrigins: []cors.OriginEntry{{Text: pick("https://a.test", "*", "https://a.test", "https://*.b.test")}},
			AllowMethods: some("PUT", "DELETE", "patch"), AllowHeaders: some(fields...), ExposeHeaders: some("X-A", "x-b"),
			AllowCredentials: maybe(2), AllowPrivateNetwork: maybe(2), ForwardUnmatchedPreflights: maybe(2),
			KeepUpstreamHeaders: maybe(4),
		}
		if maybe(4) {
			c.AllowMethods = []string{"*"}
		}
		if maybe(4) {
			c.AllowHeaders = append([]string{"*"}, some("Authorization")...)
		}
		if maybe(3) {
			c.ExposeHeaders = []string{"*"}
		}
		policy, _ := cors.Compile(c)
		return policy
	}
	newRequest := func() *cors.Request {
		r := &cors.Request{
			Method: "GET", Origin: pick("https://a.test", "https://a.test", "https://x.b.test", "https://evil.test", "null", "none", "a, b"),
			HasOrigin: true, Cookie: maybe(3),
		}
		if maybe(2) {
			r.Method, r.RequestMethod = "OPTIONS", pick("GET", "GET", "PUT", "PUT", "DELETE", "patch", "PATCH", "PURGE", "TRACE", "A B")
			if maybe(10) {
				r.RequestMethod = strings.Repeat("M", 200)
			}
			for range rnd.IntN(3) {
				names := some("x-a", "X-B", "authorization", "content-type", "\u212aey", "a b", "*", "")
				r.RequestHeaders = append(r.RequestHeaders, strings.Join(names, pick(",", " , ", "\t,")))
			}
			r.PrivateNetwork = maybe(4)
		}
		return r
	}
	list := func(of ...string) string { return strings.Join(some(of...), pick(",", ", ", " ,\t")) }
	newAnswer := func(origin string) (a browser.Response) {
		a.Status, _ = strconv.Atoi(pick("200", "200", "200", "204", "299", "302", "304", "404", "199", "300"))
		add := func(n int, name string, value func() string) {
			for more := !maybe(n); more; more = maybe(8) {
				a.Headers = append(a.Headers, [2]string{name, value()})
			}
		}
		add(6, corsHeaders[0], func() string {
			return pick(origin, origin, origin, " "+origin, "*", "*", "*", "https://b.test", "")
		})
		add(3, corsHeaders[1], func() string { return pick("true", "true", "true ", "True", "false", "") })
		add(3, corsHeaders[2], func() string { return list("*", "x-a", "X-B", "x-c", "location", "a b", "") })
		add(5, corsHeaders[3], func() string {
			return list("*", "PUT", "PUT", "DELETE", "patch", "PURGE", "GET", pick("", "a b"))
		})
		add(5, corsHeaders[4], func() string {
			return list("*", "X-a", "x-b", "authorization", "content-type", "key", "", pick("", "a:b"))
		})
		add(4, corsHeaders[6], func() string { return pick("true", "true", "false") })
		for _, name := range []string{"x-a", "X-B", "x-c", "set-cookie", "content-type", "vary", "location", "*"} {
			if maybe(3) {
				a.Headers = append(a.Headers, [2]string{strings.ToLower(name), pick("", "v")})
			}
		}
		return a
	}
	rounds, counted := choices.Rounds(200_000), map[string]int{}
	for round := 0; round < rounds; {
		policy := newPolicy()
		if policy == nil {
			continue
		}
		for range 20 {
			round++
			r := newRequest()
			verdict, why := checkShadow(t, policy, r, newAnswer(r.Origin))
			if t.Failed() {
				t.FailNow()
			}
			counted[verdict.String()]++
			counted[kindOfDifference(why)]++
		}
	}
	for _, seen := range []string{"same", "looser", "stricter", "access-control-allow-origin is missing",
		"access-control-allow-origin has several values", "access-control-allow-origin is not the origin",
		"access-control-allow-origin is *, which credentials do not pass",
		"access-control-allow-credentials is not true", "status … is not one of 200 to 299",
		"access-control-allow-private-network is not true", "access-control-allow-methods is not a list of methods",
		"access-control-allow-headers is not a list of header names", "method … is not in access-control-allow-methods",
		"header … is not in access-control-allow-headers", "header … is not in access-control-expose-headers",
		"header … is not in expose_headers", "allow_credentials is not set", "allow_private_network is not set",
		"origin … is not in allow_origins", "method … is not in allow_methods", "header … is not in allow_headers",
	} {
		if counted[seen] < choices.Rounds(20) {
			t.Errorf("only %d of %s, of %v", counted[seen], seen, counted)
		}
	}
}

// kindOfDifference is a difference without what is particular to the request.
func kindOfDifference(why string) string {
	why, _, _ = strings.Cut(why, " (")
	words := strings.Fields(why)
	if len(words) > 3 && slices.Contains([]string{"origin", "method", "header", "status"}, words[0]) {
		words[1] = "…"
	}
	return strings.Join(words, " ")
}

// TestShadowWords: a difference says which header or field makes it.
func TestShadowWords(t *testing.T) {
	const site = `{"allow_origins": ["https://a.test"], "allow_methods": ["PUT"], "expose_headers": ["X-Id"]}`
	get := cors.Request{Method: "GET", Origin: "https://a.test", HasOrigin: true}
	put := cors.Request{Method: "OPTIONS", Origin: "https://a.test", HasOrigin: true, RequestMethod: "PUT"}
	from := func(r cors.Request, origin string) cors.Request { r.Origin = origin; return r }
	withCookie := get
	withCookie.Cookie = true
	asking := func(method string, headers ...string) cors.Request {
		r := put
		r.RequestMethod, r.RequestHeaders = method, headers
		return r
	}
	origin := [2]string{"access-control-allow-origin", "https://a.test"}
	methods := [2]string{"access-control-allow-methods", "PUT, PURGE"}
	longest := strings.Repeat("x", 64) // in a log line
	for _, c := range []struct {
		name    string
		request cors.Request
		status  int
		headers [][2]string
		want    string
	}{
		{"the same", get, 200, [][2]string{origin, {"x-id", "1"}, {"access-control-expose-headers", "x-id"}}, "same: "},
		{"another list", get, 200, [][2]string{origin}, "same: "},
		{"no CORS", get, 200, nil, "looser: access-control-allow-origin is missing"},
		{"twice", get, 200, [][2]string{origin, origin}, "looser: access-control-allow-origin has several values"},
		{"both", get, 200, [][2]string{{"access-control-allow-origin", "https://a.test, *"}},
			"looser: access-control-allow-origin has several values"},
		{"another", get, 200, [][2]string{{"access-control-allow-origin", "https://b.test"}},
			"looser: access-control-allow-origin is not the origin"},
		{"everyone", from(get, "https://b.test"), 200, [][2]string{{"access-control-allow-origin", "*"}},
			"stricter: origin https://b.test is not in allow_origins"},
		{"with a cookie from everyone", withCookie, 200, [][2]string{{"access-control-allow-origin", "*"}}, "same: "},
		{"credentials", get, 200, [][2]string{origin, {"access-control-allow-credentials", "true"}},
			"stricter: allow_credentials is not set"},
		{"hidden", get, 200, [][2]string{origin, {"x-id", "1"}},
			"looser: header x-id is not in access-control-expose-headers"},
		{"more is exposed", get, 200,
			[][2]string{origin, {"x-id", "1"}, {"x-more", "1"}, {"access-control-expose-headers", "x-more"}},
			"stricter: header x-more is not in expose_headers"},
		{"no list", get, 200, [][2]string{origin, {"x-id", "1"}, {"access-control-expose-headers", "x-id, a b"}},
			"looser: header x-id is not in access-control-expose-headers"},
		{"not modified", get, 304, nil, "same: "},
		{"a redirect", get, 302, [][2]string{origin, {"location", "/"}, {"x-id", "1"}}, "same: "},
		{"not found", put, 404, [][2]string{origin, methods}, "looser: status 404 is not one of 200 to 299"},
		{"a redirected preflight", put, 301, [][2]string{origin, methods, {"location", "/"}},
			"looser: status 301 is not one of 200 to 299"},
		{"no method", put, 204, [][2]string{origin}, "looser: method PUT is not in access-control-allow-methods"},
		{"another method", asking("PURGE"), 200, [][2]string{origin, methods},
			"stricter: method PURGE is not in allow_methods (allowed: PUT)"},
		{"a header", asking("PUT", "x-a"), 200, [][2]string{origin, methods, {"access-control-allow-headers", "*"}},
			"stricter: header x-a is not in allow_headers (allowed: none)"},
		{"a redirect by the oldest status", get, 301, [][2]string{origin, {"location", "/"}, {"x-id", "1"}}, "same: "},
		{"a redirect to what there is to get", get, 303, [][2]string{origin, {"location", "/"}, {"x-id", "1"}}, "same: "},
		{"a redirect of the same method", get, 307, [][2]string{origin, {"location", "/"}, {"x-id", "1"}}, "same: "},
		{"a redirect for good", get, 308, [][2]string{origin, {"location", "/"}, {"x-id", "1"}}, "same: "},
		{"a status that is no redirect's", get, 300, [][2]string{origin, {"location", "/"}, {"x-id", "1"}},
			"looser: header x-id is not in access-control-expose-headers"},
		{"the longest name", get, 200, [][2]string{origin, {longest, "1"}, {"access-control-expose-headers", longest}},
			"stricter: header " + longest + " is not in expose_headers"},
		{"a longer name", get, 200, [][2]string{origin, {longest + "y", "1"},
			{"access-control-expose-headers", longest + "y"}},
			"stricter: header " + longest + "... is not in expose_headers"},
		{"no browser", from(get, "https://a.test/"), 200, [][2]string{{"access-control-allow-origin", "https://a.test/"}},
			"same: "},
	} {
		policy := policyOf(t, site)
		verdict, why := checkShadow(t, policy, &c.request, browser.Response{Status: c.status, Headers: c.headers})
		if got := verdict.String() + ": " + why; got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func policyOf(t *testing.T, text string) *cors.Policy {
	t.Helper()
	return parse(t, text).Policies.Everywhere()
}

// TestShadowExposesByName: with credentials "*" exposes only a header of that name
// (https://fetch.spec.whatwg.org/#http-access-control-expose-headers), and so one that a page may read
// without credentials may still be one that it can't read with them.
func TestShadowExposesByName(t *testing.T) {
	policy := policyOf(t, `{"allow_origins": ["https://a.test"], "allow_credentials": true, "expose_headers": ["X-Id"]}`)
	r := cors.Request{Method: "GET", Origin: "https://a.test", HasOrigin: true}
	verdict, why := checkShadow(t, policy, &r, browser.Response{Status: 200, Headers: [][2]string{
		{"access-control-allow-origin", "https://a.test"}, {"access-control-allow-credentials", "true"},
		{"access-control-expose-headers", "*"}, {"x-id", "1"}}})
	if verdict != cors.Looser || why != "header x-id is not in access-control-expose-headers" {
		t.Errorf("%v: %s", verdict, why)
	}
}

// TestShadowIsLinear: what a preflight asks for and what an answer lists may both be as
// large as a proxy lets them be.
func TestShadowIsLinear(t *testing.T) {
	const n = 20_000
	list := func(prefix string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%s%d,", prefix, i)
		}
		return b.String()
	}
	a := browser.Response{Status: 200, Headers: [][2]string{
		{"access-control-allow-origin", "https://a.test"}, {"access-control-allow-headers", list("y")},
		{"access-control-expose-headers", list("z")},
	}}
	for i := range n {
		a.Headers = append(a.Headers, [2]string{"x" + strconv.Itoa(i), ""})
	}
	policy := policyOf(t, `{"allow_origins": ["https://a.test"], "expose_headers": ["x-id"]}`)
	for _, r := range []cors.Request{
		{Method: "GET", Origin: "https://a.test", HasOrigin: true},
		{Method: "OPTIONS", Origin: "https://a.test", HasOrigin: true, RequestMethod: "GET",
			RequestHeaders: []string{list("x")[:cors.MaxRequestHeaders]}},
	} {
		d := policy.Decide(&r)
		shadow, answer := d.Shadow(&r), answerOf(a)
		start := time.Now()
		shadow.Compare(answer)
		// What is not linear takes seconds.
		if took := time.Since(start); took > 500*time.Millisecond {
			t.Errorf("%s takes %v", r.Method, took)
		}
	}
}
