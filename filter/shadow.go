package filter

import "github.com/proxy-wasm-cors/proxy-wasm-cors/cors"

// A shadow is what a policy that changes nothing would have done.
type shadow struct {
	serving  *served
	decision cors.Shadow
}

// watch decides a request by a policy that changes nothing, to be compared with the answer.
func (s *Stream) watch(serving *served, request *cors.Request) {
	s.shadow = &shadow{serving: serving} // first, so that a failure changes nothing either
	if request.Preflight() {
		s.readPreflight(request, true)
	} else {
		_, request.Cookie = s.plugin.host.RequestHeader("cookie")
	}
	d := serving.policy.Decide(request)
	s.plugin.record(serving, &d)
	s.shadow.decision = d.Shadow(request)
}

// compare compares what a policy would have done with the answer, whoever gave it, and
// counts what comes of it. A difference is for the access log.
func (p *Plugin) compare(s *shadow) {
	p.answer.Reset()
	if !p.host.ObserveAnswer(&p.answer) {
		return
	}
	verdict, why := s.decision.Compare(&p.answer)
	if s.serving.counters != nil {
		p.host.Count(s.serving.counters.verdicts[verdict])
	}
	if verdict != cors.Same {
		p.explain(s.serving)
		p.scratch = append(p.scratch[:0], verdict.String()+": "+why...)
		p.host.SetFilterState("cors.reason", p.scratch)
	}
}
