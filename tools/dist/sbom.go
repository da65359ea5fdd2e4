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
	dependencies []string // of other projects, as path@version
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
		"{{with .Module}}{{if not (or .Main .Replace)}}{{.Path}}@{{.Version}}{{end}}{{end}}", main)
	list.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+architecture, "CGO_ENABLED=0",
		"GOWORK=off", "GOFLAGS=-mod=readonly -buildvcs=false")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return program{}, fmt.Errorf("%s: %w", list, err)
	}
	dependencies := strings.Fields(string(out))
	slices.Sort(dependencies)
	return program{file, sum(content), slices.Compact(dependencies)}, nil
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
func library(dependency string) component {
	name, version, _ := strings.Cut(dependency, "@")
	purl := "pkg:golang/" + dependency
	return component{Type: "library", Ref: purl, Name: name, Version: version, PURL: purl}
}

// sbom lists the programs of the release, and which of them has what.
func (r release) sbom(programs []program) ([]byte, error) {
	standard := "stdlib@" + strings.TrimPrefix(runtime.Version(), "go")
	all := component{
		Type: "application", Ref: "release", Name: "proxy-wasm-cors", Version: r.version,
		PURL: "pkg:golang/github.com/proxy-wasm-cors/proxy-wasm-cors@" + r.version,
	}
	list := bom{
		Format: "CycloneDX", SpecVersion: "1.6", Version: 1,
		Metadata: metadata{r.created.UTC(), all},
	}
	libraries := map[string]bool{}
	contains := dependency{Ref: all.Ref}
	for _, p := range programs {
		list.Components = append(list.Components, component{
			Type: "application", Ref: p.file, Name: p.file, Version: r.version, Hashes: []hash{{"SHA-256", p.sha256}},
		})
		contains.DependsOn = append(contains.DependsOn, p.file)
		has := dependency{Ref: p.file}
		for _, dependency := range append(slices.Clone(p.dependencies), standard) {
			libraries[dependency] = true
			has.DependsOn = append(has.DependsOn, library(dependency).Ref)
		}
		list.Dependencies = append(list.Dependencies, has)
	}
	list.Dependencies = append(list.Dependencies, contains)
	for _, dependency := range slices.Sorted(maps.Keys(libraries)) {
		list.Components = append(list.Components, library(dependency))
	}
	return indented(list)
}

// indented is a value as JSON that people can read.
func indented(value any) ([]byte, error) {
	text, err := json.MarshalIndent(value, "", "  ")
	return append(text, '\n'), err
}
