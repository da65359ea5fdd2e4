package filter

import (
	"slices"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
)

// A wait is that of a stream for the answer to an ask. Whatever becomes of the two, the
// stream leaves the ask before it goes, and before anything is done to it that may be done
// once (RATIONALE.md, "No stream is left waiting").
type wait struct {
	stream         *Stream
	ask            *ask
	previous, next *wait
	serving        *served
	generation     int // of the policies that serve it
	state          waitState
	joined         bool // an ask that was under way
}

// A waitState says what of a stream stands still.
type waitState uint8

const (
	nothingPaused waitState = iota // yet: the request has gone on, and there is no answer
	requestPaused
	answerHeld
)

// await has the stream wait.
func (s *Stream) await(serving *served, found lookedUp) {
	a := found.ask
	w := &wait{stream: s, serving: serving, generation: s.plugin.generation, joined: found.joined}
	s.wait = w
	a.add(w)
}

// add has a stream wait for the ask. It isn't inlined, as remove isn't: the copies would add
// 4 kB to the module.
//
//go:noinline
func (a *ask) add(w *wait) {
	w.ask, w.previous, w.next = a, a.last, nil
	if a.last == nil {
		a.first = w
	} else {
		a.last.next = w
	}
	a.last = w
	a.waiting++
}

// remove has it wait no longer.
//
//go:noinline
func (a *ask) remove(w *wait) {
	if w.previous == nil {
		a.first = w.next
	} else {
		w.previous.next = w.next
	}
	if w.next == nil {
		a.last = w.previous
	} else {
		w.next.previous = w.previous
	}
	a.waiting--
}

// leave has the stream wait no longer.
func (s *Stream) leave() {
	if w := s.wait; w != nil {
		w.ask.remove(w)
		s.wait = nil
	}
}

// resume has go on what of the stream stands still.
func (s *Stream) resume() {
	if s.wait == nil {
		return
	}
	state := s.wait.state
	s.leave()
	switch state {
	case requestPaused:
		s.plugin.host.ContinueRequest()
	case answerHeld:
		s.plugin.host.ContinueResponse()
	}
}

// hold holds an answer that comes before the decision, and reports whether it does.
func (s *Stream) hold() bool {
	w := s.wait
	switch {
	case w.state == requestPaused:
		// The proxy answers what has not gone on, mostly because that took too long.
		d := w.decide(cors.LookupFailed)
		s.edits = d.Edits()
	case w.ask.result != cors.NotLookedUp:
		s.settle()
	case s.shadow != nil:
		// What changes nothing holds no answer up either, and so there is nothing to compare.
		s.shadow = nil
	default:
		w.state = answerHeld
		return true
	}
	s.leave()
	return false
}

// decide decides an actual request by the result of a look-up.
func (w *wait) decide(result cors.LookupResult) cors.Decision {
	return w.serving.policy.Decide(&cors.Request{Origin: w.ask.origin(), HasOrigin: true, Lookup: result})
}

// settle decides what has gone on already, now that its origin has been looked up.
func (s *Stream) settle() {
	w := s.wait
	w.count()
	if s.shadow != nil {
		s.plugin.settleShadow(w.serving, s.shadow, w.ask.result)
		return
	}
	d := w.decide(w.ask.result)
	s.plugin.record(w.serving, &d)
	s.edits = d.Edits()
}

// count counts the answer for a stream that has joined an ask, which counts itself.
func (w *wait) count() {
	if w.joined {
		w.ask.lookup.count(resultCounts[w.ask.result])
	}
}

// settlePreflight decides a preflight that is paused, and has it answered or forwarded.
func (s *Stream) settlePreflight() {
	w := s.wait
	w.count()
	request := cors.Request{Origin: w.ask.origin(), HasOrigin: true, Lookup: w.ask.result}
	request.RequestMethod = s.observe(&request).requestMethod
	d := w.serving.policy.Decide(&request)
	s.plugin.record(w.serving, &d)
	if d.Answered() {
		s.reply(w.serving, &d)
		return
	}
	s.edits = d.Edits()
	s.resume()
}

// proceed has a stream go on whose origin has been looked up, and reports whether anything of
// it stood still.
func (s *Stream) proceed() bool {
	s.plugin.host.Enter(s.id)
	switch s.wait.state {
	case requestPaused:
		s.settlePreflight()
	case answerHeld:
		s.settle()
		s.edit()
		s.resume()
	default:
		s.settle()
		s.leave()
		return false
	}
	return true
}

// maxReleased is how many streams may go on in one callback. The host has each of them go on
// when the callback has returned, and calls the module for it within its call for the one
// before: with hundreds, its stack overflows, and the VM is dead.
const maxReleased = 32

// release has streams go on whose origins have been looked up. Others, and those that a panic
// leaves, are for the ticks to come.
func (p *Plugin) release() {
	for released := 0; len(p.answers) > 0; p.answers = slices.Delete(p.answers, 0, 1) {
		for a := p.answers[0]; a.first != nil; {
			if released == maxReleased {
				return
			}
			if a.first.stream.proceed() {
				released++
			}
		}
	}
}

// later has ticks come as long as there are streams to release.
func (p *Plugin) later() {
	if len(p.answers) > 0 {
		p.ticks.hasten()
	}
}

// maxGenerations is how many policies that were replaced meanwhile streams may wait with.
const maxGenerations = 4

// outdate gives up the look-ups of streams that wait with policies of long ago: a source may
// have new ones ten times a second, and all would be kept for as long as a look-up takes.
func (p *Plugin) outdate() {
	p.generation++
	for _, a := range p.asks {
		given := &ask{lookup: a.lookup, key: a.key, result: cors.LookupFailed}
		for w := a.first; w != nil && w.generation < p.generation-maxGenerations; w = a.first {
			a.remove(w)
			given.add(w)
		}
		if given.first != nil {
			p.answers = append(p.answers, given)
		}
	}
	p.later()
}
