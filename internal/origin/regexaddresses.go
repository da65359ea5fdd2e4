package origin

import (
	"strconv"
	"strings"
)

// addresses examines the hosts that are IP addresses.
func (x *examiner) addresses() {
	v4 := &addressWalker{x: x, completes: make([]completion, 4*len(x.a.final))}
	v4.walk(x.begin, "", 0)
	if bracket := x.a.step(x.begin, '['); bracket != deadState {
		v6 := &addressWalker{x: x, useful: x.leadsToBracket(bracket)}
		v6.walk6(bracket, "")
	}
}

// An addressWalker reads addresses from their beginning, as networks are told apart.
type addressWalker struct {
	x         *examiner
	completes []completion    // by state and how many octets are left
	useful    map[uint16]bool // the states from which an IPv6 address may come to its end
	prefixes  int
}

// A completion is what is known of whether an address can be completed.
type completion uint8

const (
	completionUnknown completion = iota
	completionFails
	completionSucceeds
)

// complete reports whether the automaton matches some address of which so many octets
// are left.
func (w *addressWalker) complete(state uint16, left int) bool {
	if left == 0 {
		_, ok := w.x.port(state)
		return ok
	}
	at := &w.completes[4*int(state)+left]
	if *at != completionUnknown {
		return *at == completionSucceeds
	}
	*at = completionFails
	ok := false
	for octet := 0; octet < 256 && !ok && w.x.budget >= 0; octet++ {
		if to := w.octet(state, octet, left-1); to != deadState {
			ok = w.complete(to, left-1)
		}
	}
	if ok {
		*at = completionSucceeds
	}
	return ok
}

// octet is the state after an octet, and the dot if so many more are to follow.
func (w *addressWalker) octet(state uint16, octet, more int) uint16 {
	w.x.budget -= 4
	if octet >= 100 {
		state = w.x.a.step(state, byte('0'+octet/100))
	}
	if octet >= 10 {
		state = w.x.a.step(state, byte('0'+octet/10%10))
	}
	state = w.x.a.step(state, byte('0'+octet%10))
	if more > 0 {
		state = w.x.a.step(state, '.')
	}
	return state
}

// walk reads the octets that say whose network it is.
func (w *addressWalker) walk(state uint16, prefix string, n int) {
	for octet := 0; octet < 256 && w.x.budget >= 0; octet++ {
		to := w.octet(state, octet, 3-n)
		if to == deadState || !w.complete(to, 3-n) {
			continue
		}
		w.x.matches = true
		longer := prefix + strconv.Itoa(octet) + "."
		if longer[:len(longer)-1] == "127" {
			continue
		}
		w.x.notLoopback = true
		if ownNetwork(longer) {
			continue
		}
		if w.prefixes++; w.prefixes > maxPrefixes {
			w.found(w.example(to, longer, 3-n))
			return
		}
		if n < 2 {
			w.walk(to, longer, n+1)
		}
	}
}

// ownNetwork reports whether the beginning of an IPv4 address is that of a network that
// isn't part of the internet (RFC 1918, RFC 3927).
func ownNetwork(prefix string) bool {
	for _, network := range [...]string{"10.", "127.", "192.168.", "169.254."} {
		if strings.HasPrefix(prefix, network) {
			return true
		}
	}
	if second, ok := strings.CutPrefix(prefix, "172."); ok {
		n, ok := parseUint(strings.TrimSuffix(second, "."), 31)
		return ok && n >= 16
	}
	return false
}

// example completes an address.
func (w *addressWalker) example(state uint16, prefix string, left int) string {
	for ; left > 0; left-- {
		for octet := range 256 {
			if to := w.octet(state, octet, left-1); to != deadState && w.complete(to, left-1) {
				state = to
				prefix += strconv.Itoa(octet)
				if left > 1 {
					prefix += "."
				}
				break
			}
		}
	}
	return prefix
}

func (w *addressWalker) found(host string) {
	if origin, ok := w.x.origin(host); ok && !w.x.others {
		w.x.others, w.x.hole = true, origin
	}
}

const ipv6Bytes = "123456789abcdef0:"

// leadsToBracket are the states within brackets from which an origin may come to its
// end.
func (x *examiner) leadsToBracket(begin uint16) map[uint16]bool {
	useful := map[uint16]bool{}
	reached := []uint16{begin}
	seen := map[uint16]bool{begin: true}
	from := map[uint16][]uint16{}
	var todo []uint16
	for i := 0; i < len(reached); i++ {
		at := reached[i]
		x.budget -= len(ipv6Bytes)
		if _, ok := x.port(x.a.step(at, ']')); ok {
			useful[at] = true
			todo = append(todo, at)
		}
		for j := range len(ipv6Bytes) {
			to := x.a.step(at, ipv6Bytes[j])
			if to == deadState {
				continue
			}
			from[to] = append(from[to], at)
			if !seen[to] {
				seen[to] = true
				reached = append(reached, to)
			}
		}
	}
	for len(todo) > 0 {
		to := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, at := range from[to] {
			if !useful[at] {
				useful[at] = true
				todo = append(todo, at)
			}
		}
	}
	return useful
}

// walk6 reads an IPv6 address up to its network's number (the first 48 bits, or those
// of a network that isn't part of the internet, by RFC 4193 and RFC 4291).
func (w *addressWalker) walk6(state uint16, prefix string) {
	x := w.x
	if x.budget -= 512; x.budget < 0 || w.prefixes > maxPrefixes || len(prefix) > maxIPv6 {
		return
	}
	if end := x.a.step(state, ']'); end != deadState {
		if origin, ok := x.origin("[" + prefix + "]"); ok {
			x.matches = true
			x.notLoopback = x.notLoopback || prefix != "::1"
			w.one6(origin)
		}
	}
	for i := range len(ipv6Bytes) {
		to := x.a.step(state, ipv6Bytes[i])
		longer := prefix + ipv6Bytes[i:i+1]
		switch {
		case !w.useful[to] || !beginsIPv6(longer):
		case network6(longer):
			x.matches, x.notLoopback = true, true
			if !strings.HasPrefix(prefix, "f") {
				w.one6(x.scheme + "://[" + longer + "…]")
			}
		default:
			w.walk6(to, longer)
		}
	}
}

// one6 counts an address or a network.
func (w *addressWalker) one6(origin string) {
	if w.prefixes++; w.prefixes > maxPrefixes && !w.x.others {
		w.x.others, w.x.hole = true, origin
	}
}

// beginsIPv6 reports whether an address in its shortest form may begin so.
func beginsIPv6(s string) bool {
	if len(s) == 2 && s[0] == ':' && s[1] != ':' || strings.Contains(s, ":::") || strings.Count(s, "::") > 1 || strings.Count(s, ":") > 8 {
		return false
	}
	group := s[strings.LastIndexByte(s, ':')+1:]
	return len(group) <= 4 && (len(group) < 2 || group[0] != '0')
}

// network6 reports whether s, which begins an address, says whose network it is of.
func network6(s string) bool {
	if s == ":" || !strings.HasSuffix(s, ":") || strings.Contains(s, "::") {
		return false
	}
	if len(s) == 5 && (strings.HasPrefix(s, "fc") || strings.HasPrefix(s, "fd") || strings.HasPrefix(s, "fe80")) {
		return true
	}
	return strings.Count(s, ":") == 3
}
