package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// handle lets the page read and write the rows.
func (p *policyd) handle(mux *http.ServeMux) {
	mux.Handle("GET /origins", ours(p.serveRows))
	mux.Handle("POST /origins", ours(p.add))
	mux.Handle("DELETE /origins", ours(p.remove))
	mux.Handle("POST /policyd", ours(p.startAgain))
}

// ours keeps the pages of all others away: that of another origin, also on this machine,
// which could post a form, and that of another host whose name has been made to lead here,
// to which the demo would be of its own origin.
func ours(h http.HandlerFunc) http.Handler {
	sameOrigin := http.NewCrossOriginProtection().Handler(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLoopback(r.Host) {
			http.Error(w, "the demo is for this machine only, as localhost or 127.0.0.1", http.StatusForbidden)
			return
		}
		sameOrigin.ServeHTTP(w, r)
	})
}

// isLoopback tells whether host:port, or a host alone, can only be this machine.
func isLoopback(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		host = strings.Trim(hostPort, "[]")
	}
	host = strings.ToLower(host)
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// serveRows answers with the rows, at once if they aren't those of ?after=version any more,
// else when they change, or after a while.
func (p *policyd) serveRows(w http.ResponseWriter, r *http.Request) {
	now, changed := p.current()
	if r.FormValue("after") == strconv.Itoa(now.Version) {
		select {
		case <-changed:
		case <-time.After(10 * time.Second):
		case <-r.Context().Done():
			return
		}
		now, _ = p.current()
	}
	writeJSON(w, now)
}

// A written is what came of writing a row.
type written struct {
	Says string `json:"says"` // why it wasn't written, in the words of cors-policyd
	// Suggestions are what to write instead.
	Suggestions []string `json:"suggestions"`
	Warning     string   `json:"warning"` // though it was written
}

func (p *policyd) add(w http.ResponseWriter, r *http.Request) {
	var row struct{ Origin string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<10)).Decode(&row); err != nil {
		http.Error(w, `want {"origin": "…"} of at most 16 KiB`, http.StatusBadRequest)
		return
	}
	_, warning, err := p.origins(r.Context(), "add", row.Origin)
	result := written{Suggestions: []string{}, Warning: warning}
	if refused, ok := errors.AsType[*refusal](err); ok && refused.bad {
		result.Suggestions = p.suggestions(r.Context(), row.Origin)
	}
	p.answer(w, result, err)
}

func (p *policyd) remove(w http.ResponseWriter, r *http.Request) {
	_, _, err := p.origins(r.Context(), "remove", r.FormValue("origin"))
	p.answer(w, written{Suggestions: []string{}}, err)
}

// answer tells the page what came of a command, and everyone of the row.
func (*policyd) answer(w http.ResponseWriter, result written, err error) {
	if err != nil {
		result.Says, result.Warning = err.Error(), ""
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnprocessableEntity)
	}
	writeJSON(w, result)
}

// startAgain starts cors-policyd after it has ended.
func (p *policyd) startAgain(w http.ResponseWriter, r *http.Request) {
	if err := p.start(r.Context()); err != nil {
		http.Error(w, fmt.Sprint(err), http.StatusInternalServerError)
	}
}
