package cors

import "github.com/proxy-wasm-cors/proxy-wasm-cors/internal/names"

// NotArrived is why there are no policies where a policy source is to serve them.
const NotArrived = "no policies have arrived from the policy source, so that no origin is allowed"

// Closed returns a policy for when there are none, but ought to be: no origin is allowed,
// and rejected preflights say why, in a few words. Where no policy applies, the
// upstream's own CORS headers would get through instead.
func Closed(why string) *Policy {
	p := Assemble(Config{}, Lists{NoOrigins(), &names.List{}, &names.List{}, &names.List{}})
	p.closed = why
	return p
}

// Closed reports whether the policy is one that [Closed] has made.
func (p *Policy) Closed() bool { return p.closed != "" }
