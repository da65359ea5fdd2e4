package convert

import "testing"

func TestAWSAPIGateway(t *testing.T) {
	testGolden(t, "aws-apigateway")
	testRoundTrip(t, "aws-apigateway")
}
