package cors_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/choices"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// An intent is what an operator means by a policy: what it allows is worked out here in the plainest
// way, by nothing that the engine has.
type intent struct {
	host           string // "" for every host
	path           string // with what is below it, or "" for every path
	exact          bool   // the path alone
	origins        []string
	regex          bool // and https://app-[0-9]+.example.com
	methods        []string
	headers        []string
	exposed        []string
	credentials    bool
	maxAge         int // -1 for none
	privateNetwork bool
	forward        bool
	keep           bool
	debug          bool
	status         int
	mode           string
}

// numbered is the regex of an intent that has one.
const numbered = `https://app-[0-9]+\.example\.com`

// What policies list, and pages have: those that are allowed, and those that just aren't.
var (
	listedOrigins = []string{
		"https://app.example.com", "https://*.example.com", "https://app.example.com:8443", "http://localhost:*",
		"https://*.shop.example:*", "null", "*", "capacitor://localhost", "http://app.example.com", "https://*.co.uk",
		"http://[::1]:3000",
	}
	pageOrigins = []string{
		"https://app.example.com", "https://a.app.example.com", "https://example.com", "https://app.example.com:8443",
		"https://app.example.com:8444", "http://localhost", "http://localhost:8080", "http://localhost.evil.test",
		"https://shop.example", "https://a.shop.example", "https://a.b.shop.example:1", "https://evilshop.example",
		"https://a.shop.example.evil.test", "null", "capacitor://localhost", "capacitor://Localhost",
		"http://app.example.com", "https://app-7.example.com", "https://app-.example.com", "https://app-7xexample.com",
		"https://bank.co.uk", "https://co.uk", "http://[::1]:3000", "http://[::1]", "https://evil.test",
		"https://app.example.com.", "app://.", "file://",
	}
	someMethods = []string{
		"GET", "HEAD", "POST", "PUT", "put", "PATCH", "patch", "Patch", "DELETE", "OPTIONS", "QUERY",
		strings.Repeat("M", 65),
	}
	someHeaders = []string{
		"Content-Type", "X-Custom", "x-custom", "Authorization", "AUTHORIZATION", "X-Other", "Accept", "Range",
		"X-" + strings.Repeat("long", 30), "Cookie", "x_y",
	}
	exposable = []string{"X-Request-Id", "x-request-id", "ETag", "X-Other", "Content-Type", "Location"}
)

// newIntent chooses a policy.
func newIntent(c *choices.Choices) intent {
	i := intent{
		host:        choices.One(c, "", "a.example", "b.a.example", "*.example", "*.a.example"),
		path:        choices.One(c, "", "", "/v1", "/v1/x"),
		origins:     choices.Some(c, 3, listedOrigins...),
		regex:       c.Yes(4),
		credentials: c.Yes(2),
		maxAge:      choices.One(c, -1, 0, 600, 86400),
		status:      choices.One(c, 0, 200, 204),
		mode:        choices.One(c, "", "", "", "", "", "enforce", "shadow", "off"),
	}
	i.exact = i.path != "" && c.Yes(2)
	i.privateNetwork, i.forward, i.keep, i.debug = c.Yes(3), c.Yes(3), c.Yes(4), c.Yes(3)
	star := func(names []string, beside ...string) []string {
		if c.Yes(4) {
			return append([]string{"*"}, beside...)
		}
		return names
	}
	i.methods = star(choices.Some(c, 3, someMethods[:11]...))
	i.headers = star(choices.Some(c, 3, someHeaders[:9]...), choices.Some(c, 1, "Authorization")...)
	i.exposed = star(choices.Some(c, 3, exposable...))
	return i
}

