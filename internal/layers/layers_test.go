// Package layers tests what uses what: which packages of the project a package may use,
// and what of the standard library gets into the module for Envoy.
package layers

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	root = "../.."
	path = "github.com/proxy-wasm-cors/proxy-wasm-cors/"
)

// layers are all packages, from the bottom to the top. A package uses only packages of
// lines above its own.
var layers = [][]string{
	{
		"internal/problem", "internal/forbidden", "internal/publicsuffix", "internal/spelling", // of the module
		"internal/cases", "internal/choices", "internal/envoy", // of tests
	},
	{"internal/browser", "internal/origin", "internal/wasmhost", "internal/dbtest", "internal/envoytest"},
	{"internal/names"},
	{"cors", "match"},
	{"config", "internal/policyjson"},
	{"config/schema", "filter", "internal/document"},
	{"internal/capture", "internal/convert", "internal/manifest", "internal/render"},
	{"internal/explain", "internal/probe", "internal/probe/mistakes"},
	{"internal/policytest", "demo/engine"},
	// Of cors-policyd alone.
	{"cmd/cors-policyd/internal/logging", "cmd/cors-policyd/internal/sqltext", "cmd/cors-policyd/internal/system"},
	{"cmd/cors-policyd/internal/database"},
	{"cmd/cors-policyd/internal/settings"},
	{"cmd/cors-policyd/internal/policies"},
	{"cmd/cors-policyd/internal/server"},
	{"cmd/cors-policyd/internal/daemon"},
	// Programs.
	{
		"module", "cmd/corsctl", "cmd/cors-policyd", "bench", "demo", "tools/dist", "tools/image", "tools/module", "tools/mutation",
		"config/internal/steps", "config/schema/internal/generate",
	},
	// Tests only.
	{"e2e/internal/docs", "e2e/internal/firefox", "e2e/internal/fleet", "e2e/internal/launch"},
	{
		"e2e/browser", "e2e/conformance", "e2e/database", "e2e/differential", "e2e/envoy", "e2e/gateways/envoygateway", "e2e/gateways/image", "e2e/gateways/istio",
		"e2e/hotreload", "e2e/manifests", "e2e/operate", "e2e/streams", "e2e/wazero", "e2e/wpt", "internal/layers",
	},
}

// list runs go list in a folder, for the module's system or this one.
func list(t *testing.T, folder, system string, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"-C", root + "/" + folder, "list"}, args...)...)
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly -buildvcs=false")
	if system != "" {
		cmd.Env = append(cmd.Env, "GOOS="+system, "GOARCH=wasm")
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, stderr.String())
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// TestLayers: no package uses one of its own layer or a layer above.
func TestLayers(t *testing.T) {
	layerOf := map[string]int{}
	for i, packages := range layers {
		for _, name := range packages {
			layerOf[name] = i
		}
	}
	var found []string
	for folder, system := range map[string]string{
		".": "", "module": "wasip1", "cmd/cors-policyd": "", "e2e": "", "e2e/gateways": "", "bench": "", "tools/image": "",
	} {
		for _, line := range list(t, folder, system, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...") {
			user, used, _ := strings.Cut(line, " ")
			user = strings.TrimPrefix(user, path)
			found = append(found, user)
			for imported := range strings.FieldsSeq(used) {
				name, ours := strings.CutPrefix(imported, path)
				if ours && layerOf[name] >= layerOf[user] {
					t.Errorf("%s uses %s, which isn't below it", user, name)
				}
			}
		}
	}
	slices.Sort(found)
	if diff := cmp.Diff(slices.Sorted(slices.Values(slices.Concat(layers...))), found); diff != "" {
		t.Errorf("packages that layers has and the project hasn't (-), and the other way round (+):\n%s", diff)
	}
}

// linked is what gets into the module of the standard library, beside the runtime. Each
// costs bytes that every proxy loads: what is added here needs a reason as good as those
// in RATIONALE.md ("Size of the module").
var linked = strings.Fields(`
	cmp embed encoding/binary errors hash hash/maphash io io/fs iter maps math math/bits math/rand/v2 path
	reflect regexp/syntax runtime slices sort strconv strings structs sync sync/atomic
	syscall time unicode unicode/utf16 unicode/utf8 unsafe`)

// budget is how many bytes the module may have.
const budget = 2_900_000

// TestModule: no further package is linked into the module, above all none of fmt,
// encoding/json, os, net and regexp, and it isn't larger than its budget.
func TestModule(t *testing.T) {
	got := slices.DeleteFunc(list(t, "module", "wasip1", "-deps", "-f", "{{if .Standard}}{{.ImportPath}}{{end}}"),
		func(name string) bool {
			return name == "" || strings.HasPrefix(name, "internal/") || strings.HasPrefix(name, "runtime/")
		})
	slices.Sort(got)
	if diff := cmp.Diff(linked, got); diff != "" {
		t.Errorf("linked (-want +got):\n%s", diff)
	}
	module, err := os.Stat(root + "/build/cors.wasm")
	if err != nil {
		t.Fatalf(`%v; run "make build"`, err)
	}
	if module.Size() > budget {
		t.Errorf("build/cors.wasm has %d bytes, and %d at the most are allowed", module.Size(), budget)
	}
}
