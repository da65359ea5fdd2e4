package main

import (
	"encoding/json"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/explain"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/fetch"
)

// json is the explanation for machines.
func (e *explanation) json() ([]byte, error) {
	type place struct {
		Line   int `json:"line"`
		Column int `json:"column"`
	}
	type choice struct {
		explain.Choice
		place
	}
	type change struct {
		explain.Change
		*place // nil if there is nothing to edit
	}
	type blocked struct {
		Reason   fetch.BlockReason `json:"reason"`
		Because  string            `json:"because"`
		Step     string            `json:"step"`
		Section  string            `json:"section"`
		Filter   string            `json:"filter,omitempty"`
		Details  string            `json:"response_code_details,omitempty"`
		Chromium struct {
			Name    string `json:"cors_error,omitempty"`
			Message string `json:"message,omitempty"`
		} `json:"chromium"`
	}
	at := func(offset int) place {
		p := e.plugin.Position(offset)
		return place{p.Line, p.Column}
	}
	var result struct {
		Source  string `json:"source,omitempty"`
		Request struct {
			Method      string      `json:"method"`
			URL         string      `json:"url,omitempty"`
			Origin      string      `json:"origin"`
			Credentials bool        `json:"credentials"`
			Headers     [][2]string `json:"headers"`
			HeaderNames []string    `json:"header_names"`
			Route       string      `json:"route,omitempty"`
		} `json:"request"`
		File      string   `json:"file"`
		Policies  []choice `json:"policies"`
		Preflight struct {
			Needed  bool            `json:"needed"`
			Reasons []string        `json:"reasons"`
			Request [][2]string     `json:"request"`
			Answer  *explain.Answer `json:"answer,omitempty"`
		} `json:"preflight"`
		Actual  *explain.Answer   `json:"actual,omitempty"`
		Allowed bool              `json:"allowed"`
		Blocked *blocked          `json:"blocked,omitempty"`
		Changes []change          `json:"changes"`
		Typed   string            `json:"as_typed,omitempty"`
		Notes   []string          `json:"notes"`
		Around  []document.Report `json:"warnings,omitempty"`
	}
	r := e.Request
	result.Source, result.File = e.captured.source, e.plugin.File().Name
	result.Request.Method, result.Request.URL, result.Request.Origin = r.Method, r.URL, r.Origin
	result.Request.Credentials, result.Request.Headers = r.CredentialsInclude, append([][2]string{}, r.Headers...)
	result.Request.HeaderNames, result.Request.Route = append([]string{}, r.UnsafeNames...), e.route
	for _, c := range e.Choices {
		result.Policies = append(result.Policies, choice{c, at(c.Offset)})
	}
	result.Preflight.Reasons = []string{}
	for _, reason := range r.PreflightReasons() {
		result.Preflight.Needed = e.Preflight != nil
		result.Preflight.Reasons = append(result.Preflight.Reasons, reason.String())
	}
	result.Preflight.Request, result.Preflight.Answer = [][2]string{}, e.Preflight
	if e.Preflight != nil {
		result.Preflight.Request = r.Preflight()
	}
	result.Actual, result.Allowed = e.Actual, e.allowed()
	if e.Blocked != nil {
		b := &blocked{Reason: e.Blocked.Reason, Because: e.Because(), Step: e.Blocked.Step(), Section: e.Blocked.Section(), Details: e.details()}
		if d := e.Decision(); d != nil {
			b.Filter = d.Reason.String()
		}
		chromium := e.chromium()
		b.Chromium.Name, b.Chromium.Message = chromium.Name, chromium.Message
		result.Blocked = b
	}
	result.Changes, result.Typed = []change{}, e.Typed
	for _, c := range e.Changes {
		made := change{Change: c}
		if c.Path != "" {
			where := at(c.Offset)
			made.place = &where
		}
		result.Changes = append(result.Changes, made)
	}
	if around := e.plugin.Around(); len(around) > 0 {
		result.Around = document.Reports(around)
	}
	result.Notes = append(append([]string{}, e.captured.notes...), e.Hints...)
	return json.Marshal(result)
}
