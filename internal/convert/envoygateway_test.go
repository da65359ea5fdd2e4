package convert

import "testing"

func TestEnvoyGateway(t *testing.T) {
	testGolden(t, "envoy-gateway")
	testRoundTrip(t, "envoy-gateway")
}
