package probe_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/probe"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/probe/mistakes"
)

// prober asks as these tests do. What hangs fails them.
func prober() *probe.Prober { return &probe.Prober{Timeout: time.Minute, UserAgent: "test"} }

// TestMistakes: what is said of each mistake. That a browser says the same is tested with one,
// in e2e/browser.
func TestMistakes(t *testing.T) {
	page := "http://127.0.0.1:1"
	elsewhere := &mistakes.Server{Page: page}
	other := httptest.NewServer(elsewhere)
	t.Cleanup(other.Close)
	server := &mistakes.Server{Page: page, Elsewhere: other.URL}
	here := httptest.NewServer(server)
	t.Cleanup(here.Close)
	server.Here = here.URL
	for n, m := range mistakes.All {
		t.Run(m.Name, func(t *testing.T) {
			q := probe.Question{Request: m.Request, Send: true}
			q.Origin, q.URL = page, here.URL+"/"+strconv.Itoa(n)
			r := prober().Probe(t.Context(), q)
			expand := func(list []string) (expanded []string) {
				for _, text := range list {
					expanded = append(expanded, server.Expand(n, text))
				}
				return expanded
			}
			want := found{m.Blocked, server.Expand(n, m.Because), expand(m.Changes), m.Advice}
			if diff := cmp.Diff(want, of(r)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if (m.Blocked == "") != (r.Verdict == probe.Allowed) {
				t.Errorf("the verdict is %s", r.Verdict)
			}
		})
	}
}

// TestWhy: how a mistake comes to be is told from the answer.
func TestWhy(t *testing.T) {
	const app, cached = "https://app.example.com", "it comes from a cache (age: 7)"
	for _, test := range []struct {
		name        string
		lines       [][2]string
		want, never string
	}{
		{"nothing", nil, "the server doesn't know of CORS here", "cache"},
		{"kept of a request without an origin", [][2]string{{"Age", "7"}}, cached, ""},
		{"kept of another origin's", [][2]string{{"Age", "7"}, {"Access-Control-Allow-Origin", "https://b.example"}}, cached, ""},
		{"another's", [][2]string{{"Access-Control-Allow-Origin", "https://b.example"}}, "compare the Origin to a list", "cache"},
		{"two layers", [][2]string{{"Age", "7"}, {"Access-Control-Allow-Origin", app}, {"Access-Control-Allow-Origin", "*"}},
			"it is there 2 times", "cache"},
		{"a slash", [][2]string{{"Access-Control-Allow-Origin", app + "/"}}, "an origin has no slash at its end", ""},
		{"quotes", [][2]string{{"Access-Control-Allow-Origin", "'" + app + "'"}}, "it has quotes around it", ""},
		{"another scheme", [][2]string{{"Access-Control-Allow-Origin", "http://app.example.com"}},
			"http and https are different origins", ""},
		{"a pattern", [][2]string{{"Access-Control-Allow-Origin", "https://*.example.com"}}, "a wildcard only counts alone", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for _, line := range test.lines {
					w.Header().Add(line[0], line[1])
				}
			}))
			t.Cleanup(server.Close)
			list := prober().Probe(t.Context(), getFrom(app, server.URL)).Changes
			if len(list) != 1 || !strings.Contains(list[0].Why, test.want) ||
				test.never != "" && strings.Contains(list[0].Why, test.never) {
				t.Errorf("%+v, want %q, not %q", list, test.want, test.never)
			}
		})
	}
}

// TestLocalhost: names under localhost are the own machine's, as to browsers, which ask no DNS.
func TestLocalhost(t *testing.T) {
	server := httptest.NewServer(&mistakes.Server{})
	t.Cleanup(server.Close)
	q := getFrom("http://app.localhost", strings.Replace(server.URL, "127.0.0.1", "api.localhost", 1)+"/0")
	if r := prober().Probe(t.Context(), q); r.Verdict != probe.Allowed {
		t.Errorf("the verdict is %s (%v)", r.Verdict, r.Failure())
	}
}

// found is what is compared of a report.
type found struct {
	Blocked         browser.BlockReason
	Because         string
	Changes, Advice []string
}

func of(r *probe.Report) (f found) {
	if b := r.Blocked; b != nil {
		f.Blocked, f.Because = b.Reason, b.Because
	}
	for _, c := range r.Changes {
		line := c.Answer
		switch {
		case c.Header != "":
			line += " " + c.Header + ": " + c.Write
		case c.Status != 0:
			line += " " + strconv.Itoa(c.Status)
		}
		f.Changes = append(f.Changes, line)
	}
	for _, a := range r.Advice {
		f.Advice = append(f.Advice, a.Kind)
	}
	return f
}
