package database

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
)

// reloading is how connections get certificates that were replaced while this runs.
type reloading struct {
	options Options

	mu      sync.Mutex
	failing string
}

// told tells of a failure, once, and when it has ended. It reports whether there is none.
func (r *reloading) told(err error) bool {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != r.failing && r.options.Reloaded != nil {
		r.options.Reloaded(err)
	}
	r.failing = text
	return err == nil
}

// watched is a configuration that tells when the certificate expires that the database shows; nil stays nil.
func (r *reloading) watched(config *tls.Config) *tls.Config {
	if config == nil || r.options.Certificate == nil {
		return config
	}
	config = config.Clone()
	verify := config.VerifyConnection
	config.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) > 0 {
			r.options.Certificate(s.PeerCertificates[0].NotAfter)
		}
		if verify != nil {
			return verify(s)
		}
		return nil
	}
	return config
}

// authorities are those of the file that SSL_CERT_FILE names, as it is now: Go reads it once. Without it they are nil,
// which stands for the system's.
func authorities() (*x509.CertPool, error) {
	name := os.Getenv("SSL_CERT_FILE")
	if name == "" {
		return nil, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate in PEM", name)
	}
	return pool, nil
}
