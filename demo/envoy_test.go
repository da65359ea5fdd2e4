package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

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

func TestLineWriter(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	var got []string
	w := &lineWriter{line: func(line []byte) { got = append(got, string(line)) }}
	for chunk := range slices.Chunk([]byte("a\n\n"+long+"\nend"), 32<<10) {
		if n, err := w.Write(chunk); n != len(chunk) || err != nil {
			t.Fatal(n, err)
		}
	}
	w.flush()
	if strings.Join(got, "|") != "a\n|\n|"+long+"\n|end" {
		t.Errorf("%d lines", len(got))
	}
}
