package server

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/settings"
)

// A reloaded value is made of files, and made anew when they change. If that fails, the
// last good one stays.
type reloaded[T any] struct {
	names  []string
	load   func() (T, error)
	failed func(error)

	mu      sync.Mutex
	checked time.Time
	stamp   string
	value   T
}

// newReloaded loads a value for the first time.
func newReloaded[T any](names []string, failed func(error), load func() (T, error)) (*reloaded[T], error) {
	r := &reloaded[T]{names: names, load: load, failed: failed, checked: time.Now()}
	r.stamp = r.look()
	var err error
	r.value, err = load()
	return r, err
}

// look is what the files look like from outside.
func (r *reloaded[T]) look() string {
	var b strings.Builder
	for _, name := range r.names {
		if info, err := os.Stat(name); err == nil {
			fmt.Fprintln(&b, info.Size(), info.ModTime().UnixNano())
		} else {
			fmt.Fprintln(&b, err)
		}
	}
	return b.String()
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
	if stamp == r.stamp {
		return r.value
	}
	r.stamp = stamp
	if value, err := r.load(); err == nil {
		r.value = value
	} else {
		r.failed(err)
	}
	return r.value
}

// serverTLS is the configuration of a server with a certificate.
func serverTLS(t *settings.TLS, failed func(error), protocols ...string) (*tls.Config, error) {
	files := []string{t.Certificate, t.Key}
	if t.ClientCA != "" {
		files = append(files, t.ClientCA)
	}
	current, err := newReloaded(files, failed, func() (*tls.Config, error) {
		certificate, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
		if err != nil {
			return nil, err
		}
		c := &tls.Config{
			Certificates: []tls.Certificate{certificate}, NextProtos: protocols, MinVersion: tls.VersionTLS12,
		}
		if t.ClientCA == "" {
			return c, nil
		}
		authorities, err := os.ReadFile(t.ClientCA)
		if err != nil {
			return nil, err
		}
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		if !c.ClientCAs.AppendCertsFromPEM(authorities) {
			return nil, fmt.Errorf("%s has no certificate in PEM", t.ClientCA)
		}
		return c, nil
	})
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return current.get(), nil },
	}, nil
}

// tokens are what clients may send, by their hashes.
type tokens = [][sha256.Size]byte

// newTokens reads the tokens of a file, one a line.
func newTokens(name string, failed func(error)) (*reloaded[tokens], error) {
	return newReloaded([]string{name}, failed, func() (list tokens, err error) {
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
