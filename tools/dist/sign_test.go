package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// newKey writes a new key to a folder, key.pem, and its public half, release.pub.
func newKey(t *testing.T, folder string) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(folder, "key.pem"), "PRIVATE KEY", any(key), x509.MarshalPKCS8PrivateKey)
	writePEM(t, filepath.Join(folder, publicKey), "PUBLIC KEY", any(&key.PublicKey), x509.MarshalPKIXPublicKey)
	return key
}

func writePEM[T any](t *testing.T, name, kind string, key T, marshal func(T) ([]byte, error)) {
	t.Helper()
	der, err := marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, name, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}

// testSignature tests that a file is signed, by openssl, which has nothing of this program, and
// that the bundle says the same.
func testSignature(t *testing.T, name, public string) {
	t.Helper()
	signature, err := base64.StdEncoding.DecodeString(strings.TrimSpace(read(t, name+".sig")))
	if err != nil {
		t.Fatal(err)
	}
	der := filepath.Join(t.TempDir(), "signature")
	write(t, der, string(signature))
	out, err := exec.Command("openssl", "dgst", "-sha256", "-verify", public, "-signature", der, name).CombinedOutput()
	if err != nil || string(out) != "Verified OK\n" {
		t.Errorf("openssl: %v: %s", err, out)
	}
	var got bundle
	if err := json.Unmarshal([]byte(read(t, name+".sigstore.json")), &got); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(read(t, name)))
	block, _ := pem.Decode([]byte(read(t, public)))
	hint := sha256.Sum256(block.Bytes)
	if got.MediaType != "application/vnd.dev.sigstore.bundle.v0.3+json" ||
		got.Signature.Digest.Algorithm != "SHA2_256" || string(got.Signature.Digest.Digest) != string(digest[:]) ||
		string(got.Signature.Signature) != string(signature) ||
		got.Material.PublicKey.Hint != base64.StdEncoding.EncodeToString(hint[:]) {
		t.Errorf("the bundle is %+v", got)
	}
}

// TestSign: what is signed can be checked, by the key's either form, and nothing else passes.
func TestSign(t *testing.T) {
	folder := t.TempDir()
	key := newKey(t, folder)
	old := filepath.Join(folder, "old.pem") // as "openssl ecparam -genkey" writes it
	writePEM(t, old, "EC PRIVATE KEY", key, x509.MarshalECPrivateKey)
	public, name := filepath.Join(folder, publicKey), filepath.Join(folder, "SHA256SUMS")
	write(t, name, "0123  cors.wasm\n")
	var first string
	for _, private := range []string{filepath.Join(folder, "key.pem"), old} {
		key, err := readKey(private, public)
		if err != nil {
			t.Fatal(err)
		}
		if err := sign(name, key); err != nil {
			t.Fatal(err)
		}
		testSignature(t, name, public)
		if first == "" {
			first = read(t, name+".sig")
		} else if got := read(t, name+".sig"); got != first {
			t.Errorf("another signature of the same: %s, %s", got, first)
		}
	}
	signature, err := base64.StdEncoding.DecodeString(strings.TrimSpace(first))
	if err != nil {
		t.Fatal(err)
	}
	if other := sha256.Sum256([]byte("0124  cors.wasm\n")); ecdsa.VerifyASN1(&key.PublicKey, other[:], signature) {
		t.Error("the signature is one of another file, too")
	}
}

// TestSignRefuses: nothing is signed by what isn't the key of release.pub.
func TestSignRefuses(t *testing.T) {
	folder, other := t.TempDir(), t.TempDir()
	newKey(t, folder)
	newKey(t, other)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(folder, "p384.pem"), "EC PRIVATE KEY", p384, x509.MarshalECPrivateKey)
	ofRSA, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(folder, "rsa.pem"), "PRIVATE KEY", any(ofRSA), x509.MarshalPKCS8PrivateKey)
	write(t, filepath.Join(folder, "cosign.key"),
		"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n")
	write(t, filepath.Join(folder, "text"), "x")
	public := filepath.Join(folder, publicKey)
	for _, test := range []struct{ private, public, want string }{
		{filepath.Join(other, "key.pem"), public, "is not that of"},
		{filepath.Join(folder, "key.pem"), filepath.Join(other, publicKey), "is not that of"},
		{filepath.Join(folder, "p384.pem"), public, "has no ECDSA key on P-256"},
		{filepath.Join(folder, "rsa.pem"), public, "has no ECDSA key on P-256"},
		{filepath.Join(folder, "cosign.key"), public, "without a password"},
		{filepath.Join(folder, "text"), public, "is no PEM file"},
		{filepath.Join(folder, "none"), public, "no such file"},
		{filepath.Join(folder, "key.pem"), filepath.Join(folder, "none"), "no such file"},
		{filepath.Join(folder, "key.pem"), filepath.Join(folder, "key.pem"), "key.pem: "},
	} {
		_, err := readKey(test.private, test.public)
		wantError(t, err, test.want)
	}
}
