package main

import (
	"bytes"
	"context"
	"crypto/rand"
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

// preflightAllowed are the details of a preflight that the filter has answered, and allowed.
const preflightAllowed = "cors:_preflight_allowed"

// preflight tells whether the request asked for permission, as the Fetch standard has it.
func (a access) preflight() bool {
	return a.Method == "OPTIONS" && a.Origin != "" && a.RequestMethod != ""
}

// probe tells whether the request is one of the many by which the page finds out when a row
// takes effect.
func (a access) probe() bool {
	path, _, _ := strings.Cut(a.Path, "?")
	return path == "/probe"
}

// mark is the id of a mark, by which the demo knows that Envoy has logged all that came before.
func (a access) mark() string {
	if id, ok := strings.CutPrefix(a.Path, markPath); ok {
		return id
	}
	return ""
}

// markPath begins the path of a mark.
const markPath = "/mark/"

// exchange is the id that the page puts into the URL of what belongs together.
func (a access) exchange() string { return exchangeOf(a.Path) }

func exchangeOf(target string) string {
	u, err := url.Parse(target)
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
	case a.preflight() && !strings.HasPrefix(a.Details, "cors:"):
		line += "preflight of " + a.Origin + " passed on"
	case a.preflight() && a.Details != preflightAllowed:
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
	RequestID string      `json:"-"` // "" if it came without Envoy
	Exchange  string      `json:"-"`
	Method    string      `json:"method"`
	Request   [][2]string `json:"request"` // headers
	Answer    [][2]string `json:"answer"`  // headers
}

// size is about how many bytes it takes.
func (v visit) size() (n int) {
	for _, line := range append(v.Request, v.Answer...) {
		n += len(line[0]) + len(line[1])
	}
	return n
}

// An observation is one request on both sides of Envoy.
type observation struct {
	Envoy    json.RawMessage `json:"envoy"` // null if the request came without Envoy
	Reason   string          `json:"reason"`
	Upstream *visit          `json:"upstream"` // nil if the request did not get there
}

// A recorder remembers the latest requests, for the page to ask about.
type recorder struct {
	mu       sync.Mutex
	accesses bounded[access]
	visits   bounded[visit]
	marks    map[string]chan struct{} // those that are waited for
}

func newRecorder() *recorder { return &recorder{marks: map[string]chan struct{}{}} }

func (r *recorder) addAccess(a access) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id := a.mark(); id != "" {
		if mark, ok := r.marks[id]; ok {
			delete(r.marks, id)
			close(mark)
		}
		return
	}
	r.accesses.add(a, len(a.line))
}

func (r *recorder) addVisit(v visit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.visits.add(v, v.size())
}

// settle waits until Envoy has logged all requests that it has answered, since the access log
// comes after the answer. Send sends a request for a path to Envoy, whose line comes after theirs.
func (r *recorder) settle(ctx context.Context, send func(path string) error) {
	id, mark := rand.Text(), make(chan struct{})
	r.mu.Lock()
	r.marks[id] = mark
	r.mu.Unlock()
	if send(markPath+id) == nil {
		select {
		case <-mark:
		case <-ctx.Done():
		}
	}
	r.mu.Lock()
	delete(r.marks, id)
	r.mu.Unlock()
}

// find returns the requests of an exchange in the order of the access log, and those that came
// without Envoy.
func (r *recorder) find(exchange string) []observation {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := []observation{}
	for _, a := range r.accesses.items {
		if a.exchange() != exchange {
			continue
		}
		o := observation{Envoy: a.line, Reason: a.reason()}
		if i := slices.IndexFunc(r.visits.items, func(v visit) bool { return v.RequestID == a.RequestID }); i >= 0 {
			o.Upstream = &r.visits.items[i]
		}
		found = append(found, o)
	}
	for i, v := range r.visits.items {
		if v.RequestID == "" && v.Exchange == exchange {
			found = append(found, observation{Envoy: json.RawMessage("null"), Upstream: &r.visits.items[i]})
		}
	}
	return found
}
