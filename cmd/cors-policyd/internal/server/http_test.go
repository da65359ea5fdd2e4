package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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

// TestConnectionAge: a connection that is old has one more answer, so that what was checked when it was opened, as a
// client's certificate, doesn't hold for ever.
func TestConnectionAge(t *testing.T) {
	h, _, _ := newServer(t, io.Discard)
	for age, want := range map[time.Duration]string{time.Minute: "", maxConnection - time.Minute: "", maxConnection + time.Minute: "close"} {
		ctx := context.WithValue(context.Background(), opened{}, time.Now().Add(-age))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/healthz", nil))
		if got := w.Header().Get("Connection"); got != want {
			t.Errorf("after %s: Connection: %q", age, got)
		}
	}
}

// TestReloaded: what can't be used is tried again, though its file stays as it is, and is said once; what can be used
// isn't read again until it changes, whatever time its file has.
func TestReloaded(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	var said []error
	var failing error
	loads := 0
	write("1")
	r, err := newReloaded([]string{name}, func(err error) { said = append(said, err) }, func() (string, error) {
		loads++
		text, err := os.ReadFile(name)
		return string(text), errors.Join(err, failing)
	})
	if err != nil {
		t.Fatal(err)
	}
	away := errors.New("too many open files")
	for i, step := range []struct {
		text    string
		failing error
		want    string
		said    int
		loads   int
	}{
		{"1", nil, "1", 0, 1}, {"2", nil, "2", 0, 2}, {"2", nil, "2", 0, 2}, {"3", away, "2", 1, 3}, {"3", away, "2", 1, 4},
		{"3", nil, "3", 2, 5}, {"3", nil, "3", 2, 5}, {"4", away, "3", 3, 6}, {"3", nil, "3", 4, 7},
	} {
		write(step.text)
		failing = step.failing
		r.checked = r.checked.Add(-time.Minute)
		if got := r.get(); got != step.want || len(said) != step.said || loads != step.loads {
			t.Errorf("step %d: %q, said %v, %d loads", i, got, said, loads)
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
