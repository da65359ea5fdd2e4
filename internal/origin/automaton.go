package origin

import (
	"regexp/syntax"
	"slices"
)

// An automaton is the deterministic form of a regex that the whole origin must match,
// or of several regexes of which one must. A step for each byte of an origin decides,
// whatever the regex, and what the regex can match can be found out. It knows only the
// bytes that an origin can have.
type automaton struct {
	class [128]uint8 // of each byte; class 0 is that of the bytes that no origin has
	width int        // the number of classes
	next  []uint16   // by state and class
	final []bool     // by state
}

const (
	deadState  = 0 // leads nowhere
	startState = 1
)

// Limits of an automaton. What is beyond them is refused.
const (
	maxStates  = 4096
	maxEntries = 1 << 17 // of next
	// maxSteps bounds the work to make one from a regex.
	maxSteps = 4 << 20
	// maxAutomata is how many a policy may have, after they have been combined. It
	// bounds what a hostile origin costs.
	maxAutomata = 64
	// maxElements bounds the memory to make one.
	maxElements = 1 << 18
)

// MatchString reports whether one of the automaton's regexes matches all of s.
func (a *automaton) MatchString(s string) bool {
	return a.final[a.run(startState, s)]
}

// run returns the state after s. It isn't inlined: the copies would add 1 kB to the
// module.
//
//go:noinline
func (a *automaton) run(state uint16, s string) uint16 {
	for i := 0; i < len(s) && state != deadState; i++ {
		state = a.step(state, s[i])
	}
	return state
}

func (a *automaton) step(state uint16, c byte) uint16 {
	if c >= 128 {
		return deadState
	}
	return a.next[int(state)*a.width+int(a.class[c])]
}

// size is about how many bytes the automaton takes.
func (a *automaton) size() int {
	return 256 + 2*cap(a.next) + cap(a.final)
}

// The bytes that an origin can have.
const firstByte, lastByte = byte('!'), byte('~')

// A charset is a set of bytes of origins.
type charset [2]uint64

func (s charset) bit(c byte) uint64 { return s[c/64] >> (c % 64) & 1 }

func charsetOf(has func(c rune) bool) (s charset) {
	for c := firstByte; c <= lastByte; c++ {
		if has(rune(c)) {
			s[c/64] |= 1 << (c % 64)
		}
	}
	return s
}

// instructionSet is what an instruction of a regex matches of the bytes of origins.
func instructionSet(inst *syntax.Inst) charset {
	switch inst.Op {
	case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		return charsetOf(inst.MatchRune)
	default:
		return charset{}
	}
}

// A determinizer makes an automaton from a regex's program, by the subset construction.
type determinizer struct {
	prog  *syntax.Prog
	sets  []charset // of each instruction
	words bool      // the program has \b or \B, which look at the characters around
	steps int       // what is left

	a       *automaton
	samples []byte // a byte of each class
	states  []subset
	index   map[string]uint16
	mark    []uint32 // by instruction, the closure that has seen it last
	marks   uint32
	key     []byte

	elements                int // of all subsets
	todo, word, other, outs []uint32
}

// A subset are the instructions in which the program can be, before a byte that is
// part of a word, and before another one.
type subset struct{ word, other []uint32 }

// determinize makes an automaton; ok is false if that takes more than the limits.
func determinize(prog *syntax.Prog, budget *RegexBudget) (a *automaton, ok bool) {
	steps := min(maxSteps, budget.steps)
	d := &determinizer{
		prog: prog, sets: make([]charset, len(prog.Inst)), steps: steps, a: &automaton{},
		states: make([]subset, 0, 64), index: map[string]uint16{}, mark: make([]uint32, len(prog.Inst)),
	}
	defer func() { budget.spend(steps - d.steps) }()
	d.classify()
	d.add(subset{}, false)
	if d.state([]uint32{uint32(prog.Start)}, -1) == deadState {
		d.add(subset{}, false) // it matches nothing, and has a start all the same
	}
	for state := startState; state < len(d.states); state++ {
		for class := 1; class < d.a.width; class++ {
			d.a.next[state*d.a.width+class] = d.step(d.states[state], d.samples[class])
			if d.steps < 0 || d.elements > maxElements || len(d.states) > maxStates || len(d.a.next) > maxEntries {
				return nil, false
			}
		}
	}
	return d.a.pruned(), true
}

// classify divides the bytes into classes that no instruction tells apart.
func (d *determinizer) classify() {
	distinct := map[charset]bool{}
	for i := range d.prog.Inst {
		inst := &d.prog.Inst[i]
		d.sets[i] = instructionSet(inst)
		distinct[d.sets[i]] = true
		const boundary = syntax.EmptyWordBoundary | syntax.EmptyNoWordBoundary
		d.words = d.words || inst.Op == syntax.InstEmptyWidth && syntax.EmptyOp(inst.Arg)&boundary != 0
	}
	if d.words {
		distinct[charsetOf(syntax.IsWordChar)] = true
	}
	for c := firstByte; c <= lastByte; c++ {
		d.a.class[c] = 1
	}
	// The classes are counted by their first bytes, whatever the order of the sets.
	d.samples = make([]byte, 1, len(d.a.class))
	for set := range distinct {
		var split [128][2]uint8 // of a class, that of the bytes outside of the set, and in it
		d.samples = d.samples[:1]
		for c := firstByte; c <= lastByte; c++ {
			class := &split[d.a.class[c]][set.bit(c)]
			if *class == 0 {
				*class = uint8(len(d.samples))
				d.samples = append(d.samples, c)
			}
			d.a.class[c] = *class
		}
	}
	d.a.width = len(d.samples)
}

