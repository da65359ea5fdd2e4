// Package istio tests deploy/istio with Istio's own control plane, and the code by which
// its agent writes Envoy's bootstrap and pulls images, on real Envoys.
package istio

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pilot/pkg/features"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/config"
	istiomesh "istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/log"
	"istio.io/istio/pkg/security"
	"sigs.k8s.io/yaml"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

func init() {
	// Filters that Istio's build of Envoy has, and a stock one lacks.
	features.ALPNFilter = false
	features.MetadataExchange = false
	// Proxies connect without TLS.
	security.AuthPlaintext = true
	for _, scope := range log.Scopes() {
		scope.SetOutputLevel(log.ErrorLevel)
	}
}

// A mesh is a control plane.
type mesh struct {
	*xds.FakeDiscoveryServer
	config *meshconfig.MeshConfig
	image  *image
}

// newMesh starts a control plane that has these manifests of Istio's kinds, and others in
// kubernetes, which it reads as from an API server.
func newMesh(t *testing.T, kubernetes string, manifests ...string) *mesh {
	t.Helper()
	m := &mesh{config: meshConfig(t), image: pushed(t)}
	m.FakeDiscoveryServer = xds.NewFakeDiscoveryServer(t, xds.FakeOptions{
		KubernetesObjectString: kubernetes,
		MeshConfig:             m.config,
		ListenerBuilder:        func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") },
	})
	m.Discovery.Authenticators = []security.Authenticator{everyone{}}
	for _, manifest := range manifests {
		m.apply(t, manifest)
	}
	return m
}

// everyone lets every proxy be who it says it is.
type everyone struct{}

func (everyone) AuthenticatorType() string { return "everyone" }

func (everyone) Authenticate(security.AuthContext) (*security.Caller, error) {
	return &security.Caller{Identities: []string{
		"spiffe://cluster.local/ns/istio-ingress/sa/proxy", "spiffe://cluster.local/ns/default/sa/proxy",
	}}, nil
}

// meshConfig is Istio's default with what deploy/istio/mesh-config.yaml adds, and an
// authorizer for ext_authz.
func meshConfig(t *testing.T) *meshconfig.MeshConfig {
	t.Helper()
	mesh := istiomesh.DefaultMeshConfig()
	for _, text := range []string{deployed(t, "mesh-config.yaml"), testdata(t, "mesh-config.yaml", nil)} {
		var values struct {
			MeshConfig map[string]any `json:"meshConfig"`
		}
		err := yaml.UnmarshalStrict([]byte(text), &values)
		if err != nil {
			t.Fatal(err)
		}
		inner, err := yaml.Marshal(values.MeshConfig)
		if err == nil {
			mesh, err = istiomesh.ApplyMeshConfig(string(inner), mesh)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return mesh
}

// parse reads manifests with Istio's own validation, and puts the image that was pushed in the
// place of the released one.
func (m *mesh) parse(t *testing.T, manifest string) []config.Config {
	t.Helper()
	configs, others, err := crd.ParseInputs(m.image.in(manifest))
	if err != nil || len(others) > 0 {
		t.Fatalf("%v, unknown kinds %v, in:\n%s", err, others, manifest)
	}
	return configs
}

// delete does what "kubectl delete" does.
func (m *mesh) delete(t *testing.T, manifest string) {
	t.Helper()
	for _, c := range m.parse(t, manifest) {
		if err := m.Store().Delete(c.GroupVersionKind, c.Name, c.Namespace, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// apply does what "kubectl apply" does.
func (m *mesh) apply(t *testing.T, manifest string) {
	t.Helper()
	var err error
	for _, c := range m.parse(t, manifest) {
		if old := m.Store().Get(c.GroupVersionKind, c.Name, c.Namespace); old != nil {
			c.ResourceVersion = old.ResourceVersion
			_, err = m.Store().Update(c)
		} else {
			_, err = m.Store().Create(c)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// deployed returns a file of deploy/istio.
func deployed(t *testing.T, name string) string {
	t.Helper()
	return repository(t, "deploy/istio/"+name)
}

// repository returns a file, by its path from the root.
func repository(t *testing.T, name string) string {
	t.Helper()
	root, err := envoytest.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// replaced returns a text in which one part, which must be there, is another.
func replaced(t *testing.T, text, old, instead string) string {
	t.Helper()
	if strings.Count(text, old) != 1 {
		t.Fatalf("%q is not there once in:\n%s", old, text)
	}
	return strings.Replace(text, old, instead, 1)
}
