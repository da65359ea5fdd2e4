package browser_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// A flow is what a page does under a policy, and what the policy means to come of it. In
// policies PAGE stands for the page's origin, and PORT for its port.
type flow struct {
	name   string
	policy string // the fields
	from   string // the host of the page, 127.0.0.1 if empty, or "null" for one without an origin
	fetch  string // the second argument of fetch(); "upload" is a PUT by XMLHttpRequest with a listener
	reads  bool   // The page gets the answer.
	// sent tells that the request itself reaches the upstream, as what needs no preflight does.
	sent    bool
	exposed []string
	status  int // of the upstream
}

const (
	listed = `"allow_origins": ["PAGE"], "allow_methods": ["PUT", "PATCH"], "allow_headers": ["X-A", "Content-Type"],
		"expose_headers": ["X-Exposed"]`
	withCredentials = `"allow_origins": ["PAGE"], "allow_methods": ["*"], "allow_headers": ["*"], "allow_credentials": true,
		"expose_headers": ["X-Exposed"]`
	everyone    = `"allow_origins": ["*"], "allow_methods": ["*"], "allow_headers": ["*"], "expose_headers": ["*"]`
	noOrigin    = `"allow_origins": ["null"], "allow_methods": ["PUT"]`
	nullAndMore = `"allow_origins": ["null"], "allow_methods": ["PUT"], "allow_credentials": true`
	subdomains  = `"allow_origins": ["http://*.localhost:PORT"], "allow_methods": ["PUT"]`
	anyPort     = `"allow_origins": ["http://127.0.0.1:*"], "allow_methods": ["PUT"]`
	expression  = `"allow_origins": [{"regex": "http://(a|b)[.]localhost:[0-9]+"}], "allow_methods": ["PUT"]`
	debugging   = listed + `, "debug": true`
)

