package filter

import "github.com/proxy-wasm-cors/proxy-wasm-cors/cors"

// A shadow is what a policy that changes nothing would have done. It has nothing of the
// policy, which may be replaced, and all that came with it, before there is an answer.
type shadow struct {
	_        incomparable
	policy   string
	counters *outcomeCounters
	decision cors.Shadow
	// results are the decisions for what a look-up may come to, while it is under way.
	results *[cors.LookupFailed + 1]shadowed
}

// A shadowed is a decision that is kept.
type shadowed struct {
	_        incomparable
	decision cors.Shadow
	outcome  cors.Outcome
	why      string // it isn't allowed
}

// keep keeps the decisions on a request whose origin is being looked up.
func (s *shadow) keep(policy *cors.Policy, request *cors.Request) {
	s.results = new([cors.LookupFailed + 1]shadowed)
	for result := cors.LookupAllows; result <= cors.LookupFailed; result++ {
		request.Lookup = result
		d := policy.Decide(request)
		kept := &s.results[result]
		if kept.decision, kept.outcome = d.Shadow(request), d.Outcome(); !d.Allowed() {
			kept.why = string(d.AppendLogged(nil))
		}
	}
}

// watch decides a request by a policy that changes nothing, to be compared with the answer.
func (s *Stream) watch(serving *served, request *cors.Request) {
	// First, so that a failure changes nothing either; nor is there a difference then.
	s.shadow = &shadow{policy: countedName(serving.policy), counters: serving.counters}
	if !request.Preflight() {
		_, request.Cookie = s.plugin.host.RequestHeader("cookie")
	}
	d := serving.policy.Decide(request)
	if d.Asks() && !s.lookUp(serving, request, &d) {
		s.shadow.keep(serving.policy, request)
		return
	}
	s.plugin.record(serving, &d)
	s.shadow.decision = d.Shadow(request)
}

// settleShadow is for when the origin has been looked up.
func (p *Plugin) settleShadow(serving *served, s *shadow, result cors.LookupResult) {
	kept := &s.results[result]
	s.decision, s.results = kept.decision, nil
	if serving.counters != nil {
		p.host.Count(serving.counters.outcomes[kept.outcome])
	}
	if kept.why != "" {
		p.explain(s.policy)
		p.scratch = append(p.scratch[:0], kept.why...)
		p.host.SetFilterState("cors.reason", p.scratch)
	}
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
