package origin

import (
	"strconv"
	"strings"
)

// A verdict is what an automaton was found to match.
type verdict struct {
	nothing bool // no origin at all
	plain   bool // a plain-http origin that isn't a loopback host
	// everySite is set where it doesn't tell origins apart.
	everySite bool
	// others is set where it matches sites of other owners than the regex names. hole is
	// the origin of one, or "" where all are too long for an origin that could be shown.
	others bool
	hole   string
	// domain is what is literal at the end of the hole's host: "example.com" where
	// anything may precede it, ".github.io" where any name below it will do.
	domain string
	// doubt is set where finding out would take too much.
	doubt bool
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
		if x.others && !v.others {
			v.others, v.hole, v.domain = true, x.hole, x.holeDomain
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
		w.known = make([]portEnd, len(a.final))
	}
	known := &w.known[colon]
	if !known.walked {
		n, ok := w.number(a, colon, defaultPort)
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

	now, next []uint16 // states
	numbers   []int32  // that lead to the states of now
	// least is the least number that leads to a state of next plus one, because more
	// digits may follow it below the limit; zero for none.
	least []int32
}

// A portEnd is what is known of the ports that lead from a state to the end of an origin.
type portEnd struct {
	walked, ok bool
	port       uint16
}

// number returns a port that leads from a state to the end of an origin.
func (w *portWalk) number(a *automaton, from uint16, defaultPort int) (n int, ok bool) {
	if len(w.least) < len(a.final) {
		w.least = make([]int32, len(a.final))
	}
	w.now, w.numbers = w.now[:0], w.numbers[:0]
	// The beginning of the default port is followed on its own, because it stands for no
	// other number that leads to the same state.
	excluded := strconv.Itoa(defaultPort)
	begin, number := from, int32(0)
	for digits := range len("65535") {
		w.steps += 10 * (len(w.now) + 1)
		w.next = w.next[:0]
		for i, state := range w.now {
			for digit := range int32(10) {
				if n := 10*w.numbers[i] + digit; w.step(a, state, digit, n) {
					return int(n), true
				}
			}
		}
		state := begin
		begin = deadState
		for digit := int32(0); digit < 10 && state != deadState; digit++ {
			n := 10*number + digit
			to := a.step(state, '0'+byte(digit))
			switch {
			case n == 0: // no port has a zero before other digits
				if a.final[to] {
					w.reset()
					return 0, true
				}
			case excluded[digits] != '0'+byte(digit):
				if w.step(a, state, digit, n) {
					return int(n), true
				}
			case digits < len(excluded)-1:
				begin = to
			case to != deadState: // the default port, before more digits
				w.reach(to, n)
			}
		}
		number = 10*number + int32(excluded[min(digits, len(excluded)-1)]-'0')
		w.numbers = w.numbers[:0]
		for _, to := range w.next {
			w.numbers = append(w.numbers, w.least[to]-1)
		}
		w.reset()
		w.now, w.next = w.next, w.now
	}
	return 0, false
}

// step goes on with a digit, which makes the number n, and reports whether n is a port
// that ends an origin.
func (w *portWalk) step(a *automaton, state uint16, digit, n int32) (ends bool) {
	to := a.step(state, '0'+byte(digit))
	switch {
	case to == deadState || n > 65535:
	case a.final[to]:
		w.reset()
		return true
	default:
		w.reach(to, n)
	}
	return false
}

// reach notes that a number leads to a state.
func (w *portWalk) reach(to uint16, n int32) {
	if w.least[to] == 0 {
		w.next, w.least[to] = append(w.next, to), n+1
	} else {
		w.least[to] = min(w.least[to], n+1)
	}
}

// port is how a host whose end is the state may go on to the end of an origin of the
// examiner's scheme.
func (x *examiner) port(state uint16) (port string, ok bool) {
	port, ok = x.ports.port(x.a, state, defaultPort(x.scheme))
	x.budget -= x.ports.steps
	x.ports.steps = 0
	return port, ok
}

func (w *portWalk) reset() {
	for _, to := range w.next {
		w.least[to] = 0
	}
}

// matchesOtherScheme reports whether the automaton matches an origin of another scheme
// than https and http. Such a scheme has an opaque host, which may be anything.
func (a *automaton) matchesOtherScheme() bool {
	// The phases of such an origin: the letters of a scheme that may yet be http or
	// https, another scheme, the two slashes, the host.
	const web = "https"
	const (
		other = len(web) + 1 + iota
		slash1
		slash2
		host
		phases
	)
	type place struct {
		state uint16
		phase int
	}
	seen := make([]bool, len(a.final)*phases)
	todo := []place{{startState, 0}}
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if at.phase == host && a.final[at.state] {
			return true
		}
		for c := byte('!'); c <= '~'; c++ {
			to := place{a.step(at.state, c), other}
			letter := isLower(c) || at.phase > 0 && (isDigit(c) || c == '+' || c == '-' || c == '.')
			switch {
			case at.phase < len(web) && c == web[at.phase]:
				to.phase = at.phase + 1
			case at.phase <= other && letter:
			case c == ':' && at.phase <= other && at.phase != 0 && at.phase != len("http") && at.phase != len(web):
				to.phase = slash1
			case c == '/' && at.phase == slash1, c == '/' && at.phase == slash2:
				to.phase = at.phase + 1
			case at.phase == host && strings.IndexByte("/?#\\", c) < 0:
				to.phase = host
			default:
				continue
			}
			if i := int(to.state)*phases + to.phase; to.state != deadState && !seen[i] {
				seen[i] = true
				todo = append(todo, to)
			}
		}
	}
	return false
}
