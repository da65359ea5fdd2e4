//go:build cosign

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCosign: each command that docs/verifying.md has for cosign verifies a file that is signed, by the key alone
// and without a network; and no other file, and by no other key. "make test-cosign" builds cosign.
func TestCosign(t *testing.T) {
	page := read(t, filepath.Join(root, "docs/verifying.md"))
	commands := regexp.MustCompile(`(?m)^\$ cosign (verify-blob .*)$`).FindAllStringSubmatch(page, -1)
	if len(commands) != 2 {
		t.Errorf("docs/verifying.md has the commands %q", commands)
	}
	out, err := exec.Command(os.Getenv("COSIGN"), "version").Output()
	version := regexp.MustCompile(`GitVersion: +v(\S+)`).FindSubmatch(out)
	if err != nil || version == nil || !strings.Contains(page, "cosign "+string(version[1])+",") {
		t.Errorf("docs/verifying.md is tested with another version: error %v, %s", err, out)
	}
	folder, other := t.TempDir(), t.TempDir()
	newKey(t, folder)
	newKey(t, other)
	public, name := filepath.Join(folder, publicKey), filepath.Join(folder, "SHA256SUMS")
	ours, theirs := read(t, public), read(t, filepath.Join(other, publicKey))
	const text = "0123  cors.wasm\n"
	write(t, name, text)
	key, err := readKey(filepath.Join(folder, "key.pem"), public)
	if err != nil {
		t.Fatal(err)
	}
	if err := sign(name, key); err != nil {
		t.Fatal(err)
	}
	for _, command := range commands {
		for _, test := range []struct {
			what, text, key string
			verified        bool
		}{
			{"what was signed", text, ours, true},
			{"another file", "0124  cors.wasm\n", ours, false},
			{"another key", text, theirs, false},
		} {
			write(t, name, test.text)
			write(t, public, test.key)
			cmd := exec.Command(os.Getenv("COSIGN"), strings.Fields(command[1])...)
			cmd.Dir = folder
			cmd.Env = []string{"HOME=" + t.TempDir(), "HTTPS_PROXY=http://127.0.0.1:1", "HTTP_PROXY=http://127.0.0.1:1"}
			out, err := cmd.CombinedOutput()
			if verified := err == nil && strings.Contains(string(out), "Verified OK\n"); verified != test.verified {
				t.Errorf("%s: %s: error %v, %s", command[0], test.what, err, out)
			}
		}
	}
}
