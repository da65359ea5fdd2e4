package filter

import "github.com/proxy-wasm-cors/proxy-wasm-cors/cors"

// A shadow is what a policy that changes nothing would have done. It has nothing of the
// policy, which may be replaced, and all that came with it, before there is an answer.
type shadow struct {
	policy   string
	counters *outcomeCounters
	decision cors.Shadow
}

// watch decides a request by a policy that changes nothing, to be compared with the answer.
func (s *Stream) watch(serving *served, request *cors.Request) {
	// First, so that a failure changes nothing either; nor is there a difference then.
	s.shadow = &shadow{policy: countedName(serving.policy), counters: serving.counters}
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
	if s.counters != nil {
		p.host.Count(s.counters.verdicts[verdict])
	}
	if verdict != cors.Same {
		p.explain(s.policy)
		p.scratch = append(p.scratch[:0], verdict.String()+": "+why...)
		p.host.SetFilterState("cors.reason", p.scratch)
	}
}
