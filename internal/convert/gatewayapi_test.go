package convert

import "testing"

func TestGatewayAPI(t *testing.T) {
	testGolden(t, "gateway-api")
	testRoundTrip(t, "gateway-api")
}
