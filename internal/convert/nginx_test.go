package convert

import (
	"strings"
	"testing"
)

func TestNginxIngress(t *testing.T) {
	testGolden(t, "nginx-ingress")
	testRoundTrip(t, "nginx-ingress")
}

// TestNginxWildcards: a star stands for one label also where the policy loses its credentials, the default,
// because none of its origins may have them.
func TestNginxWildcards(t *testing.T) {
	for _, test := range []struct{ name, origins, want string }{
		{"plain http", "http://*.cors.example", `[{"regex": "http://[a-z0-9-]+\\.cors\\.example"}]`},
		{"a public suffix, whose regex is left out", "https://*.github.io, https://*.com",
			`[{"regex": "https://[a-z0-9-]+\\.com"}]`},
		{"a public suffix over plain http", "http://*.com", `[{"regex": "http://[a-z0-9-]+\\.com"}]`},
		{"beside one that may have credentials", "https://*.github.io, https://app.example, http://*.cors.example",
			`["https://app.example"]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			result := convertText(t, "nginx-ingress", "ingress.yaml", `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: wildcards
  annotations:
    nginx.ingress.kubernetes.io/enable-cors: "true"
    nginx.ingress.kubernetes.io/cors-allow-origin: "`+test.origins+`"
spec: {rules: [{host: api.example, http: {paths: [{path: /, pathType: Prefix}]}}]}
`)
			if want := `"allow_origins": ` + test.want; !strings.Contains(result.Configuration, want) {
				t.Errorf("%s lacks %s", result.Configuration, want)
			}
		})
	}
}
