package origin

import (
	"slices"
	"strconv"
	"strings"
)

// A verdict is what an automaton was found to match.
type verdict struct {
	nothing bool // no origin at all
	plain   bool // a plain-http origin that isn't a loopback host
	// everySite is set where it doesn't tell origins apart.
	everySite bool
	strangers
	// doubt is set where finding out would take too much.
	doubt bool
}

// strangers are what of an automaton's origins has other owners than the regex names.
type strangers struct {
	others bool // there are such origins
	// hole is one of them, or "" where all are too long for an origin that could be shown.
	hole string
	// domain is what is literal at the end of the hole's host: "example.com" where
	// anything may precede it, ".github.io" where any name below it will do.
	domain string
	// counted tells that the domain isn't all literal: "a.example" of "app-[ab]+\\.example".
	counted bool
}

// examine finds out what an automaton matches, as far as a browser can send it. It goes
// by the automaton itself, so that nothing depends on what comes to mind to try.
func examine(a *automaton, budget *RegexBudget) (v verdict) {
	v.nothing = !a.matchesOtherScheme()
	for _, scheme := range [...]string{"https", "http"} {
		steps := min(maxExamination, budget.steps)
		x := &examiner{a: a, scheme: scheme, budget: steps}
		x.begin = a.run(startState, scheme+"://")
		if x.begin == deadState {
			continue
		}
		x.domains()
		x.addresses()
		budget.spend(steps - x.budget)
		v.nothing = v.nothing && !x.matches && x.budget >= 0
		v.doubt = v.doubt || x.budget < 0
		v.plain = v.plain || scheme == "http" && (x.notLoopback || x.budget < 0)
		if !v.others {
			v.strangers = x.strangers
		}
	}
	v.everySite = a.matchesEverySite()
	return v
}

// matchesEverySite reports whether the automaton allows sites that have nothing in
// common: then it doesn't tell origins apart. It is tried on hosts that no operator
// owns, in the alphabets in which a careless regex describes "some host", under several
// top-level domains, on any port.
func (a *automaton) matchesEverySite() bool {
	var ports portWalk
	for _, domain := range [...]string{"invalid", "com", "net", "org", "io", "dev", "app", "de", "co.uk"} {
		for _, scheme := range [...]string{"https://", "http://"} {
			n, begin := 0, a.run(startState, scheme)
			for _, name := range [...]string{"a.", "anysite.", "any-site.", "any_site.", "a1.b2.", "www.any-site."} {
				if _, ok := ports.port(a, a.run(a.run(begin, name), domain), NoPort); ok {
					n++
				}
			}
			// Two, because one may be what the operator has in mind.
			if n >= 2 {
				return true
			}
		}
	}
	return false
}

// port is how a host whose end is the state may go on to the end of an origin: with no
// port if it can, or with one, which isn't the default.
func (w *portWalk) port(a *automaton, state uint16, defaultPort int) (port string, ok bool) {
	if a.final[state] {
		return "", true
	}
	colon := a.step(state, ':')
	if colon == deadState {
		return "", false
	}
	if w.known == nil {
		w.known, w.index = make([]portEnd, len(a.final)), make([]uint16, len(a.final))
	}
	known := &w.known[colon]
	if !known.walked {
		n, ok := w.number(a, colon, int32(defaultPort))
		*known = portEnd{true, ok, uint16(n)}
	}
	if !known.ok {
		return "", false
	}
	return ":" + strconv.Itoa(int(known.port)), true
}

// A portWalk walks one automaton along the digits of ports, with one default port. It is
// kept to be used again.
type portWalk struct {
	// known has what was found out, by the state after the colon, because many hosts
	// may end before the same ports.
	known []portEnd
	steps int // of all walks

	now, next []portBegin
	index     []uint16 // where a state is in next, if it is there
}

// A portEnd is what is known of the ports that lead from a state to the end of an origin.
type portEnd struct {
	walked, ok bool
	port       uint16
}

// A portBegin is a state and the least number that leads there, because more digits may
// follow that one below the limit.
type portBegin struct {
	state  uint16
	number int32
}

// number returns a port that leads from a state to the end of an origin.
func (w *portWalk) number(a *automaton, from uint16, defaultPort int32) (n int32, ok bool) {
	w.now = w.now[:0]
	// The beginning of the default port is followed on its own, because it stands for no
	// other number that leads to the same state.
	begin := portBegin{from, 0}
	for range len("65535") {
		w.now = append(w.now, begin)
		w.steps += 10 * len(w.now)
		w.next = w.next[:0]
		begin.state = deadState
		for _, at := range w.now {
			for digit := range int32(10) {
				to, n := a.step(at.state, '0'+byte(digit)), 10*at.number+digit
				switch {
				case to == deadState || n > 65535:
				case a.final[to] && n != defaultPort:
					return n, true
				case n > 0 && (n == defaultPort/10 || n == defaultPort/100):
					begin = portBegin{to, n}
				case n > 0: // no port has a zero before other digits
					w.reach(to, n)
				}
			}
		}
		w.now, w.next = w.next, w.now
	}
	return 0, false
}

// reach notes that a number leads to a state.
func (w *portWalk) reach(to uint16, n int32) {
	i := int(w.index[to])
	if i >= len(w.next) || w.next[i].state != to {
		w.index[to] = uint16(len(w.next))
		w.next = append(w.next, portBegin{to, n})
		return
	}
	w.next[i].number = min(w.next[i].number, n)
}

// port is how a host whose end is the state may go on to the end of an origin of the
// examiner's scheme.
func (x *examiner) port(state uint16) (port string, ok bool) {
	port, ok = x.ports.port(x.a, state, defaultPort(x.scheme))
	x.budget -= x.ports.steps
	x.ports.steps = 0
	return port, ok
}

// matchesOtherScheme reports whether the automaton matches an origin of another scheme
// than https and http. Such a scheme has an opaque host, which may be anything.
func (a *automaton) matchesOtherScheme() bool {
	const web = "https"
	first := charsetOf(func(c rune) bool { return isLower(byte(c)) })
	more := charsetOf(func(c rune) bool { return isLower(byte(c)) || strings.ContainsRune("0123456789+-.", c) })
	opaque := charsetOf(func(c rune) bool { return !strings.ContainsRune(`/?#\`, c) })
	// The states after the beginning of a scheme that is neither, nor begins as they do; and
	// after one that is shorter.
	var other, shorter []uint16
	letters := first
	for i := range len(web) + 1 {
		state := a.run(startState, web[:i])
		for c := firstByte; c <= lastByte; c++ {
			if letters.bit(c) == 1 && (i == len(web) || c != web[i]) {
				other = append(other, a.step(state, c))
			}
		}
		if 0 < i && i < len("http") {
			shorter = append(shorter, state)
		}
		letters = more
	}
	var hosts []uint16
	for _, scheme := range append(a.reachable(other, more), shorter...) {
		hosts = append(hosts, a.run(scheme, "://"))
	}
	return slices.ContainsFunc(a.reachable(hosts, opaque), func(state uint16) bool { return a.final[state] })
}
