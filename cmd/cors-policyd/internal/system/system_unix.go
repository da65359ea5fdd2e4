//go:build unix

package system

import (
	"os/signal"
	"syscall"
)

// OutliveOutput has writing to a pipe whose reader is gone, or beyond the size that a file may have, be an error.
// Both are signals that end a process otherwise.
func OutliveOutput() { signal.Ignore(syscall.SIGPIPE, syscall.SIGXFSZ) }

// MaxDescriptors is how many files and connections the process may have open, or 0 if that isn't known.
func MaxDescriptors() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	const most = 1 << 30 // is no limit
	return int(min(limit.Cur, most))
}
