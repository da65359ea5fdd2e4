package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSplitFilter(t *testing.T) {
	const text = `http_filters:
# first
- name: cors
  typed_config:
    "@type": wasm
    config:

      value: |
        {
          "max_age": 1
        }
# after
- name: router
`
	s, ok := splitFilter(text)
	if !ok {
		t.Fatal("no filter found")
	}
	if got, want := s.resource(), `resources:
- "@type": type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig
  name: cors
  typed_config:
    "@type": wasm
    config:

      value: |
        {
          "max_age": 1
        }
`; got != want {
		t.Errorf("resource:\n%s\nwant:\n%s", got, want)
	}
	got := strings.Split(s.bootstrap(`/a b/"c.yaml`), "\n")
	if len(got) != strings.Count(text, "\n")+1 {
		t.Errorf("%d lines, want as many as before: %q", len(got), got)
	}
	if line := got[3]; !strings.HasPrefix(line, "  config_discovery: {") ||
		!strings.Contains(line, `{path: "/a b/\"c.yaml", watched_directory: {path: "/a b"}}`) {
		t.Errorf("line 4: %s", line)
	}
	if strings.Join(got[:3], "\n") != "http_filters:\n# first\n- name: cors" ||
		strings.Join(got[11:], "\n") != "# after\n- name: router\n" {
		t.Errorf("the rest is not as before: %q", got)
	}
}

func TestSplitFilterAtTheEnd(t *testing.T) {
	for _, text := range []string{"- name: cors\n  typed_config:\n    a: 1", "- name: cors\n  typed_config: {a: 1}\n"} {
		s, ok := splitFilter(text)
		if !ok || s.before+s.filter+s.after != text || s.after != "" {
			t.Errorf("%q: %+v, %t", text, s, ok)
		}
	}
}

func TestSplitFilterFindsNone(t *testing.T) {
	for _, text := range []string{
		"",
		"- name: router\n  typed_config:\n    a: 1\n",
		"- name: cors\n  config_discovery:\n    typed_config: 1\n",
		"- name: cors\n- name: router\n  typed_config:\n    a: 1\n",
		"clusters:\n- name: cors\n  load_assignment: {}\n",
	} {
		if s, ok := splitFilter(text); ok {
			t.Errorf("%q: %+v", text, s)
		}
	}
}

func TestSplitFilterOfTheShippedConfiguration(t *testing.T) {
	text, err := os.ReadFile("../envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, ok := splitFilter(string(text))
	if !ok || s.before+s.filter+s.after != string(text) || !strings.Contains(s.filter, `"max_age"`) ||
		strings.Contains(s.before+s.after, "cors.wasm") {
		t.Errorf("%t, filter:\n%s", ok, s.filter)
	}
}

func TestFollow(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write := func(text string) {
		t.Helper()
		if err := writeAtOnce(file, text); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got := make(chan string)
	write("a")
	go follow(ctx, file, []byte("a"), func(text []byte) { got <- string(text) })
	for _, text := range []string{"b", "", "a"} {
		write(text)
		select {
		case now := <-got:
			if now != text {
				t.Errorf("got %q, want %q", now, text)
			}
		case <-ctx.Done():
			t.Fatalf("%q is not noticed", text)
		}
	}
	if err := os.Remove(file); err != nil { // as some editors do for a moment
		t.Fatal(err)
	}
	time.Sleep(2 * settled)
	write("c")
	if now := <-got; now != "c" {
		t.Errorf("got %q, want %q", now, "c")
	}
}
