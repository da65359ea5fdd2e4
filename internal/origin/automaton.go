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

// run returns the state after s.
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

// originByte reports whether an origin can have the byte c.
func originByte(c byte) bool { return '!' <= c && c <= '~' }

// A charset is a set of ASCII characters.
type charset [2]uint64

func (s *charset) add(c byte)     { s[c/64] |= 1 << (c % 64) }
func (s charset) has(c byte) bool { return s[c/64]>>(c%64)&1 == 1 }

// instructionSet is what an instruction of a regex matches of the bytes of origins.
func instructionSet(inst *syntax.Inst) (s charset) {
	switch inst.Op {
	case syntax.InstRune1:
		if r := inst.Rune[0]; r < 128 && originByte(byte(r)) {
			s.add(byte(r))
		}
		return s
	case syntax.InstRune, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
	default:
		return s
	}
	for c := range byte(128) {
		if originByte(c) && inst.MatchRune(rune(c)) {
			s.add(c)
		}
	}
	return s
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

	elements          int // of all subsets
	todo, word, other []uint32
}

// A subset are the instructions in which the program can be, before a byte that is
// part of a word, and before another one.
type subset struct{ word, other []uint32 }

// determinize makes an automaton; ok is false if that takes more than the limits.
func determinize(prog *syntax.Prog, budget *RegexBudget) (a *automaton, ok bool) {
	steps := min(maxSteps, budget.steps)
	d := &determinizer{
		prog: prog, sets: make([]charset, len(prog.Inst)), steps: steps, a: &automaton{},
		index: map[string]uint16{}, mark: make([]uint32, len(prog.Inst)),
	}
	defer func() { budget.spend(steps - d.steps) }()
	seen := map[charset]bool{}
	var distinct []charset
	for i := range prog.Inst {
		inst := &prog.Inst[i]
		d.sets[i] = instructionSet(inst)
		if !seen[d.sets[i]] {
			seen[d.sets[i]] = true
			distinct = append(distinct, d.sets[i])
		}
		const boundary = syntax.EmptyWordBoundary | syntax.EmptyNoWordBoundary
		d.words = d.words || inst.Op == syntax.InstEmptyWidth && syntax.EmptyOp(inst.Arg)&boundary != 0
	}
	d.classify(distinct)
	d.states = make([]subset, 1, 64)
	d.a.final = append(make([]bool, 0, 64), false)
	d.a.next = append(make([]uint16, 0, 64*d.a.width), make([]uint16, d.a.width)...)
	if d.state([]uint32{uint32(prog.Start)}, -1) == deadState {
		// It matches nothing, and has a start all the same.
		d.a.final = append(d.a.final, false)
		d.a.next = append(d.a.next, make([]uint16, d.a.width)...)
		d.states = append(d.states, subset{})
	}
	var outs []uint32
	for state := startState; state < len(d.states); state++ {
		for class := 1; class < d.a.width; class++ {
			sample := d.samples[class]
			from := d.states[state].other
			if d.words && syntax.IsWordChar(rune(sample)) {
				from = d.states[state].word
			}
			outs = outs[:0]
			for _, pc := range from {
				if d.sets[pc].has(sample) {
					outs = append(outs, prog.Inst[pc].Out)
				}
			}
			d.steps -= 1 + len(from)
			if len(outs) == 0 {
				continue
			}
			to := d.state(outs, rune(sample))
			if d.steps < 0 || d.elements > maxElements || len(d.states) > maxStates || len(d.a.next) > maxEntries {
				return nil, false
			}
			d.a.next[state*d.a.width+class] = to
		}
	}
	return d.a.pruned(), true
}

