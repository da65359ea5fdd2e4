package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// pluginName is the file that Istio and Envoy Gateway look for in an image's last layer.
const pluginName = "plugin.wasm"

// A release is what the image's annotations say of the module.
type release struct {
	version, revision string
	created           time.Time
}

// annotations are those that the OCI image specification defines.
func (r release) annotations() map[string]string {
	all := map[string]string{
		"org.opencontainers.image.title":       "proxy-wasm-cors",
		"org.opencontainers.image.description": "CORS for Envoy, Istio and Envoy Gateway as one Wasm filter",
		"org.opencontainers.image.source":      "https://github.com/proxy-wasm-cors/proxy-wasm-cors",
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.version":     r.version,
		"org.opencontainers.image.revision":    r.revision,
	}
	if !r.created.IsZero() {
		all["org.opencontainers.image.created"] = r.created.UTC().Format(time.RFC3339)
	}
	return all
}

// readModule reads a Wasm module, and nothing else: an image of anything else would be
// noticed by no one before the proxy.
func readModule(path string) ([]byte, error) {
	module, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf(`%w; run "make build"`, err)
	}
	if err == nil && !bytes.HasPrefix(module, []byte("\x00asm\x01\x00\x00\x00")) {
		err = fmt.Errorf(`%s is no Wasm module; run "make build"`, path)
	}
	return module, err
}

// newImage makes the image in the compatible layout: of the three that Istio and Envoy
// Gateway take it is the one that every registry takes too. The layer has no time, and the
// image the commit's, so that the same module makes the same bytes.
func newImage(module []byte, about release) (v1.Image, error) {
	layer, err := newLayer(module)
	if err != nil {
		return nil, err
	}
	created := v1.Time{Time: about.created.UTC()}
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		Architecture: "wasm",
		OS:           "wasip1",
		Created:      created,
		// The annotations once more, where docker inspect and GitHub look for them.
		Config: v1.Config{Labels: about.annotations()},
		RootFS: v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return nil, err
	}
	history := v1.History{Created: created, CreatedBy: "tools/image"}
	img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: history})
	if err != nil {
		return nil, err
	}
	img = mutate.ConfigMediaType(mutate.MediaType(img, types.OCIManifestSchema1), types.OCIConfigJSON)
	return mutate.Annotations(img, about.annotations()).(v1.Image), nil
}

// newLayer makes a layer that has the module alone, readable for everyone where it is
// mounted.
func newLayer(module []byte) (v1.Layer, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: pluginName, Size: int64(len(module)), Mode: 0o644}); err != nil {
		return nil, err
	}
	if _, err := w.Write(module); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestCompression))
}

// writeLayout writes the image as a layout in place of the one in the folder. What is
// there is whole at any time, and has no blobs of former images.
func writeLayout(folder string, img v1.Image, version string) error {
	if err := replaceable(folder); err != nil {
		return err
	}
	parent := filepath.Dir(filepath.Clean(folder))
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(parent, ".image")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	path, err := layout.Write(filepath.Join(scratch, "layout"), empty.Index)
	if err != nil {
		return err
	}
	named := layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": version})
	if err := path.AppendImage(img, named); err != nil {
		return err
	}
	if err := readable(string(path)); err != nil {
		return err
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	return os.Rename(string(path), folder)
}

// readable lets everyone read the files of a layout: the library makes some its owner's
// alone, and others executable.
func readable(folder string) error {
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return os.Chmod(path, 0o644) //nolint:gosec // The folder is this command's own.
	})
}

// replaceable refuses a folder that has anything but a layout: all of it would be lost.
func replaceable(folder string) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || len(entries) == 0 {
		return err
	}
	if _, err := layout.FromPath(folder); err != nil {
		return fmt.Errorf("%s has other files than an OCI layout's, which would be removed; choose another folder", folder)
	}
	return nil
}

// readLayout reads the image of a folder, if all of it is what the index names.
func readLayout(folder string) (v1.Image, error) {
	index, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		return nil, fmt.Errorf(`%s has no image: %w; run "make image"`, folder, err)
	}
	damaged := func(err error) error { return fmt.Errorf(`%s is damaged: %w; run "make image"`, folder, err) }
	manifests, err := index.IndexManifest()
	if err != nil {
		return nil, damaged(err)
	}
	if n := len(manifests.Manifests); n != 1 {
		return nil, fmt.Errorf(`%s has %d images, not one; run "make image"`, folder, n)
	}
	top := manifests.Manifests[0]
	if err := check(folder, top); err != nil {
		return nil, damaged(err)
	}
	img, err := index.Image(top.Digest)
	if err != nil {
		return nil, damaged(err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		return nil, damaged(err)
	}
	if err := check(folder, append(manifest.Layers, manifest.Config)...); err != nil {
		return nil, damaged(err)
	}
	return img, nil
}

// check compares blobs of a layout with what is said of them. Package validate doesn't
// compare manifest and configuration with the digests that name them.
func check(folder string, blobs ...v1.Descriptor) error {
	for _, blob := range blobs {
		content, err := layout.Path(folder).Bytes(blob.Digest)
		if err != nil {
			return err
		}
		digest, size, err := v1.SHA256(bytes.NewReader(content))
		if err != nil {
			return err
		}
		if digest != blob.Digest || size != blob.Size {
			return fmt.Errorf("the blob %s has %d bytes of digest %s, and should have %d", blob.Digest, size, digest, blob.Size)
		}
	}
	return nil
}

// printDigests prints the two digests that are easily confused, each by the names of the
// fields that want it.
func printDigests(w io.Writer, img v1.Image, module []byte) error {
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, `
The image's digest, where the url begins with oci://
  Istio, WasmPlugin: sha256                               %[1]s
  Envoy Gateway, EnvoyExtensionPolicy: code.image.sha256  %[1]s
The module's own hash, where the url is that of the file
  Istio, WasmPlugin: sha256                               %[2]x
  Envoy Gateway, EnvoyExtensionPolicy: code.http.sha256   %[2]x
`, digest.Hex, sha256.Sum256(module))
	return err
}
