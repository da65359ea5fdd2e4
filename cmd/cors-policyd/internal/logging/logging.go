// Package logging writes a log whose reader may be slow, stuck or gone, and never waits for it.
package logging

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// Limits of what waits to be written. A line that is longer is cut, one that is beyond is lost.
const (
	maxLines = 1000
	maxLine  = 16 << 10
)

// A Writer passes lines on. Whoever writes doesn't wait: a log that nobody reads must not keep policies from
// being served.
type Writer struct {
	out   io.Writer
	queue chan entry
	lost  atomic.Uint64
}

// An entry is a line, or nil and who wants to know that all before it was written.
type entry struct {
	line    []byte
	flushed chan<- struct{}
}

// NewWriter returns a Writer that passes lines on to another one, of which it is the only user.
func NewWriter(out io.Writer) *Writer {
	w := &Writer{out: out, queue: make(chan entry, maxLines)}
	go w.pass()
	return w
}

// Write implements [io.Writer] for a line. It never fails.
func (w *Writer) Write(line []byte) (int, error) {
	n := len(line)
	if n > maxLine {
		line = append(line[:maxLine-len("…\n"):maxLine-len("…\n")], "…\n"...)
	}
	select {
	case w.queue <- entry{line: bytes.Clone(line)}:
	default:
		w.lost.Add(1)
	}
	return n, nil
}

// Lost is how many lines couldn't be written.
func (w *Writer) Lost() uint64 { return w.lost.Load() }

// Flush waits until what was written so far is passed on, for some time at the most.
func (w *Writer) Flush(most time.Duration) {
	flushed := make(chan struct{})
	end := time.After(most)
	select {
	case w.queue <- entry{flushed: flushed}:
	case <-end:
		return
	}
	select {
	case <-flushed:
	case <-end:
	}
}

// pass writes the lines, and says how many are missing as soon as something can be written again.
func (w *Writer) pass() {
	var told uint64
	for e := range w.queue {
		if e.flushed != nil {
			close(e.flushed)
			continue
		}
		if lost := w.lost.Load(); lost > told {
			now := time.Now().Format("2006-01-02T15:04:05.000Z07:00")
			text := fmt.Sprintf("time=%s level=WARN msg=\"lines of the log are lost\" lines=%d\n", now, lost-told)
			if _, err := io.WriteString(w.out, text); err == nil {
				told = lost
			}
		}
		if _, err := w.out.Write(e.line); err != nil {
			w.lost.Add(1)
		}
	}
}
