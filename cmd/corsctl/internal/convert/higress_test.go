package convert

import "testing"

func TestHigress(t *testing.T) {
	testGolden(t, "higress")
	testRoundTrip(t, "higress")
}
