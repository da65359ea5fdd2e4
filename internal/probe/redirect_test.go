package probe_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/probe"
)

// A redirector allows everything, answers /CODE/here, /CODE/there and /CODE/beside with a
// redirect to its own /end, another host's or another port's, and remembers what it is asked.
type redirector struct {
	name, there, beside string
	asked               *[]string
}

// ServeHTTP implements [http.Handler].
func (s *redirector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	line := r.Method + " " + s.name + r.URL.RequestURI()
	for _, name := range []string{"Origin", "Authorization", "Cookie", "Content-Type", "X-Key"} {
		if value := r.Header.Get(name); value != "" {
			line += " " + name + "=" + strings.ReplaceAll(value, "http://"+r.Host, "SELF")
		}
	}
	*s.asked = append(*s.asked, line)
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	h.Set("Access-Control-Allow-Credentials", "true")
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "PUT, POST")
		h.Set("Access-Control-Allow-Headers", "authorization, content-type, x-key")
		return
	}
	code, where, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	status := map[string]int{"301": 301, "302": 302, "303": 303, "307": 307, "308": 308, "300": 300}[code]
	if status == 0 {
		return
	}
	h.Set("Location", map[string]string{"here": "../end?a=b#part", "there": s.there + "/end", "beside": s.beside + "/end", "invalid": "http://[",
		"mail": "mailto:a@b.example", "port": "http://127.0.0.1:10080/", "nowhere": "", "noport": "http://127.0.0.1:99999/"}[where])
	if where == "two" || where == "same" {
		h["Location"] = []string{"/end", map[string]string{"two": "/other", "same": "/end"}[where]}
	}
	w.WriteHeader(status)
}

