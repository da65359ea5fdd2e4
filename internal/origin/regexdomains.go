package origin

import (
	"slices"
	"strings"
)

const (
	// maxExamination bounds the steps of an examination.
	maxExamination = 4 << 20
	// maxNodes bounds its memory.
	maxNodes = 1 << 14
	// maxAlternatives is how many characters at one place of a domain are alternatives
	// that the operator has counted: [0-9], and not [a-z] or a dot.
	maxAlternatives = 10
	// maxPrefixes is how many beginnings of addresses, or addresses, are.
	maxPrefixes = 200
)

// An examiner examines the hosts of one scheme that an automaton matches.
type examiner struct {
	ports  portWalk
	a      *automaton
	scheme string
	begin  uint16 // the state after "scheme://"
	budget int

	matches     bool // some origin
	notLoopback bool // some host but loopback; found out for http only
	strangers

	// The domains that the automaton matches, as a graph.
	nodes   numbering // of states with what the host's last label is so far
	reached []arrival // by node
	columns []column
	edges   []int32  // by node and column; the node it leads to, or -1
	ends    []uint32 // the nodes where a host may end
}

// An arrival is the node that a node was first reached from, or -1, and the byte.
type arrival struct {
	from int32
	by   byte
}

// A column are bytes that are alike for the automaton and for the kind of a label.
type column struct {
	class uint8
	kind  byteKind
	bytes []byte
}

// A labelKind is what a label is so far. A host whose last label is a number is an IPv4
// address or invalid, and so no domain.
type labelKind uint8

const (
	noLabel     labelKind = iota // nothing yet
	afterName                    // a dot after a name, which may end a host
	afterNumber                  // a dot after a number
	digits                       // a number
	zero                         // the number 0
	hex                          // a hexadecimal number
	name                         // anything else
)

type byteKind uint8

const (
	dotByte byteKind = iota
	zeroByte
	digitByte
	xByte
	hexByte // a to f
	otherByte
)

func kindOf(c byte) byteKind {
	switch {
	case c == '.':
		return dotByte
	case c == '0':
		return zeroByte
	case isDigit(c):
		return digitByte
	case c == 'x':
		return xByte
	case 'a' <= c && c <= 'f':
		return hexByte
	}
	return otherByte
}

// then is the kind of label after one more byte; ok is false if no host goes on so.
func (k labelKind) then(c byteKind) (next labelKind, ok bool) {
	start := k == noLabel || k == afterName || k == afterNumber
	switch {
	case c == dotByte && start:
		return 0, false
	case c == dotByte && k == name:
		return afterName, true
	case c == dotByte:
		return afterNumber, true
	case c == zeroByte && start:
		return zero, true
	case c == digitByte && start, (c == zeroByte || c == digitByte) && (k == digits || k == zero):
		return digits, true
	case c == xByte && k == zero, (c == zeroByte || c == digitByte || c == hexByte) && k == hex:
		return hex, true
	}
	return name, true
}

// domains examines the hosts that are domains.
func (x *examiner) domains() {
	x.columns = x.a.columns()
	x.graph()
	if x.budget < 0 || len(x.ends) == 0 {
		return
	}
	x.matches = true
	if x.scheme == "http" {
		w := walker{examiner: x, loopback: true}
		x.notLoopback = w.find("", x.ends, nil) != nil
	}
	w := walker{examiner: x}
	if h := w.find("", x.ends, nil); h != nil && x.budget >= 0 {
		x.strangers = strangers{true, x.example(h), h.suffix, h.counted}
	}
}

// columns divides the bytes of domains.
func (a *automaton) columns() (list []column) {
	// The dot first: what is literal is read as far as it goes, and makes the best example.
	for _, c := range []byte(".abcdefghijklmnopqrstuvwxyz0123456789-_") {
		class, kind := a.class[c], kindOf(c)
		i := 0
		for i < len(list) && (list[i].class != class || list[i].kind != kind) {
			i++
		}
		if i == len(list) {
			list = append(list, column{class: class, kind: kind})
		}
		list[i].bytes = append(list[i].bytes, c)
	}
	return list
}

// graph builds the graph of the domains.
func (x *examiner) graph() {
	x.node(x.begin, noLabel, arrival{from: -1})
	for i := int32(0); int(i) < len(x.nodes.list); i++ {
		state, label := x.nodes.list[i].a, labelKind(x.nodes.list[i].b)
		if x.budget -= len(x.columns); len(x.nodes.list) > maxNodes {
			x.budget = -1
		}
		if x.budget < 0 {
			return
		}
		for _, c := range x.columns {
			to, edge := x.a.next[int(state)*x.a.width+int(c.class)], int32(-1)
			if label, ok := label.then(c.kind); ok && to != deadState {
				edge = x.node(to, label, arrival{i, c.bytes[0]})
			}
			x.edges = append(x.edges, edge)
		}
		if label == name || label == afterName {
			if _, ok := x.port(state); ok {
				x.ends = append(x.ends, uint32(i))
			}
		}
	}
}

// node is the number of a node that is reached.
func (x *examiner) node(state uint16, label labelKind, by arrival) int32 {
	number := x.nodes.number(pair{state, uint16(label)})
	if int(number) == len(x.reached) {
		x.reached = append(x.reached, by)
	}
	return int32(number)
}

