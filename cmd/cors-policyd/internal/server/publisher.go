// Package server hands out policies: over HTTP, to clients that ask or wait, and over gRPC
// to Envoys that subscribe (ECDS).
package server

import (
	"sync"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/policies"
)

// A Publisher has the document that is served, and tells those who wait of the next one.
type Publisher struct {
	mu      sync.Mutex
	current *policies.Document
	changed chan struct{} // closed when current is replaced
	stopped bool
}

// NewPublisher returns a Publisher without a document.
func NewPublisher() *Publisher { return &Publisher{changed: make(chan struct{})} }

// Publish replaces the document.
func (p *Publisher) Publish(d *policies.Document) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current = d
	if !p.stopped {
		close(p.changed)
		p.changed = make(chan struct{})
	}
}

// Stop ends all waiting, now and from now on.
func (p *Publisher) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stopped {
		p.stopped = true
		close(p.changed)
	}
}

// Current is the document, or nil, and what is closed when there is another one. stopped tells
// that there will be none.
func (p *Publisher) Current() (d *policies.Document, changed <-chan struct{}, stopped bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current, p.changed, p.stopped
}
