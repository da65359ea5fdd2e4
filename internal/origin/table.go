package origin

import (
	"hash/maphash"
	"strings"
)

// An originTable is a set of origins and patterns in one block of memory: beside the
// texts themselves an entry costs eight bytes, in an index of open addressing, of which
// a quarter at least is free. A map of strings would cost five times as much, and the
// collector a visit to each string (RATIONALE.md, "What a policy set weighs").
type originTable struct {
	text  strings.Builder
	slots []tableSlot // a power of two of them
}

// A tableSlot says where a text is. The zero value is a free slot: no text is empty.
type tableSlot struct {
	offset uint32
	// mark has the text's length in its lower lengthBits, and above them bits of its
	// hash, so that few texts are compared in vain.
	mark uint32
}

// lengthBits has room for the length of each pattern.
const lengthBits = 9

const maxTableText = 1<<lengthBits - 1

// Each text of allow_origins fits.
var _ [maxTableText - maxOrigin - len("*.") - len(":*")]struct{}

// The seed keeps those who choose origins, on either side, from choosing collisions.
var tableSeed = maphash.MakeSeed()

// newOriginTable returns a table with room for n texts of so many bytes in all.
func newOriginTable(n, bytes int) *originTable {
	t := &originTable{}
	size := 8
	for size*3 < n*4 {
		size *= 2
	}
	t.slots = make([]tableSlot, size)
	t.text.Grow(bytes)
	return t
}

// add adds a text, and reports whether it wasn't there yet. There must be room.
func (t *originTable) add(s string) bool {
	h := maphash.String(tableSeed, s)
	slot := find(t, s, h)
	if slot.mark != 0 {
		return false
	}
	*slot = tableSlot{uint32(t.text.Len()), tableMark(h, len(s))}
	t.text.WriteString(s)
	return true
}

// get returns the table's own copy of a text, or "" if it has none.
func (t *originTable) get(s string) string {
	if t == nil || len(s) > maxTableText {
		return ""
	}
	return t.at(*find(t, s, maphash.String(tableSeed, s)))
}

// has is get for a text that was put together in a buffer.
func (t *originTable) has(s []byte) bool {
	return t != nil && len(s) <= maxTableText && find(t, s, maphash.Bytes(tableSeed, s)).mark != 0
}

// find is the slot of a text with the hash h, or the free one in which it would be.
func find[S string | []byte](t *originTable, s S, h uint64) *tableSlot {
	mark, mask := tableMark(h, len(s)), uint64(len(t.slots)-1)
	for i := h & mask; ; i = (i + 1) & mask {
		slot := &t.slots[i]
		if slot.mark == 0 || slot.mark == mark && t.at(*slot) == string(s) {
			return slot
		}
	}
}

func tableMark(h uint64, length int) uint32 {
	return uint32(h>>32)<<lengthBits | uint32(length)
}

func (t *originTable) at(slot tableSlot) string {
	return t.text.String()[slot.offset:][:slot.mark&maxTableText]
}

// size is about how many bytes of memory the table takes.
func (t *originTable) size() int {
	if t == nil {
		return 0
	}
	return 64 + t.text.Cap() + 8*cap(t.slots)
}