// json is the policy as it is written down.
func (i intent) json(name string) map[string]any {
	p := map[string]any{"name": name}
	set := func(field string, value any, given bool) {
		if given {
			p[field] = value
		}
	}
	where := map[string]any{}
	if i.host != "" {
		where["hosts"] = []string{i.host}
	}
	if i.path != "" {
		where["paths"] = []any{map[string]any{map[bool]string{true: "exact", false: "prefix"}[i.exact]: i.path}}
	}
	set("match", where, len(where) > 0)
	set("mode", i.mode, i.mode != "")
	if i.mode == "off" {
		return p
	}
	origins := []any{}
	for _, o := range i.origins {
		origins = append(origins, o)
	}
	if i.regex {
		origins = append(origins, map[string]any{"regex": numbered})
	}
	p["allow_origins"] = origins
	p["allow_methods"], p["allow_headers"], p["expose_headers"] = i.methods, i.headers, i.exposed
	p["allow_credentials"], p["allow_private_network"], p["debug"] = i.credentials, i.privateNetwork, i.debug
	set("max_age", i.maxAge, i.maxAge >= 0)
	set("unmatched_preflights", "forward", i.forward)
	set("upstream_cors_headers", "keep", i.keep)
	set("preflight_status", i.status, i.status != 0)
	return p
}

// withDefaults moves some fields of the first policy into defaults: a policy with the same inherits it, and one
// without says null. What the policies mean stays the same.
func withDefaults(c *choices.Choices, policies []map[string]any) map[string]any {
	defaults := map[string]any{}
	for _, field := range slices.Sorted(maps.Keys(policies[0])) {
		if field == "name" || field == "match" || !c.Yes(3) {
			continue
		}
		defaults[field] = policies[0][field]
		for _, p := range policies {
			own, set := p[field]
			switch {
			case reflect.DeepEqual(own, defaults[field]):
				delete(p, field)
			case !set && (p["mode"] != "off" || field == "mode"): // which has no other field
				p[field] = nil
			}
		}
	}
	return defaults
}

// matchesAs reports whether two policies are for the same, which must not be.
func (i intent) matchesAs(other intent) bool {
	return i.host == other.host && i.path == other.path && i.exact == other.exact
}

// specific says how specific a policy is for a request, of whose policies the most specific one applies: by the
// host, and then by the path. It is -1 if the policy isn't for the request.
func (i intent) specific(host, path string) int {
	const exactly = 100 // is more than the length of a name
	ofHost, ofPath := len(i.host), len(i.path)
	parent, wildcard := strings.CutPrefix(i.host, "*")
	switch {
	case i.host == host:
		ofHost = exactly
	case i.host != "" && (!wildcard || !strings.HasSuffix(host, parent)):
		return -1
	}
	switch {
	case i.exact && i.path == path:
		ofPath = exactly
	case i.exact, i.path != "" && !strings.HasPrefix(path+"/", i.path+"/"):
		return -1
	}
	return ofHost*(exactly+1) + ofPath
}

// refused reports whether such a policy must not be.
func (i intent) refused() bool {
	has := func(entry string) bool { return slices.Contains(i.origins, entry) }
	return i.mode != "off" && (len(i.origins) == 0 && !i.regex ||
		i.credentials && (has("*") || has("http://app.example.com") || has("https://*.co.uk") ||
			slices.Contains(i.exposed, "*")))
}

func (i intent) any() bool { return slices.Contains(i.origins, "*") }

// allowsOrigin reports whether the policy is for pages of an origin.
func (i intent) allowsOrigin(origin string) bool {
	return i.any() ||
		i.regex && regexp.MustCompile("^(?:"+numbered+")$").MatchString(origin) ||
		slices.ContainsFunc(i.origins, func(entry string) bool { return stands(entry, origin) })
}

// stands reports whether an entry stands for an origin.
func stands(entry, origin string) bool {
	scheme, address, _ := strings.Cut(origin, "://")
	entryScheme, entryAddress, pattern := strings.Cut(entry, "://")
	if !pattern || scheme != entryScheme {
		return entry == origin
	}
	cut := func(address string) (host, port string) {
		if at := strings.LastIndex(address, ":"); at > strings.Index(address, "]") {
			return address[:at], address[at+1:]
		}
		return address, ""
	}
	host, port := cut(address)
	entryHost, entryPort := cut(entryAddress)
	if entryPort != "*" && entryPort != port {
		return false
	}
	if parent, wildcard := strings.CutPrefix(entryHost, "*"); wildcard {
		return strings.HasSuffix(host, parent)
	}
	return host == entryHost
}

