package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"unicode/utf8"
)

// policies gives the running Envoy other policies: those of edits of its configuration's
// file, and those that the page applies. The latest one counts.
type policies struct {
	app      *app
	reasons  *reasons
	reloader *reloader // nil where Envoy takes none while it runs
	out      io.Writer // the terminal
	mu       sync.Mutex
}

// hand has take give Envoy a configuration, and lets the page know of it: one after the other,
// so that the page knows the one that Envoy got last.
func (p *policies) hand(take func() (reload, error), know func(*facts, reload)) (reload, applied, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.app.edit(func(f *facts) { f.Changes++ })
	result, err := take()
	p.app.change(func(f *facts) {
		f.Changes++
		if err == nil {
			know(f, result)
		}
	})
	return result, p.outcome(result), err
}

// edited hands an edit of the file to Envoy.
func (p *policies) edited(ctx context.Context, text []byte) {
	file := p.reloader.proxy.config
	result, _, err := p.hand(func() (reload, error) { return p.reloader.takeFile(ctx, string(text)) }, fromFile)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		fmt.Fprintf(p.out, "\n%s has changed, but: %v\n\n", file, err)
		return
	}
	fmt.Fprintf(p.out, "\n%s has changed: %s\n\n", file, result.says)
}

// fromFile is what the page then knows of what is in the file.
func fromFile(f *facts, result reload) {
	f.Refused, f.Reasons = result.refused, result.reasons
	if !result.refused {
		f.Applied = false
	}
	if result.policy != "" {
		f.Policy = result.policy
	}
}

// fromPage is what the page then knows of a policy that it has applied.
func fromPage(f *facts, result reload) {
	if result.refused {
		return
	}
	f.Applied = true
	if result.policy != "" {
		f.Policy = result.policy
	}
}

// An applied is what became of a policy.
type applied struct {
	Accepted bool     `json:"accepted"`
	Policy   string   `json:"policy"` // what Envoy serves now
	Reasons  []string `json:"reasons"`
}

// apply gives a policy to Envoy, until the file is edited.
func (p *policies) apply(ctx context.Context, policy string) (applied, error) {
	text, err := os.ReadFile(p.reloader.proxy.config)
	if err != nil {
		return applied{}, err
	}
	take := func() (reload, error) { return p.reloader.takePolicy(ctx, string(text), policy) }
	result, outcome, err := p.hand(take, fromPage)
	if err == nil && !result.refused {
		fmt.Fprint(p.out, "\nThe page has applied a policy, which Envoy serves\n\n")
	}
	return outcome, err
}

// restore gives the policy of the file to Envoy.
func (p *policies) restore(ctx context.Context, _ string) (applied, error) {
	text, err := os.ReadFile(p.reloader.proxy.config)
	if err != nil {
		return applied{}, err
	}
	result, outcome, err := p.hand(func() (reload, error) { return p.reloader.takeFile(ctx, string(text)) }, fromFile)
	if err == nil && !result.refused {
		fmt.Fprintf(p.out, "\nEnvoy serves the policy in %s\n\n", p.reloader.proxy.config)
	}
	return outcome, err
}

func (p *policies) outcome(result reload) applied {
	reasons := result.reasons
	if reasons == nil {
		reasons = []string{}
	}
	if result.refused && len(reasons) == 0 {
		reasons = []string{result.says}
	}
	return applied{Accepted: !result.refused, Policy: p.app.current().Policy, Reasons: reasons}
}

// largestPolicy is what a page may apply.
const largestPolicy = 1 << 20

// writePolicy lets the page apply policies.
func (a *app) writePolicy(write func(*policies, context.Context, string) (applied, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-a.ready:
		case <-r.Context().Done():
			return
		}
		if a.policies.reloader == nil {
			http.Error(w, "Envoy takes no policies while it runs, since the demo finds no filter cors in its configuration",
				http.StatusConflict)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largestPolicy))
		if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
			http.Error(w, fmt.Sprintf("want a policy of at most %d bytes", tooLarge.Limit),
				http.StatusRequestEntityTooLarge)
			return
		}
		if err != nil || !utf8.Valid(body) {
			http.Error(w, "want a policy in UTF-8", http.StatusBadRequest)
			return
		}
		// Envoy has it also if the page has left.
		outcome, err := write(a.policies, context.WithoutCancel(r.Context()), string(body))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		writeJSON(w, outcome)
	}
}
