package envoy_test

import (
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// uninteresting are the header lines that documents leave out.
var uninteresting = regexp.MustCompile(`(?m)^(date|server|content-length|content-type): .*\n`)

// download is where the documents take the release from.
const download = "https://github.com/proxy-wasm-cors/proxy-wasm-cors/releases/latest/download"

// TestDocs types the commands that documents show into a shell, in an empty folder, and
// compares what they show with what is printed. The release is of this tree.
func TestDocs(t *testing.T) {
	t.Parallel()
	root, err := envoytest.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range []struct{ name, begin, end, files string }{
		{"README.md", "\n## Your first policy", "\n## ", "the current folder"},
		{"docs/database.md", "\n## Begin", "\n## ", "the current folder"},
		{"docs/envoy.md", "\n## Install", "\n## What it costs", "/etc/envoy"},
		{"docs/operating.md", "\n## In front of services", "\n## Alerts", "/etc/envoy"},
		{"docs/migrating.md", "\nThis is the Envoy", "\nnginx can't run the filter", "/etc/envoy"},
	} {
		t.Run(document.name, func(t *testing.T) {
			t.Parallel()
			_, text, _ := strings.Cut(read(t, root, document.name), document.begin)
			text, _, found := strings.Cut(text, document.end)
			steps := console(text)
			if !found || len(steps) < 10 {
				t.Fatalf("%d commands", len(steps))
			}
			typed(t, root, document.files, steps)
		})
	}
}

// typed types commands. The files that they install into a folder go elsewhere.
func typed(t *testing.T, root, folder string, steps []step) {
	t.Helper()
	ports := closedPorts(t, 4)
	dir, bin := t.TempDir(), wrapped(t, root)
	elsewhere := dir + "/etc/envoy"
	local := []string{folder, elsewhere, "port_value: 10001", "port_value: " + ports[0],
		"port_value: 9901", "port_value: " + ports[1], "10003", ports[2], "8081", ports[3]}
	here := strings.NewReplacer(append(local, "localhost:10001", "localhost:"+ports[0],
		"localhost:9901", "localhost:"+ports[1], "sudo ", "", "/usr/local/bin", bin,
		download, "file://"+release(t, root, strings.NewReplacer(local...)))...)
	shell(t, root, "ln -s $PWD/build/corsctl "+bin, "mkdir -p "+elsewhere, "ln -s $PWD/build/cors.wasm "+elsewhere)
	var script strings.Builder
	fmt.Fprintf(&script, "exec 2>&1\nPATH=%s:$PATH\n", bin)
	for _, step := range steps {
		fmt.Fprintf(&script, "echo %s\n%s\n", separator, here.Replace(step.command))
	}
	script.WriteString("echo " + separator + "\nkill %1\n")
	cmd := exec.Command("timeout", "240", "bash", "-c", script.String())
	cmd.Dir = dir
	output, _ := cmd.Output() // What it prints tells whether it failed.
	printed := strings.ReplaceAll(strings.ReplaceAll(string(output), "\r\n", "\n"), elsewhere, folder)
	parts := strings.Split(printed, separator+"\n")[1:]
	if len(parts) != len(steps)+1 {
		t.Fatalf("the shell has ended early:\n%s", printed)
	}
	for i, step := range steps {
		got := strings.TrimRight(uninteresting.ReplaceAllString(parts[i], ""), "\n")
		if diff := cmp.Diff(strings.TrimRight(step.output, "\n"), got); diff != "" {
			t.Errorf("$ %s\n(-document +printed):\n%s", step.command, diff)
		}
	}
}

// separator stands before what a command prints.
const separator = "----- next command"

// A step is a command and what it prints.
type step struct{ command, output string }

// console finds the commands of a text's blocks of the language console.
func console(text string) (steps []step) {
	for _, block := range regexp.MustCompile("(?ms)^( *)```console\n(.*?)^ *```$").FindAllStringSubmatch(text, -1) {
		document := "" // what ends the document that a command reads
		for line := range strings.Lines(block[2]) {
			line = strings.TrimPrefix(line, block[1])
			command, begins := strings.CutPrefix(line, "$ ")
			switch {
			case document != "":
				steps[len(steps)-1].command += line
				if strings.TrimSpace(line) == document {
					document = ""
				}
			case begins:
				steps = append(steps, step{command: command})
				if strings.Contains(command, "<<'EOF'") {
					document = "EOF"
				}
			default:
				steps[len(steps)-1].output += line
			}
		}
	}
	return steps
}

// release returns a folder with the files of a release that documents take, with changes to
// the examples.
func release(t *testing.T, root string, changes *strings.Replacer) (dir string) {
	t.Helper()
	dir, archive := t.TempDir(), t.TempDir()
	if err := os.CopyFS(filepath.Join(archive, "proxy-wasm-cors/deploy"), os.DirFS(root+"/deploy")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"deploy/envoy/envoy.yaml", "deploy/envoy-ecds/envoy.yaml",
		"deploy/envoy-ecds/cors.yaml", "deploy/policyd/envoy.yaml", "deploy/policyd/sqlite.yaml"} {
		name = filepath.Join("proxy-wasm-cors", name)
		write(t, filepath.Join(archive, name), changes.Replace(read(t, archive, name)))
	}
	shell(t, dir, "tar czf cors-deploy.tar.gz -C "+archive+" proxy-wasm-cors")
	write(t, filepath.Join(dir, "cors.wasm"), read(t, root, "build/cors.wasm"))
	write(t, filepath.Join(dir, "corsctl-linux-amd64"), read(t, root, "build/corsctl"))
	write(t, filepath.Join(dir, "cors-policyd-linux-amd64"), ending(filepath.Join(root, "build/cors-policyd")))
	sums := ""
	for _, name := range []string{"cors-deploy.tar.gz", "cors-policyd-linux-amd64", "cors.wasm", "corsctl-linux-amd64"} {
		sums += fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte(read(t, dir, name))), name)
	}
	write(t, filepath.Join(dir, "SHA256SUMS"), sums+strings.Repeat("0", 64)+"  cors-image.tar\n")
	return dir
}

// wrapped returns a folder with the commands envoy and python3. They end with the shell that
// starts them, and Envoy needs no shared memory, which an Envoy beside it may have.
func wrapped(t *testing.T, root string) (dir string) {
	t.Helper()
	binary, err := envoy.Find(root)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string]string{"envoy": binary + " --disable-hot-restart", "python3": python} {
		write(t, filepath.Join(dir, name), ending(command))
	}
	return dir
}

// ending is a script that runs a command, which ends with the shell that starts it.
func ending(command string) string {
	return "#!/bin/sh\nexec setpriv --pdeathsig KILL " + command + " \"$@\"\n"
}

// closedPorts returns ports on which nothing listens.
func closedPorts(t *testing.T, n int) (ports []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // only now, so that all differ
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o700); err != nil {
		t.Fatal(err)
	}
}
