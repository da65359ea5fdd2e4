package server

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/settings"
)

// A reloaded value is made of files, and made anew when they change. If that fails, the last good one stays,
// and it is tried again: a file that can't be read now may be well in a second, and nobody touches it then.
type reloaded[T any] struct {
	names []string
	load  func() (T, error)
	// told is called with why the files can't be used, once for each reason, and with nil when they can again.
	told func(error)

	mu      sync.Mutex
	checked time.Time
	stamp   string
	failing string
	value   T
}

// newReloaded loads a value for the first time.
func newReloaded[T any](names []string, told func(error), load func() (T, error)) (*reloaded[T], error) {
	r := &reloaded[T]{names: names, load: load, told: told, checked: time.Now()}
	r.stamp = r.look()
	var err error
	r.value, err = load()
	return r, err
}

// look is a hash of what the files have. Their times say less: a copy may keep them, and a clock may be set.
func (r *reloaded[T]) look() string {
	hash := sha256.New()
	for _, name := range r.names {
		text, err := os.ReadFile(name)
		fmt.Fprintf(hash, "%d %v\n%s", len(text), err, text)
	}
	return string(hash.Sum(nil))
}

// get is the value of what the files are now, or were a second ago.
func (r *reloaded[T]) get() T {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.checked) < time.Second {
		return r.value
	}
	r.checked = time.Now()
	stamp := r.look()
	if stamp == r.stamp && r.failing == "" {
		return r.value
	}
	r.stamp = stamp
	value, err := r.load()
	switch {
	case err == nil:
		r.value = value
		if r.failing != "" {
			r.told(nil)
		}
		r.failing = ""
	case err.Error() != r.failing:
		r.failing = err.Error()
		r.told(err)
	}
	return r.value
}

// An identity is what a server shows by TLS, and whom it knows.
type identity struct {
	certificate tls.Certificate
	clients     *x509.CertPool // nil if clients need no certificate
}

// newIdentity reads the files of a server's certificate, and tells the metrics when they expire.
func newIdentity(t *settings.TLS, told func(error), m *Metrics) (*reloaded[*identity], error) {
	files := []string{t.Certificate, t.Key}
	if t.ClientCA != "" {
		files = append(files, t.ClientCA)
	}
	return newReloaded(files, told, func() (*identity, error) {
		certificate, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
		if err != nil {
			return nil, err
		}
		i := &identity{certificate: certificate}
		var authorities time.Time
		if t.ClientCA != "" {
			if i.clients, authorities, err = readAuthorities(t.ClientCA); err != nil {
				return nil, err
			}
			m.Expires("client_ca", authorities)
		}
		m.Expires("server", certificate.Leaf.NotAfter)
		return i, nil
	})
}

// readAuthorities reads the certificates of authorities, and when the last of them expires: of an old and a new one,
// as there are while one takes the other's place, the old one may.
func readAuthorities(name string) (pool *x509.CertPool, last time.Time, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, last, err
	}
	pool = x509.NewCertPool()
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		authority, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, last, fmt.Errorf("%s: %w", name, err)
		}
		pool.AddCert(authority)
		if authority.NotAfter.After(last) {
			last = authority.NotAfter
		}
	}
	if last.IsZero() {
		return nil, last, fmt.Errorf("%s has no certificate in PEM", name)
	}
	return pool, last, nil
}

// serverTLS is the configuration of a server, whose connections each have what the files are then.
func serverTLS(current *reloaded[*identity], protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			i := current.get()
			c := &tls.Config{
				Certificates: []tls.Certificate{i.certificate}, NextProtos: protocols, MinVersion: tls.VersionTLS12,
			}
			if i.clients != nil {
				c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, i.clients
			}
			return c, nil
		},
	}
}

// tokens are what clients may send, by their hashes.
type tokens = [][sha256.Size]byte

// newTokens reads the tokens of a file, one a line.
func newTokens(name string, told func(error)) (*reloaded[tokens], error) {
	return newReloaded([]string{name}, told, func() (list tokens, err error) {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for line := range bytes.Lines(text) {
			if line = bytes.TrimSpace(line); len(line) > 0 {
				list = append(list, sha256.Sum256(line))
			}
		}
		if list == nil {
			return nil, errors.New(name + " has no token; write one a line")
		}
		return list, nil
	})
}

// authorized reports whether the value of an Authorization header has one of the tokens.
func authorized(header string, list tokens) bool {
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	hash := sha256.Sum256([]byte(strings.TrimSpace(token)))
	good := 0
	for i := range list {
		good |= subtle.ConstantTimeCompare(hash[:], list[i][:])
	}
	return good == 1
}
