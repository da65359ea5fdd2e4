package convert

import (
	"strings"
	"testing"
)

func TestS3(t *testing.T) {
	testGolden(t, "s3")
	testRoundTrip(t, "s3")
}

// TestS3XML: the XML that consoles once took isn't read, and it is said what to do.
func TestS3XML(t *testing.T) {
	for _, text := range []string{
		"<CORSConfiguration>\n <CORSRule>\n   <AllowedOrigin>https://a.example</AllowedOrigin>\n </CORSRule>\n</CORSConfiguration>\n",
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CORSConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n</CORSConfiguration>\n",
	} {
		result := convertText(t, "s3", "cors.xml", text)
		checkResult(t, result)
		if result.Configuration != "" || !strings.Contains(lines(result), "give it as JSON, as aws s3api get-bucket-cors") {
			t.Errorf("%s%s", result.Configuration, lines(result))
		}
		if from, _, err := Recognize(convertedFile(t, "cors.xml", text)); err == nil ||
			!strings.Contains(err.Error(), "aws s3api get-bucket-cors") {
			t.Errorf("it is recognized as %q, %v", from, err)
		}
	}
}
