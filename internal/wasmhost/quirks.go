package wasmhost

import (
	"crypto/rand"
	"io"
	"time"
)

// Quirks are what a host has otherwise than Envoy, for tests of what the module then does. The
// zero value is Envoy's ways.
type Quirks struct {
	// Fails has functions that do nothing, as "module.name", and the status that they return;
	// proc_exit then returns to the module. It may change while the VM runs.
	Fails map[string]uint32
	// Clock returns what one of WASI's clocks says in nanoseconds, 0 the real time and 1 the
	// monotonic one, of what it would say.
	Clock func(clock uint32, now uint64) uint64
	// Random fills b with what random_get gives, which else is random.
	Random func(b []byte)
	// Time is what the proxy's clock begins with, which then stands still but for [VM.Run],
	// [VM.SetBack] and ticks. Where it is zero, time passes.
	Time time.Time
	// Trace is what a trace of everything that the module sees is written to, see [VM.TraceMemory].
	Trace io.Writer
}

func (q *Quirks) random(b []byte) {
	if q.Random != nil {
		q.Random(b)
		return
	}
	rand.Read(b)
}

func (q *Quirks) clock(clock uint32, now uint64) uint64 {
	if q.Clock != nil {
		return q.Clock(clock, now)
	}
	return now
}
