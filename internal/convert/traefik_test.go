package convert

import (
	"strings"
	"testing"
)

func TestTraefik(t *testing.T) {
	testGolden(t, "traefik")
	testRoundTrip(t, "traefik")
}

// TestTraefikLabels: labels of containers are recognized, and it is said that they aren't
// read.
func TestTraefikLabels(t *testing.T) {
	for _, text := range []string{
		`services: {api: {labels: ["traefik.http.middlewares.cors.headers.accesscontrolalloworiginlist=*"]}}`,
		`services: {api: {labels: {traefik.http.middlewares.cors.headers.accessControlAllowOriginList: "*"}}}`,
	} {
		result := convertText(t, "traefik", "compose.yaml", text)
		checkResult(t, result)
		if !strings.Contains(lines(result), "is a label of a container, which isn't read") {
			t.Errorf("%s: %s", text, lines(result))
		}
		if from, _, err := Recognize(convertedFile(t, "compose.yaml", text)); from != "traefik" {
			t.Errorf("%s is recognized as %q, %v", text, from, err)
		}
	}
}
