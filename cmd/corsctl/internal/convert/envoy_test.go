package convert

import "testing"

func TestEnvoy(t *testing.T) { testGolden(t, "envoy") }
