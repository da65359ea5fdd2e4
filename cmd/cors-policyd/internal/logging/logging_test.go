package logging

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A reader of the log may be stuck, or gone.
type reader struct {
	mu    sync.Mutex // is held while it is stuck
	gone  bool
	lines []string
}

func (r *reader) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone {
		return 0, errors.New("broken pipe")
	}
	r.lines = append(r.lines, string(line))
	return len(line), nil
}

// TestStuck: who writes never waits for a reader that is stuck; what doesn't fit is lost and counted, and said when
// it reads again.
func TestStuck(t *testing.T) {
	r := &reader{}
	w := NewWriter(r)
	for range 2 {
		before := w.Lost()
		r.mu.Lock()
		for i := range 3 * maxLines {
			if n, err := fmt.Fprintln(w, "line", i); n == 0 || err != nil {
				t.Fatal(n, err)
			}
		}
		w.Flush(time.Millisecond) // returns all the same
		if lost := w.Lost() - before; lost < 2*maxLines-1 || lost > 2*maxLines {
			t.Errorf("%d lines are lost", lost)
		}
		r.mu.Unlock()
		w.Flush(time.Minute)
	}
	lost := w.Lost()
	lines, told := 0, 0 // it may be told twice, as some are lost before the first one is written
	for _, line := range r.lines {
		_, text, tells := strings.Cut(strings.TrimSpace(line), "lines=")
		if n, err := strconv.Atoi(text); tells && err == nil {
			told += n
		} else {
			lines++
		}
	}
	if lines != 2*3*maxLines-int(lost) || told != int(lost) {
		t.Errorf("there are %d lines, %d are lost, and %d are told to be", lines, lost, told)
	}
}

// TestGone: a reader that is gone is none to wait for either, and one that comes back has all that follows.
func TestGone(t *testing.T) {
	r := &reader{gone: true}
	w := NewWriter(r)
	fmt.Fprintln(w, "one")
	w.Flush(time.Minute)
	r.mu.Lock()
	r.gone = false
	r.mu.Unlock()
	fmt.Fprintln(w, "two")
	w.Flush(time.Minute)
	if w.Lost() != 1 || len(r.lines) != 2 || !strings.Contains(r.lines[0], "lines=1\n") || r.lines[1] != "two\n" {
		t.Errorf("%d lost, and %q", w.Lost(), r.lines)
	}
}

// TestLong: a line is cut that is longer than any should be, and what follows it isn't.
func TestLong(t *testing.T) {
	r := &reader{}
	w := NewWriter(r)
	long := strings.Repeat("x", 10*maxLine) + "\n"
	if n, err := w.Write([]byte(long)); n != len(long) || err != nil {
		t.Error(n, err)
	}
	fmt.Fprintln(w, "next")
	w.Flush(time.Minute)
	if len(r.lines) != 2 || len(r.lines[0]) != maxLine ||
		!strings.HasSuffix(r.lines[0], "x…\n") || r.lines[1] != "next\n" {
		t.Errorf("%d lines, the first of %d bytes", len(r.lines), len(r.lines[0]))
	}
}

// TestLines: a line that is too long ends with an ellipsis, and who has written it has it as it was.
func TestLines(t *testing.T) {
	for _, more := range []int{-1, 0, 1, maxLine} {
		r := &reader{}
		w := NewWriter(r)
		given := strings.Repeat("x", maxLine+more-1) + "\n"
		line, want := []byte(given), given
		if more > 0 {
			want = given[:maxLine-len("…\n")] + "…\n"
		}
		if n, err := w.Write(line); n != len(line) || err != nil {
			t.Errorf("%d more: %d %v", more, n, err)
		}
		w.Flush(time.Minute)
		if strings.Join(r.lines, "") != want || string(line) != given {
			t.Errorf("%d more: another line of %d bytes is written, or it is changed", more, len(r.lines[0]))
		}
	}
}