// TestRedirects: what is sent where, as fetch does.
func TestRedirects(t *testing.T) {
	var asked []string
	second := httptest.NewServer(&redirector{name: "there", asked: &asked})
	t.Cleanup(second.Close)
	first := httptest.NewServer(&redirector{name: "here", beside: second.URL, asked: &asked,
		there: strings.Replace(second.URL, "127.0.0.1", "localhost", 1)})
	t.Cleanup(first.Close)
	const app = "https://app.example.com"
	headers := [][2]string{{"Authorization", "A"}, {"Content-Type", "text/plain"}, {"X-Key", "K"}}
	const sent = " Origin=https://app.example.com Authorization=A Cookie=C Content-Type=text/plain X-Key=K"
	for _, test := range []struct {
		name, method, path string
		headers            [][2]string
		origin             string
		blocked            browser.BlockReason
		asked              []string
	}{
		{"to the same host", "GET", "/302/here", headers, app, "", []string{
			"OPTIONS here/302/here Origin=https://app.example.com", "GET here/302/here" + sent,
			"OPTIONS here/end?a=b Origin=https://app.example.com", "GET here/end?a=b" + sent}},
		{"to another", "GET", "/307/there", headers, app, "", []string{
			"OPTIONS here/307/there Origin=https://app.example.com", "GET here/307/there" + sent,
			"OPTIONS there/end Origin=null", "GET there/end Origin=null Content-Type=text/plain X-Key=K"}},
		{"to another port", "GET", "/307/beside", nil, app, "", []string{
			"GET here/307/beside Origin=https://app.example.com Cookie=C", "GET there/end Origin=null Cookie=C"}},
		{"from the page's own host to another", "GET", "/302/there", nil, "SELF", "", []string{
			"GET here/302/there Cookie=C", "GET there/end Origin=" + first.URL}},
		{"POST becomes GET", "POST", "/301/here", nil, app, "", []string{
			"POST here/301/here Origin=https://app.example.com Cookie=C",
			"GET here/end?a=b Origin=https://app.example.com Cookie=C"}},
		{"without the headers of a body", "POST", "/302/here", headers[1:2], app, "", []string{
			"POST here/302/here Origin=https://app.example.com Cookie=C Content-Type=text/plain",
			"GET here/end?a=b Origin=https://app.example.com Cookie=C"}},
		{"POST stays POST", "POST", "/308/here", nil, app, "", []string{
			"POST here/308/here Origin=https://app.example.com Cookie=C",
			"POST here/end?a=b Origin=https://app.example.com Cookie=C"}},
		{"PUT becomes GET by 303", "PUT", "/303/here", nil, app, "", []string{
			"OPTIONS here/303/here Origin=https://app.example.com",
			"PUT here/303/here Origin=https://app.example.com Cookie=C",
			"GET here/end?a=b Origin=https://app.example.com Cookie=C"}},
		{"HEAD stays HEAD", "HEAD", "/303/here", nil, app, "", []string{
			"HEAD here/303/here Origin=https://app.example.com Cookie=C",
			"HEAD here/end?a=b Origin=https://app.example.com Cookie=C"}},
		{"300 is none", "GET", "/300/here", nil, app, "", []string{
			"GET here/300/here Origin=https://app.example.com Cookie=C"}},
		{"to nowhere is none", "GET", "/302/nowhere", nil, app, "", []string{
			"GET here/302/nowhere Origin=https://app.example.com Cookie=C"}},
		{"to no URL", "GET", "/302/invalid", nil, app, probe.InvalidRedirect, []string{
			"GET here/302/invalid Origin=https://app.example.com Cookie=C"}},
		{"to a port that is none", "GET", "/302/noport", nil, app, probe.InvalidRedirect, []string{
			"GET here/302/noport Origin=https://app.example.com Cookie=C"}},
		{"to two URLs", "GET", "/302/two", nil, app, probe.InvalidRedirect, []string{
			"GET here/302/two Origin=https://app.example.com Cookie=C"}},
		{"to one, twice", "GET", "/302/same", nil, app, probe.InvalidRedirect, []string{
			"GET here/302/same Origin=https://app.example.com Cookie=C"}},
		{"to a port that no browser asks", "GET", "/302/port", nil, app, probe.BadPort, []string{
			"GET here/302/port Origin=https://app.example.com Cookie=C"}},
		{"to another scheme", "GET", "/302/mail", nil, app, browser.SchemeNotHTTP, []string{
			"GET here/302/mail Origin=https://app.example.com Cookie=C"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked = nil
			q := getFrom(strings.ReplaceAll(test.origin, "SELF", first.URL), first.URL+test.path)
			q.Send, q.Cookie, q.CredentialsInclude = true, "C", true
			q.Method, q.Headers = test.method, test.headers
			r := prober().Probe(t.Context(), q)
			asked = slices.DeleteFunc(asked, func(line string) bool { return strings.Contains(line, "corsctl-probe") })
			if diff := cmp.Diff(test.asked, asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			if (test.blocked != "") != (r.Changes != nil) {
				t.Errorf("changes: %v", r.Changes)
			}
			if got := of(r).Blocked; got != test.blocked || r.Failure() != nil {
				t.Errorf("blocked by %q, want %q (%v)", got, test.blocked, r.Failure())
			}
			if b := r.Blocked; b != nil && b.Reason != probe.BadPort && b.Step != "HTTP-redirect fetch" {
				t.Errorf("blocked by the step %q", b.Step)
			}
		})
	}
}

// TestRedirectedCookie: a host's cookies go to it over TLS too, and never from there to without.
func TestRedirectedCookie(t *testing.T) {
	var plain, secured *httptest.Server
	asked := map[string]string{}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		switch asked[r.URL.Path] = r.Header.Get("Cookie"); {
		case r.URL.Path != "/":
		case r.TLS == nil:
			http.Redirect(w, r, secured.URL+"/secured", http.StatusFound)
		default:
			http.Redirect(w, r, plain.URL+"/plain", http.StatusFound)
		}
	})
	plain, secured = httptest.NewServer(handler), httptest.NewTLSServer(handler)
	t.Cleanup(plain.Close)
	t.Cleanup(secured.Close)
	p := prober()
	p.Insecure = true
	for _, url := range []string{plain.URL, secured.URL} {
		q := getFrom("http://app.example.com", url+"/")
		q.CredentialsInclude, q.Cookie = true, "C"
		p.Probe(t.Context(), q)
	}
	if diff := cmp.Diff(map[string]string{"/": "C", "/secured": "C", "/plain": ""}, asked); diff != "" {
		t.Errorf("cookies (-want +got):\n%s", diff)
	}
}

