package main

import "github.com/proxy-wasm-cors/proxy-wasm-cors/filter"

// A table finds streams by their ids. The host numbers them one after the other,
// so that those that live at the same time rarely share a slot.
type table struct {
	slots [256]slot
	more  map[uint32]*filter.Stream // whose slots are taken
}

type slot struct {
	id     uint32
	stream *filter.Stream // nil if the slot is free
}

func (t *table) slot(id uint32) *slot { return &t.slots[id%uint32(len(t.slots))] }

func (t *table) put(id uint32, s *filter.Stream) {
	if at := t.slot(id); at.stream == nil || at.id == id {
		*at = slot{id, s}
		return
	}
	if t.more == nil {
		t.more = map[uint32]*filter.Stream{}
	}
	t.more[id] = s
}

func (t *table) get(id uint32) *filter.Stream {
	if at := t.slot(id); at.id == id && at.stream != nil {
		return at.stream
	}
	return t.more[id]
}

func (t *table) remove(id uint32) *filter.Stream {
	if at := t.slot(id); at.id == id && at.stream != nil {
		s := at.stream
		at.stream = nil
		return s
	}
	s := t.more[id]
	delete(t.more, id)
	return s
}
