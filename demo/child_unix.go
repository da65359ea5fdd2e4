//go:build unix && !linux

package main

import "syscall"

// childAttributes puts Envoy out of reach of the terminal's Ctrl-C, which the
// demo passes on once.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
