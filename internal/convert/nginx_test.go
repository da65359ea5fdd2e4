package convert

import "testing"

func TestNginxIngress(t *testing.T) {
	testGolden(t, "nginx-ingress")
	testRoundTrip(t, "nginx-ingress")
}
