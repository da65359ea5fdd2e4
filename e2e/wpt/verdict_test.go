package wpt_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/probe"
)

// checkVerdict asks the same by corsctl's judge, and compares what it says with what the browser did: which
// requests it sent, with which lines, whether the page gets the answer, and which headers it sees.
func (w *website) checkVerdict(t *testing.T, i int, answers []*seen) {
	t.Helper()
	r := w.rows[i]
	sent, _ := w.observed(i)
	prober := &probe.Prober{Timeout: 20 * time.Second, Insecure: true, UserAgent: "WPT"}
	var cache browser.PreflightCache
	for n, s := range r.steps {
		q := probe.Question{Request: s.Request, Send: true}
		q.URL, q.Origin = w.asked(i, s), w.origins[r.page()]
		if r.from == "sandbox" || strings.HasPrefix(s.kind, "data ") {
			q.Origin = "null"
		}
		q.PreflightCached = cache.Covers(q.Request)
		report := prober.Probe(t.Context(), q)
		want := r.expected(theVerdict, s)
		if failure := report.Failure(); failure != nil {
			if !want.fails || r.differs == nil {
				t.Errorf("%+v", failure)
			}
			return
		}
		if blocked := report.Verdict == probe.BlockedByBrowser; blocked != want.fails {
			t.Errorf("step %d: the verdict is %s (%+v), want a network error: %t", n, report.Verdict, report.Blocked, want.fails)
		}
		preflight := slices.ContainsFunc(report.Hops, func(h *probe.Hop) bool { return h.Preflight != nil })
		if want.preflight != "" && preflight != (want.preflight == yes) {
			t.Errorf("step %d: there is a preflight: %t", n, preflight)
		}
		if r.differs == nil || r.differs.who != theBrowser && r.differs.who != theVerdict {
			sent = w.checkHops(t, report, sent)
			checkExposed(t, s.Request, report, answers[n])
		}
		if first := report.Hops[0].Preflight; first != nil && (report.Blocked == nil || !report.Blocked.Preflight) {
			cache.Store(q.Request, first.Answer.Headers)
		}
	}
	if len(sent) > 0 && r.differs == nil {
		t.Errorf("the browser has sent %d requests more: %s %s", len(sent), sent[0].Method, sent[0].URL)
	}
}

// checkHops compares the requests that a report has with those that the browser sent, and returns the rest.
func (w *website) checkHops(t *testing.T, report *probe.Report, sent []*http.Request) (rest []*http.Request) {
	t.Helper()
	for _, hop := range report.Hops {
		for _, e := range []*probe.Exchange{hop.Preflight, hop.Actual} {
			if e == nil {
				continue
			}
			if len(sent) == 0 {
				t.Errorf("the browser hasn't sent %s %s", e.Method, e.URL)
				return nil
			}
			r := sent[0]
			sent = sent[1:]
			if r.Method != e.Method || !strings.HasSuffix(e.URL, r.Host+r.URL.Path) {
				t.Errorf("the browser sends %s %s%s, and the judge %s %s",
					r.Method, r.Host, r.URL.Path, e.Method, e.URL)
			}
			for _, name := range []string{"Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"} {
				var judged []string
				for _, line := range e.Lines {
					if strings.EqualFold(line[0], name) {
						judged = append(judged, line[1])
					}
				}
				if !slices.Equal(judged, r.Header.Values(name)) {
					t.Errorf("the browser sends %s %q, and the judge %q", name, r.Header.Values(name), judged)
				}
			}
		}
	}
	return sent
}

// checkExposed compares which headers of the last answer the page sees with those that it sees by the
// judge.
func checkExposed(t *testing.T, request browser.Request, report *probe.Report, got *seen) {
	t.Helper()
	if got == nil || len(got.Headers) == 0 || !report.Last().Request.CORS() {
		return
	}
	headers := report.Last().Actual.Answer.Headers
	for _, h := range headers {
		exposed := browser.Exposed(headers, h[0], request.CredentialsInclude)
		if sees := len(got.values(h[0])) > 0; sees != exposed {
			t.Errorf("the page sees %s: %t, and by the judge: %t", h[0], sees, exposed)
		}
	}
}
