package convert

import (
	"strings"
	"testing"
)

func TestSpring(t *testing.T) {
	testGolden(t, "spring")
	testRoundTrip(t, "spring")
}

// TestSpringProfiles: of several profiles none is chosen.
func TestSpringProfiles(t *testing.T) {
	const document = "spring: {profiles: %s, cloud: {gateway: {globalcors: {corsConfigurations: {'[/**]': {allowedOrigins: '*'}}}}}}"
	text := strings.ReplaceAll(document, "%s", "dev") + "\n---\n" + strings.ReplaceAll(document, "%s", "prod")
	result := convertText(t, "spring", "application.yaml", text)
	checkResult(t, result)
	if result.Configuration != "" || !strings.Contains(lines(result), "give a file with the documents of one profile alone") {
		t.Errorf("%s%s", result.Configuration, lines(result))
	}
	if from, _, err := Recognize(convertedFile(t, "application.yaml", text)); from != "spring" {
		t.Errorf("it is recognized as %q, %v", from, err)
	}
}
