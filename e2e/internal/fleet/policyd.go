package fleet

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

var serving = regexp.MustCompile(`msg="serving (\w+)" address=(\S+)`)

// StartPolicyd runs cors-policyd on a configuration in a folder until the test ends. It returns
// its addresses, of HTTP and of ECDS, when it has a document.
func StartPolicyd(tb testing.TB, folder, config string) (http, xds string) {
	tb.Helper()
	root, err := envoytest.Root()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(root, "build/cors-policyd"), "-c", config)
	cmd.Dir = folder
	log := envoytest.Run(tb, cmd)
	envoytest.Eventually(tb, 20*time.Second, "cors-policyd has a document", func() bool {
		return strings.Contains(log.String(), "a new document")
	})
	for _, found := range serving.FindAllStringSubmatch(log.String(), -1) {
		if found[1] == "HTTP" {
			http = found[2]
		} else {
			xds = found[2]
		}
	}
	return http, xds
}
