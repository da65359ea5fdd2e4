package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// selfSigned is a certificate that has signed itself, as PEM, and its key.
func selfSigned(t *testing.T, expires time.Time) (certificate []byte, key *ecdsa.PrivateKey) {
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
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key
}

// authority is the certificate of one that has signed itself, as PEM.
func authority(t *testing.T, expires time.Time) string {
	t.Helper()
	certificate, _ := selfSigned(t, expires)
	return string(certificate)
}

// writeKeyPair writes a certificate and its key into files of a folder.
func writeKeyPair(t *testing.T, folder string) {
	t.Helper()
	certificate, key := selfSigned(t, time.Now().Add(time.Hour))
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"cert.pem": certificate, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestIdentity: the metrics tell when certificates expire, of the files as they are when they are asked for: those of
// the clients' authorities too.
func TestIdentity(t *testing.T) {
	folder := t.TempDir()
	writeKeyPair(t, folder)
	write := func(expires time.Time) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, "ca.pem"), []byte(authority(t, expires)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(time.Unix(2e9, 0))
	s, _ := newServerOf(t, strings.ReplaceAll(
		"tls: {cert_file: DIR/cert.pem, key_file: DIR/key.pem, client_ca_file: DIR/ca.pem}", "DIR", folder), io.Discard)
	h := s.HTTP()
	if h.TLSConfig == nil {
		t.Error("it isn't served by TLS")
	}
	for _, test := range []struct {
		expires int64
		want    string
	}{{2e9, "2e+09"}, {3e9, "3e+09"}} {
		write(time.Unix(test.expires, 0))
		s.identity.checked = time.Time{} // as if it were long ago
		w := httptest.NewRecorder()
		h.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if want := `{certificate="client_ca"} ` + test.want; !strings.Contains(w.Body.String(), want) {
			t.Errorf("the metrics lack %s: %s", want, w.Body)
		}
	}
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
