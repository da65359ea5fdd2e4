package convert

import "testing"

func TestContour(t *testing.T) {
	testGolden(t, "contour")
	testRoundTrip(t, "contour")
}