// step is the state after a subset and a byte.
func (d *determinizer) step(from subset, c byte) uint16 {
	list := from.other
	if d.words && syntax.IsWordChar(rune(c)) {
		list = from.word
	}
	d.outs = d.outs[:0]
	for _, pc := range list {
		if d.sets[pc].bit(c) == 1 {
			d.outs = append(d.outs, d.prog.Inst[pc].Out)
		}
	}
	d.steps -= 1 + len(list)
	if len(d.outs) == 0 {
		return deadState
	}
	return d.state(d.outs, rune(c))
}

// add adds a state. It isn't inlined: the copies would add 3 kB to the module.
//
//go:noinline
func (d *determinizer) add(s subset, final bool) (state uint16) {
	d.states = append(d.states, s)
	d.elements += len(s.word) + len(s.other)
	d.a.final = append(d.a.final, final)
	d.a.next = append(d.a.next, make([]uint16, d.a.width)...)
	return uint16(len(d.states) - 1)
}

// state is the state of a program that goes on with the instructions, after the
// character behind, or -1 at the beginning.
func (d *determinizer) state(seeds []uint32, behind rune) uint16 {
	if !d.words && behind >= 0 {
		behind = '.'
	}
	_, final := d.closure(d.other, seeds, syntax.EmptyOpContext(behind, -1))
	d.other, _ = d.closure(d.other, seeds, syntax.EmptyOpContext(behind, '.'))
	if d.words {
		d.word, _ = d.closure(d.word, seeds, syntax.EmptyOpContext(behind, 'a'))
	}
	if !final && len(d.other) == 0 && len(d.word) == 0 {
		return deadState
	}
	d.key = d.key[:0]
	if final {
		d.key = append(d.key, 1)
	}
	for _, list := range [...][]uint32{d.other, d.word} {
		d.key = append(d.key, 0xff, 0xff)
		for _, pc := range list {
			d.key = append(d.key, byte(pc>>8), byte(pc))
		}
	}
	if known, ok := d.index[string(d.key)]; ok {
		return known
	}
	state := d.add(subset{slices.Clone(d.word), slices.Clone(d.other)}, final)
	d.index[string(d.key)] = state
	return state
}

// closure follows the instructions that consume nothing, where assertions hold that
// the context satisfies. It returns those that consume a byte, sorted, in the memory of
// list, and whether the program can end.
func (d *determinizer) closure(list, seeds []uint32, context syntax.EmptyOp) (_ []uint32, final bool) {
	d.marks++
	list = list[:0]
	todo := d.todo[:0]
	todo = append(todo, seeds...)
	for len(todo) > 0 {
		pc := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if d.mark[pc] == d.marks {
			continue
		}
		d.mark[pc] = d.marks
		d.steps--
		switch inst := &d.prog.Inst[pc]; inst.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			todo = append(todo, inst.Out, inst.Arg)
		case syntax.InstCapture, syntax.InstNop:
			todo = append(todo, inst.Out)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(inst.Arg)&^context == 0 {
				todo = append(todo, inst.Out)
			}
		case syntax.InstMatch:
			final = true
		case syntax.InstFail:
		default:
			list = append(list, pc)
		}
	}
	d.todo = todo
	sortNumbers(list)
	return list, final
}

// sortNumbers sorts a list, by heapsort. The sort of package slices would be 16 kB of the
// module, for each type of numbers.
func sortNumbers(list []uint32) {
	for i := len(list)/2 - 1; i >= 0; i-- {
		siftDown(list, i)
	}
	for end := len(list) - 1; end > 0; end-- {
		list[0], list[end] = list[end], list[0]
		siftDown(list[:end], 0)
	}
}

// siftDown makes a heap of the numbers from root on, below which are heaps.
func siftDown(list []uint32, root int) {
	for {
		child := 2*root + 1
		if child >= len(list) {
			return
		}
		if child+1 < len(list) && list[child] < list[child+1] {
			child++
		}
		if list[root] >= list[child] {
			return
		}
		list[root], list[child] = list[child], list[root]
		root = child
	}
}

