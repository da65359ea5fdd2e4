package main

import "testing"

func TestLinearMemory(t *testing.T) {
	const (
		vm = `7f92f3210000-7f92f3690000 rw-p 00000000 00:00 0
Size:               4608 kB
Rss:                3432 kB
7f92f3690000-7f94f3210000 ---p 00000000 00:00 0
Size:            8384000 kB
Rss:                   0 kB
`
		heap = `526aba400000-526ac0000000 rw-p 00000000 00:00 0
Rss:               85864 kB
`
		// V8's own reservation is of another size.
		cage = `42dd7fd00000-42dd7fe00000 rw-p 00000000 00:00 0
Rss:                1032 kB
42dd7fe00000-42ddc0000000 ---p 00000000 00:00 0
Rss:                   0 kB
`
	)
	for _, test := range []struct {
		name, smaps string
		kilobytes   int64
	}{
		{"one VM among others", heap + cage + vm + heap, 3432},
		{"two", vm + heap + vm, 2 * 3432},
		{"none", heap + cage, 0},
		{"something between", `7f92f3210000-7f92f3690000 rw-p 00000000 00:00 0
Rss:                3432 kB
7f92f36a0000-7f94f3210000 ---p 00000000 00:00 0
`, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := linearMemory(test.smaps)
			if got != test.kilobytes<<10 || (err == nil) != (got > 0) {
				t.Errorf("%d bytes, %v; want %d kB", got, err, test.kilobytes)
			}
		})
	}
}
