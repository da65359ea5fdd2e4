package envoy

import "syscall"

// attributes ends Envoy if this process is killed. In a group of its own it is out of
// reach of the terminal's Ctrl-C.
func attributes(ownGroup bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: ownGroup, Pdeathsig: syscall.SIGKILL}
}
