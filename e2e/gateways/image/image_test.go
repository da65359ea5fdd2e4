// Package image tests that Istio takes the module's image, by Istio's own code.
package image

import (
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"istio.io/istio/pkg/wasm"
)

// runMake runs the Makefile's targets, and returns what they print.
func runMake(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("make", append([]string{"-C", "../../.."}, args...)...)
	// The make that runs this test passes no flags on.
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// TestIstio: Istio's proxies pull what "make push" has pushed, with the digest that
// "make image" prints, byte for byte. With another digest they refuse it.
func TestIstio(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	image := strings.TrimPrefix(server.URL, "http://") + "/cors:test"
	// Others read the module meanwhile, so that it isn't built again.
	printed := runMake(t, "-o", "build", "push", "IMAGE="+image)
	digest := regexp.MustCompile(`Istio, WasmPlugin: sha256 +([0-9a-f]{64})`).FindStringSubmatch(printed)
	if digest == nil {
		t.Fatalf("no digest in:\n%s", printed)
	}
	want, err := os.ReadFile("../../../build/cors.wasm")
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"oci://" + image, "oci://" + strings.TrimSuffix(image, ":test") + "@sha256:" + digest[1]} {
		t.Run(url, func(t *testing.T) {
			cache := wasm.NewLocalFileCache(t.TempDir(), wasm.Options{})
			defer cache.Cleanup()
			get := wasm.GetOptions{Checksum: digest[1], ResourceName: "cors", RequestTimeout: time.Minute}
			path, err := cache.Get(url, get)
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Clean(path))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("Istio has %d other bytes than the %d of build/cors.wasm", len(got), len(want))
			}
		})
	}
	t.Run("another digest", func(t *testing.T) {
		cache := wasm.NewLocalFileCache(t.TempDir(), wasm.Options{})
		defer cache.Cleanup()
		get := wasm.GetOptions{Checksum: strings.Repeat("0", 64), ResourceName: "cors", RequestTimeout: time.Minute}
		if path, err := cache.Get("oci://"+image, get); err == nil || !strings.Contains(err.Error(), "does not match") {
			t.Errorf("got %q, error %v", path, err)
		}
	})
}
