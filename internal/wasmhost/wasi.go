package wasmhost

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// WASI's error numbers.
const (
	badFile      status = 8
	noSystemCall status = 52
	notSupported status = 58
)

// wasiFunctions returns the functions of WASI that the Go runtime imports, and
// Envoy offers.
func wasiFunctions() map[string]function {
	answer := func(s status) func(*call) status { return func(*call) status { return s } }
	return map[string]function{
		"sched_yield":         {"", answer(success)},
		"args_get":            {"ii", answer(success)},
		"args_sizes_get":      {"ii", noStrings},
		"environ_get":         {"ii", answer(success)},
		"environ_sizes_get":   {"ii", noStrings},
		"clock_time_get":      {"iIi", clockTime},
		"random_get":          {"ii", random},
		"poll_oneoff":         {"iiii", answer(noSystemCall)},
		"proc_exit":           {"!i", exit},
		"fd_write":            {"iiii", write},
		"fd_close":            {"i", answer(success)},
		"fd_fdstat_get":       {"ii", fileStatus},
		"fd_fdstat_set_flags": {"ii", answer(noSystemCall)},
		"fd_prestat_get":      {"ii", answer(badFile)},
		"fd_prestat_dir_name": {"iii", answer(badFile)},
	}
}

func exit(c *call) status { panic(fmt.Errorf("proc_exit(%d)", c.u32(0))) }

// random is really so: what depends on the order of a map should fail here at
// times.
func random(c *call) status {
	b := make([]byte, c.u32(1))
	c.vm.quirks.random(b)
	return c.putString(0, string(b))
}

func noStrings(c *call) status {
	c.put(0, 0)
	return c.put(1, 0)
}

func clockTime(c *call) status {
	switch c.u32(0) {
	case 0:
		return c.put64(2, c.vm.quirks.clock(0, uint64(c.vm.now().UnixNano())))
	case 1:
		return c.put64(2, c.vm.quirks.clock(1, uint64(c.vm.monotonic())))
	}
	return notSupported
}

// write makes one log line of one write, as Envoy does.
func write(c *call) status {
	if c.u32(0) != 1 && c.u32(0) != 2 {
		return badFile
	}
	var b strings.Builder
	for i := range c.u32(2) {
		vector := []byte(c.read(c.u32(1)+8*i, 8))
		b.WriteString(c.read(binary.LittleEndian.Uint32(vector), binary.LittleEndian.Uint32(vector[4:])))
	}
	if c.u32(0) == 2 {
		c.vm.stderr.WriteString(b.String())
	}
	if b.Len() > 0 {
		c.vm.log(2*c.u32(0), strings.TrimSuffix(b.String(), "\n"))
	}
	return c.put(3, uint32(b.Len()))
}

// fileStatus says that standard output and error can be written.
func fileStatus(c *call) status {
	if c.u32(0) != 1 && c.u32(0) != 2 {
		return badFile
	}
	const rights = 64 // Of the three 64-bit words, the second.
	return c.putString(1, strings.Repeat("\x00", 8)+string(rune(rights))+strings.Repeat("\x00", 15))
}
