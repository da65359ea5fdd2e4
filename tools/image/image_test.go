package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// wasmModule is the shortest module there is, and what tells several apart.
func wasmModule(contents string) []byte {
	return []byte("\x00asm\x01\x00\x00\x00" + contents)
}

// write runs the command's write with a module, and returns the folder and what it prints.
func write(t *testing.T, module []byte, flags ...string) (folder, printed string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "image")
	path := filepath.Join(t.TempDir(), "cors.wasm")
	if err := os.WriteFile(path, module, 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout strings.Builder
	if err := run(t.Context(), append([]string{"write", path, folder}, flags...), &stdout); err != nil {
		t.Fatal(err)
	}
	return folder, stdout.String()
}

// plugin is the header and the bytes of the one file in an image's last layer.
func plugin(t *testing.T, img v1.Image) (*tar.Header, []byte) {
	t.Helper()
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, error %v", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	archive := tar.NewReader(content)
	header, err := archive.Next()
	if err != nil {
		t.Fatal(err)
	}
	module, err := io.ReadAll(archive)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Next(); err != io.EOF {
		t.Errorf("there is more in the layer than a file, or it isn't whole: %v", err)
	}
	return header, module
}

// TestWrite reads the layout back: the layout of gateways, the annotations, the file.
func TestWrite(t *testing.T) {
	want := wasmModule("TestWrite")
	folder, printed := write(t, want, "--version", "v1.2.3", "--revision", "0123456789ab",
		"--created", "2026-11-28T22:39:59+02:00")
	img, err := readLayout(folder)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	got := []types.MediaType{manifest.MediaType, manifest.Config.MediaType, manifest.Layers[0].MediaType}
	if diff := cmp.Diff([]types.MediaType{
		"application/vnd.oci.image.manifest.v1+json",
		"application/vnd.oci.image.config.v1+json",
		"application/vnd.oci.image.layer.v1.tar+gzip",
	}, got); diff != "" {
		t.Errorf("media types (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{
		"org.opencontainers.image.created":     "2026-11-28T20:39:59Z",
		"org.opencontainers.image.description": "CORS for Envoy, Istio and Envoy Gateway as one Wasm filter",
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.revision":    "0123456789ab",
		"org.opencontainers.image.source":      "https://github.com/proxy-wasm-cors/proxy-wasm-cors",
		"org.opencontainers.image.title":       "proxy-wasm-cors",
		"org.opencontainers.image.version":     "v1.2.3",
	}, manifest.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(manifest.Annotations, config.Config.Labels); diff != "" {
		t.Errorf("labels (-annotations +labels):\n%s", diff)
	}
	for path := range files(t, folder) {
		if info, err := os.Stat(filepath.Join(folder, path)); err != nil || info.Mode() != 0o644 {
			t.Errorf("%s has mode %v, error %v", path, info.Mode(), err)
		}
	}
	header, module := plugin(t, img)
	if !bytes.Equal(module, want) {
		t.Errorf("the file has %q, want %q", module, want)
	}
	if header.Name != "plugin.wasm" || header.Mode != 0o644 || header.Uid != 0 || header.Gid != 0 ||
		header.ModTime.Unix() != 0 {
		t.Errorf("the file is %+v", header)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"  Istio, WasmPlugin: sha256                               " + digest.Hex + "\n",
		"  Envoy Gateway, EnvoyExtensionPolicy: code.image.sha256  " + digest.Hex + "\n",
		"  Envoy Gateway, EnvoyExtensionPolicy: code.http.sha256   " + sum(want) + "\n",
	} {
		if !strings.Contains(printed, line) {
			t.Errorf("printed:\n%swithout:\n%s", printed, line)
		}
	}
}

// TestNoTime: without a commit's time there is none, rather than one of today.
func TestNoTime(t *testing.T) {
	folder, _ := write(t, wasmModule(""))
	img, err := readLayout(folder)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	created, annotated := manifest.Annotations["org.opencontainers.image.created"]
	if annotated || !config.Created.IsZero() {
		t.Errorf("created %q and %v", created, config.Created)
	}
}

// TestWriteAgain: what is left of a former image goes, and other files don't.
func TestWriteAgain(t *testing.T) {
	folder, _ := write(t, wasmModule("former"))
	before := files(t, folder)
	module := filepath.Join(t.TempDir(), "cors.wasm")
	if err := os.WriteFile(module, wasmModule("latter"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"write", module, folder}, io.Discard); err != nil {
		t.Fatal(err)
	}
	after := files(t, folder)
	if len(after) != len(before) || cmp.Equal(before, after) {
		t.Errorf("%d files became %d", len(before), len(after))
	}
	precious := t.TempDir()
	if err := os.WriteFile(filepath.Join(precious, "thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), []string{"write", module, precious}, io.Discard)
	wantError(t, err, "has other files than an OCI layout's")
	if len(files(t, precious)) != 1 {
		t.Error("the file is gone")
	}
}

// TestWriteRefuses what is no module.
func TestWriteRefuses(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("#!/bin/sh"), 0o600); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "image")
	for _, test := range []struct{ module, want string }{
		{filepath.Join(dir, "absent.wasm"), `no such file or directory; run "make build"`},
		{other, `is no Wasm module; run "make build"`},
	} {
		wantError(t, run(t.Context(), []string{"write", test.module, folder}, io.Discard), test.want)
	}
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is there: %v", err)
	}
}

// files are the hashes of the files below a folder, by their paths.
func files(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(os.DirFS(folder), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(folder, path))
		all[path] = sum(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v\nwant one with %q", err, want)
	}
}

func sum(data []byte) string {
	hash := sha256.Sum256(data)
	return hex.EncodeToString(hash[:])
}
