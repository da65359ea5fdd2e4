package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// uses finds the actions that a workflow runs; rights finds what it may write.
var (
	uses   = regexp.MustCompile(`(?m)^\s*(?:- )?uses: *(.*)$`)
	pinned = regexp.MustCompile(`^[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	rights = regexp.MustCompile(`(?m)^permissions:\n((?:  .*\n)*)`)
)

// TestActions: GitHub runs only what somebody has looked at, with no right but to read unless a job
// says what for; known vulnerabilities stop a change, and are looked for every day; what is released
// is signed.
func TestActions(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join(root, ".github/workflows"))
	if err != nil {
		t.Fatal(err)
	}
	workflows := map[string]string{}
	for _, entry := range entries {
		text := read(t, filepath.Join(root, ".github/workflows", entry.Name()))
		workflows[entry.Name()] = text
		for _, used := range uses.FindAllStringSubmatch(text, -1) {
			if !strings.HasPrefix(used[1], "./.github/workflows/") && !pinned.MatchString(used[1]) {
				t.Errorf("%s uses %s; write OWNER/NAME@COMMIT # vX.Y.Z", entry.Name(), used[1])
			}
		}
		if got := rights.FindStringSubmatch(text); got == nil || got[1] != "  contents: read\n" {
			t.Errorf("%s begins with the rights %q", entry.Name(), got)
		}
		if strings.Count(text, "actions/checkout@") != strings.Count(text, "persist-credentials: false") {
			t.Errorf("%s leaves credentials in a checkout", entry.Name())
		}
		if strings.Contains(text, "pull_request_target") {
			t.Errorf("%s runs changes of strangers with rights", entry.Name())
		}
	}
	for name, want := range map[string]string{
		"ci.yml": "make vulnerabilities", "vulnerabilities.yml": "schedule:", "release.yml": `SIGN="$KEY"`,
	} {
		if !strings.Contains(workflows[name], want) {
			t.Errorf("%s doesn't have %q", name, want)
		}
	}
}

var (
	// longTarget finds the targets of the Makefile that are for people, and too long for CI.
	longTarget = regexp.MustCompile(`(?m)^((?:test-|soak|fuzz|mutation|race)[a-z-]*):.* ## `)
	// making finds what a workflow makes.
	making = regexp.MustCompile(`(?m)^    - run: make ([a-z-]+)(.*)$`)
)

// TestScheduled: what takes too long for CI runs every Sunday, each target in a job that has time for it.
func TestScheduled(t *testing.T) {
	workflow := read(t, filepath.Join(root, ".github/workflows/reliability.yml"))
	arguments := map[string]string{}
	for _, made := range making.FindAllStringSubmatch(workflow, -1) {
		arguments[made[1]] = made[2]
	}
	want := map[string]string{"fuzz": " FUZZTIME=60s", "test-envoy": " VERSION=${{ matrix.version }}"}
	targets := longTarget.FindAllStringSubmatch(read(t, filepath.Join(root, "Makefile")), -1)
	if len(targets) < 9 {
		t.Errorf("the Makefile has the targets %q", targets)
	}
	for _, target := range targets {
		if got, ok := arguments[target[1]]; !ok || got != want[target[1]] {
			t.Errorf("reliability.yml doesn't run %q", "make "+target[1]+want[target[1]])
		}
	}
}
