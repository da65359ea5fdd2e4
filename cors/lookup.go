package cors

import "github.com/proxy-wasm-cors/proxy-wasm-cors/internal/origin"

// A LookupResult is what a look-up of an origin came to.
type LookupResult uint8

const (
	// NotLookedUp means that the origin has not been looked up.
	NotLookedUp LookupResult = iota
	// LookupAllows means that the origin is allowed.
	LookupAllows
	// LookupDenies means that it isn't.
	LookupDenies
	// LookupFailed means that there was no answer. The origin is not allowed then.
	LookupFailed
	// LookupOverloaded means that too many look-ups were under way. The origin is not
	// allowed then.
	LookupOverloaded
)

// Asks reports whether the decision depends on a look-up of the origin. Until then the
// origin is not allowed; [Policy.Decide] with the result in [Request.Lookup] says more.
//
// Asked for is what [Config.AllowOrigins] lacks, but:
//   - "null", which stands for many an origin;
//   - plain-http origins where the policy allows credentials, unless they are loopback: anyone
//     on the way could send the page, and have it read with the user's cookies.
func (d *Decision) Asks() bool { return d.asks }

// LooksUp reports whether [Decision.Asks] may say so.
func (p *Policy) LooksUp() bool { return p.lookup }

// lookUp decides on an origin that the policy lacks by what a look-up has said of it.
func (d *Decision) lookUp(r *Request) Reason {
	if r.Origin == "null" || d.policy.credentials && origin.Insecure(r.Origin) {
		return OriginNotAllowed
	}
	d.asks, d.lookup = r.Lookup == NotLookedUp, r.Lookup
	if r.Lookup == LookupAllows {
		return Allowed
	}
	return OriginNotAllowed
}

// lookedUp says in words what became of the look-up of an origin that isn't allowed.
func (d *Decision) lookedUp() string {
	switch {
	case !d.policy.lookup || d.asks:
		return ""
	case d.lookup == LookupDenies:
		return ", and the look-up says no"
	case d.lookup == LookupFailed:
		return ", and the look-up failed"
	case d.lookup == LookupOverloaded:
		return ", and too many look-ups are under way"
	case d.offender != "null":
		return ", and plain http is not looked up where allow_credentials is set"
	}
	return ""
}
