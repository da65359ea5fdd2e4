package operate_test

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// TestUnit: systemd takes the unit of deploy/policyd, and finds little that the service could do
// beside its work.
func TestUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Fatalf("%v; run: tools/install systemd", err)
	}
	root, err := envoytest.Root()
	if err != nil {
		t.Fatal(err)
	}
	const installed = "/usr/local/bin/cors-policyd"
	text := string(read(t, "deploy/policyd/cors-policyd.service"))
	if !strings.Contains(text, "ExecStart="+installed+" ") {
		t.Fatalf("the unit doesn't start %s", installed)
	}
	unit := filepath.Join(t.TempDir(), "cors-policyd.service")
	write := func(text string) {
		t.Helper()
		text = strings.ReplaceAll(text, installed, filepath.Join(root, "build/cors-policyd"))
		if err := os.WriteFile(unit, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verify := func() string {
		t.Helper()
		out, err := exec.Command(analyze, "verify", "--man=no", unit).CombinedOutput()
		if err != nil && len(out) == 0 {
			t.Fatal(err)
		}
		return string(out)
	}
	write(text)
	if said := verify(); said != "" {
		t.Error(said)
	}
	// In tenths: 96 for a service without any of it.
	out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=15", "--no-pager", unit).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, mistake := range []string{"ProtectSystems=yes", "RestartSec=soon", "SystemCallFilter=@systemservice"} {
		write(strings.Replace(text, "\nUMask=", "\n"+mistake+"\nUMask=", 1))
		if verify() == "" {
			t.Errorf("%s isn't found", mistake)
		}
	}
}

// TestDockerfile: what the image has of the release is there by this name, and needs nothing else.
func TestDockerfile(t *testing.T) {
	text := string(read(t, "deploy/policyd/Dockerfile"))
	copied := regexp.MustCompile(`(?m)^COPY --chmod=0755 (\S+) (\S+)$`).FindAllStringSubmatch(text, -1)
	if len(copied) != 1 || !strings.Contains(text, `ENTRYPOINT ["`+copied[0][2]+`"]`) {
		t.Fatalf("it copies %q", copied)
	}
	makefile := string(read(t, "Makefile"))
	built := regexp.MustCompile(`/dist\.partial/(cors-policyd-)\$\$platform`).FindStringSubmatch(makefile)
	if built == nil {
		t.Fatal("the Makefile builds no cors-policyd for a release")
	}
	for _, architecture := range []string{"amd64", "arm64"} {
		name := strings.Replace(copied[0][1], "${TARGETARCH}", architecture, 1)
		if name != built[1]+"linux-"+architecture || !strings.Contains(makefile, " linux-"+architecture+" ") {
			t.Errorf("it copies %s, and the release has none", name)
		}
	}
	binary, err := elf.NewFile(bytes.NewReader(read(t, "build/cors-policyd")))
	if err != nil {
		t.Fatal(err)
	}
	if libraries, err := binary.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("the binary needs %q, or %v", libraries, err)
	}
	for _, p := range binary.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the binary needs a dynamic linker")
		}
	}
}
