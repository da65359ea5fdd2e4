package convert

import (
	"strings"
	"testing"
)

func TestNginxIngress(t *testing.T) {
	testGolden(t, "nginx-ingress")
	testRoundTrip(t, "nginx-ingress")
}

// TestNginxPlainWildcards: a star stands for one label also where the policy loses its credentials,
// the default, because all its origins are plain http.
func TestNginxPlainWildcards(t *testing.T) {
	result := convertText(t, "nginx-ingress", "ingress.yaml", `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: plain
  annotations:
    nginx.ingress.kubernetes.io/enable-cors: "true"
    nginx.ingress.kubernetes.io/cors-allow-origin: "http://*.cors.example"
spec: {rules: [{host: api.example, http: {paths: [{path: /, pathType: Prefix}]}}]}
`)
	if want := `"allow_origins": [{"regex": "http://[a-z0-9-]+\\.cors\\.example"}]`; !strings.Contains(result.Configuration, want) {
		t.Errorf("%s lacks %s", result.Configuration, want)
	}
}
