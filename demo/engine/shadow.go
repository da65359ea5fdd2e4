package engine

import (
	"strconv"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/explain"
)

// A Shadow is what a policy in shadow mode would have done.
type Shadow struct {
	Preflight *Shadowed `json:"preflight"`
	Actual    *Shadowed `json:"actual"`
}

// A Shadowed is what a policy in shadow mode has decided, and how that compares with the
// answer that the page gets.
type Shadowed struct {
	Allowed bool `json:"allowed"`
	// Reason is the decision in words, and Outcome as what it is counted.
	Reason  string `json:"reason"`
	Outcome string `json:"outcome"`
	// Compared is same, looser or stricter, as the filter counts it, and Why the difference
	// in words.
	Compared string `json:"compared"`
	Why      string `json:"why"`
}

func (w *walker) shadow() *Shadow {
	if w.out.Mode != "shadow" {
		return nil
	}
	r := w.said.Request
	return &Shadow{
		Preflight: shadowed(w.said.Preflight, w.said.PreflightDecision, "OPTIONS", r.Preflight(), false),
		Actual:    shadowed(w.said.Actual, w.said.ActualDecision, r.Method, r.Actual(), r.CredentialsInclude),
	}
}

// shadowed compares a decision on a request with these lines with the answer; nil if there is
// none.
func shadowed(a *explain.Answer, d *cors.Decision, method string, lines [][2]string, cookie bool) *Shadowed {
	if a == nil {
		return nil
	}
	s := &Shadowed{Allowed: d.Allowed(), Reason: d.Why(), Outcome: counted(d), Compared: cors.Same.String()}
	if d.Reason == cors.NoOrigin { // which isn't compared
		return s
	}
	kept := d.Shadow(explain.Seen(method, lines, cookie))
	verdict, why := kept.Compare(answerToCompare(a))
	s.Compared, s.Why = verdict.String(), why
	return s
}

func answerToCompare(a *explain.Answer) *cors.Answer {
	answer := &cors.Answer{}
	answer.Observe(":status", strconv.Itoa(a.Status))
	for _, h := range a.Headers {
		answer.Observe(h[0], h[1])
	}
	return answer
}
