package filter

import (
	"cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A Counter is the proxy's number for a counter in one VM.
type Counter uint32

// CountPanics counts panics.
const CountPanics = "cors.panics"

// maxCounted is up to how many policies each is counted on its own. Counters are the
// proxy's for as long as it lives, and each scrape has them all.
const maxCounted = 1000

// maxDefined is for how many policies a VM defines counters, all documents together. A
// source may rename its policies again and again.
const maxDefined = 4 * maxCounted

// together is what counts as one policy: those that don't count on their own.
const together = "*"

// counters are those that a VM has defined. The proxy gives a new number for each
// definition, also of a name that it knows, so that each is defined once a VM. The
// numbers outlive the plugins.
type counters struct {
	host     Host
	named    map[string]Counter
	policies map[countedAs]*outcomeCounters
}

// countedAs is under what a policy's decisions are counted.
type countedAs struct {
	policy string
	shadow bool
}

// outcomeCounters are the counters of a policy's outcomes, and of what the comparison of
// its decisions with the answers comes to if it changes nothing.
type outcomeCounters struct {
	outcomes [cors.Outcomes]Counter
	verdicts [cors.Verdicts]Counter
	lookups  *lookupCounters // nil until they are needed
}

// lookupCounters are the counters of a policy's look-ups.
type lookupCounters [lookupCounts]Counter

func newCounters(host Host) *counters {
	return &counters{host, map[string]Counter{}, map[countedAs]*outcomeCounters{}}
}

// define defines a counter that isn't a policy's, unless that is done.
func (c *counters) define(name string) Counter {
	id, ok := c.named[name]
	if !ok {
		id = c.host.DefineCounter(name)
		c.named[name] = id
	}
	return id
}

// count adds one to a counter that isn't a policy's.
func (c *counters) count(name string) { c.host.Count(c.define(name)) }

// ofPolicy defines what a policy may count, unless that is done; of its look-ups too if it
// looks origins up. The form of the names is that of tags in Istio, the only one that becomes
// labels there.
func (c *counters) ofPolicy(as countedAs, looksUp bool) *outcomeCounters {
	ids := c.policies[as]
	if ids == nil && len(c.policies) >= maxDefined {
		as.policy = together
		ids = c.policies[as]
	}
	if ids == nil {
		ids = c.outcomesOf(as)
		c.policies[as] = ids
	}
	if looksUp && ids.lookups == nil {
		ids.lookups = &lookupCounters{}
		for n, name := range lookupNames {
			ids.lookups[n] = c.host.DefineCounter("cors_policy=.=" + as.policy + ";.;cors_result=.=" + name +
				";.;cors_lookups_total")
		}
	}
	return ids
}

func (c *counters) outcomesOf(as countedAs) *outcomeCounters {
	ids := &outcomeCounters{}
	before, after := "cors_policy=.="+as.policy+";.;cors_outcome=.=", ";.;cors_requests_total"
	if as.shadow {
		before += "shadow_"
	}
	for outcome := cors.NotCounted + 1; outcome < cors.Outcomes; outcome++ {
		ids.outcomes[outcome] = c.host.DefineCounter(before + outcome.String() + after)
	}
	if as.shadow {
		for verdict := range cors.Verdicts {
			ids.verdicts[verdict] = c.host.DefineCounter(before + verdict.String() + after)
		}
	}
	return ids
}

// A served is a policy that serves, and what goes with it.
type served struct {
	policy   *cors.Policy
	lookup   *lookup          // nil if the policy looks nothing up
	counters *outcomeCounters // nil if nothing is counted
	replies  *replies         // nil until there is one
}

// serve makes a table of what serves of the policies of a document. Their decisions are
// counted, unless counters is nil.
func (p *Plugin) serve(c *config.Document, counters *counters) *match.Table[*served] {
	all, n := make([]served, len(c.Policies.All())), 0
	return match.Map(c.Policies, func(policy *cors.Policy) *served {
		s := &all[n]
		s.policy = policy
		n++
		if counters != nil && !policy.Off() {
			as := countedAs{countedName(policy), policy.Shadow()}
			if len(all) > maxCounted {
				as.policy = together
			}
			s.counters = counters.ofPolicy(as, policy.LooksUp())
		}
		if of := c.Lookups[policy]; of != nil {
			s.lookup = &lookup{of, countedName(policy), p.vm.caches.acquire(of), p.host, nil}
			p.lookups = append(p.lookups, s.lookup)
			if s.counters != nil {
				s.lookup.counters = s.counters.lookups
			}
		}
		return s
	})
}

// countedName is what a policy is called where there must be a name.
func countedName(policy *cors.Policy) string { return cmp.Or(policy.Name(), "default") }

// count counts an outcome.
func (p *Plugin) count(s *served, outcome cors.Outcome) {
	if s.counters != nil {
		p.host.Count(s.counters.outcomes[outcome])
	}
}

// record counts a decision, and says to the access log why a request isn't allowed.
func (p *Plugin) record(s *served, d *cors.Decision) {
	p.count(s, d.Outcome())
	if !d.Allowed() {
		p.explain(countedName(s.policy))
		p.scratch = d.AppendLogged(p.scratch[:0])
		p.host.SetFilterState("cors.reason", p.scratch)
	}
}

// explain says to the access log by which policy a request isn't allowed, or would get
// something else. The reason is to follow.
func (p *Plugin) explain(policy string) {
	p.scratch = append(p.scratch[:0], policy...)
	p.host.SetFilterState("cors.policy", p.scratch)
}
