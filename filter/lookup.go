package filter

import (
	"strconv"
	"strings"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// A lookup looks up the origins that a policy lacks (origin_lookup).
type lookup struct {
	*config.OriginLookup
	policy   string // its name
	cache    *cache
	host     Host
	counters *lookupCounters // nil if nothing is counted
}

// Limits of the look-ups. Beyond them an origin is not allowed: who makes origins up would
// else have the proxy keep as many requests as he likes.
const (
	maxAsked = 100 // at once, of a VM
	// maxWaiting is how many streams wait for an answer.
	maxWaiting = 1000
	// maxAuthority is how long the host of a request may be. A name has 253 characters.
	maxAuthority = 300
)

const (
	// retryAfter is how many milliseconds pass until an answer that still serves is asked for
	// again after that has failed.
	retryAfter = 1000
	// quiet is for how many milliseconds trouble of a look-up isn't logged again.
	quiet = 60_000
)

// A lookedUp is what can be found out of an origin for a request: a result, or the ask of which
// it is to come.
type lookedUp struct {
	result cors.LookupResult
	ask    *ask
	joined bool // one that was under way
}

// lookUp looks up an origin that comes in a request for a host. What is remembered of it counts,
// or else it is asked for.
func (p *Plugin) lookUp(l *lookup, host, origin string) lookedUp {
	if len(host) > maxAuthority {
		return l.found(cors.LookupDenies)
	}
	key := p.lookupKey(l.policy, host, origin)
	if e := l.cache.get(key); e != nil {
		switch now := monotonic(); {
		case now < e.expires:
			l.count(lookupHit)
			return lookedUp{result: e.result()}
		case now < e.expires+l.Stale.Milliseconds():
			l.count(lookupStale)
			if p.asks[askKey{l.cache, string(key)}] == nil && p.vm.asked < maxAsked && now >= e.retry {
				p.ask(l, string(key))
			}
			return lookedUp{result: e.result()}
		}
	}
	a := p.asks[askKey{l.cache, string(key)}]
	joined := a != nil
	switch {
	case a != nil && a.waiting >= maxWaiting, a == nil && p.vm.asked >= maxAsked:
		return l.found(cors.LookupOverloaded)
	case a == nil:
		a = p.ask(l, string(key))
	}
	return lookedUp{a.result, a, joined}
}

// lookupKey is by what the answers are remembered, until scratch is used again: the policy, the
// host in lower case, and the origin, none of which has a zero byte.
func (p *Plugin) lookupKey(policy, host, origin string) []byte {
	b := p.scratch[:0]
	for _, part := range [...]string{policy, "\x00", host, "\x00", origin} {
		b = append(b, part...)
	}
	p.scratch = b
	b = b[len(policy)+1:]
	for i := range len(host) {
		if c := b[i]; 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return p.scratch
}

// found counts a result, and returns it.
func (l *lookup) found(result cors.LookupResult) lookedUp {
	l.count(resultCounts[result])
	return lookedUp{result: result}
}

// An ask is a question that is under way.
type ask struct {
	_           incomparable
	lookup      *lookup
	key         string
	first, last *wait
	waiting     int
	result      cors.LookupResult // when it is answered
}

// An askKey tells what is asked.
type askKey struct {
	cache *cache
	key   string
}

// ask asks for what has a key, and has failed at once if that can't be done.
func (p *Plugin) ask(l *lookup, key string) *ask {
	a := &ask{lookup: l, key: key}
	sent := p.host.Fetch(p.id, l.Cluster, appendHeaderMap(nil, get(a.path(), l.Authority)), l.Timeout,
		func(_ int, ok bool) { p.answered(a, ok) })
	if !sent {
		p.troubled(l, "the cluster "+problem.InQuotes(l.Cluster)+
			" is unknown, has no endpoint, or has as many requests as it may have")
		p.failed(a)
		l.count(lookupFailed)
		return a
	}
	p.vm.asked++
	if p.asks == nil {
		p.asks = map[askKey]*ask{}
	}
	p.asks[askKey{l.cache, key}] = a
	return a
}

// path is what is asked for.
func (a *ask) path() string {
	policy, rest, _ := strings.Cut(a.key, "\x00")
	host, origin, _ := strings.Cut(rest, "\x00")
	return a.lookup.Target(policy, host, origin)
}

// origin is the origin that is asked for.
func (a *ask) origin() string { return a.key[strings.LastIndexByte(a.key, 0)+1:] }

// answered takes the answer, and has go on who waits for it. ok is false if there is none.
func (p *Plugin) answered(a *ask, ok bool) {
	defer p.later() // They go on whatever becomes of the answer.
	p.vm.asked--
	delete(p.asks, askKey{a.lookup.cache, a.key})
	a.result = cors.LookupFailed
	p.answers = append(p.answers, a)
	p.take(a, ok)
	a.lookup.count(resultCounts[a.result])
	p.release()
}

// take makes of an answer what it says of the origin, and remembers it.
func (p *Plugin) take(a *ask, ok bool) {
	l := a.lookup
	status, _ := p.host.FetchedHeader(":status")
	switch {
	case !ok:
		p.troubled(l, "no whole answer")
	case status == "200", status == "204":
		a.result = cors.LookupAllows
	case status == "403", status == "404":
		a.result = cors.LookupDenies
	default:
		p.troubled(l, "status "+status)
	}
	if a.result == cors.LookupFailed {
		p.failed(a)
	} else {
		p.remember(a)
	}
}

// failed is for when there is no answer. What is remembered goes on to serve as long as it
// may, and is asked for again, though not by each request.
func (p *Plugin) failed(a *ask) {
	a.result = cors.LookupFailed
	if e := a.lookup.cache.entries[a.key]; e != nil {
		e.retry = monotonic() + retryAfter
	}
}

// remember keeps an answer for as long as it says, or else as the policy does.
func (p *Plugin) remember(a *ask) {
	l := a.lookup
	if l.cache.trouble {
		l.cache.trouble = false
		p.host.Log(Info, "origin_lookup: policy "+l.policy+": the cluster "+problem.InQuotes(l.Cluster)+" answers again")
	}
	value, _ := p.host.FetchedHeader("cache-control")
	age, store := maxAge(value, l.TTL)
	if !store {
		l.cache.drop(a.key)
		return
	}
	l.cache.put(a.key, a.result == cors.LookupAllows, monotonic()+age.Milliseconds())
}

// troubled logs that a look-up has failed, once until it is well again, and then not again at
// once: requests may ask thousands of times a second.
func (p *Plugin) troubled(l *lookup, why string) {
	if now := monotonic(); !l.cache.trouble && now >= l.cache.logged {
		l.cache.trouble, l.cache.logged = true, now+quiet
		p.host.Log(Warn, "origin_lookup: policy "+l.policy+": "+why+
			"; origins are not allowed of which no answer is remembered")
	}
}

// maxAge reads how long a Cache-Control lets an answer be remembered, and otherwise if it
// doesn't say so; store is false if the answer must not be used again
// (RFC 9111, section 5.2.2). Of several ages the first one counts (section 4.2.1).
func maxAge(cacheControl string, otherwise time.Duration) (age time.Duration, store bool) {
	const none = -1
	age = none
	for cacheControl != "" {
		var directive string
		directive, cacheControl, _ = strings.Cut(cacheControl, ",")
		name, value, _ := strings.Cut(strings.Trim(directive, " \t"), "=")
		switch {
		case strings.EqualFold(name, "no-store"), strings.EqualFold(name, "no-cache"):
			return 0, false
		case age == none && strings.EqualFold(name, "max-age"):
			value = strings.Trim(value, `"`)
			seconds, err := strconv.ParseUint(value, 10, 64)
			switch most := config.MaxTTL; {
			case err == nil && seconds < uint64(most/time.Second):
				age = time.Duration(seconds) * time.Second
			case value != "" && strings.Trim(value, "0123456789") == "":
				age = most
			}
		}
	}
	if age == none {
		age = otherwise
	}
	return age, true
}

// A lookupCount is what is counted of look-ups.
type lookupCount uint8

const (
	lookupHit lookupCount = iota
	lookupStale
	lookupAllowed
	lookupDenied
	lookupFailed
	lookupOverloaded

	lookupCounts
)

var lookupNames = [lookupCounts]string{"hit", "stale", "allowed", "denied", "failed", "overloaded"}

// resultCounts are as what the results count that were not remembered.
var resultCounts = [...]lookupCount{cors.LookupAllows: lookupAllowed, cors.LookupDenies: lookupDenied,
	cors.LookupFailed: lookupFailed, cors.LookupOverloaded: lookupOverloaded}

// count isn't inlined: the copies would add 1 kB to the module.
//
//go:noinline
func (l *lookup) count(n lookupCount) {
	if l.counters != nil {
		l.host.Count(l.counters[n])
	}
}
