package fleet

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// Resident returns how many bytes of memory a process has.
func Resident(tb testing.TB, pid int) int { tb.Helper(); return memory(tb, pid, vmRSS) }

// Peak returns how many bytes of memory a process has had at the most.
func Peak(tb testing.TB, pid int) int { tb.Helper(); return memory(tb, pid, vmHWM) }

var (
	vmRSS = regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB$`)
	vmHWM = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)
)

func memory(tb testing.TB, pid int, line *regexp.Regexp) int {
	tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		tb.Fatal(err)
	}
	match := line.FindSubmatch(status)
	if match == nil {
		tb.Fatalf("no %s in %s", line, status)
	}
	kibibytes, err := strconv.Atoi(string(match[1]))
	if err != nil {
		tb.Fatal(err)
	}
	return kibibytes << 10
}

// CPU returns the processor's time that the threads of a process have used.
func CPU(tb testing.TB, pid int) (used time.Duration) {
	tb.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range threads {
		var nanoseconds int64
		text, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended
		}
		if _, err := fmt.Sscan(string(text), &nanoseconds); err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		used += time.Duration(nanoseconds)
	}
	return used
}
