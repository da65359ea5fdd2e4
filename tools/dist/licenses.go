package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// licensesAllowed are the licenses, by SPDX's names, that what is released may have in it: those
// that ask whoever passes it on for no more than their own text. MPL-2.0, of MySQL's driver, binds
// its own files alone: whoever gets the program has to be told where their source is.
var licensesAllowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0"}

// licensesRead are texts that aren't known to the library, by their hash, with what they are.
var licensesRead = map[string]string{
	// SQLite's, which gives it to the public domain.
	"8438c9c89b849131ead81d5435cb97fcf052df5b0b286dda8a2d4c29e6cb3fd0": "blessing",
}

// licenseFile finds the files with licenses; those of notices go with them. Where a library has a
// list of those of others, there are words between them. A logo is in no program.
var (
	licenseFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)`)
	noticeFile  = regexp.MustCompile(`(?i)^(notice|patents|copyright)`)
	logoFile    = regexp.MustCompile(`(?i)logo`)
	listFile    = regexp.MustCompile(`(?i)(3rd|third)[-_]?party`)
)

// A libraryLicense is what a library may be used by.
type libraryLicense struct {
	ids  []string // SPDX's names
	text string   // all files
}

// readLicense reads the license of what is in a folder. One that isn't known or isn't allowed is
// an error: somebody has to read it.
func readLicense(name, folder string) (libraryLicense, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return libraryLicense{}, err
	}
	var found libraryLicense
	var texts []string
	for _, entry := range entries {
		isLicense := licenseFile.MatchString(entry.Name()) && !logoFile.MatchString(entry.Name())
		if entry.IsDir() || !isLicense && !noticeFile.MatchString(entry.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return found, err
		}
		texts = append(texts, string(bytes.TrimSpace(text))+"\n")
		if !isLicense {
			continue
		}
		ids, err := identify(entry.Name(), text)
		if err != nil {
			return found, fmt.Errorf("%s: %w", name, err)
		}
		found.ids = append(found.ids, ids...)
	}
	if len(found.ids) == 0 {
		return found, fmt.Errorf("%s has no license", name)
	}
	slices.Sort(found.ids)
	found.ids, found.text = slices.Compact(found.ids), strings.Join(texts, "\n")
	return found, nil
}

// identify returns SPDX's names of the licenses in a file.
func identify(file string, text []byte) (ids []string, err error) {
	if id := licensesRead[sum(text)]; id != "" {
		return []string{id}, nil
	}
	coverage := licensecheck.Scan(text)
	if coverage.Percent < 75 && !listFile.MatchString(file) {
		return nil, fmt.Errorf("%s is no license that is known", file)
	}
	for _, match := range coverage.Match {
		if !slices.Contains(licensesAllowed, match.ID) {
			return nil, fmt.Errorf("%s is %s, which is not allowed in a release", file, match.ID)
		}
		ids = append(ids, match.ID)
	}
	return ids, nil
}

// readLicenses reads the licenses of all libraries that programs have in them.
func readLicenses(programs []program) (map[string]libraryLicense, error) {
	goRoot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	standard, err := readLicense("Go", strings.TrimSpace(string(goRoot)))
	if err != nil {
		return nil, err
	}
	list := map[string]libraryLicense{standardLibrary: standard}
	for _, p := range programs {
		for _, dependency := range p.dependencies {
			if _, ok := list[dependency]; ok {
				continue
			}
			found, err := readLicense(dependency, p.folders[dependency])
			if err != nil {
				return nil, err
			}
			list[dependency] = found
		}
	}
	return list, nil
}

// texts are those of all licenses, as they ask for.
func texts(licenses map[string]libraryLicense) []byte {
	var b bytes.Buffer
	b.WriteString("The files of this release have parts of these in them, under these licenses. The SBOM,\n" +
		"sbom.cdx.json, says which file has which. The source of each is what https://proxy.golang.org has by\n" +
		"its name and version, or https://go.dev/dl of the standard library; none of it is changed, but for\n" +
		"cors.wasm, as tools/module of this project's source says.\n")
	for _, name := range slices.Sorted(maps.Keys(licenses)) {
		l := licenses[name]
		fmt.Fprintf(&b, "\n%s\n%s: %s\n\n%s", strings.Repeat("-", 100), name, strings.Join(l.ids, ", "), l.text)
	}
	return b.Bytes()
}
