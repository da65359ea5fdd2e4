package explain

import (
	"encoding/json"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/capture"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/fetch"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/manifest"
)

// A FileExplanation explains a request by the configuration in a file, with the places
// there. What may be secret in the request is masked.
type FileExplanation struct {
	*Explanation
	Subject *Subject
	// Plugin is the configuration.
	Plugin *manifest.Plugin

	route string
}

// ByFile explains a request to a proxy with the configuration in a file, which is valid.
func ByFile(plugin *manifest.Plugin, s *Subject, route string) *FileExplanation {
	e := &FileExplanation{Explain(plugin.Rules(), capture.Mask(s.Request), route), s, plugin, route}
	e.Request.URL = capture.MaskURL(e.Request.URL) // its path has found the policy
	for _, f := range plugin.Around() {
		e.Hints = append(e.Hints, f.Error())
	}
	if s.Failed && e.Blocked == nil {
		e.Hints = append(e.Hints, "it failed when it was recorded, and this configuration allows it: see that the proxy has this configuration, "+
			"that the filter is the first in its chain, and that the request reaches that proxy")
	}
	return e
}

// Allowed reports whether a page gets the answer. It gets none of a request that no
// browser makes.
func (e *FileExplanation) Allowed() bool { return e.Blocked == nil && !e.Request.ByHand }

// Place is the place in the file of an offset in the configuration.
func (e *FileExplanation) Place(offset int) string {
	return e.Plugin.File().Name + ":" + e.Plugin.Position(offset).String()
}

// Chromium is how Chromium reports what it blocks.
func (e *Explanation) Chromium() fetch.ChromiumError {
	r := e.Request
	if r.URL == "" {
		r.URL = "…"
	}
	return fetch.Chromium(r, e.Blocked)
}

// Details is what the filter hands to Envoy for its access log; "" if that is nothing.
func (e *Explanation) Details() string {
	if d := e.PreflightDecision; d != nil && d.Answered() && !d.Allowed() {
		return strings.ReplaceAll("cors: "+d.Explain(), " ", "_")
	}
	return ""
}

// Exposed are the response headers that the policy lets the page read.
func (e *Explanation) Exposed() string {
	for _, h := range e.Actual.Headers {
		if h[0] == "access-control-expose-headers" {
			if h[1] == "*" {
				return "all others"
			}
			return h[1]
		}
	}
	return ""
}

// MarshalJSON implements [json.Marshaler].
func (e *FileExplanation) MarshalJSON() ([]byte, error) {
	type place struct {
		Line   int `json:"line"`
		Column int `json:"column"`
	}
	type choice struct {
		Choice
		place
	}
	type change struct {
		Change
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
		p := e.Plugin.Position(offset)
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
			Needed  bool        `json:"needed"`
			Reasons []string    `json:"reasons"`
			Request [][2]string `json:"request"`
			Answer  *Answer     `json:"answer,omitempty"`
		} `json:"preflight"`
		Actual  *Answer                `json:"actual,omitempty"`
		Allowed bool                   `json:"allowed"`
		Blocked *blocked               `json:"blocked,omitempty"`
		Changes []change               `json:"changes"`
		Typed   string                 `json:"as_typed,omitempty"`
		Notes   []string               `json:"notes"`
		Around  []document.FindingJSON `json:"warnings,omitempty"`
	}
	r := e.Request
	result.Source, result.File = e.Subject.From, e.Plugin.File().Name
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
	result.Actual, result.Allowed = e.Actual, e.Allowed()
	if e.Blocked != nil {
		b := &blocked{Reason: e.Blocked.Reason, Because: e.Because(), Step: e.Blocked.Step(), Section: e.Blocked.Section(), Details: e.Details()}
		if d := e.Decision(); d != nil {
			b.Filter = d.Reason.String()
		}
		chromium := e.Chromium()
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
	if around := e.Plugin.Around(); len(around) > 0 {
		result.Around = document.JSON(around)
	}
	result.Notes = append(append([]string{}, e.Subject.Notes...), e.Hints...)
	return json.Marshal(result)
}
