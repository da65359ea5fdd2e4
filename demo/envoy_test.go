package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindEnvoy(t *testing.T) {
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
		if got, err := findEnvoy(); err != nil || got != path {
			t.Errorf("found %q, %v; want %q", got, err, path)
		}
	}
	t.Setenv("ENVOY", "")
	t.Setenv("PATH", filepath.Join(dir, "bin"))

	if got, err := findEnvoy(); err == nil || !strings.Contains(err.Error(), "make run") {
		t.Errorf("found %q, %v; want a hint at make run", got, err)
	}
	write("bin/envoy")
	want(filepath.Join(dir, "bin/envoy"))
	write(builtEnvoy)
	want(builtEnvoy)
	write("own")
	t.Setenv("ENVOY", "./own")
	want("./own")
	t.Setenv("ENVOY", "./missing")
	if got, err := findEnvoy(); err == nil || !strings.Contains(err.Error(), "$ENVOY") {
		t.Errorf("found %q, %v; want an error that names $ENVOY", got, err)
	}
}

func TestListenAddressesOfTheShippedConfiguration(t *testing.T) {
	text, err := os.ReadFile("../envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var ports []string
	for _, match := range listenAddress.FindAllStringSubmatch(string(text), -1) {
		ports = append(ports, match[1])
	}
	if got := strings.Join(ports, " "); got != "9901 10000 10001" {
		t.Errorf("ports %s", got)
	}
}

func TestListenerPorts(t *testing.T) {
	ports, err := listenerPorts([]byte(`{"listener_statuses": [
		{"name": "app", "local_address": {"socket_address": {"address": "127.0.0.1", "port_value": 10000}}},
		{"name": "pipe", "local_address": {"pipe": {"path": "@a"}}}
	]}`))
	if err != nil || ports["app"] != 10000 || ports["pipe"] != 0 {
		t.Errorf("%v, %v", ports, err)
	}
	if _, err := listenerPorts([]byte("no")); err == nil {
		t.Error("no error")
	}
}

func TestPluginConfiguration(t *testing.T) {
	dump := `{"configs": [{"filters": [1, {"@type": "other"}, {"config": {
		"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "{\"max_age\": 1}\n"}}]}]}`
	if got := pluginConfiguration([]byte(dump)); got != `{"max_age": 1}` {
		t.Errorf("%q", got)
	}
	for _, dump := range []string{"", "no", "{}", `{"@type": "type.googleapis.com/google.protobuf.StringValue"}`} {
		if got := pluginConfiguration([]byte(dump)); got != "" {
			t.Errorf("%q has %q", dump, got)
		}
	}
}

func TestReadLines(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	var got []string
	readLines(strings.NewReader("a\n\n"+long+"\nend"), func(line []byte) { got = append(got, string(line)) })
	if strings.Join(got, "|") != "a\n|\n|"+long+"\n|end" {
		t.Errorf("%d lines", len(got))
	}
}