// pruned is the automaton without the states from which nothing can match any more.
func (a *automaton) pruned() *automaton {
	useful := leadTo(slices.Clone(a.final), a.next, a.width)
	renamed := make([]uint16, len(useful))
	renamed[startState] = startState
	count := startState + 1
	for state := startState + 1; state < len(useful); state++ {
		if useful[state] {
			renamed[state] = uint16(count)
			count++
		}
	}
	p := &automaton{class: a.class, width: a.width, next: make([]uint16, 0, count*a.width), final: make([]bool, count)}
	for state, to := range renamed {
		if state != deadState && to == deadState {
			continue
		}
		p.final[to] = a.final[state]
		for _, next := range a.next[state*a.width : (state+1)*a.width] {
			p.next = append(p.next, renamed[next])
		}
	}
	return p
}

// leadTo adds to a set of states those that lead there, by the next states of each.
func leadTo(set []bool, next []uint16, width int) []bool {
	// The steps by where they lead, as linked lists: the last one plus one, and for each the one before it.
	last, before := make([]int32, len(set)), make([]int32, len(next))
	for i, to := range next {
		before[i], last[to] = last[to], int32(i+1)
	}
	var todo []int
	for state, in := range set {
		if in {
			todo = append(todo, state)
		}
	}
	for len(todo) > 0 {
		to := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for i := last[to]; i > 0; i = before[i-1] {
			if state := int(i-1) / width; !set[state] {
				set[state] = true
				todo = append(todo, state)
			}
		}
	}
	return set
}

// reachable are states, and those to which bytes of a set lead from there.
func (a *automaton) reachable(from []uint16, bytes charset) (list []uint16) {
	seen := make([]bool, len(a.final))
	seen[deadState] = true
	add := func(state uint16) {
		if !seen[state] {
			seen[state] = true
			list = append(list, state)
		}
	}
	for _, state := range from {
		add(state)
	}
	for i := 0; i < len(list); i++ {
		for c := firstByte; c <= lastByte; c++ {
			if bytes.bit(c) == 1 {
				add(a.step(list[i], c))
			}
		}
	}
	return list
}

// universal finds the states that match whatever follows.
func (a *automaton) universal() []bool {
	list := make([]bool, len(a.final))
	for state := range list {
		list[state] = a.final[state]
		for class := 1; class < a.width; class++ {
			list[state] = list[state] && int(a.next[state*a.width+class]) == state
		}
	}
	return list
}

// A numbering numbers pairs in the order in which they come.
type numbering struct {
	list []pair
	of   map[pair]uint16
}

type pair struct{ a, b uint16 }

// number isn't inlined: the copies would add 3 kB to the module.
//
//go:noinline
func (n *numbering) number(p pair) uint16 {
	number, known := n.of[p]
	if !known {
		if n.of == nil {
			n.of = map[pair]uint16{}
		}
		number = uint16(len(n.list))
		n.of[p] = number
		n.list = append(n.list, p)
	}
	return number
}

// union is the automaton of what either of two matches, or nil if it has more than so
// many entries.
func union(a, b *automaton, limit int) *automaton {
	var classes, states numbering
	classes.number(pair{})
	u := &automaton{}
	for c := range u.class {
		u.class[c] = uint8(classes.number(pair{uint16(a.class[c]), uint16(b.class[c])}))
	}
	u.width = len(classes.list)
	anyA, anyB := a.universal(), b.universal()
	states.number(pair{})
	states.number(pair{startState, startState})
	u.next = make([]uint16, u.width, 64*u.width)
	for state := startState; state < len(states.list); state++ {
		at := states.list[state]
		for _, class := range classes.list {
			to := pair{a.next[int(at.a)*a.width+int(class.a)], b.next[int(at.b)*b.width+int(class.b)]}
			switch {
			case anyA[to.a]:
				to.b = deadState
			case anyB[to.b]:
				to.a = deadState
			}
			u.next = append(u.next, states.number(to))
			if n := len(states.list); n > maxStates || n*u.width > limit {
				return nil
			}
		}
	}
	u.next = slices.Clone(u.next)
	u.final = make([]bool, len(states.list))
	for state, at := range states.list {
		u.final[state] = a.final[at.a] || b.final[at.b]
	}
	return u
}

// combine makes one automaton of many, or as few as the limits allow: so that an origin
// costs about the same for a hundred regexes as for one.
func combine(list []*automaton, budget *RegexBudget) []*automaton {
	combined, _ := combineTree(list, budget)
	return combined
}

// combineTree combines the halves of the list first, because so each regex is part of
// few unions. entries is how many all of the list's have.
func combineTree(list []*automaton, budget *RegexBudget) (combined []*automaton, entries int) {
	if len(list) < 2 {
		for _, a := range list {
			entries += len(a.next)
		}
		return list, entries
	}
	left, n := combineTree(list[:len(list)/2], budget)
	right, m := combineTree(list[len(list)/2:], budget)
	entries = n + m
	if len(left) == 1 && len(right) == 1 {
		// Memory stays linear in that of the regexes alone.
		limit := min(maxEntries, 4*entries, budget.steps/4)
		u := union(left[0], right[0], limit)
		if u != nil {
			budget.spend(4 * len(u.next))
			return []*automaton{u}, entries
		}
		budget.spend(4 * limit)
	}
	return append(left[:len(left):len(left)], right...), entries
}
