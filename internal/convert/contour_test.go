package convert

import (
	"strings"
	"testing"
)

func TestContour(t *testing.T) {
	testGolden(t, "contour")
	testRoundTrip(t, "contour")
}

// TestContourSlash: an origin with a slash at its end is one, and no regex that matches none.
func TestContourSlash(t *testing.T) {
	result := convertText(t, "contour", "proxy.yaml", `{kind: HTTPProxy, metadata: {name: p}, spec: {virtualhost: {`+
		`fqdn: a.example, corsPolicy: {allowOrigin: ["https://app.example.com/"], allowMethods: [GET]}}}}`)
	checkResult(t, result)
	if !strings.Contains(result.Configuration, `"https://app.example.com"`) || len(result.Findings) != 1 {
		t.Error(result.Configuration, lines(result))
	}
}
