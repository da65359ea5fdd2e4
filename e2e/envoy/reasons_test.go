package envoy_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// TestReasons: the access log says of each request that isn't allowed by which policy, and
// why; of others it has nothing. Whatever a request says, it is one line of printable text.
func TestReasons(t *testing.T) {
	upstream := envoytest.NewUpstream(t)
	log := map[string]any{
		"@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
		"log_format": map[string]any{"text_format_source": map[string]any{"inline_string": "%REQ(X-TEST-ID)% " +
			`policy="%FILTER_STATE(wasm.cors.policy:PLAIN)%" reason="%FILTER_STATE(wasm.cors.reason:PLAIN)%"` + "\n"}},
	}
	access := map[string]any{"access_log": []any{map[string]any{"name": "stdout", "typed_config": log}}}
	envoy := envoytest.Start(t, envoytest.Bootstrap{Upstream: upstream.Addr(), Listeners: []envoytest.Listener{
		{Name: "named", Extra: access, Filters: []any{plugin(t, namedPolicies("a.b", "shadow")).Filter()}},
		{Name: "nameless", Extra: access, Filters: []any{plugin(t, site).Filter()}},
	}}.String(), envoytest.Options{})
	asks := func(method, headers string) cases.Request {
		return cases.Request{Method: "OPTIONS", Headers: [][2]string{{"origin", "https://app.example"},
			{"access-control-request-method", method}, {"access-control-request-headers", headers}}}
	}
	from := func(origin string) cases.Request { return cases.Request{Headers: [][2]string{{"origin", origin}}} }
	const elsewhere = "origin https://evil.test is not in allow_origins"
	const malformed = "the Origin header is not one serialized origin"
	long := strings.Repeat("a", 8<<10)
	for i, test := range []struct {
		listener, host string
		request        cases.Request
		policy, reason string
	}{
		{"named", "a.b.test", fromSite, "-", "-"},
		{"named", "a.b.test", sitePreflight, "-", "-"},
		{"named", "a.b.test", cases.Request{}, "-", "-"},
		{"named", "other.test", fromElsewhere, "-", "-"},
		{"named", "a.b.test", fromElsewhere, "a.b", elsewhere},
		{"named", "shadow.test", fromElsewhere, "shadow", elsewhere},
		{"named", "shadow.test", asks("DELETE", "x-a"), "shadow", "method DELETE is not in allow_methods (allowed: PUT)"},
		{"named", "a.b.test", asks("PUT", "x-a"), "a.b", "header x-a is not in allow_headers (allowed: none)"},
		{"nameless", "a.test", fromElsewhere, "default", elsewhere},
		{"nameless", "a.test", from(""), "default", "the Origin header is empty"},
		{"nameless", "a.test", from("https://app.example/"), "default",
			"the Origin header https://app.example/ has a slash at its end, as browsers never send it"},
		{"nameless", "a.test", from(`https://app.example" policy="x`), "default", malformed},
		{"nameless", "a.test", from("https://app.example\xff\x80"), "default", malformed},
		{"nameless", "a.test", from("https://" + long + ".test"), "default", malformed},
		{"nameless", "a.test", from("app://a%0Ab"), "default", "origin app://a%0Ab is not in allow_origins"},
		{"nameless", "a.test", asks("PUT", "x-"+long), "default",
			"the requested headers are longer than 8192 bytes"},
		{"nameless", "a.test", asks("PUT", "x-"+long[:8000]), "default", "header x-" + long[:198] +
			"... is not in allow_headers (allowed: none)"},
		{"nameless", "a.test", asks("PUT", `x" policy="y`), "default",
			"the requested headers are not a list of header names"},
		{"nameless", "a.test", asks(long, "x-a"), "default", "the requested method is not a method"},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			x, err := upstream.Exchange(envoytest.HTTP1, envoy.Addr(t, test.listener), at(test.host, test.request),
				cases.Upstream{})
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf(`policy="%s" reason="%s"`, test.policy, test.reason)
			if got := envoy.Details(t, x.ID); got != want {
				t.Errorf("the log has %s\nwant %s", got, want)
			}
		})
	}
}

// TestReasonsOfRedirects: a request that Envoy redirects itself is decided anew, and what was
// said of it before is not said of where it ends.
func TestReasonsOfRedirects(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			w.Header().Set("Location", "http://"+r.Host+to)
			w.WriteHeader(http.StatusFound)
		}
	}))
	defer upstream.Close()
	log := map[string]any{
		"@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
		"log_format": map[string]any{"text_format_source": map[string]any{"inline_string": "%REQ(X-TEST-ID)% " +
			"%RESPONSE_CODE% %FILTER_STATE(wasm.cors.policy:PLAIN)% %FILTER_STATE(wasm.cors.reason:PLAIN)%\n"}},
	}
	envoy := envoytest.Start(t, envoytest.Bootstrap{
		Upstream: strings.TrimPrefix(upstream.URL, "http://"),
		Listeners: []envoytest.Listener{{
			Name:  "main",
			Extra: map[string]any{"access_log": []any{map[string]any{"name": "stdout", "typed_config": log}}},
			Routes: []any{map[string]any{"match": map[string]any{"prefix": "/"}, "route": map[string]any{
				"cluster": "upstream", "internal_redirect_policy": map[string]any{}}}},
			Filters: []any{plugin(t, `{"policies": [
			  {"name": "none", "match": {"paths": [{"prefix": "/none"}]}, "allow_origins": ["https://none.example"]},
			  {"name": "site", "match": {"paths": [{"prefix": "/site"}]}, "allow_origins": ["https://app.example"]}]}`).Filter()},
		}},
	}.String(), envoytest.Options{})
	for i, test := range []struct{ from, to, want, allowed string }{
		{"/none", "/site", "200 - -", "https://app.example"},
		{"/site", "/none", "200 none origin https://app.example is not in allow_origins", ""},
	} {
		id := fmt.Sprintf("redirect-%d", i)
		response, err := envoytest.HTTP1(envoy.Addr(t, "main"),
			to(test.from+"?to="+test.to, fromSite, [2]string{"x-test-id", id}))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(response.Values("access-control-allow-origin"), " "); got != test.allowed {
			t.Errorf("%s to %s: allowed origin %q, want %q", test.from, test.to, got, test.allowed)
		}
		line := "\n" + id + " " + test.want + "\n"
		envoytest.Eventually(t, 10*time.Second, "the log has "+line, func() bool {
			return strings.Contains("\n"+envoy.AccessLog(), line)
		})
	}
}
