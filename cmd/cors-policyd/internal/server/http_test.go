package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/policies"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/settings"
)

// A recorder is a connection of which the time is known that a client has.
type recorder struct {
	*httptest.ResponseRecorder
	read, write time.Time
}

func (r *recorder) SetReadDeadline(at time.Time) error  { r.read = at; return nil }
func (r *recorder) SetWriteDeadline(at time.Time) error { r.write = at; return nil }

// A source answers look-ups.
type source struct{ asked []string }

func (s *source) Allows(_ context.Context, _ string, parameters map[string]string) (bool, error) {
	s.asked = append(s.asked, parameters["origin"])
	return true, nil
}
func (s *source) Ping(context.Context) error { return errors.New("it is away") }

func newServer(t *testing.T, log io.Writer) (http.Handler, *Publisher, *source) {
	t.Helper()
	s, findings := settings.Parse("p.yaml", "database: sqlite:x\nlookups: {a: SELECT 1}\n"+
		"policies: [{name: a, allow_origins: ['https://a.example']}]")
	if s == nil {
		t.Fatal(findings)
	}
	from, p := &source{}, NewPublisher()
	server, err := New(s, slog.New(slog.NewTextHandler(log, nil)), from, p, NewMetrics())
	if err != nil {
		t.Fatal(err)
	}
	h := server.HTTP()
	if err != nil {
		t.Fatal(err)
	}
	return h.Handler, p, from
}

// TestDeadlines: no client holds a connection for ever, whatever it asks for: neither by reading
// slowly, nor by a body that doesn't end. One that waits isn't ended by that.
func TestDeadlines(t *testing.T) {
	h, p, _ := newServer(t, io.Discard)
	p.Publish(policies.NewDocument([]byte("{}")))
	for _, test := range []struct {
		method, path, body string
		least, most        time.Duration // to read the answer
	}{
		{"GET", "/healthz", "", time.Minute, maxWait + writeTimeout},
		{"GET", "/nothing", "", time.Minute, maxWait + writeTimeout},
		{"DELETE", "/v1/policies", "", time.Minute, maxWait + writeTimeout},
		{"POST", "/nothing", "x", time.Minute, maxWait + writeTimeout},
		{"GET", "/v1/policies", "x", 0, writeTimeout},
		{"POST", "/v1/check", "x", time.Minute, maxWait + writeTimeout},
	} {
		w := &recorder{ResponseRecorder: httptest.NewRecorder()}
		h.ServeHTTP(w, httptest.NewRequest(test.method, test.path, strings.NewReader(test.body)))
		if left := time.Until(w.write); left < test.least || left > test.most {
			t.Errorf("%s %s: there are %s to read the answer", test.method, test.path, left)
		}
		left, limited := time.Until(w.read), !w.read.IsZero()
		if limited != (test.body != "") || limited && (left < 0 || left > bodyTimeout) {
			t.Errorf("%s %s: there are %s to send %q", test.method, test.path, left, test.body)
		}
	}
}

// TestGone: who leaves while it waits gets no answer, rather than an empty one.
func TestGone(t *testing.T) {
	h, p, _ := newServer(t, io.Discard)
	document := policies.NewDocument([]byte("{}"))
	p.Publish(document)
	ctx, leave := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, leave)
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/policies", nil)
	r.Header.Set("If-None-Match", document.ETag)
	r.Header.Set("Prefer", "wait=60")
	defer func() {
		if reason := recover(); reason != http.ErrAbortHandler { //nolint:errorlint // is what net/http compares
			t.Errorf("ended by %v", reason)
		}
	}()
	h.ServeHTTP(httptest.NewRecorder(), r)
	t.Error("there is an answer")
}

// TestLookups: what no row can have doesn't reach the database, and a policy without a query is said.
func TestLookups(t *testing.T) {
	var log strings.Builder
	h, _, from := newServer(t, &log)
	for _, test := range []struct {
		query  string
		status int
	}{
		{"policy=a&origin=https://a.example", 204},
		{"policy=a&origin=https://%ff.example", 404}, {"policy=a&origin=%00", 404}, {"policy=a&host=%c0%80&origin=x", 404},
		{"policy=a&origin=" + strings.Repeat("x", 2000), 404},
		{"policy=typo&origin=https://a.example", 404}, {"policy=typo2&origin=https://a.example", 404},
		{"policy=a&origin=x;y", 400}, {"policy=a&origin=%zz", 400},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/lookup?"+test.query, nil))
		if w.Code != test.status {
			t.Errorf("%s: %d", test.query, w.Code)
		}
	}
	if len(from.asked) != 1 {
		t.Errorf("the database is asked for %q", from.asked)
	}
	if said := log.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "policy=typo") {
		t.Errorf("the log is %s", said)
	}
}