// TestNotSent: what may change something isn't sent unless it is asked for, not even by a
// redirect or in disguise.
func TestNotSent(t *testing.T) {
	var asked []string
	server := httptest.NewServer(&redirector{name: "here", asked: &asked})
	t.Cleanup(server.Close)
	for _, test := range []struct {
		method, header string
		verdict        probe.Verdict
		asked          int
	}{
		{"PUT", "", probe.PreflightAllowed, 2}, // with the one from another origin
		{"POST", "", probe.Unknown, 0},
		{"GET", "X-HTTP-Method-Override", probe.BlockedByBrowser, 2},
		{"GET", "", probe.Allowed, 2},
	} {
		asked = nil
		q := getFrom("https://app.example.com", server.URL)
		q.Method = test.method
		if test.header != "" {
			q.Headers = [][2]string{{test.header, "DELETE"}}
		}
		if r := prober().Probe(t.Context(), q); r.Verdict != test.verdict || len(asked) != test.asked {
			t.Errorf("%s %s: the verdict is %s, asked %q", test.method, test.header, r.Verdict, asked)
		}
	}
}

// TestOtherOriginsAre: which origins ask for a page's.
func TestOtherOriginsAre(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	}))
	t.Cleanup(server.Close)
	p := prober()
	p.OtherOrigins = true
	for origin, want := range map[string][]string{
		"http://127.0.0.1:3000":   {"http://127.0.0.1.corsctl-probe.example:3000"},
		"http://[::1]:3000":       nil,
		"http://localhost:3000":   {"http://localhost.corsctl-probe.example:3000"},
		"capacitor://localhost":   {"capacitor://localhost.corsctl-probe.example"},
		"file://":                 nil,
		"https://example.com":     {"https://example.com.corsctl-probe.example", "https://corsctl-probeexample.com", "http://example.com"},
		"https://a.b.example.com": {"https://a.b.example.com.corsctl-probe.example", "https://corsctl-probeexample.com", "https://a.bxexample.com", "http://a.b.example.com"},
	} {
		var got []string
		for _, s := range p.Probe(t.Context(), getFrom(origin, server.URL)).Others {
			got = append(got, s.Origin)
		}
		if diff := cmp.Diff(append([]string{"https://corsctl-probe.example", "null"}, want...), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", origin, diff)
		}
	}
}

// TestOtherOrigins: each mistake in comparing origins is found, and named.
func TestOtherOrigins(t *testing.T) {
	const app = "https://app.example.com"
	for _, test := range []struct {
		name   string
		allows func(origin string) bool
		want   []string
	}{
		{"equal", func(o string) bool { return o == app }, nil},
		{"a prefix", func(o string) bool { return strings.HasPrefix(o, app) },
			[]string{"https://app.example.com.corsctl-probe.example"}},
		{"a suffix", func(o string) bool { return strings.HasSuffix(o, "example.com") },
			[]string{"https://corsctl-probeexample.com", "https://appxexample.com", "http://app.example.com"}},
		{"a dot that is any character", func(o string) bool { return len(o) == len(app) && o[11] == 'x' || o == app },
			[]string{"https://appxexample.com"}},
		{"null", func(o string) bool { return o == "null" || o == app }, []string{"null"}},
		{"headers for all, and a status for few", func(string) bool { return true }, nil},
		{"the host", func(o string) bool { return strings.HasSuffix(o, "://app.example.com") },
			[]string{"http://app.example.com"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if origin := r.Header.Get("Origin"); test.allows(origin) {
					w.Header().Set("Access-Control-Allow-Origin", origin)
					w.Header().Set("Access-Control-Allow-Credentials", "true")
				}
				w.Header().Set("Vary", "Origin")
				if strings.HasPrefix(test.name, "headers for all") && r.Header.Get("Origin") != app {
					w.WriteHeader(http.StatusForbidden)
				}
			}))
			t.Cleanup(server.Close)
			p := prober()
			p.OtherOrigins = true
			r := p.Probe(t.Context(), getFrom(app, server.URL))
			var let, said []string
			for _, s := range r.Others {
				if s.Accepted && s.WithCredentials {
					let = append(let, s.Origin)
				}
			}
			for _, a := range r.Advice {
				if a.Severity == probe.Danger && a.Kind == "other-origin-with-credentials" {
					said = append(said, a.What)
				}
			}
			if diff := cmp.Diff(test.want, let); diff != "" || len(said) != len(let) || len(r.Others) != 6 {
				t.Errorf("let in (-want +got):\n%s%q", diff, said)
			}
		})
	}
}