// flows are the main flows of the kinds of policies.
var flows = []flow{
	{name: "simple", policy: listed, fetch: `{}`, reads: true, sent: true, exposed: []string{"X-Exposed"}},
	{name: "simple, denied", policy: listed, from: "localhost", fetch: `{}`, sent: true},
	{name: "simple, null denied", policy: listed, from: "null", fetch: `{}`, sent: true},
	{name: "simple POST", policy: listed, fetch: `{method: "POST", body: "a"}`, reads: true, sent: true,
		exposed: []string{"X-Exposed"}},
	{name: "an error", policy: listed, fetch: `{}`, status: 500, reads: true, sent: true, exposed: []string{"X-Exposed"}},
	{name: "an error, denied", policy: listed, from: "localhost", fetch: `{}`, status: 500, sent: true},
	{name: "with credentials that aren't allowed", policy: listed, fetch: `{credentials: "include"}`, sent: true},
	{name: "preflighted", policy: listed, fetch: `{method: "PUT"}`, reads: true, sent: true, exposed: []string{"X-Exposed"}},
	{name: "preflighted JSON", policy: listed, reads: true, sent: true, exposed: []string{"X-Exposed"},
		fetch: `{method: "POST", headers: {"Content-Type": "application/json", "X-A": "1"}, body: "{}"}`},
	{name: "preflighted, denied", policy: listed, from: "localhost", fetch: `{method: "PUT"}`},
	{name: "preflighted, null denied", policy: listed, from: "null", fetch: `{method: "PUT"}`},
	{name: "a method that isn't listed", policy: listed, fetch: `{method: "DELETE"}`},
	{name: "a method in lower case", policy: listed, fetch: `{method: "patch"}`},
	{name: "a header that isn't listed", policy: listed, fetch: `{headers: {"X-B": "1"}}`},
	{name: "Authorization that isn't listed", policy: listed, fetch: `{headers: {"Authorization": "a"}}`},
	{name: "an upload with a listener", policy: listed, fetch: "upload", reads: true, sent: true, exposed: []string{"X-Exposed"}},
	{name: "an upload by a method that isn't listed", policy: `"allow_origins": ["PAGE"]`, fetch: "upload"},

	{name: "credentials", policy: withCredentials, fetch: `{credentials: "include"}`, reads: true, sent: true,
		exposed: []string{"X-Exposed"}},
	{name: "credentials, denied", policy: withCredentials, from: "localhost", fetch: `{credentials: "include"}`, sent: true},
	{name: "credentials, null denied", policy: withCredentials, from: "null", fetch: `{credentials: "include"}`, sent: true},
	{name: "credentials, preflighted by stars", policy: withCredentials, reads: true, sent: true, exposed: []string{"X-Exposed"},
		fetch: `{credentials: "include", method: "DELETE", headers: {"X-Any": "1", "Content-Type": "a/b"}}`},
	{name: "credentials, Authorization by star", policy: withCredentials,
		fetch: `{credentials: "include", headers: {"Authorization": "a"}}`},
	{name: "credentials, Authorization beside star", reads: true, sent: true, exposed: []string{"X-Exposed"},
		policy: strings.Replace(withCredentials, `"allow_headers": ["*"]`, `"allow_headers": ["*", "Authorization"]`, 1),
		fetch:  `{credentials: "include", headers: {"Authorization": "a", "X-Any": "1"}}`},
	{name: "no credentials where they are allowed", policy: withCredentials, reads: true, sent: true,
		fetch: `{credentials: "omit", method: "PUT"}`, exposed: []string{"X-Exposed"}},

	{name: "everyone", policy: everyone, fetch: `{}`, reads: true, sent: true, exposed: []string{"X-Exposed", "X-Other"}},
	{name: "everyone, null", policy: everyone, from: "null", fetch: `{method: "PUT", headers: {"X-Any": "1"}}`, reads: true,
		sent: true, exposed: []string{"X-Exposed", "X-Other"}},
	{name: "everyone, with credentials", policy: everyone, fetch: `{credentials: "include"}`, sent: true},
	{name: "everyone, preflighted with credentials", policy: everyone, fetch: `{credentials: "include", method: "PUT"}`},
	{name: "Authorization by star", policy: everyone, fetch: `{headers: {"Authorization": "a"}}`},
	{name: "Authorization beside star", reads: true, sent: true, exposed: []string{"X-Exposed", "X-Other"},
		policy: strings.Replace(everyone, `"allow_headers": ["*"]`, `"allow_headers": ["*", "Authorization"]`, 1),
		fetch:  `{headers: {"Authorization": "a", "X-Any": "1"}}`},

	{name: "null", policy: noOrigin, from: "null", fetch: `{}`, reads: true, sent: true},
	{name: "null, preflighted", policy: noOrigin, from: "null", fetch: `{method: "PUT"}`, reads: true, sent: true},
	{name: "null, a page with an origin", policy: noOrigin, fetch: `{}`, sent: true},
	{name: "null with credentials", policy: nullAndMore, from: "null", fetch: `{credentials: "include", method: "PUT"}`,
		reads: true, sent: true},
	{name: "subdomains", policy: subdomains, from: "a.b.localhost", fetch: `{method: "PUT"}`, reads: true, sent: true},
	{name: "subdomains, not the domain", policy: subdomains, from: "localhost", fetch: `{method: "PUT"}`},
	{name: "any port", policy: anyPort, fetch: `{method: "PUT"}`, reads: true, sent: true},
	{name: "any port, of another host", policy: anyPort, from: "localhost", fetch: `{}`, sent: true},
	{name: "an expression", policy: expression, from: "a.localhost", fetch: `{method: "PUT"}`, reads: true, sent: true},
	{name: "an expression that doesn't match", policy: expression, from: "ab.localhost", fetch: `{method: "PUT"}`},

	{name: "debug, allowed", policy: debugging, fetch: `{method: "PUT"}`, reads: true, sent: true,
		exposed: []string{"X-Exposed"}},
	{name: "debug, a method", policy: debugging, fetch: `{method: "DELETE"}`},
	{name: "debug, a method in lower case", policy: debugging, fetch: `{method: "patch"}`},
	{name: "debug, a header", policy: debugging, fetch: `{headers: {"X-B": "1"}}`},
	{name: "debug, Authorization by star", policy: everyone + `, "debug": true`, fetch: `{headers: {"Authorization": "a"}}`},
	{name: "debug, an upload", policy: `"allow_origins": ["PAGE"], "debug": true`, fetch: "upload"},
}

// upload is a script that returns the same as a fetch.
const upload = `new Promise((resolve, reject) => {
	const xhr = Object.assign(new XMLHttpRequest(), {onerror: reject});
	xhr.onload = () => resolve({status: xhr.status, headers: {has: (name) => xhr.getResponseHeader(name) !== null}});
	xhr.open("PUT", %q);
	xhr.upload.onprogress = () => {};
	xhr.send("body");
})`

