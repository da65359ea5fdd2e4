package origin

import (
	"strconv"
	"strings"
)

// addresses examines the hosts that are IP addresses.
func (x *examiner) addresses() {
	w := &addressWalker{examiner: x, first: make([]int16, 4*len(x.a.final))}
	w.walk(x.begin, "", 3)
	if bracket := x.a.step(x.begin, '['); bracket != deadState {
		w = &addressWalker{examiner: x, useful: x.leadsToBracket(bracket)}
		w.walk6(bracket, "")
	}
}

// An addressWalker reads addresses from their beginning, as networks are told apart.
type addressWalker struct {
	*examiner
	// first is the first octet, plus one, that leads to the end of an address, by state and
	// how many octets are left; noOctet if there is none, 0 before it has been looked for.
	first    []int16
	useful   []bool // the states from which an IPv6 address may come to its end
	prefixes int
}

const noOctet = -1

// leadsToEnd reports whether the automaton matches some address of which so many octets
// are left.
func (w *addressWalker) leadsToEnd(state uint16, left int) bool {
	if left == 0 {
		_, ok := w.port(state)
		return ok
	}
	first := &w.first[4*int(state)+left]
	for octet := 0; octet < 256 && *first == 0 && w.budget >= 0; octet++ {
		if to := w.octet(state, octet, left-1); to != deadState && w.leadsToEnd(to, left-1) {
			*first = int16(octet + 1)
		}
	}
	if *first == 0 {
		*first = noOctet
	}
	return *first > 0
}

// octet is the state after an octet, and the dot if so many more are to follow.
func (w *addressWalker) octet(state uint16, octet, more int) uint16 {
	w.budget -= 4
	var b [len("255.")]byte
	text := append(strconv.AppendUint(b[:0], uint64(octet), 10), '.')
	return w.a.run(state, string(text[:len(text)-1+min(more, 1)]))
}

// walk reads the octets that say whose network it is; so many are left after the next.
func (w *addressWalker) walk(state uint16, prefix string, left int) {
	for octet := 0; octet < 256 && w.budget >= 0; octet++ {
		to := w.octet(state, octet, left)
		if to == deadState || !w.leadsToEnd(to, left) {
			continue
		}
		longer := prefix + strconv.Itoa(octet) + "."
		w.matches = true
		w.notLoopback = w.notLoopback || longer != "127."
		switch {
		case ownNetwork(longer):
		case w.tooMany():
			if origin, ok := w.origin(w.complete(to, longer, left)); ok {
				w.found(origin)
			}
			return
		case left > 1:
			w.walk(to, longer, left-1)
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

// complete completes an address.
func (w *addressWalker) complete(state uint16, prefix string, left int) string {
	for ; left > 0; left-- {
		octet := int(w.first[4*int(state)+left]) - 1
		state = w.octet(state, octet, left-1)
		prefix += strconv.Itoa(octet) + "."
	}
	return strings.TrimSuffix(prefix, ".")
}

// tooMany counts an address or a network.
func (w *addressWalker) tooMany() bool {
	w.prefixes++
	return w.prefixes > maxPrefixes
}

// found notes an origin of others, if it is the first.
func (x *examiner) found(origin string) {
	if !x.others {
		x.others, x.hole = true, origin
	}
}

const ipv6Bytes = "123456789abcdef0:"

// leadsToBracket finds the states within brackets from which an origin may come to its
// end.
func (x *examiner) leadsToBracket(begin uint16) []bool {
	useful := make([]bool, len(x.a.final))
	next := make([]uint16, len(x.a.final)*len(ipv6Bytes))
	bytes := charsetOf(func(c rune) bool { return strings.ContainsRune(ipv6Bytes, c) })
	for _, state := range x.a.reachable([]uint16{begin}, bytes) {
		x.budget -= len(ipv6Bytes)
		_, useful[state] = x.port(x.a.step(state, ']'))
		for i := range len(ipv6Bytes) {
			next[int(state)*len(ipv6Bytes)+i] = x.a.step(state, ipv6Bytes[i])
		}
	}
	return leadTo(useful, next, len(ipv6Bytes))
}

// walk6 reads an IPv6 address up to its network's number (the first 48 bits, or those
// of a network that isn't part of the internet, by RFC 4193 and RFC 4291).
func (w *addressWalker) walk6(state uint16, prefix string) {
	if w.budget -= 512; w.budget < 0 || w.prefixes > maxPrefixes || len(prefix) > maxIPv6 {
		return
	}
	if w.a.step(state, ']') != deadState {
		if origin, ok := w.origin("[" + prefix + "]"); ok {
			w.matches = true
			w.notLoopback = w.notLoopback || prefix != "::1"
			w.one6(origin)
		}
	}
	for i := range len(ipv6Bytes) {
		to := w.a.step(state, ipv6Bytes[i])
		longer := prefix + ipv6Bytes[i:i+1]
		switch {
		case !w.useful[to] || !beginsIPv6(longer):
		case network6(longer):
			w.matches, w.notLoopback = true, true
			if !strings.HasPrefix(prefix, "f") {
				w.one6(w.scheme + "://[" + longer + "…]")
			}
		default:
			w.walk6(to, longer)
		}
	}
}

// one6 counts an address or a network.
func (w *addressWalker) one6(origin string) {
	if w.tooMany() {
		w.found(origin)
	}
}

// beginsIPv6 reports whether an address in its shortest form may begin so.
func beginsIPv6(s string) bool {
	if len(s) == 2 && s[0] == ':' && s[1] != ':' || strings.Contains(s, ":::") || strings.Count(s, "::") > 1 ||
		strings.Count(s, ":") > 8 {
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
