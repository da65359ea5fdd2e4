package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"unicode/utf8"
)

// policies gives the running Envoy other policies: those of edits of its configuration's
// file, and those that the page applies. The latest one counts.
type policies struct {
	app      *app
	reasons  *reasons
	reloader *reloader // nil where Envoy takes none while it runs
	out      io.Writer // the terminal
}

// edited hands an edit of the file to Envoy.
func (p *policies) edited(ctx context.Context, text []byte) {
	file := p.reloader.proxy.config
	result, err := p.reloader.takeFile(ctx, string(text))
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		fmt.Fprintf(p.out, "\n%s has changed, but: %v\n\n", file, err)
		return
	}
	p.fromFile(result)
	fmt.Fprintf(p.out, "\n%s has changed: %s\n\n", file, result.says)
}

// fromFile lets the page know what became of what is in the file.
func (p *policies) fromFile(result reload) {
	p.app.change(func(f *facts) {
		f.Refused, f.Reasons = result.refused, result.reasons
		if !result.refused {
			f.Applied = false
		}
		if result.policy != "" {
			f.Policy = result.policy
		}
	})
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
	result, err := p.reloader.takePolicy(ctx, string(text), policy)
	if err != nil {
		return applied{}, err
	}
	if !result.refused {
		p.app.change(func(f *facts) {
			f.Applied = true
			if result.policy != "" {
				f.Policy = result.policy
			}
		})
		fmt.Fprint(p.out, "\nThe page has applied a policy, which Envoy serves\n\n")
	}
	return p.outcome(result), nil
}

// restore gives the policy of the file to Envoy.
func (p *policies) restore(ctx context.Context, _ string) (applied, error) {
	text, err := os.ReadFile(p.reloader.proxy.config)
	if err != nil {
		return applied{}, err
	}
	result, err := p.reloader.takeFile(ctx, string(text))
	if err != nil {
		return applied{}, err
	}
	p.fromFile(result)
	if !result.refused {
		fmt.Fprintf(p.out, "\nEnvoy serves the policy in %s\n\n", p.reloader.proxy.config)
	}
	return p.outcome(result), nil
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
