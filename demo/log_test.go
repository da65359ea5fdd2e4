package main

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A page that was away, for whatever reason, gets what it has missed, in order and once.
func TestLogMissesNothing(t *testing.T) {
	log := newEventLog()
	server := httptest.NewServer(http.HandlerFunc(log.serve))
	defer server.Close()
	log.add("", []byte(`{"n":1}`))
	log.add("policy", []byte(`{}`))

	last := ""
	read := func(n int) (got []string) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		r.Header.Set("Last-Event-ID", last)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if kind := res.Header.Get("Content-Type"); kind != "text/event-stream" {
			t.Errorf("Content-Type %q", kind)
		}
		kind := ""
		for lines := bufio.NewScanner(res.Body); len(got) < n && lines.Scan(); {
			switch name, value, _ := strings.Cut(lines.Text(), ": "); name {
			case "event":
				kind = value + " "
			case "id":
				last = value
			case "data":
				got = append(got, kind+value)
				kind = ""
			}
		}
		return got
	}
	if got, want := read(2), []string{`{"n":1}`, `policy {}`}; !slices.Equal(got, want) {
		t.Errorf("at first %q, want %q", got, want)
	}
	log.add("", []byte(`{"n":2}`))
	if got := read(1); !slices.Equal(got, []string{`{"n":2}`}) {
		t.Errorf("after the reconnect %q", got)
	}
	go log.add("", []byte(`{"n":3}`))
	if got := read(1); !slices.Equal(got, []string{`{"n":3}`}) {
		t.Errorf("as it comes %q", got)
	}
	n, _ := strconv.Atoi(last)
	last = strconv.Itoa(n + 1000) // of another demo
	if got := read(4); len(got) != 4 || got[0] != `{"n":1}` {
		t.Errorf("of an id that isn't known %q", got)
	}
}
