package main

// What a bounded list keeps at most: a run of the whole page is some dozen requests.
const (
	kept      = 1000
	keptBytes = 4 << 20
)

// A bounded list forgets its oldest items, whoever sends requests, and however long they are.
type bounded[T any] struct {
	items []T
	sizes []int // of the items, in bytes
	bytes int   // of all
}

// add appends an item of a size.
func (b *bounded[T]) add(item T, size int) {
	b.items, b.sizes = append(b.items, item), append(b.sizes, size)
	b.bytes += size
	forget := 0
	for ; len(b.items)-forget > kept || b.bytes > keptBytes; forget++ {
		b.bytes -= b.sizes[forget]
	}
	if forget > 0 { // in arrays of their own, so that what is forgotten is free
		b.items, b.sizes = append([]T(nil), b.items[forget:]...), append([]int(nil), b.sizes[forget:]...)
	}
}
