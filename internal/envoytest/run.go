package envoytest

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
)

// Run starts a program beside an Envoy, and returns what it writes. It is stopped when the test
// ends, which fails if it then ends otherwise than well; its output goes to the log of a test that
// failed.
func Run(tb testing.TB, cmd *exec.Cmd) *Output {
	tb.Helper()
	output := &Output{}
	cmd.Stdout, cmd.Stderr = output, output
	process, err := envoy.Fork(cmd, false)
	if err != nil {
		tb.Fatal(err)
	}
	name := filepath.Base(cmd.Path)
	tb.Cleanup(func() {
		process.Stop()
		if code := process.State().ExitCode(); code != 0 {
			tb.Errorf("%s: %s", name, process.State())
		}
		if tb.Failed() {
			tb.Logf("what %s has written:\n%s", name, output)
		}
	})
	return output
}
