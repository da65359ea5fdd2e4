package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const root = "../.."

// A release that only the copies of TestReproducible have.
const (
	version  = "v1.2.3-rc.1"
	revision = "0123456789abcdef0123456789abcdef01234567"
	image    = "registry.example/team/cors:v1.2.3-rc.1"
)

// everything is what a release is for.
const everything = "linux-amd64 linux-arm64 darwin-amd64 darwin-arm64 windows-amd64 windows-arm64"

// platforms are those that the test builds for: this one, and one whose files are called otherwise. The
// databases' drivers take minutes for each.
var platforms = []string{runtime.GOOS + "-" + runtime.GOARCH, "windows-arm64"}

// whole is set by "make test-dist".
var whole = flag.Bool("whole", false, "build the whole release, both times with an empty cache")

// TestPlatforms: what a release is for.
func TestPlatforms(t *testing.T) {
	cmd := exec.Command("make", "--silent", "--eval", "platforms: ; @echo '$(PLATFORMS)'", "platforms")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
	out, err := cmd.Output()
	if err != nil || string(out) != everything+"\n" {
		t.Errorf("%v: %s", err, out)
	}
}

// TestReproducible writes a release from the source in two folders that differ in name,
// age and rights: the files are the same to the byte, so that anybody can check them. They
// have no history, as an archive of the source. With -trimpath Go takes a package from its cache whatever
// folder it was compiled in, so that only with -whole is more compared than what is linked and packed; of
// the module tools/module compares all.
func TestReproducible(t *testing.T) {
	if *whole {
		platforms = strings.Fields(everything)
	}
	var sums [2]string
	keys := t.TempDir()
	newKey(t, keys)
	var folder string
	for i, name := range []string{"a", "another folder"} {
		dir := filepath.Join(t.TempDir(), name)
		copySource(t, dir)
		write(t, filepath.Join(dir, publicKey), read(t, filepath.Join(keys, publicKey)))
		cmd := exec.Command("make", "-C", dir, "dist", "IMAGE="+image, "PLATFORMS="+strings.Join(platforms, " "),
			"SIGN="+filepath.Join(keys, "key.pem"),
			"MODULE_VERSION="+version, "MODULE_REVISION="+revision, "MODULE_CREATED=2026-11-28T22:39:59+02:00")
		// The make that runs this test passes none of its flags on.
		cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
		if *whole {
			cmd.Env = append(cmd.Env, "GOCACHE="+t.TempDir())
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
		folder = filepath.Join(dir, "build", "dist")
		sums[i] = read(t, filepath.Join(folder, "SHA256SUMS"))
	}
	if diff := cmp.Diff(sums[0], sums[1]); diff != "" {
		t.Errorf("the files differ:\n%s", diff)
	}
	testSums(t, folder, sums[1])
	testSignature(t, filepath.Join(folder, "SHA256SUMS"), filepath.Join(keys, publicKey))
	digest := testProvenance(t, folder)
	testArchives(t, folder, digest)
	if got, want := read(t, filepath.Join(folder, "RELEASE_NOTES.md")), "### Added\n\n- A release.\n\n"+
		"The image is `"+image+"@sha256:"+digest+"`.\n"; got != want {
		t.Errorf("the notes are %q, want %q", got, want)
	}
	testCommand(t, folder)
}

// copySource copies the project, without its history and what was built, and gives it a release.
func copySource(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		from, to := filepath.Join(root, entry.Name()), filepath.Join(dir, entry.Name())
		switch {
		case entry.Name() == ".git" || entry.Name() == "build":
		case entry.IsDir():
			if err := os.CopyFS(to, os.DirFS(from)); err != nil {
				t.Fatal(err)
			}
		default:
			write(t, to, read(t, from))
		}
	}
	changes := filepath.Join(dir, "CHANGELOG.md")
	write(t, changes, strings.Replace(read(t, changes), "\n## [", "\n## ["+version[1:]+
		"] - 2026-11-28\n\n### Added\n\n- A release.\n\n## [", 1))
}

