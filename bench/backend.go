package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
)

// The paths of a backend.
const (
	lookupPath   = "/lookup"
	documentPath = "/cors.json"
)

// How origins begin that the backend doesn't allow, and those that it fails to look up.
const (
	unknownOrigin = "https://unknown-"
	failingOrigin = "https://failing-"
)

// A backend is the server that look-ups and policies come from.
type backend struct {
	server http.Server
	addr   string

	mu       sync.Mutex
	document string
	version  int
	changed  chan struct{} // closed by the next document
}

// startBackend starts a backend. Stop it.
func startBackend() (*backend, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &backend{addr: listener.Addr().String(), changed: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc(lookupPath, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=86400")
		switch origin := r.URL.Query().Get("origin"); {
		case strings.HasPrefix(origin, unknownOrigin):
			w.WriteHeader(http.StatusNotFound)
		case strings.HasPrefix(origin, failingOrigin):
			w.WriteHeader(http.StatusInternalServerError)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	})
	mux.HandleFunc(documentPath, b.serveDocument)
	b.server.Handler = mux
	go func() { _ = b.server.Serve(listener) }() // Until it is closed.
	return b, nil
}

// stop ends the backend.
func (b *backend) stop() { _ = b.server.Close() }

// cluster is Envoy's cluster of the backend.
func (b *backend) cluster() object { return envoy.Cluster("backend", b.addr) }

// publish replaces the document.
func (b *backend) publish(document string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.document, b.version = document, b.version+1
	close(b.changed)
	b.changed = make(chan struct{})
}

// current returns the document, its ETag, and what its successor closes.
func (b *backend) current() (document, tag string, changed chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.document, fmt.Sprintf(`"%d"`, b.version), b.changed
}

// serveDocument holds its answer until there is a document that the client hasn't got.
func (b *backend) serveDocument(w http.ResponseWriter, r *http.Request) {
	document, tag, changed := b.current()
	if r.Header.Get("If-None-Match") == tag {
		ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
		defer cancel()
		select {
		case <-changed:
			document, tag, _ = b.current()
		case <-ctx.Done():
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	w.Header().Set("ETag", tag)
	_, _ = w.Write([]byte(document)) // A client that has left needs none.
}

// sourced is a configuration whose policies come from the backend, and are the benchmark's
// until the first ones arrive.
func sourced() string {
	return envoy.JSON(object{
		"policies": []object{common(object{"name": "own", "allow_origins": []string{origin}})},
		"policy_source": object{
			"cluster": "backend", "path": documentPath, "authority": "backend", "wait": "30s", "interval": "1s",
		},
	})
}

// document is a document of so many bytes at least. It allows origin, and versionOrigin.
func document(version, bytes int) string {
	origins := []string{origin, versionOrigin(version)}
	for size := 0; size < bytes; {
		entry := fmt.Sprintf("https://app-%d.v%d.example", len(origins), version)
		origins, size = append(origins, entry), size+len(entry)+len(`"",`)
	}
	return envoy.JSON(object{"policies": []object{common(object{"name": "own", "allow_origins": origins})}})
}

// versionOrigin is an origin that only one version of the document allows.
func versionOrigin(version int) string { return fmt.Sprintf("https://version-%d.example", version) }
