package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority is the certificate of one that has signed itself, as PEM.
func authority(t *testing.T, expires time.Time) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: expires}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// TestAuthorities: of the authorities of clients there may be several in a file, among other things; the last of them
// says when clients are no longer let in, and one that can't be read isn't left out.
func TestAuthorities(t *testing.T) {
	soon, late := time.Now().Add(time.Hour).Truncate(time.Second), time.Now().Add(48*time.Hour).Truncate(time.Second)
	first, second := authority(t, late), authority(t, soon)
	other := string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: []byte("x")}))
	broken := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))
	for _, test := range []struct {
		name, text, fails string
		expires           time.Time
	}{
		{"one", second, "", soon}, {"two", first + second, "", late}, {"two the other way round", second + first, "", late},
		{"after something else", other + second, "", soon}, {"something else between", first + other + second, "", late},
		{"something else alone", other, "has no certificate in PEM", time.Time{}}, {"nothing", "", "has no certificate in PEM", time.Time{}},
		{"a broken one", first + broken, "malformed", time.Time{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "ca.pem")
			if err := os.WriteFile(name, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			pool, last, err := readAuthorities(name)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("%v %v", pool, err)
				}
				return
			}
			want := x509.NewCertPool()
			want.AppendCertsFromPEM([]byte(test.text))
			if err != nil || !pool.Equal(want) || !last.Equal(test.expires) {
				t.Errorf("the last expires at %s, and others are known, or %v", last, err)
			}
		})
	}
	if _, _, err := readAuthorities("gone"); !os.IsNotExist(err) {
		t.Errorf("without the file: %v", err)
	}
}
