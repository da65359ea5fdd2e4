package spelling_test

import (
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/spelling"
)

func TestCamel(t *testing.T) {
	for name, camel := range map[string]string{
		"": "", "mode": "mode", "max_age": "maxAge", "upstream_cors_headers": "upstreamCorsHeaders", "a_1b": "a1b",
		"_rules_": "Rules_", "_": "_", "a__b": "a_b",
	} {
		if got := spelling.Camel(name); got != camel {
			t.Errorf("%q becomes %q, not %q", name, got, camel)
		}
		if !spelling.Is(name, name) || !spelling.Is(camel, name) {
			t.Errorf("%q or %q is no spelling of %q", name, camel, name)
		}
		for _, other := range []string{camel + "x", "x" + camel, "MaxAge", "maxage", "max-age", "max_Age", "maxAg"} {
			if spelling.Is(other, name) {
				t.Errorf("%q is a spelling of %q", other, name)
			}
		}
	}
	is := true
	n := testing.AllocsPerRun(10, func() { is = is && spelling.Is("upstreamCorsHeaders", "upstream_cors_headers") })
	if n != 0 || !is {
		t.Errorf("%v allocations; it is a spelling: %t", n, is)
	}
}
