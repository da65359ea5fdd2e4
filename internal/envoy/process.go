package envoy

import (
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// A Process is a program that was started, an Envoy or what runs beside one. It doesn't outlive
// this process.
type Process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed once the process is gone
}

// forks starts processes, from one thread that lives as long as this process does. The
// kernel ends a child with the thread that has forked it, and Go ends threads at will.
var forks = sync.OnceValue(func() chan<- func() {
	forks := make(chan func())
	go func() {
		runtime.LockOSThread()
		for start := range forks {
			start()
		}
	}()
	return forks
})

// Spawn starts a program that doesn't outlive this process. In a group of its own the terminal's Ctrl-C doesn't
// reach it.
func Spawn(cmd *exec.Cmd, ownGroup bool) error {
	cmd.SysProcAttr = attributes(ownGroup)
	started := make(chan error)
	forks() <- func() { started <- cmd.Start() }
	return <-started
}

// Fork spawns a program, and waits for its end.
func Fork(cmd *exec.Cmd, ownGroup bool) (*Process, error) {
	if err := Spawn(cmd, ownGroup); err != nil {
		return nil, err
	}
	p := &Process{cmd, make(chan struct{})}
	go func() {
		_ = cmd.Wait() // The process's state says it all.
		close(p.exited)
	}()
	return p, nil
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited returns a channel that is closed once the process is gone, and all that it has
// written is read.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// HasExited reports whether the process is gone.
func (p *Process) HasExited() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// State returns how the process has ended, once it is gone.
func (p *Process) State() *os.ProcessState { return p.cmd.ProcessState }

// Stop ends the process, gently at first, and returns when it is gone.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // It may be gone already.
	select {
	case <-p.exited:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}
