package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

const (
	refusedLine = `{"time":"2026-01-02T03:04:05.678Z","method":"OPTIONS","path":"/people/1?exchange=a","request_id":"1","status":403,` +
		`"details":"cors:_method_DELETE_is_not_in_allow_methods_(allowed:_PUT,_PATCH)",` +
		`"origin":"http://localhost:10000","access-control-request-method":"DELETE"}`
	allowedLine = `{"time":"2026-01-02T03:04:05.678Z","method":"OPTIONS","path":"/people?exchange=b","request_id":"2","status":204,` +
		`"details":"cors:_preflight_allowed","origin":"http://localhost:10000","access-control-request-method":"POST",` +
		`"access-control-request-headers":"content-type,x-pingother","access-control-allow-origin":"http://localhost:10000"}`
	postLine = `{"time":"2026-01-02T03:04:05.678Z","method":"POST","path":"/people?exchange=b","request_id":"3","status":200,` +
		`"details":"via_upstream","origin":"http://localhost:10000","access-control-allow-origin":"http://localhost:10000"}`
	withheldLine = `{"time":"2026-01-02T03:04:05.678Z","method":"GET","path":"/down","request_id":"4","status":503,` +
		`"details":"no_healthy_upstream","origin":"http://127.0.0.1:10000"}`
	// With debug the browser gets the lists, and refuses itself.
	debugLine = `{"time":"2026-01-02T03:04:05.678Z","method":"OPTIONS","path":"/people/1?exchange=a","request_id":"6","status":204,` +
		`"details":"cors:_method_DELETE_is_not_in_allow_methods_(allowed:_PUT)","origin":"http://localhost:10000",` +
		`"access-control-request-method":"DELETE","access-control-allow-origin":"http://localhost:10000"}`
	passedLine = `{"time":"2026-01-02T03:04:05.678Z","method":"OPTIONS","path":"/people/1?exchange=a","request_id":"7","status":200,` +
		`"details":"via_upstream","origin":"http://localhost:10000","access-control-request-method":"DELETE"}`
	plainLine = `{"time":"2026-01-02T03:04:05.678Z","method":"OPTIONS","path":"/","request_id":"5","status":200,"details":"via_upstream"}`
)

func TestAccessForTheTerminal(t *testing.T) {
	clock := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Local().Format(time.TimeOnly)
	for line, want := range map[string]string{
		refusedLine:  "OPTIONS /people/1 403  preflight of http://localhost:10000 refused: method DELETE is not in allow_methods (allowed: PUT, PATCH)",
		allowedLine:  "OPTIONS /people  204  preflight of http://localhost:10000 allowed: POST with content-type,x-pingother",
		postLine:     "POST    /people  200  readable by http://localhost:10000",
		withheldLine: "GET     /down    503  not readable by http://127.0.0.1:10000; Envoy: no healthy upstream",
		debugLine:    "OPTIONS /people/1 204  preflight of http://localhost:10000 refused: method DELETE is not in allow_methods (allowed: PUT)",
		passedLine:   "OPTIONS /people/1 200  preflight of http://localhost:10000 passed on",
		plainLine:    "OPTIONS /        200  no origin",
	} {
		a, ok := parseAccess([]byte(line + "\n"))
		if !ok {
			t.Errorf("not of the access log: %s", line)
		} else if got := a.String(); got != clock+"  "+want {
			t.Errorf("got  %s\nwant %s  %s", got, clock, want)
		}
	}
}

func TestOtherOutputIsNotOfTheAccessLog(t *testing.T) {
	for _, line := range []string{"", "\n", "{", "{}", `{"level":"info"}`, "[2026-01-02 03:04:05.678][1][info] {}",
		postLine[1:]} {
		if _, ok := parseAccess([]byte(line)); ok {
			t.Errorf("taken for a line of the access log: %q", line)
		}
	}
}

// The access log comes after the answer, so that the page has to wait for it.
func TestRecorderWaitsForTheLog(t *testing.T) {
	rec := newRecorder()
	add := func(line string) {
		t.Helper()
		a, ok := parseAccess([]byte(line))
		if !ok {
			t.Fatal(line)
		}
		rec.addAccess(a)
	}
	rec.addVisit(visit{RequestID: "3", Request: [][2]string{{"x-pingother", "pingpong"}}})
	add(allowedLine)
	add(refusedLine)

	settled, sent := make(chan struct{}), make(chan string, 1)
	go func() {
		rec.settle(t.Context(), func(path string) error { sent <- path; return nil })
		close(settled)
	}()
	path := <-sent
	add(postLine)
	add(`{"method":"GET","path":"/mark/another"}`)
	select {
	case <-settled:
		t.Fatal("did not wait for its own mark")
	case <-time.After(20 * time.Millisecond):
	}
	add(`{"method":"GET","path":"` + path + `"}`)
	<-settled
	got := rec.find("b")
	if len(got) != 2 || string(got[0].Envoy) != allowedLine || string(got[1].Envoy) != postLine {
		t.Fatalf("observed %v", got)
	}
	if got[0].Upstream != nil {
		t.Error("the preflight is said to have reached the upstream")
	}
	if got[1].Upstream == nil || got[1].Upstream.Request[0] != [2]string{"x-pingother", "pingpong"} {
		t.Errorf("at the upstream: %v", got[1].Upstream)
	}
	if got := rec.find("a"); len(got) != 1 || got[0].Reason != "method DELETE is not in allow_methods (allowed: PUT, PATCH)" {
		t.Errorf("observed %v", got)
	}

	// Patience ends, and a mark that can't be sent isn't waited for.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	rec.settle(ctx, func(string) error { return nil })
	rec.settle(t.Context(), func(string) error { return errors.New("away") })
	if len(rec.marks) > 0 {
		t.Errorf("%d marks are waited for", len(rec.marks))
	}
}

// What comes to the upstream without Envoy is seen as well.
func TestRecorderFindsWhatCameWithoutEnvoy(t *testing.T) {
	rec := newRecorder()
	rec.addVisit(visit{Exchange: "a"})
	rec.addVisit(visit{Exchange: "a", RequestID: "1"})
	rec.addVisit(visit{Exchange: "b"})
	if got := rec.find("a"); len(got) != 1 || string(got[0].Envoy) != "null" || got[0].Upstream == nil {
		t.Errorf("observed %v", got)
	}
}

func TestRecorderForgetsTheOldest(t *testing.T) {
	rec := newRecorder()
	for i := range kept + 5 {
		rec.addAccess(access{Method: "GET", Path: fmt.Sprintf("/?exchange=%d", i)})
		rec.addVisit(visit{RequestID: fmt.Sprint(i), Request: [][2]string{{"a", strings.Repeat("x", 10_000)}}})
	}
	if n := len(rec.accesses.items); n != kept {
		t.Errorf("%d kept, want %d", n, kept)
	}
	if rec.visits.bytes > keptBytes {
		t.Errorf("%d bytes kept, want at most %d", rec.visits.bytes, keptBytes)
	}
	if got := rec.find("0"); len(got) > 0 {
		t.Errorf("the first is remembered: %v", got)
	}
}
