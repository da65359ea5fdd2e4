package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/policies"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/settings"
)

// Limits of what clients send, and of how long they may wait.
const (
	maxHeader = 16 << 10
	maxBody   = 16 << 10
	maxWait   = 5 * time.Minute
	// writeTimeout is how long a client may take to read an answer.
	writeTimeout = 30 * time.Second
	// bodyTimeout is how long a client may take to send a body.
	bodyTimeout = 10 * time.Second
)

// A Source is what the server serves from.
type Source interface {
	// Allows answers a look-up.
	Allows(ctx context.Context, query string, parameters map[string]string) (bool, error)
	// Ping reports whether the database answers.
	Ping(ctx context.Context) error
}

// A Server serves policies over HTTP.
type Server struct {
	settings  *settings.Settings
	log       *slog.Logger
	source    Source
	publisher *Publisher
	metrics   *Metrics
	tokens    *reloaded[tokens]
	identity  *reloaded[*identity]
	lookups   *rate.Limiter
	asking    chan struct{}  // has room for the look-ups that may run or wait
	failures  rate.Sometimes // to log one of many
	unknown   rate.Sometimes // the same of policies without a query
	waiting   atomic.Int64
	result    atomic.Pointer[policies.Result]
}

// New returns a server for what is published.
func New(s *settings.Settings, log *slog.Logger, source Source, p *Publisher, m *Metrics) (*Server, error) {
	server := &Server{
		settings: s, log: log, source: source, publisher: p, metrics: m,
		lookups: rate.NewLimiter(rate.Limit(s.Limits.Lookups), s.Limits.Lookups),
		asking:  make(chan struct{}, 32*s.Limits.Connections), failures: rate.Sometimes{Interval: 10 * time.Second},
		unknown: rate.Sometimes{Interval: time.Minute},
	}
	m.watchWaiting(server)
	if s.TokenFile != "" {
		var err error
		if server.tokens, err = newTokens(s.TokenFile, server.Reloaded("tokens")); err != nil {
			return nil, err
		}
	}
	if s.TLS != nil {
		var err error
		if server.identity, err = newIdentity(s.TLS, server.Reloaded("tls"), m); err != nil {
			return nil, err
		}
	}
	return server, nil
}

// Reloaded returns what is told of files that were changed: why they can't be used, or nil when they can again.
func (s *Server) Reloaded(files string) func(error) {
	return func(err error) {
		if err != nil {
			s.metrics.unusable.WithLabelValues(files).Set(1)
			s.log.Error("a file was changed and can't be used; the last good one stays", "files", files, "error", err)
			return
		}
		s.metrics.unusable.WithLabelValues(files).Set(0)
		s.log.Info("the files can be used again", "files", files)
	}
}

// Built tells what the last documents were made of.
func (s *Server) Built(r *policies.Result) { s.result.Store(r) }

// HTTP returns the server for net/http.
func (s *Server) HTTP() *http.Server {
	mux := http.NewServeMux()
	route := func(pattern string, open bool, h http.HandlerFunc) {
		_, path, _ := strings.Cut(pattern, " ")
		mux.Handle(pattern, s.metrics.counted(path, s.guard(open, h)))
	}
	route("GET /v1/policies", false, s.policies)
	route("GET /v1/lookup", false, s.lookup)
	route("POST /v1/check", false, s.check)
	route("GET /v1/rejected", false, s.rejected)
	route("GET /healthz", true, func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	route("GET /readyz", true, s.ready)
	metrics := s.metrics.handler()
	route("GET /metrics", false, func(w http.ResponseWriter, r *http.Request) {
		if s.identity != nil {
			s.identity.get() // without a new connection nobody else looks at the files
		}
		metrics.ServeHTTP(w, r)
	})
	h := &http.Server{
		Handler: s.bounded(s.problems(mux)), MaxHeaderBytes: maxHeader,
		ReadHeaderTimeout: handshakeTimeout, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, opened{}, time.Now())
		},
	}
	if s.identity != nil {
		h.TLSConfig = serverTLS(s.identity, "h2", "http/1.1")
	}
	return h
}

// opened is the key of when a request's connection was.
type opened struct{}

// maxConnection is how old a connection may be that has a further request. A certificate of a client counts when it
// connects, so that one which has expired, or whose authority is no longer taken, ends a while later.
const maxConnection = 30 * time.Minute

// bounded gives clients some time to send a body and to read the answer, whatever they ask for. A
// panic, which ends the connection, is not only net/http's to know.
func (s *Server) bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.readWithin(w, maxWait+writeTimeout)
		if at, ok := r.Context().Value(opened{}).(time.Time); ok && time.Since(at) > maxConnection {
			w.Header().Set("Connection", "close") // by HTTP/2, too: net/http ends it in its own way
		}
		if r.ContentLength != 0 { // else it would end clients that wait
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // if it has one
		}
		defer func() {
			if reason := recover(); reason != nil {
				if reason != http.ErrAbortHandler { //nolint:errorlint // a value that is thrown
					s.log.Error("a request ends in a panic", "panic", reason, "stack", string(debug.Stack()))
				}
				panic(http.ErrAbortHandler)
			}
		}()
		h.ServeHTTP(w, r)
	})
}

