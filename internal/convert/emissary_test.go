package convert

import "testing"

func TestEmissary(t *testing.T) {
	testGolden(t, "emissary")
	testRoundTrip(t, "emissary")
}