func (i intent) allowsMethod(method string) bool {
	if method == "GET" || method == "HEAD" || method == "POST" {
		return true
	}
	return len(method) <= 64 && slices.ContainsFunc(i.methods, func(m string) bool {
		return m == "*" || browser.NormalizeMethod(m) == method
	})
}

func (i intent) allowsHeader(name string) bool {
	return slices.ContainsFunc(i.headers, func(h string) bool {
		return strings.EqualFold(h, name) || h == "*" && !strings.EqualFold(name, "authorization")
	})
}

func (i intent) forbidsHeader(name string) bool { return !i.allowsHeader(name) }

func (i intent) exposes(name string) bool {
	return slices.ContainsFunc(i.exposed, func(h string) bool { return h == "*" || strings.EqualFold(h, name) })
}

// allowsPreflight reports whether what a preflight asks for is allowed.
func (i intent) allowsPreflight(r browser.Request, names []string) bool {
	return i.allowsOrigin(r.Origin) && i.allowsMethod(browser.NormalizeMethod(r.Method)) &&
		len(strings.Join(names, ",")) <= cors.MaxRequestHeaders &&
		!slices.ContainsFunc(names, i.forbidsHeader)
}

// reads reports whether pages of the request's origin may have answers in its credentials mode.
func (i intent) reads(r browser.Request) bool {
	return i.allowsOrigin(r.Origin) && (i.credentials || !r.CredentialsInclude)
}

// An upstream answers everything in the same way.
type upstream struct {
	status  int
	headers [][2]string
}

func newUpstream(c *choices.Choices) upstream {
	return upstream{choices.One(c, 200, 204, 302, 404, 503), choices.Some(c, 6,
		[2]string{"access-control-allow-origin", "*"},
		[2]string{"access-control-allow-origin", "https://evil.test"},
		[2]string{"access-control-allow-credentials", "true"},
		[2]string{"access-control-allow-methods", "*, PUT, PATCH"},
		[2]string{"access-control-allow-headers", "*, authorization, x-custom"},
		[2]string{"access-control-expose-headers", "x-other"},
		[2]string{"access-control-max-age", "5000"},
		[2]string{"access-control-allow-private-network", "true"},
		[2]string{"vary", "Accept, origin"},
		[2]string{"vary", "Accept"},
	)}
}

// speaks reports whether the upstream's answers allow an origin themselves.
func (u upstream) speaks() bool {
	return slices.ContainsFunc(u.headers, func(h [2]string) bool { return h[0] == "access-control-allow-origin" })
}

// A proxy decides as the filter does.
type proxy struct {
	policies   *match.Table[*cors.Policy]
	upstream   upstream
	host, path string
}

// send sends a request with these header lines, and returns the answer.
func (p proxy) send(method string, headers [][2]string) *browser.Response {
	policy := p.policies.Lookup(match.Key{Host: p.host, Path: p.path})
	if policy == nil {
		return &browser.Response{Status: p.upstream.status, Headers: p.upstream.headers}
	}
	r := &cors.Request{Method: method}
	for _, h := range headers {
		switch h[0] {
		case "Origin":
			r.Origin, r.HasOrigin = h[1], true
		case "Access-Control-Request-Method":
			r.RequestMethod = h[1]
		case "Access-Control-Request-Headers":
			r.RequestHeaders = append(r.RequestHeaders, h[1])
		case "Access-Control-Request-Private-Network":
			r.PrivateNetwork = h[1] == "true"
		}
	}
	d := policy.Decide(r)
	if d.Answered() {
		answer := &browser.Response{Status: d.Status()}
		for _, h := range d.AppendHeaders(nil) {
			answer.Headers = append(answer.Headers, [2]string{h.Name, h.Value})
		}
		return answer
	}
	return &browser.Response{Status: p.upstream.status, Headers: edit(d, p.upstream.headers)}
}

