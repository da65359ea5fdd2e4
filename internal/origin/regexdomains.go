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
	others      bool
	hole        string
	holeDomain  string

	// The domains that the automaton matches, as a graph: each node is a state of the
	// automaton with what the host's last label is so far.
	nodes   []hostNode
	columns []column
	edges   []int32 // by node and column; the node it leads to, or -1
	from    []int32 // by node, the node it was first reached from
	by      []byte  // and the byte
	ends    []int32 // the nodes where a host may end
}

type hostNode struct {
	state uint16
	label labelKind
}

func (n hostNode) key() uint32 { return uint32(n.state)<<8 | uint32(n.label) }

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
	x.graph()
	if x.budget < 0 || len(x.ends) == 0 {
		return
	}
	x.matches = true
	if x.scheme == "http" {
		w := walker{x: x, set: x.ends, loopback: true}
		x.notLoopback = !w.safe()
	}
	w := walker{x: x, set: x.ends}
	if w.safe() || x.budget < 0 {
		return
	}
	x.others, x.hole, x.holeDomain = true, w.origin(), w.suffix
}

// graph builds the graph of the domains.
func (x *examiner) graph() {
	// The dot first: what is literal is read as far as it goes, and makes the best example.
	const bytes = ".abcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range len(bytes) {
		class, kind := x.a.class[bytes[i]], kindOf(bytes[i])
		at := slices.IndexFunc(x.columns, func(c column) bool { return c.class == class && c.kind == kind })
		if at < 0 {
			at = len(x.columns)
			x.columns = append(x.columns, column{class: class, kind: kind})
		}
		x.columns[at].bytes = append(x.columns[at].bytes, bytes[i])
	}
	index := map[uint32]int32{hostNode{x.begin, noLabel}.key(): 0}
	x.nodes, x.from, x.by = []hostNode{{x.begin, noLabel}}, []int32{-1}, []byte{0}
	ports := map[uint16]bool{}
	for i := 0; i < len(x.nodes); i++ {
		at := x.nodes[i]
		if x.budget -= len(x.columns); len(x.nodes) > maxNodes {
			x.budget = -1
		}
		if x.budget < 0 {
			return
		}
		for _, c := range x.columns {
			to := x.a.next[int(at.state)*x.a.width+int(c.class)]
			label, ok := at.label.then(c.kind)
			if !ok || to == deadState {
				x.edges = append(x.edges, -1)
				continue
			}
			next, known := index[hostNode{to, label}.key()]
			if !known {
				next = int32(len(x.nodes))
				index[hostNode{to, label}.key()] = next
				x.nodes = append(x.nodes, hostNode{to, label})
				x.from, x.by = append(x.from, int32(i)), append(x.by, c.bytes[0])
			}
			x.edges = append(x.edges, next)
		}
		if at.label == name || at.label == afterName {
			ends, known := ports[at.state]
			if !known {
				_, ends = x.port(at.state)
				ports[at.state] = ends
			}
			if ends {
				x.ends = append(x.ends, int32(i))
			}
		}
	}
}

// path is a way from the beginning of the host to a node.
func (x *examiner) path(node int32) string {
	var b []byte
	for ; x.from[node] >= 0; node = x.from[node] {
		b = append(b, x.by[node])
	}
	slices.Reverse(b)
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
	x        *examiner
	loopback bool // only the visitor's own machine will do
	suffix   string
	set      []int32 // the nodes from which suffix leads to the end of a host

	path   []string // the sets on the way here
	inside []bool   // scratch
	// The hole, once there is one: what precedes suffix, and the nodes before that.
	before byte
	nodes  []int32
}

// safe reports whether there is no hole. If there is one, the walker stays there.
func (w *walker) safe() bool {
	x := w.x
	if x.budget < 0 || len(w.suffix) > MaxHost {
		return true // examine knows that the budget is spent; no host is longer
	}
	host := strings.TrimSuffix(w.suffix, ".")
	if w.loopback && w.set[0] == 0 && !loopback(host) {
		return false
	}
	before := w.preceding()
	key := setKey(w.set)
	if i := slices.Index(w.path, key); i >= 0 {
		// It comes round here, so any number of names can be made; they differ from where
		// it was for the first time.
		w.suffix = w.suffix[len(w.path)-i:]
		for i, c := range before {
			if len(c.set) > 0 {
				w.before, w.nodes = x.columns[i].bytes[0], c.set
				break
			}
		}
		return false
	}
	w.path = append(w.path, key)
	defer func() { w.path = w.path[:len(w.path)-1] }()
	for i, c := range before {
		if len(c.set) == 0 {
			continue
		}
		if c.count > maxAlternatives && x.columns[i].kind != dotByte {
			w.nodes = c.set
			w.before = x.columns[i].bytes[0]
			return false
		}
		if x.columns[i].kind == dotByte && w.suffix != "" {
			if w.loopback && !loopback(host) {
				w.nodes, w.before = c.set, '.'
				return false
			}
			if owned(w.suffix) {
				continue
			}
		}
		suffix, set := w.suffix, w.set
		for _, b := range x.columns[i].bytes {
			w.suffix, w.set = string(b)+suffix, c.set
			if !w.safe() {
				return false
			}
		}
		w.suffix, w.set = suffix, set
	}
	return true
}

// A preceding column are the nodes from which its bytes lead into the walker's set, and
// how many bytes do so from the same states.
type preceding struct {
	set   []int32
	count int
}

func (w *walker) preceding() []preceding {
	x := w.x
	x.budget -= len(x.edges) + len(w.set)
	w.inside = append(w.inside[:0], make([]bool, len(x.nodes))...)
	inside := w.inside
	for _, node := range w.set {
		inside[node] = true
	}
	list := make([]preceding, len(x.columns))
	for i, to := range x.edges {
		if to >= 0 && inside[to] {
			c := i % len(x.columns)
			list[c].set = append(list[c].set, int32(i/len(x.columns)))
		}
	}
	// Whether a label is a number so far makes no difference to what the operator wrote,
	// so it is the automaton's states that count.
	states := make([][]int32, len(list))
	for i, c := range list {
		if x.columns[i].kind == dotByte {
			continue
		}
		for _, node := range c.set {
			states[i] = append(states[i], int32(x.nodes[node].state))
		}
		slices.Sort(states[i])
		states[i] = slices.Compact(states[i])
	}
	for i, c := range list {
		for j := range list {
			if len(c.set) > 0 && slices.Equal(states[i], states[j]) {
				list[i].count += len(x.columns[j].bytes)
			}
		}
	}
	return list
}

func setKey(set []int32) string {
	b := make([]byte, 0, 4*len(set))
	for _, n := range set {
		b = append(b, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	}
	return string(b)
}

// origin is an origin at the hole: one that speaks for itself, if there is such a one.
func (w *walker) origin() string {
	x := w.x
	suffix := w.suffix
	var begins []string
	for _, word := range [...]string{"evil", "evil-", "x", "evil."} {
		begins = append(begins, word+suffix)
	}
	if suffix == "" || suffix == "." {
		begins = []string{"evil.example", "evil"}
		if len(x.ends) > 0 {
			begins = append(begins, x.path(x.ends[0])+".evil.example", x.path(x.ends[0])+"evil.example")
		}
	}
	for _, node := range w.nodes {
		begins = append(begins, x.path(node)+"x"+suffix, x.path(node)+string(w.before)+suffix)
	}
	for _, host := range begins {
		if origin, ok := x.origin(host); ok && (suffix == "" || !owned(suffix) || !strings.HasSuffix(host, "."+suffix)) {
			return origin
		}
	}
	return "" // longer than an origin can be
}
