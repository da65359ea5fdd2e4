package convert

import (
	"strings"
	"testing"
)

func TestHigress(t *testing.T) {
	testGolden(t, "higress")
	testRoundTrip(t, "higress")
}

// TestHigressEmpty: an empty configuration is the plugin's defaults; it isn't recognized.
func TestHigressEmpty(t *testing.T) {
	result := convertText(t, "higress", "file.json", "{}")
	checkResult(t, result)
	if !strings.Contains(result.Configuration, `"allow_origins": ["*"]`) ||
		!strings.Contains(result.Configuration, "X-CustomHeader") || len(result.Findings) > 0 {
		t.Errorf("%s%s", result.Configuration, lines(result))
	}
	if from, _, err := Recognize(convertedFile(t, "file.json", "{}")); err == nil {
		t.Errorf("it is recognized as %q", from)
	}
}
