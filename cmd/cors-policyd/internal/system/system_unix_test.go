//go:build unix

package system

import (
	"syscall"
	"testing"
)

// TestMaxDescriptors: it is what the system says.
func TestMaxDescriptors(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if got, want := MaxDescriptors(), int(min(limit.Cur, 1<<30)); got != want {
		t.Errorf("%d files may be open, want %d", got, want)
	}
}
