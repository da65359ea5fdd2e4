package filter

import (
	"math/rand/v2"
	"testing"
)

// TestStreams: streams are found whatever their ids have in common, as in a map.
func TestStreams(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, next := range map[string]func(n uint32) uint32{
		"one after the other": func(n uint32) uint32 { return n },
		"all in one slot":     func(n uint32) uint32 { return n * uint32(len(Streams{}.slots)) },
		"at random":           func(uint32) uint32 { return random.Uint32() },
	} {
		t.Run(name, func(t *testing.T) {
			var streams Streams
			want := map[uint32]*Stream{}
			var ids []uint32
			for n := range uint32(5_000) {
				id := next(n)
				if want[id] == nil {
					want[id] = &Stream{}
					streams.Put(id, want[id])
				}
				if n%3 == 0 { // another one in its place
					want[id] = &Stream{}
					streams.Put(id, want[id])
				}
				ids = append(ids, id)
				// As many live at the same time as there are slots, now more and now fewer.
				for len(ids) > 0 && random.IntN(len(ids)+len(streams.slots)) < len(ids) {
					i := random.IntN(len(ids))
					gone := ids[i]
					if got := streams.Remove(gone); got != want[gone] {
						t.Fatalf("removed %p as %d, want %p", got, gone, want[gone])
					}
					delete(want, gone)
					ids[i] = ids[len(ids)-1]
					ids = ids[:len(ids)-1]
				}
				for _, id := range append(ids, id, n, ^n) {
					if got := streams.Get(id); got != want[id] {
						t.Fatalf("found %p as %d, want %p", got, id, want[id])
					}
				}
			}
		})
	}
}
