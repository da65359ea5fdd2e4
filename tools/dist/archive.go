package main

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"time"
)

// pack writes files and folders of fsys as a tar below a folder: sorted, everyone's to read,
// with one time and no owner, so that the same files make the same bytes. Edit changes a
// file's content, if there is one.
func pack(w io.Writer, below string, at time.Time, fsys fs.FS, edit func(name string, content []byte) ([]byte, error),
	roots ...string,
) error {
	archive := tar.NewWriter(w)
	add := func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		content, err := fs.ReadFile(fsys, name)
		if err == nil && edit != nil {
			content, err = edit(name, content)
		}
		if err != nil {
			return err
		}
		header := tar.Header{Name: path.Join(below, name), Size: int64(len(content)), Mode: 0o644, ModTime: at}
		if info.Mode()&0o100 != 0 {
			header.Mode = 0o755
		}
		if err := archive.WriteHeader(&header); err != nil {
			return err
		}
		_, err = archive.Write(content)
		return err
	}
	for _, root := range roots {
		if err := fs.WalkDir(fsys, root, add); err != nil {
			return err
		}
	}
	return archive.Close()
}

// What the manifests have in the places of a release's image and its digest.
const noImage = "ghcr.io/proxy-wasm-cors/proxy-wasm-cors:v0.0.0"

var noDigest = strings.Repeat("0", 64)

// misspelt finds what was meant to be one of these and isn't.
var misspelt = regexp.MustCompile(`v0\.0\.0|0{32,}`)

// packDeploy writes an archive of what users copy and apply, with the release's image and
// digest. Its folders are the repository's, so that the documentation's commands hold.
func (r release) packDeploy(w io.Writer, root fs.FS, digest string) error {
	filled := strings.NewReplacer(noImage, r.image, noDigest, digest)
	neither := strings.NewReplacer(noImage, "", noDigest, "")
	edit := func(name string, content []byte) ([]byte, error) {
		if rest := misspelt.FindString(neither.Replace(string(content))); rest != "" {
			return nil, fmt.Errorf("%s has a %s that is neither %s nor the 64 zeros of its digest", name, rest, noImage)
		}
		return []byte(filled.Replace(string(content))), nil
	}
	return compress(w, func(w io.Writer) error {
		return pack(w, "proxy-wasm-cors", r.created, root, edit, "LICENSE", "deploy", "envoy.yaml")
	})
}

// packMan writes an archive of the man pages, as a folder of man has them.
func (r release) packMan(w io.Writer, pages fs.FS) error {
	return compress(w, func(w io.Writer) error { return pack(w, "man1", r.created, pages, nil, ".") })
}

// compress compresses what write writes.
func compress(w io.Writer, write func(io.Writer) error) error {
	compressed, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	if err := write(compressed); err != nil {
		return err
	}
	return compressed.Close()
}
