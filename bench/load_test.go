package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestSerial: each request has another number, in the same places.
func TestSerial(t *testing.T) {
	before, after := "GET /", " HTTP/1.1\r\nOrigin: https://actual-"
	x := newExchange(nil, before+serial+after+serial, nil)
	for _, number := range []string{"0000001", "0000002"} {
		if got := string(x.next()); got != before+number+after+number {
			t.Errorf("%q, want number %s", got, number)
		}
	}
	if got := string(newExchange(nil, before+after, nil).next()); got != before+after {
		t.Errorf("%q has changed", got)
	}
}

// TestBackend: a client has each document once.
func TestBackend(t *testing.T) {
	b, err := startBackend()
	if err != nil {
		t.Fatal(err)
	}
	defer b.stop()
	tag := ""
	for _, want := range []string{"one", "two", "three"} {
		published := make(chan struct{})
		go func() {
			b.publish(want)
			close(published)
		}()
		if tag == "" {
			<-published // Otherwise the client has an empty document first.
		}
		request, err := http.NewRequest(http.MethodGet, "http://"+b.addr+documentPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("If-None-Match", tag)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || string(body) != want || answer.Header.Get("ETag") == tag {
			t.Errorf("%q with ETag %s after %s, %v; want %q", body, answer.Header.Get("ETag"), tag, err, want)
		}
		tag = answer.Header.Get("ETag")
	}
}

// TestDocument: it is as large as it should be, and allows what tells it from others.
func TestDocument(t *testing.T) {
	text := document(7, 10_000)
	if len(text) < 10_000 || len(text) > 11_000 {
		t.Errorf("%d bytes", len(text))
	}
	for _, allowed := range []string{origin, versionOrigin(7)} {
		if !strings.Contains(text, `"`+allowed+`"`) {
			t.Errorf("%s isn't in it", allowed)
		}
	}
	if strings.Contains(text, versionOrigin(6)) {
		t.Error("it allows the origin of another version")
	}
}
