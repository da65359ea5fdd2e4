package hotreload_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// TestPolicySource: an HTTP server changes its document a hundred times, and each
// reaches every worker while no request fails. It is asked for with the ETag of the
// one before.
func TestPolicySource(t *testing.T) {
	f := deploy(t)
	load := startLoad(t, f.proxies, bySource)
	f.source.publish(document(2))
	load.Await(t, bySource, 2)
	before := f.counts(t)
	var took fleet.Durations
	for n := 3; n <= 2+updates; n++ {
		took.Measure(func() { f.source.publish(largeDocument(n, updateSize)) }, load.Awaiting(t, bySource, n))
	}
	t.Logf("by a policy source with an interval of %s, in every worker after: %s", sourceInterval, took)
	for i, after := range f.counts(t) {
		f.proxies[i].CheckWorkers(t)
		if n := after["updated"] - before[i]["updated"]; n != updates {
			t.Errorf("%s: %d documents taken, want %d", f.proxies[i].Node, n, updates)
		}
		for _, counter := range []string{"refused", "failed"} {
			if after[counter] != 0 {
				t.Errorf("%s: policy_source.%s is %d", f.proxies[i].Node, counter, after[counter])
			}
		}
	}

	// Nothing changes: no document crosses the network.
	documents := f.source.documents()
	before = f.counts(t)
	envoytest.Eventually(t, fleet.Recovery, "the source to be asked in vain", func() bool {
		return f.counted(t, before, "unchanged", 5)
	})
	if n := f.source.documents(); n != documents {
		t.Errorf("the same document was sent %d times", n-documents)
	}
	load.Check(t)
}

// TestBadDocuments: whatever the policy source answers, what served before goes on,
// and the operator is told once.
func TestBadDocuments(t *testing.T) {
	f := deploy(t)
	load := startLoad(t, f.proxies, bySource)
	n := 1
	none := make([]map[string]uint64, len(f.proxies))
	envoytest.Eventually(t, fleet.Recovery, "all Envoys to have the first document",
		func() bool { return f.counted(t, none, "updated", 1) })
	for _, test := range []struct {
		name    string
		answer  http.HandlerFunc
		counter string
		log     string
	}{
		{"not JSON", body("<html>It works!</html>"), "refused", "policy_source: 1:1 configuration: unexpected '<'"},
		{"bad policy", body(`{"policies": [
			{"name": "one", "match": {"hosts": ["one.example"]}, "allow_origins": ["` + app + `"]},
			{"name": "any", "allow_origins": ["` + app + `/"]}]}`), "refused",
			`policy_source: 3:38 policies[1].allow_origins[0]: "https://app.example/" has a path`},
		{"empty", body(""), "refused", "policy_source: 1:1 configuration: is empty"},
		{"5 MB", body(document(90) + strings.Repeat(" ", 5_000_000)), "failed",
			"bytes, and may have 4194304; still serving 2 policies"},
		{"500", failing(http.StatusInternalServerError, document(91)), "failed",
			"policy_source: status 500; still serving 2 policies"},
		{"404", failing(http.StatusNotFound, document(92)), "failed",
			"policy_source: status 404; still serving 2 policies"},
		{"slow", slow(document(93)), "failed", "policy_source: status 504; still serving 2 policies"}, // is what Envoy answers
		{"cut off", cutOff(document(94)), "failed",
			"policy_source: no whole answer within 300ms; still serving 2 policies"},
		{"cut off, chunked", cutOffChunked(document(95)), "failed",
			"policy_source: no whole answer within 300ms; still serving 2 policies"},
		{"trickling", trickling(document(96)), "failed",
			"policy_source: no whole answer within 300ms; still serving 2 policies"},
	} {
		before, lines := f.counts(t), f.linesSince(test.log, nil)
		f.source.serve(test.answer)
		envoytest.Eventually(t, fleet.Recovery, test.name+": to be seen twice by all", func() bool {
			return f.counted(t, before, test.counter, 2) &&
				!slices.ContainsFunc(f.linesSince(test.log, lines), func(n int) bool { return n < 1 })
		})
		load.Remains(t, bySource, n)
		for i, got := range f.linesSince(test.log, lines) {
			if got != 1 {
				t.Errorf("%s: %s: %d lines %q in the log, want one", test.name, f.proxies[i].Node, got, test.log)
			}
		}
		for i, after := range f.counts(t) {
			for counter, count := range after {
				if counter != test.counter && counter != "unchanged" && count != before[i][counter] {
					t.Errorf("%s: %s: policy_source.%s has grown by %d", test.name, f.proxies[i].Node, counter,
						count-before[i][counter])
				}
			}
		}
		n++
		start := time.Now()
		before = f.counts(t)
		f.source.publish(document(n))
		t.Logf("%s: changes nothing; the next good document is in every worker after %s", test.name,
			load.Await(t, bySource, n).Sub(start).Round(time.Millisecond))
		envoytest.Eventually(t, fleet.Recovery, "all Envoys to have the next document",
			func() bool { return f.counted(t, before, "updated", 1) })
	}
	if most := f.source.most(); most > len(f.proxies) {
		t.Errorf("%d requests to the source at once, want at most one of each of %d Envoys", most, len(f.proxies))
	}
	load.Check(t)
}

// counts returns the counters of the policy source, for each Envoy.
func (f *deployment) counts(tb testing.TB) (list []map[string]uint64) {
	tb.Helper()
	for _, p := range f.proxies {
		counts := map[string]uint64{}
		for name, n := range p.Stats(tb) {
			if short, ok := strings.CutPrefix(name, "wasmcustom.cors.policy_source."); ok {
				counts[short] = n
			}
		}
		list = append(list, counts)
	}
	return list
}

// counted tells whether a counter of every Envoy has grown so many times.
func (f *deployment) counted(tb testing.TB, before []map[string]uint64, counter string, times uint64) bool {
	tb.Helper()
	for i, after := range f.counts(tb) {
		if after[counter] < before[i][counter]+times {
			return false
		}
	}
	return true
}

// linesSince returns how many lines with this text are in the log of each Envoy, less
// those that were there before.
func (f *deployment) linesSince(text string, before []int) (list []int) {
	for i, p := range f.proxies {
		n := strings.Count(p.Log(), text)
		if before != nil {
			n -= before[i]
		}
		list = append(list, n)
	}
	return list
}

// body answers with anything.
func body(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
}

// failing answers with a status that is no success, and a document all the same.
func failing(status int, document string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(document))
	}
}

// slow answers after the timeout.
func slow(document string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(2 * sourceTimeout):
			_, _ = w.Write([]byte(document))
		}
	}
}

// trickling sends the document's bytes so slowly that it never ends.
func trickling(document string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := range document {
			_, _ = w.Write([]byte{document[i]})
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
}

// cutOff closes the connection before the document's end, which its length tells.
func cutOff(document string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(document)+100))
		_, _ = w.Write([]byte(document)) // the whole of it, and white space is missing
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// cutOffChunked closes the connection before the last chunk.
func cutOffChunked(document string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(document))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}