// testSums tests that the sums are those of all files, and the files those of a release.
func testSums(t *testing.T, folder, sums string) {
	t.Helper()
	want := []string{
		"RELEASE_NOTES.md", "THIRD-PARTY-LICENSES.txt", "cors-deploy.tar.gz", "cors-image.tar", "cors.wasm",
		"corsctl-man.tar.gz", "provenance.json",
		"sbom.cdx.json",
	}
	for _, platform := range platforms {
		exe := ""
		if strings.HasPrefix(platform, "windows-") {
			exe = ".exe"
		}
		want = append(want, "corsctl-"+platform+exe, "cors-policyd-"+platform+exe)
	}
	slices.Sort(want)
	var got []string
	for line := range strings.Lines(sums) {
		hash, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		got = append(got, name)
		if sum([]byte(read(t, filepath.Join(folder, name)))) != hash {
			t.Errorf("%s doesn't have the hash %s", name, hash)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != len(want)+3 { // the sums, and what signs them
		t.Errorf("%d files, error %v", len(entries), err)
	}
}

// testProvenance tests what is said of the release, and returns the image's digest.
func testProvenance(t *testing.T, folder string) string {
	t.Helper()
	var got struct {
		Version, Tag, Revision, Created, Go, Image string
		ImageDigest                                string   `json:"image_digest"`
		ModuleSHA256                               string   `json:"module_sha256"`
		Envoys                                     []string `json:"tested_on_envoy"`
		Dependencies                               map[string][]string
	}
	if err := json.Unmarshal([]byte(read(t, filepath.Join(folder, "provenance.json"))), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(
		[]string{version, version, revision, "2026-11-28T20:39:59Z", runtime.Version(), image, sum([]byte(read(t, filepath.Join(folder, "cors.wasm"))))},
		[]string{got.Version, got.Tag, got.Revision, got.Created, got.Go, got.Image, got.ModuleSHA256}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// README.md has the same versions of Envoy in its table.
	var told []string
	for _, row := range regexp.MustCompile(`(?m)^\| 1\.[0-9]+ \| ([0-9.]+)`).FindAllStringSubmatch(
		read(t, filepath.Join(root, "README.md")), -1) {
		told = append(told, row[1])
	}
	slices.Sort(told)
	if diff := cmp.Diff(told, got.Envoys); diff != "" {
		t.Errorf("versions of Envoy (-README.md +Makefile):\n%s", diff)
	}
	// The linker says the same of the commands.
	for file, got := range got.Dependencies {
		if file == "cors.wasm" {
			if !strings.Contains(strings.Join(got, " "), "tidwall/gjson@v") {
				t.Errorf("the module has %q", got)
			}
			continue
		}
		info, err := buildinfo.ReadFile(filepath.Join(folder, file))
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, module := range info.Deps {
			if module.Replace == nil { // else it is this project's own
				want = append(want, module.Path+"@"+module.Version)
			}
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-linked +listed):\n%s", file, diff)
		}
	}
	testSBOM(t, folder, got.Dependencies)
	return strings.TrimPrefix(got.ImageDigest, "sha256:")
}

// testSBOM tests that the SBOM says the same, with each file's hash, and that what it refers
// to is there.
func testSBOM(t *testing.T, folder string, dependencies map[string][]string) {
	t.Helper()
	var list bom
	if err := json.Unmarshal([]byte(read(t, filepath.Join(folder, "sbom.cdx.json"))), &list); err != nil {
		t.Fatal(err)
	}
	known := map[string]component{list.Metadata.Component.Ref: list.Metadata.Component}
	for _, c := range list.Components {
		known[c.Ref] = c
		if c.Type == "application" && c.Hashes[0].Content != sum([]byte(read(t, filepath.Join(folder, c.Name)))) {
			t.Errorf("the SBOM has another %s", c.Name)
		}
	}
	got := map[string][]string{}
	for _, c := range list.Components {
		if (len(c.Licenses) > 0) != (c.Type == "library") {
			t.Errorf("%s has the licenses %v", c.Ref, c.Licenses)
		}
	}
	for _, d := range list.Dependencies {
		for _, ref := range d.DependsOn {
			c, ok := known[ref]
			if !ok {
				t.Errorf("%s depends on %s, which isn't there", d.Ref, ref)
			}
			if d.Ref != list.Metadata.Component.Ref && c.Name != "stdlib" {
				got[d.Ref] = append(got[d.Ref], c.Name+"@"+c.Version)
			}
		}
	}
	if diff := cmp.Diff(dependencies, got); diff != "" {
		t.Errorf("dependencies (-provenance +SBOM):\n%s", diff)
	}
}

// testArchives tests that the image is the one of the digest, with the module that lies
// beside it, and that the manifests name it.
func testArchives(t *testing.T, folder, digest string) {
	t.Helper()
	layout := unpack(t, strings.NewReader(read(t, filepath.Join(folder, "cors-image.tar"))))
	if manifest := layout["blobs/sha256/"+digest]; sum([]byte(manifest)) != digest {
		t.Errorf("the image's manifest is %q", manifest)
	}
	var modules int
	for name, blob := range layout {
		if compressed, err := gzip.NewReader(strings.NewReader(blob)); err == nil {
			modules++
			if unpack(t, compressed)["plugin.wasm"] != read(t, filepath.Join(folder, "cors.wasm")) {
				t.Errorf("%s has another module", name)
			}
		}
	}
	if modules != 1 {
		t.Errorf("%d modules in the image", modules)
	}
	man := unpackCompressed(t, filepath.Join(folder, "corsctl-man.tar.gz"))
	if page := man["man1/corsctl-validate.1"]; !strings.Contains(page, `"corsctl `+version+`"`) {
		t.Errorf("the man page of corsctl validate is %q", page)
	}
	fill := strings.NewReplacer("ghcr.io/proxy-wasm-cors/proxy-wasm-cors:v0.0.0", image, strings.Repeat("0", 64), digest)
	want := map[string]string{}
	for _, name := range []string{"LICENSE", "envoy.yaml", "deploy"} {
		err := filepath.WalkDir(filepath.Join(root, name), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				relative := strings.TrimPrefix(filepath.ToSlash(path), root+"/")
				want["proxy-wasm-cors/"+relative] = fill.Replace(read(t, path))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, unpackCompressed(t, filepath.Join(folder, "cors-deploy.tar.gz"))); diff != "" {
		t.Errorf("deploy (-want +got):\n%s", diff)
	}
}

// testCommand runs the commands for this machine.
func testCommand(t *testing.T, folder string) {
	t.Helper()
	platform := runtime.GOOS + "/" + runtime.GOARCH
	out, err := exec.Command(filepath.Join(folder, "corsctl-"+strings.Replace(platform, "/", "-", 1)), "version").Output()
	want := fmt.Sprintf("corsctl %s\nrevision: %s\ngo: %s\nplatform: %s\n",
		version, revision, runtime.Version(), platform)
	if err != nil || string(out) != want {
		t.Errorf("got %q, error %v, want %q", out, err, want)
	}
	out, err = exec.Command(filepath.Join(folder, "cors-policyd-"+strings.Replace(platform, "/", "-", 1)), "--version").Output()
	if want := "cors-policyd " + version + "\n"; err != nil || string(out) != want {
		t.Errorf("got %q, error %v, want %q", out, err, want)
	}
}

// unpackCompressed is unpack of a file that is compressed.
func unpackCompressed(t *testing.T, path string) map[string]string {
	t.Helper()
	compressed, err := gzip.NewReader(strings.NewReader(read(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	return unpack(t, compressed)
}

// unpack is the files of an archive. Nothing in it is of this machine.
func unpack(t *testing.T, r io.Reader) map[string]string {
	t.Helper()
	files := map[string]string{}
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Uid != 0 || header.Gid != 0 || header.Uname+header.Gname != "" || header.Mode != 0o644 {
			t.Errorf("%s is %+v", header.Name, header)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = string(content)
	}
}

// TestWriteNothing: a release that can't be is not there, not even half.
func TestWriteNothing(t *testing.T) {
	for _, test := range []struct {
		version, image, without, want string
	}{
		{"v1.0.0", image, "CHANGELOG.md", `CHANGELOG.md has no section "## [1.0.0] - YYYY-MM-DD"`},
		{"v1.0.0", "registry.example/cors", "", "is no name of an image; write registry/name:tag"},
		{"v1.0.0", image, "cors.wasm", "no such file"},
		{"v1.0.0", image, "index.json", `no such file or directory; run "make image"`},
		{"v1.0.0", image, "envoy.yaml", "no such file"},
		{"v1.0.0", image, "corsctl.1", "no such file"},
		{"v1.0.0", image, "the source", "go -C module list"},
	} {
		t.Chdir(t.TempDir())
		built, partial, finished := "b", "p", "f"
		for name, text := range map[string]string{
			"CHANGELOG.md": "## [1.0.0] - 2026-11-28\n- x\n", "LICENSE": "", "envoy.yaml": "", "deploy/a.yaml": "",
			"b/cors.wasm": "\x00asm", "b/image/index.json": `{"manifests": [{"digest": "sha256:1234"}]}`,
			"b/man/corsctl.1": "",
		} {
			if filepath.Base(name) != test.without {
				if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
					t.Fatal(err)
				}
				write(t, name, text)
			} else if name == "CHANGELOG.md" {
				write(t, name, "## [Unreleased]\n- x\n")
			}
		}
		if err := os.Mkdir(partial, 0o700); err != nil {
			t.Fatal(err)
		}
		wantError(t, release{version: test.version, image: test.image}.write(built, partial, finished), test.want)
		if _, err := os.Stat(finished); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a release is there, error %v", test.want, err)
		}
	}
}

// TestSection: releases have a section of their own; what is none quotes what isn't released.
func TestSection(t *testing.T) {
	const changes = "# Changelog\n\n## [Unreleased]\n\n### Added\n- next\n\n## [1.1.0] - 2026-12-24\n\n" +
		"## [1.0.0] - 2026-12-01\n### Added\n- first\n\n## [1.0.0-rc.1] - soon\n- x\n\n" +
		"## [0.9.0] - 2026-11-01\n- last\n\n[Unreleased]: https://example.com\n"
	for version, want := range map[string]string{
		"v1.0.0":                 "### Added\n- first\n",
		"v0.9.0":                 "- last\n",
		"v1.0.0-3-g41cc7d0":      "### Added\n- next\n",
		"v1.0.0-rc.1-3-g41cc7d0": "### Added\n- next\n",
		"v1.0.0-dirty":           "### Added\n- next\n",
		"v0.0.0-41cc7d0-dirty":   "### Added\n- next\n",
		"v0.0.0-dev":             "### Added\n- next\n",
		"v1.1.0":                 `has nothing in its section "## [1.1.0] - YYYY-MM-DD"`,
		"v1.0.0-rc.1":            `has no section "## [1.0.0-rc.1] - YYYY-MM-DD"`,
		"v1.0.1":                 `has no section "## [1.0.1] - YYYY-MM-DD"; CONTRIBUTING.md, "Release", says how`,
		"v1x0.0":                 `the tag "v1x0.0" is no version; tag the commit as v1.2.3`,
		"v1.0":                   "is no version",
		"v01.0.0":                "is no version",
		"version-1":              "is no version",
		"v1.0.0+build":           "is no version",
	} {
		got, err := section(changes, version)
		if err != nil {
			got = err.Error()
		}
		if got != want && (err == nil || !strings.Contains(got, want)) {
			t.Errorf("%s: got %q, want %q", version, got, want)
		}
	}
	if _, err := section("# Changelog\n", "v0.0.0-dev"); err == nil || !strings.Contains(err.Error(), `"## [Unreleased]"`) {
		t.Errorf("error %v", err)
	}
	got, err := section("## [Unreleased]\n\n## [1.0.0] - 2026-12-01\n- x\n", "v1.0.0-3-g41cc7d0")
	if err != nil || got != "Nothing has changed since the last release.\n" {
		t.Errorf("%q, error %v", got, err)
	}
	changelog := read(t, filepath.Join(root, "CHANGELOG.md"))
	if _, err := section(changelog, "v0.0.0-dev"); err != nil {
		t.Error(err)
	}
}

// TestVersions: the Makefile's version is the tag, or says that there is none.
func TestVersions(t *testing.T) {
	outer := t.TempDir()
	dir := filepath.Join(outer, "a folder")
	// Neither the user's settings nor those of a hook that runs this.
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GIT_") })
	env = append(env, "GIT_CONFIG_GLOBAL="+os.DevNull, "MAKEFLAGS=", "MAKELEVEL=")
	run := func(dir, name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir, cmd.Env = dir, env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git := func(args ...string) {
		t.Helper()
		run(dir, "git", append([]string{"-c", "user.name=test", "-c", "user.email="}, args...)...)
	}
	run(outer, "git", "init", "--quiet")
	run(outer, "git", "-c", "user.name=test", "-c", "user.email=", "commit", "--quiet", "--allow-empty", "-m", "x")
	run(outer, "git", "tag", "v9.9.9")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "Makefile"), read(t, filepath.Join(root, "Makefile")))
	for _, step := range []struct {
		name    string
		do      func()
		want    string
		release bool
	}{
		{"no history, in another repository", func() {}, `v0\.0\.0-dev`, false},
		{"no commit", func() { git("init", "--quiet") }, `v0\.0\.0-dev`, false},
		{"no tag", func() { git("add", "."); git("commit", "--quiet", "-m", "x") }, `v0\.0\.0-[0-9a-f]{7,}`, false},
		{"another tag", func() { git("tag", "best") }, `v0\.0\.0-[0-9a-f]{7,}`, false},
		{"a tag", func() { git("tag", "v1.2.3-rc.1") }, `v1\.2\.3-rc\.1`, true},
		{
			"a commit later", func() { git("commit", "--quiet", "--allow-empty", "-m", "x") },
			`v1\.2\.3-rc\.1-1-g[0-9a-f]{7,}`, false,
		},
		{"a tag with a text", func() { git("tag", "--annotate", "-m", "x", "v1.2.3") }, `v1\.2\.3`, true},
		{"a change", func() { write(t, filepath.Join(dir, "Makefile"), read(t, filepath.Join(dir, "Makefile"))+"\n") },
			`v1\.2\.3-dirty`, false},
	} {
		step.do()
		got := run(dir, "make", "--silent", "--eval", "version: ; @echo '$(MODULE_VERSION)'", "version")
		if !regexp.MustCompile("^"+step.want+"$").MatchString(got) || development.MatchString(got) == step.release {
			t.Errorf("%s: %q, want %s, release %t", step.name, got, step.want, step.release)
		}
	}
}

// TestImageNames: what manifests can't name isn't written into them.
func TestImageNames(t *testing.T) {
	for name, want := range map[string]bool{
		"ghcr.io/proxy-wasm-cors/proxy-wasm-cors:v1.0.0": true,
		"127.0.0.1:5000/cors:v1.0.0-rc.1":                true,
		"localhost:5000/a_b/c--d:V1":                     true,
		"[::1]:5000/cors:v1":                             true,
		"localhost/cors:v1":                              false,
		"team/cors:v1":                                   false,
		"":                                               false,
		"cors:v1":                                        false,
		"registry.example/cors":                          false,
		"oci://registry.example/cors:v1":                 false,
		"registry.example/Cors:v1":                       false,
		"registry.example/cors:v1@sha256:" + noDigest:    false,
		"registry.example/cors:v1\n":                     false,
		"registry.example/cors:" + strings.Repeat("v", 129): false,
	} {
		if got := imageName.MatchString(name); got != want {
			t.Errorf("%q: %t", name, got)
		}
	}
}

// TestPackDeploy: image and digest are in their places, and nothing that was meant to be
// one of them stays.
func TestPackDeploy(t *testing.T) {
	r := release{image: image, created: time.Unix(1, 0)}
	digest := strings.Repeat("ab", 32)
	for manifest, want := range map[string]string{
		"url: oci://" + noImage + "\nsha256: " + noDigest + "\n": "url: oci://" + image + "\nsha256: " + digest + "\n",
		"url: " + noImage + "@sha256:" + noDigest:                "url: " + image + "@sha256:" + digest,
		"sha256: 000000\n":                                         "sha256: 000000\n",
		"url: ghcr.io/proxy-wasm-cors/cors:v0.0.0":                 "deploy/x.yaml has a v0.0.0 that is neither",
		"sha256: " + noDigest[1:]:                                  "that is neither",
		"sha256: " + noDigest + "00000000000000000000000000000000": "that is neither",
	} {
		root := fstest.MapFS{
			"LICENSE": {Data: []byte("L")}, "envoy.yaml": {Data: []byte("E")}, "README.md": {},
			"deploy/x.yaml": {Data: []byte(manifest)},
		}
		var archive bytes.Buffer
		err := r.packDeploy(&archive, root, digest)
		if strings.Contains(want, "neither") {
			wantError(t, err, want)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		compressed, err := gzip.NewReader(&archive)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{
			"proxy-wasm-cors/LICENSE": "L", "proxy-wasm-cors/envoy.yaml": "E", "proxy-wasm-cors/deploy/x.yaml": want,
		}, unpack(t, compressed)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// TestPackModes: what is executable stays so, and other rights and times are the same for all.
func TestPackModes(t *testing.T) {
	var archive bytes.Buffer
	at := time.Unix(1764362399, 0)
	if err := pack(&archive, "x", at, fstest.MapFS{
		"b": {Mode: 0o600, ModTime: time.Now()}, "a/run": {Mode: 0o700}, "a/z": {Mode: 0o666},
	}, nil, "."); err != nil {
		t.Fatal(err)
	}
	var got []string
	r := tar.NewReader(&archive)
	for header, err := r.Next(); err == nil; header, err = r.Next() {
		got = append(got, fmt.Sprintf("%s %o %d", header.Name, header.Mode, header.ModTime.Unix()))
	}
	if diff := cmp.Diff([]string{"x/a/run 755 1764362399", "x/a/z 644 1764362399", "x/b 644 1764362399"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v\nwant one with %q", err, want)
	}
}
