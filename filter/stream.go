package filter

import (
	"strings"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A Stream is the context of one request and its answer.
type Stream struct {
	types.DefaultHttpContext
	plugin *Plugin
	next   *Stream // in the plugin's list of released streams

	handshake bool       // may become a WebSocket
	edits     cors.Edits // what the answer needs; the request is gone by then, and perhaps the plugin
	shadow    *shadow    // nil unless the policy changes nothing
	failed    bool       // something went wrong here, so that the answer loses its CORS headers
}

// OnHttpRequestHeaders implements types.HttpContext. It asks first for what most
// requests don't have, because a missing header costs the host the least.
func (s *Stream) OnHttpRequestHeaders(_ int, endOfStream bool) types.Action {
	host := s.plugin.host
	// Only a stream that goes on after its headers can become a WebSocket. Its
	// handshake carries an Origin, and is no CORS request (Fetch, "CORS protocol").
	if !endOfStream {
		if upgrade, ok := host.RequestHeader("upgrade"); ok && strings.EqualFold(upgrade, "websocket") {
			if s.withoutOrigin(); !s.edits.OnlyVary() {
				s.edits = cors.Edits{}
			}
			s.handshake = true
			return types.ActionContinue
		}
	}
	origin, ok := host.RequestHeader("origin")
	if !ok {
		s.withoutOrigin()
		return types.ActionContinue
	}
	request := cors.Request{Origin: origin, HasOrigin: true}
	if method, ok := host.RequestHeader("access-control-request-method"); ok && method != "" {
		request.RequestMethod = method
		request.Method, _ = host.RequestHeader(":method")
	}
	serving := s.lookup()
	if serving == nil || serving.policy.Off() {
		return types.ActionContinue
	}
	if serving.policy.Shadow() {
		s.watch(serving, &request)
		return types.ActionContinue
	}
	if !request.Preflight() {
		d := serving.policy.Decide(&request)
		s.plugin.record(serving, &d)
		s.edits = d.Edits()
		return types.ActionContinue
	}
	return s.preflight(serving, &request)
}

// preflight answers a preflight, or forwards one that is not allowed if the
// policy says so.
func (s *Stream) preflight(serving *served, request *cors.Request) types.Action {
	s.readPreflight(request, serving.policy.AllowsPrivateNetwork())
	d := serving.policy.Decide(request)
	s.plugin.record(serving, &d)
	if !d.Answered() {
		s.edits = d.Edits()
		return types.ActionContinue
	}
	s.plugin.reply(serving, &d)
	return types.ActionPause
}

// readPreflight reads what else there is to a preflight.
func (s *Stream) readPreflight(request *cors.Request, privateNetwork bool) {
	host := s.plugin.host
	if names, ok := host.RequestHeader("access-control-request-headers"); ok {
		s.plugin.lines[0] = names
		request.RequestHeaders = s.plugin.lines[:]
	}
	if privateNetwork {
		flag, _ := host.RequestHeader("access-control-request-private-network")
		request.PrivateNetwork = flag == "true"
	}
}

// withoutOrigin latches what the answer to a request without an origin needs.
func (s *Stream) withoutOrigin() {
	if edits := s.plugin.withoutOrigin; edits != nil {
		s.edits = *edits
	} else if serving := s.lookup(); serving != nil {
		s.edits = editsWithoutOrigin(serving.policy)
	}
}

// lookup finds the policy that applies, and asks for no more than it takes.
func (s *Stream) lookup() *served {
	if serving := s.plugin.everywhere; serving != nil {
		return serving
	}
	host, policies := s.plugin.host, s.plugin.policies
	var key match.Key
	if policies.ByRoute() {
		key.Route = host.RouteName()
	}
	if policies.ByHost() {
		key.Host, _ = host.RequestHeader(":authority")
	}
	if policies.ByPath() {
		key.Path, _ = host.RequestHeader(":path")
	}
	return policies.Lookup(key)
}

// OnHttpResponseHeaders implements types.HttpContext.
func (s *Stream) OnHttpResponseHeaders(int, bool) types.Action {
	if s.edits.None() && !s.failed {
		if s.shadow != nil {
			s.plugin.compare(s.shadow)
			s.shadow = nil // not needed while the body follows
		}
		return types.ActionContinue
	}
	p, host := s.plugin, s.plugin.host
	if s.handshake {
		// The answer that switches protocols has this header.
		if _, switched := host.ResponseHeader("upgrade"); switched {
			return types.ActionContinue
		}
	}
	p.upstream.Reset()
	switch {
	case s.failed:
		s.Fail()
		return types.ActionContinue
	case s.edits.OnlyVary():
		if vary, ok := host.ResponseHeader("vary"); ok {
			p.upstream.Observe("vary", vary)
		}
	case !host.ObserveResponse(&p.upstream):
		s.Fail()
		return types.ActionContinue
	}
	s.edits.Apply(&p.upstream, p.editor)
	return types.ActionContinue
}

// OnHttpStreamDone implements types.HttpContext.
func (s *Stream) OnHttpStreamDone() { s.Release() }

// Fail is for when a callback of the stream has failed. Whatever state it left the
// answer in, no page of another origin may read it; but a policy that changes nothing leaves
// it in its own.
func (s *Stream) Fail() {
	if s.shadow != nil {
		return
	}
	s.failed = true
	s.plugin.host.RemoveResponseHeader("access-control-allow-origin")
	s.plugin.host.RemoveResponseHeader("access-control-allow-credentials")
}

// Release hands the stream back for reuse. It must not be used afterwards.
func (s *Stream) Release() {
	s.edits, s.handshake, s.shadow, s.failed = cors.Edits{}, false, nil, false
	s.next, s.plugin.free = s.plugin.free, s
}
