// Command dist completes the files of a release:
//
//	go run ./tools/dist -version v1.0.0 -revision 41cc7d08 -created 2026-11-28T22:32:32Z \
//		-image registry.example/cors:v1.0.0 -envoy '1.39.3 1.40.0'
//
// It runs in the repository's root folder. There build has the module, the image's layout and the
// man pages, and build/dist.partial the commands for each platform. It adds the rest, and renames
// the folder to build/dist when it has all. The Makefile's target dist runs it.
package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

func main() {
	var r release
	flag.StringVar(&r.version, "version", "", "the `version`: a tag, or what git describe makes of it")
	flag.StringVar(&r.revision, "revision", "unknown", "the commit")
	flag.TextVar(&r.created, "created", time.Time{}, "the commit's `time`, as in RFC 3339")
	flag.StringVar(&r.image, "image", "", "the `registry/name:tag` that the image will have")
	envoys := flag.String("envoy", "", "the `versions` of Envoy that the release was tested on")
	key := flag.String("sign", "", "the `file` with the private key of "+publicKey+", to sign the release with")
	flag.Parse()
	r.envoys = strings.Fields(*envoys)
	if *key != "" {
		var err error
		if r.key, err = readKey(*key, publicKey); err != nil {
			fmt.Fprintln(os.Stderr, "dist:", err)
			os.Exit(1)
		}
	}
	if err := r.write("build", "build/dist.partial", "build/dist"); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
	fmt.Printf("build/dist: the files of %s, whose image is %s\n", r.version, r.image)
}

// A release is what its files are about.
type release struct {
	version, revision string
	created           time.Time
	image             string
	envoys            []string
	key               *ecdsa.PrivateKey // that signs it, or nil
}

// write writes a release: what is missing into a folder that has the commands, from the
// folder of what was built, and from the root, which is the current folder.
func (r release) write(built, partial, finished string) error {
	// First what takes no time, so that a mistake is told at once.
	notes, err := r.notes()
	if err != nil {
		return err
	}
	module, err := os.ReadFile(filepath.Join(built, "cors.wasm"))
	if err != nil {
		return err
	}
	layout := os.DirFS(filepath.Join(built, "image"))
	digest, err := imageDigest(layout)
	if err != nil {
		return err
	}
	var image, deploy, man bytes.Buffer
	if err := pack(&image, "", r.created, layout, nil, "."); err != nil {
		return err
	}
	if err := r.packDeploy(&deploy, os.DirFS("."), digest); err != nil {
		return err
	}
	if err := r.packMan(&man, os.DirFS(filepath.Join(built, "man"))); err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"cors.wasm": module, "cors-image.tar": image.Bytes(), "cors-deploy.tar.gz": deploy.Bytes(),
		"corsctl-man.tar.gz": man.Bytes(),
		"RELEASE_NOTES.md":   fmt.Appendf(nil, "%s\nThe image is `%s@sha256:%s`.\n", notes, r.image, digest),
	} {
		if err := os.WriteFile(filepath.Join(partial, name), content, 0o644); err != nil {
			return err
		}
	}
	if err := r.describe(partial, digest); err != nil {
		return err
	}
	if err := writeSums(partial); err != nil {
		return err
	}
	if r.key != nil {
		// The list of the hashes, and so all of them.
		if err := sign(filepath.Join(partial, "SHA256SUMS"), r.key); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(finished); err != nil {
		return err
	}
	return os.Rename(partial, finished)
}

// imageName is a name that manifests can have and "make push" takes: a registry, which a dot
// or a port tells from a folder of Docker Hub, and a tag; no scheme, no digest.
var imageName = regexp.MustCompile(
	`^([a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+(:[0-9]+)?|[a-zA-Z0-9-]+:[0-9]+|\[[0-9a-fA-F:]+\](:[0-9]+)?)` +
		`(/[a-z0-9]+([._-]+[a-z0-9]+)*)+:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)

// notes are what CHANGELOG.md has for the release, of which version and image make sense.
func (r release) notes() (string, error) {
	if !imageName.MatchString(r.image) {
		return "", fmt.Errorf("%q is no name of an image; write registry/name:tag, such as "+
			"IMAGE=registry.example/cors:v1.0.0", r.image)
	}
	changes, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return "", err
	}
	return section(string(changes), r.version)
}

// describe writes what the release was made of and by, for people and for scanners.
func (r release) describe(folder, digest string) error {
	files := []string{filepath.Join(folder, "cors.wasm")}
	for _, name := range []string{"corsctl", "cors-policyd"} {
		found, err := filepath.Glob(filepath.Join(folder, name+"-*-*"))
		if err != nil {
			return err
		}
		files = append(files, found...)
	}
	var programs []program
	dependencies := map[string][]string{}
	for _, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		p, err := newProgram(filepath.Base(path), content)
		if err != nil {
			return err
		}
		programs = append(programs, p)
		dependencies[p.file] = p.dependencies
	}
	licenses, err := readLicenses(programs)
	if err != nil {
		return err
	}
	list, err := r.sbom(programs, licenses)
	if err != nil {
		return err
	}
	tag := r.version
	if development.MatchString(tag) {
		tag = ""
	}
	provenance, err := indented(struct {
		Version      string              `json:"version"`
		Tag          string              `json:"tag,omitempty"`
		Revision     string              `json:"revision"`
		Created      time.Time           `json:"created,omitzero"`
		Go           string              `json:"go"`
		Envoys       []string            `json:"tested_on_envoy"`
		Image        string              `json:"image"`
		ImageDigest  string              `json:"image_digest"`
		ModuleSHA256 string              `json:"module_sha256"`
		Dependencies map[string][]string `json:"dependencies"`
	}{
		r.version, tag, r.revision, r.created.UTC(), runtime.Version(), r.envoys,
		r.image, "sha256:" + digest, programs[0].sha256, dependencies,
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "sbom.cdx.json"), list, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "provenance.json"), provenance, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "THIRD-PARTY-LICENSES.txt"), texts(licenses), 0o644)
}

// writeSums writes the hashes of all files in a folder, as sha256sum does.
func writeSums(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%s  %s\n", sum(content), entry.Name())
	}
	return os.WriteFile(filepath.Join(folder, "SHA256SUMS"), []byte(sums.String()), 0o644)
}

func sum(content []byte) string {
	hash := sha256.Sum256(content)
	return hex.EncodeToString(hash[:])
}

// imageDigest is the digest of the one image in a layout, in hexadecimal digits.
func imageDigest(layout fs.FS) (string, error) {
	text, err := fs.ReadFile(layout, "index.json")
	if err != nil {
		return "", fmt.Errorf(`%w; run "make image"`, err)
	}
	var index struct{ Manifests []struct{ Digest string } }
	if err := json.Unmarshal(text, &index); err != nil {
		return "", fmt.Errorf("the image's index.json: %w", err)
	}
	if n := len(index.Manifests); n != 1 {
		return "", fmt.Errorf(`there are %d images in the layout, not one; run "make image"`, n)
	}
	return strings.TrimPrefix(index.Manifests[0].Digest, "sha256:"), nil
}
