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

	state     state
	handshake bool          // may become a WebSocket
	decision  cors.Decision // if the state is editing
}

// A state is what a stream does with the answer.
type state uint8

const (
	untouched state = iota // nothing: no policy, shadow, or answered by the filter itself
	adding                 // adds Origin to Vary
	editing                // applies the decision
	failed                 // removes CORS headers: something went wrong here
)

// OnHttpRequestHeaders implements types.HttpContext. It asks first for what most
// requests don't have, because a missing header costs the host the least.
func (s *Stream) OnHttpRequestHeaders(_ int, endOfStream bool) types.Action {
	host := s.plugin.host
	// Only a stream that goes on after its headers can become a WebSocket. Its
	// handshake carries an Origin, and is no CORS request (Fetch, "CORS protocol").
	if !endOfStream {
		if upgrade, ok := host.RequestHeader("upgrade"); ok && strings.EqualFold(upgrade, "websocket") {
			if s.withoutOrigin(); s.state == editing {
				s.state = untouched
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
	policy := s.lookup()
	if policy == nil {
		return types.ActionContinue
	}
	if !request.Preflight() {
		s.keep(policy.Decide(&request))
		return types.ActionContinue
	}
	return s.preflight(policy, &request)
}

// preflight answers a preflight, or forwards one that is not allowed if the
// policy says so.
func (s *Stream) preflight(policy *cors.Policy, request *cors.Request) types.Action {
	host := s.plugin.host
	if names, ok := host.RequestHeader("access-control-request-headers"); ok {
		s.plugin.lines[0] = names
		request.RequestHeaders = s.plugin.lines[:]
	}
	if policy.AsksPrivateNetwork() {
		flag, _ := host.RequestHeader("access-control-request-private-network")
		request.PrivateNetwork = flag == "true"
	}
	d := policy.Decide(request)
	if !d.Answered() {
		s.keep(d)
		return types.ActionContinue
	}
	s.plugin.reply(&d)
	return types.ActionPause
}

// withoutOrigin latches what the answer to a request without an origin needs.
func (s *Stream) withoutOrigin() {
	policy := s.plugin.withoutOrigin
	if policy == nil {
		policy = s.lookup()
	}
	if policy == nil {
		return
	}
	if policy.OnlyVary() {
		s.state = adding
		return
	}
	if d := policy.WithoutOrigin(); !d.Untouched() {
		s.state, s.decision = editing, d
	}
}

// lookup finds the policy that applies, and asks for no more than it takes.
func (s *Stream) lookup() *cors.Policy {
	if policy := s.plugin.everywhere; policy != nil {
		return policy
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

// keep latches a decision for the answer. The request is gone by then, and so may
// be the plugin.
func (s *Stream) keep(d cors.Decision) {
	if d.Untouched() {
		return
	}
	d.Retain()
	s.decision = d
	s.state = editing
}

// OnHttpResponseHeaders implements types.HttpContext.
func (s *Stream) OnHttpResponseHeaders(int, bool) types.Action {
	if s.state == untouched {
		return types.ActionContinue
	}
	host := s.plugin.host
	if s.handshake {
		// The answer that switches protocols has this header.
		if _, switched := host.ResponseHeader("upgrade"); switched {
			return types.ActionContinue
		}
	}
	switch s.state {
	case adding:
		if vary, ok := host.ResponseHeader("vary"); !ok || !cors.VaryCoversOrigin(vary) {
			host.AddResponseHeader("vary", "Origin")
		}
	case editing:
		s.edit()
	case failed:
		s.Fail()
	}
	return types.ActionContinue
}

// edit applies the decision to the answer.
func (s *Stream) edit() {
	p, host := s.plugin, s.plugin.host
	p.upstream.Reset()
	if !host.ObserveResponse(&p.upstream) {
		s.Fail()
		return
	}
	s.decision.Edit(&p.upstream, p.editor)
}

// OnHttpStreamDone implements types.HttpContext.
func (s *Stream) OnHttpStreamDone() { s.Release() }

// Fail is for when a callback of the stream has failed. Whatever state it left the
// answer in, no page of another origin may read it.
func (s *Stream) Fail() {
	s.state = failed
	s.plugin.host.RemoveResponseHeader("access-control-allow-origin")
	s.plugin.host.RemoveResponseHeader("access-control-allow-credentials")
}

// Release hands the stream back for reuse. It must not be used afterwards.
func (s *Stream) Release() {
	if s.state == editing {
		s.decision = cors.Decision{} // which may be the last to hold a policy
	}
	s.state, s.handshake = untouched, false
	s.next, s.plugin.free = s.plugin.free, s
}
