package envoy_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
	asking "github.com/proxy-wasm-cors/proxy-wasm-cors/internal/probe"
)

// TestProbe: what corsctl probe says of the filter. Where a policy allows a request, there is
// nothing to change and nothing to warn of, and no other origin is let in.
func TestProbe(t *testing.T) {
	const (
		lists       = `"allow_methods": ["PUT"], "allow_headers": ["X-Key"], "expose_headers": ["X-Id"], "max_age": 600`
		credentials = `{"allow_origins": ["https://app.example.com"], "allow_credentials": true, ` + lists + `}`
		anyone      = `{"allow_origins": ["*"], ` + lists + `}`
		debug       = `{"allow_origins": ["https://app.example.com"], "debug": true, ` + lists + `}`
		everything  = `{"allow_origins": ["https://*.example.com"], "allow_credentials": true, "allow_methods": ["*"],
			"allow_headers": ["*", "Authorization"], "max_age": 600}`
	)
	upstream := envoytest.NewUpstream(t)
	redirect := map[string]any{"match": map[string]any{"path": "/old"},
		"redirect": map[string]any{"path_redirect": "/new"}}
	var listeners []envoytest.Listener
	for name, config := range map[string]string{"credentials": credentials, "anyone": anyone, "debug": debug,
		"everything": everything} {
		listeners = append(listeners, envoytest.Listener{Name: name, Filters: []any{plugin(t, config).Filter()},
			Routes: []any{redirect}})
	}
	listeners = append(listeners, envoytest.Listener{Name: "bare"})
	envoy := envoytest.Start(t, envoytest.Bootstrap{Upstream: upstream.Addr(), Listeners: listeners}.String(),
		envoytest.Options{})
	question := func(listener, path, method string, include bool, headers ...[2]string) asking.Question {
		return asking.Question{Send: true, Request: browser.Request{Origin: "https://app.example.com", Method: method,
			URL: "http://" + envoy.Addr(t, listener) + path, CredentialsInclude: include, Headers: headers}}
	}
	key, authorization := [2]string{"X-Key", "1"}, [2]string{"Authorization", "1"}
	asker := &asking.Prober{Timeout: time.Minute, UserAgent: "test", OtherOrigins: true}
	for _, test := range []struct {
		name    string
		ask     asking.Question
		blocked browser.BlockReason
		advice  []string
	}{
		{"simple", question("credentials", "/", "GET", true), "", []string{"private-network"}},
		{"a preflight", question("credentials", "/", "PUT", true, key), "", []string{"private-network"}},
		{"a star", question("anyone", "/", "PUT", false, key), "", []string{"private-network"}},
		{"all lists have stars", question("everything", "/", "PATCH", true, key, authorization), "",
			[]string{"private-network"}},
		{"redirected", question("anyone", "/old", "GET", false), "", []string{"private-network", "redirected"}},
		{"a method", question("credentials", "/", "DELETE", false), browser.MissingAllowOrigin, []string{"private-network"}},
		{"a method, with debug", question("debug", "/", "DELETE", false), browser.MethodNotAllowed,
			[]string{"private-network"}},
		{"a header, with debug", question("debug", "/", "PUT", false, authorization), browser.HeaderNotAllowed,
			[]string{"private-network"}},
		{"a star with credentials", question("anyone", "/", "GET", true), browser.WildcardWithCredentials,
			[]string{"private-network"}},
		{"no filter", question("bare", "/", "GET", false), browser.MissingAllowOrigin, []string{"private-network"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := asker.Probe(t.Context(), test.ask)
			var blocked browser.BlockReason
			if r.Blocked != nil {
				blocked = r.Blocked.Reason
			}
			if blocked != test.blocked || (r.Verdict == asking.Allowed) != (test.blocked == "") ||
				(r.Changes == nil) != (test.blocked == "") {
				t.Errorf("%s, blocked by %q (%v), changes %v", r.Verdict, blocked, r.Failure(), r.Changes)
			}
			var advice []string
			for _, a := range r.Advice {
				advice = append(advice, a.Kind)
			}
			if diff := cmp.Diff(test.advice, advice); diff != "" {
				t.Errorf("advice (-want +got):\n%s", diff)
			}
			for _, s := range r.Others {
				if s.Failure != nil || s.Accepted {
					t.Errorf("%s is let in (%v)", s.Origin, s.Failure)
				}
			}
		})
	}

	t.Run("compare", func(t *testing.T) {
		q := question("credentials", "/", "PUT", true, key)
		other := "http://" + envoy.Addr(t, "everything") + "/"
		same := asking.Compare(t.Context(), asker, asker, q, other)
		if same.Differs() || len(same.Rows) != 6 {
			t.Errorf("%d rows, and they differ", len(same.Rows))
		}
		listed := slices.ContainsFunc(same.Rows[0].Differences, func(d asking.Difference) bool {
			return d == asking.Difference{Answer: "actual", Header: "access-control-expose-headers", A: "x-id"}
		})
		if !listed {
			t.Errorf("that X-Id isn't exposed is no difference: %v", same.Rows[0].Differences)
		}
		bare := asking.Compare(t.Context(), asker, asker, q, "http://"+envoy.Addr(t, "bare")+"/")
		if !bare.Differs() {
			t.Error("a bare upstream is the same")
		}
	})
}
