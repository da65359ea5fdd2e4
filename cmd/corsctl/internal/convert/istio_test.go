package convert

import "testing"

func TestIstio(t *testing.T) {
	testGolden(t, "istio")
	testRoundTrip(t, "istio")
}
