package database

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
)

// newCertificate is one that has signed itself, as PEM, and when it expires.
func newCertificate(t *testing.T) (certificate *x509.Certificate, text []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// TestAuthorities: a connection to MySQL goes by the authorities of SSL_CERT_FILE as they are then; what can't be used
// leaves the last good ones and is said once, and when the server's certificate expires is told.
func TestAuthorities(t *testing.T) {
	name := filepath.Join(t.TempDir(), "ca.pem")
	t.Setenv("SSL_CERT_FILE", name)
	u, err := url.Parse("mysql://u@db.example/d?tls=true")
	if err != nil {
		t.Fatal(err)
	}
	said := 0
	var expires time.Time
	m, err := newMySQL(u, Options{
		Timeout: time.Second, Reloaded: func(error) { said++ }, Certificate: func(at time.Time) { expires = at },
	})
	if err != nil {
		t.Fatal(err)
	}
	first, firstText := newCertificate(t)
	second, secondText := newCertificate(t)
	for i, step := range []struct {
		text []byte
		want *x509.Certificate
		said int
	}{
		{firstText, first, 0}, {secondText, second, 0}, {[]byte("nonsense"), second, 1},
		{[]byte("nonsense"), second, 1}, {firstText, first, 2},
	} {
		if err := os.WriteFile(name, step.text, 0o600); err != nil {
			t.Fatal(err)
		}
		config := &mysql.Config{TLS: m.config.TLS.Clone()}
		m.reload(config)
		want := x509.NewCertPool()
		want.AddCert(step.want)
		if !config.TLS.RootCAs.Equal(want) || said != step.said || config.TLS.ServerName != "db.example" {
			t.Errorf("step %d: other authorities, or said %d times", i, said)
		}
		state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{step.want}}
		if err := config.TLS.VerifyConnection(state); err != nil || !expires.Equal(step.want.NotAfter) {
			t.Errorf("step %d: it expires at %s, %v", i, expires, err)
		}
		if err := config.TLS.VerifyConnection(tls.ConnectionState{}); err != nil {
			t.Errorf("step %d: without a certificate, of which nothing is told: %v", i, err)
		}
	}
}

// TestReloadTogether: connections to PostgreSQL that are made at the same time each have the authorities of the
// file, and none changes what others copy; the race detector would see it.
func TestReloadTogether(t *testing.T) {
	name := filepath.Join(t.TempDir(), "ca.pem")
	_, text := newCertificate(t)
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := newPostgres(Options{
		URL: "postgres://u@db.example/d?sslmode=verify-full&sslrootcert=" + name, Timeout: time.Second,
		Certificate: func(time.Time) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	first := p.config.TLSConfig
	configs := make([]*pgx.ConnConfig, 8)
	var making sync.WaitGroup
	for i := range configs {
		making.Go(func() {
			configs[i] = p.config.Copy() // as a connection that listens has it
			p.reload(configs[i])
		})
	}
	making.Wait()
	for _, c := range configs {
		if !c.TLSConfig.RootCAs.Equal(first.RootCAs) || c.TLSConfig.VerifyConnection == nil {
			t.Error("a connection has other authorities")
		}
	}
	if p.config.TLSConfig != first {
		t.Error("what all connections are copies of was changed")
	}
}