// classify divides the bytes into classes that no instruction tells apart.
func (d *determinizer) classify(distinct []charset) {
	var class [128]int
	count := 2
	for c := range byte(128) {
		if originByte(c) {
			class[c] = 1
		}
	}
	if d.words {
		var word charset
		for c := range byte(128) {
			if syntax.IsWordChar(rune(c)) {
				word.add(c)
			}
		}
		distinct = append(distinct, word)
	}
	for _, set := range distinct {
		var inside, outside [128]bool // by class
		var split [128]int            // the class of the bytes in set, by their class so far
		for c := range byte(128) {
			if set.has(c) {
				inside[class[c]] = true
			} else {
				outside[class[c]] = true
			}
		}
		for c := range byte(128) {
			old := class[c]
			if old == 0 || !set.has(c) || !inside[old] || !outside[old] {
				continue
			}
			if split[old] == 0 {
				split[old] = count
				count++
			}
			class[c] = split[old]
		}
	}
	d.a.width = count
	d.samples = make([]byte, count)
	for c := range byte(128) {
		d.a.class[c] = uint8(class[c])
		d.samples[class[c]] = c
	}
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
	state := uint16(len(d.states))
	d.index[string(d.key)] = state
	d.states = append(d.states, subset{slices.Clone(d.word), slices.Clone(d.other)})
	d.elements += len(d.word) + len(d.other)
	d.a.final = append(d.a.final, final)
	d.a.next = append(d.a.next, make([]uint16, d.a.width)...)
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
	slices.Sort(list)
	return list, final
}

// pruned is the automaton without the states from which nothing can match any more.
func (a *automaton) pruned() *automaton {
	n := len(a.final)
	// The edges by where they lead, as lists in one slice.
	first := make([]int32, n+1)
	for _, to := range a.next {
		first[to]++
	}
	sum := int32(0)
	for i, count := range first {
		first[i], sum = sum, sum+count
	}
	from := make([]uint16, len(a.next))
	fill := slices.Clone(first)
	for i, to := range a.next {
		from[fill[to]] = uint16(i / a.width)
		fill[to]++
	}
	useful := make([]bool, n)
	var todo []uint16
	for state, final := range a.final {
		if final {
			useful[state] = true
			todo = append(todo, uint16(state))
		}
	}
	for len(todo) > 0 {
		to := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, state := range from[first[to]:first[to+1]] {
			if !useful[state] {
				useful[state] = true
				todo = append(todo, state)
			}
		}
	}
	renamed := make([]uint16, n)
	count := uint16(startState + 1)
	renamed[startState] = startState
	for state := startState + 1; state < n; state++ {
		if useful[state] {
			renamed[state] = count
			count++
		}
	}
	p := &automaton{class: a.class, width: a.width, next: make([]uint16, int(count)*a.width), final: make([]bool, count)}
	for state := startState; state < n; state++ {
		if to := int(renamed[state]); to != deadState {
			p.final[to] = a.final[state]
			for class := range a.width {
				p.next[to*a.width+class] = renamed[a.next[state*a.width+class]]
			}
		}
	}
	return p
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

// union is the automaton of what either of two matches, or nil if it has more than so
// many entries.
func union(a, b *automaton, limit int) *automaton {
	u := &automaton{}
	classes := [][2]int{{0, 0}} // of a and b, by the class of u
	for c := range byte(128) {
		if !originByte(c) {
			continue
		}
		pair := [2]int{int(a.class[c]), int(b.class[c])}
		i := slices.Index(classes[1:], pair) + 1
		if i == 0 {
			i = len(classes)
			classes = append(classes, pair)
		}
		u.class[c] = uint8(i)
	}
	u.width = len(classes)
	anyA, anyB := a.universal(), b.universal()
	type pair struct{ a, b uint16 }
	pairs := []pair{{}, {startState, startState}}
	index := map[pair]uint16{{}: deadState, {startState, startState}: startState}
	u.next = make([]uint16, u.width, 64*u.width)
	for state := startState; state < len(pairs); state++ {
		at := pairs[state]
		for class, c := range classes {
			var to pair
			if class > 0 {
				to = pair{a.next[int(at.a)*a.width+c[0]], b.next[int(at.b)*b.width+c[1]]}
			}
			switch {
			case anyA[to.a]:
				to.b = deadState
			case anyB[to.b]:
				to.a = deadState
			}
			next, ok := index[to]
			if !ok {
				if len(pairs) == maxStates || (len(pairs)+1)*u.width > limit {
					return nil
				}
				next = uint16(len(pairs))
				index[to] = next
				pairs = append(pairs, to)
			}
			u.next = append(u.next, next)
		}
	}
	u.next = slices.Clone(u.next)
	u.final = make([]bool, len(pairs))
	for state, at := range pairs {
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
	return slices.Concat(left, right), entries
}