// path is a way from the beginning of the host to a node. It isn't inlined: the copies
// would add 3 kB to the module.
//
//go:noinline
func (x *examiner) path(node uint32) string {
	length := 0
	for at := &x.reached[node]; at.from >= 0; at = &x.reached[at.from] {
		length++
	}
	b := make([]byte, length)
	for at := &x.reached[node]; at.from >= 0; at = &x.reached[at.from] {
		length--
		b[length] = at.by
	}
	return string(b)
}

// origin is the origin of a host, with a port if it needs one; ok is false if the
// automaton doesn't match it.
func (x *examiner) origin(host string) (origin string, ok bool) {
	port, ok := x.port(x.a.run(x.begin, host))
	origin = x.scheme + "://" + host + port
	if _, valid := parseOrigin(origin); !ok || !valid {
		return "", false
	}
	return origin, true
}

// A walker reads the hosts from their ends, as owners are told apart: of each it goes
// on until it has read a domain that has one owner, up to a dot or the host's
// beginning. On the way only characters that the operator has written down, or
// counted, may stand.
type walker struct {
	*examiner
	loopback bool   // only the visitor's own machine will do
	inside   []bool // scratch
}

// A hole is where the walker comes to hosts of any owner: before a suffix may stand a
// byte, to which the nodes lead.
type hole struct {
	suffix string
	before byte
	nodes  []uint32
	// counted tells that the suffix begins with characters that are repeated.
	counted bool
}

// find is the first hole among the hosts of which a suffix leads from a set of nodes to
// the end; nil if there is none. path has the sets on the way here.
func (w *walker) find(suffix string, set []uint32, path []string) *hole {
	if w.budget < 0 || len(suffix) > MaxHost {
		return nil // examine knows that the budget is spent; no host is longer
	}
	stranger := w.loopback && !loopback(suffix)
	if stranger && set[0] == 0 {
		return &hole{suffix: suffix}
	}
	before := w.preceding(set)
	key := setKey(set)
	if i := slices.Index(path, key); i >= 0 {
		// It comes round here, so any number of names can be made; they differ from where
		// it was for the first time.
		return &hole{suffix[len(path)-i:], before[0].bytes[0], before[0].set, true}
	}
	for _, c := range before {
		dot := c.kind == dotByte
		switch {
		case dot && suffix != "" && stranger, !dot && c.count > maxAlternatives:
			return &hole{suffix: suffix, before: c.bytes[0], nodes: c.set}
		case dot && suffix != "" && owned(suffix):
			continue
		}
		for _, b := range c.bytes {
			if h := w.find(string(b)+suffix, c.set, append(path, key)); h != nil {
				return h
			}
		}
	}
	return nil
}

// A preceding column are the nodes from which its bytes lead into a set.
type preceding struct {
	*column
	set    []uint32
	states string // the key of the nodes' states
	count  int    // how many bytes lead there from the same states
}

// preceding are the columns whose bytes lead into a set.
func (w *walker) preceding(set []uint32) []preceding {
	w.budget -= len(w.edges) + len(set)
	w.inside = append(w.inside[:0], make([]bool, len(w.reached))...)
	inside := w.inside
	for _, node := range set {
		inside[node] = true
	}
	all := make([]preceding, len(w.columns))
	for i, to := range w.edges {
		if to >= 0 && inside[to] {
			c := &all[i%len(all)]
			c.set = append(c.set, uint32(i/len(all)))
		}
	}
	list := all[:0]
	for i := range all {
		c := &all[i]
		if len(c.set) == 0 {
			continue
		}
		c.column = &w.columns[i]
		if c.kind != dotByte {
			c.states = setKey(w.states(c.set))
		}
		list = append(list, *c)
	}
	for i, c := range list {
		for _, other := range list {
			if c.states == other.states {
				list[i].count += len(other.bytes)
			}
		}
	}
	return list
}

// states are the automaton's states of a set of nodes. Whether a label is a number so far
// makes no difference to what the operator wrote, so it is they that count.
func (x *examiner) states(set []uint32) []uint32 {
	list := make([]uint32, len(set))
	for i, node := range set {
		list[i] = uint32(x.nodes.list[node].a)
	}
	sortNumbers(list)
	return slices.Compact(list)
}

func setKey(set []uint32) string {
	b := make([]byte, 0, 4*len(set))
	for _, n := range set {
		b = append(b, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	}
	return string(b)
}

// example is an origin at the hole: one that speaks for itself, if there is such a one.
func (x *examiner) example(h *hole) string {
	begins := []string{"evil" + h.suffix, "evil-" + h.suffix, "x" + h.suffix, "evil." + h.suffix}
	if h.suffix == "" || h.suffix == "." {
		end := x.path(x.ends[0])
		begins = []string{"evil.example", "evil", end + ".evil.example", end + "evil.example"}
	}
	for _, node := range h.nodes {
		begins = append(begins, x.path(node)+"x"+h.suffix, x.path(node)+string(h.before)+h.suffix)
	}
	for _, host := range begins {
		if origin, ok := x.origin(host); ok && (h.suffix == "" || !owned(h.suffix) ||
			!strings.HasSuffix(host, "."+h.suffix)) {
			return origin
		}
	}
	return "" // longer than an origin can be
}
