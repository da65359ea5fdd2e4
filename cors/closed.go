package cors

import (
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/names"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/origin"
)

// Closed returns a set for when there are no policies, but ought to be: no origin is
// allowed for any request, and rejected preflights say why, in a few words. A set
// without policies would let the upstream's own CORS headers through instead.
func Closed(why string) *Set {
	p := Assemble(Config{}, Lists{&origin.Set{}, &names.List{}, &names.List{}, &names.List{}})
	p.closed = why
	set, _ := NewSet([]Rule{{Policy: p}}) // one rule for all requests has no problem
	return set
}

// Closed reports whether the set is one that [Closed] has made.
func (s *Set) Closed() bool { return len(s.policies) == 1 && s.policies[0].closed != "" }
