package main

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// An event is one that a page is told of: of a type, "" for a request, and data, which is a line of JSON.
type event struct {
	id   int
	kind string
	data []byte
}

// An eventLog tells pages of requests as they are logged, and of other policies.
type eventLog struct {
	mu      sync.Mutex
	events  bounded[event]
	last    int           // the id of the latest event
	changed chan struct{} // closed, and replaced, at each event
}

// newEventLog returns a log whose ids no former demo has given.
func newEventLog() *eventLog {
	return &eventLog{last: int(time.Now().UnixMilli()), changed: make(chan struct{})}
}

// add tells the pages of an event.
func (l *eventLog) add(kind string, data []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	l.events.add(event{l.last, kind, data}, len(data))
	close(l.changed)
	l.changed = make(chan struct{})
}

// since returns the events after one, all if that isn't of this log; and what is closed at the next one.
func (l *eventLog) since(id int) ([]event, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := 0
	if id <= l.last {
		for first < len(l.events.items) && l.events.items[first].id <= id {
			first++
		}
	}
	return l.events.items[first:], l.changed
}

// aStream is how long an answer lasts. Envoy gives up after 15 s, unless a route has another
// timeout; a page asks again at once, and goes on after the last event that it got.
const aStream = 10 * time.Second

// serve sends the events as they come, first those that the page hasn't got.
func (l *eventLog) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(w, "retry: 50\n\n")
	last, _ := strconv.Atoi(r.Header.Get("Last-Event-ID")) // 0 for none
	end := time.After(aStream)
	for {
		events, changed := l.since(last)
		for _, e := range events {
			if e.kind != "" {
				fmt.Fprintf(w, "event: %s\n", e.kind)
			}
			fmt.Fprintf(w, "id: %d\ndata: %s\n\n", e.id, e.data)
			last = e.id
		}
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-end:
			return
		case <-r.Context().Done():
			return
		}
	}
}
