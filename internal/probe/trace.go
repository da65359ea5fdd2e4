package probe

import (
	"crypto/tls"
	"net/http/httptrace"
	"net/netip"
	"sync"
)

// A step is a step of a request, in words that follow "waiting for".
type step string

const (
	stepResolve   step = "the name to be looked up"
	stepConnect   step = "the connection"
	stepHandshake step = "the TLS handshake"
	stepAnswer    step = "the answer"
)

// A trace remembers which step a request has come to.
type trace struct {
	mu      sync.Mutex
	at      step
	address netip.Addr
}

func (t *trace) enter(s step) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at = s
}

func (t *trace) waitingFor() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at == "" {
		return string(stepConnect)
	}
	return string(t.at)
}

// remote is the address that the request went to, unless that is a proxy.
func (t *trace) remote(proxied bool) (none netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if proxied {
		return none
	}
	return t.address
}

func (t *trace) hooks() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		DNSStart:          func(httptrace.DNSStartInfo) { t.enter(stepResolve) },
		ConnectStart:      func(string, string) { t.enter(stepConnect) },
		TLSHandshakeStart: func() { t.enter(stepHandshake) },
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			if err == nil {
				t.enter(stepAnswer)
			}
		},
		GotConn: func(info httptrace.GotConnInfo) {
			t.enter(stepAnswer)
			if remote, err := netip.ParseAddrPort(info.Conn.RemoteAddr().String()); err == nil {
				t.mu.Lock()
				t.address = remote.Addr().Unmap()
				t.mu.Unlock()
			}
		},
	}
}
