package convert

import (
	"strings"
	"testing"
)

func TestKong(t *testing.T) {
	testGolden(t, "kong")
	testRoundTrip(t, "kong")
}

// TestKongOrigins: what people write as origins, though Kong takes it for a regex.
func TestKongOrigins(t *testing.T) {
	for _, test := range []struct{ origin, want string }{
		{"*.example.com", `write "https://*.example.com", which is no regex`},
		{"https://*.example.com", `matches no origin; left out; write {"regex": "https://([a-z0-9-]+\\.)*example\\.com"}`},
		{".*", `"allow_origins": [{"regex": "https?://.*"}]`},
	} {
		result := convertText(t, "kong", "kong.yaml", `{_format_version: "3.0", plugins: [{name: cors, config: `+
			`{credentials: true, headers: [x-a], origins: ["`+test.origin+`"]}}]}`)
		checkResult(t, result)
		all := result.Configuration + lines(result)
		if !strings.Contains(all, test.want) || strings.Count(all, "warning: ") > 2 {
			t.Errorf("%s: %s isn't in, or more than is needed:\n%s", test.origin, test.want, all)
		}
	}
}

// TestKongConsumers: a plugin in a consumer isn't left out in silence.
func TestKongConsumers(t *testing.T) {
	for _, kind := range []string{"consumers", "consumer_groups"} {
		result := convertText(t, "kong", "kong.yaml", `{_format_version: "3.0", `+kind+
			`: [{plugins: [{name: cors, config: {origins: ["*"]}}]}]}`)
		checkResult(t, result)
		if !strings.Contains(lines(result), "is for a consumer, which the plugin can't be for") {
			t.Errorf("%s: %s", kind, lines(result))
		}
	}
}