// TestFlows: through Envoy and the filter, each browser lets pages do what the policy means, and no more.
func TestFlows(t *testing.T) {
	t.Parallel()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/null" {
			w.Header().Set("Content-Security-Policy", "sandbox allow-scripts")
		}
		w.Header().Set("Content-Type", "text/html")
	}))
	t.Cleanup(page.Close)
	_, port, err := net.SplitHostPort(page.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	upstream := &flowUpstream{}
	api := httptest.NewServer(upstream)
	t.Cleanup(api.Close)
	module, err := envoytest.Module()
	if err != nil {
		t.Fatal(err)
	}
	bootstrap := envoytest.Bootstrap{Upstream: api.Listener.Addr().String()}
	listeners := map[string]string{} // by policy
	for _, f := range flows {
		if listeners[f.policy] != "" {
			continue
		}
		listeners[f.policy] = f.name
		policy := strings.NewReplacer("PAGE", page.URL, "PORT", port).Replace(f.policy)
		bootstrap.Listeners = append(bootstrap.Listeners, envoytest.Listener{
			Name: f.name, Filters: []any{envoytest.Plugin{Module: module, Config: "{" + policy + "}"}.Filter()},
		})
	}
	envoy := envoytest.Start(t, bootstrap.String(), envoytest.Options{})
	for _, b := range visitors(t) {
		for _, from := range origins() {
			host, path := from, "/"
			if from == "null" {
				host, path = "127.0.0.1", "/null"
			}
			b.visit("http://" + net.JoinHostPort(host, port) + path)
			for i, f := range flows {
				if f.host() == from {
					addr := envoy.Addr(t, listeners[f.policy])
					upstream.check(t, b, f, fmt.Sprintf("http://%s/%d?%d", addr, i, f.status))
				}
			}
		}
	}
}

// host is where the page of a flow comes from.
func (f flow) host() string {
	if f.from == "" {
		return "127.0.0.1"
	}
	return f.from
}

// origins are the hosts of all flows.
func origins() (hosts []string) {
	for _, f := range flows {
		hosts = append(hosts, f.host())
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// A flowUpstream answers with the status of the query, and notes the paths that it was asked for.
type flowUpstream struct {
	mu    sync.Mutex
	asked []string
}

func (u *flowUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	u.asked = append(u.asked, r.Method+" "+r.URL.Path)
	u.mu.Unlock()
	w.Header().Set("Access-Control-Allow-Origin", "*") // which the filter replaces
	w.Header().Set("X-Exposed", "1")
	w.Header().Set("X-Other", "1")
	status, err := strconv.Atoi(r.URL.RawQuery)
	if err == nil {
		w.WriteHeader(max(status, 200))
	}
}

// check makes the request of a flow, and compares what comes of it.
func (u *flowUpstream) check(t *testing.T, b visitor, f flow, url string) {
	t.Helper()
	u.mu.Lock()
	u.asked = nil
	u.mu.Unlock()
	request := fmt.Sprintf(`fetch(%q, %s)`, url, f.fetch)
	if f.fetch == "upload" {
		request = fmt.Sprintf(upload, url)
	}
	names, err := json.Marshal([]string{"X-Exposed", "X-Other"})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Status  int
		Exposed []string
	}
	b.decode(fmt.Sprintf(`%s.then((r) => ({status: r.status, exposed: %s.filter((name) => r.headers.has(name))}), () => ({}))`,
		request, names), &got)
	status := max(f.status, 200)
	if !f.reads {
		status = 0
	}
	if got.Status != status || !slices.Equal(got.Exposed, f.exposed) {
		t.Errorf("%s: a page in %s reads %d and %q, want %d and %q",
			f.name, b.called(), got.Status, got.Exposed, status, f.exposed)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.asked) > 1 || (len(u.asked) == 1) != f.sent || slices.ContainsFunc(u.asked, func(line string) bool {
		return strings.HasPrefix(line, http.MethodOptions)
	}) {
		t.Errorf("%s: of a page in %s the upstream got %q; want a request: %t", f.name, b.called(), u.asked, f.sent)
	}
}
