package convert

import (
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/explain"
)

func TestIstio(t *testing.T) {
	testGolden(t, "istio")
	testRoundTrip(t, "istio")
}

// TestIstioEmpty: what Istio refuses because it is empty doesn't become everyone.
func TestIstioEmpty(t *testing.T) {
	for _, kind := range []string{"exact", "prefix", "regex"} {
		for _, credentials := range []string{"true", "false"} {
			result := convertText(t, "istio", "file.yaml",
				`{kind: VirtualService, metadata: {name: v}, spec: {hosts: [a.example], http: [{corsPolicy: {allowOrigins: [{exact: "https://app.example"}, {`+
					kind+`: ""}], allowCredentials: `+credentials+`}}]}}`)
			checkResult(t, result)
			if !strings.Contains(result.Configuration, `"allow_origins": ["https://app.example"],`) ||
				!strings.Contains(lines(result), "is empty, so Istio refuses it") {
				t.Errorf("%s, credentials %s: %s%s", kind, credentials, result.Configuration, lines(result))
			}
		}
	}
}

// TestIstioDuration: what is no duration is left out, and the warning says what it is.
func TestIstioDuration(t *testing.T) {
	for value, want := range map[string]string{
		"1 day":        `"1 day" is not a duration; left out; write one such as "24h"`,
		"{seconds: 5}": `is no text, and so not a duration; left out; write one such as "24h"`,
		"[5s]":         `is no text, and so not a duration; left out`,
		"600":          `600 is a number, and a duration is written as "600s" there; carried over as seconds`,
	} {
		result := convertText(t, "istio", "file.yaml",
			`{kind: VirtualService, metadata: {name: v}, spec: {hosts: [a.example], http: [{corsPolicy: {allowOrigins: [{exact: "https://app.example"}], maxAge: `+value+`}}]}}`)
		checkResult(t, result)
		if !strings.Contains(lines(result), "maxAge: "+want) {
			t.Errorf("%s: %s", value, lines(result))
		}
	}
}

// TestIstioConditionsFirst: a route with conditions that comes first doesn't take the
// requests of a later one that are for a part of its path.
func TestIstioConditionsFirst(t *testing.T) {
	result := convertText(t, "istio", "file.yaml", `
kind: VirtualService
metadata: {name: v}
spec:
  hosts: [a.example]
  http:
  - match: [{headers: {x-a: {exact: b}}}]
    corsPolicy: {allowOrigins: [{exact: "https://app.example"}], allowCredentials: true}
  - match: [{uri: {prefix: /private/}}]
`)
	checkResult(t, result)
	c, problems := config.Parse(result.Configuration)
	if c == nil && result.Configuration != "" {
		t.Fatal(problems)
	}
	if c != nil && c.Policies.Lookup(explain.Key("https://a.example/private/x", "")) != nil {
		t.Errorf("%s%s", result.Configuration, lines(result))
	}
}
