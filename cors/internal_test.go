package cors

import (
	"strings"
	"testing"
)

// TestOutcomes: each outcome has a name and comes of a decision, and each decision on a
// CORS request has an outcome.
func TestOutcomes(t *testing.T) {
	names, reached := map[string]bool{}, map[Outcome]bool{}
	for o := NotCounted; o < Outcomes; o++ {
		if name := o.String(); names[name] || (name == "") != (o == NotCounted) {
			t.Errorf("outcome %d has the name %q", o, name)
		}
		names[o.String()] = true
	}
	for r := Reason(0); r < reasons; r++ {
		for _, preflight := range []bool{false, true} {
			d := Decision{Preflight: preflight, Reason: r}
			o := d.Outcome()
			reached[o] = true
			asks := r == Allowed || r == OriginMalformed || r == OriginNotAllowed ||
				preflight && r != NoOrigin && r != PolicyOff
			if (o != NotCounted) != asks || asks && strings.HasPrefix(o.String(), "preflight_") != preflight ||
				asks && strings.Contains(o.String(), "denied") == (r == Allowed) {
				t.Errorf("reason %s, preflight %t: %q", r, preflight, o)
			}
		}
	}
	if len(reached) != int(Outcomes) {
		t.Errorf("only these are reached: %v", reached)
	}
}

func TestReasonsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for r := Reason(0); r < reasons; r++ {
		if name := r.String(); name == "" || seen[name] {
			t.Errorf("reason %d has the name %q", r, name)
		}
		seen[r.String()] = true
	}
	for _, r := range []Reason{reasons, reasons + 1, 255} {
		if name := r.String(); name != "unknown" {
			t.Errorf("reason %d has the name %q", r, name)
		}
	}
}

// TestAnswerKeepsLittle: one answer of many headers doesn't keep their room for good.
func TestAnswerKeepsLittle(t *testing.T) {
	for _, name := range []string{"x-a", "access-control-allow-origin"} {
		var a Answer
		for n, keeps := range map[int]bool{maxLines / 2: true, 2 * maxLines: false} {
			for range n {
				a.Observe(name, "")
			}
			a.Reset()
			if room := cap(a.cors) + cap(a.names); room > maxLines || (room > 0) != keeps {
				t.Errorf("after %d of %s there is room for %d", n, name, room)
			}
		}
	}
}
