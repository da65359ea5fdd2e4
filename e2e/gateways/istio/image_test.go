package istio

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// An image is the module's in a registry on loopback.
type image struct {
	name, digest string
	// secured is the host:port at which the registry wants the name and the password "reader".
	secured string
}

// pushed returns the image of build/cors.wasm. Package image tests the one that is shipped.
func pushed(t *testing.T) *image {
	t.Helper()
	i, err := push()
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// push starts the registry, which serves until the process ends.
var push = sync.OnceValues(func() (*image, error) {
	path, err := envoytest.Module()
	if err != nil {
		return nil, err
	}
	module, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	img, err := crane.Image(map[string][]byte{"plugin.wasm": module})
	if err != nil {
		return nil, err
	}
	digest, err := img.Digest()
	if err != nil {
		return nil, err
	}
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	secured := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "reader" || password != "reader" {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, r)
	})
	i := &image{
		name:    httptest.NewServer(images).Listener.Addr().String() + "/cors:test",
		digest:  digest.Hex,
		secured: httptest.NewServer(secured).Listener.Addr().String(),
	}
	return i, crane.Push(img, i.name)
})

// in puts the image in the place of the released one.
func (i *image) in(manifest string) string {
	return strings.NewReplacer(
		"ghcr.io/proxy-wasm-cors/proxy-wasm-cors:v0.0.0", i.name, strings.Repeat("0", 64), i.digest,
	).Replace(manifest)
}
