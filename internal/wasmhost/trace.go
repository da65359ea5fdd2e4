package wasmhost

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
)

// A trace is all that happens between a host and a module, in order, one event a line. A module
// does the same whenever it is told the same, down to the addresses, so that another engine which
// knows nothing of proxy-wasm can replay a trace and compare:
//
//	enter NAME ARGUMENT…   the host calls an export,
//	leave RESULT…          and that returns; what it imports is called in between
//	call NAME ARGUMENT…    the module calls an import,
//	read ADDRESS BASE64    of which the host reads memory,
//	write ADDRESS BASE64   and writes there, and may enter the module once more,
//	return RESULT…         before it returns
//	memory SIZE SHA256     what the module's memory is now, which no call belongs to
//
// Numbers are decimal and without sign.
type trace struct{ to *bufio.Writer }

func newTrace(to io.Writer) *trace {
	if to == nil {
		return nil
	}
	return &trace{bufio.NewWriter(to)}
}

// add adds an event with numbers.
func (t *trace) add(event string, numbers ...uint64) {
	if t == nil {
		return
	}
	fmt.Fprint(t.to, event)
	for _, n := range numbers {
		fmt.Fprintf(t.to, " %d", n)
	}
	fmt.Fprintln(t.to)
}

// bytes adds an event with an address in memory and what is there.
func (t *trace) bytes(event string, address uint32, b string) {
	if t != nil {
		fmt.Fprintf(t.to, "%s %d %s\n", event, address, base64.StdEncoding.EncodeToString([]byte(b)))
	}
}

// TraceMemory adds to the trace what the module's memory is, and has all of the trace written.
func (vm *VM) TraceMemory() error {
	memory, _ := vm.module.Memory().Read(0, vm.MemorySize())
	fmt.Fprintf(vm.trace.to, "memory %d %x\n", len(memory), sha256.Sum256(memory))
	return vm.trace.to.Flush()
}