// hostname is for the hosts that the filter knows. The URL standard has others, with empty labels
// and with characters that no DNS has: they are malformed to the filter, which allows less then.
var hostname = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`)

// newPageRequest chooses what a script of some page asks for.
func newPageRequest(c *choices.Choices) browser.Request {
	r := browser.Request{
		Origin: choices.One(c, pageOrigins...), Method: choices.One(c, someMethods...),
		CredentialsInclude: c.Yes(2), UseCORSPreflight: c.Yes(6), PrivateNetwork: c.Yes(6),
	}
	if host := c.Text(12) + ".example.com"; c.Yes(8) && hostname.MatchString(host) {
		r.Origin = "https://" + host
	}
	for _, name := range choices.Some(c, 3, someHeaders...) {
		value := choices.One(c, "1", "text/plain", "application/json", "bytes=0-1")
		r.Headers = append(r.Headers, [2]string{name, value})
	}
	if c.Yes(40) { // more than the filter reads
		for i := range 900 {
			r.Headers = append(r.Headers, [2]string{fmt.Sprintf("x-header-%04d", i), ""})
		}
	}
	return r
}

// FuzzIntent: for any policies, any request of a page and any upstream, what a browser lets the
// page have of the answers is what the policies mean, no more and no less.
func FuzzIntent(f *testing.F) {
	choices.Seed(f, 3000, 200)
	f.Fuzz(func(t *testing.T, bytes []byte) {
		c := choices.Of(bytes)
		var intents []intent
		for range 3 {
			if i := newIntent(c); !slices.ContainsFunc(intents, i.matchesAs) {
				intents = append(intents, i)
			}
		}
		var policies []map[string]any
		refused := false
		for n, i := range intents {
			policies = append(policies, i.json(fmt.Sprint("p", n)))
			refused = refused || i.refused()
		}
		document := map[string]any{"policies": policies}
		if c.Yes(2) {
			document["defaults"] = withDefaults(c, policies)
		}
		text, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		parsed, problems := config.Parse(string(text))
		if (parsed == nil) != refused {
			t.Fatalf("%s\nis to be refused: %t; %v", text, refused, problems)
		}
		if refused {
			return
		}
		p := proxy{
			parsed.Policies, newUpstream(c), choices.One(c, "a.example", "b.a.example", "c.a.example", "c.example", "other.test"),
			choices.One(c, "/", "/v1", "/v1/x", "/v1/y", "/v1/x/y", "/v12"),
		}
		var applies *intent
		most := -1
		for n, i := range intents {
			if specific := i.specific(p.host, p.path); specific > most {
				applies, most = &intents[n], specific
			}
		}
		for range 4 {
			r := newPageRequest(c)
			if diff := p.disagrees(applies, r); diff != "" {
				t.Errorf("%s\n%s for %+v\nof the upstream's %+v", diff, text, r, p.upstream)
			}
			if leak := p.leaks(applies, c); leak != "" {
				t.Errorf("%s\n%s", leak, text)
			}
		}
	})
}

// leaks sends a request that no browser need have sent, and says what its answer allows though the
// policy doesn't, to whatever browser there may be.
func (p proxy) leaks(i *intent, c *choices.Choices) string {
	if i == nil || i.mode == "shadow" || i.mode == "off" || i.keep && p.upstream.speaks() {
		return ""
	}
	origin := choices.One(c, pageOrigins...)
	if c.Yes(2) {
		at := c.N(len(origin))
		origin = origin[:at] + choices.One(c, "", ".", ",", " ", "/", "@", "A", "*", c.Text(4)) + origin[at:]
	}
	origin = strings.Trim(origin, " \t\r\n") // as it is read
	method, asked := choices.One(c, "GET", "OPTIONS"), choices.One(c, someMethods...)
	if c.Yes(4) {
		asked = c.Text(6)
	}
	names := choices.Some(c, 3, someHeaders...)
	headers := [][2]string{{"Origin", origin}, {"Access-Control-Request-Method", asked}}
	for _, name := range names {
		headers = append(headers, [2]string{"Access-Control-Request-Headers", name + choices.One(c, "", ",", " ,\t, ")})
	}
	answer := p.send(method, headers)
	for _, credentials := range []bool{false, true} {
		r := browser.Request{Origin: origin, Method: asked, UnsafeNames: names, CredentialsInclude: credentials}
		what := fmt.Sprintf("%s %q, credentials %t, has %+v", method, headers, credentials, answer)
		switch {
		case browser.CORSCheck(origin, credentials, answer.Headers) == nil && !i.reads(r):
			return what
		case method != "OPTIONS" && answer.Status != p.upstream.status:
			return "what isn't a preflight is answered: " + what
		case method != "OPTIONS" || browser.PreflightCheck(r, answer.Status, answer.Headers) != nil:
		case !i.allowsMethod(asked) || slices.ContainsFunc(names, i.forbidsHeader):
			if i.forward && p.upstream.status/100 == 2 && asked == "" {
				continue // no preflight, and so the upstream's answer to an OPTIONS that a page may read
			}
			return what
		}
	}
	return ""
}

// disagrees says in what way what a browser makes of the answers to a request isn't what
// the policy that applies means, if any does.
func (p proxy) disagrees(i *intent, r browser.Request) string {
	asks := r.Preflight()
	var preflight *browser.Response
	if asks != nil {
		preflight = p.send("OPTIONS", asks)
	}
	actual := p.send(browser.NormalizeMethod(r.Method), r.Actual())
	blocked := browser.Verdict(r, preflight, actual)
	if i == nil || i.mode == "shadow" || i.mode == "off" {
		raw := &browser.Response{Status: p.upstream.status, Headers: p.upstream.headers}
		if want := browser.Verdict(r, raw, raw); (want == nil) != (blocked == nil) {
			return fmt.Sprintf("what isn't to be touched is judged otherwise: %v, want %v", blocked, want)
		}
		return ""
	}
	names := namesOf(asks)
	kept := i.keep && p.upstream.speaks()
	want := i.reads(r)
	if kept {
		want = browser.CORSCheck(r.Origin, r.CredentialsInclude, p.upstream.headers) == nil
	}
	allowed := asks != nil && i.allowsPreflight(r, names)
	switch {
	case asks == nil:
	case allowed:
		want = want && i.reads(r) && (!r.PrivateNetwork || i.privateNetwork)
	case i.forward && kept:
		want = want && browser.PreflightCheck(r, p.upstream.status, p.upstream.headers) == nil
	default:
		want = false
	}
	switch {
	case want != (blocked == nil):
		return fmt.Sprintf("the page is to have the answer: %t; the browser says %v of %+v, %+v", want, blocked, preflight,
			actual)
	case allowed && browser.MaxAge(preflight.Headers) != i.remembers():
		return fmt.Sprintf("the preflight is remembered for %d s", browser.MaxAge(preflight.Headers))
	case !kept && want:
		for _, name := range exposable {
			want := i.exposes(name) || name == "Content-Type"
			if got := browser.Exposed(actual.Headers, name, r.CredentialsInclude); got != want {
				return fmt.Sprintf("%s is exposed: %t", name, got)
			}
		}
	}
	return i.varies(kept, asks != nil && (allowed || !i.forward), preflight, actual)
}

// remembers is for how long a browser remembers a preflight.
func (i intent) remembers() int {
	if i.maxAge < 0 {
		return 5
	}
	return i.maxAge
}

// varies says what is wrong with Vary: a cache must give no page what is another's.
func (i intent) varies(kept, answered bool, preflight, actual *browser.Response) string {
	lists := func(answer *browser.Response, name string) bool {
		return slices.ContainsFunc(answer.Headers, func(h [2]string) bool {
			return h[0] == "vary" && strings.Contains(strings.ToLower(h[1]), name)
		})
	}
	switch {
	case answered && (!lists(preflight, "origin") || !lists(preflight, "access-control-request-method") ||
		!lists(preflight, "access-control-request-headers")):
		return "the preflight's answer doesn't vary"
	case !kept && !i.any() && !lists(actual, "origin"):
		return "the answer doesn't vary"
	}
	return ""
}

// namesOf are the names that a preflight asks for.
func namesOf(headers [][2]string) (names []string) {
	for _, h := range headers {
		if h[0] == "Access-Control-Request-Headers" {
			names = strings.Split(h[1], ",")
		}
	}
	return names
}
