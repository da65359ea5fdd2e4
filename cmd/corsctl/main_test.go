package main

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write what the commands print into the scripts")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"corsctl": checked})
}

// TestScripts runs the examples of each command: what is typed, and all that is
// printed. See https://pkg.go.dev/github.com/rogpeppe/go-internal/testscript.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
		Setup: func(env *testscript.Env) error {
			root, err := os.Getwd()
			env.Setenv("ROOT", root+"/../..")
			return err
		},
	})
}

// exits is a script's command: "exits 1 corsctl …" runs a command that must exit with 1.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("the exit code is %d, want %d", got, want)
	}
}

// TestExamples: what users copy is valid, without a warning.
func TestExamples(t *testing.T) {
	files := []string{"../../envoy.yaml"}
	for _, folder := range []string{
		"envoy", "envoy-ecds", "envoy-origin-route", "envoy-matcher", "envoy-gateway", "istio",
	} {
		found, err := filepath.Glob("../../deploy/" + folder + "/*.yaml")
		if err != nil || found == nil {
			t.Fatal(found, err)
		}
		files = append(files, found...)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		// The others are of what stands around the filter.
		if !strings.Contains(string(text), "allow_origins") && !strings.Contains(string(text), "config_discovery") {
			continue
		}
		var stdout, stderr strings.Builder
		if code := run([]string{"validate", "--strict", name}, strings.NewReader(""), &stdout, &stderr); code != 0 {
			t.Errorf("exit code %d: %s%s", code, stdout.String(), stderr.String())
		}
	}
}

// TestWriteFails: what could not be written is not good.
func TestWriteFails(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"schema"}, {"validate", "../../envoy.yaml"}} {
		var stderr strings.Builder
		if code := run(args, strings.NewReader(""), full{}, &stderr); code != exitUsage ||
			!strings.Contains(stderr.String(), "no space") {
			t.Errorf("%v: exit code %d, %s", args, code, stderr.String())
		}
	}
}

// full is a disk that is full.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }
