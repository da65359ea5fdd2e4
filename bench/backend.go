package main

import (
	"net"
	"net/http"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
)

// lookupPath is the path of a backend's look-ups.
const lookupPath = "/lookup"

// A backend is the server that look-ups come from.
type backend struct {
	server http.Server
	addr   string
}

// startBackend starts a backend. Stop it.
func startBackend() (*backend, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &backend{addr: listener.Addr().String()}
	mux := http.NewServeMux()
	mux.HandleFunc(lookupPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=86400")
		w.WriteHeader(http.StatusNoContent)
	})
	b.server.Handler = mux
	go func() { _ = b.server.Serve(listener) }() // Until it is closed.
	return b, nil
}

// stop ends the backend.
func (b *backend) stop() { _ = b.server.Close() }

// cluster is Envoy's cluster of the backend.
func (b *backend) cluster() object { return envoy.Cluster("backend", b.addr) }
