package probe_test

import (
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
