package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// publicKey is the file in the repository with the key that releases are checked by.
const publicKey = "release.pub"

// readKey reads the key that signs: ECDSA on P-256 in PEM, as openssl writes it. It has to be the
// one of the public key in another file, so that nothing is signed that nobody can check.
func readKey(private, public string) (*ecdsa.PrivateKey, error) {
	der, err := readPEM(private)
	if err != nil {
		return nil, err
	}
	var parsed any
	if parsed, err = x509.ParsePKCS8PrivateKey(der); err != nil {
		parsed, err = x509.ParseECPrivateKey(der)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%s has no ECDSA key on P-256 without a password; CONTRIBUTING.md says how to make one", private)
	}
	if der, err = readPEM(public); err != nil {
		return nil, err
	}
	known, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", public, err)
	}
	if !key.PublicKey.Equal(known) {
		return nil, fmt.Errorf("the key in %s is not that of %s", private, public)
	}
	return key, nil
}

// readPEM reads the first block of a file.
func readPEM(name string) ([]byte, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is no PEM file", name)
	}
	return block.Bytes, nil
}

// A bundle is a signature as Sigstore's tools read it, made by a key of one's own and so without a
// certificate and a log's entry (https://docs.sigstore.dev/about/bundle/).
type bundle struct {
	MediaType string `json:"mediaType"`
	Material  struct {
		PublicKey struct {
			Hint string `json:"hint"`
		} `json:"publicKey"`
	} `json:"verificationMaterial"`
	Signature struct {
		Digest struct {
			Algorithm string `json:"algorithm"`
			Digest    []byte `json:"digest"`
		} `json:"messageDigest"`
		Signature []byte `json:"signature"`
	} `json:"messageSignature"`
}

// sign signs a file: beside it there are then the signature alone, in base64, which openssl can
// check as well, and the bundle that newer versions of cosign ask for.
func sign(name string, key *ecdsa.PrivateKey) error {
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	digest := sha256.Sum256(content)
	// Without random numbers it is the signature of RFC 6979, the same each time.
	signature, err := key.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	hint := sha256.Sum256(public)
	b := bundle{MediaType: "application/vnd.dev.sigstore.bundle.v0.3+json"}
	b.Material.PublicKey.Hint = base64.StdEncoding.EncodeToString(hint[:])
	b.Signature.Digest.Algorithm, b.Signature.Digest.Digest = "SHA2_256", digest[:]
	b.Signature.Signature = signature
	text, err := indented(b)
	if err != nil {
		return err
	}
	encoded := base64.StdEncoding.EncodeToString(signature)
	return errors.Join(os.WriteFile(name+".sig", []byte(encoded+"\n"), 0o644),
		os.WriteFile(name+".sigstore.json", text, 0o644))
}
