package filter

import (
	"strings"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A Stream is the context of one request and its answer.
type Stream struct {
	_ incomparable
	types.DefaultHttpContext
	plugin *Plugin
	next   *Stream // in the plugin's list of released streams
	id     uint32  // the host's

	handshake bool       // may become a WebSocket
	edits     cors.Edits // what the answer needs; the request is gone by then, and perhaps the plugin
	shadow    *shadow    // nil unless the policy changes nothing
	wait      *wait      // nil unless the decision is still to come
	failed    bool       // something went wrong here, so that the answer loses its CORS headers
}

// OnHttpRequestHeaders implements types.HttpContext. It asks first for what most
// requests don't have, because a missing header costs the host the least.
func (s *Stream) OnHttpRequestHeaders(_ int, endOfStream bool) types.Action {
	host := s.plugin.host
	// Only a stream that goes on after its headers can become a WebSocket. Its
	// handshake carries an Origin, and is no CORS request (Fetch, "CORS protocol").
	if !endOfStream {
		if upgrade, _ := host.RequestHeader("upgrade"); strings.EqualFold(upgrade, "websocket") {
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
	var facts *Facts
	if method, _ := host.RequestHeader("access-control-request-method"); method != "" {
		request.RequestMethod = method
		facts = s.observe(&request)
	}
	serving := s.policy(facts)
	if serving == nil || serving.policy.Off() {
		return types.ActionContinue
	}
	if serving.policy.Shadow() {
		s.watch(serving, &request)
		return types.ActionContinue
	}
	if facts != nil && s.replyAllowed(serving, &request) {
		return types.ActionPause
	}
	d := serving.policy.Decide(&request)
	if d.Asks() && !s.lookUp(serving, &request, &d) {
		if d.Preflight {
			s.wait.state = requestPaused
			return types.ActionPause
		}
		return types.ActionContinue
	}
	s.plugin.record(serving, &d)
	if d.Answered() {
		s.reply(serving, &d)
		return types.ActionPause
	}
	s.edits = d.Edits()
	return types.ActionContinue
}

const allowedDetails = "cors: preflight allowed"

// replyAllowed answers a preflight that is allowed, if its answer is kept ready: with less than
// it takes to make a decision that could be explained. It returns false, and does nothing, if
// that is wanted.
func (s *Stream) replyAllowed(serving *served, request *cors.Request) bool {
	if serving.replies == nil {
		return false
	}
	origin, variant, ok := serving.policy.AllowsPreflight(request)
	if !ok || serving.replies[variant].head == nil {
		return false
	}
	p, reply := s.plugin, &serving.replies[variant]
	p.count(serving, cors.PreflightAllowed)
	p.scratch = reply.with(p.scratch[:0], origin)
	p.host.Reply(reply.status, allowedDetails, p.scratch)
	return true
}

// reply answers a preflight.
func (s *Stream) reply(serving *served, d *cors.Decision) {
	p, details := s.plugin, allowedDetails
	if !d.Allowed() {
		details = "cors: " + d.Why()
	}
	p.scratch = p.appendReply(p.scratch[:0], serving, d)
	s.leave()
	p.host.Reply(d.Status(), details, p.scratch)
}

// lookUp decides a request by a look-up of its origin. It returns false if the stream has to
// wait for that.
func (s *Stream) lookUp(serving *served, request *cors.Request, d *cors.Decision) bool {
	host := s.plugin.authority
	if host == "" {
		host, _ = s.plugin.host.RequestHeader(":authority")
	}
	found := s.plugin.lookUp(serving.lookup, host, request.Origin)
	if found.result == cors.NotLookedUp {
		s.await(serving, found)
		return false
	}
	request.Lookup = found.result
	*d = serving.policy.Decide(request)
	return true
}

// observe reads at once what else there may be to a preflight: each header by itself would cost
// nearly as much as all together.
func (s *Stream) observe(request *cors.Request) *Facts {
	f := &s.plugin.facts
	*f = Facts{requestHeaders: f.requestHeaders[:0]}
	s.plugin.host.ObserveRequest(f)
	request.Method, request.RequestHeaders, request.PrivateNetwork = f.method, f.requestHeaders, f.privateNetwork
	return f
}

// withoutOrigin latches what the answer to a request without an origin needs.
func (s *Stream) withoutOrigin() {
	if edits := s.plugin.withoutOrigin; edits != nil {
		s.edits = *edits
	} else if serving := s.policy(nil); serving != nil {
		s.edits = serving.policy.WithoutOrigin()
	}
}

// policy finds the policy that applies, and asks the host for no more than it takes, and of
// what the facts have for nothing.
func (s *Stream) policy(f *Facts) *served {
	s.plugin.authority = ""
	if f != nil {
		s.plugin.authority = f.authority
	}
	if serving := s.plugin.everywhere; serving != nil {
		return serving
	}
	return s.find(f)
}

// find is policy where it depends on the request.
func (s *Stream) find(f *Facts) *served {
	var key match.Key
	if f != nil {
		key.Host, key.Path = f.authority, f.path
	}
	host, policies := s.plugin.host, s.plugin.policies
	if policies.ByRoute() {
		key.Route = host.RouteName()
	}
	if f != nil {
		return policies.Lookup(key)
	}
	if policies.ByHost() {
		key.Host, _ = host.RequestHeader(":authority")
		s.plugin.authority = key.Host
	}
	if serving, ok := policies.LookupHost(key); ok {
		return serving
	}
	key.Path, _ = host.RequestHeader(":path")
	return policies.Lookup(key)
}

// OnHttpResponseHeaders implements types.HttpContext.
func (s *Stream) OnHttpResponseHeaders(int, bool) types.Action {
	if s.wait != nil && s.hold() {
		return types.ActionPause
	}
	if s.edits.None() && !s.failed {
		if s.shadow != nil {
			s.plugin.compare(s.shadow)
			s.shadow = nil // not needed while the body follows
		}
		return types.ActionContinue
	}
	if s.handshake {
		// The answer that switches protocols has this header.
		if _, switched := s.plugin.host.ResponseHeader("upgrade"); switched {
			return types.ActionContinue
		}
	}
	s.edit()
	return types.ActionContinue
}

// edit makes the answer right.
func (s *Stream) edit() {
	p, host := s.plugin, s.plugin.host
	p.upstream.Reset()
	switch {
	case s.failed:
		s.Fail()
		return
	case s.edits.OnlyVary():
		if vary, ok := host.ResponseHeader("vary"); ok {
			p.upstream.Observe("vary", vary)
		}
	case !host.ObserveResponse(&p.upstream):
		s.Fail()
		return
	}
	s.edits.Apply(&p.upstream, p.editor)
}

// OnHttpStreamDone implements types.HttpContext.
func (s *Stream) OnHttpStreamDone() { s.Release() }

// Deny is for when the host could not say what the decision depends on, or could not carry it
// out. No page of another origin may read the answer, whatever is decided.
func (s *Stream) Deny() { s.failed = true }

// Fail is for when a callback of the stream has failed. Whatever state it left the
// answer in, no page of another origin may read it; but a policy that changes nothing leaves
// it in its own.
func (s *Stream) Fail() {
	s.resume()
	if s.shadow != nil {
		return
	}
	s.failed = true
	s.plugin.host.RemoveResponseHeader("access-control-allow-origin")
	s.plugin.host.RemoveResponseHeader("access-control-allow-credentials")
}

// Release hands the stream back for reuse. It must not be used afterwards.
func (s *Stream) Release() {
	s.leave()
	s.edits, s.handshake, s.shadow, s.failed = cors.Edits{}, false, nil, false
	s.next, s.plugin.free = s.plugin.free, s
}
