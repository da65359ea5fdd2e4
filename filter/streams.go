package filter

// Streams finds streams by the ids that the host has given them. It numbers them one
// after the other, so that those that live at the same time rarely share a slot.
type Streams struct {
	slots [256]slot
	more  map[uint32]*Stream // whose slots are taken
}

type slot struct {
	id     uint32
	stream *Stream // nil if the slot is free
}

func (t *Streams) slot(id uint32) *slot { return &t.slots[id%uint32(len(t.slots))] }

// Put adds a stream, in place of one of its id.
func (t *Streams) Put(id uint32, s *Stream) {
	if at := t.slot(id); at.stream == nil || at.id == id {
		*at = slot{id, s}
		return
	}
	if t.more == nil {
		t.more = map[uint32]*Stream{}
	}
	t.more[id] = s
}

// Get returns the stream of an id, or nil.
func (t *Streams) Get(id uint32) *Stream {
	if at := t.slot(id); at.id == id && at.stream != nil {
		return at.stream
	}
	return t.more[id]
}

// Remove removes the stream of an id, and returns it, or nil.
func (t *Streams) Remove(id uint32) *Stream {
	if at := t.slot(id); at.id == id && at.stream != nil {
		s := at.stream
		at.stream = nil
		return s
	}
	s := t.more[id]
	delete(t.more, id)
	return s
}