// guard lets only those in who have a token, where there are tokens. The probes of a
// cluster have none.
func (s *Server) guard(open bool, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if !open && s.tokens != nil && !authorized(r.Header.Get("Authorization"), s.tokens.get()) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="cors-policyd"`)
			answerProblem(w, http.StatusUnauthorized, "the request has no valid bearer token")
			return
		}
		h(w, r)
	}
}

// problems answers what isn't served in the form of all other errors.
func (s *Server) problems(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		status, detail := http.StatusNotFound, "there is nothing here; see /v1/policies, /v1/lookup, /v1/check, /v1/rejected"
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			other := r.Clone(r.Context())
			other.Method = method
			if _, pattern := mux.Handler(other); pattern != "" {
				w.Header().Set("Allow", method)
				status, detail = http.StatusMethodNotAllowed, "the method is not allowed here"
			}
		}
		answerProblem(w, status, detail)
	})
}

// readWithin gives the client some time to read the answer.
func (*Server) readWithin(w http.ResponseWriter, d time.Duration) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d)) // if the connection has one
}

func answerJSON(w http.ResponseWriter, status int, value any) {
	h := w.Header()
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(value) // a client that has gone
}

// answerProblem answers with an error (RFC 9457).
func answerProblem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	answerJSON(w, status, map[string]any{"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail})
}

// policies serves the document, at once or when it changes.
func (s *Server) policies(w http.ResponseWriter, r *http.Request) {
	if s.settings.Template == nil {
		answerProblem(w, http.StatusNotFound, policies.ErrNoTemplate.Error())
		return
	}
	document, changed, stopped := s.publisher.Current()
	if wait := preferredWait(r.Header); wait > 0 && s.hold() {
		defer s.waiting.Add(-1)
		w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
		timer := time.NewTimer(wait)
		defer timer.Stop()
		for over := false; !over && !stopped && (document == nil || matches(r.Header, document.ETag)); {
			select {
			case <-changed:
			case <-timer.C:
				over = true
			case <-r.Context().Done():
				panic(http.ErrAbortHandler) // who has gone; else there would be an answer, and it empty
			}
			document, changed, stopped = s.publisher.Current()
		}
	}
	h := w.Header()
	h.Add("Vary", "Prefer")
	if document == nil {
		h.Set("Retry-After", "1")
		answerProblem(w, http.StatusServiceUnavailable, "there is no document yet, since the database has not answered")
		return
	}
	h.Set("ETag", document.ETag)
	h.Set("Cache-Control", "no-cache")
	s.readWithin(w, writeTimeout)
	if matches(r.Header, document.ETag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(document.Text)))
	_, _ = w.Write(document.Text) // a client that has gone
}

// hold counts a client that waits, if there is room for one. If so, the count is to be
// taken back.
func (s *Server) hold() bool {
	if s.waiting.Add(1) > int64(s.settings.Limits.Waiting) {
		s.waiting.Add(-1)
		return false
	}
	return true
}

// matches reports whether If-None-Match has an entity tag (RFC 9110, section 13.1.2).
func matches(h http.Header, etag string) bool {
	for _, line := range h.Values("If-None-Match") {
		for tag := range strings.SplitSeq(line, ",") {
			tag = strings.TrimSpace(tag)
			if tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
				return true
			}
		}
	}
	return false
}

// preferredWait is the preference wait (RFC 7240, section 4.3), at most maxWait; 0 if there is none.
func preferredWait(h http.Header) time.Duration {
	for _, line := range h.Values("Prefer") {
		for preference := range strings.SplitSeq(line, ",") {
			preference, _, _ = strings.Cut(preference, ";")
			name, value, _ := strings.Cut(preference, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			// The first one counts.
			seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 32)
			if err != nil {
				return 0
			}
			return min(time.Duration(seconds)*time.Second, maxWait)
		}
	}
	return 0
}

// lookup answers whether an origin is allowed.
func (s *Server) lookup(w http.ResponseWriter, r *http.Request) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	policy, host, origin := values["policy"], values["host"], values["origin"]
	if err != nil || len(policy) != 1 || len(host) > 1 || len(origin) != 1 || origin[0] == "" {
		answerProblem(w, http.StatusBadRequest, "write ?policy=…&host=…&origin=…, each once")
		return
	}
	host = append(host, "")
	query, known := s.settings.Lookups[policy[0]]
	if !known {
		s.unknown.Do(func() {
			s.log.Warn("a look-up is for a policy that lookups has no query for", "policy", shortened(policy[0]))
		})
		answerProblem(w, http.StatusNotFound, "lookups has no query for this policy")
		return
	}
	if !s.lookups.Allow() {
		s.metrics.lookups.WithLabelValues(policy[0], "limited").Inc()
		w.Header().Set("Retry-After", "1")
		answerProblem(w, http.StatusTooManyRequests, "there are more look-ups than limits.lookups in a second")
		return
	}
	parameters := map[string]string{"policy": policy[0], "host": host[0], "origin": origin[0]}
	found, err := s.ask(r.Context(), query, parameters)
	status, result := http.StatusNoContent, "allowed"
	switch {
	case err != nil:
		s.metrics.lookups.WithLabelValues(policy[0], "failed").Inc()
		s.failures.Do(func() { s.log.Warn("look-ups fail", "policy", policy[0], "error", err) })
		w.Header().Set("Retry-After", "1")
		answerProblem(w, http.StatusServiceUnavailable, "the database does not answer")
		return
	case !found:
		status, result = http.StatusNotFound, "denied"
	}
	s.metrics.lookups.WithLabelValues(policy[0], result).Inc()
	w.Header().Set("Cache-Control", "max-age="+strconv.Itoa(int(s.settings.LookupTTL/time.Second)))
	w.WriteHeader(status)
}

// errBusy says that too many look-ups wait for the database.
var errBusy = errors.New("too many look-ups wait for the database")

func (s *Server) ask(ctx context.Context, query string, parameters map[string]string) (bool, error) {
	select {
	case s.asking <- struct{}{}:
		defer func() { <-s.asking }()
	default:
		return false, errBusy
	}
	for _, v := range parameters {
		if len(v) > maxParameter || strings.ContainsRune(v, 0) || !utf8.ValidString(v) {
			return false, nil // no row has it
		}
	}
	return s.source.Allows(ctx, query, parameters)
}

// maxParameter is longer than any origin, host and name of a policy.
const maxParameter = 1024

// A Finding is what is wrong or doubtful with an entry, as corsctl says it.
type Finding struct {
	Severity string `json:"severity"`
	Kind     string `json:"kind"`
	What     string `json:"what"`
	Instead  string `json:"instead,omitempty"`
}

// check judges an entry before it becomes a row.
func (s *Server) check(w http.ResponseWriter, r *http.Request) {
	var request struct{ Policy, Origin *string }
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(&request)
	if _, more := d.Token(); err == nil && !errors.Is(more, io.EOF) {
		err = errors.New("there is more after it")
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		answerProblem(w, http.StatusRequestEntityTooLarge, "the body has more than "+strconv.Itoa(maxBody)+" bytes")
		return
	case err != nil || request.Policy == nil || request.Origin == nil:
		answerProblem(w, http.StatusBadRequest, `write {"policy": "…", "origin": "…"}`)
		return
	}
	credentials, known := Credentials(s.settings, *request.Policy)
	if !known {
		answerProblem(w, http.StatusNotFound, "the configuration has no such policy")
		return
	}
	found := []Finding{}
	good := true
	for _, p := range policies.Check(*request.Origin, credentials) {
		severity := "warning"
		if !p.Warning {
			severity, good = "error", false
		}
		found = append(found, Finding{severity, p.Kind.String(), p.What, p.Instead})
	}
	answerJSON(w, http.StatusOK, map[string]any{"ok": good, "findings": found})
}

// Credentials tells whether a policy allows credentials, and whether there can be one of the
// name: policies of rows may come any time. Of those that are only looked up nothing is
// known, so that they are taken to allow them.
func Credentials(s *settings.Settings, policy string) (credentials, known bool) {
	if s.Template != nil {
		for _, p := range s.Template.Policies {
			switch {
			case p.Rows != "":
				credentials, known = credentials || p.Credentials, true
			case p.Name == policy:
				return p.Credentials, true
			}
		}
	}
	if _, looked := s.Lookups[policy]; looked && !known {
		return true, true
	}
	return credentials, known
}

// rejected lists the rows that were left out.
func (s *Server) rejected(w http.ResponseWriter, _ *http.Request) {
	list, total := []policies.Rejected{}, 0
	if result := s.result.Load(); result != nil {
		list = append(list, result.Rejected...)
		for _, n := range result.Count {
			total += n
		}
	}
	answerJSON(w, http.StatusOK, map[string]any{"total": total, "rejected": list})
}

// ready reports whether there is something to serve: a document, also an old one.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	document, _, stopped := s.publisher.Current()
	switch {
	case stopped:
		answerProblem(w, http.StatusServiceUnavailable, "the server is stopping")
		return
	case s.settings.Template != nil && document == nil:
		answerProblem(w, http.StatusServiceUnavailable, "there is no document yet, since the database has not answered")
		return
	case s.settings.Template == nil:
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if s.source.Ping(ctx) != nil {
			answerProblem(w, http.StatusServiceUnavailable, "the database does not answer")
			return
		}
	}
	answerJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}
