//go:build unix && !linux

package envoy

import "syscall"

// attributes keeps Envoy, in a group of its own, out of reach of the terminal's Ctrl-C.
func attributes(ownGroup bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: ownGroup}
}
