package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A program is a file of the release that was compiled.
type program struct {
	file         string
	sha256       string
	dependencies []string          // of other projects, as path@version
	folders      map[string]string // with the source of each
}

// newProgram finds out what is in a file: cors.wasm, or COMMAND-SYSTEM-ARCHITECTURE.
func newProgram(file string, content []byte) (program, error) {
	folder, main, system, architecture := "module", ".", "wasip1", "wasm"
	platform := strings.TrimSuffix(file, ".exe")
	if rest, ok := strings.CutPrefix(platform, "corsctl-"); ok {
		folder, main = ".", "./cmd/corsctl"
		system, architecture, _ = strings.Cut(rest, "-")
	} else if rest, ok := strings.CutPrefix(platform, "cors-policyd-"); ok {
		folder = "cmd/cors-policyd"
		system, architecture, _ = strings.Cut(rest, "-")
	}
	// What a folder replaces is this project's own.
	list := exec.Command("go", "-C", folder, "list", "-deps", "-f",
		"{{with .Module}}{{if not (or .Main .Replace)}}{{.Path}}@{{.Version}} {{.Dir}}{{end}}{{end}}", main)
	list.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+architecture, "CGO_ENABLED=0",
		"GOWORK=off", "GOFLAGS=-mod=readonly -buildvcs=false")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return program{}, fmt.Errorf("%s: %w", list, err)
	}
	folders := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if dependency, folder, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			folders[dependency] = folder
		}
	}
	return program{file, sum(content), slices.Sorted(maps.Keys(folders)), folders}, nil
}

// A component and the types around it are as far as needed what CycloneDX 1.6 defines
// (https://cyclonedx.org/docs/1.6/json/).
type component struct {
	Type    string `json:"type"`
	Ref     string `json:"bom-ref"`
	Name    string `json:"name"`
	Version string `json:"version"`
	PURL    string `json:"purl,omitempty"`
	Hashes  []hash `json:"hashes,omitempty"`
	// Licenses are all that apply.
	Licenses []licenseChoice `json:"licenses,omitempty"`
}

type licenseChoice struct {
	License license `json:"license"`
}

type license struct {
	ID string `json:"id"` // SPDX's name
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn,omitempty"`
}

type metadata struct {
	Timestamp time.Time `json:"timestamp,omitzero"`
	Component component `json:"component"`
}

type bom struct {
	Format       string       `json:"bomFormat"`
	SpecVersion  string       `json:"specVersion"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

// library is a dependency as a component (https://github.com/package-url/purl-spec).
func library(dependency string, under libraryLicense) component {
	name, version, _ := strings.Cut(dependency, "@")
	purl := "pkg:golang/" + dependency
	c := component{Type: "library", Ref: purl, Name: name, Version: version, PURL: purl}
	for _, id := range under.ids {
		c.Licenses = append(c.Licenses, licenseChoice{license{id}})
	}
	return c
}

// standardLibrary is Go's own part of each program, as scanners call it.
var standardLibrary = "stdlib@" + strings.TrimPrefix(runtime.Version(), "go")

// sbom lists the programs of the release, and which of them has what.
func (r release) sbom(programs []program, licenses map[string]libraryLicense) ([]byte, error) {
	all := component{
		Type: "application", Ref: "release", Name: "proxy-wasm-cors", Version: r.version,
		PURL: "pkg:golang/github.com/proxy-wasm-cors/proxy-wasm-cors@" + r.version,
	}
	list := bom{
		Format: "CycloneDX", SpecVersion: "1.6", Version: 1,
		Metadata: metadata{r.created.UTC(), all},
	}
	contains := dependency{Ref: all.Ref}
	for _, p := range programs {
		list.Components = append(list.Components, component{
			Type: "application", Ref: p.file, Name: p.file, Version: r.version, Hashes: []hash{{"SHA-256", p.sha256}},
		})
		contains.DependsOn = append(contains.DependsOn, p.file)
		has := dependency{Ref: p.file}
		for _, dependency := range append(slices.Clone(p.dependencies), standardLibrary) {
			has.DependsOn = append(has.DependsOn, library(dependency, libraryLicense{}).Ref)
		}
		list.Dependencies = append(list.Dependencies, has)
	}
	list.Dependencies = append(list.Dependencies, contains)
	for _, dependency := range slices.Sorted(maps.Keys(licenses)) {
		list.Components = append(list.Components, library(dependency, licenses[dependency]))
	}
	return indented(list)
}

// indented is a value as JSON that people can read.
func indented(value any) ([]byte, error) {
	text, err := json.MarshalIndent(value, "", "  ")
	return append(text, '\n'), err
}
