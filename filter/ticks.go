package filter

import "time"

// ticks are those that the host calls a plugin for: for its source, and for a while in
// between to release streams. The host has one period for a plugin.
type ticks struct {
	host   Host
	period time.Duration // of the source's, 0 if there is none
	due    int64         // when the next of those is
	hurry  bool          // there are more in between
}

// every sets the period of the source's ticks.
func (t *ticks) every(period time.Duration) {
	period = max(period, time.Millisecond)
	changed := period != t.period
	t.period, t.due = period, monotonic()+period.Milliseconds()
	if changed && !t.hurry {
		t.host.SetTickPeriod(period)
	}
}

// source reports whether a tick is one of the source's.
func (t *ticks) source() bool {
	if t.hurry && (t.period == 0 || monotonic() < t.due) {
		return false
	}
	t.due = monotonic() + t.period.Milliseconds()
	return t.period > 0
}

// hasten has ticks come at once, one after the other, until calm is called.
func (t *ticks) hasten() {
	if !t.hurry {
		t.host.SetTickPeriod(time.Millisecond)
		t.hurry = true
	}
}

// calm ends the ticks in between. The source's next one may be late by as much as its
// period.
func (t *ticks) calm() {
	if t.hurry {
		t.host.SetTickPeriod(t.period)
		t.hurry = false
	}
}
