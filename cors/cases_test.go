package cors_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// TestCases runs the shared tables on the pure engine, all that it can show.
func TestCases(t *testing.T) {
	for _, c := range cases.All {
		if c.BeyondEngine != "" {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			got := exchange(t, c)
			want := c.Want
			if want.Reason == "" {
				want.Reason = got.Reason
			}
			if want.Status == 0 {
				want.Status = max(c.Upstream.Status, 200)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// exchange makes of a case what the filter makes of it.
func exchange(t *testing.T, c cases.Case) cases.Want {
	t.Helper()
	parsed, problems := config.Parse(c.Config)
	if parsed == nil {
		t.Fatal(problems)
	}
	untouched := cases.Want{Forwarded: true, Status: max(c.Upstream.Status, 200),
		Headers: cases.Lines(c.Upstream.Headers)}
	r := c.Request.Complete()
	policy := parsed.Policies.Lookup(match.Key{Route: r.Route, Host: r.Host, Path: r.Path})
	if policy == nil {
		return untouched
	}
	d := policy.Decide(facts(r))
	checkShortCuts(t, policy, facts(r), &d)
	if d.Answered() {
		reason := d.Why()
		if d.Allowed() {
			reason = "preflight allowed"
		}
		var headers [][2]string
		for _, h := range d.AppendHeaders(nil) {
			headers = append(headers, [2]string{h.Name, h.Value})
		}
		return cases.Want{Status: d.Status(), Headers: cases.Lines(headers), Reason: reason}
	}
	got := untouched
	got.Headers = cases.Lines(edit(d, c.Upstream.Headers))
	return got
}

// checkShortCuts checks that what takes less than a decision comes to the same.
func checkShortCuts(t *testing.T, policy *cors.Policy, r *cors.Request, d *cors.Decision) {
	t.Helper()
	origin, variant, ok := policy.AllowsPreflight(r)
	wantVariant, want := d.Variant()
	if want = want && d.Answered(); ok != want {
		t.Errorf("AllowsPreflight is %v, want %v", ok, want)
	}
	if ok && (origin != d.Origin() || variant != wantVariant) {
		t.Errorf("AllowsPreflight has %q and answer %d, want %q and %d", origin, variant, d.Origin(), wantVariant)
	}
	without := policy.Decide(&cors.Request{})
	if got, want := policy.WithoutOrigin(), without.Edits(); got != want {
		t.Errorf("WithoutOrigin is %+v, want %+v", got, want)
	}
}

// facts are what the engine needs to know of a request.
func facts(r cases.Request) *cors.Request {
	var facts cors.Request
	var origins, methods []string
	for _, h := range r.Headers {
		switch value := strings.Trim(h[1], " \t"); h[0] {
		case "origin":
			origins = append(origins, value)
		case "access-control-request-method":
			methods = append(methods, value)
		case "access-control-request-headers":
			facts.RequestHeaders = append(facts.RequestHeaders, value)
		case "access-control-request-private-network":
			facts.PrivateNetwork = value == "true"
		case "upgrade":
			return &cors.Request{} // a handshake, decided as a request without an origin
		}
	}
	facts.Method = r.Method
	facts.HasOrigin = origins != nil
	facts.Origin = strings.Join(origins, ",")
	facts.RequestMethod = strings.Join(methods, ",")
	return &facts
}

// edit applies a decision to an upstream's headers.
func edit(d cors.Decision, headers [][2]string) [][2]string {
	e := editor(slices.Clone(headers))
	var upstream cors.Upstream
	for _, h := range headers {
		upstream.Observe(h[0], h[1])
	}
	d.Edit(&upstream, &e)
	return e
}

// An editor edits header lines.
type editor [][2]string

func (e *editor) AddResponseHeader(name, value string) { *e = append(*e, [2]string{name, value}) }

func (e *editor) ReplaceResponseHeader(name, value string) {
	(*e)[slices.IndexFunc(*e, func(h [2]string) bool { return h[0] == name })][1] = value
}

func (e *editor) RemoveResponseHeader(name string) {
	*e = slices.DeleteFunc(*e, func(h [2]string) bool { return h[0] == name })
}
