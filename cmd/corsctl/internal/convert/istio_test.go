package convert

import (
	"strings"
	"testing"
)

func TestIstio(t *testing.T) {
	testGolden(t, "istio")
	testRoundTrip(t, "istio")
}

// TestIstioEmpty: what Istio refuses because it is empty doesn't become everyone.
func TestIstioEmpty(t *testing.T) {
	for _, kind := range []string{"exact", "prefix", "regex"} {
		for _, credentials := range []string{"true", "false"} {
			result := convertText(t, "istio", "file.yaml", `{kind: VirtualService, metadata: {name: v}, spec: {hosts: [a.example], http: [{corsPolicy: {allowOrigins: [{exact: "https://app.example"}, {`+
				kind+`: ""}], allowCredentials: `+credentials+`}}]}}`)
			checkResult(t, result)
			if !strings.Contains(result.Configuration, `"allow_origins": ["https://app.example"],`) || !strings.Contains(lines(result), "is empty, so Istio refuses it") {
				t.Errorf("%s, credentials %s: %s%s", kind, credentials, result.Configuration, lines(result))
			}
		}
	}
}
