package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// An access is one line of Envoy's access log, as envoy.yaml formats it.
type access struct {
	Time      time.Time `json:"time"`
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	RequestID string    `json:"request_id"`
	Status    int       `json:"status"`
	Details   string    `json:"details"`
	Origin    string    `json:"origin"`

	RequestMethod  string `json:"access-control-request-method"`
	RequestHeaders string `json:"access-control-request-headers"`
	AllowOrigin    string `json:"access-control-allow-origin"`

	line json.RawMessage // the whole line, for the page
}

// parseAccess tells whether a line of Envoy's output is of the access log.
func parseAccess(line []byte) (access, bool) {
	var a access
	if !bytes.HasPrefix(line, []byte("{")) || json.Unmarshal(line, &a) != nil || a.Method == "" {
		return access{}, false
	}
	a.line = bytes.Clone(bytes.TrimSpace(line))
	return a, true
}

// preflight tells whether the request asked for permission, as the Fetch standard has it.
func (a access) preflight() bool {
	return a.Method == "OPTIONS" && a.Origin != "" && a.RequestMethod != ""
}

// last tells whether the browser sends nothing after this request: it was the
// one that the page asked for, or a preflight that was refused.
func (a access) last() bool {
	return !a.preflight() || a.AllowOrigin == ""
}

// probe tells whether the request is one of the many by which the page finds out when a row
// takes effect.
func (a access) probe() bool {
	path, _, _ := strings.Cut(a.Path, "?")
	return path == "/probe"
}

// exchange is the id that the page puts into the URL of what belongs together.
func (a access) exchange() string {
	u, err := url.Parse(a.Path)
	if err != nil {
		return ""
	}
	return u.Query().Get("exchange")
}

// spaces undoes what Envoy does to the details of a response, which have no
// spaces. The names of the policy's fields keep their underscores.
var spaces = strings.NewReplacer(
	"allow_origins", "allow_origins", "allow_methods", "allow_methods", "allow_headers", "allow_headers",
	"_", " ",
)

// reason says, readably, who answered and why.
func (a access) reason() string {
	return strings.TrimPrefix(spaces.Replace(a.Details), "cors: ")
}

// String is the line for the terminal.
func (a access) String() string {
	path, _, _ := strings.Cut(a.Path, "?")
	line := fmt.Sprintf("%s  %-7s %-8s %d  ", a.Time.Local().Format(time.TimeOnly), a.Method, path, a.Status)
	switch {
	case a.preflight() && a.AllowOrigin == "":
		return line + "preflight of " + a.Origin + " refused: " + a.reason()
	case a.preflight():
		line += "preflight of " + a.Origin + " allowed: " + a.RequestMethod
		if a.RequestHeaders != "" {
			line += " with " + a.RequestHeaders
		}
		return line
	case a.Origin == "":
		return line + "no origin"
	case a.AllowOrigin == "":
		line += "not readable by " + a.Origin
	default:
		line += "readable by " + a.Origin
	}
	if a.Details != "via_upstream" {
		line += "; Envoy: " + a.reason()
	}
	return line
}

// A visit is one request as the API's upstream saw it.
type visit struct {
	RequestID string      `json:"-"`
	Request   [][2]string `json:"request"` // headers
	Answer    [][2]string `json:"answer"`  // headers
}

// An observation is one request on both sides of Envoy.
type observation struct {
	Envoy    json.RawMessage `json:"envoy"`
	Reason   string          `json:"reason"`
	Upstream *visit          `json:"upstream"` // nil if the request did not get there
}

// kept bounds what the recorder remembers: a run of the whole page is 12 requests.
const kept = 1000

// A recorder remembers the latest requests, for the page to ask about.
type recorder struct {
	mu       sync.Mutex
	accesses []access
	visits   []visit
	changed  chan struct{} // closed, and replaced, at each new access
}

func newRecorder() *recorder {
	return &recorder{changed: make(chan struct{})}
}

func (r *recorder) addAccess(a access) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accesses = appendBounded(r.accesses, a)
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *recorder) addVisit(v visit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.visits = appendBounded(r.visits, v)
}

func appendBounded[T any](list []T, item T) []T {
	return append(list[max(0, len(list)+1-kept):], item)
}

// observe returns the requests of an exchange, in the order of the access log,
// once it has seen the end of as many fetch calls as told, or ctx is done.
func (r *recorder) observe(ctx context.Context, exchange string, fetches int) []observation {
	for {
		found, ended, changed := r.find(exchange)
		if ended >= fetches {
			return found
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return found
		}
	}
}

func (r *recorder) find(exchange string) (found []observation, ended int, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	found = []observation{}
	for _, a := range r.accesses {
		if a.exchange() != exchange {
			continue
		}
		if a.last() {
			ended++
		}
		o := observation{Envoy: a.line, Reason: a.reason()}
		if i := slices.IndexFunc(r.visits, func(v visit) bool { return v.RequestID == a.RequestID }); i >= 0 {
			o.Upstream = &r.visits[i]
		}
		found = append(found, o)
	}
	return found, ended, r.changed
}
