// This is no package of its own: TestClockJumps adds it to cors-policyd, whose time of day may jump then.
package main

import (
	"os"
	"syscall"
	"unsafe"
)

// jumped is by how many seconds the time of day is put forward, shared with the test by a file.
var jumped *int64

// hook has Go's runtime read its clocks by the function of the assembly, in place of Linux's.
func hook()

func init() {
	file, err := os.Open(os.Getenv("CLOCK"))
	if err != nil {
		panic(err)
	}
	defer file.Close()
	page, err := syscall.Mmap(int(file.Fd()), 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	jumped = (*int64)(unsafe.Pointer(&page[0]))
	hook()
}
