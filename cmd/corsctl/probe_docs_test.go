package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"mvdan.cc/sh/v3/shell"
)

// TestProbeDocs: what docs/corsctl.md shows of probe is what is printed. Go reads which
// authorities to trust once, so that the command runs in a process of its own.
func TestProbeDocs(t *testing.T) {
	if line := os.Getenv("PROBE_DOCS"); line != "" {
		os.Exit(run(strings.Split(line, "\n"), os.Stdin, os.Stdout, os.Stderr))
	}
	old, anew, roots := documented(t)
	text, err := os.ReadFile("../../docs/corsctl.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Is it right there, live?")
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := strings.Split(section, "```console\n$ ")[1:]
	if len(blocks) != 2 {
		t.Fatalf("%d examples", len(blocks))
	}
	for _, block := range blocks {
		want, _, _ := strings.Cut(block, "```\n")
		var command, line string
		for goesOn := true; goesOn; {
			line, want, _ = strings.Cut(want, "\n")
			line, goesOn = strings.CutSuffix(line, "\\")
			command += line
		}
		command = strings.ReplaceAll(command, "203.0.113.20:443", anew)
		args, err := shell.Fields(command+" --connect "+old, nil)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProbeDocs$")
		cmd.Env = append(os.Environ(), "PROBE_DOCS="+strings.Join(args[1:], "\n"), "SSL_CERT_FILE="+roots, "NO_PROXY=*")
		printed, _ := cmd.CombinedOutput()
		got := strings.NewReplacer(", at "+old, "", anew, "203.0.113.20:443", "127.0.0.1", "203.0.113.7").
			Replace(string(printed))
		if diff := cmp.Diff(want, got); diff != "" || cmd.ProcessState.ExitCode() != exitFindings {
			t.Errorf("%s (%v):\n(-document +printed):\n%s", command, cmd.ProcessState, diff)
		}
	}
}

// documented are the addresses of the two servers that the document asks, and the file of the
// authority that their certificate is of.
func documented(t *testing.T) (old, anew, roots string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"api.example.com"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	roots = filepath.Join(t.TempDir(), "ca.pem")
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(roots, authority, 0o600); err != nil {
		t.Fatal(err)
	}
	serve := func(handler http.HandlerFunc) string {
		server := httptest.NewUnstartedServer(handler)
		server.EnableHTTP2 = true
		server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
		server.StartTLS()
		t.Cleanup(server.Close)
		return server.Listener.Addr().String()
	}
	return serve(oldServer), serve(newServer), roots
}

// oldServer lets in whoever asks.
func oldServer(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	h.Set("Access-Control-Allow-Credentials", "true")
	switch {
	case r.Method != http.MethodOptions:
	case r.URL.Path == "/orders":
		h.Set("Access-Control-Allow-Methods", "GET, PUT")
		h.Set("Access-Control-Allow-Headers", "content-type")
		h.Set("Access-Control-Max-Age", "86400")
	default:
		h.Set("Access-Control-Allow-Methods", "get, put")
		h.Set("Access-Control-Allow-Headers", "*")
		w.WriteHeader(http.StatusNoContent)
	}
}

// newServer lets in whom it should.
func newServer(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Vary", "Origin")
	allowed := r.Header.Get("Origin") == "https://app.example.com"
	if allowed {
		h.Set("Access-Control-Allow-Origin", "https://app.example.com")
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	switch {
	case r.Method != http.MethodOptions:
	case !allowed:
		w.WriteHeader(http.StatusForbidden)
	default:
		h.Set("Access-Control-Allow-Methods", "PUT")
		h.Set("Access-Control-Allow-Headers", "content-type")
		h.Set("Access-Control-Max-Age", "7200")
		w.WriteHeader(http.StatusNoContent)
	}
}
