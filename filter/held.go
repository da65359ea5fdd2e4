//go:build faults

package filter

// What the module holds, for tests that it holds nothing when all is over. Only builds with the
// tag faults tell.

// Len returns how many streams there are.
func (t *Streams) Len() int {
	n := len(t.more)
	for i := range t.slots {
		if t.slots[i].stream != nil {
			n++
		}
	}
	return n
}

// Waiting returns how many streams wait for the plugin's look-ups.
func (p *Plugin) Waiting() (n int) {
	count := func(a *ask) {
		for w := a.first; w != nil; w = w.next {
			n++
		}
	}
	for _, a := range p.asks {
		count(a)
	}
	for _, a := range p.answers {
		count(a)
	}
	return n
}

// Asked returns how many look-ups are under way.
func (vm *VM) Asked() int { return vm.asked }
