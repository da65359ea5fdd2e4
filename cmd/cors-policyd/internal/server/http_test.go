package server

import (
	"context"
	"errors"
	"io"
	"io/fs"
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

// A source answers look-ups, and to a ping with why it is away.
type source struct {
	asked []string
	away  error
}

func (s *source) Allows(_ context.Context, _ string, parameters map[string]string) (bool, error) {
	s.asked = append(s.asked, parameters["origin"])
	if parameters["origin"] == "panic" {
		panic("of the source")
	}
	return true, nil
}
func (s *source) Ping(context.Context) error { return s.away }

func parse(t *testing.T, text string) *settings.Settings {
	t.Helper()
	s, findings := settings.Parse("p.yaml", "database: sqlite:x\nlookups: {a: SELECT 1}\n"+text)
	if s == nil {
		t.Fatal(findings)
	}
	return s
}

func newServerOf(t *testing.T, text string, log io.Writer) (*Server, *source) {
	t.Helper()
	from := &source{}
	server, err := New(parse(t, text), slog.New(slog.NewTextHandler(log, nil)), from, NewPublisher(), NewMetrics())
	if err != nil {
		t.Fatal(err)
	}
	return server, from
}

func newServer(t *testing.T, log io.Writer) (http.Handler, *Publisher, *source) {
	t.Helper()
	server, from := newServerOf(t, "policies: [{name: a, allow_origins: ['https://a.example']}]", log)
	return server.HTTP().Handler, server.publisher, from
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
		{"GET", "/healthz", "", maxWait, maxWait + writeTimeout},
		{"GET", "/nothing", "", maxWait, maxWait + writeTimeout},
		{"DELETE", "/v1/policies", "", maxWait, maxWait + writeTimeout},
		{"POST", "/nothing", "x", maxWait, maxWait + writeTimeout},
		{"GET", "/v1/policies", "x", 0, writeTimeout},
		{"POST", "/v1/check", "x", maxWait, maxWait + writeTimeout},
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

// TestGone: who leaves while it waits gets no answer, rather than an empty one, of which the log says nothing.
func TestGone(t *testing.T) {
	var log strings.Builder
	h, p, _ := newServer(t, &log)
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
		if log.Len() > 0 {
			t.Errorf("the log is %s", &log)
		}
	}()
	h.ServeHTTP(httptest.NewRecorder(), r)
	t.Error("there is an answer")
}

// TestPanic: a panic ends one connection, and the log has where it was.
func TestPanic(t *testing.T) {
	var log strings.Builder
	h, _, _ := newServer(t, &log)
	defer func() {
		if reason := recover(); reason != http.ErrAbortHandler { //nolint:errorlint // is what net/http compares
			t.Errorf("ended by %v", reason)
		}
		if said := log.String(); !strings.Contains(said, "of the source") || !strings.Contains(said, "http_test.go") {
			t.Errorf("the log is %s", said)
		}
	}()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/v1/lookup?policy=a&origin=panic", nil))
	t.Error("there is an answer")
}

// TestFiles: a server whose files are missing doesn't start.
func TestFiles(t *testing.T) {
	for _, text := range []string{"token_file: gone", "tls: {cert_file: gone, key_file: gone}"} {
		_, err := New(parse(t, text), slog.New(slog.DiscardHandler), &source{}, NewPublisher(), NewMetrics())
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestReady: a server that has look-ups only is ready while the database answers.
func TestReady(t *testing.T) {
	server, from := newServerOf(t, "", io.Discard)
	for _, from.away = range []error{nil, errors.New("it is away"), nil} {
		w := httptest.NewRecorder()
		server.HTTP().Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		if (w.Code == http.StatusOK) != (from.away == nil) {
			t.Errorf("with the database %v it is %d", from.away, w.Code)
		}
	}
}

// TestRejected: the rows that were left out are counted over all queries.
func TestRejected(t *testing.T) {
	server, _ := newServerOf(t, "", io.Discard)
	server.Built(&policies.Result{Count: map[string]int{"a": 1, "b": 2, "c": 4}})
	w := httptest.NewRecorder()
	server.HTTP().Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/rejected", nil))
	if got := w.Body.String(); got != `{"rejected":[],"total":7}`+"\n" {
		t.Error(got)
	}
}

// TestCredentials: what is allowed with a policy's name, be it written, of rows that may come, or looked up.
func TestCredentials(t *testing.T) {
	const written = "policies: [{name: b, match: {hosts: [b.example]}, allow_origins: ['https://a.example']}"
	const plain, with = "{rows: SELECT name}", "{rows: SELECT name, allow_credentials: true}"
	for _, test := range []struct {
		text, policy       string
		credentials, known bool
	}{
		{"", "a", true, true}, {"", "b", false, false}, {written + "]", "b", false, true}, {written + "]", "a", true, true},
		{written + "]", "c", false, false}, {written + ", " + plain + "]", "c", false, true},
		{written + ", " + with + ", " + plain + "]", "c", true, true}, {written + ", " + plain + ", " + with + "]", "c", true, true},
		{written + ", " + plain + "]", "a", false, true}, {written + ", " + with + "]", "b", false, true},
	} {
		credentials, known := Credentials(parse(t, test.text), test.policy)
		if credentials != test.credentials || known != test.known {
			t.Errorf("%s of %s: %t %t", test.policy, test.text, credentials, known)
		}
	}
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
