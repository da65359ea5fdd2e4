package main

import "testing"

func TestBoundedForgetsTheOldest(t *testing.T) {
	for _, test := range []struct {
		name        string
		add, size   int
		kept, bytes int
	}{
		{"few", 3, 10, 3, 30},
		{"many", kept + 20, 10, kept, kept * 10},
		{"long", 9, keptBytes / 4, 4, keptBytes},
		{"too long for it", 2, keptBytes + 1, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var list bounded[int]
			for i := range test.add {
				list.add(i, test.size)
			}
			if len(list.items) != test.kept || len(list.sizes) != test.kept || list.bytes != test.bytes {
				t.Errorf("%d items of %d bytes, want %d of %d", len(list.items), list.bytes, test.kept, test.bytes)
			}
			if n := len(list.items); n > 0 && list.items[n-1] != test.add-1 {
				t.Errorf("the latest is %d, want %d", list.items[n-1], test.add-1)
			}
		})
	}
}
