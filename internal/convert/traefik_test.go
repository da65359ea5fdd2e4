package convert

import "testing"

func TestTraefik(t *testing.T) {
	testGolden(t, "traefik")
	testRoundTrip(t, "traefik")
}
