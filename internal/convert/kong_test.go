package convert

import "testing"

func TestKong(t *testing.T) {
	testGolden(t, "kong")
	testRoundTrip(t, "kong")
}
