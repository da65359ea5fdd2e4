package main

import "syscall"

// childAttributes puts Envoy out of reach of the terminal's Ctrl-C, which the
// demo passes on once, and ends it if the demo is killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
