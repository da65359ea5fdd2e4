package envoy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write := func(path string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	want := func(path string) {
		t.Helper()
		if got, err := Find(""); err != nil || got != path {
			t.Errorf("found %q, %v; want %q", got, err, path)
		}
	}
	t.Setenv("ENVOY", "")
	t.Setenv("PATH", filepath.Join(dir, "bin"))

	if got, err := Find(""); err == nil || !strings.Contains(err.Error(), "make run") {
		t.Errorf("found %q, %v; want a hint at make run", got, err)
	}
	write("bin/envoy")
	want(filepath.Join(dir, "bin/envoy"))
	write(Built)
	want(Built)
	write("own")
	t.Setenv("ENVOY", "./own")
	want("./own")
	t.Setenv("ENVOY", "./missing")
	if got, err := Find(""); err == nil || !strings.Contains(err.Error(), "$ENVOY") {
		t.Errorf("found %q, %v; want an error that names $ENVOY", got, err)
	}
}

func TestParseListeners(t *testing.T) {
	addrs, err := parseListeners([]byte(`{"listener_statuses": [
		{"name": "app", "local_address": {"socket_address": {"address": "127.0.0.1", "port_value": 10000}}},
		{"name": "pipe", "local_address": {"pipe": {"path": "@a"}}}
	]}`))
	if err != nil || addrs["app"] != "127.0.0.1:10000" || addrs["pipe"] != "" {
		t.Errorf("%v, %v", addrs, err)
	}
	if _, err := parseListeners([]byte("no")); err == nil {
		t.Error("no error")
	}
}
